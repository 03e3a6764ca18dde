//! Memory that was freed and that the allocator keeps.

/// Gives what was freed back to the system, as far as it makes up whole pages. The allocator keeps small pieces between
/// others for later; who goes on with memory of another kind has them beside it. Takes milliseconds: not for the path.
pub fn give_back_freed() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number alone, locks the allocator itself, and touches only what was freed.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    fn resident_pages() -> usize {
        let text = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
        text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("the second number")
    }

    #[test]
    fn pieces_between_others_leave_too() {
        const PIECE: usize = 64 << 10;
        let mut pieces: Vec<Option<Vec<u8>>> = vec![Some(vec![1; PIECE]); 1024];
        pieces.iter_mut().enumerate().filter(|(i, _)| i % 16 != 15).for_each(|(_, piece)| *piece = None);
        let before = resident_pages();
        give_back_freed();
        let gone = before.saturating_sub(resident_pages()) * 4096;
        assert!(gone > 512 * PIECE, "{gone} bytes");
        assert!(pieces.iter().flatten().all(|piece| piece[PIECE - 1] == 1));
    }
}

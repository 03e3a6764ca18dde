//! The completion word: a counter that a device writes in stream order and the host reads.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes that a completion word takes: a cache line of its own.
pub const WORD_BYTES: usize = 64;

/// Reads a word in pinned host memory that a stream writes.
#[derive(Debug)]
pub(crate) struct CompletionWord(NonNull<AtomicU32>);

// SAFETY: the word is only read through an atomic.
unsafe impl Send for CompletionWord {}

impl CompletionWord {
    /// A word at `at`, set to zero.
    ///
    /// # Safety
    /// `at` is aligned to four bytes and stays mapped as long as this value lives; while it
    /// lives everybody writes it atomically.
    pub(crate) unsafe fn new(at: NonNull<u8>) -> Self {
        let word = at.cast::<AtomicU32>();
        assert!(word.is_aligned(), "pinned memory is page aligned");
        // SAFETY: `at` is mapped and aligned, as the caller promises.
        unsafe { word.as_ref() }.store(0, Ordering::Release);
        Self(word)
    }

    /// Whether the word has reached `number`. Numbers may wrap: they are compared by distance.
    pub(crate) fn reached(&self, number: u32) -> bool {
        // SAFETY: mapped and aligned as long as `self` lives, as promised to `new`.
        let now = unsafe { self.0.as_ref() }.load(Ordering::Acquire);
        now.wrapping_sub(number) < u32::MAX / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_across_the_wrap() {
        let value = AtomicU32::new(0);
        // SAFETY: `value` outlives `word` and is only touched atomically.
        let word = unsafe { CompletionWord::new(NonNull::from(&value).cast()) };
        assert!(word.reached(0) && !word.reached(1));
        value.store(u32::MAX, Ordering::Release);
        assert!(word.reached(u32::MAX) && !word.reached(0));
        value.store(1, Ordering::Release);
        assert!(word.reached(u32::MAX) && word.reached(1) && !word.reached(2));
    }
}

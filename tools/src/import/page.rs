//! The weight image: packed tensors laid into pages in the order in which execution needs them.

use std::collections::HashMap;

use kernels::layout::Packed;
use kernels::operand::{ALIGNMENT, Operand, Space};

use super::error::Why;

/// What identifies a packed tensor: a digest of its source and of the way in which it is packed.
pub type Key = [u8; 32];

/// The weights of a model, one image for all its plans.
#[derive(Debug)]
pub struct WeightImage {
    page_bytes: usize,
    pages: Vec<Page>,
    placed: HashMap<Key, Operand>,
    used: usize,
    tensors: usize,
}

#[derive(Debug)]
struct Page {
    bytes: Vec<u8>,
    /// Bytes from here on are free.
    end: usize,
}

impl WeightImage {
    /// An image without tensors, in pages of that size.
    pub fn new(page_bytes: usize) -> WeightImage {
        WeightImage { page_bytes, pages: Vec::new(), placed: HashMap::new(), used: 0, tensors: 0 }
    }

    /// Where the tensor of that key lies; packs and places it the first time.
    pub fn place(&mut self, key: Key, pack: impl FnOnce() -> Packed) -> Result<Operand, Why> {
        if let Some(operand) = self.placed.get(&key) {
            return Ok(*operand);
        }
        let packed = pack();
        let operand = self.lay(&packed)?;
        self.placed.insert(key, operand);
        Ok(operand)
    }

    /// The pages, each full length; what no tensor covers is zero.
    pub fn pages(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.pages.iter().map(|page| page.bytes.as_slice())
    }

    /// How many tensors were placed.
    pub fn tensors(&self) -> usize {
        self.tensors
    }

    /// Bytes of the pages that no tensor covers.
    pub fn waste(&self) -> usize {
        self.pages.len() * self.page_bytes - self.used
    }

    fn lay(&mut self, packed: &Packed) -> Result<Operand, Why> {
        let (rows, row_bytes) = (packed.rows as usize, packed.row_bytes as usize);
        if row_bytes > self.page_bytes {
            return Err(Why::Row { found: row_bytes, limit: self.page_bytes });
        }
        let bytes: &[u8] = bytemuck::cast_slice(&packed.data);
        assert_eq!(bytes.len(), rows * row_bytes, "a packed tensor is its rows");
        self.used += bytes.len();
        self.tensors += 1;
        if bytes.len() <= self.page_bytes {
            let (page, offset) = self.room(bytes.len());
            self.pages[page].bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
            let (page, offset) = (number(page, "pages")?, number(offset, "bytes in a page")?);
            return Ok(Operand::contiguous(Space::Weights, page, offset));
        }
        let rows_per_page = self.page_bytes / row_bytes;
        let first = self.pages.len();
        for part in bytes.chunks(rows_per_page * row_bytes) {
            let page = self.add_page();
            self.pages[page].bytes[..part.len()].copy_from_slice(part);
            self.pages[page].end = part.len().next_multiple_of(ALIGNMENT as usize);
        }
        let rows_per_page = number(rows_per_page, "rows")?;
        Ok(Operand { space: Space::Weights as u32, page: number(first, "pages")?, offset: 0, rows_per_page })
    }

    /// The first page with that much room, else a new one. Room left in earlier pages is filled by
    /// later, smaller tensors: they then arrive early, which never delays an execution.
    fn room(&mut self, bytes: usize) -> (usize, usize) {
        let fits = |page: &Page| page.end + bytes <= self.page_bytes;
        let page = self.pages.iter().position(fits).unwrap_or_else(|| self.add_page());
        let offset = self.pages[page].end;
        self.pages[page].end = (offset + bytes).next_multiple_of(ALIGNMENT as usize);
        (page, offset)
    }

    fn add_page(&mut self) -> usize {
        self.pages.push(Page { bytes: vec![0; self.page_bytes], end: 0 });
        self.pages.len() - 1
    }
}

/// A number as kernels take it.
pub fn number(n: usize, what: &'static str) -> Result<u32, Why> {
    u32::try_from(n).map_err(|_| Why::TooLarge { what, found: n, limit: u32::MAX as usize })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(rows: u32, row_floats: usize) -> Packed {
        let count = rows as usize * row_floats;
        let data = (0u16..).take(count).map(f32::from).collect();
        Packed { rows, row_bytes: u32::try_from(row_floats * 4).unwrap(), data }
    }

    #[test]
    fn small_tensors_share_a_page_and_equal_keys_share_a_place() {
        let mut image = WeightImage::new(4096);
        let a = image.place([1; 32], || packed(1, 10)).unwrap();
        let b = image.place([2; 32], || packed(1, 10)).unwrap();
        let again = image.place([1; 32], || unreachable!("packed before")).unwrap();
        assert_eq!((a.page, a.offset, b.page, b.offset), (0, 0, 0, 64));
        assert_eq!(a, again);
        assert_eq!((image.pages().len(), image.waste(), image.tensors()), (1, 4096 - 80, 2));
    }

    #[test]
    fn large_tensors_are_split_by_rows_and_leave_room_for_small_ones() {
        let mut image = WeightImage::new(4096);
        let large = image.place([1; 32], || packed(5, 400)).unwrap();
        assert_eq!((large.page, large.offset, large.rows_per_page), (0, 0, 2));
        let pages: Vec<&[u8]> = image.pages().collect();
        assert_eq!(pages.len(), 3);
        assert_eq!(bytemuck::cast_slice::<u8, f32>(&pages[1][..8]), [800.0, 801.0]);
        let small = image.place([2; 32], || packed(1, 16)).unwrap();
        assert_eq!((small.page, small.offset), (0, 3200));
    }

    #[test]
    fn a_row_longer_than_a_page_is_refused() {
        let refused = WeightImage::new(4096).place([1; 32], || packed(1, 1025));
        assert!(matches!(refused, Err(Why::Row { found: 4100, limit: 4096 })));
    }
}

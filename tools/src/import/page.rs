//! The weight image: packed tensors laid into pages in the order in which execution needs them.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use kernels::layout::Packed;
use kernels::operand::{ALIGNMENT, Operand, Space};
use runtime::base::limits::MAX_PAGES_PER_MODEL;

use super::error::Why;

/// What identifies a packed tensor: a digest of its source and of the way in which it is packed.
pub type Key = [u8; 32];

/// What a packed tensor takes, known before it is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its rows.
    pub rows: usize,
    /// Floats of one row.
    pub row: usize,
}

impl Extent {
    /// All its bytes.
    pub fn bytes(self) -> usize {
        self.rows.saturating_mul(self.row_bytes())
    }

    fn row_bytes(self) -> usize {
        self.row.saturating_mul(size_of::<f32>())
    }
}

/// The weights of a model, one image for all its plans. It lies in a file, so that memory holds one
/// tensor of it at a time.
#[derive(Debug)]
pub struct WeightImage {
    page_bytes: usize,
    /// The pages, one after the other; where nothing was written there are zeros.
    file: File,
    /// By page: bytes from here on are free.
    ends: Vec<usize>,
    placed: HashMap<Key, Operand>,
    used: usize,
    tensors: usize,
}

impl WeightImage {
    /// An image without tensors, in pages of that size, within an empty file.
    pub fn new(page_bytes: usize, file: File) -> WeightImage {
        WeightImage { page_bytes, file, ends: Vec::new(), placed: HashMap::new(), used: 0, tensors: 0 }
    }

    /// Where the tensor of that key lies; packs and places it the first time, unless no page holds its rows.
    ///
    /// # Panics
    /// If what is packed has another extent.
    pub fn place(&mut self, key: Key, extent: Extent, pack: impl FnOnce() -> Packed) -> Result<Operand, Why> {
        if let Some(operand) = self.placed.get(&key) {
            return Ok(*operand);
        }
        if extent.row_bytes() > self.page_bytes {
            return Err(Why::Row { found: extent.row_bytes(), limit: self.page_bytes });
        }
        let packed = pack();
        assert_eq!((packed.rows as usize, packed.row_bytes as usize), (extent.rows, extent.row_bytes()), "as was said");
        let operand = self.lay(&packed)?;
        self.placed.insert(key, operand);
        Ok(operand)
    }

    /// How many pages there are.
    pub fn pages(&self) -> usize {
        self.ends.len()
    }

    /// Reads a page whole; what no tensor covers is zero.
    ///
    /// # Errors
    /// What the system says of the file.
    ///
    /// # Panics
    /// If `bytes` is not one page long.
    pub fn read_page(&self, page: usize, bytes: &mut [u8]) -> io::Result<()> {
        assert_eq!(bytes.len(), self.page_bytes, "a page is read whole");
        // The file ends with the last byte written, which may lie within a page.
        let (mut filled, begin) = (0, (page * self.page_bytes) as u64);
        while filled < bytes.len() {
            match self.file.read_at(&mut bytes[filled..], begin + filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        bytes[filled..].fill(0);
        Ok(())
    }

    /// How many tensors were placed.
    pub fn tensors(&self) -> usize {
        self.tensors
    }

    /// Bytes of the pages that no tensor covers.
    pub fn waste(&self) -> usize {
        self.ends.len() * self.page_bytes - self.used
    }

    fn lay(&mut self, packed: &Packed) -> Result<Operand, Why> {
        let (rows, row_bytes) = (packed.rows as usize, packed.row_bytes as usize);
        let bytes: &[u8] = bytemuck::cast_slice(&packed.data);
        assert_eq!(bytes.len(), rows * row_bytes, "a packed tensor is its rows");
        self.used += bytes.len();
        self.tensors += 1;
        if bytes.len() <= self.page_bytes {
            let (page, offset) = self.room(bytes.len())?;
            self.write(page, offset, bytes)?;
            let (page, offset) = (number(page, "pages")?, number(offset, "bytes in a page")?);
            return Ok(Operand::contiguous(Space::Weights, page, offset));
        }
        let rows_per_page = self.page_bytes / row_bytes;
        let first = self.ends.len();
        for part in bytes.chunks(rows_per_page * row_bytes) {
            let page = self.add_page()?;
            self.write(page, 0, part)?;
            self.ends[page] = part.len().next_multiple_of(ALIGNMENT as usize);
        }
        let rows_per_page = number(rows_per_page, "rows")?;
        Ok(Operand { space: Space::Weights as u32, page: number(first, "pages")?, offset: 0, rows_per_page })
    }

    fn write(&self, page: usize, offset: usize, bytes: &[u8]) -> Result<(), Why> {
        let at = (page * self.page_bytes + offset) as u64;
        self.file.write_all_at(bytes, at).map_err(|source| Why::Scratch { source })
    }

    /// The first page with that much room, else a new one. Room left in earlier pages is filled by
    /// later, smaller tensors: they then arrive early, which never delays an execution.
    fn room(&mut self, bytes: usize) -> Result<(usize, usize), Why> {
        let fits = |&end: &usize| end + bytes <= self.page_bytes;
        let page = match self.ends.iter().position(fits) {
            Some(page) => page,
            None => self.add_page()?,
        };
        let offset = self.ends[page];
        self.ends[page] = (offset + bytes).next_multiple_of(ALIGNMENT as usize);
        Ok((page, offset))
    }

    fn add_page(&mut self) -> Result<usize, Why> {
        let found = self.ends.len() + 1;
        if found > MAX_PAGES_PER_MODEL {
            return Err(Why::TooLarge { what: "pages", found, limit: MAX_PAGES_PER_MODEL });
        }
        self.ends.push(0);
        Ok(found - 1)
    }
}

/// A number as kernels take it.
pub fn number(n: usize, what: &'static str) -> Result<u32, Why> {
    u32::try_from(n).map_err(|_| Why::TooLarge { what, found: n, limit: u32::MAX as usize })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_with_too_much_says_of_what() {
        let why = number(5_000_000_000, "pages").unwrap_err();
        let refused = crate::import::error::ImportError::TooMuch { why }.to_string();
        assert_eq!(refused, "the package: 5000000000 pages exceed the limit 4294967295");
    }

    fn image() -> WeightImage {
        WeightImage::new(4096, tempfile::tempfile().unwrap())
    }

    fn packed(extent: Extent) -> Packed {
        let data = (0u16..).take(extent.rows * extent.row).map(f32::from).collect();
        let [rows, row_bytes] = [extent.rows, extent.row_bytes()].map(|n| u32::try_from(n).unwrap());
        Packed { rows, row_bytes, data }
    }

    fn place(image: &mut WeightImage, key: u8, rows: usize, row: usize) -> Result<Operand, Why> {
        let extent = Extent { rows, row };
        image.place([key; 32], extent, || packed(extent))
    }

    #[test]
    fn small_tensors_share_a_page_and_equal_keys_share_a_place() {
        let mut image = image();
        let a = place(&mut image, 1, 1, 10).unwrap();
        let b = place(&mut image, 2, 1, 10).unwrap();
        let again = image.place([1; 32], Extent { rows: 1, row: 10 }, || unreachable!("packed before")).unwrap();
        assert_eq!((a.page, a.offset, b.page, b.offset), (0, 0, 0, 64));
        assert_eq!(a, again);
        assert_eq!((image.pages(), image.waste(), image.tensors()), (1, 4096 - 80, 2));
    }

    #[test]
    fn large_tensors_are_split_by_rows_and_leave_room_for_small_ones() {
        let mut image = image();
        let large = place(&mut image, 1, 5, 400).unwrap();
        assert_eq!((large.page, large.offset, large.rows_per_page), (0, 0, 2));
        assert_eq!(image.pages(), 3);
        let mut page = vec![1; 4096];
        image.read_page(1, &mut page).unwrap();
        assert_eq!(bytemuck::cast_slice::<u8, f32>(&page[..8]), [800.0, 801.0]);
        assert_eq!(page[3200..], [0; 896]);
        image.read_page(2, &mut page).unwrap();
        assert_eq!(page[1600..], [0; 2496]);
        let small = place(&mut image, 2, 1, 16).unwrap();
        assert_eq!((small.page, small.offset), (0, 3200));
    }

    #[test]
    fn a_row_longer_than_a_page_is_refused_before_it_is_packed() {
        let extent = Extent { rows: 1, row: 1025 };
        let refused = image().place([1; 32], extent, || unreachable!("it fits no page"));
        assert!(matches!(refused, Err(Why::Row { found: 4100, limit: 4096 })));
    }
}

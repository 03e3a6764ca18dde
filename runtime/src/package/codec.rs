//! Little-endian numbers to and from the bytes of a section. Reading never trusts a length.

use super::error::Fault;

/// Appends numbers to a section.
#[derive(Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    pub fn u8(&mut self, n: u8) {
        self.bytes.push(n);
    }

    pub fn u16(&mut self, n: u16) {
        self.bytes.extend_from_slice(&n.to_le_bytes());
    }

    pub fn u32(&mut self, n: u32) {
        self.bytes.extend_from_slice(&n.to_le_bytes());
    }

    pub fn slice(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Takes numbers from the front of a section and knows where in the file it is.
#[derive(Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
    offset: u64,
}

/// A fault and its offset in the file.
pub type Placed = (u64, Fault);

impl<'a> Decoder<'a> {
    /// A reader of `bytes`, which begin at `offset` of the file.
    pub fn new(bytes: &'a [u8], offset: u64) -> Decoder<'a> {
        Decoder { rest: bytes, offset }
    }

    /// Where in the file the next byte lies.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next `n` bytes.
    pub fn slice(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], Placed> {
        let Some((taken, rest)) = self.rest.split_at_checked(n) else {
            return Err((self.offset, Fault::Truncated { what, wanted: n as u64, found: self.rest.len() as u64 }));
        };
        self.rest = rest;
        self.offset += n as u64;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Placed> {
        let bytes = self.slice(N, what)?;
        let mut array = [0; N];
        array.copy_from_slice(bytes);
        Ok(array)
    }

    pub fn u8(&mut self, what: &'static str) -> Result<u8, Placed> {
        Ok(u8::from_le_bytes(self.array(what)?))
    }

    pub fn u16(&mut self, what: &'static str) -> Result<u16, Placed> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub fn u32(&mut self, what: &'static str) -> Result<u32, Placed> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    /// A number that must not exceed `limit`.
    pub fn count(&mut self, what: &'static str, limit: usize) -> Result<usize, Placed> {
        let at = self.offset;
        let found = self.u32(what)?;
        if u64::from(found) > limit as u64 {
            return Err((at, Fault::Count { what, found: u64::from(found), limit: limit as u64 }));
        }
        Ok(found as usize)
    }

    /// A fault at the next byte.
    pub fn fault<T>(&self, fault: Fault) -> Result<T, Placed> {
        Err((self.offset, fault))
    }
}

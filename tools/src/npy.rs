//! Tensors in NumPy's `.npy` files, version 1 to 3, in C order.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use runtime::package::TensorType;
use thiserror::Error;

/// How every file begins.
const MAGIC: [u8; 6] = *b"\x93NUMPY";
/// The data begins at a multiple of this.
const ALIGNMENT: usize = 64;
/// Longest header that is read, in bytes.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// A tensor as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    /// Its element type.
    pub kind: TensorType,
    /// Its dimensions.
    pub dims: Vec<usize>,
    /// Its elements, little-endian, row-major.
    pub data: Vec<u8>,
}

/// Why a file can't be read or written.
#[derive(Debug, Error)]
pub enum NpyError {
    /// The operating system refused.
    #[error("{path}: can't {action}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes are wrong.
    #[error("{path}: {fault}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: NpyFault,
    },
}

/// What is wrong with the bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NpyFault {
    /// It does not begin as a `.npy` file does, or ends within its header.
    #[error("not a .npy file, or cut off in its header")]
    Header,
    /// The header lacks an entry or has one that can't be read.
    #[error("its header has no readable `{0}`")]
    Entry(&'static str),
    /// The element type is not supported.
    #[error("element type {0} is not supported: only f4, f2, u1, i4, i8 and b1, little-endian")]
    Type(String),
    /// Columns first.
    #[error("it is in Fortran order; save it in C order")]
    Order,
    /// The data is not as long as type and shape say.
    #[error("it holds {found} bytes of data where its shape says {wanted}")]
    Length {
        /// Bytes there.
        found: usize,
        /// Bytes wanted.
        wanted: usize,
    },
}

const TYPES: [(&str, TensorType); 6] = [
    ("<f4", TensorType::F32),
    ("<f2", TensorType::F16),
    ("|u1", TensorType::U8),
    ("<i4", TensorType::I32),
    ("<i8", TensorType::I64),
    ("|b1", TensorType::Bool),
];

impl Array {
    /// Reads a file.
    ///
    /// # Errors
    /// [`NpyError`], naming the file.
    pub fn read(path: &Path) -> Result<Array, NpyError> {
        let bytes = fs::read(path).map_err(|source| NpyError::Io { path: path.to_owned(), action: "read", source })?;
        Array::from_bytes(&bytes).map_err(|fault| NpyError::Malformed { path: path.to_owned(), fault })
    }

    /// Writes a file.
    ///
    /// # Errors
    /// [`NpyError::Io`], naming the file.
    pub fn write(&self, path: &Path) -> Result<(), NpyError> {
        fs::write(path, self.to_bytes()).map_err(|source| NpyError::Io {
            path: path.to_owned(),
            action: "write",
            source,
        })
    }

    /// The array in those bytes.
    ///
    /// # Errors
    /// The first [`NpyFault`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Array, NpyFault> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(NpyFault::Header)?;
        let (length, rest) = match rest {
            [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
            [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
            _ => return Err(NpyFault::Header),
        };
        if length > MAX_HEADER_BYTES {
            return Err(NpyFault::Header);
        }
        let (header, data) = rest.split_at_checked(length).ok_or(NpyFault::Header)?;
        let header = std::str::from_utf8(header).map_err(|_| NpyFault::Header)?;
        let text = quoted(entry(header, "descr")?).ok_or(NpyFault::Entry("descr"))?;
        let kind = TYPES.iter().find(|(name, _)| *name == text).ok_or_else(|| NpyFault::Type(text.to_owned()))?.1;
        match entry(header, "fortran_order")? {
            order if order.starts_with("False") => {}
            order if order.starts_with("True") => return Err(NpyFault::Order),
            _ => return Err(NpyFault::Entry("fortran_order")),
        }
        let dims = tuple(entry(header, "shape")?).ok_or(NpyFault::Entry("shape"))?;
        let elements = dims.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim));
        let wanted = elements.and_then(|n| n.checked_mul(kind.bytes())).unwrap_or(usize::MAX);
        if data.len() != wanted {
            return Err(NpyFault::Length { found: data.len(), wanted });
        }
        Ok(Array { kind, dims, data: data.to_vec() })
    }

    /// The array as bytes of a file, version 1.
    pub fn to_bytes(&self) -> Vec<u8> {
        let name = TYPES.iter().find(|(_, kind)| *kind == self.kind).map_or("|u1", |(name, _)| name);
        let dims: String = self.dims.iter().map(|dim| format!("{dim},")).collect();
        let mut header = format!("{{'descr': '{name}', 'fortran_order': False, 'shape': ({dims}), }}");
        let before = MAGIC.len() + 4;
        let padded = (before + header.len() + 1).next_multiple_of(ALIGNMENT) - before;
        header.extend(std::iter::repeat_n(' ', padded - header.len() - 1));
        header.push('\n');
        let length = u16::try_from(header.len()).unwrap_or_else(|_| unreachable!("shapes have few dimensions"));
        [&MAGIC[..], &[1, 0], &length.to_le_bytes(), header.as_bytes(), &self.data].concat()
    }
}

/// What follows `'name':` in a header.
fn entry<'a>(header: &'a str, name: &'static str) -> Result<&'a str, NpyFault> {
    let rest = header.split_once(&format!("'{name}'")).ok_or(NpyFault::Entry(name))?.1;
    rest.trim_start().strip_prefix(':').map(str::trim_start).ok_or(NpyFault::Entry(name))
}

fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('\'')?.split_once('\'').map(|(inner, _)| inner)
}

fn tuple(text: &str) -> Option<Vec<usize>> {
    let (inner, _) = text.strip_prefix('(')?.split_once(')')?;
    inner.split(',').map(str::trim).filter(|part| !part.is_empty()).map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arrays_survive_their_bytes(dims in prop::collection::vec(0usize..5, 0..4), kind in 1u8..=6) {
            let kind = TensorType::from_u8(kind).unwrap();
            let count = dims.iter().product::<usize>() * kind.bytes();
            let array = Array { kind, dims, data: (0..=250).cycle().take(count).collect() };
            let bytes = array.to_bytes();
            prop_assert_eq!((bytes.len() - count) % ALIGNMENT, 0);
            prop_assert_eq!(Array::from_bytes(&bytes).unwrap(), array);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Array::from_bytes(&[&MAGIC[..], &bytes].concat());
        }
    }

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        [&MAGIC[..], &[1, 0], &length, header.as_bytes(), data].concat()
    }

    #[test]
    fn what_numpy_writes_is_read() {
        let bytes = file("{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }\n", &[1, 0, 0, 0, 2, 0, 0, 0]);
        let array = Array::from_bytes(&bytes).unwrap();
        assert_eq!((array.kind, array.dims.as_slice()), (TensorType::I32, &[2][..]));
    }

    #[test]
    fn faults_are_named() {
        let fault = |header: &str| Array::from_bytes(&file(header, &[])).unwrap_err();
        let f64s = fault("{'descr': '<f8', 'fortran_order': False, 'shape': (), }");
        assert_eq!(f64s, NpyFault::Type("<f8".to_owned()));
        assert_eq!(fault("{'descr': '<f4', 'fortran_order': True, 'shape': (), }"), NpyFault::Order);
        let short = fault("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }");
        assert_eq!(short, NpyFault::Length { found: 0, wanted: 12 });
        assert_eq!(fault("{'descr': '<f4', 'fortran_order': False}"), NpyFault::Entry("shape"));
        assert_eq!(Array::from_bytes(b"PK"), Err(NpyFault::Header));
    }
}

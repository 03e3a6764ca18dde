//! The `libcuda` filling: the driver's library, opened at run time.

use super::error::OpenError;
use super::table::{DriverTable, driver_table};
use super::types::*;
use libloading::Library;
use std::ffi::{c_char, c_int, c_uchar, c_uint, c_ulonglong, c_void};
use std::path::Path;

/// The name under which every Linux driver installs its library.
pub(crate) const LIBRARY: &str = "libcuda.so.1";

/// Opens `path` and finds every entry point in it. The table is valid as long as the library.
pub(crate) fn open(path: &Path) -> Result<(Library, DriverTable), OpenError> {
    // SAFETY: the initialisers of a driver library are meant to run on opening; whoever names
    // another file than the driver's names a library that keeps the same promise.
    let library = unsafe { Library::new(path) }
        .map_err(|reason| OpenError::MissingLibrary { library: path.to_owned(), reason })?;
    let table = fill(&library, path)?;
    Ok((library, table))
}

macro_rules! define_fill {
    ($($name:ident: $generated:ident = ($($argument:ident: $kind:ty),*);)*) => {
        fn fill(library: &Library, path: &Path) -> Result<DriverTable, OpenError> {
            Ok(DriverTable {
                $($name: {
                    // SAFETY: the symbol of this name has this signature in the driver interface.
                    let found = unsafe {
                        library.get::<unsafe extern "C" fn($($kind),*) -> CUresult>(concat!(stringify!($name), "\0"))
                    };
                    *found.map_err(|_| OpenError::MissingEntryPoint {
                        library: path.to_owned(),
                        entry: stringify!($name),
                    })?
                },)*
            })
        }
    };
}
driver_table!(define_fill);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_named() {
        let Err(error) = open(Path::new("/nowhere/libcuda.so.1")) else {
            panic!("there is no such library");
        };
        assert!(matches!(error, OpenError::MissingLibrary { .. }));
        assert!(error.to_string().contains("/nowhere/libcuda.so.1"), "{error}");
    }

    #[test]
    fn a_library_without_the_entry_points_is_refused_by_the_first_that_is_missing() {
        let Err(error) = open(Path::new("libc.so.6")) else {
            panic!("the C library is no driver");
        };
        assert!(matches!(error, OpenError::MissingEntryPoint { entry: "cuInit", .. }), "{error}");
    }
}

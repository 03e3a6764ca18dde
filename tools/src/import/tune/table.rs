//! The tuning table: what each layer took on one kind of device, kept in a file for ever.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use kernels::image::InstructionSet;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::layer::{Algorithm, Layer};

/// Why there is no table.
#[derive(Debug, Error)]
pub enum TableError {
    /// No folder for it.
    #[error("there is no folder for the tuning table: neither XDG_CACHE_HOME nor HOME is set; name a file")]
    NoFolder,
    /// The file can't be read or written.
    #[error("{path}: can't {action} the tuning table: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a table.
    #[error("{path}: not a tuning table: {source}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: toml::de::Error,
    },
    /// The table is of another device.
    #[error("{path}: measured on `{found}`, and this device is `{wanted}`; its times say nothing here")]
    Device {
        /// The file.
        path: PathBuf,
        /// The table's.
        found: String,
        /// This one.
        wanted: String,
    },
}

/// Nanoseconds of one layer by algorithm; none where an algorithm can't compute it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// Tap by tap.
    pub direct: u64,
    /// By patches of 2x2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patches_2: Option<u64>,
    /// By patches of 4x4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patches_4: Option<u64>,
}

impl Times {
    /// What `algorithm` took.
    pub fn of(&self, algorithm: Algorithm) -> Option<u64> {
        match algorithm {
            Algorithm::Direct => Some(self.direct),
            Algorithm::Patches(2) => self.patches_2,
            Algorithm::Patches(_) => self.patches_4,
        }
    }
}

/// The file's content.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    device: String,
    #[serde(default)]
    nanoseconds: BTreeMap<String, Times>,
}

/// Times by layer on this kind of device, and where they are kept.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    content: Content,
}

/// This kind of device: processor, instruction set and, where there are several, compute threads.
fn device(threads: usize) -> String {
    let one = format!("{}, {}", sys::probe::Machine::probe().processor, InstructionSet::best().name());
    if threads == 1 { one } else { format!("{one}, {threads} threads") }
}

/// Where the table of that device lies if nobody says otherwise.
fn usual_path(device: &str) -> Result<PathBuf, TableError> {
    let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = device.chars().map(plain).collect();
    Ok(cache.ok_or(TableError::NoFolder)?.join("clockwork").join(format!("tuning-{name}.toml")))
}

impl Table {
    /// The table in that file, or in the usual one, for a device of so many compute threads; without a file, an
    /// empty one.
    ///
    /// # Errors
    /// [`TableError`]; a table of another device is refused.
    pub fn open(path: Option<&Path>, threads: usize) -> Result<Table, TableError> {
        Table::open_for(device(threads), path)
    }

    fn open_for(device: String, path: Option<&Path>) -> Result<Table, TableError> {
        let path = path.map_or_else(|| usual_path(&device), |path| Ok(path.to_owned()))?;
        let content = read(&path, &device)?.unwrap_or_else(|| Content { device, nanoseconds: BTreeMap::new() });
        Ok(Table { path, content })
    }

    /// What is known of `layer`.
    pub fn times(&self, layer: &Layer) -> Option<Times> {
        self.content.nanoseconds.get(&layer.to_string()).copied()
    }

    /// Keeps what `layer` took, in the file too, which is replaced as a whole. What others put there since it was
    /// read stays, and counts where they measured the same layer: that is returned.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn keep(&mut self, layer: &Layer, times: Times) -> Result<Times, TableError> {
        let failed = |source| TableError::File { path: self.path.clone(), action: "write", source };
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        // A file of its own: the table's is replaced, and a lock would stay with the old one.
        let lock = File::create(beside(&self.path, "lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        if let Some(content) = read(&self.path, &self.content.device)? {
            self.content.nanoseconds.extend(content.nanoseconds);
        }
        let kept = *self.content.nanoseconds.entry(layer.to_string()).or_insert(times);
        let text = toml::to_string(&self.content)
            .unwrap_or_else(|error| unreachable!("names and numbers can be written: {error}"));
        let fresh = beside(&self.path, "tmp");
        fs::write(&fresh, text).map_err(failed)?;
        fs::rename(&fresh, &self.path).map_err(failed)?;
        Ok(kept)
    }
}

/// The table of `device` in that file; none if there is no file.
fn read(path: &Path, device: &str) -> Result<Option<Content>, TableError> {
    let path = path.to_owned();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(TableError::File { path, action: "read", source }),
    };
    match toml::from_str::<Content>(&text) {
        Err(source) => Err(TableError::Syntax { path, source }),
        Ok(content) if content.device != device => {
            Err(TableError::Device { path, found: content.device, wanted: device.to_owned() })
        }
        Ok(content) => Ok(Some(content)),
    }
}

/// The file of that name with another ending behind it.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{ending}"));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernels::params::{Conv, Window};

    fn layer() -> Layer {
        let block = Layer { in_channels: 64, out_channels: 32, groups: 1, input: [7, 9], output: [7, 9], pads: [1, 1] };
        assert_eq!(Layer::of(&Conv { window: Window::square(3, 1, 1), ..block.block() }), block);
        block
    }

    #[test]
    fn what_was_kept_is_read_again_and_only_by_the_same_device() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/tuning.toml");
        let times = Times { direct: 30, patches_2: Some(20), patches_4: None };
        let mut table = Table::open_for("a".to_owned(), Some(&path)).unwrap();
        assert_eq!(table.times(&layer()), None);
        table.keep(&layer(), times).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("\"conv 3x3: 64x7x9 -> 32x7x9, padding 1x1\""), "{text}");
        assert_eq!(Table::open_for("a".to_owned(), Some(&path)).unwrap().times(&layer()), Some(times));
        let other = Table::open_for("b".to_owned(), Some(&path));
        assert!(matches!(other, Err(TableError::Device { found, .. }) if found == "a"));
        fs::write(&path, "device = 3").unwrap();
        assert!(matches!(Table::open_for("a".to_owned(), Some(&path)), Err(TableError::Syntax { .. })));
        let mut left: Vec<_> =
            fs::read_dir(folder.path().join("deep")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["tuning.toml", "tuning.toml.lock"]);
    }

    /// Two imports that began with the same table.
    #[test]
    fn what_another_kept_meanwhile_stays_and_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tuning.toml");
        let open = || Table::open_for("a".to_owned(), Some(&path)).unwrap();
        let [slow, quick] = [9, 1].map(|direct| Times { direct, patches_2: None, patches_4: None });
        let wide = Layer { in_channels: 32, ..layer() };
        let (mut one, mut other) = (open(), open());
        one.keep(&layer(), slow).unwrap();
        other.keep(&wide, slow).unwrap();
        assert_eq!(other.keep(&layer(), quick).unwrap(), slow, "what was kept first counts for ever");
        assert_eq!(other.times(&layer()), Some(slow));
        let table = open();
        assert_eq!((table.times(&layer()), table.times(&wide)), (Some(slow), Some(slow)));
    }

    #[test]
    fn many_that_keep_at_once_lose_nothing() {
        const EACH: u32 = 20;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tuning.toml");
        let numbered = |number| Layer { in_channels: 1 + number, ..layer() };
        let times = Times { direct: 7, patches_2: None, patches_4: None };
        std::thread::scope(|scope| {
            for who in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    let mut table = Table::open_for("a".to_owned(), Some(path)).unwrap();
                    (0..EACH).for_each(|n| _ = table.keep(&numbered(who * EACH + n), times).unwrap());
                });
            }
        });
        let table = Table::open_for("a".to_owned(), Some(&path)).unwrap();
        assert!((0..4 * EACH).all(|number| table.times(&numbered(number)) == Some(times)));
    }
}

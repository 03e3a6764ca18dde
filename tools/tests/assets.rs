//! The models that the repository carries are the ones that were checked, byte for byte.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

#[test]
fn models_are_the_ones_that_were_pinned() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/models");
    let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    let mut pinned = Vec::new();
    for line in sums.lines() {
        let (wanted, name) = line.split_once("  ").unwrap();
        let found: String =
            Sha256::digest(fs::read(folder.join(name)).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, wanted, "{name}");
        pinned.push(name.to_owned());
    }
    let mut here: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name != "SHA256SUMS")
        .collect();
    here.sort();
    pinned.sort();
    assert_eq!(here, pinned, "every file of the folder is pinned");
}

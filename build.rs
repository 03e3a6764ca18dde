//! The build script of `kernels`: embeds the checked-in PTX of every CUDA source.
//!
//! It depends on nothing that happens to be installed. `kernels/ptx/SOURCES` records, for each
//! source, the hash of all that its PTX was made from; where a source has changed since, the build
//! fails and names the command that makes the PTX anew.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, process};

/// What makes the PTX anew.
const REFRESH: &str = "kernels/cuda/refresh.sh";

fn main() {
    if let Err(reason) = run() {
        println!("cargo::error={reason}");
        process::exit(1);
    }
}

fn run() -> Result<(), String> {
    let kernels = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let (cuda, ptx) = (kernels.join("cuda"), kernels.join("ptx"));
    println!("cargo::rerun-if-changed=../build.rs");
    for folder in [&cuda, &ptx] {
        // A path that is not there counts as changed at every build: then the folder above is watched.
        let watched = if folder.is_dir() { folder } else { &kernels };
        println!("cargo::rerun-if-changed={}", watched.display());
    }
    let headers = read_all(&cuda, "h")?;
    let recorded = fs::read_to_string(ptx.join("SOURCES")).unwrap_or_default();
    let mut table = String::from("&[\n");
    for (name, source) in read_all(&cuda, "cu")? {
        let hash = headers.iter().fold(fnv1a(FNV_START, &source), |hash, (_, header)| fnv1a(hash, header));
        let line = format!("{hash:016x} {name}.cu");
        if !recorded.lines().any(|recorded| recorded == line) {
            return Err(format!("the PTX of kernels/cuda/{name}.cu is not that of its source ({line}): run {REFRESH}"));
        }
        let image = ptx.join(format!("{name}.ptx"));
        if !image.is_file() {
            return Err(format!("{} is missing: run {REFRESH}", image.display()));
        }
        writeln!(table, "    ({name:?}, include_str!({:?})),", image.display().to_string())
            .map_err(|e| e.to_string())?;
    }
    table.push_str("]\n");
    let out = PathBuf::from(variable("OUT_DIR")?).join("ptx.rs");
    fs::write(&out, table).map_err(|e| format!("{}: {e}", out.display()))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|e| format!("{name}: {e}"))
}

/// The files of a folder with that ending, by name without it, sorted; none if there is no folder.
fn read_all(folder: &Path, ending: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut files = Vec::new();
    if !folder.is_dir() {
        return Ok(files);
    }
    for entry in fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))? {
        let path = entry.map_err(|e| format!("{}: {e}", folder.display()))?.path();
        if path.extension().is_some_and(|e| e == ending) {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            files.push((stem, fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?));
        }
    }
    files.sort();
    Ok(files)
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bits: it tells an edit from none, and nobody forges their own sources.
fn fnv1a(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

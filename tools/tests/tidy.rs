//! The rules of the house that the compiler does not check: which module may import which, where
//! `unsafe` may stand, how long a file and a function may be, and words that we do not use.

use std::fs;
use std::path::{Path, PathBuf};

const MAX_FILE_LINES: usize = 500;
const MAX_FUNCTION_LINES: usize = 70;

/// Modules of `runtime`, each with what it may import from its own crate.
/// Everything that is not listed is refused; `host` alone sees all.
const RUNTIME_ARROWS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("order", &["base"]),
    ("package", &["base"]),
    ("profile", &["base", "package"]),
    ("wire", &["base", "order", "package"]),
    ("scheduler", &["base", "package", "order", "profile"]),
    ("worker", &["base", "package", "order", "profile"]),
    ("gateway", &["base", "package", "order", "profile"]),
    ("controller", &["base", "package", "order", "profile"]),
    ("client", &["base", "order", "package", "wire"]),
    ("net", &["base", "order", "wire"]),
    ("disk", &["base", "order", "package", "worker"]),
    ("device", &["base", "order", "package", "worker"]),
    ("sim", &["base", "controller", "gateway", "order", "package", "profile", "scheduler", "worker"]),
];

/// Modules that hold no socket, thread or clock, and so may not reach the machine.
const PURE: &[&str] =
    &["base", "order", "package", "profile", "wire", "scheduler", "worker", "gateway", "controller", "sim"];

/// Where `unsafe` may stand: prefixes of paths from the root.
const UNSAFE_ALLOWED: &[&str] = &[
    "sys/cudalib/",
    "sys/src/cpu/",
    "sys/src/cuda/",
    "sys/src/uring/",
    "sys/src/clock.rs",
    "sys/src/doorbell.rs",
    "sys/src/memory.rs",
    "sys/src/memory/",
    "sys/src/signal.rs",
    "sys/src/thread.rs",
    "sys/src/thread/",
    "sys/src/word.rs",
    "sys/tests/",
    "kernels/src/cpu/micro.rs",
    "kernels/src/cpu/micro/",
    "kernels/src/cpu/view.rs",
    "kernels/src/tests/",
    "kernels/src/image.rs",
    "kernels/src/launch.rs",
    "kernels/src/launch/",
    "kernels/tests/",
];

/// Files that a program wrote: no limit on their length.
const GENERATED: &[&str] = &["sys/src/cuda/types.rs", "tools/src/import/onnx.rs"];

/// Words of code that is not finished, and names that say nothing.
const BANNED: &[&str] =
    &["todo!(", "unimplemented!(", "FIXME", "XXX", "HACK", "mod utils", "mod helpers", "mod common"];

struct Source {
    path: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tools/ lies in the workspace").to_path_buf()
}

fn collect(folder: &Path, root: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder of the workspace is readable") {
        let path = entry.expect("a folder entry is readable").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(&path, root, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source is UTF-8");
            let path = path.strip_prefix(root).expect("under the root").to_string_lossy().into_owned();
            found.push(Source { path, text });
        }
    }
}

/// Every Rust source of the workspace but this one, which has to name what it forbids.
fn sources() -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    for folder in ["sys", "kernels", "runtime", "bench", "tools"] {
        collect(&root.join(folder), &root, &mut found);
    }
    found.retain(|source| source.path != "tools/tests/tidy.rs");
    assert!(found.len() > 20, "the sources were not found");
    found
}

fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(n, line)| (n + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn report(broken: Vec<String>) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// Names that follow `crate::` on a line, those in a leading brace list included.
fn imported(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for part in line.split("crate::").skip(1) {
        let list = part.strip_prefix('{').and_then(|rest| rest.split('}').next());
        let heads = list.map_or_else(|| vec![part], |list| list.split(", ").collect());
        for head in heads {
            let name: String = head.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !name.is_empty() {
                names.push(name);
            }
        }
    }
    names
}

#[test]
fn modules_import_only_what_lies_below_them() {
    let mut broken = Vec::new();
    for source in sources() {
        let Some(inside) = source.path.strip_prefix("runtime/src/") else { continue };
        let module = inside.split(['/', '.']).next().expect("split gives one part at least");
        if matches!(module, "lib" | "host") {
            continue;
        }
        let Some((_, allowed)) = RUNTIME_ARROWS.iter().find(|(name, _)| *name == module) else {
            broken.push(format!("{}: module `{module}` has no row in RUNTIME_ARROWS", source.path));
            continue;
        };
        for (n, line) in code_lines(&source.text) {
            for name in imported(line) {
                if name != module && !allowed.contains(&name.as_str()) && name.chars().all(|c| !c.is_uppercase()) {
                    broken.push(format!("{}:{n}: `{module}` may not import `{name}`", source.path));
                }
            }
        }
    }
    report(broken);
}

#[test]
fn pure_modules_do_not_reach_the_machine() {
    let mut broken = Vec::new();
    for source in sources() {
        let Some(inside) = source.path.strip_prefix("runtime/src/") else { continue };
        let module = inside.split(['/', '.']).next().expect("split gives one part at least");
        let reads_files = module == "package" || inside == "profile/store.rs";
        if !PURE.contains(&module) {
            continue;
        }
        for (n, line) in code_lines(&source.text) {
            let reaches = [
                "sys::",
                "TcpStream",
                "TcpListener",
                "UdpSocket",
                "std::thread",
                "std::time::Instant",
                "SystemTime",
                "HashMap",
                "HashSet",
            ]
            .into_iter()
            .chain((!reads_files).then_some("std::fs"))
            .find(|word| line.contains(word));
            if let Some(word) = reaches {
                broken.push(format!("{}:{n}: pure module `{module}` names `{word}`", source.path));
            }
        }
    }
    report(broken);
}

#[test]
fn only_tools_and_bench_import_the_host() {
    let broken = sources()
        .iter()
        .filter(|source| source.path.starts_with("runtime/src/") && !source.path.starts_with("runtime/src/host/"))
        .flat_map(|source| {
            code_lines(&source.text)
                .filter(|(_, line)| imported(line).iter().any(|name| name == "host"))
                .map(|(n, _)| format!("{}:{n}: imports `host`", source.path))
                .collect::<Vec<_>>()
        })
        .collect();
    report(broken);
}

#[test]
fn unsafe_stands_only_where_marked() {
    let mut broken = Vec::new();
    for source in sources() {
        if UNSAFE_ALLOWED.iter().any(|prefix| source.path.starts_with(prefix)) {
            continue;
        }
        for (n, line) in code_lines(&source.text) {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if words.into_iter().any(|word| word == "unsafe") && !line.contains("unsafe_code") {
                broken.push(format!("{}:{n}: unsafe", source.path));
            }
        }
    }
    report(broken);
}

#[test]
fn files_and_functions_are_short() {
    let mut broken = Vec::new();
    for source in sources() {
        if GENERATED.contains(&source.path.as_str()) {
            continue;
        }
        let lines = source.text.lines().count();
        if lines > MAX_FILE_LINES {
            broken.push(format!("{}: {lines} lines, limit {MAX_FILE_LINES}", source.path));
        }
        long_functions(&source, &mut broken);
    }
    report(broken);
}

/// Formatted code closes a function at the indent at which it opened.
fn long_functions(source: &Source, broken: &mut Vec<String>) {
    let mut open: Option<(usize, usize)> = None;
    for (n, line) in source.text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let declares = line.split_whitespace().take(5).any(|word| word == "fn");
        match open {
            None if declares && !line.trim_end().ends_with([';', '}']) => open = Some((n, indent)),
            Some((start, depth)) if indent == depth && line.trim() == "}" => {
                if n + 1 - start > MAX_FUNCTION_LINES {
                    broken.push(format!(
                        "{}:{}: function of {} lines, limit {MAX_FUNCTION_LINES}",
                        source.path,
                        start + 1,
                        n + 1 - start
                    ));
                }
                open = None;
            }
            Some((_, depth)) if indent == depth && line.trim_end().ends_with(';') => open = None,
            _ => {}
        }
    }
}

#[test]
fn no_unfinished_code() {
    let mut broken = Vec::new();
    for source in sources() {
        for (n, line) in source.text.lines().enumerate() {
            for word in BANNED.iter().filter(|word| line.contains(**word)) {
                broken.push(format!("{}:{}: `{word}`", source.path, n + 1));
            }
        }
    }
    report(broken);
}

#[test]
fn the_top_level_is_as_the_readme_draws_it() {
    let mut names: Vec<String> = fs::read_dir(root())
        .expect("the root is readable")
        .map(|entry| entry.expect("a folder entry is readable").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect();
    names.sort();
    let expected = [
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "bench",
        "build.rs",
        "docs",
        "kernels",
        "runtime",
        "sys",
        "tools",
    ];
    assert_eq!(names, expected);
}

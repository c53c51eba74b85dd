//! The house rules that no other tool holds.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

const LIBRARIES: [&str; 7] = ["kernels", "core", "models", "methods", "train", "report", "offshoot"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every Rust file below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}

/// Calls `check` with each line of a crate's own code: comments and unit tests apart.
fn each_line(krate: &str, mut check: impl FnMut(&Path, usize, &str)) {
    let files = sources(&root().join("crates").join(krate).join("src"));
    assert!(!files.is_empty(), "{krate} has no sources");
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == "tests.rs" || name == "testing.rs" || name == "stub.rs" {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let own = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (index, line) in own.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            check(&file, index + 1, code);
        }
    }
}

#[test]
fn dependencies_point_one_way() {
    let allowed: [(&str, &[&str]); 7] = [
        ("kernels", &[]),
        ("core", &["kernels"]),
        ("models", &["core"]),
        ("methods", &["core"]),
        ("train", &["core", "methods", "models"]),
        ("report", &["train"]),
        ("offshoot", &["core", "methods", "models", "report", "train"]),
    ];
    for (krate, may) in allowed {
        let manifest = fs::read_to_string(root().join("crates").join(krate).join("Cargo.toml")).unwrap();
        let own = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for line in own.lines().filter_map(|line| line.strip_prefix("offshoot-")) {
            let other = line.split([' ', '=']).next().unwrap_or_default();
            assert!(may.contains(&other), "{krate} must not depend on {other}");
        }
    }
}

#[test]
fn libraries_neither_print_nor_read_the_environment() {
    for krate in LIBRARIES {
        each_line(krate, |file, line, code| {
            for forbidden in ["println!(", "eprintln!(", "print!(", "eprint!(", "env::var", "env::args"] {
                assert!(!code.contains(forbidden), "{}:{line}: {forbidden}", file.display());
            }
        });
    }
}

#[test]
fn unsafe_stands_in_the_kernels_where_files_are_mapped_and_where_a_library_is_loaded() {
    for krate in LIBRARIES.iter().filter(|krate| **krate != "kernels") {
        each_line(krate, |file, line, code| {
            let places = ["models/src/weights/map.rs", "train/src/features/xgboost.rs"];
            let allowed = places.iter().any(|place| file.ends_with(place));
            let found = code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
            assert!(!found || allowed, "{}:{line}: unsafe", file.display());
        });
    }
}

#[test]
fn no_file_is_longer_than_can_be_read() {
    for krate in LIBRARIES.iter().chain(&["cli"]) {
        let mut longest = (0, PathBuf::new());
        each_line(krate, |file, line, _| {
            if line > longest.0 {
                longest = (line, file.to_path_buf());
            }
        });
        assert!(longest.0 <= 450, "{} has {} lines of its own", longest.1.display(), longest.0);
    }
}

#[test]
fn every_method_is_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for info in offshoot_methods::MethodConfig::ALL {
        assert!(readme.contains(&format!("`{}`", info.name)), "README.md does not name {}", info.name);
    }
}

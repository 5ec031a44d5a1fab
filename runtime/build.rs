//! Names the translator by its source, so that translations on disk are used only by the code that made them.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// What translations depend on, beside the places of the crates that make them: from this crate's folder.
const SOURCES: &[&str] = &["../ir/src", "../frontend/src", "../backend-x86_64/src", "src", "../Cargo.lock"];

fn main() {
    let mut files = Vec::new();
    for source in SOURCES.iter().map(Path::new).filter(|path| path.exists()) {
        println!("cargo::rerun-if-changed={}", source.display());
        list(source, &mut files);
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.hash(&mut hasher);
        fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())).hash(&mut hasher);
    }
    let version = env::var("CARGO_PKG_VERSION").expect("cargo sets CARGO_PKG_VERSION");
    println!("cargo::rustc-env=HOKKU_TRANSLATOR={version}-{:016x}", hasher.finish());
}

fn list(path: &Path, files: &mut Vec<PathBuf>) {
    if !path.is_dir() {
        return files.push(path.to_path_buf());
    }
    let entries = fs::read_dir(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    for entry in entries {
        list(&entry.expect("readable folder").path(), files);
    }
}

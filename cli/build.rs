//! Embeds the prebuilt guest roots of `tests/guest/prebuilt` into the `hokku` command.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let prebuilt = Path::new("../tests/guest/prebuilt");
    println!("cargo::rerun-if-changed={}", prebuilt.display());
    let mut code = String::new();
    for (constant, arch) in [("X86_64", "x86_64"), ("X86", "x86")] {
        let top = prebuilt.join(arch);
        let mut files = Vec::new();
        list(&top, &mut files);
        files.sort();
        let _ = writeln!(code, "/// Files of the small {arch} root.");
        let _ = writeln!(code, "pub(crate) static {constant}: &[EmbeddedFile] = &[");
        for file in files {
            let place = file.strip_prefix(&top).expect("listed below the root").display().to_string();
            let full = fs::canonicalize(&file).expect("listed files exist").display().to_string();
            println!("cargo::rerun-if-changed={full}");
            let executable = fs::metadata(&file).expect("listed files exist").permissions().mode() & 0o111 != 0;
            let _ = writeln!(
                code,
                "    EmbeddedFile {{ path: {place:?}, data: include_bytes!({full:?}), executable: {executable} }},"
            );
        }
        code.push_str("];\n");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("embedded_files.rs");
    fs::write(&out, code).unwrap_or_else(|e| panic!("{}: {e}", out.display()));
}

fn list(dir: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for path in entries.map(|e| e.expect("readable folder").path()) {
        if path.is_dir() { list(&path, files) } else { files.push(path) }
    }
}

//! Any bytes as an ELF file: the loader, and what `hokku check` makes of them.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the command's own part is not used here")]
#[path = "../../cli/src/check.rs"]
mod check;

fuzz_target!(|bytes: &[u8]| {
    hokku_tests::parsers::elf(bytes);
    // A file that is damaged is reported; that is what errors are for.
    let _ = check::describe(bytes, Path::new("file"), None);
});

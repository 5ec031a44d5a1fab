//! Any text as IR: parser, verifier, printer.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        hokku_tests::parsers::ir_text(text);
    }
});

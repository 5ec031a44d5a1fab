//! Any bytes as guest code: front end, verifier, passes, back end, evaluator.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| hokku_tests::parsers::frontend(bytes));

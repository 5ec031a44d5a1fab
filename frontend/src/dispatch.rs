//! Which function translates which instruction.

use std::sync::OnceLock;

use iced_x86::{Code, EncodingKind};

use crate::emit::Translator;
use crate::families;

/// The families in the order in which they are asked. Each gives the translator of those instructions that are its own.
const FAMILIES: &[fn(Code) -> Option<Translator>] = &[
    families::arith::lookup,
    families::logic::lookup,
    families::shift::lookup,
    families::mov::lookup,
    families::stack::lookup,
    families::control::lookup,
    families::string::lookup,
    families::bit::lookup,
    families::mul_div::lookup,
    families::atomic::lookup,
    families::bcd::lookup,
    families::x87::lookup,
    families::mmx::lookup,
    families::sse::lookup,
    families::sse2::lookup,
    families::system::lookup,
];

/// Room for one entry per `Code`; later ones, if the decoder gets more, are asked for each time.
const ENTRIES: usize = 5120;

/// Translators by the number of the `Code`, each filled in when it is first asked for: start-up costs nothing.
static TABLE: [OnceLock<Option<Translator>>; ENTRIES] = [const { OnceLock::new() }; ENTRIES];

fn ask(code: Code) -> Option<Translator> {
    if code.encoding() != EncodingKind::Legacy || code == Code::INVALID {
        return None;
    }
    FAMILIES.iter().find_map(|lookup| lookup(code))
}

/// The translator of `code`; `None` where there is none yet.
pub(crate) fn translator(code: Code) -> Option<Translator> {
    match TABLE.get(code as usize) {
        Some(entry) => *entry.get_or_init(|| ask(code)),
        None => ask(code),
    }
}

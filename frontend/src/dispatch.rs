//! Which function translates which instruction.

use std::sync::LazyLock;

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

/// One entry per `Code`, by number.
static TABLE: LazyLock<Vec<Option<Translator>>> = LazyLock::new(|| Code::values().map(ask).collect());

fn ask(code: Code) -> Option<Translator> {
    if code.encoding() != EncodingKind::Legacy || code == Code::INVALID {
        return None;
    }
    FAMILIES.iter().find_map(|lookup| lookup(code))
}

/// The translator of `code`; `None` where there is none yet.
pub(crate) fn translator(code: Code) -> Option<Translator> {
    TABLE.get(code as usize).copied().flatten()
}

//! Which function translates which instruction.

use std::sync::{Mutex, OnceLock};

use hokku_ir::CpuFeatures;
use iced_x86::{Code, Decoder, DecoderOptions, EncodingKind};

use crate::emit::Translator;
use crate::families;
use crate::features::{needs, without};

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
    families::bmi::lookup,
    families::mul_div::lookup,
    families::atomic::lookup,
    families::bcd::lookup,
    families::x87::lookup,
    families::mmx::lookup,
    families::sse::lookup,
    families::sse2::lookup,
    families::ssse3::lookup,
    families::sse4::lookup,
    families::aes::lookup,
    families::avx::lookup,
    families::avx2::lookup,
    families::fma::lookup,
    families::system::lookup,
];

/// What the dispatch table knows of an encoding.
#[derive(Clone, Copy)]
struct Entry {
    /// Its translator, where there is one.
    translator: Option<Translator>,
    /// What a processor must have to know it; `None` where no model has it.
    needs: Option<CpuFeatures>,
    /// What it is on processors that do not know it, if that is another instruction.
    without: Option<Translator>,
}

/// Room for one entry per `Code`; later ones, if the decoder gets more, are asked for each time.
const ENTRIES: usize = 5120;

/// Entries by the number of the `Code`, each filled in when it is first asked for: start-up costs nothing.
static TABLE: [OnceLock<Entry>; ENTRIES] = [const { OnceLock::new() }; ENTRIES];
/// Held while an entry is filled in.
static FILLING: Mutex<()> = Mutex::new(());

/// Sets up the decoder, and keeps other threads from setting up anything until the guard is dropped: for forks. In the child, what another
/// thread was setting up would never be ready.
pub fn hold() -> impl Drop {
    // Its tables are made for the first one.
    let _ = Decoder::new(64, &[], DecoderOptions::NONE);
    FILLING.lock().unwrap_or_else(|e| e.into_inner())
}

fn ask(code: Code) -> Option<Translator> {
    if !matches!(code.encoding(), EncodingKind::Legacy | EncodingKind::VEX) || code == Code::INVALID {
        return None;
    }
    FAMILIES.iter().find_map(|lookup| lookup(code))
}

fn entry(code: Code) -> Entry {
    let make = || Entry { translator: ask(code), needs: needs(code).ok(), without: without(code).and_then(ask) };
    match TABLE.get(code as usize) {
        Some(known) => *known.get().unwrap_or_else(|| {
            let _filling = FILLING.lock().unwrap_or_else(|e| e.into_inner());
            known.get_or_init(make)
        }),
        None => make(),
    }
}

/// What an encoding is to a processor.
#[derive(Clone, Copy)]
pub(crate) enum Known {
    /// An instruction, or the fault that it gives.
    Translator(Translator),
    /// No instruction there: an invalid opcode.
    Invalid,
    /// An instruction there, but without a translator yet.
    Untranslated,
}

/// What `code` is to a processor with `features`.
pub(crate) fn lookup(code: Code, features: CpuFeatures) -> Known {
    let entry = entry(code);
    if entry.needs.is_some_and(|needs| features.contains(needs)) {
        entry.translator.map_or(Known::Untranslated, Known::Translator)
    } else {
        entry.without.map_or(Known::Invalid, Known::Translator)
    }
}

/// The translator of `code`, whatever processor it needs; `None` where there is none yet.
pub(crate) fn translator(code: Code) -> Option<Translator> {
    entry(code).translator
}

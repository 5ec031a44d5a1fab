//! Which instructions are translated, from the dispatch table itself: what `hokku isa` prints.

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{Code, CpuidFeature, EncodingKind};

use crate::dispatch::translator;

/// Whether an encoding is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// To IR, or to the fault that it gives a user program.
    Translated,
    /// Not yet, for this reason: the guest gets an invalid opcode exception.
    Missing(&'static str),
}

/// One encoding that the decoder knows.
#[derive(Clone, Debug)]
pub struct Coverage {
    /// The decoder's name of the encoding: `Add_rm32_r32`.
    pub name: String,
    /// As the manual writes it: `ADD r/m32, r32`.
    pub instruction: &'static str,
    /// The `cpuid` features that it needs, joined by ` and `.
    pub extension: String,
    /// It exists in 32-bit code.
    pub in_32: bool,
    /// It exists in 64-bit code.
    pub in_64: bool,
    /// Whether it is translated.
    pub status: Status,
}

/// All encodings of user-visible instructions that the decoder knows for 32- or 64-bit code, in the decoder's order.
pub fn coverage() -> Vec<Coverage> {
    Code::values()
        .filter(|code| code.op_code().is_instruction())
        .map(|code| {
            let op_code = code.op_code();
            let features: Vec<String> = code.cpuid_features().iter().map(|f| format!("{f:?}")).collect();
            Coverage {
                name: format!("{code:?}"),
                instruction: op_code.instruction_string(),
                extension: features.join(" and "),
                in_32: op_code.mode32(),
                in_64: op_code.mode64(),
                status: if translator(code).is_some() { Status::Translated } else { Status::Missing(reason(code)) },
            }
        })
        .filter(|c| c.in_32 || c.in_64)
        .collect()
}

/// Whether instructions of encoding `code` are translated.
pub fn is_translated(code: Code) -> bool {
    translator(code).is_some()
}

/// Counts of encodings of one extension.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Translated.
    pub translated: u32,
    /// Missing.
    pub missing: u32,
    /// Why the missing ones are missing.
    pub reasons: BTreeSet<&'static str>,
}

/// [`coverage`] summed by extension.
pub fn by_extension() -> BTreeMap<String, Counts> {
    let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
    for encoding in coverage() {
        let entry = counts.entry(encoding.extension).or_default();
        match encoding.status {
            Status::Translated => entry.translated += 1,
            Status::Missing(reason) => {
                entry.missing += 1;
                entry.reasons.insert(reason);
            }
        }
    }
    counts
}

/// The table by extension in Markdown: `docs/isa.md`.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Instructions that hokku translates\n\n\
         Printed from the front end's dispatch table (`hokku isa` prints it too, `hokku isa --missing` each missing encoding); a test keeps it so. An\n\
         instruction that is missing gives the guest an invalid opcode exception and names itself in the crash report.\n\n\
         | extension | encodings translated | missing | why |\n|---|---|---|---|\n",
    );
    for (extension, counts) in by_extension() {
        let reasons: Vec<&str> = counts.reasons.iter().copied().collect();
        out += &format!("| {extension} | {} | {} | {} |\n", counts.translated, counts.missing, reasons.join("; "));
    }
    out
}

/// Why `code` has no translator.
fn reason(code: Code) -> &'static str {
    use CpuidFeature::*;
    match code.encoding() {
        EncodingKind::VEX => return "VEX encodings: not translated yet",
        EncodingKind::EVEX => return "AVX-512: beyond the guest processors offered",
        EncodingKind::XOP | EncodingKind::D3NOW => return "AMD extension that later processors dropped",
        EncodingKind::Legacy => {}
        _ => return "Xeon Phi only",
    }
    let any = |wanted: &[CpuidFeature]| code.cpuid_features().iter().any(|f| wanted.contains(f));
    if any(&[SSE3, SSSE3, SSE4_1, SSE4_2, SSE4A, AES, PCLMULQDQ, SHA, GFNI, POPCNT]) {
        "beyond SSE2: not translated yet"
    } else if any(&[XSAVE, XSAVEC, XSAVEOPT, XSAVES]) {
        "extended state: not translated yet"
    } else if any(&[RDRAND, RDSEED, ADX, PKU]) {
        "newer integer extension: not translated yet"
    } else {
        "no processor that Haiku's user programs run on has it, or no user program uses it"
    }
}

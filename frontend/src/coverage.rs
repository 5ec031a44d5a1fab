//! Which instructions are translated, from the dispatch table itself: what `hokku isa` prints.

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{Code, CpuidFeature, DecoderOptions, EncodingKind};

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

/// All encodings that the decoder knows for 32- or 64-bit code of Intel's processors, in its order.
pub fn coverage() -> Vec<Coverage> {
    Code::values()
        .filter(|code| {
            // Forms with a WAIT in front decode as two instructions; those behind an option are of processors long gone.
            let op_code = code.op_code();
            op_code.is_instruction() && op_code.decoder_option() == DecoderOptions::NONE && !op_code.fwait()
        })
        .map(|code| {
            let op_code = code.op_code();
            let features: Vec<String> = code.cpuid_features().iter().map(|f| format!("{f:?}")).collect();
            Coverage {
                name: format!("{code:?}"),
                instruction: op_code.instruction_string(),
                extension: features.join(" and "),
                in_32: op_code.mode32() && op_code.intel_decoder32(),
                in_64: op_code.mode64() && op_code.intel_decoder64(),
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
    let features = code.cpuid_features();
    let all_of = |known: &[CpuidFeature]| features.iter().all(|f| known.contains(f));
    match code.encoding() {
        EncodingKind::XOP | EncodingKind::D3NOW => "AMD's extension that its later processors dropped",
        EncodingKind::VEX if all_of(&[AVX, AVX2, FMA, F16C, AES, PCLMULQDQ]) => "AVX: not translated yet",
        EncodingKind::VEX if all_of(&[BMI1, BMI2]) => "BMI: not translated yet",
        EncodingKind::VEX => "in no processor model offered",
        EncodingKind::Legacy if all_of(&[SSE3, SSSE3, SSE4_1, SSE4_2]) => "SSE3 to SSE4.2: not translated yet",
        EncodingKind::Legacy if all_of(&[AES, PCLMULQDQ, SHA]) => "cryptography: not translated yet",
        EncodingKind::Legacy if all_of(&[POPCNT, ADX, RDRAND, RDSEED]) => {
            "newer integer instructions: not translated yet"
        }
        EncodingKind::Legacy if all_of(&[XSAVE, XSAVEC, XSAVEOPT]) => "extended state: not translated yet",
        EncodingKind::Legacy if all_of(&[INTEL286, INTEL386, X64]) => {
            "reads descriptor tables, which hokku does not keep"
        }
        EncodingKind::Legacy => "in no processor model offered",
        _ => "AVX-512 and kin: in no processor model offered",
    }
}

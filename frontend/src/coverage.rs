//! Which instructions are translated, from the dispatch table itself: what `hokku isa` prints.

use std::collections::{BTreeMap, BTreeSet};

use hokku_ir::CpuFeatures;
use hokku_ir::eval::cpuid::CpuModel;
use iced_x86::{Code, DecoderOptions};

use crate::dispatch::translator;
use crate::features::{first_model, needs, without};

/// Whether an encoding is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// To IR, or to the fault that it gives a user program.
    Translated,
    /// Not yet: the guest gets an invalid opcode exception, and the user a line that names the instruction.
    Missing,
    /// No processor model has it, for this reason: the guest gets the invalid opcode exception that such a processor gives.
    Outside(&'static str),
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
    /// The first processor model that knows it.
    pub model: Option<&'static CpuModel>,
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
            let model = first_model(code);
            Coverage {
                name: format!("{code:?}"),
                instruction: op_code.instruction_string(),
                extension: features.join(" and "),
                in_32: op_code.mode32() && op_code.intel_decoder32(),
                in_64: op_code.mode64() && op_code.intel_decoder64(),
                status: match model {
                    Err(reason) => Status::Outside(reason),
                    Ok(_) if translator(code).is_some() => Status::Translated,
                    Ok(_) => Status::Missing,
                },
                model: model.ok(),
            }
        })
        .filter(|c| c.in_32 || c.in_64)
        .collect()
}

/// Whether instructions of encoding `code` run on the default processor model.
pub fn is_translated(code: Code) -> bool {
    first_model(code).is_ok() && translator(code).is_some()
}

/// The instruction that bytes which decode as `code` are to a processor with `features`: mostly that one; an older one with the same operands; none.
pub fn known_as(code: Code, features: CpuFeatures) -> Option<Code> {
    match needs(code) {
        Ok(needs) if features.contains(needs) => Some(code),
        _ => without(code),
    }
}

/// Counts of encodings of one extension.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The first processor models that know some of them, in their order.
    pub models: BTreeSet<usize>,
    /// Translated.
    pub translated: u32,
    /// In a processor model, but not translated yet.
    pub missing: u32,
    /// In no processor model.
    pub outside: u32,
    /// Why those outside are.
    pub reasons: BTreeSet<&'static str>,
}

impl Counts {
    /// Names of the models.
    pub fn model_names(&self) -> String {
        let names: Vec<&str> = self.models.iter().map(|i| CpuModel::ALL[*i].name).collect();
        names.join(", ")
    }
}

/// [`coverage`] summed by extension.
pub fn by_extension() -> BTreeMap<String, Counts> {
    let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
    for encoding in coverage() {
        let entry = counts.entry(encoding.extension).or_default();
        entry.models.extend(CpuModel::ALL.iter().position(|m| Some(m) == encoding.model));
        match encoding.status {
            Status::Translated => entry.translated += 1,
            Status::Missing => entry.missing += 1,
            Status::Outside(reason) => {
                entry.outside += 1;
                entry.reasons.insert(reason);
            }
        }
    }
    counts
}

/// Encodings of one word size that a processor model knows: translated and missing.
fn by_model(model: &CpuModel, all: &[Coverage], bits: u32) -> (usize, usize) {
    let known = all.iter().filter(|c| {
        let there = if bits == 32 { c.in_32 } else { c.in_64 };
        there && c.model.is_some_and(|first| model.features.contains(first.features))
    });
    let (translated, missing): (Vec<_>, Vec<_>) = known.partition(|c| c.status == Status::Translated);
    (translated.len(), missing.len())
}

/// The table by extension in Markdown: `docs/isa.md`.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Instructions that hokku translates\n\n\
         Printed from the front end's dispatch table (`hokku isa` prints it too, `hokku isa --missing` each missing encoding); a test keeps it so.\n\n\
         ## By processor model\n\n\
         The guest's processor is one of these (`--cpu MODEL`). What the model does not have is an invalid opcode, as on such a processor, and\n\
         `tzcnt`, `lzcnt` and the hints are what they were before they existed: `bsf`, `bsr`, nothing.\n\n\
         | model | | 32-bit encodings translated | missing | 64-bit encodings translated | missing |\n|---|---|---|---|---|---|\n",
    );
    let all = coverage();
    for model in CpuModel::ALL {
        let (in_32, missing_32) = by_model(model, &all, 32);
        let default = if *model == CpuModel::DEFAULT { " (default)" } else { "" };
        out += &format!("| `{}`{default} | {} | {in_32} | {missing_32} |", model.name, model.about);
        if model.has_long_mode() {
            let (in_64, missing_64) = by_model(model, &all, 64);
            out += &format!(" {in_64} | {missing_64} |\n");
        } else {
            out += " | |\n";
        }
    }
    out += "\n## By extension\n\n\
            An instruction that is missing gives the guest an invalid opcode exception and names itself in the crash report; one outside of all models\n\
            is the invalid opcode that it is on those processors.\n\n\
            | extension | from model | translated | missing | outside | why outside |\n|---|---|---|---|---|---|\n";
    for (extension, counts) in by_extension() {
        let reasons: Vec<&str> = counts.reasons.iter().copied().collect();
        out += &format!(
            "| {extension} | {} | {} | {} | {} | {} |\n",
            counts.model_names(),
            counts.translated,
            counts.missing,
            counts.outside,
            reasons.join("; ")
        );
    }
    out
}

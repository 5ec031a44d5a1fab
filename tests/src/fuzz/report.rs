//! A difference in words: all that is needed to understand it without a rerun.

use std::fmt::Write as _;

use hokku_ir::Region;
use hokku_ir::passes::{self, FaultsSee};
use hokku_ir::text::print;
use iced_x86::{Decoder, DecoderOptions, Formatter, Mnemonic, NasmFormatter};

use super::case::{Program, Start};
use super::compare::{After, Field, everything, hex};
use super::encoding::bitness;
use super::evaluate::Translated;

/// Which case it is.
#[derive(Clone, Copy, Debug)]
pub struct Id {
    /// Seed of the run.
    pub seed: u64,
    /// Number of the case.
    pub number: u64,
}

/// The instructions of `program`, one line each.
pub fn listing(program: &Program) -> String {
    let mut formatter = NasmFormatter::new();
    let mut text = String::new();
    for insn in &program.insns {
        if !program.is_single() && insn.mnemonic() == Mnemonic::Nop {
            continue; // what was taken out
        }
        let mut line = String::new();
        formatter.format(insn, &mut line);
        let offset = (insn.ip() - program.at) as usize;
        let bytes = hex(&program.bytes[offset..offset + insn.len()]);
        let _ = writeln!(text, "  {:08x}  {bytes:<30} {line}    ; {:?}", insn.ip(), insn.code());
    }
    text
}

/// The whole report. `fields` are the differences, `explained` the explanations of others; the sides are the processor and what was tested.
pub fn difference(
    id: Id,
    command: &str,
    program: &Program,
    start: &Start,
    translated: &Translated,
    fields: &[Field],
    explained: &[&'static str],
    sides: (&After<'_>, &After<'_>),
    first_name: &str,
) -> String {
    let mut text = String::new();
    let bits = bitness(program.mode);
    let _ =
        writeln!(text, "==== difference: seed {:#x}, case {}, {bits}-bit; again with: {command}", id.seed, id.number);
    text += &listing(program);
    if !explained.is_empty() {
        let _ = writeln!(text, "  explained beside it: {}", explained.join(", "));
    }
    for (at, bytes) in &start.memory {
        let _ = writeln!(text, "  memory {at:#x}: {}", hex(bytes));
    }
    let before = After { ending: sides.0.ending, cpu: &start.cpu, memory: &[] };
    let _ = writeln!(text, "  {:<11} {:<45} {:<45} after, evaluator", "", "before", format!("after, {first_name}"));
    for (before, after) in everything(&before, &before).iter().zip(&everything(sides.0, sides.1)) {
        let differs = fields.iter().any(|f| f.name == after.name);
        let changes = after.first != before.first || after.second != before.first;
        let vector = after.name.starts_with("ymm");
        let zero = before.first.chars().all(|c| "0:_".contains(c));
        if !differs && !changes && (zero || vector && !mentions_vectors(program)) {
            continue;
        }
        let mark = if differs { '*' } else { ' ' };
        let start = if after.name == "ending" { "" } else { &before.first };
        let separator = if vector { "\n              " } else { " " };
        let _ = writeln!(
            text,
            "{mark} {:<11} {start:<45}{separator}{:<45}{separator}{}",
            after.name, after.first, after.second
        );
    }
    for field in fields.iter().filter(|f| f.name.starts_with('[')) {
        let _ = writeln!(text, "* {:<11} {:<45}\n              {}", field.name, field.first, field.second);
    }
    let _ = writeln!(text, "IR:\n{}", print::region(&translated.region));
    if let Some(optimised) = &translated.optimised {
        let _ = writeln!(text, "after passes (this is what ran):\n{}", print::region(optimised));
    }
    if first_name == "JIT" {
        text += &host_code(&translated.region);
    }
    text
}

/// What the back end makes of `region` after passes.
fn host_code(region: &Region) -> String {
    let Some(back_end) = hokku_runtime::back_end() else { return String::new() };
    let mut region = region.clone();
    passes::run(&mut region, FaultsSee::ExactFlags);
    let compiled = back_end.compile(&region);
    let mut text = String::from("host code:\n");
    let mut line = |offset: u32, insn: &str| {
        for block in compiled.blocks.iter().filter(|b| b.offset == offset) {
            let _ = writeln!(text, "b{}:", block.block.0);
        }
        let faults = compiled.faults.iter().any(|f| f.offset == offset);
        let _ = writeln!(text, "  {offset:04x}  {insn}{}", if faults { "    ; may fault" } else { "" });
    };
    if back_end.name() == "x86_64" {
        let mut formatter = NasmFormatter::new();
        for insn in &mut Decoder::with_ip(64, &compiled.code, 0, DecoderOptions::NONE) {
            let mut shown = String::new();
            formatter.format(&insn, &mut shown);
            line(insn.ip() as u32, &shown);
        }
    } else {
        compiled.words(back_end.name()).for_each(|(offset, word)| line(offset, &word));
    }
    text
}

fn mentions_vectors(program: &Program) -> bool {
    program.insns.iter().any(|i| (0..i.op_count()).any(|n| i.op_register(n).is_vector_register()))
}

//! Two states after a case, side by side.

use hokku_ir::{CpuState, Gpr, Seg};

use crate::oracle::Ending;
use crate::oracle::layout::SCRATCH;

/// A run's result.
#[derive(Clone, Debug)]
pub struct After<'a> {
    /// How it ended.
    pub ending: Ending,
    /// Registers.
    pub cpu: &'a CpuState,
    /// The writable scratch bytes.
    pub memory: &'a [u8],
}

/// One thing of the state and its value on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// On the first side (the processor).
    pub first: String,
    /// On the second side.
    pub second: String,
}

/// Everything in which `a` and `b` differ.
pub fn differences(a: &After<'_>, b: &After<'_>) -> Vec<Field> {
    let mut fields = Vec::new();
    if a.ending != b.ending {
        push(&mut fields, "ending", format!("{:x?}", a.ending), format!("{:x?}", b.ending));
    }
    registers(&mut fields, a.cpu, b.cpu, false);
    memory(&mut fields, a.memory, b.memory);
    fields
}

/// All registers of both sides, differing or not.
pub fn everything(a: &After<'_>, b: &After<'_>) -> Vec<Field> {
    let mut fields = Vec::new();
    push(&mut fields, "ending", format!("{:x?}", a.ending), format!("{:x?}", b.ending));
    registers(&mut fields, a.cpu, b.cpu, true);
    memory(&mut fields, a.memory, b.memory);
    fields
}

fn push(fields: &mut Vec<Field>, name: impl Into<String>, first: String, second: String) {
    fields.push(Field { name: name.into(), first, second });
}

fn registers(fields: &mut Vec<Field>, a: &CpuState, b: &CpuState, all: bool) {
    let mut word = |name: &str, a: u64, b: u64| {
        if all || a != b {
            push(fields, name, format!("{a:016x}"), format!("{b:016x}"));
        }
    };
    word("rip", a.rip, b.rip);
    for (i, reg) in Gpr::ALL.iter().enumerate() {
        word(reg.name(), a.gpr[i], b.gpr[i]);
    }
    word("eflags", a.eflags().into(), b.eflags().into());
    for seg in [Seg::Fs, Seg::Gs] {
        word(seg.name(), a.segment_base[seg.index()], b.segment_base[seg.index()]);
    }
    word("mxcsr", a.mxcsr.into(), b.mxcsr.into());
    word("x87 control", a.x87.control.into(), b.x87.control.into());
    word("x87 status", a.x87.status.into(), b.x87.status.into());
    word("x87 tags", a.x87.tags.into(), b.x87.tags.into());
    word("x87 opcode", a.x87.opcode.into(), b.x87.opcode.into());
    word("x87 instruction", a.x87.instruction, b.x87.instruction);
    word("x87 operand", a.x87.operand, b.x87.operand);
    for i in 0..8 {
        let (a, b) = (a.x87.regs[i], b.x87.regs[i]);
        if all || a != b {
            let show = |v: hokku_ir::guest::F80| format!("{:04x}:{:016x}", v.sign_exponent, v.significand);
            push(fields, format!("R{i}"), show(a), show(b));
        }
    }
    for (i, (a, b)) in a.vector.iter().zip(&b.vector).enumerate() {
        if all || a != b {
            let show = |v: &[u64; 4]| format!("{:016x}_{:016x}_{:016x}_{:016x}", v[3], v[2], v[1], v[0]);
            push(fields, format!("ymm{i}"), show(a), show(b));
        }
    }
}

fn memory(fields: &mut Vec<Field>, a: &[u8], b: &[u8]) {
    if a == b {
        return;
    }
    let mut shown = 0;
    let mut at = 0;
    while at < a.len() && shown < 8 {
        if a[at] == b[at] {
            at += 1;
            continue;
        }
        let end = (at + 16).min(a.len());
        push(fields, format!("[{:#x}]", SCRATCH + at as u64), hex(&a[at..end]), hex(&b[at..end]));
        at = end;
        shown += 1;
    }
}

/// `bytes` in hexadecimal, in order.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
}

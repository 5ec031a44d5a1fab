//! Regions to text.

use std::fmt::Write;

use crate::exit::{Exit, SyscallKind, Target, Trap};
use crate::features::CpuFeatures;
use crate::key::{CpuMode, X87Arithmetic};
use crate::operand::Type;
use crate::ops::Op;
use crate::region::{Block, Inst, Region};

/// The whole region.
pub fn region(region: &Region) -> String {
    let mut out = String::new();
    let key = &region.key;
    let _ = write!(out, "region {} {}", key.pc, mode_name(key.mode));
    if key.ordered {
        out.push_str(" ordered");
    }
    if key.single_step {
        out.push_str(" step");
    }
    if key.features != CpuFeatures::all() {
        let _ = write!(out, " features={:#x}", key.features.bits());
    }
    if let Some(top) = key.x87_top {
        let _ = write!(out, " top={top}");
    }
    if key.x87 != X87Arithmetic::Exact {
        let _ = write!(out, " x87={}", key.x87.name());
    }
    out.push('\n');
    for (start, len) in &region.ranges {
        let _ = writeln!(out, "range {start} {len}");
    }
    for (id, block) in region.block_ids().zip(&region.blocks) {
        let _ = writeln!(out, "block b{} {}", id.0, block.pc);
        block_body(&mut out, block);
    }
    out
}

fn block_body(out: &mut String, block: &Block) {
    for i in &block.insts {
        let _ = writeln!(out, "  {}", inst(i));
    }
    let _ = writeln!(out, "  {}", exit(&block.exit));
}

macro_rules! define_print {
    ($($(#[$doc:meta])* $method:ident = $Op:ident { $($arg:ident: $Ty:ty),* } -> $res:expr, [$($fx:ident),*];)*) => {
        fn operands(op: &Op, out: &mut String) {
            match op {
                $(Op::$Op { $($arg),* } => { $(let _ = write!(out, ", {}", $arg);)* let _ = &out; })*
            }
        }
    };
}
crate::for_each_op!(define_print);

/// One op with its result.
pub fn inst(inst: &Inst) -> String {
    match inst.op.result_type() {
        Type::Void => op(&inst.op),
        _ => format!("{} = {}", inst.value, op(&inst.op)),
    }
}

/// One op.
pub fn op(op: &Op) -> String {
    let mut out = op.name().to_owned();
    let mut list = String::new();
    operands(op, &mut list);
    if let Some(list) = list.strip_prefix(',') {
        out.push_str(list);
    }
    out
}

/// An exit.
pub fn exit(exit: &Exit) -> String {
    let ret = |ret_block: &Option<crate::BlockId>| ret_block.map_or(String::new(), |b| format!(", b{}", b.0));
    match exit {
        Exit::Jump { to } => format!("jump {}", target(to)),
        Exit::Branch { cond, taken, next } => format!("branch {cond}, {}, {}", target(taken), target(next)),
        Exit::Indirect { target } => format!("indirect {target}"),
        Exit::Dispatch { target } => format!("dispatch {target}"),
        Exit::Call { to, ret: r, ret_block } => format!("call {}, {r}{}", target(to), ret(ret_block)),
        Exit::IndirectCall { target, ret: r, ret_block } => format!("indirect_call {target}, {r}{}", ret(ret_block)),
        Exit::Return { target } => format!("return {target}"),
        Exit::Syscall { kind, at, next } => match kind {
            SyscallKind::Syscall => format!("syscall syscall, {at}, {next}"),
            SyscallKind::Sysenter => format!("syscall sysenter, {at}, {next}"),
            SyscallKind::Int(n) => format!("syscall int {n}, {at}, {next}"),
        },
        Exit::Trap { trap, at, next } => format!("trap {}, {at}, {next}", trap_name(*trap)),
    }
}

fn target(to: &Target) -> String {
    match to {
        Target::Block(b) => format!("b{}", b.0),
        Target::Guest(a) => a.to_string(),
    }
}

/// A mode's name in the text form.
pub(super) fn mode_name(mode: CpuMode) -> &'static str {
    match mode {
        CpuMode::Protected32 => "protected32",
        CpuMode::Long64 => "long64",
    }
}

/// All traps with their names in the text form.
pub(super) const TRAPS: &[(Trap, &str)] = &[
    (Trap::InvalidOpcode, "invalid_opcode"),
    (Trap::Untranslated, "untranslated"),
    (Trap::Breakpoint, "breakpoint"),
    (Trap::Debug, "debug"),
    (Trap::Overflow, "overflow"),
    (Trap::Bound, "bound"),
    (Trap::Protection, "protection"),
    (Trap::Halt, "halt"),
    (Trap::Divide, "divide"),
    (Trap::Fetch, "fetch"),
    (Trap::Stale, "stale"),
];

fn trap_name(trap: Trap) -> &'static str {
    TRAPS.iter().find(|(t, _)| *t == trap).map_or("?", |(_, name)| name)
}

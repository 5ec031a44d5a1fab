//! Bitwise logic.

use hokku_ir::{AtomicOp, FlagSet};
use iced_x86::{Code, Mnemonic};

use crate::emit::{Emitter, Place, Step, Translated, Translator};
use crate::insn::Insn;

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    Some(match code.mnemonic() {
        Mnemonic::And => and,
        Mnemonic::Or => or,
        Mnemonic::Xor => xor,
        Mnemonic::Not => not,
        Mnemonic::Test => test,
        _ => return None,
    })
}

/// `AND`: SDM 2A. SF, ZF, PF by the result; CF, OF, AF zero.
fn and(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, dst, y) = e.dst_src(insn)?;
    e.modify(insn, dst, w, (AtomicOp::And, y), FlagSet::STATUS, |e, x| {
        let v = e.and(w, x, y);
        (v, e.logic_flags(w, v))
    })
}

/// `OR`: SDM 2B. Flags as `AND`.
fn or(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, dst, y) = e.dst_src(insn)?;
    e.modify(insn, dst, w, (AtomicOp::Or, y), FlagSet::STATUS, |e, x| {
        let v = e.or(w, x, y);
        (v, e.logic_flags(w, v))
    })
}

/// `XOR`: SDM 2D. Flags as `AND`. With one register twice it is the idiom for zero, which does not depend on the register.
fn xor(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, dst, y) = e.dst_src(insn)?;
    if insn.register(0).is_some() && insn.register(0) == insn.register(1) {
        let zero = e.constant(w, 0);
        let flags = e.logic_flags(w, zero);
        e.write(dst, w, zero)?;
        e.set_flags(FlagSet::STATUS, flags);
        return Ok(Step::Next);
    }
    e.modify(insn, dst, w, (AtomicOp::Xor, y), FlagSet::STATUS, |e, x| {
        let v = e.xor(w, x, y);
        (v, e.logic_flags(w, v))
    })
}

/// `NOT`: SDM 2B. No flags.
fn not(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let dst = e.place(insn, 0)?;
    if let (true, Place::Memory(at)) = (insn.locked(), dst) {
        let ones = e.constant(w, u64::MAX);
        e.atomic_rmw(AtomicOp::Xor, w, at, ones);
        return Ok(Step::Next);
    }
    let x = e.read(dst, w);
    let v = e.not(w, x);
    e.write(dst, w, v)?;
    Ok(Step::Next)
}

/// `TEST`: SDM 2D. The flags of `AND`.
fn test(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let x = e.operand(insn, 0, w)?;
    let v = if insn.register(0).is_some() && insn.register(0) == insn.register(1) {
        x
    } else {
        let y = e.operand(insn, 1, w)?;
        e.and(w, x, y)
    };
    let flags = e.logic_flags(w, v);
    e.set_flags(FlagSet::STATUS, flags);
    Ok(Step::Next)
}

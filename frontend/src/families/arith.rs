//! Addition, subtraction and comparison of integers.

use hokku_ir::{AtomicOp, FlagSet};
use iced_x86::{Code, Mnemonic};

use crate::emit::{Emitter, Step, Translated, Translator};
use crate::insn::Insn;

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    Some(match code.mnemonic() {
        Mnemonic::Add => add,
        Mnemonic::Adc => adc,
        Mnemonic::Sub => sub,
        Mnemonic::Sbb => sbb,
        Mnemonic::Cmp => cmp,
        Mnemonic::Inc => inc,
        Mnemonic::Dec => dec,
        Mnemonic::Neg => neg,
        _ => return None,
    })
}

/// `INC` and `DEC` leave CF alone.
const ALL_BUT_CARRY: FlagSet = FlagSet::STATUS.difference(FlagSet::CF);

/// `ADD`: SDM 2A. All six flags.
fn add(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, dst, y) = e.dst_src(insn)?;
    e.modify(insn, dst, w, (AtomicOp::Add, y), FlagSet::STATUS, |e, x| (e.add(w, x, y), e.add_flags(w, x, y)))
}

/// `ADC`: SDM 2A. All six flags. Atomically it adds `y + CF`, which is the same modulo the width.
fn adc(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, dst, y) = e.dst_src(insn)?;
    let f = e.get_flags();
    let atomic = if insn.locked() {
        let zero = e.constant(w, 0);
        e.adc(w, y, zero, f)
    } else {
        y
    };
    e.modify(insn, dst, w, (AtomicOp::Add, atomic), FlagSet::STATUS, |e, x| {
        (e.adc(w, x, y, f), e.adc_flags(w, x, y, f))
    })
}

/// `SUB`: SDM 2B. All six flags.
fn sub(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, dst, y) = e.dst_src(insn)?;
    e.modify(insn, dst, w, (AtomicOp::Sub, y), FlagSet::STATUS, |e, x| (e.sub(w, x, y), e.sub_flags(w, x, y)))
}

/// `SBB`: SDM 2B. All six flags. Atomically it subtracts `y + CF`.
fn sbb(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, dst, y) = e.dst_src(insn)?;
    let f = e.get_flags();
    let atomic = if insn.locked() {
        let zero = e.constant(w, 0);
        e.adc(w, y, zero, f)
    } else {
        y
    };
    e.modify(insn, dst, w, (AtomicOp::Sub, atomic), FlagSet::STATUS, |e, x| {
        (e.sbb(w, x, y, f), e.sbb_flags(w, x, y, f))
    })
}

/// `CMP`: SDM 2A. The flags of `SUB`.
fn cmp(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let (x, y) = (e.operand(insn, 0, w)?, e.operand(insn, 1, w)?);
    let flags = e.sub_flags(w, x, y);
    e.set_flags(FlagSet::STATUS, flags);
    Ok(Step::Next)
}

/// `INC`: SDM 2A. All flags but CF.
fn inc(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let dst = e.place(insn, 0)?;
    let one = e.constant(w, 1);
    e.modify(insn, dst, w, (AtomicOp::Add, one), ALL_BUT_CARRY, |e, x| (e.add(w, x, one), e.inc_flags(w, x)))
}

/// `DEC`: SDM 2A. All flags but CF.
fn dec(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let dst = e.place(insn, 0)?;
    let one = e.constant(w, 1);
    e.modify(insn, dst, w, (AtomicOp::Sub, one), ALL_BUT_CARRY, |e, x| (e.sub(w, x, one), e.dec_flags(w, x)))
}

/// `NEG`: SDM 2B. The flags of subtraction from zero.
fn neg(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let dst = e.place(insn, 0)?;
    let zero = e.constant(w, 0);
    e.modify(insn, dst, w, (AtomicOp::Neg, zero), FlagSet::STATUS, |e, x| (e.sub(w, zero, x), e.sub_flags(w, zero, x)))
}

//! Multiplication and division of integers.

use hokku_ir::{Builder, FlagSet, Gpr, Value, Width};
use iced_x86::{Code, Mnemonic};

use crate::emit::{Emitter, Step, Translated, Translator};
use crate::insn::Insn;

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    Some(match code.mnemonic() {
        Mnemonic::Mul => mul,
        Mnemonic::Imul if matches!(code, Code::Imul_rm8 | Code::Imul_rm16 | Code::Imul_rm32 | Code::Imul_rm64) => {
            imul_wide
        }
        Mnemonic::Imul => imul,
        Mnemonic::Div => div,
        Mnemonic::Idiv => idiv,
        _ => return None,
    })
}

type BinaryOp = fn(&mut Builder, Width, Value, Value) -> Value;
type DivideOp = fn(&mut Builder, Width, Value, Value, Value) -> Value;

/// `MUL`: SDM 2B. rdx:rax = rax * operand; the byte form writes ax.
fn mul(e: &mut Emitter, insn: &Insn) -> Translated {
    widening(e, insn, Builder::mul_high_u, Builder::mul_flags_u)
}

/// `IMUL` with one operand: SDM 2A.
fn imul_wide(e: &mut Emitter, insn: &Insn) -> Translated {
    widening(e, insn, Builder::mul_high_s, Builder::mul_flags_s)
}

fn widening(e: &mut Emitter, insn: &Insn, high: BinaryOp, flags: BinaryOp) -> Translated {
    let w = insn.width()?;
    let y = e.operand(insn, 0, w)?;
    let x = e.get_gpr(Gpr::Rax, w);
    let (low, high, flags) = (e.mul(w, x, y), high(e, w, x, y), flags(e, w, x, y));
    e.set_gpr(Gpr::Rax, w, low);
    if w == Width::W8 {
        e.set_gpr_high(Gpr::Rax, high);
    } else {
        e.set_gpr(Gpr::Rdx, w, high);
    }
    e.set_flags(FlagSet::STATUS, flags);
    Ok(Step::Next)
}

/// `IMUL` with two or three operands: SDM 2A.
fn imul(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let dst = e.place(insn, 0)?;
    let first = if insn.raw.op_count() == 3 { 1 } else { 0 };
    let (x, y) = (e.operand(insn, first, w)?, e.operand(insn, first + 1, w)?);
    let (v, flags) = (e.mul(w, x, y), e.mul_flags_s(w, x, y));
    e.write(dst, w, v)?;
    e.set_flags(FlagSet::STATUS, flags);
    Ok(Step::Next)
}

/// `DIV`: SDM 2A. Flags are undefined and stay.
fn div(e: &mut Emitter, insn: &Insn) -> Translated {
    divide(e, insn, Builder::div_u, Builder::rem_u)
}

/// `IDIV`: SDM 2A.
fn idiv(e: &mut Emitter, insn: &Insn) -> Translated {
    divide(e, insn, Builder::div_s, Builder::rem_s)
}

/// rax = rdx:rax / operand, rdx = remainder; the byte form divides ax into al and ah.
fn divide(e: &mut Emitter, insn: &Insn, quotient: DivideOp, remainder: DivideOp) -> Translated {
    let w = insn.width()?;
    let d = e.operand(insn, 0, w)?;
    let low = e.get_gpr(Gpr::Rax, w);
    let high = if w == Width::W8 { e.get_gpr_high(Gpr::Rax) } else { e.get_gpr(Gpr::Rdx, w) };
    let (q, r) = (quotient(e, w, high, low, d), remainder(e, w, high, low, d));
    e.set_gpr(Gpr::Rax, w, q);
    if w == Width::W8 {
        e.set_gpr_high(Gpr::Rax, r);
    } else {
        e.set_gpr(Gpr::Rdx, w, r);
    }
    Ok(Step::Next)
}

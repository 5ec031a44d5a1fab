//! Decimal arithmetic (32-bit code).

use hokku_ir::{BcdOp, FlagSet, Gpr, Trap, Width};
use iced_x86::{Code, Mnemonic};

use crate::emit::{Emitter, Step, Translated, Translator};
use crate::insn::Insn;

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    Some(match code.mnemonic() {
        Mnemonic::Daa => |e, _| adjust(e, BcdOp::Daa),
        Mnemonic::Das => |e, _| adjust(e, BcdOp::Das),
        Mnemonic::Aaa => |e, _| adjust(e, BcdOp::Aaa),
        Mnemonic::Aas => |e, _| adjust(e, BcdOp::Aas),
        Mnemonic::Aam => aam,
        Mnemonic::Aad => aad,
        _ => return None,
    })
}

/// `DAA`, `DAS`, `AAA`, `AAS`: SDM 2A.
fn adjust(e: &mut Emitter, op: BcdOp) -> Translated {
    let ax = e.get_gpr(Gpr::Rax, Width::W16);
    let f = e.get_flags();
    let (v, flags) = (e.bcd_adjust(op, ax, f), e.bcd_adjust_flags(op, ax, f));
    e.set_gpr(Gpr::Rax, Width::W16, v);
    e.set_flags(FlagSet::STATUS, flags);
    Ok(Step::Next)
}

/// `AAM`: SDM 2A. ah, al = al divided by the immediate, remainder. SF, ZF, PF by al.
fn aam(e: &mut Emitter, insn: &Insn) -> Translated {
    let base = insn.immediate(0)?;
    if base & 0xff == 0 {
        return e.trap(insn, Trap::Divide);
    }
    let w = Width::W8;
    let al = e.get_gpr(Gpr::Rax, w);
    let (zero, base) = (e.constant(w, 0), e.constant(w, base));
    let (q, r) = (e.div_u(w, zero, al, base), e.rem_u(w, zero, al, base));
    let flags = e.logic_flags(w, r);
    e.set_gpr(Gpr::Rax, w, r);
    e.set_gpr_high(Gpr::Rax, q);
    e.set_flags(FlagSet::STATUS, flags);
    Ok(Step::Next)
}

/// `AAD`: SDM 2A. al = al + ah * immediate, ah = 0. SF, ZF, PF by al.
fn aad(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = Width::W8;
    let (al, ah) = (e.get_gpr(Gpr::Rax, w), e.get_gpr_high(Gpr::Rax));
    let base = e.constant(w, insn.immediate(0)?);
    let tens = e.mul(w, ah, base);
    let sum = e.add(w, al, tens);
    let flags = e.add_flags(w, al, tens);
    let wide = e.extend_zero(w, Width::W16, sum);
    e.set_gpr(Gpr::Rax, Width::W16, wide);
    e.set_flags(FlagSet::STATUS, flags);
    Ok(Step::Next)
}

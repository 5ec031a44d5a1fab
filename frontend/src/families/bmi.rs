//! BMI1, BMI2 and ADX: bit fields, shifts and sums that leave most flags alone.

use hokku_ir::{FlagSet, Gpr, IntCmp, Value, Width};
use iced_x86::{Code, Mnemonic};

use crate::emit::{Emitter, Step, Translated, Translator};
use crate::insn::Insn;

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    Some(match code.mnemonic() {
        Mnemonic::Andn => andn,
        Mnemonic::Blsr => blsr,
        Mnemonic::Blsmsk => blsmsk,
        Mnemonic::Blsi => blsi,
        Mnemonic::Bextr => bextr,
        Mnemonic::Bzhi => bzhi,
        Mnemonic::Pdep => pdep,
        Mnemonic::Pext => pext,
        Mnemonic::Mulx => mulx,
        Mnemonic::Rorx => rorx,
        Mnemonic::Sarx => |e, i| shift(e, i, hokku_ir::Builder::sar),
        Mnemonic::Shlx => |e, i| shift(e, i, hokku_ir::Builder::shl),
        Mnemonic::Shrx => |e, i| shift(e, i, hokku_ir::Builder::shr),
        Mnemonic::Adcx => adcx,
        Mnemonic::Adox => adox,
        _ => return None,
    })
}

/// Flags with CF where I8 `c` is not zero, and no others.
fn carry_of(e: &mut Emitter, c: Value) -> Value {
    let image = e.extend_zero(Width::W8, Width::W32, c);
    e.int_to_flags(image)
}

/// Writes `v` to the first operand, SF and ZF of it and CF from the flags `carry`; OF is clear, AF and PF (undefined) are those of `v`.
fn finish(e: &mut Emitter, insn: &Insn, w: Width, v: Value, carry: Option<Value>) -> Translated {
    let dst = e.place(insn, 0)?;
    let mut flags = e.logic_flags(w, v);
    if let Some(carry) = carry {
        flags = e.merge_flags(FlagSet::CF, carry, flags);
    }
    e.write(dst, w, v)?;
    e.set_flags(FlagSet::STATUS, flags);
    Ok(Step::Next)
}

/// `ANDN`: SDM 2A.
fn andn(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let (x, y) = (e.operand(insn, 1, w)?, e.operand(insn, 2, w)?);
    let x = e.not(w, x);
    let v = e.and(w, x, y);
    finish(e, insn, w, v, None)
}

/// `BLSR`: SDM 2A. CF where the source is zero.
fn blsr(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let (x, one) = (e.operand(insn, 1, w)?, e.constant(w, 1));
    let below = e.sub(w, x, one);
    let carry = e.sub_flags(w, x, one);
    let v = e.and(w, x, below);
    finish(e, insn, w, v, Some(carry))
}

/// `BLSMSK`: SDM 2A. CF where the source is zero.
fn blsmsk(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let (x, one) = (e.operand(insn, 1, w)?, e.constant(w, 1));
    let below = e.sub(w, x, one);
    let carry = e.sub_flags(w, x, one);
    let v = e.xor(w, x, below);
    finish(e, insn, w, v, Some(carry))
}

/// `BLSI`: SDM 2A. CF where the source is not zero.
fn blsi(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let (x, zero) = (e.operand(insn, 1, w)?, e.constant(w, 0));
    let negated = e.sub(w, zero, x);
    let carry = e.sub_flags(w, zero, x);
    let v = e.and(w, x, negated);
    finish(e, insn, w, v, Some(carry))
}

/// `BEXTR`: SDM 2A. SF (undefined) is that of the result too.
fn bextr(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let (x, control) = (e.operand(insn, 1, w)?, e.operand(insn, 2, w)?);
    let v = e.extract_field(w, x, control);
    finish(e, insn, w, v, None)
}

/// `BZHI`: SDM 2A. CF where the count is beyond the last bit.
fn bzhi(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let (x, n) = (e.operand(insn, 1, w)?, e.operand(insn, 2, w)?);
    let v = e.low_bits(w, x, n);
    let last = e.constant(Width::W8, u64::from(w.bits() - 1));
    let n = e.truncate(w, Width::W8, n);
    let beyond = e.compare(IntCmp::Ult, Width::W8, last, n);
    let carry = carry_of(e, beyond);
    finish(e, insn, w, v, Some(carry))
}

/// `PDEP`: SDM 2B. No flags.
fn pdep(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let (x, mask) = (e.operand(insn, 1, w)?, e.operand(insn, 2, w)?);
    let dst = e.place(insn, 0)?;
    let v = e.deposit_bits(w, x, mask);
    e.write(dst, w, v)?;
    Ok(Step::Next)
}

/// `PEXT`: SDM 2B. No flags.
fn pext(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let (x, mask) = (e.operand(insn, 1, w)?, e.operand(insn, 2, w)?);
    let dst = e.place(insn, 0)?;
    let v = e.extract_bits(w, x, mask);
    e.write(dst, w, v)?;
    Ok(Step::Next)
}

/// `MULX`: SDM 2B. High half to the first, low half to the second operand; where they are one register it gets the high half. No flags.
fn mulx(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let y = e.operand(insn, 2, w)?;
    let x = e.get_gpr(Gpr::Rdx, w);
    let (high_place, low_place) = (e.place(insn, 0)?, e.place(insn, 1)?);
    let (low, high) = (e.mul(w, x, y), e.mul_high_u(w, x, y));
    e.write(low_place, w, low)?;
    e.write(high_place, w, high)?;
    Ok(Step::Next)
}

/// `RORX`: SDM 2B. No flags.
fn rorx(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let x = e.operand(insn, 1, w)?;
    let n = insn.immediate(2)? & u64::from(w.bits() - 1);
    let n = e.constant(Width::W8, n);
    let dst = e.place(insn, 0)?;
    let v = e.rotr(w, x, n);
    e.write(dst, w, v)?;
    Ok(Step::Next)
}

/// `SARX`, `SHLX`, `SHRX`: SDM 2B. No flags.
fn shift(e: &mut Emitter, insn: &Insn, op: fn(&mut hokku_ir::Builder, Width, Value, Value) -> Value) -> Translated {
    let w = insn.width()?;
    let (x, n) = (e.operand(insn, 1, w)?, e.operand(insn, 2, w)?);
    let n = e.truncate(w, Width::W8, n);
    let limit = e.constant(Width::W8, u64::from(w.bits() - 1));
    let n = e.and(Width::W8, n, limit);
    let dst = e.place(insn, 0)?;
    let v = op(e, w, x, n);
    e.write(dst, w, v)?;
    Ok(Step::Next)
}

/// `ADCX`: SDM 2A. Carry in and out through CF, no other flag.
fn adcx(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, dst, y) = e.dst_src(insn)?;
    let x = e.read(dst, w);
    let f = e.get_flags();
    let (v, flags) = (e.adc(w, x, y, f), e.adc_flags(w, x, y, f));
    e.write(dst, w, v)?;
    e.set_flags(FlagSet::CF, flags);
    Ok(Step::Next)
}

/// `ADOX`: SDM 2A. Carry in and out through OF, no other flag.
fn adox(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, dst, y) = e.dst_src(insn)?;
    let x = e.read(dst, w);
    let f = e.get_flags();
    let (v, flags) = (e.ado(w, x, y, f), e.ado_flags(w, x, y, f));
    e.write(dst, w, v)?;
    e.set_flags(FlagSet::OF, flags);
    Ok(Step::Next)
}

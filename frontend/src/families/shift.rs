//! Shifts and rotations.

use hokku_ir::{Builder, FlagSet, Value, Width};
use iced_x86::{Code, Mnemonic};

use crate::emit::{Emitter, Place, Step, Translated, Translator};
use crate::insn::{Insn, Unsupported};

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    Some(match code.mnemonic() {
        // `SAL` is the undocumented encoding of `SHL`.
        Mnemonic::Shl | Mnemonic::Sal => shl,
        Mnemonic::Shr => shr,
        Mnemonic::Sar => sar,
        Mnemonic::Rol => rol,
        Mnemonic::Ror => ror,
        Mnemonic::Rcl => rcl,
        Mnemonic::Rcr => rcr,
        Mnemonic::Shld => shld,
        Mnemonic::Shrd => shrd,
        _ => return None,
    })
}

/// The count in operand `operand`, I8, masked to 6 bits for W64 and to 5 bits else; its value where it is constant.
fn count(e: &mut Emitter, insn: &Insn, operand: u32, w: Width) -> Result<(Value, Option<u64>), Unsupported> {
    let mask = if w == Width::W64 { 63 } else { 31 };
    if let Place::Constant(n) = e.place(insn, operand)? {
        return Ok((e.constant(Width::W8, n & mask), Some(n & mask)));
    }
    let n = e.operand(insn, operand, Width::W8)?;
    let mask = e.constant(Width::W8, mask);
    Ok((e.and(Width::W8, n, mask), None))
}

type ShiftOp = fn(&mut Builder, Width, Value, Value) -> Value;
type ShiftFlagsOp = fn(&mut Builder, Width, Value, Value, Value) -> Value;

/// All shifts and rotations without carry: a count of zero changes no flag, but a 32-bit destination register is written all the same.
fn shift(e: &mut Emitter, insn: &Insn, value: ShiftOp, flags: ShiftFlagsOp, set: FlagSet) -> Translated {
    let w = insn.width()?;
    let dst = e.place(insn, 0)?;
    let (n, constant) = count(e, insn, 1, w)?;
    let x = e.read(dst, w);
    let v = value(e, w, x, n);
    if constant == Some(0) {
        e.write(dst, w, v)?;
        return Ok(Step::Next);
    }
    let old = e.get_flags();
    let flags = flags(e, w, x, n, old);
    e.write(dst, w, v)?;
    e.set_flags(set, flags);
    Ok(Step::Next)
}

/// Rotations write CF and OF alone.
const ROTATE: FlagSet = FlagSet::CF.union(FlagSet::OF);

/// `SHL`/`SAL`: SDM 2B, SAL/SAR/SHL/SHR.
fn shl(e: &mut Emitter, insn: &Insn) -> Translated {
    shift(e, insn, Builder::shl, Builder::shl_flags, FlagSet::STATUS)
}

/// `SHR`: SDM 2B.
fn shr(e: &mut Emitter, insn: &Insn) -> Translated {
    shift(e, insn, Builder::shr, Builder::shr_flags, FlagSet::STATUS)
}

/// `SAR`: SDM 2B.
fn sar(e: &mut Emitter, insn: &Insn) -> Translated {
    shift(e, insn, Builder::sar, Builder::sar_flags, FlagSet::STATUS)
}

/// `ROL`: SDM 2B, RCL/RCR/ROL/ROR.
fn rol(e: &mut Emitter, insn: &Insn) -> Translated {
    shift(e, insn, Builder::rotl, Builder::rotl_flags, ROTATE)
}

/// `ROR`: SDM 2B.
fn ror(e: &mut Emitter, insn: &Insn) -> Translated {
    shift(e, insn, Builder::rotr, Builder::rotr_flags, ROTATE)
}

/// Rotation through carry.
fn rotate_carry(e: &mut Emitter, insn: &Insn, value: ShiftFlagsOp, flags: ShiftFlagsOp) -> Translated {
    let w = insn.width()?;
    let dst = e.place(insn, 0)?;
    let (n, _) = count(e, insn, 1, w)?;
    let f = e.get_flags();
    let x = e.read(dst, w);
    let v = value(e, w, x, n, f);
    let flags = flags(e, w, x, n, f);
    e.write(dst, w, v)?;
    e.set_flags(ROTATE, flags);
    Ok(Step::Next)
}

/// `RCL`: SDM 2B.
fn rcl(e: &mut Emitter, insn: &Insn) -> Translated {
    rotate_carry(e, insn, Builder::rotl_carry, Builder::rotl_carry_flags)
}

/// `RCR`: SDM 2B.
fn rcr(e: &mut Emitter, insn: &Insn) -> Translated {
    rotate_carry(e, insn, Builder::rotr_carry, Builder::rotr_carry_flags)
}

/// Double shifts: the bits that come in are those of operand 1.
fn double(
    e: &mut Emitter,
    insn: &Insn,
    value: ShiftFlagsOp,
    flags: fn(&mut Builder, Width, Value, Value, Value, Value) -> Value,
) -> Translated {
    let w = insn.width()?;
    let dst = e.place(insn, 0)?;
    let y = e.operand(insn, 1, w)?;
    let (n, constant) = count(e, insn, 2, w)?;
    let x = e.read(dst, w);
    let v = value(e, w, x, y, n);
    if constant == Some(0) {
        e.write(dst, w, v)?;
        return Ok(Step::Next);
    }
    let old = e.get_flags();
    let flags = flags(e, w, x, y, n, old);
    e.write(dst, w, v)?;
    e.set_flags(FlagSet::STATUS, flags);
    Ok(Step::Next)
}

/// `SHLD`: SDM 2B.
fn shld(e: &mut Emitter, insn: &Insn) -> Translated {
    double(e, insn, Builder::shld, Builder::shld_flags)
}

/// `SHRD`: SDM 2B.
fn shrd(e: &mut Emitter, insn: &Insn) -> Translated {
    double(e, insn, Builder::shrd, Builder::shrd_flags)
}

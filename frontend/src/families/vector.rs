//! What the families of vector instructions share: operands and results, in legacy and in VEX encodings.
//!
//! A legacy encoding has the first source in its destination's place, keeps what is above the result, and wants memory operands of 16 bytes aligned. A
//! VEX encoding names the first source on its own, clears what is above, and takes memory operands at any address.

use hokku_ir::{Align, Type, Upper, Value, VecBin, VecShuffle, VecUn, Width, X87Control};

use crate::emit::{Emitter, Step, Translated};
use crate::insn::{Insn, Unsupported};

/// Number of the operand that is the first of two sources; the second follows it.
pub(super) fn first_source(insn: &Insn) -> u32 {
    u32::from(insn.is_vex())
}

/// Type of the vector that register operand `operand` is.
pub(super) fn register_type(insn: &Insn, operand: u32) -> Type {
    if insn.is_mm(operand) {
        Type::V64
    } else if insn.is_ymm(operand) {
        Type::V256
    } else {
        Type::V128
    }
}

/// Type of the vector that operand `operand`, a register or memory, is.
pub(super) fn operand_type(insn: &Insn, operand: u32) -> Type {
    match insn.raw.memory_size().size() {
        32 if insn.is_memory(operand) => Type::V256,
        _ => register_type(insn, operand),
    }
}

/// What becomes of the register above a result that is shorter than 128 bits, where the instruction clears it.
pub(super) fn cleared(insn: &Insn) -> Upper {
    if insn.is_vex() { Upper::Zero256 } else { Upper::Zero128 }
}

/// Vector operand `operand`. Of memory, `PUNPCKL*` in MMX form reads four bytes alone. A pending x87 exception comes before a fault of the memory
/// operand.
pub(super) fn source(e: &mut Emitter, insn: &Insn, operand: u32, ty: Type) -> Result<Value, Unsupported> {
    if ty == Type::V64 && insn.is_memory(operand) {
        e.x87_control(X87Control::Wait);
        if insn.raw.memory_size().size() == 4 {
            let at = e.address(insn)?;
            let v = e.load(Type::I32, Align::Any, at);
            return Ok(vector_of(e, Width::W32, v));
        }
    }
    e.vector(insn, operand, ty, if insn.is_vex() { Align::Any } else { Align::Natural })
}

/// An I32 or I64 as V64, zero-extended.
pub(super) fn vector_of(e: &mut Emitter, w: Width, v: Value) -> Value {
    let v = e.resize(w, Width::W64, v);
    e.bitcast(Type::I64, Type::V64, v)
}

/// Operand `operand` as V128: a register, or memory of two to sixteen bytes with zeros above.
pub(super) fn low_part(e: &mut Emitter, insn: &Insn, operand: u32) -> Result<Value, Unsupported> {
    let size = insn.raw.memory_size().size();
    if !insn.is_memory(operand) || size == 16 {
        return source(e, insn, operand, Type::V128);
    }
    let at = e.address(insn)?;
    let (from, low) = match size {
        1 | 2 => {
            let w = if size == 1 { Width::W8 } else { Width::W16 };
            let v = e.load(w.ty(), Align::Any, at);
            let v = e.extend_zero(w, Width::W32, v);
            (Type::F32, e.bitcast(Type::I32, Type::F32, v))
        }
        4 => (Type::F32, e.load(Type::F32, Align::Any, at)),
        8 => (Type::F64, e.load(Type::F64, Align::Any, at)),
        _ => return Err(Unsupported),
    };
    Ok(e.vec_zero_extend(from, Type::V128, low))
}

/// Writes `v` to the vector register that the first operand is.
pub(super) fn write(e: &mut Emitter, insn: &Insn, v: Value) -> Translated {
    let reg = e.vector_register(insn, 0)?;
    let ty = register_type(insn, 0);
    if ty == Type::V64 {
        e.set_mmx(reg, v);
    } else {
        e.set_vec(reg, ty, if insn.is_vex() { Upper::Zero256 } else { Upper::Keep }, v);
    }
    Ok(Step::Next)
}

/// Writes the scalar `v` of type `ty` to the low lane of the first operand; above it stands what is in the first source.
pub(super) fn write_scalar(e: &mut Emitter, insn: &Insn, ty: Type, v: Value) -> Translated {
    write_scalar_in(e, insn, first_source(insn), ty, v)
}

/// Writes the scalar `v` of type `ty` to the low lane of the first operand; above it stands what is in operand `rest`.
pub(super) fn write_scalar_in(e: &mut Emitter, insn: &Insn, rest: u32, ty: Type, v: Value) -> Translated {
    if insn.is_vex() {
        let a = e.vector(insn, rest, Type::V128, Align::Any)?;
        let v = e.vec_merge_low(ty, a, v);
        return write(e, insn, v);
    }
    let reg = e.vector_register(insn, 0)?;
    e.set_vec(reg, ty, Upper::Keep, v);
    Ok(Step::Next)
}

/// Both sources, of the type that the destination has.
pub(super) fn sources(e: &mut Emitter, insn: &Insn) -> Result<(Type, Value, Value), Unsupported> {
    let (ty, first) = (register_type(insn, 0), first_source(insn));
    let b = source(e, insn, first + 1, ty)?;
    let a = source(e, insn, first, ty)?;
    Ok((ty, a, b))
}

/// The immediate byte, which is the last operand.
pub(super) fn immediate(insn: &Insn) -> Result<u8, Unsupported> {
    Ok(insn.immediate(insn.raw.op_count() - 1)? as u8)
}

/// An operation of two packed operands: the instruction of that name in the SDM.
pub(super) fn packed(e: &mut Emitter, insn: &Insn, op: VecBin) -> Translated {
    let (ty, a, b) = sources(e, insn)?;
    let v = e.vec_binary(op, ty, a, b);
    write(e, insn, v)
}

/// An operation of one packed operand.
pub(super) fn unary(e: &mut Emitter, insn: &Insn, op: VecUn) -> Translated {
    let ty = register_type(insn, 0);
    let a = source(e, insn, 1, ty)?;
    let v = e.vec_unary(op, ty, a);
    write(e, insn, v)
}

/// A shuffle of one operand by an immediate.
pub(super) fn shuffle_one(e: &mut Emitter, insn: &Insn, op: VecShuffle) -> Translated {
    let ty = register_type(insn, 0);
    let a = source(e, insn, 1, ty)?;
    let imm = hokku_ir::Num(immediate(insn)?);
    let v = e.vec_shuffle(op, ty, a, a, imm);
    write(e, insn, v)
}

/// A shuffle of two operands by an immediate.
pub(super) fn shuffle_two(e: &mut Emitter, insn: &Insn, op: VecShuffle) -> Translated {
    let (ty, a, b) = sources(e, insn)?;
    let imm = hokku_ir::Num(immediate(insn)?);
    let v = e.vec_shuffle(op, ty, a, b, imm);
    write(e, insn, v)
}

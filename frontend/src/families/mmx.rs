//! Packed integers in MMX and XMM registers, and moves between those, memory and general registers.

use hokku_ir::{Align, MaskOp, Num, Type, Upper, Value, VecBin, VecShift, VecShuffle, Width, X87Control};
use iced_x86::{Code, Mnemonic};

use crate::emit::{Emitter, Step, Translated, Translator};
use crate::insn::{Insn, Unsupported};

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    /// A function for one variant: translators are plain functions without captures.
    macro_rules! packed {
        ($Op:ident) => {
            |e, i| packed(e, i, VecBin::$Op)
        };
    }
    macro_rules! shift {
        ($Op:ident) => {
            |e, i| shift(e, i, VecShift::$Op)
        };
    }
    Some(match code.mnemonic() {
        Mnemonic::Paddb => packed!(PaddB),
        Mnemonic::Paddw => packed!(PaddW),
        Mnemonic::Paddd => packed!(PaddD),
        Mnemonic::Paddq => packed!(PaddQ),
        Mnemonic::Paddsb => packed!(PaddsB),
        Mnemonic::Paddsw => packed!(PaddsW),
        Mnemonic::Paddusb => packed!(PaddusB),
        Mnemonic::Paddusw => packed!(PaddusW),
        Mnemonic::Psubb => packed!(PsubB),
        Mnemonic::Psubw => packed!(PsubW),
        Mnemonic::Psubd => packed!(PsubD),
        Mnemonic::Psubq => packed!(PsubQ),
        Mnemonic::Psubsb => packed!(PsubsB),
        Mnemonic::Psubsw => packed!(PsubsW),
        Mnemonic::Psubusb => packed!(PsubusB),
        Mnemonic::Psubusw => packed!(PsubusW),
        Mnemonic::Pmullw => packed!(PmullW),
        Mnemonic::Pmulhw => packed!(PmulhW),
        Mnemonic::Pmulhuw => packed!(PmulhuW),
        Mnemonic::Pmuludq => packed!(PmuludQ),
        Mnemonic::Pmaddwd => packed!(PmaddWd),
        Mnemonic::Psadbw => packed!(PsadBw),
        Mnemonic::Pavgb => packed!(PavgB),
        Mnemonic::Pavgw => packed!(PavgW),
        Mnemonic::Pminub => packed!(PminuB),
        Mnemonic::Pminsw => packed!(PminsW),
        Mnemonic::Pmaxub => packed!(PmaxuB),
        Mnemonic::Pmaxsw => packed!(PmaxsW),
        Mnemonic::Pcmpeqb => packed!(PcmpeqB),
        Mnemonic::Pcmpeqw => packed!(PcmpeqW),
        Mnemonic::Pcmpeqd => packed!(PcmpeqD),
        Mnemonic::Pcmpgtb => packed!(PcmpgtB),
        Mnemonic::Pcmpgtw => packed!(PcmpgtW),
        Mnemonic::Pcmpgtd => packed!(PcmpgtD),
        Mnemonic::Pand => packed!(Pand),
        Mnemonic::Pandn => packed!(Pandn),
        Mnemonic::Por => packed!(Por),
        Mnemonic::Pxor => packed!(Pxor),
        Mnemonic::Packsswb => packed!(PacksswB),
        Mnemonic::Packssdw => packed!(PackssdW),
        Mnemonic::Packuswb => packed!(PackuswB),
        Mnemonic::Punpcklbw => packed!(PunpcklBw),
        Mnemonic::Punpcklwd => packed!(PunpcklWd),
        Mnemonic::Punpckldq => packed!(PunpcklDq),
        Mnemonic::Punpcklqdq => packed!(PunpcklQdq),
        Mnemonic::Punpckhbw => packed!(PunpckhBw),
        Mnemonic::Punpckhwd => packed!(PunpckhWd),
        Mnemonic::Punpckhdq => packed!(PunpckhDq),
        Mnemonic::Punpckhqdq => packed!(PunpckhQdq),
        Mnemonic::Psllw => shift!(PsllW),
        Mnemonic::Pslld => shift!(PsllD),
        Mnemonic::Psllq => shift!(PsllQ),
        Mnemonic::Psrlw => shift!(PsrlW),
        Mnemonic::Psrld => shift!(PsrlD),
        Mnemonic::Psrlq => shift!(PsrlQ),
        Mnemonic::Psraw => shift!(PsraW),
        Mnemonic::Psrad => shift!(PsraD),
        Mnemonic::Pslldq => shift!(PsllDq),
        Mnemonic::Psrldq => shift!(PsrlDq),
        Mnemonic::Pshufw => |e, i| shuffle(e, i, VecShuffle::PshufW),
        Mnemonic::Pshufd => |e, i| shuffle(e, i, VecShuffle::PshufD),
        Mnemonic::Pshuflw => |e, i| shuffle(e, i, VecShuffle::PshufLw),
        Mnemonic::Pshufhw => |e, i| shuffle(e, i, VecShuffle::PshufHw),
        Mnemonic::Pmovmskb => |e, i| mask(e, i, MaskOp::Pmovmskb),
        Mnemonic::Pextrw if is_register_form(code) => pextrw,
        Mnemonic::Pinsrw => pinsrw,
        Mnemonic::Movd | Mnemonic::Movq => movd,
        Mnemonic::Movntq => movd,
        Mnemonic::Movq2dq => movq2dq,
        Mnemonic::Movdq2q => movdq2q,
        Mnemonic::Maskmovq | Mnemonic::Maskmovdqu => maskmov,
        Mnemonic::Emms => emms,
        _ => return None,
    })
}

/// `PEXTRW` to a register is MMX or SSE2, to memory SSE4.1.
fn is_register_form(code: Code) -> bool {
    !matches!(code, Code::Pextrw_r32m16_xmm_imm8 | Code::Pextrw_r64m16_xmm_imm8)
}

/// The type of the vector register that the first operand is.
pub(super) fn register_type(insn: &Insn, operand: u32) -> Type {
    if insn.is_mm(operand) { Type::V64 } else { Type::V128 }
}

/// Writes `v` to the MMX or XMM register that the first operand is.
pub(super) fn write(e: &mut Emitter, insn: &Insn, v: Value) -> Translated {
    let reg = e.vector_register(insn, 0)?;
    if insn.is_mm(0) {
        e.set_mmx(reg, v);
    } else {
        e.set_vec(reg, Type::V128, Upper::Keep, v);
    }
    Ok(Step::Next)
}

/// An I32 or I64 as V64, zero-extended.
fn vector_of(e: &mut Emitter, w: Width, v: Value) -> Value {
    let v = e.resize(w, Width::W64, v);
    e.bitcast(Type::I64, Type::V64, v)
}

/// The second operand as `ty`. `PUNPCKL*` in MMX form reads four bytes of memory alone. A pending x87 exception comes before a fault of the
/// memory operand.
fn source(e: &mut Emitter, insn: &Insn, ty: Type) -> Result<Value, Unsupported> {
    if ty == Type::V64 && insn.is_memory(1) {
        e.x87_control(X87Control::Wait);
    }
    if ty == Type::V64 && insn.is_memory(1) && insn.raw.memory_size().size() == 4 {
        let at = e.address(insn)?;
        let v = e.load(Type::I32, Align::Any, at);
        return Ok(vector_of(e, Width::W32, v));
    }
    e.vector(insn, 1, ty, Align::Natural)
}

/// An operation of two packed operands: the instruction of that name in the SDM, MMX or SSE2 by its registers.
pub(super) fn packed(e: &mut Emitter, insn: &Insn, op: VecBin) -> Translated {
    let ty = register_type(insn, 0);
    let b = source(e, insn, ty)?;
    let a = e.vector(insn, 0, ty, Align::Natural)?;
    let v = e.vec_binary(op, ty, a, b);
    write(e, insn, v)
}

/// `PSLL`, `PSRL`, `PSRA`: SDM 2B. By an immediate or by the low 64 bits of the second operand.
fn shift(e: &mut Emitter, insn: &Insn, op: VecShift) -> Translated {
    let ty = register_type(insn, 0);
    if let Ok(n) = insn.immediate(1) {
        let a = e.vector(insn, 0, ty, Align::Natural)?;
        let v = e.vec_shift_imm(op, ty, a, Num(n as u8));
        return write(e, insn, v);
    }
    let n = source(e, insn, ty)?;
    let a = e.vector(insn, 0, ty, Align::Natural)?;
    let v = e.vec_shift(op, ty, a, n);
    write(e, insn, v)
}

/// `PSHUF*`, `SHUFPS`, `SHUFPD`: SDM 2B.
pub(super) fn shuffle(e: &mut Emitter, insn: &Insn, op: VecShuffle) -> Translated {
    let ty = register_type(insn, 0);
    let b = e.vector(insn, 1, ty, Align::Natural)?;
    let a =
        if matches!(op, VecShuffle::ShufPs | VecShuffle::ShufPd) { e.vector(insn, 0, ty, Align::Natural)? } else { b };
    let v = e.vec_shuffle(op, ty, a, b, Num(insn.immediate(2)? as u8));
    write(e, insn, v)
}

/// `PMOVMSKB`, `MOVMSKPS`, `MOVMSKPD`: SDM 2B.
pub(super) fn mask(e: &mut Emitter, insn: &Insn, op: MaskOp) -> Translated {
    let (w, ty) = (insn.width()?, register_type(insn, 1));
    let dst = e.place(insn, 0)?;
    let a = e.vector(insn, 1, ty, Align::Natural)?;
    let bits = e.vec_mask(op, ty, a);
    let v = e.resize(Width::W32, w, bits);
    e.write(dst, w, v)?;
    Ok(Step::Next)
}

/// `PEXTRW`: SDM 2B. The lane number is taken modulo the number of lanes.
fn pextrw(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, ty) = (insn.width()?, register_type(insn, 1));
    let dst = e.place(insn, 0)?;
    let lane = lane(insn, ty)?;
    let a = e.vector(insn, 1, ty, Align::Natural)?;
    let word = e.vec_extract(Width::W16, ty, a, lane);
    let v = e.resize(Width::W32, w, word);
    e.write(dst, w, v)?;
    Ok(Step::Next)
}

/// The word lane that the third operand names.
fn lane(insn: &Insn, ty: Type) -> Result<Num, Unsupported> {
    Ok(Num(insn.immediate(2)? as u8 & (ty.bytes() / 2 - 1) as u8))
}

/// `PINSRW`: SDM 2B.
fn pinsrw(e: &mut Emitter, insn: &Insn) -> Translated {
    let ty = register_type(insn, 0);
    let from = if insn.is_memory(1) { Width::W16 } else { Width::W32 };
    let word = e.operand(insn, 1, from)?;
    let word = e.resize(from, Width::W32, word);
    let a = e.vector(insn, 0, ty, Align::Natural)?;
    let v = e.vec_insert(Width::W16, ty, a, lane(insn, ty)?, word);
    write(e, insn, v)
}

/// `MOVD`, `MOVQ` (SDM 2B), `MOVNTQ`: between vector registers, general registers and memory. Into an XMM register with zeros above. What an XMM
/// register takes part in is a scalar of the size that moves.
fn movd(e: &mut Emitter, insn: &Insn) -> Translated {
    if insn.is_mm(0) {
        let v = if insn.is_mm(1) || (insn.is_memory(1) && insn.raw.memory_size().size() == 8) {
            e.vector(insn, 1, Type::V64, Align::Any)?
        } else {
            let w = insn.width_of(1)?;
            let v = e.operand(insn, 1, w)?;
            vector_of(e, w, v)
        };
        return write(e, insn, v);
    }
    if insn.is_xmm(0) {
        let ty = if insn.is_xmm(1) { Type::F64 } else { scalar_of(insn.width_of(1)?)? };
        let v = if insn.is_xmm(1) || insn.is_memory(1) {
            e.vector(insn, 1, ty, Align::Any)?
        } else {
            let w = insn.width_of(1)?;
            let v = e.operand(insn, 1, w)?;
            e.bitcast(w.ty(), ty, v)
        };
        let reg = e.vector_register(insn, 0)?;
        e.set_vec(reg, ty, Upper::Zero128, v);
        return Ok(Step::Next);
    }
    let w = insn.width()?;
    let ty = if insn.is_mm(1) { Type::V64 } else { scalar_of(w)? };
    let v = e.vector(insn, 1, ty, Align::Any)?;
    if insn.is_memory(0) && ty.bytes() == w.bytes() {
        let at = e.address(insn)?;
        e.store(ty, Align::Any, at, v);
        return Ok(Step::Next);
    }
    let from = if ty == Type::F32 { Width::W32 } else { Width::W64 };
    let v = e.bitcast(ty, from.ty(), v);
    let v = e.resize(from, w, v);
    let dst = e.place(insn, 0)?;
    e.write(dst, w, v)?;
    Ok(Step::Next)
}

/// The scalar type of width `w`.
fn scalar_of(w: Width) -> Result<Type, Unsupported> {
    match w {
        Width::W32 => Ok(Type::F32),
        Width::W64 => Ok(Type::F64),
        Width::W8 | Width::W16 => Err(Unsupported),
    }
}

/// `MOVQ2DQ`: SDM 2B.
fn movq2dq(e: &mut Emitter, insn: &Insn) -> Translated {
    let reg = e.vector_register(insn, 0)?;
    let v = e.vector(insn, 1, Type::V64, Align::Any)?;
    e.set_vec(reg, Type::V64, Upper::Zero128, v);
    Ok(Step::Next)
}

/// `MOVDQ2Q`: SDM 2B.
fn movdq2q(e: &mut Emitter, insn: &Insn) -> Translated {
    let v = e.vector(insn, 1, Type::V64, Align::Any)?;
    write(e, insn, v)
}

/// `MASKMOVQ`, `MASKMOVDQU`: SDM 2B. To the address in rdi.
fn maskmov(e: &mut Emitter, insn: &Insn) -> Translated {
    let ty = register_type(insn, 1);
    let at = e.implicit_rdi(insn)?;
    let v = e.vector(insn, 1, ty, Align::Any)?;
    let mask = e.vector(insn, 2, ty, Align::Any)?;
    e.store_masked(Width::W8, ty, at, v, mask);
    Ok(Step::Next)
}

/// `EMMS`: SDM 2A.
fn emms(e: &mut Emitter, _: &Insn) -> Translated {
    e.x87_control(X87Control::Emms);
    Ok(Step::Next)
}

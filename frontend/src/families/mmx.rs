//! Packed integers of MMX and SSE2, and moves between vector registers, memory and general registers.

use hokku_ir::{Align, MaskOp, Num, Type, VecBin, VecShift, VecShuffle, Width, X87Control};
use iced_x86::{Code, Mnemonic};

use crate::emit::{Emitter, Step, Translated, Translator};
use crate::families::vector::{
    cleared, first_source, immediate, packed, register_type, shuffle_one, source, vector_of, write,
};
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
        Mnemonic::Paddb | Mnemonic::Vpaddb => packed!(PaddB),
        Mnemonic::Paddw | Mnemonic::Vpaddw => packed!(PaddW),
        Mnemonic::Paddd | Mnemonic::Vpaddd => packed!(PaddD),
        Mnemonic::Paddq | Mnemonic::Vpaddq => packed!(PaddQ),
        Mnemonic::Paddsb | Mnemonic::Vpaddsb => packed!(PaddsB),
        Mnemonic::Paddsw | Mnemonic::Vpaddsw => packed!(PaddsW),
        Mnemonic::Paddusb | Mnemonic::Vpaddusb => packed!(PaddusB),
        Mnemonic::Paddusw | Mnemonic::Vpaddusw => packed!(PaddusW),
        Mnemonic::Psubb | Mnemonic::Vpsubb => packed!(PsubB),
        Mnemonic::Psubw | Mnemonic::Vpsubw => packed!(PsubW),
        Mnemonic::Psubd | Mnemonic::Vpsubd => packed!(PsubD),
        Mnemonic::Psubq | Mnemonic::Vpsubq => packed!(PsubQ),
        Mnemonic::Psubsb | Mnemonic::Vpsubsb => packed!(PsubsB),
        Mnemonic::Psubsw | Mnemonic::Vpsubsw => packed!(PsubsW),
        Mnemonic::Psubusb | Mnemonic::Vpsubusb => packed!(PsubusB),
        Mnemonic::Psubusw | Mnemonic::Vpsubusw => packed!(PsubusW),
        Mnemonic::Pmullw | Mnemonic::Vpmullw => packed!(PmullW),
        Mnemonic::Pmulhw | Mnemonic::Vpmulhw => packed!(PmulhW),
        Mnemonic::Pmulhuw | Mnemonic::Vpmulhuw => packed!(PmulhuW),
        Mnemonic::Pmuludq | Mnemonic::Vpmuludq => packed!(PmuludQ),
        Mnemonic::Pmaddwd | Mnemonic::Vpmaddwd => packed!(PmaddWd),
        Mnemonic::Psadbw | Mnemonic::Vpsadbw => packed!(PsadBw),
        Mnemonic::Pavgb | Mnemonic::Vpavgb => packed!(PavgB),
        Mnemonic::Pavgw | Mnemonic::Vpavgw => packed!(PavgW),
        Mnemonic::Pminub | Mnemonic::Vpminub => packed!(PminuB),
        Mnemonic::Pminsw | Mnemonic::Vpminsw => packed!(PminsW),
        Mnemonic::Pmaxub | Mnemonic::Vpmaxub => packed!(PmaxuB),
        Mnemonic::Pmaxsw | Mnemonic::Vpmaxsw => packed!(PmaxsW),
        Mnemonic::Pcmpeqb | Mnemonic::Vpcmpeqb => packed!(PcmpeqB),
        Mnemonic::Pcmpeqw | Mnemonic::Vpcmpeqw => packed!(PcmpeqW),
        Mnemonic::Pcmpeqd | Mnemonic::Vpcmpeqd => packed!(PcmpeqD),
        Mnemonic::Pcmpgtb | Mnemonic::Vpcmpgtb => packed!(PcmpgtB),
        Mnemonic::Pcmpgtw | Mnemonic::Vpcmpgtw => packed!(PcmpgtW),
        Mnemonic::Pcmpgtd | Mnemonic::Vpcmpgtd => packed!(PcmpgtD),
        Mnemonic::Pand | Mnemonic::Vpand => packed!(Pand),
        Mnemonic::Pandn | Mnemonic::Vpandn => packed!(Pandn),
        Mnemonic::Por | Mnemonic::Vpor => packed!(Por),
        Mnemonic::Pxor | Mnemonic::Vpxor => packed!(Pxor),
        Mnemonic::Packsswb | Mnemonic::Vpacksswb => packed!(PacksswB),
        Mnemonic::Packssdw | Mnemonic::Vpackssdw => packed!(PackssdW),
        Mnemonic::Packuswb | Mnemonic::Vpackuswb => packed!(PackuswB),
        Mnemonic::Punpcklbw | Mnemonic::Vpunpcklbw => packed!(PunpcklBw),
        Mnemonic::Punpcklwd | Mnemonic::Vpunpcklwd => packed!(PunpcklWd),
        Mnemonic::Punpckldq | Mnemonic::Vpunpckldq => packed!(PunpcklDq),
        Mnemonic::Punpcklqdq | Mnemonic::Vpunpcklqdq => packed!(PunpcklQdq),
        Mnemonic::Punpckhbw | Mnemonic::Vpunpckhbw => packed!(PunpckhBw),
        Mnemonic::Punpckhwd | Mnemonic::Vpunpckhwd => packed!(PunpckhWd),
        Mnemonic::Punpckhdq | Mnemonic::Vpunpckhdq => packed!(PunpckhDq),
        Mnemonic::Punpckhqdq | Mnemonic::Vpunpckhqdq => packed!(PunpckhQdq),
        Mnemonic::Psllw | Mnemonic::Vpsllw => shift!(PsllW),
        Mnemonic::Pslld | Mnemonic::Vpslld => shift!(PsllD),
        Mnemonic::Psllq | Mnemonic::Vpsllq => shift!(PsllQ),
        Mnemonic::Psrlw | Mnemonic::Vpsrlw => shift!(PsrlW),
        Mnemonic::Psrld | Mnemonic::Vpsrld => shift!(PsrlD),
        Mnemonic::Psrlq | Mnemonic::Vpsrlq => shift!(PsrlQ),
        Mnemonic::Psraw | Mnemonic::Vpsraw => shift!(PsraW),
        Mnemonic::Psrad | Mnemonic::Vpsrad => shift!(PsraD),
        Mnemonic::Pslldq | Mnemonic::Vpslldq => shift!(PsllDq),
        Mnemonic::Psrldq | Mnemonic::Vpsrldq => shift!(PsrlDq),
        Mnemonic::Pshufw => |e, i| shuffle_one(e, i, VecShuffle::PshufW),
        Mnemonic::Pshufd | Mnemonic::Vpshufd => |e, i| shuffle_one(e, i, VecShuffle::PshufD),
        Mnemonic::Pshuflw | Mnemonic::Vpshuflw => |e, i| shuffle_one(e, i, VecShuffle::PshufLw),
        Mnemonic::Pshufhw | Mnemonic::Vpshufhw => |e, i| shuffle_one(e, i, VecShuffle::PshufHw),
        Mnemonic::Pmovmskb | Mnemonic::Vpmovmskb => |e, i| mask(e, i, MaskOp::Pmovmskb),
        Mnemonic::Pextrb | Mnemonic::Vpextrb => |e, i| extract(e, i, Width::W8),
        Mnemonic::Pextrw | Mnemonic::Vpextrw => |e, i| extract(e, i, Width::W16),
        Mnemonic::Pextrd | Mnemonic::Vpextrd => |e, i| extract(e, i, Width::W32),
        Mnemonic::Extractps | Mnemonic::Vextractps => |e, i| extract(e, i, Width::W32),
        Mnemonic::Pextrq | Mnemonic::Vpextrq => |e, i| extract(e, i, Width::W64),
        Mnemonic::Pinsrb | Mnemonic::Vpinsrb => |e, i| insert(e, i, Width::W8),
        Mnemonic::Pinsrw | Mnemonic::Vpinsrw => |e, i| insert(e, i, Width::W16),
        Mnemonic::Pinsrd | Mnemonic::Vpinsrd => |e, i| insert(e, i, Width::W32),
        Mnemonic::Pinsrq | Mnemonic::Vpinsrq => |e, i| insert(e, i, Width::W64),
        Mnemonic::Movd | Mnemonic::Vmovd | Mnemonic::Movq | Mnemonic::Vmovq => movd,
        Mnemonic::Movntq => movd,
        Mnemonic::Movq2dq => movq2dq,
        Mnemonic::Movdq2q => movdq2q,
        Mnemonic::Maskmovq | Mnemonic::Maskmovdqu | Mnemonic::Vmaskmovdqu => maskmov,
        Mnemonic::Emms => emms,
        _ => return None,
    })
}

/// `PSLL`, `PSRL`, `PSRA`: SDM 2B. By an immediate or by the low 64 bits of the second source, which is never longer than 128.
fn shift(e: &mut Emitter, insn: &Insn, op: VecShift) -> Translated {
    let (ty, first) = (register_type(insn, 0), first_source(insn));
    if let Ok(n) = insn.immediate(first + 1) {
        let a = source(e, insn, first, ty)?;
        let v = e.vec_shift_imm(op, ty, a, Num(n as u8));
        return write(e, insn, v);
    }
    let n = source(e, insn, first + 1, if ty == Type::V64 { ty } else { Type::V128 })?;
    let a = source(e, insn, first, ty)?;
    let v = e.vec_shift(op, ty, a, n);
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

/// `PEXTRB`, `PEXTRW`, `PEXTRD`, `PEXTRQ`, `EXTRACTPS`: SDM 2A, 2B. To memory the lane, to a register the lane with zeros above.
fn extract(e: &mut Emitter, insn: &Insn, w: Width) -> Translated {
    let ty = register_type(insn, 1);
    let dst = e.place(insn, 0)?;
    let lane = lane(insn, w, ty)?;
    let a = e.vector(insn, 1, ty, Align::Natural)?;
    let v = e.vec_extract(w, ty, a, lane);
    let to = if insn.is_memory(0) { w } else { insn.width()? };
    let v = e.resize(integer(w), to, v);
    e.write(dst, to, v)?;
    Ok(Step::Next)
}

/// Width of the integer that lanes of width `w` are extracted to and inserted from.
fn integer(w: Width) -> Width {
    w.max(Width::W32)
}

/// The lane of width `w` that the immediate names, modulo the number of lanes.
fn lane(insn: &Insn, w: Width, ty: Type) -> Result<Num, Unsupported> {
    Ok(Num(immediate(insn)? & (ty.bytes() / w.bytes() - 1) as u8))
}

/// `PINSRB`, `PINSRW`, `PINSRD`, `PINSRQ`: SDM 2B.
fn insert(e: &mut Emitter, insn: &Insn, w: Width) -> Translated {
    let (ty, first) = (register_type(insn, 0), first_source(insn));
    let from = if insn.is_memory(first + 1) { w } else { insn.width_of(first + 1)? };
    let v = e.operand(insn, first + 1, from)?;
    let v = e.resize(from, integer(w), v);
    let a = e.vector(insn, first, ty, Align::Natural)?;
    let v = e.vec_insert(w, ty, a, lane(insn, w, ty)?, v);
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
        e.set_vec(reg, ty, cleared(insn), v);
        return Ok(Step::Next);
    }
    let w = insn.width()?;
    if insn.is_memory(0) && insn.is_mm(1) {
        let (reg, at) = (e.vector_register(insn, 1)?, e.address(insn)?);
        e.store_mmx(w, reg, at);
        return Ok(Step::Next);
    }
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
    e.set_vec(reg, Type::V64, cleared(insn), v);
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

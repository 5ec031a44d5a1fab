//! SSE floating point in single precision and in double precision where SSE2 has the same instruction, and SSE moves.

use hokku_ir::{Align, Flag, FlagSet, FpOp, MaskOp, Num, Type, Upper, VecBin, VecShuffle, VecUn, Width};
use iced_x86::{Code, Mnemonic};

use crate::emit::{Emitter, Step, Translated, Translator};
use crate::families::mmx::{mask, packed, shuffle, write};
use crate::insn::Insn;

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    macro_rules! packed {
        ($Op:ident) => {
            |e, i| packed(e, i, VecBin::$Op)
        };
    }
    macro_rules! scalar {
        ($Op:ident, $ty:ident) => {
            |e, i| scalar(e, i, FpOp::$Op, Type::$ty)
        };
    }
    macro_rules! unary {
        ($Op:ident) => {
            |e, i| unary(e, i, VecUn::$Op)
        };
    }
    Some(match code {
        Code::Movsd_xmm_xmmm64 | Code::Movsd_xmmm64_xmm => |e, i| move_scalar(e, i, Type::F64),
        Code::Cmpsd_xmm_xmmm64_imm8 => |e, i| compare_scalar(e, i, Type::F64),
        _ => match code.mnemonic() {
            Mnemonic::Movaps | Mnemonic::Movapd | Mnemonic::Movdqa => |e, i| move_all(e, i, Align::Natural),
            Mnemonic::Movups | Mnemonic::Movupd | Mnemonic::Movdqu => |e, i| move_all(e, i, Align::Any),
            Mnemonic::Movntps | Mnemonic::Movntpd | Mnemonic::Movntdq => |e, i| move_all(e, i, Align::Natural),
            Mnemonic::Movss => |e, i| move_scalar(e, i, Type::F32),
            Mnemonic::Movlps | Mnemonic::Movlpd => move_low,
            Mnemonic::Movhps | Mnemonic::Movhpd => move_high,
            Mnemonic::Movhlps => packed!(MovHlps),
            Mnemonic::Movlhps => packed!(MovLhps),
            Mnemonic::Movmskps => |e, i| mask(e, i, MaskOp::MovmskPs),
            Mnemonic::Movmskpd => |e, i| mask(e, i, MaskOp::MovmskPd),
            Mnemonic::Addps => packed!(AddPs),
            Mnemonic::Addpd => packed!(AddPd),
            Mnemonic::Subps => packed!(SubPs),
            Mnemonic::Subpd => packed!(SubPd),
            Mnemonic::Mulps => packed!(MulPs),
            Mnemonic::Mulpd => packed!(MulPd),
            Mnemonic::Divps => packed!(DivPs),
            Mnemonic::Divpd => packed!(DivPd),
            Mnemonic::Minps => packed!(MinPs),
            Mnemonic::Minpd => packed!(MinPd),
            Mnemonic::Maxps => packed!(MaxPs),
            Mnemonic::Maxpd => packed!(MaxPd),
            Mnemonic::Addss => scalar!(Add, F32),
            Mnemonic::Addsd => scalar!(Add, F64),
            Mnemonic::Subss => scalar!(Sub, F32),
            Mnemonic::Subsd => scalar!(Sub, F64),
            Mnemonic::Mulss => scalar!(Mul, F32),
            Mnemonic::Mulsd => scalar!(Mul, F64),
            Mnemonic::Divss => scalar!(Div, F32),
            Mnemonic::Divsd => scalar!(Div, F64),
            Mnemonic::Minss => scalar!(Min, F32),
            Mnemonic::Minsd => scalar!(Min, F64),
            Mnemonic::Maxss => scalar!(Max, F32),
            Mnemonic::Maxsd => scalar!(Max, F64),
            Mnemonic::Sqrtps => unary!(SqrtPs),
            Mnemonic::Sqrtpd => unary!(SqrtPd),
            Mnemonic::Rcpps => unary!(RcpPs),
            Mnemonic::Rsqrtps => unary!(RsqrtPs),
            Mnemonic::Sqrtss => |e, i| sqrt_scalar(e, i, Type::F32),
            Mnemonic::Sqrtsd => |e, i| sqrt_scalar(e, i, Type::F64),
            Mnemonic::Rcpss => |e, i| approximate_scalar(e, i, VecUn::RcpSs),
            Mnemonic::Rsqrtss => |e, i| approximate_scalar(e, i, VecUn::RsqrtSs),
            Mnemonic::Andps | Mnemonic::Andpd => packed!(Pand),
            Mnemonic::Andnps | Mnemonic::Andnpd => packed!(Pandn),
            Mnemonic::Orps | Mnemonic::Orpd => packed!(Por),
            Mnemonic::Xorps | Mnemonic::Xorpd => packed!(Pxor),
            Mnemonic::Unpcklps => packed!(PunpcklDq),
            Mnemonic::Unpckhps => packed!(PunpckhDq),
            Mnemonic::Unpcklpd => packed!(PunpcklQdq),
            Mnemonic::Unpckhpd => packed!(PunpckhQdq),
            Mnemonic::Shufps => |e, i| shuffle(e, i, VecShuffle::ShufPs),
            Mnemonic::Shufpd => |e, i| shuffle(e, i, VecShuffle::ShufPd),
            Mnemonic::Cmpps => |e, i| compare_packed(e, i, Type::F32),
            Mnemonic::Cmppd => |e, i| compare_packed(e, i, Type::F64),
            Mnemonic::Cmpss => |e, i| compare_scalar(e, i, Type::F32),
            Mnemonic::Comiss => |e, i| compare_flags(e, i, Type::F32, true),
            Mnemonic::Comisd => |e, i| compare_flags(e, i, Type::F64, true),
            Mnemonic::Ucomiss => |e, i| compare_flags(e, i, Type::F32, false),
            Mnemonic::Ucomisd => |e, i| compare_flags(e, i, Type::F64, false),
            Mnemonic::Ldmxcsr => ldmxcsr,
            Mnemonic::Stmxcsr => stmxcsr,
            _ => return None,
        },
    })
}

/// `MOVAPS`, `MOVUPS`, `MOVDQA`, `MOVDQU`, `MOVNTPS` and kin: SDM 2B. All 128 bits.
fn move_all(e: &mut Emitter, insn: &Insn, align: Align) -> Translated {
    let v = e.vector(insn, 1, Type::V128, align)?;
    if insn.is_memory(0) {
        let at = e.address(insn)?;
        e.store(Type::V128, align, at, v);
        return Ok(Step::Next);
    }
    write(e, insn, v)
}

/// `MOVSS`, `MOVSD`: SDM 2B. A load clears the rest of the register, a move between registers keeps it.
fn move_scalar(e: &mut Emitter, insn: &Insn, ty: Type) -> Translated {
    let v = e.vector(insn, 1, ty, Align::Any)?;
    if insn.is_memory(0) {
        let at = e.address(insn)?;
        e.store(ty, Align::Any, at, v);
        return Ok(Step::Next);
    }
    let upper = if insn.is_memory(1) { Upper::Zero128 } else { Upper::Keep };
    let reg = e.vector_register(insn, 0)?;
    e.set_vec(reg, ty, upper, v);
    Ok(Step::Next)
}

/// `MOVLPS`, `MOVLPD`: SDM 2B. The low half, the other stays.
fn move_low(e: &mut Emitter, insn: &Insn) -> Translated {
    let v = e.vector(insn, 1, Type::F64, Align::Any)?;
    if insn.is_memory(0) {
        let at = e.address(insn)?;
        e.store(Type::F64, Align::Any, at, v);
        return Ok(Step::Next);
    }
    let reg = e.vector_register(insn, 0)?;
    e.set_vec(reg, Type::F64, Upper::Keep, v);
    Ok(Step::Next)
}

/// `MOVHPS`, `MOVHPD`: SDM 2B. The high half, the other stays.
fn move_high(e: &mut Emitter, insn: &Insn) -> Translated {
    if insn.is_memory(0) {
        let at = e.address(insn)?;
        let v = e.vector(insn, 1, Type::V128, Align::Any)?;
        let high = e.vec_half(Type::V128, Flag(true), v);
        e.store(Type::V64, Align::Any, at, high);
        return Ok(Step::Next);
    }
    let high = e.vector(insn, 1, Type::V64, Align::Any)?;
    let low = e.vector(insn, 0, Type::V64, Align::Any)?;
    let v = e.vec_join(Type::V128, low, high);
    write(e, insn, v)
}

/// `ADDSS` and kin: SDM 2A, 2B. The rest of the register stays.
fn scalar(e: &mut Emitter, insn: &Insn, op: FpOp, ty: Type) -> Translated {
    let b = e.vector(insn, 1, ty, Align::Any)?;
    let a = e.vector(insn, 0, ty, Align::Any)?;
    let v = e.fp_arith(op, ty, a, b);
    let reg = e.vector_register(insn, 0)?;
    e.set_vec(reg, ty, Upper::Keep, v);
    Ok(Step::Next)
}

/// `SQRTPS`, `SQRTPD`, `RCPPS`, `RSQRTPS`: SDM 2B.
fn unary(e: &mut Emitter, insn: &Insn, op: VecUn) -> Translated {
    let a = e.vector(insn, 1, Type::V128, Align::Natural)?;
    let v = e.vec_unary(op, Type::V128, a);
    write(e, insn, v)
}

/// `SQRTSS`, `SQRTSD`: SDM 2B.
fn sqrt_scalar(e: &mut Emitter, insn: &Insn, ty: Type) -> Translated {
    let a = e.vector(insn, 1, ty, Align::Any)?;
    let v = e.fp_sqrt(ty, a);
    let reg = e.vector_register(insn, 0)?;
    e.set_vec(reg, ty, Upper::Keep, v);
    Ok(Step::Next)
}

/// `RCPSS`, `RSQRTSS`: SDM 2B. The op works on the low lane of a whole register: the source's lane goes into a copy of the destination.
fn approximate_scalar(e: &mut Emitter, insn: &Insn, op: VecUn) -> Translated {
    let source = e.vector(insn, 1, Type::F32, Align::Any)?;
    let bits = e.bitcast(Type::F32, Type::I32, source);
    let old = e.vector(insn, 0, Type::V128, Align::Any)?;
    let a = e.vec_insert(Width::W32, Type::V128, old, Num(0), bits);
    let v = e.vec_unary(op, Type::V128, a);
    write(e, insn, v)
}

/// `CMPPS`, `CMPPD`: SDM 2A. Three bits of the predicate count.
fn compare_packed(e: &mut Emitter, insn: &Insn, lane: Type) -> Translated {
    let predicate = Num(insn.immediate(2)? as u8 & 7);
    let b = e.vector(insn, 1, Type::V128, Align::Natural)?;
    let a = e.vector(insn, 0, Type::V128, Align::Natural)?;
    let v = e.vec_compare(lane, predicate, Type::V128, a, b);
    write(e, insn, v)
}

/// `CMPSS`, `CMPSD`: SDM 2A.
fn compare_scalar(e: &mut Emitter, insn: &Insn, ty: Type) -> Translated {
    let predicate = Num(insn.immediate(2)? as u8 & 7);
    let b = e.vector(insn, 1, ty, Align::Any)?;
    let a = e.vector(insn, 0, ty, Align::Any)?;
    let v = e.fp_compare_mask(ty, predicate, a, b);
    let reg = e.vector_register(insn, 0)?;
    e.set_vec(reg, ty, Upper::Keep, v);
    Ok(Step::Next)
}

/// `COMISS`, `COMISD`, `UCOMISS`, `UCOMISD`: SDM 2A, 2B. All six flags.
fn compare_flags(e: &mut Emitter, insn: &Insn, ty: Type, signalling: bool) -> Translated {
    let b = e.vector(insn, 1, ty, Align::Any)?;
    let a = e.vector(insn, 0, ty, Align::Any)?;
    let flags = e.fp_compare_flags(ty, Flag(signalling), a, b);
    e.set_flags(FlagSet::STATUS, flags);
    Ok(Step::Next)
}

/// `LDMXCSR`: SDM 2A.
fn ldmxcsr(e: &mut Emitter, insn: &Insn) -> Translated {
    let v = e.operand(insn, 0, Width::W32)?;
    e.set_mxcsr(v);
    Ok(Step::Next)
}

/// `STMXCSR`: SDM 2B.
fn stmxcsr(e: &mut Emitter, insn: &Insn) -> Translated {
    let dst = e.place(insn, 0)?;
    let v = e.get_mxcsr();
    e.write(dst, Width::W32, v)?;
    Ok(Step::Next)
}

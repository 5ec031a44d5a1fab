//! SSE floating point in single precision and in double precision where SSE2 has the same instruction, and SSE moves.

use hokku_ir::{Align, Flag, FlagSet, FpOp, MaskOp, Num, Type, VecBin, VecShuffle, VecUn, Width};
use iced_x86::{Code, Mnemonic};

use crate::emit::{Emitter, Step, Translated, Translator};
use crate::families::mmx::mask;
use crate::families::vector::{
    cleared, first_source, immediate, packed, register_type, shuffle_two, sources, unary, write, write_scalar,
};
use crate::insn::{Insn, Unsupported};

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
            Mnemonic::Movaps
            | Mnemonic::Vmovaps
            | Mnemonic::Movapd
            | Mnemonic::Vmovapd
            | Mnemonic::Movdqa
            | Mnemonic::Vmovdqa => |e, i| move_all(e, i, Align::Natural),
            Mnemonic::Movups
            | Mnemonic::Vmovups
            | Mnemonic::Movupd
            | Mnemonic::Vmovupd
            | Mnemonic::Movdqu
            | Mnemonic::Vmovdqu => |e, i| move_all(e, i, Align::Any),
            Mnemonic::Lddqu | Mnemonic::Vlddqu => |e, i| move_all(e, i, Align::Any),
            Mnemonic::Movntdqa | Mnemonic::Vmovntdqa => |e, i| move_all(e, i, Align::Natural),
            Mnemonic::Movntps
            | Mnemonic::Vmovntps
            | Mnemonic::Movntpd
            | Mnemonic::Vmovntpd
            | Mnemonic::Movntdq
            | Mnemonic::Vmovntdq => |e, i| move_all(e, i, Align::Natural),
            Mnemonic::Movss | Mnemonic::Vmovss => |e, i| move_scalar(e, i, Type::F32),
            Mnemonic::Movlps | Mnemonic::Vmovlps | Mnemonic::Movlpd | Mnemonic::Vmovlpd => move_low,
            Mnemonic::Movhps | Mnemonic::Vmovhps | Mnemonic::Movhpd | Mnemonic::Vmovhpd => move_high,
            Mnemonic::Movhlps | Mnemonic::Vmovhlps => packed!(MovHlps),
            Mnemonic::Movlhps | Mnemonic::Vmovlhps => packed!(MovLhps),
            Mnemonic::Movmskps | Mnemonic::Vmovmskps => |e, i| mask(e, i, MaskOp::MovmskPs),
            Mnemonic::Movmskpd | Mnemonic::Vmovmskpd => |e, i| mask(e, i, MaskOp::MovmskPd),
            Mnemonic::Addps | Mnemonic::Vaddps => packed!(AddPs),
            Mnemonic::Addpd | Mnemonic::Vaddpd => packed!(AddPd),
            Mnemonic::Subps | Mnemonic::Vsubps => packed!(SubPs),
            Mnemonic::Subpd | Mnemonic::Vsubpd => packed!(SubPd),
            Mnemonic::Mulps | Mnemonic::Vmulps => packed!(MulPs),
            Mnemonic::Mulpd | Mnemonic::Vmulpd => packed!(MulPd),
            Mnemonic::Divps | Mnemonic::Vdivps => packed!(DivPs),
            Mnemonic::Divpd | Mnemonic::Vdivpd => packed!(DivPd),
            Mnemonic::Minps | Mnemonic::Vminps => packed!(MinPs),
            Mnemonic::Minpd | Mnemonic::Vminpd => packed!(MinPd),
            Mnemonic::Maxps | Mnemonic::Vmaxps => packed!(MaxPs),
            Mnemonic::Maxpd | Mnemonic::Vmaxpd => packed!(MaxPd),
            Mnemonic::Addss | Mnemonic::Vaddss => scalar!(Add, F32),
            Mnemonic::Addsd | Mnemonic::Vaddsd => scalar!(Add, F64),
            Mnemonic::Subss | Mnemonic::Vsubss => scalar!(Sub, F32),
            Mnemonic::Subsd | Mnemonic::Vsubsd => scalar!(Sub, F64),
            Mnemonic::Mulss | Mnemonic::Vmulss => scalar!(Mul, F32),
            Mnemonic::Mulsd | Mnemonic::Vmulsd => scalar!(Mul, F64),
            Mnemonic::Divss | Mnemonic::Vdivss => scalar!(Div, F32),
            Mnemonic::Divsd | Mnemonic::Vdivsd => scalar!(Div, F64),
            Mnemonic::Minss | Mnemonic::Vminss => scalar!(Min, F32),
            Mnemonic::Minsd | Mnemonic::Vminsd => scalar!(Min, F64),
            Mnemonic::Maxss | Mnemonic::Vmaxss => scalar!(Max, F32),
            Mnemonic::Maxsd | Mnemonic::Vmaxsd => scalar!(Max, F64),
            Mnemonic::Sqrtps | Mnemonic::Vsqrtps => unary!(SqrtPs),
            Mnemonic::Sqrtpd | Mnemonic::Vsqrtpd => unary!(SqrtPd),
            Mnemonic::Rcpps | Mnemonic::Vrcpps => unary!(RcpPs),
            Mnemonic::Rsqrtps | Mnemonic::Vrsqrtps => unary!(RsqrtPs),
            Mnemonic::Sqrtss | Mnemonic::Vsqrtss => |e, i| sqrt_scalar(e, i, Type::F32),
            Mnemonic::Sqrtsd | Mnemonic::Vsqrtsd => |e, i| sqrt_scalar(e, i, Type::F64),
            Mnemonic::Rcpss | Mnemonic::Vrcpss => |e, i| approximate_scalar(e, i, VecUn::RcpSs),
            Mnemonic::Rsqrtss | Mnemonic::Vrsqrtss => |e, i| approximate_scalar(e, i, VecUn::RsqrtSs),
            Mnemonic::Andps | Mnemonic::Vandps | Mnemonic::Andpd | Mnemonic::Vandpd => packed!(Pand),
            Mnemonic::Andnps | Mnemonic::Vandnps | Mnemonic::Andnpd | Mnemonic::Vandnpd => packed!(Pandn),
            Mnemonic::Orps | Mnemonic::Vorps | Mnemonic::Orpd | Mnemonic::Vorpd => packed!(Por),
            Mnemonic::Xorps | Mnemonic::Vxorps | Mnemonic::Xorpd | Mnemonic::Vxorpd => packed!(Pxor),
            Mnemonic::Unpcklps | Mnemonic::Vunpcklps => packed!(PunpcklDq),
            Mnemonic::Unpckhps | Mnemonic::Vunpckhps => packed!(PunpckhDq),
            Mnemonic::Unpcklpd | Mnemonic::Vunpcklpd => packed!(PunpcklQdq),
            Mnemonic::Unpckhpd | Mnemonic::Vunpckhpd => packed!(PunpckhQdq),
            Mnemonic::Shufps | Mnemonic::Vshufps => |e, i| shuffle_two(e, i, VecShuffle::ShufPs),
            Mnemonic::Shufpd | Mnemonic::Vshufpd => |e, i| shuffle_two(e, i, VecShuffle::ShufPd),
            Mnemonic::Cmpps | Mnemonic::Vcmpps => |e, i| compare_packed(e, i, Type::F32),
            Mnemonic::Cmppd | Mnemonic::Vcmppd => |e, i| compare_packed(e, i, Type::F64),
            Mnemonic::Vmovsd => |e, i| move_scalar(e, i, Type::F64),
            Mnemonic::Cmpss | Mnemonic::Vcmpss => |e, i| compare_scalar(e, i, Type::F32),
            Mnemonic::Vcmpsd => |e, i| compare_scalar(e, i, Type::F64),
            Mnemonic::Comiss | Mnemonic::Vcomiss => |e, i| compare_flags(e, i, Type::F32, true),
            Mnemonic::Comisd | Mnemonic::Vcomisd => |e, i| compare_flags(e, i, Type::F64, true),
            Mnemonic::Ucomiss | Mnemonic::Vucomiss => |e, i| compare_flags(e, i, Type::F32, false),
            Mnemonic::Ucomisd | Mnemonic::Vucomisd => |e, i| compare_flags(e, i, Type::F64, false),
            Mnemonic::Ldmxcsr | Mnemonic::Vldmxcsr => ldmxcsr,
            Mnemonic::Stmxcsr | Mnemonic::Vstmxcsr => stmxcsr,
            _ => return None,
        },
    })
}

/// `MOVAPS`, `MOVUPS`, `MOVDQA`, `MOVDQU`, `MOVNTPS` and kin, `LDDQU`: SDM 2A, 2B. The whole vector.
fn move_all(e: &mut Emitter, insn: &Insn, align: Align) -> Translated {
    let ty = register_type(insn, u32::from(insn.is_memory(0)));
    let v = e.vector(insn, 1, ty, align)?;
    if insn.is_memory(0) {
        let at = e.address(insn)?;
        e.store(ty, align, at, v);
        return Ok(Step::Next);
    }
    write(e, insn, v)
}

/// `MOVSS`, `MOVSD`: SDM 2B. A load clears the rest of the register, a move between registers keeps it.
fn move_scalar(e: &mut Emitter, insn: &Insn, ty: Type) -> Translated {
    // With three registers the last is the scalar's.
    let v = e.vector(insn, insn.raw.op_count() - 1, ty, Align::Any)?;
    if insn.is_memory(0) {
        let at = e.address(insn)?;
        e.store(ty, Align::Any, at, v);
        return Ok(Step::Next);
    }
    if !insn.is_memory(1) {
        return write_scalar(e, insn, ty, v);
    }
    let reg = e.vector_register(insn, 0)?;
    e.set_vec(reg, ty, cleared(insn), v);
    Ok(Step::Next)
}

/// `MOVLPS`, `MOVLPD`: SDM 2B. The low half, the other stays.
fn move_low(e: &mut Emitter, insn: &Insn) -> Translated {
    let v = e.vector(insn, insn.raw.op_count() - 1, Type::F64, Align::Any)?;
    if insn.is_memory(0) {
        let at = e.address(insn)?;
        e.store(Type::F64, Align::Any, at, v);
        return Ok(Step::Next);
    }
    write_scalar(e, insn, Type::F64, v)
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
    let first = first_source(insn);
    let high = e.vector(insn, first + 1, Type::V64, Align::Any)?;
    let low = e.vector(insn, first, Type::V64, Align::Any)?;
    let v = e.vec_join(Type::V128, low, high);
    write(e, insn, v)
}

/// `ADDSS` and kin: SDM 2A, 2B. The rest of the register is that of the first source.
fn scalar(e: &mut Emitter, insn: &Insn, op: FpOp, ty: Type) -> Translated {
    let first = first_source(insn);
    let b = e.vector(insn, first + 1, ty, Align::Any)?;
    let a = e.vector(insn, first, ty, Align::Any)?;
    let v = e.fp_arith(op, ty, a, b);
    write_scalar(e, insn, ty, v)
}

/// `SQRTSS`, `SQRTSD`: SDM 2B.
fn sqrt_scalar(e: &mut Emitter, insn: &Insn, ty: Type) -> Translated {
    let a = e.vector(insn, first_source(insn) + 1, ty, Align::Any)?;
    let v = e.fp_sqrt(ty, a);
    write_scalar(e, insn, ty, v)
}

/// `RCPSS`, `RSQRTSS`: SDM 2B. The op works on the low lane of a whole register: the source's lane goes into a copy of the first source.
fn approximate_scalar(e: &mut Emitter, insn: &Insn, op: VecUn) -> Translated {
    let first = first_source(insn);
    let source = e.vector(insn, first + 1, Type::F32, Align::Any)?;
    let old = e.vector(insn, first, Type::V128, Align::Any)?;
    let a = e.vec_merge_low(Type::F32, old, source);
    let v = e.vec_unary(op, Type::V128, a);
    write(e, insn, v)
}

/// The predicate of a comparison: 32 of them with VEX, else the first eight.
fn predicate(insn: &Insn) -> Result<Num, Unsupported> {
    Ok(Num(immediate(insn)? & if insn.is_vex() { 31 } else { 7 }))
}

/// `CMPPS`, `CMPPD`: SDM 2A.
fn compare_packed(e: &mut Emitter, insn: &Insn, lane: Type) -> Translated {
    let (ty, a, b) = sources(e, insn)?;
    let v = e.vec_compare(lane, predicate(insn)?, ty, a, b);
    write(e, insn, v)
}

/// `CMPSS`, `CMPSD`: SDM 2A.
fn compare_scalar(e: &mut Emitter, insn: &Insn, ty: Type) -> Translated {
    let first = first_source(insn);
    let b = e.vector(insn, first + 1, ty, Align::Any)?;
    let a = e.vector(insn, first, ty, Align::Any)?;
    let v = e.fp_compare_mask(ty, predicate(insn)?, a, b);
    write_scalar(e, insn, ty, v)
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

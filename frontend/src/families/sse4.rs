//! SSE4.1 and SSE4.2 but for `POPCNT` and `CRC32`.

use hokku_ir::{
    Align, Flag, FlagSet, Gpr, Num, Type, Upper, Value, VecBin, VecImm, VecShuffle, VecTer, VecTest, VecUn, Width,
};
use iced_x86::{Code, Mnemonic};

use crate::emit::{Emitter, Step, Translated, Translator};
use crate::families::vector::{
    first_source, immediate, low_part, packed, register_type, shuffle_two, source, sources, unary, write, write_scalar,
};
use crate::insn::Insn;

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    macro_rules! packed {
        ($Op:ident) => {
            |e, i| packed(e, i, VecBin::$Op)
        };
    }
    macro_rules! extend {
        ($Op:ident) => {
            |e, i| extend(e, i, VecUn::$Op)
        };
    }
    Some(match code.mnemonic() {
        Mnemonic::Pcmpeqq | Mnemonic::Vpcmpeqq => packed!(PcmpeqQ),
        Mnemonic::Pcmpgtq | Mnemonic::Vpcmpgtq => packed!(PcmpgtQ),
        Mnemonic::Pminsb | Mnemonic::Vpminsb => packed!(PminsB),
        Mnemonic::Pminsd | Mnemonic::Vpminsd => packed!(PminsD),
        Mnemonic::Pminuw | Mnemonic::Vpminuw => packed!(PminuW),
        Mnemonic::Pminud | Mnemonic::Vpminud => packed!(PminuD),
        Mnemonic::Pmaxsb | Mnemonic::Vpmaxsb => packed!(PmaxsB),
        Mnemonic::Pmaxsd | Mnemonic::Vpmaxsd => packed!(PmaxsD),
        Mnemonic::Pmaxuw | Mnemonic::Vpmaxuw => packed!(PmaxuW),
        Mnemonic::Pmaxud | Mnemonic::Vpmaxud => packed!(PmaxuD),
        Mnemonic::Pmulld | Mnemonic::Vpmulld => packed!(PmullD),
        Mnemonic::Pmuldq | Mnemonic::Vpmuldq => packed!(PmuldQ),
        Mnemonic::Packusdw | Mnemonic::Vpackusdw => packed!(PackusDw),
        Mnemonic::Phminposuw | Mnemonic::Vphminposuw => |e, i| unary(e, i, VecUn::PhminposuW),
        Mnemonic::Pmovsxbw | Mnemonic::Vpmovsxbw => extend!(PmovsxBw),
        Mnemonic::Pmovsxbd | Mnemonic::Vpmovsxbd => extend!(PmovsxBd),
        Mnemonic::Pmovsxbq | Mnemonic::Vpmovsxbq => extend!(PmovsxBq),
        Mnemonic::Pmovsxwd | Mnemonic::Vpmovsxwd => extend!(PmovsxWd),
        Mnemonic::Pmovsxwq | Mnemonic::Vpmovsxwq => extend!(PmovsxWq),
        Mnemonic::Pmovsxdq | Mnemonic::Vpmovsxdq => extend!(PmovsxDq),
        Mnemonic::Pmovzxbw | Mnemonic::Vpmovzxbw => extend!(PmovzxBw),
        Mnemonic::Pmovzxbd | Mnemonic::Vpmovzxbd => extend!(PmovzxBd),
        Mnemonic::Pmovzxbq | Mnemonic::Vpmovzxbq => extend!(PmovzxBq),
        Mnemonic::Pmovzxwd | Mnemonic::Vpmovzxwd => extend!(PmovzxWd),
        Mnemonic::Pmovzxwq | Mnemonic::Vpmovzxwq => extend!(PmovzxWq),
        Mnemonic::Pmovzxdq | Mnemonic::Vpmovzxdq => extend!(PmovzxDq),
        Mnemonic::Blendps | Mnemonic::Vblendps => |e, i| shuffle_two(e, i, VecShuffle::BlendPs),
        Mnemonic::Blendpd | Mnemonic::Vblendpd => |e, i| shuffle_two(e, i, VecShuffle::BlendPd),
        Mnemonic::Pblendw | Mnemonic::Vpblendw => |e, i| shuffle_two(e, i, VecShuffle::PblendW),
        Mnemonic::Pblendvb | Mnemonic::Vpblendvb => |e, i| blend(e, i, VecTer::BlendvB),
        Mnemonic::Blendvps | Mnemonic::Vblendvps => |e, i| blend(e, i, VecTer::BlendvPs),
        Mnemonic::Blendvpd | Mnemonic::Vblendvpd => |e, i| blend(e, i, VecTer::BlendvPd),
        Mnemonic::Insertps | Mnemonic::Vinsertps => insertps,
        Mnemonic::Mpsadbw | Mnemonic::Vmpsadbw => mpsadbw,
        Mnemonic::Dpps | Mnemonic::Vdpps => |e, i| dot(e, i, Type::F32),
        Mnemonic::Dppd | Mnemonic::Vdppd => |e, i| dot(e, i, Type::F64),
        Mnemonic::Roundps | Mnemonic::Vroundps => |e, i| round_packed(e, i, Type::F32),
        Mnemonic::Roundpd | Mnemonic::Vroundpd => |e, i| round_packed(e, i, Type::F64),
        Mnemonic::Roundss | Mnemonic::Vroundss => |e, i| round_scalar(e, i, Type::F32),
        Mnemonic::Roundsd | Mnemonic::Vroundsd => |e, i| round_scalar(e, i, Type::F64),
        Mnemonic::Ptest | Mnemonic::Vptest => |e, i| test(e, i, VecTest::Ptest),
        Mnemonic::Vtestps => |e, i| test(e, i, VecTest::VtestPs),
        Mnemonic::Vtestpd => |e, i| test(e, i, VecTest::VtestPd),
        // With `rex.w` the decoder calls those with lengths by another name, as assemblers do.
        Mnemonic::Pcmpestri | Mnemonic::Vpcmpestri => |e, i| string(e, i, Width::W32, true),
        Mnemonic::Pcmpestri64 | Mnemonic::Vpcmpestri64 => |e, i| string(e, i, Width::W64, true),
        Mnemonic::Pcmpestrm | Mnemonic::Vpcmpestrm => |e, i| string(e, i, Width::W32, false),
        Mnemonic::Pcmpestrm64 | Mnemonic::Vpcmpestrm64 => |e, i| string(e, i, Width::W64, false),
        Mnemonic::Pcmpistri | Mnemonic::Vpcmpistri => |e, i| string_to_zero(e, i, true),
        Mnemonic::Pcmpistrm | Mnemonic::Vpcmpistrm => |e, i| string_to_zero(e, i, false),
        _ => return None,
    })
}

/// `PMOVSX*`, `PMOVZX*`: SDM 2B.
fn extend(e: &mut Emitter, insn: &Insn, op: VecUn) -> Translated {
    let a = low_part(e, insn, 1)?;
    let v = e.vec_unary(op, register_type(insn, 0), a);
    write(e, insn, v)
}

/// `PBLENDVB`, `BLENDVPS`, `BLENDVPD`: SDM 2A, 2B. The mask is the fourth operand, or in legacy encodings xmm0.
fn blend(e: &mut Emitter, insn: &Insn, op: VecTer) -> Translated {
    let (ty, a, b) = sources(e, insn)?;
    let mask = if insn.is_vex() { source(e, insn, 3, ty)? } else { e.get_vec(Num(0), ty) };
    let v = e.vec_ternary(op, ty, a, b, mask);
    write(e, insn, v)
}

/// `INSERTPS`: SDM 2A. Of memory there is one single, which the immediate does not choose.
fn insertps(e: &mut Emitter, insn: &Insn) -> Translated {
    let first = first_source(insn);
    let imm = immediate(insn)? & if insn.is_memory(first + 1) { 0x3f } else { 0xff };
    let b = low_part(e, insn, first + 1)?;
    let a = source(e, insn, first, Type::V128)?;
    let v = e.vec_shuffle(VecShuffle::InsertPs, Type::V128, a, b, Num(imm));
    write(e, insn, v)
}

/// `MPSADBW`: SDM 2B.
fn mpsadbw(e: &mut Emitter, insn: &Insn) -> Translated {
    let (ty, a, b) = sources(e, insn)?;
    let v = e.vec_imm(VecImm::MpsadBw, ty, a, b, Num(immediate(insn)?));
    write(e, insn, v)
}

/// `DPPS`, `DPPD`: SDM 2A.
fn dot(e: &mut Emitter, insn: &Insn, lane: Type) -> Translated {
    let (ty, a, b) = sources(e, insn)?;
    let v = e.vec_dot(lane, Num(immediate(insn)?), ty, a, b);
    write(e, insn, v)
}

/// `ROUNDPS`, `ROUNDPD`: SDM 2B.
fn round_packed(e: &mut Emitter, insn: &Insn, lane: Type) -> Translated {
    let ty = register_type(insn, 0);
    let a = source(e, insn, 1, ty)?;
    let v = e.vec_integral(lane, Num(immediate(insn)? & 15), ty, a);
    write(e, insn, v)
}

/// `ROUNDSS`, `ROUNDSD`: SDM 2B.
fn round_scalar(e: &mut Emitter, insn: &Insn, ty: Type) -> Translated {
    let a = e.vector(insn, first_source(insn) + 1, ty, Align::Any)?;
    let v = e.fp_integral(ty, Num(immediate(insn)? & 15), a);
    write_scalar(e, insn, ty, v)
}

/// `PTEST` (SDM 2B), `VTESTPS`, `VTESTPD` (SDM 2C).
fn test(e: &mut Emitter, insn: &Insn, op: VecTest) -> Translated {
    let ty = register_type(insn, 0);
    let b = source(e, insn, 1, ty)?;
    let a = source(e, insn, 0, ty)?;
    let flags = e.vec_test_flags(op, ty, a, b);
    e.set_flags(FlagSet::STATUS, flags);
    Ok(Step::Next)
}

/// `PCMPESTRI`, `PCMPESTRM`: SDM 2B. The strings' lengths are in the accumulator and the data register, of width `w`.
fn string(e: &mut Emitter, insn: &Insn, w: Width, index: bool) -> Translated {
    let mut len = |reg| {
        let v = e.get_gpr(reg, w);
        e.resize_signed(w, Width::W64, v)
    };
    let lengths = (len(Gpr::Rax), len(Gpr::Rdx));
    compare_strings(e, insn, Flag(true), lengths, index)
}

/// `PCMPISTRI`, `PCMPISTRM`: SDM 2B.
fn string_to_zero(e: &mut Emitter, insn: &Insn, index: bool) -> Translated {
    let none = e.constant(Width::W64, 0);
    compare_strings(e, insn, Flag(false), (none, none), index)
}

/// The comparison of the two operands, its index in ecx or its mask in xmm0, and its flags. The memory operand may lie anywhere.
fn compare_strings(
    e: &mut Emitter,
    insn: &Insn,
    explicit: Flag,
    (a_len, b_len): (Value, Value),
    index: bool,
) -> Translated {
    let control = Num(immediate(insn)?);
    let b = e.vector(insn, 1, Type::V128, Align::Any)?;
    let a = e.vector(insn, 0, Type::V128, Align::Any)?;
    let flags;
    if index {
        let v = e.vec_string_index(control, explicit, a, a_len, b, b_len);
        flags = e.vec_string_flags(control, explicit, a, a_len, b, b_len);
        e.set_gpr(Gpr::Rcx, Width::W32, v);
    } else {
        let v = e.vec_string_mask(control, explicit, a, a_len, b, b_len);
        flags = e.vec_string_flags(control, explicit, a, a_len, b, b_len);
        e.set_vec(Num(0), Type::V128, if insn.is_vex() { Upper::Zero256 } else { Upper::Keep }, v);
    }
    e.set_flags(FlagSet::STATUS, flags);
    Ok(Step::Next)
}

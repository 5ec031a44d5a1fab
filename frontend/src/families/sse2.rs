//! Conversions between integers, singles and doubles (SSE, SSE2), and the shuffles of SSE3 that the same ops express.

use hokku_ir::{Align, FpRound, Num, Type, Upper, VecBin, VecShuffle, VecUn, X87Control};
use iced_x86::{Code, Mnemonic};

use crate::emit::{Emitter, Step, Translated, Translator};
use crate::families::vector::{
    first_source, low_part, operand_type, packed, register_type, source, sources, write, write_scalar,
};
use crate::insn::Insn;

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    macro_rules! convert {
        ($Op:ident) => {
            |e, i| convert_packed(e, i, VecUn::$Op)
        };
    }
    use FpRound::{Current, Truncate};
    Some(match code.mnemonic() {
        Mnemonic::Cvtdq2ps | Mnemonic::Vcvtdq2ps => convert!(CvtDq2Ps),
        Mnemonic::Cvtps2dq | Mnemonic::Vcvtps2dq => convert!(CvtPs2Dq),
        Mnemonic::Cvttps2dq | Mnemonic::Vcvttps2dq => convert!(CvttPs2Dq),
        Mnemonic::Cvtdq2pd | Mnemonic::Vcvtdq2pd => convert!(CvtDq2Pd),
        Mnemonic::Cvtpd2dq | Mnemonic::Vcvtpd2dq => convert!(CvtPd2Dq),
        Mnemonic::Cvttpd2dq | Mnemonic::Vcvttpd2dq => convert!(CvttPd2Dq),
        Mnemonic::Cvtps2pd | Mnemonic::Vcvtps2pd => convert!(CvtPs2Pd),
        Mnemonic::Cvtpd2ps | Mnemonic::Vcvtpd2ps => convert!(CvtPd2Ps),
        Mnemonic::Cvtsi2ss | Mnemonic::Vcvtsi2ss => |e, i| from_integer(e, i, Type::F32),
        Mnemonic::Cvtsi2sd | Mnemonic::Vcvtsi2sd => |e, i| from_integer(e, i, Type::F64),
        Mnemonic::Cvtss2si | Mnemonic::Vcvtss2si => |e, i| to_integer(e, i, Type::F32, Current),
        Mnemonic::Cvtsd2si | Mnemonic::Vcvtsd2si => |e, i| to_integer(e, i, Type::F64, Current),
        Mnemonic::Cvttss2si | Mnemonic::Vcvttss2si => |e, i| to_integer(e, i, Type::F32, Truncate),
        Mnemonic::Cvttsd2si | Mnemonic::Vcvttsd2si => |e, i| to_integer(e, i, Type::F64, Truncate),
        Mnemonic::Cvtss2sd | Mnemonic::Vcvtss2sd => |e, i| convert_scalar(e, i, Type::F32, Type::F64),
        Mnemonic::Cvtsd2ss | Mnemonic::Vcvtsd2ss => |e, i| convert_scalar(e, i, Type::F64, Type::F32),
        Mnemonic::Cvtpi2ps => |e, i| from_mmx(e, i, Type::V64),
        Mnemonic::Cvtpi2pd => |e, i| from_mmx(e, i, Type::V128),
        Mnemonic::Cvtps2pi => |e, i| to_mmx(e, i, Type::V64, Current),
        Mnemonic::Cvtpd2pi => |e, i| to_mmx(e, i, Type::V128, Current),
        Mnemonic::Cvttps2pi => |e, i| to_mmx(e, i, Type::V64, Truncate),
        Mnemonic::Cvttpd2pi => |e, i| to_mmx(e, i, Type::V128, Truncate),
        Mnemonic::Movddup | Mnemonic::Vmovddup => movddup,
        Mnemonic::Movshdup | Mnemonic::Vmovshdup => |e, i| duplicate(e, i, 0b11_11_01_01),
        Mnemonic::Movsldup | Mnemonic::Vmovsldup => |e, i| duplicate(e, i, 0b10_10_00_00),
        Mnemonic::Addsubps | Mnemonic::Vaddsubps => |e, i| packed(e, i, VecBin::AddsubPs),
        Mnemonic::Addsubpd | Mnemonic::Vaddsubpd => |e, i| packed(e, i, VecBin::AddsubPd),
        Mnemonic::Haddps | Mnemonic::Vhaddps => |e, i| horizontal(e, i, VecBin::AddPs),
        Mnemonic::Haddpd | Mnemonic::Vhaddpd => |e, i| horizontal(e, i, VecBin::AddPd),
        Mnemonic::Hsubps | Mnemonic::Vhsubps => |e, i| horizontal(e, i, VecBin::SubPs),
        Mnemonic::Hsubpd | Mnemonic::Vhsubpd => |e, i| horizontal(e, i, VecBin::SubPd),
        _ => return None,
    })
}

/// `CVTDQ2PS` and the other packed conversions: SDM 2A. The wider side is the vector; a narrow operand is the low part of an XMM register or
/// memory.
fn convert_packed(e: &mut Emitter, insn: &Insn, op: VecUn) -> Translated {
    let ty = if op.narrows() { operand_type(insn, 1) } else { register_type(insn, 0) };
    let a = if op.widens() { low_part(e, insn, 1)? } else { source(e, insn, 1, ty)? };
    let v = e.vec_unary(op, ty, a);
    write(e, insn, v)
}

/// `CVTSI2SS`, `CVTSI2SD`: SDM 2A.
fn from_integer(e: &mut Emitter, insn: &Insn, ty: Type) -> Translated {
    let operand = first_source(insn) + 1;
    let w = insn.width_of(operand)?;
    let v = e.operand(insn, operand, w)?;
    let v = e.int_to_fp(w, ty, v);
    write_scalar(e, insn, ty, v)
}

/// `CVTSS2SI`, `CVTTSS2SI`, `CVTSD2SI`, `CVTTSD2SI`: SDM 2A.
fn to_integer(e: &mut Emitter, insn: &Insn, ty: Type, round: FpRound) -> Translated {
    let w = insn.width()?;
    let dst = e.place(insn, 0)?;
    let v = e.vector(insn, 1, ty, Align::Any)?;
    let v = e.fp_to_int(ty, w, round, v);
    e.write(dst, w, v)?;
    Ok(Step::Next)
}

/// `CVTSS2SD`, `CVTSD2SS`: SDM 2A.
fn convert_scalar(e: &mut Emitter, insn: &Insn, from: Type, to: Type) -> Translated {
    let v = e.vector(insn, first_source(insn) + 1, from, Align::Any)?;
    let v = e.fp_convert(from, to, v);
    write_scalar(e, insn, to, v)
}

/// `CVTPI2PS`, `CVTPI2PD`: SDM 2A.
fn from_mmx(e: &mut Emitter, insn: &Insn, to: Type) -> Translated {
    let v = e.vector(insn, 1, Type::V64, Align::Any)?;
    let v = e.vec_from_mmx_ints(to, v);
    let reg = e.vector_register(insn, 0)?;
    e.set_vec(reg, to, Upper::Keep, v);
    Ok(Step::Next)
}

/// `CVTPS2PI`, `CVTPD2PI` and truncating forms: SDM 2A.
fn to_mmx(e: &mut Emitter, insn: &Insn, from: Type, round: FpRound) -> Translated {
    // A pending x87 exception comes before those of the conversion.
    e.x87_control(X87Control::Wait);
    let v = e.vector(insn, 1, from, Align::Natural)?;
    // A conversion that faults leaves the unit in MMX state, a source that is not there does not.
    e.x87_control(X87Control::Mmx);
    let v = e.vec_to_mmx_ints(from, round, v);
    write(e, insn, v)
}

/// `MOVDDUP`: SDM 2B. The low half of each 128 bits, twice; of memory, 128-bit forms read eight bytes alone.
fn movddup(e: &mut Emitter, insn: &Insn) -> Translated {
    let ty = register_type(insn, 0);
    let v = if ty == Type::V256 {
        let a = source(e, insn, 1, ty)?;
        e.vec_binary(VecBin::PunpcklQdq, ty, a, a)
    } else {
        let low = e.vector(insn, 1, Type::V64, Align::Any)?;
        e.vec_join(ty, low, low)
    };
    write(e, insn, v)
}

/// `MOVSHDUP`, `MOVSLDUP`: SDM 2B. The odd or even singles, each twice.
fn duplicate(e: &mut Emitter, insn: &Insn, imm: u8) -> Translated {
    let ty = register_type(insn, 0);
    let a = source(e, insn, 1, ty)?;
    let v = e.vec_shuffle(VecShuffle::PshufD, ty, a, a, Num(imm));
    write(e, insn, v)
}

/// `HADDPS`, `HADDPD`, `HSUBPS`, `HSUBPD`: SDM 2A. The operation between the even and the odd lanes of both operands, within each 128 bits.
fn horizontal(e: &mut Emitter, insn: &Insn, op: VecBin) -> Translated {
    let (ty, a, b) = sources(e, insn)?;
    let (shuffle, even, odd) = match op {
        VecBin::AddPs | VecBin::SubPs => (VecShuffle::ShufPs, 0b10_00_10_00, 0b11_01_11_01),
        _ => (VecShuffle::ShufPd, 0b0000, 0b1111),
    };
    let x = e.vec_shuffle(shuffle, ty, a, b, Num(even));
    let y = e.vec_shuffle(shuffle, ty, a, b, Num(odd));
    let v = e.vec_binary(op, ty, x, y);
    write(e, insn, v)
}

//! Conversions between integers, singles and doubles (SSE, SSE2), and the shuffles of SSE3 that the same ops express.

use hokku_ir::{Align, Flag, FpRound, Num, Type, Upper, Value, VecBin, VecShuffle, VecUn, X87Control};
use iced_x86::{Code, Mnemonic};

use crate::emit::{Emitter, Step, Translated, Translator};
use crate::families::mmx::write;
use crate::insn::{Insn, Unsupported};

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    macro_rules! convert {
        ($Op:ident) => {
            |e, i| convert_packed(e, i, VecUn::$Op)
        };
    }
    use FpRound::{Current, Truncate};
    Some(match code.mnemonic() {
        Mnemonic::Cvtdq2ps => convert!(CvtDq2Ps),
        Mnemonic::Cvtps2dq => convert!(CvtPs2Dq),
        Mnemonic::Cvttps2dq => convert!(CvttPs2Dq),
        Mnemonic::Cvtdq2pd => convert!(CvtDq2Pd),
        Mnemonic::Cvtpd2dq => convert!(CvtPd2Dq),
        Mnemonic::Cvttpd2dq => convert!(CvttPd2Dq),
        Mnemonic::Cvtps2pd => convert!(CvtPs2Pd),
        Mnemonic::Cvtpd2ps => convert!(CvtPd2Ps),
        Mnemonic::Cvtsi2ss => |e, i| from_integer(e, i, Type::F32),
        Mnemonic::Cvtsi2sd => |e, i| from_integer(e, i, Type::F64),
        Mnemonic::Cvtss2si => |e, i| to_integer(e, i, Type::F32, Current),
        Mnemonic::Cvtsd2si => |e, i| to_integer(e, i, Type::F64, Current),
        Mnemonic::Cvttss2si => |e, i| to_integer(e, i, Type::F32, Truncate),
        Mnemonic::Cvttsd2si => |e, i| to_integer(e, i, Type::F64, Truncate),
        Mnemonic::Cvtss2sd => |e, i| convert_scalar(e, i, Type::F32, Type::F64),
        Mnemonic::Cvtsd2ss => |e, i| convert_scalar(e, i, Type::F64, Type::F32),
        Mnemonic::Cvtpi2ps => |e, i| from_mmx(e, i, Type::V64),
        Mnemonic::Cvtpi2pd => |e, i| from_mmx(e, i, Type::V128),
        Mnemonic::Cvtps2pi => |e, i| to_mmx(e, i, Type::V64, Current),
        Mnemonic::Cvtpd2pi => |e, i| to_mmx(e, i, Type::V128, Current),
        Mnemonic::Cvttps2pi => |e, i| to_mmx(e, i, Type::V64, Truncate),
        Mnemonic::Cvttpd2pi => |e, i| to_mmx(e, i, Type::V128, Truncate),
        Mnemonic::Lddqu => lddqu,
        Mnemonic::Movddup => movddup,
        Mnemonic::Movshdup => |e, i| duplicate(e, i, 0b11_11_01_01),
        Mnemonic::Movsldup => |e, i| duplicate(e, i, 0b10_10_00_00),
        Mnemonic::Haddps => |e, i| horizontal(e, i, VecBin::AddPs),
        Mnemonic::Haddpd => |e, i| horizontal(e, i, VecBin::AddPd),
        Mnemonic::Hsubps => |e, i| horizontal(e, i, VecBin::SubPs),
        Mnemonic::Hsubpd => |e, i| horizontal(e, i, VecBin::SubPd),
        _ => return None,
    })
}

/// The second operand as V128, of which eight bytes lie in memory where the instruction reads only those.
fn source(e: &mut Emitter, insn: &Insn) -> Result<Value, Unsupported> {
    if insn.is_memory(1) && insn.raw.memory_size().size() == 8 {
        let low = e.vector(insn, 1, Type::V64, Align::Any)?;
        let high = e.vec_const(Type::V64, Flag(false));
        return Ok(e.vec_join(Type::V128, low, high));
    }
    e.vector(insn, 1, Type::V128, Align::Natural)
}

/// `CVTDQ2PS` and the other packed conversions: SDM 2A.
fn convert_packed(e: &mut Emitter, insn: &Insn, op: VecUn) -> Translated {
    let a = source(e, insn)?;
    let v = e.vec_unary(op, Type::V128, a);
    write(e, insn, v)
}

/// `CVTSI2SS`, `CVTSI2SD`: SDM 2A.
fn from_integer(e: &mut Emitter, insn: &Insn, ty: Type) -> Translated {
    let w = insn.width_of(1)?;
    let v = e.operand(insn, 1, w)?;
    let v = e.int_to_fp(w, ty, v);
    let reg = e.vector_register(insn, 0)?;
    e.set_vec(reg, ty, Upper::Keep, v);
    Ok(Step::Next)
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
    let v = e.vector(insn, 1, from, Align::Any)?;
    let v = e.fp_convert(from, to, v);
    let reg = e.vector_register(insn, 0)?;
    e.set_vec(reg, to, Upper::Keep, v);
    Ok(Step::Next)
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
    let v = e.vec_to_mmx_ints(from, round, v);
    write(e, insn, v)
}

/// `LDDQU`: SDM 2A.
fn lddqu(e: &mut Emitter, insn: &Insn) -> Translated {
    let v = e.vector(insn, 1, Type::V128, Align::Any)?;
    write(e, insn, v)
}

/// `MOVDDUP`: SDM 2B. Both halves are the source's low half.
fn movddup(e: &mut Emitter, insn: &Insn) -> Translated {
    let low = e.vector(insn, 1, Type::V64, Align::Any)?;
    let v = e.vec_join(Type::V128, low, low);
    write(e, insn, v)
}

/// `MOVSHDUP`, `MOVSLDUP`: SDM 2B. The odd or even singles, each twice.
fn duplicate(e: &mut Emitter, insn: &Insn, imm: u8) -> Translated {
    let a = e.vector(insn, 1, Type::V128, Align::Natural)?;
    let v = e.vec_shuffle(VecShuffle::PshufD, Type::V128, a, a, Num(imm));
    write(e, insn, v)
}

/// `HADDPS`, `HADDPD`, `HSUBPS`, `HSUBPD`: SDM 2A. The operation between the even and the odd lanes of both operands.
fn horizontal(e: &mut Emitter, insn: &Insn, op: VecBin) -> Translated {
    let b = e.vector(insn, 1, Type::V128, Align::Natural)?;
    let a = e.vector(insn, 0, Type::V128, Align::Natural)?;
    let (shuffle, even, odd) = match op {
        VecBin::AddPs | VecBin::SubPs => (VecShuffle::ShufPs, 0b10_00_10_00, 0b11_01_11_01),
        _ => (VecShuffle::ShufPd, 0b00, 0b11),
    };
    let x = e.vec_shuffle(shuffle, Type::V128, a, b, Num(even));
    let y = e.vec_shuffle(shuffle, Type::V128, a, b, Num(odd));
    let v = e.vec_binary(op, Type::V128, x, y);
    write(e, insn, v)
}

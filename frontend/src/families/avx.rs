//! What AVX and F16C have beyond SSE: broadcasts, permutations, halves of YMM registers, masked moves, half precision.

use hokku_ir::{Align, Flag, Num, Type, VecBin, VecShuffle, VecUn, Width};
use iced_x86::{Code, Mnemonic, OpKind};

use crate::emit::{Emitter, Step, Translated, Translator};
use crate::families::vector::{immediate, low_part, packed, register_type, shuffle_one, shuffle_two, source, write};
use crate::insn::Insn;

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    Some(match code.mnemonic() {
        Mnemonic::Vbroadcastss => |e, i| broadcast(e, i, Width::W32),
        Mnemonic::Vbroadcastsd => |e, i| broadcast(e, i, Width::W64),
        Mnemonic::Vbroadcastf128 | Mnemonic::Vbroadcasti128 => broadcast_half,
        Mnemonic::Vperm2f128 | Mnemonic::Vperm2i128 => |e, i| shuffle_two(e, i, VecShuffle::Perm2F128),
        Mnemonic::Vinsertf128 | Mnemonic::Vinserti128 => insert_half,
        Mnemonic::Vextractf128 | Mnemonic::Vextracti128 => extract_half,
        Mnemonic::Vpermilps => permilps,
        Mnemonic::Vpermilpd => permilpd,
        Mnemonic::Vmaskmovps | Mnemonic::Vpmaskmovd => |e, i| masked_move(e, i, Width::W32),
        Mnemonic::Vmaskmovpd | Mnemonic::Vpmaskmovq => |e, i| masked_move(e, i, Width::W64),
        Mnemonic::Vzeroupper => |e, _| zero(e, Flag(false)),
        Mnemonic::Vzeroall => |e, _| zero(e, Flag(true)),
        Mnemonic::Vcvtph2ps => from_half,
        Mnemonic::Vcvtps2ph => to_half,
        _ => return None,
    })
}

/// `VBROADCASTSS`, `VBROADCASTSD`, `VPBROADCAST*`: SDM 2C.
pub(super) fn broadcast(e: &mut Emitter, insn: &Insn, w: Width) -> Translated {
    let a = low_part(e, insn, 1)?;
    let v = e.vec_broadcast(w, register_type(insn, 0), a);
    write(e, insn, v)
}

/// `VBROADCASTF128`, `VBROADCASTI128`: SDM 2C.
fn broadcast_half(e: &mut Emitter, insn: &Insn) -> Translated {
    let a = source(e, insn, 1, Type::V128)?;
    let v = e.vec_join(Type::V256, a, a);
    write(e, insn, v)
}

/// `VINSERTF128`, `VINSERTI128`: SDM 2C.
fn insert_half(e: &mut Emitter, insn: &Insn) -> Translated {
    let b = source(e, insn, 2, Type::V128)?;
    let a = source(e, insn, 1, Type::V256)?;
    let high = immediate(insn)? & 1 != 0;
    let kept = e.vec_half(Type::V256, Flag(!high), a);
    let (low, high) = if high { (kept, b) } else { (b, kept) };
    let v = e.vec_join(Type::V256, low, high);
    write(e, insn, v)
}

/// `VEXTRACTF128`, `VEXTRACTI128`: SDM 2C.
fn extract_half(e: &mut Emitter, insn: &Insn) -> Translated {
    let a = source(e, insn, 1, Type::V256)?;
    let v = e.vec_half(Type::V256, Flag(immediate(insn)? & 1 != 0), a);
    if insn.is_memory(0) {
        let at = e.address(insn)?;
        e.store(Type::V128, Align::Any, at, v);
        return Ok(Step::Next);
    }
    write(e, insn, v)
}

/// `VPERMILPS`: SDM 2C. By an immediate it is a `PSHUFD`.
fn permilps(e: &mut Emitter, insn: &Insn) -> Translated {
    if insn.raw.op2_kind() == OpKind::Immediate8 {
        return shuffle_one(e, insn, VecShuffle::PshufD);
    }
    packed(e, insn, VecBin::PermilPs)
}

/// `VPERMILPD`: SDM 2C. By an immediate it is a `SHUFPD` of one operand.
fn permilpd(e: &mut Emitter, insn: &Insn) -> Translated {
    if insn.raw.op2_kind() == OpKind::Immediate8 {
        return shuffle_one(e, insn, VecShuffle::ShufPd);
    }
    packed(e, insn, VecBin::PermilPd)
}

/// `VMASKMOVPS`, `VMASKMOVPD`, `VPMASKMOVD`, `VPMASKMOVQ`: SDM 2C. The mask is the second operand.
fn masked_move(e: &mut Emitter, insn: &Insn, w: Width) -> Translated {
    let ty = register_type(insn, 1);
    let at = e.address(insn)?;
    let mask = source(e, insn, 1, ty)?;
    if insn.is_memory(0) {
        let v = source(e, insn, 2, ty)?;
        e.store_masked(w, ty, at, v, mask);
        return Ok(Step::Next);
    }
    let v = e.load_masked(w, ty, at, mask);
    write(e, insn, v)
}

/// `VZEROUPPER`, `VZEROALL`: SDM 2C.
fn zero(e: &mut Emitter, all: Flag) -> Translated {
    e.zero_vectors(all);
    Ok(Step::Next)
}

/// `VCVTPH2PS`: SDM 2C.
fn from_half(e: &mut Emitter, insn: &Insn) -> Translated {
    let a = low_part(e, insn, 1)?;
    let v = e.vec_unary(VecUn::CvtPh2Ps, register_type(insn, 0), a);
    write(e, insn, v)
}

/// `VCVTPS2PH`: SDM 2C.
fn to_half(e: &mut Emitter, insn: &Insn) -> Translated {
    let ty = register_type(insn, 1);
    let a = source(e, insn, 1, ty)?;
    let v = e.vec_to_half(Num(immediate(insn)? & 7), ty, a);
    if !insn.is_memory(0) {
        return write(e, insn, v);
    }
    let at = e.address(insn)?;
    if ty == Type::V256 {
        e.store(Type::V128, Align::Any, at, v);
    } else {
        let low = e.vec_half(Type::V128, Flag(false), v);
        e.store(Type::V64, Align::Any, at, low);
    }
    Ok(Step::Next)
}

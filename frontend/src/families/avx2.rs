//! What AVX2 has beyond wider forms of earlier instructions: broadcasts of integers, permutations across halves, shifts lane by lane, gathers.

use hokku_ir::{Num, Type, VecBin, VecShuffle, Width};
use iced_x86::{Code, Mnemonic};

use crate::emit::{Emitter, Step, Translated, Translator};
use crate::families::avx::broadcast;
use crate::families::vector::{packed, register_type, shuffle_one, shuffle_two, source, write};
use crate::insn::{Insn, Unsupported};

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    macro_rules! packed {
        ($Op:ident) => {
            |e, i| packed(e, i, VecBin::$Op)
        };
    }
    use Width::{W8, W16, W32, W64};
    Some(match code.mnemonic() {
        Mnemonic::Vpbroadcastb => |e, i| broadcast(e, i, W8),
        Mnemonic::Vpbroadcastw => |e, i| broadcast(e, i, W16),
        Mnemonic::Vpbroadcastd => |e, i| broadcast(e, i, W32),
        Mnemonic::Vpbroadcastq => |e, i| broadcast(e, i, W64),
        Mnemonic::Vpermd | Mnemonic::Vpermps => permd,
        Mnemonic::Vpermq | Mnemonic::Vpermpd => |e, i| shuffle_one(e, i, VecShuffle::PermQ),
        Mnemonic::Vpblendd => |e, i| shuffle_two(e, i, VecShuffle::BlendPs),
        Mnemonic::Vpsllvd => packed!(PsllvD),
        Mnemonic::Vpsllvq => packed!(PsllvQ),
        Mnemonic::Vpsrlvd => packed!(PsrlvD),
        Mnemonic::Vpsrlvq => packed!(PsrlvQ),
        Mnemonic::Vpsravd => packed!(PsravD),
        Mnemonic::Vgatherdps | Mnemonic::Vpgatherdd => |e, i| gather(e, i, W32, W32),
        Mnemonic::Vgatherdpd | Mnemonic::Vpgatherdq => |e, i| gather(e, i, W64, W32),
        Mnemonic::Vgatherqps | Mnemonic::Vpgatherqd => |e, i| gather(e, i, W32, W64),
        Mnemonic::Vgatherqpd | Mnemonic::Vpgatherqq => |e, i| gather(e, i, W64, W64),
        _ => return None,
    })
}

/// `VPERMD`, `VPERMPS`: SDM 2C. The numbers of the lanes come first.
fn permd(e: &mut Emitter, insn: &Insn) -> Translated {
    let lanes = source(e, insn, 2, Type::V256)?;
    let numbers = source(e, insn, 1, Type::V256)?;
    let v = e.vec_binary(VecBin::PermD, Type::V256, lanes, numbers);
    write(e, insn, v)
}

/// `VGATHER*`, `VPGATHER*`: SDM 2C. Lanes of width `w` at indices of width `index`; the longer vector of the two has as many lanes as are gathered.
fn gather(e: &mut Emitter, insn: &Insn, w: Width, index: Width) -> Translated {
    let at = e.address(insn)?;
    let indices = insn.raw.memory_index();
    let long = register_type(insn, 0) == Type::V256 || indices.is_ymm();
    let ty = if long { Type::V256 } else { Type::V128 };
    if !indices.is_vector_register() {
        return Err(Unsupported);
    }
    let (dst, mask) = (e.vector_register(insn, 0)?, e.vector_register(insn, 2)?);
    let scale = Num(insn.raw.memory_index_scale().trailing_zeros() as u8);
    e.gather(w, index, ty, dst, mask, Num(indices.number() as u8), scale, at);
    Ok(Step::Next)
}

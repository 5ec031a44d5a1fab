//! Exchanges and compare-exchanges, locked and not.

use hokku_ir::{AtomicOp, Flag, FlagSet, Gpr, IntCmp, Width};
use iced_x86::{Code, Mnemonic};

use crate::emit::{Emitter, Place, Step, Translated, Translator};
use crate::insn::Insn;

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    Some(match code.mnemonic() {
        Mnemonic::Xchg => xchg,
        Mnemonic::Xadd => xadd,
        Mnemonic::Cmpxchg => cmpxchg,
        Mnemonic::Cmpxchg8b => |e, i| cmpxchg_pair(e, i, Width::W32),
        Mnemonic::Cmpxchg16b => |e, i| cmpxchg_pair(e, i, Width::W64),
        _ => return None,
    })
}

/// `XCHG`: SDM 2D. With memory it is atomic, prefix or not.
fn xchg(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let (a, b) = (e.place(insn, 0)?, e.place(insn, 1)?);
    let (at, register) = match (a, b) {
        (Place::Memory(at), r) | (r, Place::Memory(at)) => (at, r),
        (a, b) => {
            let (x, y) = (e.read(a, w), e.read(b, w));
            e.write(a, w, y)?;
            e.write(b, w, x)?;
            return Ok(Step::Next);
        }
    };
    let new = e.read(register, w);
    let old = e.atomic_rmw(AtomicOp::Xchg, w, at, new);
    e.write(register, w, old)?;
    Ok(Step::Next)
}

/// `XADD`: SDM 2D. The source gets the old destination, the destination the sum; where both are one register it gets the sum.
fn xadd(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let (dst, src) = (e.place(insn, 0)?, e.place(insn, 1)?);
    let y = e.read(src, w);
    let old = match dst {
        Place::Memory(at) if insn.locked() => e.atomic_rmw(AtomicOp::Add, w, at, y),
        _ => e.read(dst, w),
    };
    let (sum, flags) = (e.add(w, old, y), e.add_flags(w, old, y));
    match dst {
        Place::Memory(_) if insn.locked() => e.write(src, w, old)?,
        Place::Memory(_) => {
            e.write(dst, w, sum)?;
            e.write(src, w, old)?;
        }
        _ => {
            e.write(src, w, old)?;
            e.write(dst, w, sum)?;
        }
    }
    e.set_flags(FlagSet::STATUS, flags);
    Ok(Step::Next)
}

/// `CMPXCHG`: SDM 2A. Flags of comparing the accumulator with the destination. Equal: destination = source. Else: accumulator = destination,
/// and memory is written back. A register that is not assigned keeps its upper half too.
fn cmpxchg(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, dst, src) = e.dst_src(insn)?;
    let acc = e.get_gpr(Gpr::Rax, w);
    let old = match dst {
        Place::Memory(at) if insn.locked() => e.atomic_cas(w, at, acc, src),
        _ => e.read(dst, w),
    };
    let flags = e.sub_flags(w, acc, old);
    let equal = e.compare(IntCmp::Eq, w, acc, old);
    // Assigning 32 bits clears the rest of a register, assigning nothing keeps it.
    let wide = if w == Width::W32 { e.word() } else { w };
    let kept_acc = e.get_gpr(Gpr::Rax, wide);
    let (wide_old, wide_src) = (e.resize(w, wide, old), e.resize(w, wide, src));
    match dst {
        Place::Memory(_) if insn.locked() => {}
        Place::Gpr(reg) => {
            let kept = e.get_gpr(reg, wide);
            let new = e.select(wide, equal, wide_src, kept);
            e.set_gpr(reg, wide, new);
        }
        _ => {
            let new = e.select(w, equal, src, old);
            e.write(dst, w, new)?;
        }
    }
    let new_acc = e.select(wide, equal, kept_acc, wide_old);
    if !matches!(dst, Place::Gpr(Gpr::Rax)) {
        e.set_gpr(Gpr::Rax, wide, new_acc);
    }
    e.set_flags(FlagSet::STATUS, flags);
    Ok(Step::Next)
}

/// `CMPXCHG8B`, `CMPXCHG16B`: SDM 2A.
fn cmpxchg_pair(e: &mut Emitter, insn: &Insn, w: Width) -> Translated {
    let at = e.address(insn)?;
    e.compare_exchange_pair(w, at, Flag(insn.locked()));
    Ok(Step::Next)
}

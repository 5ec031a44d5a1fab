//! String instructions.

use hokku_ir::{Cond, Exit, Flag, Gpr, IntCmp, Rep, Seg, StringOp, Target, Width};
use iced_x86::{Code, OpKind};

use crate::emit::{Emitter, Step, Translated, Translator};
use crate::insn::{Insn, Unsupported};

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    use Code::*;
    Some(match code {
        Movsb_m8_m8 | Movsw_m16_m16 | Movsd_m32_m32 | Movsq_m64_m64 => |e, i| string(e, i, StringOp::Movs),
        Stosb_m8_AL | Stosw_m16_AX | Stosd_m32_EAX | Stosq_m64_RAX => |e, i| string(e, i, StringOp::Stos),
        Lodsb_AL_m8 | Lodsw_AX_m16 | Lodsd_EAX_m32 | Lodsq_RAX_m64 => |e, i| string(e, i, StringOp::Lods),
        Cmpsb_m8_m8 | Cmpsw_m16_m16 | Cmpsd_m32_m32 | Cmpsq_m64_m64 => |e, i| string(e, i, StringOp::Cmps),
        Scasb_AL_m8 | Scasw_AX_m16 | Scasd_EAX_m32 | Scasq_RAX_m64 => |e, i| string(e, i, StringOp::Scas),
        _ => return None,
    })
}

/// `MOVS`, `STOS`, `LODS`, `CMPS`, `SCAS` with their prefixes: SDM 2A and 2B, and REP/REPE/REPNE. `repne` repeats like `rep` where the
/// instruction does not compare.
fn string(e: &mut Emitter, insn: &Insn, op: StringOp) -> Translated {
    let compares = matches!(op, StringOp::Cmps | StringOp::Scas);
    let rep = match (insn.raw.has_rep_prefix(), insn.raw.has_repne_prefix(), compares) {
        (false, false, _) => Rep::Once,
        (_, _, false) => Rep::Rep,
        (true, false, true) => Rep::Repe,
        (_, true, true) => Rep::Repne,
    };
    let source = if matches!(op, StringOp::Stos | StringOp::Scas) { None } else { insn.segment() };
    let (w, address) = (insn.width()?, address_width(insn)?);
    e.string(op, w, rep, address, Flag(source.is_some()), source.unwrap_or(Seg::Ds));
    if e.single_step && rep != Rep::Once {
        return again(e, insn, rep, address);
    }
    Ok(Step::Next)
}

/// One element is done: the instruction itself comes next as long as it repeats.
fn again(e: &mut Emitter, insn: &Insn, rep: Rep, address: Width) -> Translated {
    let count = e.get_gpr(Gpr::Rcx, address);
    let zero = e.constant(address, 0);
    let mut cond = e.compare(IntCmp::Ne, address, count, zero);
    let cc = match rep {
        Rep::Repe => Some(Cond::E),
        Rep::Repne => Some(Cond::Ne),
        Rep::Rep | Rep::Once => None,
    };
    if let Some(cc) = cc {
        let f = e.get_flags();
        let goes_on = e.condition(cc, f);
        cond = e.and(Width::W8, cond, goes_on);
    }
    let (taken, next) = (Target::Guest(insn.pc()), Target::Guest(insn.next()));
    Ok(Step::End(Exit::Branch { cond, taken, next }))
}

/// Width of the index registers.
fn address_width(insn: &Insn) -> Result<Width, Unsupported> {
    insn.raw
        .op_kinds()
        .find_map(|kind| match kind {
            OpKind::MemorySegSI | OpKind::MemoryESDI => Some(Width::W16),
            OpKind::MemorySegESI | OpKind::MemoryESEDI => Some(Width::W32),
            OpKind::MemorySegRSI | OpKind::MemoryESRDI => Some(Width::W64),
            _ => None,
        })
        .ok_or(Unsupported)
}

//! The stack: pushes, pops and frames.

use hokku_ir::{Addr, Align, AtomicOp, Exit, FlagSet, Gpr, Imm, Seg, Type, Value, Width, guest::eflags};
use iced_x86::{Code, Mnemonic, Register};

use crate::emit::{Emitter, Place, Step, Translated, Translator};
use crate::insn::{Insn, Unsupported, segment_register};

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    Some(match code.mnemonic() {
        Mnemonic::Push => push,
        Mnemonic::Pop => pop,
        Mnemonic::Pusha | Mnemonic::Pushad => pusha,
        Mnemonic::Popa | Mnemonic::Popad => popa,
        Mnemonic::Pushf | Mnemonic::Pushfd | Mnemonic::Pushfq => pushf,
        Mnemonic::Popf | Mnemonic::Popfd | Mnemonic::Popfq => popf,
        Mnemonic::Enter => enter,
        Mnemonic::Leave => leave,
        _ => return None,
    })
}

/// `PUSH`: SDM 2B. A segment register is pushed as 16 bits in a slot of the operand width.
fn push(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.stack_width()?;
    if let Some(seg) = insn.register(0).and_then(segment_register) {
        return push_segment(e, seg, w);
    }
    let v = e.operand(insn, 0, w)?;
    e.push_value(w, v);
    Ok(Step::Next)
}

/// Pushes a selector: with 32 bits processors write its two bytes alone and leave the rest of the slot, with 64 they clear the rest.
fn push_segment(e: &mut Emitter, seg: Seg, w: Width) -> Translated {
    let size = -i64::from(w.bytes());
    let selector = e.get_selector(seg);
    let slot = e.stack_slot(size);
    if w == Width::W64 {
        let wide = e.extend_zero(Width::W16, w, selector);
        e.store(Type::I64, Align::Any, slot, wide);
    } else {
        e.store(Type::I16, Align::Any, slot, selector);
    }
    e.move_stack(size);
    Ok(Step::Next)
}

/// `POP`: SDM 2B. A memory destination is addressed with the stack pointer already moved; `pop rsp` keeps what was popped.
fn pop(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.stack_width()?;
    let size = i64::from(w.bytes());
    if let Some(seg) = insn.register(0).and_then(segment_register) {
        let selector = e.stack_top(Width::W16);
        e.set_selector(seg, selector);
        e.move_stack(size);
        return Ok(Step::Next);
    }
    let v = e.stack_top(w);
    match e.place(insn, 0)? {
        Place::Memory(at) => {
            let on_stack = matches!(insn.raw.memory_base(), Register::RSP | Register::ESP);
            e.store(w.ty(), Align::Any, if on_stack { at.plus(size) } else { at }, v);
            e.move_stack(size);
        }
        dst => {
            e.move_stack(size);
            e.write(dst, w, v)?;
        }
    }
    Ok(Step::Next)
}

/// `PUSHA`, `PUSHAD`: SDM 2B. All eight registers, the stack pointer as it was before.
fn pusha(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = if insn.mnemonic() == Mnemonic::Pusha { Width::W16 } else { Width::W32 };
    let size = i64::from(w.bytes());
    for (n, reg) in (1..).zip(&Gpr::ALL[..8]) {
        let v = e.get_gpr(*reg, w);
        let slot = e.stack_slot(-size * n);
        e.store(w.ty(), Align::Any, slot, v);
    }
    e.move_stack(-size * 8);
    Ok(Step::Next)
}

/// `POPA`, `POPAD`: SDM 2B. The stack pointer's image is skipped.
fn popa(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = if insn.mnemonic() == Mnemonic::Popa { Width::W16 } else { Width::W32 };
    let size = i64::from(w.bytes());
    let popped: Vec<(Gpr, Value)> = (0..)
        .zip(Gpr::ALL[..8].iter().rev())
        .filter(|(_, reg)| **reg != Gpr::Rsp)
        .map(|(n, reg)| {
            let slot = e.stack_slot(size * n);
            (*reg, e.load(w.ty(), Align::Any, slot))
        })
        .collect();
    for (reg, v) in popped {
        e.set_gpr(reg, w, v);
    }
    e.move_stack(size * 8);
    Ok(Step::Next)
}

/// EFLAGS as a guest program sees it, I32.
pub(super) fn eflags_image(e: &mut Emitter) -> Value {
    let f = e.get_flags();
    let status = e.flags_to_int(f);
    let system = e.get_system_flags();
    e.or(Width::W32, status, system)
}

/// `PUSHF`: SDM 2B. RF is pushed as zero.
fn pushf(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.stack_width()?;
    let flags = eflags_image(e);
    let visible = e.constant(Width::W32, u64::from(!eflags::RF));
    let flags = e.and(Width::W32, flags, visible);
    let flags = e.resize(Width::W32, w, flags);
    e.push_value(w, flags);
    Ok(Step::Next)
}

/// `POPF`: SDM 2B. By way of the dispatcher, because the trap flag may have been set.
fn popf(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.stack_width()?;
    let image = e.stack_top(w);
    e.move_stack(i64::from(w.bytes()));
    set_eflags_image(e, w, image);
    let word = e.word();
    let target = e.constant(word, insn.next().0);
    Ok(Step::End(Exit::Dispatch { target }))
}

/// Sets what a user program may set of EFLAGS from an image of width `w`.
pub(super) fn set_eflags_image(e: &mut Emitter, w: Width, image: Value) {
    let image = e.resize(w, Width::W32, image);
    let status = e.int_to_flags(image);
    e.set_flags(FlagSet::STATUS, status);
    e.set_system_flags(Imm(w.mask() & u64::from(eflags::USER)), image);
}

/// `ENTER`: SDM 2A. Copies `level - 1` frame pointers of the enclosing procedures.
fn enter(e: &mut Emitter, insn: &Insn) -> Translated {
    let (room, level) = (insn.raw.immediate16(), insn.raw.immediate8_2nd() & 31);
    let w = match insn.code() {
        Code::Enterw_imm16_imm8 => Width::W16,
        Code::Enterd_imm16_imm8 => Width::W32,
        Code::Enterq_imm16_imm8 => Width::W64,
        _ => return Err(Unsupported),
    };
    let (word, size) = (e.word(), i64::from(w.bytes()));
    let frame = e.get_gpr(Gpr::Rbp, word);
    let old = e.get_gpr(Gpr::Rbp, w);
    let frame_slot = e.stack_slot(-size);
    e.store(w.ty(), Align::Any, frame_slot, old);
    let new = e.lea(word, frame_slot);
    let new = e.resize(word, w, new);
    let mut depth = size;
    for n in 1..i64::from(level) {
        let outer = e.load(w.ty(), Align::Any, Addr::at(frame, word).plus(-size * n));
        depth += size;
        let slot = e.stack_slot(-depth);
        e.store(w.ty(), Align::Any, slot, outer);
    }
    if level > 0 {
        depth += size;
        let slot = e.stack_slot(-depth);
        e.store(w.ty(), Align::Any, slot, new);
    }
    // "If ... a write using the final value of the stack pointer ... would cause a page fault, or a stack fault", it does so here.
    let end = e.stack_slot(-depth - i64::from(room));
    let nothing = e.iconst(Width::W8, Imm(0));
    e.atomic_rmw(AtomicOp::Or, Width::W8, end, nothing);
    e.move_stack(-depth - i64::from(room));
    e.set_gpr(Gpr::Rbp, w, new);
    Ok(Step::Next)
}

/// `LEAVE`: SDM 2A. rsp = rbp, pop rbp.
fn leave(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = match insn.code() {
        Code::Leavew => Width::W16,
        Code::Leaved => Width::W32,
        Code::Leaveq => Width::W64,
        _ => return Err(Unsupported),
    };
    let word = e.word();
    let frame = e.get_gpr(Gpr::Rbp, word);
    let slot = Addr::at(frame, word);
    let old = e.load(w.ty(), Align::Any, slot);
    let sp = e.lea(word, slot.plus(i64::from(w.bytes())));
    e.set_gpr(Gpr::Rsp, word, sp);
    e.set_gpr(Gpr::Rbp, w, old);
    Ok(Step::Next)
}

//! Jumps, calls and returns.

use hokku_ir::{Align, CheckedTrap, Cond, Exit, Gpr, IntCmp, Seg, Target, Type, Value, Width};
use iced_x86::{Code, Mnemonic, OpKind};

use crate::emit::{Emitter, Step, Translated, Translator};
use crate::families::mov::condition;
use crate::families::stack::set_eflags_image;
use crate::insn::{Insn, Unsupported};

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    Some(match code.mnemonic() {
        Mnemonic::Jmp if code.is_jmp_far() => jmp_far_direct,
        Mnemonic::Jmp if code.is_jmp_far_indirect() => jmp_far_indirect,
        Mnemonic::Jmp if code.is_jmp_near_indirect() => jmp_indirect,
        Mnemonic::Jmp => jmp,
        Mnemonic::Call if code.is_call_far() => call_far_direct,
        Mnemonic::Call if code.is_call_far_indirect() => call_far_indirect,
        Mnemonic::Call if code.is_call_near_indirect() => call_indirect,
        Mnemonic::Call => call,
        Mnemonic::Ret => ret,
        Mnemonic::Retf => ret_far,
        Mnemonic::Iret | Mnemonic::Iretd | Mnemonic::Iretq => iret,
        _ if code.is_jcc_short_or_near() => jcc,
        _ if code.is_jcx_short() => jrcxz,
        _ if code.is_loop() || code.is_loopcc() => loop_,
        _ => return None,
    })
}

fn branch(insn: &Insn, cond: Value) -> Translated {
    Ok(Step::End(Exit::Branch { cond, taken: Target::Guest(insn.target()), next: Target::Guest(insn.next()) }))
}

/// `JMP rel`: SDM 2A.
fn jmp(e: &mut Emitter, insn: &Insn) -> Translated {
    e.jump(insn.target())
}

/// `JMP r/m`: SDM 2A.
fn jmp_indirect(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, word) = (insn.width()?, e.word());
    let target = e.operand(insn, 0, w)?;
    Ok(Step::End(Exit::Indirect { target: e.resize(w, word, target) }))
}

/// `Jcc`: SDM 2A.
fn jcc(e: &mut Emitter, insn: &Insn) -> Translated {
    let cc = condition(insn)?;
    let f = e.get_flags();
    let cond = e.condition(cc, f);
    branch(insn, cond)
}

/// `JCXZ`, `JECXZ`, `JRCXZ`: SDM 2A, Jcc. The address size selects the register.
fn jrcxz(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = match insn.mnemonic() {
        Mnemonic::Jcxz => Width::W16,
        Mnemonic::Jecxz => Width::W32,
        _ => Width::W64,
    };
    let n = e.get_gpr(Gpr::Rcx, w);
    let zero = e.constant(w, 0);
    let cond = e.compare(IntCmp::Eq, w, n, zero);
    branch(insn, cond)
}

/// The width of the counter of `LOOP`, by the address size.
fn loop_counter(code: Code) -> Width {
    use Code::*;
    match code {
        Loop_rel8_16_CX | Loop_rel8_32_CX | Loope_rel8_16_CX | Loope_rel8_32_CX | Loopne_rel8_16_CX
        | Loopne_rel8_32_CX => Width::W16,
        Loop_rel8_16_RCX | Loop_rel8_64_RCX | Loope_rel8_16_RCX | Loope_rel8_64_RCX | Loopne_rel8_16_RCX
        | Loopne_rel8_64_RCX => Width::W64,
        _ => Width::W32,
    }
}

/// `LOOP`, `LOOPE`, `LOOPNE`: SDM 2A. No flags are written.
fn loop_(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = loop_counter(insn.code());
    let n = e.get_gpr(Gpr::Rcx, w);
    let one = e.constant(w, 1);
    let n = e.sub(w, n, one);
    let zero = e.constant(w, 0);
    let mut cond = e.compare(IntCmp::Ne, w, n, zero);
    let cc = match insn.mnemonic() {
        Mnemonic::Loope => Some(Cond::E),
        Mnemonic::Loopne => Some(Cond::Ne),
        _ => None,
    };
    if let Some(cc) = cc {
        let f = e.get_flags();
        let equal = e.condition(cc, f);
        cond = e.and(Width::W8, cond, equal);
    }
    e.set_gpr(Gpr::Rcx, w, n);
    branch(insn, cond)
}

/// `CALL rel`: SDM 2A. A call to the next instruction reads the instruction pointer and never returns: a push.
fn call(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.stack_width()?;
    let ret = e.constant(w, insn.next().0);
    e.push_value(w, ret);
    if insn.target() == insn.next() {
        return Ok(Step::Next);
    }
    Ok(Step::End(Exit::Call { to: Target::Guest(insn.target()), ret: insn.next(), ret_block: None }))
}

/// `CALL r/m`: SDM 2A. The target is read before the push.
fn call_indirect(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, word) = (insn.width()?, e.word());
    let target = e.operand(insn, 0, w)?;
    let target = e.resize(w, word, target);
    let ret = e.constant(w, insn.next().0);
    e.push_value(w, ret);
    Ok(Step::End(Exit::IndirectCall { target, ret: insn.next(), ret_block: None }))
}

/// Bytes that a return drops beside the return address.
fn dropped(insn: &Insn) -> i64 {
    if insn.raw.op_count() == 1 { i64::from(insn.raw.immediate16()) } else { 0 }
}

/// `RET`: SDM 2B.
fn ret(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = match insn.code() {
        Code::Retnw | Code::Retnw_imm16 => Width::W16,
        Code::Retnd | Code::Retnd_imm16 => Width::W32,
        Code::Retnq | Code::Retnq_imm16 => Width::W64,
        _ => return Err(Unsupported),
    };
    let word = e.word();
    let target = e.stack_top(w);
    let target = e.resize(w, word, target);
    e.move_stack(i64::from(w.bytes()) + dropped(insn));
    Ok(Step::End(Exit::Return { target }))
}

// ---- Far transfers. Segments are flat: a transfer within the code segment that the program runs in is a near one that moves the selector
// as well; any other selector is a general protection fault.

/// #GP unless `selector` (I16) is the code segment's.
fn check_code_selector(e: &mut Emitter, selector: Value) {
    let cs = e.get_selector(Seg::Cs);
    let other = e.compare(IntCmp::Ne, Width::W16, selector, cs);
    e.trap_if(CheckedTrap::Protection, other);
}

/// #GP unless `target` is canonical, in 64-bit code.
fn check_target(e: &mut Emitter, target: Value) {
    if e.word() == Width::W64 {
        let n = e.constant(Width::W8, 16);
        let canonical = e.shl(Width::W64, target, n);
        let canonical = e.sar(Width::W64, canonical, n);
        let other = e.compare(IntCmp::Ne, Width::W64, target, canonical);
        e.trap_if(CheckedTrap::Protection, other);
    }
}

/// Selector and offset of a far pointer in memory, the offset in the mode's word.
fn far_pointer(e: &mut Emitter, insn: &Insn, w: Width) -> Result<(Value, Value), Unsupported> {
    let at = e.address(insn)?;
    let word = e.word();
    let offset = e.load(w.ty(), Align::Any, at);
    let offset = e.resize(w, word, offset);
    let selector = e.load(Type::I16, Align::Any, at.plus(i64::from(w.bytes())));
    Ok((selector, offset))
}

/// Selector (I16) and offset of an immediate far pointer.
fn far_immediate(e: &mut Emitter, insn: &Insn) -> (Value, u64) {
    let offset = match insn.raw.op0_kind() {
        OpKind::FarBranch16 => u64::from(insn.raw.far_branch16()),
        _ => u64::from(insn.raw.far_branch32()),
    };
    (e.constant(Width::W16, u64::from(insn.raw.far_branch_selector())), offset)
}

/// Width of the offset of a far pointer operand.
fn far_width(code: Code) -> Width {
    match code {
        Code::Jmp_m1616 | Code::Call_m1616 | Code::Call_ptr1616 | Code::Retfw | Code::Retfw_imm16 => Width::W16,
        Code::Jmp_m1664 | Code::Call_m1664 | Code::Retfq | Code::Retfq_imm16 => Width::W64,
        _ => Width::W32,
    }
}

/// `JMP ptr16:16`, `ptr16:32`: SDM 2A.
fn jmp_far_direct(e: &mut Emitter, insn: &Insn) -> Translated {
    let (selector, offset) = far_immediate(e, insn);
    check_code_selector(e, selector);
    let target = e.constant(Width::W32, offset);
    Ok(Step::End(Exit::Indirect { target }))
}

/// `JMP m16:16`, `m16:32`, `m16:64`: SDM 2A.
fn jmp_far_indirect(e: &mut Emitter, insn: &Insn) -> Translated {
    let (selector, target) = far_pointer(e, insn, far_width(insn.code()))?;
    check_code_selector(e, selector);
    check_target(e, target);
    Ok(Step::End(Exit::Indirect { target }))
}

/// Pushes the code selector and the return address. Processors have stored both when they find that `target` is no address.
fn push_far_return(e: &mut Emitter, insn: &Insn, w: Width, target: Value) {
    let size = i64::from(w.bytes());
    let cs = e.get_selector(Seg::Cs);
    let cs = e.resize(Width::W16, w, cs);
    let ret = e.constant(w, insn.next().0);
    let slot = e.stack_slot(-size);
    e.store(w.ty(), Align::Any, slot, cs);
    let slot = e.stack_slot(-2 * size);
    e.store(w.ty(), Align::Any, slot, ret);
    check_target(e, target);
    e.move_stack(-2 * size);
}

/// `CALL ptr16:16`, `ptr16:32`: SDM 2A.
fn call_far_direct(e: &mut Emitter, insn: &Insn) -> Translated {
    let (selector, offset) = far_immediate(e, insn);
    check_code_selector(e, selector);
    let target = e.constant(Width::W32, offset);
    push_far_return(e, insn, far_width(insn.code()), target);
    Ok(Step::End(Exit::Indirect { target }))
}

/// `CALL m16:16`, `m16:32`, `m16:64`: SDM 2A.
fn call_far_indirect(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = far_width(insn.code());
    let (selector, target) = far_pointer(e, insn, w)?;
    check_code_selector(e, selector);
    push_far_return(e, insn, w, target);
    Ok(Step::End(Exit::Indirect { target }))
}

/// `RETF`: SDM 2B, RET.
fn ret_far(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, word) = (far_width(insn.code()), e.word());
    let size = i64::from(w.bytes());
    let slot = e.stack_slot(size);
    let selector = e.load(Type::I16, Align::Any, slot);
    let target = e.stack_top(w);
    let target = e.resize(w, word, target);
    check_code_selector(e, selector);
    check_target(e, target);
    e.move_stack(2 * size + dropped(insn));
    Ok(Step::End(Exit::Indirect { target }))
}

/// `IRET`: SDM 2A, to the same privilege: instruction pointer, code selector and flags from the stack, in 64-bit code the stack pointer and
/// its selector too.
fn iret(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = match insn.mnemonic() {
        Mnemonic::Iret => Width::W16,
        Mnemonic::Iretd => Width::W32,
        _ => Width::W64,
    };
    let (word, size) = (e.word(), i64::from(w.bytes()));
    let item = |e: &mut Emitter, n: i64, ty: Type| {
        let slot = e.stack_slot(size * n);
        e.load(ty, Align::Any, slot)
    };
    // The flags are read first, as faults tell.
    let image = item(e, 2, w.ty());
    let selector = item(e, 1, Type::I16);
    let target = item(e, 0, w.ty());
    let stack = (word == Width::W64).then(|| (item(e, 3, w.ty()), item(e, 4, Type::I16)));
    let target = e.resize(w, word, target);
    check_code_selector(e, selector);
    check_target(e, target);
    match stack {
        Some((sp, ss)) => {
            e.set_selector(Seg::Ss, ss);
            let sp = e.resize(w, word, sp);
            e.set_gpr(Gpr::Rsp, word, sp);
        }
        None => e.move_stack(3 * size),
    }
    set_eflags_image(e, w, image);
    Ok(Step::End(Exit::Dispatch { target }))
}

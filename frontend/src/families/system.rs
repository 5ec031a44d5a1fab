//! The system's instructions: calls into the kernel, flags, processor facts, hints, and what a user program may not do.

use hokku_ir::{
    Align, CheckedTrap, Cond, CpuFeatures, Exit, Fence, Flag, FlagSet, Gpr, Imm, IntCmp, Seg, SyscallKind, Trap, Type,
    Value, Width, XsaveForm, guest::eflags,
};
use iced_x86::{Code, Mnemonic};

use crate::emit::{Emitter, Step, Translated, Translator};
use crate::families::stack::eflags_image;
use crate::insn::{Insn, Unsupported};

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    Some(match code.mnemonic() {
        Mnemonic::Clc => |e, _| set_carry(e, false),
        Mnemonic::Stc => |e, _| set_carry(e, true),
        Mnemonic::Cmc => cmc,
        Mnemonic::Cld => |e, _| set_direction(e, false),
        Mnemonic::Std => |e, _| set_direction(e, true),
        Mnemonic::Salc => salc,
        Mnemonic::Syscall => syscall,
        Mnemonic::Sysret | Mnemonic::Sysretq => sysret,
        Mnemonic::Sysenter => sysenter,
        Mnemonic::Int => int,
        Mnemonic::Int3 => |e, i| e.trap(i, Trap::Breakpoint),
        Mnemonic::Int1 => |e, i| e.trap(i, Trap::Debug),
        Mnemonic::Into => into,
        Mnemonic::Bound => bound,
        Mnemonic::Arpl => arpl,
        Mnemonic::Ud0 | Mnemonic::Ud1 | Mnemonic::Ud2 => invalid,
        Mnemonic::Cpuid => |e, _| done(e.cpuid()),
        Mnemonic::Rdtsc => |e, _| rdtsc(e),
        Mnemonic::Rdtscp => rdtscp,
        Mnemonic::Rdpid => rdpid,
        Mnemonic::Rdrand | Mnemonic::Rdseed => random,
        Mnemonic::Xgetbv => xgetbv,
        Mnemonic::Xsave | Mnemonic::Xsave64 => |e, i| xsave(e, i, XsaveForm::Save),
        Mnemonic::Xsaveopt | Mnemonic::Xsaveopt64 => |e, i| xsave(e, i, XsaveForm::SaveOptimised),
        Mnemonic::Xsavec | Mnemonic::Xsavec64 => |e, i| xsave(e, i, XsaveForm::SaveCompacted),
        Mnemonic::Xrstor | Mnemonic::Xrstor64 => |e, i| xsave(e, i, XsaveForm::Restore),
        Mnemonic::Lar => lar,
        Mnemonic::Lsl => lsl,
        Mnemonic::Verr | Mnemonic::Verw => verify_segment,
        Mnemonic::Rdfsbase => |e, i| read_base(e, i, Seg::Fs),
        Mnemonic::Rdgsbase => |e, i| read_base(e, i, Seg::Gs),
        Mnemonic::Wrfsbase => |e, i| write_base(e, i, Seg::Fs),
        Mnemonic::Wrgsbase => |e, i| write_base(e, i, Seg::Gs),
        // Without shadow stacks RDSSP is one of the reserved hints, and leaves its register.
        Mnemonic::Rdsspd | Mnemonic::Rdsspq => nop,
        Mnemonic::Nop | Mnemonic::Reservednop | Mnemonic::Endbr32 | Mnemonic::Endbr64 | Mnemonic::Cldemote => nop,
        Mnemonic::Prefetch | Mnemonic::Prefetchw | Mnemonic::Prefetchwt1 | Mnemonic::Prefetchnta => nop,
        Mnemonic::Prefetcht0 | Mnemonic::Prefetcht1 | Mnemonic::Prefetcht2 => nop,
        Mnemonic::Prefetchit0 | Mnemonic::Prefetchit1 => nop,
        Mnemonic::Pause => |e, _| done(e.pause()),
        Mnemonic::Lfence => |e, _| done(e.fence(Fence::Load)),
        Mnemonic::Sfence => |e, _| done(e.fence(Fence::Store)),
        Mnemonic::Mfence => |e, _| done(e.fence(Fence::Full)),
        Mnemonic::Clflush | Mnemonic::Clflushopt | Mnemonic::Clwb => flush_line,
        Mnemonic::Hlt => |e, i| e.trap(i, Trap::Halt),
        Mnemonic::Cli | Mnemonic::Sti | Mnemonic::In | Mnemonic::Out | Mnemonic::Rdpmc => privileged,
        Mnemonic::Insb | Mnemonic::Insw | Mnemonic::Insd => privileged,
        Mnemonic::Outsb | Mnemonic::Outsw | Mnemonic::Outsd => privileged,
        Mnemonic::Sgdt | Mnemonic::Sidt => store_table_register,
        Mnemonic::Sldt | Mnemonic::Smsw | Mnemonic::Str => store_system_word,
        _ if code.is_privileged() => privileged,
        _ => return None,
    })
}

fn done(_: hokku_ir::Value) -> Translated {
    Ok(Step::Next)
}

/// `NOP`, `ENDBR`, prefetches and the reserved hint space.
fn nop(_: &mut Emitter, _: &Insn) -> Translated {
    Ok(Step::Next)
}

/// #GP: allowed in the kernel alone.
fn privileged(e: &mut Emitter, insn: &Insn) -> Translated {
    e.trap(insn, Trap::Protection)
}

/// What a program reads of the kernel's registers where nothing forbids it: a descriptor table register's limit and base (the top of the address
/// space, where nothing of the program is) and CR0 (protection, x87, paging, alignment checks).
const TABLE_LIMIT: u64 = 0xff;
const TABLE_BASE: u64 = 0xffff_ffff_ffff_0000;
const CR0: u64 = 0x8005_0033;
/// Selector of the task state segment.
const TASK: u64 = 0x40;

/// `SGDT`, `SIDT`: SDM 2B. With UMIP the kernel's alone.
fn store_table_register(e: &mut Emitter, insn: &Insn) -> Translated {
    if e.features.contains(CpuFeatures::UMIP) {
        return privileged(e, insn);
    }
    let at = e.address(insn)?;
    let word = e.word();
    let limit = e.constant(Width::W16, TABLE_LIMIT);
    e.store(Type::I16, Align::Any, at, limit);
    let base = e.constant(word, TABLE_BASE);
    e.store(word.ty(), Align::Any, at.plus(2), base);
    Ok(Step::Next)
}

/// `SLDT`, `STR`, `SMSW`: SDM 2B. With UMIP the kernel's alone. A register gets zeros above the 16 bits, but all of CR0's low half.
fn store_system_word(e: &mut Emitter, insn: &Insn) -> Translated {
    if e.features.contains(CpuFeatures::UMIP) {
        return privileged(e, insn);
    }
    let value = match insn.mnemonic() {
        Mnemonic::Smsw => CR0,
        Mnemonic::Str => TASK,
        _ => 0,
    };
    let dst = e.place(insn, 0)?;
    let w = if insn.is_memory(0) { Width::W16 } else { insn.width()? };
    let v = e.constant(w, value);
    e.write(dst, w, v)?;
    Ok(Step::Next)
}

/// #UD.
fn invalid(e: &mut Emitter, insn: &Insn) -> Translated {
    e.trap(insn, Trap::InvalidOpcode)
}

/// `CLC`, `STC`: SDM 2A, 2B.
fn set_carry(e: &mut Emitter, carry: bool) -> Translated {
    let image = e.constant(Width::W32, u64::from(carry));
    let f = e.int_to_flags(image);
    e.set_flags(FlagSet::CF, f);
    Ok(Step::Next)
}

/// `CMC`: SDM 2A.
fn cmc(e: &mut Emitter, _: &Insn) -> Translated {
    let f = e.get_flags();
    let carry = e.condition(Cond::Ae, f);
    let carry = e.extend_zero(Width::W8, Width::W32, carry);
    let f = e.int_to_flags(carry);
    e.set_flags(FlagSet::CF, f);
    Ok(Step::Next)
}

/// `CLD`, `STD`: SDM 2A, 2B.
fn set_direction(e: &mut Emitter, down: bool) -> Translated {
    let v = e.constant(Width::W32, if down { u64::from(eflags::DF) } else { 0 });
    e.set_system_flags(Imm(u64::from(eflags::DF)), v);
    Ok(Step::Next)
}

/// `SALC` (undocumented, 32-bit code): al = all ones where CF is set, else zero.
fn salc(e: &mut Emitter, _: &Insn) -> Translated {
    let f = e.get_flags();
    let c = e.condition(Cond::B, f);
    let (ones, zero) = (e.constant(Width::W8, 0xff), e.constant(Width::W8, 0));
    let v = e.select(Width::W8, c, ones, zero);
    e.set_gpr(Gpr::Rax, Width::W8, v);
    Ok(Step::Next)
}

fn enter_kernel(insn: &Insn, kind: SyscallKind) -> Translated {
    Ok(Step::End(Exit::Syscall { kind, at: insn.pc(), next: insn.next() }))
}

/// `SYSCALL`: SDM 2B. rcx = next instruction, r11 = rflags. Intel's processors refuse it in 32-bit code.
fn syscall(e: &mut Emitter, insn: &Insn) -> Translated {
    if e.word() == Width::W32 {
        return invalid(e, insn);
    }
    let next = e.constant(Width::W64, insn.next().0);
    let flags = eflags_image(e);
    let flags = e.extend_zero(Width::W32, Width::W64, flags);
    e.set_gpr(Gpr::Rcx, Width::W64, next);
    e.set_gpr(Gpr::R11, Width::W64, flags);
    enter_kernel(insn, SyscallKind::Syscall)
}

/// `SYSRET`: SDM 2B. The kernel's, and like `SYSCALL` refused in 32-bit code.
fn sysret(e: &mut Emitter, insn: &Insn) -> Translated {
    if e.word() == Width::W32 { invalid(e, insn) } else { privileged(e, insn) }
}

/// `SYSENTER`: SDM 2B. Haiku sets it up for 32-bit programs alone.
fn sysenter(e: &mut Emitter, insn: &Insn) -> Translated {
    if e.word() == Width::W64 {
        return privileged(e, insn);
    }
    enter_kernel(insn, SyscallKind::Sysenter)
}

/// `INT n`: SDM 2A.
fn int(e: &mut Emitter, insn: &Insn) -> Translated {
    match insn.raw.immediate8() {
        3 => e.trap(insn, Trap::Breakpoint),
        4 => e.trap(insn, Trap::Overflow),
        n => enter_kernel(insn, SyscallKind::Int(n)),
    }
}

/// `INTO`: SDM 2A, INT n.
fn into(e: &mut Emitter, _: &Insn) -> Translated {
    let f = e.get_flags();
    let overflow = e.condition(Cond::O, f);
    e.trap_if(CheckedTrap::Overflow, overflow);
    Ok(Step::Next)
}

/// `BOUND`: SDM 2A. #BR unless lower <= index <= upper, signed; the two bounds lie side by side in memory.
fn bound(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let index = e.operand(insn, 0, w)?;
    let at = e.address(insn)?;
    let lower = e.load(w.ty(), Align::Any, at);
    let below = e.compare(IntCmp::Slt, w, index, lower);
    e.trap_if(CheckedTrap::Bound, below);
    let upper = e.load(w.ty(), Align::Any, at.plus(i64::from(w.bytes())));
    let above = e.compare(IntCmp::Slt, w, upper, index);
    e.trap_if(CheckedTrap::Bound, above);
    Ok(Step::Next)
}

/// `ARPL` (32-bit code): SDM 2A. Raises the destination's privilege number (low two bits) to the source's; ZF tells whether it changed.
fn arpl(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = Width::W16;
    let (dst, src) = (e.place(insn, 0)?, e.operand(insn, 1, w)?);
    let x = e.read(dst, w);
    let (low, high) = (e.constant(w, 3), e.constant(w, !3));
    let (rpl_x, rpl_y) = (e.and(w, x, low), e.and(w, src, low));
    let lower = e.compare(IntCmp::Ult, w, rpl_x, rpl_y);
    let raised = e.and(w, x, high);
    let raised = e.or(w, raised, rpl_y);
    let v = e.select(w, lower, raised, x);
    e.write(dst, w, v)?;
    set_zero_flag(e, lower);
    Ok(Step::Next)
}

/// `RDTSC`: SDM 2B. edx:eax.
fn rdtsc(e: &mut Emitter) -> Translated {
    let ticks = e.rdtsc();
    set_edx_eax(e, ticks);
    Ok(Step::Next)
}

/// The halves of I64 `v` to edx and eax.
fn set_edx_eax(e: &mut Emitter, v: hokku_ir::Value) {
    let low = e.truncate(Width::W64, Width::W32, v);
    let n = e.constant(Width::W8, 32);
    let high = e.shr(Width::W64, v, n);
    let high = e.truncate(Width::W64, Width::W32, high);
    e.set_gpr(Gpr::Rax, Width::W32, low);
    e.set_gpr(Gpr::Rdx, Width::W32, high);
}

/// `RDTSCP`: SDM 2B. As `RDTSC`, ecx = number of the processor.
fn rdtscp(e: &mut Emitter, _: &Insn) -> Translated {
    let ticks = e.rdtsc();
    let aux = e.get_tsc_aux();
    set_edx_eax(e, ticks);
    e.set_gpr(Gpr::Rcx, Width::W32, aux);
    Ok(Step::Next)
}

/// `RDPID`: SDM 2B.
fn rdpid(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let dst = e.place(insn, 0)?;
    let aux = e.get_tsc_aux();
    let v = e.resize(Width::W32, w, aux);
    e.write(dst, w, v)?;
    Ok(Step::Next)
}

/// `RDRAND`, `RDSEED`: SDM 2B. CF: there was a number, as there always is; the other flags are clear.
fn random(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let dst = e.place(insn, 0)?;
    let v = e.random(w);
    let carry = e.constant(Width::W32, 1);
    let flags = e.int_to_flags(carry);
    e.write(dst, w, v)?;
    e.set_flags(FlagSet::STATUS, flags);
    Ok(Step::Next)
}

/// `XGETBV`: SDM 2D. XCR0, or with ecx one what of it is in use; #GP for other registers.
fn xgetbv(e: &mut Emitter, _: &Insn) -> Translated {
    let w = Width::W32;
    let ecx = e.get_gpr(Gpr::Rcx, w);
    let last = e.constant(w, u64::from(e.features.contains(CpuFeatures::XGETBV1)));
    let other = e.compare(IntCmp::Ult, w, last, ecx);
    e.trap_if(CheckedTrap::Protection, other);
    let (enabled, in_use) = (e.xgetbv(), e.state_in_use());
    let ecx = e.truncate(w, Width::W8, ecx);
    let v = e.select(Width::W64, ecx, in_use, enabled);
    set_edx_eax(e, v);
    Ok(Step::Next)
}

/// `XSAVE`, `XSAVEOPT`, `XSAVEC`, `XRSTOR`: SDM 2D.
fn xsave(e: &mut Emitter, insn: &Insn, form: XsaveForm) -> Translated {
    use Mnemonic::{Xrstor64, Xsave64, Xsavec64, Xsaveopt64};
    let wide = matches!(insn.mnemonic(), Xsave64 | Xsaveopt64 | Xsavec64 | Xrstor64);
    let at = e.address(insn)?;
    e.xsave(form, Flag(wide), at);
    Ok(Step::Next)
}

/// Access rights of the segment whose selector is operand `operand`, and whether a program may use it; ZF tells.
fn selector_rights(e: &mut Emitter, insn: &Insn, operand: u32) -> Result<(Value, Value), Unsupported> {
    let selector = e.operand(insn, operand, Width::W16)?;
    let rights = e.access_rights(selector);
    let zero = e.constant(Width::W32, 0);
    Ok((rights, e.compare(IntCmp::Ne, Width::W32, rights, zero)))
}

/// ZF = I8 `c`.
fn set_zero_flag(e: &mut Emitter, c: Value) {
    let image = e.extend_zero(Width::W8, Width::W32, c);
    let n = e.constant(Width::W8, u64::from(FlagSet::ZF.bits().trailing_zeros()));
    let image = e.shl(Width::W32, image, n);
    let f = e.int_to_flags(image);
    e.set_flags(FlagSet::ZF, f);
}

/// Writes I32 `v` to the first operand where `c`, else leaves all of it as it is; ZF = `c`.
fn write_where(e: &mut Emitter, insn: &Insn, c: Value, v: Value) -> Translated {
    let w = insn.width()?;
    let dst = e.place(insn, 0)?;
    // A 32-bit write would clear the upper half.
    let whole = if w == Width::W32 { e.word() } else { w };
    let old = e.read(dst, whole);
    let v = e.resize(Width::W32, whole, v);
    let v = e.select(whole, c, v, old);
    e.write(dst, whole, v)?;
    set_zero_flag(e, c);
    Ok(Step::Next)
}

/// `LAR`: SDM 2A.
fn lar(e: &mut Emitter, insn: &Insn) -> Translated {
    let (rights, usable) = selector_rights(e, insn, 1)?;
    write_where(e, insn, usable, rights)
}

/// `LSL`: SDM 2A. All segments reach over 4 GiB.
fn lsl(e: &mut Emitter, insn: &Insn) -> Translated {
    let (_, usable) = selector_rights(e, insn, 1)?;
    let limit = e.constant(Width::W32, u64::MAX);
    write_where(e, insn, usable, limit)
}

/// `VERR`, `VERW`: SDM 2D. All segments can be read, those of data written.
fn verify_segment(e: &mut Emitter, insn: &Insn) -> Translated {
    /// Access rights of code segments.
    const CODE: u64 = 1 << 11;
    let (rights, mut usable) = selector_rights(e, insn, 0)?;
    if insn.mnemonic() == Mnemonic::Verw {
        let code = e.constant(Width::W32, CODE);
        let code = e.and(Width::W32, rights, code);
        let zero = e.constant(Width::W32, 0);
        let data = e.compare(IntCmp::Eq, Width::W32, code, zero);
        usable = e.and(Width::W8, usable, data);
    }
    set_zero_flag(e, usable);
    Ok(Step::Next)
}

/// `RDFSBASE`, `RDGSBASE`: SDM 2B.
fn read_base(e: &mut Emitter, insn: &Insn, seg: Seg) -> Translated {
    let w = insn.width()?;
    let dst = e.place(insn, 0)?;
    let base = e.get_segment_base(seg);
    let v = e.resize(Width::W64, w, base);
    e.write(dst, w, v)?;
    Ok(Step::Next)
}

/// `WRFSBASE`, `WRGSBASE`: SDM 2D. #GP where the address is not canonical.
fn write_base(e: &mut Emitter, insn: &Insn, seg: Seg) -> Translated {
    let w = insn.width()?;
    let v = e.operand(insn, 0, w)?;
    let v = e.resize(w, Width::W64, v);
    let n = e.constant(Width::W8, 16);
    let canonical = e.shl(Width::W64, v, n);
    let canonical = e.sar(Width::W64, canonical, n);
    let other = e.compare(IntCmp::Ne, Width::W64, v, canonical);
    e.trap_if(CheckedTrap::Protection, other);
    e.set_segment_base(seg, v);
    Ok(Step::Next)
}

/// `CLFLUSH`, `CLFLUSHOPT`, `CLWB`: SDM 2A. To the program they are reads: caches are coherent.
fn flush_line(e: &mut Emitter, insn: &Insn) -> Translated {
    let at = e.address(insn)?;
    e.load(Type::I8, Align::Any, at);
    Ok(Step::Next)
}

//! Guest registers: the ops that read and write [`CpuState`] beyond a plain field access.

use super::memory::Memory;
use super::{EvalFault, Machine, Val};
use crate::guest::{CpuState, Gpr, Seg, X87, eflags};
use crate::key::CpuMode;
use crate::operand::{Type, Upper, Width};
use crate::softfloat::Exceptions;

/// x87 status word: an unmasked exception is pending (ES).
pub(super) const PENDING: u16 = 1 << 7;

/// Bits of `mxcsr` that exist; the others are reserved.
pub(super) const MXCSR_MASK: u32 = 0xffff;

/// Writes the low `w` bits of `reg`: see [`set_register`].
pub(super) fn set_gpr(cpu: &mut CpuState, reg: Gpr, w: Width, v: u64) {
    set_register(&mut cpu.gpr[reg.index()], w, v);
}

/// Writes the low `w` bits of a general register as x86 does: W8 and W16 keep the others, W32 clears them.
#[inline(always)]
pub(super) fn set_register(place: &mut u64, w: Width, v: u64) {
    *place = match w {
        Width::W8 | Width::W16 => *place & !w.mask() | v & w.mask(),
        Width::W32 | Width::W64 => v & w.mask(),
    };
}

/// Writes bits 8 to 15 of a general register.
#[inline(always)]
pub(super) fn set_register_high(place: &mut u64, v: u64) {
    *place = *place & !0xff00 | (v & 0xff) << 8;
}

/// Writes the bits of EFLAGS in `mask` that a user program may change.
pub(super) fn set_system_flags(cpu: &mut CpuState, mask: u64, v: u64) {
    let mask = mask as u32 & eflags::USER;
    cpu.system_flags = cpu.system_flags & !mask | v as u32 & mask;
}

/// `set_selector`: null selectors, those of the mode's flat segments and those that some segment holds already can be loaded, with any
/// privilege; into the stack segment only one for data, with a program's.
pub(super) fn set_selector(cpu: &mut CpuState, mode: CpuMode, seg: Seg, selector: u16) -> Result<(), EvalFault> {
    let null = selector & !3 == 0;
    let is = |other: &u16| !null && other | 3 == selector | 3;
    let fresh = CpuState::new(mode);
    let known = cpu.selector.iter().chain(&fresh.selector).any(is);
    let code = is(&cpu.selector[Seg::Cs.index()]);
    let stack = selector & 3 == 3 && !code;
    if seg == Seg::Cs || !(known || null) || (seg == Seg::Ss && (null || !stack)) {
        return Err(EvalFault::Protection);
    }
    // Flat segments have no base, and 64-bit code has no others in its table; another has that of whichever register holds it.
    let flat = mode == CpuMode::Long64 || fresh.selector.iter().any(is);
    let holds = |seg: usize| is(&cpu.selector[seg]);
    let holder = if holds(seg.index()) { Some(seg.index()) } else { (0..cpu.selector.len()).find(|n| holds(*n)) };
    cpu.segment_base[seg.index()] = holder.filter(|_| !flat).map_or(0, |holder| cpu.segment_base[holder]);
    cpu.selector[seg.index()] = selector;
    Ok(())
}

/// Access rights, in `LAR`'s form, of flat segments: present, for programs, accessed; 4 GiB in pages.
const CODE_32: u32 = 0x00cf_fb00;
const CODE_64: u32 = 0x00af_fb00;
const DATA: u32 = 0x00cf_f300;

/// `access_rights`: of the selectors that [`set_selector`] knows.
pub(super) fn access_rights(cpu: &CpuState, mode: CpuMode, selector: u16) -> u32 {
    // The privilege that a selector asks for may be any: programs have the lowest.
    let is = |other: &u16| other | 3 == selector | 3;
    let known = cpu.selector.iter().any(is) || CpuState::new(mode).selector.iter().any(is);
    match mode {
        _ if !known || selector & !3 == 0 => 0,
        CpuMode::Protected32 if is(&cpu.selector[Seg::Cs.index()]) => CODE_32,
        CpuMode::Long64 if is(&cpu.selector[Seg::Cs.index()]) => CODE_64,
        _ => DATA,
    }
}

/// The low part of vector register `reg`.
pub(super) fn get_vec(cpu: &CpuState, reg: u8, ty: Type) -> Val {
    cut(cpu.vector[usize::from(reg & 15)], ty)
}

/// The same of a type of up to 64 bits.
#[inline(always)]
pub(super) fn get_vec_low(cpu: &CpuState, reg: u8, ty: Type) -> u64 {
    let low = cpu.vector[usize::from(reg & 15)][0];
    if ty == Type::F32 { low & 0xffff_ffff } else { low }
}

/// Writes the low part of vector register `reg`, word by word: a read of several words that were not written together waits for them.
#[inline(always)]
pub(super) fn set_vec(cpu: &mut CpuState, reg: u8, ty: Type, upper: Upper, v: &Val) {
    let [first, second, third, fourth] = &mut cpu.vector[usize::from(reg & 15)];
    let clears = upper != Upper::Keep;
    *first = match ty {
        Type::F32 if clears => v.0[0] & 0xffff_ffff,
        Type::F32 => *first & !0xffff_ffff | v.0[0] & 0xffff_ffff,
        _ => v.0[0],
    };
    match ty {
        Type::V128 | Type::V256 => *second = v.0[1],
        _ if clears => *second = 0,
        _ => {}
    }
    match ty {
        Type::V256 => (*third, *fourth) = (v.0[2], v.0[3]),
        _ if upper == Upper::Zero256 => (*third, *fourth) = (0, 0),
        _ => {}
    }
}

/// `zero_vectors`.
pub(super) fn zero_vectors(cpu: &mut CpuState, mode: CpuMode, all: bool) {
    let count = if mode == CpuMode::Long64 { 16 } else { 8 };
    for register in &mut cpu.vector[..count] {
        *register = if all { [0; 4] } else { [register[0], register[1], 0, 0] };
    }
}

/// `words` with all beyond `ty` zero.
pub(super) fn cut(words: [u64; 4], ty: Type) -> Val {
    let [a, b, ..] = words;
    Val(match ty {
        Type::F32 => [a & 0xffff_ffff, 0, 0, 0],
        Type::V128 => [a, b, 0, 0],
        Type::V256 => words,
        _ => [a, 0, 0, 0],
    })
}

/// Faults where an x87 exception is pending, as every waiting x87 instruction and every MMX instruction does first.
pub(super) fn check_x87_pending(x87: &X87) -> Result<(), EvalFault> {
    if x87.status & PENDING == 0 {
        return Ok(());
    }
    Err(EvalFault::X87Float(Exceptions::from_bits_truncate(x87.status & !x87.control) & Exceptions::ALL))
}

/// Puts the unit into MMX state: top 0, all registers in use.
pub(super) fn enter_mmx(x87: &mut X87) -> Result<(), EvalFault> {
    check_x87_pending(x87)?;
    x87.set_top(0);
    x87.tags = 0xff;
    Ok(())
}

/// `get_mmx`.
pub(super) fn get_mmx(cpu: &mut CpuState, reg: u8) -> Result<u64, EvalFault> {
    enter_mmx(&mut cpu.x87)?;
    Ok(cpu.x87.regs[usize::from(reg & 7)].significand)
}

/// `set_mmx`.
pub(super) fn set_mmx(cpu: &mut CpuState, reg: u8, v: u64) -> Result<(), EvalFault> {
    enter_mmx(&mut cpu.x87)?;
    let place = &mut cpu.x87.regs[usize::from(reg & 7)];
    place.significand = v;
    place.sign_exponent = 0xffff;
    Ok(())
}

/// `set_mxcsr`.
pub(super) fn set_mxcsr(cpu: &mut CpuState, v: u32) -> Result<(), EvalFault> {
    if v & !MXCSR_MASK != 0 {
        return Err(EvalFault::Protection);
    }
    cpu.mxcsr = v;
    Ok(())
}

impl<M: Memory + ?Sized> Machine<'_, M> {
    /// `cpuid`.
    pub(super) fn cpuid(&mut self) {
        let input = |reg| self.cpu.get(reg) as u32;
        let output = self.system.cpuid(input(Gpr::Rax), input(Gpr::Rcx));
        for (reg, v) in [Gpr::Rax, Gpr::Rbx, Gpr::Rcx, Gpr::Rdx].into_iter().zip(output) {
            self.cpu.set(reg, u64::from(v));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_writes_keep_or_clear_as_x86_does() {
        let mut cpu = CpuState::new(CpuMode::Long64);
        cpu.gpr[0] = 0x1122_3344_5566_7788;
        set_gpr(&mut cpu, Gpr::Rax, Width::W8, 0xfff);
        assert_eq!(cpu.gpr[0], 0x1122_3344_5566_77ff);
        set_register_high(&mut cpu.gpr[0], 0xab);
        assert_eq!(cpu.gpr[0], 0x1122_3344_5566_abff);
        set_gpr(&mut cpu, Gpr::Rax, Width::W16, 0x1_0000);
        assert_eq!(cpu.gpr[0], 0x1122_3344_5566_0000);
        set_gpr(&mut cpu, Gpr::Rax, Width::W32, u64::MAX);
        assert_eq!(cpu.gpr[0], 0xffff_ffff);
    }

    #[test]
    fn selectors() {
        let mut cpu = CpuState::new(CpuMode::Protected32);
        (cpu.selector[Seg::Fs.index()], cpu.segment_base[Seg::Fs.index()]) = (0x33, 0x5000);
        assert_eq!(set_selector(&mut cpu, CpuMode::Protected32, Seg::Fs, 0x33), Ok(()));
        assert_eq!(set_selector(&mut cpu, CpuMode::Protected32, Seg::Gs, 0x30), Ok(()));
        assert_eq!(cpu.segment_base[4..], [0x5000, 0x5000]);
        assert_eq!(set_selector(&mut cpu, CpuMode::Protected32, Seg::Gs, 0x23), Ok(()));
        assert_eq!(cpu.segment_base[4..], [0x5000, 0]);
        assert_eq!(set_selector(&mut cpu, CpuMode::Protected32, Seg::Fs, 3), Ok(()));
        assert_eq!((cpu.selector[4], cpu.segment_base[4]), (3, 0));
        assert_eq!(set_selector(&mut cpu, CpuMode::Protected32, Seg::Es, 0x43), Err(EvalFault::Protection));
        for (seg, selector) in [(Seg::Ss, 0), (Seg::Ss, 0x1b), (Seg::Ss, 0x22), (Seg::Cs, 0x1b)] {
            assert_eq!(set_selector(&mut cpu, CpuMode::Protected32, seg, selector), Err(EvalFault::Protection));
        }
    }

    #[test]
    fn rights() {
        for (mode, code) in [(CpuMode::Protected32, CODE_32), (CpuMode::Long64, CODE_64)] {
            let cpu = CpuState::new(mode);
            let of = |selector| access_rights(&cpu, mode, selector);
            assert_eq!((of(cpu.selector[Seg::Cs.index()]), of(cpu.selector[Seg::Ds.index()])), (code, DATA));
            assert_eq!((of(cpu.selector[Seg::Ds.index()] & !3), of(0), of(3), of(0x123)), (DATA, 0, 0, 0));
        }
    }

    #[test]
    fn only_user_flags_change() {
        let mut cpu = CpuState::new(CpuMode::Long64);
        set_system_flags(&mut cpu, u64::MAX, 0x20_0400);
        assert_eq!(cpu.system_flags, eflags::START | eflags::DF | eflags::ID);
        set_system_flags(&mut cpu, eflags::DF.into(), 0);
        assert_eq!(cpu.system_flags, eflags::START | eflags::ID);
    }

    #[test]
    fn vector_writes() {
        let mut cpu = CpuState::new(CpuMode::Long64);
        cpu.vector[1] = [1 << 40 | 7, 2, 3, 4];
        set_vec(&mut cpu, 1, Type::F32, Upper::Keep, &Val::int(5));
        assert_eq!(cpu.vector[1], [1 << 40 | 5, 2, 3, 4]);
        assert_eq!(get_vec(&cpu, 1, Type::F32), Val::int(5));
        set_vec(&mut cpu, 1, Type::F64, Upper::Zero128, &Val::int(6));
        assert_eq!(cpu.vector[1], [6, 0, 3, 4]);
        set_vec(&mut cpu, 1, Type::V128, Upper::Zero256, &Val([8, 9, 10, 11]));
        assert_eq!(cpu.vector[1], [8, 9, 0, 0]);
    }

    #[test]
    fn mmx_state() {
        let mut cpu = CpuState::new(CpuMode::Protected32);
        cpu.x87.set_top(5);
        assert_eq!(set_mmx(&mut cpu, 3, 42), Ok(()));
        assert_eq!((cpu.x87.top(), cpu.x87.tags, cpu.x87.regs[3].sign_exponent), (0, 0xff, 0xffff));
        assert_eq!(get_mmx(&mut cpu, 3), Ok(42));
        cpu.x87.control = 0x37e;
        cpu.x87.status = PENDING | 1;
        assert_eq!(get_mmx(&mut cpu, 3), Err(EvalFault::X87Float(Exceptions::INVALID)));
    }

    #[test]
    fn reserved_mxcsr_bits_are_refused() {
        let mut cpu = CpuState::new(CpuMode::Long64);
        assert_eq!(set_mxcsr(&mut cpu, 0x1_1f80), Err(EvalFault::Protection));
        assert_eq!(set_mxcsr(&mut cpu, 0xffff), Ok(()));
        assert_eq!(cpu.mxcsr, 0xffff);
    }
}

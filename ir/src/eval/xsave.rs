//! Extended state in memory: `XSAVE` and its kin. Source: Intel SDM vol. 1, chapter 13.
//!
//! x87 and SSE state count as in use always, as on a processor that does not track them; the upper halves of the vector registers are in use
//! where one is not zero.

use super::image::{FX_HEADER, FX_MXCSR, FX_X87};
use super::memory::Memory;
use super::state::MXCSR_MASK;
use super::{EvalFault, Machine};
use crate::guest::{Gpr, GuestAddr, MXCSR_START, X87};
use crate::operand::{AtomicOp, StateImage, Width, XsaveForm};

/// State components: bits of XCR0.
const X87: u64 = 1;
const SSE: u64 = 1 << 1;
const AVX: u64 = 1 << 2;
/// The bit of XCOMP_BV that says that the image is compacted.
const COMPACTED: u64 = 1 << 63;

/// Where the header is, its length, and where the upper halves follow in either form.
const HEADER: u64 = 512;
const HEADER_BYTES: usize = 64;
const UPPER_HALVES: u64 = 576;
/// Bytes of an upper half.
const UPPER_BYTES: usize = 16;

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

impl<M: Memory + ?Sized> Machine<'_, M> {
    /// `state_in_use`: the components of XCR0 that are not in their initial state.
    pub(super) fn state_in_use(&self) -> u64 {
        let upper = self.cpu.vector.iter().any(|v| v[2] != 0 || v[3] != 0);
        self.system.xcr0() & (X87 | SSE | if upper { AVX } else { 0 })
    }

    /// `xsave`.
    pub(super) fn xsave(&mut self, form: XsaveForm, wide: bool, at: GuestAddr) -> Result<(), EvalFault> {
        if at.0 % 64 != 0 {
            return Err(EvalFault::Protection);
        }
        let asked = self.cpu.get(Gpr::Rdx) << 32 | self.cpu.get(Gpr::Rax) & 0xffff_ffff;
        let components = asked & self.system.xcr0();
        let image = if wide { StateImage::Fx64 } else { StateImage::Fx };
        if form == XsaveForm::Restore {
            self.restore(components, image, at)
        } else {
            self.store(form, components, image, at)
        }
    }

    fn store(&self, form: XsaveForm, components: u64, image: StateImage, at: GuestAddr) -> Result<(), EvalFault> {
        let has = |component| components & component != 0;
        // In 32-bit code too there must be room for all sixteen upper halves.
        let end = if has(AVX) { UPPER_HALVES + (UPPER_BYTES * 16) as u64 } else { UPPER_HALVES };
        // What can fault does so before anything is written.
        let start = if components == 0 { HEADER } else { 0 };
        for probe in [start, end - 1] {
            self.memory.atomic_rmw(AtomicOp::Or, Width::W8, at.offset(probe), 0)?;
        }
        let mut header = [0; 8];
        self.memory.read(at.offset(HEADER), &mut header)?;
        let in_use = self.state_in_use() & components;
        let compacted = form == XsaveForm::SaveCompacted;
        // Plain `xsave` writes what is in its initial state too.
        let written = if form == XsaveForm::Save { components } else { in_use };
        let bytes = self.fx_bytes(image);
        let put = |range: std::ops::Range<usize>| self.memory.write(at.offset(range.start as u64), &bytes[range]);
        if written & X87 != 0 {
            put(0..FX_MXCSR)?;
            put(FX_X87..FX_HEADER)?;
        }
        if written & SSE != 0 || !compacted && has(SSE | AVX) {
            put(FX_MXCSR..FX_X87)?;
        }
        if written & SSE != 0 {
            put(FX_HEADER..FX_HEADER + 16 * self.vector_count())?;
        }
        if written & AVX != 0 {
            for (i, v) in self.cpu.vector.iter().enumerate().take(self.vector_count()) {
                let half = u128::from(v[2]) | u128::from(v[3]) << 64;
                self.memory.write(at.offset(UPPER_HALVES + (UPPER_BYTES * i) as u64), &half.to_le_bytes())?;
            }
        }
        if compacted {
            self.memory.write(at.offset(HEADER), &in_use.to_le_bytes())?;
            self.memory.write(at.offset(HEADER + 8), &(components | COMPACTED).to_le_bytes())?;
        } else {
            let bits = word(&header) & !components | in_use;
            self.memory.write(at.offset(HEADER), &bits.to_le_bytes())?;
        }
        Ok(())
    }

    fn restore(&mut self, components: u64, image: StateImage, at: GuestAddr) -> Result<(), EvalFault> {
        let mut header = [0; HEADER_BYTES];
        self.memory.read(at.offset(HEADER), &mut header)?;
        let (bits, layout) = (word(&header[..8]), word(&header[8..16]));
        let enabled = self.system.xcr0();
        let compacted = layout & COMPACTED != 0;
        let valid = if compacted {
            let there = layout & !COMPACTED;
            there & !enabled == 0 && bits & !there == 0 && header[16..].iter().all(|byte| *byte == 0)
        } else {
            layout == 0 && bits & !enabled == 0 && header[16..24].iter().all(|byte| *byte == 0)
        };
        if !valid {
            return Err(EvalFault::Protection);
        }
        let has = |component| components & component != 0;
        let loads = |component| components & bits & component != 0;
        let mut bytes = [0; FX_HEADER + 256];
        let legacy = FX_HEADER + 16 * self.vector_count();
        if components != 0 {
            self.memory.read(at, &mut bytes[..legacy])?;
        }
        let mut upper = [0; UPPER_BYTES * 16];
        let upper = &mut upper[..UPPER_BYTES * self.vector_count()];
        if loads(AVX) {
            self.memory.read(at.offset(UPPER_HALVES), upper)?;
        }
        let mxcsr = match compacted {
            true if has(SSE) && !loads(SSE) => Some(MXCSR_START),
            true if !has(SSE) => None,
            false if !has(SSE | AVX) => None,
            _ => Some(word(&bytes[FX_MXCSR..FX_MXCSR + 4]) as u32),
        };
        if mxcsr.is_some_and(|v| v & !MXCSR_MASK != 0) {
            return Err(EvalFault::Protection);
        }
        if let Some(mxcsr) = mxcsr {
            self.cpu.mxcsr = mxcsr;
        }
        if loads(X87) {
            self.load_fx_x87(image, &bytes);
        } else if has(X87) {
            self.cpu.x87 = X87::INIT;
        }
        let count = self.vector_count();
        for (i, v) in self.cpu.vector.iter_mut().enumerate().take(count) {
            let low = &bytes[FX_HEADER + 16 * i..][..16];
            let high = &upper[UPPER_BYTES * i..][..UPPER_BYTES];
            if has(SSE) {
                let zero = if loads(SSE) { u64::MAX } else { 0 };
                (v[0], v[1]) = (word(&low[..8]) & zero, word(&low[8..]) & zero);
            }
            if has(AVX) {
                (v[2], v[3]) = (word(&high[..8]), word(&high[8..]));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Val;
    use super::super::testing::Case;
    use super::*;
    use crate::operand::{Addr, Flag};
    use crate::ops::Op;
    use crate::region::Value;

    const AT: u64 = 0x1000;

    fn op(form: XsaveForm) -> Op {
        Op::Xsave { form, wide: Flag(true), at: Addr::at(Value(0), Width::W64) }
    }

    fn case(components: u64) -> Case {
        let mut case = Case::new();
        case.memory.map(GuestAddr(AT), vec![0; 1024], true);
        case.cpu.set(Gpr::Rax, components);
        case.cpu.vector[3] = [1, 2, 3, 4];
        case.cpu.x87.control = 0x27f;
        case.cpu.mxcsr = 0x1fa0;
        case
    }

    fn run(case: &mut Case, form: XsaveForm) -> Result<(), EvalFault> {
        case.eval(op(form), &[Val::int(AT)]).map(|_| ())
    }

    fn bytes(case: &Case, at: usize, len: usize) -> u64 {
        word(&case.memory.contents()[0].1[at..at + len])
    }

    #[test]
    fn what_is_saved_is_restored() {
        for form in [XsaveForm::Save, XsaveForm::SaveOptimised, XsaveForm::SaveCompacted] {
            let mut case = case(7);
            let saved = case.cpu.clone();
            run(&mut case, form).unwrap();
            assert_eq!(bytes(&case, 512, 8), 7);
            assert_eq!(bytes(&case, 520, 8), if form == XsaveForm::SaveCompacted { COMPACTED | 7 } else { 0 });
            assert_eq!(bytes(&case, 576 + 3 * 16, 8), 3);
            case.cpu = crate::guest::CpuState::new(case.mode);
            case.cpu.set(Gpr::Rax, u64::MAX);
            run(&mut case, XsaveForm::Restore).unwrap();
            assert_eq!((case.cpu.vector, case.cpu.mxcsr), (saved.vector, saved.mxcsr));
            assert_eq!(case.cpu.x87, saved.x87);
        }
    }

    #[test]
    fn components_that_are_not_asked_for_stay() {
        let mut case = case(AVX);
        run(&mut case, XsaveForm::Save).unwrap();
        assert_eq!((bytes(&case, 0, 2), bytes(&case, 24, 4), bytes(&case, 512, 8)), (0, 0x1fa0, AVX));
        case.cpu.vector[3] = [5, 6, 7, 8];
        case.cpu.x87.control = 0x37f;
        run(&mut case, XsaveForm::Restore).unwrap();
        assert_eq!((case.cpu.vector[3], case.cpu.x87.control), ([5, 6, 3, 4], 0x37f));
    }

    #[test]
    fn components_that_are_not_in_the_image_get_their_initial_state() {
        let mut case = case(7);
        let image = [0u8; 576];
        case.memory.write(GuestAddr(AT), &image).unwrap();
        case.memory.write(GuestAddr(AT + 24), &0x1f00u32.to_le_bytes()).unwrap();
        run(&mut case, XsaveForm::Restore).unwrap();
        // The standard form takes mxcsr from memory all the same.
        assert_eq!((case.cpu.vector[3], case.cpu.x87, case.cpu.mxcsr), ([0; 4], X87::INIT, 0x1f00));
        case.memory.write(GuestAddr(AT + 520), &(COMPACTED | 7).to_le_bytes()).unwrap();
        run(&mut case, XsaveForm::Restore).unwrap();
        assert_eq!(case.cpu.mxcsr, MXCSR_START);
    }

    #[test]
    fn bad_images_are_refused() {
        let mut case = case(7);
        let restore = |case: &mut Case, at: u64, v: u64| {
            case.memory.write(GuestAddr(AT + 512), &[0; 64]).unwrap();
            case.memory.write(GuestAddr(AT + at), &v.to_le_bytes()).unwrap();
            run(case, XsaveForm::Restore)
        };
        for (at, v) in [(512, 8), (520, 1), (528, 1), (520, COMPACTED | 8), (24, 1 << 16)] {
            assert_eq!(restore(&mut case, at, v), Err(EvalFault::Protection), "{v:#x} at {at}");
        }
        let misaligned = case.eval(op(XsaveForm::Save), &[Val::int(AT + 16)]);
        assert_eq!(misaligned, Err(EvalFault::Protection));
    }
}

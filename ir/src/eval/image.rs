//! x87 and SSE state images in memory. Source: Intel SDM vol. 1, 8.1.10 and 10.5.1, vol. 2 `FXSAVE`.
//!
//! The selectors of the instruction and operand pointers are saved as zero, as processors without them do.

use super::memory::Memory;
use super::state::{MXCSR_MASK, check_x87_pending};
use super::x87::{from_guest, initialise, load_words, mask_all, to_guest};
use super::x87_double as double;
use super::{EvalFault, Machine};
use crate::guest::{CpuState, GuestAddr, X87};
use crate::key::{CpuMode, X87Arithmetic};
use crate::operand::{AtomicOp, StateDirection, StateImage, Width};
use crate::softfloat::{F80, Rounding, classify};

/// Parts of an FXSAVE image: mxcsr and its mask, the x87 registers, the vector registers.
pub(super) const FX_MXCSR: usize = 24;
pub(super) const FX_X87: usize = 32;
pub(super) const FX_HEADER: usize = 160;

/// Bytes of an FXSAVE image.
const FX_SIZE: u64 = 512;

/// Bytes of the x87 registers in an `All` image.
const REGISTERS: usize = 80;

/// Words in an environment.
const ENV_WORDS: usize = 7;

impl<M: Memory + ?Sized> Machine<'_, M> {
    /// `state_image`.
    pub(super) fn state_image(
        &mut self,
        image: StateImage,
        direction: StateDirection,
        short: bool,
        at: GuestAddr,
    ) -> Result<(), EvalFault> {
        let registers = image == StateImage::All;
        match (image, direction) {
            (StateImage::Env | StateImage::All, StateDirection::Save) => self.save(registers, short, at),
            (StateImage::Env | StateImage::All, StateDirection::Load) => self.load(registers, short, at),
            (StateImage::Fx | StateImage::Fx64, _) if at.0 % 16 != 0 => Err(EvalFault::Protection),
            (StateImage::Fx | StateImage::Fx64, StateDirection::Save) => self.fx_save(image, at),
            (StateImage::Fx | StateImage::Fx64, StateDirection::Load) => self.fx_load(image, at),
        }
    }

    /// `fnstenv`, `fnsave`.
    fn save(&mut self, registers: bool, short: bool, at: GuestAddr) -> Result<(), EvalFault> {
        let (arithmetic, x87) = (self.x87, &mut self.cpu.x87);
        let mut bytes = Vec::with_capacity(4 * ENV_WORDS + REGISTERS);
        for word in environment(x87, short) {
            bytes.extend_from_slice(&word.to_le_bytes()[..if short { 2 } else { 4 }]);
        }
        if registers {
            (0..8).for_each(|i| bytes.extend_from_slice(&register(x87, arithmetic, i).to_le_bytes()));
        }
        self.memory.write(at, &bytes)?;
        if registers {
            initialise(x87)
        } else {
            mask_all(x87)
        }
        Ok(())
    }

    /// `fldenv`, `frstor`.
    fn load(&mut self, registers: bool, short: bool, at: GuestAddr) -> Result<(), EvalFault> {
        check_x87_pending(&self.cpu.x87)?;
        let size = if short { 2 } else { 4 };
        let env = ENV_WORDS * size;
        let mut buffer = [0; 4 * ENV_WORDS + REGISTERS];
        let bytes = &mut buffer[..env + if registers { REGISTERS } else { 0 }];
        self.memory.read(at, bytes)?;
        let (x87, arithmetic) = (&mut self.cpu.x87, self.x87);
        load_environment(x87, arithmetic, std::array::from_fn(|i| number(&bytes[i * size..][..size]) as u32), short);
        for (i, bytes) in bytes[env..].chunks_exact(10).enumerate() {
            set_register(x87, arithmetic, i, bytes);
        }
        Ok(())
    }

    /// An FXSAVE image up to the last register.
    pub(super) fn fx_bytes(&self, image: StateImage) -> [u8; FX_HEADER + 256] {
        let CpuState { x87, vector, mxcsr, .. } = &*self.cpu;
        let mut bytes = [0; FX_HEADER + 256];
        let mut put = |at: usize, v: u64, len: usize| bytes[at..at + len].copy_from_slice(&v.to_le_bytes()[..len]);
        put(0, x87.control.into(), 2);
        put(2, x87.status.into(), 2);
        put(4, x87.tags.into(), 1);
        put(6, x87.opcode.into(), 2);
        let pointer = if image == StateImage::Fx64 { 8 } else { 4 };
        put(8, x87.instruction, pointer);
        put(16, x87.operand, pointer);
        put(24, (*mxcsr).into(), 4);
        put(28, MXCSR_MASK.into(), 4);
        for i in 0..8 {
            let v = register(x87, self.x87, i);
            put(32 + 16 * i, v.significand, 8);
            put(40 + 16 * i, v.sign_exponent.into(), 2);
        }
        for (i, v) in vector.iter().enumerate() {
            put(FX_HEADER + 16 * i, v[0], 8);
            put(FX_HEADER + 16 * i + 8, v[1], 8);
        }
        bytes
    }

    /// `fxsave`: the fields that the mode has; reserved ones beyond are not written.
    fn fx_save(&mut self, image: StateImage, at: GuestAddr) -> Result<(), EvalFault> {
        let bytes = self.fx_bytes(image);
        // All of the image must be writable, whatever is left out of it.
        self.memory.atomic_rmw(AtomicOp::Or, Width::W8, at.offset(FX_SIZE - 1), 0)?;
        Ok(self.memory.write(at, &bytes[..FX_HEADER + 16 * self.vector_count()])?)
    }

    /// `fxrstor`.
    fn fx_load(&mut self, image: StateImage, at: GuestAddr) -> Result<(), EvalFault> {
        let mut buffer = [0; FX_HEADER + 256];
        let count = self.vector_count();
        let bytes = &mut buffer[..FX_HEADER + 16 * count];
        self.memory.read(at, bytes)?;
        self.memory.read_u8(at.offset(FX_SIZE - 1))?;
        let field = |at: usize, len: usize| number(&bytes[at..at + len]);
        let mxcsr = field(24, 4) as u32;
        if mxcsr & !MXCSR_MASK != 0 {
            return Err(EvalFault::Protection);
        }
        self.cpu.mxcsr = mxcsr;
        self.load_fx_x87(image, bytes);
        for (i, v) in self.cpu.vector.iter_mut().enumerate().take(count) {
            v[0] = field(FX_HEADER + 16 * i, 8);
            v[1] = field(FX_HEADER + 16 * i + 8, 8);
        }
        Ok(())
    }

    /// Takes the x87 unit from an FXSAVE image.
    pub(super) fn load_fx_x87(&mut self, image: StateImage, bytes: &[u8]) {
        let field = |at: usize, len: usize| number(&bytes[at..at + len]);
        let x87 = &mut self.cpu.x87;
        load_words(x87, self.x87, field(0, 2) as u16, field(2, 2) as u16);
        x87.tags = field(4, 1) as u8;
        x87.opcode = field(6, 2) as u16 & 0x7ff;
        let pointer = if image == StateImage::Fx64 { 8 } else { 4 };
        // Of the 64 bits the unit keeps a 57-bit linear address.
        x87.instruction = ((field(8, pointer) << 7) as i64 >> 7) as u64;
        x87.operand = field(16, pointer);
        for i in 0..8 {
            set_register(x87, self.x87, i, &bytes[32 + 16 * i..][..10]);
        }
    }

    /// Number of vector registers that the mode has.
    pub(super) fn vector_count(&self) -> usize {
        match self.mode {
            CpuMode::Protected32 => 8,
            CpuMode::Long64 => 16,
        }
    }
}

/// The little-endian number in up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

/// Control, status, tags, instruction offset, its selector with the opcode, operand offset, its selector.
///
/// In the long form the upper halves of 16-bit fields are ones, as processors write them.
fn environment(x87: &X87, short: bool) -> [u32; ENV_WORDS] {
    let high = if short { 0 } else { 0xffff_0000 };
    let opcode = if short { 0 } else { u32::from(x87.opcode) << 16 };
    let tags = u32::from(full_tags(x87));
    [
        high | u32::from(x87.control),
        high | u32::from(x87.status),
        high | tags,
        x87.instruction as u32,
        opcode,
        x87.operand as u32,
        high,
    ]
}

fn load_environment(x87: &mut X87, arithmetic: X87Arithmetic, words: [u32; ENV_WORDS], short: bool) {
    let [control, status, tags, instruction, opcode, operand, _] = words;
    load_words(x87, arithmetic, control as u16, status as u16);
    x87.tags = (0..8).fold(0, |abridged, n| abridged | u8::from(tags >> (2 * n) & 3 != 3) << n);
    x87.instruction = instruction.into();
    x87.operand = operand.into();
    x87.opcode = if short { 0 } else { (opcode >> 16) as u16 & 0x7ff };
}

/// Two bits for each physical register: valid, zero, special, empty.
fn full_tags(x87: &X87) -> u16 {
    let tag = |n: usize| if x87.tags >> n & 1 == 0 { 3 } else { classify(from_guest(x87.regs[n])).tag() };
    (0..8).fold(0, |tags, n| tags | tag(n) << (2 * n))
}

fn register(x87: &X87, arithmetic: X87Arithmetic, i: usize) -> F80 {
    let place = (usize::from(x87.top()) + i) & 7;
    // In doubles nobody knows what is in an empty register.
    let is_known = arithmetic == X87Arithmetic::Exact || x87.tags >> place & 1 != 0;
    from_guest(if is_known { x87.regs[place] } else { Default::default() })
}

/// Doubles are rounded, but for what MMX instructions may have left.
fn set_register(x87: &mut X87, arithmetic: X87Arithmetic, i: usize, bytes: &[u8]) {
    let v = F80 { significand: number(&bytes[..8]), sign_exponent: number(&bytes[8..]) as u16 };
    let is_double = arithmetic == X87Arithmetic::Double && v.sign_exponent != 0xffff;
    let v = if is_double { double::rounded(v, Rounding::Nearest) } else { v };
    x87.regs[(usize::from(x87.top()) + i) & 7] = to_guest(v);
}

#[cfg(test)]
mod tests {
    use super::super::Val;
    use super::super::testing::Case;
    use super::*;
    use crate::operand::{Addr, Flag, Width};
    use crate::ops::Op;
    use crate::region::Value;

    fn op(image: StateImage, direction: StateDirection) -> Op {
        Op::StateImageOp { image, direction, short: Flag(false), at: Addr::at(Value(0), Width::W64) }
    }

    fn case() -> Case {
        let mut case = Case::new();
        case.memory.map(GuestAddr(0x1000), vec![0xee; 512], true);
        case.cpu.x87.set_top(6);
        case.cpu.x87.tags = 0b1100_0000;
        case.cpu.x87.regs[6] = to_guest(F80::ONE);
        case.cpu.x87.instruction = 0x11_2233_4455;
        case.cpu.vector[9] = [7, 8, 9, 10];
        case
    }

    #[test]
    fn fxsave_layout() {
        let mut case = case();
        case.eval(op(StateImage::Fx, StateDirection::Save), &[Val::int(0x1000)]).unwrap();
        let bytes = case.memory.contents().remove(0).1;
        assert_eq!(bytes[..8], [0x7f, 3, 0, 0x30, 0b1100_0000, 0, 0, 0]);
        assert_eq!(bytes[8..16], [0x55, 0x44, 0x33, 0x22, 0, 0, 0, 0]);
        assert_eq!(bytes[24..32], [0x80, 0x1f, 0, 0, 0xff, 0xff, 0, 0]);
        assert_eq!(bytes[32..48], [0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f, 0, 0, 0, 0, 0, 0]);
        assert_eq!(number(&bytes[160 + 9 * 16..][..8]), 7);
        assert!(bytes[416..].iter().all(|byte| *byte == 0xee));
        case.eval(op(StateImage::Fx64, StateDirection::Save), &[Val::int(0x1000)]).unwrap();
        assert_eq!(number(&case.memory.contents()[0].1[8..16]), 0x11_2233_4455);
    }

    #[test]
    fn fxrstor_restores_what_fxsave_saved() {
        let mut case = case();
        let saved = case.cpu.clone();
        case.eval(op(StateImage::Fx64, StateDirection::Save), &[Val::int(0x1000)]).unwrap();
        case.cpu = CpuState::new(CpuMode::Long64);
        case.eval(op(StateImage::Fx64, StateDirection::Load), &[Val::int(0x1000)]).unwrap();
        assert_eq!(case.cpu.x87, saved.x87);
        assert_eq!(case.cpu.vector[9], [7, 8, 0, 0]);
    }

    #[test]
    fn fxrstor_refuses_misaligned_images_and_reserved_bits() {
        let mut case = case();
        let load = op(StateImage::Fx, StateDirection::Load);
        assert_eq!(case.eval(load, &[Val::int(0x1008)]), Err(EvalFault::Protection));
        // The area's filling has reserved mxcsr bits set.
        let before = case.cpu.x87;
        assert_eq!(case.eval(load, &[Val::int(0x1000)]), Err(EvalFault::Protection));
        assert_eq!(case.cpu.x87, before);
    }

    #[test]
    fn fnsave_and_frstor() {
        let mut case = case();
        let saved = case.cpu.x87;
        case.eval(op(StateImage::All, StateDirection::Save), &[Val::int(0x1000)]).unwrap();
        assert_eq!((case.cpu.x87.control, case.cpu.x87.tags), (0x37f, 0));
        let bytes = case.memory.contents().remove(0).1;
        // Tags: R6 valid, R7 zero, the others empty.
        assert_eq!(bytes[8..12], [0xff, 0b0100_1111, 0xff, 0xff]);
        case.eval(op(StateImage::All, StateDirection::Load), &[Val::int(0x1000)]).unwrap();
        assert_eq!(case.cpu.x87.regs, saved.regs);
        assert_eq!((case.cpu.x87.status, case.cpu.x87.tags), (saved.status, saved.tags));
    }
}

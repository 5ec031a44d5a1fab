//! The x87 register stack and the instructions on it: [`crate::softfloat`] under the control word. Source: Intel SDM vol. 1, chapter 8.
//!
//! An unmasked exception leaves ES set; the next waiting instruction raises #MF. The instruction's address is kept by every instruction that is
//! not a control instruction, opcode and operand address by those alone that raise an unmasked exception, as processors with
//! `FDP_EXCPTN_ONLY` do.

use super::EvalFault;
use super::fp::relation_flags;
use super::memory::Memory;
use super::state::{PENDING, check_x87_pending, enter_mmx};
use super::x87_double as double;
use crate::guest::{self, FlagSet, GuestAddr, Seg, X87};
use crate::key::{CpuMode, X87Arithmetic};
use crate::operand::{X87Const, X87Control, X87Op};
use crate::softfloat::{
    self as soft, Constant, Exceptions, F80, FloatEnv, Format, Precision, Relation, Rounding, Settled,
};

/// Condition codes in the status word.
pub(super) const C0: u16 = 1 << 8;
/// Also: which way a result was rounded, or whether a stack fault was an overflow.
pub(super) const C1: u16 = 1 << 9;
pub(super) const C2: u16 = 1 << 10;
pub(super) const C3: u16 = 1 << 14;
/// Stack fault.
const SF: u16 = 1 << 6;
/// Busy: the same as ES.
const BUSY: u16 = 1 << 15;
/// Bits of the control word that can be set; bit 6 is always one.
const CONTROL_BITS: u16 = 0x1f3f;

/// What is wrong with the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StackFault {
    /// An operand is empty.
    Underflow,
    /// The register to push to is in use.
    Overflow,
}

/// The instruction that the unit works for.
pub(super) struct Insn<'a, M: ?Sized> {
    pub(super) memory: &'a M,
    pub(super) mode: CpuMode,
    pub(super) x87: X87Arithmetic,
    pub(super) pc: GuestAddr,
}

/// The unit while an instruction works on it.
pub(super) struct Unit<'a, M: ?Sized> {
    x87: &'a mut X87,
    insn: Insn<'a, M>,
    /// Address of the memory operand, without segment base.
    operand: Option<u64>,
}

impl<'a, M: Memory + ?Sized> Unit<'a, M> {
    /// Starts a waiting instruction: #MF where an exception is pending.
    pub(super) fn wait(x87: &'a mut X87, insn: Insn<'a, M>) -> Result<Self, EvalFault> {
        check_x87_pending(x87)?;
        Ok(Unit { x87, insn, operand: None })
    }

    /// Starts a waiting instruction that clears C1.
    pub(super) fn start(x87: &'a mut X87, insn: Insn<'a, M>) -> Result<Self, EvalFault> {
        let mut unit = Unit::start_keeping_c1(x87, insn)?;
        if !unit.is_double() {
            unit.set_conditions(C1, 0);
        }
        Ok(unit)
    }

    /// Starts a waiting instruction that leaves C1 as it is unless the stack faults.
    pub(super) fn start_keeping_c1(x87: &'a mut X87, insn: Insn<'a, M>) -> Result<Self, EvalFault> {
        let unit = Unit::wait(x87, insn)?;
        if !unit.is_double() {
            unit.x87.instruction = unit.insn.pc.0;
        }
        Ok(unit)
    }

    /// Tells the memory operand's address, for the case of an exception.
    pub(super) fn note_operand(&mut self, at: u64) {
        self.operand = Some(at);
    }

    fn place(&self, i: u8) -> usize {
        usize::from(self.x87.top().wrapping_add(i) & 7)
    }

    /// Whether one of the registers ST(i) is empty.
    pub(super) fn lacks(&self, registers: &[u8]) -> bool {
        registers.iter().any(|i| self.x87.tags >> self.place(*i) & 1 == 0)
    }

    /// Whether a push would find its register in use.
    pub(super) fn is_full(&self) -> bool {
        !self.lacks(&[7])
    }

    /// ST(i), whether or not it is empty.
    pub(super) fn st(&self, i: u8) -> F80 {
        from_guest(self.x87.regs[self.place(i)])
    }

    /// Writes ST(i), which is then in use.
    pub(super) fn set(&mut self, i: u8, v: F80) {
        let place = self.place(i);
        self.x87.regs[place] = to_guest(v);
        self.x87.tags |= 1 << place;
    }

    /// Frees ST(i).
    fn free(&mut self, i: u8) {
        self.x87.tags &= !(1 << self.place(i));
    }

    /// Moves the top by `n` registers up.
    pub(super) fn turn(&mut self, n: u8) {
        self.x87.set_top(self.x87.top().wrapping_add(n) & 7);
    }

    /// Pops `times` registers.
    pub(super) fn pop(&mut self, times: u8) {
        for _ in 0..times {
            self.free(0);
            self.turn(1);
        }
    }

    /// Pushes `v`.
    pub(super) fn push(&mut self, v: F80) {
        self.turn(7);
        self.set(0, v);
    }

    /// Replaces the condition codes in `mask`.
    pub(super) fn set_conditions(&mut self, mask: u16, conditions: u16) {
        self.x87.status = self.x87.status & !mask | conditions & mask;
    }

    /// Whether it computes in doubles.
    pub(super) fn is_double(&self) -> bool {
        self.insn.x87 == X87Arithmetic::Double
    }

    /// The modes for the instruction's arithmetic. In doubles no exception is delivered.
    pub(super) fn env(&self) -> FloatEnv {
        let env = FloatEnv::from_control_word(self.x87.control);
        if self.is_double() { FloatEnv { masked: Exceptions::ALL, precision: Precision::Extended, ..env } } else { env }
    }

    /// The result of arithmetic whose extended result is `v`.
    pub(super) fn result(&self, v: F80, env: &mut FloatEnv) -> F80 {
        if self.is_double() { double::result(v, env) } else { v }
    }

    /// Ends the instruction's arithmetic: exception flags, C1, and ES where one is unmasked. In doubles there is nothing of that.
    pub(super) fn commit(&mut self, settled: Settled) {
        if self.is_double() {
            return;
        }
        self.set_conditions(C1, settled.flags.bits());
        self.raise(settled);
    }

    /// Adds exception flags, and ES where one is unmasked.
    fn raise(&mut self, settled: Settled) {
        if self.is_double() {
            return;
        }
        self.x87.status |= (settled.flags & Exceptions::ALL).bits();
        if !settled.unmasked.is_empty() {
            self.x87.status |= PENDING | BUSY;
            self.x87.opcode = X87Code::at(self.insn.memory, self.insn.mode, self.insn.pc).opcode;
            self.x87.operand = self.operand.unwrap_or(self.x87.operand);
        }
    }

    /// Reports a stack fault; whether it is masked, so that the instruction goes on with the indefinite.
    pub(super) fn stack_fault(&mut self, fault: StackFault) -> bool {
        if self.is_double() {
            return true;
        }
        self.set_conditions(C1, if fault == StackFault::Overflow { C1 } else { 0 });
        self.x87.status |= SF;
        let flags = Exceptions::INVALID;
        let unmasked = flags.difference(self.env().masked);
        self.raise(Settled { flags, unmasked });
        unmasked.is_empty()
    }

    /// Runs `f` and writes its result to ST(i), unless an exception forbids it; whether it was written.
    pub(super) fn compute(&mut self, i: u8, f: impl FnOnce(&mut FloatEnv) -> F80) -> bool {
        let mut env = self.env();
        let extended = f(&mut env);
        let result = self.result(extended, &mut env);
        let settled = env.settle();
        self.commit(settled);
        if settled.writes_register() {
            self.set(i, result);
        }
        settled.writes_register()
    }

    /// As [`Self::compute`] on operands `needs`, with pops after the write; the indefinite where one is empty.
    pub(super) fn compute_from(&mut self, needs: &[u8], i: u8, pops: u8, f: impl FnOnce(&mut FloatEnv) -> F80) {
        if self.deliver_from(needs, i, f) {
            self.pop(pops);
        }
    }

    /// As [`Self::compute_from`] without pops; whether something was written.
    pub(super) fn deliver_from(&mut self, needs: &[u8], i: u8, f: impl FnOnce(&mut FloatEnv) -> F80) -> bool {
        if !self.lacks(needs) {
            return self.compute(i, f);
        }
        let masked = self.stack_fault(StackFault::Underflow);
        if masked {
            self.set(i, F80::INDEFINITE);
        }
        masked
    }

    /// Writes `v`, which is made from operands `needs` without arithmetic, to ST(i), and pops.
    pub(super) fn transfer(&mut self, needs: &[u8], i: u8, pops: u8, v: F80) {
        let missing = self.lacks(needs);
        if !missing || self.stack_fault(StackFault::Underflow) {
            self.set(i, if missing { F80::INDEFINITE } else { v });
            self.pop(pops);
        }
    }

    /// Pushes `v`, or the indefinite where there is no room.
    pub(super) fn push_checked(&mut self, v: F80) {
        if !self.is_full() {
            self.push(v);
        } else if self.stack_fault(StackFault::Overflow) {
            self.push(F80::INDEFINITE);
        }
    }

    /// `x87_push`.
    pub(super) fn push_register(&mut self, i: u8) {
        if self.lacks(&[i]) {
            if self.stack_fault(StackFault::Underflow) {
                self.push(F80::INDEFINITE);
            }
        } else {
            self.push_checked(self.st(i));
        }
    }

    /// `x87_push_const`.
    pub(super) fn push_constant(&mut self, value: X87Const) {
        let value = value.into();
        self.push_checked(if self.is_double() {
            double::rounded(soft::constant(value, Rounding::Nearest), Rounding::Nearest)
        } else {
            soft::constant(value, self.env().rounding)
        });
    }

    /// `x87_copy`.
    pub(super) fn copy(&mut self, i: u8, pops: u8) {
        self.transfer(&[0], i, pops, self.st(0));
    }

    /// `x87_exchange`.
    pub(super) fn exchange(&mut self, i: u8) {
        if self.lacks(&[0, i]) {
            if !self.stack_fault(StackFault::Underflow) {
                return;
            }
            for empty in [0, i] {
                if self.lacks(&[empty]) {
                    self.set(empty, F80::INDEFINITE);
                }
            }
        }
        let (a, b) = (self.st(0), self.st(i));
        self.set(0, b);
        self.set(i, a);
    }

    /// `x87_arith`.
    pub(super) fn arith(&mut self, op: X87Op, dst: u8, src: u8, pops: u8) {
        let (a, b) = (self.st(dst), self.st(src));
        if self.is_double() {
            let b = double::narrow(b, Rounding::Nearest);
            self.compute_from(&[dst, src], dst, pops, |env| double::arith(op, a, b, env));
        } else {
            self.compute_from(&[dst, src], dst, pops, |env| arith(op, a, b, env));
        }
    }

    /// Relates ST(0) to `b`, where registers `needs` must not be empty; and whether the instruction may pop.
    ///
    /// Processors deliver the relation under an unmasked exception too, against the manual's word.
    pub(super) fn relate<B: Format>(&mut self, needs: &[u8], b: B, unordered: bool) -> (Relation, bool) {
        if self.lacks(needs) {
            return (Relation::Unordered, self.stack_fault(StackFault::Underflow));
        }
        let (mut env, a) = (self.env(), self.st(0));
        let compare = if unordered { soft::compare_quiet } else { soft::compare_signaling };
        let relation = compare(a, b, &mut env);
        let settled = env.settle();
        self.raise(settled);
        (relation, settled.writes_register())
    }

    /// Ends a comparison: condition codes and pops.
    pub(super) fn tell(&mut self, (relation, pop): (Relation, bool), pops: u8) {
        let conditions = match relation {
            Relation::Less => C0,
            Relation::Equal => C3,
            Relation::Greater => 0,
            Relation::Unordered => C0 | C2 | C3,
        };
        let kept = if self.is_double() { 0 } else { C1 };
        self.set_conditions((C0 | C1 | C2 | C3) & !kept, conditions);
        self.pop(if pop { pops } else { 0 });
    }

    /// `x87_compare`.
    pub(super) fn compare(&mut self, i: u8, unordered: bool, pops: u8) {
        let relation = self.relate(&[0, i], self.st(i), unordered);
        self.tell(relation, pops);
    }

    /// `x87_compare_flags`. C1 tells of stack faults alone.
    pub(super) fn compare_flags(&mut self, i: u8, unordered: bool, pops: u8) -> FlagSet {
        let (relation, pop) = self.relate(&[0, i], self.st(i), unordered);
        self.pop(if pop { pops } else { 0 });
        relation_flags(relation)
    }

    /// `x87_cmov`. C1 tells of stack faults alone.
    pub(super) fn cmov(&mut self, holds: bool, i: u8) {
        if !self.lacks(&[0, i]) {
            self.set(0, self.st(if holds { i } else { 0 }));
        } else if self.stack_fault(StackFault::Underflow) {
            self.set(0, F80::INDEFINITE);
        }
    }

    /// `x87_free`.
    pub(super) fn free_register(&mut self, i: u8, pops: u8) {
        self.free(i);
        self.pop(pops);
    }
}

/// `a op b` by the x87's rules.
pub(super) fn arith<A: Format, B: Format, R: Format>(op: X87Op, a: A, b: B, env: &mut FloatEnv) -> R {
    match op {
        X87Op::Add => soft::add(a, b, env),
        X87Op::Sub => soft::sub(a, b, env),
        X87Op::SubR => soft::sub(b, a, env),
        X87Op::Mul => soft::mul(a, b, env),
        X87Op::Div => soft::div(a, b, env),
        X87Op::DivR => soft::div(b, a, env),
    }
}

/// `x87_control` of the instruction at `pc`.
pub(super) fn control(
    x87: &mut X87,
    arithmetic: X87Arithmetic,
    op: X87Control,
    pc: GuestAddr,
) -> Result<(), EvalFault> {
    match op {
        X87Control::Init => initialise(x87),
        X87Control::Clex => x87.status &= !(Exceptions::ALL.bits() | SF | PENDING | BUSY),
        X87Control::Emms => {
            check_x87_pending(x87)?;
            x87.set_top(0);
            x87.tags = 0;
        }
        X87Control::Mmx => enter_mmx(x87)?,
        X87Control::Wait => check_x87_pending(x87)?,
        X87Control::Nop => {
            check_x87_pending(x87)?;
            if arithmetic == X87Arithmetic::Exact {
                x87.instruction = pc.0;
            }
        }
    }
    Ok(())
}

/// What the unit keeps of an x87 instruction's bytes, and what its operand's address depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct X87Code {
    /// The low three bits of the first opcode byte, then all of the second.
    pub opcode: u16,
    /// The segment of the memory operand, if that is fs or gs: the unit keeps the address without its base.
    pub segment: Option<Seg>,
}

impl X87Code {
    /// Of the instruction whose bytes `byte` gives by their numbers; all zero where it is no x87 instruction.
    pub fn decode(mode: CpuMode, byte: impl Fn(u64) -> u8) -> X87Code {
        X87Code::find(mode, byte).unwrap_or_default()
    }

    fn find(mode: CpuMode, byte: impl Fn(u64) -> u8) -> Option<X87Code> {
        /// The most bytes of an instruction before the last of an x87 opcode.
        const LONGEST: u64 = 13;
        let mut segment = None;
        for n in 0..=LONGEST {
            match byte(n) {
                escape @ 0xd8..=0xdf => {
                    let second = byte(n + 1);
                    let opcode = u16::from(escape & 7) << 8 | u16::from(second);
                    return Some(X87Code { opcode, segment: segment.filter(|_| second < 0xc0) });
                }
                0x64 => segment = Some(Seg::Fs),
                0x65 => segment = Some(Seg::Gs),
                0x26 | 0x2e | 0x36 | 0x3e if mode == CpuMode::Protected32 => segment = None,
                0x26 | 0x2e | 0x36 | 0x3e | 0x66 | 0x67 | 0xf0 | 0xf2 | 0xf3 => {}
                0x40..=0x4f if mode == CpuMode::Long64 => {}
                _ => break,
            }
        }
        None
    }

    /// Whether the instruction at `pc` is an x87 instruction with a memory operand that raises pending exceptions before it reaches memory: all but
    /// `fnstenv`, `fnstcw`, `fnsave` and `fnstsw`.
    pub fn waits<M: Memory + ?Sized>(memory: &M, mode: CpuMode, pc: GuestAddr) -> bool {
        let code = X87Code::find(mode, |n| memory.read_u8(pc.offset(n)).unwrap_or(0));
        code.is_some_and(|code| {
            code.opcode & 0xc0 != 0xc0 && !matches!(code.opcode >> 3 & 0xe7, 0x26 | 0x27 | 0xa6 | 0xa7)
        })
    }

    /// Of the instruction at `pc`; all zero where its bytes are not there any more.
    pub fn at<M: Memory + ?Sized>(memory: &M, mode: CpuMode, pc: GuestAddr) -> X87Code {
        X87Code::decode(mode, |n| memory.read_u8(pc.offset(n)).unwrap_or(0))
    }
}

/// `fninit`: everything but the registers' contents.
pub(super) fn initialise(x87: &mut X87) {
    *x87 = X87 { regs: x87.regs, ..X87::INIT };
}

/// `x87_set_control`.
pub(super) fn set_control(x87: &mut X87, arithmetic: X87Arithmetic, v: u16) -> Result<(), EvalFault> {
    check_x87_pending(x87)?;
    load_words(x87, arithmetic, v, x87.status);
    Ok(())
}

/// Loads control and status word; ES follows from the two, where exceptions are delivered.
pub(super) fn load_words(x87: &mut X87, arithmetic: X87Arithmetic, control: u16, status: u16) {
    x87.control = control & CONTROL_BITS | 0x40;
    let kept = if arithmetic == X87Arithmetic::Double { !(Exceptions::ALL.bits() | SF) } else { u16::MAX };
    x87.status = status & kept & !(PENDING | BUSY);
    if arithmetic == X87Arithmetic::Exact && status & !control & Exceptions::ALL.bits() != 0 {
        x87.status |= PENDING | BUSY;
    }
}

/// Masks all exceptions, as `fnstenv` does after saving.
pub(super) fn mask_all(x87: &mut X87) {
    load_words(x87, X87Arithmetic::Exact, x87.control | Exceptions::ALL.bits(), x87.status);
}

/// A register's value.
pub(super) fn from_guest(v: guest::F80) -> F80 {
    F80 { significand: v.significand, sign_exponent: v.sign_exponent }
}

/// A register with this value.
pub(super) fn to_guest(v: F80) -> guest::F80 {
    guest::F80 { significand: v.significand, sign_exponent: v.sign_exponent, padding: [0; 3] }
}

impl From<X87Const> for Constant {
    fn from(value: X87Const) -> Constant {
        match value {
            X87Const::One => Constant::One,
            X87Const::L2t => Constant::Log2Of10,
            X87Const::L2e => Constant::Log2OfE,
            X87Const::Pi => Constant::Pi,
            X87Const::Lg2 => Constant::Log10Of2,
            X87Const::Ln2 => Constant::LnOf2,
            X87Const::Zero => Constant::Zero,
        }
    }
}

//! x87 ops in doubles: values in v8 to v15, as [`hokku_ir::lowering::X87Stack`] says. Of 32-bit code alone, which leaves those registers free.
//!
//! Where code computes in doubles, FPCR keeps denormals and gives default NaNs, and SSE ops on floats are the runtime's: see [`crate::float`]. What is
//! not here is evaluated, after all has been written to the state. Callouts keep v8 to v15.

use hokku_ir::backend::{Callout, StubId};
use hokku_ir::eval::x87_constant;
use hokku_ir::lowering::{UpperBits, X87Shape, X87Slot, X87Stack, x87_come_back, x87_write_exact};
use hokku_ir::{Addr, BlockId, CpuMode, Op, Value, X87Arithmetic, X87Control, X87Format, X87Op, X87Unary};

use crate::access::Piece;
use crate::asm::{Cc, Label, Size};
use crate::assign::*;
use crate::control::Cold;
use crate::float::Float;
use crate::immediate::bitmask;
use crate::integer::{Extend, Logic, Shift, Sum};
use crate::lower::Lowering;

/// The host register for slot 0.
pub(crate) const FIRST: u8 = 8;
const DOUBLE: Piece = Piece::Vec(3);
const SINGLE: Piece = Piece::Vec(2);
/// Bits of the control word that can be set, and the one that always is.
const CONTROL_BITS: u64 = 0x1f3f;
const CONTROL_ONE: u64 = 0x40;

/// The host register for `slot`.
fn float_of(slot: X87Slot) -> u8 {
    FIRST + slot
}

/// Offset of physical register `n`.
fn place_offset(n: u8) -> i32 {
    X87_REGS + 16 * i32::from(n)
}

/// An instruction of one operand and one result.
fn one(word: u32, d: u8, n: u8) -> u32 {
    word | u32::from(n) << 5 | u32::from(d)
}

/// `fneg`, `fabs` and `scvtf` of doubles, `fmov` from a general register; conversions to 64-bit integers that round to nearest, up, down and to zero.
const FNEG: u32 = 0x1e61_4000;
const FABS: u32 = 0x1e60_c000;
const FMOV: u32 = 0x9e67_0000;
const TO_NEAREST: u32 = 0x9e60_0000;
const UP: u32 = 0x9e68_0000;
const DOWN: u32 = 0x9e70_0000;
const TO_ZERO: u32 = 0x9e78_0000;

impl Lowering<'_> {
    /// Whether x87 ops compute in doubles.
    pub(crate) fn computes_in_doubles(&self) -> bool {
        self.region.key.x87 == X87Arithmetic::Double
    }

    /// Goes to the other version of block `id` unless the stack has the shape that this one is written for.
    pub(crate) fn check_shape(&mut self, id: BlockId) {
        let Some(shape) = self.shapes.as_ref().map(|shapes| shapes[id.0 as usize]) else { return };
        let label = self.slow_versions[id.0 as usize];
        let part = if self.computes_in_doubles() { Piece::W } else { Piece::H };
        self.asm.load(part, SCRATCH, STATE, X87_SHAPE);
        if shape.0 != 0 {
            self.asm.add_imm(Sum::Sub, Size::W, SCRATCH, SCRATCH, shape.0.into());
        }
        self.asm.cbnz(Size::W, SCRATCH, label);
    }

    /// Where a jump to block `id` from the block at hand leads: past the check where the stack is as it must be.
    pub(crate) fn entry_of(&mut self, id: BlockId) -> Label {
        if self.leads_past_look(id) {
            return self.inner_labels[id.0 as usize];
        }
        if let Some(label) = self.fpsr.entry_of(id) {
            return label;
        }
        if self.leads_past_check(id) {
            return self.block_labels[id.0 as usize];
        }
        if let Some(label) = self.checks[id.0 as usize] {
            return label;
        }
        let label = self.asm.label();
        self.checks[id.0 as usize] = Some(label);
        self.cold.push(Cold::Check { label, id });
        label
    }

    /// Whether code of the block at hand may go on in block `id` without a check.
    pub(crate) fn leads_past_check(&self, id: BlockId) -> bool {
        let Some(shapes) = &self.shapes else { return true };
        self.shape_after == Some(shapes[id.0 as usize])
    }

    /// Writes what the state does not have of the stack. Changes [`SCRATCH`] and [`TARGET`].
    pub(crate) fn write_stack(&mut self) {
        let Some(stack) = self.x87.clone() else { return };
        if stack.late().is_some() {
            x87_write_exact(&mut self.asm, &stack, [SCRATCH, TARGET], ZERO);
            return self.stack().may_be_written();
        }
        for (n, slot) in stack.dirty() {
            self.asm.store(DOUBLE, float_of(slot), STATE, place_offset(n));
        }
        if stack.is_late() {
            self.write_shape(stack.shape, stack.is_nearest);
            // Out of line that is not done each time.
            self.stack().may_be_written();
        }
    }

    /// The same where what follows may leave the code in a way that does not tell where values are.
    pub(crate) fn write_stack_back(&mut self) {
        self.write_stack();
        self.x87.iter_mut().for_each(X87Stack::clean);
    }

    fn write_shape(&mut self, shape: X87Shape, is_nearest: bool) {
        let mut r = ZERO;
        if shape.0 != 0 || !is_nearest {
            self.asm.constant(SCRATCH, shape.0.into());
            r = SCRATCH;
        }
        if !is_nearest {
            self.asm.load(Piece::B, TARGET, STATE, X87_CONTROL + 1);
            self.asm.ubfx(Size::W, TARGET, TARGET, 2, 2);
            self.asm.logic_shifted(Logic::Orr, Size::W, r, r, TARGET, Shift::Lsl, 11);
        }
        self.asm.store(Piece::W, r, STATE, X87_SHAPE);
    }

    /// The block's ops are written: nothing is in registers any more.
    pub(crate) fn end_stack(&mut self) {
        self.write_stack();
        self.shape_after = self.x87.take().filter(|stack| stack.is_nearest).map(|stack| stack.shape);
    }

    /// `op` has been evaluated in place.
    pub(crate) fn x87_was_evaluated(&mut self, op: &Op) {
        let after = self.x87.as_ref().and_then(|stack| stack.shape.after(op));
        match (after, &mut self.x87) {
            (Some(shape), Some(stack)) => {
                if let Op::X87ControlOp { op: X87Control::Init } = op {
                    stack.is_nearest = true;
                }
                stack.renew(shape);
                if !stack.is_nearest && stack.late().is_some() {
                    x87_come_back(&mut self.asm, stack, [SCRATCH, TARGET]);
                }
            }
            _ => self.x87 = None,
        }
    }

    pub(crate) fn stack(&mut self) -> &mut X87Stack {
        self.x87.as_mut().unwrap_or_else(|| panic!("the x87 stack is not known here"))
    }

    /// The register of ST(`i`).
    fn st(&mut self, i: u8) -> u8 {
        if let Some(slot) = self.stack().slot(i) {
            return float_of(slot);
        }
        let stack = self.stack();
        let (slot, place) = (stack.free_slot(), stack.shape.place(i));
        stack.loaded(i, slot);
        self.asm.load(DOUBLE, float_of(slot), STATE, place_offset(place));
        float_of(slot)
    }

    /// Lowers the x87 op `op`, which works on the unit in host form.
    pub(crate) fn x87_double(&mut self, dst: Value, op: Op) {
        match op {
            Op::X87GetControl {} => self.x87_word(dst, X87_CONTROL),
            Op::X87GetStatus {} => self.x87_status(dst),
            _ if self.x87.is_some() && self.x87_known(dst, op) => {}
            _ => self.callout(dst, op),
        }
    }

    /// `x87_get_status`: condition codes and top.
    fn x87_status(&mut self, dst: Value) {
        let d = self.dest(dst);
        self.asm.load(Piece::H, d, STATE, X87_STATUS);
        if let Some(stack) = &self.x87 {
            let top = u64::from(stack.shape.top()) << 11;
            match bitmask(Size::W, top) {
                Some(bits) => self.asm.logic_bits(Logic::Orr, Size::W, d, d, bits),
                None if top == 0 => {}
                None => {
                    self.asm.constant(SCRATCH, top);
                    self.asm.logic(Logic::Orr, Size::W, d, d, SCRATCH);
                }
            }
        } else {
            self.asm.load(Piece::W, SCRATCH, STATE, X87_SHAPE);
            self.asm.ubfx(Size::W, SCRATCH, SCRATCH, 8, 3);
            self.asm.logic_shifted(Logic::Orr, Size::W, d, d, SCRATCH, Shift::Lsl, 11);
        }
        self.define(dst, UpperBits::ZERO);
    }

    /// Lowers `op` for a known stack; false: it is to be evaluated.
    fn x87_known(&mut self, dst: Value, op: Op) -> bool {
        let Some(after) = self.stack().shape.after(&op) else { return false };
        if let Some(moved) = X87Stack::moved(&op) {
            for i in moved.into_iter().flatten() {
                self.st(i);
            }
            self.stack().rearrange(&op, after);
            return true;
        }
        match op {
            Op::X87Load { format, at } => return self.x87_load(format, at),
            Op::X87Store { format, truncate, pop, at } => return self.x87_store(format, truncate.0, pop.0, at),
            Op::X87PushConst { value } => {
                let slot = self.stack().free_slot();
                self.asm.constant(SCRATCH, x87_constant(value));
                self.asm.word(one(FMOV, float_of(slot), SCRATCH));
                self.stack().push(slot);
            }
            Op::X87Arith { op: kind, dst: d, src, pop } => {
                let (a, b) = (self.st(d.0), self.st(src.0));
                let slow = self.unless_nearest();
                self.x87_arith(kind, d.0, a, b);
                self.stack().pop(pop.0.into());
                self.ends(slow, op);
            }
            Op::X87ArithMem { op: kind, format, at } => {
                if !self.stack().is_nearest || !is_loaded(format) {
                    return false;
                }
                let a = self.st(0);
                let b = self.vec_temp();
                self.load_float(b, format, at);
                self.x87_arith(kind, 0, a, b);
            }
            Op::X87Compare { st, pops, .. } => {
                let (a, b) = (self.st(0), self.st(st.0));
                self.x87_conditions(a, b);
                self.stack().pop(pops.0);
            }
            Op::X87CompareMem { format, pop, at } => {
                if !is_loaded(format) {
                    return false;
                }
                let a = self.st(0);
                let b = self.vec_temp();
                self.load_float(b, format, at);
                self.x87_conditions(a, b);
                self.stack().pop(pop.0.into());
            }
            Op::X87CompareFlags { st, pop, .. } => {
                let (a, b) = (self.st(0), self.st(st.0));
                self.relation(a, b);
                self.stack().pop(pop.0.into());
                // The flags are the bits of the condition codes.
                let d = self.dest(dst);
                self.asm.mov(Size::X, d, SCRATCH);
                self.define(dst, UpperBits::ZERO);
            }
            Op::X87UnaryOp { op: X87Unary::Fchs } => self.x87_one(FNEG),
            Op::X87UnaryOp { op: X87Unary::Fabs } => self.x87_one(FABS),
            Op::X87UnaryOp { op: X87Unary::Fsqrt } => {
                let a = self.st(0);
                let slow = self.unless_nearest();
                let slot = self.stack().result_slot(0);
                self.asm.fp_sqrt(true, float_of(slot), a);
                self.stack().set(0, slot);
                self.ends(slow, op);
            }
            Op::X87UnaryOp { op: X87Unary::Ftst } => {
                let a = self.st(0);
                let zero = self.vec_temp();
                self.asm.word(one(FMOV, zero, ZERO));
                self.x87_conditions(a, zero);
            }
            Op::X87ControlOp { op: X87Control::Wait | X87Control::Nop | X87Control::Clex } => {}
            Op::X87SetControl { v } => {
                let r = self.reg(v);
                self.asm.constant(SCRATCH, CONTROL_BITS);
                self.asm.logic(Logic::And, Size::W, SCRATCH, SCRATCH, r);
                self.asm.constant(TARGET, CONTROL_ONE);
                self.asm.logic(Logic::Orr, Size::W, SCRATCH, SCRATCH, TARGET);
                self.asm.store(Piece::H, SCRATCH, STATE, X87_CONTROL);
                self.stack().forget_rounding();
            }
            _ => return false,
        }
        true
    }

    /// Where rounding may not be to nearest, goes to the label that it gives, with the stack as it is then.
    fn unless_nearest(&mut self) -> Option<(Label, X87Stack)> {
        let before = self.stack().clone();
        if before.is_nearest {
            return None;
        }
        let slow = self.asm.label();
        self.asm.load(Piece::B, SCRATCH, STATE, X87_CONTROL + 1);
        self.asm.ubfx(Size::W, SCRATCH, SCRATCH, 2, 2);
        self.asm.cbnz(Size::W, SCRATCH, slow);
        Some((slow, before))
    }

    /// The code of `op`, which has no operands, is written; at `slow` it is evaluated, and registers are read again.
    fn ends(&mut self, slow: Option<(Label, X87Stack)>, op: Op) {
        let Some((slow, before)) = slow else { return };
        let done = self.asm.label();
        self.asm.bind(done);
        let (after, lazy, pc) = (self.x87.replace(before), self.lazy().with_x87_settled(), self.pc);
        let kept: Vec<u8> = self.vectors.in_use().collect();
        self.outline(slow, |l| {
            for r in &kept {
                l.asm.store(Piece::Q, *r, STATE, vector_slot_offset(*r));
            }
            l.branch_to_stub(StubId::Callout, true);
            l.out.callouts.push(Callout { offset: l.asm.offset(), op, pc, lazy });
            for r in &kept {
                l.asm.load(Piece::Q, *r, STATE, vector_slot_offset(*r));
            }
            for (n, slot) in after.iter().flat_map(X87Stack::held) {
                l.asm.load(DOUBLE, float_of(slot), STATE, place_offset(n));
            }
            l.asm.b(done);
        });
        self.compared = None;
        self.x87 = after;
    }

    /// `to` = the operand at `at`.
    fn load_float(&mut self, to: u8, format: X87Format, at: Addr) {
        let piece = match format {
            X87Format::F32 => SINGLE,
            X87Format::I16 => Piece::Signed { log2_bytes: 1, short: false },
            X87Format::I32 => Piece::Signed { log2_bytes: 2, short: false },
            X87Format::I64 => Piece::X,
            _ => DOUBLE,
        };
        let is_float = matches!(piece, Piece::Vec(_));
        let place = self.place(at, piece, false);
        self.fault_site();
        self.asm.access(true, piece, if is_float { to } else { SCRATCH }, place);
        if !is_float {
            self.asm.int_to_fp(Size::X, true, to, SCRATCH);
        } else if piece == SINGLE {
            self.asm.fp_convert(false, to, to);
        }
    }

    fn x87_load(&mut self, format: X87Format, at: Addr) -> bool {
        // Only integers of 64 bits are rounded.
        if !is_loaded(format) || (format == X87Format::I64 && !self.stack().is_nearest) {
            return false;
        }
        let slot = self.stack().free_slot();
        self.load_float(float_of(slot), format, at);
        self.stack().push(slot);
        true
    }

    fn x87_store(&mut self, format: X87Format, truncate: bool, pop: bool, at: Addr) -> bool {
        let (piece, bits) = match format {
            X87Format::F64 => (DOUBLE, 0),
            X87Format::F32 if self.stack().is_nearest => (SINGLE, 0),
            X87Format::I16 => (Piece::H, 16),
            X87Format::I32 => (Piece::W, 32),
            X87Format::I64 => (Piece::X, 64),
            X87Format::F32 | X87Format::F80 | X87Format::Bcd => return false,
        };
        let f = self.st(0);
        let place = self.place(at, piece, false);
        let mut from = f;
        if format == X87Format::F32 {
            from = self.vec_temp();
            self.asm.fp_convert(true, from, f);
        } else if bits != 0 {
            self.x87_to_integer(f, truncate, bits);
            from = SCRATCH;
        }
        self.fault_site();
        self.asm.access(false, piece, from, place);
        self.stack().pop(pop.into());
        true
    }

    /// [`SCRATCH`] = `f` as an integer of `bits`; the smallest one where it is too large or no number. Changes [`TARGET`].
    fn x87_to_integer(&mut self, f: u8, truncate: bool, bits: u8) {
        if truncate {
            self.asm.word(one(TO_ZERO, SCRATCH, f));
        } else {
            self.asm.word(one(TO_NEAREST, SCRATCH, f));
            if !self.stack().is_nearest {
                // Nearest, down, up, zero.
                for (mode, word) in [(1, DOWN), (2, UP), (3, TO_ZERO)] {
                    self.asm.load(Piece::B, TARGET, STATE, X87_CONTROL + 1);
                    self.asm.ubfx(Size::W, TARGET, TARGET, 2, 2);
                    self.asm.add_imm(Sum::Subs, Size::W, ZERO, TARGET, mode);
                    self.asm.word(one(word, TARGET, f));
                    self.asm.csel(Size::X, SCRATCH, TARGET, SCRATCH, Cc::Eq);
                }
            }
        }
        self.asm.constant(TARGET, (-1i64 << (bits - 1)) as u64);
        let fits = match bits {
            // The largest is what the host makes of what is too large.
            64 => {
                self.asm.add_imm(Sum::Adds, Size::X, ZERO, SCRATCH, 1);
                Cc::Vc
            }
            _ => {
                let extend = if bits == 16 { Extend::Sxth } else { Extend::Sxtw };
                self.asm.add_extended(Sum::Subs, Size::X, ZERO, SCRATCH, SCRATCH, extend, 0);
                Cc::Eq
            }
        };
        self.asm.csel(Size::X, SCRATCH, SCRATCH, TARGET, fits);
        self.asm.fp_compare(false, true, f, f);
        self.asm.csel(Size::X, SCRATCH, SCRATCH, TARGET, Cc::Vc);
        self.compared = None;
    }

    /// ST(`i`), which is in `a`, becomes `a kind b`.
    fn x87_arith(&mut self, kind: X87Op, i: u8, a: u8, b: u8) {
        let (float, a, b) = match kind {
            X87Op::Add => (Float::Add, a, b),
            X87Op::Sub => (Float::Sub, a, b),
            X87Op::SubR => (Float::Sub, b, a),
            X87Op::Mul => (Float::Mul, a, b),
            X87Op::Div => (Float::Div, a, b),
            X87Op::DivR => (Float::Div, b, a),
        };
        let slot = self.stack().result_slot(i);
        self.asm.fp_two(float, true, float_of(slot), a, b);
        self.stack().set(i, slot);
    }

    /// An instruction on ST(0).
    fn x87_one(&mut self, word: u32) {
        let a = self.st(0);
        let slot = self.stack().result_slot(0);
        self.asm.word(one(word, float_of(slot), a));
        self.stack().set(0, slot);
    }

    /// The condition codes of a comparison of `a` with `b`.
    fn x87_conditions(&mut self, a: u8, b: u8) {
        self.relation(a, b);
        self.asm.store(Piece::B, SCRATCH, STATE, X87_STATUS + 1);
    }

    /// [`SCRATCH`] = 1 where `a` is less than `b`, 0x40 where they are equal, 0x45 where they are unordered, else zero.
    fn relation(&mut self, a: u8, b: u8) {
        self.asm.fp_compare(false, true, a, b);
        self.asm.constant(SCRATCH, 0x40);
        self.asm.constant(TARGET, 0x45);
        self.asm.csel(Size::W, SCRATCH, SCRATCH, ZERO, Cc::Eq);
        // Less or unordered.
        self.asm.csinc(Size::W, SCRATCH, SCRATCH, ZERO, Cc::Ge);
        self.asm.csel(Size::W, SCRATCH, TARGET, SCRATCH, Cc::Vs);
        self.compared = None;
    }
}

/// Whether operands of that format are loaded here.
fn is_loaded(format: X87Format) -> bool {
    !matches!(format, X87Format::F80 | X87Format::Bcd)
}

/// The shapes that blocks of `region` are written for; doubles are in v8 to v15, which must be free.
pub(crate) fn shapes(region: &hokku_ir::Region) -> Option<Vec<X87Shape>> {
    let is_known = region.key.x87 == X87Arithmetic::Exact || region.key.mode == CpuMode::Protected32;
    hokku_ir::lowering::x87_shapes(region).filter(|_| is_known)
}

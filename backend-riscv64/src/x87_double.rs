//! x87 ops in doubles: values in f10 to f17, as [`hokku_ir::lowering::X87Stack`] says, and host instructions that round to nearest.
//!
//! They may add exceptions to `fcsr`, and so to mxcsr. What is not here is evaluated, after all has been written to the state.

use hokku_ir::eval::x87_constant;
use hokku_ir::lowering::{UpperBits, X87Shape, X87Slot, X87Stack, x87_come_back, x87_write_exact};
use hokku_ir::{Addr, BlockId, Gpr, Op, Value, Width, X87Control, X87Format, X87Op, X87Unary};

use crate::Features;
use crate::asm::Label;
use crate::assign::*;
use crate::callout::OutOfLine;
use crate::encode::*;
use crate::exits::Cold;
use crate::float::fp;
use crate::lower::Lowering;

/// The host register for slot 0.
pub(crate) const FIRST: Reg = 10;
/// Scratch within an op's code.
pub(crate) const FLOAT_SCRATCH: Reg = 28;
/// Rounding modes of instructions.
const NEAREST: u32 = 0;
const TO_ZERO: u32 = 1;
/// Bits of the control word that can be set, and the one that always is.
const CONTROL_BITS: i64 = 0x1f3f;
const CONTROL_ONE: i32 = 0x40;
/// The rounding field in the control word's upper byte.
const ROUNDING: i32 = 0xc;
/// The condition codes that a comparison sets, in the status word's upper byte.
const COMPARED: i32 = 0x45;
/// The condition codes of a comparison, shifted by whether the first is less than or equal to the other (2), and the reverse (1): unordered, greater, less, equal. Other bits are not theirs.
const CONDITIONS: i64 = 0x245;

/// A test of condition codes.
struct Tested {
    result: Value,
    mask: i32,
    /// Places of the ops that it consists of.
    done: [usize; 2],
}

/// The host register for `slot`.
pub(crate) fn float_of(slot: X87Slot) -> Reg {
    FIRST + slot
}

/// Offset of physical register `n`.
pub(crate) fn place_offset(n: u8) -> i32 {
    X87_REGS + 16 * i32::from(n)
}

impl Lowering<'_> {
    /// Whether code that computes in doubles is being written for a known stack.
    pub(crate) fn stack(&mut self) -> &mut X87Stack {
        self.x87.as_mut().unwrap_or_else(|| panic!("the x87 stack is not known here"))
    }

    /// Goes to the other version of block `id` unless the stack has the shape that this one is written for. Reads what is to be in registers then.
    pub(crate) fn check_shape(&mut self, id: BlockId) {
        let Some(shape) = self.shapes.as_ref().map(|shapes| shapes[id.0 as usize]) else { return };
        let is_double = self.computes_in_doubles();
        let label = if is_double { self.slow_version(id) } else { self.shapeless_version(id) };
        self.asm.i(if is_double { LW } else { LHU }, SCRATCH, STATE, X87_SHAPE);
        if shape.0 != 0 {
            // As a signed number of 12 bits; the bits above differ then where rounding is not to nearest, and must not.
            self.asm.i(XORI, SCRATCH, SCRATCH, shape.0.into());
        }
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, label);
        self.load_carried(id);
    }

    /// Where a jump to block `id` from the block at hand leads: past the check where the stack is as it must be.
    pub(crate) fn entry_of(&mut self, id: BlockId) -> Label {
        if self.leads_past_check(id) {
            return self.labels[id.0 as usize];
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

    /// Writes what the state does not have of the stack.
    pub(crate) fn write_stack_back(&mut self) {
        let Some(stack) = self.x87.take() else { return };
        self.write_stack(&stack);
        let mut stack = stack;
        stack.clean();
        self.x87 = Some(stack);
    }

    /// Writes what the state does not have of `stack`. Changes [`SCRATCH`] and x1.
    pub(crate) fn write_stack(&mut self, stack: &X87Stack) {
        if stack.late().is_some() {
            return x87_write_exact(&mut self.asm, stack, [SCRATCH, RA], ZERO);
        }
        for (n, slot) in stack.dirty() {
            self.asm.s(FSD, float_of(slot), STATE, place_offset(n));
        }
        if stack.is_late() {
            self.write_shape(stack.shape, stack.is_nearest);
        }
    }

    pub(crate) fn write_shape(&mut self, shape: X87Shape, is_nearest: bool) {
        let mut r = ZERO;
        if shape.0 != 0 {
            self.asm.li(SCRATCH, shape.0.into());
            r = SCRATCH;
        }
        if !is_nearest {
            self.asm.i(LBU, RA, STATE, X87_CONTROL + 1);
            self.asm.i(ANDI, RA, RA, ROUNDING);
            self.asm.i(SLLI, RA, RA, 9);
            self.asm.r(OR, SCRATCH, r, RA);
            r = SCRATCH;
        }
        self.asm.s(SW, r, STATE, X87_SHAPE);
    }

    /// All is written, and what registers hold is known no more.
    pub(crate) fn leave_stack(&mut self) {
        self.write_stack_back();
        if let Some(stack) = &mut self.x87 {
            let shape = stack.shape;
            stack.renew(shape);
        }
    }

    /// The block's ops are written: nothing is in registers any more, but where its exit carries it on.
    pub(crate) fn end_stack(&mut self) {
        let stays = self.carries_on();
        if !stays {
            self.write_stack_back();
        }
        self.shape_after = self.x87.as_ref().filter(|stack| stack.is_nearest).map(|stack| stack.shape);
        if !stays {
            self.x87 = None;
        }
    }

    /// Evaluates `op`.
    pub(crate) fn evaluate_x87(&mut self, dst: Value, op: Op) {
        let after = self.x87.as_ref().and_then(|stack| stack.shape.after(&op));
        self.callout(dst, op);
        match (after, &mut self.x87) {
            (Some(shape), Some(stack)) => {
                if let Op::X87ControlOp { op: X87Control::Init } = op {
                    stack.is_nearest = true;
                }
                self.x87_was_done(Some(shape));
            }
            _ => self.x87 = None,
        }
    }

    /// `op`, to be evaluated out of line. Ask before the stack changes.
    fn x87_out_of_line(&mut self, op: Op) -> OutOfLine {
        let lazy = self.lazy();
        self.out_of_line_in(op, Vec::new(), lazy)
    }

    /// The op at hand is written; where it was evaluated out of line, the registers are read again.
    fn x87_out_of_line_ends(&mut self, mut slow: OutOfLine) {
        slow.stack_after = self.x87.clone();
        self.out_of_line_ends(slow, None);
    }

    /// Writes `stack` as code out of line does before an op is evaluated.
    pub(crate) fn leave_for_evaluation(&mut self, stack: &X87Stack) {
        self.write_stack(stack);
    }

    /// Reads again what registers of `stack` held, and leaves the state's word as the code that goes on knows it.
    pub(crate) fn come_back_from_evaluation(&mut self, stack: &X87Stack) {
        if stack.late().is_some() {
            return x87_come_back(&mut self.asm, stack, [SCRATCH, RA]);
        }
        for (n, slot) in stack.held() {
            self.asm.i(FLD, float_of(slot), STATE, place_offset(n));
        }
        if let Some(shape) = stack.written() {
            self.write_shape(shape, true);
        }
    }

    /// The register of ST(`i`).
    fn st(&mut self, i: u8) -> Reg {
        if let Some(slot) = self.stack().slot(i) {
            return float_of(slot);
        }
        let stack = self.stack();
        let (slot, place) = (stack.free_slot(), stack.shape.place(i));
        stack.loaded(i, slot);
        self.asm.i(FLD, float_of(slot), STATE, place_offset(place));
        float_of(slot)
    }

    /// Lowers the x87 op `op` for a known stack; false: it is to be evaluated.
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
            Op::X87Load { format, at } => return self.x87_load(format, &at),
            Op::X87Store { format, truncate, pop, at } => return self.x87_store(format, truncate.0, pop.0, &at),
            Op::X87PushConst { value } => {
                let slot = self.stack().pushed_slot();
                let bits = x87_constant(value);
                let mut r = ZERO;
                if bits != 0 {
                    self.asm.li(SCRATCH, bits as i64);
                    r = SCRATCH;
                }
                self.asm.word(fp(0x78, true, 0, float_of(slot), r, 0));
                self.stack().push(slot);
            }
            Op::X87Arith { op: kind, dst: d, src, pop } => {
                let (a, b) = (self.st(d.0), self.st(src.0));
                let slow = self.unless_nearest(op);
                self.x87_arith(kind, d.0, a, b);
                self.stack().pop(pop.0.into());
                self.ends(slow);
            }
            Op::X87ArithMem { op: kind, format, at } => return self.x87_arith_mem(kind, format, &at),
            Op::X87Compare { st, pops, .. } => {
                let (a, b) = (self.st(0), self.st(st.0));
                self.x87_conditions(a, b);
                self.stack().pop(pops.0);
            }
            Op::X87CompareMem { format, pop, at } => {
                let a = self.st(0);
                if !self.load_operand(FLOAT_SCRATCH, format, &at) {
                    return false;
                }
                self.x87_conditions(a, FLOAT_SCRATCH);
                self.stack().pop(pop.0.into());
            }
            Op::X87CompareFlags { st, pop, .. } => {
                let (a, b) = (self.st(0), self.st(st.0));
                self.x87_flags(dst, a, b);
                self.stack().pop(pop.0.into());
            }
            Op::X87UnaryOp { op: X87Unary::Fchs } => self.x87_sign(1),
            Op::X87UnaryOp { op: X87Unary::Fabs } => self.x87_sign(2),
            Op::X87UnaryOp { op: X87Unary::Fsqrt } => {
                let a = self.st(0);
                let slow = self.unless_nearest(op);
                let slot = self.stack().result_slot(0);
                self.asm.word(fp(0x2c, true, NEAREST, float_of(slot), a, 0));
                self.stack().set(0, slot);
                self.ends(slow);
            }
            Op::X87UnaryOp { op: X87Unary::Ftst } => {
                let a = self.st(0);
                self.asm.word(fp(0x78, true, 0, FLOAT_SCRATCH, ZERO, 0));
                self.x87_conditions(a, FLOAT_SCRATCH);
            }
            Op::X87ControlOp { op: X87Control::Wait | X87Control::Nop | X87Control::Clex } => {}
            Op::X87SetControl { v } => {
                let r = self.reg(v);
                self.asm.li(SCRATCH, CONTROL_BITS);
                self.asm.r(AND, SCRATCH, SCRATCH, r);
                self.asm.i(ORI, SCRATCH, SCRATCH, CONTROL_ONE);
                self.asm.s(SH, SCRATCH, STATE, X87_CONTROL);
                self.stack().forget_rounding();
            }
            _ => return false,
        }
        true
    }

    /// Lowers `op`, which works on the unit in host form.
    pub(crate) fn x87_double(&mut self, dst: Value, op: Op) {
        match op {
            Op::X87GetControl {} => return self.x87_word(dst, X87_CONTROL),
            Op::X87GetStatus {} => return self.x87_status(dst),
            _ => {}
        }
        if self.x87.is_none() || !self.x87_known(dst, op) {
            self.evaluate_x87(dst, op);
        }
    }

    /// `x87_get_status`: condition codes and top.
    fn x87_status(&mut self, dst: Value) {
        let d = self.result(dst);
        let top = match &self.x87 {
            Some(stack) if stack.shape.top() == 0 => ZERO,
            Some(stack) => {
                let bits = i64::from(stack.shape.top()) << 11;
                self.asm.li(SCRATCH, bits);
                SCRATCH
            }
            None => {
                self.asm.i(LWU, SCRATCH, STATE, X87_SHAPE);
                self.asm.i(ANDI, SCRATCH, SCRATCH, 0x700);
                self.asm.i(SLLI, SCRATCH, SCRATCH, 3);
                SCRATCH
            }
        };
        self.asm.i(LHU, d, STATE, X87_STATUS);
        if top != ZERO {
            self.asm.r(OR, d, d, top);
        }
        self.done(dst, UpperBits::ZERO);
    }

    /// Where rounding may not be to nearest, `op` is evaluated out of line; its operands are in registers by now.
    fn unless_nearest(&mut self, op: Op) -> Option<OutOfLine> {
        if self.stack().is_nearest {
            return None;
        }
        let slow = self.x87_out_of_line(op);
        self.asm.i(LBU, SCRATCH, STATE, X87_CONTROL + 1);
        self.asm.i(ANDI, SCRATCH, SCRATCH, ROUNDING);
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, slow.label);
        Some(slow)
    }

    fn ends(&mut self, slow: Option<OutOfLine>) {
        slow.into_iter().for_each(|slow| self.x87_out_of_line_ends(slow));
    }

    /// `to` = the operand at `at`; false: in a format that is not loaded here.
    fn load_operand(&mut self, to: Reg, format: X87Format, at: &Addr) -> bool {
        let (load, convert) = match format {
            X87Format::F64 => (FLD, None),
            X87Format::F32 => (FLW, Some(fp(0x20, true, NEAREST, to, to, 0))),
            X87Format::I16 => (LH, Some(fp(0x68, true, NEAREST, to, SCRATCH, 0))),
            X87Format::I32 => (LW, Some(fp(0x68, true, NEAREST, to, SCRATCH, 0))),
            X87Format::I64 => (LD, Some(fp(0x68, true, NEAREST, to, SCRATCH, 2))),
            X87Format::F80 | X87Format::Bcd => return false,
        };
        let lazy = self.lazy();
        let (base, offset) = self.sum(at);
        self.may_fault(lazy);
        let is_float = matches!(format, X87Format::F32 | X87Format::F64);
        self.asm.i(load, if is_float { to } else { SCRATCH }, base, offset);
        convert.into_iter().for_each(|word| self.asm.word(word));
        true
    }

    fn x87_load(&mut self, format: X87Format, at: &Addr) -> bool {
        // Only integers of 64 bits are rounded.
        if format == X87Format::I64 && !self.stack().is_nearest {
            return false;
        }
        let slot = self.stack().pushed_slot();
        let is_loaded = self.load_operand(float_of(slot), format, at);
        if is_loaded {
            self.stack().push(slot);
        }
        is_loaded
    }

    fn x87_store(&mut self, format: X87Format, truncate: bool, pop: bool, at: &Addr) -> bool {
        let is_nearest = self.stack().is_nearest;
        let (store, bits) = match format {
            X87Format::F64 => (FSD, 0),
            X87Format::F32 if is_nearest => (FSW, 0),
            X87Format::I16 => (SH, 16),
            X87Format::I32 => (SW, 32),
            X87Format::I64 => (SD, 64),
            X87Format::F32 | X87Format::F80 | X87Format::Bcd => return false,
        };
        let f = self.st(0);
        let lazy = self.lazy();
        let (base, offset) = self.sum(at);
        match format {
            X87Format::F64 => {
                self.may_fault(lazy);
                self.asm.s(store, f, base, offset);
            }
            X87Format::F32 => {
                self.asm.word(fp(0x20, false, NEAREST, FLOAT_SCRATCH, f, 1));
                self.may_fault(lazy);
                self.asm.s(store, FLOAT_SCRATCH, base, offset);
            }
            _ => {
                self.x87_to_integer(f, truncate, bits);
                self.may_fault(lazy);
                self.asm.s(store, SCRATCH, base, offset);
            }
        }
        self.stack().pop(pop.into());
        true
    }

    /// [`SCRATCH`] = `f` as an integer of `bits`; the smallest one where it is too large or no number.
    fn x87_to_integer(&mut self, f: Reg, truncate: bool, bits: i32) {
        let convert = |rm| fp(0x60, true, rm, SCRATCH, f, 2);
        if truncate {
            self.asm.word(convert(TO_ZERO));
        } else if self.stack().is_nearest {
            self.asm.word(convert(NEAREST));
        } else {
            // Nearest, down, up, zero are 0 to 3 there and 0, 2, 3, 1 here.
            let (zero, up, done) = (self.asm.label(), self.asm.label(), self.asm.label());
            self.asm.i(LBU, RA, STATE, X87_CONTROL + 1);
            self.asm.i(ANDI, RA, RA, ROUNDING);
            self.asm.i(ADDI, RA, RA, -8);
            self.asm.branch(Branch::Lt, ZERO, RA, zero);
            self.asm.branch(Branch::Eq, RA, ZERO, up);
            self.asm.i(ADDI, RA, RA, 8);
            self.asm.word(convert(NEAREST));
            self.asm.branch(Branch::Eq, RA, ZERO, done);
            self.asm.word(convert(2));
            self.asm.jump(ZERO, done);
            self.asm.bind(up);
            self.asm.word(convert(3));
            self.asm.jump(ZERO, done);
            self.asm.bind(zero);
            self.asm.word(convert(TO_ZERO));
            self.asm.bind(done);
        }
        if bits == 64 {
            // The largest is what the host makes of what is too large.
            self.asm.i(ADDI, RA, SCRATCH, 1);
            let fits = self.asm.label();
            self.asm.branch(Branch::Ge, RA, SCRATCH, fits);
            self.asm.mv(SCRATCH, RA);
            self.asm.bind(fits);
            return;
        }
        self.extend_sign_to(RA, SCRATCH, if bits == 16 { Width::W16 } else { Width::W32 });
        let fits = self.asm.label();
        self.asm.branch(Branch::Eq, RA, SCRATCH, fits);
        self.asm.li(SCRATCH, -1 << (bits - 1));
        self.asm.bind(fits);
    }

    fn x87_arith_mem(&mut self, kind: X87Op, format: X87Format, at: &Addr) -> bool {
        if !self.stack().is_nearest {
            return false;
        }
        let a = self.st(0);
        if !self.load_operand(FLOAT_SCRATCH, format, at) {
            return false;
        }
        self.x87_arith(kind, 0, a, FLOAT_SCRATCH);
        true
    }

    /// ST(`i`), which is in `a`, becomes `a kind b`.
    fn x87_arith(&mut self, kind: X87Op, i: u8, a: Reg, b: Reg) {
        let (funct7, a, b) = match kind {
            X87Op::Add => (0, a, b),
            X87Op::Sub => (4, a, b),
            X87Op::SubR => (4, b, a),
            X87Op::Mul => (8, a, b),
            X87Op::Div => (12, a, b),
            X87Op::DivR => (12, b, a),
        };
        let slot = self.stack().result_slot(i);
        self.asm.word(fp(funct7, true, NEAREST, float_of(slot), a, b.into()));
        self.stack().set(i, slot);
    }

    /// `fchs` and `fabs`, by the form of `fsgnj`.
    fn x87_sign(&mut self, form: u32) {
        let a = self.st(0);
        let slot = self.stack().result_slot(0);
        self.asm.word(fp(0x10, true, form, float_of(slot), a, a.into()));
        self.stack().set(0, slot);
    }

    /// The condition codes of a comparison of `a` with `b`.
    fn x87_conditions(&mut self, a: Reg, b: Reg) {
        let t = self.relation(a, b);
        self.asm.s(SB, t, STATE, X87_STATUS + 1);
        let Some(tested) = self.tested_conditions() else { return self.values.unlock(t) };
        if tested.mask & COMPARED != COMPARED {
            self.asm.i(ANDI, t, t, tested.mask);
        }
        self.values.own(t, tested.result);
        self.values.set_upper(tested.result, UpperBits::BOTH);
        tested.done.into_iter().for_each(|n| self.done[n] = true);
    }

    /// What `fnstsw ax` and a test of condition codes in `ah` right behind the op at hand give.
    fn tested_conditions(&self) -> Option<Tested> {
        let from = self.at as usize + 1;
        let mut ops = self.block.insts.iter().enumerate().skip(from).filter(|(n, inst)| {
            let is_mark = matches!(inst.op, Op::Insn { .. } | Op::Iconst { .. } | Op::SetFlags { .. });
            !is_mark && !self.plan.dead[*n]
        });
        let (_, status) = ops.next().filter(|(_, inst)| matches!(inst.op, Op::X87GetStatus {}))?;
        let sets_ax = |op: &Op| matches!(op, Op::SetGpr { reg: Gpr::Rax, w: Width::W16, v } if *v == status.value);
        ops.next().filter(|(_, inst)| sets_ax(&inst.op))?;
        let (high, ah) = ops.next().filter(|(_, inst)| matches!(inst.op, Op::GetGprHigh { reg: Gpr::Rax }))?;
        let (test, and) = ops.next()?;
        let Op::And { w: Width::W8, a, b } = and.op else { return None };
        let mask = if a == ah.value { self.plan.constant(b)? } else { self.plan.constant(a)? };
        let info = self.plan.info(and.value);
        let ah_is_alone = (a == ah.value) != (b == ah.value)
            && self.plan.info(ah.value).uses == 1
            && self.plan.info(ah.value).last_flags <= self.plan.info(ah.value).def;
        let is_kept = info.home.is_none() && !info.deferred && (info.uses > 0 || info.last_flags > info.def);
        // Bits of the top of the stack are not here.
        let is_known = mask & 0x38 == 0;
        (ah_is_alone && is_kept && is_known).then_some(Tested {
            result: and.value,
            mask: (mask & 0xff) as i32,
            done: [high, test],
        })
    }

    /// A temporary that holds the condition codes for `a` and `b`.
    fn relation(&mut self, a: Reg, b: Reg) -> Reg {
        let t = self.temp();
        self.asm.word(fp(0x50, true, 0, SCRATCH, a, b.into()));
        self.asm.word(fp(0x50, true, 0, RA, b, a.into()));
        if self.has(Features::ZBA) {
            self.asm.r(SH1ADD, SCRATCH, SCRATCH, RA);
        } else {
            self.asm.i(SLLI, SCRATCH, SCRATCH, 1);
            self.asm.r(OR, SCRATCH, SCRATCH, RA);
        }
        self.asm.li(t, CONDITIONS);
        self.asm.r(SRL, t, t, SCRATCH);
        self.asm.i(ANDI, t, t, COMPARED);
        t
    }

    /// The flags of a comparison of `a` with `b`: CF, PF and ZF.
    fn x87_flags(&mut self, dst: Value, a: Reg, b: Reg) {
        let info = self.plan.info(dst);
        if info.uses > 0 || info.last_flags > info.def {
            // The flags are the bits of the condition codes.
            let t = self.relation(a, b);
            self.values.own(t, dst);
        }
    }
}

#[cfg(test)]
mod tests {
    use hokku_ir::backend::Tier;
    use hokku_ir::text::parse;

    use crate::Features;

    /// Instructions for a comparison, `fnstsw ax` and a test of bits of `ah`.
    fn instructions(mask: i32) -> u32 {
        let text = format!(
            "region 0x1000 protected32 x87=f64
range 0x1000 9
block b0 0x1000
  insn 0x1000, #2
  x87_compare #1, no, #2
  insn 0x1002, #2
  %1 = x87_get_status
  set_gpr rax, w16, %1
  insn 0x1004, #3
  %2 = get_gpr_high rax
  %3 = iconst w8, {mask:#x}
  %4 = and w8, %2, %3
  %5 = logic_flags w8, %4
  set_flags {{cpazso}}, %5
  insn 0x1007, #2
  %6 = condition ne, %5
  branch %6, b0, 0x1009
"
        );
        let region = parse::region(&text).expect("the region can be read");
        crate::lower::compile(&region, Features::all(), Tier::Second).host_instructions
    }

    #[test]
    fn tests_of_condition_codes_do_not_read_them_again() {
        // That of a bit of the top has to.
        assert_eq!(instructions(0x45) + 3, instructions(0x4d));
        assert_eq!(instructions(0x45) + 1, instructions(0x44));
    }
}

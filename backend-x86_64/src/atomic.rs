//! Atomic operations on memory: locked instructions.

use hokku_ir::{Addr, AtomicOp, Block, FlagSet, Op, Value, Width};

use crate::Optimisations;
use crate::assign::{RAX, slot_offset};
use crate::encode::{Alu, HIGH, Mem, Opcode, Rm, Src};
use crate::lower::Lowering;
use crate::plan::{NONE, Plan};
use crate::values::{Dest, Loc};

impl Lowering<'_> {
    /// `atomic_rmw`. False where the runtime must do it.
    pub(crate) fn atomic_modify(&mut self, dst: Value, op: AtomicOp, w: Width, at: Addr, v: Value) -> bool {
        let bit = self.plan.insts[self.cur as usize].locked_bit;
        if bit != NONE {
            self.lock_bit(op, w, at, bit);
            return true;
        }
        let unused = self.vals[dst.0 as usize].uses == 0;
        match op {
            AtomicOp::Neg if !self.optimisations.contains(Optimisations::LOCKED_INSTRUCTIONS) => return false,
            AtomicOp::Xchg => self.exchange(dst, w, at, v),
            AtomicOp::Xor if unused && self.constant_of(v).is_some_and(|n| n & w.mask() == w.mask()) => {
                // `not` leaves flags alone.
                self.lock_unary(2, w, at);
            }
            _ => match self.flags_of_old_value(dst, op, w, v) {
                Some(flags) => self.lock_op(op, w, at, v, flags),
                None => match op {
                    AtomicOp::Add | AtomicOp::Sub => self.fetch_add(dst, op == AtomicOp::Sub, w, at, v),
                    _ => return false,
                },
            },
        }
        true
    }

    /// Where the old value `dst` serves to compute the flags (and the unused result) alone: those flags, if they are wanted.
    fn flags_of_old_value(
        &self,
        dst: Value,
        op: AtomicOp,
        w: Width,
        operand: Value,
    ) -> Option<Option<(Value, [u32; 2])>> {
        let mut found = None;
        let mut ops = [NONE; 2];
        let mut uses = 0;
        let mut count = 0;
        for (k, inst) in self.block.insts.iter().enumerate().skip(self.cur as usize + 1).take(6) {
            if matches!(inst.op, Op::Insn { .. }) {
                break;
            }
            let mut names = 0;
            inst.op.values(&mut |u| names += u32::from(self.plan.root(u) == dst));
            if names == 0 || self.plan.insts[k].dead {
                continue;
            }
            uses += names;
            let same = |a: Value, b: Value| a == dst && self.root(b) == self.root(operand);
            match inst.op {
                Op::AddFlags { w: w2, a, b } if op == AtomicOp::Add && w2 == w && same(a, b) => {
                    found = Some(inst.value)
                }
                Op::SubFlags { w: w2, a, b } if op == AtomicOp::Sub && w2 == w && same(a, b) => {
                    found = Some(inst.value)
                }
                Op::SubFlags { w: w2, a, b }
                    if op == AtomicOp::Neg && w2 == w && b == dst && self.constant_of(a) == Some(0) =>
                {
                    found = Some(inst.value)
                }
                Op::IncFlags { w: w2, .. }
                    if op == AtomicOp::Add && w2 == w && self.constant_of(operand) == Some(1) =>
                {
                    found = Some(inst.value)
                }
                Op::DecFlags { w: w2, .. }
                    if op == AtomicOp::Sub && w2 == w && self.constant_of(operand) == Some(1) =>
                {
                    found = Some(inst.value)
                }
                Op::And { w: w2, a, b } if op == AtomicOp::And && w2 == w && same(a, b) => {
                    found = self.logic_flags_alone(inst.value, k)
                }
                Op::Or { w: w2, a, b } if op == AtomicOp::Or && w2 == w && same(a, b) => {
                    found = self.logic_flags_alone(inst.value, k)
                }
                Op::Xor { w: w2, a, b } if op == AtomicOp::Xor && w2 == w && same(a, b) => {
                    found = self.logic_flags_alone(inst.value, k)
                }
                _ => return None,
            }
            if count == 2 || found.is_none() {
                return None;
            }
            ops[count] = k as u32;
            count += 1;
        }
        if uses != self.vals[dst.0 as usize].uses {
            return None;
        }
        if uses == 0 {
            return Some(None);
        }
        found.map(|f| Some((f, ops)))
    }

    /// The flags value that is the only use of the logic result `v`.
    fn logic_flags_alone(&self, v: Value, at: usize) -> Option<Value> {
        if self.vals[v.0 as usize].uses != 1 {
            return None;
        }
        self.block
            .insts
            .iter()
            .skip(at + 1)
            .take(2)
            .find_map(|i| matches!(i.op, Op::LogicFlags { v: of, .. } if of == v).then_some(i.value))
    }

    /// `lock op [at], v`.
    fn lock_op(&mut self, op: AtomicOp, w: Width, at: Addr, v: Value, flags: Option<(Value, [u32; 2])>) {
        self.force(v);
        self.before_fault();
        let m = self.address(at);
        let src = match self.src(v, w) {
            Src::Mem(s) => Src::Reg(self.copy_src(Src::Mem(s), w)),
            s => s,
        };
        let src = self.encodable(w, Rm::Mem(m), src);
        self.consume_inst(self.cur);
        let flags_op = flags.and_then(|(f, _)| self.op_at(f));
        let step = matches!(flags_op, Some(Op::IncFlags { .. } | Op::DecFlags { .. }));
        if step {
            self.before_merge();
        } else {
            self.clobber_flags();
        }
        match op {
            _ if step => self.asm.op(Opcode::group(w, 0xfe).locked(), u8::from(op == AtomicOp::Sub), m, &[]),
            AtomicOp::Neg => self.asm.op(Opcode::group(w, 0xf6).locked(), 3, m, &[]),
            AtomicOp::Add => self.asm.alu_locked(Alu::Add, w, m, src),
            AtomicOp::Sub => self.asm.alu_locked(Alu::Sub, w, m, src),
            AtomicOp::And => self.asm.alu_locked(Alu::And, w, m, src),
            AtomicOp::Or => self.asm.alu_locked(Alu::Or, w, m, src),
            AtomicOp::Xor | AtomicOp::Xchg => self.asm.alu_locked(Alu::Xor, w, m, src),
        }
        let Some((f, ops)) = flags else { return };
        if step {
            self.flags_are_merged(f);
        } else {
            self.flags_are(Some(f));
        }
        for k in ops.into_iter().filter(|k| *k != NONE) {
            self.skip_inst(k);
        }
        if let Some(Op::LogicFlags { .. }) = flags_op {
            let k = self.def(f);
            self.skip_inst(k);
        }
    }

    /// `lock not [at]`, or what else extension `ext` of that opcode is.
    fn lock_unary(&mut self, ext: u8, w: Width, at: Addr) {
        self.before_fault();
        let m = self.address(at);
        self.consume_inst(self.cur);
        self.asm.op(Opcode::group(w, 0xf6).locked(), ext, m, &[]);
    }

    /// `lock bts`, `btr` or `btc`, whose flags op is number `k` of the block.
    fn lock_bit(&mut self, op: AtomicOp, w: Width, at: Addr, k: u32) {
        let flags = self.block.insts[k as usize];
        let Op::BitTestFlags { n, f, .. } = flags.op else { return };
        self.force(n);
        self.before_fault();
        let m = self.address(at);
        let top = w.bits() - 1;
        let (ext, code) = match op {
            AtomicOp::Or => (5, 0x0fab),
            AtomicOp::And => (6, 0x0fb3),
            _ => (7, 0x0fbb),
        };
        let bit = self.constant_of(n);
        let t = match bit {
            Some(_) => 0,
            None => {
                // A number in a register reaches beyond the operand. `pext` by a mask of low bits cuts it and leaves flags alone.
                let n = self.src_reg(n, w);
                let t = self.temp();
                self.asm.constant(t, u64::from(top));
                self.asm.vex(Opcode::sse(0xf3, 0x0f38f5), false, t, n, t, &[]);
                t
            }
        };
        self.consume_inst(self.cur);
        let (spent, replacing) = (self.spent.replace(self.root(f)), std::mem::replace(&mut self.replacing, true));
        self.clobber_flags();
        (self.spent, self.replacing) = (spent, replacing);
        match bit {
            Some(n) => self.asm.op(Opcode::word(w, 0x0fba).locked(), ext, m, &[n as u8 & top as u8]),
            None => self.asm.op(Opcode::word(w, code).locked(), t, m, &[]),
        }
        self.flags_are(Some(flags.value));
        self.skip_inst(k);
    }

    /// Op `k` has been done by another's instruction: its operands are used up.
    fn skip_inst(&mut self, k: u32) {
        self.consume_inst(k);
        self.done.push(k);
    }

    /// `lock xadd`: the old value; the flags are those of the addition.
    fn fetch_add(&mut self, dst: Value, negate: bool, w: Width, at: Addr, v: Value) {
        self.force(v);
        self.before_fault();
        let m = self.address(at);
        let t = self.copy(w, v);
        self.consume_inst(self.cur);
        if negate {
            // -v = !v + 1, without flags.
            self.asm.unary(2, w, t);
            self.asm.lea(w.max(Width::W32), t, Mem::plain(t, 1));
        }
        self.clobber_flags();
        self.asm.op(Opcode::int(w, 0x0fc0).locked(), t, m, &[]);
        self.flags_are(None);
        self.define_temp(dst, t);
    }

    /// `xchg`: a locked instruction by itself.
    fn exchange(&mut self, dst: Value, w: Width, at: Addr, v: Value) {
        self.force(v);
        self.before_fault();
        let m = self.address(at);
        let s = self.src(v, w);
        // The usual form: the register that gives the value gets the old one.
        if let (Src::Reg(r), Some(place)) = (s, self.plan.values[dst.0 as usize].target)
            && let crate::plan::Place::Low(g) = place
            && self.loc(v) == Loc::Home(g)
            && crate::assign::home(g) == Some(r)
        {
            self.consume_inst(self.cur);
            if !self.is_aliased(g) {
                self.asm.op(Opcode::int(w, 0x86), r, m, &[]);
                self.define(dst, Dest { reg: r, place: Some(place) });
                return;
            }
            let t = self.temp();
            self.load_reg(t, s, w);
            self.asm.op(Opcode::int(w, 0x86), t, m, &[]);
            self.define_temp(dst, t);
            return;
        }
        let t = if let Src::Reg(r) = s
            && r & HIGH != 0
        {
            self.copy_src(s, w)
        } else {
            let t = self.temp();
            self.load_reg(t, s, w);
            t
        };
        self.consume_inst(self.cur);
        self.asm.op(Opcode::int(w, 0x86), t, m, &[]);
        self.define_temp(dst, t);
    }

    /// `lock cmpxchg`, with rax as it was afterwards. False where what is expected is not guest rax.
    pub(crate) fn compare_exchange(&mut self, dst: Value, w: Width, at: Addr, expected: Value, new: Value) -> bool {
        if !self.src_is_reg(expected, RAX) {
            return false;
        }
        self.force(new);
        self.before_fault();
        let slot = self.take_slot(1);
        self.lock(RAX);
        let m = self.address(at);
        let s = self.src(new, w);
        let new = match s {
            Src::Reg(r) if r & HIGH == 0 => r,
            s => self.copy_src(s, w),
        };
        self.consume_inst(self.cur);
        self.clobber_flags();
        self.asm.mov(Width::W64, Mem::state(slot_offset(slot)), RAX);
        self.asm.op(Opcode::int(w, 0x0fb0).locked(), new, m, &[]);
        self.flags_are(None);
        let t = m.base.filter(|r| self.is_free_temp(*r)).unwrap_or_else(|| self.temp());
        self.forget_copy(t);
        self.asm.mov(w.max(Width::W32), t, RAX);
        self.asm.mov(Width::W64, RAX, Mem::state(slot_offset(slot)));
        self.freed_slots.push((slot, 1));
        self.define_temp(dst, t);
        true
    }

    fn src_is_reg(&self, v: Value, reg: u8) -> bool {
        match self.loc(v) {
            Loc::Home(g) => self.home_rm(g) == Rm::Reg(reg),
            _ => false,
        }
    }
}

impl Plan {
    /// For the atomic op number `at`, which nothing but the flags of a bit test may use: the number of that, where the two are `lock bts` and kin.
    ///
    /// All later ops have been counted.
    pub(crate) fn locked_bit(&self, block: &Block, at: usize) -> u32 {
        let inst = &block.insts[at];
        let Op::AtomicRmw { op, w, v, .. } = inst.op else { return NONE };
        if !self.does(Optimisations::LOCKED_INSTRUCTIONS) {
            return NONE;
        }
        if self.values[inst.value.0 as usize].uses != 1 || !matches!(w, Width::W16 | Width::W32 | Width::W64) {
            return NONE;
        }
        let later = block.insts.iter().enumerate().skip(at + 1).take_while(|(_, i)| !matches!(i.op, Op::Insn { .. }));
        let tests =
            |i: &hokku_ir::Inst| matches!(i.op, Op::BitTestFlags { w: w2, a, .. } if w2 == w && a == inst.value);
        let Some((k, flags)) = later.into_iter().find(|(k, i)| tests(i) && !self.insts[*k].dead) else { return NONE };
        let Op::BitTestFlags { n, f, .. } = flags.op else { return NONE };
        let is_mask = match op {
            AtomicOp::Or | AtomicOp::Xor => self.is_bit_mask(block, w, v, n),
            AtomicOp::And => {
                matches!(self.op_of(block, v), Some(Op::Not { a, .. }) if self.is_bit_mask(block, w, a, n))
            }
            _ => false,
        };
        let constant = self.constant(block, n).is_some();
        if is_mask && (constant || self.bmi2()) && self.are_guest_flags(block, f, at) && self.is_carry_alone(block, k) {
            k as u32
        } else {
            NONE
        }
    }

    fn op_of(&self, block: &Block, v: Value) -> Option<Op> {
        block.insts.get(self.values[self.root(v).0 as usize].def as usize).map(|i| i.op)
    }

    /// Whether `v` is a word of width `w` with only bit `n` modulo the width set.
    fn is_bit_mask(&self, block: &Block, w: Width, v: Value, n: Value) -> bool {
        let Some(Op::Shl { w: w2, a, n: count }) = self.op_of(block, v) else { return false };
        let Some(Op::And { a: number, b: limit, .. }) = self.op_of(block, count) else { return false };
        w2 == w
            && self.constant(block, a) == Some(1)
            && self.constant(block, limit) == Some(u64::from(w.bits() - 1))
            && self.root(number) == self.root(n)
    }

    /// Whether `f` is what the guest's flags are before op `at`.
    fn are_guest_flags(&self, block: &Block, f: Value, at: usize) -> bool {
        let def = self.values[f.0 as usize].def as usize;
        def < at
            && matches!(block.insts[def].op, Op::GetFlags {})
            && !block.insts[def..at]
                .iter()
                .any(|i| matches!(i.op, Op::SetFlags { .. } | Op::String { .. } | Op::CompareExchangePair { .. }))
    }

    /// Whether the value of flags op `k` does nothing but become the guest's carry, in the same instruction.
    fn is_carry_alone(&self, block: &Block, k: usize) -> bool {
        let value = block.insts[k].value;
        let becomes = |i: &hokku_ir::Inst| matches!(i.op, Op::SetFlags { set, v } if v == value && set == FlagSet::CF);
        self.values[value.0 as usize].uses == 1 && block.insts.get(k + 1).is_some_and(becomes)
    }
}

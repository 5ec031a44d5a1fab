//! The guest's status flags in the host's.
//!
//! `eflags` names the flags value that the host's flags hold now, `guest_flags` the one that the guest's flags are. They may differ only where neither
//! a fault nor the end of the block can come before they agree again. Flags that are still needed when an instruction is about to overwrite them
//! are saved to a spill slot first; the ways of computing that leave flags alone (`lea`, `shlx`, ...) make that rare.

use hokku_ir::{Cond, FlagSet, Gpr, IntCmp, Op, Type, Value, Width};

use crate::Features;
use crate::assign::slot_offset;
use crate::encode::{Alu, HIGH, Opcode, Rm, Shift, Src};
use crate::lower::Lowering;
use crate::plan::NONE;
use crate::values::{Loc, Val};

/// What an instruction without flags wants where only its flags count.
const CLC: u8 = 0xf8;
const STC: u8 = 0xf9;

impl Lowering<'_> {
    /// The flags op that the instruction for the current op computes as well.
    pub(crate) fn joined_flags(&self) -> Option<Value> {
        let k = self.plan.insts[self.cur as usize].flags;
        (k != NONE).then(|| self.block.insts[k as usize].value)
    }

    /// Consumes the operands of the current op and of the flags op that goes with it.
    pub(crate) fn consume_pair(&mut self) {
        self.consume_inst(self.cur);
        let k = self.plan.insts[self.cur as usize].flags;
        if k != NONE {
            self.consume_inst(k);
        }
    }

    /// Guest flags that are read after the current place, flags of the same instruction included, before they are written.
    pub(crate) fn live_flags(&self) -> FlagSet {
        let joined = self.plan.insts.get(self.cur as usize).map_or(NONE, |i| i.flags);
        let at = if joined != NONE && joined > self.at { joined } else { self.at };
        self.plan.live(at, self.block_number)
    }

    /// Whether what the host's flags hold is still needed.
    pub(crate) fn flags_needed(&self) -> bool {
        self.eflags.is_some_and(|f| self.is_needed(f))
    }

    fn is_needed(&self, f: Value) -> bool {
        let spent = u32::from(self.spent == Some(f));
        self.vals[f.0 as usize].uses > spent
            || (f == self.guest_flags && !self.replacing && (self.fault_follows || !self.live_flags().is_empty()))
    }

    /// A flags value without an op.
    pub(crate) fn new_flags(&mut self) -> Value {
        let v = Value(self.vals.len() as u32);
        self.vals.push(Val { loc: Loc::Flags, uses: 0, ty: Type::Flags });
        self.alias.push(v);
        v
    }

    /// Call before an instruction that overwrites the host's flags: saves them if they are needed. They still stand when this returns.
    pub(crate) fn clobber_flags(&mut self) {
        if let Some(f) = self.eflags {
            self.save_flags(f);
        }
        self.eflags = None;
        self.merged_on = None;
    }

    /// Copies the host's flags, which hold `f`, to where they survive if they are needed.
    fn save_flags(&mut self, f: Value) {
        if !self.is_needed(f) || self.saved_flags.iter().any(|(v, _)| *v == f) {
            return;
        }
        // Conditions that wait for their use are cheaper to keep than flags.
        for c in std::mem::take(&mut self.waiting_conditions) {
            let val = self.vals[c.0 as usize];
            let Op::Condition { cc, f: of } = self.block.insts[self.def(c) as usize].op else { continue };
            if val.uses == 0 || val.loc != Loc::Deferred {
                continue;
            }
            if self.root(of) != f {
                self.waiting_conditions.push(c);
                continue;
            }
            let t = self.temp();
            self.asm.setcc(cc, Rm::Reg(t));
            self.unlock(t);
            self.define_temp(c, t);
            self.consume(of);
        }
        if self.is_needed(f) {
            let slot = self.take_slot(1);
            self.asm.flags_to_state(slot_offset(slot));
            self.saved_flags.push((f, slot));
        }
    }

    /// Makes the host's flags hold `f`.
    #[inline]
    pub(crate) fn need_flags(&mut self, f: Value) {
        let f = self.root(f);
        if self.eflags != Some(f) {
            self.bring_flags(f);
        }
    }

    #[inline(never)]
    fn bring_flags(&mut self, f: Value) {
        if self.vals[f.0 as usize].loc == Loc::Deferred {
            self.compute_flags(f);
        } else if let Some((_, slot)) = self.saved_flags.iter().copied().find(|(v, _)| *v == f) {
            self.clobber_flags();
            self.asm.flags_from_state(slot_offset(slot));
            self.eflags = Some(f);
        } else {
            // Liveness found that none of them matters: anything will do.
            self.clobber_flags();
            self.eflags = Some(f);
        }
    }

    /// Computes `f` if its code is still to be written. Call before the operands of an instruction that needs `f` are put into registers.
    pub(crate) fn prepare_flags(&mut self, f: Value) {
        if self.loc(f) == Loc::Deferred {
            self.need_flags(f);
        }
    }

    /// Computes the flags that the condition `c` is on if their code is still to be written.
    pub(crate) fn prepare_condition(&mut self, c: Value) {
        if let Some(Op::Condition { f, .. }) = self.op_of(self.root(c)) {
            self.prepare_flags(f);
        }
    }

    /// The host's flags must be the guest's: an instruction that may fault or leave comes next.
    #[inline]
    pub(crate) fn before_fault(&mut self) {
        // While the instruction's own flags are being computed, from memory, the host's flags are still those before it.
        if self.loc(self.guest_flags) == Loc::Deferred {
            return;
        }
        self.need_flags(self.guest_flags);
    }

    /// The host's flags hold `f` now (or nothing of use).
    pub(crate) fn flags_are(&mut self, f: Option<Value>) {
        if let Some(f) = f {
            self.vals[f.0 as usize].loc = Loc::Flags;
        }
        self.eflags = f;
        self.merged_on = None;
    }

    /// Call before an instruction that replaces some of the host's flags: if others are live they must be there.
    pub(crate) fn before_merge(&mut self) {
        if self.live_flags().is_empty() {
            self.clobber_flags();
        } else {
            self.need_flags(self.guest_flags);
            let live = self.guest_flags;
            if self.vals[live.0 as usize].uses > 0 {
                self.save_flags(live);
            }
        }
    }

    /// An instruction has replaced some of the host's flags; `f` is the op that describes them.
    pub(crate) fn flags_are_merged(&mut self, f: Value) {
        let base = self.eflags.filter(|e| *e == self.guest_flags);
        self.flags_are(Some(f));
        self.merged_on = base;
    }

    /// `get_flags`: another name for the guest's flags as they are now.
    pub(crate) fn read_flags(&mut self, v: Value) {
        let uses = self.vals[v.0 as usize].uses;
        self.alias[v.0 as usize] = self.guest_flags;
        self.vals[self.guest_flags.0 as usize].uses += uses;
    }

    /// `set_flags`: makes `v` the guest's flags in `set`.
    pub(crate) fn write_flags(&mut self, set: FlagSet, v: Value) {
        let f = self.root(v);
        let kept = self.live_flags() - set;
        let passes = |l: &Self| {
            l.passes_on(f).is_some_and(|(rest, changed)| rest == l.guest_flags && !(changed - set).intersects(kept))
        };
        if self.cur.checked_sub(3).is_some_and(|first| self.is_sahf(first)) {
            if kept.is_empty() {
                self.clobber_flags();
            } else {
                self.before_merge();
            }
            self.asm.plain(&[0x9e]);
            let new = self.new_flags();
            self.become_guest_flags(new);
            self.flags_are(Some(new));
            self.vals[f.0 as usize].loc = Loc::Nowhere;
            self.consume_inst(self.def(f));
        } else if kept.is_empty() || passes(self) {
            self.replacing = true;
            self.need_flags(f);
            self.replacing = false;
            self.become_guest_flags(f);
        } else if let Some(bit) = self.constant_carry(set, f) {
            self.before_merge();
            self.asm.plain(&[if bit { STC } else { CLC }]);
            let new = self.new_flags();
            self.become_guest_flags(new);
            self.flags_are(Some(new));
            self.vals[f.0 as usize].loc = Loc::Nowhere;
            self.consume_inst(self.def(f));
        } else {
            if self.loc(f) == Loc::Deferred && matches!(self.op_of(f), Some(Op::IncFlags { .. } | Op::DecFlags { .. }))
            {
                self.compute_flags(f);
            }
            if self.eflags == Some(f) && self.merged_on == Some(self.guest_flags) && !kept.intersects(set) {
                self.become_guest_flags(f);
            } else {
                self.merge_images(set, f, self.guest_flags);
                let new = self.new_flags();
                self.become_guest_flags(new);
                self.flags_are(Some(new));
            }
        }
        self.consume(v);
    }

    fn become_guest_flags(&mut self, f: Value) {
        let old = std::mem::replace(&mut self.guest_flags, f);
        if old != f
            && self.vals[old.0 as usize].uses == 0
            && let Some(n) = self.saved_flags.iter().position(|(v, _)| *v == old)
        {
            let (_, slot) = self.saved_flags.swap_remove(n);
            self.freed_slots.push((slot, 1));
        }
    }

    fn op_of(&self, f: Value) -> Option<Op> {
        if f.0 >= self.region.value_count {
            return None;
        }
        Some(self.block.insts.get(self.def(f) as usize)?.op)
    }

    /// The flags value of which `f` keeps what it does not replace, and what it replaces.
    fn passes_on(&self, f: Value) -> Option<(Value, FlagSet)> {
        let (rest, changed) = match self.op_of(f)? {
            Op::BitTestFlags { f, .. } => (f, FlagSet::CF),
            Op::RotlFlags { f, .. }
            | Op::RotrFlags { f, .. }
            | Op::RotlCarryFlags { f, .. }
            | Op::RotrCarryFlags { f, .. } => (f, FlagSet::CF | FlagSet::OF),
            _ => return None,
        };
        Some((self.root(rest), changed))
    }

    /// Whether the four ops from number `first` of the block on do what `sahf` does, and nothing else looks at what they compute.
    pub(crate) fn is_sahf(&self, first: u32) -> bool {
        // All processors with SSSE3 have `sahf` in 64-bit mode, some before it do not.
        let ops = self
            .block
            .insts
            .get(first as usize..first as usize + 4)
            .filter(|_| self.features.contains(Features::SSSE3));
        let Some([ah, image, flags, write]) = ops else { return false };
        matches!(ah.op, Op::GetGprHigh { reg: Gpr::Rax })
            && matches!(image.op, Op::ExtendZero { from: Width::W8, v, .. } if v == ah.value)
            && matches!(flags.op, Op::IntToFlags { v } if v == image.value)
            && matches!(write.op, Op::SetFlags { set, v } if v == flags.value && set == FlagSet::STATUS - FlagSet::OF)
            && self.val(image.value).uses == 1
            && self.val(flags.value).uses == 1
    }

    /// CF where `f` is a constant of which only that is written.
    fn constant_carry(&self, set: FlagSet, f: Value) -> Option<bool> {
        match self.op_of(f)? {
            Op::IntToFlags { v } if set == FlagSet::CF && self.loc(f) == Loc::Deferred && self.val(f).uses == 1 => {
                self.constant_of(v).map(|n| n & 1 != 0)
            }
            _ => None,
        }
    }

    /// Host's flags = the bits of `a` in `set` and those of `b` outside.
    fn merge_images(&mut self, set: FlagSet, a: Value, b: Value) {
        self.prepare_flags(a);
        self.prepare_flags(b);
        let old = self.flags_image(b);
        let new = self.flags_image(a);
        self.clobber_flags();
        self.asm.alu(Alu::And, Width::W32, new, Src::Imm(set.bits() as i32));
        self.asm.alu(Alu::And, Width::W32, old, Src::Imm((FlagSet::STATUS - set).bits() as i32));
        self.asm.alu(Alu::Or, Width::W32, new, old);
        self.flags_from_reg(new);
        self.unlock(old);
        self.unlock(new);
    }

    /// A temporary with the EFLAGS image of `f`, other bits as they are.
    fn flags_image(&mut self, f: Value) -> u8 {
        self.need_flags(f);
        let t = self.temp();
        self.asm.plain(&[0x9c]);
        self.asm.op(Opcode::of(0x8f), 0, t, &[]);
        t
    }

    fn flags_from_reg(&mut self, reg: u8) {
        self.asm.op(Opcode::of(0xff), 6, reg, &[]);
        self.asm.plain(&[0x9d]);
    }

    /// `flags_to_int`: a temporary with the status flags of `f`, nothing else.
    pub(crate) fn flags_to_reg(&mut self, f: Value) -> u8 {
        let t = self.flags_image(f);
        self.clobber_flags();
        self.asm.alu(Alu::And, Width::W32, t, Src::Imm(FlagSet::STATUS.bits() as i32));
        t
    }

    /// Writes the code of the deferred flags op `f` now.
    fn compute_flags(&mut self, f: Value) {
        let def = self.def(f);
        let (cur, locked, vec_locked) = (self.cur, self.locked, self.vec_locked);
        self.cur = def;
        let op = self.block.insts[def as usize].op;
        let operand = flags_operand(&op).map(|f| self.root(f));
        let spent = std::mem::replace(&mut self.spent, operand);
        match op {
            Op::AddFlags { w, a, b } => self.alu_flags(Alu::Add, w, a, b),
            Op::SubFlags { w, a, b } => self.compare_values(w, a, b),
            Op::LogicFlags { w, v } => self.test_value(w, v),
            Op::AdcFlags { w, a, b, f } => {
                self.need_flags(f);
                self.alu_flags(Alu::Adc, w, a, b);
            }
            Op::SbbFlags { w, a, b, f } => {
                self.need_flags(f);
                self.alu_flags(Alu::Sbb, w, a, b);
            }
            Op::IncFlags { w, a } | Op::DecFlags { w, a } => {
                let t = self.copy(w, a);
                self.before_merge();
                self.asm.op(Opcode::group(w, 0xfe), u8::from(matches!(op, Op::DecFlags { .. })), t, &[]);
                self.flags_are_merged(f);
                self.spent = spent;
                self.finish_flags(f, def, cur, (locked, vec_locked));
                return;
            }
            Op::IntToFlags { v } => {
                let t = self.copy(Width::W32, v);
                self.clobber_flags();
                self.asm.alu(Alu::And, Width::W32, t, Src::Imm(FlagSet::STATUS.bits() as i32));
                self.flags_from_reg(t);
            }
            Op::MergeFlags { set, a, b } => {
                let need = self.plan.values[f.0 as usize].need;
                if set.contains(need) || !set.intersects(need) {
                    self.need_flags(if set.contains(need) { a } else { b });
                    self.clobber_flags();
                } else {
                    self.merge_images(set, a, b);
                }
            }
            Op::ShlFlags { w, a, n, f } => self.shift_flags(Shift::Shl, w, a, n, f),
            Op::ShrFlags { w, a, n, f } => self.shift_flags(Shift::Shr, w, a, n, f),
            Op::SarFlags { w, a, n, f } => self.shift_flags(Shift::Sar, w, a, n, f),
            Op::RotlFlags { w, a, n, f } => self.shift_flags(Shift::Rol, w, a, n, f),
            Op::RotrFlags { w, a, n, f } => self.shift_flags(Shift::Ror, w, a, n, f),
            Op::RotlCarryFlags { w, a, n, f } => self.shift_flags(Shift::Rcl, w, a, n, f),
            Op::RotrCarryFlags { w, a, n, f } => self.shift_flags(Shift::Rcr, w, a, n, f),
            Op::ShldFlags { w, a, b, n, f } => self.double_shift(None, true, w, (a, b, n), Some(f)),
            Op::ShrdFlags { w, a, b, n, f } => self.double_shift(None, false, w, (a, b, n), Some(f)),
            Op::BitTestFlags { w, a, n, f } => self.bit_test(w, a, n, f),
            Op::BitScanFlags { w, a } => {
                let a = self.src_rm(a, w);
                let t = self.temp();
                self.clobber_flags();
                self.asm.op(Opcode::word(w, 0x0fbc), t, a, &[]);
            }
            Op::MulFlagsU { w, a, b } => {
                self.multiply_wide(false, w, a, b);
            }
            Op::MulFlagsS { w, a, b } => {
                self.multiply_wide(true, w, a, b);
            }
            Op::CountOnesFlags { w, a } if self.features.contains(Features::POPCNT) && w >= Width::W32 => {
                let a = self.src_rm(a, w);
                let t = self.temp();
                self.clobber_flags();
                self.asm.op(Opcode::sse(0xf3, 0x0fb8).wide(w == Width::W64), t, a, &[]);
            }
            Op::VecTestFlags { op, ty, a, b } if self.test_vectors(op, ty, a, b) => {}
            _ => {
                // Rare ones: the runtime computes an image.
                self.spent = spent;
                self.vals[f.0 as usize].loc = Loc::Flags;
                self.flags_by_callout(f, op);
                self.cur = cur;
                (self.locked, self.vec_locked) = (locked, vec_locked);
                return;
            }
        }
        self.flags_are(Some(f));
        self.spent = spent;
        self.finish_flags(f, def, cur, (locked, vec_locked));
    }

    fn finish_flags(&mut self, f: Value, def: u32, cur: u32, (locked, vec_locked): (u16, u16)) {
        self.vals[f.0 as usize].loc = Loc::Flags;
        self.consume_inst(def);
        self.cur = cur;
        (self.locked, self.vec_locked) = (locked, vec_locked);
    }

    /// A temporary with the value of `v` that may be overwritten. The caller consumes the use of `v`.
    pub(crate) fn copy(&mut self, w: Width, v: Value) -> u8 {
        let s = self.src(v, w);
        if let Src::Reg(r) = s
            && r & HIGH == 0
            && (self.is_free_temp(r) || (self.loc(v) == Loc::Temp(r) && self.val(v).uses == 1))
        {
            self.forget_copy(r);
            return r;
        }
        if matches!(s, Src::Reg(r) if r & HIGH != 0) { self.copy_src(s, w) } else { self.fresh(s, w) }
    }

    fn fresh(&mut self, s: Src, w: Width) -> u8 {
        let t = self.temp();
        self.load_reg(t, s, w);
        t
    }

    /// Flags of `a op b`, results thrown away.
    fn alu_flags(&mut self, op: Alu, w: Width, a: Value, b: Value) {
        let b = self.src(b, w);
        let t = self.copy(w, a);
        let b = self.encodable(w, Rm::Reg(t), b);
        self.clobber_flags();
        self.asm.alu(op, w, t, b);
    }

    /// `cmp a, b`.
    pub(crate) fn compare_values(&mut self, w: Width, a: Value, b: Value) {
        if self.constant_of(a) == Some(0) && self.constant_of(b).is_none() {
            let t = self.copy(w, b);
            self.clobber_flags();
            self.asm.unary(3, w, t);
            return;
        }
        if self.is_deferred_load(a) {
            // Order of faults: `a` comes first where both are memory.
            if self.is_deferred_load(b) {
                self.force(a);
            } else {
                self.force(b);
            }
        }
        let (a, b) = if self.is_deferred_load(b) {
            let a = self.src_reg_high(a, w);
            (a, self.src(b, w))
        } else {
            let b = self.src(b, w);
            match self.src(a, w) {
                Src::Imm(_) => (Rm::Reg(self.copy(w, a)), b),
                Src::Reg(r) => (Rm::Reg(r), b),
                Src::Mem(m) => match b {
                    Src::Mem(_) => {
                        let t = self.fresh(Src::Mem(m), w);
                        (Rm::Reg(t), b)
                    }
                    _ => (Rm::Mem(m), b),
                },
            }
        };
        let b = self.encodable(w, a, b);
        self.clobber_flags();
        self.asm.alu(Alu::Cmp, w, a, b);
    }

    /// `v` in a register, perhaps a high byte.
    pub(crate) fn src_reg_high(&mut self, v: Value, w: Width) -> Rm {
        match self.src(v, w) {
            Src::Reg(r) => Rm::Reg(r),
            s => Rm::Reg(self.copy_src(s, w)),
        }
    }

    /// `test` of `v`, or of its operands where `v` is an `and` that is not computed for itself.
    fn test_value(&mut self, w: Width, v: Value) {
        let root = self.root(v);
        if self.loc(root) == Loc::Deferred
            && let Op::And { w: and_w, a, b } = self.block.insts[self.def(root) as usize].op
            && and_w == w
        {
            let (a, b) = if self.constant_of(a).is_some() { (b, a) } else { (a, b) };
            let (a, b) = if self.is_deferred_load(b) && !self.is_deferred_load(a) { (b, a) } else { (a, b) };
            let b = self.src_safe(b, w);
            let a = match self.src(a, w) {
                Src::Reg(r) => Rm::Reg(r),
                Src::Mem(m) if !matches!(b, Src::Mem(_)) => Rm::Mem(m),
                s => Rm::Reg(self.copy_src(s, w)),
            };
            let b = self.encodable(w, a, b);
            self.consume_inst(self.def(root));
            self.vals[root.0 as usize].loc = Loc::Nowhere;
            self.clobber_flags();
            self.asm.test(w, a, b);
            return;
        }
        let a = self.src_reg_high(v, w);
        self.clobber_flags();
        if let Rm::Reg(r) = a {
            self.asm.test(w, a, Src::Reg(r));
        }
    }

    /// Whether `c` waits for its use and reads the guest's flags.
    pub(crate) fn is_condition_on_guest_flags(&self, c: Value) -> bool {
        let root = self.root(c);
        match self.op_of(root) {
            Some(Op::Condition { f, .. }) => self.loc(root) == Loc::Deferred && self.root(f) == self.guest_flags,
            _ => false,
        }
    }

    /// Host condition for the I8 value `c`, its flags in the host's flags; consumes `c`.
    pub(crate) fn host_condition(&mut self, c: Value) -> Cond {
        let root = self.root(c);
        let cc = match (self.loc(root), self.op_of(root)) {
            (Loc::Deferred, Some(Op::Condition { cc, f })) => {
                self.need_flags(f);
                if self.vals[root.0 as usize].uses == 1 {
                    self.vals[root.0 as usize].loc = Loc::Nowhere;
                    self.consume(f);
                }
                cc
            }
            (Loc::Deferred, Some(Op::Compare { op, w, a, b })) => {
                let def = self.def(root);
                self.compare_values(w, a, b);
                self.vals[root.0 as usize].loc = Loc::Nowhere;
                self.consume_inst(def);
                host_comparison(op)
            }
            _ => {
                let r = self.src_reg(root, Width::W8);
                self.clobber_flags();
                self.asm.test(Width::W8, Rm::Reg(r), Src::Reg(r));
                Cond::Ne
            }
        };
        self.consume(root);
        cc
    }
}

/// The flags that a flags op starts from.
fn flags_operand(op: &Op) -> Option<Value> {
    match *op {
        Op::AdcFlags { f, .. }
        | Op::SbbFlags { f, .. }
        | Op::ShlFlags { f, .. }
        | Op::ShrFlags { f, .. }
        | Op::SarFlags { f, .. }
        | Op::RotlFlags { f, .. }
        | Op::RotrFlags { f, .. }
        | Op::RotlCarryFlags { f, .. }
        | Op::RotrCarryFlags { f, .. }
        | Op::ShldFlags { f, .. }
        | Op::ShrdFlags { f, .. }
        | Op::BitTestFlags { f, .. } => Some(f),
        _ => None,
    }
}

/// The host's condition after `cmp`.
pub(crate) fn host_comparison(op: IntCmp) -> Cond {
    match op {
        IntCmp::Eq => Cond::E,
        IntCmp::Ne => Cond::Ne,
        IntCmp::Ult => Cond::B,
        IntCmp::Ule => Cond::Be,
        IntCmp::Slt => Cond::L,
        IntCmp::Sle => Cond::Le,
    }
}

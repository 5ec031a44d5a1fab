//! Shifts and rotations. Their flags with a count of zero are the old ones: so do the host's instructions.

use hokku_ir::{Op, Value, Width};

use crate::Features;
use crate::assign::RCX;
use crate::encode::{HIGH, Opcode, Rm, Shift, Src};
use crate::lower::Lowering;
use crate::values::{Dest, Loc};

impl Lowering<'_> {
    /// The constant count that `n` is.
    pub(crate) fn fixed_count(&self, w: Width, n: Value) -> Option<u8> {
        self.constant_of(n).map(|n| (n & if w == Width::W64 { 63 } else { 31 }) as u8)
    }

    /// Puts a variable count into rcx. Call before other operands are looked at.
    pub(crate) fn load_count(&mut self, n: Value) {
        if self.constant_of(n).is_some() {
            return;
        }
        self.force(n);
        if let Loc::Temp(RCX) = self.loc(n) {
            self.lock(RCX);
            return;
        }
        self.take_rcx();
        let s = self.src(n, Width::W8);
        match s {
            Src::Mem(m) => self.asm.movzx(Width::W8, RCX, Rm::Mem(m)),
            Src::Reg(r) if r & HIGH != 0 => self.asm.movzx(Width::W8, RCX, Rm::Reg(r)),
            Src::Reg(r) => self.asm.mov(Width::W32, RCX, r),
            Src::Imm(_) => {}
        }
    }

    /// If the `and` at the current place masks shift counts as the host's instructions do, its value is that of `a`.
    pub(crate) fn is_count_mask(&mut self, v: Value, w: Width, a: Value, b: Value) -> bool {
        let Some(mask) = self.constant_of(b).filter(|m| w == Width::W8 && (*m == 31 || *m == 63)) else { return false };
        let mut uses = 0;
        for inst in self.block.insts.iter().skip(self.cur as usize + 1).take(6) {
            let count = match inst.op {
                Op::Shl { w, n, .. }
                | Op::Shr { w, n, .. }
                | Op::Sar { w, n, .. }
                | Op::Rotl { w, n, .. }
                | Op::Rotr { w, n, .. } => Some((w, n)),
                Op::ShlFlags { w, n, .. }
                | Op::ShrFlags { w, n, .. }
                | Op::SarFlags { w, n, .. }
                | Op::RotlFlags { w, n, .. }
                | Op::RotrFlags { w, n, .. } => Some((w, n)),
                Op::RotlCarry { w, n, .. }
                | Op::RotrCarry { w, n, .. }
                | Op::RotlCarryFlags { w, n, .. }
                | Op::RotrCarryFlags { w, n, .. } => Some((w, n)),
                Op::Shld { w, n, .. }
                | Op::Shrd { w, n, .. }
                | Op::ShldFlags { w, n, .. }
                | Op::ShrdFlags { w, n, .. } => Some((w, n)),
                _ => None,
            };
            let dead = self.def(inst.value) < self.plan.insts.len() as u32
                && self.plan.insts[self.def(inst.value) as usize].dead;
            if let Some((w, n)) = count
                && n == v
                && !dead
                && mask == if w == Width::W64 { 63 } else { 31 }
            {
                uses += 1;
            }
        }
        if uses == 0 || uses != self.vals[v.0 as usize].uses {
            return false;
        }
        let root = self.root(a);
        self.alias[v.0 as usize] = root;
        self.vals[root.0 as usize].uses += uses;
        self.consume_inst(self.cur);
        true
    }

    /// `shift rm, n`, with the count in rcx if it varies; notes what the host's flags hold.
    pub(crate) fn finish_shift(&mut self, op: Shift, w: Width, rm: Rm, n: Value) {
        let flags = self.joined_flags();
        match self.fixed_count(w, n) {
            Some(0) => {
                if let Some(f) = flags {
                    let old = self.old_flags(f);
                    self.need_flags(old);
                    self.clobber_flags();
                    self.flags_are(Some(f));
                }
            }
            Some(count) => {
                match flags {
                    Some(f) if op as u8 <= Shift::Rcr as u8 => self.before_transform(f),
                    _ => self.clobber_flags(),
                }
                self.asm.shift(op, w, rm, count);
                self.flags_are(flags);
            }
            None => {
                match flags {
                    Some(f) => self.before_transform(f),
                    None => self.clobber_flags(),
                }
                self.asm.shift_cl(op, w, rm);
                self.flags_are(flags);
            }
        }
    }

    /// Call before an instruction that makes flags `f` of the ones it keeps for a count of zero. Where the old ones are the guest's and `f`
    /// becomes the guest's, nothing is lost.
    fn before_transform(&mut self, f: Value) {
        let old = self.old_flags(f);
        self.need_flags(old);
        let old = self.root(old);
        if old != self.guest_flags || self.vals[old.0 as usize].uses > 0 || !self.becomes_guest_flags(f) {
            self.clobber_flags();
        }
    }

    /// Whether all that happens to `f` is that it is set as the guest's flags, soon.
    fn becomes_guest_flags(&self, f: Value) -> bool {
        let next = &self.block.insts[self.def(f) as usize + 1..];
        self.vals[f.0 as usize].uses == 1
            && next.iter().take(4).any(|i| matches!(i.op, Op::SetFlags { v, .. } if v == f))
    }

    /// The flags that the shift flags `f` keep where the count is zero.
    pub(crate) fn old_flags(&self, f: Value) -> Value {
        match self.block.insts[self.def(f) as usize].op {
            Op::ShlFlags { f, .. }
            | Op::ShrFlags { f, .. }
            | Op::SarFlags { f, .. }
            | Op::RotlFlags { f, .. }
            | Op::RotrFlags { f, .. }
            | Op::RotlCarryFlags { f, .. }
            | Op::RotrCarryFlags { f, .. }
            | Op::ShldFlags { f, .. }
            | Op::ShrdFlags { f, .. } => f,
            _ => f,
        }
    }

    /// `v` = `a` shifted or rotated by `n`; `carry` are the flags whose CF takes part.
    pub(crate) fn shift_value(&mut self, v: Value, op: Shift, w: Width, a: Value, n: Value, carry: Option<Value>) {
        let flags = self.joined_flags();
        if flags.is_none() && carry.is_none() && self.shift_without_flags(v, op, w, a, n) {
            return;
        }
        if let Some(f) = carry.or_else(|| flags.map(|f| self.old_flags(f))) {
            self.prepare_flags(f);
        }
        self.load_count(n);
        let s = self.src_safe(a, w);
        let count = self.fixed_count(w, n);
        let reads_old = op as u8 <= Shift::Rcr as u8 || count.is_none_or(|n| n == 0);
        if let Some(f) = carry.or_else(|| flags.filter(|_| reads_old).map(|f| self.old_flags(f))) {
            self.need_flags(f);
        }
        self.consume_pair();
        let reuse = if let Src::Reg(r) = s { Some(r) } else { None };
        let d = self.dest(v, reuse);
        self.move_to(d, s, w);
        if flags.is_some() || count != Some(0) {
            self.finish_shift(op, w, Rm::Reg(d.reg), n);
        }
        if count == Some(0) {
            self.clear_upper_half(w, d);
        }
        self.define(v, d);
    }

    /// For a guest register that no instruction has written: a 32-bit result clears the upper half all the same.
    fn clear_upper_half(&mut self, w: Width, d: Dest) {
        if w == Width::W32 && d.place.is_some() {
            self.asm.mov(w, d.reg, d.reg);
        }
    }

    /// Shifts that leave the host's flags alone: BMI2.
    fn shift_without_flags(&mut self, v: Value, op: Shift, w: Width, a: Value, n: Value) -> bool {
        let fixed = self.fixed_count(w, n);
        if w < Width::W32 || !self.features.contains(Features::BMI2) || !(self.flags_needed() || fixed.is_none()) {
            return false;
        }
        if let (Shift::Ror | Shift::Rol, Some(n)) = (op, fixed) {
            // `rorx`
            let n = if op == Shift::Ror { n } else { (w.bits() as u8 - n) & (w.bits() as u8 - 1) };
            let rm = self.src_rm(a, w);
            self.consume_inst(self.cur);
            let d = self.dest(v, if let Rm::Reg(r) = rm { Some(r) } else { None });
            self.asm.vex(Opcode::sse(0xf2, 0x0f3af0).wide(w == Width::W64), false, d.reg, 0, rm, &[n]);
            self.define(v, d);
            return true;
        }
        let prefix = match op {
            Shift::Shl => 0x66,
            Shift::Sar => 0xf3,
            Shift::Shr => 0xf2,
            _ => return false,
        };
        let s = self.src_safe(a, w);
        let rm = match s {
            Src::Reg(r) => Rm::Reg(r),
            Src::Mem(m) => Rm::Mem(m),
            Src::Imm(_) => Rm::Reg(self.copy_src(s, w)),
        };
        let count = match fixed {
            Some(n) => {
                let t = self.temp();
                self.asm.constant(t, u64::from(n));
                t
            }
            None => self.src_reg(n, Width::W8),
        };
        self.consume_inst(self.cur);
        let d = self.dest(v, if let Rm::Reg(r) = rm { Some(r) } else { None });
        self.asm.shift_without_flags(prefix, w, d.reg, rm, count);
        self.define(v, d);
        true
    }

    /// Flags of a shift whose result nobody computes.
    pub(crate) fn shift_flags(&mut self, op: Shift, w: Width, a: Value, n: Value, f: Value) {
        self.prepare_flags(f);
        self.load_count(n);
        let t = self.copy(w, a);
        let count = self.fixed_count(w, n);
        if count.is_none_or(|n| n == 0) || (op as u8) <= Shift::Rcr as u8 {
            self.need_flags(f);
        }
        self.clobber_flags();
        match count {
            Some(0) => {}
            Some(n) => self.asm.shift(op, w, Rm::Reg(t), n),
            None => self.asm.shift_cl(op, w, Rm::Reg(t)),
        }
    }

    /// `shld` (`left`) and `shrd`; `flags` gives those where the value `v` is not wanted.
    pub(crate) fn double_shift(
        &mut self,
        v: Option<Value>,
        left: bool,
        w: Width,
        (a, b, n): (Value, Value, Value),
        old: Option<Value>,
    ) {
        let f = old.or_else(|| self.joined_flags().map(|f| self.old_flags(f)));
        if let Some(f) = f {
            self.prepare_flags(f);
        }
        self.load_count(n);
        let s = self.src_safe(a, w);
        let b = {
            self.force(b);
            self.src_reg(b, w)
        };
        let count = self.fixed_count(w, n);
        let (flags, old) = match v {
            Some(_) => {
                let flags = self.joined_flags();
                (flags, flags.map(|f| self.old_flags(f)))
            }
            None => (None, old),
        };
        if let Some(f) = old.filter(|_| count.is_none_or(|n| n == 0)) {
            self.need_flags(f);
        }
        if v.is_some() {
            self.consume_pair();
        }
        let goal = match v {
            Some(v) => self.dest(v, if let Src::Reg(r) = s { Some(r) } else { None }),
            None => Dest { reg: self.temp(), place: None },
        };
        let mut d = goal;
        if d.reg == b && s != Src::Reg(d.reg) {
            d = Dest { reg: self.temp(), place: None };
        }
        self.move_to(d, s, w);
        if count != Some(0) || flags.is_some() {
            self.clobber_flags();
        }
        let code = if left { 0x0fa4 } else { 0x0fac };
        match count {
            Some(0) => {}
            Some(n) => self.asm.op(Opcode::word(w, code), b, d.reg, &[n]),
            None => self.asm.op(Opcode::word(w, code + 1), b, d.reg, &[]),
        }
        if count != Some(0) || flags.is_some() {
            self.flags_are(flags);
        }
        if d != goal {
            self.move_to(goal, Src::Reg(d.reg), w);
        } else if count == Some(0) {
            self.clear_upper_half(w, d);
        }
        if let Some(v) = v {
            self.define(v, goal);
        }
    }
}

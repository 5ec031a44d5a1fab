//! Integer arithmetic and logic: two-operand instructions, `lea`, extensions, selections.

use hokku_ir::{IntCmp, Op, Value, Width};

use crate::assign::RCX;
use crate::encode::{Alu, HIGH, Mem, Opcode, Rm, Shift, Src};
use crate::flags::host_comparison;
use crate::lower::Lowering;
use crate::values::{Dest, Loc};

impl Lowering<'_> {
    /// `src` in a form that can stand beside `dst`: a high byte register excludes all that needs a REX prefix, and two memory operands do not go.
    pub(crate) fn encodable(&mut self, w: Width, dst: Rm, src: Src) -> Src {
        let high = |s: Src| matches!(s, Src::Reg(r) if r & HIGH != 0);
        let rex = |s: Src| match s {
            Src::Reg(r) => r & HIGH == 0 && r >= 4,
            Src::Mem(m) => m.base.is_some_and(|b| b >= 8) || m.index.is_some_and(|i| i >= 8),
            Src::Imm(_) => false,
        };
        let d = Src::from(dst);
        if matches!((dst, src), (Rm::Mem(_), Src::Mem(_))) {
            return Src::Reg(self.copy_src(src, w));
        }
        if w != Width::W8 || !(high(d) && rex(src) || high(src) && rex(d)) {
            return src;
        }
        if d == Src::Reg(RCX | HIGH) {
            // ch stays when cl is written.
            self.asm.mov(w, RCX, src);
            return Src::Reg(RCX);
        }
        if matches!(src, Src::Reg(r) if r & 3 != RCX) && high(src) && self.locked & 1 << RCX != 0 {
            return Src::Reg(self.copy_src(src, w));
        }
        // cl needs no REX itself; with a REX destination it is no high byte any more.
        if self.locked & 1 << RCX == 0 {
            self.take_rcx();
        }
        if !src.uses(RCX) || matches!(src, Src::Mem(_)) {
            self.load_reg(RCX, src, w);
            return Src::Reg(RCX);
        }
        self.asm.movzx(Width::W8, RCX, Rm::Reg(RCX | HIGH));
        Src::Reg(RCX)
    }

    /// `dest` = `src`, by a move of width `w` that keeps the bits beyond it where the destination is a guest register.
    pub(crate) fn move_to(&mut self, dest: Dest, src: Src, w: Width) {
        if src == Src::Reg(dest.reg) {
            return;
        }
        if dest.place.is_some() && w < Width::W32 {
            let src = self.encodable(w, Rm::Reg(dest.reg), src);
            self.asm.mov(w, dest.reg, src);
        } else {
            self.load_reg(dest.reg, src, w);
        }
    }

    /// `v` = `a op b`, with the carry of `carry` for `adc` and `sbb`.
    pub(crate) fn binary(&mut self, v: Value, op: Alu, w: Width, (a, b): (Value, Value), carry: Option<Value>) {
        if let Some(f) = carry {
            self.prepare_flags(f);
        }
        let commutes = !matches!(op, Alu::Sub | Alu::Sbb);
        let (mut a, mut b) = (a, b);
        if commutes && (self.constant_of(a).is_some() || (self.is_deferred_load(a) && !self.is_deferred_load(b))) {
            (a, b) = (b, a);
        }
        if self.is_deferred_load(a) && self.is_deferred_load(b) {
            self.force(a);
        }
        if self.is_deferred_load(b) {
            self.force(a);
        }
        let (sa, sb) = if self.is_deferred_load(a) {
            let sb = self.src_safe(b, w);
            (self.src(a, w), sb)
        } else {
            let sa = self.src(a, w);
            (sa, self.src(b, w))
        };
        let sb = self.loaded_apart(b, sb, w);
        if let Some(f) = carry {
            self.need_flags(f);
        }
        self.consume_pair();
        let (mut sa, mut sb) = (sa, sb);
        let reuse = if let Src::Reg(r) = sa { Some(r) } else { None };
        let mut d = self.dest(v, reuse);
        let flags = self.joined_flags();
        if commutes && sb == Src::Reg(d.reg) && sa != sb {
            (sa, sb) = (sb, sa);
        }
        if flags.is_none() && self.try_lea(v, op, w, &d, sa, sb) {
            return;
        }
        let in_place = sa == Src::Reg(d.reg);
        // The first of two instructions must neither spoil the second operand nor write guest state before the second can fault.
        let conflict = !in_place && (sb.uses(d.reg & !HIGH) || (d.place.is_some() && sb.may_fault()));
        let goal = d;
        if conflict {
            d = Dest { reg: self.temp(), place: None };
        }
        self.move_to(d, sa, w);
        let sb = self.encodable(w, Rm::Reg(d.reg), sb);
        self.finish_binary(op, w, Rm::Reg(d.reg), sb, flags);
        if conflict && goal.place.is_some() {
            self.move_to(goal, Src::Reg(d.reg), w);
            d = goal;
        }
        self.define(v, d);
    }

    /// `op dst, src`, as `inc` and `dec` where those flags are wanted; notes what the host's flags hold.
    fn finish_binary(&mut self, op: Alu, w: Width, dst: Rm, src: Src, flags: Option<Value>) {
        if let Some(f) = flags
            && matches!(self.block.insts[self.def(f) as usize].op, Op::IncFlags { .. } | Op::DecFlags { .. })
        {
            self.before_merge();
            self.asm.op(Opcode::group(w, 0xfe), u8::from(op == Alu::Sub), dst, &[]);
            self.flags_are_merged(f);
            return;
        }
        self.clobber_flags();
        self.asm.alu(op, w, dst, src);
        self.flags_are(flags);
    }

    /// Adds and subtracts by `lea` where flags must stay or a copy is saved.
    fn try_lea(&mut self, v: Value, op: Alu, w: Width, d: &Dest, a: Src, b: Src) -> bool {
        if (d.place.is_some() && w < Width::W32) || d.reg & HIGH != 0 {
            return false;
        }
        let in_place = a == Src::Reg(d.reg);
        if in_place && !self.flags_needed() {
            return false;
        }
        let wide = w.max(Width::W32);
        let m = match (op, a, b) {
            (Alu::Add, Src::Reg(a), Src::Reg(b)) if (a | b) & HIGH == 0 => Mem::sum(a, b, 0),
            (Alu::Add, Src::Reg(a), Src::Imm(n)) if a & HIGH == 0 => Mem::plain(a, n),
            (Alu::Sub, Src::Reg(a), Src::Imm(n)) if a & HIGH == 0 && n != i32::MIN => Mem::plain(a, -n),
            (Alu::Sub, Src::Reg(a), Src::Reg(b)) if (a | b) & HIGH == 0 && self.flags_needed() => {
                let t = self.temp();
                self.asm.mov(wide, t, b);
                self.asm.unary(2, wide, t);
                Mem::sum(a, t, 1)
            }
            _ => return false,
        };
        self.asm.lea(wide, d.reg, m);
        self.define(v, *d);
        true
    }

    /// `not` and, for `0 - a`, `neg`.
    pub(crate) fn unary(&mut self, v: Value, ext: u8, w: Width, a: Value) {
        let s = self.src(a, w);
        self.consume_pair();
        let d = self.dest(v, if let Src::Reg(r) = s { Some(r) } else { None });
        let flags = self.joined_flags();
        self.move_to(d, s, w);
        if ext == 3 {
            self.clobber_flags();
        }
        self.asm.unary(ext, w, d.reg);
        if ext == 3 {
            self.flags_are(flags);
        }
        self.define(v, d);
    }

    /// The store of a deferred op's result to where its operand was loaded from: one instruction with a memory destination.
    pub(crate) fn modify_memory(&mut self, at: hokku_ir::Addr, op_at: u32) {
        let inst = self.block.insts[op_at as usize];
        let (store, cur) = (self.cur, self.cur);
        self.cur = op_at;
        let shift = match inst.op {
            Op::Shl { n, .. } => Some((Shift::Shl, n)),
            Op::Shr { n, .. } => Some((Shift::Shr, n)),
            Op::Sar { n, .. } => Some((Shift::Sar, n)),
            Op::Rotl { n, .. } => Some((Shift::Rol, n)),
            Op::Rotr { n, .. } => Some((Shift::Ror, n)),
            _ => None,
        };
        if let (Some(f), Some(_)) = (self.joined_flags(), shift) {
            let old = self.old_flags(f);
            self.prepare_flags(old);
        }
        if let Some((_, n)) = shift {
            self.load_count(n);
        }
        if let Op::Adc { f, .. } | Op::Sbb { f, .. } = inst.op {
            self.need_flags(f);
        }
        let Some((w, old, other)) = crate::pairs::modify_operands(&inst.op, |v| self.constant_of(v)) else { return };
        let src = match (other, shift) {
            (Some(other), None) => {
                let s = self.src_safe(other, w);
                if matches!(s, Src::Mem(_)) { Src::Reg(self.copy_src(s, w)) } else { s }
            }
            _ => Src::Imm(0),
        };
        self.before_fault();
        let mem = self.address(at);
        let src = self.encodable(w, Rm::Mem(mem), src);
        let flags = self.joined_flags();
        if let (Some(f), Some(_)) = (flags, shift) {
            let old = self.old_flags(f);
            self.need_flags(old);
        }
        // The load becomes part of the instruction: its operands, the op's and the store's are used up.
        let old = self.root(old);
        let load = self.def(old);
        self.vals[old.0 as usize].loc = Loc::Nowhere;
        self.vals[inst.value.0 as usize].loc = Loc::Nowhere;
        self.consume_inst(load);
        self.consume_pair();
        self.consume_inst(store);
        match (inst.op, shift) {
            (_, Some((op, n))) => self.finish_shift(op, w, Rm::Mem(mem), n),
            (Op::Not { .. }, _) => self.asm.unary(2, w, mem),
            (Op::Sub { .. }, _) if other.is_none() => {
                self.clobber_flags();
                self.asm.unary(3, w, mem);
                self.flags_are(flags);
            }
            (op, _) => {
                let alu = match op {
                    Op::Add { .. } => Alu::Add,
                    Op::Adc { .. } => Alu::Adc,
                    Op::Sub { .. } => Alu::Sub,
                    Op::Sbb { .. } => Alu::Sbb,
                    Op::And { .. } => Alu::And,
                    Op::Or { .. } => Alu::Or,
                    _ => Alu::Xor,
                };
                self.finish_binary(alu, w, Rm::Mem(mem), src, flags);
            }
        }
        self.cur = cur;
    }

    /// Extensions and `mov` between widths.
    pub(crate) fn extend(&mut self, v: Value, signed: bool, from: Width, to: Width, a: Value) {
        let s = self.src(a, from);
        self.consume_inst(self.cur);
        let rm = match s {
            Src::Reg(r) => Rm::Reg(r),
            Src::Mem(m) => Rm::Mem(m),
            Src::Imm(n) => {
                let d = self.dest(v, None);
                let value = if signed { i64::from(n) as u64 } else { i64::from(n) as u64 & from.mask() };
                if d.place.is_some() && to < Width::W32 {
                    self.asm.mov(to, d.reg, Src::Imm(value as i32));
                } else {
                    self.asm.constant(d.reg, value & to.mask());
                }
                self.define(v, d);
                return;
            }
        };
        let d = self.dest(v, if let Rm::Reg(r) = rm { Some(r) } else { None });
        if to == Width::W16 && d.place.is_some() {
            // Only 16 bits of the guest register may change.
            let t = if let (Rm::Reg(r), true) = (rm, from == Width::W8)
                && r & HIGH != 0
            {
                self.copy_src(Src::Reg(r), Width::W8)
            } else {
                self.temp()
            };
            let rm = if let Rm::Reg(r) = rm
                && r & HIGH != 0
            {
                Rm::Reg(t)
            } else {
                rm
            };
            self.extend_reg(signed, from, Width::W32, t, rm);
            self.asm.mov(Width::W16, d.reg, t);
        } else if let Rm::Reg(r) = rm
            && r & HIGH != 0
            && (d.reg >= 8 || to == Width::W64)
        {
            let t = self.copy_src(Src::Reg(r), Width::W8);
            self.extend_reg(signed, from, to.max(Width::W32), d.reg, Rm::Reg(t));
        } else {
            self.extend_reg(signed, from, to.max(Width::W32), d.reg, rm);
        }
        self.define(v, d);
    }

    fn extend_reg(&mut self, signed: bool, from: Width, to: Width, dst: u8, src: Rm) {
        if signed {
            self.asm.movsx(from, to, dst, src);
        } else {
            self.asm.movzx(from, dst, src);
        }
    }

    /// `lea`.
    pub(crate) fn effective_address(&mut self, v: Value, w: Width, at: hokku_ir::Addr) {
        if let Some(offset) = self.stack_offset(&at).filter(|_| w == self.mode.word()) {
            self.define_stack(v, offset);
            return self.consume_inst(self.cur);
        }
        let m = self.address_with(at, false);
        self.consume_inst(self.cur);
        let d = self.dest(v, m.base);
        // Bits beyond the address width are zero, those beyond `w` cut off.
        let wide = if w == Width::W64 && at.width == Width::W64 { Width::W64 } else { Width::W32 };
        let m = Mem { short: false, ..m };
        if d.place.is_some() && w < Width::W32 {
            let t = self.temp();
            self.lea_or_move(wide, t, m);
            self.asm.mov(w, d.reg, t);
        } else {
            self.lea_or_move(wide, d.reg, m);
        }
        self.define(v, d);
    }

    fn lea_or_move(&mut self, w: Width, reg: u8, m: Mem) {
        match m {
            Mem { base: None, index: None, disp, .. } => {
                self.asm.constant(reg, if w == Width::W64 { i64::from(disp) as u64 } else { u64::from(disp as u32) });
            }
            Mem { base: Some(b), index: None, disp: 0, .. } => self.asm.mov(w, reg, b),
            _ => self.asm.lea(w, reg, m),
        }
    }

    /// `a` where `c`, else `b`: `cmovcc`.
    pub(crate) fn select_value(&mut self, v: Value, w: Width, c: Value, a: Value, b: Value) {
        let wide = w.max(Width::W32);
        self.prepare_condition(c);
        self.force(b);
        // A fault must find the guest's flags in the host's.
        if w < Width::W32 || !self.is_condition_on_guest_flags(c) {
            self.force(a);
        }
        // Flags first where they must be computed: operands then need not survive that.
        if !matches!(self.loc(c), Loc::Deferred) {
            self.src_reg(c, Width::W8);
        }
        let sa = match self.src(a, w) {
            Src::Reg(r) if r & HIGH == 0 => Rm::Reg(r),
            Src::Mem(m) if w >= Width::W32 => Rm::Mem(m),
            Src::Reg(r) => {
                let t = self.temp();
                self.load_reg(t, Src::Reg(r), w);
                if r == RCX | HIGH && t != RCX {
                    self.unlock(RCX);
                }
                Rm::Reg(t)
            }
            s => Rm::Reg(self.copy_src(s, w)),
        };
        let sb = match self.src(b, w) {
            // Out of the way of a comparison of bytes.
            Src::Reg(r) if r & HIGH != 0 => {
                let t = self.temp();
                self.load_reg(t, Src::Reg(r), w);
                if r == RCX | HIGH && t != RCX {
                    self.unlock(RCX);
                }
                Src::Reg(t)
            }
            s => s,
        };
        let cc = self.host_condition(c);
        self.consume(a);
        self.consume(b);
        let mut d = self.dest(v, if let Src::Reg(r) = sb { Some(r) } else { None });
        let goal = d;
        let faults = matches!(sa, Rm::Mem(m) if m.space == crate::encode::Space::Guest);
        if sa == Rm::Reg(d.reg)
            && sb != Src::Reg(d.reg)
            && w >= Width::W32
            && matches!(sb, Src::Reg(r) if r & HIGH == 0)
        {
            // The other way round.
            if let Src::Reg(b) = sb {
                self.asm.cmov(cc.negate(), wide, d.reg, Rm::Reg(b));
            }
            self.define(v, d);
            return;
        }
        let in_place = sb == Src::Reg(d.reg);
        if (w < Width::W32 && d.place.is_some())
            || (!in_place && (Src::from(sa).uses(d.reg & !HIGH) || (faults && d.place.is_some())))
        {
            d = Dest { reg: self.temp(), place: None };
        }
        if sb != Src::Reg(d.reg) {
            self.load_reg(d.reg, sb, w);
        }
        self.asm.cmov(cc, wide, d.reg, sa);
        if goal.place.is_some() && d != goal {
            self.move_to(goal, Src::Reg(d.reg), w);
            d = goal;
        }
        self.define(v, d);
    }

    /// I8 from a comparison, not deferred.
    pub(crate) fn comparison(&mut self, v: Value, op: IntCmp, w: Width, a: Value, b: Value) {
        self.compare_values(w, a, b);
        self.consume_inst(self.cur);
        self.flags_are(None);
        let d = self.dest(v, None);
        self.asm.setcc(host_comparison(op), Rm::Reg(d.reg));
        self.define(v, d);
    }

    /// I8 from a condition that something needs in a register.
    pub(crate) fn condition_value(&mut self, v: Value, cc: hokku_ir::Cond, f: Value) {
        self.need_flags(f);
        self.consume_inst(self.cur);
        let d = self.dest(v, None);
        self.asm.setcc(cc, Rm::Reg(d.reg));
        self.define(v, d);
    }

    /// `bswap`.
    pub(crate) fn swap_bytes(&mut self, v: Value, w: Width, a: Value) {
        let s = self.src(a, w);
        self.consume_inst(self.cur);
        let d = self.dest(v, if let Src::Reg(r) = s { Some(r) } else { None });
        self.load_reg(d.reg, s, w);
        self.asm.bswap(w, d.reg);
        self.define(v, d);
    }

    /// `bsf` and `bsr`: the destination stays where the operand is zero.
    pub(crate) fn bit_scan(&mut self, v: Value, code: u32, w: Width, a: Value, zero: Value) {
        let sz = self.src_safe(zero, w);
        let sa = self.src_rm(a, w);
        self.consume_pair();
        let flags = self.joined_flags();
        let mut d = self.dest(v, if let Src::Reg(r) = sz { Some(r) } else { None });
        let goal = d;
        let in_place = sz == Src::Reg(d.reg) && w != Width::W32;
        if !in_place && (Src::from(sa).uses(d.reg) || (d.place.is_some() && Src::from(sa).may_fault()))
            || (w == Width::W16 && d.place.is_some())
        {
            d = Dest { reg: self.temp(), place: None };
        }
        if sz != Src::Reg(d.reg) || w == Width::W32 {
            match sz {
                Src::Reg(r) => self.asm.mov(w.max(Width::W32), d.reg, r),
                _ => self.load_reg(d.reg, sz, w),
            }
        }
        self.clobber_flags();
        self.asm.op(Opcode::word(w, code), d.reg, sa, &[]);
        self.flags_are(flags);
        if d != goal && goal.place.is_some() {
            self.move_to(goal, Src::Reg(d.reg), w);
            d = goal;
        }
        self.define(v, d);
    }

    /// `bt`, with `a` in a register: the bit number is modulo the width.
    pub(crate) fn bit_test(&mut self, w: Width, a: Value, n: Value, f: Value) {
        self.prepare_flags(f);
        let a = self.src_reg(a, w);
        let count = self.constant_of(n);
        let r = if count.is_none() { self.src_reg(n, Width::W8) } else { 0 };
        self.need_flags(f);
        self.clobber_flags();
        match count {
            Some(n) => self.asm.op(Opcode::word(w, 0x0fba), 4, a, &[(n & u64::from(w.bits() - 1)) as u8]),
            None => self.asm.op(Opcode::word(w, 0x0fa3), r, a, &[]),
        }
    }
}

//! Multiplication and division: rax and rdx are guest rax and rdx, so the guest's own instructions mostly fit as they are.

use hokku_ir::{Gpr, Op, Value, Width};

use crate::assign::{RAX, RDX, slot_offset};
use crate::encode::{HIGH, Mem, Opcode, Rm, Src};
use crate::lower::Lowering;
use crate::plan::{NONE, Place};
use crate::values::{Dest, Loc};

/// One-operand forms of F6/F7.
const MUL: u8 = 4;
const IMUL: u8 = 5;
const DIV: u8 = 6;
const IDIV: u8 = 7;

impl Lowering<'_> {
    /// Low half of a product.
    pub(crate) fn multiply(&mut self, v: Value, w: Width, a: Value, b: Value) {
        if self.multiply_pair(v, w, a, b) {
            return;
        }
        let (mut a, mut b) = (a, b);
        if self.constant_of(a).is_some() || (self.is_deferred_load(a) && !self.is_deferred_load(b)) {
            (a, b) = (b, a);
        }
        if w == Width::W8 {
            self.force(a);
            self.force(b);
        } else if self.is_deferred_load(b) {
            self.force(a);
        }
        let flags = self.joined_flags();
        if let Some(n) = self.constant_of(b)
            && w != Width::W8
            && let Some(Src::Imm(n)) = crate::operands::constant_src(n, w)
        {
            let s = self.src_rm(a, w);
            self.consume_pair();
            let d = self.dest(v, if let Rm::Reg(r) = s { Some(r) } else { None });
            self.clobber_flags();
            if i8::try_from(n).is_ok() {
                self.asm.op(Opcode::word(w, 0x6b), d.reg, s, &[n as u8]);
            } else {
                self.asm.op_imm(Opcode::word(w, 0x69), d.reg, s, n, crate::encode::imm_bytes(w));
            }
            self.flags_are(flags);
            self.define(v, d);
            return;
        }
        let sa = if w == Width::W8 { Src::Reg(self.src_reg(a, w)) } else { self.src(a, w) };
        let sb = if w == Width::W8 { Rm::Reg(self.src_reg(b, w)) } else { self.src_rm(b, w) };
        self.consume_pair();
        let goal = self.dest(v, if let Src::Reg(r) = sa { Some(r) } else { None });
        let mut d = goal;
        let wide = w.max(Width::W16);
        let (mut sa, mut sb) = (sa, sb);
        if sb == Rm::Reg(d.reg) && sa != Src::Reg(d.reg) && matches!(sa, Src::Reg(_)) {
            let old = sa;
            sa = sb.into();
            sb = if let Src::Reg(r) = old { Rm::Reg(r) } else { sb };
        }
        if (w == Width::W8 && d.place.is_some())
            || (sa != Src::Reg(d.reg)
                && (Src::from(sb).uses(d.reg) || (d.place.is_some() && Src::from(sb).may_fault())))
        {
            d = Dest { reg: self.temp(), place: None };
        }
        self.move_to(d, sa, w);
        self.clobber_flags();
        self.asm.op(Opcode::word(wide, 0x0faf), d.reg, sb, &[]);
        self.flags_are(flags);
        if d != goal {
            self.move_to(goal, Src::Reg(d.reg), w);
        }
        self.define(v, goal);
    }

    /// Looks for the other half of the product `a * b` behind the current op; if both go where `mul` puts them, emits that.
    fn multiply_pair(&mut self, v: Value, w: Width, a: Value, b: Value) -> bool {
        let other = self.block.insts.iter().enumerate().skip(self.cur as usize + 1).take(4).find_map(|(k, inst)| {
            let (signed, a2, b2) = match inst.op {
                Op::MulHighU { w: w2, a, b } if w2 == w => (false, a, b),
                Op::MulHighS { w: w2, a, b } if w2 == w => (true, a, b),
                _ => return None,
            };
            (a == a2 && b == b2 && !self.plan.insts[k].dead).then_some((k as u32, inst.value, signed))
        });
        let Some((k, high, signed)) = other else { return false };
        let target = |l: &Self, v: Value| l.plan.values[v.0 as usize].target;
        let high_place = if w == Width::W8 { Place::High(Gpr::Rax) } else { Place::Low(Gpr::Rdx) };
        if target(self, v) != Some(Place::Low(Gpr::Rax)) || target(self, high) != Some(high_place) {
            return false;
        }
        let (a, b) =
            if self.loc(b) == Loc::Home(Gpr::Rax) && self.loc(a) != Loc::Home(Gpr::Rax) { (b, a) } else { (a, b) };
        if self.loc(a) != Loc::Home(Gpr::Rax) {
            return false;
        }
        let s = match self.src(b, w) {
            Src::Mem(m) => Rm::Mem(m),
            Src::Reg(r) => Rm::Reg(r),
            s => Rm::Reg(self.copy_src(s, w)),
        };
        // Flags may go with either half.
        let low_flags = self.joined_flags();
        self.consume_pair();
        let cur = std::mem::replace(&mut self.cur, k);
        let high_flags = self.joined_flags();
        self.consume_pair();
        self.cur = cur;
        self.evict(Gpr::Rax);
        if w != Width::W8 {
            self.evict(Gpr::Rdx);
        }
        self.clobber_flags();
        self.asm.unary(if signed { IMUL } else { MUL }, w, s);
        self.flags_are(high_flags.or(low_flags));
        self.define(v, Dest { reg: RAX, place: Some(Place::Low(Gpr::Rax)) });
        let reg = if w == Width::W8 { RAX | HIGH } else { RDX };
        self.define(high, Dest { reg, place: Some(high_place) });
        self.done.push(k);
        true
    }

    /// The high half of a product whose halves do not go to rdx and rax.
    pub(crate) fn multiply_high(&mut self, v: Value, signed: bool, w: Width, a: Value, b: Value) {
        let flags = self.joined_flags();
        let t = self.multiply_wide(signed, w, a, b);
        self.consume_pair();
        self.flags_are(flags);
        let d = self.dest(v, Some(t));
        self.move_to(d, Src::Reg(t), w);
        self.define(v, d);
    }

    /// `mul` or `imul` of any operands, rax and rdx as before; flags are its own. Gives a temporary with the high half.
    pub(crate) fn multiply_wide(&mut self, signed: bool, w: Width, a: Value, b: Value) -> u8 {
        self.force(a);
        self.force(b);
        // Operands through memory: they may be rax or rdx themselves.
        let slots = [self.take_slot(1), self.take_slot(1), self.take_slot(1)].map(slot_offset);
        let t = self.temp();
        self.asm.mov(Width::W64, Mem::state(slots[0]), RAX);
        self.asm.mov(Width::W64, Mem::state(slots[1]), RDX);
        let sb = self.src(b, w);
        self.load_reg(t, sb, w);
        self.asm.mov(Width::W64, Mem::state(slots[2]), t);
        let sa = self.src(a, w);
        self.load_reg(RAX, sa, w);
        self.clobber_flags();
        self.asm.unary(if signed { IMUL } else { MUL }, w, Mem::state(slots[2]));
        if w == Width::W8 {
            self.asm.mov(Width::W64, Mem::state(slots[2]), RAX);
            self.asm.movzx(Width::W8, t, Rm::Mem(Mem::state(slots[2] + 1)));
        } else {
            self.asm.mov(w.max(Width::W32), t, RDX);
        }
        self.asm.mov(Width::W64, RAX, Mem::state(slots[0]));
        self.asm.mov(Width::W64, RDX, Mem::state(slots[1]));
        let first = slot_offset(0);
        for s in slots {
            self.freed_slots.push((((s - first) / 8) as u8, 1));
        }
        t
    }

    /// Quotient or remainder. Where both operands and results are where `div` has them, one `div` gives both; else the runtime divides.
    pub(crate) fn divide(&mut self, v: Value, signed: bool, w: Width, (high, low, d): (Value, Value, Value)) -> bool {
        let rem = self.block.insts.iter().enumerate().skip(self.cur as usize + 1).take(3).find_map(|(k, inst)| {
            let same = match inst.op {
                Op::RemU { w: w2, high: h, low: l, d: e } if !signed => (w2, h, l, e) == (w, high, low, d),
                Op::RemS { w: w2, high: h, low: l, d: e } if signed => (w2, h, l, e) == (w, high, low, d),
                _ => false,
            };
            same.then_some((k as u32, inst.value))
        });
        let Some((k, rem)) = rem else { return false };
        let (high_there, rem_place) = match w {
            Width::W8 => (self.loc(high) == Loc::High(Gpr::Rax), Place::High(Gpr::Rax)),
            _ => (self.register_holds(Gpr::Rdx, w, high), Place::Low(Gpr::Rdx)),
        };
        if !high_there || !self.register_holds(Gpr::Rax, w, low) {
            return false;
        }
        // The results are written to those registers in this instruction, with nothing that faults or reads them between.
        let set_by = |place: Place, value: Value| {
            let mut from = None;
            for (n, inst) in self.block.insts.iter().enumerate().skip(k as usize + 1).take(6) {
                match inst.op {
                    Op::SetGpr { reg, w: to, v } if place == Place::Low(reg) && to == w && v == value => {
                        from = Some(n);
                        break;
                    }
                    Op::SetGprHigh { reg, v } if place == Place::High(reg) && v == value => {
                        from = Some(n);
                        break;
                    }
                    Op::SetGpr { .. } | Op::SetGprHigh { .. } | Op::SetFlags { .. } => {}
                    ref op if op.effects() == hokku_ir::Effects::empty() => {}
                    _ => break,
                }
            }
            from.is_some()
        };
        if !set_by(Place::Low(Gpr::Rax), v) || !set_by(rem_place, rem) {
            return false;
        }
        let s = match self.src(d, w) {
            Src::Mem(m) => Rm::Mem(m),
            Src::Reg(r) => Rm::Reg(r),
            s => Rm::Reg(self.copy_src(s, w)),
        };
        self.before_fault();
        self.consume_inst(self.cur);
        self.consume_inst(k);
        self.evict(Gpr::Rax);
        if w != Width::W8 {
            self.evict(Gpr::Rdx);
        }
        // The guest's own `div` leaves the flags undefined, just as this one.
        self.asm.may_fault_here();
        self.asm.unary(if signed { IDIV } else { DIV }, w, s);
        self.define(v, Dest { reg: RAX, place: Some(Place::Low(Gpr::Rax)) });
        let reg = if w == Width::W8 { RAX | HIGH } else { RDX };
        self.define(rem, Dest { reg, place: Some(rem_place) });
        self.done.push(k);
        debug_assert!(k != NONE);
        true
    }

    /// Whether guest register `reg` is `value` now: it lives there, or was the last to be written to it.
    fn register_holds(&self, reg: Gpr, w: Width, value: Value) -> bool {
        if self.loc(value) == Loc::Home(reg) {
            return true;
        }
        for inst in self.block.insts[..self.cur as usize].iter().rev() {
            match inst.op {
                Op::SetGpr { reg: to, w: written, v } if to == reg => {
                    let known = |v| match self.op_at(self.root(v)) {
                        Some(Op::Iconst { value, .. }) => Some(value.0),
                        _ => None,
                    };
                    return match (known(v), known(value)) {
                        (Some(a), Some(b)) => written >= Width::W32 && a & written.mask() == b & w.mask(),
                        _ => written == w && self.root(v) == self.root(value),
                    };
                }
                Op::SetGpr { .. } | Op::SetFlags { .. } | Op::SetVec { .. } => {}
                Op::SetGprHigh { reg: to, .. } if to != reg => {}
                ref op if !op.effects().contains(hokku_ir::Effects::writes_state) => {}
                _ => return false,
            }
        }
        false
    }
}

//! Values as operands of host instructions: registers, memory, constants.

use hokku_ir::{Gpr, Op, Type, Value, Width};

use crate::Optimisations;
use crate::assign::{R15, RCX, gpr_offset, home, slot_offset};
use crate::encode::{HIGH, Mem, Rm, Src};
use crate::lower::Lowering;
use crate::values::Loc;

impl Lowering<'_> {
    /// Where guest register `reg` lives.
    pub(crate) fn home_rm(&self, reg: Gpr) -> Rm {
        match home(reg) {
            Some(r) => match self.borrowed.iter().find(|b| b.reg == r) {
                Some(b) => Rm::Mem(Mem::state(slot_offset(b.slot))),
                None => Rm::Reg(r),
            },
            None => Rm::Mem(Mem::state(gpr_offset(reg))),
        }
    }

    /// `v` of width `w` as an operand: a register, memory or a constant of 32 bits.
    pub(crate) fn src(&mut self, v: Value, w: Width) -> Src {
        let root = self.root(v);
        let loc = self.vals[root.0 as usize].loc;
        let reg = match loc {
            Loc::Home(g) if self.borrowed.is_empty() => home(g),
            Loc::Temp(r) => Some(r),
            _ => None,
        };
        let Some(r) = reg else { return self.other_src(root, loc, w) };
        self.lock(r);
        Src::Reg(r)
    }

    /// [`Self::src`] of `root`, which is at `loc`, in most cases not in a register.
    #[inline(never)]
    fn other_src(&mut self, root: Value, loc: Loc, w: Width) -> Src {
        match loc {
            Loc::Const(n) => match constant_src(n, w) {
                Some(imm) => imm,
                None => {
                    let t = self.temp();
                    self.asm.constant(t, n);
                    Src::Reg(t)
                }
            },
            Loc::Home(g) => {
                if self.r15_copy == Some(g) {
                    self.lock(R15);
                    return Src::Reg(R15);
                }
                if self.rcx_copy == Some(g) && w >= Width::W32 {
                    self.lock(RCX);
                    self.rcx_copy = Some(g);
                    return Src::Reg(RCX);
                }
                let rm = self.home_rm(g);
                if let Rm::Reg(r) = rm {
                    self.lock(r);
                }
                rm.into()
            }
            Loc::High(g) => match self.home_rm(g) {
                Rm::Mem(m) => Src::Mem(m.plus(1)),
                Rm::Reg(r) if r < 4 => {
                    self.lock(r);
                    Src::Reg(r | HIGH)
                }
                Rm::Reg(r) => {
                    if self.locked & 1 << RCX != 0 {
                        return Src::Mem(self.high_byte_in_memory(r));
                    }
                    self.take_rcx();
                    self.asm.mov(Width::W32, RCX, r);
                    Src::Reg(RCX | HIGH)
                }
            },
            Loc::Stack(offset) => self.stack_src(offset),
            Loc::Slot(s) => Src::Mem(Mem::state(slot_offset(s))),
            Loc::Deferred => {
                let def = self.def(root);
                if let Op::Load { ty, at, .. } = self.block.insts[def as usize].op
                    && ty == w.ty()
                {
                    self.before_fault();
                    let mem = self.address(at);
                    self.consume_inst(def);
                    self.vals[root.0 as usize].loc = Loc::Nowhere;
                    return Src::Mem(mem);
                }
                self.force(root);
                self.src(root, w)
            }
            Loc::Temp(_) | Loc::VecHome(_) | Loc::VecTemp(_) | Loc::Flags | Loc::Nowhere => {
                debug_assert!(false, "{root} is no integer at {loc:?}");
                Src::Imm(0)
            }
        }
    }

    /// Like [`Self::src`], but never guest memory.
    pub(crate) fn src_safe(&mut self, v: Value, w: Width) -> Src {
        self.force(v);
        self.src(v, w)
    }

    /// The operand `src` that `v` is: in a temporary, if there are enough of them, where it is a guest register in memory that the region writes.
    pub(crate) fn loaded_apart(&mut self, v: Value, src: Src, w: Width) -> Src {
        let (Loc::Home(g), Src::Mem(m)) = (self.loc(v), src) else { return src };
        let is_free = |r: u8| self.temp_owner[r as usize].is_none() && self.locked & 1 << r == 0;
        let is_wanted = w >= Width::W32 && home(g).is_none() && self.plan.writes(g);
        // One for the result is to be left.
        if !is_wanted || !is_free(R15) || !is_free(RCX) || !self.optimisations.contains(Optimisations::SEPARATE_LOADS) {
            return src;
        }
        let t = self.temp();
        self.asm.mov(Width::W64, t, m);
        self.note_copy(t, g);
        Src::Reg(t)
    }

    /// Like [`Self::src`], but a register (without [`HIGH`]) or memory.
    pub(crate) fn src_rm(&mut self, v: Value, w: Width) -> Rm {
        let src = self.src(v, w);
        match self.loaded_apart(v, src, w) {
            Src::Reg(r) if r & HIGH == 0 => Rm::Reg(r),
            Src::Mem(m) => Rm::Mem(m),
            src => Rm::Reg(self.copy_src(src, w)),
        }
    }

    /// `v` in a register without [`HIGH`].
    pub(crate) fn src_reg(&mut self, v: Value, w: Width) -> u8 {
        match self.src(v, w) {
            Src::Reg(r) if r & HIGH == 0 => r,
            src => {
                let of = match (self.loc(v), src, w) {
                    (Loc::Home(g), Src::Mem(_), Width::W32 | Width::W64) => Some(g),
                    _ => None,
                };
                // All of it, to be used again.
                let t = self.copy_src(src, if of.is_some() { Width::W64 } else { w });
                if let Some(g) = of {
                    self.note_copy(t, g);
                }
                t
            }
        }
    }

    /// Copies `src` into a temporary.
    pub(crate) fn copy_src(&mut self, src: Src, w: Width) -> u8 {
        let t = match src {
            Src::Reg(r) if r & HIGH != 0 => {
                if r & 3 == RCX {
                    RCX
                } else if self.locked & 1 << RCX == 0 {
                    self.take_rcx();
                    RCX
                } else {
                    self.temp()
                }
            }
            // A copy of an address part is of no more use.
            Src::Mem(m) => self.reusable(&m),
            _ => self.temp(),
        };
        self.load_reg(t, src, w);
        t
    }

    /// `reg` = `src`; bits beyond `w` of `reg` become anything.
    pub(crate) fn load_reg(&mut self, reg: u8, src: Src, w: Width) {
        match (src, w) {
            (Src::Mem(m), Width::W8 | Width::W16) => self.asm.movzx(w, reg, Rm::Mem(m)),
            (Src::Reg(r), _) if r & HIGH != 0 => self.load_high(reg, r),
            (Src::Reg(r), _) if r == reg => {}
            (_, Width::W64) => self.asm.mov(w, reg, src),
            _ => self.asm.mov(Width::W32, reg, src),
        }
    }

    /// `reg` = the high byte register `high`, zero-extended.
    fn load_high(&mut self, reg: u8, high: u8) {
        if reg < 8 {
            self.asm.movzx(Width::W8, reg, Rm::Reg(high));
            return;
        }
        // No REX beside a high byte: by way of memory.
        let byte = self.high_byte_in_memory(high & !HIGH);
        self.asm.movzx(Width::W8, reg, Rm::Mem(byte));
    }

    /// Bits 8 to 15 of `reg` as a byte in memory, for this instruction.
    fn high_byte_in_memory(&mut self, reg: u8) -> Mem {
        let slot = self.take_slot(1);
        self.asm.mov(Width::W32, Mem::state(slot_offset(slot)), reg);
        self.freed_slots.push((slot, 1));
        Mem::state(slot_offset(slot) + 1)
    }

    /// Writes the code of a deferred value now, so that `v` is in a register, a slot or a constant.
    #[inline]
    pub(crate) fn force(&mut self, v: Value) {
        let root = self.root(v);
        let val = &self.vals[root.0 as usize];
        if val.loc == Loc::Deferred && val.ty != Type::Flags {
            self.force_deferred(root);
        }
    }

    #[inline(never)]
    fn force_deferred(&mut self, root: Value) {
        let def = self.def(root);
        let (at, locked, vec_locked) = (self.cur, self.locked, self.vec_locked);
        self.cur = def;
        self.vals[root.0 as usize].loc = Loc::Nowhere;
        let block = self.block;
        self.lower_inst(&block.insts[def as usize]);
        self.cur = at;
        (self.locked, self.vec_locked) = (locked, vec_locked);
    }

    /// Place of the op that defines `v`.
    pub(crate) fn def(&self, v: Value) -> u32 {
        self.plan.values[v.0 as usize].def
    }

    /// Whether `v` is a load that can still become an operand.
    pub(crate) fn is_deferred_load(&self, v: Value) -> bool {
        self.loc(v) == Loc::Deferred && matches!(self.block.insts[self.def(self.root(v)) as usize].op, Op::Load { .. })
    }
}

/// `n` as an immediate operand of width `w`, if it fits.
pub(crate) fn constant_src(n: u64, w: Width) -> Option<Src> {
    Some(Src::Imm(match w {
        Width::W8 => i32::from(n as i8),
        Width::W16 => i32::from(n as i16),
        Width::W32 => n as i32,
        Width::W64 => i32::try_from(n as i64).ok()?,
    }))
}

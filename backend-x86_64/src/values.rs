//! Where the values of the block being lowered are, and the temporaries that hold them.
//!
//! An operand is *consumed* by each use; a value whose last use is consumed gives its register back. Registers that the instruction being put
//! together names are *locked* until [`Lowering::end_op`].

use hokku_ir::{Gpr, Type, Value, Width};

use crate::assign::{R13, RCX, home, slot_offset};
use crate::encode::{HIGH, Mem, Rm};
use crate::lower::Lowering;
use crate::plan::{InstInfo, Place};

/// A guest register's host register that is used as a temporary meanwhile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Borrowed {
    /// The host register.
    pub(crate) reg: u8,
    /// Spill slot that holds the guest's value.
    pub(crate) slot: u8,
    /// Offset of the code from which on that is so.
    pub(crate) since: u32,
}

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loc {
    /// Nowhere: not computed, or no longer needed.
    Nowhere,
    /// The code is written where it is used.
    Deferred,
    /// A constant.
    Const(u64),
    /// The low bits of the place where a guest register lives.
    Home(Gpr),
    /// Bits 8 to 15 of it.
    High(Gpr),
    /// The register of rsp plus a constant.
    Stack(i32),
    /// A host register of ours.
    Temp(u8),
    /// Spill slots from this one on.
    Slot(u8),
    /// The low part of the place where a guest vector register lives.
    VecHome(u8),
    /// A host vector register of ours.
    VecTemp(u8),
    /// Flags that have been computed: in the host's flags or saved.
    Flags,
}

/// State of one value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Val {
    pub(crate) loc: Loc,
    /// Uses that are still to come.
    pub(crate) uses: u32,
    pub(crate) ty: Type,
}

/// A register being written and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dest {
    /// The host register, perhaps with [`HIGH`].
    pub(crate) reg: u8,
    /// The guest register whose place it is.
    pub(crate) place: Option<Place>,
}

impl Lowering<'_> {
    pub(crate) fn root(&self, v: Value) -> Value {
        self.alias[v.0 as usize]
    }

    pub(crate) fn val(&self, v: Value) -> Val {
        self.vals[self.root(v).0 as usize]
    }

    pub(crate) fn loc(&self, v: Value) -> Loc {
        self.val(v).loc
    }

    /// The constant that `v` is, if it is one.
    pub(crate) fn constant_of(&self, v: Value) -> Option<u64> {
        match self.loc(v) {
            Loc::Const(n) => Some(n),
            _ => None,
        }
    }

    // ---- Uses

    /// Consumes one use of `v`.
    pub(crate) fn consume(&mut self, v: Value) {
        let root = self.root(v);
        let val = &mut self.vals[root.0 as usize];
        val.uses = val.uses.saturating_sub(1);
        if val.uses == 0 {
            self.release(root);
        }
    }

    /// Consumes the operands of op number `n` of the block.
    pub(crate) fn consume_inst(&mut self, n: u32) {
        let &InstInfo { args, arg_count, .. } = &self.plan.insts[n as usize];
        for k in args..args + u32::from(arg_count) {
            self.consume(self.plan.args[k as usize]);
        }
    }

    #[inline]
    fn release(&mut self, root: Value) {
        let loc = &mut self.vals[root.0 as usize].loc;
        match loc {
            // Most are in guest registers.
            Loc::Home(_) | Loc::High(_) | Loc::Stack(_) => *loc = Loc::Nowhere,
            Loc::Deferred | Loc::Const(_) => {}
            _ => self.release_place(root),
        }
    }

    /// `root`, which has a place of its own, is no longer needed.
    #[inline(never)]
    fn release_place(&mut self, root: Value) {
        match self.vals[root.0 as usize].loc {
            Loc::Temp(r) if self.temp_owner[r as usize] == Some(root) => self.temp_owner[r as usize] = None,
            Loc::VecTemp(r) if self.vec_owner[r as usize] == Some(root) => self.vec_owner[r as usize] = None,
            Loc::Slot(s) => {
                let words = self.slot_words(root);
                self.freed_slots.push((s, words));
            }
            Loc::Flags => {
                if root == self.guest_flags {
                    return;
                }
                if let Some(n) = self.saved_flags.iter().position(|(v, _)| *v == root) {
                    let (_, slot) = self.saved_flags.swap_remove(n);
                    self.freed_slots.push((slot, 1));
                }
                return;
            }
            _ => {}
        }
        self.vals[root.0 as usize].loc = Loc::Nowhere;
    }

    pub(crate) fn slot_words(&self, root: Value) -> u8 {
        match self.vals[root.0 as usize].ty {
            Type::V128 => 2,
            Type::V256 => 4,
            _ => 1,
        }
    }

    /// Ends an instruction: operands' registers and freed slots can be taken again.
    #[inline]
    pub(crate) fn end_op(&mut self) {
        self.locked = 0;
        self.shared = 0;
        self.vec_locked = 0;
        while let Some((slot, words)) = self.freed_slots.pop() {
            self.slots &= !(((1u64 << words) - 1) << slot);
        }
    }

    pub(crate) fn lock(&mut self, reg: u8) {
        if reg & 15 == RCX {
            // Whoever takes it may write it.
            self.rcx_copy = None;
        }
        self.shared |= self.locked & 1 << (reg & 15);
        self.locked |= 1 << (reg & 15);
    }

    pub(crate) fn unlock(&mut self, reg: u8) {
        self.locked &= !(1 << (reg & 15));
    }

    // ---- Results

    /// The register into which the result `v` is computed, after its operands have been consumed: the place of the guest register that it is for,
    /// if no older value of that is still needed; else a temporary. `reuse` is a register to compute in place where that is possible.
    pub(crate) fn dest(&mut self, v: Value, reuse: Option<u8>) -> Dest {
        if let Some(place) = self.plan.values[v.0 as usize].target
            && let Some(dest) = self.home_dest(v, place)
        {
            self.lock(dest.reg);
            return dest;
        }
        if self.wants_rcx == Some(v) && self.temp_owner[RCX as usize].is_none() {
            self.lock(RCX);
            return Dest { reg: RCX, place: None };
        }
        if let Some(r) = reuse
            && self.is_free_temp(r)
        {
            self.forget_copy(r);
            self.lock(r);
            return Dest { reg: r, place: None };
        }
        Dest { reg: self.temp(), place: None }
    }

    /// Whether `reg` is a temporary that belongs to no live value (though it may be locked).
    pub(crate) fn is_free_temp(&self, reg: u8) -> bool {
        self.temporaries.contains(&reg) && self.temp_owner[reg as usize].is_none()
    }

    fn home_dest(&self, v: Value, place: Place) -> Option<Dest> {
        let reg = home(place.reg())?;
        if place == Place::Low(Gpr::Rsp) && self.val(v).ty != self.mode.word().ty() {
            return None;
        }
        if self.is_aliased(place.reg()) || self.borrowed.iter().any(|b| b.reg == reg) {
            return None;
        }
        match place {
            Place::Low(_) => Some(Dest { reg, place: Some(place) }),
            Place::High(_) => (reg < 4).then_some(Dest { reg: reg | HIGH, place: Some(place) }),
        }
    }

    /// Whether a value that is still needed is where `reg` lives.
    pub(crate) fn is_aliased(&self, reg: Gpr) -> bool {
        self.aliases[reg.index()].iter().any(|v| {
            let val = &self.vals[v.0 as usize];
            val.uses > 0
                && match val.loc {
                    Loc::Home(g) | Loc::High(g) => g == reg,
                    Loc::Stack(_) => reg == Gpr::Rsp,
                    _ => false,
                }
        })
    }

    /// `v` has been computed into `dest`.
    pub(crate) fn define(&mut self, v: Value, dest: Dest) {
        if dest.place == Some(Place::Low(Gpr::Rsp)) {
            self.asm.stack_delta = 0;
        }
        match dest.place {
            Some(Place::Low(g)) => self.define_alias(v, Loc::Home(g), g),
            Some(Place::High(g)) => self.define_alias(v, Loc::High(g), g),
            None => self.define_temp(v, dest.reg),
        }
    }

    pub(crate) fn define_alias(&mut self, v: Value, loc: Loc, g: Gpr) {
        self.vals[v.0 as usize].loc = loc;
        self.aliases[g.index()].push(v);
    }

    /// `v` is in temporary `reg`.
    pub(crate) fn define_temp(&mut self, v: Value, reg: u8) {
        if self.vals[v.0 as usize].uses > 0 {
            self.vals[v.0 as usize].loc = Loc::Temp(reg);
            self.temp_owner[reg as usize] = Some(v);
        }
    }

    /// `v` is in vector temporary `reg`.
    pub(crate) fn define_vec_temp(&mut self, v: Value, reg: u8) {
        if self.vals[v.0 as usize].uses > 0 {
            self.vals[v.0 as usize].loc = Loc::VecTemp(reg);
            self.vec_owner[reg as usize] = Some(v);
        }
    }

    /// Copies values that are in the place of `reg` and still needed, because it is about to be written.
    pub(crate) fn evict(&mut self, reg: Gpr) {
        if reg == Gpr::Rsp {
            let list = std::mem::take(&mut self.aliases[reg.index()]);
            for v in &list {
                if let Val { loc: Loc::Stack(offset), uses: 1.., .. } = self.vals[v.0 as usize] {
                    let temp = self.temp();
                    self.asm.lea(self.mode.word(), temp, Mem::plain(R13, offset));
                    self.unlock(temp);
                    self.define_temp(*v, temp);
                }
            }
            self.aliases[reg.index()] = list;
        }
        self.evict_named(reg);
    }

    /// The same for values that are the register itself or a part of it.
    pub(crate) fn evict_named(&mut self, reg: Gpr) {
        let mut kept = 0;
        for n in 0..self.aliases[reg.index()].len() {
            let v = self.aliases[reg.index()][n];
            if self.survives(v, reg) {
                self.aliases[reg.index()][kept] = v;
                kept += 1;
            }
        }
        self.aliases[reg.index()].truncate(kept);
    }

    /// Whether `v` is what it is though `reg` is about to be written; copies it if it is not and is still needed.
    fn survives(&mut self, v: Value, reg: Gpr) -> bool {
        let Val { loc, uses, .. } = &mut self.vals[v.0 as usize];
        let high = match *loc {
            Loc::Home(g) if g == reg => false,
            Loc::High(g) if g == reg => true,
            Loc::Stack(_) => return true,
            _ => return false,
        };
        if *uses == 0 {
            *loc = Loc::Nowhere;
        } else {
            self.copy_away(v, reg, high);
        }
        false
    }

    /// Copies `v`, which is `reg` or its bits 8 to 15, to a temporary.
    #[inline(never)]
    fn copy_away(&mut self, v: Value, reg: Gpr, high: bool) {
        let by_name = high && home(reg).is_some_and(|h| h < 4) && self.locked & 1 << RCX == 0;
        let temp = if by_name {
            self.take_rcx();
            RCX
        } else {
            self.temp()
        };
        match (self.home_rm(reg), high) {
            (Rm::Reg(h), false) => self.asm.mov(Width::W64, temp, h),
            (Rm::Reg(h), true) if by_name => self.asm.movzx(Width::W8, temp, Rm::Reg(h | HIGH)),
            (Rm::Mem(m), false) => self.asm.mov(Width::W64, temp, m),
            (Rm::Mem(m), true) => self.asm.movzx(Width::W8, temp, Rm::Mem(m.plus(1))),
            (Rm::Reg(h), true) => {
                // Through memory: a high byte of this register has no name, or not together with `temp`.
                let slot = self.take_slot(1);
                self.asm.mov(Width::W64, Mem::state(slot_offset(slot)), h);
                self.asm.movzx(Width::W8, temp, Rm::Mem(Mem::state(slot_offset(slot) + 1)));
                self.freed_slots.push((slot, 1));
            }
        }
        self.unlock(temp);
        self.define_temp(v, temp);
    }
}

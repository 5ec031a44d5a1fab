//! Where the values of the block being lowered are, and the temporaries that hold them.
//!
//! An operand is *consumed* by each use; a value whose last use is consumed gives its register back. Registers that the instruction being put
//! together names are *locked* until [`Lowering::end_op`].

use hokku_ir::{Addr, Align, Gpr, Op, Type, Value, Width};

use crate::assign::{R13, RCX, SLOTS, gpr_offset, home, pinned_vectors, slot_offset, vector_offset};
use crate::encode::{HIGH, Mem, Opcode, Rm, Src};
use crate::lower::Lowering;
use crate::plan::Place;

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
        let block = self.block;
        block.insts[n as usize].op.values(&mut |v| self.consume(v));
    }

    fn release(&mut self, root: Value) {
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
            Loc::Deferred | Loc::Const(_) => return,
            _ => {}
        }
        self.vals[root.0 as usize].loc = Loc::Nowhere;
    }

    fn slot_words(&self, root: Value) -> u8 {
        match self.vals[root.0 as usize].ty {
            Type::V128 => 2,
            Type::V256 => 4,
            _ => 1,
        }
    }

    /// Ends an instruction: operands' registers and freed slots can be taken again.
    pub(crate) fn end_op(&mut self) {
        self.locked = 0;
        self.vec_locked = 0;
        while let Some((slot, words)) = self.freed_slots.pop() {
            self.slots &= !(((1u64 << words) - 1) << slot);
        }
    }

    pub(crate) fn lock(&mut self, reg: u8) {
        self.locked |= 1 << (reg & 15);
    }

    pub(crate) fn unlock(&mut self, reg: u8) {
        self.locked &= !(1 << (reg & 15));
    }

    // ---- Temporaries

    /// `words` consecutive free spill slots.
    pub(crate) fn take_slot(&mut self, words: u8) -> u8 {
        let mask = (1u64 << words) - 1;
        let mut slot = 0;
        while slot + words < SLOTS && self.slots & mask << slot != 0 {
            slot += words;
        }
        self.slots |= mask << slot;
        slot
    }

    /// A temporary that no live value owns, locked. Spills a value that this instruction does not name if there is none.
    pub(crate) fn temp(&mut self) -> u8 {
        let all = self.temporaries;
        let free = |l: &Self, r: u8| l.temp_owner[r as usize].is_none() && l.locked & 1 << r == 0;
        let found = all.iter().copied().find(|r| free(self, *r));
        let reg = found.or_else(|| {
            let victim = all.iter().copied().find(|r| self.locked & 1 << r == 0)?;
            self.spill_temp(victim);
            Some(victim)
        });
        let reg = reg.unwrap_or_else(|| self.borrow());
        self.lock(reg);
        reg
    }

    /// Last resort where the instruction at hand names all temporaries: a guest register that it does not name, put back at its end.
    fn borrow(&mut self) -> u8 {
        let reg = [0u8, 2, 3, 6, 7, 5].into_iter().find(|r| self.locked & 1 << r == 0).unwrap_or(0);
        let slot = self.take_slot(1);
        self.asm.mov(Width::W64, Mem::state(slot_offset(slot)), reg);
        self.borrowed.push(Borrowed { reg, slot, since: self.asm.offset() });
        reg
    }

    /// Puts borrowed guest registers back.
    pub(crate) fn give_back(&mut self) {
        while let Some(Borrowed { reg, slot, .. }) = self.borrowed.pop() {
            self.spill_temp(reg);
            self.asm.mov(Width::W64, reg, Mem::state(slot_offset(slot)));
            self.freed_slots.push((slot, 1));
        }
    }

    /// Moves the value in temporary `reg` to a spill slot.
    pub(crate) fn spill_temp(&mut self, reg: u8) {
        if let Some(owner) = self.temp_owner[reg as usize].take() {
            let slot = self.take_slot(1);
            self.asm.mov(Width::W64, Mem::state(slot_offset(slot)), reg);
            self.vals[owner.0 as usize].loc = Loc::Slot(slot);
        }
    }

    /// Makes rcx free and locks it. Call before operands are looked at.
    pub(crate) fn take_rcx(&mut self) {
        debug_assert!(self.locked & 1 << RCX == 0, "rcx is part of the instruction already");
        self.empty_rcx();
    }

    /// Moves the value that owns rcx away, if one does, and locks rcx, which holds the value meanwhile.
    pub(crate) fn empty_rcx(&mut self) {
        if let Some(owner) = self.temp_owner[RCX as usize] {
            self.lock(RCX);
            let free = self
                .temporaries
                .iter()
                .copied()
                .find(|r| self.temp_owner[*r as usize].is_none() && self.locked & 1 << r == 0);
            match free {
                Some(r) => {
                    self.asm.mov(Width::W64, r, RCX);
                    self.temp_owner[RCX as usize] = None;
                    self.temp_owner[r as usize] = Some(owner);
                    self.vals[owner.0 as usize].loc = Loc::Temp(r);
                }
                None => self.spill_temp(RCX),
            }
        }
        self.lock(RCX);
    }

    /// A vector temporary that no live value owns, locked.
    pub(crate) fn vec_temp(&mut self) -> u8 {
        let all = pinned_vectors(self.mode)..16;
        let found = all.clone().find(|r| self.vec_owner[*r as usize].is_none() && self.vec_locked & 1 << r == 0);
        let reg = found.unwrap_or_else(|| {
            let victim = all.clone().find(|r| self.vec_locked & 1 << r == 0).unwrap_or(15);
            self.spill_vec_temp(victim);
            victim
        });
        self.vec_locked |= 1 << reg;
        reg
    }

    /// A register to compute in that starts as a copy of operand `a` and is none of the other operands: `a` itself where it is a temporary (a
    /// value that is still needed moves away), so that two temporaries are enough for an instruction.
    pub(crate) fn vec_scratch(&mut self, a: u8) -> u8 {
        if a < pinned_vectors(self.mode) {
            return self.vec_temp();
        }
        self.spill_vec_temp(a);
        a
    }

    /// Moves the value in vector temporary `reg` to spill slots.
    pub(crate) fn spill_vec_temp(&mut self, reg: u8) {
        if let Some(owner) = self.vec_owner[reg as usize].take() {
            let words = self.slot_words(owner);
            let slot = self.take_slot(words);
            let to = Mem::state(slot_offset(slot));
            if words == 2 {
                self.asm.op(Opcode::of(0x0f11), reg, to, &[]);
            } else {
                self.asm.op(Opcode::sse(0x66, 0x0fd6), reg, to, &[]);
            }
            self.vals[owner.0 as usize].loc = Loc::Slot(slot);
        }
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
            let val = self.vals[v.0 as usize];
            let there = match val.loc {
                Loc::Home(g) | Loc::High(g) => g == reg,
                Loc::Stack(_) => reg == Gpr::Rsp,
                _ => false,
            };
            val.uses > 0 && there
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
        let mut list = std::mem::take(&mut self.aliases[reg.index()]);
        let mut kept = Vec::new();
        for v in list.drain(..) {
            let val = self.vals[v.0 as usize];
            let high = match val.loc {
                Loc::Home(g) if g == reg => false,
                Loc::High(g) if g == reg => true,
                Loc::Stack(_) => {
                    kept.push(v);
                    continue;
                }
                _ => continue,
            };
            if val.uses == 0 {
                self.vals[v.0 as usize].loc = Loc::Nowhere;
                continue;
            }
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
        list.append(&mut kept);
        self.aliases[reg.index()] = list;
    }

    /// Copies values that are in the place of vector register `reg` and still needed.
    pub(crate) fn evict_vec(&mut self, reg: u8) {
        let mut list = std::mem::take(&mut self.vec_aliases[reg as usize]);
        for v in list.drain(..) {
            let val = self.vals[v.0 as usize];
            if val.loc != Loc::VecHome(reg) {
                continue;
            }
            if val.uses == 0 {
                self.vals[v.0 as usize].loc = Loc::Nowhere;
                continue;
            }
            let temp = self.vec_temp();
            self.vec_copy_from(temp, self.vec_home(reg), Type::V128);
            self.vec_locked &= !(1 << temp);
            self.define_vec_temp(v, temp);
        }
        self.vec_aliases[reg as usize] = list;
    }

    // ---- Operands

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

    /// Where vector register `reg` lives.
    pub(crate) fn vec_home(&self, reg: u8) -> Rm {
        if reg < pinned_vectors(self.mode) { Rm::Reg(reg) } else { Rm::Mem(Mem::state(vector_offset(reg, 0))) }
    }

    /// `v` of width `w` as an operand: a register, memory or a constant of 32 bits.
    pub(crate) fn src(&mut self, v: Value, w: Width) -> Src {
        let root = self.root(v);
        match self.loc(root) {
            Loc::Const(n) => match constant_src(n, w) {
                Some(imm) => imm,
                None => {
                    let t = self.temp();
                    self.asm.constant(t, n);
                    Src::Reg(t)
                }
            },
            Loc::Home(g) => {
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
            Loc::Temp(r) => {
                self.lock(r);
                Src::Reg(r)
            }
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
            Loc::VecHome(_) | Loc::VecTemp(_) | Loc::Flags | Loc::Nowhere => {
                debug_assert!(false, "{v} is no integer at {:?}", self.loc(root));
                Src::Imm(0)
            }
        }
    }

    /// Like [`Self::src`], but never guest memory.
    pub(crate) fn src_safe(&mut self, v: Value, w: Width) -> Src {
        self.force(v);
        self.src(v, w)
    }

    /// Like [`Self::src`], but a register (without [`HIGH`]) or memory.
    pub(crate) fn src_rm(&mut self, v: Value, w: Width) -> Rm {
        match self.src(v, w) {
            Src::Reg(r) if r & HIGH == 0 => Rm::Reg(r),
            Src::Mem(m) => Rm::Mem(m),
            src => Rm::Reg(self.copy_src(src, w)),
        }
    }

    /// `v` in a register without [`HIGH`].
    pub(crate) fn src_reg(&mut self, v: Value, w: Width) -> u8 {
        match self.src(v, w) {
            Src::Reg(r) if r & HIGH == 0 => r,
            src => self.copy_src(src, w),
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
    pub(crate) fn force(&mut self, v: Value) {
        let root = self.root(v);
        if self.loc(root) != Loc::Deferred || self.val(root).ty == Type::Flags {
            return;
        }
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

    /// The vector value `v` as an operand: a register, or memory if the instruction reads exactly a `ty` there or the memory is aligned.
    pub(crate) fn vec_src(&mut self, v: Value, ty: Type) -> Rm {
        let root = self.root(v);
        match self.loc(root) {
            Loc::VecHome(n) => {
                let rm = self.vec_home(n);
                if let Rm::Reg(r) = rm {
                    self.vec_locked |= 1 << r;
                }
                rm
            }
            Loc::VecTemp(r) => {
                self.vec_locked |= 1 << r;
                Rm::Reg(r)
            }
            Loc::Slot(s) => {
                // Slots are aligned to eight bytes alone.
                let m = Mem::state(slot_offset(s));
                if ty == Type::V128 { Rm::Reg(self.vec_to_temp(Rm::Mem(m), ty)) } else { Rm::Mem(m) }
            }
            Loc::Deferred => {
                let def = self.def(root);
                if let Op::Load { ty: loaded, at, align } = self.block.insts[def as usize].op
                    && loaded == ty
                    && (ty != Type::V128 || align == Align::Natural)
                {
                    self.before_fault();
                    let mem = self.address(at);
                    self.consume_inst(def);
                    self.vals[root.0 as usize].loc = Loc::Nowhere;
                    return Rm::Mem(mem);
                }
                self.force(root);
                self.vec_src(root, ty)
            }
            _ => {
                debug_assert!(false, "{v} is no vector at {:?}", self.loc(root));
                Rm::Reg(15)
            }
        }
    }

    /// The vector value `v` in a register.
    pub(crate) fn vec_reg(&mut self, v: Value, ty: Type) -> u8 {
        match self.vec_src(v, ty) {
            Rm::Reg(r) => r,
            rm => {
                let t = self.vec_temp();
                self.load_vec(t, rm, ty);
                t
            }
        }
    }

    fn vec_to_temp(&mut self, rm: Rm, ty: Type) -> u8 {
        let t = self.vec_temp();
        self.vec_copy_from(t, rm, ty);
        t
    }

    /// `dst` = the `ty` at `src`; anything above.
    pub(crate) fn vec_copy_from(&mut self, dst: u8, src: Rm, ty: Type) {
        match (src, ty) {
            (Rm::Reg(r), _) if r == dst => {}
            (Rm::Reg(_), _) => self.asm.op(Opcode::of(0x0f28), dst, src, &[]),
            (_, Type::F32) => self.asm.op(Opcode::sse(0xf3, 0x0f10), dst, src, &[]),
            (_, Type::F64) => self.asm.op(Opcode::sse(0xf2, 0x0f10), dst, src, &[]),
            (_, Type::V64) => self.asm.op(Opcode::sse(0xf3, 0x0f7e), dst, src, &[]),
            _ => self.asm.op(Opcode::of(0x0f10), dst, src, &[]),
        }
    }

    // ---- Addresses

    /// `v` in a register that can be part of an address of width `w`, with its upper bits as they are.
    fn address_part(&mut self, v: Value, w: Width) -> u8 {
        let w = if w == Width::W16 { Width::W32 } else { w };
        self.force(v);
        self.src_reg(v, w)
    }

    /// The host memory operand for `at`.
    pub(crate) fn address(&mut self, at: Addr) -> Mem {
        self.address_with(at, true)
    }

    /// The operand for `at`; without its segment base where not `segment`.
    pub(crate) fn address_with(&mut self, at: Addr, segment: bool) -> Mem {
        use crate::encode::Space;
        let long = self.mode == hokku_ir::CpuMode::Long64;
        let mut disp = at.disp;
        let (mut base, mut index) = (at.base, at.index);
        let on_stack = match base.map(|b| self.loc(b)) {
            Some(Loc::Stack(offset)) if at.width == self.mode.word() => {
                base = None;
                disp = disp.wrapping_add(offset.into());
                true
            }
            _ => false,
        };
        for (part, scale) in [(&mut base, 0), (&mut index, at.scale)] {
            if let Some(n) = part.and_then(|v| self.constant_of(v)) {
                disp = disp.wrapping_add((n << scale) as i64);
                *part = None;
            }
        }
        if at.width != Width::W64 {
            disp = i64::from(disp as i32);
        }
        let mut m = Mem {
            base: None,
            index: None,
            scale: at.scale,
            disp: 0,
            short: at.width != Width::W64,
            space: Space::Guest,
        };
        if on_stack {
            // What is in the register stays while it is part of an operand.
            self.lock(R13);
        }
        m.base = if on_stack { Some(R13) } else { base.map(|v| self.address_part(v, at.width)) };
        m.index = index.map(|v| self.address_part(v, at.width));
        match i32::try_from(disp) {
            Ok(disp) => m.disp = disp,
            Err(_) => {
                let t = self.temp();
                self.asm.constant(t, disp as u64);
                self.add_part(&mut m, t);
            }
        }
        if m.index.is_none() {
            m.scale = 0;
            // `[base]` alone cannot wrap: 32-bit registers have zeros above.
            m.short &= m.disp != 0 || !self.is_zero_extended(base) || at.width == Width::W16;
            // `[disp]` alone is sign-extended.
            m.short |= m.base.is_none() && m.disp < 0 && at.width != Width::W64;
            if m.base.is_none() && m.disp >= 0 {
                m.short = false;
            }
        } else if let (Some(b), Some(i)) = (m.base, m.index)
            && self.is_free_or_scratch(b)
            && self.is_free_or_scratch(i)
            && b != i
        {
            // Both are copies: one register is enough.
            self.asm.lea(if m.short { Width::W32 } else { Width::W64 }, b, m);
            self.unlock(i);
            (m.index, m.scale, m.disp) = (None, 0, 0);
        }
        if at.width == Width::W16 {
            let t = self.reusable(&m);
            self.asm.lea(Width::W32, t, m);
            self.asm.movzx(Width::W16, t, Rm::Reg(t));
            m = Mem { space: Space::Guest, ..Mem::plain(t, 0) };
        }
        let Some(seg) = at.seg.filter(|_| segment) else { return m };
        // The offset wraps at the address width, the sum with the base at the word's.
        if long && m.short {
            let t = self.reusable(&m);
            self.asm.lea(Width::W32, t, m);
            m = Mem { space: Space::Guest, ..Mem::plain(t, 0) };
        }
        let t = self.temp();
        self.asm.mov(Width::W64, t, Mem::state(crate::assign::segment_base_offset(seg)));
        self.add_part(&mut m, t);
        m.short |= !long;
        m
    }

    /// Adds register `t`, a temporary, to the address.
    fn add_part(&mut self, m: &mut Mem, t: u8) {
        match (m.base, m.index) {
            (None, _) => m.base = Some(t),
            (Some(_), None) => (m.index, m.scale) = (Some(t), 0),
            (Some(b), Some(_)) => {
                self.asm.lea(Width::W64, t, Mem::sum(t, b, 0));
                self.unlock(b);
                m.base = Some(t);
            }
        }
    }

    /// A temporary for an address that is computed from `m`: one that is part of it, if it is free.
    fn reusable(&mut self, m: &Mem) -> u8 {
        [m.base, m.index].into_iter().flatten().find(|r| self.is_free_or_scratch(*r)).unwrap_or_else(|| self.temp())
    }

    /// Whether `reg` is a temporary that no value owns: a copy made for this instruction.
    fn is_free_or_scratch(&self, reg: u8) -> bool {
        self.is_free_temp(reg)
    }

    /// Whether the register that holds `v` has zeros above 32 bits (32-bit code's registers always do).
    fn is_zero_extended(&self, v: Option<Value>) -> bool {
        v.is_some_and(|v| matches!(self.loc(v), Loc::Home(_)) && self.mode == hokku_ir::CpuMode::Protected32)
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

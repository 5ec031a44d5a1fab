//! Reading and writing guest state: mostly no code at all, since it lives where the host computes.

use hokku_ir::{CpuMode, FlagSet, Gpr, Op, Seg, Type, Value, Width};

use crate::Optimisations;
use crate::assign::{R13, RCX, home, segment_base_offset, selector_offset};
use crate::encode::{Alu, HIGH, Mem, Rm, Src};
use crate::lower::Lowering;
use crate::operands::constant_src;
use crate::values::{Dest, Loc};

impl Lowering<'_> {
    /// `get_gpr`: another name for the place of `reg`.
    pub(crate) fn read_gpr(&mut self, v: Value, loc: Loc, reg: Gpr) {
        self.define_alias(v, loc, reg);
    }

    /// `set_gpr`.
    pub(crate) fn write_gpr(&mut self, reg: Gpr, w: Width, v: Value) {
        let root = self.root(v);
        let loc = self.loc(root);
        if loc == Loc::Home(reg) {
            let is_alias = matches!(self.op_at(root), Some(Op::GetGpr { .. }));
            let clears = !is_alias && self.val(root).ty == Type::I32;
            if clears || w != Width::W32 || self.mode == CpuMode::Protected32 {
                self.consume(v);
                return;
            }
        }
        if reg == Gpr::Rsp {
            match loc {
                Loc::Stack(offset) if w == self.mode.word() => {
                    self.asm.stack_delta = offset;
                    self.consume(v);
                    if !self.optimisations.contains(Optimisations::LATE_STACK) {
                        self.flush_stack();
                    }
                    return;
                }
                _ if w != self.mode.word() => self.flush_stack(),
                _ => {}
            }
        }
        let Some(h) = home(reg) else { return self.write_gpr_memory(reg, w, v) };
        let place = Some(crate::plan::Place::Low(reg));
        let dest = Dest { reg: h, place };
        if loc == Loc::Deferred
            && w == Width::W8
            && let Some(Op::Condition { cc, f }) = self.op_at(root)
            && self.vals[root.0 as usize].uses == 1
        {
            self.need_flags(f);
            self.vals[root.0 as usize].loc = Loc::Nowhere;
            self.consume(f);
            self.consume(v);
            self.evict(reg);
            self.asm.setcc(cc, Rm::Reg(h));
            return;
        }
        if let Loc::Stack(offset) = loc
            && w == self.mode.word()
        {
            self.consume(v);
            self.evict(reg);
            if offset == 0 {
                self.asm.mov(w, h, R13);
            } else {
                self.asm.lea(w, h, Mem::plain(R13, offset));
            }
            return;
        }
        let constant = self.constant_of(root).filter(|_| w >= Width::W32);
        // Not to be borrowed for the operand.
        self.lock(h);
        let src = if constant.is_none() { self.src(root, w) } else { Src::Imm(0) };
        self.consume(v);
        self.evict(reg);
        match constant {
            Some(0) if self.zero_with_flags(root, h) => {}
            Some(n) => self.asm.constant(h, n & w.mask()),
            // Also where source and destination are the same: it clears the upper half.
            None if w == Width::W32 => self.asm.mov(w, h, src),
            None => self.move_to(dest, src, w),
        }
        if reg == Gpr::Rsp {
            self.asm.stack_delta = 0;
        }
        self.rebind(root, reg, w);
    }

    /// `xor reg, reg` for the constant `zero`, where its flags are written next (or none are live).
    fn zero_with_flags(&mut self, zero: Value, reg: u8) -> bool {
        let next = self.block.insts.get(self.cur as usize + 1).map(|i| i.op);
        let flags = match next {
            Some(Op::SetFlags { set, v }) if set == FlagSet::STATUS && self.loc(v) == Loc::Deferred => {
                matches!(self.op_at(v), Some(Op::LogicFlags { v, .. }) if self.root(v) == zero).then_some(v)
            }
            _ => None,
        };
        match flags {
            Some(f) => {
                self.replacing = true;
                self.clobber_flags();
                self.replacing = false;
                self.asm.alu(Alu::Xor, Width::W32, reg, reg);
                self.flags_are(Some(f));
                let def = self.def(f);
                self.consume_inst(def);
                true
            }
            None if !self.flags_needed() => {
                self.clobber_flags();
                self.asm.alu(Alu::Xor, Width::W32, reg, reg);
                true
            }
            None => false,
        }
    }

    /// After `reg` has got the value `root`: that is where it is from now on, so that a temporary becomes free.
    fn rebind(&mut self, root: Value, reg: Gpr, w: Width) {
        let val = self.vals[root.0 as usize];
        if val.uses > 0
            && val.ty.width() == Some(w)
            && let Loc::Temp(t) = val.loc
        {
            self.temp_owner[t as usize] = None;
            self.define_alias(root, Loc::Home(reg), reg);
        }
    }

    /// `set_gpr` of a register that lives in memory.
    fn write_gpr_memory(&mut self, reg: Gpr, w: Width, v: Value) {
        let Rm::Mem(m) = self.home_rm(reg) else { return };
        let root = self.root(v);
        let src = match self.constant_of(root) {
            Some(n) if w == Width::W32 => match i32::try_from(n & 0xffff_ffff) {
                Ok(n) => Src::Imm(n),
                Err(_) => {
                    let t = self.temp();
                    self.asm.constant(t, n & 0xffff_ffff);
                    Src::Reg(t)
                }
            },
            Some(n) if constant_src(n, w).is_some() => constant_src(n, w).unwrap_or(Src::Imm(0)),
            _ => match self.src(root, w) {
                Src::Reg(r) if w != Width::W32 => Src::Reg(r),
                // The upper half becomes zero.
                Src::Reg(r) if self.is_free_or_own(root, r) && self.clears_upper_half(root) => Src::Reg(r),
                s => {
                    let t = if let Src::Reg(r) = s
                        && r & HIGH != 0
                    {
                        self.copy_src(s, w)
                    } else {
                        self.temp()
                    };
                    if w == Width::W32 {
                        self.asm.mov(w, t, s);
                    } else {
                        self.load_reg(t, s, w);
                    }
                    Src::Reg(t)
                }
            },
        };
        self.consume(v);
        self.evict(reg);
        self.asm.mov(if w == Width::W32 { Width::W64 } else { w }, m, src);
        for copy in [&mut self.r15_copy, &mut self.rcx_copy] {
            *copy = copy.filter(|of| *of != reg);
        }
        if let (Src::Reg(r), Width::W32 | Width::W64) = (src, w) {
            self.note_copy(r, reg);
        }
        self.rebind(root, reg, w);
    }

    fn is_free_or_own(&self, root: Value, r: u8) -> bool {
        self.loc(root) == Loc::Temp(r)
    }

    /// Whether the code that computed the W32 value `root` cleared the upper half of its register.
    fn clears_upper_half(&self, root: Value) -> bool {
        match self.op_at(root) {
            Some(
                Op::Add { w: Width::W32, .. }
                | Op::Sub { w: Width::W32, .. }
                | Op::And { w: Width::W32, .. }
                | Op::Or { w: Width::W32, .. }
                | Op::Xor { w: Width::W32, .. }
                | Op::Not { w: Width::W32, .. }
                | Op::Load { .. }
                | Op::Mul { w: Width::W32, .. }
                | Op::ExtendZero { .. }
                | Op::ExtendSign { to: Width::W32, .. }
                | Op::Lea { w: Width::W32, .. },
            ) => true,
            Some(
                Op::Shl { w: Width::W32, n, .. }
                | Op::Shr { w: Width::W32, n, .. }
                | Op::Sar { w: Width::W32, n, .. }
                | Op::Rotl { w: Width::W32, n, .. }
                | Op::Rotr { w: Width::W32, n, .. },
            ) => self.fixed_count(Width::W32, n) != Some(0),
            _ => false,
        }
    }

    /// The op that defines `root`, if it is one of this block.
    pub(crate) fn op_at(&self, root: Value) -> Option<Op> {
        if root.0 >= self.region.value_count {
            return None;
        }
        Some(self.block.insts.get(self.def(root) as usize)?.op)
    }

    /// `set_gpr_high`.
    pub(crate) fn write_gpr_high(&mut self, reg: Gpr, v: Value) {
        let root = self.root(v);
        if self.loc(root) == Loc::High(reg) {
            self.consume(v);
            return;
        }
        if let Some(h) = home(reg) {
            // Not to be borrowed for the operand.
            self.lock(h);
        }
        let src = self.src(root, Width::W8);
        self.consume(v);
        self.evict(reg);
        match self.home_rm(reg) {
            Rm::Mem(m) => {
                (self.r15_copy, self.rcx_copy) = (None, None);
                let src = if matches!(src, Src::Mem(_)) { Src::Reg(self.copy_src(src, Width::W8)) } else { src };
                let src = self.encodable(Width::W8, Rm::Mem(m), src);
                self.asm.mov(Width::W8, m.plus(1), src);
            }
            Rm::Reg(h) if h < 4 => {
                let src = self.encodable(Width::W8, Rm::Reg(h | HIGH), src);
                self.asm.mov(Width::W8, h | HIGH, src);
            }
            Rm::Reg(h) => {
                // By way of cx: low byte from the register, high byte from the value.
                // A value that is in rcx and still needed moves away; rcx holds it meanwhile.
                self.empty_rcx();
                self.load_reg(RCX, src, Width::W8);
                self.asm.mov(Width::W8, RCX | HIGH, RCX);
                self.asm.mov(Width::W8, RCX, h);
                self.asm.mov(Width::W16, h, RCX);
            }
        }
    }

    /// A word of the state as a value in a temporary.
    pub(crate) fn read_state(&mut self, v: Value, w: Width, offset: i32) {
        let d = self.dest(v, None);
        if d.place.is_some() && w < Width::W32 {
            self.asm.mov(w, d.reg, Mem::state(offset));
        } else {
            self.asm.movzx(w, d.reg, Rm::Mem(Mem::state(offset)));
        }
        self.define(v, d);
    }

    /// `set_segment_base`.
    pub(crate) fn write_segment_base(&mut self, seg: Seg, v: Value) {
        let r = self.src_reg(v, Width::W64);
        self.consume_inst(self.cur);
        self.asm.mov(Width::W64, Mem::state(segment_base_offset(seg)), r);
    }

    /// `get_selector`.
    pub(crate) fn read_selector(&mut self, v: Value, seg: Seg) {
        self.read_state(v, Width::W16, selector_offset(seg));
    }

    /// `set_system_flags`.
    pub(crate) fn write_system_flags(&mut self, mask: u32, v: Value) {
        use crate::assign::SYSTEM_FLAGS;
        let mask = (mask & hokku_ir::guest::eflags::USER) as i32;
        if let Some(n) = self.constant_of(v)
            && mask == hokku_ir::guest::eflags::DF as i32
            && self.flags_needed()
        {
            // `cld` and `std`, flags kept: DF is a bit of the second byte, of which only TF, DF and NT vary.
            self.clobber_flags();
            let (op, n) = if n as i32 & mask != 0 { (Alu::Or, mask) } else { (Alu::And, !mask) };
            self.asm.alu(op, Width::W32, Mem::state(SYSTEM_FLAGS), Src::Imm(n));
            self.consume_inst(self.cur);
            return;
        }
        let t = self.copy(Width::W32, v);
        self.consume_inst(self.cur);
        self.clobber_flags();
        self.asm.alu(Alu::And, Width::W32, t, Src::Imm(mask));
        self.asm.alu(Alu::And, Width::W32, Mem::state(SYSTEM_FLAGS), Src::Imm(!mask));
        self.asm.alu(Alu::Or, Width::W32, Mem::state(SYSTEM_FLAGS), t);
    }
}

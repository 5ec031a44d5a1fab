//! Guest addresses as memory operands of host instructions.

use hokku_ir::{Addr, Value, Width};

use crate::assign::{R13, home};
use crate::encode::{Mem, Rm, Space};
use crate::lower::Lowering;
use crate::values::Loc;

impl Lowering<'_> {
    /// `v` in a register that can be part of an address of width `w`, with its upper bits as they are.
    pub(crate) fn address_part(&mut self, v: Value, w: Width) -> u8 {
        let w = if w == Width::W16 { Width::W32 } else { w };
        self.force(v);
        self.src_reg(v, w)
    }

    /// The host memory operand for `at`.
    pub(crate) fn address(&mut self, at: Addr) -> Mem {
        self.address_with(at, true)
    }

    /// The operand for `at` where that is a register of the guest's, or rsp plus a constant, and a displacement, as it mostly is.
    fn address_of_register(&mut self, at: &Addr, segment: bool) -> Option<Mem> {
        let (Some(base), None) = (at.base, at.index) else { return None };
        if at.width == Width::W16 || (segment && at.seg.is_some()) {
            return None;
        }
        let loc = self.loc(base);
        let (reg, offset) = match loc {
            Loc::Home(g) if self.borrowed.is_empty() => (home(g)?, 0),
            Loc::Stack(offset) if at.width == self.mode.word() => (R13, offset),
            _ => return None,
        };
        let disp = at.disp.wrapping_add(offset.into());
        let short = at.width == Width::W32;
        let disp = if short { disp as i32 } else { i32::try_from(disp).ok()? };
        self.lock(reg);
        // `[base]` alone cannot wrap: 32-bit registers have zeros above.
        let wraps = disp != 0 || !self.is_zero_extended(Some(base)) || matches!(loc, Loc::Stack(_));
        Some(Mem { short: short && wraps, space: Space::Guest, ..Mem::plain(reg, disp) })
    }

    /// The operand for `at`; without its segment base where not `segment`.
    pub(crate) fn address_with(&mut self, at: Addr, segment: bool) -> Mem {
        if let Some(m) = self.address_of_register(&at, segment) {
            return m;
        }
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
            self.forget_copy(b);
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
    pub(crate) fn add_part(&mut self, m: &mut Mem, t: u8) {
        match (m.base, m.index) {
            (None, _) => m.base = Some(t),
            (Some(_), None) => (m.index, m.scale) = (Some(t), 0),
            (Some(b), Some(_)) => {
                self.asm.lea(Width::W64, t, Mem::sum(t, b, 0));
                // One register can be both parts.
                if m.index != Some(b) {
                    self.unlock(b);
                }
                m.base = Some(t);
            }
        }
    }

    /// A temporary for an address that is computed from `m`: one that is part of it, if it is free.
    pub(crate) fn reusable(&mut self, m: &Mem) -> u8 {
        let part = [m.base, m.index].into_iter().flatten().find(|r| self.is_free_or_scratch(*r));
        let reg = part.unwrap_or_else(|| self.temp());
        self.forget_copy(reg);
        reg
    }

    /// Whether `reg` is a temporary that no value owns: a copy made for this instruction, and that only one operand of it is made of.
    pub(crate) fn is_free_or_scratch(&self, reg: u8) -> bool {
        self.is_free_temp(reg) && self.shared & 1 << reg == 0
    }

    /// Whether the register that holds `v` has zeros above 32 bits (32-bit code's registers always do).
    pub(crate) fn is_zero_extended(&self, v: Option<Value>) -> bool {
        v.is_some_and(|v| matches!(self.loc(v), Loc::Home(_)) && self.mode == hokku_ir::CpuMode::Protected32)
    }
}

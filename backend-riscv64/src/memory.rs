//! Addresses, loads and stores, fences.

use hokku_ir::lowering::UpperBits;
use hokku_ir::{Addr, CpuMode, Fence, Gpr, Op, Type, Value, Width};

use crate::Features;
use crate::assign::{STATE, home, segment_base_offset};
use crate::encode::*;
use crate::lower::Lowering;

impl Lowering<'_> {
    /// A register and an offset whose sum is the guest address, or where that has no segment, the effective address.
    ///
    /// In 32-bit code an offset that fits an instruction is added without being cut to 32 bits: what lies within 2 KiB below and above the 4 GiB is never
    /// mapped there.
    pub(crate) fn sum(&mut self, at: &Addr) -> (Reg, i32) {
        self.sum_of(at, at.width != Width::W64 || !self.is_64())
    }

    /// The same as far as the low bits of an effective address go.
    pub(crate) fn low_sum(&mut self, at: &Addr) -> (Reg, i32) {
        self.sum_of(&Addr { seg: None, ..*at }, false)
    }

    fn sum_of(&mut self, at: &Addr, is_cut: bool) -> (Reg, i32) {
        let width = if self.is_64() { at.width } else { at.width.min(Width::W32) };
        let small = (-2048..2048).contains(&at.disp);
        let seg = at.seg;
        // An effective address that needs no cut.
        let near_is_cut = width == Width::W32 && !self.is_64();
        let simple = at.index.is_none() && (!is_cut || (near_is_cut && small) || at.disp == 0);
        let (mut base, mut offset) = match (at.base, at.index) {
            (None, None) => {
                let n = if is_cut { at.disp & width.mask() as i64 } else { at.disp };
                if (-2048..2048).contains(&n) { (ZERO, n as i32) } else { (self.constant(n), 0) }
            }
            (Some(base), None)
                if self
                    .stack_distance(base)
                    .is_some_and(|by| by != 0 && (-2048..2048).contains(&(at.disp + i64::from(by))))
                    && width.bytes() == if self.is_64() { 8 } else { 4 } =>
            {
                if !self.is_64() {
                    self.widen(Gpr::Rsp);
                }
                let by = self.stack_distance(base).unwrap_or(0);
                (home(Gpr::Rsp), at.disp as i32 + by)
            }
            (Some(base), None) if simple => {
                let r = if is_cut { self.zero_extended(base) } else { self.reg(base) };
                self.displaced(r, at.disp)
            }
            (base, index) => {
                let base = base.map(|v| self.reg(v));
                let index = index.map(|v| self.reg(v));
                let sum = match (base, index) {
                    (Some(base), Some(index)) => self.indexed(base, index, at.scale),
                    (None, Some(index)) if at.scale == 0 => index,
                    (None, Some(index)) => {
                        let t = self.temp();
                        self.asm.i(SLLI, t, index, at.scale.into());
                        t
                    }
                    (base, None) => base.unwrap_or(ZERO),
                };
                if is_cut && near_is_cut && small {
                    let t = self.temp();
                    self.extend_zero_to(t, sum, width);
                    (t, at.disp as i32)
                } else if is_cut {
                    let (sum, offset) = self.displaced(sum, at.disp);
                    let t = self.temp();
                    let mut from = sum;
                    if offset != 0 {
                        self.asm.i(ADDI, t, sum, offset);
                        from = t;
                    }
                    self.extend_zero_to(t, from, width);
                    (t, 0)
                } else {
                    self.displaced(sum, at.disp)
                }
            }
        };
        if let Some(seg) = seg {
            let t = self.temp();
            self.asm.i(LD, t, STATE, segment_base_offset(seg));
            self.asm.r(ADD, t, t, base);
            if self.mode == CpuMode::Protected32 {
                if offset != 0 {
                    self.asm.i(ADDI, t, t, offset);
                }
                self.extend_zero_to(t, t, Width::W32);
                offset = 0;
            }
            base = t;
        }
        (base, offset)
    }

    /// `base + index * 2^scale`, in a temporary.
    fn indexed(&mut self, base: Reg, index: Reg, scale: u8) -> Reg {
        let t = self.temp();
        match scale {
            0 => self.asm.r(ADD, t, base, index),
            _ if self.has(Features::ZBA) => {
                let op = [SH1ADD, SH2ADD, SH3ADD][usize::from(scale & 3) - 1];
                self.asm.r(op, t, index, base);
            }
            _ => {
                self.asm.i(SLLI, t, index, scale.into());
                self.asm.r(ADD, t, t, base);
            }
        }
        t
    }

    /// `r + disp` as a register and an offset that fits an instruction.
    fn displaced(&mut self, r: Reg, disp: i64) -> (Reg, i32) {
        if (-2048..2048).contains(&disp) {
            return (r, disp as i32);
        }
        let t = self.temp();
        match i32::try_from(disp) {
            Ok(n) if n < i32::MAX - 2048 => {
                let (high, low) = split(n.into());
                self.asm.word(lui(t, high));
                self.asm.r(ADD, t, t, r);
                (t, low)
            }
            _ => {
                self.asm.li(t, disp);
                self.asm.r(ADD, t, t, r);
                (t, 0)
            }
        }
    }

    pub(crate) fn load(&mut self, dst: Value, op: Op, ty: Type, at: &Addr) {
        let Some(w) = ty.width() else { return self.load_wide(dst, op, ty, at) };
        let lazy = self.lazy();
        let (base, offset) = self.sum(at);
        let retry = self.retry_of(op);
        // An extension that is all that becomes of it comes with the load.
        let mut to = dst;
        let mut signed = false;
        if let Some(next) = self.following(1)
            && self.plan.info(dst).uses == 1
            && self.plan.info(dst).last_flags <= self.plan.info(dst).def
        {
            match next.op {
                Op::ExtendZero { v, .. } if v == dst => to = next.value,
                Op::ExtendSign { v, .. } if v == dst => (to, signed) = (next.value, true),
                _ => {}
            }
        }
        if to != dst {
            self.done[self.at as usize + 1] = true;
        }
        let d = self.result(to);
        self.may_fault_or_retry(lazy, retry.as_ref());
        let (plain, extends) = match w {
            Width::W8 => (LBU, LB),
            Width::W16 => (LHU, LH),
            Width::W32 => (LWU, LW),
            Width::W64 => (LD, LD),
        };
        self.asm.i(if signed { extends } else { plain }, d, base, offset);
        let upper = match (to != dst, signed, w) {
            (_, _, Width::W64) => UpperBits::BOTH,
            (true, true, _) => UpperBits::SIGN,
            (true, false, _) => UpperBits::BOTH,
            _ => UpperBits::ZERO,
        };
        if let Some(retry) = retry {
            self.out_of_line_ends(retry, Some((d, signed.then_some(w))));
        }
        self.done(to, upper);
    }

    pub(crate) fn store(&mut self, op: Op, ty: Type, at: &Addr, v: Value) {
        let Some(w) = ty.width() else { return self.store_wide(op, ty, at, v) };
        let lazy = self.lazy();
        let r = self.reg(v);
        let (base, offset) = self.sum(at);
        self.may_fault(lazy);
        let op = match w {
            Width::W8 => SB,
            Width::W16 => SH,
            Width::W32 => SW,
            Width::W64 => SD,
        };
        self.asm.s(op, r, base, offset);
    }

    pub(crate) fn fence(&mut self, kind: Fence) {
        const READS: u32 = 2;
        const WRITES: u32 = 1;
        let all = READS | WRITES;
        let word = match kind {
            Fence::Full => fence(all, all),
            Fence::Load | Fence::Acquire => fence(READS, all),
            Fence::Store => fence(WRITES, WRITES),
            Fence::Release => fence(all, WRITES),
            // `fence.tso`.
            Fence::AcquireRelease => fence(all, all) | 8 << 28,
        };
        self.asm.word(word);
    }
}

//! Operations on packed bytes and words, for hosts without vectors, eight bytes at a time in a register.
//!
//! Carries and borrows stay within lanes: the lanes' top bits are set or cleared before, and made apart.

use hokku_ir::{Value, VecBin, Width};

use crate::Features;
use crate::assign::*;
use crate::encode::*;
use crate::lower::Lowering;

/// `lane` in each lane of width `w` of 64 bits.
fn repeated(w: Width, lane: u64) -> u64 {
    u64::MAX / w.mask() * (lane & w.mask())
}

/// The top bit of each lane.
fn tops(w: Width) -> u64 {
    repeated(w, 1 << (w.bits() - 1))
}

impl Lowering<'_> {
    /// Lowers `kind` of the vectors at offsets `a` and `b` in the state, if that is done here.
    pub(crate) fn in_words(&mut self, dst: Value, kind: VecBin, a: i32, b: i32) -> bool {
        use VecBin as B;
        match kind {
            B::PaddB | B::PsubB => self.add_in_words(dst, kind == B::PsubB, tops(Width::W8), a, b),
            B::PaddW | B::PsubW => self.add_in_words(dst, kind == B::PsubW, tops(Width::W16), a, b),
            B::PcmpeqB => self.equal_in_words(dst, Width::W8, a, b),
            B::PcmpeqW => self.equal_in_words(dst, Width::W16, a, b),
            B::PavgB => self.average_in_words(dst, Width::W8, a, b),
            B::PavgW => self.average_in_words(dst, Width::W16, a, b),
            B::PsubusB | B::PminuB | B::PmaxuB | B::PsadBw => self.differences_in_words(dst, kind, a, b),
            _ => return false,
        }
        true
    }

    /// Sums or differences of lanes whose top bits are `tops`, eight bytes at a time.
    fn add_in_words(&mut self, dst: Value, subtracts: bool, tops: u64, a: i32, b: i32) {
        let to = self.lanes_result(dst);
        let mask = self.constant(tops as i64);
        let (x, y) = (self.temp(), self.temp());
        for n in 0..2 {
            self.load_lane(x, (a, n), Width::W64, false);
            self.load_lane(y, (b, n), Width::W64, false);
            // Carries stay within lanes; the top bits are made apart.
            self.asm.r(XOR, SCRATCH, x, y);
            if subtracts {
                self.asm.i(XORI, SCRATCH, SCRATCH, -1);
                self.asm.r(OR, x, x, mask);
            }
            self.asm.r(AND, SCRATCH, SCRATCH, mask);
            self.asm.r(OR, y, y, mask);
            self.asm.r(XOR, y, y, mask);
            if subtracts {
                self.asm.r(SUB, x, x, y);
            } else {
                self.asm.r(OR, x, x, mask);
                self.asm.r(XOR, x, x, mask);
                self.asm.r(ADD, x, x, y);
            }
            self.asm.r(XOR, x, x, SCRATCH);
            self.store_lane(x, (to, n), Width::W64);
        }
    }

    /// All ones in lanes that are equal.
    fn equal_in_words(&mut self, dst: Value, w: Width, a: i32, b: i32) {
        let to = self.lanes_result(dst);
        let has_bits = self.has(Features::ZBB) && w == Width::W8;
        let others = if has_bits { ZERO } else { self.shared_constant(!tops(w) as i64) };
        let (x, y) = (self.temp(), self.temp());
        for n in 0..2 {
            self.load_lane(x, (a, n), Width::W64, false);
            self.load_lane(y, (b, n), Width::W64, false);
            self.asm.r(XOR, x, x, y);
            if has_bits {
                self.asm.i(SRLI, x, x, ORC_B);
                self.asm.i(XORI, x, x, -1);
            } else {
                // The top bit of a lane becomes one unless all its bits are zero.
                self.asm.r(AND, y, x, others);
                self.asm.r(ADD, y, y, others);
                self.asm.r(OR, y, y, x);
                self.asm.r(OR, y, y, others);
                self.asm.i(XORI, y, y, -1);
                self.fill_lanes(x, y, w);
            }
            self.store_lane(x, (to, n), Width::W64);
        }
    }

    /// `d` = all ones in lanes of `m` whose top bit is set; other bits of `m` are zero. `m` becomes those bits at the lanes' bottom.
    fn fill_lanes(&mut self, d: Reg, m: Reg, w: Width) {
        self.asm.i(SLLI, d, m, 1);
        self.asm.i(SRLI, m, m, w.bits() as i32 - 1);
        self.asm.r(SUB, d, d, m);
    }

    /// Averages, rounded up.
    fn average_in_words(&mut self, dst: Value, w: Width, a: i32, b: i32) {
        let to = self.lanes_result(dst);
        let others = self.shared_constant(!tops(w) as i64);
        let (x, y) = (self.temp(), self.temp());
        for n in 0..2 {
            self.load_lane(x, (a, n), Width::W64, false);
            self.load_lane(y, (b, n), Width::W64, false);
            self.asm.r(OR, SCRATCH, x, y);
            self.asm.r(XOR, x, x, y);
            self.asm.i(SRLI, x, x, 1);
            self.asm.r(AND, x, x, others);
            self.asm.r(SUB, x, SCRATCH, x);
            self.store_lane(x, (to, n), Width::W64);
        }
    }

    /// What comes of differences of unsigned bytes.
    fn differences_in_words(&mut self, dst: Value, kind: VecBin, a: i32, b: i32) {
        let to = self.lanes_result(dst);
        let tops = self.shared_constant(tops(Width::W8) as i64);
        let (x, y, t) = (self.temp(), self.temp(), self.temp());
        for n in 0..2 {
            self.load_lane(x, (a, n), Width::W64, false);
            self.load_lane(y, (b, n), Width::W64, false);
            // The difference with a one before the other bits of `a`, and none before those of `b`.
            self.asm.r(OR, SCRATCH, y, tops);
            self.asm.r(XOR, SCRATCH, SCRATCH, tops);
            self.asm.r(OR, t, x, tops);
            self.asm.r(SUB, t, t, SCRATCH);
            self.asm.r(XOR, SCRATCH, x, y);
            // Where `a` is less: `b` alone has the top bit, or both have the same and the difference has lost its one.
            self.asm.r(AND, RA, SCRATCH, y);
            self.asm.r(AND, y, SCRATCH, tops);
            self.asm.r(XOR, y, y, tops);
            self.asm.r(XOR, y, y, t);
            self.asm.r(OR, SCRATCH, SCRATCH, t);
            self.asm.i(XORI, SCRATCH, SCRATCH, -1);
            self.asm.r(OR, SCRATCH, SCRATCH, RA);
            self.asm.r(AND, SCRATCH, SCRATCH, tops);
            self.fill_lanes(RA, SCRATCH, Width::W8);
            // `y` is the difference, RA all ones where it is negative, SCRATCH one.
            if kind == VecBin::PsadBw {
                self.asm.r(XOR, y, y, RA);
                self.asm.r(ADD, y, y, SCRATCH);
                self.asm.li(x, repeated(Width::W16, 0xff) as i64);
                self.asm.r(AND, SCRATCH, y, x);
                self.asm.i(SRLI, y, y, 8);
                self.asm.r(AND, y, y, x);
                self.asm.r(ADD, y, y, SCRATCH);
                self.asm.li(x, repeated(Width::W16, 1) as i64);
                self.asm.r(MUL, y, y, x);
                self.asm.i(SRLI, y, y, 48);
            } else {
                self.asm.i(XORI, RA, RA, -1);
                self.asm.r(AND, y, y, RA);
            }
            match kind {
                VecBin::PminuB => self.asm.r(SUB, y, x, y),
                VecBin::PmaxuB => {
                    self.load_lane(x, (b, n), Width::W64, false);
                    self.asm.r(ADD, y, x, y);
                }
                _ => {}
            }
            self.store_lane(y, (to, n), Width::W64);
        }
    }

    /// Lanes of 16 bits of the vector at `from`, shifted by `n`, which is less than 16: to the left by SLLI, without their sign by SRLI.
    pub(crate) fn shift_in_words(&mut self, dst: Value, op: I, from: i32, n: i32) {
        let to = self.lanes_result(dst);
        let left = if op == SLLI { 0xffff << n } else { 0xffff >> n };
        let mask = self.shared_constant(repeated(Width::W16, left) as i64);
        let x = self.temp();
        for word in 0..2 {
            self.load_lane(x, (from, word), Width::W64, false);
            self.asm.i(op, x, x, n);
            self.asm.r(AND, x, x, mask);
            self.store_lane(x, (to, word), Width::W64);
        }
    }
}

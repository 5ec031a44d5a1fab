//! Operations on packed integers and floats, for hosts without vectors: lane by lane, or eight bytes at a time, between places in memory.

use hokku_ir::lowering::UpperBits;
use hokku_ir::{MaskOp, Num, Op, Type, Value, VecBin, VecShift, VecShuffle, VecUn, Width};

use crate::Features;
use crate::assign::*;
use crate::encode::*;
use crate::lower::Lowering;
use crate::vector_moves::int_of_float;

/// A lane: offset in the state of its vector, and its number.
pub(crate) type Lane = (i32, u32);

/// How one lane comes of two.
#[derive(Clone, Copy, Debug)]
enum Each {
    Plain(R),
    /// By an instruction, then shifted right.
    High(R),
    Least,
    Most,
    Equal,
    Greater,
    /// Cut to what a lane holds.
    Saturated(R),
}

/// How the lanes of `op` come about: their width, whether they are signed, and how.
fn each(op: VecBin) -> Option<(Width, bool, Each)> {
    use Each::*;
    use VecBin as B;
    use Width::*;
    Some(match op {
        B::PaddD => (W32, true, Plain(ADD)),
        B::PaddQ => (W64, false, Plain(ADD)),
        B::PsubD => (W32, true, Plain(SUB)),
        B::PsubQ => (W64, false, Plain(SUB)),
        B::PmullW => (W16, true, Plain(MUL)),
        B::PmullD => (W32, true, Plain(MUL)),
        B::PmulhW => (W16, true, High(MUL)),
        B::PmulhuW => (W16, false, High(MUL)),
        B::PminuW => (W16, false, Least),
        B::PminuD => (W32, false, Least),
        B::PminsB => (W8, true, Least),
        B::PminsW => (W16, true, Least),
        B::PminsD => (W32, true, Least),
        B::PmaxuW => (W16, false, Most),
        B::PmaxuD => (W32, false, Most),
        B::PmaxsB => (W8, true, Most),
        B::PmaxsW => (W16, true, Most),
        B::PmaxsD => (W32, true, Most),
        B::PcmpeqD => (W32, true, Equal),
        B::PcmpeqQ => (W64, true, Equal),
        B::PcmpgtB => (W8, true, Greater),
        B::PcmpgtW => (W16, true, Greater),
        B::PcmpgtD => (W32, true, Greater),
        B::PcmpgtQ => (W64, true, Greater),
        B::PaddsB => (W8, true, Saturated(ADD)),
        B::PaddsW => (W16, true, Saturated(ADD)),
        B::PsubsB => (W8, true, Saturated(SUB)),
        B::PsubsW => (W16, true, Saturated(SUB)),
        B::PaddusB => (W8, false, Saturated(ADD)),
        B::PaddusW => (W16, false, Saturated(ADD)),
        B::PsubusW => (W16, false, Saturated(SUB)),
        _ => return None,
    })
}

pub(crate) fn count(w: Width) -> u32 {
    16 / w.bytes()
}

pub(crate) fn at((offset, lane): Lane, w: Width) -> i32 {
    offset + (lane * w.bytes()) as i32
}

impl Lowering<'_> {
    /// Lowers `op` on V128 lanes for a host without vectors.
    pub(crate) fn lanes(&mut self, dst: Value, op: Op) {
        let is_done = self.pair_arith(dst, op)
            || match op {
                Op::VecBinary { op: kind, a, b, .. } if kind.is_float() => self.float_lanes(dst, op, kind, a, b),
                Op::VecUnary { op: VecUn::SqrtPs, a, .. } => self.lanes_of_roots(dst, op, a),
                Op::VecCompare { lane, predicate, a, b, .. } => self.compared_lanes(dst, op, lane, predicate, a, b),
                Op::VecBinary { op: kind, a, b, .. } => self.binary_lanes(dst, kind, a, b),
                Op::VecUnary { op: VecUn::CvtDq2Ps, a, .. } => self.lanes_of_ints(dst, a, Width::W32),
                Op::VecUnary { op: VecUn::CvtDq2Pd, a, .. } => self.lanes_of_ints(dst, a, Width::W64),
                Op::VecShiftImm { op: kind, a, n, .. } => self.shifted_lanes(dst, kind, a, n),
                Op::VecShuffleImm { op: kind, a, b, imm, .. } => self.shuffled_lanes(dst, kind, a, b, imm),
                Op::VecMask { op: kind, a, .. } => self.mask_of_lanes(dst, kind, a),
                Op::VecExtract { w: Width::W64, a, lane, .. } => {
                    let (low, high) = self.pair(a);
                    let d = self.result(dst);
                    self.asm.word(int_of_float(false, d, if lane.0 == 0 { low } else { high }));
                    self.done(dst, UpperBits::BOTH);
                    true
                }
                Op::VecExtract { w, a, lane, .. } => {
                    let from = self.offset_of(a);
                    let d = self.result(dst);
                    self.load_lane(d, (from, lane.0.into()), w, false);
                    self.done(dst, UpperBits::ZERO);
                    true
                }
                Op::VecInsert { w, a, lane, v, .. } => {
                    let (from, r) = (self.offset_of(a), self.reg(v));
                    let to = self.wide_result(dst, Type::V128);
                    self.copy_words(to, from, 2);
                    self.store_lane(r, (to, lane.0.into()), w);
                    true
                }
                _ => false,
            };
        if !is_done {
            self.callout(dst, op);
        }
    }

    pub(crate) fn load_lane(&mut self, d: Reg, lane: Lane, w: Width, signed: bool) {
        let load = match (w, signed) {
            (Width::W8, false) => LBU,
            (Width::W8, true) => LB,
            (Width::W16, false) => LHU,
            (Width::W16, true) => LH,
            (Width::W32, false) => LWU,
            (Width::W32, true) => LW,
            (Width::W64, _) => LD,
        };
        self.asm.i(load, d, STATE, at(lane, w));
    }

    pub(crate) fn store_lane(&mut self, r: Reg, lane: Lane, w: Width) {
        let store = [SB, SH, SW, SD][w as usize];
        self.asm.s(store, r, STATE, at(lane, w));
    }

    /// Offset of the result `dst`, of which each lane is written when the same lanes of its operands have been read.
    pub(crate) fn lanes_result(&mut self, dst: Value) -> i32 {
        self.memory_result(dst)
    }

    /// `x` = `y` where `x op y` does not hold.
    fn choose(&mut self, op: Branch, x: Reg, y: Reg) {
        let chosen = self.asm.label();
        self.asm.branch(op, x, y, chosen);
        self.asm.mv(x, y);
        self.asm.bind(chosen);
    }

    /// `x` = `x` and `y`, made into one.
    fn one_of_two(&mut self, each: Each, w: Width, signed: bool, x: Reg, y: Reg) {
        let has_bits = self.has(Features::ZBB);
        match each {
            Each::Plain(op) => self.asm.r(op, x, x, y),
            Each::High(op) => {
                self.asm.r(op, x, x, y);
                self.asm.i(SRLI, x, x, w.bits() as i32);
            }
            // What is zero-extended compares as signed numbers too.
            Each::Least if has_bits => self.asm.r(MIN, x, x, y),
            Each::Most if has_bits => self.asm.r(MAX, x, x, y),
            Each::Least => self.choose(Branch::Lt, x, y),
            Each::Most => self.choose(Branch::Ge, x, y),
            Each::Equal => {
                self.asm.r(XOR, x, x, y);
                self.asm.i(SLTIU, x, x, 1);
                self.asm.r(SUB, x, ZERO, x);
            }
            Each::Greater => {
                self.asm.r(SLT, x, y, x);
                self.asm.r(SUB, x, ZERO, x);
            }
            Each::Saturated(op) => {
                self.asm.r(op, x, x, y);
                self.cut(x, w, signed);
            }
        }
    }

    /// Cuts the signed number in `x` to what a lane holds. Changes [`SCRATCH`].
    fn cut(&mut self, x: Reg, w: Width, signed: bool) {
        let top = if signed { w.mask() >> 1 } else { w.mask() } as i64;
        let bottom = if signed { -top - 1 } else { 0 };
        if self.has(Features::ZBB) {
            let (top, bottom) = (self.shared_constant(top), self.shared_constant(bottom));
            self.asm.r(MIN, x, x, top);
            return self.asm.r(MAX, x, x, bottom);
        }
        self.asm.li(SCRATCH, top);
        self.choose(Branch::Lt, x, SCRATCH);
        if bottom == 0 {
            return self.choose(Branch::Ge, x, ZERO);
        }
        self.asm.li(SCRATCH, bottom);
        self.choose(Branch::Ge, x, SCRATCH);
    }

    fn binary_lanes(&mut self, dst: Value, kind: VecBin, a: Value, b: Value) -> bool {
        use VecBin as B;
        match kind {
            B::PunpcklQdq | B::MovLhps => {
                self.pair_of_halves(dst, (a, false), (b, false));
                return true;
            }
            B::PunpckhQdq => {
                self.pair_of_halves(dst, (a, true), (b, true));
                return true;
            }
            B::MovHlps => {
                self.pair_of_halves(dst, (b, true), (a, true));
                return true;
            }
            _ => {}
        }
        let (oa, ob) = (self.offset_of(a), self.offset_of(b));
        let both = |w: Width, first: u32| -> Vec<Lane> {
            (first..first + count(w) / 2).flat_map(|n| [(oa, n), (ob, n)]).collect()
        };
        if self.in_words(dst, kind, oa, ob) {
            return true;
        }
        match kind {
            B::PunpcklBw => self.permute(dst, Width::W8, &both(Width::W8, 0)),
            B::PunpckhBw => self.permute(dst, Width::W8, &both(Width::W8, 8)),
            B::PunpcklWd => self.permute(dst, Width::W16, &both(Width::W16, 0)),
            B::PunpckhWd => self.permute(dst, Width::W16, &both(Width::W16, 4)),
            B::PunpcklDq => self.permute(dst, Width::W32, &both(Width::W32, 0)),
            B::PunpckhDq => self.permute(dst, Width::W32, &both(Width::W32, 2)),
            B::PmuludQ | B::PmuldQ => {
                let to = self.lanes_result(dst);
                let (x, y) = (self.temp(), self.temp());
                for n in 0..2 {
                    self.load_lane(x, (oa, 2 * n), Width::W32, kind == B::PmuldQ);
                    self.load_lane(y, (ob, 2 * n), Width::W32, kind == B::PmuldQ);
                    self.asm.r(MUL, x, x, y);
                    self.store_lane(x, (to, n), Width::W64);
                }
            }
            B::PmaddWd => {
                let to = self.lanes_result(dst);
                let (x, y, z) = (self.temp(), self.temp(), self.temp());
                for n in 0..4 {
                    self.load_lane(x, (oa, 2 * n), Width::W16, true);
                    self.load_lane(y, (ob, 2 * n), Width::W16, true);
                    self.asm.r(MUL, z, x, y);
                    self.load_lane(x, (oa, 2 * n + 1), Width::W16, true);
                    self.load_lane(y, (ob, 2 * n + 1), Width::W16, true);
                    self.asm.r(MUL, x, x, y);
                    self.asm.r(ADD, x, x, z);
                    self.store_lane(x, (to, n), Width::W32);
                }
            }
            B::PacksswB | B::PackssdW | B::PackuswB | B::PackusDw => {
                let w = if matches!(kind, B::PacksswB | B::PackuswB) { Width::W8 } else { Width::W16 };
                let wide = if w == Width::W8 { Width::W16 } else { Width::W32 };
                let signed = matches!(kind, B::PacksswB | B::PackssdW);
                let to = self.wide_result(dst, Type::V128);
                let x = self.temp();
                for n in 0..count(w) {
                    let half = count(wide);
                    let from = if n < half { (oa, n) } else { (ob, n - half) };
                    self.load_lane(x, from, wide, true);
                    self.cut(x, w, signed);
                    self.store_lane(x, (to, n), w);
                }
            }
            _ => {
                let Some((w, signed, each)) = each(kind) else { return false };
                let to = self.lanes_result(dst);
                let (x, y) = (self.temp(), self.temp());
                for n in 0..count(w) {
                    self.load_lane(x, (oa, n), w, signed);
                    self.load_lane(y, (ob, n), w, signed);
                    self.one_of_two(each, w, signed, x, y);
                    self.store_lane(x, (to, n), w);
                }
            }
        }
        true
    }

    /// A vector of the lanes `from`.
    fn permute(&mut self, dst: Value, w: Width, from: &[Lane]) {
        if w == Width::W32 {
            // All are read before the first is written.
            let to = self.memory_result(dst);
            let temps: Vec<Reg> = from.iter().map(|_| self.temp()).collect();
            for (t, lane) in temps.iter().zip(from) {
                self.load_lane(*t, *lane, w, false);
            }
            for (n, t) in temps.iter().enumerate() {
                self.store_lane(*t, (to, n as u32), w);
            }
            return;
        }
        let to = self.wide_result(dst, Type::V128);
        let t = self.temp();
        for (n, lane) in from.iter().enumerate() {
            self.load_lane(t, *lane, w, false);
            self.store_lane(t, (to, n as u32), w);
        }
    }

    fn shuffled_lanes(&mut self, dst: Value, kind: VecShuffle, a: Value, b: Value, imm: Num) -> bool {
        use VecShuffle as S;
        let imm = u32::from(imm.0);
        let field = |n: u32| imm >> (2 * n) & 3;
        let from_either = |n: u32| if imm >> n & 1 != 0 { b } else { a };
        let halves = match kind {
            S::ShufPd => Some([(a, imm & 1 != 0), (b, imm & 2 != 0)]),
            S::BlendPd => Some([(from_either(0), false), (from_either(1), true)]),
            // Lanes that are moved two by two.
            S::PshufD if [0, 2].iter().all(|n| field(*n) & 1 == 0 && field(n + 1) == field(*n) + 1) => {
                Some([0, 2].map(|n| (b, field(n) != 0)))
            }
            _ => None,
        };
        if let Some([low, high]) = halves {
            self.pair_of_halves(dst, low, high);
            return true;
        }
        let (oa, ob) = (self.offset_of(a), self.offset_of(b));
        match kind {
            S::PshufD => self.permute(dst, Width::W32, &[0, 1, 2, 3].map(|n| (ob, field(n)))),
            S::ShufPs => {
                self.permute(dst, Width::W32, &[0, 1, 2, 3].map(|n| (if n < 2 { oa } else { ob }, field(n))));
            }
            S::PshufLw => {
                let lanes: Vec<Lane> = (0..8).map(|n| (ob, if n < 4 { field(n) } else { n })).collect();
                self.permute(dst, Width::W16, &lanes);
            }
            S::PshufHw => {
                let lanes: Vec<Lane> = (0..8).map(|n| (ob, if n < 4 { n } else { 4 + field(n - 4) })).collect();
                self.permute(dst, Width::W16, &lanes);
            }
            S::BlendPs => {
                self.permute(dst, Width::W32, &[0, 1, 2, 3].map(|n| (if imm >> n & 1 != 0 { ob } else { oa }, n)))
            }
            S::PblendW => {
                let lanes: Vec<Lane> = (0..8).map(|n| (if imm >> n & 1 != 0 { ob } else { oa }, n)).collect();
                self.permute(dst, Width::W16, &lanes);
            }
            S::Palignr if imm < 16 => {
                let lanes: Vec<Lane> = (imm..imm + 16).map(|n| if n < 16 { (ob, n) } else { (oa, n - 16) }).collect();
                self.permute(dst, Width::W8, &lanes);
            }
            _ => return false,
        }
        true
    }

    fn shifted_lanes(&mut self, dst: Value, kind: VecShift, a: Value, n: Num) -> bool {
        use VecShift as S;
        let from = self.offset_of(a);
        let n = i32::from(n.0);
        let (w, op, wide_op) = match kind {
            S::PsllW => (Width::W16, SLLI, false),
            S::PsllD => (Width::W32, SLLI, false),
            S::PsllQ => (Width::W64, SLLI, false),
            S::PsrlW => (Width::W16, SRLI, false),
            S::PsrlD => (Width::W32, SRLI, false),
            S::PsrlQ => (Width::W64, SRLI, false),
            S::PsraW => (Width::W16, SRAI, true),
            S::PsraD => (Width::W32, SRAI, true),
            S::PsllDq | S::PsrlDq => return self.shifted_bytes(dst, kind == S::PsllDq, from, n),
        };
        if w == Width::W16 && !wide_op && n < 16 {
            self.shift_in_words(dst, op, from, n);
            return true;
        }
        let to = self.lanes_result(dst);
        let width = w.bits() as i32;
        if n >= width && !wide_op {
            self.zero_words(to, 0..2);
            return true;
        }
        let n = n.min(width - 1);
        let x = self.temp();
        for lane in 0..count(w) {
            self.load_lane(x, (from, lane), w, wide_op);
            self.asm.i(op, x, x, if wide_op { n | ARITHMETIC } else { n });
            self.store_lane(x, (to, lane), w);
        }
        true
    }

    fn shifted_bytes(&mut self, dst: Value, left: bool, from: i32, n: i32) -> bool {
        let to = self.lanes_result(dst);
        if n >= 16 {
            self.zero_words(to, 0..2);
            return true;
        }
        let (low, high) = (self.temp(), self.temp());
        self.load_lane(low, (from, 0), Width::W64, false);
        self.load_lane(high, (from, 1), Width::W64, false);
        let (op, back) = if left { (SLLI, SRLI) } else { (SRLI, SLLI) };
        let (first, second) = if left { (low, high) } else { (high, low) };
        if n >= 8 {
            self.asm.i(op, second, first, 8 * (n - 8));
            self.asm.mv(first, ZERO);
        } else if n > 0 {
            self.asm.i(op, second, second, 8 * n);
            self.asm.i(back, SCRATCH, first, 64 - 8 * n);
            self.asm.r(OR, second, second, SCRATCH);
            self.asm.i(op, first, first, 8 * n);
        }
        self.store_lane(low, (to, 0), Width::W64);
        self.store_lane(high, (to, 1), Width::W64);
        true
    }

    fn mask_of_lanes(&mut self, dst: Value, kind: MaskOp, a: Value) -> bool {
        let from = self.offset_of(a);
        let d = self.temp();
        match kind {
            MaskOp::Pmovmskb => {
                let tops = self.constant(0x8080_8080_8080_8080u64 as i64);
                let gather = self.constant(0x0002_0408_1020_4081);
                self.load_lane(d, (from, 0), Width::W64, false);
                self.load_lane(SCRATCH, (from, 1), Width::W64, false);
                for r in [d, SCRATCH] {
                    self.asm.r(AND, r, r, tops);
                    self.asm.r(MUL, r, r, gather);
                    self.asm.i(SRLI, r, r, 56);
                }
                self.asm.i(SLLI, SCRATCH, SCRATCH, 8);
                self.asm.r(OR, d, d, SCRATCH);
            }
            MaskOp::MovmskPs | MaskOp::MovmskPd => {
                let w = if kind == MaskOp::MovmskPs { Width::W32 } else { Width::W64 };
                for lane in 0..count(w) {
                    let to = if lane == 0 { d } else { SCRATCH };
                    self.load_lane(to, (from, lane), w, false);
                    self.asm.i(SRLI, to, to, w.bits() as i32 - 1);
                    if lane > 0 {
                        self.asm.i(SLLI, SCRATCH, SCRATCH, lane as i32);
                        self.asm.r(OR, d, d, SCRATCH);
                    }
                }
            }
        }
        let to = self.result(dst);
        self.asm.mv(to, d);
        self.done(dst, UpperBits::BOTH);
        true
    }
}

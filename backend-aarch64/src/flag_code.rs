//! Code that computes status flags as bits, at their EFLAGS places, from an op's operands. Source: Intel SDM vol. 1, 3.4.3.1; undefined flags as the op table says.

use hokku_ir::{FlagSet, Op, Width};

use crate::asm::{Asm, Cc, Size};
use crate::assign::{SCRATCH, TARGET, ZERO};
use crate::immediate::bitmask;
use crate::integer::{Extend, Logic, Shift, Sum};

const CF: u8 = 0;
const PF: u8 = 2;
const AF: u8 = 4;
const ZF: u8 = 6;
const SF: u8 = 7;
const OF: u8 = 11;

/// An operand of a flags op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// In the low bits of a register; what is above them is not known.
    Register(u8),
    /// Known.
    Constant(u64),
}

/// Where flags are computed, beside the scratch registers: none of the three is an operand's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// The result.
    pub(crate) word: u8,
    /// Temporaries.
    pub(crate) t: u8,
    pub(crate) u: u8,
}

impl Asm {
    /// A register with the operand, which is `into` for a constant.
    pub(crate) fn source(&mut self, source: Source, into: u8) -> u8 {
        match source {
            Source::Register(r) => r,
            Source::Constant(n) => {
                self.constant(into, n);
                into
            }
        }
    }

    /// `room.word` = the flags of `op` for `sources`, which stand in the order of its operands; other bits than those of `wanted` may be anything. False, with no
    /// code written, for ops that are left to the runtime. NZCV changes, and the scratch registers do.
    pub(crate) fn flags_of(&mut self, op: &Op, sources: &[Source], wanted: FlagSet, room: Room) -> bool {
        let mut code = FlagCode { asm: self, room, wanted };
        let integer = |n: usize| sources.get(n).copied().unwrap_or(Source::Constant(0));
        let [a, b, c] = [integer(0), integer(1), integer(2)];
        match *op {
            Op::AddFlags { w, .. } => code.sum(Sum::Adds, w, a, b, None),
            Op::SubFlags { w, .. } => code.sum(Sum::Subs, w, a, b, None),
            Op::AdcFlags { w, .. } => code.sum(Sum::Adds, w, a, b, Some(c)),
            Op::SbbFlags { w, .. } => code.sum(Sum::Subs, w, a, b, Some(c)),
            Op::IncFlags { w, .. } => code.one_more_or_less(Sum::Adds, w, a),
            Op::DecFlags { w, .. } => code.one_more_or_less(Sum::Subs, w, a),
            Op::LogicFlags { w, .. } => code.logic(w, a),
            Op::MulFlagsU { w, .. } => code.product(false, w, a, b),
            Op::MulFlagsS { w, .. } => code.product(true, w, a, b),
            Op::ShlFlags { .. } | Op::ShrFlags { .. } | Op::SarFlags { .. } => return code.shift(op, a, None, b, c),
            Op::ShldFlags { .. } | Op::ShrdFlags { .. } => return code.shift(op, a, Some(b), c, integer(3)),
            Op::RotlFlags { w, .. } => code.rotation(true, w, a, b, c),
            Op::RotrFlags { w, .. } => code.rotation(false, w, a, b, c),
            Op::RotlCarryFlags { w, .. } if b == Source::Constant(1) => code.rotation_by_one(true, w, a, c),
            Op::RotrCarryFlags { w, .. } if b == Source::Constant(1) => code.rotation_by_one(false, w, a, c),
            Op::BitTestFlags { w, .. } => code.bit_test(w, a, b, c),
            Op::BitScanFlags { w, .. } | Op::CountOnesFlags { w, .. } => code.zeros(&[(w, a, ZF)]),
            Op::CountZerosFlags { w, .. } => code.zeros(&[(w, a, CF), (w, b, ZF)]),
            Op::AdoFlags { w, .. } if w >= Width::W32 => code.sum_by_overflow(w, a, b, c),
            Op::IntToFlags { .. } => {
                let r = code.operand(a, SCRATCH);
                code.asm.constant(TARGET, FlagSet::STATUS.bits().into());
                code.asm.logic(Logic::And, Size::W, room.word, r, TARGET);
            }
            Op::MergeFlags { set, .. } => {
                let (a, b) = (code.operand(a, room.t), code.operand(b, room.u));
                code.asm.constant(SCRATCH, set.bits().into());
                code.asm.logic(Logic::And, Size::W, TARGET, a, SCRATCH);
                code.asm.logic(Logic::Bic, Size::W, SCRATCH, b, SCRATCH);
                code.asm.logic(Logic::Orr, Size::W, room.word, TARGET, SCRATCH);
            }
            _ => return false,
        }
        true
    }
}

/// Flags while their code is written.
struct FlagCode<'a> {
    asm: &'a mut Asm,
    room: Room,
    wanted: FlagSet,
}

impl FlagCode<'_> {
    fn wants(&self, place: u8) -> bool {
        self.wanted.bits() >> place & 1 != 0
    }

    /// A register with the operand, which is `into` for a constant.
    fn operand(&mut self, source: Source, into: u8) -> u8 {
        self.asm.source(source, into)
    }

    /// Bit `place` of the word = bit 0 of `r`.
    fn put(&mut self, place: u8, r: u8) {
        self.asm.bfi(Size::W, self.room.word, r, place, 1);
    }

    /// Bit `place` of the word = whether NZCV meets `cc`; `t` changes.
    fn put_condition(&mut self, place: u8, cc: Cc, t: u8) {
        if self.wants(place) {
            self.asm.cset(t, cc);
            self.put(place, t);
        }
    }

    /// NZ of the low `w` bits of `r`.
    fn test(&mut self, w: Width, r: u8) {
        match w {
            Width::W8 | Width::W16 => {
                let bits = bitmask(Size::W, w.mask()).expect("a run of ones");
                self.asm.logic_bits(Logic::Ands, Size::W, ZERO, r, bits);
            }
            _ => self.asm.logic(Logic::Ands, Size::of(w), ZERO, r, r),
        }
    }

    fn put_parity(&mut self, r: u8, t: u8) {
        if self.wants(PF) {
            self.asm.logic_shifted(Logic::Eor, Size::W, t, r, r, Shift::Lsr, 4);
            self.asm.logic_shifted(Logic::Eor, Size::W, t, t, t, Shift::Lsr, 2);
            self.asm.logic_shifted(Logic::Eon, Size::W, t, t, t, Shift::Lsr, 1);
            self.put(PF, t);
        }
    }

    /// ZF, SF and PF of the low `w` bits of `r`, into the word, where those are zero; `t` changes, and NZCV does.
    fn put_result(&mut self, w: Width, r: u8, t: u8) {
        self.put_parity(r, t);
        self.put_sign(w, r, t);
        if self.wants(ZF) {
            self.test(w, r);
            self.put_condition(ZF, Cc::Eq, t);
        }
    }

    fn put_sign(&mut self, w: Width, r: u8, t: u8) {
        if self.wants(SF) {
            self.top_bit(w, t, r);
            self.put(SF, t);
        }
    }

    /// `d` = the top bit of `r` of width `w`.
    fn top_bit(&mut self, w: Width, d: u8, r: u8) {
        self.asm.ubfx(Size::of(w), d, r, (w.bits() - 1) as u8, 1);
    }

    /// `d` = `r` of width `w`, extended to 64 bits; gives the register that has it.
    fn extended(&mut self, signed: bool, w: Width, d: u8, r: u8) -> u8 {
        match (w, signed) {
            (Width::W64, _) => return r,
            (_, true) => self.asm.sbfx(Size::X, d, r, 0, w.bits() as u8),
            (_, false) => self.asm.ubfx(Size::X, d, r, 0, w.bits() as u8),
        }
        d
    }

    /// Flags of a sum or difference; with the CF of `carry`.
    fn sum(&mut self, op: Sum, w: Width, a: Source, b: Source, carry: Option<Source>) {
        let Room { word, t, u } = self.room;
        let adds = op == Sum::Adds;
        if let Some(carry) = carry {
            let f = self.operand(carry, u);
            self.asm.ubfx(Size::W, u, f, CF, 1);
            if adds {
                self.asm.add_imm(Sum::Subs, Size::W, ZERO, u, 1);
            } else {
                self.asm.add(Sum::Subs, Size::W, ZERO, ZERO, u);
            }
        }
        let (a, b) = (self.operand(a, SCRATCH), self.operand(b, TARGET));
        let size = Size::of(w);
        let plain = if adds { Sum::Add } else { Sum::Sub };
        match carry {
            Some(_) => self.asm.adc(plain, size, t, a, b),
            None => self.asm.add(plain, size, t, a, b),
        }
        self.asm.constant(word, 0);
        if self.wants(AF) {
            self.asm.logic(Logic::Eor, Size::W, u, a, b);
            self.asm.logic(Logic::Eor, Size::W, u, u, t);
            self.asm.lsr(Size::W, u, u, AF);
            self.put(AF, u);
        }
        self.put_parity(t, u);
        // The others are the host's, of values at the top of the register. Ones below let a carry through.
        let by = if w < Width::W32 { 32 - w.bits() as u8 } else { 0 };
        match carry {
            None if by == 0 => self.asm.add(op, size, ZERO, a, b),
            Some(_) if by == 0 => self.asm.adc(op, size, ZERO, a, b),
            None => {
                self.asm.lsl(Size::W, SCRATCH, a, by);
                self.asm.add_shifted(op, Size::W, ZERO, SCRATCH, b, Shift::Lsl, by);
            }
            Some(_) => {
                self.asm.lsl(Size::W, SCRATCH, a, by);
                self.asm.lsl(Size::W, TARGET, b, by);
                if adds {
                    let ones = bitmask(Size::W, (1 << by) - 1).expect("a run of ones");
                    self.asm.orr_bits(Size::W, TARGET, TARGET, ones);
                }
                self.asm.adc(op, Size::W, ZERO, SCRATCH, TARGET);
            }
        }
        self.put_condition(CF, if adds { Cc::Hs } else { Cc::Lo }, u);
        self.put_condition(SF, Cc::Mi, u);
        self.put_condition(OF, Cc::Vs, u);
        if self.wants(ZF) {
            if carry.is_some() && by != 0 {
                self.test(w, t);
            }
            self.put_condition(ZF, Cc::Eq, u);
        }
    }

    /// `inc` and `dec`, whose CF is zero.
    fn one_more_or_less(&mut self, op: Sum, w: Width, a: Source) {
        self.wanted -= FlagSet::CF;
        self.sum(op, w, a, Source::Constant(1), None);
    }

    fn logic(&mut self, w: Width, v: Source) {
        let r = self.operand(v, SCRATCH);
        self.asm.constant(self.room.word, 0);
        self.put_result(w, r, self.room.t);
    }

    fn product(&mut self, signed: bool, w: Width, a: Source, b: Source) {
        let Room { word, t, u } = self.room;
        let (a, b) = (self.operand(a, SCRATCH), self.operand(b, TARGET));
        if w == Width::W64 {
            self.asm.mulh(signed, u, a, b);
            self.asm.madd(Size::X, t, a, b, ZERO);
        } else {
            let (a, b) = (self.extended(signed, w, SCRATCH, a), self.extended(signed, w, TARGET, b));
            self.asm.madd(Size::X, t, a, b, ZERO);
        }
        match (signed, w) {
            (false, Width::W64) => self.asm.logic(Logic::Ands, Size::X, ZERO, u, u),
            (true, Width::W64) => self.asm.add_shifted(Sum::Subs, Size::X, ZERO, u, t, Shift::Asr, 63),
            (false, _) => {
                self.asm.lsr(Size::X, u, t, w.bits() as u8);
                self.asm.logic(Logic::Ands, Size::X, ZERO, u, u);
            }
            (true, _) => {
                let extend = match w {
                    Width::W8 => Extend::Sxtb,
                    Width::W16 => Extend::Sxth,
                    _ => Extend::Sxtw,
                };
                self.asm.add_extended(Sum::Subs, Size::X, ZERO, t, t, extend, 0);
            }
        }
        self.asm.cset(u, Cc::Ne);
        self.asm.add_shifted(Sum::Add, Size::W, word, u, u, Shift::Lsl, OF);
        self.put_parity(t, u);
        self.put_sign(w, t, u);
    }

    /// Shifts `d` = `r` by `n` plus `less` (zero or minus one), in 64 bits.
    fn shift_by(&mut self, shift: Shift, d: u8, r: u8, n: Source, less: u8) {
        match n {
            Source::Constant(n) => {
                let by = (n & 63) as u8 - less;
                match shift {
                    Shift::Lsl => self.asm.lsl(Size::X, d, r, by),
                    Shift::Lsr => self.asm.lsr(Size::X, d, r, by),
                    _ => self.asm.asr(Size::X, d, r, by),
                }
            }
            Source::Register(n) if less == 0 => self.asm.shift_reg(shift, Size::X, d, r, n),
            Source::Register(n) => {
                self.asm.add_imm(Sum::Sub, Size::W, TARGET, n, less.into());
                self.asm.shift_reg(shift, Size::X, d, r, TARGET);
            }
        }
    }

    /// A shift of `a`, with `b` behind or before it, by `n`; where that is zero the flags are `older`.
    fn shift(&mut self, op: &Op, a: Source, b: Option<Source>, n: Source, older: Source) -> bool {
        let Room { word, t, u } = self.room;
        let (w, left) = match *op {
            Op::ShlFlags { w, .. } | Op::ShldFlags { w, .. } => (w, true),
            Op::ShrFlags { w, .. } | Op::ShrdFlags { w, .. } | Op::SarFlags { w, .. } => (w, false),
            _ => return false,
        };
        let is_signed = matches!(op, Op::SarFlags { .. });
        if let Source::Constant(0) = n {
            self.put_older(older);
            return true;
        }
        let a = self.operand(a, SCRATCH);
        // The result.
        match (b, left) {
            (None, true) => self.shift_by(Shift::Lsl, t, a, n, 0),
            (None, false) => {
                let r = self.extended(is_signed, w, u, a);
                self.shift_by(if is_signed { Shift::Asr } else { Shift::Lsr }, t, r, n, 0);
            }
            (Some(b), _) => {
                let b = self.operand(b, TARGET);
                self.double_shift(left, w, a, b, n);
            }
        }
        self.asm.constant(word, 0);
        self.put_result(w, t, u);
        // The bit that was shifted out last.
        match (left, w) {
            (true, Width::W64) => match n {
                Source::Constant(n) => self.asm.lsr(Size::X, u, a, 64 - (n & 63) as u8),
                Source::Register(n) => {
                    self.asm.add(Sum::Sub, Size::W, u, ZERO, n);
                    self.asm.shift_reg(Shift::Lsr, Size::X, u, a, u);
                }
            },
            (true, _) => {
                self.shift_by(Shift::Lsl, u, a, n, 0);
                self.asm.lsr(Size::X, u, u, w.bits() as u8);
            }
            (false, _) => {
                let r = self.extended(is_signed, w, u, a);
                self.shift_by(if is_signed { Shift::Asr } else { Shift::Lsr }, u, r, n, 1);
            }
        }
        if self.wants(CF) {
            self.put(CF, u);
        }
        let may_be_one = !matches!(n, Source::Constant(n) if n & 63 != 1);
        if self.wants(OF) && !is_signed && may_be_one {
            match (b, left) {
                // Result against carry.
                (None, true) => {
                    self.top_bit(w, t, t);
                    self.asm.logic(Logic::Eor, Size::W, t, t, u);
                }
                (None, false) => self.top_bit(w, t, a),
                (Some(_), _) => {
                    self.asm.logic(Logic::Eor, Size::X, t, t, a);
                    self.top_bit(w, t, t);
                }
            }
            if let Source::Register(n) = n {
                let bits = bitmask(Size::W, 63).expect("a run of ones");
                self.asm.logic_bits(Logic::And, Size::W, u, n, bits);
                self.asm.add_imm(Sum::Subs, Size::W, ZERO, u, 1);
                self.asm.csel(Size::W, t, t, ZERO, Cc::Eq);
            }
            self.put(OF, t);
        }
        self.or_older(n, older);
        true
    }

    /// `t` = the result of `shld` or `shrd`.
    fn double_shift(&mut self, left: bool, w: Width, a: u8, b: u8, n: Source) {
        let Room { t, u, .. } = self.room;
        match (w, left) {
            (Width::W64, _) => {
                let (there, back) = if left { (Shift::Lsl, Shift::Lsr) } else { (Shift::Lsr, Shift::Lsl) };
                match back {
                    Shift::Lsr => self.asm.lsr(Size::X, t, b, 1),
                    _ => self.asm.lsl(Size::X, t, b, 1),
                }
                let n = self.operand(n, u);
                self.asm.shift_reg(there, Size::X, TARGET, a, n);
                self.asm.logic(Logic::Orn, Size::W, u, ZERO, n);
                self.asm.shift_reg(back, Size::X, t, t, u);
                return self.asm.logic(Logic::Orr, Size::X, t, t, TARGET);
            }
            (Width::W32, true) => {
                self.asm.mov(Size::W, t, b);
                self.asm.bfi(Size::X, t, a, 32, 32);
            }
            (Width::W32, false) => {
                self.asm.mov(Size::W, t, a);
                self.asm.bfi(Size::X, t, b, 32, 32);
            }
            (_, true) => {
                self.asm.ubfiz(Size::X, t, a, 16, 16);
                self.asm.bfi(Size::X, t, b, 32, 16);
                self.asm.bfi(Size::X, t, a, 48, 16);
            }
            (_, false) => {
                self.asm.ubfx(Size::X, t, a, 0, 16);
                self.asm.bfi(Size::X, t, b, 16, 16);
                self.asm.bfi(Size::X, t, a, 32, 16);
            }
        }
        self.shift_by(if left { Shift::Lsl } else { Shift::Lsr }, t, t, n, 0);
        if left {
            self.asm.lsr(Size::X, t, t, 64 - w.bits() as u8);
        }
    }

    /// The word = `older`.
    fn put_older(&mut self, older: Source) {
        let word = self.room.word;
        let f = self.operand(older, word);
        if f != word {
            self.asm.mov(Size::W, word, f);
        }
    }

    /// The word becomes `older` where `n` is zero.
    fn or_older(&mut self, n: Source, older: Source) {
        let Room { word, t, u } = self.room;
        if let Source::Register(n) = n {
            let f = self.operand(older, t);
            let bits = bitmask(Size::W, 63).expect("a run of ones");
            self.asm.logic_bits(Logic::Ands, Size::W, u, n, bits);
            self.asm.csel(Size::W, word, f, word, Cc::Eq);
        }
    }

    /// `rol` and `ror`, which change CF and OF alone.
    fn rotation(&mut self, left: bool, w: Width, a: Source, n: Source, older: Source) {
        let Room { t, u, .. } = self.room;
        if let Source::Constant(0) = n {
            return self.put_older(older);
        }
        let bits = w.bits() as u8;
        let mut r = self.operand(a, SCRATCH);
        if w < Width::W32 {
            self.asm.ubfx(Size::W, t, r, 0, bits);
            if w == Width::W8 {
                self.asm.logic_shifted(Logic::Orr, Size::W, t, t, t, Shift::Lsl, 8);
            }
            self.asm.logic_shifted(Logic::Orr, Size::W, t, t, t, Shift::Lsl, 16);
            r = t;
        }
        let by = self.operand(n, TARGET);
        if left {
            self.asm.add(Sum::Sub, Size::W, u, ZERO, by);
        }
        self.asm.shift_reg(Shift::Ror, Size::of(w), t, r, if left { u } else { by });
        self.put_older(older);
        if left {
            self.put(CF, t);
            self.asm.logic_shifted(Logic::Eor, Size::of(w), t, t, t, Shift::Lsr, bits - 1);
            self.put(OF, t);
        } else {
            self.top_bit(w, u, t);
            self.put(CF, u);
            self.asm.logic_shifted(Logic::Eor, Size::X, t, t, t, Shift::Lsl, 1);
            self.top_bit(w, t, t);
            self.put(OF, t);
        }
        self.or_older(n, older);
    }

    /// `rcl` and `rcr` by one place.
    fn rotation_by_one(&mut self, left: bool, w: Width, a: Source, older: Source) {
        let Room { word, t, u } = self.room;
        let r = self.operand(a, SCRATCH);
        let f = self.operand(older, u);
        self.top_bit(w, t, r);
        if left {
            self.asm.mov(Size::W, word, f);
            self.put(CF, t);
            self.asm.logic_shifted(Logic::Eor, Size::X, t, r, r, Shift::Lsl, 1);
            self.top_bit(w, t, t);
        } else {
            self.asm.logic(Logic::Eor, Size::W, t, t, f);
            self.asm.mov(Size::W, word, f);
            self.put(CF, r);
        }
        self.put(OF, t);
    }

    fn bit_test(&mut self, w: Width, a: Source, n: Source, older: Source) {
        let Room { word, t, u } = self.room;
        let (a, n) = (self.operand(a, SCRATCH), self.operand(n, TARGET));
        let bits = bitmask(Size::W, u64::from(w.bits() - 1)).expect("a run of ones");
        self.asm.logic_bits(Logic::And, Size::W, t, n, bits);
        self.asm.shift_reg(Shift::Lsr, Size::X, t, a, t);
        let f = self.operand(older, u);
        self.asm.mov(Size::W, word, f);
        self.put(CF, t);
    }

    /// Flags that tell whether operands are zero; the others are zero.
    fn zeros(&mut self, flags: &[(Width, Source, u8)]) {
        let Room { word, t, u } = self.room;
        self.asm.constant(word, 0);
        for (w, source, place) in flags {
            let r = self.operand(*source, u);
            self.test(*w, r);
            self.put_condition(*place, Cc::Eq, t);
        }
    }

    /// `adox`, whose carry is OF.
    fn sum_by_overflow(&mut self, w: Width, a: Source, b: Source, older: Source) {
        let Room { word, t, u } = self.room;
        let (a, b, f) = (self.operand(a, SCRATCH), self.operand(b, TARGET), self.operand(older, u));
        self.asm.ubfx(Size::W, t, f, OF, 1);
        self.asm.add_imm(Sum::Subs, Size::W, ZERO, t, 1);
        self.asm.adc(Sum::Adds, Size::of(w), ZERO, a, b);
        self.asm.constant(word, 0);
        self.put_condition(OF, Cc::Hs, t);
    }
}

//! Status flags when they are read: comparisons into NZCV, and tests.
//!
//! A flags value is an op that is looked at where it is used. NZCV holds it in one of three senses ([`Sense`]): the inverted carry of subtractions
//! and the outcome of float comparisons are dealt with in [`host_condition`] alone.

use hokku_ir::lowering::{FlagsNode, Loc, NodeId, RecipeStep, UpperBits, count_is_known};
use hokku_ir::{Cond, FlagSet, IntCmp, Op, Type, Value, Width};

use crate::access::Piece;
use crate::asm::{Cc, Label, Size};
use crate::assign::{FLAG_SITE, SCRATCH, STATE, STATUS_FLAGS, TARGET, TEMPS, ZERO, recipe_slot_offset};
use crate::conditions::{ALL_BUT_PARITY, Compared, ON_CARRY, SIGNED, Sense, Test, UNSIGNED, host_condition};
use crate::flag_code::{Room, Source};
use crate::immediate::{add_immediate, bitmask};
use crate::integer::{Extend, Logic, Shift, Sum};
use crate::lower::Lowering;

impl Lowering<'_> {
    /// NZCV holds `flags` from now on.
    pub(crate) fn compared(&mut self, flags: Value, sense: Sense, conditions: u16) {
        self.compared = Some(Compared { flags, sense, conditions });
    }

    /// The flags value that those flags in `reads` of `f` come from; `None`: from before the block.
    fn source_of(&self, mut f: Value, reads: FlagSet) -> Option<Value> {
        loop {
            match self.plan.info(f).op {
                Op::MergeFlags { set, a, .. } if set.contains(reads) => f = a,
                Op::MergeFlags { set, b, .. } if !set.intersects(reads) => f = b,
                Op::BitTestFlags { f: older, .. } if !reads.contains(FlagSet::CF) => f = older,
                Op::GetFlags {} => {
                    let mut node = self.plan.flags_at(self.plan.info(f).def as usize);
                    loop {
                        match self.plan.node(node) {
                            FlagsNode::Entry => return None,
                            FlagsNode::Set { set, v, .. } if set.contains(reads) => {
                                f = v;
                                break;
                            }
                            FlagsNode::Set { set, rest, .. } if !set.intersects(reads) => node = rest,
                            FlagsNode::Set { .. } => return Some(f),
                        }
                    }
                }
                _ => return Some(f),
            }
        }
    }

    /// How to test condition `cc` of `f`. The registers named are locked.
    pub(crate) fn test(&mut self, cc: Cond, f: Value) -> Test {
        let Some(source) = self.source_of(f, cc.reads()) else {
            if let Some(test) = self.test_own_carry(cc).or_else(|| self.test_site(cc)) {
                return test;
            }
            let word = self.flags_word(f);
            return self.test_word(cc, word);
        };
        if let Some(test) = self.test_compared(cc, source) {
            return test;
        }
        if self.plan.info(source).deferred
            && let Some(test) = self.compare_for(cc, source)
        {
            return test;
        }
        let word = self.flags_word(source);
        self.test_word(cc, word)
    }

    /// Tests the flags with which the block was entered, by their operands where control came from the block that is known.
    fn test_site(&mut self, cc: Cond) -> Option<Test> {
        let site = self.entry_site?;
        let (op, w, sense) = match site.op {
            Op::SubFlags { w, .. } => (Some(Sum::Subs), w, Sense::Inverted),
            Op::AddFlags { w, .. } => (Some(Sum::Adds), w, Sense::Direct),
            Op::LogicFlags { w, .. } => (None, w, Sense::Direct),
            _ => return None,
        };
        let host = match cc {
            // There is no carry.
            Cond::Be if op.is_none() => Cc::Eq,
            Cond::A if op.is_none() => Cc::Ne,
            _ => host_condition(cc, sense)?,
        };
        // What the runtime's way does to values must be done on the other way as well.
        self.spill_vectors();
        let t = self.temp();
        self.reserve();
        let (slow, done) = (self.asm.label(), self.asm.label());
        self.asm.adr(SCRATCH, site.label);
        self.asm.add(Sum::Sub, Size::X, SCRATCH, SCRATCH, FLAG_SITE);
        self.asm.cbnz(Size::X, SCRATCH, slow);
        let size = Size::of(w);
        let by = if w < Width::W32 { 32 - w.bits() as u8 } else { 0 };
        for (step, reg) in site.operands.into_iter().zip([TARGET, SCRATCH]) {
            match step {
                Some(RecipeStep::Slot(slot)) => self.asm.load(Piece::X, reg, STATE, recipe_slot_offset(slot)),
                Some(RecipeStep::Constant(n)) => self.asm.constant(reg, n & w.mask()),
                _ => {}
            }
        }
        if by != 0 {
            self.asm.lsl(Size::W, TARGET, TARGET, by);
        }
        match op {
            Some(op) => self.asm.add_shifted(op, size, ZERO, TARGET, SCRATCH, Shift::Lsl, by),
            None => self.asm.logic(Logic::Ands, size, ZERO, TARGET, TARGET),
        }
        self.asm.cset(t, host);
        self.outline(slow, |l| {
            l.settle_flags();
            l.asm.load(Piece::W, t, STATE, STATUS_FLAGS);
            let test = l.test_word(cc, t);
            l.set_by(t, test);
            l.asm.b(done);
        });
        self.asm.bind(done);
        self.compared = None;
        Some(Test::Zero { size: Size::W, reg: t, is: false })
    }

    /// The test by what NZCV holds already.
    fn test_compared(&mut self, cc: Cond, f: Value) -> Option<Test> {
        let c = self.compared.filter(|c| c.flags == f && c.conditions >> cc as u16 & 1 != 0)?;
        if let Some(host) = host_condition(cc, c.sense) {
            return Some(Test::Host(host));
        }
        if c.sense == Sense::Direct && matches!(cc, Cond::Be | Cond::A) {
            let t = self.temp();
            self.asm.cset(t, Cc::Hs);
            self.asm.csinc(Size::W, t, t, ZERO, Cc::Ne);
            return Some(Test::Zero { size: Size::W, reg: t, is: cc == Cond::A });
        }
        None
    }

    /// Looks at the operands of flags op `f`; `None` where that is not known how.
    fn compare_for(&mut self, cc: Cond, f: Value) -> Option<Test> {
        let negated = cc as usize & 1 != 0;
        let positive = Cond::ALL[cc as usize & !1];
        match self.plan.info(f).op {
            Op::SubFlags { w, a, b } => {
                if positive == Cond::P {
                    let (a, b) = (self.reg(a), self.reg(b));
                    let t = self.temp();
                    self.asm.add(Sum::Sub, Size::W, t, a, b);
                    return Some(self.parity_of(t).negate_if(negated));
                }
                self.compare(f, positive, w, a, b);
            }
            Op::AddFlags { w, a, b } if positive != Cond::P => self.compare_sum(f, w, a, b),
            Op::DecFlags { w, a } if cc.reads().intersects(FlagSet::ZF | FlagSet::SF | FlagSet::OF) => {
                self.one_more_or_less(f, Sum::Subs, w, a);
            }
            Op::IncFlags { w, a } if cc.reads().intersects(FlagSet::ZF | FlagSet::SF | FlagSet::OF) => {
                self.one_more_or_less(f, Sum::Adds, w, a);
            }
            Op::LogicFlags { w, v } => return Some(self.test_result(positive, w, v).negate_if(negated)),
            Op::ShlFlags { w, a, n, .. } | Op::ShrFlags { w, a, n, .. } | Op::SarFlags { w, a, n, .. } => {
                let n = self.constant_of(n).filter(|n| n & 63 != 0)? as u8;
                return self.test_shift(positive, f, w, a, n).map(|t| t.negate_if(negated));
            }
            Op::BitTestFlags { w, a, n, .. } if positive == Cond::B => {
                return Some(self.test_bit_of(w, a, n).negate_if(negated));
            }
            _ => return None,
        }
        self.test_compared(cc, f)
    }

    /// `cmp a, b` of width `w` for condition `cc`.
    fn compare(&mut self, f: Value, cc: Cond, w: Width, a: Value, b: Value) {
        if w >= Width::W32 {
            let size = Size::of(w);
            let ra = self.reg(a);
            self.subtract_operand(Sum::Subs, size, ZERO, ra, b, w);
            return self.compared(f, Sense::Inverted, ALL_BUT_PARITY);
        }
        let bits = 1u16 << cc as u16;
        if UNSIGNED & bits != 0 {
            self.compare_narrow(false, w, a, b);
            self.compared(f, Sense::Inverted, UNSIGNED);
        } else if SIGNED & bits != 0 {
            self.compare_narrow(true, w, a, b);
            self.compared(f, Sense::Inverted, SIGNED);
        } else {
            let by = 32 - w.bits() as u8;
            let (ra, rb) = (self.reg(a), self.reg(b));
            self.asm.lsl(Size::W, SCRATCH, ra, by);
            self.asm.add_shifted(Sum::Subs, Size::W, ZERO, SCRATCH, rb, Shift::Lsl, by);
            self.compared(f, Sense::Inverted, ALL_BUT_PARITY);
        }
    }

    /// Compares `a` and `b` of 8 or 16 bits as numbers of 32.
    fn compare_narrow(&mut self, is_signed: bool, w: Width, a: Value, b: Value) {
        let ra = if is_signed { self.sign_extended(a, w, Size::W) } else { self.zero_extended(a, w) };
        if let Some(n) = self.constant_of(b).filter(|_| ra != ZERO) {
            let sign = if is_signed { n & (w.mask() / 2 + 1) } else { 0 };
            let n = (n & w.mask()).wrapping_sub(2 * sign) as u32;
            return self.subtract_constant(Size::W, ZERO, ra, n.into());
        }
        let rb = self.reg(b);
        if rb == ZERO || ra == ZERO || !is_signed && self.upper_of(b, w).zero {
            // Register 31 is the stack pointer where the other is extended.
            let rb = if is_signed { self.sign_extended(b, w, Size::W) } else { self.zero_extended(b, w) };
            return self.asm.add(Sum::Subs, Size::W, ZERO, ra, rb);
        }
        let extend = match (is_signed, w) {
            (false, Width::W8) => Extend::Uxtb,
            (false, _) => Extend::Uxth,
            (true, Width::W8) => Extend::Sxtb,
            (true, _) => Extend::Sxth,
        };
        self.asm.add_extended(Sum::Subs, Size::W, ZERO, ra, rb, extend, 0);
    }

    /// `subs d, n, #value`.
    pub(crate) fn subtract_constant(&mut self, size: Size, d: u8, n: u8, value: u64) {
        debug_assert!(n != ZERO, "register 31 is the stack pointer where a constant is added");
        let minus = if size == Size::W { u64::from((value as u32).wrapping_neg()) } else { value.wrapping_neg() };
        if let Some(imm) = add_immediate(value) {
            self.asm.add_imm(Sum::Subs, size, d, n, imm);
        } else if let Some(imm) = add_immediate(minus).filter(|_| value != 0) {
            // The carry comes out as it should but for zero.
            self.asm.add_imm(Sum::Adds, size, d, n, imm);
        } else {
            let c = self.shared_constant(value);
            self.asm.add(Sum::Subs, size, d, n, c);
        }
    }

    /// `subs d, n, b` where `b` may be a constant.
    pub(crate) fn subtract_operand(&mut self, op: Sum, size: Size, d: u8, n: u8, b: Value, w: Width) {
        if let Some(value) = self.constant_of(b).filter(|_| n != ZERO && op == Sum::Subs) {
            return self.subtract_constant(size, d, n, value & w.mask());
        }
        let rb = self.operand(b);
        self.asm.add(op, size, d, n, rb);
    }

    /// `cmn a, b`.
    fn compare_sum(&mut self, f: Value, w: Width, a: Value, b: Value) {
        let (ra, rb) = (self.reg(a), self.reg(b));
        if w >= Width::W32 {
            self.asm.add(Sum::Adds, Size::of(w), ZERO, ra, rb);
        } else {
            let by = 32 - w.bits() as u8;
            self.asm.lsl(Size::W, SCRATCH, ra, by);
            self.asm.add_shifted(Sum::Adds, Size::W, ZERO, SCRATCH, rb, Shift::Lsl, by);
        }
        self.compared(f, Sense::Direct, ALL_BUT_PARITY);
    }

    /// `a` and one, added or subtracted: for all but CF.
    fn one_more_or_less(&mut self, f: Value, op: Sum, w: Width, a: Value) {
        let ra = self.real_reg(a);
        if w >= Width::W32 {
            self.asm.add_imm(op, Size::of(w), ZERO, ra, 1);
        } else {
            let by = 32 - w.bits() as u8;
            self.asm.lsl(Size::W, SCRATCH, ra, by);
            self.asm.constant(TARGET, 1 << by);
            self.asm.add(op, Size::W, ZERO, SCRATCH, TARGET);
        }
        self.compared(f, Sense::Direct, ALL_BUT_PARITY & !ON_CARRY);
    }

    /// Tests of a result `v` without carry and overflow; `cc` is one of the positive conditions.
    fn test_result(&mut self, cc: Cond, w: Width, v: Value) -> Test {
        let top = (w.bits() - 1) as u8;
        match cc {
            Cond::O | Cond::B => Test::Constant(false),
            Cond::E | Cond::Be => {
                let r = if w < Width::W32 { self.zero_extended(v, w) } else { self.reg(v) };
                Test::Zero { size: Size::of(w), reg: r, is: true }
            }
            Cond::S | Cond::L => {
                let r = self.reg(v);
                Test::Bit { reg: r, bit: top, is: true }
            }
            Cond::P => {
                let r = self.reg(v);
                self.parity_of(r)
            }
            _ => {
                // Not above zero.
                let r = self.sign_extended(v, w, Size::of(w));
                self.asm.logic(Logic::Ands, Size::of(w), ZERO, r, r);
                self.compared = None;
                Test::Host(Cc::Le)
            }
        }
    }

    /// Whether the low byte of `r` has an even number of ones.
    fn parity_of(&mut self, r: u8) -> Test {
        let t = self.temp();
        self.asm.logic_shifted(Logic::Eor, Size::W, t, r, r, Shift::Lsr, 4);
        self.asm.logic_shifted(Logic::Eor, Size::W, t, t, t, Shift::Lsr, 2);
        self.asm.logic_shifted(Logic::Eor, Size::W, t, t, t, Shift::Lsr, 1);
        Test::Bit { reg: t, bit: 0, is: false }
    }

    /// Tests of what a shift of `a` by the constant `n` gives.
    fn test_shift(&mut self, cc: Cond, f: Value, w: Width, a: Value, n: u8) -> Option<Test> {
        let op = self.plan.info(f).op;
        let bits = w.bits() as u8;
        let left = matches!(op, Op::ShlFlags { .. });
        match cc {
            Cond::B => {
                let r =
                    if matches!(op, Op::SarFlags { .. }) { self.sign_extended(a, w, Size::of(w)) } else { self.reg(a) };
                let limit = if matches!(op, Op::SarFlags { .. }) { Size::of(w).bits() } else { bits };
                if n > limit {
                    return Some(Test::Constant(false));
                }
                let bit = if left { bits - n } else { n - 1 };
                Some(Test::Bit { reg: r, bit, is: true })
            }
            Cond::E | Cond::S | Cond::P => {
                let t = self.temp();
                self.shift_constant_to(t, &op, w, a, n);
                Some(match cc {
                    Cond::E => {
                        self.zero_extend_to(t, t, w);
                        Test::Zero { size: Size::of(w), reg: t, is: true }
                    }
                    Cond::S => Test::Bit { reg: t, bit: bits - 1, is: true },
                    _ => self.parity_of(t),
                })
            }
            _ => None,
        }
    }

    /// Bit `n` modulo the width of `a`.
    fn test_bit_of(&mut self, w: Width, a: Value, n: Value) -> Test {
        let ra = self.reg(a);
        match self.constant_of(n) {
            Some(n) => Test::Bit { reg: ra, bit: (n & u64::from(w.bits() - 1)) as u8, is: true },
            None => {
                let rn = self.reg(n);
                let t = self.temp();
                if w < Width::W32 {
                    let bits = bitmask(Size::W, u64::from(w.bits() - 1)).unwrap_or(0);
                    self.asm.logic_bits(Logic::And, Size::W, t, rn, bits);
                    self.asm.shift_reg(Shift::Lsr, Size::W, t, ra, t);
                } else {
                    self.asm.shift_reg(Shift::Lsr, Size::of(w), t, ra, rn);
                }
                Test::Bit { reg: t, bit: 0, is: true }
            }
        }
    }

    /// The flags `f` at their EFLAGS places, in a locked register.
    pub(crate) fn flags_word(&mut self, f: Value) -> u8 {
        if !matches!(self.values.loc(f), Loc::Nowhere) {
            let r = self.values.register(f, &self.plan, &mut self.asm);
            let Some(code) = self.values.code(f) else { return r };
            let t = self.temp();
            self.asm.lsr(Size::X, t, r, code.shift);
            self.asm.constant(SCRATCH, code.table);
            self.asm.shift_reg(Shift::Lsr, Size::X, t, SCRATCH, t);
            self.asm.constant(SCRATCH, FlagSet::STATUS.bits().into());
            self.asm.logic(Logic::And, Size::W, t, t, SCRATCH);
            self.values.unlock(r);
            return t;
        }
        match self.plan.info(f).op {
            Op::GetFlags {} => self.node_word(self.plan.flags_at(self.plan.info(f).def as usize)),
            Op::MergeFlags { set, a, b } => {
                // The older ones first: they may take more temporaries.
                let b = self.flags_word(b);
                let a = self.flags_word(a);
                self.merge_words(set, a, b)
            }
            op => self.compute_word(&op),
        }
    }

    /// The flags that `op` gives, in a locked register.
    fn compute_word(&mut self, op: &Op) -> u8 {
        let locks = self.values.locks();
        // A shift that does shift replaces all older flags.
        let drops_older = count_is_known(op, |n| self.constant_of(n));
        let mut operands = Vec::new();
        op.values(&mut |v| operands.push(v));
        let mut sources = vec![Source::Constant(0); operands.len()];
        let (flags, integers): (Vec<usize>, Vec<usize>) =
            (0..operands.len()).partition(|n| self.plan.info(operands[*n]).op.result_type() == Type::Flags);
        // Flags first: their code takes temporaries.
        for n in flags.into_iter().filter(|_| !drops_older) {
            let word = self.flags_word(operands[n]);
            self.values.unlock_since(locks, &[word]);
            sources[n] = Source::Register(word);
        }
        let is_free = |r: &&u8| self.values.locks() & 1 << **r == 0;
        if TEMPS.iter().filter(is_free).count() < integers.len() + 3 {
            self.values.unlock_since(locks, &[]);
            return self.evaluate_now(*op);
        }
        for n in integers {
            sources[n] = match self.constant_of(operands[n]) {
                Some(n) => Source::Constant(n),
                None => Source::Register(self.reg(operands[n])),
            };
        }
        let room = Room { word: self.temp(), t: self.temp(), u: self.temp() };
        self.compared = None;
        if !self.asm.flags_of(op, &sources, FlagSet::STATUS, room) {
            self.values.unlock_since(locks, &[]);
            return self.evaluate_now(*op);
        }
        self.values.unlock_since(locks, &[room.word]);
        room.word
    }

    /// The guest's flags at `node`.
    fn node_word(&mut self, node: NodeId) -> u8 {
        match self.plan.node(node) {
            FlagsNode::Entry => self.entry_word(),
            FlagsNode::Set { set, v, .. } if set.is_all() => self.flags_word(v),
            FlagsNode::Set { set, v, rest } => {
                let b = self.node_word(rest);
                let a = self.flags_word(v);
                self.merge_words(set, a, b)
            }
        }
    }

    /// The flags in `set` from `a`, the others from `b`.
    fn merge_words(&mut self, set: FlagSet, a: u8, b: u8) -> u8 {
        let t = self.temp();
        self.asm.constant(SCRATCH, set.bits().into());
        self.asm.logic(Logic::Eor, Size::W, t, a, b);
        self.asm.logic(Logic::And, Size::W, t, t, SCRATCH);
        self.asm.logic(Logic::Eor, Size::W, t, t, b);
        self.values.unlock(a);
        self.values.unlock(b);
        t
    }

    /// Condition `cc` of flags at their EFLAGS places.
    fn test_word(&mut self, cc: Cond, word: u8) -> Test {
        let bit = |bit: u8| Test::Bit { reg: word, bit, is: true };
        let test = match Cond::ALL[cc as usize & !1] {
            Cond::O => bit(11),
            Cond::B => bit(0),
            Cond::E => bit(6),
            Cond::S => bit(7),
            Cond::P => bit(2),
            Cond::Be => {
                let t = self.temp();
                self.asm.logic_shifted(Logic::Orr, Size::W, t, word, word, Shift::Lsr, 6);
                Test::Bit { reg: t, bit: 0, is: true }
            }
            other => {
                let t = self.temp();
                self.asm.logic_shifted(Logic::Eor, Size::W, t, word, word, Shift::Lsr, 4);
                if other == Cond::Le {
                    self.asm.logic_shifted(Logic::Orr, Size::W, t, t, word, Shift::Lsl, 1);
                }
                Test::Bit { reg: t, bit: 7, is: true }
            }
        };
        test.negate_if(cc as usize & 1 != 0)
    }

    /// How to test the I8 `c`: a deferred condition or comparison, or any value.
    pub(crate) fn test_value(&mut self, c: Value) -> Test {
        if let Some(n) = self.constant_of(c) {
            return Test::Constant(n & 0xff != 0);
        }
        let root = self.plan.root(c);
        let info = *self.plan.info(root);
        match info.op {
            Op::Condition { cc, f } if info.deferred => self.test(cc, f),
            Op::Compare { op, w, a, b } if info.deferred => self.test_comparison(op, w, a, b),
            _ => {
                let r = self.zero_extended(c, Width::W8);
                Test::Zero { size: Size::W, reg: r, is: false }
            }
        }
    }

    /// Tests `a op b`.
    pub(crate) fn test_comparison(&mut self, op: IntCmp, w: Width, a: Value, b: Value) -> Test {
        if matches!(op, IntCmp::Eq | IntCmp::Ne) && self.constant_of(b) == Some(0) {
            let r = if w < Width::W32 { self.zero_extended(a, w) } else { self.reg(a) };
            return Test::Zero { size: Size::of(w), reg: r, is: op == IntCmp::Eq };
        }
        let (cc, signed) = match op {
            IntCmp::Eq => (Cc::Eq, false),
            IntCmp::Ne => (Cc::Ne, false),
            IntCmp::Ult => (Cc::Lo, false),
            IntCmp::Ule => (Cc::Ls, false),
            IntCmp::Slt => (Cc::Lt, true),
            IntCmp::Sle => (Cc::Le, true),
        };
        if w < Width::W32 {
            self.compare_narrow(signed, w, a, b);
        } else {
            let ra = self.reg(a);
            self.subtract_operand(Sum::Subs, Size::of(w), ZERO, ra, b, w);
        }
        self.compared = None;
        Test::Host(cc)
    }

    /// `d` = one where `test` holds, else zero.
    pub(crate) fn set_by(&mut self, d: u8, test: Test) {
        match test {
            Test::Constant(yes) => self.asm.constant(d, yes.into()),
            Test::Host(cc) => self.asm.cset(d, cc),
            Test::Bit { reg, bit, is } => {
                self.asm.ubfx(Size::X, d, reg, bit, 1);
                if !is {
                    let one = bitmask(Size::W, 1).unwrap_or(0);
                    self.asm.logic_bits(Logic::Eor, Size::W, d, d, one);
                }
            }
            Test::Zero { .. } => {
                let cc = self.host_test(test);
                self.asm.cset(d, cc);
            }
        }
    }

    /// The test as a condition on NZCV.
    pub(crate) fn host_test(&mut self, test: Test) -> Cc {
        match test {
            Test::Host(cc) => cc,
            Test::Constant(yes) => {
                self.compared = None;
                self.asm.logic(Logic::Ands, Size::W, ZERO, ZERO, ZERO);
                if yes { Cc::Eq } else { Cc::Ne }
            }
            Test::Zero { size, reg, is } => {
                self.compared = None;
                self.asm.logic(Logic::Ands, size, ZERO, reg, reg);
                if is { Cc::Eq } else { Cc::Ne }
            }
            Test::Bit { reg, bit, is } => {
                self.compared = None;
                let bits = bitmask(Size::X, 1 << bit).unwrap_or(0);
                self.asm.logic_bits(Logic::Ands, Size::X, ZERO, reg, bits);
                if is { Cc::Ne } else { Cc::Eq }
            }
        }
    }

    /// Jumps to `label` where `test` holds. The label may be anywhere in the region.
    pub(crate) fn branch_if(&mut self, test: Test, label: Label) {
        match test {
            Test::Constant(true) => self.asm.b(label),
            Test::Constant(false) => {}
            Test::Host(cc) => self.asm.b_cond(cc, label),
            Test::Zero { size, reg, is: true } => self.asm.cbz(size, reg, label),
            Test::Zero { size, reg, is: false } => self.asm.cbnz(size, reg, label),
            Test::Bit { .. } => {
                // Regions are larger than `tbz` reaches.
                let cc = self.host_test(test);
                self.asm.b_cond(cc, label);
            }
        }
    }

    /// A deferred condition or comparison as a value in `d`.
    pub(crate) fn compute_deferred(&mut self, v: Value, d: u8) {
        match self.plan.info(v).op {
            Op::Condition { .. } | Op::Compare { .. } => {
                let test = self.test_value(v);
                self.set_by(d, test);
            }
            Op::Add { w, a, b } | Op::Sub { w, a, b } | Op::And { w, a, b } => {
                let (a, b) = (self.reg(a), self.reg(b));
                match self.plan.info(v).op {
                    Op::Add { .. } => self.asm.add(Sum::Add, Size::of(w), d, a, b),
                    Op::Sub { .. } => self.asm.add(Sum::Sub, Size::of(w), d, a, b),
                    _ => self.asm.logic(Logic::And, Size::of(w), d, a, b),
                }
            }
            op => {
                debug_assert!(op.result_type() == Type::Flags, "{op:?} is not put off");
                let word = self.flags_word(v);
                self.asm.mov(Size::X, d, word);
            }
        }
    }

    /// `condition` that is a value of its own.
    pub(crate) fn condition_value(&mut self, dst: Value, cc: Cond, f: Value) {
        let test = self.test(cc, f);
        let d = self.dest(dst);
        self.set_by(d, test);
        self.define(dst, UpperBits::BOTH);
    }

    /// Makes C what an `adc` (CF itself) or `sbc` (`Inverted`) wants of the carry of `f`.
    pub(crate) fn carry_in(&mut self, f: Value, sense: Sense) {
        if let Some(source) = self.source_of(f, FlagSet::CF) {
            let holds = |l: &Self| {
                l.compared
                    .is_some_and(|c| c.flags == source && c.sense == sense && c.conditions >> Cond::B as u16 & 1 != 0)
            };
            if holds(self) {
                return;
            }
        }
        let test = self.test(Cond::B, f);
        if self.compared.is_some_and(|c| c.sense == sense) && matches!(test, Test::Host(Cc::Hs | Cc::Lo)) {
            return;
        }
        let (reg, size, is) = match test {
            Test::Zero { size, reg, is } if reg != ZERO => (reg, size, is),
            _ => {
                let t = self.temp();
                self.set_by(t, test);
                (t, Size::W, false)
            }
        };
        self.compared = None;
        // A carry comes of taking one from what is not zero, or of taking zero from zero.
        if is == (sense == Sense::Direct) {
            self.asm.add(Sum::Subs, size, ZERO, ZERO, reg);
        } else {
            self.asm.add_imm(Sum::Subs, size, ZERO, reg, 1);
        }
    }
}

//! Conditions as comparisons of two registers.

use hokku_ir::lowering::Loc;
use hokku_ir::{Cond, FlagSet, IntCmp, Op, Value, Width};

use crate::asm::Label;
use crate::assign::{OLDER, SCRATCH};
use crate::encode::*;
use crate::flags::Source;
use crate::lower::{Lowering, sign_extend};

/// Holds where `a op b`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Test {
    pub(crate) op: Branch,
    pub(crate) a: Reg,
    pub(crate) b: Reg,
}

impl Test {
    const NEVER: Test = Test { op: Branch::Ne, a: ZERO, b: ZERO };

    fn new(op: Branch, a: Reg, b: Reg) -> Test {
        Test { op, a, b }
    }

    fn is_not_zero(a: Reg) -> Test {
        Test::new(Branch::Ne, a, ZERO)
    }

    /// Holds where this one does not.
    pub(crate) fn opposite(self) -> Test {
        self.negate()
    }

    fn negate(self) -> Test {
        Test { op: self.op.negate(), ..self }
    }

    /// Whether it looks at register `r`.
    pub(crate) fn reads(self, r: Reg) -> bool {
        r != ZERO && (self.a == r || self.b == r)
    }
}

/// Whether `op`, used once, by `user` or the exit, becomes part of that one's code.
pub(crate) fn fuses(op: &Op, user: Option<&Op>) -> bool {
    let is_condition = matches!(op, Op::Condition { .. } | Op::Compare { .. });
    is_condition && matches!(user, None | Some(Op::Select { .. } | Op::TrapIf { .. }))
}

impl Lowering<'_> {
    /// Where the I8 value `c` is not zero.
    pub(crate) fn test(&mut self, c: Value) -> Test {
        let root = self.plan.root(c);
        if self.plan.info(root).deferred && self.plan.constant(c).is_none() {
            return self.test_of(self.op_of(root));
        }
        let r = self.zero_extended(c);
        Test::is_not_zero(r)
    }

    /// Where the condition or comparison `op` holds.
    pub(crate) fn test_of(&mut self, op: Op) -> Test {
        match op {
            Op::Condition { cc, f } => self.condition(cc, f),
            Op::Compare { op, w, a, b } => self.compare_test(op, w, a, b),
            _ => panic!("{} is not a condition", op.name()),
        }
    }

    /// A deferred condition, or what flags are made of, as a value.
    pub(crate) fn deferred(&mut self, v: Value) -> Reg {
        let (op, a, b) = match self.op_of(v) {
            Op::Add { w, a, b } => (if w == Width::W32 { ADDW } else { ADD }, a, b),
            Op::Sub { w, a, b } => (if w == Width::W32 { SUBW } else { SUB }, a, b),
            Op::And { a, b, .. } => (AND, a, b),
            condition => {
                let test = self.test_of(condition);
                return self.truth(test);
            }
        };
        let (a, b) = (self.reg(a), self.reg(b));
        let t = self.temp();
        self.asm.r(op, t, a, b);
        t
    }

    /// A register that is one where `test` holds, else zero.
    pub(crate) fn truth(&mut self, test: Test) -> Reg {
        let t = self.temp();
        self.truth_to(t, test);
        t
    }

    pub(crate) fn truth_to(&mut self, d: Reg, Test { op, a, b }: Test) {
        match op {
            Branch::Eq | Branch::Ne => {
                let mut from = if b == ZERO { a } else { b };
                if a != ZERO && b != ZERO {
                    self.asm.r(SUB, d, a, b);
                    from = d;
                }
                if op == Branch::Eq {
                    self.asm.i(SLTIU, d, from, 1);
                } else {
                    self.asm.r(SLTU, d, ZERO, from);
                }
            }
            Branch::Lt | Branch::Ge => self.asm.r(SLT, d, a, b),
            Branch::Ltu | Branch::Geu => self.asm.r(SLTU, d, a, b),
        }
        if matches!(op, Branch::Ge | Branch::Geu) {
            self.asm.i(XORI, d, d, 1);
        }
    }

    pub(crate) fn branch_if(&mut self, test: Test, label: Label) {
        self.asm.branch(test.op, test.a, test.b, label);
    }

    pub(crate) fn branch_unless(&mut self, test: Test, label: Label) {
        self.branch_if(test.negate(), label);
    }

    pub(crate) fn compare_test(&mut self, op: IntCmp, w: Width, a: Value, b: Value) -> Test {
        match op {
            IntCmp::Eq | IntCmp::Ne => {
                let (ra, rb) = self.same_form(w, a, b);
                Test::new(if op == IntCmp::Eq { Branch::Eq } else { Branch::Ne }, ra, rb)
            }
            IntCmp::Ult | IntCmp::Ule => {
                let (ra, rb) = self.same_form(w, a, b);
                if op == IntCmp::Ult { Test::new(Branch::Ltu, ra, rb) } else { Test::new(Branch::Geu, rb, ra) }
            }
            IntCmp::Slt | IntCmp::Sle => {
                let (ra, rb) = (self.sign_extended(a), self.sign_extended(b));
                if op == IntCmp::Slt { Test::new(Branch::Lt, ra, rb) } else { Test::new(Branch::Ge, rb, ra) }
            }
        }
    }

    /// Registers that hold `a` and `b` extended alike, so that they compare as unsigned numbers.
    fn same_form(&mut self, w: Width, a: Value, b: Value) -> (Reg, Reg) {
        let (ua, ub) = (self.upper(a), self.upper(b));
        let by_sign = if self.is_to_be_widened(a) || self.is_to_be_widened(b) {
            false
        } else if self.plan.constant(b).is_some() {
            ua.sign && !ua.zero
        } else if self.plan.constant(a).is_some() {
            ub.sign && !ub.zero
        } else {
            ua.sign && ub.sign
        };
        match by_sign && w != Width::W64 {
            true => (self.sign_extended(a), self.sign_extended(b)),
            false => (self.zero_extended(a), self.zero_extended(b)),
        }
    }

    /// Whether `v` is in a home whose upper half the end of the block, which is at hand, clears.
    fn is_to_be_widened(&self, v: Value) -> bool {
        self.at as usize == self.block.insts.len()
            && matches!(self.values.loc(v), Loc::Home(g) if self.narrow & !self.kept_at_branch() & 1 << g.index() != 0)
    }

    fn condition(&mut self, cc: Cond, f: Value) -> Test {
        let positive = Cond::ALL[cc as usize & !1];
        let test = match self.source(f, positive.reads()) {
            Source::Value(f) => self.fused(positive, f),
            _ => None,
        };
        let test = test.unwrap_or_else(|| self.by_bits(positive, f));
        if cc as usize & 1 == 0 { test } else { test.negate() }
    }

    /// Condition `cc` of the flags that one op gives, without the flags.
    fn fused(&mut self, cc: Cond, f: Value) -> Option<Test> {
        if !self.plan.info(f).deferred {
            // Of floats: unless they are less or equal, there is no flag at all.
            let of_floats = matches!(self.op_of(f), Op::FpCompareFlags { .. });
            return (of_floats && cc == Cond::Be)
                .then(|| Test::is_not_zero(self.values.register(f, &self.plan, &mut self.asm)));
        }
        Some(match (self.op_of(f), cc) {
            (Op::SubFlags { w, a, b }, Cond::E) => self.compare_test(IntCmp::Eq, w, a, b),
            (Op::SubFlags { w, a, b }, Cond::B) => self.compare_test(IntCmp::Ult, w, a, b),
            (Op::SubFlags { w, a, b }, Cond::Be) => self.compare_test(IntCmp::Ule, w, a, b),
            (Op::SubFlags { w, a, b }, Cond::L) => self.compare_test(IntCmp::Slt, w, a, b),
            (Op::SubFlags { w, a, b }, Cond::Le) => self.compare_test(IntCmp::Sle, w, a, b),
            (Op::LogicFlags { v, .. }, Cond::E | Cond::Be) => Test::new(Branch::Eq, self.extended(v), ZERO),
            (Op::LogicFlags { v, .. }, Cond::S | Cond::L) => Test::new(Branch::Lt, self.sign_extended(v), ZERO),
            (Op::LogicFlags { v, .. }, Cond::Le) => Test::new(Branch::Ge, ZERO, self.sign_extended(v)),
            (Op::LogicFlags { .. }, Cond::B | Cond::O) => Test::NEVER,
            (Op::BitScanFlags { a, .. } | Op::CountOnesFlags { a, .. }, Cond::E) => {
                Test::new(Branch::Eq, self.extended(a), ZERO)
            }
            (Op::CountZerosFlags { a, .. }, Cond::B) => Test::new(Branch::Eq, self.extended(a), ZERO),
            (Op::CountZerosFlags { v, .. }, Cond::E) => Test::new(Branch::Eq, self.extended(v), ZERO),
            (op, Cond::E | Cond::S) => {
                let (w, r, form) = self.flags_result(f, &op)?;
                let t = if w == Width::W64 || form.sign || (cc == Cond::E && form.zero) {
                    r
                } else {
                    let t = self.temp();
                    self.extend_sign_to(t, r, w);
                    t
                };
                Test::new(if cc == Cond::E { Branch::Eq } else { Branch::Lt }, t, ZERO)
            }
            (Op::AddFlags { w, .. }, Cond::B) => {
                let (_, r, form) = self.flags_result(f, &self.op_of(f))?;
                let Op::AddFlags { a, .. } = self.op_of(f) else { return None };
                let ra = self.zero_extended(a);
                let rr = if w == Width::W64 || form.zero {
                    r
                } else {
                    let t = self.temp();
                    self.extend_zero_to(t, r, w);
                    t
                };
                Test::new(Branch::Ltu, rr, ra)
            }
            (Op::IncFlags { .. } | Op::DecFlags { .. }, _) => return None,
            _ => return None,
        })
    }

    /// `v` extended either way.
    fn extended(&mut self, v: Value) -> Reg {
        if self.upper(v).sign { self.reg(v) } else { self.zero_extended(v) }
    }

    /// By the flags themselves.
    fn by_bits(&mut self, cc: Cond, f: Value) -> Test {
        let bit = |l: &mut Self, flag| l.one_bit(f, flag);
        match cc {
            Cond::Be => {
                let (c, z) = (bit(self, FlagSet::CF), bit(self, FlagSet::ZF));
                self.asm.r(OR, c, c, z);
                Test::is_not_zero(c)
            }
            Cond::L | Cond::Le => {
                let (s, o) = (bit(self, FlagSet::SF), bit(self, FlagSet::OF));
                if cc == Cond::L {
                    return Test::new(Branch::Ne, s, o);
                }
                let z = bit(self, FlagSet::ZF);
                self.asm.r(XOR, s, s, o);
                self.asm.r(OR, s, s, z);
                Test::is_not_zero(s)
            }
            _ => match self.source(f, cc.reads()) {
                Source::Older => {
                    let t = self.temp();
                    let bit = cc.reads().bits() as i32;
                    if bit < 2048 {
                        self.asm.i(ANDI, t, OLDER, bit);
                    } else {
                        self.asm.i(SRLI, t, OLDER, 11);
                        self.asm.i(ANDI, t, t, 1);
                    }
                    Test::is_not_zero(t)
                }
                _ => {
                    let r = bit(self, cc.reads());
                    Test::is_not_zero(r)
                }
            },
        }
    }

    /// Tests that look at registers whose upper half is about to be cleared, those of `gprs`, become ones that do not.
    pub(crate) fn settled(&mut self, test: Test, gprs: u16) -> Test {
        let is_narrow = |r: Reg| (10..26).contains(&r) && self.is_home(r) && gprs & 1 << (r - 10) != 0;
        let is_zero_test = matches!(test.op, Branch::Eq | Branch::Ne) && (test.a == ZERO || test.b == ZERO);
        if (is_narrow(test.a) || is_narrow(test.b)) && !is_zero_test {
            return self.as_truth(test);
        }
        test
    }

    /// The test of what `test` gives, in a temporary.
    pub(crate) fn as_truth(&mut self, test: Test) -> Test {
        // Turned round where that saves an instruction.
        if matches!(test.op, Branch::Eq | Branch::Ge | Branch::Geu) {
            let t = self.truth(test.negate());
            return Test::is_not_zero(t).negate();
        }
        let t = self.truth(test);
        Test::is_not_zero(t)
    }

    fn is_home(&self, r: Reg) -> bool {
        usize::from(r - 10) < self.mode.gpr_count()
    }

    /// [`SCRATCH`] = constant `n` of width `w`, sign-extended.
    pub(crate) fn scratch_constant(&mut self, n: u64, w: Width) -> Reg {
        self.asm.li(SCRATCH, sign_extend(n, w));
        SCRATCH
    }
}

//! Looks at the host's exceptions behind a run of ops on floats: what needs the evaluator raises one that is not inexact.
//!
//! The host raises the same exceptions as x86, but tells neither of denormal operands nor of quiet NaNs. So those are made to raise exceptions: an
//! operand is multiplied by a power of two that makes what is tiny inexact (underflow) and leaves zero and the others exact, and what the run
//! leaves behind is compared so that NaNs signal (invalid). What is not tiny has a lower bound: where that makes sure of what comes of it, it is not
//! multiplied again. What the exceptions were before the run is kept, and put back where the evaluator does all of it again.

use hokku_ir::backend::LazyState;
use hokku_ir::{FpOp, Op, Type, VecBin, VecUn};

use crate::assign::*;
use crate::callout::OutOfLine;
use crate::encode::*;
use crate::float::{DYNAMIC, fp};
use crate::lower::Lowering;
use crate::places::element;
use crate::vector_encode::*;
use crate::vector_moves::float_of_int;

/// The exponent of the factor by which doubles are multiplied.
const DOUBLE_EXPONENT: i32 = -624;
/// The same for singles: programs have small ones, and what is multiplied less stays exact.
const SINGLE_EXPONENT: i32 = -23;
/// The bits of the double factor.
pub(crate) const DOUBLE_SCALE: i64 = ((DOUBLE_EXPONENT + 1023) as i64) << 52;
/// The same of the single one.
const SINGLE_SCALE: i32 = (SINGLE_EXPONENT + 127) << 23;
/// `csrrw rd, fflags, rs` and `csrrs`.
const WRITE_EXCEPTIONS: u32 = 0x0010_1073;
const READ_EXCEPTIONS: u32 = 0x0010_2073;
/// Underflow, overflow, division by zero, invalid.
const ALL_BUT_INEXACT: i32 = 0x1e;

/// The least exponent of a number that is no denormal.
fn least_normal(is_double: bool) -> i32 {
    if is_double { -1022 } else { -126 }
}

/// Bits of a number behind the first.
fn fraction_bits(is_double: bool) -> i32 {
    if is_double { 52 } else { 23 }
}

/// The exponent of the least number that [`Lowering::look`] lets through.
fn bound_of_test(is_double: bool) -> i32 {
    if is_double { -1074 - DOUBLE_EXPONENT } else { -149 - SINGLE_EXPONENT }
}

/// What an op makes of the sizes of its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sum,
    Product,
    Root,
    /// One of the operands.
    Choice,
    /// Anything.
    Other,
}

fn kind_of(op: &Op) -> Kind {
    use VecBin as B;
    match *op {
        Op::FpArith { op: FpOp::Add | FpOp::Sub, .. } => Kind::Sum,
        Op::FpArith { op: FpOp::Mul, .. } => Kind::Product,
        Op::FpSqrt { .. } => Kind::Root,
        Op::FpConvert { to: Type::F64, .. } => Kind::Choice,
        Op::VecBinary { op: B::AddPs | B::SubPs | B::AddPd | B::SubPd, .. } => Kind::Sum,
        Op::VecBinary { op: B::MulPs | B::MulPd, .. } => Kind::Product,
        Op::VecBinary { op: B::MinPs | B::MaxPs | B::MinPd | B::MaxPd, .. } => Kind::Choice,
        Op::VecUnary { op: VecUn::SqrtPs | VecUn::SqrtPd, .. } => Kind::Root,
        _ => Kind::Other,
    }
}

/// The least exponent of what an op of `kind` gives, doubles or singles, if it is not zero, where those of its operands are `operands`.
fn bound_of(kind: Kind, is_double: bool, operands: &[Option<i32>]) -> Option<i32> {
    let bound = match (kind, operands) {
        // A multiple of what the last bits of both may stand for.
        (Kind::Sum, [Some(a), Some(b)]) => *a.min(b) - fraction_bits(is_double),
        (Kind::Product, [Some(a), Some(b)]) => a + b,
        (Kind::Root, [Some(a)]) => a.div_euclid(2),
        (Kind::Choice, [Some(a), Some(b)]) => *a.min(b),
        (Kind::Choice, [Some(a)]) => *a,
        _ => return None,
    };
    (bound >= least_normal(is_double)).then_some(bound)
}

/// What is to be looked at once a run is over.
#[derive(Clone, Debug)]
pub(crate) struct Looks {
    /// Holds the exceptions before the run.
    pub(crate) before: Reg,
    /// Registers that are multiplied, and whether they hold doubles; [`VECTOR`] marks vector registers.
    tests: Vec<(Reg, bool)>,
    /// The same of those that NaNs would be left in.
    leaves: Vec<(Reg, bool)>,
    /// Least exponents of numbers in registers, and whether these are doubles.
    bounds: [Option<(i32, bool)>; 64],
}

/// Stands beside the numbers of vector registers.
pub(crate) const VECTOR: Reg = 32;

impl Looks {
    pub(crate) fn new(before: Reg) -> Looks {
        Looks { before, tests: Vec::new(), leaves: Vec::new(), bounds: [None; 64] }
    }

    /// `op` reads the `operands`, of which `untold` may be denormals that nobody has told of, and gives `result`.
    pub(crate) fn add(&mut self, op: &Op, operands: &[Reg], from: Type, untold: &[Reg], result: Option<(Reg, Type)>) {
        self.test(operands, from == Type::F64, untold);
        // NaNs go on to the result, and comparisons signal.
        self.pass_on(operands, from == Type::F64);
        if let Some((d, ty)) = result {
            self.bound(op, operands, from == Type::F64, (d, ty == Type::F64));
            self.leaves.push((d, ty == Type::F64));
        }
    }

    /// The same of an op on vectors of elements of type `lane`, which gives `d`.
    pub(crate) fn add_packed(&mut self, op: &Op, operands: &[Vreg], lane: Type, d: Vreg) {
        let is_double = lane == Type::F64;
        let operands: Vec<Reg> = operands.iter().map(|v| VECTOR | v).collect();
        self.test(&operands, is_double, &operands);
        // Less and less or equal signal; of others NaNs do not go on to the result.
        let is_quiet = matches!(op, Op::VecCompare { predicate, .. } if matches!(predicate.0, 0 | 3 | 4 | 7));
        if !is_quiet {
            self.pass_on(&operands, is_double);
        }
        let kind = kind_of(op);
        self.bound(op, &operands, is_double, (VECTOR | d, is_double));
        if !matches!(kind, Kind::Choice) && !matches!(op, Op::VecCompare { .. }) {
            self.leaves.push((VECTOR | d, is_double));
        }
    }

    /// Nothing is known of what register `r` holds.
    pub(crate) fn forget(&mut self, r: Reg) {
        self.bounds[r as usize] = None;
    }

    /// NaNs in `operands` that are read as what they were written as go on to what is made of them.
    fn pass_on(&mut self, operands: &[Reg], is_double: bool) {
        self.leaves.retain(|leaf| leaf.1 != is_double || !operands.contains(&leaf.0));
    }

    /// The bound for what `op` makes of `operands`, in register `d`.
    fn bound(&mut self, op: &Op, operands: &[Reg], is_double: bool, (d, gives_double): (Reg, bool)) {
        let bounds: Vec<Option<i32>> = operands.iter().map(|f| self.bound_in(*f, is_double)).collect();
        self.bounds[d as usize] = bound_of(kind_of(op), gives_double, &bounds).map(|bound| (bound, gives_double));
    }

    /// The bound for what is in register `f` as doubles or singles.
    fn bound_in(&self, f: Reg, is_double: bool) -> Option<i32> {
        self.bounds[f as usize].filter(|b| b.1 == is_double).map(|b| b.0)
    }

    /// Tests those `operands` for which there is no bound, if they are `untold`.
    fn test(&mut self, operands: &[Reg], is_double: bool, untold: &[Reg]) {
        for f in operands {
            if self.bound_in(*f, is_double).is_none() && untold.contains(f) {
                self.tests.push((*f, is_double));
                self.bounds[*f as usize] = Some((bound_of_test(is_double), is_double));
            }
        }
    }
}

impl Lowering<'_> {
    /// Whether a look at the exceptions of what is to come is worth a register: where several ops are looked at together.
    pub(crate) fn is_worth_looks(&self) -> bool {
        self.looks_at_exceptions && self.ops_of_run() > 1
    }

    /// A look at the exceptions of what is to come.
    pub(crate) fn new_looks(&mut self) -> Looks {
        let before = self.temp();
        self.read_exceptions(before);
        let mut looks = Looks::new(before);
        for (f, is_double) in &self.wide.sound {
            looks.bounds[*f as usize] = Some((bound_of_test(*is_double), *is_double));
        }
        looks
    }

    pub(crate) fn read_exceptions(&mut self, to: Reg) {
        self.asm.word(READ_EXCEPTIONS | u32::from(to) << 7);
    }

    /// `r` is zero if there is none in it that calls for the evaluator.
    pub(crate) fn all_but_inexact(&mut self, r: Reg) {
        self.asm.i(ANDI, r, r, ALL_BUT_INEXACT);
    }

    /// `f` = the factor for singles. Changes [`SCRATCH`].
    pub(crate) fn single_factor(&mut self, f: Reg) {
        self.asm.word(lui(SCRATCH, SINGLE_SCALE));
        self.asm.word(float_of_int(true, f, SCRATCH));
    }

    /// How many ops on scalars and vectors, or on both doubles of pairs, of a run there may be from the one at hand on.
    fn ops_of_run(&self) -> usize {
        let rest = &self.block.insts[self.at as usize..];
        let dead = &self.plan.dead[self.at as usize..];
        let has_vectors = self.has_vectors();
        let joins = |op: &Op| crate::float_runs::joins_run(op, has_vectors);
        let ends = |op: &Op| !joins(op) && !self.is_retried(op) && crate::float_runs::acts(op);
        let alive = rest.iter().zip(dead).filter(|(_, dead)| !**dead).map(|(inst, _)| &inst.op);
        let members = alive.take_while(|op| !ends(op)).filter(|op| joins(op) && !matches!(op, Op::IntToFp { .. }));
        members.map(|op| 1 + usize::from(!has_vectors && crate::pairs::is_member(op))).sum()
    }

    /// [`SCRATCH`] is zero unless the evaluator is needed for what `looks` are to look at.
    pub(crate) fn look(&mut self, looks: &Looks) {
        const TESTED: Reg = 0;
        const SINGLE: Reg = 1;
        const SCRATCH_VECTOR: Vreg = 1;
        if looks.tests.iter().any(|(_, is_double)| !is_double) {
            self.single_factor(SINGLE);
        }
        for (f, is_double) in &looks.tests {
            let factor = if *is_double { SCALE } else { SINGLE };
            if f & VECTOR != 0 {
                self.set_sew(element(!is_double));
                self.vx(VFMUL, SCRATCH_VECTOR, f - VECTOR, factor);
                continue;
            }
            self.asm.word(fp(8, *is_double, DYNAMIC, TESTED, *f, factor.into()));
        }
        // Less: two at a time.
        for is_double in [false, true] {
            let leaves = looks.leaves.iter().filter(|l| l.1 == is_double).map(|l| l.0);
            let (vectors, floats): (Vec<Reg>, Vec<Reg>) = leaves.partition(|l| l & VECTOR != 0);
            for two in floats.chunks(2) {
                let (a, b) = (two[0], two[two.len() - 1]);
                self.asm.word(fp(0x50, is_double, 1, ZERO, a, b.into()));
            }
            for two in vectors.chunks(2) {
                let (a, b) = (two[0], two[two.len() - 1]);
                self.set_sew(element(!is_double));
                self.vv(VMFLT, SCRATCH_VECTOR, a - VECTOR, b - VECTOR);
            }
        }
        self.read_exceptions(SCRATCH);
        self.all_but_inexact(SCRATCH);
    }

    /// Exceptions are those that `before` holds.
    pub(crate) fn put_exceptions_back(&mut self, before: Reg) {
        self.asm.word(WRITE_EXCEPTIONS | u32::from(before) << 15);
    }

    /// Whether `op`, a load, leaves what is pending to a way out of line, which does it again where it faults.
    pub(crate) fn is_retried(&self, op: &Op) -> bool {
        let Op::Load { ty, .. } = op else { return false };
        let is_moved = *ty == Type::V128 && self.has_vectors() && !crate::vector_moves::is_aligned(op, *ty);
        self.looks_at_exceptions && !self.evaluates_floats && !matches!(ty, Type::F80 | Type::V256) && !is_moved
    }

    /// Whether a load, the op at hand, that faults is to be done again out of line: there, or above it, results or lanes are pending.
    fn is_pending(&self) -> bool {
        self.wide.run.again().is_some() || !self.wide.dirty().is_empty()
    }

    /// The way out of line of `op`, a load, where one is needed. Ask before registers are written.
    pub(crate) fn retry_of(&mut self, op: Op) -> Option<OutOfLine> {
        (self.is_retried(&op) && self.is_pending()).then(|| self.out_of_line_wide(op))
    }

    /// The next instruction may fault: it is then done again by way of `retry`, if there is one.
    pub(crate) fn may_fault_or_retry(&mut self, lazy: LazyState, retry: Option<&OutOfLine>) {
        self.may_fault(lazy);
        if let Some(retry) = retry {
            self.retries.push((self.out.faults.len() - 1, retry.label));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_make_all_denormals_inexact_and_no_number_above_the_bound() {
        let factor = f64::from_bits(DOUBLE_SCALE as u64);
        let largest_denormal = f64::from_bits((1 << 52) - 1);
        let is_exact = |x: f64| x * factor / factor == x;
        assert!(![f64::from_bits(1), largest_denormal].into_iter().any(is_exact));
        let bound = 2f64.powi(bound_of_test(true));
        assert!(is_exact(bound) && !is_exact(bound / 2.0) && is_exact(0.0));
        let single = f32::from_bits(SINGLE_SCALE as u32);
        let is_exact = |x: f32| x * single / single == x;
        assert!(![f32::from_bits(1), f32::from_bits((1 << 23) - 1)].into_iter().any(is_exact));
        assert!(is_exact(2f32.powi(bound_of_test(false))));
    }

    #[test]
    fn bounds_are_none_where_results_may_be_denormal() {
        let tested = Some(bound_of_test(true));
        assert_eq!(bound_of(Kind::Sum, true, &[tested, tested]), Some(-502));
        assert_eq!(bound_of(Kind::Product, true, &[tested, tested]), Some(-900));
        assert_eq!(bound_of(Kind::Product, true, &[Some(-502), Some(-900)]), None);
        assert_eq!(bound_of(Kind::Root, true, &[Some(-451)]), Some(-226));
        assert_eq!(bound_of(Kind::Sum, false, &[Some(-126), Some(-126)]), None);
        assert_eq!(bound_of(Kind::Sum, true, &[None, tested]), None);
        assert_eq!(bound_of(Kind::Other, true, &[tested, tested]), None);
    }

    #[test]
    fn singles_that_are_read_as_doubles_are_tested_and_looked_at_as_both() {
        let product = |ps| Op::VecBinary { op: ps, ty: Type::V128, a: hokku_ir::Value(0), b: hokku_ir::Value(1) };
        let mut looks = Looks::new(5);
        looks.add_packed(&product(VecBin::MinPs), &[16, 17], Type::F32, 8);
        looks.add_packed(&product(VecBin::MulPs), &[16, 17], Type::F32, 9);
        looks.add_packed(&product(VecBin::MulPd), &[8, 9], Type::F64, 10);
        let vector = |v: Vreg, is_double: bool| (VECTOR | v, is_double);
        assert_eq!(looks.tests, [vector(16, false), vector(17, false), vector(8, true), vector(9, true)]);
        assert_eq!(looks.leaves, [vector(9, false), vector(10, true)]);
    }
}

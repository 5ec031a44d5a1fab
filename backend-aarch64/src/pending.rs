//! What guest vector registers are to get at the end of an attempt (see `attempt`), or have got already.

use hokku_ir::{Op, Type, Upper, Value};

use crate::lower::Lowering;
use crate::vector_values::VecLoc;

/// What a guest vector register is to get at the end of the attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pending {
    /// A V128, or what has zeros above it.
    whole: Option<(Type, Value)>,
    /// What its low part gets then.
    low: Option<(Type, Value)>,
}

/// What all guest vector registers are to get.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pendings {
    of: [Pending; 16],
    /// Values that are pending, and their last places but for that.
    lasts: Vec<(Value, u32)>,
    /// Values that have been computed in the guest register of this number as all of it.
    placed: Vec<(Value, u8)>,
}

impl Lowering<'_> {
    /// Guest registers get what is pending for them.
    pub(crate) fn write_pendings(&mut self, pendings: Pendings) {
        let at = self.at;
        // What is pending is still needed.
        self.at = at.saturating_sub(1);
        let mut left: Vec<(u8, Pending)> = self.unplaced(&pendings).collect();
        let lasts = pendings.lasts;
        self.free_unless(&lasts, &left);
        self.vectors.finish(&self.plan, self.at);
        while !left.is_empty() {
            let reads = |l: &Self, p: &Pending, n: u8| {
                let is_there = |v: Option<(Type, Value)>| v.is_some_and(|(_, v)| l.vectors.is_in_home(v, n));
                is_there(p.whole) || is_there(p.low)
            };
            // Those first that nobody reads any more, and among them those that do not become the place of a value.
            let order = |k: &usize| {
                let (n, p) = left[*k];
                let is_read = left.iter().any(|(other, p)| *other != n && reads(self, p, n));
                (is_read, p.low.is_none())
            };
            let first = (0..left.len()).min_by_key(order).unwrap_or(0);
            let (n, p) = left.swap_remove(first);
            self.write_whole(n, p);
            self.vectors.unlock_all();
            self.free_unless(&lasts, &left);
            self.vectors.finish(&self.plan, self.at);
        }
        self.at = at;
    }

    /// What is pending and has not been computed where it belongs.
    fn unplaced<'p>(&self, pendings: &'p Pendings) -> impl Iterator<Item = (u8, Pending)> + use<'p, '_> {
        let is_placed = |n: u8, p: &Pending| match *p {
            Pending { whole: Some((_, v)), low: None } => {
                let v = self.vectors.root(v);
                pendings.placed.contains(&(v, n)) && self.vectors.is_in_home(v, n)
            }
            _ => false,
        };
        (0..16).zip(pendings.of).filter(move |(n, p)| *p != Pending::default() && !is_placed(*n, p))
    }

    /// Whether a guest register is to get something.
    pub(crate) fn is_pending(&self) -> bool {
        self.attempt.as_ref().is_some_and(|a| self.unplaced(&a.pendings).next().is_some())
    }

    /// Guest registers, by number, that hold what is still needed: of the guest's state, or a value.
    pub(crate) fn needed_registers(&self) -> u16 {
        let is_needed = |n: &u8| self.pending(*n).whole.is_none() || self.vectors.is_needed_in(*n, &self.plan, self.at);
        (0..16).filter(is_needed).fold(0, |all, n| all | 1 << n)
    }

    /// The guest register that the result `v` of the op at hand may be computed in as all of it, in an attempt: it is what that has at the end, and nothing else is
    /// needed there. `shares`: it may be an operand's.
    pub(crate) fn placed_dest(&mut self, v: Value, shares: bool, fits: impl Fn(Type, Upper) -> bool) -> Option<u8> {
        let end = self.attempt_end()?;
        let n = self.vec_home(v, |ty, upper| {
            let keeps_zeros = ty != Type::V128 && upper == Upper::Keep;
            fits(ty, if keeps_zeros { Upper::Zero128 } else { upper })
        })?;
        let sets = |i: &&hokku_ir::Inst| matches!(i.op, Op::SetVec { reg, .. } if reg.0 == n);
        let mut later = self.block.insts[self.at as usize..end as usize].iter().filter(sets);
        let set = later.next()?;
        if later.next().is_some() {
            return None;
        }
        // What is above it is zero then.
        let p = self.pending(n);
        if let Op::SetVec { ty, upper: Upper::Keep, .. } = set.op
            && ty != Type::V128
            && (p.whole.is_none() || is_wider(p.whole, ty) || is_wider(p.low, ty))
        {
            return None;
        }
        let read = if shares { self.at } else { self.at.saturating_sub(1) };
        if self.needed_by_part() & 1 << n != 0 || self.vectors.is_needed_in(n, &self.plan, read) {
            return None;
        }
        self.overwrite_vec(n, Some(v));
        self.vectors.hold(n, v);
        self.vectors.lock(n);
        if let Some(a) = &mut self.attempt {
            a.pendings.placed.push((v, n));
        }
        Some(n)
    }

    /// Values that are not pending any more are needed as long as others read them.
    pub(crate) fn free_written(&mut self, pendings: &Pendings) {
        let left: Vec<(u8, Pending)> = (0..16).zip(pendings.of).collect();
        self.free_unless(&pendings.lasts, &left);
    }

    /// Values of `lasts` that are not `pending` any more are needed as long as others read them.
    fn free_unless(&mut self, lasts: &[(Value, u32)], pending: &[(u8, Pending)]) {
        for (v, last) in lasts {
            let is_it = |p: Option<(Type, Value)>| p.is_some_and(|(_, p)| self.vectors.root(p) == *v);
            if !pending.iter().any(|(_, p)| is_it(p.whole) || is_it(p.low)) {
                self.plan.values[v.0 as usize].last = *last;
            }
        }
    }

    /// Guest register `n` gets what is pending for it.
    fn write_whole(&mut self, n: u8, Pending { whole, low }: Pending) {
        match (whole, low) {
            (Some((Type::V128, v)), Some(_)) => {
                let r = self.vec_reg(v);
                if r != n {
                    self.overwrite_vec(n, None);
                    self.asm.vec_mov(n, r);
                }
            }
            (Some((ty, v)), _) => {
                self.write_vec(n, ty, if ty == Type::V128 { Upper::Keep } else { Upper::Zero128 }, v);
            }
            _ => {}
        }
        if let Some((ty, v)) = low {
            self.write_vec(n, ty, Upper::Keep, v);
        }
    }

    /// `v` is needed until the end of the attempt.
    fn keep_pending(&mut self, v: Value) {
        let v = self.vectors.root(v);
        let Some(end) = self.attempt_end() else { return };
        let Some(a) = &mut self.attempt else { return };
        let info = &mut self.plan.values[v.0 as usize];
        if !a.pendings.lasts.iter().any(|l| l.0 == v) {
            a.pendings.lasts.push((v, info.last));
        }
        info.last = info.last.max(end);
    }

    /// `dst` is the low part of `v`.
    fn name_again(&mut self, dst: Value, v: Value) {
        let v = self.vectors.root(v);
        let last = self.plan.info(dst).last;
        let info = &mut self.plan.values[v.0 as usize];
        info.last = info.last.max(last);
        if let Some(a) = &mut self.attempt {
            a.pendings.lasts.iter_mut().filter(|l| l.0 == v).for_each(|l| l.1 = l.1.max(last));
        }
        self.vectors.name_again(dst, v);
    }

    fn pending(&self, n: u8) -> Pending {
        self.attempt.as_ref().map_or(Pending::default(), |a| a.pendings.of[usize::from(n)])
    }

    fn set_pending(&mut self, n: u8, p: Pending) {
        for (_, v) in [p.whole, p.low].into_iter().flatten() {
            self.keep_pending(v);
        }
        if let Some(a) = &mut self.attempt {
            a.pendings.of[usize::from(n)] = p;
        }
    }

    /// All of guest register `n`, which something is pending for, in a register that becomes `dst`.
    fn merge_pending(&mut self, n: u8, dst: Value) {
        let Pending { whole, low } = self.pending(n);
        let from = whole.map(|(ty, v)| (ty, self.vec_reg(v)));
        let part = low.map(|(ty, v)| (ty, self.vec_reg(v)));
        let t = self.vec_temp();
        match from {
            Some((Type::V128, r)) => self.asm.vec_mov(t, r),
            Some((ty, r)) => self.asm.fp_mov(if ty == Type::F32 { 2 } else { 3 }, t, r),
            None => self.asm.vec_mov(t, n),
        }
        if let Some((ty, r)) = part {
            self.asm.vec_insert(if ty == Type::F32 { 2 } else { 3 }, t, 0, r, 0);
        }
        self.own_vec(t, dst);
        self.set_pending(n, Pending { whole: Some((Type::V128, dst)), low: None });
    }

    /// `get_vec` in an attempt.
    pub(crate) fn read_pending(&mut self, dst: Value, n: u8) {
        let ty = self.plan.info(dst).op.result_type();
        let Pending { whole, low } = self.pending(n);
        match low.or(whole) {
            None => self.vectors.hold(n, dst),
            Some((of, v)) if ty.bytes() <= of.bytes() || low.is_none() && self.is_alone(v) => self.name_again(dst, v),
            Some(_) => self.merge_pending(n, dst),
        }
    }

    /// Whether the float `v` has zeros above it in its register: instructions on single floats leave them there.
    fn is_alone(&self, v: Value) -> bool {
        let v = self.vectors.root(v);
        let is_result = gives_zeros_above(&self.plan.info(v).op);
        let placed = |n: u8| self.attempt.as_ref().is_some_and(|a| a.pendings.placed.contains(&(v, n)));
        is_result
            && match self.vectors.loc(v) {
                VecLoc::Temp(_) => true,
                VecLoc::Home(n) => placed(n),
                _ => false,
            }
    }

    /// `set_vec` in an attempt.
    pub(crate) fn write_pending(&mut self, n: u8, ty: Type, upper: Upper, v: Value) {
        if ty == Type::V128 || upper != Upper::Keep {
            return self.set_pending(n, Pending { whole: Some((ty, v)), low: None });
        }
        if is_wider(self.pending(n).low, ty) {
            let unnamed = self.block.insts[self.at as usize].value;
            self.merge_pending(n, unnamed);
        }
        let p = self.pending(n);
        if p.whole.is_some() && !is_wider(p.whole, ty) {
            // Zeros above stay.
            return self.set_pending(n, Pending { whole: Some((ty, v)), low: None });
        }
        self.set_pending(n, Pending { low: Some((ty, v)), ..p });
    }
}

/// Whether code for `op`, which gives a float, leaves zeros above it.
pub(crate) fn gives_zeros_above(op: &Op) -> bool {
    matches!(op, Op::Load { .. } | Op::FpArith { .. } | Op::FpSqrt { .. } | Op::FpConvert { .. } | Op::IntToFp { .. })
}

/// Whether `p` is wider than `ty`.
fn is_wider(p: Option<(Type, Value)>, ty: Type) -> bool {
    p.is_some_and(|(of, _)| of.bytes() > ty.bytes())
}

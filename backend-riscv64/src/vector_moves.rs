//! Moves of values that are not integers: loads, stores, parts of vectors.

use hokku_ir::backend::LazyState;
use hokku_ir::lowering::UpperBits;
use hokku_ir::{Addr, Align, Op, Type, Value, Width};

use crate::assign::*;
use crate::callout::{Moves, OutOfLine};
use crate::encode::*;
use crate::lower::Lowering;
use crate::places::{Place, element, is_scalar, words};
use crate::vector_encode::*;

/// Whether the load or store `op` of a `ty` is one that must be aligned.
pub(crate) fn is_aligned(op: &Op, ty: Type) -> bool {
    let natural = matches!(op, Op::Load { align: Align::Natural, .. } | Op::Store { align: Align::Natural, .. });
    natural && matches!(ty, Type::V128 | Type::V256)
}

/// `fmv.x.d` or `fmv.x.w`, which extends the sign.
pub(crate) fn int_of_float(is_single: bool, rd: Reg, fs: Reg) -> u32 {
    (if is_single { 0xe000_0053 } else { 0xe200_0053 }) | u32::from(rd) << 7 | u32::from(fs) << 15
}

/// `fmv.d.x` or `fmv.w.x`.
pub(crate) fn float_of_int(is_single: bool, fd: Reg, rs: Reg) -> u32 {
    (if is_single { 0xf000_0053 } else { 0xf200_0053 }) | u32::from(fd) << 7 | u32::from(rs) << 15
}

impl Lowering<'_> {
    pub(crate) fn load_wide(&mut self, dst: Value, op: Op, ty: Type, at: &Addr) {
        if ty == Type::F80 {
            return self.callout(dst, op);
        }
        let lazy = self.lazy();
        if is_scalar(ty) {
            let (base, offset) = self.sum(at);
            self.make_room_in_run(&[]);
            let retry = self.retry_of(op);
            let f = self.float_result(dst);
            self.may_fault_or_retry(lazy, retry.as_ref());
            self.asm.i(if ty == Type::F32 { FLW } else { FLD }, f, base, offset);
            if let Some(retry) = retry {
                self.out_of_line_ends_at(retry, Place::Float(f), ty);
            }
            return;
        }
        if ty == Type::V128 && self.has_vectors() {
            return self.load_vector(dst, op, at, lazy);
        }
        let checks = is_aligned(&op, ty) && !self.is_known_aligned(ty, at);
        if ty == Type::V128 {
            let (base, offset) = self.sum(at);
            let (base, offset) = self.within_reach(base, offset, ty);
            self.make_room_for_pairs(&[]);
            // What was in these is written before it is known what a fault finds to be written: the first is loaded when the second may fault.
            let (low, high) = self.pair_temp();
            let retry = self.retry_of(op);
            let slow = retry.clone().or_else(|| checks.then(|| self.out_of_line_wide(op)));
            if let Some(slow) = slow.as_ref().filter(|_| checks) {
                self.unless_aligned(slow, base, offset, ty);
                self.know_aligned(at);
            }
            for (n, f) in [low, high].into_iter().enumerate() {
                self.may_fault_or_retry(lazy, retry.as_ref());
                self.asm.i(FLD, f, base, offset + 8 * n as i32);
            }
            let place = Place::Pair(low, high);
            self.wide.put(dst, place);
            if let Some(slow) = slow {
                self.out_of_line_ends_at(slow, place, ty);
            }
            return;
        }
        let slow = checks.then(|| self.out_of_line_wide(op));
        let (base, offset) = self.sum(at);
        let (base, offset) = self.within_reach(base, offset, ty);
        let to = self.wide_result(dst, ty);
        let t = self.temp();
        if let Some(slow) = &slow {
            self.unless_aligned(slow, base, offset, ty);
        }
        for n in 0..i32::from(words(ty)) {
            self.may_fault(lazy);
            self.asm.i(LD, t, base, offset + 8 * n);
            self.asm.s(SD, t, STATE, to + 8 * n);
        }
        if let Some(slow) = slow {
            self.out_of_line_ends(slow, None);
        }
    }

    /// Goes out of line, where that faults, unless the address is a multiple of the size of a `ty`.
    fn unless_aligned(&mut self, slow: &OutOfLine, base: Reg, offset: i32, ty: Type) {
        let mask = ty.bytes() as i32 - 1;
        let mut from = base;
        if offset & mask != 0 {
            self.asm.i(ADDI, SCRATCH, base, offset);
            from = SCRATCH;
        }
        self.asm.i(ANDI, SCRATCH, from, mask);
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, slow.label);
    }

    /// `at` with what its alignment depends on alone.
    fn alignment(&self, at: &Addr) -> Addr {
        let mut at = *at;
        // Sums of the whole width are taken apart.
        while let Some(base) = at.base.filter(|_| at.width == Width::W64) {
            match self.op_of(self.plan.root(base)) {
                Op::Add { w: Width::W64, a, b } => {
                    let Some(n) = self.plan.constant(b) else { break };
                    (at.base, at.disp) = (Some(a), at.disp.wrapping_add(n as i64));
                }
                Op::Lea { w: Width::W64, at: sum }
                    if sum.width == Width::W64 && sum.seg.is_none() && (at.index.is_none() || sum.index.is_none()) =>
                {
                    let disp = at.disp.wrapping_add(sum.disp);
                    let (index, scale) =
                        if sum.index.is_some() { (sum.index, sum.scale) } else { (at.index, at.scale) };
                    at = Addr { base: sum.base, index, scale, disp, ..at };
                }
                _ => break,
            }
        }
        let root = |v: Option<Value>| v.map(|v| self.plan.root(v));
        Addr { disp: at.disp & 15, base: root(at.base), index: root(at.index), ..at }
    }

    /// Whether the block has found that the `ty` at `at` is at a multiple of its size.
    fn is_known_aligned(&self, ty: Type, at: &Addr) -> bool {
        ty == Type::V128 && self.wide.aligned.contains(&self.alignment(at))
    }

    /// From here on the V128 at `at` is at a multiple of its size.
    fn know_aligned(&mut self, at: &Addr) {
        // Segments may come to have another base.
        if at.seg.is_none() {
            let at = self.alignment(at);
            self.wide.aligned.push(at);
        }
    }

    /// The same address with an offset to which the bytes of a `ty` can be added.
    fn within_reach(&mut self, base: Reg, offset: i32, ty: Type) -> (Reg, i32) {
        if offset + (ty.bytes() as i32) < 2048 {
            return (base, offset);
        }
        let t = self.temp();
        self.asm.i(ADDI, t, base, offset);
        (t, 0)
    }

    /// A register that holds the address of 16 bytes, and whether that is known to be a multiple of 16.
    fn vector_address(&mut self, at: &Addr) -> (Reg, bool) {
        let known = at.base.is_none() && at.index.is_none() && at.seg.is_none() && at.disp & 15 == 0;
        let known = known || self.is_known_aligned(Type::V128, at);
        let (base, offset) = self.sum(at);
        if offset == 0 && base != ZERO {
            return (base, known);
        }
        let t = self.temp();
        self.asm.i(ADDI, t, base, offset);
        (t, known)
    }

    fn load_vector(&mut self, dst: Value, op: Op, at: &Addr, lazy: LazyState) {
        let (base, is_known) = self.vector_address(at);
        let sew = self.any_sew();
        self.make_room_for_vector();
        let retry = self.retry_of(op);
        let r = self.loaded_vector(dst);
        let slow = retry.clone().or_else(|| {
            if is_aligned(&op, Type::V128) {
                return (!is_known).then(|| self.out_of_line_wide(op));
            }
            (!is_known).then(|| self.out_of_line_in(op, Vec::new(), lazy))
        });
        if let Some(slow) = slow.as_ref().filter(|_| !is_known) {
            self.asm.i(ANDI, SCRATCH, base, 15);
            self.asm.branch(Branch::Ne, SCRATCH, ZERO, slow.label);
        }
        self.may_fault_or_retry(lazy, retry.as_ref());
        self.asm.word(vle(sew, r, base));
        match slow {
            Some(slow) if is_aligned(&op, Type::V128) => {
                self.know_aligned(at);
                self.out_of_line_ends_at(slow, Place::Vector(r), Type::V128);
            }
            Some(slow) => self.out_of_line_moves(slow, Moves::Load { to: r, base }),
            None => {}
        }
    }

    fn store_vector(&mut self, op: Op, at: &Addr, v: Value, lazy: LazyState) {
        let r = self.vector(v);
        let (base, is_known) = self.vector_address(at);
        let sew = self.any_sew();
        let slow = (!is_known).then(|| self.out_of_line_wide(op));
        if let Some(slow) = &slow {
            self.asm.i(ANDI, SCRATCH, base, 15);
            self.asm.branch(Branch::Ne, SCRATCH, ZERO, slow.label);
        }
        self.may_fault(lazy);
        self.asm.word(vse(sew, r, base));
        match slow {
            Some(slow) if is_aligned(&op, Type::V128) => {
                self.know_aligned(at);
                self.out_of_line_ends(slow, None);
            }
            Some(slow) => {
                let (from, ty) = (Place::Vector(r), Type::V128);
                self.out_of_line_moves(slow, Moves::Store { from, ty, base, offset: 0 });
            }
            None => {}
        }
    }

    /// Loads 16 bytes from any address, which is in `base`. Changes v1.
    pub(crate) fn load_unaligned(&mut self, r: Reg, base: Reg, lazy: LazyState) {
        self.set_sew(Sew::E64);
        self.may_fault(lazy);
        self.asm.i(LD, SCRATCH, base, 0);
        self.may_fault(lazy);
        self.asm.i(LD, RA, base, 8);
        self.asm.word(vmv_s_x(1, RA));
        self.asm.word(vx(VSLIDE1UP, r, 1, SCRATCH));
    }

    /// Stores the `ty` at `from` at any address within a page. Changes v1.
    pub(crate) fn store_unaligned(&mut self, from: Place, ty: Type, (base, offset): (Reg, i32), lazy: LazyState) {
        for n in 0..i32::from(words(ty)) {
            match from {
                Place::Vector(r) => {
                    self.set_sew(Sew::E64);
                    if n != 0 {
                        self.asm.word(vi(VSLIDEDOWN, 1, r, 1));
                    }
                    self.asm.word(vmv_x_s(RA, if n == 0 { r } else { 1 }));
                }
                Place::State(g) => self.asm.i(LD, RA, STATE, vector_offset(g, n)),
                Place::Pair(low, high) => {
                    self.may_fault(lazy);
                    self.asm.s(FSD, if n == 0 { low } else { high }, base, offset + 8 * n);
                    continue;
                }
                Place::Slots(slot) => self.asm.i(LD, RA, STATE, recipe_slot_offset(slot) + 8 * n),
                place => panic!("a vector is in {place:?}"),
            }
            self.may_fault(lazy);
            self.asm.s(SD, RA, base, offset + 8 * n);
        }
    }

    pub(crate) fn store_wide(&mut self, op: Op, ty: Type, at: &Addr, v: Value) {
        if ty == Type::F80 {
            return self.callout(v, op);
        }
        let lazy = self.lazy();
        if is_scalar(ty) {
            let f = self.float(v);
            let (base, offset) = self.sum(at);
            self.may_fault(lazy);
            return self.asm.s(if ty == Type::F32 { FSW } else { FSD }, f, base, offset);
        }
        if ty == Type::V128 && self.has_vectors() {
            return self.store_vector(op, at, v, lazy);
        }
        let halves = if ty == Type::V128 { self.pair(v) } else { (0, 0) };
        let (base, offset) = self.sum(at);
        let (base, offset) = self.within_reach(base, offset, ty);
        let slow = (!self.is_known_aligned(ty, at)).then(|| self.out_of_line_wide(op));
        let from = if ty == Type::V128 { Place::Pair(halves.0, halves.1) } else { self.wide_source(v) };
        if let Some(slow) = &slow {
            self.unless_aligned(slow, base, offset, ty);
        }
        if ty == Type::V128 {
            for (n, f) in [halves.0, halves.1].into_iter().enumerate() {
                self.may_fault(lazy);
                self.asm.s(FSD, f, base, offset + 8 * n as i32);
            }
        } else {
            let in_state = self.offset_of(v);
            let t = self.temp();
            for n in 0..i32::from(words(ty)) {
                self.asm.i(LD, t, STATE, in_state + 8 * n);
                self.may_fault(lazy);
                self.asm.s(SD, t, base, offset + 8 * n);
            }
        }
        let Some(slow) = slow else { return };
        if is_aligned(&op, ty) {
            if ty == Type::V128 {
                self.know_aligned(at);
            }
            self.out_of_line_ends(slow, None);
        } else {
            self.out_of_line_moves(slow, Moves::Store { from, ty, base, offset });
        }
    }

    /// Integers and scalars of the same bits.
    pub(crate) fn bitcast(&mut self, dst: Value, op: Op, from: Type, to: Type, v: Value) {
        match (from.width(), to.width()) {
            (Some(_), None) => {
                let r = self.reg(v);
                let f = self.float_result(dst);
                self.asm.word(float_of_int(to == Type::F32, f, r));
            }
            (None, Some(w)) => {
                let f = self.float(v);
                let d = self.result(dst);
                let is_whole = w == Width::W64;
                self.asm.word(int_of_float(!is_whole, d, f));
                self.done(dst, if is_whole { UpperBits::BOTH } else { UpperBits::SIGN });
            }
            _ => self.callout(dst, op),
        }
    }

    /// `a op b` bit by bit, in memory or, for V64, in registers; `not_a` complements `a` first.
    pub(crate) fn vec_bitwise(&mut self, dst: Value, ty: Type, op: R, not_a: bool, a: Value, b: Value) {
        if ty == Type::V64 {
            let (fa, fb) = (self.float(a), self.float(b));
            let f = self.float_result(dst);
            self.asm.word(int_of_float(false, SCRATCH, fa));
            self.asm.word(int_of_float(false, RA, fb));
            if not_a {
                self.asm.i(XORI, SCRATCH, SCRATCH, -1);
            }
            self.asm.r(op, SCRATCH, SCRATCH, RA);
            return self.asm.word(float_of_int(false, f, SCRATCH));
        }
        let (from_a, from_b) = (self.offset_of(a), self.offset_of(b));
        let to = self.wide_result(dst, ty);
        let t = self.temp();
        for n in 0..i32::from(words(ty)) {
            self.asm.i(LD, t, STATE, from_a + 8 * n);
            if not_a {
                self.asm.i(XORI, t, t, -1);
            }
            self.asm.i(LD, SCRATCH, STATE, from_b + 8 * n);
            self.asm.r(op, t, t, SCRATCH);
            self.asm.s(SD, t, STATE, to + 8 * n);
        }
    }

    pub(crate) fn vec_const(&mut self, dst: Value, ty: Type, bit: bool) {
        if ty == Type::V64 {
            let r = if bit { self.constant(-1) } else { ZERO };
            let f = self.float_result(dst);
            return self.asm.word(float_of_int(false, f, r));
        }
        if ty == Type::V128 && self.has_vectors() {
            self.any_sew();
            let r = self.vector_result(dst);
            return self.asm.word(vmv_v_i(r, if bit { -1 } else { 0 }));
        }
        if ty == Type::V128 && !bit {
            let f = self.float_zero();
            return self.wide.put(dst, Place::Pair(f, f));
        }
        let to = self.wide_result(dst, ty);
        let r = if bit { self.constant(-1) } else { ZERO };
        for n in 0..i32::from(words(ty)) {
            self.asm.s(SD, r, STATE, to + 8 * n);
        }
    }

    /// `v` of type `from` in the low part of a `ty`, zeros above.
    pub(crate) fn vec_zero_extend(&mut self, dst: Value, from: Type, ty: Type, v: Value) {
        if ty == Type::V128 && self.has_vectors() {
            let f = self.float(v);
            self.set_sew(element(from == Type::F32));
            let r = self.vector_result(dst);
            return self.asm.word(vx(VFSLIDE1UP, r, ZERO_VECTOR, f));
        }
        if ty == Type::V128 && from != Type::F32 {
            let low = self.unseen_float(v);
            let high = self.float_zero();
            return self.wide.put(dst, Place::Pair(low, high));
        }
        let source = self.wide_source(v);
        let to = self.wide_result(dst, ty);
        self.store_source(source, from, to);
        self.zero_words(to, words(from)..words(ty));
    }

    /// `a` with its low lane replaced.
    pub(crate) fn vec_merge_low(&mut self, dst: Value, ty: Type, a: Value, low: Value) {
        if ty != Type::F32 && !self.has_vectors() {
            return self.pair_with_low(dst, low, a);
        }
        let f = self.float(low);
        if self.has_vectors() {
            let from = self.vector(a);
            self.set_sew(element(ty == Type::F32));
            let r = self.vector_result(dst);
            if r != from {
                self.asm.word(vmv1r(r, from));
            }
            return self.asm.word(vfmv_s_f(r, f));
        }
        let from = self.offset_of(a);
        let to = self.wide_result(dst, Type::V128);
        self.copy_words(to, from, 2);
        self.asm.s(if ty == Type::F32 { FSW } else { FSD }, f, STATE, to);
    }

    pub(crate) fn vec_half(&mut self, dst: Value, ty: Type, high: bool, a: Value) {
        let half = words(ty) / 2;
        let high_offset = if high { 8 * i32::from(half) } else { 0 };
        if ty == Type::V128 && self.has_vectors() {
            let mut r = self.vector(a);
            self.set_sew(Sew::E64);
            let f = self.float_result(dst);
            if high {
                self.asm.word(vi(VSLIDEDOWN, 1, r, 1));
                r = 1;
            }
            return self.asm.word(vfmv_f_s(f, r));
        }
        if ty == Type::V128 {
            return self.half_of_pair(dst, a, high);
        }
        let from = self.offset_of(a) + high_offset;
        if self.has_vectors() {
            let sew = self.any_sew();
            let r = self.vector_result(dst);
            let at = self.state_address(from);
            return self.asm.word(vle(sew, r, at));
        }
        let (low, high) = self.pair_temp();
        self.asm.i(FLD, low, STATE, from);
        self.asm.i(FLD, high, STATE, from + 8);
        self.wide.put(dst, Place::Pair(low, high));
    }

    pub(crate) fn vec_join(&mut self, dst: Value, ty: Type, low: Value, high: Value) {
        if ty == Type::V128 && self.has_vectors() {
            let (low, high) = (self.float(low), self.float(high));
            self.set_sew(Sew::E64);
            let r = self.vector_result(dst);
            self.asm.word(vfmv_s_f(1, high));
            return self.asm.word(vx(VFSLIDE1UP, r, 1, low));
        }
        if ty == Type::V128 {
            return self.pair_of_scalars(dst, low, high);
        }
        let (from, half) = (if ty == Type::V256 { Type::V128 } else { Type::V64 }, i32::from(words(ty)) / 2);
        let (low, high) = (self.wide_source(low), self.wide_source(high));
        let to = self.wide_result(dst, ty);
        self.store_source(low, from, to);
        self.store_source(high, from, to + 8 * half);
    }
}

impl Lowering<'_> {
    /// Whether the value at hand is one that this host keeps in vector registers.
    pub(crate) fn is_vector(&self, ty: Type) -> bool {
        ty == Type::V128 && self.has_vectors()
    }

    /// The callout's result becomes the value `dst` of type `ty`.
    pub(crate) fn take_wide_result(&mut self, dst: Value, ty: Type) {
        let place = self.place_result(dst, ty);
        debug_assert!(place != Place::Nowhere);
        self.load_result(place, ty);
    }
}

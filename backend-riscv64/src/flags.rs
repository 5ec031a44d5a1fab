//! Status flags as bits, for what reads them as such.

use hokku_ir::lowering::{FlagsNode, Loc, NodeId, UpperBits, count_is_known};
use hokku_ir::{FlagSet, Op, Type, Value, Width};

use crate::Features;
use crate::arith::sum_upper;
use crate::assign::{OLDER, RA, SCRATCH};
use crate::encode::*;
use crate::lower::Lowering;

/// Where some flags come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// All from this value.
    Value(Value),
    /// Those before the block.
    Older,
    /// From several places.
    Mixed,
}

impl Lowering<'_> {
    /// Where the flags in `set` of the value `f` come from.
    pub(crate) fn source(&self, mut f: Value, set: FlagSet) -> Source {
        loop {
            if !self.plan.info(f).deferred {
                return Source::Value(f);
            }
            f = match self.op_of(f) {
                Op::GetFlags {} => match self.source_of_node(self.plan.flags_at(self.plan.info(f).def as usize), set) {
                    Source::Value(v) => v,
                    other => return other,
                },
                Op::MergeFlags { set: part, a, .. } if part.contains(set) => a,
                Op::MergeFlags { set: part, b, .. } if !part.intersects(set) => b,
                Op::MergeFlags { .. } => return Source::Mixed,
                Op::RotlFlags { f, .. } | Op::RotrFlags { f, .. } if !set.intersects(FlagSet::CF | FlagSet::OF) => f,
                Op::BitTestFlags { f, .. } if !set.intersects(FlagSet::CF) => f,
                _ => return Source::Value(f),
            }
        }
    }

    fn source_of_node(&self, mut node: NodeId, set: FlagSet) -> Source {
        loop {
            match self.plan.node(node) {
                FlagsNode::Entry => return Source::Older,
                FlagsNode::Set { set: part, v, .. } if part.contains(set) => return Source::Value(v),
                FlagsNode::Set { set: part, rest, .. } if !part.intersects(set) => node = rest,
                FlagsNode::Set { .. } => return Source::Mixed,
            }
        }
    }

    /// Whether those before the block are needed to tell the flags in `set` of node `node`.
    pub(crate) fn node_reads_older(&self, node: NodeId, set: FlagSet) -> bool {
        set.iter().any(|flag| match self.source_of_node(node, flag) {
            Source::Value(v) => self.reads_older(v),
            Source::Older | Source::Mixed => true,
        })
    }

    /// Whether flags before the block may be an operand, of any degree, of the flags value `f`.
    fn reads_older(&self, f: Value) -> bool {
        let op = self.op_of(f);
        if matches!(op, Op::GetFlags {}) {
            return self.node_reads_older(self.plan.flags_at(self.plan.info(f).def as usize), FlagSet::STATUS);
        }
        let mut reads = false;
        if self.plan.info(f).deferred && !count_is_known(&op, |n| self.plan.constant(n)) {
            op.values(&mut |v| reads |= self.is_flags(v) && self.reads_older(v));
        }
        reads
    }

    /// `t` = the flags in `set` of node `node` at their EFLAGS places; other bits are zero.
    pub(crate) fn node_image(&mut self, node: NodeId, set: FlagSet, t: Reg) {
        let mut parts: Vec<(FlagSet, Source)> = Vec::new();
        for flag in set.iter() {
            let source = self.source_of_node(node, flag);
            match parts.iter_mut().find(|p| p.1 == source) {
                Some(part) => part.0 |= flag,
                None => parts.push((flag, source)),
            }
        }
        self.asm.mv(t, ZERO);
        for (part, source) in parts {
            match source {
                Source::Older => self.older_into(t, part),
                Source::Value(v) => self.image_into(t, v, part),
                Source::Mixed => panic!("one flag has one source"),
            }
        }
    }

    /// The flags in `set` of the value `f` at their EFLAGS places, in a temporary; other bits are zero.
    pub(crate) fn image(&mut self, f: Value, set: FlagSet) -> Reg {
        let t = self.temp();
        self.asm.mv(t, ZERO);
        self.image_into(t, f, set);
        t
    }

    fn older_into(&mut self, t: Reg, set: FlagSet) {
        self.asm.li(SCRATCH, set.bits().into());
        self.asm.r(AND, SCRATCH, SCRATCH, OLDER);
        self.asm.r(OR, t, t, SCRATCH);
    }

    fn image_into(&mut self, t: Reg, f: Value, set: FlagSet) {
        if self.source(f, set) == Source::Older {
            return self.older_into(t, set);
        }
        if self.frugal
            && let Source::Value(v) = self.source(f, set)
            && self.plan.info(v).deferred
            && !matches!(self.op_of(v), Op::IntToFlags { .. })
        {
            let r = self.evaluate_to_temp(self.op_of(v));
            self.asm.li(SCRATCH, set.bits().into());
            self.asm.r(AND, SCRATCH, SCRATCH, r);
            self.asm.r(OR, t, t, SCRATCH);
            return self.values.unlock(r);
        }
        for flag in set.iter() {
            let locks = self.values.locks();
            let bit = self.flag_bit(f, flag);
            let place = flag.bits().trailing_zeros() as i32;
            if place != 0 {
                self.asm.i(SLLI, bit, bit, place);
            }
            self.asm.r(OR, t, t, bit);
            self.values.unlock_since(locks, &[]);
        }
    }

    /// One of the registers `read`, which are read for the last time, if it is a temporary without an owner; else a temporary.
    fn free_of(&mut self, read: &[Reg]) -> Reg {
        match read.iter().find(|r| self.values.is_loose(**r)) {
            Some(r) => *r,
            None => self.temp(),
        }
    }

    /// One flag of `f` as zero or one, in a temporary.
    pub(crate) fn flag_bit(&mut self, f: Value, flag: FlagSet) -> Reg {
        let place = flag.bits().trailing_zeros() as i32;
        match self.source(f, flag) {
            Source::Older => {
                let t = self.temp();
                self.bit_at(t, OLDER, place);
                t
            }
            Source::Value(v) if !self.plan.info(v).deferred => {
                let r = self.values.register(v, &self.plan, &mut self.asm);
                let t = self.temp();
                self.bit_at(t, r, place);
                t
            }
            Source::Value(v) => {
                let op = self.op_of(v);
                let is_named = matches!(op, Op::IntToFlags { .. });
                let found = match flag {
                    _ if self.frugal && !is_named => None,
                    FlagSet::CF => self.carry(v, &op),
                    FlagSet::OF => self.overflow(v, &op),
                    FlagSet::AF => self.adjust(v, &op),
                    _ => self.of_result(v, &op, flag),
                };
                found.unwrap_or_else(|| self.evaluated(op, place))
            }
            Source::Mixed => panic!("one flag has one source"),
        }
    }

    /// [`Self::flag_bit`], with nothing but the result locked that was not before.
    pub(crate) fn one_bit(&mut self, f: Value, flag: FlagSet) -> Reg {
        let locks = self.values.locks();
        let bit = self.flag_bit(f, flag);
        self.values.unlock_since(locks, &[bit]);
        bit
    }

    /// A flag of `op` by the evaluator.
    fn evaluated(&mut self, op: Op, place: i32) -> Reg {
        let t = self.evaluate_to_temp(op);
        self.bit_at(t, t, place);
        t
    }

    pub(crate) fn bit_at(&mut self, d: Reg, r: Reg, place: i32) {
        if self.has(Features::ZBS) {
            return self.asm.i(SRLI, d, r, BEXTI | place);
        }
        if place != 0 {
            self.asm.i(SRLI, d, r, place);
            self.asm.i(ANDI, d, d, 1);
        } else {
            self.asm.i(ANDI, d, r, 1);
        }
    }

    /// The result whose zero, sign and parity the flags op of `f` tells: width, register, and what that holds above.
    pub(crate) fn flags_result(&mut self, f: Value, op: &Op) -> Option<(Width, Reg, UpperBits)> {
        let w = match *op {
            Op::LogicFlags { w, v } => return Some((w, self.reg(v), self.upper(v))),
            Op::AddFlags { w, .. }
            | Op::SubFlags { w, .. }
            | Op::AdcFlags { w, .. }
            | Op::SbbFlags { w, .. }
            | Op::IncFlags { w, .. }
            | Op::DecFlags { w, .. } => w,
            Op::ShlFlags { w, n, .. } | Op::ShrFlags { w, n, .. } | Op::SarFlags { w, n, .. } => {
                self.plan.constant(n).filter(|n| n & 63 != 0)?;
                w
            }
            _ => return None,
        };
        let known = self.plan.result_of(self.block, op, self.at.max(self.plan.info(f).def + 4));
        if let Some(v) = known
            && matches!(self.values.loc(v), Loc::Temp(_) | Loc::Home(_) | Loc::Slot(_) | Loc::Offset(..))
        {
            return Some((w, self.reg(v), self.upper(v)));
        }
        let word = w == Width::W32;
        let wide = |op: R| if word { R(op.0 | 8) } else { op };
        let t = match *op {
            Op::AddFlags { a, b, .. } | Op::SubFlags { a, b, .. } => {
                let (ra, rb) = (self.reg(a), self.reg(b));
                // The operands may be read again.
                let t = self.temp();
                self.asm.r(wide(if matches!(op, Op::AddFlags { .. }) { ADD } else { SUB }), t, ra, rb);
                t
            }
            Op::AdcFlags { a, b, f, .. } | Op::SbbFlags { a, b, f, .. } => {
                let (ra, rb) = (self.reg(a), self.reg(b));
                let c = self.one_bit(f, FlagSet::CF);
                let op = if matches!(op, Op::AdcFlags { .. }) { ADD } else { SUB };
                self.asm.r(op, SCRATCH, ra, rb);
                self.asm.r(wide(op), c, SCRATCH, c);
                c
            }
            Op::IncFlags { a, .. } | Op::DecFlags { a, .. } => {
                let ra = self.reg(a);
                let t = self.temp();
                let by = if matches!(op, Op::IncFlags { .. }) { 1 } else { -1 };
                self.asm.i(if word { ADDIW } else { ADDI }, t, ra, by);
                t
            }
            Op::ShlFlags { a, n, .. } | Op::ShrFlags { a, n, .. } | Op::SarFlags { a, n, .. } => {
                let count = self.plan.constant(n)? as i32 & 63;
                let (r, shift) = match *op {
                    Op::ShlFlags { .. } => (self.reg(a), SLLI),
                    Op::ShrFlags { .. } => (self.zero_extended(a), SRLI),
                    _ => (self.sign_extended(a), SRLI),
                };
                let t = self.temp();
                let kind = if matches!(op, Op::SarFlags { .. }) { ARITHMETIC } else { 0 };
                self.asm.i(shift, t, r, count | kind);
                return Some((w, t, UpperBits::UNKNOWN));
            }
            _ => return None,
        };
        Some((w, t, sum_upper(w)))
    }

    /// ZF, SF or PF of a result.
    fn of_result(&mut self, f: Value, op: &Op, flag: FlagSet) -> Option<Reg> {
        let never = |l: &mut Self| {
            let t = l.temp();
            l.asm.mv(t, ZERO);
            Some(t)
        };
        match *op {
            Op::BitScanFlags { a, .. } | Op::CountOnesFlags { a, .. } | Op::CountZerosFlags { v: a, .. } => {
                if flag != FlagSet::ZF {
                    return never(self);
                }
                let r = self.zero_extended(a);
                let t = self.temp();
                self.asm.i(SLTIU, t, r, 1);
                return Some(t);
            }
            Op::IntToFlags { v } => return self.bit_of_int(v, flag),
            _ => {}
        }
        let (w, r, upper) = self.flags_result(f, op)?;
        let t = self.free_of(&[r]);
        match flag {
            FlagSet::ZF => {
                if w == Width::W64 || upper.zero || upper.sign {
                    self.asm.i(SLTIU, t, r, 1);
                } else {
                    self.extend_zero_to(t, r, w);
                    self.asm.i(SLTIU, t, t, 1);
                }
            }
            FlagSet::SF => self.bit_at(t, r, w.bits() as i32 - 1),
            _ => {
                self.asm.i(ANDI, t, r, 255);
                if self.has(Features::ZBB) {
                    self.asm.i(SLLI, t, t, CPOP);
                } else {
                    for by in [4, 2, 1] {
                        self.asm.i(SRLI, SCRATCH, t, by);
                        self.asm.r(XOR, t, t, SCRATCH);
                    }
                }
                self.asm.i(ANDI, t, t, 1);
                self.asm.i(XORI, t, t, 1);
            }
        }
        Some(t)
    }

    fn bit_of_int(&mut self, v: Value, flag: FlagSet) -> Option<Reg> {
        if let Op::ExtendZero { v: bit, .. } = self.op_of(v)
            && matches!(self.op_of(bit), Op::Condition { .. })
            && flag == FlagSet::CF
        {
            // A carry that has a name: zero or one.
            let r = self.reg(v);
            let t = self.temp();
            self.asm.mv(t, r);
            return Some(t);
        }
        let r = self.reg(v);
        let t = self.temp();
        self.bit_at(t, r, flag.bits().trailing_zeros() as i32);
        Some(t)
    }

    fn zero_bit(&mut self) -> Option<Reg> {
        let t = self.temp();
        self.asm.mv(t, ZERO);
        Some(t)
    }

    fn carry(&mut self, f: Value, op: &Op) -> Option<Reg> {
        match *op {
            Op::AddFlags { w, a, .. } => {
                let (_, r, upper) = self.flags_result(f, op)?;
                let ra = self.zero_extended(a);
                let t = self.free_of(&[r, ra]);
                let mut rr = r;
                if w != Width::W64 && !upper.zero {
                    self.extend_zero_to(SCRATCH, r, w);
                    rr = SCRATCH;
                }
                self.asm.r(SLTU, t, rr, ra);
                Some(t)
            }
            Op::SubFlags { w, a, b } => {
                let test = self.compare_test(hokku_ir::IntCmp::Ult, w, a, b);
                Some(self.truth(test))
            }
            Op::AdcFlags { w, a, b, f } | Op::SbbFlags { w, a, b, f } => {
                let add = matches!(op, Op::AdcFlags { .. });
                let (ra, rb) = (self.zero_extended(a), self.zero_extended(b));
                let c = self.one_bit(f, FlagSet::CF);
                if w != Width::W64 {
                    self.asm.r(if add { ADD } else { SUB }, SCRATCH, ra, rb);
                    self.asm.r(if add { ADD } else { SUB }, SCRATCH, SCRATCH, c);
                    self.bit_at(c, SCRATCH, w.bits() as i32);
                    return Some(c);
                }
                if add {
                    self.asm.r(ADD, SCRATCH, ra, rb);
                    self.asm.r(SLTU, RA, SCRATCH, ra);
                    self.asm.r(ADD, c, SCRATCH, c);
                    self.asm.r(SLTU, SCRATCH, c, SCRATCH);
                } else {
                    self.asm.r(SLTU, RA, ra, rb);
                    self.asm.r(SUB, SCRATCH, ra, rb);
                    self.asm.r(SLTU, SCRATCH, SCRATCH, c);
                }
                self.asm.r(OR, c, RA, SCRATCH);
                Some(c)
            }
            Op::LogicFlags { .. } | Op::IncFlags { .. } | Op::DecFlags { .. } => self.zero_bit(),
            Op::BitScanFlags { .. } | Op::CountOnesFlags { .. } => self.zero_bit(),
            Op::CountZerosFlags { a, .. } => {
                let r = self.zero_extended(a);
                let t = self.temp();
                self.asm.i(SLTIU, t, r, 1);
                Some(t)
            }
            Op::ShlFlags { w, a, n, .. } => {
                let n = self.plan.constant(n)? as i32 & 63;
                let bits = w.bits() as i32;
                if n == 0 || n > bits {
                    return None;
                }
                let r = self.reg(a);
                let t = self.temp();
                self.bit_at(t, r, bits - n);
                Some(t)
            }
            Op::ShrFlags { w, a, n, .. } | Op::SarFlags { w, a, n, .. } => {
                let n = self.plan.constant(n)? as i32 & 63;
                if n == 0 || n > w.bits() as i32 {
                    return None;
                }
                let r = self.reg(a);
                let t = self.temp();
                self.bit_at(t, r, n - 1);
                Some(t)
            }
            Op::BitTestFlags { w, a, n, .. } => {
                let r = self.reg(a);
                if let Some(n) = self.plan.constant(n) {
                    let t = self.temp();
                    self.bit_at(t, r, n as i32 & (w.bits() as i32 - 1));
                    return Some(t);
                }
                let rn = self.reg(n);
                let t = self.temp();
                self.asm.i(ANDI, SCRATCH, rn, w.bits() as i32 - 1);
                self.asm.r(SRL, t, r, SCRATCH);
                self.asm.i(ANDI, t, t, 1);
                Some(t)
            }
            Op::IntToFlags { v } => self.bit_of_int(v, FlagSet::CF),
            _ => None,
        }
    }

    fn overflow(&mut self, f: Value, op: &Op) -> Option<Reg> {
        match *op {
            Op::AddFlags { a, b, .. }
            | Op::AdcFlags { a, b, .. }
            | Op::SubFlags { a, b, .. }
            | Op::SbbFlags { a, b, .. } => {
                let add = matches!(op, Op::AddFlags { .. } | Op::AdcFlags { .. });
                let (w, r, _) = self.flags_result(f, op)?;
                let (ra, rb) = (self.reg(a), self.reg(b));
                let t = self.free_of(&[r, ra, rb]);
                self.asm.r(XOR, SCRATCH, ra, r);
                self.asm.r(XOR, RA, if add { r } else { ra }, rb);
                self.asm.r(AND, t, RA, SCRATCH);
                self.bit_at(t, t, w.bits() as i32 - 1);
                Some(t)
            }
            Op::LogicFlags { .. }
            | Op::BitScanFlags { .. }
            | Op::CountOnesFlags { .. }
            | Op::CountZerosFlags { .. } => self.zero_bit(),
            Op::IncFlags { w, a } | Op::DecFlags { w, a } => {
                let inc = matches!(op, Op::IncFlags { .. });
                let r = self.sign_extended(a);
                let least = super::lower::sign_extend(1 << (w.bits() - 1), w);
                let t = self.temp();
                self.asm.li(t, if inc { !least } else { least });
                self.asm.r(SUB, t, t, r);
                self.asm.i(SLTIU, t, t, 1);
                Some(t)
            }
            Op::IntToFlags { v } => self.bit_of_int(v, FlagSet::OF),
            _ => None,
        }
    }

    fn adjust(&mut self, f: Value, op: &Op) -> Option<Reg> {
        match *op {
            Op::AddFlags { a, b, .. }
            | Op::AdcFlags { a, b, .. }
            | Op::SubFlags { a, b, .. }
            | Op::SbbFlags { a, b, .. } => {
                let (_, r, _) = self.flags_result(f, op)?;
                let (ra, rb) = (self.reg(a), self.reg(b));
                let t = self.free_of(&[r, ra, rb]);
                self.asm.r(XOR, SCRATCH, ra, rb);
                self.asm.r(XOR, t, SCRATCH, r);
                self.bit_at(t, t, 4);
                Some(t)
            }
            Op::IncFlags { a, .. } | Op::DecFlags { a, .. } => {
                let inc = matches!(op, Op::IncFlags { .. });
                let r = self.reg(a);
                let t = self.temp();
                self.asm.i(ADDI, t, r, i32::from(inc));
                self.asm.i(ANDI, t, t, 15);
                self.asm.i(SLTIU, t, t, 1);
                Some(t)
            }
            Op::LogicFlags { .. }
            | Op::BitScanFlags { .. }
            | Op::CountOnesFlags { .. }
            | Op::CountZerosFlags { .. } => self.zero_bit(),
            Op::IntToFlags { v } => self.bit_of_int(v, FlagSet::AF),
            _ => None,
        }
    }

    /// `adc`, `sbb` and `adox`'s sums.
    pub(crate) fn with_carry(
        &mut self,
        dst: Value,
        w: Width,
        (a, b, f): (Value, Value, Value),
        flag: FlagSet,
        subtract: bool,
    ) {
        let c = self.one_bit(f, flag);
        self.add_carry(dst, w, a, b, c, subtract);
    }

    /// All status flags of `f` as an integer.
    pub(crate) fn flags_to_int(&mut self, dst: Value, f: Value) {
        let t = self.image(f, FlagSet::STATUS);
        let d = self.result(dst);
        self.asm.mv(d, t);
        self.done(dst, UpperBits::BOTH);
    }

    /// Whether `v` is of type flags.
    pub(crate) fn is_flags(&self, v: Value) -> bool {
        self.op_of(v).result_type() == Type::Flags
    }
}

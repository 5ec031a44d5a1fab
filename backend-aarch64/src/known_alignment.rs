//! Addresses that are known to be aligned where a block is entered, in terms of the guest's registers.
//!
//! An access that must be aligned is looked at once: what follows it knows of all addresses that differ by a multiple of the alignment, be it behind the
//! next jump or in the next round of a loop. Only the low bits of addresses matter, so widths do not.

use hokku_ir::{Addr, Align, Block, Effects, Gpr, Op, Value};

/// The most addresses that are known at a time.
const MOST: usize = 8;

/// Where the low bits of a value come from, but for a constant that is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Root {
    Zero,
    /// What the register holds when the block is entered.
    Register(Gpr),
    /// What an op of the block gives.
    Value(Value),
}

/// A root and what is added to it.
type Sum = (Root, i64);

/// That base + index << scale + disp, of registers as they are when a block is entered, is a multiple of so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    base: Option<Gpr>,
    index: Option<Gpr>,
    scale: u8,
    /// Less than `bytes`.
    disp: i64,
    bytes: u32,
}

/// What the values of a block and, behind it, the guest's registers are.
struct Sums {
    /// By place.
    values: Vec<(Value, Sum)>,
    /// By register; `None` where an op has changed it in a way of its own.
    registers: [Option<Sum>; 16],
}

impl Sums {
    fn of(block: &Block) -> Sums {
        let mut sums = Sums {
            values: Vec::with_capacity(block.insts.len()),
            registers: std::array::from_fn(|n| Some((Root::Register(Gpr::ALL[n]), 0))),
        };
        for inst in &block.insts {
            let own = (Root::Value(inst.value), 0);
            let of = |v: Value| sums.value(v);
            let sum = match inst.op {
                Op::GetGpr { reg, .. } => *sums.registers[reg as usize].get_or_insert(own),
                Op::Iconst { value, .. } => (Root::Zero, value.0 as i64),
                Op::Truncate { v, .. } | Op::ExtendZero { v, .. } | Op::ExtendSign { v, .. } => of(v),
                Op::Add { a, b, .. } => match (of(a), of(b)) {
                    ((Root::Zero, n), (root, m)) | ((root, m), (Root::Zero, n)) => (root, m.wrapping_add(n)),
                    _ => own,
                },
                Op::Sub { a, b, .. } => match (of(a), of(b)) {
                    ((root, m), (Root::Zero, n)) => (root, m.wrapping_sub(n)),
                    _ => own,
                },
                Op::Lea { at: Addr { base: Some(base), index: None, disp, .. }, .. } => {
                    let (root, n) = of(base);
                    (root, n.wrapping_add(disp))
                }
                Op::SetGpr { reg, v, .. } => {
                    sums.registers[reg as usize] = Some(sums.value(v));
                    continue;
                }
                // The low bits stay.
                Op::SetGprHigh { .. } | Op::SetFlags { .. } | Op::SetVec { .. } => continue,
                op => {
                    if op.effects().contains(Effects::writes_state) {
                        sums.registers = [None; 16];
                    }
                    own
                }
            };
            sums.values.push((inst.value, sum));
        }
        sums
    }

    fn value(&self, v: Value) -> Sum {
        self.values.iter().rev().find(|s| s.0 == v).map_or((Root::Value(v), 0), |s| s.1)
    }

    /// A register of those behind the block, and what must be added to it to have `sum`; none where that is a constant.
    fn register(&self, sum: Sum) -> Option<(Option<Gpr>, i64)> {
        if sum.0 == Root::Zero {
            return Some((None, sum.1));
        }
        Gpr::ALL.iter().find_map(|&reg| {
            let (root, more) = self.registers[reg as usize]?;
            (root == sum.0).then_some((Some(reg), sum.1.wrapping_sub(more)))
        })
    }

    /// The same of an address; `None` where registers do not tell it.
    fn fact(&self, base: Sum, index: Sum, scale: u8, disp: i64, bytes: u32) -> Option<Fact> {
        let ((base, n), (index, m)) = (self.register(base)?, self.register(index)?);
        let disp = disp.wrapping_add(n).wrapping_add(m << scale) & i64::from(bytes - 1);
        Some(Fact { base, index, scale: if index.is_none() { 0 } else { scale }, disp, bytes })
    }
}

/// The address of an access that must be aligned, and to how many bytes.
fn aligned_access(op: &Op) -> Option<(Addr, u32)> {
    let (Op::Load { ty, align: Align::Natural, at } | Op::Store { ty, align: Align::Natural, at, .. }) = *op else {
        return None;
    };
    (at.seg.is_none() && ty.bytes() >= 16).then_some((at, ty.bytes()))
}

fn parts(sums: &Sums, at: Addr) -> (Sum, Sum) {
    let of = |v: Option<Value>| v.map_or((Root::Zero, 0), |v| sums.value(v));
    (of(at.base), of(at.index))
}

/// What is known behind `block`, which is entered with `before`.
pub(crate) fn known_behind(block: &Block, before: &[Fact]) -> Vec<Fact> {
    if before.is_empty() && !block.insts.iter().any(|i| aligned_access(&i.op).is_some()) {
        return Vec::new();
    }
    let sums = Sums::of(block);
    let mut known: Vec<Fact> = Vec::new();
    let mut note = |fact: Option<Fact>| {
        if let Some(fact) = fact.filter(|f| !known.contains(f) && known.len() < MOST) {
            known.push(fact);
        }
    };
    for (at, bytes) in block.insts.iter().filter_map(|i| aligned_access(&i.op)) {
        let (base, index) = parts(&sums, at);
        note(sums.fact(base, index, at.scale, at.disp, bytes));
    }
    for f in before {
        let of = |reg: Option<Gpr>| reg.map_or((Root::Zero, 0), |reg| (Root::Register(reg), 0));
        note(sums.fact(of(f.base), of(f.index), f.scale, f.disp, f.bytes));
    }
    known
}

/// The addresses in `block` that need not be looked at where it is entered with `known`.
pub(crate) fn aligned_in(block: &Block, known: &[Fact]) -> Vec<(Addr, u32)> {
    if known.is_empty() {
        return Vec::new();
    }
    let sums = Sums::of(block);
    let register = |sum: Sum| match sum {
        (Root::Zero, n) => Some((None, n)),
        (Root::Register(reg), n) => Some((Some(reg), n)),
        (Root::Value(_), _) => None,
    };
    let is_known = |(at, bytes): &(Addr, u32)| {
        let (base, index) = parts(&sums, *at);
        let (Some((base, n)), Some((index, m))) = (register(base), register(index)) else { return false };
        let disp = at.disp.wrapping_add(n).wrapping_add(m << at.scale);
        let is_it = |f: &Fact| {
            let scale = if index.is_none() { 0 } else { at.scale };
            f.bytes >= *bytes
                && (f.base, f.index, f.scale) == (base, index, scale)
                && disp.wrapping_sub(f.disp) & i64::from(bytes - 1) == 0
        };
        known.iter().any(is_it)
    };
    block.insts.iter().filter_map(|i| aligned_access(&i.op)).filter(is_known).collect()
}

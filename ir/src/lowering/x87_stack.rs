//! The x87 stack of hosts without an x87 unit: which physical register is which is known when the code is written.
//!
//! Such code finds the unit in *host form* ([`crate::eval::x87_to_doubles`], [`crate::eval::x87_to_exact`]): [`crate::CpuState::x87_shape`] is the record of
//! top and tags. Each block is written for one [`X87Shape`], which whoever enters it from elsewhere checks. Within the block doubles are in host registers:
//! loaded at their first use, written at its end or where something may look ([`X87Stack`]); 80-bit values stay in the state. At an access that faults,
//! [`crate::backend::LazyState::x87`] tells the runtime what it does not have.

use crate::eval::{SHAPE_C1, SHAPE_IS_ODD};
use crate::exit::{Exit, Target};
use crate::guest::{CpuState, GuestAddr};
use crate::key::X87Arithmetic;
use crate::operand::{Num, X87Control, X87Unary};
use crate::ops::{Effects, Op};
use crate::region::{Block, Region};

/// Top and tags of the stack: tags in bits 0 to 7, the top above; then the control word's rounding field, which is zero in all that code is written for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct X87Shape(pub u16);

impl X87Shape {
    /// With physical register `top` as ST(0), and those registers in use that `tags` names.
    pub fn new(top: u8, tags: u8) -> X87Shape {
        X87Shape(u16::from(top & 7) << 8 | u16::from(tags))
    }

    /// After `depth` pushes onto an empty stack whose top is zero.
    pub fn of_depth(depth: u8) -> X87Shape {
        (0..depth.min(8)).fold(X87Shape::default(), |shape, _| shape.push())
    }

    /// Number of the physical register that ST(0) is.
    pub fn top(self) -> u8 {
        (self.0 >> 8) as u8 & 7
    }

    /// Abridged tags.
    pub fn tags(self) -> u8 {
        self.0 as u8
    }

    /// Number of the physical register that ST(`i`) is.
    pub fn place(self, i: u8) -> u8 {
        self.top().wrapping_add(i) & 7
    }

    /// Whether ST(`i`) is in use.
    pub fn uses(self, i: u8) -> bool {
        self.tags() >> self.place(i) & 1 != 0
    }

    fn turn(self, n: u8) -> X87Shape {
        X87Shape::new(self.place(n), self.tags())
    }

    fn mark(self, i: u8) -> X87Shape {
        X87Shape::new(self.top(), self.tags() | 1 << self.place(i))
    }

    fn free(self, i: u8) -> X87Shape {
        X87Shape::new(self.top(), self.tags() & !(1 << self.place(i)))
    }

    fn push(self) -> X87Shape {
        self.turn(7).mark(0)
    }

    fn pop(self, n: u8) -> X87Shape {
        (0..n).fold(self, |shape, _| shape.free(0).turn(1))
    }

    /// After `op`; `None` where the stack faults, or where that depends on more than the shape.
    pub fn after(self, op: &Op) -> Option<X87Shape> {
        let Use { needs, pushes, pops } = match *op {
            Op::X87Free { st, pop } => return Some(self.free(st.0).pop(pop.0.into())),
            Op::X87Copy { st, pop } => return self.uses(0).then(|| self.mark(st.0).pop(pop.0.into())),
            Op::X87Exchange { st } | Op::X87Cmov { st, .. } => {
                return (self.uses(0) && self.uses(st.0)).then_some(self);
            }
            Op::X87Push { st } => return (self.uses(st.0) && !self.uses(7)).then(|| self.push()),
            Op::X87Arith { dst, src, pop, .. } => {
                return (self.uses(dst.0) && self.uses(src.0)).then(|| self.pop(pop.0.into()));
            }
            Op::X87Compare { st, pops, .. } => return (self.uses(0) && self.uses(st.0)).then(|| self.pop(pops.0)),
            Op::X87CompareFlags { st, pop, .. } => {
                return (self.uses(0) && self.uses(st.0)).then(|| self.pop(pop.0.into()));
            }
            Op::X87UnaryOp { op: X87Unary::Fincstp } => return Some(self.turn(1)),
            Op::X87UnaryOp { op: X87Unary::Fdecstp } => return Some(self.turn(7)),
            // They push nothing where the operand is out of range.
            Op::X87UnaryOp { op: X87Unary::Fsincos | X87Unary::Fptan } => return None,
            Op::X87ControlOp { op: X87Control::Init } => return Some(X87Shape::default()),
            Op::X87ControlOp { op: X87Control::Emms } => return Some(X87Shape::default()),
            Op::X87ControlOp { op: X87Control::Mmx } | Op::GetMmx { .. } | Op::SetMmx { .. } | Op::StoreMmx { .. } => {
                return Some(X87Shape::new(0, 0xff));
            }
            Op::StateImageOp { .. } | Op::Xsave { .. } => return None,
            _ if !op.effects().contains(Effects::x87) => return Some(self),
            _ => Use::of(op),
        };
        if (0..needs).any(|i| !self.uses(i)) || (pushes > 0 && self.uses(7)) {
            return None;
        }
        let pushed = if pushes > 0 { self.push() } else { self };
        Some(pushed.pop(pops))
    }
}

/// How much of the stack an op takes.
#[derive(Clone, Copy)]
struct Use {
    /// Registers from ST(0) on that it reads.
    needs: u8,
    pushes: u8,
    pops: u8,
}

impl Use {
    fn of(op: &Op) -> Use {
        let plain = |needs, pops| Use { needs, pushes: 0, pops };
        match *op {
            Op::X87Load { .. } | Op::X87PushConst { .. } => Use { needs: 0, pushes: 1, pops: 0 },
            Op::X87Push { st } => Use { needs: st.0 + 1, pushes: 1, pops: 0 },
            Op::X87Store { pop, .. } | Op::X87CompareMem { pop, .. } => plain(1, pop.0.into()),
            Op::X87Copy { pop, .. } => plain(1, pop.0.into()),
            Op::X87Exchange { st } | Op::X87Cmov { st, .. } => plain(st.0 + 1, 0),
            Op::X87Arith { dst, src, pop, .. } => plain(dst.0.max(src.0) + 1, pop.0.into()),
            Op::X87ArithMem { .. } => plain(1, 0),
            Op::X87Compare { st, pops, .. } => plain(st.0 + 1, pops.0),
            Op::X87CompareFlags { st, pop, .. } => plain(st.0 + 1, pop.0.into()),
            Op::X87UnaryOp { op } => match op {
                X87Unary::Fxam | X87Unary::Fincstp | X87Unary::Fdecstp => plain(0, 0),
                X87Unary::Fpatan | X87Unary::Fyl2x | X87Unary::Fyl2xp1 => plain(2, 1),
                X87Unary::Fscale | X87Unary::Fprem | X87Unary::Fprem1 => plain(2, 0),
                X87Unary::Fsincos | X87Unary::Fptan | X87Unary::Fxtract => Use { needs: 1, pushes: 1, pops: 0 },
                _ => plain(1, 0),
            },
            Op::X87Free { pop, .. } => plain(0, pop.0.into()),
            _ => plain(0, 0),
        }
    }
}

/// Registers that the code of `block` takes before it pushes them, and by how many it is deeper at its end.
fn need(block: &Block) -> (i32, i32) {
    block.insts.iter().fold((0, 0), |(need, depth), inst| {
        let Use { needs, pushes, pops } = Use::of(&inst.op);
        (need.max(i32::from(needs) - depth), depth + i32::from(pushes) - i32::from(pops))
    })
}

/// The shapes that the blocks of `region` are written for; `None` where it has no x87 code.
///
/// What is not known from blocks before is guessed: that the stack holds as much as the code takes from it.
pub fn x87_shapes(region: &Region) -> Option<Vec<X87Shape>> {
    let uses_x87 = |b: &Block| b.insts.iter().any(|i| i.op.effects().contains(Effects::x87));
    if !region.blocks.iter().any(uses_x87) {
        return None;
    }
    let own: Vec<(i32, i32)> = region.blocks.iter().map(need).collect();
    let mut needs: Vec<i32> = own.iter().map(|own| own.0).collect();
    // Loops that are not balanced go on for ever; eight rounds fill any stack.
    for _ in 0..8 {
        for n in (0..region.blocks.len()).rev() {
            let behind = successors(&region.blocks[n].exit).map(|b| needs[b] - own[n].1).max().unwrap_or(0);
            needs[n] = own[n].0.max(behind).min(8);
        }
    }
    let mut shapes = vec![None; region.blocks.len()];
    for start in 0..region.blocks.len() {
        if shapes[start].is_none() {
            shapes[start] = Some(X87Shape::of_depth(needs[start].max(0) as u8));
        }
        let mut todo = vec![start];
        while let Some(n) = todo.pop() {
            let Some(before) = shapes[n] else { continue };
            let after = region.blocks[n].insts.iter().try_fold(before, |shape, inst| shape.after(&inst.op));
            let Some(after) = after else { continue };
            for b in successors(&region.blocks[n].exit) {
                if shapes[b].is_none() {
                    shapes[b] = Some(after);
                    todo.push(b);
                }
            }
            if let Exit::Call { ret_block: Some(b), .. } | Exit::IndirectCall { ret_block: Some(b), .. } =
                region.blocks[n].exit
            {
                let b = b.0 as usize;
                let depth = after.tags().count_ones() as i32;
                if shapes[b].is_none() {
                    // A function may have left its result.
                    shapes[b] = Some(if needs[b] > depth && !after.uses(7) { after.push() } else { after });
                    todo.push(b);
                }
            }
        }
    }
    Some(shapes.into_iter().map(Option::unwrap_or_default).collect())
}

/// Blocks of the region where jumps of `exit` lead, calls left out.
pub(super) fn successors(exit: &Exit) -> impl Iterator<Item = usize> + use<> {
    let of = |to: Target| match to {
        Target::Block(b) => Some(b.0 as usize),
        Target::Guest(_) => None,
    };
    let both = match *exit {
        Exit::Jump { to } => [of(to), None],
        Exit::Branch { taken, next, .. } => [of(next), of(taken)],
        _ => [None, None],
    };
    both.into_iter().flatten()
}

/// Number of a host register for x87 values.
pub type X87Slot = u8;

/// What a physical register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    slot: X87Slot,
    /// The state does not have it yet.
    is_dirty: bool,
}

/// The stack while a block's code is written: which physical registers are in which of eight host registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct X87Stack {
    /// At the place at hand.
    pub shape: X87Shape,
    /// What the state's word says; `None` where code does not know.
    written: Option<X87Shape>,
    /// Whether rounding is known to be to nearest; where code computes exactly, whether the control word is known to be that of most programs.
    pub is_nearest: bool,
    held: [Option<Held>; 8],
    /// Where the result of the op at hand had best go.
    pub wish: Option<X87Slot>,
    /// Of code that computes exactly: what the state does not have beside the shape.
    exact: Option<X87Late>,
}

/// What code that computes exactly is late in telling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct X87Late {
    /// C1 is zero.
    pub clears_c1: bool,
    /// The last x87 instruction was this.
    pub instruction: Option<GuestAddr>,
}

impl X87Stack {
    /// At the start of a block that is written for `shape`.
    pub fn new(shape: X87Shape, arithmetic: X87Arithmetic) -> X87Stack {
        let exact = (arithmetic == X87Arithmetic::Exact).then(X87Late::default);
        X87Stack { shape, written: Some(shape), is_nearest: true, held: [None; 8], wish: None, exact }
    }

    /// Where values are doubles, and those that `held` names are in host registers: whether the state does not have them. Nor may it have the shape, if that `is_late`.
    pub(super) fn entering(shape: X87Shape, held: [Option<(X87Slot, bool)>; 8], is_late: bool) -> X87Stack {
        let held = held.map(|h| h.map(|(slot, is_dirty)| Held { slot, is_dirty }));
        X87Stack { held, written: (!is_late).then_some(shape), ..X87Stack::new(shape, X87Arithmetic::Double) }
    }

    /// The host register that holds physical register `n`, and whether the state does not have it.
    pub(super) fn place(&self, n: u8) -> Option<(X87Slot, bool)> {
        self.held[usize::from(n)].map(|h| (h.slot, h.is_dirty))
    }

    /// Of code that computes exactly: what is late beside the shape.
    pub fn late(&self) -> Option<X87Late> {
        self.exact
    }

    /// The op of the instruction at `pc` has left the stack with `shape`; C1 is zero now, or (not `clears_c1`) what the state says.
    pub fn exact_op(&mut self, pc: GuestAddr, shape: X87Shape, clears_c1: bool) {
        self.shape = shape;
        self.exact = Some(X87Late { clears_c1, instruction: Some(pc) });
    }

    /// The host register of ST(`i`), if it is in one.
    pub fn slot(&self, i: u8) -> Option<X87Slot> {
        self.held[usize::from(self.shape.place(i))].map(|h| h.slot)
    }

    /// A host register that holds nothing. There is one but where eight values are held, none of them twice.
    pub fn free_slot(&self) -> X87Slot {
        (0..8).find(|slot| self.is_free(*slot)).unwrap_or_else(|| panic!("no register is left for an x87 value"))
    }

    fn is_free(&self, slot: X87Slot) -> bool {
        !self.held.iter().flatten().any(|h| h.slot == slot)
    }

    /// Where a value goes that is pushed.
    pub fn pushed_slot(&self) -> X87Slot {
        self.wish.filter(|slot| self.is_free(*slot)).unwrap_or_else(|| self.free_slot())
    }

    /// Where a result that replaces ST(`i`) goes: where that is wished, or its own host register if nothing else is there.
    pub fn result_slot(&self, i: u8) -> X87Slot {
        if let Some(slot) = self.wish.filter(|slot| self.is_free(*slot)) {
            return slot;
        }
        match self.slot(i) {
            Some(slot) if self.held.iter().flatten().filter(|h| h.slot == slot).count() == 1 => slot,
            _ => self.free_slot(),
        }
    }

    /// ST(`i`) has been loaded to `slot`.
    pub fn loaded(&mut self, i: u8, slot: X87Slot) {
        self.held[usize::from(self.shape.place(i))] = Some(Held { slot, is_dirty: false });
    }

    /// ST(`i`) is what is in `slot` from now on.
    pub fn set(&mut self, i: u8, slot: X87Slot) {
        self.held[usize::from(self.shape.place(i))] = Some(Held { slot, is_dirty: true });
        self.shape = self.shape.mark(i);
    }

    /// Pushes what is in `slot`.
    pub fn push(&mut self, slot: X87Slot) {
        self.shape = self.shape.turn(7);
        self.set(0, slot);
    }

    /// Pops `n` registers.
    pub fn pop(&mut self, n: u8) {
        for _ in 0..n {
            self.held[usize::from(self.shape.top())] = None;
            self.shape = self.shape.pop(1);
        }
    }

    /// An op that moves no values has left this shape.
    pub fn reshape(&mut self, shape: X87Shape) {
        self.shape = shape;
        for n in 0..8 {
            if shape.tags() >> n & 1 == 0 {
                self.held[n] = None;
            }
        }
    }

    /// The positions on the stack whose values `op` moves, where it does no more than that; `None` for all other ops.
    pub fn moved(op: &Op) -> Option<[Option<u8>; 2]> {
        match *op {
            Op::X87Push { st } => Some([Some(st.0), None]),
            Op::X87Copy { st: Num(0), .. }
            | Op::X87UnaryOp { op: X87Unary::Fincstp | X87Unary::Fdecstp }
            | Op::X87Free { .. } => Some([None; 2]),
            Op::X87Copy { .. } => Some([Some(0), None]),
            Op::X87Exchange { st } => Some([Some(0), Some(st.0)]),
            _ => None,
        }
    }

    /// Does `op`, which leaves the shape `after` and for which [`Self::moved`] has named values: they are in host registers.
    pub fn rearrange(&mut self, op: &Op, after: X87Shape) {
        match *op {
            Op::X87Push { st } => self.slot(st.0).into_iter().for_each(|slot| self.push(slot)),
            Op::X87Copy { st, pop } => {
                if st.0 != 0 {
                    self.slot(0).into_iter().for_each(|slot| self.set(st.0, slot));
                }
                self.pop(pop.0.into());
            }
            Op::X87Exchange { st } => {
                if let (Some(a), Some(b)) = (self.slot(0), self.slot(st.0)) {
                    self.set(0, b);
                    self.set(st.0, a);
                }
            }
            _ => self.reshape(after),
        }
    }

    /// What the state does not have yet: host registers, and the physical ones that they are.
    pub fn dirty(&self) -> impl Iterator<Item = (u8, X87Slot)> + '_ {
        let all = self.held.iter().enumerate();
        all.filter_map(|(n, h)| h.filter(|h| h.is_dirty).map(|h| (n as u8, h.slot)))
    }

    /// What is in host registers.
    pub fn held(&self) -> impl Iterator<Item = (u8, X87Slot)> + '_ {
        self.held.iter().enumerate().filter_map(|(n, h)| h.map(|h| (n as u8, h.slot)))
    }

    /// Whether the word in the state is not this shape, or may not be.
    pub fn is_late(&self) -> bool {
        self.written != Some(self.shape)
    }

    /// What the state's word is known to say.
    pub fn written(&self) -> Option<X87Shape> {
        self.written
    }

    /// All has been written to the state.
    pub fn clean(&mut self) {
        self.held.iter_mut().flatten().for_each(|h| h.is_dirty = false);
        self.exact = self.exact.map(|_| X87Late::default());
        self.written = self.is_nearest.then_some(self.shape);
    }

    /// Code that may or may not run has written what the state did not have.
    pub fn may_be_written(&mut self) {
        if self.is_late() {
            self.written = None;
        }
    }

    /// The state has been changed by others, and has `shape`: nothing is held.
    pub fn renew(&mut self, shape: X87Shape) {
        let exact = self.exact.map(|_| X87Late::default());
        *self = X87Stack { written: self.is_nearest.then_some(shape), shape, held: [None; 8], exact, ..self.clone() };
    }

    /// The control word has been loaded with something.
    pub fn forget_rounding(&mut self) {
        self.is_nearest = false;
        self.written = None;
    }

    /// [`crate::backend::LazyState::x87`] in the instruction at `pc`.
    pub fn lazy(&self, pc: GuestAddr) -> u64 {
        let late = self.exact.unwrap_or_default();
        if !self.is_late() && self.dirty().next().is_none() && late == X87Late::default() {
            return 0;
        }
        let dirty = self.dirty().fold(0, |bits, (n, slot)| bits | u64::from(8 | slot) << (16 + 4 * n));
        let bit = |bit: u64, is_set| if is_set { bit } else { 0 };
        let distance = late.instruction.map_or(0, |before| pc.0.wrapping_sub(before.0) & 0xffff_ffff);
        let exact = bit(IS_EXACT, self.exact.is_some()) | bit(CLEARS_C1, late.clears_c1) | distance << 16;
        u64::from(self.shape.0) | dirty | LATE | exact | bit(HAS_INSTRUCTION, late.instruction.is_some())
    }
}

/// In [`crate::backend::LazyState::x87`]: there is something to be done.
const LATE: u64 = 1 << 15;
/// Values are of 80 bits; then bits 16 to 47 are the distance from the last x87 instruction.
const IS_EXACT: u64 = 1 << 14;
const CLEARS_C1: u64 = 1 << 13;
/// That distance is of use.
const HAS_INSTRUCTION: u64 = 1 << 12;

/// Does what the word `lazy` of [`crate::backend::LazyState::x87`] says: host registers, as the code that was left had them, are in
/// [`x87_floats`](crate::guest::HostArea::x87_floats), and [`CpuState::rip`] is the instruction.
pub fn settle_x87(cpu: &mut CpuState, lazy: u64) {
    if lazy & LATE == 0 {
        return;
    }
    let shape = u32::from(lazy as u16 & 0x7ff);
    if lazy & IS_EXACT != 0 {
        // Where an exception is not masked, code keeps the state up to date.
        if cpu.x87_shape & SHAPE_IS_ODD != 0 {
            return;
        }
        let c1 = if lazy & CLEARS_C1 != 0 { 0 } else { cpu.x87_shape & SHAPE_C1 };
        cpu.x87_shape = cpu.x87_shape & 0xf800 | shape | c1;
        if lazy & HAS_INSTRUCTION != 0 {
            cpu.x87.instruction = cpu.rip.wrapping_add_signed(-i64::from((lazy >> 16) as i32));
        }
        return;
    }
    for n in 0..8 {
        let held = (lazy >> (16 + 4 * n)) as usize & 15;
        if held & 8 != 0 {
            cpu.x87.regs[n].significand = cpu.host.x87_floats[held & 7];
        }
    }
    cpu.x87_shape = shape | rounding_bits(cpu.x87.control);
}

/// The part of the state's word that the control word decides.
pub(crate) fn rounding_bits(control: u16) -> u32 {
    u32::from(control >> 10 & 3) << 11
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operand::{Flag, Num, X87Const, X87Op};

    const PC: GuestAddr = GuestAddr(0x40_1000);

    #[test]
    fn what_is_late_is_told() {
        let mut stack = X87Stack::new(X87Shape::of_depth(1), X87Arithmetic::Exact);
        assert_eq!(stack.lazy(PC), 0);
        stack.exact_op(GuestAddr(0x40_0ff0), X87Shape::of_depth(2), true);
        let mut cpu = CpuState::new(crate::CpuMode::Long64);
        cpu.rip = PC.0;
        cpu.x87_shape = SHAPE_C1 | 3 << 11;
        settle_x87(&mut cpu, stack.lazy(PC));
        assert_eq!((cpu.x87_shape, cpu.x87.instruction), (u32::from(X87Shape::of_depth(2).0) | 3 << 11, 0x40_0ff0));
        stack.clean();
        assert_eq!(stack.lazy(PC), 0);
    }

    #[test]
    fn shapes_follow_the_stack() {
        let shape = X87Shape::of_depth(2);
        assert_eq!((shape.top(), shape.tags()), (6, 0xc0));
        let add = Op::X87Arith { op: X87Op::Add, dst: Num(1), src: Num(0), pop: Flag(true) };
        assert_eq!(shape.after(&add), Some(X87Shape::of_depth(1)));
        assert_eq!(X87Shape::of_depth(1).after(&add), None);
        assert_eq!(X87Shape::of_depth(8).after(&Op::X87PushConst { value: X87Const::Zero }), None);
        assert_eq!(shape.after(&Op::X87Free { st: Num(1), pop: Flag(false) }), Some(X87Shape::new(6, 0x40)));
    }

    #[test]
    fn values_are_known_by_their_registers() {
        let mut stack = X87Stack::new(X87Shape::of_depth(1), X87Arithmetic::Double);
        assert_eq!((stack.slot(0), stack.lazy(PC)), (None, 0));
        stack.loaded(0, stack.free_slot());
        stack.push(0);
        assert_eq!((stack.slot(1), stack.result_slot(0)), (Some(0), 1));
        stack.set(0, 1);
        assert_eq!(stack.dirty().collect::<Vec<_>>(), [(6, 1)]);
        let mut cpu = CpuState::new(crate::CpuMode::Long64);
        cpu.host.x87_floats[1] = 77;
        settle_x87(&mut cpu, stack.lazy(PC));
        assert_eq!((cpu.x87.regs[6].significand, cpu.x87_shape), (77, X87Shape::of_depth(2).0.into()));
        stack.may_be_written();
        stack.pop(1);
        // The shape is that of the start again, but the state may say something else.
        assert!(stack.is_late());
        stack.clean();
        assert_eq!(stack.lazy(PC), 0);
    }
}

//! x87 values that stay in host registers from block to block, where those are doubles.
//!
//! A block may start with some of the stack in registers ([`x87_carries`]), part of it not written to the state, nor the state's word. Blocks before it that find the
//! shape as it must be leave the stack so ([`X87Way`]); whoever comes from elsewhere reads the registers. The state gets what it does not have on the ways that leave, and
//! where something may look at it: within a block, that is as before.

use super::x87_stack::{X87Shape, X87Slot, X87Stack, successors};
use crate::key::X87Arithmetic;
use crate::operand::{X87Control, X87Format, X87Unary};
use crate::ops::{Effects, Op};
use crate::region::{Block, BlockId, Region};

/// Rounds in which one looks for the registers that loops leave as they need them.
const ROUNDS: usize = 4;
/// What a move on the way back in a loop counts for.
const LOOP_WEIGHT: usize = 8;

/// What is to be done between two blocks: stores, then moves, then loads, then the state's word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct X87Way {
    /// Physical registers that are written to the state, and where they are.
    pub stores: Vec<(u8, X87Slot)>,
    /// Host registers that get what is in others, in this order.
    pub moves: Vec<(X87Slot, X87Slot)>,
    /// Physical registers that are read from the state, and where they go.
    pub loads: Vec<(u8, X87Slot)>,
    /// The state's word is written.
    pub writes_shape: bool,
}

impl X87Way {
    /// In [`X87Way::moves`], a host register that is free between blocks.
    pub const SPARE: X87Slot = 8;

    /// From code that leaves the stack as `from` to code of the same shape that finds it as `to`.
    pub fn new(from: &X87Stack, to: &X87Stack) -> X87Way {
        let mut way = X87Way { writes_shape: to.written().is_some() && from.is_late(), ..X87Way::default() };
        let mut pending = Vec::new();
        for n in 0..8 {
            let (before, after) = (from.place(n), to.place(n));
            if let Some((slot, true)) = before
                && after.is_none_or(|(_, is_dirty)| !is_dirty)
            {
                way.stores.push((n, slot));
            }
            match (before, after) {
                (Some((a, _)), Some((b, _))) if a != b => pending.push((b, a)),
                (None, Some((b, _))) => way.loads.push((n, b)),
                _ => {}
            }
        }
        while !pending.is_empty() {
            let is_read = |slot: X87Slot| pending.iter().any(|m: &(X87Slot, X87Slot)| m.1 == slot);
            if let Some(n) = pending.iter().position(|m| !is_read(m.0)) {
                way.moves.push(pending.remove(n));
            } else {
                // All that is left are circles.
                let slot = pending[0].1;
                way.moves.push((X87Way::SPARE, slot));
                pending.iter_mut().filter(|m| m.1 == slot).for_each(|m| m.1 = X87Way::SPARE);
            }
        }
        way
    }

    /// Whether there is nothing to be done.
    pub fn is_empty(&self) -> bool {
        *self == X87Way::default()
    }
}

/// What a block does with physical registers.
#[derive(Clone, Copy, Debug, Default)]
struct Uses {
    /// Reads what was in them before it.
    reads: u8,
    /// Leaves something else there, or in the state.
    replaces: u8,
}

/// What a block finds in host registers; sets of physical registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    held: u8,
    dirty: u8,
    is_late: bool,
}

/// What happens to physical registers.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The op at this place of its block has a result there.
    New(usize, u8),
    /// One gets the value of another.
    Copy {
        from: u8,
        to: u8,
    },
    Swap(u8, u8),
}

/// The host registers in which physical ones had best be.
type Slots = [Option<X87Slot>; 8];

/// Follows a block's ops.
struct Walk {
    stack: X87Stack,
    uses: Uses,
    events: Vec<Event>,
    at: usize,
}

impl Walk {
    fn read(&mut self, i: u8) {
        if self.stack.slot(i).is_none() {
            self.uses.reads |= 1 << self.stack.shape.place(i) & !self.uses.replaces;
            self.stack.loaded(i, self.stack.free_slot());
        }
    }

    fn compute(&mut self, i: u8) {
        let slot = self.stack.result_slot(i);
        self.stack.set(i, slot);
        self.events.push(Event::New(self.at, self.stack.shape.place(i)));
    }

    fn push(&mut self) {
        self.stack.push(self.stack.pushed_slot());
        self.events.push(Event::New(self.at, self.stack.shape.place(0)));
    }

    /// Which host registers results have best, if the block is to leave physical registers in those of `after`; where it then finds them best.
    fn wishes(&self, after: Slots, ops: usize) -> (Slots, Vec<Option<X87Slot>>) {
        let (mut slots, mut wishes) = (after, vec![None; ops]);
        for event in self.events.iter().rev() {
            match *event {
                Event::New(at, n) => wishes[at] = slots[usize::from(n)].take(),
                Event::Copy { from, to } => {
                    let wish = slots[usize::from(to)].take();
                    let from = &mut slots[usize::from(from)];
                    *from = from.or(wish);
                }
                Event::Swap(a, b) => slots.swap(a.into(), b.into()),
            }
        }
        (slots, wishes)
    }

    /// `None`: what the op leaves is not known.
    fn op(&mut self, op: &Op) -> Option<()> {
        let after = self.stack.shape.after(op)?;
        if let Some(moved) = X87Stack::moved(op) {
            moved.into_iter().flatten().for_each(|i| self.read(i));
            let place = |i| self.stack.shape.place(i);
            match *op {
                Op::X87Exchange { st } => self.events.push(Event::Swap(place(0), place(st.0))),
                Op::X87Push { st } => self.events.push(Event::Copy { from: place(st.0), to: place(7) }),
                Op::X87Copy { st, .. } if st.0 != 0 => {
                    self.events.push(Event::Copy { from: place(0), to: place(st.0) });
                }
                _ => {}
            }
            self.stack.rearrange(op, after);
            return Some(());
        }
        match *op {
            _ if !op.effects().contains(Effects::x87) => {}
            Op::X87GetStatus {} | Op::X87GetControl {} => {}
            Op::X87ControlOp { op: X87Control::Wait | X87Control::Nop | X87Control::Clex } => {}
            Op::X87Load { format, .. } if is_known(format) => self.push(),
            Op::X87PushConst { .. } => self.push(),
            Op::X87Store { format, pop, .. } if is_known(format) => {
                self.read(0);
                self.stack.pop(pop.0.into());
            }
            Op::X87Arith { dst, src, pop, .. } => {
                self.read(dst.0);
                self.read(src.0);
                self.compute(dst.0);
                self.stack.pop(pop.0.into());
            }
            Op::X87ArithMem { .. } | Op::X87UnaryOp { op: X87Unary::Fchs | X87Unary::Fabs | X87Unary::Fsqrt } => {
                self.read(0);
                self.compute(0);
            }
            Op::X87Compare { st, pops, .. } => {
                self.read(0);
                self.read(st.0);
                self.stack.pop(pops.0);
            }
            Op::X87CompareFlags { st, pop, .. } => {
                self.read(0);
                self.read(st.0);
                self.stack.pop(pop.0.into());
            }
            Op::X87CompareMem { pop, .. } => {
                self.read(0);
                self.stack.pop(pop.0.into());
            }
            Op::X87UnaryOp { op: X87Unary::Ftst } => self.read(0),
            Op::X87SetControl { .. } => self.stack.forget_rounding(),
            _ => {
                self.stack.renew(after);
                self.uses.replaces = 0xff;
            }
        }
        Some(())
    }

    fn block(stack: X87Stack, block: &Block) -> Option<Walk> {
        Walk::wishing(stack, block, &[])
    }

    fn wishing(stack: X87Stack, block: &Block, wishes: &[Option<X87Slot>]) -> Option<Walk> {
        let mut walk = Walk { stack, uses: Uses::default(), events: Vec::new(), at: 0 };
        for (n, inst) in block.insts.iter().enumerate() {
            walk.at = n;
            walk.stack.wish = wishes.get(n).copied().flatten();
            walk.op(&inst.op)?;
        }
        walk.uses.replaces |= set(walk.stack.dirty()) | !walk.stack.shape.tags();
        walk.stack.is_nearest.then_some(walk)
    }
}

/// Formats of operands that are loaded and stored in place.
fn is_known(format: X87Format) -> bool {
    !matches!(format, X87Format::F80 | X87Format::Bcd)
}

fn set(places: impl Iterator<Item = (u8, X87Slot)>) -> u8 {
    places.fold(0, |set, (n, _)| set | 1 << n)
}

/// Blocks before and behind whose shapes agree, so that values can stay in registers between them.
fn edges(region: &Region, shapes: &[X87Shape]) -> Vec<Vec<usize>> {
    let takes = |b: usize| !region.blocks[b].insts.iter().any(|i| i.op.effects().contains(Effects::float));
    let of = |n: usize| {
        let block = &region.blocks[n];
        let after = Walk::block(X87Stack::new(shapes[n], X87Arithmetic::Double), block).map(|w| w.stack.shape);
        successors(&block.exit).filter(|b| after == Some(shapes[*b]) && takes(*b)).collect()
    };
    (0..region.blocks.len()).map(of).collect()
}

/// The registers that blocks with these edges find in host registers.
fn found(region: &Region, shapes: &[X87Shape], edges: &[Vec<usize>]) -> Vec<Found> {
    let count = region.blocks.len();
    let uses = |n: usize| {
        let walk = Walk::block(X87Stack::new(shapes[n], X87Arithmetic::Double), &region.blocks[n]);
        walk.map_or(Uses { reads: 0, replaces: 0xff }, |w| w.uses)
    };
    let uses: Vec<Uses> = (0..count).map(uses).collect();
    let mut wanted: Vec<u8> = uses.iter().map(|u| u.reads).collect();
    loop {
        let before = wanted.clone();
        for n in (0..count).rev() {
            let behind = edges[n].iter().fold(0, |all, b| all | wanted[*b]);
            wanted[n] |= behind & !uses[n].replaces;
        }
        if before == wanted {
            break;
        }
    }
    let mut found = vec![Found::default(); count];
    loop {
        let before = found.clone();
        for n in 0..count {
            let own: [X87Slot; 8] = std::array::from_fn(|n| n as X87Slot);
            let Some(walk) = Walk::block(entering(shapes[n], found[n], own), &region.blocks[n]) else { continue };
            for b in &edges[n] {
                let next = &mut found[*b];
                next.dirty |= set(walk.stack.dirty());
                next.held |= set(walk.stack.held()) & wanted[*b] | next.dirty;
                next.is_late |= walk.stack.is_late();
            }
        }
        if before == found {
            return found;
        }
    }
}

/// The stack where a block for `shape` starts that finds what `found` says in `slots`.
fn entering(shape: X87Shape, found: Found, slots: [X87Slot; 8]) -> X87Stack {
    let held = std::array::from_fn(|n| {
        let is_in = |set: u8| set >> n & 1 != 0;
        is_in(found.held).then(|| (slots[n], is_in(found.dirty)))
    });
    X87Stack::entering(shape, held, found.is_late)
}

/// The host registers that a block with these `held` gets most easily from code that leaves `before`.
fn slots_after(before: &X87Stack, held: u8) -> [X87Slot; 8] {
    let mut slots = [X87Way::SPARE; 8];
    let mut taken = 0u8;
    for (n, slot) in before.held().filter(|(n, _)| held >> n & 1 != 0) {
        if taken >> slot & 1 == 0 {
            taken |= 1 << slot;
            slots[usize::from(n)] = slot;
        }
    }
    for slot in slots.iter_mut().filter(|s| **s == X87Way::SPARE) {
        *slot = taken.trailing_ones() as X87Slot & 7;
        taken |= 1 << *slot;
    }
    slots
}

/// What stays in registers between the blocks of a region where code computes in doubles.
#[derive(Clone, Debug, Default)]
pub struct X87Carries {
    /// How blocks find the stack.
    pub stacks: Vec<X87Stack>,
    /// [`X87Stack::wish`] for each op of each block.
    pub wishes: Vec<Vec<Option<X87Slot>>>,
}

/// What stays in registers between the blocks of `region`, which are written for `shapes`.
pub fn x87_carries(region: &Region, shapes: &[X87Shape]) -> X87Carries {
    let edges = edges(region, shapes);
    let found = found(region, shapes, &edges);
    let count = region.blocks.len();
    let order: Vec<usize> = region.code_order().iter().map(|id: &BlockId| id.0 as usize).collect();
    let mut rank = vec![0; count];
    order.iter().enumerate().for_each(|(at, n)| rank[*n] = at);
    let is_back = |from: usize, to: usize| rank[to] <= rank[from];
    let mut headers: Vec<Option<[X87Slot; 8]>> = vec![None; count];
    let mut wishes: Vec<Vec<Option<X87Slot>>> = vec![Vec::new(); count];
    let mut best: Option<(usize, X87Carries)> = None;
    for _ in 0..ROUNDS {
        let mut slots = headers.clone();
        let mut after: Vec<Option<Walk>> = (0..count).map(|_| None).collect();
        for n in &order {
            let own = *slots[*n].get_or_insert_with(|| std::array::from_fn(|n| n as X87Slot));
            let stack = entering(shapes[*n], found[*n], own);
            let Some(walk) = Walk::wishing(stack, &region.blocks[*n], &wishes[*n]) else { continue };
            for b in &edges[*n] {
                slots[*b].get_or_insert_with(|| slots_after(&walk.stack, found[*b].held));
            }
            after[*n] = Some(walk);
        }
        let stack = |n: usize| entering(shapes[n], found[n], slots[n].unwrap_or_default());
        let stacks: Vec<X87Stack> = (0..count).map(stack).collect();
        let mut moves = 0;
        for (n, walk) in after.iter().enumerate() {
            let Some(before) = walk.as_ref().map(|walk| &walk.stack) else { continue };
            for b in &edges[n] {
                let way = X87Way::new(before, &stacks[*b]);
                moves += way.moves.len() * if is_back(n, *b) { LOOP_WEIGHT } else { 1 };
                if is_back(n, *b) {
                    // Wishes come first: they are for the registers of this round.
                    headers[*b] =
                        if wishes[n].is_empty() { slots[*b] } else { Some(slots_after(before, found[*b].held)) };
                }
            }
        }
        if best.as_ref().is_none_or(|(least, _)| moves < *least) {
            best = Some((moves, X87Carries { stacks: stacks.clone(), wishes: wishes.clone() }));
        }
        if moves == 0 {
            break;
        }
        // From the ends of loops backwards.
        let mut starts: Vec<Slots> = vec![[None; 8]; count];
        for n in order.iter().rev() {
            let Some(walk) = &after[*n] else { continue };
            let known = |b: &usize| -> Slots {
                let held = |place: u8| stacks[*b].place(place).map(|h| h.0);
                if is_back(*n, *b) { std::array::from_fn(|place| held(place as u8)) } else { starts[*b] }
            };
            let wanted = edges[*n].iter().map(known).max_by_key(|slots| slots.iter().flatten().count());
            let (start, own) = walk.wishes(wanted.unwrap_or_default(), region.blocks[*n].insts.len());
            (starts[*n], wishes[*n]) = (start, own);
        }
    }
    best.map(|(_, carries)| carries).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::parse;

    /// A loop that adds up products with ST(1), and forgets the sum behind it.
    const LOOP: &str = "region 0x1000 long64 x87=f64
range 0x1000 32
block b0 0x1000
  insn 0x1000, #3
  %1 = get_gpr rcx, w64
  x87_load f64, [w64 + %1]
  insn 0x1003, #2
  x87_arith mul, #0, #2, no
  insn 0x1005, #2
  x87_arith add, #1, #0, yes
  insn 0x1007, #3
  %2 = get_gpr rdx, w64
  %3 = compare ult, w64, %1, %2
  branch %3, b0, b1
block b1 0x100a
  insn 0x100a, #2
  x87_copy #0, yes
  jump 0x100c
";

    fn carries(text: &str) -> Vec<X87Stack> {
        let region = parse::region(text).expect("the region can be read");
        let shapes = super::super::x87_shapes(&region).expect("there is x87 code");
        x87_carries(&region, &shapes).stacks
    }

    #[test]
    fn loops_keep_what_they_compute_and_read() {
        let carries = carries(LOOP);
        let at = |block: usize, n| carries[block].place(n).map(|h| h.1);
        // The sum is new each time, the factor is not.
        assert_eq!((at(0, 6), at(0, 7), at(0, 5)), (Some(true), Some(false), None));
        // Behind the loop nobody reads the factor.
        assert_eq!((at(1, 6), at(1, 7)), (Some(true), None));
        let region = parse::region(LOOP).expect("the same");
        let after = Walk::block(carries[0].clone(), &region.blocks[0]).expect("the shape is known").stack;
        assert!(X87Way::new(&after, &carries[0]).is_empty());
    }

    /// Each round computes values that others are still computed from, and exchanges them.
    #[test]
    fn loops_leave_values_where_they_find_them() {
        let ops = "exchange #3;arith add, #0, #0, no;arith mul, #2, #0, yes;exchange #1;arith add, #0, #3, no;exchange #1;\
            arith subr, #2, #0, yes;exchange #1;arith add, #0, #3, no;exchange #1;push #1;arith mul, #0, #2, no;push #1;\
            arith mul, #0, #2, no;push #1;arith add, #0, #1, no;load f32, [w64 + %1];exchange #1;compare #1, no, #2";
        let ops: String = ops.split(';').map(|op| format!("  x87_{}\n", op.trim())).collect();
        let (head, rest) = LOOP.split_once("  x87_load").expect("there is a load");
        let (_, rest) = rest.split_once("  insn 0x1007, #3\n").expect("the compare is behind");
        let region = parse::region(&format!("{head}{ops}{rest}")).expect("the region can be read");
        let shapes = super::super::x87_shapes(&region).expect("there is x87 code");
        let X87Carries { stacks, wishes } = x87_carries(&region, &shapes);
        let end =
            |wishes| Walk::wishing(stacks[0].clone(), &region.blocks[0], wishes).expect("the shape is known").stack;
        assert!(X87Way::new(&end(&wishes[0]), &stacks[0]).is_empty());
        assert!(!X87Way::new(&end(&[]), &stacks[0]).is_empty());
    }

    #[test]
    fn blocks_with_a_look_at_mxcsr_find_all_in_the_state() {
        let look = "%5 = get_vec #0, f64\n  %6 = fp_sqrt f64, %5\n  set_vec #0, f64, keep, %6\n  insn 0x1003, #2";
        let carries = carries(&LOOP.replacen("insn 0x1003, #2", look, 1));
        assert_eq!(carries[0].held().count(), 0);
        assert!(!carries[0].is_late());
    }

    #[test]
    fn ways_write_read_and_move_in_circles() {
        let shape = X87Shape::of_depth(4);
        let of = |held: &[(usize, X87Slot, bool)], is_late| {
            let mut all = [None; 8];
            held.iter().for_each(|(n, slot, is_dirty)| all[*n] = Some((*slot, *is_dirty)));
            X87Stack::entering(shape, all, is_late)
        };
        let from = of(&[(4, 0, true), (5, 1, true), (6, 2, true)], true);
        let to = of(&[(4, 1, true), (5, 0, true), (7, 3, false)], false);
        let way = X87Way::new(&from, &to);
        assert_eq!((way.stores, way.loads, way.writes_shape), (vec![(6, 2)], vec![(7, 3)], true));
        let spare = X87Way::SPARE;
        assert_eq!(way.moves, [(spare, 0), (0, 1), (1, spare)]);
        assert!(X87Way::new(&from, &from).is_empty());
    }
}

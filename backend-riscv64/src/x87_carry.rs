//! Does what [`hokku_ir::lowering::x87_carries`] decides: x87 doubles stay in registers between blocks.

use hokku_ir::backend::{LazyState, Tier};
use hokku_ir::lowering::{X87Carries, X87Shape, X87Slot, X87Stack, X87Way, x87_carries};
use hokku_ir::{BlockId, Exit, Region, Target, X87Arithmetic};

use crate::asm::Label;
use crate::assign::*;
use crate::conditions::Test;
use crate::encode::*;
use crate::exits::Cold;
use crate::float::fp;
use crate::lower::Lowering;
use crate::x87_double::{FLOAT_SCRATCH, float_of, place_offset};

/// How blocks find the stack, in code that is worth it.
pub(crate) fn carries(region: &Region, tier: Tier, shapes: Option<&[X87Shape]>) -> Option<X87Carries> {
    let is_worth_it = tier == Tier::Second && region.key.x87 == X87Arithmetic::Double;
    shapes.filter(|_| is_worth_it).map(|shapes| x87_carries(region, shapes))
}

/// The host register for `slot`, or the one beside them.
fn register(slot: X87Slot) -> Reg {
    if slot == X87Way::SPARE { FLOAT_SCRATCH } else { float_of(slot) }
}

impl Lowering<'_> {
    /// The stack where block `id` starts.
    pub(crate) fn stack_at(&self, id: BlockId) -> Option<X87Stack> {
        let n = id.0 as usize;
        let plain = || self.shapes.as_ref().map(|shapes| X87Stack::new(shapes[n], self.region.key.x87));
        self.carries.as_ref().map(|carries| carries.stacks[n].clone()).or_else(plain)
    }

    /// Has the result of the x87 op at hand go where the blocks behind want it.
    pub(crate) fn wish_for_result(&mut self) {
        let Some((stack, carries)) = self.x87.as_mut().zip(self.carries.as_ref()) else { return };
        let wishes = &carries.wishes[self.block_id.0 as usize];
        stack.wish = wishes.get(self.at as usize).copied().flatten();
    }

    /// Whether the exit of the block at hand may leave some of the stack in registers.
    pub(crate) fn carries_on(&self) -> bool {
        self.carries.is_some()
            && self.x87.as_ref().is_some_and(|stack| stack.is_nearest)
            && matches!(self.block.exit, Exit::Jump { .. } | Exit::Branch { .. })
    }

    /// Reads what block `id` finds in registers: the state has all of the stack.
    pub(crate) fn load_carried(&mut self, id: BlockId) {
        let Some(carries) = &self.carries else { return };
        let held: Vec<(u8, X87Slot)> = carries.stacks[id.0 as usize].held().collect();
        for (n, slot) in held {
            self.asm.i(FLD, float_of(slot), STATE, place_offset(n));
        }
    }

    /// Here, where a block starts, threads can be called out.
    pub(crate) fn may_be_called_out(&mut self) {
        let x87 = self.x87.as_ref().map_or(0, |stack| stack.lazy(self.pc));
        self.may_fault(LazyState { narrow: self.narrow, x87, ..LazyState::default() });
    }

    /// The stack as code at `to` finds it, if it is at hand.
    fn stack_for(&self, to: Target) -> Option<X87Stack> {
        let stack = self.x87.as_ref()?;
        let carried = match to {
            Target::Block(b) if self.leads_past_check(b) => self.stack_at(b),
            _ => None,
        };
        carried.or_else(|| Some(X87Stack::new(stack.shape, X87Arithmetic::Double)))
    }

    /// Leaves the stack as code at `to` finds it.
    pub(crate) fn carry_to(&mut self, to: Target) {
        if let Some((from, to)) = self.x87.clone().zip(self.stack_for(to)) {
            self.write_carry(&from, &to);
            self.x87 = Some(to);
        }
    }

    /// The same before a branch on `test` that goes there, if that is better than on the way.
    pub(crate) fn carry_before(&mut self, test: Test, to: Target) {
        let Target::Block(b) = to else { return };
        let Some((from, at)) = self.x87.as_ref().zip(self.stack_for(to)) else { return };
        let way = X87Way::new(from, &at);
        let is_read = |r: Reg| test.a == r || test.b == r;
        let is_possible = !way.writes_shape || !(is_read(SCRATCH) || is_read(RA));
        if !way.is_empty() && is_possible && !self.leaves_loop(b) {
            self.carry_to(to);
        }
    }

    /// A way to `entry` of block `id` on which the stack becomes what that finds.
    pub(crate) fn carrying_way(&mut self, id: BlockId, entry: Label) -> Label {
        let Some((from, to)) = self.x87.clone().zip(self.stack_for(Target::Block(id))) else { return entry };
        if X87Way::new(&from, &to).is_empty() {
            return entry;
        }
        let label = self.asm.label();
        self.cold.push(Cold::Carry { label, from: Box::new(from), to: Box::new(to), entry });
        label
    }

    /// The stack, which is `from`, becomes `to`. Changes [`SCRATCH`] if the state's word is to be written.
    pub(crate) fn write_carry(&mut self, from: &X87Stack, to: &X87Stack) {
        let way = X87Way::new(from, to);
        for (n, slot) in &way.stores {
            self.asm.s(FSD, float_of(*slot), STATE, place_offset(*n));
        }
        for (to, from) in &way.moves {
            self.asm.word(fp(0x10, true, 0, register(*to), register(*from), register(*from).into()));
        }
        for (n, slot) in &way.loads {
            self.asm.i(FLD, float_of(*slot), STATE, place_offset(*n));
        }
        if way.writes_shape {
            self.write_shape(from.shape, true);
        }
    }
}

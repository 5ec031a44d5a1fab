//! Tests of where values are.

use super::plan::{FlagsNeed, Plan};
use super::values::{Loc, Moves, UpperBits, Values};
use crate::operand::Width;
use crate::region::Value;
use crate::text::parse;

/// The slots that were stored to.
#[derive(Default)]
struct Spills(Vec<u8>);

impl Moves for Spills {
    fn copy(&mut self, _: u8, _: u8) {}

    fn spill(&mut self, slot: u8, _: u8) {
        self.0.push(slot);
    }

    fn reload(&mut self, _: u8, _: u8) {}

    fn add(&mut self, _: Width, _: u8, _: u8, _: i32) -> UpperBits {
        UpperBits::UNKNOWN
    }
}

#[test]
fn a_slot_is_free_only_when_the_value_of_this_block_in_it_is_needed_no_more() {
    let region = parse::region(
        "\
region 0x1000 long64
range 0x1000 12
block b0 0x1000
  %0 = get_gpr rax, w64
  set_gpr rcx, w64, %0
  jump b1
block b1 0x1004
  %2 = get_gpr rax, w64
  %3 = get_gpr rbx, w64
  %4 = get_gpr rdx, w64
  set_gpr rcx, w64, %2
  set_gpr rsi, w64, %3
  set_gpr rdi, w64, %4
  jump b1
",
    )
    .unwrap();
    let mut plan = Plan::new(&region);
    let mut values = Values::new([0; 16], &[21], region.value_count);
    let mut spills = Spills::default();

    // The block ends with its value in the first slot.
    plan.block(&region.blocks[0], FlagsNeed::None, &|_, _| false);
    values.start_block();
    values.start(0);
    values.own(21, Value(0));
    values.spill_all(&mut spills);
    assert_eq!(values.loc(Value(0)), Loc::Slot(0));

    plan.block(&region.blocks[1], FlagsNeed::None, &|_, _| false);
    values.start_block();
    for (n, v) in [Value(2), Value(3), Value(4)].into_iter().enumerate() {
        values.start(n as u32);
        values.own(21, v);
        values.spill_all(&mut spills);
        values.finish(&plan);
    }
    assert_eq!(spills.0, [0, 0, 1, 2], "all three are still to be read");
    for n in 3..5 {
        values.start(n);
        values.finish(&plan);
    }
    values.own(21, Value(0));
    values.spill_all(&mut spills);
    assert_eq!(spills.0.last(), Some(&0), "two of three are done");
}

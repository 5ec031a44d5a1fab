//! Loops that hand a carry on to their next round: the carry is left as a bit of its own, which the next round finds.

use hokku_ir::lowering::{FLAG_SLOTS, RecipeStep, sees_flags};
use hokku_ir::{Block, Cond, FlagSet, Inst, Op, Region, Value, Width};

use crate::access::Piece;
use crate::asm::{Label, Size};
use crate::assign::*;
use crate::conditions::Test;
use crate::integer::Sum;
use crate::lower::Lowering;

/// Where the carry is left.
pub(crate) const CARRY_SLOT: u8 = FLAG_SLOTS + 3;

/// Blocks at whose end CF is that of an addition or subtraction with carry and the other flags are younger name CF by itself.
pub(crate) fn name_last_carries(region: &mut Region) {
    let mut next = region.value_count;
    for block in &mut region.blocks {
        name_last_carry(block, &mut next);
    }
    region.value_count = next;
}

fn name_last_carry(block: &mut Block, next: &mut u32) -> Option<()> {
    let mut sets = block.insts.iter().enumerate().rev().filter_map(|(n, i)| match i.op {
        Op::SetFlags { set, v } => Some((n, set, v)),
        _ => None,
    });
    let (last, younger, _) = sets.next()?;
    let (set_at, set, flags) = if younger.contains(FlagSet::CF) { return None } else { sets.next()? };
    let is_alone = younger == FlagSet::STATUS - FlagSet::CF && set.contains(FlagSet::CF);
    let made_at = block.insts[..set_at].iter().position(|i| i.value == flags)?;
    let wide = |w: Width| w >= Width::W32;
    let has_carry = matches!(block.insts[made_at].op, Op::AdcFlags { w, .. } | Op::SbbFlags { w, .. } if wide(w));
    if !is_alone || !has_carry || block.insts[set_at..last].iter().any(|i| sees_flags(&i.op)) {
        return None;
    }
    let [bit, word, flag] = [Value(*next), Value(*next + 1), Value(*next + 2)];
    *next += 4;
    let set = Inst { value: Value(*next - 1), op: Op::SetFlags { set: FlagSet::CF, v: flag } };
    block.insts.insert(set_at + 1, set);
    let named = [
        Inst { value: bit, op: Op::Condition { cc: Cond::B, f: flags } },
        Inst { value: word, op: Op::ExtendZero { from: Width::W8, to: Width::W32, v: bit } },
        Inst { value: flag, op: Op::IntToFlags { v: word } },
    ];
    block.insts.splice(made_at + 1..made_at + 1, named);
    Some(())
}

/// The step of a recipe that is CF as a word, where `steps` take it from such a one.
pub(crate) fn carry_of(steps: &[RecipeStep]) -> Option<RecipeStep> {
    let op = |n: Value| match steps.get(n.0 as usize)? {
        RecipeStep::Op(op) => Some(*op),
        _ => None,
    };
    let Op::MergeFlags { set, b, .. } = op(Value(steps.len() as u32 - 1))? else { return None };
    let Op::IntToFlags { v } = op(b)? else { return None };
    let word = steps.get(v.0 as usize).copied()?;
    (!set.contains(FlagSet::CF) && matches!(word, RecipeStep::Register(_) | RecipeStep::Slot(_))).then_some(word)
}

impl Lowering<'_> {
    /// Tests CF, with which the block was entered, where the block is a loop that leaves it for itself.
    pub(crate) fn test_own_carry(&mut self, cc: Cond) -> Option<Test> {
        let leads_here = |to| to == hokku_ir::BlockId(self.block_number as u32);
        let mut is_loop = false;
        self.block.exit.successors(&mut |to| is_loop |= leads_here(to));
        let names_carry = self.block.insts.iter().any(|i| matches!(i.op, Op::IntToFlags { .. }));
        if !matches!(cc, Cond::B | Cond::Ae) || !is_loop || !names_carry {
            return None;
        }
        let label = self.own_site.unwrap_or_else(|| self.asm.label());
        self.own_site = Some(label);
        self.spill_vectors();
        let t = self.temp();
        self.reserve();
        let (slow, done) = (self.asm.label(), self.asm.label());
        self.asm.adr(SCRATCH, label);
        self.asm.add(Sum::Sub, Size::X, SCRATCH, SCRATCH, FLAG_SITE);
        self.asm.cbnz(Size::X, SCRATCH, slow);
        self.asm.load(Piece::W, t, STATE, recipe_slot_offset(CARRY_SLOT));
        self.outline(slow, |l| {
            l.settle_flags();
            l.asm.load(Piece::W, t, STATE, STATUS_FLAGS);
            l.asm.b(done);
        });
        self.asm.bind(done);
        self.compared = None;
        // Other flags may be in the word: not all come of a carry that was named.
        Some(Test::Bit { reg: t, bit: 0, is: cc == Cond::B })
    }

    /// The place that tells of flags as `steps` have them, if [`Self::test_own_carry`] asks for it.
    pub(crate) fn take_own_site(&mut self, steps: &[RecipeStep]) -> Option<Label> {
        let word = carry_of(steps)?;
        let is_apart = steps.iter().filter(|step| **step == word).count() == 1;
        if is_apart { self.own_site.take() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use hokku_ir::backend::Tier;
    use hokku_ir::text::parse;

    use super::*;
    use crate::Features;

    /// A loop that adds with the carry, which `carry` makes, and counts down.
    fn adding_loop(carry: &str, counted: &str) -> Region {
        let text = format!(
            "\
region 0x1000 long64 step top=3
range 0x1000 16
block b0 0x1000
  insn 0x1000, #4
  %1 = get_gpr rax, w64
  %2 = get_gpr rcx, w64
  %3 = get_flags
  %4 = adc w64, %1, %2, %3
  %5 = {carry}
  set_gpr rax, w64, %4
  set_flags {{cpazso}}, %5
  insn 0x1004, #4
  %8 = get_gpr rdx, w64
  %9 = iconst w64, 0x1
  %10 = sub w64, %8, %9
  %11 = dec_flags w64, %8
  set_gpr rdx, w64, %10
  set_flags {counted}, %11
  %14 = condition ne, %11
  branch %14, b0, 0x1010
"
        );
        parse::region(&text).expect("the text is a region")
    }

    fn names(carry: &str, counted: &str) -> bool {
        let mut region = adding_loop(carry, counted);
        name_last_carries(&mut region);
        region.blocks[0].insts.iter().any(|i| matches!(i.op, Op::SetFlags { set: FlagSet::CF, .. }))
    }

    #[test]
    fn carries_of_sums_are_named_where_they_last() {
        assert!(names("adc_flags w64, %1, %2, %3", "{pazso}"));
        assert!(!names("adc_flags w64, %1, %2, %3", "{cpazso}"));
        assert!(!names("int_to_flags %2", "{pazso}"));
    }

    /// What is left may be a word of several flags.
    #[test]
    fn a_carry_is_one_bit() {
        for carry in ["adc_flags w64, %1, %2, %3", "int_to_flags %2"] {
            let region = adding_loop(carry, "{pazso}");
            let code = crate::lower::compile(&region, Features::empty(), Tier::Second).code;
            let words: Vec<u32> = code.chunks(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect();
            let slot = recipe_slot_offset(CARRY_SLOT) as u32 / 4;
            let load = 0xb940_0000 | slot << 10 | u32::from(STATE) << 5;
            let n = words.iter().position(|w| w & !31 == load).expect("the carry is read");
            // `ubfx t, t, #0, #1`.
            assert_eq!(words[n + 1] & 0x7fbf_fc00, 0x5300_0000, "{carry}: {:08x}", words[n + 1]);
        }
    }
}

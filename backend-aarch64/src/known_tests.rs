//! What copies of blocks know, and how many there are.

use hokku_ir::backend::Tier;
use hokku_ir::text::parse;
use hokku_ir::{BlockId, Exit, Op, Region, Target, Type, Upper};

use crate::known::copies;
use crate::known_alignment::aligned_in;

/// A loop that loads vectors and counts `rax` up by `step`.
fn vector_loop(step: u64) -> Region {
    let text = format!(
        "\
region 0x1000 long64 step top=3
range 0x1000 32
block b0 0x1000
  insn 0x1000, #4
  %1 = get_gpr rcx, w64
  %2 = get_gpr rax, w64
  %3 = load v128, aligned, [w64 + %1 + %2]
  set_vec #0, v128, keep, %3
  insn 0x1004, #4
  %5 = iconst w64, {step:#x}
  %6 = add w64, %2, %5
  set_gpr rax, w64, %6
  insn 0x1008, #4
  %7 = iconst w64, 0x300
  %8 = sub_flags w64, %6, %7
  set_flags {{cpazso}}, %8
  %9 = condition ne, %8
  branch %9, b0, 0x1020
"
    );
    parse::region(&text).expect("the text is a region")
}

fn taken(region: &Region, id: u32) -> Target {
    let Exit::Branch { taken, .. } = region.block(BlockId(id)).exit else { panic!("b{id} does not branch") };
    taken
}

/// The first round is the original's, all others the copy's, which knows flags and alignment.
#[test]
fn a_loop_goes_on_in_its_copy() {
    let known = copies(&vector_loop(16), true);
    assert_eq!((known.originals, known.region.blocks.len()), (1, 2));
    assert_eq!(taken(&known.region, 0), Target::Block(BlockId(1)));
    assert_eq!(taken(&known.region, 1), Target::Block(BlockId(1)));
    let told = &known.region.blocks[1].insts[..known.told[1]];
    assert!(matches!(told.last().map(|i| i.op), Some(Op::SetFlags { .. })), "{told:?}");
    let aligned = |n: usize| aligned_in(&known.region.blocks[n], &known.facts[n].alignment).len();
    assert_eq!((aligned(0), aligned(1)), (0, 1));
    assert_eq!(known.stands, [false, true]);
}

/// An address that moves on by less than the alignment is looked at each time.
#[test]
fn alignment_is_not_known_after_a_smaller_step() {
    let known = copies(&vector_loop(8), true);
    assert_eq!(known.region.blocks.len(), 2);
    assert!(known.facts.iter().zip(&known.region.blocks).all(|(f, b)| aligned_in(b, &f.alignment).is_empty()));
}

/// A scalar is written with the zeros that are above it already, but not where something else may be.
#[test]
fn scalars_below_zeros_are_written_with_these() {
    let scalar_loop = |first: &str| {
        let text = format!(
            "\
region 0x1000 long64 step top=3
range 0x1000 32
block b0 0x1000
  insn 0x1000, #4
  %1 = get_gpr rcx, w64
  %2 = load f64, unaligned, [w64 + %1]
  set_vec #1, f64, {first}, %2
  jump b1
block b1 0x1004
  insn 0x1004, #4
  %3 = get_vec #1, f64
  %4 = fp_arith add, f64, %3, %3
  %5 = fp_arith mul, f64, %4, %3
  set_vec #1, f64, keep, %5
  jump b1
"
        );
        let known = copies(&parse::region(&text).expect("the text is a region"), true);
        let written: Vec<Upper> = known.region.blocks[1..]
            .iter()
            .flat_map(|b| &b.insts)
            .filter_map(|i| match i.op {
                Op::SetVec { ty: Type::F64, upper, .. } => Some(upper),
                _ => None,
            })
            .collect();
        written
    };
    assert_eq!(scalar_loop("zero128"), [Upper::Keep, Upper::Zero128]);
    assert_eq!(scalar_loop("keep"), [Upper::Keep]);
}

/// A loop in which zeros above scalars help looks for them where it is entered: of the registers that it reads, not of those that it writes.
#[test]
fn zeros_of_a_loop_are_looked_for_at_its_entry() {
    let text = "\
region 0x1000 long64 step top=3
range 0x1000 32
block b0 0x1000
  insn 0x1000, #4
  %1 = get_vec #2, v128
  set_vec #4, v128, keep, %1
  insn 0x1004, #4
  %2 = get_vec #4, f64
  %3 = fp_arith mul, f64, %2, %2
  set_vec #4, f64, keep, %3
  insn 0x1008, #4
  %4 = get_vec #2, f64
  %5 = fp_arith add, f64, %4, %3
  set_vec #2, f64, keep, %5
  jump b0
";
    let known = copies(&parse::region(text).expect("the text is a region"), true);
    assert_eq!((known.entry, known.facts[1].zeros), (Some(BlockId(1)), 1 << 2));
    assert_eq!(known.region.blocks[1].exit, Exit::Jump { to: Target::Block(BlockId(1)) });
}

/// A store waits for the look behind it: what the attempt adds to registers is computed back, not kept, and FPSR is read once beside the look.
#[test]
fn attempts_keep_nothing_that_can_be_computed_back() {
    let text = "\
region 0x1000 long64 step top=3
range 0x1000 64
block b0 0x1000
  insn 0x1000, #4
  %1 = get_vec #1, f64
  %2 = fp_arith mul, f64, %1, %1
  set_vec #1, f64, zero128, %2
  insn 0x1004, #4
  %3 = iconst w64, 0x8
  %4 = get_gpr rax, w64
  %5 = add w64, %4, %3
  set_gpr rax, w64, %5
  insn 0x1008, #4
  %6 = fp_arith add, f64, %2, %2
  set_vec #1, f64, zero128, %6
  insn 0x100c, #4
  store f64, unaligned, [w64 + %5], %6
  insn 0x1010, #4
  %7 = fp_arith mul, f64, %6, %6
  set_vec #1, f64, zero128, %7
  insn 0x1014, #4
  %8 = fp_arith add, f64, %7, %7
  set_vec #1, f64, zero128, %8
  jump b0
";
    let region = parse::region(text).expect("the text is a region");
    let code = crate::lower::compile(&region, crate::Features::default(), Tier::Second).code;
    let words: Vec<u32> = code.chunks(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect();
    // The code of the block ends with the jump back.
    let end = words.iter().position(|w| w >> 26 == 0x05 && w >> 25 & 1 == 1).expect("a jump back");
    let is_kept = |w: &&u32| **w & 0xffff_ffe0 == 0xaa00_03e0;
    let reads = |w: &&u32| **w & 0xffff_ffe0 == 0xd53b_4420;
    assert_eq!(words[..end].iter().filter(is_kept).count(), 0);
    assert_eq!(words[..end].iter().filter(reads).count(), 2);
    // Of the rax that the first attempt leaves, one version takes back what has been added.
    let takes_back = |w: &&u32| **w == 0xd100_2000;
    assert_eq!(words[end..].iter().filter(takes_back).count(), 1);
}

/// `movapd xmm1, xmm2; mulsd xmm1, xmm1; addsd xmm1, xmm3` with zeros above: the copy takes no code, and the sum is computed where it belongs.
#[test]
fn attempts_move_nothing_that_can_be_placed() {
    let text = "\
region 0x1000 long64 step top=3
range 0x1000 64
block b0 0x1000
  insn 0x1000, #4
  %1 = get_vec #2, v128
  set_vec #1, v128, keep, %1
  insn 0x1004, #4
  %2 = get_vec #2, f64
  %3 = fp_arith mul, f64, %2, %2
  set_vec #1, f64, zero128, %3
  insn 0x1008, #4
  %4 = get_vec #3, f64
  %5 = fp_arith add, f64, %3, %4
  set_vec #1, f64, zero128, %5
  jump b0
";
    let region = parse::region(text).expect("the text is a region");
    let code = crate::lower::compile(&region, crate::Features::default(), Tier::Second).code;
    let words: Vec<u32> = code.chunks(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect();
    let end = words.iter().position(|w| w >> 26 == 0x05 && w >> 25 & 1 == 1).expect("a jump back");
    // `fmov d, d` or `mov v.16b, v.16b`.
    let is_moved = |w: &&u32| **w & 0xffff_fc00 == 0x1e60_4000 || **w & 0xffe0_fc00 == 0x4ea0_1c00;
    assert_eq!(words[..end].iter().filter(is_moved).count(), 0);
    // The other version has the copy.
    assert!(words[end..].iter().any(|w| is_moved(&w)));
    // `fadd d1, d, d3`: the sum of xmm1 and xmm3.
    assert!(words[..end].iter().any(|w| w & 0xffff_fc1f == 0x1e63_2801));
}

/// A constant that is in a register before an attempt: the other version, which starts behind, writes it again, since the attempt may have used the register.
#[test]
fn other_versions_know_no_constants() {
    let text = "\
region 0x1000 long64 step top=3
range 0x1000 64
block b0 0x1000
  insn 0x1000, #4
  %2 = get_gpr rcx, w64
  store i64, unaligned, [w64 + 0x123456789abc], %2
  insn 0x1004, #4
  %3 = get_vec #1, f64
  %4 = fp_arith mul, f64, %3, %3
  set_vec #1, f64, zero128, %4
  insn 0x1008, #4
  %5 = fp_arith add, f64, %4, %4
  set_vec #1, f64, zero128, %5
  insn 0x100c, #4
  store i64, unaligned, [w64 + 0x123456789abc], %2
  jump b0
";
    let region = parse::region(text).expect("the text is a region");
    let code = crate::lower::compile(&region, crate::Features::default(), Tier::Second).code;
    let words: Vec<u32> = code.chunks(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect();
    let end = words.iter().position(|w| w >> 26 == 0x05 && w >> 25 & 1 == 1).expect("a jump back");
    // `ldr x, =0x123456789abc`; its data is behind the code.
    let writes = |w: &&u32| **w & 0xff00_0000 == 0x5800_0000;
    assert_eq!(words[..end].iter().filter(writes).count(), 1);
    assert_eq!(words[end..].iter().filter(writes).count(), 1);
}

/// However many ways lead to a block, code grows to no more than three times its size.
#[test]
fn copies_are_bounded() {
    let count = 40;
    let mut text = String::from("region 0x1000 long64 step top=3\nrange 0x1000 400\n");
    for n in 0..count {
        let (pc, v, to) = (0x1000 + 4 * n, 10 * n, [(n * 7 + 3) % count, (n * 11 + 5) % count]);
        text += &format!(
            "block b{n} {pc:#x}\n  insn {pc:#x}, #4\n  %{} = get_gpr rcx, w64\n  %{} = load i64, unaligned, [w64 + %{}]\n",
            v + 1,
            v + 2,
            v + 1
        );
        text += &format!(
            "  set_gpr rax, w64, %{}\n  %{} = iconst w64, {n:#x}\n  %{} = sub_flags w64, %{}, %{}\n",
            v + 2,
            v + 3,
            v + 4,
            v + 2,
            v + 3
        );
        text += &format!(
            "  set_flags {{cpazso}}, %{}\n  %{} = condition ne, %{}\n  branch %{}, b{}, b{}\n",
            v + 4,
            v + 5,
            v + 4,
            v + 5,
            to[0],
            to[1]
        );
    }
    let region = parse::region(&text).expect("the text is a region");
    let ops = |r: &Region| r.blocks.iter().map(|b| b.insts.len()).sum::<usize>();
    let known = copies(&region, true);
    assert!(known.region.blocks.len() > count && ops(&known.region) <= 3 * ops(&region));
}

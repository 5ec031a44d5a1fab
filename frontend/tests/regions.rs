//! How code is cut into regions and blocks, and what each kind of bad code becomes.

use hokku_frontend::{Limits, translate};
use hokku_ir::verify::verify;
use hokku_ir::{BlockKey, CpuMode, Exit, GuestAddr, Op, Region, Target, Trap};

const START: u64 = 0x1000;

fn region_of(mode: CpuMode, limits: &Limits, code: &[u8]) -> Region {
    let key = BlockKey::new(GuestAddr(START), mode);
    let region = translate(&(GuestAddr(START), code), key, limits);
    verify(&region).unwrap();
    region
}

fn region(code: &[u8]) -> Region {
    region_of(CpuMode::Long64, &Limits::default(), code)
}

/// Offsets of the blocks from the start, in order.
fn blocks(region: &Region) -> Vec<u64> {
    region.blocks.iter().map(|b| b.pc.0 - START).collect()
}

/// Number of guest instructions of each block.
fn instructions(region: &Region) -> Vec<usize> {
    let count = |b: &hokku_ir::Block| b.insts.iter().filter(|i| matches!(i.op, Op::Insn { .. })).count();
    region.blocks.iter().map(count).collect()
}

fn trap(region: &Region) -> (Trap, u64, u64) {
    match region.blocks.last().unwrap().exit {
        Exit::Trap { trap, at, next } => (trap, at.0 - START, next.0 - START),
        exit => panic!("no trap: {exit:?}"),
    }
}

#[test]
fn a_loop_becomes_blocks_of_one_region() {
    // xor eax,eax; l: add eax,ecx; dec ecx; jnz l; ret
    let region = region(&[0x31, 0xc0, 0x01, 0xc8, 0xff, 0xc9, 0x75, 0xfa, 0xc3]);
    assert_eq!(blocks(&region), [0, 2, 8]);
    assert_eq!(instructions(&region), [1, 3, 1]);
    assert_eq!(region.blocks[0].exit, Exit::Jump { to: Target::Block(hokku_ir::BlockId(1)) });
    assert!(matches!(
        region.blocks[1].exit,
        Exit::Branch { taken: Target::Block(hokku_ir::BlockId(1)), next: Target::Block(hokku_ir::BlockId(2)), .. }
    ));
    assert!(matches!(region.blocks[2].exit, Exit::Return { .. }));
    assert_eq!(region.ranges, [(GuestAddr(START), 9)]);
}

#[test]
fn a_jump_into_the_middle_of_an_instruction_makes_an_overlapping_block() {
    // jz +1 (into the immediate below, which reads as nop nop nop ret); mov eax, 0xc3909090; ret
    let region = region(&[0x74, 0x01, 0xb8, 0x90, 0x90, 0x90, 0xc3, 0xc3]);
    assert_eq!(blocks(&region), [0, 2, 3]);
    assert_eq!(instructions(&region), [1, 2, 4]);
    assert_eq!(region.ranges, [(GuestAddr(START), 8)]);
}

#[test]
fn a_call_goes_on_at_its_return_block() {
    // call +1000h; ret
    let region = region(&[0xe8, 0, 0x10, 0, 0, 0xc3]);
    assert_eq!(blocks(&region), [0, 5]);
    let Exit::Call { to, ret, ret_block } = region.blocks[0].exit else { panic!("no call") };
    assert_eq!((to, ret), (Target::Guest(GuestAddr(0x2005)), GuestAddr(START + 5)));
    assert_eq!(ret_block, Some(hokku_ir::BlockId(1)));
}

#[test]
fn a_call_to_the_next_instruction_is_a_push() {
    // call $+5; pop ebx; ret
    let region = region_of(CpuMode::Protected32, &Limits::default(), &[0xe8, 0, 0, 0, 0, 0x5b, 0xc3]);
    assert_eq!((blocks(&region), instructions(&region)), (vec![0], vec![3]));
}

#[test]
fn limits_end_a_region_with_a_jump_out() {
    let code = [0x90; 64];
    let limits = Limits { max_instructions: 10, ..Limits::default() };
    let region = region_of(CpuMode::Long64, &limits, &code);
    assert_eq!(region.blocks.len(), 1);
    assert_eq!(region.blocks[0].exit, Exit::Jump { to: Target::Guest(GuestAddr(START + 10)) });
    // jz +2; nop; nop; ret: neither side is followed.
    let region = region_of(CpuMode::Long64, &Limits::single_block(), &[0x74, 2, 0x90, 0x90, 0xc3]);
    assert!(matches!(
        region.blocks[0].exit,
        Exit::Branch { taken: Target::Guest(GuestAddr(0x1004)), next: Target::Guest(GuestAddr(0x1002)), .. }
    ));
}

#[test]
fn unreadable_code_traps_where_it_is_reached() {
    // nop; mov eax, imm32 cut after two bytes of the immediate
    let region = region(&[0x90, 0xb8, 1, 2]);
    assert_eq!(trap(&region), (Trap::Fetch, 1, 4));
    assert_eq!(region.ranges, [(GuestAddr(START), 5)]);
    let key = BlockKey::new(GuestAddr(0x9000), CpuMode::Long64);
    let nowhere = translate(&(GuestAddr(START), &[0x90][..]), key, &Limits::default());
    assert!(matches!(nowhere.blocks[0].exit, Exit::Trap { trap: Trap::Fetch, next: GuestAddr(0x9000), .. }));
}

#[test]
fn bad_code_is_an_invalid_opcode() {
    let long = [[0x66; 14].as_slice(), &[0x90, 0x90]].concat();
    for code in [&[0x0f, 0x0b][..], &[0x06], &[0xf0, 0x90], &[0xf0, 0x01, 0xc8], &[0x0f, 0x04]] {
        let mut padded = code.to_vec();
        padded.extend([0x90; 15]);
        assert_eq!(trap(&region(&padded)).0, Trap::InvalidOpcode, "{code:x?}");
    }
    // Fifteen bytes are an instruction, sixteen are not.
    let mut code = long;
    code.push(0xc3);
    assert_eq!(instructions(&region(&code)), [3]);
    code.insert(0, 0x66);
    code.insert(0, 0x66);
    code.extend([0x90; 15]);
    assert_eq!(trap(&region(&code)).0, Trap::Protection);
}

#[test]
fn instructions_have_at_most_15_bytes() {
    // inc eax behind so many operand size prefixes
    let prefixed = |n: usize| [vec![0x66; n], vec![0xff, 0xc0]].concat();
    assert!(matches!(region(&prefixed(13)).blocks[0].insts[0].op, Op::Insn { len: hokku_ir::Num(15), .. }));
    let too_long = region(&prefixed(14));
    assert_eq!((instructions(&too_long), trap(&too_long)), (vec![1], (Trap::Protection, 0, 15)));
    // An invalid opcode of 15 bytes is no more than that.
    let invalid = |n: usize| trap(&region(&[vec![0x66; n], vec![0x0f, 0x0a], vec![0x90; 8]].concat())).0;
    assert_eq!((invalid(13), invalid(14), invalid(20)), (Trap::InvalidOpcode, Trap::Protection, Trap::Protection));
}

#[test]
fn nothing_traps_between_a_stack_segment_and_what_follows() {
    let key = BlockKey { single_step: true, ..BlockKey::new(GuestAddr(START), CpuMode::Protected32) };
    // mov ss, eax; mov esp, ecx; nop
    let region = translate(&(GuestAddr(START), &[0x8e, 0xd0, 0x89, 0xcc, 0x90][..]), key, &Limits::default());
    assert_eq!((instructions(&region), trap(&region)), (vec![2], (Trap::Debug, 2, 4)));
}

#[test]
fn single_step_is_one_instruction_and_a_debug_trap() {
    let key = BlockKey { single_step: true, ..BlockKey::new(GuestAddr(START), CpuMode::Long64) };
    let region = translate(&(GuestAddr(START), &[0x90, 0x90, 0xc3][..]), key, &Limits::default());
    assert_eq!((instructions(&region), trap(&region)), (vec![1], (Trap::Debug, 0, 1)));
}

#[test]
fn addresses_of_32_bit_code_wrap() {
    let start = 0xffff_fffe;
    let key = BlockKey::new(GuestAddr(start), CpuMode::Protected32);
    // jmp +0 at the very end of the address space leads to zero.
    let region = translate(&(GuestAddr(start), &[0xeb, 0x00][..]), key, &Limits::default());
    assert_eq!(region.blocks[0].exit, Exit::Jump { to: Target::Guest(GuestAddr(0)) });
}

#[test]
fn what_was_translated_before_does_not_matter() {
    let long: Vec<u8> = [0x01, 0xc8].repeat(150).into_iter().chain([0xc3]).collect();
    let pieces: [&[u8]; 5] = [
        &[0x31, 0xc0, 0x01, 0xc8, 0xff, 0xc9, 0x75, 0xfa, 0xc3],
        &long,
        &[0x74, 0x01, 0xb8, 0x90, 0x90, 0x90, 0xc3, 0xc3],
        &[0x0f, 0x0b],
        &[0x48],
    ];
    let alone = pieces.map(|code| std::thread::scope(|s| s.spawn(|| region(code)).join().unwrap()));
    for first in &pieces {
        for (code, expected) in pieces.iter().zip(&alone) {
            region(first);
            assert_eq!(region(code), *expected);
        }
    }
}

#[test]
fn instructions_that_two_windows_share_are_whole() {
    // mov rax, imm64 takes ten bytes: some of them lie across every border there may be.
    let code: Vec<u8> = (0..40u8).flat_map(|n| [0x48, 0xb8, n, 1, 2, 3, 4, 5, 6, 7]).chain([0xc3]).collect();
    let region = region(&code);
    assert_eq!(instructions(&region), [41]);
    let constants: Vec<u64> = region.blocks[0]
        .insts
        .iter()
        .filter_map(|i| if let Op::Iconst { value, .. } = i.op { Some(value.0) } else { None })
        .filter(|value| value >> 8 == 0x07_0605_0403_0201)
        .collect();
    assert_eq!(constants, (0..40).map(|n| 0x0706_0504_0302_0100 | n).collect::<Vec<u64>>());
}

#[test]
fn a_region_does_not_see_the_code_of_the_one_before() {
    // At places all over a window, its end included: add eax, ecx; ret, then dec ecx; ret.
    for at in (START..START + 2 * hokku_frontend::WINDOW as u64).step_by(3).map(GuestAddr) {
        for (code, expected) in [(&[0x01, 0xc8, 0xc3], "add"), (&[0xff, 0xc9, 0xc3], "dec")] {
            let padded = [code.as_slice(), &[0x90; 40]].concat();
            let region = translate(&(at, &padded[..]), BlockKey::new(at, CpuMode::Long64), &Limits::default());
            let is_dec = region.blocks[0].insts.iter().any(|i| matches!(i.op, Op::DecFlags { .. }));
            assert_eq!(is_dec, expected == "dec", "{at:?}");
        }
    }
}

#[test]
fn jumps_back_cut_a_block_twice() {
    // a: inc eax; b: inc ecx; c: inc edx; je b; je c; ret
    let region = region(&[0xff, 0xc0, 0xff, 0xc1, 0xff, 0xc2, 0x74, 0xfa, 0x74, 0xfa, 0xc3]);
    assert_eq!(blocks(&region), [0, 2, 4, 8, 10]);
    assert_eq!(instructions(&region), [1, 1, 2, 1, 1]);
    assert_eq!(region.blocks[0].exit, Exit::Jump { to: Target::Block(hokku_ir::BlockId(1)) });
    assert_eq!(region.blocks[1].exit, Exit::Jump { to: Target::Block(hokku_ir::BlockId(2)) });
    assert!(matches!(region.blocks[2].exit, Exit::Branch { taken: Target::Block(hokku_ir::BlockId(1)), .. }));
    assert!(matches!(region.blocks[3].exit, Exit::Branch { taken: Target::Block(hokku_ir::BlockId(2)), .. }));
    assert_eq!(region.ranges, [(GuestAddr(START), 11)]);
}

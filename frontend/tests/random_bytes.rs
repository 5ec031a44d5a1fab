//! Any bytes translate to valid IR, in both modes, without a panic; so do damaged real instructions.

use hokku_frontend::{Limits, translate};
use hokku_ir::verify::verify;
use hokku_ir::{BlockKey, CpuMode, GuestAddr, text};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, n: u64) -> usize {
        (self.next() % n) as usize
    }
}

/// Addresses where code may lie: ordinary ones and the ends of both address spaces.
const STARTS: [u64; 5] = [0x1000, 0x7fff_fff0, 0xffff_ffe0, 0x7fff_ffff_ffe0, u64::MAX - 31];

fn check(code: &[u8], random: &mut Random) {
    for mode in [CpuMode::Protected32, CpuMode::Long64] {
        let start = GuestAddr(STARTS[random.below(5)] & mode.word().mask());
        let key = BlockKey { single_step: random.below(16) == 0, ..BlockKey::new(start, mode) };
        let limits = if random.below(2) == 0 { Limits::default() } else { Limits::single_block() };
        let region = translate(&(start, code), key, &limits);
        if let Err(error) = verify(&region) {
            panic!("{code:02x?}: {error}\n{}", text::print::region(&region));
        }
        assert_eq!(region.blocks[0].pc, start);
        assert!(region.blocks.len() <= 2 * limits.max_blocks + 1, "{} blocks", region.blocks.len());
        if random.below(8) == 0 {
            let printed = text::print::region(&region);
            let again = text::parse::region(&printed).unwrap_or_else(|e| panic!("{e}\n{printed}"));
            assert_eq!(text::print::region(&again), printed);
        }
    }
}

#[test]
fn random_bytes_translate() {
    let mut random = Random(1);
    for _ in 0..100_000 {
        let len = 1 + random.below(40);
        let code: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        check(&code, &mut random);
    }
}

/// Two-byte opcodes, prefixes and short jumps are rare among random bytes: make them common.
#[test]
fn likely_bytes_translate() {
    const LIKELY: [u8; 24] = [
        0x0f, 0x0f, 0x66, 0xf2, 0xf3, 0xf0, 0x67, 0x64, 0x48, 0x4c, 0x40, 0xeb, 0x74, 0xe8, 0xff, 0xd8, 0xdd, 0xc3,
        0x38, 0x3a, 0x00, 0x01, 0x90, 0xe2,
    ];
    let mut random = Random(2);
    for _ in 0..100_000 {
        let len = 1 + random.below(60);
        let byte = |random: &mut Random| match random.below(3) {
            0 => random.next() as u8,
            _ => LIKELY[random.below(LIKELY.len() as u64)],
        };
        let code: Vec<u8> = (0..len).map(|_| byte(&mut random)).collect();
        check(&code, &mut random);
    }
}

/// Code that ends in the middle of an instruction is unreadable there, whatever the instruction.
#[test]
fn every_prefix_of_an_instruction_is_unreadable_or_shorter() {
    // lock cmpxchg qword [gs:rax + rcx*8 + 0x12345678], r15
    let code = [0x65, 0xf0, 0x4c, 0x0f, 0xb1, 0xbc, 0xc8, 0x78, 0x56, 0x34, 0x12];
    for len in 0..code.len() {
        let key = BlockKey::new(GuestAddr(0x1000), CpuMode::Long64);
        let region = translate(&(GuestAddr(0x1000), &code[..len]), key, &Limits::default());
        let next = GuestAddr(0x1000 + len as u64);
        let expected = hokku_ir::Exit::Trap { trap: hokku_ir::Trap::Fetch, at: GuestAddr(0x1000), next };
        assert_eq!(region.blocks[0].exit, expected);
    }
}

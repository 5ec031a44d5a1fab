//! A region in memory that other regions have used is the region that it would be.

use hokku_frontend::{Limits, reuse, translate};
use hokku_ir::{BlockKey, CpuMode, GuestAddr, Region};

/// The region of `code` at 0x1000.
fn region(code: &[u8]) -> Region {
    let at = GuestAddr(0x1000);
    translate(&(at, code), BlockKey::new(at, CpuMode::Long64), &Limits::default())
}

#[test]
fn regions_in_used_memory_are_the_same() {
    // add eax, ecx; dec ecx; jne 0x1000; ret
    let looping: &[u8] = &[0x01, 0xc8, 0xff, 0xc9, 0x75, 0xfa, 0xc3];
    // test al, al; je 0x1007; inc edx; ret; syscall
    let branching: &[u8] = &[0x84, 0xc0, 0x74, 0x03, 0xff, 0xc2, 0xc3, 0x0f, 0x05];
    let (first, second) = (region(looping), region(branching));
    assert_eq!((first.blocks.len(), second.blocks.len()), (2, 3));
    // More blocks than are kept.
    for _ in 0..20 {
        reuse(region(looping).blocks);
        reuse(region(branching).blocks);
        reuse(second.blocks.clone());
    }
    assert_eq!(region(branching), second);
    reuse(region(&[0xc3]).blocks);
    assert_eq!(region(looping), first);
    assert_eq!(region(looping), first);
}

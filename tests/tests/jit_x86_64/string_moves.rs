//! `rep movsd` and `rep movsq`, whose bytes host code moves one by one where that is the same: over overlaps, page ends and counts of nothing.

use hokku_backend_x86_64::Features;
use hokku_ir::backend::{BlockEntry, Compiled, Relocation, StubId};
use hokku_ir::eval::{FixedSystem, FlatMemory, run_region};
use hokku_ir::{
    Block, BlockId, BlockKey, Builder, CpuMode, CpuState, Exit, Flag, FlagSet, Gpr, GuestAddr, Num, Region, Rep, Seg,
    StringOp, Target, Width,
};

use crate::host::{AREA, AREA_LEN, Host, fill_area, map_area, read_area};
use crate::random::{CODE, differences};

const PAGE: u64 = 4096;
const MODES: [(CpuMode, Width); 3] =
    [(CpuMode::Protected32, Width::W32), (CpuMode::Long64, Width::W32), (CpuMode::Long64, Width::W64)];

fn region(mode: CpuMode, w: Width) -> Region {
    let mut b = Builder::new();
    b.insn(GuestAddr(CODE), Num(2));
    b.string(StringOp::Movs, w, Rep::Rep, mode.word(), Flag(false), Seg::Ds);
    let exit = Exit::Jump { to: Target::Guest(GuestAddr(CODE + 2)) };
    Region {
        key: BlockKey::new(GuestAddr(CODE), mode),
        blocks: vec![Block { pc: GuestAddr(CODE), insts: b.take(), exit }],
        value_count: b.value_count(),
        ranges: vec![(GuestAddr(CODE), 2)],
    }
}

#[test]
fn moves_are_the_evaluators() {
    let _area = map_area();
    let bytes: Vec<u8> = (0..AREA_LEN as u32).map(|n| (n ^ n >> 8) as u8).collect();
    for (mode, w) in MODES {
        let region = region(mode, w);
        let mut host = Host::new(mode, Features::detect() | Features::FSRM);
        let unit = u64::from(w.bytes());
        let near = (0..40).map(|n| (AREA + PAGE + 100, AREA + PAGE + 80 + n));
        let at_page_end = (0..40).map(|n| (AREA + 2 * PAGE - 20 + n, AREA + PAGE - 3 - n));
        for (from, to) in near.chain(at_page_end) {
            for count in [0, 1, 2, 3, 7, PAGE / unit - 1, PAGE / unit, PAGE / unit + 1] {
                let mut start = Box::new(CpuState::new(mode));
                start.set(Gpr::Rsi, from);
                start.set(Gpr::Rdi, to);
                start.set(Gpr::Rcx, count);
                start.set(Gpr::Rax, 0x1234_5678);
                start.status_flags = FlagSet::STATUS.bits() & ((from * 0x55) ^ (count * 0xd5)) as u32;
                let memory = FlatMemory::with(GuestAddr(AREA), &bytes);
                let mut expected = start.clone();
                run_region(&region, BlockId(0), &mut expected, &memory, &FixedSystem::default());
                fill_area(&bytes);
                let mut got = start;
                host.run(host.compile(&region), &mut got);
                let wrong = differences(&expected, &got, FlagSet::STATUS.bits(), false);
                let place = format!("{mode:?} {w:?}, {count} from {from:#x} to {to:#x}");
                assert!(wrong.is_empty(), "{place}: {wrong:?}");
                assert!(memory.contents()[0].1 == read_area(), "{place}: memory");
            }
        }
    }
}

#[test]
fn whoever_leaves_inside_of_a_unit_has_not_moved_it() {
    let _area = map_area();
    for (mode, w) in MODES {
        let mut host = Host::new(mode, Features::detect());
        let unit = u64::from(w.bytes());
        for left in 1..4 * unit {
            // mov r15d, unit; mov ecx, left; jmp
            let mut code = vec![0x41, 0xbf, unit as u8, 0, 0, 0, 0xb9, left as u8, 0, 0, 0, 0xe9];
            let relocations = vec![Relocation { offset: code.len() as u32, stub: StubId::LeaveFaultBytes }];
            code.extend([0; 4]);
            let blocks = vec![BlockEntry { block: BlockId(0), pc: GuestAddr(CODE), offset: 0, checked: 0 }];
            let mut cpu = Box::new(CpuState::new(mode));
            cpu.set(Gpr::Rsi, 0x1000 - left);
            cpu.set(Gpr::Rdi, 0x3000 - left);
            cpu.set(Gpr::Rax, 0x8765);
            cpu.status_flags = FlagSet::STATUS.bits() & (left * 0xd5) as u32;
            let flags = cpu.status_flags;
            host.run(Compiled { code, blocks, relocations, ..Compiled::default() }, &mut cpu);
            let units = left.div_ceil(unit);
            let found = [Gpr::Rsi, Gpr::Rdi, Gpr::Rcx, Gpr::Rax].map(|g| cpu.get(g));
            assert_eq!(found, [0x1000 - units * unit, 0x3000 - units * unit, units, 0x8765], "{mode:?} {w:?} {left}");
            assert_eq!(cpu.status_flags, flags, "{mode:?} {w:?} {left}");
        }
    }
}

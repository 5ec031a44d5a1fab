use hokku_ir::{CpuMode, CpuState, Gpr, GuestAddr};

use super::*;
use crate::guest_memory::{GuestMemory, Placement, Prot};

/// A small shared object: one page of text (`answer` at 0x1000), one of data with a relocation of each kind at 0x2000.
fn object(mode: CpuMode) -> Vec<u8> {
    Builder::new(mode).build()
}

struct Builder {
    mode: CpuMode,
    bytes: Vec<u8>,
}

impl Builder {
    fn new(mode: CpuMode) -> Self {
        Builder { mode, bytes: Vec::new() }
    }

    fn word(&mut self, value: u64) {
        let n = if self.mode == CpuMode::Long64 { 8 } else { 4 };
        self.bytes.extend_from_slice(&value.to_le_bytes()[..n]);
    }

    fn half(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn short(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn header(&mut self, kind: u32, flags: u32, address: u64, len: u64, memory: u64) {
        let wide = self.mode == CpuMode::Long64;
        self.half(kind);
        if wide {
            self.half(flags);
        }
        for value in [address, address, address, len, memory] {
            self.word(value);
        }
        if !wide {
            self.half(flags);
        }
        self.word(0x1000);
    }

    fn symbol(&mut self, name: u32, value: u64, section: u16) {
        self.half(name);
        if self.mode == CpuMode::Long64 {
            self.bytes.extend_from_slice(&[0x12, 0]);
            self.short(section);
            self.word(value);
            self.word(4);
        } else {
            self.half(value as u32);
            self.half(4);
            self.bytes.extend_from_slice(&[0x12, 0]);
            self.short(section);
        }
    }

    fn relocation(&mut self, at: u64, symbol: u64, kind: u64, addend: u64) {
        self.word(at);
        if self.mode == CpuMode::Long64 {
            self.word(symbol << 32 | kind);
            self.word(addend);
        } else {
            self.word(symbol << 8 | kind);
        }
    }

    fn pad(&mut self, to: usize) {
        assert!(self.bytes.len() <= to);
        self.bytes.resize(to, 0);
    }

    fn build(mut self) -> Vec<u8> {
        let wide = self.mode == CpuMode::Long64;
        self.bytes.extend_from_slice(&[
            0x7f,
            b'E',
            b'L',
            b'F',
            if wide { 2 } else { 1 },
            1,
            1,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ]);
        self.short(3);
        self.short(if wide { 62 } else { 3 });
        self.half(1);
        self.word(0x1000);
        self.word(if wide { 64 } else { 52 });
        self.word(0);
        self.half(0);
        for value in if wide { [64, 56, 3, 0, 0, 0] } else { [52, 32, 3, 0, 0, 0] } {
            self.short(value);
        }
        self.header(1, 5, 0, 0x1100, 0x1100);
        self.header(1, 6, 0x2000, 0x200, 0x1800);
        self.header(2, 6, 0x2100, 0x100, 0x100);
        self.pad(0x200);
        // Hash table: one bucket, three symbols.
        for value in [1, 3, 1, 0, 0, 0] {
            self.half(value);
        }
        self.pad(0x300);
        self.symbol(0, 0, 0);
        self.symbol(1, 0x1000, 1);
        self.symbol(8, 0x2000, 2);
        self.pad(0x400);
        self.bytes.extend_from_slice(b"\0answer\0data\0libother.so\0");
        self.pad(0x500);
        let kinds = [8, 1, 6];
        self.relocation(0x2000, 0, kinds[0], 0x1000);
        self.relocation(0x2008, 1, kinds[1], 2);
        self.relocation(0x2010, 2, kinds[2], 0);
        let relocations = self.bytes.len() as u64 - 0x500;
        self.pad(0x1000);
        self.bytes.extend_from_slice(&[0xb8, 42, 0, 0, 0, 0xc3]);
        self.pad(0x2000);
        // Addends in place for REL.
        self.word(if wide { 0 } else { 0x1000 });
        self.pad(0x2008);
        self.word(if wide { 0 } else { 2 });
        self.pad(0x2100);
        let (rel, relsz, relent) = if wide { (7, 8, 24) } else { (17, 18, 8) };
        let tags: [(u64, u64); 9] = [
            (1, 13),
            (4, 0x200),
            (5, 0x400),
            (6, 0x300),
            (10, 0x40),
            (rel, 0x500),
            (relsz, relocations),
            (relsz + 1, relent),
            (0, 0),
        ];
        for (tag, value) in tags {
            self.word(tag);
            self.word(value);
        }
        self.pad(0x2200);
        self.bytes
    }
}

#[test]
fn a_shared_object_is_read() {
    for mode in [CpuMode::Long64, CpuMode::Protected32] {
        let image = ElfImage::parse("test.so", &object(mode)).unwrap();
        assert_eq!((image.mode, image.kind, image.entry), (mode, ElfKind::Shared, 0x1000));
        assert_eq!(image.span(), (0, 0x4000));
        assert_eq!(image.needed, ["libother.so"]);
        let answer = image.symbol("answer").unwrap();
        assert_eq!((answer.address, answer.function), (Some(0x1000), true));
        assert_eq!(image.bytes_at(&object(mode), 0x1001, 1), Some(&[42][..]));
        assert_eq!(image.symbol("missing"), None);
    }
}

#[test]
fn loading_maps_relocates_and_protects() {
    // The 64-bit one: a process has room for one 32-bit space, which other tests use.
    let file = object(CpuMode::Long64);
    let image = ElfImage::parse("test.so", &file).unwrap();
    let memory = GuestMemory::new(CpuMode::Long64).unwrap();
    let base = memory.find_free(0x4000, GuestAddr(0x6_0000_0000), GuestAddr(0x7_0000_0000), 0x1000).unwrap();
    let loaded = image.load(&file, &memory, base).unwrap();
    assert_eq!((loaded.entry.0, loaded.range()), (base.0 + 0x1000, (base, base.offset(0x4000))));
    let word = |offset: u64| memory.read_u64(loaded.at(0x2000 + offset)).unwrap();
    assert_eq!([word(0), word(8), word(16)], [base.0 + 0x1000, base.0 + 0x1002, base.0 + 0x2000]);
    assert_eq!(memory.read_u8(base.offset(0x37ff)), Ok(0));
    assert_eq!(memory.protection(base), Some(Prot::READ | Prot::EXECUTE));
    assert_eq!(memory.protection(loaded.at(0x2000)), Some(Prot::READ | Prot::WRITE));
    let taken = image.load(&file, &memory, base).unwrap_err();
    assert!(taken.to_string().starts_with("test.so: cannot map it at"), "{taken}");
    assert_eq!(memory.ranges().len(), 2, "a failed load leaves nothing behind");
}

#[test]
fn what_is_wrong_is_said() {
    let problem = |bytes: &[u8]| ElfImage::parse("x", bytes).unwrap_err().to_string();
    assert_eq!(problem(b"#!/bin/sh"), "x: not an ELF file");
    let good = object(CpuMode::Long64);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        problem(&bytes)
    };
    assert!(with(18, 243).contains("not for an x86"), "{}", with(18, 243));
    assert!(with(16, 1).contains("neither a program"), "{}", with(16, 1));
    assert!(problem(&good[..0x1800]).contains("too short"), "{}", problem(&good[..0x1800]));
}

#[test]
fn broken_files_never_panic() {
    let memory = GuestMemory::new(CpuMode::Long64).unwrap();
    let mut state = 0x1234_5678_9abc_def1u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let (mut parsed, mut refused) = (0, 0);
    for round in 0..4000 {
        let mode = if round % 2 == 0 { CpuMode::Long64 } else { CpuMode::Protected32 };
        let mut bytes = object(mode);
        if round % 5 == 0 {
            bytes.truncate(random() as usize % bytes.len());
        }
        for _ in 0..1 + random() % 4 {
            // Where the numbers are: headers, tables, dynamic section.
            let places = [0..0x200, 0x200..0x600, 0x2100..0x2200];
            let place = places[random() as usize % 3].clone();
            let at = place.start + random() as usize % place.len();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = if random() % 2 == 0 { 0xff } else { random() as u8 };
            }
        }
        SymbolTable::read(&bytes);
        match ElfImage::parse("broken", &bytes) {
            Ok(image) => {
                parsed += 1;
                if image.mode == CpuMode::Long64 {
                    let base = GuestAddr(0x7_0000_0000);
                    if let Ok(loaded) = image.load(&bytes, &memory, base) {
                        for segment in loaded.segments {
                            memory.unmap(segment.start, segment.len).unwrap();
                        }
                    }
                    assert_eq!(memory.ranges(), []);
                }
            }
            Err(_) => refused += 1,
        }
    }
    assert!(parsed > 100 && refused > 100, "{parsed} {refused}");
}

#[test]
fn addresses_get_names() {
    let file = object(CpuMode::Long64);
    let mut table = SymbolTable::read(&file);
    assert!(table.find(0x1000).is_none() || table.find(0x1000) == Some(("answer", 0)));
    // The test object has no sections, from which full tables are found; a table of our own serves.
    table = SymbolTable::from_list(vec![(0x1000, 4, "answer".into()), (0x2000, 0, "data".into())]);
    let symbols = Symbols::default();
    let (start, end) = (GuestAddr(0x10_0000), GuestAddr(0x10_4000));
    symbols.add("test.so", start, end, 0x10_0000, move || table);
    let name = |at| symbols.name(GuestAddr(at)).to_string();
    assert_eq!(name(0x10_1000), "0x101000  test.so  answer");
    assert_eq!(name(0x10_1002), "0x101002  test.so  answer + 0x2");
    assert_eq!(name(0x10_1004), "0x101004  test.so");
    assert_eq!(name(0x10_2010), "0x102010  test.so  data + 0x10");
    assert_eq!(name(0x20_0000), "0x200000");
    symbols.remove(start);
    assert_eq!(name(0x10_1000), "0x101000");
}

#[test]
fn frames_are_walked_until_they_make_no_sense() {
    let memory = GuestMemory::new(CpuMode::Long64).unwrap();
    let place = Placement::Lowest { low: GuestAddr(0x8_0000_0000), high: GuestAddr(0x9_0000_0000), align: 0x1000 };
    let at = memory.map_anonymous(place, 0x1000, Prot::all(), false).unwrap();
    // Two frames; the second points back to the first.
    for (offset, value) in [(0x100, at.0 + 0x200), (0x108, at.0 + 8), (0x200, at.0 + 0x100), (0x208, at.0 + 16)] {
        memory.write_u64(at.offset(offset), value).unwrap();
    }
    let mut cpu = CpuState::new(CpuMode::Long64);
    cpu.rip = at.0;
    cpu.set(Gpr::Rbp, at.0 + 0x100);
    assert_eq!(backtrace(&cpu, &memory, 10), [at, at.offset(8), at.offset(16)]);
    cpu.set(Gpr::Rbp, 0x10);
    assert_eq!(backtrace(&cpu, &memory, 10), [at]);
}

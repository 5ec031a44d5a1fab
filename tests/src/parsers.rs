//! What reads outside input, each behind one function that any bytes may be given to: nothing may panic. The coverage-guided fuzzers of
//! `fuzz/` call them, and a test does with the corpus that these found.

use hokku_backend_x86_64::{Features, X86_64};
use hokku_frontend::{Limits, translate};
use hokku_ir::backend::Backend;
use hokku_ir::eval::cpuid::CpuModel;
use hokku_ir::eval::{Evaluator, FixedSystem, Prepared};
use hokku_ir::passes::{self, FaultsSee};
use hokku_ir::verify::verify;
use hokku_ir::{BlockId, BlockKey, CpuMode, CpuState, GuestAddr, text};
use hokku_runtime::GuestMemory;
use hokku_runtime::loader::{ElfImage, ElfKind, SymbolTable};
use hokku_syscall_bridge::numbers::Numbers;

use crate::fuzz::pages::{BYTES, Pages};
use crate::oracle::layout::{CODE, SCRATCH};

/// `bytes` as an ELF file: read, asked for symbols and call numbers, loaded.
pub fn elf(bytes: &[u8]) {
    SymbolTable::read(bytes).find(0x1000);
    let Ok(image) = ElfImage::parse("file", bytes) else { return };
    let (start, len) = image.span();
    image.bytes_at(bytes, start, len);
    for symbol in &image.symbols {
        if let Some(at) = symbol.address {
            image.bytes_at(bytes, at, symbol.size);
            assert!(image.symbol(&symbol.name).is_some());
        }
    }
    Numbers::from_stubs(&image, bytes);
    let memory = GuestMemory::new(image.mode).expect("an address space");
    let base = GuestAddr(if image.kind == ElfKind::Fixed { start } else { 0x4000_0000 });
    if let Ok(loaded) = image.load(bytes, &memory, base) {
        assert!(loaded.range().0 >= memory.bounds().0 && loaded.range().1 <= memory.bounds().1);
        for segment in &loaded.segments {
            memory.unmap(segment.start, segment.len).expect("what was mapped");
        }
    }
}

/// `bytes` as guest code: the first two say how it is translated, the others are the code. Translated, verified, optimised, compiled, and run a
/// little by the evaluator.
pub fn frontend(bytes: &[u8]) {
    let [how, model, code @ ..] = bytes else { return };
    let features = CpuModel::ALL[usize::from(*model) % CpuModel::ALL.len()].features;
    let mode = if how & 1 == 0 { CpuMode::Protected32 } else { CpuMode::Long64 };
    let ends = [CODE, 0xffff_ffe0, 0x7fff_ffff_ffe0, u64::MAX - 31];
    let at = GuestAddr(ends[usize::from(how >> 1 & 3)] & mode.word().mask());
    let limits = [Limits::default(), Limits::single_block(), Limits::single_instruction()];
    let limits = &limits[usize::from(how >> 3 & 3).min(2)];
    let key = BlockKey { single_step: how & 0x20 != 0, ordered: how & 0x40 != 0, features, ..BlockKey::new(at, mode) };
    let mut region = translate(&(at, code), key, limits);
    verify(&region).unwrap_or_else(|e| panic!("{code:02x?}: {e}\n{}", text::print::region(&region)));
    if how & 0x80 != 0 {
        passes::run(&mut region, FaultsSee::ExactFlags);
        verify(&region).unwrap_or_else(|e| panic!("passes, {code:02x?}: {e}\n{}", text::print::region(&region)));
    }
    X86_64::new(Features::detect()).compile(&region);
    let mut cpu = CpuState::new(mode);
    let words = code.chunks_exact(8).map(|chunk| u64::from_le_bytes(chunk.try_into().expect("eight bytes")));
    for (n, (gpr, word)) in cpu.gpr[..mode.gpr_count()].iter_mut().zip(words.chain(std::iter::repeat(0))).enumerate() {
        *gpr = if n % 2 == 0 { SCRATCH + 0x800 } else { word & mode.word().mask() };
    }
    let mut blocks = 100;
    let pages = Pages::new(&[0x5a; BYTES]);
    Evaluator::new().run(&Prepared::new(&region), BlockId(0), &mut cpu, &pages, &FixedSystem::default(), |_| {
        blocks -= 1;
        blocks > 0
    });
}

/// `source` as IR: what is read and valid prints as text that reads back to the same.
pub fn ir_text(source: &str) {
    let Ok(region) = text::parse::region(source) else { return };
    if verify(&region).is_err() {
        return;
    }
    let printed = text::print::region(&region);
    let again = text::parse::region(&printed).unwrap_or_else(|e| panic!("{e}\n{printed}"));
    assert_eq!(text::print::region(&again), printed);
}

//! Maps an ELF image into guest memory and relocates it against itself, as a kernel does with the first image of a program.

use goblin::elf::reloc::*;
use hokku_ir::{CpuMode, GuestAddr};
use thiserror::Error;

use super::elf::{ElfError, ElfImage, ElfKind, Relocation};
use crate::disk_cache::ImageId;
use crate::guest_memory::{GuestMemory, MapError, MemoryFault, Placement, Prot};
use crate::host::PAGE_SIZE;

/// Why an image could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LoadError {
    /// The file is wrong.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// There is no room for it.
    #[error("{name}: cannot map it at {at}: {error}")]
    Map {
        /// The file's name.
        name: String,
        /// Where it was to go.
        at: GuestAddr,
        /// Why not.
        error: MapError,
    },
}

/// A loaded part of an image: whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadedSegment {
    /// First address.
    pub start: GuestAddr,
    /// Length in bytes, whole pages.
    pub len: u64,
    /// What the guest may do with it.
    pub prot: Prot,
}

/// An image in guest memory.
#[derive(Clone, Debug)]
pub struct LoadedImage {
    /// The file's name.
    pub name: String,
    /// What is added to linked addresses; wraps.
    pub delta: u64,
    /// Where it starts.
    pub entry: GuestAddr,
    /// What was mapped, by ascending address.
    pub segments: Vec<LoadedSegment>,
}

impl ElfImage {
    /// Maps the image with its lowest page at `base` (where it was linked for, if it is [`ElfKind::Fixed`]), relocates it against itself and
    /// protects its segments. `file` is what it was parsed from.
    pub fn load(&self, file: &[u8], memory: &GuestMemory, base: GuestAddr) -> Result<LoadedImage, LoadError> {
        self.place(file, memory, base, &self.relocations)
    }

    /// Like [`Self::load`], but without relocating: to look at its code, not to run it.
    pub fn map(&self, file: &[u8], memory: &GuestMemory, base: GuestAddr) -> Result<LoadedImage, LoadError> {
        self.place(file, memory, base, &[])
    }

    /// Linked addresses where code may start: the file's entry, its functions, and what its relocations point to.
    pub fn code_pointers(&self, file: &[u8]) -> Vec<u64> {
        let is_code = |at: &u64| {
            self.segments
                .iter()
                .any(|s| s.prot.contains(Prot::EXECUTE) && (s.address..s.address + s.bytes).contains(at))
        };
        let functions = self.symbols.iter().filter(|s| s.function).filter_map(|s| s.address);
        let pointed = self.relocations.iter().filter_map(|r| match (self.mode, r.kind) {
            (CpuMode::Long64, R_X86_64_RELATIVE) => r.addend.map(|addend| addend as u64),
            (CpuMode::Protected32, R_386_RELATIVE) => self.word_in_file(file, r.at),
            _ => None,
        });
        [self.entry].into_iter().chain(functions).chain(pointed).filter(is_code).collect()
    }

    /// The 32-bit word that the file has for linked address `at`.
    fn word_in_file(&self, file: &[u8], at: u64) -> Option<u64> {
        let segment = self.segments.iter().find(|s| (s.address..s.address + s.file_bytes).contains(&at))?;
        let start = usize::try_from(segment.file_offset + (at - segment.address)).ok()?;
        Some(u32::from_le_bytes(file.get(start..)?.get(..4)?.try_into().ok()?).into())
    }

    fn place(
        &self,
        file: &[u8],
        memory: &GuestMemory,
        base: GuestAddr,
        relocations: &[Relocation],
    ) -> Result<LoadedImage, LoadError> {
        let (low, _) = self.span();
        if base.0 % PAGE_SIZE != 0 || (self.kind == ElfKind::Fixed && base.0 != low) {
            return Err(self.map_error(base, MapError::BadRange));
        }
        let delta = base.0.wrapping_sub(low);
        let mut loaded = LoadedImage {
            name: self.name.clone(),
            delta,
            entry: GuestAddr(self.entry.wrapping_add(delta)),
            segments: Vec::new(),
        };
        let result = self.fill(file, memory, &mut loaded, relocations);
        if result.is_err() {
            for segment in &loaded.segments {
                // Mapped a moment ago: taking it back cannot fail, and the first error is the one to report.
                let _ = memory.unmap(segment.start, segment.len);
            }
        }
        result.map(|()| loaded)
    }

    fn fill(
        &self,
        file: &[u8],
        memory: &GuestMemory,
        loaded: &mut LoadedImage,
        relocations: &[Relocation],
    ) -> Result<(), LoadError> {
        let delta = loaded.delta;
        for segment in &self.segments {
            let at = segment.address.wrapping_add(delta);
            let start = GuestAddr(at & !(PAGE_SIZE - 1));
            let len = (at - start.0 + segment.bytes).next_multiple_of(PAGE_SIZE);
            let writable = Prot::READ | Prot::WRITE;
            memory
                .map_anonymous(Placement::Exactly(start), len, writable, false)
                .map_err(|error| self.map_error(start, error))?;
            loaded.segments.push(LoadedSegment { start, len, prot: segment.prot });
            let bytes = usize::try_from(segment.file_offset)
                .ok()
                .and_then(|start| file.get(start..)?.get(..segment.file_bytes as usize));
            let bytes = bytes.ok_or_else(|| self.problem("the file has become shorter".into()))?;
            memory.write_bytes(GuestAddr(at), bytes).map_err(|fault| self.problem(fault.to_string()))?;
        }
        for relocation in relocations {
            self.relocate(memory, delta, relocation)?;
        }
        let image = ImageId::of_bytes(file);
        for segment in &loaded.segments {
            memory
                .protect(segment.start, segment.len, segment.prot)
                .and_then(|()| memory.set_image(segment.start, segment.len, image))
                .map_err(|error| self.map_error(segment.start, error))?;
        }
        Ok(())
    }

    fn relocate(&self, memory: &GuestMemory, delta: u64, relocation: &Relocation) -> Result<(), LoadError> {
        let inside = self.segments.iter().any(|s| relocation.at >= s.address && relocation.at - s.address < s.bytes);
        if !inside {
            return Err(self.problem(format!("a relocation at {:#x} is outside of it", relocation.at)));
        }
        let at = GuestAddr(relocation.at.wrapping_add(delta));
        let fault = |fault: MemoryFault| self.problem(format!("relocating: {fault}"));
        let addend = match relocation.addend {
            Some(addend) => addend as u64,
            None => memory.read_word(at).map_err(fault)?,
        };
        let symbol = || self.symbol_value(delta, relocation.symbol);
        let value = match (self.mode, relocation.kind) {
            (_, R_X86_64_NONE) => return Ok(()),
            (CpuMode::Long64, R_X86_64_RELATIVE) | (CpuMode::Protected32, R_386_RELATIVE) => delta.wrapping_add(addend),
            (CpuMode::Long64, R_X86_64_64) | (CpuMode::Protected32, R_386_32) => symbol()?.wrapping_add(addend),
            (CpuMode::Protected32, R_386_PC32) => symbol()?.wrapping_add(addend).wrapping_sub(at.0),
            (CpuMode::Long64, R_X86_64_GLOB_DAT | R_X86_64_JUMP_SLOT)
            | (CpuMode::Protected32, R_386_GLOB_DAT | R_386_JMP_SLOT) => symbol()?,
            (_, kind) => {
                return Err(
                    self.problem(format!("relocation type {kind} at {:#x} is not for a first image", relocation.at))
                );
            }
        };
        memory.write_word(at, value).map_err(fault)
    }

    /// Address of symbol number `index`; zero for a weak one that nothing defines.
    fn symbol_value(&self, delta: u64, index: usize) -> Result<u64, LoadError> {
        match self.symbols.get(index) {
            Some(symbol) => match symbol.address {
                Some(address) => Ok(address.wrapping_add(delta)),
                None if symbol.weak => Ok(0),
                None => Err(self.problem(format!("symbol {} is not defined", symbol.name))),
            },
            None => Ok(0),
        }
    }

    fn problem(&self, problem: String) -> LoadError {
        LoadError::Elf(ElfError { name: self.name.clone(), problem })
    }

    fn map_error(&self, at: GuestAddr, error: MapError) -> LoadError {
        LoadError::Map { name: self.name.clone(), at, error }
    }
}

impl LoadedImage {
    /// Where linked address `address` is.
    pub fn at(&self, address: u64) -> GuestAddr {
        GuestAddr(address.wrapping_add(self.delta))
    }

    /// First address, and first address behind the image.
    pub fn range(&self) -> (GuestAddr, GuestAddr) {
        let low = self.segments.first().map_or(GuestAddr(0), |s| s.start);
        (low, self.segments.last().map_or(low, |s| s.start.offset(s.len)))
    }
}

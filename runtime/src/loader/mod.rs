//! ELF images: reading, mapping and relocating them, and the names of what is in them.

mod elf;
mod load;
mod symbols;
#[cfg(test)]
mod tests;

pub use elf::{ElfError, ElfImage, ElfKind, ElfSegment, ElfSymbol};
pub use load::{LoadError, LoadedImage, LoadedSegment};
pub use symbols::{NamedAddress, SymbolTable, Symbols, backtrace};

//! Names for guest addresses, for crash reports and profiles.

use std::fmt;
use std::sync::{LazyLock, RwLock};

use goblin::elf::Elf;
use goblin::elf::sym::{STT_FUNC, STT_OBJECT};
use hokku_ir::{CpuState, Gpr, GuestAddr};

use crate::guest_memory::{Access, GuestMemory};

/// The functions and objects of one ELF file by linked address.
#[derive(Clone, Debug, Default)]
pub struct SymbolTable {
    /// Address, size and name, in order of address.
    symbols: Vec<(u64, u64, String)>,
}

impl SymbolTable {
    /// The symbols of the file `bytes`: its full table where it has one, else its dynamic one. Empty where it cannot be read.
    pub fn read(bytes: &[u8]) -> SymbolTable {
        let mut symbols: Vec<(u64, u64, String)> = Vec::new();
        if let Ok(elf) = Elf::parse(bytes) {
            for (table, strings) in [(&elf.syms, &elf.strtab), (&elf.dynsyms, &elf.dynstrtab)] {
                for symbol in table.iter().filter(|s| s.st_shndx != 0 && matches!(s.st_type(), STT_FUNC | STT_OBJECT)) {
                    if let Some(name) = strings.get_at(symbol.st_name).filter(|n| !n.is_empty()) {
                        symbols.push((symbol.st_value, symbol.st_size, name.to_owned()));
                    }
                }
            }
        }
        SymbolTable::from_list(symbols)
    }

    /// The symbols given as address, size and name.
    pub fn from_list(mut symbols: Vec<(u64, u64, String)>) -> SymbolTable {
        symbols.sort();
        symbols.dedup_by_key(|s| s.0);
        SymbolTable { symbols }
    }

    /// The symbol that holds linked address `at`, and the distance from its start.
    pub fn find(&self, at: u64) -> Option<(&str, u64)> {
        let after = self.symbols.partition_point(|s| s.0 <= at);
        let (start, size, name) = self.symbols.get(after.checked_sub(1)?)?;
        // Assembly often gives no sizes: such a symbol reaches to the next.
        (*size == 0 || at - start < *size).then_some((name.as_str(), at - start))
    }
}

/// An address in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedAddress {
    /// The address.
    pub address: GuestAddr,
    /// Name of the image that it is in.
    pub image: Option<String>,
    /// Symbol and distance from its start.
    pub symbol: Option<(String, u64)>,
}

impl fmt::Display for NamedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        if let Some(image) = &self.image {
            write!(f, "  {image}")?;
        }
        match &self.symbol {
            Some((name, 0)) => write!(f, "  {name}"),
            Some((name, offset)) => write!(f, "  {name} + {offset:#x}"),
            None => Ok(()),
        }
    }
}

/// A table that is read when it is first needed.
type Later = LazyLock<SymbolTable, Box<dyn FnOnce() -> SymbolTable + Send>>;

#[derive(Debug)]
struct Image {
    name: String,
    start: u64,
    end: u64,
    delta: u64,
    table: Later,
}

/// The images of a team, as far as the personality has told.
#[derive(Debug, Default)]
pub struct Symbols {
    images: RwLock<Vec<Image>>,
}

impl Symbols {
    /// Tells of an image at `start..end`, whose linked addresses have `delta` added. `read` gives its symbols when they are first asked for.
    pub fn add(
        &self,
        name: &str,
        start: GuestAddr,
        end: GuestAddr,
        delta: u64,
        read: impl FnOnce() -> SymbolTable + Send + 'static,
    ) {
        self.remove(start);
        let table: Later = LazyLock::new(Box::new(read));
        let image = Image { name: name.to_owned(), start: start.0, end: end.0, delta, table };
        self.images.write().unwrap_or_else(|e| e.into_inner()).push(image);
    }

    /// Tells that the image at `start` is gone.
    pub fn remove(&self, start: GuestAddr) {
        self.images.write().unwrap_or_else(|e| e.into_inner()).retain(|i| i.start != start.0);
    }

    /// Keeps others from reading symbols until the guard is dropped.
    pub(crate) fn hold(&self) -> impl Drop + '_ {
        self.images.write().unwrap_or_else(|e| e.into_inner())
    }

    /// `at` in words.
    pub fn name(&self, at: GuestAddr) -> NamedAddress {
        let images = self.images.read().unwrap_or_else(|e| e.into_inner());
        let image = images.iter().find(|i| (i.start..i.end).contains(&at.0));
        let symbol = image.and_then(|i| i.table.find(at.0.wrapping_sub(i.delta)));
        NamedAddress {
            address: at,
            image: image.map(|i| i.name.clone()),
            symbol: symbol.map(|(name, offset)| (name.to_owned(), offset)),
        }
    }
}

/// Addresses on the call stack: `rip`, and the return addresses of the frames that `rbp` leads to; at most `most`.
pub fn backtrace(cpu: &CpuState, memory: &GuestMemory, most: usize) -> Vec<GuestAddr> {
    let mut stack = vec![GuestAddr(cpu.rip)];
    let word = memory.word_bytes();
    let mut frame = cpu.get(Gpr::Rbp);
    while stack.len() < most {
        let at = GuestAddr(frame);
        let (Ok(next), Ok(return_address)) = (memory.read_word(at), memory.read_word(at.offset(word))) else { break };
        if memory.check(GuestAddr(return_address), 1, Access::Execute).is_err() {
            break;
        }
        stack.push(GuestAddr(return_address));
        // Frames of callers are higher; anything else is no frame, or a circle.
        if next <= frame {
            break;
        }
        frame = next;
    }
    stack
}

//! Reads ELF files: shared objects and programs, 32-bit x86 and x86-64.
//!
//! A file is what someone found on a disk: every number in it is checked before it is used, and what is wrong is said with the file's name.

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{EM_386, EM_X86_64, ET_DYN, ET_EXEC, Header};
use goblin::elf::program_header::{PF_R, PF_W, PF_X, PT_DYNAMIC, PT_INTERP, PT_LOAD, ProgramHeader};
use goblin::elf::reloc::RelocSection;
use goblin::elf::sym::{STB_WEAK, STT_FUNC, STT_GNU_IFUNC, Symtab};
use goblin::elf::{Elf, Reloc, dynamic};
use hokku_ir::CpuMode;
use thiserror::Error;

use crate::guest_memory::Prot;
use crate::host::PAGE_SIZE;

/// What is wrong with an ELF file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name}: {problem}")]
pub struct ElfError {
    /// The file's name, as given.
    pub name: String,
    /// What is wrong.
    pub problem: String,
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfKind {
    /// To be loaded anywhere: a library or a position-independent program.
    Shared,
    /// To be loaded where it says.
    Fixed,
}

/// A part of the file that is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElfSegment {
    /// Address that the file was linked for.
    pub address: u64,
    /// Bytes in memory; those beyond `file_bytes` are zero.
    pub bytes: u64,
    /// Where its bytes are in the file.
    pub file_offset: u64,
    /// How many bytes are in the file.
    pub file_bytes: u64,
    /// What the guest may do with it.
    pub prot: Prot,
}

/// An entry of the dynamic symbol table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElfSymbol {
    /// Its name.
    pub name: String,
    /// Address that the file was linked for; `None` where another file defines it.
    pub address: Option<u64>,
    /// Size in bytes.
    pub size: u64,
    /// Whether it may be missing.
    pub weak: bool,
    /// Whether it is a function.
    pub function: bool,
}

/// A relocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Relocation {
    /// Address of the word to change, as linked.
    pub(super) at: u64,
    /// `None`: the addend stands in the word (REL).
    pub(super) addend: Option<i64>,
    pub(super) symbol: usize,
    pub(super) kind: u32,
}

/// A checked ELF file.
#[derive(Clone, Debug)]
pub struct ElfImage {
    /// The file's name, as given.
    pub name: String,
    /// Word size of its code.
    pub mode: CpuMode,
    /// What it is for.
    pub kind: ElfKind,
    /// Where it starts, as linked; zero for most libraries.
    pub entry: u64,
    /// What is loaded, by ascending address; no two share a page.
    pub segments: Vec<ElfSegment>,
    /// The dynamic symbols, by index.
    pub symbols: Vec<ElfSymbol>,
    /// Names of the libraries that it needs.
    pub needed: Vec<String>,
    /// Its own name as a library.
    pub soname: Option<String>,
    /// The loader that it asks for.
    pub interpreter: Option<String>,
    pub(super) relocations: Vec<Relocation>,
}

impl ElfImage {
    /// Reads the file `bytes`; `name` is for messages.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<ElfImage, ElfError> {
        Reader { bytes, ctx: Ctx::default(), segments: Vec::new() }
            .read(name)
            .map_err(|problem| ElfError { name: name.to_owned(), problem })
    }

    /// First address and first address behind it, as linked, in whole pages.
    pub fn span(&self) -> (u64, u64) {
        let low = self.segments.first().map_or(0, |s| s.address);
        let high = self.segments.last().map_or(0, |s| s.address + s.bytes);
        (low & !(PAGE_SIZE - 1), high.next_multiple_of(PAGE_SIZE))
    }

    /// The dynamic symbol called `name` that this file defines.
    pub fn symbol(&self, name: &str) -> Option<&ElfSymbol> {
        self.symbols.iter().find(|s| s.name == name && s.address.is_some())
    }

    /// Bytes of the file at linked address `at`, at most `len`; `None` where it has none there.
    pub fn bytes_at<'a>(&self, file: &'a [u8], at: u64, len: u64) -> Option<&'a [u8]> {
        let segment = self.segments.iter().find(|s| at >= s.address && at - s.address < s.file_bytes)?;
        let skip = at - segment.address;
        let start = usize::try_from(segment.file_offset + skip).ok()?;
        let len = usize::try_from(len.min(segment.file_bytes - skip)).ok()?;
        file.get(start..start + len)
    }
}

type Problem<T> = Result<T, String>;

struct Reader<'a> {
    bytes: &'a [u8],
    ctx: Ctx,
    segments: Vec<ElfSegment>,
}

/// The largest image that is loaded: far above any program, far below what arithmetic could trip over.
const LARGEST: u64 = 1 << 30;

impl Reader<'_> {
    fn read(mut self, name: &str) -> Problem<ElfImage> {
        if !self.bytes.starts_with(b"\x7fELF") {
            return Err("not an ELF file".into());
        }
        let header = Elf::parse_header(self.bytes).map_err(|e| format!("broken ELF header: {e}"))?;
        let mode = mode(&header)?;
        let kind = match header.e_type {
            ET_DYN => ElfKind::Shared,
            ET_EXEC => ElfKind::Fixed,
            other => return Err(format!("neither a program nor a shared library (type {other})")),
        };
        let container = if mode == CpuMode::Long64 { Container::Big } else { Container::Little };
        self.ctx = Ctx::new(container, Endian::Little);
        let headers = self.program_headers(&header)?;
        self.segments = segments(&headers, self.bytes.len() as u64, mode)?;
        let dynamic = self.dynamic(&headers)?;
        let strings = dynamic.as_ref().map_or(Ok(&[][..]), |d| self.string_table(d))?;
        let symbols = dynamic.as_ref().map_or(Ok(Vec::new()), |d| self.symbols(d, strings))?;
        let relocations = dynamic.as_ref().map_or(Ok(Vec::new()), |d| self.relocations(d, symbols.len()))?;
        let listed = |tag| dynamic.iter().flat_map(move |d| d.all(tag));
        let needed = listed(dynamic::DT_NEEDED).map(|at| string(strings, at)).collect::<Problem<Vec<_>>>()?;
        let soname = listed(dynamic::DT_SONAME).next().map(|at| string(strings, at)).transpose()?;
        let interpreter = headers.iter().find(|h| h.p_type == PT_INTERP).map(|h| {
            let text = self.slice(h.p_offset, h.p_filesz, "interpreter name")?;
            Ok::<_, String>(String::from_utf8_lossy(text.split(|b| *b == 0).next().unwrap_or(text)).into_owned())
        });
        Ok(ElfImage {
            name: name.to_owned(),
            mode,
            kind,
            entry: header.e_entry,
            segments: self.segments,
            symbols,
            needed,
            soname,
            interpreter: interpreter.transpose()?,
            relocations,
        })
    }

    fn program_headers(&self, header: &Header) -> Problem<Vec<ProgramHeader>> {
        let size = u64::from(header.e_phentsize);
        if size != ProgramHeader::size(self.ctx) as u64 && header.e_phnum > 0 {
            return Err(format!("program headers of {size} bytes each"));
        }
        self.slice(header.e_phoff, size * u64::from(header.e_phnum), "program headers")?;
        ProgramHeader::parse(self.bytes, header.e_phoff as usize, usize::from(header.e_phnum), self.ctx)
            .map_err(|e| format!("broken program headers: {e}"))
    }

    fn dynamic(&self, headers: &[ProgramHeader]) -> Problem<Option<Dynamic>> {
        let Some(header) = headers.iter().find(|h| h.p_type == PT_DYNAMIC) else { return Ok(None) };
        let bytes = self.slice(header.p_offset, header.p_filesz, "dynamic section")?;
        let word = if self.ctx.is_big() { 8 } else { 4 };
        let entries = bytes
            .chunks_exact(word * 2)
            .map(|pair| (int(&pair[..word]), int(&pair[word..])))
            .take_while(|(tag, _)| *tag != dynamic::DT_NULL)
            .collect();
        Ok(Some(Dynamic { entries }))
    }

    fn string_table(&self, dynamic: &Dynamic) -> Problem<&[u8]> {
        match (dynamic.get(dynamic::DT_STRTAB), dynamic.get(dynamic::DT_STRSZ)) {
            (Some(at), Some(len)) => self.at_address(at, len, "string table"),
            _ => Ok(&[]),
        }
    }

    fn symbols(&self, dynamic: &Dynamic, strings: &[u8]) -> Problem<Vec<ElfSymbol>> {
        let Some(at) = dynamic.get(dynamic::DT_SYMTAB) else { return Ok(Vec::new()) };
        let count = self.symbol_count(dynamic)?;
        let size = if self.ctx.is_big() { 24 } else { 16 };
        let table = self.at_address(at, count * size, "symbol table")?;
        let table =
            Symtab::parse(table, 0, count as usize, self.ctx).map_err(|e| format!("broken symbol table: {e}"))?;
        table
            .iter()
            .map(|symbol| {
                Ok(ElfSymbol {
                    name: string(strings, symbol.st_name as u64)?,
                    address: (symbol.st_shndx != 0).then_some(symbol.st_value),
                    size: symbol.st_size,
                    weak: symbol.st_bind() == STB_WEAK,
                    function: matches!(symbol.st_type(), STT_FUNC | STT_GNU_IFUNC),
                })
            })
            .collect()
    }

    /// Number of dynamic symbols: only the hash tables know it.
    fn symbol_count(&self, dynamic: &Dynamic) -> Problem<u64> {
        const WHAT: &str = "hash table";
        let word = |at: u64| Ok::<u64, String>(int(self.at_address(at, 4, WHAT)?));
        if let Some(at) = dynamic.get(dynamic::DT_HASH) {
            return word(at.wrapping_add(4));
        }
        let Some(at) = dynamic.get(dynamic::DT_GNU_HASH) else { return Err("no hash table for its symbols".into()) };
        let (buckets, first, bloom) = (word(at)?, word(at.wrapping_add(4))?, word(at.wrapping_add(8))?);
        let bloom_bytes = bloom * if self.ctx.is_big() { 8 } else { 4 };
        let buckets_at = at.wrapping_add(16).wrapping_add(bloom_bytes);
        let table = self.at_address(buckets_at, buckets * 4, WHAT)?;
        let last = table.chunks_exact(4).map(int).max().unwrap_or(0);
        if last < first {
            return Ok(first);
        }
        let chains = buckets_at.wrapping_add(buckets * 4);
        let mut symbol = last;
        // The chain of the last bucket ends at the last symbol; the file's end bounds it.
        while word(chains.wrapping_add((symbol - first) * 4))? & 1 == 0 {
            symbol += 1;
        }
        Ok(symbol + 1)
    }

    fn relocations(&self, dynamic: &Dynamic, symbols: usize) -> Problem<Vec<Relocation>> {
        let plt_is_rela = dynamic.get(dynamic::DT_PLTREL) == Some(dynamic::DT_RELA);
        let tables = [
            (dynamic::DT_RELA, dynamic::DT_RELASZ, true),
            (dynamic::DT_REL, dynamic::DT_RELSZ, false),
            (dynamic::DT_JMPREL, dynamic::DT_PLTRELSZ, plt_is_rela),
        ];
        let mut all = Vec::new();
        for (at, size, is_rela) in tables {
            let (Some(at), Some(size)) = (dynamic.get(at), dynamic.get(size)) else { continue };
            let table = self.at_address(at, size, "relocations")?;
            let section = RelocSection::parse(table, 0, table.len(), is_rela, self.ctx)
                .map_err(|e| format!("broken relocations: {e}"))?;
            for Reloc { r_offset, r_addend, r_sym, r_type } in &section {
                if r_sym >= symbols.max(1) {
                    return Err(format!("a relocation names symbol {r_sym}, there are {symbols}"));
                }
                let addend = if is_rela { Some(r_addend.unwrap_or(0)) } else { None };
                all.push(Relocation { at: r_offset, addend, symbol: r_sym, kind: r_type });
            }
        }
        Ok(all)
    }

    /// The `len` bytes of the file that are loaded at linked address `at`.
    fn at_address(&self, at: u64, len: u64, what: &str) -> Problem<&[u8]> {
        let fits = |s: &&ElfSegment| {
            at >= s.address && at - s.address <= s.file_bytes && len <= s.file_bytes - (at - s.address)
        };
        let segment =
            self.segments.iter().find(fits).ok_or_else(|| format!("the {what} at {at:#x} is not in the file"))?;
        self.slice(segment.file_offset + (at - segment.address), len, what)
    }

    fn slice(&self, offset: u64, len: u64, what: &str) -> Problem<&[u8]> {
        let range = usize::try_from(offset).ok().zip(offset.checked_add(len).and_then(|end| usize::try_from(end).ok()));
        range.and_then(|(start, end)| self.bytes.get(start..end)).ok_or_else(|| {
            format!("the file is too short for its {what} ({len} bytes at {offset:#x}); is it complete?")
        })
    }
}

/// Entries of the dynamic section.
struct Dynamic {
    entries: Vec<(u64, u64)>,
}

impl Dynamic {
    fn all(&self, tag: u64) -> impl Iterator<Item = u64> + '_ {
        self.entries.iter().filter(move |e| e.0 == tag).map(|e| e.1)
    }

    fn get(&self, tag: u64) -> Option<u64> {
        self.all(tag).next()
    }
}

fn mode(header: &Header) -> Problem<CpuMode> {
    use goblin::elf::header::{EI_CLASS, EI_DATA, ELFCLASS32, ELFCLASS64, ELFDATA2LSB};
    if header.e_ident[EI_DATA] != ELFDATA2LSB {
        return Err("big-endian: not for an x86 processor".into());
    }
    match (header.e_machine, header.e_ident[EI_CLASS]) {
        (EM_386, ELFCLASS32) => Ok(CpuMode::Protected32),
        (EM_X86_64, ELFCLASS64) => Ok(CpuMode::Long64),
        (machine, _) => {
            let name = goblin::elf::header::machine_to_str(machine);
            Err(format!("not for an x86 or x86_64 processor (machine {name}, {machine})"))
        }
    }
}

fn segments(headers: &[ProgramHeader], file_len: u64, mode: CpuMode) -> Problem<Vec<ElfSegment>> {
    let mut segments = Vec::new();
    for header in headers.iter().filter(|h| h.p_type == PT_LOAD && h.p_memsz > 0) {
        let at = header.p_vaddr;
        if header.p_filesz > header.p_memsz {
            return Err(format!("the segment at {at:#x} has more bytes in the file than in memory"));
        }
        if header.p_offset.checked_add(header.p_filesz).is_none_or(|end| end > file_len) {
            return Err(format!("the file is too short for its segment at {at:#x}; is it complete?"));
        }
        if header.p_memsz > LARGEST || at > mode.word().mask() >> 1 {
            return Err(format!("the segment at {at:#x} of {} bytes is too large or too high", header.p_memsz));
        }
        let flag = |flag, prot| if header.p_flags & flag != 0 { prot } else { Prot::empty() };
        segments.push(ElfSegment {
            address: at,
            bytes: header.p_memsz,
            file_offset: header.p_offset,
            file_bytes: header.p_filesz,
            prot: flag(PF_R, Prot::READ) | flag(PF_W, Prot::WRITE) | flag(PF_X, Prot::EXECUTE),
        });
    }
    segments.sort_by_key(|s| s.address);
    for pair in segments.windows(2) {
        if (pair[0].address + pair[0].bytes).next_multiple_of(PAGE_SIZE) > pair[1].address & !(PAGE_SIZE - 1) {
            return Err(format!("the segments at {:#x} and {:#x} overlap in a page", pair[0].address, pair[1].address));
        }
    }
    match (segments.first(), segments.last()) {
        (Some(first), Some(last)) if last.address + last.bytes - first.address <= LARGEST => Ok(segments),
        (Some(_), Some(_)) => Err("the segments are too far apart".into()),
        _ => Err("nothing in it is to be loaded".into()),
    }
}

fn int(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, b| value << 8 | u64::from(*b))
}

fn string(table: &[u8], at: u64) -> Problem<String> {
    if at == 0 {
        return Ok(String::new());
    }
    let tail = usize::try_from(at).ok().and_then(|at| table.get(at..));
    let tail = tail.ok_or_else(|| format!("a name at {at:#x} is outside of the string table"))?;
    let text = tail.split(|b| *b == 0).next().unwrap_or(tail);
    Ok(String::from_utf8_lossy(text).into_owned())
}

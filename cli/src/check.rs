//! `hokku check`: what an ELF file needs, and whether it will run here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use goblin::elf::{Elf, header, program_header};
use iced_x86::{Decoder, DecoderOptions};

/// Options of `hokku check`.
#[derive(Args)]
pub(crate) struct CheckArgs {
    /// Folder that holds a Haiku system (`boot/system/...`); libraries are looked up there
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// ELF files on the host
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Prints a report for each file. True where all of them can run.
///
/// # Errors
/// None of its own: a file that cannot be read is reported and counts as one that cannot run.
pub(crate) fn check(args: &CheckArgs) -> Result<bool> {
    let mut all_run = true;
    for file in &args.files {
        match report(file, args.root.as_deref()) {
            Ok((text, runs)) => {
                print!("{text}");
                all_run &= runs;
            }
            Err(error) => {
                println!("{}: {error:#}", file.display());
                all_run = false;
            }
        }
    }
    Ok(all_run)
}

/// Which C++ ABI a Haiku or BeOS image was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Abi {
    BeOs,
    HaikuGcc2,
    HaikuGcc4,
    Unknown,
}

impl Abi {
    fn name(self) -> &'static str {
        match self {
            Abi::BeOs => "BeOS (gcc2)",
            Abi::HaikuGcc2 => "Haiku gcc2",
            Abi::HaikuGcc4 => "Haiku gcc4 or newer",
            Abi::Unknown => "not stated in the file",
        }
    }
}

fn report(path: &Path, root: Option<&Path>) -> Result<(String, bool)> {
    let bytes = fs::read(path).context("cannot read the file")?;
    describe(&bytes, path, root)
}

/// The report about the file `bytes`, found at `path`, and whether it can run.
pub(crate) fn describe(bytes: &[u8], path: &Path, root: Option<&Path>) -> Result<(String, bool)> {
    use std::fmt::Write;
    let elf = parse(bytes)?;
    let mut problems = Vec::new();
    let (name, bits) = match elf.header.e_machine {
        header::EM_386 => ("x86", 32),
        header::EM_X86_64 => ("x86_64", 64),
        other => bail!("made for {}; hokku runs x86 and x86_64 programs", header::machine_to_str(other)),
    };
    let mut out = String::new();
    writeln!(out, "{}:", path.display())?;
    writeln!(out, "  processor     {name}, {bits} bit")?;
    let kind = match (elf.header.e_type, elf.interpreter) {
        (header::ET_DYN, None) => "dynamic image (Haiku program or library)",
        (header::ET_EXEC, None) => "fixed-address image",
        (header::ET_REL, _) => {
            problems.push("it is an object file: link it first".to_string());
            "object file"
        }
        (_, Some(interpreter)) => {
            problems.push(format!("it wants the interpreter {interpreter}: a program of another system"));
            "program of another system"
        }
        _ => "image of another kind",
    };
    writeln!(out, "  kind          {kind}")?;
    writeln!(out, "  ABI           {}", abi(&elf, bytes).name())?;
    for library in &elf.libraries {
        match root {
            None => writeln!(out, "  needs         {library}")?,
            Some(root) => match find_library(root, path, library, bits) {
                Some(found) => writeln!(out, "  needs         {library}  ({})", found.display())?,
                None => {
                    writeln!(out, "  needs         {library}  (not in the root)")?;
                    problems.push(format!("{library} is not in {}", root.display()));
                }
            },
        }
    }
    let scan = scan(&elf, bytes, bits);
    for (extension, count) in &scan.extensions {
        writeln!(out, "  uses          {extension}: {count} instructions")?;
    }
    if scan.untranslated.values().sum::<u32>() > 0 {
        let list: Vec<String> = scan.untranslated.iter().take(12).map(|(m, n)| format!("{m} ({n})")).collect();
        writeln!(out, "  untranslated  {}", list.join(", "))?;
    }
    if problems.is_empty() {
        let limit =
            if scan.untranslated.is_empty() { "" } else { ", as far as it stays off the untranslated instructions" };
        writeln!(out, "  verdict       runs{limit}")?;
    }
    for problem in &problems {
        writeln!(out, "  verdict       does not run: {problem}")?;
    }
    Ok((out, problems.is_empty()))
}

/// Parses `bytes`, with errors that say what is wrong with the file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Elf<'_>> {
    if !bytes.starts_with(b"\x7fELF") {
        bail!("not an ELF file");
    }
    Elf::parse(bytes).context("a damaged ELF file")
}

/// Reads the ABI from the symbols that Haiku's glue code leaves, else from the compiler's comment.
fn abi(elf: &Elf, bytes: &[u8]) -> Abi {
    for symbol in &elf.dynsyms {
        if elf.dynstrtab.get_at(symbol.st_name) == Some("_gSharedObjectHaikuABI") {
            return match word_at(elf, bytes, symbol.st_value) {
                Some(abi) if abi >> 16 >= 4 => Abi::HaikuGcc4,
                Some(abi) if abi >> 16 == 2 => Abi::HaikuGcc2,
                _ => Abi::Unknown,
            };
        }
    }
    let comment = elf
        .section_headers
        .iter()
        .find(|s| elf.shdr_strtab.get_at(s.sh_name) == Some(".comment"))
        .and_then(|s| bytes.get(s.file_range()?))
        .map(String::from_utf8_lossy)
        .unwrap_or_default();
    match comment.split("GCC: (").nth(1).and_then(|c| c.split(") ").nth(1)) {
        Some(version) if version.starts_with("2.") && version.contains("haiku") => Abi::HaikuGcc2,
        Some(version) if version.starts_with("2.") => Abi::BeOs,
        Some(_) => Abi::HaikuGcc4,
        None => Abi::Unknown,
    }
}

fn word_at(elf: &Elf, bytes: &[u8], address: u64) -> Option<u32> {
    let segment = elf.program_headers.iter().find(|p| {
        p.p_type == program_header::PT_LOAD && (p.p_vaddr..p.p_vaddr.saturating_add(p.p_filesz)).contains(&address)
    })?;
    let at = usize::try_from(segment.p_offset.checked_add(address - segment.p_vaddr)?).ok()?;
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// The places in which Haiku's runtime_loader looks, as far as they lie in `root` or beside the program.
fn find_library(root: &Path, program: &Path, library: &str, bits: u32) -> Option<PathBuf> {
    let beside = program.parent().map(|p| p.join("lib"));
    let hybrid = if bits == 32 { &["boot/system/lib/x86", "boot/system/non-packaged/lib/x86"][..] } else { &[] };
    let system = [
        "boot/home/config/non-packaged/lib",
        "boot/home/config/lib",
        "boot/system/non-packaged/lib",
        "boot/system/lib",
    ];
    beside
        .into_iter()
        .chain(hybrid.iter().chain(&system).map(|dir| root.join(dir)))
        .map(|dir| dir.join(library))
        .find(|file| file.is_file())
}

struct Scan {
    extensions: BTreeMap<String, u32>,
    untranslated: BTreeMap<String, u32>,
}

/// Decodes all executable bytes from front to back. Data between functions can look like code, so counts are a hint.
fn scan(elf: &Elf, bytes: &[u8], bits: u32) -> Scan {
    let mut scan = Scan { extensions: BTreeMap::new(), untranslated: BTreeMap::new() };
    let sections: Vec<_> =
        elf.section_headers.iter().filter(|s| s.is_executable()).filter_map(|s| s.file_range()).collect();
    let segments = elf.program_headers.iter().filter(|p| p.is_executable()).map(|p| p.file_range());
    let ranges: Vec<_> = if sections.is_empty() { segments.collect() } else { sections };
    for code in ranges.into_iter().filter_map(|r| bytes.get(r)) {
        for instruction in Decoder::new(bits, code, DecoderOptions::NONE).iter() {
            if instruction.is_invalid() {
                continue;
            }
            for feature in instruction.cpuid_features() {
                let name = format!("{feature:?}");
                if !name.starts_with("INTEL") && name != "X64" && name != "CPUID" {
                    *scan.extensions.entry(name).or_default() += 1;
                }
            }
            if !hokku_frontend::is_translated(instruction.code()) {
                *scan.untranslated.entry(format!("{:?}", instruction.mnemonic()).to_lowercase()).or_default() += 1;
            }
        }
    }
    scan
}

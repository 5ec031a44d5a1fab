//! `hokku dump`: how a piece of a program is translated, stage by stage.

use std::path::PathBuf;
use std::{fs, io};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use goblin::elf::{Elf, header, program_header};
use hokku_frontend::{CodeSource, Limits, translate};
use hokku_ir::backend::{Backend, Compiled};
use hokku_ir::passes::{self, FaultsSee};
use hokku_ir::text::print;
use hokku_ir::{BlockKey, CpuMode, GuestAddr, Region};
use iced_x86::{Decoder, DecoderOptions, Formatter, NasmFormatter};

use crate::cpu::CpuOption;
use crate::{check, embedded};

/// Options of `hokku dump`.
#[derive(Args)]
pub(crate) struct DumpArgs {
    /// ELF file on the host, or the name of a program that comes inside hokku
    #[arg(value_name = "PROGRAM")]
    program: PathBuf,
    /// Where to start: a symbol, or an address as the file has it [default: the entry point]
    #[arg(long, value_name = "SYMBOL|ADDRESS")]
    at: Option<String>,
    /// Word size of a program that comes inside hokku
    #[arg(long, value_enum, default_value_t = crate::run::Arch::X86_64)]
    arch: crate::run::Arch,
    #[command(flatten)]
    cpu: CpuOption,
}

/// Prints guest code, IR, the IR after each pass that changes it, and host code of the region at the stated place.
///
/// # Errors
/// A file that cannot be read or has no code there.
pub(crate) fn dump(args: &DumpArgs) -> Result<()> {
    let bytes = match fs::read(&args.program) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => embedded::program(args.arch, &args.program)
            .ok_or_else(|| anyhow!("{}: no such file, and no such program inside hokku", args.program.display()))?
            .to_vec(),
        Err(error) => return Err(error).context(args.program.display().to_string()),
    };
    let elf = check::parse(&bytes).with_context(|| args.program.display().to_string())?;
    let mode = match elf.header.e_machine {
        header::EM_386 => CpuMode::Protected32,
        header::EM_X86_64 => CpuMode::Long64,
        other => bail!("made for {}: hokku translates x86 and x86_64", header::machine_to_str(other)),
    };
    let at = place(&elf, args.at.as_deref())?;
    let image = Image::of(&elf, &bytes);
    let wanted = args.cpu.x87;
    let x87 = hokku_runtime::back_end().map_or(wanted, |back_end| back_end.x87_arithmetic(wanted));
    let key = BlockKey { features: args.cpu.model.features, x87, ..BlockKey::new(at, mode) };
    let region = translate(&image, key, &Limits::default());
    println!("; guest code");
    print_guest(&image, &region, mode);
    print_stages(region);
    Ok(())
}

fn print_stages(mut region: Region) {
    let back_end = hokku_runtime::back_end();
    // What runs is compiled after the passes that the back end wants, which need not be all of those shown.
    let mut wanted = region.clone();
    for name in back_end.iter().flat_map(|back_end| back_end.passes()) {
        passes::run_one(&mut wanted, name, FaultsSee::ExactFlags);
    }
    let mut text = print::region(&region);
    println!("\n; IR\n{text}");
    for name in passes::NAMES {
        passes::run_one(&mut region, name, FaultsSee::ExactFlags);
        let after = print::region(&region);
        if after != text {
            println!("; IR after {name}\n{after}");
            text = after;
        }
    }
    match back_end {
        Some(back_end) => {
            let compiled = back_end.compile(&wanted);
            println!(
                "; {} code: {} instructions, {} bytes",
                back_end.name(),
                compiled.host_instructions,
                compiled.code.len()
            );
            print_host(&*back_end, &compiled);
        }
        None => println!("; no back end for this host yet"),
    }
}

fn place(elf: &Elf<'_>, at: Option<&str>) -> Result<GuestAddr> {
    let Some(at) = at else { return Ok(GuestAddr(elf.entry)) };
    let number = match at.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => at.parse().ok(),
    };
    if let Some(number) = number {
        return Ok(GuestAddr(number));
    }
    let dynamic = elf.dynsyms.iter().map(|s| (elf.dynstrtab.get_at(s.st_name), s));
    let full = elf.syms.iter().map(|s| (elf.strtab.get_at(s.st_name), s));
    dynamic
        .chain(full)
        .find(|(name, symbol)| *name == Some(at) && symbol.st_value != 0)
        .map(|(_, symbol)| GuestAddr(symbol.st_value))
        .ok_or_else(|| anyhow!("there is no symbol {at}"))
}

/// The executable segments of a file at the addresses that the file states.
struct Image<'a> {
    segments: Vec<(u64, &'a [u8])>,
}

impl<'a> Image<'a> {
    fn of(elf: &Elf<'_>, bytes: &'a [u8]) -> Self {
        let loaded = |p: &&goblin::elf::ProgramHeader| p.p_type == program_header::PT_LOAD && p.is_executable();
        let segments = elf.program_headers.iter().filter(loaded);
        Image { segments: segments.filter_map(|p| Some((p.p_vaddr, bytes.get(p.file_range())?))).collect() }
    }
}

impl CodeSource for Image<'_> {
    fn fetch(&self, at: GuestAddr, buf: &mut [u8]) -> usize {
        let found = self.segments.iter().find_map(|(start, bytes)| {
            let offset = usize::try_from(at.0.checked_sub(*start)?).ok()?;
            bytes.get(offset..).filter(|rest| !rest.is_empty())
        });
        let Some(rest) = found else { return 0 };
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        len
    }
}

fn print_guest(image: &Image<'_>, region: &Region, mode: CpuMode) {
    let bits = mode.word().bits();
    for (start, len) in &region.ranges {
        let mut code = vec![0; *len as usize];
        let readable = image.fetch(*start, &mut code);
        disassemble(bits, start.0, &code[..readable], |_| None);
    }
}

fn print_host(back_end: &dyn Backend, compiled: &Compiled) {
    let note = |offset: u32| {
        let block = compiled.blocks.iter().find(|b| b.offset == offset).map(|b| format!("b{} {}", b.block.0, b.pc));
        let stub = compiled.links.iter().find(|l| l.stub == offset).map(|l| format!("stub: to {}", l.target));
        let callout = compiled.callouts.iter().find(|c| c.offset == offset).map(|c| format!("after {}", c.op.name()));
        block.or(stub).or(callout)
    };
    match back_end.name() {
        "x86_64" => disassemble(64, 0, &compiled.code, note),
        name => {
            for (offset, word) in compiled.words(name) {
                if let Some(note) = note(offset) {
                    println!("; {note}");
                }
                println!("  {offset:>8x}  {word}");
            }
        }
    }
}

fn disassemble(bits: u32, at: u64, code: &[u8], note: impl Fn(u32) -> Option<String>) {
    let mut formatter = NasmFormatter::new();
    let mut text = String::new();
    for instruction in Decoder::with_ip(bits, code, at, DecoderOptions::NONE).iter() {
        let offset = (instruction.ip() - at) as usize;
        if let Some(note) = note(offset as u32) {
            println!("; {note}");
        }
        text.clear();
        formatter.format(&instruction, &mut text);
        let bytes: String = code[offset..offset + instruction.len()].iter().map(|b| format!("{b:02x}")).collect();
        println!("  {:>8x}  {bytes:<22} {text}", instruction.ip());
    }
}

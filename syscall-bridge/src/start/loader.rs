//! The kernel's part of starting a program: arguments, commpage, and the runtime loader, mapped and relocated. The loader does the rest.
//!
//! Source: haiku `src/system/kernel/team.cpp` (`team_create_thread_start_internal`), `elf.cpp` (`elf_load_user_image`).

use hokku_ir::{CpuState, GuestAddr};
use hokku_runtime::loader::{ElfImage, SymbolTable};
use hokku_runtime::{GuestMemory, Team};

use super::commpage::{self, CallNumbers};
use super::stack::{self, StackRequest};
use crate::abi::area::{B_ANY_ADDRESS, B_RANDOMIZED_BASE_ADDRESS, PAGE, Protection};
use crate::abi::layout::{GuestType, word_bytes};
use crate::abi::structs::{ExtendedImageInfo, ImageInfo, RealTimeData, UserSpaceProgramArgs};
use crate::abi::thread::MAIN_STACK;
use crate::abi::{Chars, SignedWord, Status, SysResult};
use crate::args::ThreadId;
use crate::call::write;
use crate::kernel::ProgramStart;
use crate::numbers::Numbers;
use crate::run::StartError;
use crate::team::TeamState;
use crate::team::areas::{AreaRequest, Backing};
use crate::team::images::B_SYSTEM_IMAGE;
use crate::team::threads::ThreadMemory;
use crate::team::waiting::lock;

/// Most bytes of arguments and environment.
const MAX_FLAT_ARGS: u64 = 8 << 20;

/// Pointers and strings as the runtime loader wants them: `argv`, null, `envp`, null, then the strings, the first directly behind.
fn flat_args(start: &ProgramStart, at: GuestAddr, word: usize) -> (Vec<u8>, GuestAddr, GuestAddr) {
    let pointers = start.args.len() + start.env.len() + 2;
    let mut strings = Vec::new();
    let mut table = Vec::with_capacity(pointers * word);
    for list in [&start.args, &start.env] {
        for string in list {
            let address = at.0 + (pointers * word + strings.len()) as u64;
            table.extend_from_slice(&address.to_le_bytes()[..word]);
            strings.extend_from_slice(string);
            strings.push(0);
        }
        table.extend_from_slice(&[0; 8][..word]);
    }
    let env = at.offset(((start.args.len() + 1) * word) as u64);
    table.append(&mut strings);
    (table, at, env)
}

fn flat_size(start: &ProgramStart, word: usize) -> u64 {
    let strings: usize = start.args.iter().chain(&start.env).map(|s| s.len() + 1).sum();
    ((start.args.len() + start.env.len() + 2) * word + strings) as u64
}

/// What the first thread starts with.
pub struct FirstThread {
    /// Its registers.
    pub cpu: CpuState,
    /// Its memory.
    pub memory: ThreadMemory,
}

/// Maps everything that the kernel maps, and gives the first thread's registers. `loader` is the runtime loader's file.
pub fn start_program(
    team: &TeamState,
    machine: &Team,
    numbers: &Numbers,
    start: &ProgramStart,
    loader: &[u8],
    loader_path: &str,
    id: ThreadId,
) -> Result<FirstThread, StartError> {
    let memory = &machine.memory;
    let word = word_bytes(team.mode);
    let args_size = (UserSpaceProgramArgs::size(team.mode) as u64).next_multiple_of(word as u64);
    let flat = flat_size(start, word);
    if flat > MAX_FLAT_ARGS {
        return Err(StartError::Kernel { what: "hand over the arguments", error: Status::B_TOO_MANY_ARGS });
    }
    let failed = |what| move |error: Status| StartError::Kernel { what, error };

    stack::create_user_area(team, memory).map_err(failed("make the user area"))?;
    let leaf = start.path.rsplit(|&b| b == b'/').next().unwrap_or_default();
    let stack_name = [leaf, format!("_{id}_stack").as_bytes()].concat();
    let request =
        StackRequest { address: GuestAddr(0), size: MAIN_STACK, guard: stack::MAIN_GUARD, above: args_size + flat };
    let thread =
        stack::create_memory(team, memory, &stack_name, request).map_err(failed("make the main thread's stack"))?;
    let args_at = thread.stack_end.offset(stack::tls_bytes(team.mode));
    write_args(team, memory, start, args_at, args_at.offset(args_size)).map_err(failed("hand over the arguments"))?;
    stack::init_tls(memory, &thread, id).map_err(failed("set up thread-local storage"))?;
    stack::init_user_thread(memory, thread.user_thread, GuestAddr(0), false)
        .map_err(failed("set up the user thread"))?;

    let commpage = map_commpage(team, memory, numbers).map_err(failed("map the commpage"))?;
    let entry = map_loader(team, machine, loader, loader_path)?;
    let cpu = stack::initial_cpu(memory, &thread, entry, (args_at.0, commpage.0), commpage_exit(team))
        .map_err(failed("set up the main thread's stack"))?;
    Ok(FirstThread { cpu, memory: thread })
}

fn commpage_exit(team: &TeamState) -> GuestAddr {
    team.commpage.get().map_or(GuestAddr(0), |page| page.thread_exit)
}

fn write_args(
    team: &TeamState,
    memory: &GuestMemory,
    start: &ProgramStart,
    at: GuestAddr,
    flat_at: GuestAddr,
) -> SysResult {
    let (flat, args, env) = flat_args(start, flat_at, word_bytes(team.mode));
    memory.write_bytes(flat_at, &flat)?;
    let block = UserSpaceProgramArgs {
        program_path: Chars::new(&start.path),
        error_port: start.error_port,
        error_token: start.error_token,
        arg_count: start.args.len() as i32,
        env_count: start.env.len() as i32,
        args,
        env,
        umask: start.umask.unwrap_or(u32::MAX),
        ..UserSpaceProgramArgs::default()
    };
    let line: Vec<u8> = start.args.join(&b' ');
    *lock(&team.command_line) = line;
    write(memory, team.mode, at, &block)
}

fn map_commpage(team: &TeamState, memory: &GuestMemory, numbers: &Numbers) -> SysResult<GuestAddr> {
    let call = |name| numbers.number(name).ok_or(Status::B_MISSING_SYMBOL);
    let calls = CallNumbers { restore_signal_frame: call("restore_signal_frame")?, exit_thread: call("exit_thread")? };
    let clock = team.kernel.clock();
    let time = RealTimeData {
        system_time_offset: clock.real_time_offset(),
        system_time_conversion_factor: clock.conversion_factor(),
        reserved: 0,
    };
    let protection = Protection::READ | Protection::EXECUTE | Protection::KERNEL_AREA;
    let base = {
        let mut areas = lock(&team.areas);
        let request = AreaRequest {
            name: b"commpage",
            address: 0,
            spec: B_ANY_ADDRESS,
            size: commpage::SIZE,
            protection: Protection::READ | Protection::WRITE,
            lock: 2,
            backing: Backing::Private,
            replace: false,
        };
        let (id, base) = areas.create(memory, request)?;
        let (bytes, page) = commpage::build(team.mode, base, time, calls);
        memory.write_bytes(base, &bytes)?;
        areas.protect(memory, id, protection)?;
        // A team has one commpage for all its life.
        let _ = team.commpage.set(page);
        base
    };
    let mut info = ImageInfo {
        kind: B_SYSTEM_IMAGE,
        device: -1,
        node: -1,
        text: base,
        text_size: commpage::SIZE as i32,
        api_version: 1,
        abi: 0,
        ..ImageInfo::default()
    };
    info.name = Chars::new(b"commpage");
    let info =
        ExtendedImageInfo { basic_info: info, text_delta: SignedWord(base.0 as i64), ..ExtendedImageInfo::default() };
    lock(&team.images).add(info);
    Ok(base)
}

/// Maps and relocates the runtime loader; gives its entry point.
fn map_loader(team: &TeamState, machine: &Team, file: &[u8], path: &str) -> Result<GuestAddr, StartError> {
    let image = ElfImage::parse(path, file)?;
    if image.mode != team.mode {
        return Err(StartError::WordSize { path: path.to_owned() });
    }
    let (low, high) = image.span();
    let memory = &machine.memory;
    let mut areas = lock(&team.areas);
    let failed = |error: Status| StartError::Kernel { what: "find room for the runtime loader", error };
    let base = areas.reserve(B_RANDOMIZED_BASE_ADDRESS, 0, high - low).map_err(failed)?;
    let loaded = image.load(file, memory, GuestAddr(base))?;
    for (i, segment) in loaded.segments.iter().enumerate() {
        let name = format!(
            "runtime_loader_seg{i}{}",
            if segment.prot.contains(hokku_runtime::Prot::WRITE) { "rw" } else { "ro" }
        );
        areas.adopt(name.as_bytes(), segment.start.0, segment.len, protection_of(segment.prot)).map_err(failed)?;
    }
    areas.unreserve(base, (high - low).next_multiple_of(PAGE)).map_err(failed)?;
    let (start, end) = loaded.range();
    let file = file.to_vec();
    machine.symbols.add("runtime_loader", start, end, loaded.delta, move || SymbolTable::read(&file));
    Ok(loaded.entry)
}

fn protection_of(prot: hokku_runtime::Prot) -> Protection {
    Protection::from_bits_truncate(prot.bits().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> ProgramStart {
        ProgramStart {
            path: b"/boot/hello".to_vec(),
            args: vec![b"hello".to_vec(), b"x".to_vec()],
            env: vec![b"A=1".to_vec()],
            umask: None,
            error_port: -1,
            error_token: 0,
            signal_mask: 0,
            ignored_signals: 0,
            priority: 10,
        }
    }

    #[test]
    fn strings_follow_the_pointers_directly() {
        for word in [4, 8] {
            let (bytes, args, env) = flat_args(&start(), GuestAddr(0x1000), word);
            assert_eq!(bytes.len() as u64, flat_size(&start(), word));
            assert_eq!((args.0, env.0), (0x1000, 0x1000 + 3 * word as u64));
            let first = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            assert_eq!(first as usize, 0x1000 + 5 * word);
            assert_eq!(&bytes[5 * word..], b"hello\0x\0A=1\0");
            assert!(bytes[2 * word..3 * word].iter().all(|&b| b == 0));
            assert!(bytes[4 * word..5 * word].iter().all(|&b| b == 0));
        }
    }
}

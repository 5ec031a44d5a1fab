//! The system as a whole.

use hokku_ir::GuestAddr;
use hokku_ir::eval::SystemModel;

use crate::abi::layout::{GuestType, Word};
use crate::abi::structs::{CpuInfo, CpuTopologyData, CpuTopologyNodeInfo, LoadAvg, RandomGetEntropyArgs, SystemInfo};
use crate::abi::{Chars, Status, SysResult};
use crate::args::*;
use crate::call::Call;
use crate::team::ports::MAX_PORTS;
use crate::team::sems::MAX_SEMS;
use crate::team::waiting::lock;

/// Most random bytes that are made at once.
const RANDOM_CHUNK: u64 = 256;
/// Most random bytes in one request.
const RANDOM_LIMIT: u64 = 16 << 20;

/// Haiku: `_user_is_computer_on`.
pub fn is_computer_on(_: &mut Call<'_>) -> SysResult<i32> {
    Ok(1)
}

/// Haiku: `_user_generic_syscall`, `src/system/kernel/syscalls.cpp`.
pub fn generic_syscall(
    call: &mut Call<'_>,
    subsystem: InStr,
    function: u32,
    buffer: GuestAddr,
    size: Size,
) -> SysResult {
    /// Asks for the subsystem's version.
    const B_SYSCALL_INFO: u32 = 0x8000_0000;
    let subsystem = call.string(subsystem)?;
    match (subsystem.as_slice(), function) {
        (b"random" | b"thread", B_SYSCALL_INFO) => call.write_at(buffer, &1u32),
        (b"random", 1) => {
            let request: RandomGetEntropyArgs = call.read_at(buffer)?;
            if request.length.0 > RANDOM_LIMIT {
                return Err(Status::B_BAD_VALUE);
            }
            let mut chunk = [0; RANDOM_CHUNK as usize];
            let mut done = 0;
            while done < request.length.0 {
                let n = (request.length.0 - done).min(RANDOM_CHUNK) as usize;
                call.kernel().machine().random(&mut chunk[..n]);
                call.memory().write_bytes(request.buffer.offset(done), &chunk[..n])?;
                done += n as u64;
            }
            call.write_at(buffer, &request)
        }
        (b"thread", 1) if call.mode() == hokku_ir::CpuMode::Long64 => {
            if size.0 != 8 {
                return Err(Status::B_BAD_VALUE);
            }
            let base: u64 = call.read_at(buffer)?;
            call.thread.cpu.segment_base[hokku_ir::Seg::Gs.index()] = base;
            Ok(())
        }
        (b"random" | b"thread", _) => Err(Status::B_BAD_HANDLER),
        _ => Err(Status::B_NAME_NOT_FOUND),
    }
}

/// Haiku: `_user_shutdown`: only the registrar may.
pub fn shutdown(_: &mut Call<'_>, _reboot: bool) -> SysResult {
    Err(Status::B_NOT_ALLOWED)
}

/// Haiku: `_user_get_safemode_option`. Programs here never run in safe mode.
pub fn get_safemode_option(call: &mut Call<'_>, parameter: InStr, _buffer: OutBytes, _size: InOut<Word>) -> SysResult {
    call.string(parameter)?;
    Err(Status::B_ENTRY_NOT_FOUND)
}

/// Haiku: `_user_get_system_info`, `src/system/kernel/system_info.cpp`.
pub fn get_system_info(call: &mut Call<'_>, info: Out<SystemInfo>) -> SysResult {
    let kernel = call.kernel();
    let (clock, machine) = (kernel.clock(), kernel.machine());
    let (max_pages, used_pages) = machine.pages();
    let teams = kernel.processes().teams().len().max(1) as u32;
    let value = SystemInfo {
        boot_time: clock.real_time_offset(),
        cpu_count: machine.cpu_count(),
        max_pages,
        used_pages,
        free_memory: max_pages.saturating_sub(used_pages) * 4096,
        max_sems: MAX_SEMS as u32,
        used_sems: call.team.sems.used() as u32,
        max_ports: MAX_PORTS as u32,
        used_ports: call.team.ports.used() as u32,
        max_threads: 4096,
        used_threads: call.team.threads.all().len() as u32,
        max_teams: 2048,
        used_teams: teams,
        kernel_name: Chars::new(b"kernel_x86"),
        kernel_build_date: Chars::new(b"Aug 01 2026"),
        kernel_build_time: Chars::new(b"00:00:00"),
        kernel_version: 1,
        // B_HAIKU_ABI_GCC_4 on x86_64, and the ABI of the primary architecture otherwise.
        abi: 0x0004_0000,
        ..SystemInfo::default()
    };
    call.write(info, &value)
}

/// Haiku: `_user_get_cpu_info`.
pub fn get_cpu_info(call: &mut Call<'_>, first_cpu: u32, cpu_count: u32, info: OutBytes) -> SysResult {
    if cpu_count == 0 {
        return Ok(());
    }
    let activity = call.kernel().machine().cpu_activity();
    let count = activity.len() as u32;
    if first_cpu >= count {
        return Err(Status::B_BAD_VALUE);
    }
    let size = CpuInfo::size(call.mode()) as u64;
    let wanted = first_cpu..first_cpu.saturating_add(cpu_count).min(count);
    for (i, cpu) in wanted.enumerate() {
        let (active_time, current_frequency) = activity[cpu as usize];
        call.write_at(info.0.offset(i as u64 * size), &CpuInfo { active_time, enabled: true, current_frequency })?;
    }
    Ok(())
}

/// Levels of the tree of processors and what their nodes are.
///
/// Source: haiku `headers/os/kernel/OS.h`.
mod topology {
    pub(super) const ROOT: u32 = 1;
    pub(super) const SMT: u32 = 2;
    pub(super) const CORE: u32 = 3;
    pub(super) const PACKAGE: u32 = 4;
    pub(super) const PLATFORM_X86: u32 = 1;
    pub(super) const PLATFORM_X86_64: u32 = 2;
    /// Makers of processors, by what `cpuid` says.
    pub(super) const VENDORS: &[(&[u8; 12], u32)] =
        &[(b"AuthenticAMD", 1), (b"GenuineIntel", 4), (b"CentaurHauls", 8), (b"HygonGenuine", 12)];
    /// Bytes of a cache line.
    pub(super) const CACHE_LINE: u32 = 64;
}

/// Haiku: `_user_get_cpu_topology_info`. One package with one core for each processor.
pub fn get_cpu_topology_info(call: &mut Call<'_>, infos: OutBytes, count: InOut<u32>) -> SysResult {
    use topology::*;
    let machine = call.kernel().machine();
    let frequency = machine.cpu_activity().first().map_or(0, |(_, f)| *f);
    let processor = &call.thread.team.processor;
    let [_, b, c, d] = SystemModel::cpuid(processor, 0, 0);
    let name = [b, d, c].map(u32::to_le_bytes).concat();
    let vendor = VENDORS.iter().find(|(v, _)| name == **v).map_or(0, |(_, number)| *number);
    let [model, ..] = SystemModel::cpuid(processor, 1, 0);
    let platform = if call.mode() == hokku_ir::CpuMode::Long64 { PLATFORM_X86_64 } else { PLATFORM_X86 };
    let node = |id, kind, level, first, frequency| CpuTopologyNodeInfo {
        id,
        kind,
        level,
        data: CpuTopologyData { first, frequency },
    };
    let mut nodes = vec![node(0, ROOT, 3, platform, 0), node(0, PACKAGE, 2, vendor, 0)];
    for id in 0..machine.cpu_count() {
        nodes.extend([node(id, CORE, 1, model, frequency), node(id, SMT, 0, 0, 0)]);
    }
    if infos.0.0 == 0 {
        return call.write_io(count, &(nodes.len() as u32));
    }
    nodes.truncate(call.read_io(count)? as usize);
    let size = CpuTopologyNodeInfo::size(call.mode());
    let in_data = size - CpuTopologyData::size(call.mode());
    for (i, node) in nodes.iter().enumerate() {
        let at = infos.0.offset((i * size) as u64);
        call.write_at(at, node)?;
        if node.kind == PACKAGE {
            // Behind the vendor.
            call.write_at(at.offset(in_data as u64 + 4), &CACHE_LINE)?;
        }
    }
    call.write_io(count, &(nodes.len() as u32))
}

/// Haiku: `_user_get_cpu`.
pub fn get_cpu(call: &mut Call<'_>) -> SysResult<i32> {
    Ok(call.kernel().machine().current_cpu() as i32)
}

/// Haiku: `_user_set_scheduler_mode`.
pub fn set_scheduler_mode(_: &mut Call<'_>, mode: i32) -> SysResult {
    if (0..=1).contains(&mode) { Ok(()) } else { Err(Status::B_BAD_VALUE) }
}

/// Haiku: `_user_get_scheduler_mode`: low latency.
pub fn get_scheduler_mode(_: &mut Call<'_>) -> SysResult<i32> {
    Ok(0)
}

/// Haiku: `_user_get_loadavg`.
pub fn get_loadavg(call: &mut Call<'_>, info: Out<LoadAvg>, size: Size) -> SysResult {
    let value = call.kernel().machine().load_averages();
    call.write_sized(info, size, &value)
}

/// Haiku: `_user_clear_caches`. Code that is written is noticed where it is written.
pub fn clear_caches(_: &mut Call<'_>, _address: GuestAddr, _length: Size, _flags: u32) -> SysResult {
    Ok(())
}

/// Haiku: `_user_cpu_enabled`.
pub fn cpu_enabled(call: &mut Call<'_>, cpu: i32) -> SysResult<bool> {
    Ok(u32::try_from(cpu).is_ok_and(|cpu| cpu < call.kernel().machine().cpu_count()))
}

/// Haiku: `_user_set_cpu_enabled`: not for ordinary users.
pub fn set_cpu_enabled(_: &mut Call<'_>, _cpu: i32, _enabled: bool) -> SysResult {
    Err(Status::B_NOT_ALLOWED)
}

/// Haiku: `_user_get_cpuid`. What the guest's processor says to `cpuid` with `eax`; ecx zero.
pub fn get_cpuid(call: &mut Call<'_>, info: OutBytes, eax: u32, cpu: u32) -> SysResult {
    if cpu >= call.kernel().machine().cpu_count() {
        return Err(Status::B_BAD_VALUE);
    }
    let [a, b, c, d] = SystemModel::cpuid(&call.thread.team.processor, eax, 0);
    // The union's order is eax, ebx, edx, ecx.
    let bytes: Vec<u8> = [a, b, d, c].iter().flat_map(|r| r.to_le_bytes()).collect();
    call.put_bytes(info, &bytes)
}

/// Haiku: `_user_frame_buffer_update`: only the app_server may.
pub fn frame_buffer_update(
    _: &mut Call<'_>,
    _base: GuestAddr,
    _width: i32,
    _height: i32,
    _depth: i32,
    _bytes_per_row: i32,
) -> SysResult {
    Err(Status::B_NOT_ALLOWED)
}

/// The command line of this team, for descriptions.
pub fn command_line(call: &Call<'_>) -> Vec<u8> {
    lock(&call.team.command_line).clone()
}

//! Areas: memory by name and id, mapped files, protection.

use hokku_ir::GuestAddr;
use hokku_runtime::{GuestMemory, Placement};

use crate::abi::area::*;
use crate::abi::fs::OpenMode;
use crate::abi::structs::AreaInfo;
use crate::abi::{SignedWord, Status, SysResult, Word};
use crate::args::{AreaId, Fd, InOut, InStr, Out, Size, TeamId};
use crate::call::Call;
use crate::kernel::At;
use crate::team::areas::{AreaRequest, Areas, Backing};
use crate::team::waiting::lock;

/// How an area is locked in memory.
mod locking {
    pub(super) const FULL: u32 = 2;
    pub(super) const CONTIGUOUS: u32 = 3;
    pub(super) const LOW_MEMORY: u32 = 4;
    pub(super) const FULL_32_BIT: u32 = 5;
    pub(super) const CONTIGUOUS_32_BIT: u32 = 6;
}

/// What `memory_advice` knows.
mod advice {
    pub(super) const NORMAL: u32 = 1;
    pub(super) const DONT_NEED: u32 = 5;
    pub(super) const FREE: u32 = 6;
}

/// `sync_memory`: starts writing.
const MS_ASYNC: i32 = 1;
/// `sync_memory`: waits until all is written.
const MS_SYNC: i32 = 2;
/// Read, write and execute: what ranges of pages can have.
const PAGE_PROTECTION: Protection = Protection::READ.union(Protection::WRITE).union(Protection::EXECUTE);
/// Lowest protection bit of the kernel's own rights, which follow the program's.
const KERNEL_READ: u32 = 0x10;
const KERNEL_WRITE: u32 = 0x20;

/// Programs cannot ask for kernel addresses.
fn not_kernel(spec: u32) -> SysResult {
    match spec {
        B_ANY_KERNEL_ADDRESS | B_ANY_KERNEL_BLOCK_ADDRESS => Err(Status::B_BAD_VALUE),
        _ => Ok(()),
    }
}

/// What a program may ask for.
fn user_protection(bits: u32) -> SysResult<Protection> {
    Protection::from_bits(bits).filter(|p| Protection::USER.contains(*p)).ok_or(Status::B_BAD_VALUE)
}

/// An area's name and the address that was asked for.
fn name_and_address(call: &Call<'_>, name: InStr, address: InOut<Word>) -> SysResult<(Vec<u8>, u64)> {
    if name.is_null() {
        return Err(Status::B_BAD_ADDRESS);
    }
    Ok((call.name(name, "")?, call.read_io(address)?.0))
}

/// Tells the program where its area is; an area whose place cannot be told does not stay.
fn tell_address(call: &Call<'_>, to: InOut<Word>, made: (AreaId, GuestAddr)) -> SysResult<AreaId> {
    let (id, address) = made;
    if let Err(error) = call.write_io(to, &Word(address.0)) {
        lock(&call.team.areas).delete(call.memory(), id)?;
        return Err(error);
    }
    Ok(id)
}

/// How an area of `size` bytes that is to be locked so is locked; contiguous ones of one page are as good as locked.
fn locking_of(lock: u32, size: u64) -> SysResult<u32> {
    use locking::*;
    match lock {
        CONTIGUOUS | LOW_MEMORY | CONTIGUOUS_32_BIT if size <= PAGE => Ok(FULL),
        LOW_MEMORY | CONTIGUOUS_32_BIT => Ok(CONTIGUOUS),
        FULL_32_BIT => Ok(FULL),
        0..=CONTIGUOUS => Ok(lock),
        _ => Err(Status::B_BAD_VALUE),
    }
}

/// Haiku: `_user_create_area`, `src/system/kernel/vm/vm.cpp`.
pub fn create_area(
    call: &mut Call<'_>,
    name: InStr,
    address: InOut<Word>,
    spec: u32,
    size: Size,
    lock_kind: u32,
    protection: u32,
) -> SysResult<AreaId> {
    not_kernel(spec)?;
    let protection = user_protection(protection)?;
    let (name, at) = name_and_address(call, name, address)?;
    if size.0 == 0 {
        return Err(Status::B_BAD_VALUE);
    }
    let lock_kind = locking_of(lock_kind, size.0)?;
    let request = AreaRequest {
        name: &name,
        address: at,
        spec,
        size: size.0,
        protection,
        lock: lock_kind,
        backing: Backing::Private,
        replace: false,
    };
    let made = lock(&call.team.areas).create(call.memory(), request)?;
    tell_address(call, address, made)
}

/// Haiku: `_user_delete_area`.
pub fn delete_area(call: &mut Call<'_>, area: AreaId) -> SysResult {
    lock(&call.team.areas).delete(call.memory(), area)
}

/// Haiku: `_user_area_for`.
pub fn area_for(call: &mut Call<'_>, address: GuestAddr) -> SysResult<AreaId> {
    lock(&call.team.areas).at(address.0).map(|area| area.id).ok_or(Status::B_ERROR)
}

/// Haiku: `_user_find_area`.
pub fn find_area(call: &mut Call<'_>, name: InStr) -> SysResult<AreaId> {
    if name.is_null() {
        return Err(Status::B_BAD_ADDRESS);
    }
    let name = call.name(name, "")?;
    lock(&call.team.areas).find(&name)
}

/// Haiku: `_user_get_area_info`.
pub fn get_area_info(call: &mut Call<'_>, area: AreaId, info: Out<AreaInfo>) -> SysResult {
    let found = lock(&call.team.areas).get(area)?.info(call.kernel().processes().team());
    call.write(info, &found)
}

/// Haiku: `_user_get_next_area_info`; the cookie is the address behind which to look.
pub fn get_next_area_info(
    call: &mut Call<'_>,
    team: TeamId,
    cookie: InOut<SignedWord>,
    info: Out<AreaInfo>,
) -> SysResult {
    let from = call.read_io(cookie)?.0;
    if from == -1 {
        return Err(Status::B_ENTRY_NOT_FOUND);
    }
    let own = call.kernel().processes().team();
    if team.0 != 0 && team != own {
        return Err(Status::B_BAD_TEAM_ID);
    }
    let from = match call.mode() {
        hokku_ir::CpuMode::Protected32 => u64::from(from as u32),
        hokku_ir::CpuMode::Long64 => from as u64,
    };
    let next = lock(&call.team.areas).next(from.saturating_sub(1)).map(|area| area.info(own));
    let next = next.ok_or(Status::B_ENTRY_NOT_FOUND)?;
    call.write_io(cookie, &SignedWord(next.address.0 as i64 + 1))?;
    call.write(info, &next)
}

/// Haiku: `_user_resize_area`.
pub fn resize_area(call: &mut Call<'_>, area: AreaId, size: Size) -> SysResult {
    lock(&call.team.areas).resize(call.memory(), area, size.0)
}

/// Haiku: `_user_transfer_area`.
pub fn transfer_area(
    call: &mut Call<'_>,
    area: AreaId,
    address: InOut<Word>,
    spec: u32,
    target: TeamId,
) -> SysResult<AreaId> {
    not_kernel(spec)?;
    let at = call.read_io(address)?.0;
    let mut areas = lock(&call.team.areas);
    let (name, protection) = areas.get(area).map(|a| (a.name.clone(), a.protection))?;
    if protection.contains(Protection::KERNEL_AREA) {
        return Err(Status::B_NOT_ALLOWED);
    }
    if target.0 != 0 && target != call.kernel().processes().team() {
        return Err(Status::B_BAD_TEAM_ID);
    }
    let made = clone(call, &mut areas, area, &name, at, spec, protection)?;
    areas.delete(call.memory(), area)?;
    drop(areas);
    tell_address(call, address, made)
}

/// Maps the memory of `source` once more.
fn clone(
    call: &Call<'_>,
    areas: &mut Areas,
    source: AreaId,
    name: &[u8],
    address: u64,
    spec: u32,
    protection: Protection,
) -> SysResult<(AreaId, GuestAddr)> {
    let request = AreaRequest {
        name,
        address,
        spec,
        // Size, locking and memory are the source's.
        size: 0,
        protection: protection | Protection::SHARED,
        lock: 0,
        backing: Backing::Shared,
        replace: false,
    };
    areas.clone_area(call.memory(), source, request, |size| call.kernel().machine().shared_memory(size))
}

/// Haiku: `_user_set_area_protection`.
pub fn set_area_protection(call: &mut Call<'_>, area: AreaId, protection: u32) -> SysResult {
    const ALLOWED: Protection = PAGE_PROTECTION.union(Protection::STACK).union(Protection::CLONEABLE);
    let protection = Protection::from_bits(protection).filter(|p| ALLOWED.contains(*p)).ok_or(Status::B_BAD_VALUE)?;
    lock(&call.team.areas).protect(call.memory(), area, protection)
}

/// Haiku: `_user_clone_area`.
pub fn clone_area(
    call: &mut Call<'_>,
    name: InStr,
    address: InOut<Word>,
    spec: u32,
    protection: u32,
    source: AreaId,
) -> SysResult<AreaId> {
    not_kernel(spec)?;
    let protection = user_protection(protection)?;
    let (name, at) = name_and_address(call, name, address)?;
    let made = clone(call, &mut lock(&call.team.areas), source, &name, at, spec, protection)?;
    tell_address(call, address, made)
}

/// Haiku: `_user_reserve_address_range`.
pub fn reserve_address_range(call: &mut Call<'_>, address: InOut<Word>, spec: u32, size: GuestAddr) -> SysResult {
    not_kernel(spec)?;
    let at = call.read_io(address)?.0;
    let base = lock(&call.team.areas).reserve(spec, at, size.0)?;
    if let Err(error) = call.write_io(address, &Word(base)) {
        lock(&call.team.areas).unreserve(base, size.0)?;
        return Err(error);
    }
    Ok(())
}

/// Haiku: `_user_unreserve_address_range`.
pub fn unreserve_address_range(call: &mut Call<'_>, address: GuestAddr, size: GuestAddr) -> SysResult {
    lock(&call.team.areas).unreserve(address.0, size.0)
}

/// What a mapping of `fd` is made of; checks that the file is open for it.
fn file_backing(
    call: &Call<'_>,
    fd: Fd,
    size: u64,
    protection: Protection,
    shared: bool,
    offset: u64,
) -> SysResult<(Backing, u64)> {
    let (file, mode) = call.kernel().descriptors().for_mapping(fd.0)?;
    let writable = mode.writes();
    if mode.contains(OpenMode::WRITE_ONLY) || shared && protection.contains(Protection::WRITE) && !writable {
        return Err(Status::B_PERMISSION_DENIED);
    }
    let stat = call.kernel().paths().stat(At { dir: fd.0, path: None }, false)?;
    // Devices have no size of their own.
    let is_regular = stat.st_mode & 0o170_000 == 0o100_000;
    let in_file = u64::try_from(stat.st_size).unwrap_or(0).next_multiple_of(PAGE).saturating_sub(offset);
    if is_regular && shared && in_file < size {
        return Err(Status::B_BAD_VALUE);
    }
    let from_file = if is_regular { in_file.min(size) } else { size };
    Ok((Backing::File { file, offset, shared, writable, is_memory: false }, from_file))
}

/// Haiku: `_user_map_file`; a private mapping beyond the end of its file holds zeros.
pub fn map_file(
    call: &mut Call<'_>,
    name: InStr,
    address: InOut<Word>,
    spec: u32,
    size: Size,
    protection: u32,
    mapping: u32,
    unmap: bool,
    fd: Fd,
    offset: i64,
) -> SysResult<AreaId> {
    let protection = user_protection(protection)?;
    let (name, at) = name_and_address(call, name, address)?;
    if spec == B_EXACT_ADDRESS {
        user_range(call, GuestAddr(at), size.0)?;
    } else {
        not_kernel(spec)?;
    }
    let offset = u64::try_from(offset).ok().filter(|o| o % PAGE == 0).ok_or(Status::B_BAD_VALUE)?;
    let whole = size.0.checked_next_multiple_of(PAGE).filter(|&s| s > 0).ok_or(Status::B_BAD_VALUE)?;
    let shared = mapping != REGION_PRIVATE_MAP;
    let (backing, filled) = match (fd.0 < 0, shared) {
        (true, true) => (Backing::Shared, whole),
        (true, false) => (Backing::Private, whole),
        (false, _) => file_backing(call, fd, whole, protection, shared, offset)?,
    };
    let request = AreaRequest {
        name: &name,
        address: at,
        spec,
        size: whole,
        protection: if shared { protection | Protection::SHARED } else { protection },
        lock: 0,
        backing,
        replace: unmap && spec == B_EXACT_ADDRESS,
    };
    let made = {
        let mut areas = lock(&call.team.areas);
        let made = areas.create(call.memory(), request)?;
        if filled < whole {
            let rest = Placement::Replace(made.1.offset(filled));
            if let Err(error) = call.memory().map_anonymous(rest, whole - filled, protection.pages(), false) {
                areas.delete(call.memory(), made.0)?;
                return Err(error.into());
            }
        }
        made
    };
    call.write_io(address, &Word(made.1.0))?;
    Ok(made.0)
}

/// Checks a range that must begin with a page and lie within the program's addresses.
fn user_range(call: &Call<'_>, address: GuestAddr, size: u64) -> SysResult {
    let end = address.0.checked_add(size).ok_or(Status::B_BAD_VALUE)?;
    if address.0 % PAGE != 0 {
        return Err(Status::B_BAD_VALUE);
    }
    if address.0 < PAGE || end > lock(&call.team.areas).user_end() {
        return Err(Status::B_BAD_ADDRESS);
    }
    Ok(())
}

/// The size in whole pages of a range that begins with a page; `outside` is the error for addresses that programs cannot have.
fn pages_of(call: &Call<'_>, address: GuestAddr, size: u64, outside: Status) -> SysResult<u64> {
    if address.0 % PAGE != 0 {
        return Err(Status::B_BAD_VALUE);
    }
    let size = size.checked_next_multiple_of(PAGE).ok_or(outside)?;
    match user_range(call, address, size) {
        Ok(()) => Ok(size),
        Err(_) => Err(outside),
    }
}

/// Haiku: `_user_unmap_memory`.
pub fn unmap_memory(call: &mut Call<'_>, address: GuestAddr, size: Size) -> SysResult {
    if size.0 == 0 {
        return Err(Status::B_BAD_VALUE);
    }
    user_range(call, address, size.0)?;
    lock(&call.team.areas).unmap(call.memory(), address.0, size.0)
}

/// Haiku: `_user_set_memory_protection`.
pub fn set_memory_protection(call: &mut Call<'_>, address: GuestAddr, size: Size, protection: u32) -> SysResult {
    let size = pages_of(call, address, size.0, Status::B_NO_MEMORY)?;
    let protection =
        Protection::from_bits(protection).filter(|p| PAGE_PROTECTION.contains(*p)).ok_or(Status::B_BAD_VALUE)?;
    if size == 0 {
        return Ok(());
    }
    lock(&call.team.areas).protect_range(call.memory(), address.0, size, protection)
}

/// Haiku: `_user_sync_memory`.
pub fn sync_memory(call: &mut Call<'_>, address: GuestAddr, size: Size, flags: i32) -> SysResult {
    let size = pages_of(call, address, size.0, Status::B_NO_MEMORY)?;
    let (now, later) = (flags & MS_SYNC != 0, flags & MS_ASYNC != 0);
    if now && later {
        return Err(Status::B_BAD_VALUE);
    }
    if size == 0 || !now && !later {
        return Ok(());
    }
    let areas = lock(&call.team.areas);
    let end = address.0 + size;
    let mut at = address.0;
    while at < end {
        at = areas.at(at).ok_or(Status::B_NO_MEMORY)?.end();
    }
    Ok(())
}

/// Replaces the program's own memory in a range by zeros.
fn discard(memory: &GuestMemory, areas: &Areas, address: u64, size: u64) -> SysResult {
    let end = address + size;
    for area in areas.all().filter(|a| a.base < end && a.end() > address) {
        if !matches!(area.backing, Backing::Private) || area.protection.contains(Protection::KERNEL_AREA) {
            continue;
        }
        let (mut at, until) = (area.base.max(address), area.end().min(end));
        while at < until {
            // Single pages may have a protection of their own.
            let Some(range) = memory.range_at(GuestAddr(at)) else { break };
            let part = range.end.0.min(until);
            memory.map_anonymous(Placement::Replace(GuestAddr(at)), part - at, range.prot, false)?;
            at = part;
        }
    }
    Ok(())
}

/// Haiku: `_user_memory_advice`.
pub fn memory_advice(call: &mut Call<'_>, address: GuestAddr, size: Size, kind: u32) -> SysResult {
    let size = pages_of(call, address, size.0, Status::B_NO_MEMORY)?;
    match kind {
        advice::NORMAL..=advice::DONT_NEED => Ok(()),
        advice::FREE => discard(call.memory(), &lock(&call.team.areas), address.0, size),
        _ => Err(Status::B_BAD_VALUE),
    }
}

/// Haiku: `_user_get_memory_properties`.
pub fn get_memory_properties(
    call: &mut Call<'_>,
    team: TeamId,
    address: GuestAddr,
    protected: Out<u32>,
    lock_kind: Out<u32>,
) -> SysResult {
    let processes = call.kernel().processes();
    if team.0 != 0 && team != processes.team() {
        return Err(if processes.user_ids()[1] == 0 { Status::B_BAD_TEAM_ID } else { Status::B_NOT_ALLOWED });
    }
    let (area_protection, locked) =
        lock(&call.team.areas).at(address.0).map(|a| (a.protection, a.lock)).ok_or(Status::B_NO_MEMORY)?;
    let pages = call.memory().protection(address).map_or(0, |prot| u32::from(prot.bits()));
    let mut protection = (area_protection - PAGE_PROTECTION).bits() | pages;
    // The kernel can do what the program can.
    if pages & Protection::READ.bits() != 0 {
        protection |= KERNEL_READ;
    }
    if pages & Protection::WRITE.bits() != 0 {
        protection |= KERNEL_WRITE;
    }
    call.write(protected, &protection)?;
    call.write(lock_kind, &locked)
}

/// Checks what `mlock` and `munlock` check.
fn lockable(call: &Call<'_>, address: GuestAddr, size: Size) -> SysResult {
    let size = pages_of(call, address, size.0, Status::B_BAD_VALUE)?;
    let areas = lock(&call.team.areas);
    let mut at = address.0;
    while at < address.0 + size {
        at = areas.at(at).ok_or(Status::B_BAD_ADDRESS)?.end();
    }
    Ok(())
}

/// Haiku: `_user_mlock`.
pub fn mlock(call: &mut Call<'_>, address: GuestAddr, size: Size) -> SysResult {
    lockable(call, address, size)
}

/// Haiku: `_user_munlock`.
pub fn munlock(call: &mut Call<'_>, address: GuestAddr, size: Size) -> SysResult {
    lockable(call, address, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_cannot_ask_for_kernel_rights_or_places() {
        assert_eq!(user_protection(0x1003), Ok(Protection::READ | Protection::WRITE | Protection::OVERCOMMITTING));
        for bits in [KERNEL_READ, Protection::KERNEL_AREA.bits(), Protection::SHARED.bits(), 1 << 31] {
            assert_eq!(user_protection(bits), Err(Status::B_BAD_VALUE), "{bits:#x}");
        }
        assert_eq!(not_kernel(B_ANY_KERNEL_ADDRESS), Err(Status::B_BAD_VALUE));
        assert_eq!(not_kernel(B_RANDOMIZED_ANY_ADDRESS), Ok(()));
    }

    #[test]
    fn locking_is_shown_as_the_kernel_does_it() {
        assert_eq!((locking_of(0, 1), locking_of(1, 1), locking_of(2, 1)), (Ok(0), Ok(1), Ok(2)));
        assert_eq!((locking_of(3, PAGE), locking_of(3, 2 * PAGE)), (Ok(2), Ok(3)));
        assert_eq!(
            (locking_of(5, PAGE), locking_of(6, 2 * PAGE), locking_of(7, 1)),
            (Ok(2), Ok(3), Err(Status::B_BAD_VALUE))
        );
    }
}

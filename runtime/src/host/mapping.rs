//! Host memory maps, confined to the part of the address space that belongs to the guest.
//!
//! An [`AddressSpace`] maps, protects and unmaps within its bounds only. What must hold for that to be safe: the bounds contain no host
//! mapping. New ranges are therefore mapped without replacing anything ([`MAP_IF_FREE`]), or over the space's own reservation;
//! replacing calls are made for ranges that the caller mapped here before.

use std::ffi::c_void;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

use super::system::MAP_IF_FREE;

/// Bytes of a page, of the guest's and of the host's memory map alike.
pub const PAGE_SIZE: u64 = 4096;

/// Bytes of a page of the host's memory map.
pub(crate) fn host_page_size() -> u64 {
    rustix::param::page_size() as u64
}

/// The first address behind those that a process can map on this host, or 2^47 where there are more: a power of two.
pub(crate) fn address_limit() -> u64 {
    static LIMIT: OnceLock<u64> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        let can_map_below = |limit: &u64| {
            // Far enough from the end to be no one's, but for chance: then it is mapped, and so can be.
            let at = (limit - (1 << 30)) as *mut c_void;
            let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MAP_IF_FREE;
            // SAFETY: maps nothing over an existing mapping.
            match unsafe { rustix::mm::mmap_anonymous(at, PAGE_SIZE as usize, ProtFlags::empty(), flags) } {
                Ok(got) => {
                    // SAFETY: the mapping was made by the call above and nobody knows of it.
                    let unmapped = unsafe { rustix::mm::munmap(got, PAGE_SIZE as usize) };
                    unmapped.is_ok() && got == at
                }
                Err(error) => error == Errno::EXIST,
            }
        };
        // Sv39 has 38 bits of user space.
        (39..=47).rev().map(|bits| 1 << bits).find(can_map_below).unwrap_or(1 << 38)
    })
}

/// Access that the host grants: never execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostProt {
    None,
    Read,
    ReadWrite,
}

/// Where the bytes of a mapping come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Backing<'a> {
    /// Zeros. `reserve_only`: no swap space is set aside.
    Anonymous { shared: bool, reserve_only: bool },
    /// A file from `offset` on.
    File { file: BorrowedFd<'a>, offset: u64, shared: bool },
}

/// Names a file for as long as it is mapped or open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl FileId {
    /// The file that `file` has open, and whether it has a name, by which other processes may open it too.
    pub(crate) fn of(file: BorrowedFd<'_>) -> Result<(FileId, bool), Errno> {
        let stat = rustix::fs::fstat(file)?;
        Ok((FileId { device: stat.st_dev as u64, inode: stat.st_ino as u64 }, stat.st_nlink != 0))
    }
}

/// The guest's part of the host's address space.
#[derive(Debug)]
pub(crate) struct AddressSpace {
    bounds: Range<u64>,
    /// Whether the whole of `bounds` is reserved by an inaccessible mapping, which unmapped ranges go back to.
    reserved: bool,
}

impl AddressSpace {
    /// A space whose ranges are free until mapped.
    pub(crate) fn sparse(bounds: Range<u64>) -> Self {
        AddressSpace { bounds, reserved: false }
    }

    /// A space that is reserved as a whole now, with an inaccessible page behind it.
    pub(crate) fn reserved(bounds: Range<u64>) -> Result<Self, Errno> {
        let space = AddressSpace { bounds: bounds.clone(), reserved: true };
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MAP_IF_FREE;
        let len = bounds.end - bounds.start + PAGE_SIZE;
        let wanted = bounds.start as *mut c_void;
        // SAFETY: MAP_IF_FREE maps nothing over an existing mapping.
        let got = unsafe { rustix::mm::mmap_anonymous(wanted, len as usize, ProtFlags::empty(), flags)? };
        if got != wanted {
            // SAFETY: the mapping was made by the call above and nobody knows of it.
            unsafe { rustix::mm::munmap(got, len as usize)? };
            return Err(Errno::EXIST);
        }
        Ok(space)
    }

    /// Maps `range` anew. `replace`: the caller mapped (parts of) the range here before; what is there goes.
    pub(crate) fn map(
        &self,
        range: Range<u64>,
        prot: HostProt,
        backing: Backing<'_>,
        replace: bool,
    ) -> Result<(), Errno> {
        self.check(&range)?;
        let fixed = if replace || self.reserved { MapFlags::FIXED } else { MAP_IF_FREE };
        let (at, len) = (range.start as *mut c_void, (range.end - range.start) as usize);
        let got = match backing {
            Backing::Anonymous { shared, reserve_only } => {
                let mut flags = fixed | if shared { MapFlags::SHARED } else { MapFlags::PRIVATE };
                if reserve_only {
                    flags |= MapFlags::NORESERVE;
                }
                // SAFETY: the range is inside the guest's bounds, which hold guest mappings alone, or nothing is replaced.
                unsafe { rustix::mm::mmap_anonymous(at, len, prot_flags(prot), flags)? }
            }
            Backing::File { file, offset, shared } => {
                let flags = fixed | if shared { MapFlags::SHARED } else { MapFlags::PRIVATE };
                // SAFETY: as above; bytes of a guest mapping are never borrowed, so that changes of the file are harmless.
                unsafe { rustix::mm::mmap(at, len, prot_flags(prot), flags, file, offset)? }
            }
        };
        if got != at {
            // Some hosts take MAP_IF_FREE as a hint.
            // SAFETY: the mapping was made by the call above and nobody knows of it.
            unsafe { rustix::mm::munmap(got, len)? };
            return Err(Errno::EXIST);
        }
        Ok(())
    }

    /// Takes `range` out of the guest's reach.
    pub(crate) fn unmap(&self, range: Range<u64>) -> Result<(), Errno> {
        self.check(&range)?;
        if self.reserved {
            return self.map(range, HostProt::None, Backing::Anonymous { shared: false, reserve_only: true }, true);
        }
        let (at, len) = (range.start as *mut c_void, (range.end - range.start) as usize);
        // SAFETY: the range is inside the guest's bounds; the caller mapped it here before.
        unsafe { rustix::mm::munmap(at, len) }
    }

    /// Changes what the host grants in `range`, which is mapped.
    pub(crate) fn protect(&self, range: Range<u64>, prot: HostProt) -> Result<(), Errno> {
        self.check(&range)?;
        let flags = match prot {
            HostProt::None => MprotectFlags::empty(),
            HostProt::Read => MprotectFlags::READ,
            HostProt::ReadWrite => MprotectFlags::READ | MprotectFlags::WRITE,
        };
        let (at, len) = (range.start as *mut c_void, (range.end - range.start) as usize);
        // SAFETY: the range is inside the guest's bounds, where no Rust object lives.
        unsafe { rustix::mm::mprotect(at, len, flags) }
    }

    fn check(&self, range: &Range<u64>) -> Result<(), Errno> {
        let inside = range.start >= self.bounds.start && range.end <= self.bounds.end && range.start < range.end;
        if inside && (range.start | range.end) % PAGE_SIZE == 0 { Ok(()) } else { Err(Errno::INVAL) }
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        if self.reserved {
            let len = self.bounds.end - self.bounds.start + PAGE_SIZE;
            // SAFETY: the reservation and all in it is this space's own, and its owner is gone.
            let _ = unsafe { rustix::mm::munmap(self.bounds.start as *mut c_void, len as usize) };
        }
    }
}

fn prot_flags(prot: HostProt) -> ProtFlags {
    match prot {
        HostProt::None => ProtFlags::empty(),
        HostProt::Read => ProtFlags::READ,
        HostProt::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
    }
}

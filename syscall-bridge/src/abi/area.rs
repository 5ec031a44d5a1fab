//! Numbers about areas.
//!
//! Source: haiku `headers/os/kernel/OS.h`, `headers/private/system/vm_defs.h`.

/// Bytes of a guest page.
pub const PAGE: u64 = 4096;

/// Anywhere.
pub const B_ANY_ADDRESS: u32 = 0;
/// At the given address or not at all.
pub const B_EXACT_ADDRESS: u32 = 1;
/// At the given address or above.
pub const B_BASE_ADDRESS: u32 = 2;
/// At the cloned area's address, if it is free.
pub const B_CLONE_ADDRESS: u32 = 3;
/// Kernel addresses: not for programs.
pub const B_ANY_KERNEL_ADDRESS: u32 = 4;
/// Kernel addresses: not for programs.
pub const B_ANY_KERNEL_BLOCK_ADDRESS: u32 = 5;
/// Anywhere, not foreseeable.
pub const B_RANDOMIZED_ANY_ADDRESS: u32 = 6;
/// At the given address or above, not foreseeable.
pub const B_RANDOMIZED_BASE_ADDRESS: u32 = 7;

bitflags::bitflags! {
    /// An area's protection and the flags that travel with it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Protection: u32 {
        /// Loads.
        const READ = 1;
        /// Stores.
        const WRITE = 2;
        /// Instruction fetches.
        const EXECUTE = 4;
        /// A stack: its lowest pages are guards.
        const STACK = 8;
        /// Other teams may clone it.
        const CLONEABLE = 0x100;
        /// Memory is committed when it is touched.
        const OVERCOMMITTING = 1 << 12;
        /// Stays shared in a forked team.
        const SHARED = 1 << 13;
        /// Not the program's to change.
        const KERNEL_AREA = 1 << 14;
    }
}

impl Protection {
    /// What programs may ask for.
    pub const USER: Protection = Protection::READ
        .union(Protection::WRITE)
        .union(Protection::EXECUTE)
        .union(Protection::STACK)
        .union(Protection::OVERCOMMITTING)
        .union(Protection::CLONEABLE);

    /// What this means for pages.
    pub fn pages(self) -> hokku_runtime::Prot {
        use hokku_runtime::Prot;
        let mut prot = Prot::empty();
        prot.set(Prot::READ, self.contains(Protection::READ));
        prot.set(Prot::WRITE, self.contains(Protection::WRITE));
        prot.set(Prot::EXECUTE, self.contains(Protection::EXECUTE));
        prot
    }
}

/// The mapping argument of `map_file` that makes stores private.
pub const REGION_PRIVATE_MAP: u32 = 1;

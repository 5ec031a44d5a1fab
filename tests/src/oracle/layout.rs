//! Where things lie in the address space that guest code under test sees. All of it is below 2 GiB, so that both word sizes and
//! displacements of 32 bits reach it.

/// Size of a page.
pub const PAGE: u64 = 4096;

/// First page of the oracle's own, which guest code must not touch: the word for the arrival and the way back.
pub const PORT: u64 = 0x1000_0000;
/// Code of the oracle that 32-bit code jumps to.
pub const PORT_CODE: u64 = PORT + PAGE;
/// One past the oracle's own pages.
pub const PORT_END: u64 = PORT + 2 * PAGE;

/// The page of guest code. What is not set holds `hlt`.
pub const CODE: u64 = 0x2000_0000;
/// One past it.
pub const CODE_END: u64 = CODE + PAGE;

/// Memory that guest code works on: [`WRITABLE`] bytes, then a page that can only be read, then nothing mapped. Nothing before it either.
pub const SCRATCH: u64 = 0x3000_0000;
/// Number of writable bytes.
pub const WRITABLE: u64 = 2 * PAGE;
/// One past the page that can only be read.
pub const SCRATCH_END: u64 = SCRATCH + 3 * PAGE;

/// Selectors of fs and gs in 32-bit code that uses them: the first two entries that Linux gives a program.
pub const SELECTORS_32: [u16; 2] = [0x63, 0x6b];
/// Bases of these segments.
pub const BASES_32: [u64; 2] = [SCRATCH + 0x40, SCRATCH + 0x1008];

/// Whether `len` bytes at `at` are surely no memory of the process but [`SCRATCH`]'s: other low addresses, where the oracle maps nothing and
/// the kernel puts nothing, addresses that are not canonical, and the kernel's half.
pub fn harmless(at: u64, len: u64) -> bool {
    let Some(last) = at.checked_add(len.max(1) - 1) else { return false };
    let outside = |start: u64, end: u64| last < start || at >= end;
    (last < 1 << 32 && outside(PORT, PORT_END) && outside(CODE, CODE_END)) || at >= 1 << 47
}

//! Accesses to guest memory that report a fault instead of crashing.
//!
//! Each routine is a few instructions of assembly. The fault handler ([`super::fault`]) recognises their addresses by [`fixup`] and sends
//! a faulting one to its error return. No routine reads or writes anything but its operands, so that any address whatever is safe to pass
//! as far as faults go; that the address is the guest's own is the caller's duty ([`crate::GuestMemory`]).

use std::arch::global_asm;

global_asm!(
    ".text",
    ".balign 16",
    // Value routines: address in rdi; result in rax, rdx = 0; at a fault rdx = 1.
    ".globl hokku_guest_values_start",
    ".hidden hokku_guest_values_start",
    "hokku_guest_values_start:",
    ".globl hokku_guest_load8",
    ".hidden hokku_guest_load8",
    "hokku_guest_load8:   movzx eax, byte ptr [rdi]",
    "    xor edx, edx",
    "    ret",
    ".globl hokku_guest_load16",
    ".hidden hokku_guest_load16",
    "hokku_guest_load16:  movzx eax, word ptr [rdi]",
    "    xor edx, edx",
    "    ret",
    ".globl hokku_guest_load32",
    ".hidden hokku_guest_load32",
    "hokku_guest_load32:  mov eax, dword ptr [rdi]",
    "    xor edx, edx",
    "    ret",
    ".globl hokku_guest_load64",
    ".hidden hokku_guest_load64",
    "hokku_guest_load64:  mov rax, qword ptr [rdi]",
    "    xor edx, edx",
    "    ret",
    ".globl hokku_guest_store8",
    ".hidden hokku_guest_store8",
    "hokku_guest_store8:  mov byte ptr [rdi], sil",
    "    xor edx, edx",
    "    ret",
    ".globl hokku_guest_store16",
    ".hidden hokku_guest_store16",
    "hokku_guest_store16: mov word ptr [rdi], si",
    "    xor edx, edx",
    "    ret",
    ".globl hokku_guest_store32",
    ".hidden hokku_guest_store32",
    "hokku_guest_store32: mov dword ptr [rdi], esi",
    "    xor edx, edx",
    "    ret",
    ".globl hokku_guest_store64",
    ".hidden hokku_guest_store64",
    "hokku_guest_store64: mov qword ptr [rdi], rsi",
    "    xor edx, edx",
    "    ret",
    // Compare and swap: rsi = expected, rdx = new; rax = old.
    ".globl hokku_guest_cas8",
    ".hidden hokku_guest_cas8",
    "hokku_guest_cas8:",
    "    mov eax, esi",
    "    lock cmpxchg byte ptr [rdi], dl",
    "    movzx eax, al",
    "    xor edx, edx",
    "    ret",
    ".globl hokku_guest_cas16",
    ".hidden hokku_guest_cas16",
    "hokku_guest_cas16:",
    "    mov eax, esi",
    "    lock cmpxchg word ptr [rdi], dx",
    "    movzx eax, ax",
    "    xor edx, edx",
    "    ret",
    ".globl hokku_guest_cas32",
    ".hidden hokku_guest_cas32",
    "hokku_guest_cas32:",
    "    mov eax, esi",
    "    lock cmpxchg dword ptr [rdi], edx",
    "    mov eax, eax",
    "    xor edx, edx",
    "    ret",
    ".globl hokku_guest_cas64",
    ".hidden hokku_guest_cas64",
    "hokku_guest_cas64:",
    "    mov rax, rsi",
    "    lock cmpxchg qword ptr [rdi], rdx",
    "    xor edx, edx",
    "    ret",
    // 16 bytes in one access: rsi = the other place, which is the translator's own.
    ".globl hokku_guest_load128",
    ".hidden hokku_guest_load128",
    "hokku_guest_load128: movdqu xmm0, xmmword ptr [rdi]",
    "    movdqu xmmword ptr [rsi], xmm0",
    "    xor edx, edx",
    "    ret",
    ".globl hokku_guest_store128",
    ".hidden hokku_guest_store128",
    "hokku_guest_store128: movdqu xmm0, xmmword ptr [rsi]",
    "    movdqu xmmword ptr [rdi], xmm0",
    "    xor edx, edx",
    "    ret",
    ".globl hokku_guest_values_end",
    ".hidden hokku_guest_values_end",
    "hokku_guest_values_end:",
    ".globl hokku_guest_values_fixup",
    ".hidden hokku_guest_values_fixup",
    "hokku_guest_values_fixup:",
    "    mov edx, 1",
    "    ret",
    // 16 bytes: rdi = address, rsi = expected (becomes the old value), rdx = new; rax = 0, at a fault 1.
    ".globl hokku_guest_cas128",
    ".hidden hokku_guest_cas128",
    "hokku_guest_cas128:",
    "    push rbx",
    "    mov r8, rsi",
    "    mov r9, rdx",
    "    mov rax, [r8]",
    "    mov rdx, [r8 + 8]",
    "    mov rbx, [r9]",
    "    mov rcx, [r9 + 8]",
    ".globl hokku_guest_cas128_start",
    ".hidden hokku_guest_cas128_start",
    "hokku_guest_cas128_start:",
    "    lock cmpxchg16b xmmword ptr [rdi]",
    ".globl hokku_guest_cas128_end",
    ".hidden hokku_guest_cas128_end",
    "hokku_guest_cas128_end:",
    "    mov [r8], rax",
    "    mov [r8 + 8], rdx",
    "    xor eax, eax",
    "    pop rbx",
    "    ret",
    ".globl hokku_guest_cas128_fixup",
    ".hidden hokku_guest_cas128_fixup",
    "hokku_guest_cas128_fixup:",
    "    mov eax, 1",
    "    pop rbx",
    "    ret",
    // Bytes: rdi = destination, rsi = source, rdx = length; rax = bytes left over.
    ".globl hokku_guest_copy",
    ".hidden hokku_guest_copy",
    "hokku_guest_copy:",
    "    mov rcx, rdx",
    ".globl hokku_guest_copy_start",
    ".hidden hokku_guest_copy_start",
    "hokku_guest_copy_start:",
    "    rep movsb",
    ".globl hokku_guest_copy_end",
    ".hidden hokku_guest_copy_end",
    "hokku_guest_copy_end:",
    "    mov rax, rcx",
    "    ret",
);

/// A routine's result and whether it faulted, in rax and rdx.
#[repr(C)]
struct Outcome {
    value: u64,
    faulted: u64,
}

unsafe extern "C" {
    fn hokku_guest_load8(at: u64) -> Outcome;
    fn hokku_guest_load16(at: u64) -> Outcome;
    fn hokku_guest_load32(at: u64) -> Outcome;
    fn hokku_guest_load64(at: u64) -> Outcome;
    fn hokku_guest_store8(at: u64, value: u64) -> Outcome;
    fn hokku_guest_store16(at: u64, value: u64) -> Outcome;
    fn hokku_guest_store32(at: u64, value: u64) -> Outcome;
    fn hokku_guest_store64(at: u64, value: u64) -> Outcome;
    fn hokku_guest_load128(at: u64, to: *mut [u8; 16]) -> Outcome;
    fn hokku_guest_store128(at: u64, from: *const [u8; 16]) -> Outcome;
    fn hokku_guest_cas8(at: u64, expected: u64, new: u64) -> Outcome;
    fn hokku_guest_cas16(at: u64, expected: u64, new: u64) -> Outcome;
    fn hokku_guest_cas32(at: u64, expected: u64, new: u64) -> Outcome;
    fn hokku_guest_cas64(at: u64, expected: u64, new: u64) -> Outcome;
    fn hokku_guest_cas128(at: u64, expected: *mut [u64; 2], new: *const [u64; 2]) -> u64;
    fn hokku_guest_copy(to: u64, from: u64, len: u64) -> u64;
    static hokku_guest_values_start: u8;
    static hokku_guest_values_end: u8;
    static hokku_guest_values_fixup: u8;
    static hokku_guest_cas128_start: u8;
    static hokku_guest_cas128_end: u8;
    static hokku_guest_cas128_fixup: u8;
    static hokku_guest_copy_start: u8;
    static hokku_guest_copy_end: u8;
}

/// Where a fault at host address `pc` goes on, when `pc` is in one of the routines.
pub(crate) fn fixup(pc: u64) -> Option<u64> {
    let (values, cas, copy) = (
        (&raw const hokku_guest_values_start, &raw const hokku_guest_values_end, &raw const hokku_guest_values_fixup),
        (&raw const hokku_guest_cas128_start, &raw const hokku_guest_cas128_end, &raw const hokku_guest_cas128_fixup),
        (&raw const hokku_guest_copy_start, &raw const hokku_guest_copy_end, &raw const hokku_guest_copy_end),
    );
    [values, cas, copy]
        .into_iter()
        .find(|(start, end, _)| (start.addr() as u64..end.addr() as u64).contains(&pc))
        .map(|(_, _, fixup)| fixup.addr() as u64)
}

/// The access faulted; the address is where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostFault {
    pub(crate) address: u64,
    /// SIGBUS: mapped, but nothing is behind it.
    pub(crate) bus: bool,
}

fn result(outcome: Outcome) -> Result<u64, HostFault> {
    if outcome.faulted == 0 { Ok(outcome.value) } else { Err(super::fault::last_fault()) }
}

/// Reads `bytes` (1, 2, 4 or 8) bytes at `at`, zero-extended, in one access.
pub(crate) fn load(at: u64, bytes: u32) -> Result<u64, HostFault> {
    // SAFETY: a fault comes back as an outcome; the routine touches nothing else.
    result(unsafe {
        match bytes {
            1 => hokku_guest_load8(at),
            2 => hokku_guest_load16(at),
            4 => hokku_guest_load32(at),
            _ => hokku_guest_load64(at),
        }
    })
}

/// Writes the low `bytes` (1, 2, 4 or 8) bytes of `value` at `at` in one access.
pub(crate) fn store(at: u64, bytes: u32, value: u64) -> Result<(), HostFault> {
    // SAFETY: a fault comes back as an outcome; the caller passes guest addresses, where no Rust object lives.
    result(unsafe {
        match bytes {
            1 => hokku_guest_store8(at, value),
            2 => hokku_guest_store16(at, value),
            4 => hokku_guest_store32(at, value),
            _ => hokku_guest_store64(at, value),
        }
    })
    .map(drop)
}

/// Reads 16 bytes at `at` in one access, which is atomic where `at` is aligned on processors that have AVX (Intel SDM vol. 3A, 9.1.1).
pub(crate) fn load_16(at: u64) -> Result<[u8; 16], HostFault> {
    let mut bytes = [0; 16];
    // SAFETY: a fault comes back as an outcome; the routine writes to `bytes` alone.
    result(unsafe { hokku_guest_load128(at, &raw mut bytes) }).map(|_| bytes)
}

/// Writes 16 bytes at `at` in one access; see [`load_16`].
pub(crate) fn store_16(at: u64, bytes: &[u8; 16]) -> Result<(), HostFault> {
    // SAFETY: as in `store`; the routine reads `bytes` alone.
    result(unsafe { hokku_guest_store128(at, &raw const *bytes) }).map(drop)
}

/// Replaces the `bytes` bytes at `at` by `new` where they equal `expected`, atomically and with a full fence; gives the old value.
pub(crate) fn compare_exchange(at: u64, bytes: u32, expected: u64, new: u64) -> Result<u64, HostFault> {
    // SAFETY: as in `store`.
    result(unsafe {
        match bytes {
            1 => hokku_guest_cas8(at, expected, new),
            2 => hokku_guest_cas16(at, expected, new),
            4 => hokku_guest_cas32(at, expected, new),
            _ => hokku_guest_cas64(at, expected, new),
        }
    })
}

/// [`compare_exchange`] of 16 bytes, which `at` must be aligned to.
pub(crate) fn compare_exchange_16(at: u64, expected: [u64; 2], new: [u64; 2]) -> Result<[u64; 2], HostFault> {
    let mut old = expected;
    // SAFETY: as in `store`; the two pointers are to live local values.
    let faulted = unsafe { hokku_guest_cas128(at, &raw mut old, &raw const new) };
    if faulted == 0 { Ok(old) } else { Err(super::fault::last_fault()) }
}

/// Copies guest memory at `at` to `to`.
pub(crate) fn read(at: u64, to: &mut [u8]) -> Result<(), HostFault> {
    // SAFETY: writes go to `to` alone; a fault of a read comes back as bytes left over.
    let left = unsafe { hokku_guest_copy(to.as_mut_ptr() as u64, at, to.len() as u64) };
    if left == 0 {
        Ok(())
    } else {
        Err(HostFault { address: at + to.len() as u64 - left, ..super::fault::last_fault() })
    }
}

/// Copies `from` to guest memory at `at`.
pub(crate) fn write(at: u64, from: &[u8]) -> Result<(), HostFault> {
    // SAFETY: as in `store`; a fault of a write comes back as bytes left over.
    let left = unsafe { hokku_guest_copy(at, from.as_ptr() as u64, from.len() as u64) };
    if left == 0 {
        Ok(())
    } else {
        Err(HostFault { address: at + from.len() as u64 - left, ..super::fault::last_fault() })
    }
}

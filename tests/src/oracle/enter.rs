//! The way into guest code and back.

use std::arch::global_asm;
use std::cell::UnsafeCell;
use std::mem::offset_of;

/// Bytes of an XSAVE image of x87, SSE and AVX state in standard form.
pub(super) const IMAGE: usize = 832;

/// What the assembly code and the signal handler work on.
#[repr(C, align(64))]
pub(super) struct Context {
    /// Guest's x87, SSE and AVX state, before and after.
    pub(super) image: [u8; IMAGE],
    /// An image with nothing in it, which sets that state back.
    pub(super) clean: [u8; IMAGE],
    /// Guest's general registers, before and after.
    pub(super) gpr: [u64; 16],
    /// Guest's EFLAGS, before and after.
    pub(super) flags: u64,
    /// Where to jump to.
    pub(super) entry: u64,
    /// The same for 32-bit code, as a far pointer.
    pub(super) far_entry: [u16; 4],
    /// Selectors of fs and gs for 32-bit guest code.
    pub(super) selectors: [u16; 4],
    /// Bases of fs and gs for the guest.
    pub(super) guest_bases: [u64; 2],
    /// Bases of fs and gs of this thread.
    pub(super) host_bases: [u64; 2],
    /// Stack pointer of this thread.
    pub(super) host_sp: u64,
    /// One while guest code runs.
    pub(super) active: u64,
    /// One where an exception ended it.
    pub(super) faulted: u64,
    /// The exception's number, error code, address and place.
    pub(super) vector: u64,
    pub(super) error: u64,
    pub(super) address: u64,
    pub(super) rip: u64,
}

/// The one context; the oracle's lock guards it.
pub(super) struct Shared(UnsafeCell<Context>);

// SAFETY: only the holder of the oracle's lock, and the signal handler that interrupts it, touch the contents.
unsafe impl Sync for Shared {}

impl Shared {
    pub(super) fn get(&self) -> *mut Context {
        self.0.get()
    }
}

pub(super) static CONTEXT: Shared = Shared(UnsafeCell::new(Context {
    image: [0; IMAGE],
    clean: [0; IMAGE],
    gpr: [0; 16],
    flags: 0,
    entry: 0,
    far_entry: [0; 4],
    selectors: [0; 4],
    guest_bases: [0; 2],
    host_bases: [0; 2],
    host_sp: 0,
    active: 0,
    faulted: 0,
    vector: 0,
    error: 0,
    address: 0,
    rip: 0,
}));

unsafe extern "C" {
    /// Loads the state of [`CONTEXT`] and runs 64-bit code at `entry`; returns when it is over.
    pub(super) fn hokku_oracle_enter_64();
    /// The same for 32-bit code at `far_entry`.
    pub(super) fn hokku_oracle_enter_32();
    /// Where stubs lead, guest state in the registers.
    pub(super) fn hokku_oracle_arrive();
    /// Where the signal handler leads, guest state already in [`CONTEXT`].
    pub(super) fn hokku_oracle_leave();
    /// The signal handler as the kernel calls it: sets this thread's bases back first, which compiled code needs.
    pub(super) fn hokku_oracle_signal();
}

global_asm!(
    ".macro HOKKU_LOAD_STATE",
    "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
    "mov [rip + {ctx} + {host_sp}], rsp",
    "rdfsbase rax", "mov [rip + {ctx} + {host_bases}], rax",
    "rdgsbase rax", "mov [rip + {ctx} + {host_bases} + 8], rax",
    // 32-bit code needs data segments; 64-bit code does without, but sees them.
    "mov eax, 0x2b", "mov ds, eax", "mov es, eax",
    "mov eax, 7", "xor edx, edx", "xrstor64 [rip + {ctx} + {image}]",
    "mov rax, [rip + {ctx} + {guest_bases}]", "wrfsbase rax",
    "mov rax, [rip + {ctx} + {guest_bases} + 8]", "wrgsbase rax",
    "push qword ptr [rip + {ctx} + {flags}]", "popfq",
    "mov rax, [rip + {ctx} + {gpr}]", "mov rcx, [rip + {ctx} + {gpr} + 8]",
    "mov rdx, [rip + {ctx} + {gpr} + 16]", "mov rbx, [rip + {ctx} + {gpr} + 24]",
    "mov rsp, [rip + {ctx} + {gpr} + 32]", "mov rbp, [rip + {ctx} + {gpr} + 40]",
    "mov rsi, [rip + {ctx} + {gpr} + 48]", "mov rdi, [rip + {ctx} + {gpr} + 56]",
    "mov r8, [rip + {ctx} + {gpr} + 64]", "mov r9, [rip + {ctx} + {gpr} + 72]",
    "mov r10, [rip + {ctx} + {gpr} + 80]", "mov r11, [rip + {ctx} + {gpr} + 88]",
    "mov r12, [rip + {ctx} + {gpr} + 96]", "mov r13, [rip + {ctx} + {gpr} + 104]",
    "mov r14, [rip + {ctx} + {gpr} + 112]", "mov r15, [rip + {ctx} + {gpr} + 120]",
    ".endm",

    ".globl hokku_oracle_enter_64",
    "hokku_oracle_enter_64:",
    "HOKKU_LOAD_STATE",
    "jmp [rip + {ctx} + {entry}]",

    ".globl hokku_oracle_enter_32",
    "hokku_oracle_enter_32:",
    "HOKKU_LOAD_STATE",
    "mov fs, word ptr [rip + {ctx} + {selectors}]", "mov gs, word ptr [rip + {ctx} + {selectors} + 2]",
    // jmp fword ptr [rip + far_entry]
    ".byte 0xff, 0x2d", ".long {ctx} + {far_entry} - . - 4",

    ".globl hokku_oracle_arrive",
    "hokku_oracle_arrive:",
    "mov [rip + {ctx} + {gpr}], rax", "mov [rip + {ctx} + {gpr} + 8], rcx",
    "mov [rip + {ctx} + {gpr} + 16], rdx", "mov [rip + {ctx} + {gpr} + 24], rbx",
    "mov [rip + {ctx} + {gpr} + 32], rsp", "mov [rip + {ctx} + {gpr} + 40], rbp",
    "mov [rip + {ctx} + {gpr} + 48], rsi", "mov [rip + {ctx} + {gpr} + 56], rdi",
    "mov [rip + {ctx} + {gpr} + 64], r8", "mov [rip + {ctx} + {gpr} + 72], r9",
    "mov [rip + {ctx} + {gpr} + 80], r10", "mov [rip + {ctx} + {gpr} + 88], r11",
    "mov [rip + {ctx} + {gpr} + 96], r12", "mov [rip + {ctx} + {gpr} + 104], r13",
    "mov [rip + {ctx} + {gpr} + 112], r14", "mov [rip + {ctx} + {gpr} + 120], r15",
    "mov rsp, [rip + {ctx} + {host_sp}]",
    "pushfq", "pop qword ptr [rip + {ctx} + {flags}]",
    "mov eax, 7", "xor edx, edx", "xsave64 [rip + {ctx} + {image}]",
    "rdfsbase rax", "mov [rip + {ctx} + {guest_bases}], rax",
    "rdgsbase rax", "mov [rip + {ctx} + {guest_bases} + 8], rax",
    ".globl hokku_oracle_leave",
    "hokku_oracle_leave:",
    // Flags that would disturb compiled code: DF, AC and what else is not plain.
    "push 0x202", "popfq",
    "mov eax, 7", "xor edx, edx", "xrstor64 [rip + {ctx} + {clean}]",
    "xor eax, eax", "mov fs, eax", "mov gs, eax",
    "mov rax, [rip + {ctx} + {host_bases}]", "wrfsbase rax",
    "mov rax, [rip + {ctx} + {host_bases} + 8]", "wrgsbase rax",
    "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx",
    "ret",

    ".globl hokku_oracle_signal",
    "hokku_oracle_signal:",
    "cmp dword ptr [rip + {ctx} + {active}], 0",
    "je 2f",
    "rdfsbase rax", "mov [rip + {ctx} + {guest_bases}], rax",
    "rdgsbase rax", "mov [rip + {ctx} + {guest_bases} + 8], rax",
    "mov rax, [rip + {ctx} + {host_bases}]", "wrfsbase rax",
    "mov rax, [rip + {ctx} + {host_bases} + 8]", "wrgsbase rax",
    "2: jmp {on_signal}",
    ctx = sym CONTEXT,
    on_signal = sym super::signals::on_signal,
    image = const offset_of!(Context, image),
    clean = const offset_of!(Context, clean),
    gpr = const offset_of!(Context, gpr),
    flags = const offset_of!(Context, flags),
    entry = const offset_of!(Context, entry),
    far_entry = const offset_of!(Context, far_entry),
    selectors = const offset_of!(Context, selectors),
    guest_bases = const offset_of!(Context, guest_bases),
    host_bases = const offset_of!(Context, host_bases),
    host_sp = const offset_of!(Context, host_sp),
    active = const offset_of!(Context, active),
);

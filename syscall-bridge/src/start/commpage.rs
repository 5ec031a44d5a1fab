//! The commpage: data and small functions of the kernel's that user code reads and calls.
//!
//! A table of 64 words at its start holds *offsets from its own base*; user code finds the base in the runtime loader's second argument.

use hokku_ir::{CpuMode, GuestAddr};

use crate::abi::layout::{GuestType, word_bytes};
use crate::abi::structs::RealTimeData;

/// Bytes of the commpage.
pub const SIZE: u64 = 0x8000;
/// Entries of its table.
const ENTRIES: usize = 64;
/// `'COMM'` as a C character constant.
const MAGIC: u64 = 0x434f_4d4d;
const VERSION: u64 = 1;

/// Places in the table.
mod entry {
    pub(super) const MAGIC: usize = 0;
    pub(super) const VERSION: usize = 1;
    pub(super) const REAL_TIME_DATA: usize = 2;
    pub(super) mod x86_64 {
        pub(in super::super) const SIGNAL_HANDLER: usize = 3;
        pub(in super::super) const THREAD_EXIT: usize = 4;
    }
    pub(super) mod x86 {
        pub(in super::super) const SYSCALL: usize = 3;
        pub(in super::super) const MEMCPY: usize = 4;
        pub(in super::super) const MEMSET: usize = 5;
        pub(in super::super) const SIGNAL_HANDLER: usize = 6;
        pub(in super::super) const SIGNAL_HANDLER_BEOS: usize = 7;
        pub(in super::super) const THREAD_EXIT: usize = 8;
    }
}

/// Where things are in a commpage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commpage {
    /// First address.
    pub base: GuestAddr,
    /// The function that calls a signal handler and returns from it.
    pub signal_handler: GuestAddr,
    /// The same for handlers with BeOS's arguments; x86 only, elsewhere as above.
    pub signal_handler_beos: GuestAddr,
    /// What a thread's entry function returns into.
    pub thread_exit: GuestAddr,
    /// The functions by name, with their sizes: the symbols of the image "commpage".
    pub symbols: Vec<(&'static str, GuestAddr, u64)>,
}

/// Numbers of the calls that the commpage's functions make.
#[derive(Clone, Copy, Debug)]
pub struct CallNumbers {
    /// `restore_signal_frame`.
    pub restore_signal_frame: u32,
    /// `exit_thread`.
    pub exit_thread: u32,
}

struct Builder {
    bytes: Vec<u8>,
    mode: CpuMode,
    base: GuestAddr,
    symbols: Vec<(&'static str, GuestAddr, u64)>,
}

impl Builder {
    fn set(&mut self, entry: usize, value: u64) {
        let n = word_bytes(self.mode);
        self.bytes[entry * n..(entry + 1) * n].copy_from_slice(&value.to_le_bytes()[..n]);
    }

    /// Appends `data` at the next multiple of 16 and enters its offset in the table.
    fn add(&mut self, entry: usize, data: &[u8]) -> GuestAddr {
        let offset = self.bytes.len().next_multiple_of(16);
        self.bytes.resize(offset, 0);
        self.bytes.extend_from_slice(data);
        self.set(entry, offset as u64);
        self.base.offset(offset as u64)
    }

    fn function(&mut self, entry: usize, name: &'static str, code: &[u8]) -> GuestAddr {
        let at = self.add(entry, code);
        self.symbols.push((name, at, code.len() as u64));
        at
    }
}

/// Makes the commpage for `base`: its bytes and where things are in them.
pub fn build(mode: CpuMode, base: GuestAddr, time: RealTimeData, calls: CallNumbers) -> (Vec<u8>, Commpage) {
    let mut b = Builder { bytes: vec![0; ENTRIES * word_bytes(mode)], mode, base, symbols: Vec::new() };
    b.set(entry::MAGIC, MAGIC);
    b.set(entry::VERSION, VERSION);
    let mut data = vec![0; RealTimeData::size(mode)];
    time.encode(&mut data, mode);
    b.add(entry::REAL_TIME_DATA, &data);
    let restore = calls.restore_signal_frame.to_le_bytes();
    let exit = calls.exit_thread.to_le_bytes();
    let (signal_handler, signal_handler_beos, thread_exit) = match mode {
        CpuMode::Long64 => {
            let handler =
                b.function(entry::x86_64::SIGNAL_HANDLER, "commpage_signal_handler", &with(SIGNAL_HANDLER_64, restore));
            let exit = b.function(entry::x86_64::THREAD_EXIT, "commpage_thread_exit", &with(THREAD_EXIT_64, exit));
            (handler, handler, exit)
        }
        CpuMode::Protected32 => {
            b.function(entry::x86::SYSCALL, "commpage_syscall", SYSCALL_32);
            b.function(entry::x86::MEMCPY, "commpage_memcpy", MEMCPY_32);
            b.function(entry::x86::MEMSET, "commpage_memset", MEMSET_32);
            let handler =
                b.function(entry::x86::SIGNAL_HANDLER, "commpage_signal_handler", &with(SIGNAL_HANDLER_32, restore));
            let beos = b.function(
                entry::x86::SIGNAL_HANDLER_BEOS,
                "commpage_signal_handler_beos",
                &with(SIGNAL_HANDLER_BEOS_32, restore),
            );
            let exit = b.function(entry::x86::THREAD_EXIT, "commpage_thread_exit", &with(THREAD_EXIT_32, exit));
            (handler, beos, exit)
        }
    };
    let commpage = Commpage { base, signal_handler, signal_handler_beos, thread_exit, symbols: b.symbols };
    (b.bytes, commpage)
}

/// `code` with its placeholder, the only four bytes `0xee`, replaced by a call number.
fn with(code: &[u8], number: [u8; 4]) -> Vec<u8> {
    let mut code = code.to_vec();
    if let Some(at) = code.windows(4).position(|w| w == [0xee; 4]) {
        code[at..at + 4].copy_from_slice(&number);
    }
    code
}

/// `rdi` is the frame. Offsets are those of `signal_frame_data`: 56 context, 96 registers, 1072 user data, 1080 handler, 1088 kind.
#[rustfmt::skip]
const SIGNAL_HANDLER_64: &[u8] = &[
    0x48, 0x89, 0xfb,                               // mov rbx, rdi
    0x48, 0x83, 0xec, 0x08,                         // sub rsp, 8
    0x80, 0xbb, 0x40, 0x04, 0x00, 0x00, 0x00,       // cmp byte [rbx + 1088], 0
    0x8b, 0x3b,                                     // mov edi, [rbx]
    0x74, 0x10,                                     // je simple
    0x48, 0x89, 0xde,                               // mov rsi, rbx
    0x48, 0x8d, 0x53, 0x38,                         // lea rdx, [rbx + 56]
    0x48, 0x8b, 0x8b, 0x30, 0x04, 0x00, 0x00,       // mov rcx, [rbx + 1072]
    0xeb, 0x0b,                                     // jmp call
    // simple:
    0x48, 0x8b, 0xb3, 0x30, 0x04, 0x00, 0x00,       // mov rsi, [rbx + 1072]
    0x48, 0x8d, 0x53, 0x60,                         // lea rdx, [rbx + 96]
    // call:
    0xff, 0x93, 0x38, 0x04, 0x00, 0x00,             // call [rbx + 1080]
    0x48, 0x89, 0xdf,                               // mov rdi, rbx
    0xb8, 0xee, 0xee, 0xee, 0xee,                   // mov eax, restore_signal_frame
    0x0f, 0x05,                                     // syscall
    0x0f, 0x0b,                                     // ud2
];

/// The entry function's result is the thread's exit status.
#[rustfmt::skip]
const THREAD_EXIT_64: &[u8] = &[
    0x48, 0x89, 0xc7,                               // mov rdi, rax
    0xb8, 0xee, 0xee, 0xee, 0xee,                   // mov eax, exit_thread
    0x0f, 0x05,                                     // syscall
    0x0f, 0x0b,                                     // ud2
];

#[rustfmt::skip]
const SYSCALL_32: &[u8] = &[
    0xcd, 0x63,                                     // int 99
    0xc3,                                           // ret
];

#[rustfmt::skip]
const MEMCPY_32: &[u8] = &[
    0x56, 0x57,                                     // push esi; push edi
    0x8b, 0x7c, 0x24, 0x0c,                         // mov edi, [esp + 12]
    0x8b, 0x74, 0x24, 0x10,                         // mov esi, [esp + 16]
    0x8b, 0x4c, 0x24, 0x14,                         // mov ecx, [esp + 20]
    0x89, 0xf8, 0x89, 0xca,                         // mov eax, edi; mov edx, ecx
    0xc1, 0xe9, 0x02, 0xf3, 0xa5,                   // shr ecx, 2; rep movsd
    0x89, 0xd1, 0x83, 0xe1, 0x03, 0xf3, 0xa4,       // mov ecx, edx; and ecx, 3; rep movsb
    0x5f, 0x5e, 0xc3,                               // pop edi; pop esi; ret
];

#[rustfmt::skip]
const MEMSET_32: &[u8] = &[
    0x57,                                           // push edi
    0x8b, 0x7c, 0x24, 0x08,                         // mov edi, [esp + 8]
    0x0f, 0xb6, 0x44, 0x24, 0x0c,                   // movzx eax, byte [esp + 12]
    0x8b, 0x4c, 0x24, 0x10,                         // mov ecx, [esp + 16]
    0x57,                                           // push edi
    0x69, 0xc0, 0x01, 0x01, 0x01, 0x01,             // imul eax, eax, 0x01010101
    0x89, 0xca, 0xc1, 0xe9, 0x02, 0xf3, 0xab,       // mov edx, ecx; shr ecx, 2; rep stosd
    0x89, 0xd1, 0x83, 0xe1, 0x03, 0xf3, 0xaa,       // mov ecx, edx; and ecx, 3; rep stosb
    0x58, 0x5f, 0xc3,                               // pop eax; pop edi; ret
];

/// `[esp + 4]` is the frame. Offsets are those of `signal_frame_data`: 36 context, 60 registers, 620 user data, 624 handler, 628 kind.
#[rustfmt::skip]
const SIGNAL_HANDLER_32: &[u8] = &[
    0x8b, 0x5c, 0x24, 0x04,                         // mov ebx, [esp + 4]
    0x83, 0xec, 0x1c,                               // sub esp, 28
    0x80, 0xbb, 0x74, 0x02, 0x00, 0x00, 0x00,       // cmp byte [ebx + 628], 0
    0x8b, 0x03,                                     // mov eax, [ebx]
    0x89, 0x04, 0x24,                               // mov [esp], eax
    0x8b, 0x83, 0x6c, 0x02, 0x00, 0x00,             // mov eax, [ebx + 620]
    0x74, 0x11,                                     // je simple
    0x89, 0x5c, 0x24, 0x04,                         // mov [esp + 4], ebx
    0x89, 0x44, 0x24, 0x0c,                         // mov [esp + 12], eax
    0x8d, 0x43, 0x24,                               // lea eax, [ebx + 36]
    0x89, 0x44, 0x24, 0x08,                         // mov [esp + 8], eax
    0xeb, 0x0b,                                     // jmp call
    // simple:
    0x89, 0x44, 0x24, 0x04,                         // mov [esp + 4], eax
    0x8d, 0x43, 0x3c,                               // lea eax, [ebx + 60]
    0x89, 0x44, 0x24, 0x08,                         // mov [esp + 8], eax
    // call:
    0xff, 0x93, 0x70, 0x02, 0x00, 0x00,             // call [ebx + 624]
    0x53, 0x6a, 0x00,                               // push ebx; push 0
    0xb8, 0xee, 0xee, 0xee, 0xee,                   // mov eax, restore_signal_frame
    0xcd, 0x63,                                     // int 99
    0x0f, 0x0b,                                     // ud2
];

/// As above, with the 560 bytes of registers passed by value, and taken back as the handler leaves them.
#[rustfmt::skip]
const SIGNAL_HANDLER_BEOS_32: &[u8] = &[
    0x8b, 0x5c, 0x24, 0x04,                         // mov ebx, [esp + 4]
    0x81, 0xec, 0x3c, 0x02, 0x00, 0x00,             // sub esp, 572
    0x8b, 0x03, 0x89, 0x04, 0x24,                   // mov eax, [ebx]; mov [esp], eax
    0x8b, 0x83, 0x6c, 0x02, 0x00, 0x00,             // mov eax, [ebx + 620]
    0x89, 0x44, 0x24, 0x04,                         // mov [esp + 4], eax
    0x8d, 0x73, 0x3c,                               // lea esi, [ebx + 60]
    0x8d, 0x7c, 0x24, 0x08,                         // lea edi, [esp + 8]
    0xb9, 0x8c, 0x00, 0x00, 0x00,                   // mov ecx, 140
    0xfc, 0xf3, 0xa5,                               // cld; rep movsd
    0xff, 0x93, 0x70, 0x02, 0x00, 0x00,             // call [ebx + 624]
    0x8d, 0x74, 0x24, 0x08,                         // lea esi, [esp + 8]
    0x8d, 0x7b, 0x3c,                               // lea edi, [ebx + 60]
    0xb9, 0x8c, 0x00, 0x00, 0x00,                   // mov ecx, 140
    0xfc, 0xf3, 0xa5,                               // cld; rep movsd
    0x53, 0x6a, 0x00,                               // push ebx; push 0
    0xb8, 0xee, 0xee, 0xee, 0xee,                   // mov eax, restore_signal_frame
    0xcd, 0x63,                                     // int 99
    0x0f, 0x0b,                                     // ud2
];

/// The call by which a 32-bit thread ends: the status on the stack above a place for a return address.
#[rustfmt::skip]
const THREAD_EXIT_32: &[u8] = &[
    0x50,                                           // push eax
    0x83, 0xec, 0x04,                               // sub esp, 4
    0xb8, 0xee, 0xee, 0xee, 0xee,                   // mov eax, exit_thread
    0xcd, 0x63,                                     // int 99
    0x0f, 0x0b,                                     // ud2
];

#[cfg(test)]
mod tests {
    use super::*;

    fn word(bytes: &[u8], mode: CpuMode, entry: usize) -> u64 {
        let n = word_bytes(mode);
        let mut raw = [0; 8];
        raw[..n].copy_from_slice(&bytes[entry * n..(entry + 1) * n]);
        u64::from_le_bytes(raw)
    }

    #[test]
    fn entries_are_offsets_from_the_base() {
        let time = RealTimeData { system_time_offset: 5, system_time_conversion_factor: 6, reserved: 0 };
        let calls = CallNumbers { restore_signal_frame: 66, exit_thread: 59 };
        for (mode, base, last) in [(CpuMode::Long64, 0x7000_0000, 4), (CpuMode::Protected32, 0x6000_0000, 8)] {
            let (bytes, page) = build(mode, GuestAddr(base), time, calls);
            assert!(bytes.len() as u64 <= SIZE);
            assert_eq!(word(&bytes, mode, 0), MAGIC);
            assert_eq!(word(&bytes, mode, 1), 1);
            let data = word(&bytes, mode, 2) as usize;
            assert_eq!(RealTimeData::decode(&bytes[data..], mode), time);
            assert_eq!(word(&bytes, mode, last), page.thread_exit.0 - base);
            assert!(bytes.windows(5).any(|w| w == [0xb8, 66, 0, 0, 0]));
            assert!(bytes.windows(5).any(|w| w == [0xb8, 59, 0, 0, 0]));
            assert!(!bytes.windows(4).any(|w| w == [0xee; 4]));
            assert_eq!(word(&bytes, mode, last + 1), 0);
        }
    }
}

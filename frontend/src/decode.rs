//! Guest code bytes to decoded instructions.

use hokku_ir::{CpuMode, GuestAddr};
use iced_x86::{Decoder, DecoderError, DecoderOptions, Instruction};

/// Where guest code is read from.
pub trait CodeSource {
    /// Copies up to `buf.len()` guest code bytes at `at`; returns how many are readable and executable there, without a gap.
    fn fetch(&self, at: GuestAddr, buf: &mut [u8]) -> usize;

    /// Whether there is a translation of the code at `at` already, to which a region had better lead than translate it again.
    fn is_translated(&self, _at: GuestAddr) -> bool {
        false
    }

    /// Whether a debugger wants to stop before the instruction at `at`: it becomes a [`hokku_ir::Trap::Debug`] whose `next` is `at` itself.
    fn has_breakpoint(&self, _at: GuestAddr) -> bool {
        false
    }
}

/// A byte slice at a guest address, all of it executable.
impl CodeSource for (GuestAddr, &[u8]) {
    fn fetch(&self, at: GuestAddr, buf: &mut [u8]) -> usize {
        let (start, bytes) = self;
        let Some(rest) = at.0.checked_sub(start.0).and_then(|n| bytes.get(usize::try_from(n).ok()?..)) else {
            return 0;
        };
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        n
    }
}

/// What is found at an address.
#[derive(Clone, Copy)]
pub(crate) enum Decoded {
    /// An instruction.
    Instruction(Instruction),
    /// Bytes that no instruction starts with; so many of them make up the faulting encoding.
    Invalid(u8),
    /// More than 15 bytes: a general protection fault.
    TooLong,
    /// The code ends, unreadable or not executable, after so many bytes.
    Unreadable(u8),
}

impl Decoded {
    /// Number of code bytes looked at.
    pub(crate) fn len(&self) -> u8 {
        match self {
            Decoded::Instruction(raw) => raw.len() as u8,
            Decoded::TooLong => MAX_LEN as u8,
            Decoded::Invalid(len) | Decoded::Unreadable(len) => *len,
        }
    }
}

/// Longest legal instruction.
const MAX_LEN: usize = 15;

/// Decodes instructions anywhere, fetching code by the window.
pub(crate) struct Reader<'a> {
    code: &'a dyn CodeSource,
    mode: CpuMode,
    window: [u8; 128],
    start: u64,
    len: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(code: &'a dyn CodeSource, mode: CpuMode) -> Self {
        Reader { code, mode, window: [0; 128], start: 0, len: 0 }
    }

    /// The instruction at `at`.
    pub(crate) fn decode(&mut self, at: GuestAddr) -> Decoded {
        let in_window = at.0.checked_sub(self.start).filter(|n| n.saturating_add(MAX_LEN as u64) <= self.len as u64);
        let offset = match in_window {
            Some(n) => n as usize,
            None => {
                self.len = self.code.fetch(at, &mut self.window).min(self.window.len());
                self.start = at.0;
                0
            }
        };
        let more = &self.window[offset..self.len.min(offset + 2 * MAX_LEN)];
        let bytes = &more[..more.len().min(MAX_LEN)];
        let (bitness, ip) = match self.mode {
            CpuMode::Protected32 => (32, at.0 & u64::from(u32::MAX)),
            CpuMode::Long64 => (64, at.0),
        };
        let mut decoder = Decoder::with_ip(bitness, bytes, ip, DecoderOptions::NONE);
        let raw = decoder.decode();
        match decoder.last_error() {
            DecoderError::None => Decoded::Instruction(raw),
            DecoderError::NoMoreBytes if bytes.len() < MAX_LEN => Decoded::Unreadable(bytes.len() as u8),
            _ if raw.len() == MAX_LEN && is_too_long(bitness, more) => Decoded::TooLong,
            _ => Decoded::Invalid((raw.len() as u8).max(1)),
        }
    }
}

/// Whether `bytes`, which the decoder refuses after 15 of them, are an instruction of more, and not an invalid one that processors recognise by
/// its opcode.
fn is_too_long(bitness: u32, bytes: &[u8]) -> bool {
    let is_prefix = |b: &u8| {
        matches!(b, 0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3)
            || bitness == 64 && (0x40..=0x4f).contains(b)
    };
    let prefixes = bytes.iter().take_while(|b| is_prefix(b)).count();
    let opcode = match bytes[prefixes..] {
        [0x0f, 0x38 | 0x3a, ..] => 3,
        [0x0f, ..] => 2,
        _ => 1,
    };
    if prefixes + opcode > MAX_LEN {
        return true;
    }
    // Without some of its prefixes, what is only too long is an instruction.
    for n in 1..=prefixes {
        let mut decoder = Decoder::new(bitness, &bytes[n..], DecoderOptions::NONE);
        let raw = decoder.decode();
        match decoder.last_error() {
            DecoderError::None | DecoderError::NoMoreBytes => return true,
            _ if raw.len() < MAX_LEN => return false,
            _ => {}
        }
    }
    false
}

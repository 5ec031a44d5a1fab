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
    /// An instruction of so many bytes.
    Instruction(u8),
    /// A debugger wants to stop before what is there.
    Breakpoint,
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
            Decoded::Breakpoint => 1,
            Decoded::TooLong => MAX_LEN as u8,
            Decoded::Instruction(len) | Decoded::Invalid(len) | Decoded::Unreadable(len) => *len,
        }
    }
}

/// Longest legal instruction.
const MAX_LEN: usize = 15;

/// Bytes of code that are fetched at once, mostly from an address that they divide.
pub const WINDOW: usize = 512;

/// Guest code as it was fetched.
#[derive(Debug, Default)]
pub(crate) struct Window {
    bytes: Vec<u8>,
    start: u64,
    /// Bytes that there are.
    len: usize,
}

impl Window {
    fn fetch(&mut self, code: &dyn CodeSource, start: u64, most: usize) {
        self.bytes.resize(most, 0);
        self.len = code.fetch(GuestAddr(start), &mut self.bytes).min(most);
        self.start = start;
    }

    /// Where in the window `at` is, if all of the longest instruction is there.
    fn whole(&self, at: GuestAddr) -> Option<usize> {
        let n = at.0.checked_sub(self.start)?;
        (n.saturating_add(MAX_LEN as u64) <= self.len as u64).then_some(n as usize)
    }

    /// A reader of the instructions from `at` on and around it, which are fetched from `code`.
    pub(crate) fn read(&mut self, code: &dyn CodeSource, mode: CpuMode, at: GuestAddr) -> Reader<'_> {
        let offset = at.0 % WINDOW as u64;
        // Jumps lead back as well. But at the window's end another begins, and code may begin right at `at`.
        self.len = 0;
        if offset as usize + MAX_LEN <= WINDOW {
            self.fetch(code, at.0 - offset, WINDOW);
        }
        if self.whole(at).is_none() {
            self.fetch(code, at.0, WINDOW);
        }
        self.reader(mode)
    }

    fn reader(&self, mode: CpuMode) -> Reader<'_> {
        let (bitness, mask) = match mode {
            CpuMode::Protected32 => (32, u64::from(u32::MAX)),
            CpuMode::Long64 => (64, u64::MAX),
        };
        let decoder = Decoder::new(bitness, &self.bytes[..self.len], DecoderOptions::NONE);
        Reader { window: self, decoder, mask }
    }
}

/// Decodes instructions of a window: to make a decoder takes longer than to decode an instruction.
pub(crate) struct Reader<'a> {
    window: &'a Window,
    decoder: Decoder<'a>,
    /// Bits of an instruction pointer.
    mask: u64,
}

impl Reader<'_> {
    /// Decodes what is at `at`, an instruction to `raw`; `None` where that takes another window.
    pub(crate) fn decode(&mut self, at: GuestAddr, raw: &mut Instruction) -> Option<Decoded> {
        let offset = match self.window.whole(at) {
            Some(n) => n,
            // Fetched for it: what is not there cannot be read.
            None if at.0 == self.window.start => 0,
            None => return None,
        };
        // A place in the window is one of the decoder's.
        let Ok(()) = self.decoder.set_position(offset) else { return Some(Decoded::Unreadable(0)) };
        self.decoder.set_ip(at.0 & self.mask);
        self.decoder.decode_out(raw);
        Some(match self.decoder.last_error() {
            DecoderError::None => Decoded::Instruction(raw.len() as u8),
            error => self.refused(error, offset, raw.len()),
        })
    }

    /// What the decoder refuses after `len` bytes from `offset` on.
    #[cold]
    fn refused(&self, error: DecoderError, offset: usize, len: usize) -> Decoded {
        let rest = &self.window.bytes[offset..self.window.len];
        match error {
            DecoderError::NoMoreBytes if rest.len() < MAX_LEN => Decoded::Unreadable(rest.len() as u8),
            _ if len == MAX_LEN && is_too_long(self.decoder.bitness(), &rest[..rest.len().min(2 * MAX_LEN)]) => {
                Decoded::TooLong
            }
            _ => Decoded::Invalid((len as u8).max(1)),
        }
    }
}

/// The instruction at `at` alone.
pub(crate) fn decode_one(code: &dyn CodeSource, mode: CpuMode, at: GuestAddr) -> Option<Instruction> {
    let (mut window, mut raw) = (Window::default(), Instruction::default());
    window.fetch(code, at.0, MAX_LEN);
    let decoded = window.reader(mode).decode(at, &mut raw);
    matches!(decoded, Some(Decoded::Instruction(_))).then_some(raw)
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

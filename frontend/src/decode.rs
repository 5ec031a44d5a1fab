//! Guest code bytes to decoded instructions.

use std::slice;

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

    /// Whether [`Self::has_breakpoint`] may say yes: asked once for a region.
    fn has_breakpoints(&self) -> bool {
        true
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

/// Windows that are open at the same time.
pub(crate) const WINDOWS: usize = 16;

/// Guest code as it was fetched, and its decoder: to make one takes longer than to decode an instruction.
struct Window<'a> {
    start: u64,
    bytes: &'a [u8],
    decoder: Decoder<'a>,
}

impl<'a> Window<'a> {
    /// One of the code at `at` and around it.
    fn open(code: &dyn CodeSource, mode: CpuMode, at: GuestAddr, room: &'a mut [u8]) -> Self {
        let offset = at.0 % room.len() as u64;
        let (mut start, mut len) = (at.0 - offset, 0);
        // Jumps lead back as well. But at the window's end another begins, and code may begin right at `at`.
        if offset as usize + MAX_LEN <= room.len() {
            len = code.fetch(GuestAddr(start), room).min(room.len());
        }
        if offset as usize + MAX_LEN > len {
            start = at.0;
            len = code.fetch(at, room).min(room.len());
        }
        let bytes = &room[..len];
        let bitness = match mode {
            CpuMode::Protected32 => 32,
            CpuMode::Long64 => 64,
        };
        Window { start, bytes, decoder: Decoder::new(bitness, bytes, DecoderOptions::NONE) }
    }

    /// Where in the window `at` is, if all of the longest instruction is there, or all that can be read.
    fn find(&self, at: GuestAddr) -> Option<usize> {
        let n = at.0.wrapping_sub(self.start);
        (n == 0 || n.saturating_add(MAX_LEN as u64) <= self.bytes.len() as u64).then_some(n as usize)
    }

    /// Decodes what is at `offset`, the address `ip`; an instruction to `raw`.
    fn decode(&mut self, offset: usize, ip: u64, raw: &mut Instruction) -> Decoded {
        // A place in the window is one of the decoder's.
        let Ok(()) = self.decoder.set_position(offset) else { return Decoded::Unreadable(0) };
        self.decoder.set_ip(ip);
        self.decoder.decode_out(raw);
        match self.decoder.last_error() {
            DecoderError::None => Decoded::Instruction(raw.len() as u8),
            error => self.refused(error, offset, raw.len()),
        }
    }

    /// What the decoder refuses after `len` bytes from `offset` on.
    #[cold]
    fn refused(&self, error: DecoderError, offset: usize, len: usize) -> Decoded {
        let rest = &self.bytes[offset..];
        match error {
            DecoderError::NoMoreBytes if rest.len() < MAX_LEN => Decoded::Unreadable(rest.len() as u8),
            _ if len == MAX_LEN && is_too_long(self.decoder.bitness(), &rest[..rest.len().min(2 * MAX_LEN)]) => {
                Decoded::TooLong
            }
            _ => Decoded::Invalid((len as u8).max(1)),
        }
    }
}

/// Decodes guest code by way of windows, each opened where its first instruction is asked for.
pub(crate) struct Reader<'a> {
    code: &'a dyn CodeSource,
    mode: CpuMode,
    /// For windows to come.
    room: slice::IterMut<'a, [u8; WINDOW]>,
    windows: Vec<Window<'a>>,
    /// That of the last instruction.
    current: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(code: &'a dyn CodeSource, mode: CpuMode, room: &'a mut [[u8; WINDOW]]) -> Self {
        Reader { code, mode, room: room.iter_mut(), windows: Vec::new(), current: 0 }
    }

    /// Decodes what is at `at`, an instruction to `raw`; `None` where that takes more windows than there are, which a new reader has again.
    pub(crate) fn decode(&mut self, at: GuestAddr, raw: &mut Instruction) -> Option<Decoded> {
        let offset = match self.windows.get(self.current).and_then(|window| window.find(at)) {
            Some(offset) => offset,
            None => self.turn_to(at)?,
        };
        Some(self.windows[self.current].decode(offset, at.0 & self.mode.word().mask(), raw))
    }

    /// Makes the window of `at` the current one; gives the place of `at` there.
    fn turn_to(&mut self, at: GuestAddr) -> Option<usize> {
        let found = (0..).zip(&self.windows).find_map(|(n, window)| Some((n, window.find(at)?)));
        let (n, offset) = match found {
            Some(found) => found,
            None => {
                let window = Window::open(self.code, self.mode, at, self.room.next()?);
                let offset = window.find(at)?;
                self.windows.push(window);
                (self.windows.len() - 1, offset)
            }
        };
        self.current = n;
        Some(offset)
    }
}

/// The instruction at `at` alone.
pub(crate) fn decode_one(code: &dyn CodeSource, mode: CpuMode, at: GuestAddr) -> Option<Instruction> {
    let (mut room, mut raw) = ([0; MAX_LEN], Instruction::default());
    let mut window = Window::open(code, mode, at, &mut room);
    let decoded = window.decode(window.find(at)?, at.0 & mode.word().mask(), &mut raw);
    matches!(decoded, Decoded::Instruction(_)).then_some(raw)
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

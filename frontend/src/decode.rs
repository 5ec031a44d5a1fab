//! Guest code bytes to decoded instructions.

use hokku_ir::{CpuMode, GuestAddr};
use iced_x86::{Decoder, DecoderError, DecoderOptions, Instruction};

/// Where guest code is read from.
pub trait CodeSource {
    /// Copies up to `buf.len()` guest code bytes at `at`; returns how many are readable and executable there, without a gap.
    fn fetch(&self, at: GuestAddr, buf: &mut [u8]) -> usize;
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
    /// The code ends, unreadable or not executable, after so many bytes.
    Unreadable(u8),
}

impl Decoded {
    /// Number of code bytes looked at.
    pub(crate) fn len(&self) -> u8 {
        match self {
            Decoded::Instruction(raw) => raw.len() as u8,
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
        let bytes = &self.window[offset..self.len.min(offset + MAX_LEN)];
        let (bitness, ip) = match self.mode {
            CpuMode::Protected32 => (32, at.0 & u64::from(u32::MAX)),
            CpuMode::Long64 => (64, at.0),
        };
        let mut decoder = Decoder::with_ip(bitness, bytes, ip, DecoderOptions::NONE);
        let raw = decoder.decode();
        match decoder.last_error() {
            DecoderError::None => Decoded::Instruction(raw),
            DecoderError::NoMoreBytes if bytes.len() < MAX_LEN => Decoded::Unreadable(bytes.len() as u8),
            _ => Decoded::Invalid((raw.len() as u8).max(1)),
        }
    }
}

//! Integers and strings in guest memory.

use hokku_ir::{CpuMode, GuestAddr};

use super::{Access, GuestMemory, MemoryFault};
use crate::host::PAGE_SIZE;

macro_rules! integers {
    ($($read:ident $write:ident $Int:ty, $bits:literal;)*) => { $(
        #[doc = concat!("The ", $bits, "-bit integer at `at`.")]
        pub fn $read(&self, at: GuestAddr) -> Result<$Int, MemoryFault> {
            self.check(at, size_of::<$Int>() as u64, Access::Read)?;
            self.load(at, size_of::<$Int>() as u32).map(|value| value as $Int)
        }

        #[doc = concat!("Writes the ", $bits, "-bit integer at `at`.")]
        pub fn $write(&self, at: GuestAddr, value: $Int) -> Result<(), MemoryFault> {
            self.check(at, size_of::<$Int>() as u64, Access::Write)?;
            self.store(at, size_of::<$Int>() as u32, value as u64)
        }
    )* };
}

impl GuestMemory {
    integers! {
        read_u8 write_u8 u8, "8";
        read_u16 write_u16 u16, "16";
        read_u32 write_u32 u32, "32";
        read_u64 write_u64 u64, "64";
    }

    /// The word (32 or 64 bits by the guest's mode) at `at`, zero-extended.
    pub fn read_word(&self, at: GuestAddr) -> Result<u64, MemoryFault> {
        match self.mode() {
            CpuMode::Protected32 => self.read_u32(at).map(u64::from),
            CpuMode::Long64 => self.read_u64(at),
        }
    }

    /// Writes the word (32 or 64 bits by the guest's mode) at `at`.
    pub fn write_word(&self, at: GuestAddr, value: u64) -> Result<(), MemoryFault> {
        match self.mode() {
            CpuMode::Protected32 => self.write_u32(at, value as u32),
            CpuMode::Long64 => self.write_u64(at, value),
        }
    }

    /// Bytes of a word: 4 or 8.
    pub fn word_bytes(&self) -> u64 {
        u64::from(self.mode().word().bytes())
    }

    /// The bytes from `at` up to the first zero byte, which is not included; at most `max` of them where there is none.
    pub fn read_c_string(&self, at: GuestAddr, max: usize) -> Result<Vec<u8>, MemoryFault> {
        let mut string = Vec::new();
        let mut piece = [0u8; 256];
        while string.len() < max {
            let from = at.offset(string.len() as u64);
            let to_page_end = PAGE_SIZE - from.0 % PAGE_SIZE;
            let n = to_page_end.min(piece.len() as u64).min((max - string.len()) as u64) as usize;
            self.read_bytes(from, &mut piece[..n])?;
            match piece[..n].iter().position(|&b| b == 0) {
                Some(end) => {
                    string.extend_from_slice(&piece[..end]);
                    return Ok(string);
                }
                None => string.extend_from_slice(&piece[..n]),
            }
        }
        Ok(string)
    }
}

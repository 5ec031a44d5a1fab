//! SSE4.2's comparisons of strings. Source: Intel SDM vol. 2B, 4.1.

use super::Val;
use super::flags::when;
use super::int::signed;
use super::memory::bytes;
use super::vector::{lane, put};
use crate::guest::FlagSet;
use crate::operand::Width;

/// One of the two strings: its characters, as numbers, and how many of them count.
struct Side {
    characters: Vec<i64>,
    len: usize,
}

/// What the instruction computes before it chooses a form for the result.
pub(super) struct Comparison {
    control: u8,
    width: Width,
    /// A bit for each character of the second string ("IntRes2").
    bits: u32,
    a: Side,
    b: Side,
}

impl Side {
    fn new(control: u8, v: Val, explicit: Option<i64>) -> Side {
        let width = width(control);
        let is_signed = control & 2 != 0;
        let v = bytes(v);
        let character = |i: usize| {
            let plain = lane(&v, width, i * width.bytes() as usize);
            if is_signed { signed(width, plain) } else { plain as i64 }
        };
        let count = (16 / width.bytes()) as usize;
        let characters: Vec<i64> = (0..count).map(character).collect();
        let len = match explicit {
            Some(n) => n.unsigned_abs().min(count as u64) as usize,
            None => characters.iter().position(|c| *c == 0).unwrap_or(count),
        };
        Side { characters, len }
    }

    /// The characters that count.
    fn valid(&self) -> &[i64] {
        &self.characters[..self.len]
    }

    fn ends(&self) -> bool {
        self.len < self.characters.len()
    }
}

fn width(control: u8) -> Width {
    if control & 1 == 0 { Width::W8 } else { Width::W16 }
}

impl Comparison {
    /// Compares `a` with `b` by `control`; with the strings' lengths, or up to a zero.
    pub(super) fn new(control: u8, a: Val, b: Val, lengths: Option<(i64, i64)>) -> Comparison {
        let a = Side::new(control, a, lengths.map(|l| l.0));
        let b = Side::new(control, b, lengths.map(|l| l.1));
        let count = a.characters.len();
        let at = |i: usize| -> bool {
            let inside = i < b.len;
            let c = b.characters[i];
            match control >> 2 & 3 {
                0 => inside && a.valid().contains(&c),
                1 => inside && a.valid().chunks_exact(2).any(|r| (r[0]..=r[1]).contains(&c)),
                2 if i < a.len && inside => a.characters[i] == c,
                2 => i >= a.len && !inside,
                // The part of `a` that would stand beyond the last place is not looked at; beyond `b`'s end nothing is equal.
                _ => (0..a.len.min(count - i)).all(|k| i + k < b.len && a.characters[k] == b.characters[i + k]),
            }
        };
        let equal = (0..count).filter(|i| at(*i)).fold(0, |bits, i| bits | 1 << i);
        let all = (1u32 << count) - 1;
        let bits = match control >> 4 & 3 {
            1 => equal ^ all,
            3 => equal ^ ((1u32 << b.len) - 1),
            _ => equal,
        };
        Comparison { control, width: width(control), bits, a, b }
    }

    /// Number of the first (bit 6 of the control byte: last) set bit, or of characters.
    pub(super) fn index(&self) -> u64 {
        let count = self.a.characters.len() as u32;
        let index = match self.control & 0x40 {
            _ if self.bits == 0 => count,
            0 => self.bits.trailing_zeros(),
            _ => 31 - self.bits.leading_zeros(),
        };
        index.into()
    }

    /// The bits, or (bit 6 of the control byte) a mask of characters.
    pub(super) fn mask(&self) -> Val {
        if self.control & 0x40 == 0 {
            return Val::int(self.bits.into());
        }
        let mut out = [0; 32];
        for i in 0..self.a.characters.len() {
            let all = if self.bits >> i & 1 != 0 { u64::MAX } else { 0 };
            put(&mut out, self.width, i * self.width.bytes() as usize, all);
        }
        Val(super::memory::words(&out))
    }

    /// The status flags.
    pub(super) fn flags(&self) -> FlagSet {
        when(self.bits != 0, FlagSet::CF)
            | when(self.b.ends(), FlagSet::ZF)
            | when(self.a.ends(), FlagSet::SF)
            | when(self.bits & 1 != 0, FlagSet::OF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(s: &[u8; 16]) -> Val {
        Val::v128(u128::from_le_bytes(*s))
    }

    #[test]
    fn searches() {
        let b = text(b"hello, hel wrld\0");
        let any = Comparison::new(0, text(b"ow\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), b, None);
        assert_eq!((any.index(), any.flags()), (4, FlagSet::CF | FlagSet::ZF | FlagSet::SF));
        let ordered = Comparison::new(0x4c, text(b"hel\0\0\0\0\0\0\0\0\0\0\0\0\0"), b, None);
        assert_eq!((ordered.index(), ordered.bits & 1), (7, 1));
        let range = Comparison::new(0x04 | 0x30, text(b"az\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), b, None);
        assert_eq!(range.index(), 5);
        assert_eq!(Comparison::new(0x48, b, b, Some((-3, 2))).mask().0[0], 0xffff_ffff_ff00_ffff);
    }
}

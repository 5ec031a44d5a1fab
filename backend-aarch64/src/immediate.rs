//! Constants: which instructions can hold them, and how a register gets one.

use crate::asm::{Asm, Size};

/// The 13 bits `N:immr:imms` of a logical instruction for the constant `value`, if it is one of those that they can name: a run of ones, rotated,
/// repeated in elements of 2 to 64 bits.
///
/// Source: Arm ARM, `DecodeBitMasks`.
pub(crate) fn bitmask(size: Size, value: u64) -> Option<u32> {
    let value = match size {
        Size::X => value,
        Size::W => (value & 0xffff_ffff) | value << 32,
    };
    if value == 0 || value == u64::MAX {
        return None;
    }
    // The smallest element that repeats.
    let mut element = 64;
    while element > 2 {
        let half = element / 2;
        let mask = (1u64 << half) - 1;
        if value & mask != value >> half & mask {
            break;
        }
        element = half;
    }
    let mask = u64::MAX >> (64 - element);
    let pattern = value & mask;
    let ones = pattern.count_ones();
    let run = (1u64 << ones) - 1;
    let rotate_right = |v: u64, n: u32| if n == 0 { v } else { (v >> n | v << (element - n)) & mask };
    // The run of ones may cross the element's end; its first bit is where a one follows a zero.
    let below = (pattern << 1 | pattern >> (element - 1)) & mask;
    let start = (pattern & !below).trailing_zeros();
    if rotate_right(pattern, start) != run {
        return None;
    }
    let rotation = (element - start) % element;
    let n = u32::from(element == 64);
    let high = if element == 64 { 0 } else { !(element * 2 - 1) & 0x3f };
    Some(n << 12 | rotation << 6 | high | (ones - 1))
}

/// `value` as the 13 bits of an add or subtract instruction (12 bits and a shift by 12), if it fits.
#[allow(dead_code, reason = "for the lowering of additions")]
pub(crate) fn add_immediate(value: u64) -> Option<u32> {
    if value < 1 << 12 {
        Some(value as u32)
    } else if value < 1 << 24 && value & 0xfff == 0 {
        Some(1 << 12 | (value >> 12) as u32)
    } else {
        None
    }
}

impl Asm {
    /// All 64 bits of `reg` = `value`, in as few instructions as are known. NZCV stays.
    pub(crate) fn constant(&mut self, reg: u8, value: u64) {
        let size = if value >> 32 == 0 { Size::W } else { Size::X };
        let chunks: Vec<u32> = (0..u32::from(size.bits()) / 16).collect();
        let chunk = |i: u32| (value >> (16 * i)) as u16;
        let zeros = chunks.iter().filter(|i| chunk(**i) == 0).count();
        let ones = chunks.iter().filter(|i| chunk(**i) == 0xffff).count();
        if zeros.max(ones) + 1 < chunks.len()
            && let Some(bits) = bitmask(size, value)
        {
            return self.orr_bits(size, reg, 31, bits);
        }
        let inverted = ones > zeros;
        let skip = if inverted { 0xffff } else { 0 };
        let mut first = true;
        for &i in &chunks {
            if chunk(i) == skip {
                continue;
            }
            let field = i << 21 | u32::from(reg) | size.bit31();
            if !first {
                self.word(0x7280_0000 | field | u32::from(chunk(i)) << 5);
            } else if inverted {
                self.word(0x1280_0000 | field | u32::from(!chunk(i)) << 5);
            } else {
                self.word(0x5280_0000 | field | u32::from(chunk(i)) << 5);
            }
            first = false;
        }
        if first {
            // All chunks are alike.
            let op = if inverted { 0x1280_0000 } else { 0x5280_0000 };
            self.word(op | size.bit31() | u32::from(reg));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the 13 bits stand for, by the manual's pseudocode.
    fn decode(size: Size, bits: u32) -> Option<u64> {
        let (n, immr, imms) = (bits >> 12 & 1, bits >> 6 & 63, bits & 63);
        let len = 31 - (n << 6 | (!imms & 63)).leading_zeros().min(31);
        if n << 6 | (!imms & 63) == 0 || len == 0 || (size == Size::W && n == 1) {
            return None;
        }
        let element = 1u32 << len;
        let levels = element - 1;
        let (s, r) = (imms & levels, immr & levels);
        if s == levels {
            return None;
        }
        let mask = u64::MAX >> (64 - element);
        let run = (1u64 << (s + 1)) - 1;
        let rotated = if r == 0 { run } else { (run >> r | run << (element - r)) & mask };
        let mut value = 0;
        for at in (0..64).step_by(element as usize) {
            value |= rotated << at;
        }
        Some(value)
    }

    #[test]
    fn bitmasks_are_those_of_the_manual() {
        let mut count = 0;
        for bits in 0..1 << 13 {
            let Some(value) = decode(Size::X, bits) else { continue };
            count += 1;
            let found = bitmask(Size::X, value).unwrap_or_else(|| panic!("{value:#x} has an encoding: {bits:#x}"));
            assert_eq!(decode(Size::X, found), Some(value), "{bits:#x} {found:#x}");
            if let Some(short) = decode(Size::W, bits) {
                let found = bitmask(Size::W, short & 0xffff_ffff).expect("one of 32 bits");
                assert_eq!(decode(Size::W, found), Some(short));
            }
        }
        assert!(count >= 5334);
        for none in [0, u64::MAX, 5, 0x1234, 0xffff_ffff_0000_0005] {
            assert_eq!(bitmask(Size::X, none), None, "{none:#x}");
        }
    }

    /// Runs what `constant` writes.
    fn run(words: &[u8]) -> u64 {
        let mut reg = 0u64;
        for w in words.chunks(4) {
            let w = u32::from_le_bytes(w.try_into().unwrap());
            let (shift, imm) = ((w >> 21 & 3) * 16, u64::from(w >> 5 & 0xffff));
            let wide = w >> 31 == 1;
            reg = match w >> 23 & 0xff {
                0xa5 if w >> 29 & 3 == 2 => imm << shift,
                0x25 | 0xa5 if w >> 29 & 3 == 0 => !(imm << shift),
                0xe5 | 0x65 => reg & !(0xffff << shift) | imm << shift,
                _ if w >> 23 & 0x3f == 0x24 => decode(if wide { Size::X } else { Size::W }, w >> 10 & 0x1fff).unwrap(),
                other => panic!("{w:#x} {other:#x}"),
            };
            if !wide {
                reg &= 0xffff_ffff;
            }
        }
        reg
    }

    #[test]
    fn constants_come_out_as_they_are() {
        let edges = [0, 1, 0xffff, 0x1_0000, 0x1234_5678, 0xffff_ffff, 0xffff_fffe, 0xffff_0000, 1 << 32, 0x5555_5555];
        let mut values = edges.to_vec();
        values.extend(edges.map(|v| !v));
        values.extend(edges.map(|v| v << 16 | 7));
        values.extend([0x7fff_1234_5678_9abc, 0x0000_ffff_0000_ffff, 0xffff_1234_ffff_5678, u64::MAX << 12]);
        for value in values {
            let mut asm = Asm::new();
            asm.constant(3, value);
            let code = asm.finish();
            assert!(code.len() <= 16);
            assert_eq!(run(&code), value, "{value:#x}");
        }
    }
}

//! Whether an instruction that accesses memory stores.

/// Whether it stores: exclusive stores and atomic operations do, exclusive loads do not. `None`: it does not access memory.
/// Source: Arm Architecture Reference Manual (DDI 0487), C4.1, "Loads and Stores".
pub(crate) fn is_store(instruction: u32) -> Option<bool> {
    let bit = |n: u32| instruction >> n & 1 != 0;
    // Loads and stores: bit 27 is set, bit 25 is not.
    if !bit(27) || bit(25) {
        return None;
    }
    let load = bit(22);
    Some(match (instruction >> 28 & 3, bit(26), bit(24)) {
        // Exclusive and ordered. CAS (bits 23 and 21) and CASP (bit 21 alone, of sizes 0 and 1) store.
        (0, false, false) => !load || bit(21) && (bit(23) || instruction >> 31 == 0),
        // Structures of vectors.
        (0, true, _) => !load,
        // LDAPUR, STLUR; memory tags and copies, which no code of ours has.
        (1, false, true) if !bit(21) => instruction >> 22 & 3 == 0,
        // From a place near the instruction.
        (1, _, false) => false,
        // Pairs.
        (2, ..) => !load,
        // Atomic operations, but for LDAPR.
        (3, false, false) if bit(21) && instruction >> 10 & 3 == 0 => instruction >> 12 & 0xf != 0xc,
        // General registers: 00 stores; the others load, or prefetch.
        (3, false, _) => instruction >> 22 & 3 == 0,
        // Vector registers: bit 22 alone tells.
        (3, true, _) => !load,
        _ => return None,
    })
}

/// Where an instruction accesses memory: a base register (31 is the stack pointer), a distance, and perhaps another register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) base: u32,
    pub(crate) distance: i64,
    pub(crate) index: Option<(u32, Extend)>,
}

/// How an index register is extended, and shifted to the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extend {
    /// UXTW 2, LSL 3, SXTW 6, SXTX 7.
    kind: u32,
    shift: u32,
}

impl Extend {
    pub(crate) fn apply(self, value: u64) -> u64 {
        let extended = match self.kind {
            2 => u64::from(value as u32),
            6 => value as u32 as i32 as u64,
            _ => value,
        };
        extended << self.shift
    }
}

/// Where `instruction`, which accesses memory, does so. What follows the access (post-indexed forms) is no part of it. Source: as above.
pub(crate) fn place(instruction: u32) -> Place {
    let bit = |n: u32| instruction >> n & 1 != 0;
    let base = instruction >> 5 & 31;
    let vector = bit(26);
    // Bytes as a power of two.
    let size = if vector && bit(23) { 4 } else { instruction >> 30 };
    let signed = |value: u32, width: u32| i64::from((value << (32 - width)) as i32 >> (32 - width));
    let at = |distance| Place { base, distance, index: None };
    match (instruction >> 28 & 3, bit(24)) {
        // LDAPUR and STLUR.
        (1, true) => at(signed(instruction >> 12, 9)),
        // Pairs: the middle of 23 and 24 is 01 where the distance counts afterwards.
        (2, _) if instruction >> 23 & 3 != 1 => {
            let size = if vector { 2 + (instruction >> 30) } else { 2 + (instruction >> 31) };
            at(signed(instruction >> 15, 7) << size)
        }
        (3, true) => at(i64::from(instruction >> 10 & 0xfff) << size),
        (3, false) if bit(21) && instruction >> 10 & 3 == 2 => {
            let extend = Extend { kind: instruction >> 13 & 7, shift: if bit(12) { size } else { 0 } };
            Place { base, distance: 0, index: Some((instruction >> 16 & 31, extend)) }
        }
        // Unscaled, and indexed before.
        (3, false) if !bit(21) && instruction >> 10 & 3 != 1 => at(signed(instruction >> 12, 9)),
        _ => at(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_and_stores_are_told_apart() {
        for (load, text) in [
            (0xf940_0020_u32, "ldr x0, [x1]"),
            (0x3940_0020, "ldrb w0, [x1]"),
            (0x3980_0020, "ldrsb x0, [x1]"),
            (0x3dc0_0020, "ldr q0, [x1]"),
            (0xa940_0440, "ldp x0, x1, [x2]"),
            (0xc85f_7c20, "ldxr x0, [x1]"),
            (0xc8df_fc20, "ldar x0, [x1]"),
            (0xf8bf_c020, "ldapr x0, [x1]"),
            (0xd940_0020, "ldapur x0, [x1]"),
            (0x4c40_7020, "ld1 {v0.16b}, [x1]"),
            (0x5800_0040, "ldr x0, literal"),
        ] {
            assert_eq!(is_store(load), Some(false), "{text}");
        }
        for (store, text) in [
            (0xf900_0020_u32, "str x0, [x1]"),
            (0x3900_0020, "strb w0, [x1]"),
            (0xf820_6822, "str x2, [x1, x0]"),
            (0x3d80_0020, "str q0, [x1]"),
            (0xbd00_0020, "str s0, [x1]"),
            (0xa900_0440, "stp x0, x1, [x2]"),
            (0xc802_7c20, "stxr w2, x0, [x1]"),
            (0xc89f_fc20, "stlr x0, [x1]"),
            (0xc8e0_fc22, "casal x0, x2, [x1]"),
            (0x4860_fc82, "caspal x0, x1, x2, x3, [x4]"),
            (0xf8e0_0022, "ldaddal x0, x2, [x1]"),
            (0xf8e0_8022, "swpal x0, x2, [x1]"),
            (0xd900_0020, "stlur x0, [x1]"),
            (0x4c00_7020, "st1 {v0.16b}, [x1]"),
        ] {
            assert_eq!(is_store(store), Some(true), "{text}");
        }
        assert_eq!(is_store(0x8b01_0000), None, "add x0, x0, x1");
    }

    #[test]
    fn places_are_registers_and_a_distance() {
        let at = |base, distance| Place { base, distance, index: None };
        let by = |base, index, kind, shift| Place { base, distance: 0, index: Some((index, Extend { kind, shift })) };
        for (instruction, expected, text) in [
            (0xf940_0820_u32, at(1, 16), "ldr x0, [x1, #16]"),
            (0x3940_0c20, at(1, 3), "ldrb w0, [x1, #3]"),
            (0x3dc0_0820, at(1, 32), "ldr q0, [x1, #32]"),
            (0xfd40_0820, at(1, 16), "ldr d0, [x1, #16]"),
            (0xf85f_8020, at(1, -8), "ldur x0, [x1, #-8]"),
            (0xf840_8420, at(1, 0), "ldr x0, [x1], #8"),
            (0xf81f_0c20, at(1, -16), "str x0, [x1, #-16]!"),
            (0xa9bf_7bfd, at(31, -16), "stp x29, x30, [sp, #-16]!"),
            (0xa8c1_7bfd, at(31, 0), "ldp x29, x30, [sp], #16"),
            (0xad41_0440, at(2, 32), "ldp q0, q1, [x2, #32]"),
            (0xf860_6820, by(1, 0, 3, 0), "ldr x0, [x1, x0]"),
            (0xf860_7820, by(1, 0, 3, 3), "ldr x0, [x1, x0, lsl #3]"),
            (0xb860_c820, by(1, 0, 6, 0), "ldr w0, [x1, w0, sxtw]"),
            (0xb860_4820, by(1, 0, 2, 0), "ldr w0, [x1, w0, uxtw]"),
            (0xc85f_7c20, at(1, 0), "ldxr x0, [x1]"),
            (0xf8e0_0022, at(1, 0), "ldaddal x0, x2, [x1]"),
            (0xd95f_8020, at(1, -8), "ldapur x0, [x1, #-8]"),
        ] {
            assert_eq!(place(instruction), expected, "{text}");
        }
        assert_eq!(Extend { kind: 6, shift: 2 }.apply(0xffff_ffff), u64::MAX - 3);
        assert_eq!(Extend { kind: 2, shift: 0 }.apply(u64::MAX), 0xffff_ffff);
    }
}

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
}

//! Whether an instruction that accesses memory stores: the kernel does not tell.

/// Of a 32-bit instruction: whether it stores, reservations aside (`lr` does not, `sc` and the atomic operations do). `None`: it does not access memory.
/// Source: RISC-V unprivileged ISA, "RV32/64G Instruction Set Listings", and "V", vector loads and stores.
pub(crate) fn is_store(instruction: u32) -> Option<bool> {
    match instruction & 0x7f {
        // LOAD, LOAD-FP.
        0x03 | 0x07 => Some(false),
        // STORE, STORE-FP.
        0x23 | 0x27 => Some(true),
        // AMO: LR is function 2.
        0x2f => Some(instruction >> 27 != 2),
        _ => None,
    }
}

/// The same of a 16-bit instruction. Source: the chapters "C" and "Zc".
pub(crate) fn is_compressed_store(instruction: u16) -> Option<bool> {
    match (instruction & 3, instruction >> 13) {
        // c.addi4spn.
        (0, 0) => None,
        // Zcb: c.lbu, c.lhu, c.lh; c.sb, c.sh.
        (0, 4) => Some(instruction >> 10 & 7 >= 2),
        (0 | 2, 1..=3) => Some(false),
        (0 | 2, 5..=7) => Some(true),
        _ => None,
    }
}

/// The base register of a 32-bit instruction that accesses memory, and what is added to it; vectors by index and with strides are taken to be at
/// their base.
pub(crate) fn place(instruction: u32) -> (u32, i64) {
    let distance = match instruction & 0x7f {
        // Vectors: the width tells them from scalars.
        0x07 | 0x27 if matches!(instruction >> 12 & 7, 0 | 5..) => 0,
        0x03 | 0x07 => instruction as i32 >> 20,
        0x23 | 0x27 => instruction as i32 >> 25 << 5 | (instruction >> 7 & 31) as i32,
        _ => 0,
    };
    (instruction >> 15 & 31, distance.into())
}

/// The same of a 16-bit instruction.
pub(crate) fn compressed_place(instruction: u16) -> (u32, i64) {
    let word = u32::from(instruction);
    let field = |from: u32, bits: u32, to: u32| (word >> from & ((1 << bits) - 1)) << to;
    let double = word >> 13 & 3 != 2;
    if word & 3 == 0 {
        let distance = match (word >> 13, double) {
            // c.lbu and c.sb; c.lhu, c.lh and c.sh.
            (4, _) if word >> 10 & 1 == 0 => field(6, 1, 0) | field(5, 1, 1),
            (4, _) => field(5, 1, 1),
            (_, true) => field(10, 3, 3) | field(5, 2, 6),
            (_, false) => field(10, 3, 3) | field(6, 1, 2) | field(5, 1, 6),
        };
        return (8 + field(7, 3, 0), distance.into());
    }
    const SP: u32 = 2;
    let distance = match (word >> 13 < 4, double) {
        (true, true) => field(12, 1, 5) | field(5, 2, 3) | field(2, 3, 6),
        (true, false) => field(12, 1, 5) | field(4, 3, 2) | field(2, 2, 6),
        (false, true) => field(10, 3, 3) | field(7, 3, 6),
        (false, false) => field(9, 4, 2) | field(7, 2, 6),
    };
    (SP, distance.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_and_stores_are_told_apart() {
        // ld, flw, vle32.v, lr.d; sb, fsd, vse8.v, sc.w, amoadd.d; add.
        for load in [0x0005_3503, 0x0005_2507, 0x0205_6407, 0x1005_352f] {
            assert_eq!(is_store(load), Some(false), "{load:#x}");
        }
        for store in [0x00b5_0023, 0x00b5_3027, 0x0205_0427, 0x18b5_252f, 0x00b5_352f] {
            assert_eq!(is_store(store), Some(true), "{store:#x}");
        }
        assert_eq!(is_store(0x00b5_0533), None);
        // c.ld, c.fldsp, c.lbu; c.sd, c.sdsp, c.sb; c.add.
        for load in [0x6108, 0x2502, 0x8108] {
            assert_eq!(is_compressed_store(load), Some(false), "{load:#x}");
        }
        for store in [0xe10c, 0xe42a, 0x890c] {
            assert_eq!(is_compressed_store(store), Some(true), "{store:#x}");
        }
        assert_eq!(is_compressed_store(0x952e), None);
    }

    #[test]
    fn places_are_a_register_and_a_distance() {
        for (instruction, expected, text) in [
            (0x0105_3503_u32, (10, 16), "ld a0, 16(a0)"),
            (0xfea5_bc23, (11, -8), "sd a0, -8(a1)"),
            (0x00b5_352f, (10, 0), "amoadd.d a0, a1, (a0)"),
            (0x0205_6407, (10, 0), "vle32.v v8, (a0)"),
            (0xff85_3407, (10, -8), "fld fs0, -8(a0)"),
        ] {
            assert_eq!(place(instruction), expected, "{text}");
        }
        for (instruction, expected, text) in [
            (0x6508_u16, (10, 8), "c.ld a0, 8(a0)"),
            (0x4548, (10, 12), "c.lw a0, 12(a0)"),
            (0xe10c, (10, 0), "c.sd a1, 0(a0)"),
            (0x6522, (2, 8), "c.ldsp a0, 8(sp)"),
            (0xe42a, (2, 8), "c.sdsp a0, 8(sp)"),
            (0xc62a, (2, 12), "c.swsp a0, 12(sp)"),
        ] {
            assert_eq!(compressed_place(instruction), expected, "{text}");
        }
    }
}

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
}

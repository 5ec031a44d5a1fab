//! One instruction of translated code, for a thread that is being led to a safe point.

use super::context::{code_at, register, set_register};

pub(in crate::host) use crate::host::native::out_of_line::{on_interrupt, on_trap};

/// `ebreak`.
const BREAKPOINT: [u8; 4] = 0x0010_0073u32.to_le_bytes();

/// How a thread goes on.
pub(in crate::host) enum Next {
    /// The instruction has been done; the next one is there.
    At(u64),
    /// This code does it; then the thread goes on at `after`.
    OutOfLine {
        /// The instruction, and a breakpoint.
        code: [u8; 8],
        /// Host address.
        after: u64,
    },
}

/// Does the instruction at `pc` if it depends on where it is, or tells how to do it elsewhere.
/// Source: RISC-V unprivileged ISA, "RV32/64G Instruction Set Listings" and "C".
pub(in crate::host) fn next(context: &mut libc::ucontext_t, pc: u64) -> Next {
    let low = code_at::<u16>(pc);
    if low & 3 == 3 {
        let instruction = u32::from(low) | u32::from(code_at::<u16>(pc + 2)) << 16;
        return match whole(context, pc, instruction) {
            Some(next) => Next::At(next),
            None => {
                let mut code = [0; 8];
                code[..4].copy_from_slice(&instruction.to_le_bytes());
                code[4..].copy_from_slice(&BREAKPOINT);
                Next::OutOfLine { code, after: pc + 4 }
            }
        };
    }
    match compressed(context, pc, low) {
        Some(next) => Next::At(next),
        None => {
            let mut code = [0; 8];
            code[..2].copy_from_slice(&low.to_le_bytes());
            code[2..6].copy_from_slice(&BREAKPOINT);
            Next::OutOfLine { code, after: pc + 2 }
        }
    }
}

/// Bits `from` to `to` of `word`.
fn bits(word: u32, from: u32, to: u32) -> u32 {
    word >> from & ((1 << (to - from + 1)) - 1)
}

/// The low `width` bits of `value`, sign-extended.
fn signed(value: u32, width: u32) -> i64 {
    i64::from((value << (32 - width)) as i32 >> (32 - width))
}

fn set(context: &mut libc::ucontext_t, d: u32, value: u64) {
    if d != 0 {
        set_register(context, d as u8, value);
    }
}

/// Where the thread is after the 32-bit instruction, if that has been done.
fn whole(context: &mut libc::ucontext_t, pc: u64, instruction: u32) -> Option<u64> {
    let d = bits(instruction, 7, 11);
    let (a, b) = (register(context, bits(instruction, 15, 19)), register(context, bits(instruction, 20, 24)));
    match instruction & 0x7f {
        // AUIPC.
        0x17 => {
            set(context, d, pc.wrapping_add_signed(i64::from((instruction & 0xffff_f000) as i32)));
            Some(pc + 4)
        }
        // BRANCH.
        0x63 => {
            let taken = match bits(instruction, 12, 14) {
                0 => a == b,
                1 => a != b,
                4 => (a as i64) < b as i64,
                5 => a as i64 >= b as i64,
                6 => a < b,
                _ => a >= b,
            };
            let distance = bits(instruction, 31, 31) << 12
                | bits(instruction, 7, 7) << 11
                | bits(instruction, 25, 30) << 5
                | bits(instruction, 8, 11) << 1;
            Some(if taken { pc.wrapping_add_signed(signed(distance, 13)) } else { pc + 4 })
        }
        // JALR.
        0x67 => {
            set(context, d, pc + 4);
            Some(a.wrapping_add_signed(signed(instruction >> 20, 12)) & !1)
        }
        // JAL.
        0x6f => {
            set(context, d, pc + 4);
            let distance = bits(instruction, 31, 31) << 20
                | bits(instruction, 12, 19) << 12
                | bits(instruction, 20, 20) << 11
                | bits(instruction, 21, 30) << 1;
            Some(pc.wrapping_add_signed(signed(distance, 21)))
        }
        _ => None,
    }
}

/// The same for a 16-bit instruction.
fn compressed(context: &mut libc::ucontext_t, pc: u64, instruction: u16) -> Option<u64> {
    let word = u32::from(instruction);
    let bit = |n: u32, place: u32| (word >> n & 1) << place;
    match (word & 3, word >> 13) {
        // c.j.
        (1, 5) => {
            let distance = bit(12, 11)
                | bit(11, 4)
                | bits(word, 9, 10) << 8
                | bit(8, 10)
                | bit(7, 6)
                | bit(6, 7)
                | bits(word, 3, 5) << 1
                | bit(2, 5);
            Some(pc.wrapping_add_signed(signed(distance, 12)))
        }
        // c.beqz, c.bnez.
        (1, kind @ (6 | 7)) => {
            let zero = register(context, 8 + bits(word, 7, 9)) == 0;
            let distance =
                bit(12, 8) | bits(word, 10, 11) << 3 | bits(word, 5, 6) << 6 | bits(word, 3, 4) << 1 | bit(2, 5);
            Some(if zero == (kind == 6) { pc.wrapping_add_signed(signed(distance, 9)) } else { pc + 2 })
        }
        // c.jr, c.jalr.
        (2, 4) if bits(word, 2, 6) == 0 && bits(word, 7, 11) != 0 => {
            let target = register(context, bits(word, 7, 11)) & !1;
            if bits(word, 12, 12) == 1 {
                set(context, 1, pc + 2);
            }
            Some(target)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X5: u8 = 5;
    const X9: u8 = 9;

    /// Does `instruction` at 0x1000, with x5 = 7 and x9 = 0; gives where it led and ra.
    fn done(instruction: u32) -> Option<(u64, u64)> {
        // SAFETY: plain data.
        let mut context: libc::ucontext_t = unsafe { std::mem::zeroed() };
        set_register(&mut context, X5, 7);
        set_register(&mut context, X9, 0);
        let next = if instruction & 3 == 3 {
            whole(&mut context, 0x1000, instruction)
        } else {
            compressed(&mut context, 0x1000, instruction as u16)
        };
        next.map(|next| (next, register(&context, 1)))
    }

    #[test]
    fn instructions_that_depend_on_their_place_are_done() {
        // auipc ra, 1.
        assert_eq!(done(0x0000_1097), Some((0x1004, 0x2000)));
        // jal ra, -16; jal x0, 2048.
        assert_eq!(done(0xff1f_f0ef), Some((0xff0, 0x1004)));
        assert_eq!(done(0x0010_006f), Some((0x1800, 0)));
        // jalr ra, 4(x5).
        assert_eq!(done(0x0042_80e7), Some((10, 0x1004)));
        // beq x9, x0, 8; bne x9, x0, 8; blt x5, x9, -4; bgeu x5, x9, -4.
        assert_eq!(done(0x0004_8463), Some((0x1008, 0)));
        assert_eq!(done(0x0004_9463), Some((0x1004, 0)));
        assert_eq!(done(0xfe92_cee3), Some((0x1004, 0)));
        assert_eq!(done(0xfe92_fee3), Some((0xffc, 0)));
        // c.j -2; c.beqz x9, 4; c.bnez x9, 4; c.jalr x5; c.jr x5.
        assert_eq!(done(0xbffd), Some((0xffe, 0)));
        assert_eq!(done(0xc091), Some((0x1004, 0)));
        assert_eq!(done(0xe091), Some((0x1002, 0)));
        assert_eq!(done(0x9282), Some((6, 0x1002)));
        assert_eq!(done(0x8282), Some((6, 0)));
    }

    #[test]
    fn others_are_done_elsewhere() {
        // add, ld, c.add, c.mv, c.ldsp.
        for instruction in [0x00b5_0533, 0x0005_3503, 0x952e, 0x852e, 0x6502] {
            assert_eq!(done(instruction), None, "{instruction:#x}");
        }
    }
}

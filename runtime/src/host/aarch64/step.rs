//! One instruction of translated code, for a thread that is being led to a safe point.

use super::context::{code_at, register, set_register};

pub(in crate::host) use crate::host::native::out_of_line::{on_interrupt, on_trap};

/// `brk #0`.
const BREAKPOINT: u32 = 0xd420_0000;

/// How a thread goes on.
pub(in crate::host) enum Next {
    /// The instruction has been done; the next one is there.
    At(u64),
    /// This code does it; then the thread goes on at `after`.
    OutOfLine {
        /// The instruction, a breakpoint, and from byte 16 on what the instruction loads, if it loads from near its place.
        code: [u8; 32],
        /// Host address.
        after: u64,
    },
}

/// Does the instruction at `pc` if it depends on where it is, or tells how to do it elsewhere.
/// Source: Arm Architecture Reference Manual (DDI 0487), C4.1, "Branches" and "PC-rel. addressing".
pub(in crate::host) fn next(context: &mut libc::ucontext_t, pc: u64) -> Next {
    let mut instruction = code_at::<u32>(pc);
    if let Some(next) = done(context, pc, instruction) {
        return Next::At(next);
    }
    let mut code = [0; 32];
    if is_load_from_near(instruction) {
        let from = pc.wrapping_add_signed(signed(instruction >> 5, 19) * 4);
        code[16..].copy_from_slice(&code_at::<[u8; 16]>(from));
        instruction = instruction & !(0x7ffff << 5) | 4 << 5;
    }
    code[..4].copy_from_slice(&instruction.to_le_bytes());
    code[4..8].copy_from_slice(&BREAKPOINT.to_le_bytes());
    Next::OutOfLine { code, after: pc + 4 }
}

/// Loads (register, literal).
fn is_load_from_near(instruction: u32) -> bool {
    instruction & 0x3b00_0000 == 0x1800_0000
}

/// The low `width` bits of `value`, sign-extended.
fn signed(value: u32, width: u32) -> i64 {
    i64::from((value << (32 - width)) as i32 >> (32 - width))
}

/// Whether condition `number` holds for the flags in `pstate`.
fn holds(number: u32, pstate: u64) -> bool {
    let flag = |bit: u32| pstate >> bit & 1 != 0;
    let (n, z, c, v) = (flag(31), flag(30), flag(29), flag(28));
    let base = match number >> 1 {
        0 => z,
        1 => c,
        2 => n,
        3 => v,
        4 => c && !z,
        5 => n == v,
        6 => n == v && !z,
        _ => return true,
    };
    base != (number & 1 != 0)
}

/// Where the thread is after the instruction, if that has been done.
fn done(context: &mut libc::ucontext_t, pc: u64, instruction: u32) -> Option<u64> {
    let by = |words: i64| pc.wrapping_add_signed(words * 4);
    let t = instruction & 31;
    let high = instruction >> 24 & 1 != 0;
    let value = register(context, t);
    let or_next = |taken: bool, width: u32| if taken { by(signed(instruction >> 5, width)) } else { pc + 4 };
    // B, BL.
    if instruction & 0x7c00_0000 == 0x1400_0000 {
        if instruction >> 31 != 0 {
            set_register(context, 30, pc + 4);
        }
        return Some(by(signed(instruction, 26)));
    }
    match instruction >> 24 & 0x7f {
        // B.cond.
        0x54 if instruction >> 31 == 0 => Some(or_next(holds(instruction & 15, context.uc_mcontext.pstate), 19)),
        // CBZ, CBNZ.
        0x34 | 0x35 => {
            let value = if instruction >> 31 == 0 { value & 0xffff_ffff } else { value };
            Some(or_next((value == 0) != high, 19))
        }
        // TBZ, TBNZ.
        0x36 | 0x37 => {
            let bit = instruction >> 31 << 5 | instruction >> 19 & 31;
            Some(or_next((value >> bit & 1 == 0) != high, 14))
        }
        // ADR, ADRP.
        kind if kind & 0x1f == 0x10 => {
            let distance = signed(instruction >> 5 << 2 | instruction >> 29 & 3, 21);
            let base = if instruction >> 31 != 0 { pc & !0xfff } else { pc };
            let distance = if instruction >> 31 != 0 { distance << 12 } else { distance };
            set_register(context, t as u8, base.wrapping_add_signed(distance));
            Some(pc + 4)
        }
        // BR, BLR, RET.
        0x56 if matches!(instruction & 0xffff_fc1f, 0xd61f_0000 | 0xd63f_0000 | 0xd65f_0000) => {
            let target = register(context, instruction >> 5 & 31);
            if instruction & 0x0020_0000 != 0 && instruction & 0x0040_0000 == 0 {
                set_register(context, 30, pc + 4);
            }
            Some(target)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does `instruction` at 0x1000, with x5 = 0x180 and C set; gives where it led, x0 and x30.
    fn at_1000(instruction: u32) -> Option<(u64, u64, u64)> {
        // SAFETY: plain data.
        let mut context: libc::ucontext_t = unsafe { std::mem::zeroed() };
        set_register(&mut context, 5, 0x180);
        context.uc_mcontext.pstate = 1 << 29;
        let next = done(&mut context, 0x1000, instruction);
        next.map(|next| (next, register(&context, 0), register(&context, 30)))
    }

    #[test]
    fn instructions_that_depend_on_their_place_are_done() {
        for (instruction, expected, text) in [
            (0x17ff_fffc_u32, (0xff0, 0, 0), "b -16"),
            (0x9400_0004, (0x1010, 0, 0x1004), "bl 16"),
            (0x5400_0082, (0x1010, 0, 0), "b.hs 16"),
            (0x5400_0083, (0x1004, 0, 0), "b.lo 16"),
            (0x5400_0088, (0x1010, 0, 0), "b.hi 16"),
            (0x5400_008d, (0x1004, 0, 0), "b.le 16"),
            (0xb400_0085, (0x1004, 0, 0), "cbz x5, 16"),
            (0xb5ff_ffe5, (0xffc, 0, 0), "cbnz x5, -4"),
            (0x3638_0085, (0x1004, 0, 0), "tbz w5, #7, 16"),
            (0x3738_0085, (0x1010, 0, 0), "tbnz w5, #7, 16"),
            (0x3740_0085, (0x1010, 0, 0), "tbnz w5, #8, 16"),
            (0x3748_0085, (0x1004, 0, 0), "tbnz w5, #9, 16"),
            (0x1000_0080, (0x1004, 0x1010, 0), "adr x0, 16"),
            (0xb000_0000, (0x1004, 0x2000, 0), "adrp x0, 4096"),
            (0xd61f_00a0, (0x180, 0, 0), "br x5"),
            (0xd63f_00a0, (0x180, 0, 0x1004), "blr x5"),
            (0xd65f_00a0, (0x180, 0, 0), "ret x5"),
        ] {
            assert_eq!(at_1000(instruction), Some(expected), "{text}");
        }
    }

    #[test]
    fn others_are_done_elsewhere() {
        for (instruction, text) in
            [(0x8b01_0000_u32, "add x0, x0, x1"), (0xf940_0020, "ldr x0, [x1]"), (0x5800_0040, "ldr x0, literal")]
        {
            assert_eq!(at_1000(instruction), None, "{text}");
        }
        assert!(is_load_from_near(0x5800_0040) && is_load_from_near(0x9c00_0040) && !is_load_from_near(0xf940_0020));
    }
}

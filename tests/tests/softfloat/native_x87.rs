//! x87 instructions run on this processor, under any control word, unmasked exceptions included.
//!
//! Only non-waiting instructions follow the one under test, so an unmasked exception stays pending and is read out, not
//! delivered.

use std::arch::asm;

use hokku_ir::softfloat::F80;

/// The x87 after an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct After {
    /// The stack from its top, as far as the tests look.
    pub(crate) st: [F80; 3],
    /// Status word.
    pub(crate) fsw: u16,
    /// ZF, PF and CF (bits 6, 2 and 0).
    pub(crate) eflags: u8,
    /// The memory operand.
    pub(crate) memory: [u8; 10],
}

/// Bytes of an `fsave` image before the registers.
const HEADER: usize = 28;

/// Instructions that start with `st` = \[ST0, ST1\] and `[rdi]` = `memory`.
macro_rules! x87 {
    ($($name:ident = $inst:literal;)*) => { $(
        pub(crate) fn $name(st: [F80; 2], memory: [u8; 10], fcw: u16) -> After {
            let mut m = memory;
            let mut image = [0u8; HEADER + 80];
            let (st0, st1) = (st[0].to_le_bytes(), st[1].to_le_bytes());
            let flags: u64;
            // SAFETY: reads and writes the arrays whose addresses it gets, and registers that are declared; `fnsave`
            // leaves the x87 as `fninit` does: empty, all masked, nothing pending.
            unsafe {
                asm!(
                    "fninit", "fld tbyte ptr [{st1}]", "fld tbyte ptr [{st0}]", "fldcw word ptr [{cw}]", "xor eax, eax",
                    $inst, "lahf", "fnsave [{image}]",
                    st0 = in(reg) st0.as_ptr(), st1 = in(reg) st1.as_ptr(), cw = in(reg) &raw const fcw,
                    image = in(reg) image.as_mut_ptr(), in("rdi") m.as_mut_ptr(), out("rax") flags,
                    out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
                    out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _, options(nostack),
                );
            }
            let register = |i: usize| {
                let mut bytes = [0; 10];
                bytes.copy_from_slice(&image[HEADER + 10 * i..][..10]);
                F80::from_le_bytes(bytes)
            };
            After {
                st: [register(0), register(1), register(2)],
                fsw: u16::from_le_bytes([image[4], image[5]]),
                eflags: (flags >> 8) as u8 & 0x45,
                memory: m,
            }
        }
    )* };
}

x87! {
    fadd = "fadd st, st(1)"; fsub = "fsub st, st(1)"; fsubr = "fsubr st, st(1)"; fmul = "fmul st, st(1)";
    fdiv = "fdiv st, st(1)"; fdivr = "fdivr st, st(1)"; fsqrt = "fsqrt"; frndint = "frndint";
    fadd_m32 = "fadd dword ptr [rdi]"; fsub_m32 = "fsub dword ptr [rdi]"; fsubr_m32 = "fsubr dword ptr [rdi]";
    fmul_m32 = "fmul dword ptr [rdi]"; fdiv_m32 = "fdiv dword ptr [rdi]"; fdivr_m32 = "fdivr dword ptr [rdi]";
    fadd_m64 = "fadd qword ptr [rdi]"; fsub_m64 = "fsub qword ptr [rdi]"; fsubr_m64 = "fsubr qword ptr [rdi]";
    fmul_m64 = "fmul qword ptr [rdi]"; fdiv_m64 = "fdiv qword ptr [rdi]"; fdivr_m64 = "fdivr qword ptr [rdi]";
    fcom = "fcom st(1)"; fucom = "fucom st(1)"; fcomi = "fcomi st, st(1)"; fucomi = "fucomi st, st(1)"; ftst = "ftst";
    fcom_m32 = "fcom dword ptr [rdi]"; fcom_m64 = "fcom qword ptr [rdi]";
    fld_m32 = "fld dword ptr [rdi]"; fld_m64 = "fld qword ptr [rdi]"; fild_m64 = "fild qword ptr [rdi]";
    fst_m32 = "fst dword ptr [rdi]"; fst_m64 = "fst qword ptr [rdi]";
    fist_m16 = "fist word ptr [rdi]"; fist_m32 = "fist dword ptr [rdi]"; fistp_m64 = "fistp qword ptr [rdi]";
    fisttp_m16 = "fisttp word ptr [rdi]"; fisttp_m32 = "fisttp dword ptr [rdi]"; fisttp_m64 = "fisttp qword ptr [rdi]";
    fldz = "fldz"; fld1 = "fld1"; fldl2t = "fldl2t"; fldl2e = "fldl2e"; fldpi = "fldpi"; fldlg2 = "fldlg2"; fldln2 = "fldln2";
    fbld = "fbld tbyte ptr [rdi]"; fbstp = "fbstp tbyte ptr [rdi]"; fxam = "fxam"; fscale = "fscale"; fxtract = "fxtract";
    fprem = "fprem"; fprem1 = "fprem1";
    f2xm1 = "f2xm1"; fyl2x = "fyl2x"; fyl2xp1 = "fyl2xp1"; fpatan = "fpatan";
    fsin = "fsin"; fcos = "fcos"; fsincos = "fsincos"; fptan = "fptan";
}

//! SSE instructions run on this processor, under a given MXCSR.

use std::arch::asm;

/// MXCSR after reset: all exceptions masked, nearest, no flags.
static DEFAULT: u32 = 0x1f80;

/// Two operands in the low lanes of registers; the first is also the destination.
macro_rules! binary {
    ($($name:ident = $inst:literal;)*) => { $(
        pub(crate) fn $name(a: u64, b: u64, mxcsr: u32) -> (u64, u32) {
            let mut m = mxcsr;
            let out: u64;
            // SAFETY: touches only the named registers and MXCSR, which it sets back to the default.
            unsafe {
                asm!(
                    "movq xmm0, {a}", "movq xmm1, {b}", "ldmxcsr [{m}]",
                    $inst, "stmxcsr [{m}]", "ldmxcsr [{d}]", "movq {out}, xmm0",
                    a = in(reg) a, b = in(reg) b, m = in(reg) &raw mut m, d = in(reg) &raw const DEFAULT,
                    out = lateout(reg) out, out("xmm0") _, out("xmm1") _, options(nostack),
                );
            }
            (out, m & 0x3f)
        }
    )* };
}

binary! {
    addss = "addss xmm0, xmm1"; subss = "subss xmm0, xmm1"; mulss = "mulss xmm0, xmm1"; divss = "divss xmm0, xmm1";
    minss = "minss xmm0, xmm1"; maxss = "maxss xmm0, xmm1";
    addsd = "addsd xmm0, xmm1"; subsd = "subsd xmm0, xmm1"; mulsd = "mulsd xmm0, xmm1"; divsd = "divsd xmm0, xmm1";
    minsd = "minsd xmm0, xmm1"; maxsd = "maxsd xmm0, xmm1";
    sqrtss = "sqrtss xmm0, xmm1"; sqrtsd = "sqrtsd xmm0, xmm1";
    rcpss = "rcpss xmm0, xmm1"; rsqrtss = "rsqrtss xmm0, xmm1";
    vcvtph2ps = "vcvtph2ps xmm0, xmm1"; vcvtps2ph_0 = "vcvtps2ph xmm0, xmm1, 0"; vcvtps2ph_1 = "vcvtps2ph xmm0, xmm1, 1";
    vcvtps2ph_4 = "vcvtps2ph xmm0, xmm1, 4";
    cvtss2sd = "cvtss2sd xmm0, xmm1"; cvtsd2ss = "cvtsd2ss xmm0, xmm1";
    roundss_0 = "roundss xmm0, xmm1, 0"; roundss_1 = "roundss xmm0, xmm1, 1"; roundss_2 = "roundss xmm0, xmm1, 2";
    roundss_3 = "roundss xmm0, xmm1, 3"; roundss_4 = "roundss xmm0, xmm1, 4"; roundss_12 = "roundss xmm0, xmm1, 12";
    roundsd_0 = "roundsd xmm0, xmm1, 0"; roundsd_1 = "roundsd xmm0, xmm1, 1"; roundsd_2 = "roundsd xmm0, xmm1, 2";
    roundsd_3 = "roundsd xmm0, xmm1, 3"; roundsd_4 = "roundsd xmm0, xmm1, 4"; roundsd_12 = "roundsd xmm0, xmm1, 12";
}

/// From a float in a vector register to a general register.
macro_rules! to_general {
    ($($name:ident = $inst:literal;)*) => { $(
        pub(crate) fn $name(a: u64, mxcsr: u32) -> (u64, u32) {
            let mut m = mxcsr;
            let out: u64;
            // SAFETY: touches only the named registers and MXCSR, which it sets back to the default.
            unsafe {
                asm!(
                    "movq xmm0, {a}", "ldmxcsr [{m}]", $inst, "stmxcsr [{m}]", "ldmxcsr [{d}]",
                    a = in(reg) a, m = in(reg) &raw mut m, d = in(reg) &raw const DEFAULT,
                    out("rax") out, out("xmm0") _, options(nostack),
                );
            }
            (out, m & 0x3f)
        }
    )* };
}

to_general! {
    cvtss2si32 = "cvtss2si eax, xmm0"; cvttss2si32 = "cvttss2si eax, xmm0";
    cvtss2si64 = "cvtss2si rax, xmm0"; cvttss2si64 = "cvttss2si rax, xmm0";
    cvtsd2si32 = "cvtsd2si eax, xmm0"; cvttsd2si32 = "cvttsd2si eax, xmm0";
    cvtsd2si64 = "cvtsd2si rax, xmm0"; cvttsd2si64 = "cvttsd2si rax, xmm0";
}

/// From a general register to a float in a vector register.
macro_rules! from_general {
    ($($name:ident = $inst:literal;)*) => { $(
        pub(crate) fn $name(a: u64, mxcsr: u32) -> (u64, u32) {
            let mut m = mxcsr;
            let out: u64;
            // SAFETY: touches only the named registers and MXCSR, which it sets back to the default.
            unsafe {
                asm!(
                    "xorps xmm0, xmm0", "ldmxcsr [{m}]", $inst, "stmxcsr [{m}]", "ldmxcsr [{d}]", "movq {out}, xmm0",
                    m = in(reg) &raw mut m, d = in(reg) &raw const DEFAULT, in("rax") a,
                    out = lateout(reg) out, out("xmm0") _, options(nostack),
                );
            }
            (out, m & 0x3f)
        }
    )* };
}

from_general! {
    cvtsi2ss32 = "cvtsi2ss xmm0, eax"; cvtsi2ss64 = "cvtsi2ss xmm0, rax";
    cvtsi2sd32 = "cvtsi2sd xmm0, eax"; cvtsi2sd64 = "cvtsi2sd xmm0, rax";
}

/// Compares into ZF, PF and CF (bits 6, 2 and 0 of the result).
macro_rules! compare {
    ($($name:ident = $inst:literal;)*) => { $(
        pub(crate) fn $name(a: u64, b: u64, mxcsr: u32) -> (u64, u32) {
            let mut m = mxcsr;
            let out: u64;
            // SAFETY: touches only the named registers, the flags, balanced stack and MXCSR, which it sets back.
            unsafe {
                asm!(
                    "movq xmm0, {a}", "movq xmm1, {b}", "ldmxcsr [{m}]", $inst, "lahf", "stmxcsr [{m}]", "ldmxcsr [{d}]",
                    a = in(reg) a, b = in(reg) b, m = in(reg) &raw mut m, d = in(reg) &raw const DEFAULT,
                    out("rax") out, out("xmm0") _, out("xmm1") _, options(nostack),
                );
            }
            (out >> 8 & 0x45, m & 0x3f)
        }
    )* };
}

compare! {
    comiss = "comiss xmm0, xmm1"; ucomiss = "ucomiss xmm0, xmm1";
    comisd = "comisd xmm0, xmm1"; ucomisd = "ucomisd xmm0, xmm1";
}

/// All `count` immediates of a compare.
macro_rules! predicates {
    ($name:ident, $head:literal, [$($imm:literal)*]) => {
        pub(crate) fn $name(imm: u8, a: u64, b: u64, mxcsr: u32) -> (u64, u32) {
            match imm { $($imm => {
                let mut m = mxcsr;
                let out: u64;
                // SAFETY: touches only the named registers and MXCSR, which it sets back to the default.
                unsafe {
                    asm!(
                        "movq xmm0, {a}", "movq xmm1, {b}", "ldmxcsr [{m}]",
                        concat!($head, stringify!($imm)), "stmxcsr [{m}]", "ldmxcsr [{d}]", "movq {out}, xmm0",
                        a = in(reg) a, b = in(reg) b, m = in(reg) &raw mut m, d = in(reg) &raw const DEFAULT,
                        out = lateout(reg) out, out("xmm0") _, out("xmm1") _, options(nostack),
                    );
                }
                (out, m & 0x3f)
            })* _ => unreachable!("no such predicate") }
        }
    };
}

predicates!(cmpss, "cmpss xmm0, xmm1, ", [0 1 2 3 4 5 6 7]);
predicates!(cmpsd, "cmpsd xmm0, xmm1, ", [0 1 2 3 4 5 6 7]);
predicates!(vcmpss, "vcmpss xmm0, xmm0, xmm1, ", [
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
]);

/// Fused multiply-add `xmm0 (op1), xmm1 (op2), xmm2 (op3)`.
macro_rules! fused {
    ($($name:ident = $inst:literal;)*) => { $(
        pub(crate) fn $name(a: u64, b: u64, c: u64, mxcsr: u32) -> (u64, u32) {
            let mut m = mxcsr;
            let out: u64;
            // SAFETY: touches only the named registers and MXCSR, which it sets back to the default; the caller has
            // found out that the processor has FMA.
            unsafe {
                asm!(
                    "movq xmm0, {a}", "movq xmm1, {b}", "movq xmm2, {c}", "ldmxcsr [{m}]",
                    concat!($inst, " xmm0, xmm1, xmm2"), "stmxcsr [{m}]", "ldmxcsr [{d}]", "movq {out}, xmm0",
                    a = in(reg) a, b = in(reg) b, c = in(reg) c, m = in(reg) &raw mut m, d = in(reg) &raw const DEFAULT,
                    out = lateout(reg) out, out("xmm0") _, out("xmm1") _, out("xmm2") _, options(nostack),
                );
            }
            (out, m & 0x3f)
        }
    )* };
}

fused! {
    vfmadd132ss = "vfmadd132ss"; vfmadd213ss = "vfmadd213ss"; vfmadd231ss = "vfmadd231ss";
    vfmsub213ss = "vfmsub213ss"; vfnmadd213ss = "vfnmadd213ss"; vfnmsub213ss = "vfnmsub213ss";
    vfmadd132sd = "vfmadd132sd"; vfmadd213sd = "vfmadd213sd"; vfmadd231sd = "vfmadd231sd";
    vfmsub213sd = "vfmsub213sd"; vfnmadd213sd = "vfnmadd213sd"; vfnmsub213sd = "vfnmsub213sd";
}

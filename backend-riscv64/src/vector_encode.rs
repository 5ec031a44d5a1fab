//! Vector instructions to words. Source: The RISC-V Instruction Set Manual, volume I, "V" Standard Extension for Vector Operations, version 1.0.

use crate::encode::{Reg, ZERO};

/// A vector register by number.
pub(crate) type Vreg = u8;

/// Width of the elements that instructions act on; there are always 128 bits of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Sew {
    E8 = 0,
    E16 = 1,
    E32 = 2,
    E64 = 3,
}

impl Sew {
    /// Bits of an element.
    pub(crate) fn bits(self) -> u32 {
        8 << self as u32
    }

    /// Elements in 128 bits.
    pub(crate) fn count(self) -> u32 {
        16 >> self as u32
    }
}

/// An operation on two vectors, or on a vector and a register or small constant: its funct6, and which group it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct V {
    funct6: u32,
    group: Group,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    Integer,
    Multiply,
    Float,
}

macro_rules! operations {
    ($($group:ident { $($NAME:ident = $funct6:literal;)* })*) => {
        $($(pub(crate) const $NAME: V = V { funct6: $funct6, group: Group::$group };)*)*
    };
}

operations! {
    Integer {
        VADD = 0b000000;
        VSUB = 0b000010;
        VRSUB = 0b000011;
        VMINU = 0b000100;
        VMIN = 0b000101;
        VMAXU = 0b000110;
        VMAX = 0b000111;
        VAND = 0b001001;
        VOR = 0b001010;
        VXOR = 0b001011;
        VRGATHER = 0b001100;
        VSLIDEUP = 0b001110;
        VSLIDEDOWN = 0b001111;
        VMERGE = 0b010111;
        VMSEQ = 0b011000;
        VMSLT = 0b011011;
        VSADDU = 0b100000;
        VSADD = 0b100001;
        VSSUBU = 0b100010;
        VSSUB = 0b100011;
        VSLL = 0b100101;
        VMVR = 0b100111;
        VSRL = 0b101000;
        VSRA = 0b101001;
        VNCLIPU = 0b101110;
        VNCLIP = 0b101111;
    }
    Multiply {
        VREDOR = 0b000010;
        VAADDU = 0b001000;
        VSLIDE1UP = 0b001110;
        VMV_S = 0b010000;
        VEXTEND = 0b010010;
        VMULHU = 0b100100;
        VMAND = 0b011001;
        VMUL = 0b100101;
        VMULH = 0b100111;
        VMACC = 0b101101;
        VWADDU = 0b110000;
        VWMACCU = 0b111100;
    }
    Float {
        VFADD = 0b000000;
        VFSUB = 0b000010;
        VFSLIDE1UP = 0b001110;
        VFMV_S = 0b010000;
        VFCVT = 0b010010;
        VFMERGE = 0b010111;
        VFUNARY = 0b010011;
        VMFEQ = 0b011000;
        VMFLE = 0b011001;
        VMFLT = 0b011011;
        VMFNE = 0b011100;
        VFDIV = 0b100000;
        VFMUL = 0b100100;
    }
}

/// What stands in the place of the first source of [`VFUNARY`].
pub(crate) const SQRT: Vreg = 0;
pub(crate) const CLASS: Vreg = 16;
/// Of [`VFCVT`]: signed integers to floats; floats to signed integers, towards zero; integers to floats of twice the width.
pub(crate) const FLOAT_OF_INT: Vreg = 3;
pub(crate) const INT_OF_FLOAT: Vreg = 1;
pub(crate) const INT_TOWARDS_ZERO: Vreg = 7;
pub(crate) const WIDE_FLOAT_OF_INT: Vreg = 11;
/// Floats to floats of twice and of half the width.
pub(crate) const WIDE_FLOAT: Vreg = 12;
pub(crate) const NARROW_FLOAT: Vreg = 20;
/// Of [`VEXTEND`]: parts of an element's width, zero-extended or with their signs.
pub(crate) const EIGHTHS: Vreg = 2;
pub(crate) const SIGNED_EIGHTHS: Vreg = 3;
pub(crate) const QUARTERS: Vreg = 4;
pub(crate) const SIGNED_QUARTERS: Vreg = 5;
pub(crate) const HALVES: Vreg = 6;
pub(crate) const SIGNED_HALVES: Vreg = 7;

fn word(op: V, funct3: u32, masked: bool, vd: Vreg, vs2: Vreg, rs1: Reg) -> u32 {
    let vm = u32::from(!masked);
    0x57 | u32::from(vd) << 7 | funct3 << 12 | u32::from(rs1) << 15 | u32::from(vs2) << 20 | vm << 25 | op.funct6 << 26
}

/// `vd = vs2 op vs1`.
pub(crate) fn vv(op: V, vd: Vreg, vs2: Vreg, vs1: Vreg) -> u32 {
    let funct3 = match op.group {
        Group::Integer => 0,
        Group::Multiply => 2,
        Group::Float => 1,
    };
    word(op, funct3, false, vd, vs2, vs1)
}

/// `vd = vs2 op rs1`: an integer register, or a float where `op` is on floats.
pub(crate) fn vx(op: V, vd: Vreg, vs2: Vreg, rs1: Reg) -> u32 {
    let funct3 = match op.group {
        Group::Integer => 4,
        Group::Multiply => 6,
        Group::Float => 5,
    };
    word(op, funct3, false, vd, vs2, rs1)
}

/// `vd = vs2 op imm`, five bits.
pub(crate) fn vi(op: V, vd: Vreg, vs2: Vreg, imm: i32) -> u32 {
    word(op, 3, false, vd, vs2, imm as u8 & 31)
}

/// The same, only where the bits of v0 are set.
pub(crate) fn masked(word: u32) -> u32 {
    word & !(1 << 25)
}

/// `vsetivli`: elements of `sew`, `count` of them, others undisturbed.
pub(crate) fn vsetivli(sew: Sew, count: u32) -> u32 {
    0xc000_7057 | (sew as u32) << 23 | count << 15
}

/// The same with elements in half a register: narrowing instructions read whole ones then.
pub(crate) fn vsetivli_half(sew: Sew, count: u32) -> u32 {
    vsetivli(sew, count) | 7 << 20
}

/// All of register `vs`, whatever the width of elements.
pub(crate) fn vmv1r(vd: Vreg, vs: Vreg) -> u32 {
    vi(VMVR, vd, vs, 0)
}

/// `vmv.v.i`.
pub(crate) fn vmv_v_i(vd: Vreg, imm: i32) -> u32 {
    vi(VMERGE, vd, 0, imm)
}

/// `vmv.x.s`: the lowest element, sign-extended.
pub(crate) fn vmv_x_s(rd: Reg, vs: Vreg) -> u32 {
    vv(VMV_S, rd, vs, 0)
}

/// `vmv.s.x`.
pub(crate) fn vmv_s_x(vd: Vreg, rs: Reg) -> u32 {
    vx(VMV_S, vd, 0, rs)
}

/// `vfmv.f.s`.
pub(crate) fn vfmv_f_s(fd: Reg, vs: Vreg) -> u32 {
    vv(VFMV_S, fd, vs, 0)
}

/// `vfmv.s.f`.
pub(crate) fn vfmv_s_f(vd: Vreg, fs: Reg) -> u32 {
    vx(VFMV_S, vd, 0, fs)
}

/// `vfmv.v.f`: in all elements.
pub(crate) fn vfmv_v_f(vd: Vreg, fs: Reg) -> u32 {
    vx(VFMERGE, vd, 0, fs)
}

const WIDTHS: [u32; 4] = [0, 5, 6, 7];

/// Loads elements of `sew` from the address in `rs1`.
pub(crate) fn vle(sew: Sew, vd: Vreg, rs1: Reg) -> u32 {
    0x0200_0007 | u32::from(vd) << 7 | WIDTHS[sew as usize] << 12 | u32::from(rs1) << 15
}

/// Stores elements of `sew` at the address in `rs1`.
pub(crate) fn vse(sew: Sew, vs: Vreg, rs1: Reg) -> u32 {
    vle(sew, vs, rs1) | 0x20
}

/// Sets how averages are rounded: up.
pub(crate) const ROUND_UP: u32 = 0x00a0_5073 | (ZERO as u32) << 7;
/// Has vector instructions start at their first element, after one that did not come to its end.
pub(crate) const FROM_START: u32 = 0x0080_5073;

#[cfg(test)]
mod tests {
    use super::*;

    /// The words are those of binutils 2.40.
    #[test]
    fn another_assembler_agrees() {
        for (word, expected, text) in [
            (vv(VADD, 17, 18, 19), 0x0329_88d7, "vadd.vv v17, v18, v19"),
            (vv(VRGATHER, 17, 18, 19), 0x3329_88d7, "vrgather.vv v17, v18, v19"),
            (masked(vi(VSLIDEDOWN, 17, 18, 1)), 0x3d20_b8d7, "vslidedown.vi v17, v18, 1, v0.t"),
            (masked(vi(VMERGE, 17, 15, -1)), 0x5cff_b8d7, "vmerge.vim v17, v15, -1, v0"),
            (vx(VMSLT, 1, 18, 0), 0x6f20_40d7, "vmslt.vx v1, v18, zero"),
            (vx(VSLL, 17, 18, 5), 0x9722_c8d7, "vsll.vx v17, v18, t0"),
            (vi(VSRA, 17, 18, 31), 0xa72f_b8d7, "vsra.vi v17, v18, 31"),
            (vi(VNCLIP, 17, 2, 0), 0xbe20_38d7, "vnclip.wi v17, v2, 0"),
            (vv(VREDOR, 1, 2, 15), 0x0a27_a0d7, "vredor.vs v1, v2, v15"),
            (vv(VAADDU, 17, 18, 19), 0x2329_a8d7, "vaaddu.vv v17, v18, v19"),
            (vx(VMUL, 17, 18, 5), 0x9722_e8d7, "vmul.vx v17, v18, t0"),
            (vv(VMACC, 17, 18, 19), 0xb729_a8d7, "vmacc.vv v17, v19, v18"),
            (vv(VWADDU, 2, 18, 19), 0xc329_a157, "vwaddu.vv v2, v18, v19"),
            (vx(VWMACCU, 2, 19, 5), 0xf332_e157, "vwmaccu.vx v2, t0, v19"),
            (vv(VEXTEND, 2, 1, QUARTERS), 0x4a12_2157, "vzext.vf4 v2, v1"),
            (vv(VFSUB, 17, 18, 19), 0x0b29_98d7, "vfsub.vv v17, v18, v19"),
            (vx(VFSLIDE1UP, 17, 15, 9), 0x3af4_d8d7, "vfslide1up.vf v17, v15, fs1"),
            (vv(VFUNARY, 1, 18, CLASS), 0x4f28_10d7, "vfclass.v v1, v18"),
            (vv(VFCVT, 17, 18, INT_TOWARDS_ZERO), 0x4b23_98d7, "vfcvt.rtz.x.f.v v17, v18"),
            (vv(VFCVT, 2, 18, WIDE_FLOAT_OF_INT), 0x4b25_9157, "vfwcvt.f.x.v v2, v18"),
            (vv(VMFNE, 0, 18, 19), 0x7329_9057, "vmfne.vv v0, v18, v19"),
            (vsetivli(Sew::E64, 2), 0xc181_7057, "vsetivli zero, 2, e64, m1, tu, mu"),
            (vsetivli(Sew::E8, 16), 0xc008_7057, "vsetivli zero, 16, e8, m1, tu, mu"),
            (vmv1r(17, 18), 0x9f20_38d7, "vmv1r.v v17, v18"),
            (vmv_v_i(17, -1), 0x5e0f_b8d7, "vmv.v.i v17, -1"),
            (vmv_x_s(5, 18), 0x4320_22d7, "vmv.x.s t0, v18"),
            (vmv_s_x(17, 5), 0x4202_e8d7, "vmv.s.x v17, t0"),
            (vfmv_f_s(9, 18), 0x4320_14d7, "vfmv.f.s fs1, v18"),
            (vfmv_s_f(17, 9), 0x4204_d8d7, "vfmv.s.f v17, fs1"),
            (vle(Sew::E64, 17, 5), 0x0202_f887, "vle64.v v17, (t0)"),
            (vle(Sew::E8, 17, 5), 0x0202_8887, "vle8.v v17, (t0)"),
            (vse(Sew::E32, 17, 5), 0x0202_e8a7, "vse32.v v17, (t0)"),
            (ROUND_UP, 0x00a0_5073, "csrwi vxrm, 0"),
            (vsetivli_half(Sew::E32, 2), 0xc171_7057, "vsetivli zero, 2, e32, mf2, tu, mu"),
        ] {
            assert_eq!(word, expected, "{text} is {word:#010x}");
        }
    }
}

//! Shuffles by immediates, for hosts with vectors.

use hokku_ir::{Num, Value, VecShuffle};

use crate::lower::Lowering;
use crate::vector_encode::*;

impl Lowering<'_> {
    pub(crate) fn shuffle(&mut self, dst: Value, kind: VecShuffle, a: Value, b: Value, imm: Num) -> bool {
        use VecShuffle as S;
        let imm = imm.0;
        let field = |n: u32| u64::from(imm >> (2 * n) & 3);
        match kind {
            S::PshufD => {
                let vb = self.vector(b);
                if imm == 0xe4 {
                    let d = self.vector_result(dst);
                    self.move_vector(d, vb);
                    return true;
                }
                if imm == 0x4e {
                    self.set_sew(Sew::E64);
                    let d = self.vector_result(dst);
                    self.vi(VSLIDEDOWN, 1, vb, 1);
                    self.vi(VSLIDEUP, 1, vb, 1);
                    self.move_vector(d, 1);
                    return true;
                }
                self.set_sew(Sew::E32);
                let d = self.vector_result(dst);
                let to = if d == vb { 1 } else { d };
                if imm == 0x55 * (imm & 3) {
                    self.vi(VRGATHER, to, vb, (imm & 3).into());
                } else {
                    self.quarters(2, (0..4).map(|n| field(n) << (8 * n)).sum());
                    self.vv(VRGATHER, to, vb, 2);
                }
                self.move_vector(d, to);
            }
            S::PshufLw | S::PshufHw => {
                let vb = self.vector(b);
                self.set_sew(Sew::E16);
                let d = self.vector_result(dst);
                let base = if kind == S::PshufHw { 4 } else { 0 };
                let chosen = (0..4).map(|n| (field(n) + base) << (8 * n)).sum::<u64>();
                let numbers = if kind == S::PshufHw { chosen << 32 | 0x0302_0100 } else { chosen | 0x0706_0504 << 32 };
                self.halves(2, numbers);
                let to = if d == vb { 1 } else { d };
                self.vv(VRGATHER, to, vb, 2);
                self.move_vector(d, to);
            }
            S::ShufPs => {
                let (va, vb) = (self.vector(a), self.vector(b));
                self.set_sew(Sew::E32);
                let d = self.vector_result(dst);
                if va == vb && imm == 0x55 * (imm & 3) {
                    self.vi(VRGATHER, 1, va, (imm & 3).into());
                    self.move_vector(d, 1);
                    return true;
                }
                self.quarters(2, (0..4).map(|n| field(n) << (8 * n)).sum());
                self.vv(VRGATHER, 1, va, 2);
                if va != vb {
                    self.asm.word(vmv_v_i(0, 0b1100));
                    self.asm.word(masked(vv(VRGATHER, 1, vb, 2)));
                }
                self.move_vector(d, 1);
            }
            S::ShufPd => {
                let (va, vb) = (self.vector(a), self.vector(b));
                self.set_sew(Sew::E64);
                let d = self.vector_result(dst);
                match imm & 3 {
                    0 => self.low_halves_of(d, va, vb),
                    1 => {
                        self.vi(VSLIDEDOWN, 1, va, 1);
                        self.vi(VSLIDEUP, 1, vb, 1);
                        self.move_vector(d, 1);
                    }
                    2 => {
                        self.asm.word(vmv_v_i(0, 1));
                        self.asm.word(masked(vv(VMERGE, d, vb, va)));
                    }
                    _ => {
                        self.asm.word(vmv_v_i(0, 1));
                        self.move_vector(1, vb);
                        self.asm.word(masked(vi(VSLIDEDOWN, 1, va, 1)));
                        self.move_vector(d, 1);
                    }
                }
            }
            S::Palignr if imm < 16 => {
                let (va, vb) = (self.vector(a), self.vector(b));
                self.set_sew(Sew::E8);
                let d = self.vector_result(dst);
                if imm == 0 {
                    self.move_vector(d, vb);
                    return true;
                }
                self.vi(VSLIDEDOWN, 1, vb, imm.into());
                self.vi(VSLIDEUP, 1, va, i32::from(16 - imm));
                self.move_vector(d, 1);
            }
            S::BlendPs | S::BlendPd | S::PblendW => {
                let (va, vb) = (self.vector(a), self.vector(b));
                let sew = match kind {
                    S::BlendPs => Sew::E32,
                    S::BlendPd => Sew::E64,
                    _ => Sew::E16,
                };
                self.set_sew(sew);
                let d = self.vector_result(dst);
                let mask = self.scratch(imm.into());
                self.asm.word(vmv_s_x(0, mask));
                self.asm.word(masked(vv(VMERGE, d, va, vb)));
            }
            _ => return false,
        }
        true
    }

    /// `d` = the four bytes of `numbers` as elements of 32 bits, which are set. Changes v1.
    fn quarters(&mut self, d: Vreg, numbers: u64) {
        let n = self.scratch(i64::from(numbers as u32 as i32));
        self.asm.word(vmv_s_x(1, n));
        self.vv(VEXTEND, d, 1, QUARTERS);
    }

    /// `d` = the eight bytes of `numbers` as elements of 16 bits, which are set. Changes v1.
    fn halves(&mut self, d: Vreg, numbers: u64) {
        let n = self.scratch(numbers as i64);
        self.set_sew(Sew::E64);
        self.asm.word(vmv_s_x(1, n));
        self.set_sew(Sew::E16);
        self.vv(VEXTEND, d, 1, HALVES);
    }
}

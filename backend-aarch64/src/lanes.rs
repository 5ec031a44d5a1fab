//! Integer operations on vectors of 128 bits as instructions: of registers, not of values.
//!
//! The destination `d` may be one of the operands: it is written last. `t` and `u` are free.

use hokku_ir::{VecBin, VecShift, VecUn};

use crate::Features;
use crate::asm::Asm;
use crate::assign::{SCRATCH, ZERO};
use crate::simd::{Crypto, One, Permute, Same};

/// Registers of an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Regs {
    pub(crate) d: u8,
    pub(crate) a: u8,
    pub(crate) b: u8,
    pub(crate) t: u8,
    pub(crate) u: u8,
}

/// Operations that are one instruction: what it is, the logarithm of the lanes' bytes, and whether the operands are exchanged.
pub(crate) fn one_instruction(op: VecBin) -> Option<(Same, u8, bool)> {
    use VecBin::*;
    let same = match op {
        PaddB => (Same::ADD, 0),
        PaddW => (Same::ADD, 1),
        PaddD => (Same::ADD, 2),
        PaddQ => (Same::ADD, 3),
        PsubB => (Same::SUB, 0),
        PsubW => (Same::SUB, 1),
        PsubD => (Same::SUB, 2),
        PsubQ => (Same::SUB, 3),
        PaddsB => (Same::SQADD, 0),
        PaddsW => (Same::SQADD, 1),
        PaddusB => (Same::UQADD, 0),
        PaddusW => (Same::UQADD, 1),
        PsubsB => (Same::SQSUB, 0),
        PsubsW => (Same::SQSUB, 1),
        PsubusB => (Same::UQSUB, 0),
        PsubusW => (Same::UQSUB, 1),
        PmullW => (Same::MUL, 1),
        PmullD => (Same::MUL, 2),
        PavgB => (Same::URHADD, 0),
        PavgW => (Same::URHADD, 1),
        PminuB => (Same::UMIN, 0),
        PminuW => (Same::UMIN, 1),
        PminuD => (Same::UMIN, 2),
        PminsB => (Same::SMIN, 0),
        PminsW => (Same::SMIN, 1),
        PminsD => (Same::SMIN, 2),
        PmaxuB => (Same::UMAX, 0),
        PmaxuW => (Same::UMAX, 1),
        PmaxuD => (Same::UMAX, 2),
        PmaxsB => (Same::SMAX, 0),
        PmaxsW => (Same::SMAX, 1),
        PmaxsD => (Same::SMAX, 2),
        PcmpeqB => (Same::CMEQ, 0),
        PcmpeqW => (Same::CMEQ, 1),
        PcmpeqD => (Same::CMEQ, 2),
        PcmpeqQ => (Same::CMEQ, 3),
        PcmpgtB => (Same::CMGT, 0),
        PcmpgtW => (Same::CMGT, 1),
        PcmpgtD => (Same::CMGT, 2),
        PcmpgtQ => (Same::CMGT, 3),
        Pand => (Same::LOGIC, 0),
        Por => (Same::LOGIC, 2),
        Pxor => (Same::EOR, 0),
        Pandn => return Some((Same::LOGIC, 1, true)),
        _ => return None,
    };
    Some((same.0, same.1, false))
}

/// Operations on 128 bits that interleave lanes: which way, of what lanes, and whether the operands are exchanged.
fn interleaving(op: VecBin) -> Option<(Permute, u8, bool)> {
    use VecBin::*;
    Some(match op {
        PunpcklBw => (Permute::Zip1, 0, false),
        PunpcklWd => (Permute::Zip1, 1, false),
        PunpcklDq => (Permute::Zip1, 2, false),
        PunpcklQdq | MovLhps => (Permute::Zip1, 3, false),
        PunpckhBw => (Permute::Zip2, 0, false),
        PunpckhWd => (Permute::Zip2, 1, false),
        PunpckhDq => (Permute::Zip2, 2, false),
        PunpckhQdq => (Permute::Zip2, 3, false),
        MovHlps => (Permute::Zip2, 3, true),
        _ => return None,
    })
}

/// Whether [`Asm::vector_binary`] writes `op` for processors with `features`.
pub(crate) fn binary_is_native(op: VecBin, features: Features) -> bool {
    use VecBin::*;
    match op {
        PmulhW | PmulhuW | PmuludQ | PmuldQ | PmulhrSw | PmaddWd | PmaddubSw | PsadBw => true,
        PacksswB | PackssdW | PackuswB | PackusDw | PsignB | PsignW | PsignD => true,
        PhaddW | PhaddD | PhaddsW | PhsubW | PhsubD | PhsubsW => true,
        PshufB | PermilPs | PsllvD | PsrlvD | PsravD | PsllvQ | PsrlvQ => true,
        AesEnc | AesEncLast | AesDec | AesDecLast => features.contains(Features::AES),
        Sha256Msg1 | Sha256Msg2 => features.contains(Features::SHA2),
        _ => one_instruction(op).is_some() || interleaving(op).is_some(),
    }
}

impl Asm {
    /// `op` of `a` and `b`, one of those that are native ([`binary_is_native`]). The second scratch register changes.
    pub(crate) fn vector_binary(&mut self, op: VecBin, regs: Regs) {
        let Regs { d, a, b, t, u } = regs;
        if let Some((same, log2, exchanged)) = one_instruction(op) {
            let (n, m) = if exchanged { (b, a) } else { (a, b) };
            return self.same(same, true, log2, d, n, m);
        }
        if let Some((permute, log2, exchanged)) = interleaving(op) {
            let (n, m) = if exchanged { (b, a) } else { (a, b) };
            return self.permute(permute, log2, d, n, m);
        }
        use VecBin::*;
        match op {
            PmulhW | PmulhuW => {
                let signed = op == PmulhW;
                self.multiply_long(signed, false, 1, t, a, b);
                self.multiply_long(signed, true, 1, u, a, b);
                self.permute(Permute::Uzp2, 1, d, t, u);
            }
            PmulhrSw => {
                self.multiply_long(true, false, 1, t, a, b);
                self.multiply_long(true, true, 1, u, a, b);
                self.round_words(false, t, t, 15);
                self.round_words(true, t, u, 15);
                self.vec_mov(d, t);
            }
            PmuludQ | PmuldQ => {
                self.cut_lanes(2, t, a);
                self.cut_lanes(2, u, b);
                self.multiply_long(op == PmuldQ, false, 2, d, t, u);
            }
            PmaddWd => {
                self.multiply_long(true, false, 1, t, a, b);
                self.multiply_long(true, true, 1, u, a, b);
                self.same(Same::ADDP, true, 2, d, t, u);
            }
            PmaddubSw => self.multiply_bytes(regs),
            PsadBw => {
                self.same(Same::UABD, true, 0, t, a, b);
                for log2 in 0..2 {
                    self.add_long_pairs(log2, t, t);
                }
                self.add_long_pairs(2, d, t);
            }
            PacksswB | PackssdW | PackuswB | PackusDw => {
                let unsigned = matches!(op, PackuswB | PackusDw);
                let log2 = u8::from(matches!(op, PackssdW | PackusDw));
                self.narrow(unsigned, false, log2, t, a);
                self.narrow(unsigned, true, log2, t, b);
                self.vec_mov(d, t);
            }
            PsignB | PsignW | PsignD => {
                let log2 = op as u8 - PsignB as u8;
                self.one(One::CMLT, true, log2, t, b);
                self.same(Same::CMTST, true, log2, u, b, b);
                // Minus x is (x ^ -1) + 1.
                self.same(Same::LOGIC, true, 0, u, u, a);
                self.same(Same::EOR, true, 0, u, u, t);
                self.same(Same::SUB, true, log2, d, u, t);
            }
            PhaddW => self.same(Same::ADDP, true, 1, d, a, b),
            PhaddD => self.same(Same::ADDP, true, 2, d, a, b),
            PhaddsW | PhsubW | PhsubD | PhsubsW => {
                let (same, log2) = match op {
                    PhaddsW => (Same::SQADD, 1),
                    PhsubW => (Same::SUB, 1),
                    PhsubD => (Same::SUB, 2),
                    _ => (Same::SQSUB, 1),
                };
                self.permute(Permute::Uzp1, log2, t, a, b);
                self.permute(Permute::Uzp2, log2, u, a, b);
                self.same(same, true, log2, d, t, u);
            }
            PshufB => {
                // Numbers from 16 on give zero.
                self.fill_bytes(t, 0x8f);
                self.same(Same::LOGIC, true, 0, t, t, b);
                self.table_bytes(d, a, t);
            }
            PermilPs => {
                // Numbers of bytes: four times that of the lane, and one of 0 to 3.
                self.fill_bytes(t, 3);
                self.permute(Permute::Trn1, 0, u, b, b);
                self.permute(Permute::Trn1, 1, u, u, u);
                self.same(Same::LOGIC, true, 0, t, t, u);
                self.shift_left(true, 8, t, t, 2);
                self.constant(SCRATCH, 0x0302_0100);
                self.broadcast_gpr(2, u, SCRATCH);
                self.same(Same::LOGIC, true, 2, t, t, u);
                self.table_bytes(d, a, t);
            }
            PsllvD | PsrlvD | PsravD | PsllvQ | PsrlvQ => self.shift_by_lanes(op, regs),
            AesEnc | AesEncLast | AesDec | AesDecLast => {
                let encrypts = matches!(op, AesEnc | AesEncLast);
                // The host adds the round key first: none.
                self.vec_mov(t, a);
                self.vec_fill(u, false);
                self.crypto(if encrypts { Crypto::Aese } else { Crypto::Aesd }, t, u);
                match op {
                    AesEnc => self.crypto(Crypto::Aesmc, t, t),
                    AesDec => self.crypto(Crypto::Aesimc, t, t),
                    _ => {}
                }
                self.same(Same::EOR, true, 0, d, t, b);
            }
            Sha256Msg1 => {
                self.vec_mov(t, a);
                self.crypto(Crypto::Sha256su0, t, b);
                self.vec_mov(d, t);
            }
            Sha256Msg2 => {
                // The host adds words as well that the guest has added before: zeros.
                self.vec_mov(t, a);
                self.vec_fill(u, false);
                self.vec_mov(d, b);
                self.gpr_to_lane(2, d, 0, ZERO);
                self.sha256su1(t, u, d);
                self.vec_mov(d, t);
            }
            _ => debug_assert!(false, "{op:?} is not native"),
        }
    }

    /// `PMADDUBSW`: unsigned bytes of `a` times signed ones of `b`, sums of pairs saturated.
    fn multiply_bytes(&mut self, regs: Regs) {
        let Regs { d, a, b, t, u } = regs;
        // Products fit 16 bits.
        self.extend_lanes(false, true, 0, t, a);
        self.extend_lanes(true, true, 0, u, b);
        self.same(Same::MUL, true, 1, u, t, u);
        self.one(One::SADDLP, true, 1, u, u);
        self.extend_lanes(false, false, 0, t, a);
        self.extend_lanes(true, false, 0, d, b);
        self.same(Same::MUL, true, 1, t, t, d);
        self.one(One::SADDLP, true, 1, t, t);
        self.narrow(false, false, 1, t, t);
        self.narrow(false, true, 1, t, u);
        self.vec_mov(d, t);
    }

    /// Shifts of each lane by that of another vector: the host takes the low byte of each as a signed number.
    fn shift_by_lanes(&mut self, op: VecBin, regs: Regs) {
        use VecBin::*;
        let Regs { d, a, b, t, u } = regs;
        let log2 = if matches!(op, PsllvQ | PsrlvQ) { 3 } else { 2 };
        let bits = 8 << log2;
        self.fill_bytes(t, bits);
        self.shift_right(false, true, u32::from(bits), t, t, u32::from(bits) - 8);
        if log2 == 2 {
            self.same(Same::UMIN, true, 2, t, t, b);
        } else {
            // The lanes that are less, and for the others the limit.
            self.same(Same::CMHI, true, 3, u, t, b);
            self.same(Same::EOR, true, 1, u, b, t);
            self.vec_mov(t, u);
        }
        if !matches!(op, PsllvD | PsllvQ) {
            self.one(One::NEG, true, log2, t, t);
        }
        self.same(if op == PsravD { Same::SSHL } else { Same::USHL }, true, log2, d, a, t);
    }
}

/// Whether [`Asm::vector_unary`] writes `op` for processors with `features`.
pub(crate) fn unary_is_native(op: VecUn, features: Features) -> bool {
    match op {
        VecUn::PabsB | VecUn::PabsW | VecUn::PabsD => true,
        VecUn::AesImc => features.contains(Features::AES),
        _ => widening(op).is_some(),
    }
}

/// Whether lanes are widened with their sign, and the logarithms of their bytes before and after.
pub(crate) fn widening(op: VecUn) -> Option<(bool, u8, u8)> {
    use VecUn::*;
    Some(match op {
        PmovsxBw => (true, 0, 1),
        PmovsxBd => (true, 0, 2),
        PmovsxBq => (true, 0, 3),
        PmovsxWd => (true, 1, 2),
        PmovsxWq => (true, 1, 3),
        PmovsxDq => (true, 2, 3),
        PmovzxBw => (false, 0, 1),
        PmovzxBd => (false, 0, 2),
        PmovzxBq => (false, 0, 3),
        PmovzxWd => (false, 1, 2),
        PmovzxWq => (false, 1, 3),
        PmovzxDq => (false, 2, 3),
        _ => return None,
    })
}

impl Asm {
    /// `op` of `a`, one of those that are native ([`unary_is_native`]).
    pub(crate) fn vector_unary(&mut self, op: VecUn, d: u8, a: u8) {
        match op {
            VecUn::PabsB => self.one(One::ABS, true, 0, d, a),
            VecUn::PabsW => self.one(One::ABS, true, 1, d, a),
            VecUn::PabsD => self.one(One::ABS, true, 2, d, a),
            VecUn::AesImc => self.crypto(Crypto::Aesimc, d, a),
            _ => {
                let (signed, from, to) = widening(op).unwrap_or_default();
                let mut n = a;
                for log2 in from..to {
                    self.extend_lanes(signed, false, log2, d, n);
                    n = d;
                }
            }
        }
    }

    /// Shift of the lanes of `a` by the constant `n`; `t` is free.
    pub(crate) fn vector_shift_by(&mut self, op: VecShift, d: u8, a: u8, n: u32, t: u8) {
        use VecShift::*;
        match (op, n) {
            (_, 0) => return self.vec_mov(d, a),
            (PsllDq | PsrlDq, 16..) => return self.vec_fill(d, false),
            (PsllDq, _) => {
                self.vec_fill(t, false);
                return self.extract_bytes(d, t, a, 16 - n as u8);
            }
            (PsrlDq, _) => {
                self.vec_fill(t, false);
                return self.extract_bytes(d, a, t, n as u8);
            }
            _ => {}
        }
        let bits = lane_bits(op);
        let signed = matches!(op, PsraW | PsraD);
        let left = matches!(op, PsllW | PsllD | PsllQ);
        if n >= bits && !signed {
            self.vec_fill(d, false);
        } else if left {
            self.shift_left(true, bits, d, a, n);
        } else {
            // By all bits, a lane becomes its sign.
            self.shift_right(signed, true, bits, d, a, n.min(bits));
        }
    }
}

/// Bits of the lanes that `op` shifts.
pub(crate) fn lane_bits(op: VecShift) -> u32 {
    match op {
        VecShift::PsllW | VecShift::PsrlW | VecShift::PsraW => 16,
        VecShift::PsllD | VecShift::PsrlD | VecShift::PsraD => 32,
        _ => 64,
    }
}

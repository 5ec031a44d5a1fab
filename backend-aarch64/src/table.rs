//! The table from ops to the methods that lower them. What has no method here the runtime evaluates.

use hokku_ir::lowering::UpperBits;
use hokku_ir::ops::Lower;
use hokku_ir::*;

use crate::access::Piece;
use crate::asm::Size;
use crate::assign::{STATE, SYSTEM_FLAGS, segment_base_offset, selector_offset};
use crate::integer::{Logic, Shift};
use crate::lower::Lowering;

impl Lower for Lowering<'_> {
    fn insn(&mut self, _: Value, pc: GuestAddr, _: Num) {
        self.pc = pc;
    }
    fn get_gpr(&mut self, dst: Value, reg: Gpr, w: Width) {
        self.read_gpr(dst, reg, w);
    }
    fn set_gpr(&mut self, _: Value, reg: Gpr, w: Width, v: Value) {
        self.write_gpr(reg, w, v);
    }
    fn get_gpr_high(&mut self, dst: Value, reg: Gpr) {
        self.read_gpr_high(dst, reg);
    }
    fn set_gpr_high(&mut self, _: Value, reg: Gpr, v: Value) {
        self.write_gpr_high(reg, v);
    }
    fn get_flags(&mut self, _: Value) {}
    fn set_flags(&mut self, _: Value, _: FlagSet, _: Value) {}
    fn get_system_flags(&mut self, dst: Value) {
        self.read_state(dst, Width::W32, SYSTEM_FLAGS);
    }
    fn set_system_flags(&mut self, _: Value, mask: Imm, v: Value) {
        self.write_system_flags(mask.0 as u32, v);
    }
    fn get_segment_base(&mut self, dst: Value, seg: Seg) {
        self.read_state(dst, Width::W64, segment_base_offset(seg));
    }
    fn set_segment_base(&mut self, _: Value, seg: Seg, v: Value) {
        let r = self.reg(v);
        self.asm.store(Piece::X, r, STATE, segment_base_offset(seg));
    }
    fn get_selector(&mut self, dst: Value, seg: Seg) {
        self.read_state(dst, Width::W16, selector_offset(seg));
    }
    fn set_selector(&mut self, dst: Value, _: Seg, _: Value) {
        self.rest(dst);
    }
    fn get_vec(&mut self, dst: Value, reg: Num, _: Type) {
        self.read_vec(dst, reg.0);
    }
    fn set_vec(&mut self, _: Value, reg: Num, ty: Type, upper: Upper, v: Value) {
        self.write_vec(reg.0, ty, upper, v);
    }
    fn get_mmx(&mut self, dst: Value, _: Num) {
        self.rest(dst);
    }
    fn set_mmx(&mut self, dst: Value, _: Num, _: Value) {
        self.rest(dst);
    }
    fn store_mmx(&mut self, dst: Value, _: Width, _: Num, _: Addr) {
        self.rest(dst);
    }
    fn get_mxcsr(&mut self, dst: Value) {
        // The stubs bring it up to date.
        self.rest(dst);
    }
    fn set_mxcsr(&mut self, dst: Value, _: Value) {
        self.rest(dst);
    }
    fn iconst(&mut self, _: Value, _: Width, _: Imm) {}
    fn add(&mut self, dst: Value, w: Width, a: Value, b: Value) {
        self.sum(dst, false, w, a, b);
    }
    fn add_flags(&mut self, _: Value, _: Width, _: Value, _: Value) {}
    fn adc(&mut self, dst: Value, w: Width, a: Value, b: Value, f: Value) {
        self.sum_with_carry(dst, false, w, a, b, f);
    }
    fn adc_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn ado(&mut self, dst: Value, _: Width, _: Value, _: Value, _: Value) {
        self.rest(dst);
    }
    fn ado_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn sub(&mut self, dst: Value, w: Width, a: Value, b: Value) {
        self.sum(dst, true, w, a, b);
    }
    fn sub_flags(&mut self, _: Value, _: Width, _: Value, _: Value) {}
    fn sbb(&mut self, dst: Value, w: Width, a: Value, b: Value, f: Value) {
        self.sum_with_carry(dst, true, w, a, b, f);
    }
    fn sbb_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn and(&mut self, dst: Value, w: Width, a: Value, b: Value) {
        self.logic(dst, Logic::And, w, a, b);
    }
    fn or(&mut self, dst: Value, w: Width, a: Value, b: Value) {
        self.logic(dst, Logic::Orr, w, a, b);
    }
    fn xor(&mut self, dst: Value, w: Width, a: Value, b: Value) {
        self.logic(dst, Logic::Eor, w, a, b);
    }
    fn not(&mut self, dst: Value, w: Width, a: Value) {
        self.invert(dst, w, a);
    }
    fn logic_flags(&mut self, _: Value, _: Width, _: Value) {}
    fn inc_flags(&mut self, _: Value, _: Width, _: Value) {}
    fn dec_flags(&mut self, _: Value, _: Width, _: Value) {}
    fn mul(&mut self, dst: Value, w: Width, a: Value, b: Value) {
        self.multiply(dst, w, a, b);
    }
    fn mul_high_u(&mut self, dst: Value, w: Width, a: Value, b: Value) {
        self.multiply_high(dst, false, w, a, b);
    }
    fn mul_high_s(&mut self, dst: Value, w: Width, a: Value, b: Value) {
        self.multiply_high(dst, true, w, a, b);
    }
    fn mul_flags_u(&mut self, _: Value, _: Width, _: Value, _: Value) {}
    fn mul_flags_s(&mut self, _: Value, _: Width, _: Value, _: Value) {}
    fn div_u(&mut self, dst: Value, w: Width, high: Value, low: Value, d: Value) {
        self.quotient(dst, false, w, (high, low, d));
    }
    fn rem_u(&mut self, dst: Value, w: Width, high: Value, low: Value, d: Value) {
        self.remainder(dst, w, (high, low, d));
    }
    fn div_s(&mut self, dst: Value, w: Width, high: Value, low: Value, d: Value) {
        self.quotient(dst, true, w, (high, low, d));
    }
    fn rem_s(&mut self, dst: Value, w: Width, high: Value, low: Value, d: Value) {
        self.remainder(dst, w, (high, low, d));
    }
    fn shl(&mut self, dst: Value, w: Width, a: Value, n: Value) {
        self.shift_value(dst, Shift::Lsl, w, a, n);
    }
    fn shr(&mut self, dst: Value, w: Width, a: Value, n: Value) {
        self.shift_value(dst, Shift::Lsr, w, a, n);
    }
    fn sar(&mut self, dst: Value, w: Width, a: Value, n: Value) {
        self.shift_value(dst, Shift::Asr, w, a, n);
    }
    fn shl_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn shr_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn sar_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn rotl(&mut self, dst: Value, w: Width, a: Value, n: Value) {
        self.rotate(dst, true, w, a, n);
    }
    fn rotr(&mut self, dst: Value, w: Width, a: Value, n: Value) {
        self.rotate(dst, false, w, a, n);
    }
    fn rotl_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn rotr_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn rotl_carry(&mut self, dst: Value, _: Width, _: Value, _: Value, _: Value) {
        self.rest(dst);
    }
    fn rotr_carry(&mut self, dst: Value, _: Width, _: Value, _: Value, _: Value) {
        self.rest(dst);
    }
    fn rotl_carry_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn rotr_carry_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn shld(&mut self, dst: Value, w: Width, a: Value, b: Value, n: Value) {
        if !self.double_shift(dst, true, w, a, b, n) {
            self.rest(dst);
        }
    }
    fn shrd(&mut self, dst: Value, w: Width, a: Value, b: Value, n: Value) {
        if !self.double_shift(dst, false, w, a, b, n) {
            self.rest(dst);
        }
    }
    fn shld_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value, _: Value) {}
    fn shrd_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value, _: Value) {}
    fn bit_scan_forward(&mut self, dst: Value, w: Width, a: Value, zero: Value) {
        self.bit_scan(dst, true, w, a, zero);
    }
    fn bit_scan_reverse(&mut self, dst: Value, w: Width, a: Value, zero: Value) {
        self.bit_scan(dst, false, w, a, zero);
    }
    fn bit_scan_flags(&mut self, _: Value, _: Width, _: Value) {}
    fn count_leading_zeros(&mut self, dst: Value, w: Width, a: Value) {
        self.count_zeros(dst, true, w, a);
    }
    fn count_trailing_zeros(&mut self, dst: Value, w: Width, a: Value) {
        self.count_zeros(dst, false, w, a);
    }
    fn count_zeros_flags(&mut self, _: Value, _: Width, _: Value, _: Value) {}
    fn count_ones(&mut self, dst: Value, w: Width, a: Value) {
        self.count_ones_of(dst, w, a);
    }
    fn count_ones_flags(&mut self, _: Value, _: Width, _: Value) {}
    fn extract_field(&mut self, dst: Value, _: Width, _: Value, _: Value) {
        self.rest(dst);
    }
    fn low_bits(&mut self, dst: Value, w: Width, a: Value, n: Value) {
        self.low_bits_of(dst, w, a, n);
    }
    fn deposit_bits(&mut self, dst: Value, _: Width, _: Value, _: Value) {
        self.rest(dst);
    }
    fn extract_bits(&mut self, dst: Value, _: Width, _: Value, _: Value) {
        self.rest(dst);
    }
    fn crc32c(&mut self, dst: Value, from: Width, crc: Value, v: Value) {
        if !self.checksum(dst, from, crc, v) {
            self.rest(dst);
        }
    }
    fn bit_test_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn byte_swap(&mut self, dst: Value, w: Width, a: Value) {
        self.swap_bytes(dst, w, a);
    }
    fn bcd_adjust(&mut self, dst: Value, _: BcdOp, _: Value, _: Value) {
        self.rest(dst);
    }
    fn bcd_adjust_flags(&mut self, _: Value, _: BcdOp, _: Value, _: Value) {}
    fn extend_zero(&mut self, dst: Value, from: Width, to: Width, v: Value) {
        self.extend(dst, false, from, to, v);
    }
    fn extend_sign(&mut self, dst: Value, from: Width, to: Width, v: Value) {
        self.extend(dst, true, from, to, v);
    }
    fn truncate(&mut self, _: Value, _: Width, _: Width, _: Value) {}
    fn select(&mut self, dst: Value, w: Width, c: Value, a: Value, b: Value) {
        self.select_value(dst, w, c, a, b);
    }
    fn compare(&mut self, dst: Value, op: IntCmp, w: Width, a: Value, b: Value) {
        self.comparison(dst, op, w, a, b);
    }
    fn condition(&mut self, dst: Value, cc: Cond, f: Value) {
        self.condition_value(dst, cc, f);
    }
    fn flags_to_int(&mut self, dst: Value, f: Value) {
        let word = self.flags_word(f);
        let d = self.dest(dst);
        self.asm.mov(Size::X, d, word);
        self.define(dst, UpperBits::ZERO);
    }
    fn int_to_flags(&mut self, _: Value, _: Value) {}
    fn merge_flags(&mut self, _: Value, _: FlagSet, _: Value, _: Value) {}
    fn bitcast(&mut self, dst: Value, from: Type, to: Type, v: Value) {
        self.cast_bits(dst, from, to, v);
    }
    fn lea(&mut self, dst: Value, w: Width, at: Addr) {
        self.effective_address(dst, w, at);
    }
    fn load(&mut self, dst: Value, ty: Type, align: Align, at: Addr) {
        self.load_value(dst, ty, align, at);
    }
    fn store(&mut self, _: Value, ty: Type, align: Align, at: Addr, v: Value) {
        self.store_value(ty, align, at, v);
    }
    fn atomic_rmw(&mut self, dst: Value, op: AtomicOp, w: Width, at: Addr, v: Value) {
        self.atomic_modify(dst, op, w, at, v);
    }
    fn atomic_cas(&mut self, dst: Value, w: Width, at: Addr, expected: Value, new: Value) {
        self.compare_exchange(dst, w, at, expected, new);
    }
    fn compare_exchange_pair(&mut self, dst: Value, _: Width, _: Addr, _: Flag) {
        self.rest(dst);
    }
    fn fence(&mut self, _: Value, kind: Fence) {
        self.fence_memory(kind);
    }
    fn string(&mut self, dst: Value, op: StringOp, w: Width, rep: Rep, address: Width, seg: Flag, source: Seg) {
        if !self.string_op(op, w, rep, address, seg.0.then_some(source)) {
            self.rest(dst);
        }
    }
    fn store_masked(&mut self, dst: Value, _: Width, _: Type, _: Addr, _: Value, _: Value) {
        self.rest(dst);
    }
    fn load_masked(&mut self, dst: Value, _: Width, _: Type, _: Addr, _: Value) {
        self.rest(dst);
    }
    fn gather(&mut self, dst: Value, _: Width, _: Width, _: Type, _: Num, _: Num, _: Num, _: Num, _: Addr) {
        self.rest(dst);
    }
    fn cpuid(&mut self, dst: Value) {
        self.rest(dst);
    }
    fn rdtsc(&mut self, dst: Value) {
        self.rest(dst);
    }
    fn random(&mut self, dst: Value, _: Width) {
        self.rest(dst);
    }
    fn xgetbv(&mut self, dst: Value) {
        self.rest(dst);
    }
    fn state_in_use(&mut self, dst: Value) {
        self.rest(dst);
    }
    fn xsave(&mut self, dst: Value, _: XsaveForm, _: Flag, _: Addr) {
        self.rest(dst);
    }
    fn access_rights(&mut self, dst: Value, _: Value) {
        self.rest(dst);
    }
    fn get_tsc_aux(&mut self, dst: Value) {
        self.rest(dst);
    }
    fn trap_if(&mut self, dst: Value, _: CheckedTrap, _: Value) {
        self.rest(dst);
    }
    fn check_code(&mut self, _: Value, pc: GuestAddr, w: Width, expected: Imm) {
        self.compare_code(pc, w, expected.0);
    }
    fn pause(&mut self, _: Value) {
        self.asm.pause();
    }
    fn fp_arith(&mut self, dst: Value, op: FpOp, ty: Type, a: Value, b: Value) {
        self.float_arith(dst, op, ty, a, b);
    }
    fn fp_sqrt(&mut self, dst: Value, ty: Type, a: Value) {
        self.float_sqrt(dst, ty, a);
    }
    fn fp_compare_flags(&mut self, dst: Value, ty: Type, signalling: Flag, a: Value, b: Value) {
        self.float_compare(dst, ty, signalling.0, a, b);
    }
    fn fp_compare_mask(&mut self, dst: Value, ty: Type, predicate: Num, a: Value, b: Value) {
        if !self.float_compare_mask(dst, ty, predicate.0, a, b) {
            self.rest(dst);
        }
    }
    fn fp_to_int(&mut self, dst: Value, ty: Type, w: Width, round: FpRound, v: Value) {
        self.float_to_int(dst, ty, w, round, v);
    }
    fn int_to_fp(&mut self, dst: Value, w: Width, ty: Type, v: Value) {
        self.int_to_float(dst, w, ty, v);
    }
    fn fp_convert(&mut self, dst: Value, from: Type, _: Type, v: Value) {
        self.float_convert(dst, from, v);
    }
    fn fp_integral(&mut self, dst: Value, ty: Type, mode: Num, v: Value) {
        if !self.float_integral(dst, ty, mode.0, v) {
            self.rest(dst);
        }
    }
    fn fp_fma(&mut self, dst: Value, op: FmaOp, ty: Type, a: Value, b: Value, c: Value) {
        self.float_multiply_add(dst, op, ty, [a, b, c]);
    }
    fn vec_binary(&mut self, dst: Value, op: VecBin, ty: Type, a: Value, b: Value) {
        if !self.vector_binary(dst, op, ty, a, b) {
            self.rest(dst);
        }
    }
    fn vec_unary(&mut self, dst: Value, op: VecUn, ty: Type, a: Value) {
        if !self.vector_unary(dst, op, ty, a) {
            self.rest(dst);
        }
    }
    fn vec_ternary(&mut self, dst: Value, op: VecTer, ty: Type, a: Value, b: Value, c: Value) {
        if !self.vector_ternary(dst, op, ty, [a, b, c]) {
            self.rest(dst);
        }
    }
    fn vec_fma(&mut self, dst: Value, op: FmaOp, lane: Type, ty: Type, a: Value, b: Value, c: Value) {
        self.packed_multiply_add(dst, op, lane, ty, [a, b, c]);
    }
    fn vec_from_mmx_ints(&mut self, dst: Value, _: Type, _: Value) {
        self.rest(dst);
    }
    fn vec_to_mmx_ints(&mut self, dst: Value, _: Type, _: FpRound, _: Value) {
        self.rest(dst);
    }
    fn vec_to_half(&mut self, dst: Value, _: Num, _: Type, _: Value) {
        self.rest(dst);
    }
    fn vec_shift(&mut self, dst: Value, op: VecShift, ty: Type, a: Value, n: Value) {
        if !self.vector_shift_by_value(dst, op, ty, a, n) {
            self.rest(dst);
        }
    }
    fn vec_shift_imm(&mut self, dst: Value, op: VecShift, ty: Type, a: Value, n: Num) {
        if !self.vector_shift(dst, op, ty, a, n.0) {
            self.rest(dst);
        }
    }
    fn vec_shuffle(&mut self, dst: Value, op: VecShuffle, ty: Type, a: Value, b: Value, imm: Num) {
        if !self.vector_shuffle(dst, op, ty, (a, b), imm.0) {
            self.rest(dst);
        }
    }
    fn vec_imm(&mut self, dst: Value, op: VecImm, ty: Type, a: Value, b: Value, imm: Num) {
        if !self.vector_imm(dst, op, ty, a, b, imm.0) {
            self.rest(dst);
        }
    }
    fn vec_compare(&mut self, dst: Value, lane: Type, predicate: Num, ty: Type, a: Value, b: Value) {
        if !self.packed_compare(dst, lane, predicate.0, ty, a, b) {
            self.rest(dst);
        }
    }
    fn vec_integral(&mut self, dst: Value, lane: Type, mode: Num, ty: Type, a: Value) {
        if !self.packed_integral(dst, lane, mode.0, ty, a) {
            self.rest(dst);
        }
    }
    fn vec_dot(&mut self, dst: Value, _: Type, _: Num, _: Type, _: Value, _: Value) {
        self.rest(dst);
    }
    fn vec_test_flags(&mut self, dst: Value, op: VecTest, ty: Type, a: Value, b: Value) {
        if !self.vector_test(dst, op, ty, a, b) {
            self.rest(dst);
        }
    }
    fn vec_mask(&mut self, dst: Value, op: MaskOp, ty: Type, a: Value) {
        if !self.vector_mask(dst, op, ty, a) {
            self.rest(dst);
        }
    }
    fn vec_extract(&mut self, dst: Value, w: Width, ty: Type, a: Value, lane: Num) {
        match ty {
            Type::V256 => self.rest(dst),
            _ => self.vector_extract(dst, w, a, lane.0),
        }
    }
    fn vec_insert(&mut self, dst: Value, w: Width, ty: Type, a: Value, lane: Num, v: Value) {
        match ty {
            Type::V128 => self.vector_insert(dst, w, a, lane.0, v),
            _ => self.rest(dst),
        }
    }
    fn vec_merge_low(&mut self, dst: Value, ty: Type, a: Value, low: Value) {
        self.vector_merge_low(dst, ty, a, low);
    }
    fn vec_zero_extend(&mut self, dst: Value, from: Type, ty: Type, v: Value) {
        match ty {
            Type::V128 => self.vector_zero_extend(dst, from, v),
            _ => self.wide_zero_extend(dst, from, v),
        }
    }
    fn vec_broadcast(&mut self, dst: Value, w: Width, ty: Type, a: Value) {
        match ty {
            Type::V256 => self.wide_broadcast(dst, w, a),
            _ => self.vector_broadcast(dst, w, a),
        }
    }
    fn vec_half(&mut self, dst: Value, ty: Type, high: Flag, a: Value) {
        match ty {
            Type::V256 => self.wide_half(dst, high.0, a),
            _ => self.vector_half(dst, high.0, a),
        }
    }
    fn vec_join(&mut self, dst: Value, ty: Type, low: Value, high: Value) {
        match ty {
            Type::V256 => self.wide_join(dst, low, high),
            _ => self.vector_join(dst, low, high),
        }
    }
    fn vec_const(&mut self, dst: Value, ty: Type, bit: Flag) {
        match ty {
            Type::V256 => self.wide_const(dst, bit.0),
            _ => {
                let d = self.vec_dest(dst);
                self.asm.vec_fill(d, bit.0);
            }
        }
    }
    fn zero_vectors(&mut self, _: Value, all: Flag) {
        self.clear_vectors(all.0);
    }
    fn vec_string_index(&mut self, dst: Value, _: Num, _: Flag, _: Value, _: Value, _: Value, _: Value) {
        self.rest(dst);
    }
    fn vec_string_mask(&mut self, dst: Value, _: Num, _: Flag, _: Value, _: Value, _: Value, _: Value) {
        self.rest(dst);
    }
    fn vec_string_flags(&mut self, dst: Value, _: Num, _: Flag, _: Value, _: Value, _: Value, _: Value) {
        self.rest(dst);
    }
    fn x87_load(&mut self, dst: Value, _: X87Format, _: Addr) {
        self.x87(dst);
    }
    fn x87_store(&mut self, dst: Value, _: X87Format, _: Flag, _: Flag, _: Addr) {
        self.x87(dst);
    }
    fn x87_push(&mut self, dst: Value, _: Num) {
        self.x87(dst);
    }
    fn x87_push_const(&mut self, dst: Value, _: X87Const) {
        self.x87(dst);
    }
    fn x87_copy(&mut self, dst: Value, _: Num, _: Flag) {
        self.x87(dst);
    }
    fn x87_exchange(&mut self, dst: Value, _: Num) {
        self.x87(dst);
    }
    fn x87_arith(&mut self, dst: Value, _: X87Op, _: Num, _: Num, _: Flag) {
        self.x87(dst);
    }
    fn x87_arith_mem(&mut self, dst: Value, _: X87Op, _: X87Format, _: Addr) {
        self.x87(dst);
    }
    fn x87_compare(&mut self, dst: Value, _: Num, _: Flag, _: Num) {
        self.x87(dst);
    }
    fn x87_compare_mem(&mut self, dst: Value, _: X87Format, _: Flag, _: Addr) {
        self.x87(dst);
    }
    fn x87_compare_flags(&mut self, dst: Value, _: Num, _: Flag, _: Flag) {
        self.x87(dst);
    }
    fn x87_unary(&mut self, dst: Value, _: X87Unary) {
        self.x87(dst);
    }
    fn x87_cmov(&mut self, dst: Value, _: Value, _: Num) {
        self.x87(dst);
    }
    fn x87_free(&mut self, dst: Value, _: Num, _: Flag) {
        self.x87(dst);
    }
    fn x87_control(&mut self, dst: Value, _: X87Control) {
        self.x87(dst);
    }
    fn x87_get_status(&mut self, dst: Value) {
        if self.computes_in_doubles() {
            return self.x87(dst);
        }
        self.x87_exact_status(dst);
    }
    fn x87_get_control(&mut self, dst: Value) {
        self.x87_word(dst, crate::assign::X87_CONTROL);
    }
    fn x87_set_control(&mut self, dst: Value, _: Value) {
        self.x87(dst);
    }
    fn state_image(&mut self, dst: Value, _: StateImage, _: StateDirection, _: Flag, _: Addr) {
        self.rest(dst);
    }
}

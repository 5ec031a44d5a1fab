//! The table from ops to the methods that lower them.

use hokku_ir::ops::Lower;
use hokku_ir::*;

use crate::Features;
use crate::assign::{MXCSR, SYSTEM_FLAGS, segment_base_offset};
use crate::encode::{Alu, Shift};
use crate::lower::Lowering;
use crate::values::Loc;

impl Lower for Lowering<'_> {
    fn insn(&mut self, _: Value, pc: GuestAddr, _: Num) {
        self.pc = pc;
    }
    fn get_gpr(&mut self, dst: Value, reg: Gpr, w: Width) {
        if reg == Gpr::Rsp {
            if w == self.mode.word() {
                return self.define_stack(dst, self.asm.stack_delta);
            }
            self.flush_stack();
        }
        self.read_gpr(dst, Loc::Home(reg), reg);
    }
    fn set_gpr(&mut self, _: Value, reg: Gpr, w: Width, v: Value) {
        if self.loc(v) == Loc::Deferred && matches!(self.op_at(self.root(v)), Some(Op::X87GetStatus {})) {
            return self.status_to_ax(v);
        }
        self.write_gpr(reg, w, v);
    }
    fn get_gpr_high(&mut self, dst: Value, reg: Gpr) {
        self.read_gpr(dst, Loc::High(reg), reg);
    }
    fn set_gpr_high(&mut self, _: Value, reg: Gpr, v: Value) {
        self.write_gpr_high(reg, v);
    }
    fn get_flags(&mut self, dst: Value) {
        self.read_flags(dst);
    }
    fn set_flags(&mut self, _: Value, set: FlagSet, v: Value) {
        self.write_flags(set, v);
    }
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
        self.write_segment_base(seg, v);
    }
    fn get_selector(&mut self, dst: Value, seg: Seg) {
        self.read_selector(dst, seg);
    }
    fn set_selector(&mut self, dst: Value, _: Seg, _: Value) {
        self.rest(dst);
    }
    fn get_vec(&mut self, dst: Value, reg: Num, ty: Type) {
        self.read_vec(dst, reg.0, ty);
    }
    fn set_vec(&mut self, _: Value, reg: Num, ty: Type, upper: Upper, v: Value) {
        self.write_vec(reg.0, ty, upper, v);
    }
    fn get_mmx(&mut self, dst: Value, reg: Num) {
        self.read_mmx(dst, reg.0);
    }
    fn set_mmx(&mut self, _: Value, reg: Num, v: Value) {
        self.write_mmx(reg.0, v);
    }
    fn get_mxcsr(&mut self, dst: Value) {
        self.asm.op(crate::encode::Opcode::of(0x0fae), 3, crate::encode::Mem::state(MXCSR), &[]);
        self.read_state(dst, Width::W32, MXCSR);
    }
    fn set_mxcsr(&mut self, dst: Value, v: Value) {
        if self.features.contains(Features::MXCSR_WITHOUT_MM) {
            self.write_mxcsr(v);
        } else {
            self.rest(dst);
        }
    }

    fn iconst(&mut self, dst: Value, w: Width, value: Imm) {
        self.vals[dst.0 as usize].loc = Loc::Const(value.0 & w.mask());
    }
    fn add(&mut self, dst: Value, w: Width, a: Value, b: Value) {
        if let Some(offset) = self.stack_sum(w, a, b, false).filter(|_| self.joined_flags().is_none()) {
            self.define_stack(dst, offset);
            return self.consume_inst(self.cur);
        }
        self.binary(dst, Alu::Add, w, (a, b), None);
    }
    fn adc(&mut self, dst: Value, w: Width, a: Value, b: Value, f: Value) {
        self.binary(dst, Alu::Adc, w, (a, b), Some(f));
    }
    fn ado(&mut self, dst: Value, _: Width, _: Value, _: Value, _: Value) {
        self.rest(dst);
    }
    fn ado_flags(&mut self, dst: Value, _: Width, _: Value, _: Value, _: Value) {
        self.rest(dst);
    }
    fn sub(&mut self, dst: Value, w: Width, a: Value, b: Value) {
        if let Some(offset) = self.stack_sum(w, a, b, true).filter(|_| self.joined_flags().is_none()) {
            self.define_stack(dst, offset);
            self.consume_inst(self.cur);
        } else if self.constant_of(a) == Some(0) && self.constant_of(b).is_none() {
            self.unary(dst, 3, w, b);
        } else {
            self.binary(dst, Alu::Sub, w, (a, b), None);
        }
    }
    fn sbb(&mut self, dst: Value, w: Width, a: Value, b: Value, f: Value) {
        self.binary(dst, Alu::Sbb, w, (a, b), Some(f));
    }
    fn and(&mut self, dst: Value, w: Width, a: Value, b: Value) {
        if !self.is_count_mask(dst, w, a, b) {
            self.binary(dst, Alu::And, w, (a, b), None);
        }
    }
    fn or(&mut self, dst: Value, w: Width, a: Value, b: Value) {
        self.binary(dst, Alu::Or, w, (a, b), None);
    }
    fn xor(&mut self, dst: Value, w: Width, a: Value, b: Value) {
        self.binary(dst, Alu::Xor, w, (a, b), None);
    }
    fn not(&mut self, dst: Value, w: Width, a: Value) {
        self.unary(dst, 2, w, a);
    }
    fn mul(&mut self, dst: Value, w: Width, a: Value, b: Value) {
        self.multiply(dst, w, a, b);
    }
    fn mul_high_u(&mut self, dst: Value, w: Width, a: Value, b: Value) {
        self.multiply_high(dst, false, w, a, b);
    }
    fn mul_high_s(&mut self, dst: Value, w: Width, a: Value, b: Value) {
        self.multiply_high(dst, true, w, a, b);
    }
    fn div_u(&mut self, dst: Value, w: Width, high: Value, low: Value, d: Value) {
        if !self.divide(dst, false, w, (high, low, d)) {
            self.rest(dst);
        }
    }
    fn rem_u(&mut self, dst: Value, _: Width, _: Value, _: Value, _: Value) {
        self.rest(dst);
    }
    fn div_s(&mut self, dst: Value, w: Width, high: Value, low: Value, d: Value) {
        if !self.divide(dst, true, w, (high, low, d)) {
            self.rest(dst);
        }
    }
    fn rem_s(&mut self, dst: Value, _: Width, _: Value, _: Value, _: Value) {
        self.rest(dst);
    }
    fn shl(&mut self, dst: Value, w: Width, a: Value, n: Value) {
        self.shift_value(dst, Shift::Shl, w, a, n, None);
    }
    fn shr(&mut self, dst: Value, w: Width, a: Value, n: Value) {
        self.shift_value(dst, Shift::Shr, w, a, n, None);
    }
    fn sar(&mut self, dst: Value, w: Width, a: Value, n: Value) {
        self.shift_value(dst, Shift::Sar, w, a, n, None);
    }
    fn rotl(&mut self, dst: Value, w: Width, a: Value, n: Value) {
        self.shift_value(dst, Shift::Rol, w, a, n, None);
    }
    fn rotr(&mut self, dst: Value, w: Width, a: Value, n: Value) {
        self.shift_value(dst, Shift::Ror, w, a, n, None);
    }
    fn rotl_carry(&mut self, dst: Value, w: Width, a: Value, n: Value, f: Value) {
        self.shift_value(dst, Shift::Rcl, w, a, n, Some(f));
    }
    fn rotr_carry(&mut self, dst: Value, w: Width, a: Value, n: Value, f: Value) {
        self.shift_value(dst, Shift::Rcr, w, a, n, Some(f));
    }
    fn shld(&mut self, dst: Value, w: Width, a: Value, b: Value, n: Value) {
        self.double_shift(Some(dst), true, w, (a, b, n), None);
    }
    fn shrd(&mut self, dst: Value, w: Width, a: Value, b: Value, n: Value) {
        self.double_shift(Some(dst), false, w, (a, b, n), None);
    }
    fn bit_scan_forward(&mut self, dst: Value, w: Width, a: Value, zero: Value) {
        self.bit_scan(dst, 0x0fbc, w, a, zero);
    }
    fn bit_scan_reverse(&mut self, dst: Value, w: Width, a: Value, zero: Value) {
        self.bit_scan(dst, 0x0fbd, w, a, zero);
    }
    fn byte_swap(&mut self, dst: Value, w: Width, a: Value) {
        self.swap_bytes(dst, w, a);
    }
    fn bcd_adjust(&mut self, dst: Value, _: BcdOp, _: Value, _: Value) {
        self.rest(dst);
    }
    fn extend_zero(&mut self, dst: Value, from: Width, to: Width, v: Value) {
        if self.cur.checked_sub(1).is_some_and(|first| self.is_sahf(first)) {
            return self.defer(dst);
        }
        self.extend(dst, false, from, to, v);
    }
    fn extend_sign(&mut self, dst: Value, from: Width, to: Width, v: Value) {
        self.extend(dst, true, from, to, v);
    }
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
        let t = self.flags_to_reg(f);
        self.consume_inst(self.cur);
        self.define_temp(dst, t);
    }
    fn bitcast(&mut self, dst: Value, from: Type, to: Type, v: Value) {
        self.cast_bits(dst, from, to, v);
    }

    // Flags ops stand where they are used: see `compute_flags`. `truncate` is another name for its operand.
    fn truncate(&mut self, _: Value, _: Width, _: Width, _: Value) {}
    fn add_flags(&mut self, _: Value, _: Width, _: Value, _: Value) {}
    fn adc_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn sub_flags(&mut self, _: Value, _: Width, _: Value, _: Value) {}
    fn sbb_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn logic_flags(&mut self, _: Value, _: Width, _: Value) {}
    fn inc_flags(&mut self, _: Value, _: Width, _: Value) {}
    fn dec_flags(&mut self, _: Value, _: Width, _: Value) {}
    fn mul_flags_u(&mut self, _: Value, _: Width, _: Value, _: Value) {}
    fn mul_flags_s(&mut self, _: Value, _: Width, _: Value, _: Value) {}
    fn shl_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn shr_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn sar_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn rotl_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn rotr_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn rotl_carry_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn rotr_carry_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn shld_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value, _: Value) {}
    fn shrd_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value, _: Value) {}
    fn bit_scan_flags(&mut self, _: Value, _: Width, _: Value) {}
    fn count_leading_zeros(&mut self, dst: Value, w: Width, a: Value) {
        self.count_bits(dst, 0x0fbd, Features::LZCNT, w, a);
    }
    fn count_trailing_zeros(&mut self, dst: Value, w: Width, a: Value) {
        self.count_bits(dst, 0x0fbc, Features::BMI1, w, a);
    }
    fn count_zeros_flags(&mut self, dst: Value, _: Width, _: Value, _: Value) {
        self.rest(dst);
    }
    fn count_ones(&mut self, dst: Value, w: Width, a: Value) {
        self.count_bits(dst, 0x0fb8, Features::POPCNT, w, a);
    }
    fn count_ones_flags(&mut self, dst: Value, _: Width, _: Value) {
        self.rest(dst);
    }
    fn extract_field(&mut self, dst: Value, w: Width, a: Value, control: Value) {
        self.cut_bits(dst, 0x0f38f7, Features::BMI1, w, a, control);
    }
    fn low_bits(&mut self, dst: Value, w: Width, a: Value, n: Value) {
        self.cut_bits(dst, 0x0f38f5, Features::BMI2, w, a, n);
    }
    fn deposit_bits(&mut self, dst: Value, w: Width, a: Value, mask: Value) {
        self.move_bits(dst, 0xf2, w, a, mask);
    }
    fn extract_bits(&mut self, dst: Value, w: Width, a: Value, mask: Value) {
        self.move_bits(dst, 0xf3, w, a, mask);
    }
    fn crc32c(&mut self, dst: Value, from: Width, crc: Value, v: Value) {
        self.checksum(dst, from, crc, v);
    }
    fn bit_test_flags(&mut self, _: Value, _: Width, _: Value, _: Value, _: Value) {}
    fn vec_test_flags(&mut self, _: Value, _: VecTest, _: Type, _: Value, _: Value) {}
    fn bcd_adjust_flags(&mut self, _: Value, _: BcdOp, _: Value, _: Value) {}
    fn int_to_flags(&mut self, _: Value, _: Value) {}
    fn merge_flags(&mut self, _: Value, _: FlagSet, _: Value, _: Value) {}

    fn lea(&mut self, dst: Value, w: Width, at: Addr) {
        self.effective_address(dst, w, at);
    }
    fn load(&mut self, dst: Value, ty: Type, align: Align, at: Addr) {
        if self.is_new_control_word(dst) {
            return self.defer(dst);
        }
        self.load_value(dst, ty, align, at);
    }
    fn store(&mut self, _: Value, ty: Type, align: Align, at: Addr, v: Value) {
        if let Some(code) = self.x87_word_code(v).filter(|_| self.loc(v) == Loc::Deferred) {
            return self.x87_memory(code, at);
        }
        self.store_value(ty, align, at, v);
    }
    fn atomic_rmw(&mut self, dst: Value, op: AtomicOp, w: Width, at: Addr, v: Value) {
        if !self.atomic_modify(dst, op, w, at, v) {
            self.rest(dst);
        }
    }
    fn atomic_cas(&mut self, dst: Value, w: Width, at: Addr, expected: Value, new: Value) {
        if !self.compare_exchange(dst, w, at, expected, new) {
            self.rest(dst);
        }
    }
    fn compare_exchange_pair(&mut self, dst: Value, w: Width, at: Addr, locked: Flag) {
        self.exchange_pair(dst, w, at, locked.0);
    }
    fn fence(&mut self, _: Value, kind: Fence) {
        self.fence_memory(kind);
    }
    fn string(&mut self, dst: Value, op: StringOp, w: Width, rep: Rep, address: Width, seg: Flag, source: Seg) {
        if !self.string_op(op, w, rep, address, seg.0.then_some(source)) {
            self.rest(dst);
        }
    }
    fn store_masked(&mut self, dst: Value, w: Width, ty: Type, at: Addr, v: Value, mask: Value) {
        self.masked_store(dst, w, ty, at, v, mask);
    }
    fn load_masked(&mut self, dst: Value, w: Width, ty: Type, at: Addr, mask: Value) {
        self.masked_load(dst, w, ty, at, mask);
    }
    fn gather(
        &mut self,
        dst: Value,
        w: Width,
        index: Width,
        ty: Type,
        to: Num,
        mask: Num,
        indices: Num,
        scale: Num,
        at: Addr,
    ) {
        self.gather_lanes(dst, (w, index), ty, [to.0, mask.0, indices.0], scale.0, at);
    }
    fn cpuid(&mut self, dst: Value) {
        self.rest(dst);
    }
    fn rdtsc(&mut self, dst: Value) {
        self.read_tsc(dst);
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
    fn check_code(&mut self, _: Value, pc: GuestAddr, w: Width, expected: Imm) {
        self.compare_code(pc, w, expected.0);
    }
    fn trap_if(&mut self, dst: Value, _: CheckedTrap, _: Value) {
        self.rest(dst);
    }
    fn pause(&mut self, _: Value) {
        self.asm.plain(&[0xf3, 0x90]);
    }

    fn fp_arith(&mut self, dst: Value, op: FpOp, ty: Type, a: Value, b: Value) {
        self.scalar_arith(dst, op, ty, a, b);
    }
    fn fp_sqrt(&mut self, dst: Value, ty: Type, a: Value) {
        self.scalar_sqrt(dst, ty, a);
    }
    fn fp_compare_flags(&mut self, dst: Value, ty: Type, signalling: Flag, a: Value, b: Value) {
        self.scalar_compare(dst, ty, signalling.0, a, b);
    }
    fn fp_compare_mask(&mut self, dst: Value, ty: Type, predicate: Num, a: Value, b: Value) {
        self.scalar_mask(dst, ty, predicate.0, a, b);
    }
    fn fp_to_int(&mut self, dst: Value, ty: Type, w: Width, round: FpRound, v: Value) {
        self.scalar_to_int(dst, ty, w, round, v);
    }
    fn int_to_fp(&mut self, dst: Value, w: Width, ty: Type, v: Value) {
        self.int_to_scalar(dst, w, ty, v);
    }
    fn fp_convert(&mut self, dst: Value, from: Type, _: Type, v: Value) {
        self.scalar_convert(dst, from, v);
    }
    fn fp_integral(&mut self, dst: Value, ty: Type, mode: Num, v: Value) {
        self.scalar_integral(dst, ty, mode.0, v);
    }
    fn fp_fma(&mut self, dst: Value, op: FmaOp, ty: Type, a: Value, b: Value, c: Value) {
        self.fused_multiply(dst, op, ty, ty, [a, b, c]);
    }

    fn vec_binary(&mut self, dst: Value, op: VecBin, ty: Type, a: Value, b: Value) {
        self.vector_binary(dst, op, ty, a, b);
    }
    fn vec_unary(&mut self, dst: Value, op: VecUn, ty: Type, a: Value) {
        self.vector_unary(dst, op, ty, a);
    }
    fn vec_ternary(&mut self, dst: Value, op: VecTer, ty: Type, a: Value, b: Value, c: Value) {
        self.vector_ternary(dst, op, ty, a, b, c);
    }
    fn vec_fma(&mut self, dst: Value, op: FmaOp, lane: Type, ty: Type, a: Value, b: Value, c: Value) {
        self.fused_multiply(dst, op, lane, ty, [a, b, c]);
    }
    fn vec_from_mmx_ints(&mut self, dst: Value, to: Type, v: Value) {
        self.vector_from_ints(dst, to, v);
    }
    fn vec_to_mmx_ints(&mut self, dst: Value, from: Type, round: FpRound, v: Value) {
        self.vector_to_ints(dst, from, round, v);
    }
    fn vec_to_half(&mut self, dst: Value, mode: Num, ty: Type, a: Value) {
        self.vector_to_half(dst, mode.0, ty, a);
    }
    fn vec_shift(&mut self, dst: Value, op: VecShift, ty: Type, a: Value, n: Value) {
        self.vector_shift(dst, op, ty, a, n);
    }
    fn vec_shift_imm(&mut self, dst: Value, op: VecShift, ty: Type, a: Value, n: Num) {
        self.vector_shift_imm(dst, op, ty, a, n.0);
    }
    fn vec_shuffle(&mut self, dst: Value, op: VecShuffle, ty: Type, a: Value, b: Value, imm: Num) {
        self.vector_shuffle(dst, op, ty, a, b, imm.0);
    }
    fn vec_imm(&mut self, dst: Value, op: VecImm, ty: Type, a: Value, b: Value, imm: Num) {
        self.vector_imm(dst, op, ty, a, b, imm.0);
    }
    fn vec_compare(&mut self, dst: Value, lane: Type, predicate: Num, ty: Type, a: Value, b: Value) {
        self.vector_compare(dst, lane, predicate.0, ty, a, b);
    }
    fn vec_integral(&mut self, dst: Value, lane: Type, mode: Num, ty: Type, a: Value) {
        self.vector_integral(dst, lane, mode.0, ty, a);
    }
    fn vec_dot(&mut self, dst: Value, lane: Type, imm: Num, ty: Type, a: Value, b: Value) {
        self.vector_dot(dst, lane, imm.0, ty, a, b);
    }
    fn vec_mask(&mut self, dst: Value, op: MaskOp, ty: Type, a: Value) {
        self.vector_mask(dst, op, ty, a);
    }
    fn vec_extract(&mut self, dst: Value, w: Width, ty: Type, a: Value, lane: Num) {
        self.vector_extract(dst, w, ty, a, lane.0);
    }
    fn vec_insert(&mut self, dst: Value, w: Width, ty: Type, a: Value, lane: Num, v: Value) {
        self.vector_insert(dst, w, ty, a, lane.0, v);
    }
    fn vec_merge_low(&mut self, dst: Value, ty: Type, a: Value, low: Value) {
        self.vector_merge_low(dst, ty, a, low);
    }
    fn vec_zero_extend(&mut self, dst: Value, from: Type, ty: Type, v: Value) {
        self.vector_zero_extend(dst, from, ty, v);
    }
    fn vec_broadcast(&mut self, dst: Value, w: Width, ty: Type, a: Value) {
        self.vector_broadcast(dst, w, ty, a);
    }
    fn vec_half(&mut self, dst: Value, ty: Type, high: Flag, a: Value) {
        self.vector_half(dst, ty, high.0, a);
    }
    fn vec_join(&mut self, dst: Value, ty: Type, low: Value, high: Value) {
        self.vector_join(dst, ty, low, high);
    }
    fn vec_const(&mut self, dst: Value, ty: Type, bit: Flag) {
        self.vector_const(dst, ty, bit.0);
    }
    fn zero_vectors(&mut self, dst: Value, all: Flag) {
        self.zero_all_vectors(dst, all.0);
    }
    fn vec_string_index(&mut self, dst: Value, control: Num, explicit: Flag, a: Value, _: Value, b: Value, _: Value) {
        self.string_index(dst, control.0, explicit.0, a, b);
    }
    fn vec_string_mask(&mut self, dst: Value, _: Num, _: Flag, _: Value, _: Value, _: Value, _: Value) {
        self.rest(dst);
    }
    fn vec_string_flags(&mut self, dst: Value, _: Num, _: Flag, _: Value, _: Value, _: Value, _: Value) {
        self.rest(dst);
    }

    fn store_mmx(&mut self, _: Value, w: Width, reg: Num, at: Addr) {
        self.write_mmx_to_memory(w, reg.0, at);
    }
    fn x87_load(&mut self, _: Value, format: X87Format, at: Addr) {
        self.x87_memory(crate::x87::load_code(format), at);
    }
    fn x87_store(&mut self, dst: Value, format: X87Format, truncate: Flag, pop: Flag, at: Addr) {
        match crate::x87::store_code(format, truncate.0, pop.0) {
            Some(code) => self.x87_memory(code, at),
            None => self.rest(dst),
        }
    }
    fn x87_push(&mut self, _: Value, st: Num) {
        self.x87_plain(&[0xd9, 0xc0 + st.0]);
    }
    fn x87_push_const(&mut self, _: Value, value: X87Const) {
        self.x87_plain(&[0xd9, 0xe8 + value as u8]);
    }
    fn x87_copy(&mut self, _: Value, st: Num, pop: Flag) {
        self.x87_plain(&[0xdd, if pop.0 { 0xd8 } else { 0xd0 } + st.0]);
    }
    fn x87_exchange(&mut self, _: Value, st: Num) {
        self.x87_plain(&[0xd9, 0xc8 + st.0]);
    }
    fn x87_arith(&mut self, dst: Value, op: X87Op, to: Num, src: Num, pop: Flag) {
        match crate::x87::arith_code(op, to.0, src.0, pop.0) {
            Some(code) => self.x87_plain(&code),
            None => self.rest(dst),
        }
    }
    fn x87_arith_mem(&mut self, dst: Value, op: X87Op, format: X87Format, at: Addr) {
        match crate::x87::arith_mem_code(op, format) {
            Some(code) => self.x87_memory(code, at),
            None => self.rest(dst),
        }
    }
    fn x87_compare(&mut self, dst: Value, st: Num, unordered: Flag, pops: Num) {
        match crate::x87::compare_code(st.0, unordered.0, pops.0) {
            Some(code) => self.x87_plain(&code),
            None => self.rest(dst),
        }
    }
    fn x87_compare_mem(&mut self, dst: Value, format: X87Format, pop: Flag, at: Addr) {
        match crate::x87::compare_mem_code(format, pop.0) {
            Some(code) => self.x87_memory(code, at),
            None => self.rest(dst),
        }
    }
    fn x87_compare_flags(&mut self, dst: Value, st: Num, unordered: Flag, pop: Flag) {
        self.x87_to_flags(dst, st.0, unordered.0, pop.0);
    }
    fn x87_unary(&mut self, _: Value, op: X87Unary) {
        self.x87_plain(&[0xd9, crate::x87::unary_code(op)]);
    }
    fn x87_cmov(&mut self, _: Value, c: Value, st: Num) {
        self.x87_select(c, st.0);
    }
    fn x87_free(&mut self, _: Value, st: Num, pop: Flag) {
        self.x87_plain(&[if pop.0 { 0xdf } else { 0xdd }, 0xc0 + st.0]);
    }
    fn x87_control(&mut self, _: Value, op: X87Control) {
        match crate::x87::control_code(op) {
            Some(code) => self.x87_plain(code),
            None if op == X87Control::Clex => self.clear_exceptions(Op::X87ControlOp { op }),
            None => self.enter_mmx(),
        }
    }
    fn x87_get_status(&mut self, dst: Value) {
        self.x87_status(dst);
    }
    fn x87_get_control(&mut self, dst: Value) {
        self.x87_read_control(dst);
    }
    fn x87_set_control(&mut self, _: Value, v: Value) {
        self.x87_write_control(v);
    }
    fn state_image(&mut self, dst: Value, _: StateImage, _: StateDirection, _: Flag, _: Addr) {
        self.rest(dst);
    }
}

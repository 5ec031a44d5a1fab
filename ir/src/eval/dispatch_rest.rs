//! One arm per op that is not among the common ones of [`super::dispatch`].

use super::memory::Memory;
use super::string::StringInsn;
use super::values::Values;
use super::vector_memory::Gather;
use super::vector_string::Comparison;
use super::{
    EvalFault, Machine, bcd, bits, crypto, flags, fp, int, shift, state, vector, vector_float, vector_permute,
    vector_sums, x87,
};
use crate::exit::Trap;
use crate::guest::FlagSet;
use crate::operand::{Flag, Num, VecImm, VecTer, VecUn, Width};
use crate::ops::Op;
use crate::region::Value;

/// Runs `$effect` as all that the op does.
macro_rules! effect {
    ($effect:expr) => {{
        $effect;
        return Ok(());
    }};
}

/// Stores `$wide` as the op's result.
macro_rules! wide {
    ($values:ident[$dst:ident] = $wide:expr) => {{
        $values[$dst] = $wide;
        return Ok(());
    }};
}

pub(super) use {effect, wide};

/// What `f` does, with the general registers in `m.cpu`.
fn with_registers<M: Memory + ?Sized, R>(
    values: &mut impl Values,
    m: &mut Machine<'_, M>,
    f: impl FnOnce(&mut Machine<'_, M>) -> R,
) -> R {
    values.give_registers(m.cpu);
    let result = f(m);
    values.take_registers(m.cpu);
    result
}

/// Evaluates `op` and stores its result, if any, at `dst`.
#[inline(never)]
pub(super) fn step<M: Memory + ?Sized>(
    op: &Op,
    dst: Value,
    values: &mut impl Values,
    m: &mut Machine<'_, M>,
) -> Result<(), EvalFault> {
    let wide = |v: Value| values[v];
    let int = |v: Value| values[v].low();
    let count = |v: Value| values[v].low() as u32 & 63;
    let flag_set = |v: Value| FlagSet::from_bits_truncate(values[v].low() as u32);
    let carry = |v: Value| values[v].low() & 1;
    let bits = |f: FlagSet| u64::from(f.bits());

    let compare = |control: Num, explicit: Flag, a, a_len, b, b_len| {
        let lengths = explicit.0.then(|| (int(a_len) as i64, int(b_len) as i64));
        Comparison::new(control.0, wide(a), wide(b), lengths)
    };

    let result: u64 = match *op {
        // ---- Guest state
        Op::GetSystemFlags {} => m.cpu.system_flags.into(),
        Op::SetSystemFlags { mask, v } => effect!(state::set_system_flags(m.cpu, mask.0, int(v))),
        Op::GetSegmentBase { seg } => m.cpu.segment_base[seg.index()],
        Op::SetSegmentBase { seg, v } => effect!(m.cpu.segment_base[seg.index()] = int(v)),
        Op::GetSelector { seg } => m.cpu.selector[seg.index()].into(),
        Op::SetSelector { seg, v } => effect!(state::set_selector(m.cpu, m.mode, seg, int(v) as u16)?),
        Op::GetMmx { reg } => state::get_mmx(m.cpu, reg.0)?,
        Op::SetMmx { reg, v } => effect!(state::set_mmx(m.cpu, reg.0, int(v))?),
        Op::StoreMmx { w, reg, at } => effect!(m.store_mmx(w, reg.0, m.linear(&at, values))?),
        Op::GetMxcsr {} => m.cpu.mxcsr.into(),
        Op::SetMxcsr { v } => effect!(state::set_mxcsr(m.cpu, int(v) as u32)?),

        // ---- Integers
        Op::Adc { w, a, b, f } => int(a).wrapping_add(int(b)).wrapping_add(carry(f)) & w.mask(),
        Op::AdcFlags { w, a, b, f } => bits(flags::add(w, int(a), int(b), carry(f) != 0)),
        Op::Ado { w, a, b, f } => bits::ado(w, int(a), int(b), flag_set(f)).0,
        Op::AdoFlags { w, a, b, f } => bits(bits::ado(w, int(a), int(b), flag_set(f)).1),
        Op::Sbb { w, a, b, f } => int(a).wrapping_sub(int(b)).wrapping_sub(carry(f)) & w.mask(),
        Op::SbbFlags { w, a, b, f } => bits(flags::sub(w, int(a), int(b), carry(f) != 0)),
        Op::MulHighU { w, a, b } => int::mul_high_u(w, int(a), int(b)),
        Op::MulHighS { w, a, b } => int::mul_high_s(w, int(a), int(b)),
        Op::MulFlagsU { w, a, b } => bits(flags::mul_u(w, int(a), int(b))),
        Op::MulFlagsS { w, a, b } => bits(flags::mul_s(w, int(a), int(b))),
        Op::DivU { w, high, low, d } => int::divide_u(w, int(high), int(low), int(d))?.0,
        Op::RemU { w, high, low, d } => int::divide_u(w, int(high), int(low), int(d))?.1,
        Op::DivS { w, high, low, d } => int::divide_s(w, int(high), int(low), int(d))?.0,
        Op::RemS { w, high, low, d } => int::divide_s(w, int(high), int(low), int(d))?.1,
        Op::ShlFlags { w, a, n, f } => bits(shift::shl_flags(w, int(a), count(n), flag_set(f))),
        Op::ShrFlags { w, a, n, f } => bits(shift::shr_flags(w, int(a), count(n), flag_set(f))),
        Op::SarFlags { w, a, n, f } => bits(shift::sar_flags(w, int(a), count(n), flag_set(f))),
        Op::Rotl { w, a, n } => shift::rotl(w, int(a), count(n)),
        Op::Rotr { w, a, n } => shift::rotr(w, int(a), count(n)),
        Op::RotlFlags { w, a, n, f } => bits(shift::rotl_flags(w, int(a), count(n), flag_set(f))),
        Op::RotrFlags { w, a, n, f } => bits(shift::rotr_flags(w, int(a), count(n), flag_set(f))),
        Op::RotlCarry { w, a, n, f } => shift::rotl_carry(w, int(a), count(n), flag_set(f)),
        Op::RotrCarry { w, a, n, f } => shift::rotr_carry(w, int(a), count(n), flag_set(f)),
        Op::RotlCarryFlags { w, a, n, f } => bits(shift::rotl_carry_flags(w, int(a), count(n), flag_set(f))),
        Op::RotrCarryFlags { w, a, n, f } => bits(shift::rotr_carry_flags(w, int(a), count(n), flag_set(f))),
        Op::Shld { w, a, b, n } => shift::shld(w, int(a), int(b), count(n)),
        Op::Shrd { w, a, b, n } => shift::shrd(w, int(a), int(b), count(n)),
        Op::ShldFlags { w, a, b, n, f } => bits(shift::shld_flags(w, int(a), int(b), count(n), flag_set(f))),
        Op::ShrdFlags { w, a, b, n, f } => bits(shift::shrd_flags(w, int(a), int(b), count(n), flag_set(f))),
        Op::BitScanForward { w, a, zero } => int::bit_scan_forward(w, int(a), int(zero)),
        Op::BitScanReverse { w, a, zero } => int::bit_scan_reverse(w, int(a), int(zero)),
        Op::BitScanFlags { w, a } => bits(flags::when(int(a) & w.mask() == 0, FlagSet::ZF)),
        Op::CountLeadingZeros { w, a } => bits::leading_zeros(w, int(a)),
        Op::CountTrailingZeros { w, a } => bits::trailing_zeros(w, int(a)),
        Op::CountZerosFlags { w, a, v } => bits(bits::count_zeros_flags(w, int(a), int(v))),
        Op::CountOnes { w, a } => (int(a) & w.mask()).count_ones().into(),
        Op::CountOnesFlags { w, a } => bits(flags::when(int(a) & w.mask() == 0, FlagSet::ZF)),
        Op::ExtractField { w, a, control } => bits::extract_field(w, int(a), int(control)),
        Op::LowBits { w, a, n } => bits::low(w, int(a), int(n)),
        Op::DepositBits { w, a, mask } => bits::deposit(int(a), int(mask) & w.mask()),
        Op::ExtractBits { w, a, mask } => bits::extract(int(a), int(mask) & w.mask()),
        Op::Crc32c { from, crc, v } => bits::crc32c(from, int(crc) as u32, int(v)).into(),
        Op::BitTestFlags { w, a, n, f } => bits(flags::bit_test(w, int(a), int(n), flag_set(f))),
        Op::ByteSwap { w, a } => int(a).swap_bytes() >> (64 - w.bits()),
        Op::BcdAdjust { op, a, f } => bcd::adjust(op, int(a) as u16, flag_set(f)).0.into(),
        Op::BcdAdjustFlags { op, a, f } => bits(bcd::adjust(op, int(a) as u16, flag_set(f)).1),
        Op::FlagsToInt { f } => bits(flag_set(f)),
        Op::IntToFlags { v } => bits(flag_set(v)),
        Op::MergeFlags { set, a, b } => bits(flag_set(a) & set | flag_set(b) & !set),
        Op::Bitcast { to, v, .. } => int(v) & if to.bytes() == 4 { Width::W32.mask() } else { u64::MAX },

        // ---- Memory
        Op::AtomicRmw { op, w, at, v } => m.memory.atomic_rmw(op, w, m.linear(&at, values), int(v) & w.mask())?,
        Op::AtomicCas { w, at, expected, new } => {
            let at = m.linear(&at, values);
            m.memory.atomic_cas(w, at, int(expected) & w.mask(), int(new) & w.mask())?
        }
        Op::CompareExchangePair { w, at, .. } => {
            let at = m.linear(&at, values);
            let equal = with_registers(values, m, |m| m.compare_exchange_pair(w, at))?;
            m.cpu.status_flags = m.cpu.status_flags & !FlagSet::ZF.bits() | flags::when(equal, FlagSet::ZF).bits();
            return Ok(());
        }
        Op::FenceOp { kind } => effect!(m.memory.fence(kind)),
        Op::String { op, w, rep, address, seg, source } => {
            let insn = StringInsn { op, w, rep, address, source: seg.0.then_some(source) };
            effect!(with_registers(values, m, |m| m.string(insn))?)
        }
        Op::StoreMasked { w, ty, at, v, mask } => {
            effect!(m.store_masked(w, ty, m.linear(&at, values), wide(v), wide(mask))?)
        }
        Op::LoadMasked { w, ty, at, mask } => {
            wide!(values[dst] = m.load_masked(w, ty, m.linear(&at, values), wide(mask))?)
        }
        Op::Gather { w, index, ty, dst, mask, indices, scale, at } => {
            let operands = Gather { w, index, ty, dst: dst.0, mask: mask.0, indices: indices.0, scale: scale.0 };
            effect!(m.gather(&operands, &at, values)?)
        }

        // ---- System
        Op::Cpuid {} => effect!(with_registers(values, m, |m| m.cpuid())),
        Op::Rdtsc {} => m.system.rdtsc(),
        Op::Random { w } => m.system.random() & w.mask(),
        Op::Xgetbv {} => m.system.xcr0(),
        Op::StateInUse {} => m.state_in_use(),
        Op::Xsave { form, wide, at } => {
            let at = m.linear(&at, values);
            effect!(with_registers(values, m, |m| m.xsave(form, wide.0, at))?)
        }
        Op::AccessRights { v } => state::access_rights(m.cpu, m.mode, int(v) as u16).into(),
        Op::GetTscAux {} => m.cpu.tsc_aux.into(),
        Op::TrapIf { trap, c } => {
            if int(c) as u8 != 0 {
                return Err(EvalFault::Trap(trap.trap()));
            }
            return Ok(());
        }
        Op::CheckCode { pc, w, expected } => {
            if m.read_int(w, pc)? != expected.0 & w.mask() {
                return Err(EvalFault::Trap(Trap::Stale));
            }
            return Ok(());
        }
        Op::Pause {} => effect!(m.system.pause()),

        // ---- SSE scalars
        Op::FpArith { op, ty, a, b } => fp::scalar_arith(m.cpu, op, ty, int(a), int(b))?,
        Op::FpSqrt { ty, a } => fp::scalar_sqrt(m.cpu, ty, int(a))?,
        Op::FpCompareFlags { ty, signalling, a, b } => {
            bits(fp::compare_flags(m.cpu, ty, signalling.0, int(a), int(b))?)
        }
        Op::FpCompareMask { ty, predicate, a, b } => fp::compare_mask(m.cpu, ty, predicate.0, int(a), int(b))?,
        Op::FpToInt { ty, w, round, v } => fp::to_int(m.cpu, ty, w, round, int(v))?,
        Op::IntToFp { w, ty, v } => fp::from_int(m.cpu, w, ty, int(v))?,
        Op::FpConvert { from, to, v } => fp::convert(m.cpu, from, to, int(v))?,
        Op::FpIntegral { ty, mode, v } => fp::scalar_integral(m.cpu, ty, mode.0, int(v))?,
        Op::FpFma { op, ty, a, b, c } => fp::scalar_fma(m.cpu, op, ty, [int(a), int(b), int(c)])?,

        // ---- Vectors
        Op::VecBinary { op, ty, a, b } => wide!(
            values[dst] = match vector::binary(op, ty, wide(a), wide(b)) {
                Some(result) => result,
                None => vector_float::binary(m.cpu, op, ty, wide(a), wide(b))?,
            }
        ),
        Op::VecUnary { op: VecUn::AesImc, a, .. } => wide!(values[dst] = crypto::aes_inverse_mix(wide(a))),
        Op::VecUnary { op, ty, a } => wide!(
            values[dst] = match vector_sums::unary(op, ty, wide(a)) {
                Some(result) => result,
                None => vector_float::unary(m.cpu, op, ty, wide(a))?,
            }
        ),
        Op::VecTernary { op: VecTer::Sha256Rnds2, a, b, c, .. } => {
            wide!(values[dst] = crypto::sha256_rounds(wide(a), wide(b), wide(c)))
        }
        Op::VecTernary { op, ty, a, b, c } => {
            wide!(values[dst] = vector_permute::blend(op, ty, wide(a), wide(b), wide(c)))
        }
        Op::VecFma { op, lane, ty, a, b, c } => {
            wide!(values[dst] = vector_float::multiply_add(m.cpu, op, lane, ty, [wide(a), wide(b), wide(c)])?)
        }
        Op::VecToHalf { mode, ty, a } => wide!(values[dst] = vector_float::to_half(m.cpu, mode.0, ty, wide(a))?),
        Op::VecFromMmxInts { to, v } => wide!(values[dst] = vector_float::from_mmx_ints(m.cpu, to, int(v))?),
        Op::VecToMmxInts { from, round, v } => vector_float::to_mmx_ints(m.cpu, from, round, wide(v))?,
        Op::VecShiftBy { op, ty, a, n } => wide!(values[dst] = vector::shift(op, ty, wide(a), int(n))),
        Op::VecShiftImm { op, ty, a, n } => wide!(values[dst] = vector::shift(op, ty, wide(a), n.0.into())),
        Op::VecShuffleImm { op, ty, a, b, imm } => {
            wide!(values[dst] = vector_permute::shuffle(op, ty, wide(a), wide(b), imm.0))
        }
        Op::VecByImm { op: VecImm::MpsadBw, ty, a, b, imm } => {
            wide!(values[dst] = vector_sums::differences(ty, wide(a), wide(b), imm.0))
        }
        Op::VecByImm { op, a, b, imm, .. } => {
            wide!(values[dst] = crypto::by_immediate(op, wide(a), wide(b), imm.0))
        }
        Op::VecCompare { lane, predicate, ty, a, b } => {
            wide!(values[dst] = vector_float::compare(m.cpu, lane, predicate.0, ty, wide(a), wide(b))?)
        }
        Op::VecIntegral { lane, mode, ty, a } => {
            wide!(values[dst] = vector_float::round(m.cpu, lane, mode.0, ty, wide(a))?)
        }
        Op::VecDot { lane, imm, ty, a, b } => {
            wide!(values[dst] = vector_float::dot(m.cpu, lane, imm.0, ty, wide(a), wide(b))?)
        }
        Op::VecTestFlags { op, ty, a, b } => bits(vector::test_flags(op, ty, wide(a), wide(b))),
        Op::VecMask { op, ty, a } => vector::mask(op, ty, wide(a)),
        Op::VecExtract { w, ty, a, lane } => vector::extract(w, ty, wide(a), lane.0),
        Op::VecInsert { w, ty, a, lane, v } => {
            wide!(values[dst] = vector::insert(w, ty, wide(a), lane.0, int(v)))
        }
        Op::VecMergeLow { ty, a, low } => wide!(values[dst] = vector_permute::merge_low(ty, wide(a), int(low))),
        Op::VecZeroExtend { from, v, .. } => wide!(values[dst] = state::cut(wide(v).0, from)),
        Op::VecBroadcast { w, ty, a } => wide!(values[dst] = vector_permute::broadcast(w, ty, wide(a))),
        Op::VecHalf { ty, high, a } => wide!(values[dst] = vector_permute::half(ty, high.0, wide(a))),
        Op::VecJoin { ty, low, high } => wide!(values[dst] = vector_permute::join(ty, wide(low), wide(high))),
        Op::VecConst { ty, bit } => {
            wide!(values[dst] = vector::by_words(ty, |_| if bit.0 { u64::MAX } else { 0 }))
        }
        Op::ZeroVectors { all } => effect!(state::zero_vectors(m.cpu, m.mode, all.0)),
        Op::VecStringIndex { control, explicit, a, a_len, b, b_len } => {
            compare(control, explicit, a, a_len, b, b_len).index()
        }
        Op::VecStringMask { control, explicit, a, a_len, b, b_len } => {
            wide!(values[dst] = compare(control, explicit, a, a_len, b, b_len).mask())
        }
        Op::VecStringFlags { control, explicit, a, a_len, b, b_len } => {
            bits(compare(control, explicit, a, a_len, b, b_len).flags())
        }

        // ---- x87
        Op::X87Load { format, at } => {
            let from = m.x87_operand(format, &at, values);
            effect!(m.x87_load(from)?)
        }
        Op::X87Store { format, truncate, pop, at } => {
            let to = m.x87_operand(format, &at, values);
            effect!(m.x87_store(to, truncate.0, pop.0.into())?)
        }
        Op::X87Push { st } => effect!(m.x87()?.push_register(st.0)),
        Op::X87PushConst { value } => effect!(m.x87()?.push_constant(value)),
        Op::X87Copy { st, pop } => effect!(m.x87()?.copy(st.0, pop.0.into())),
        Op::X87Exchange { st } => effect!(m.x87()?.exchange(st.0)),
        Op::X87Arith { op, dst, src, pop } => effect!(m.x87()?.arith(op, dst.0, src.0, pop.0.into())),
        Op::X87ArithMem { op, format, at } => {
            let from = m.x87_operand(format, &at, values);
            effect!(m.x87_arith_mem(op, from)?)
        }
        Op::X87Compare { st, unordered, pops } => effect!(m.x87()?.compare(st.0, unordered.0, pops.0)),
        Op::X87CompareMem { format, pop, at } => {
            let from = m.x87_operand(format, &at, values);
            effect!(m.x87_compare_mem(from, pop.0.into())?)
        }
        Op::X87CompareFlags { st, unordered, pop } => {
            bits(m.x87_keeping_c1()?.compare_flags(st.0, unordered.0, pop.0.into()))
        }
        Op::X87UnaryOp { op } => effect!(m.x87()?.unary(op)),
        Op::X87Cmov { c, st } => effect!(m.x87_keeping_c1()?.cmov(int(c) as u8 != 0, st.0)),
        Op::X87Free { st, pop } => effect!(m.x87()?.free_register(st.0, pop.0.into())),
        Op::X87ControlOp { op } => effect!(x87::control(&mut m.cpu.x87, m.x87, op, m.pc)?),
        Op::X87GetStatus {} => m.cpu.x87.status.into(),
        Op::X87GetControl {} => m.cpu.x87.control.into(),
        Op::X87SetControl { v } => effect!(x87::set_control(&mut m.cpu.x87, m.x87, int(v) as u16)?),
        Op::StateImageOp { image, direction, short, at } => {
            effect!(m.state_image(image, direction, short.0, m.linear(&at, values))?)
        }

        // ---- The common ones
        Op::Insn { .. }
        | Op::GetGpr { .. }
        | Op::SetGpr { .. }
        | Op::GetGprHigh { .. }
        | Op::SetGprHigh { .. }
        | Op::GetFlags { .. }
        | Op::SetFlags { .. }
        | Op::GetVec { .. }
        | Op::SetVec { .. }
        | Op::Iconst { .. }
        | Op::Add { .. }
        | Op::AddFlags { .. }
        | Op::Sub { .. }
        | Op::SubFlags { .. }
        | Op::And { .. }
        | Op::Or { .. }
        | Op::Xor { .. }
        | Op::Not { .. }
        | Op::LogicFlags { .. }
        | Op::IncFlags { .. }
        | Op::DecFlags { .. }
        | Op::Mul { .. }
        | Op::Shl { .. }
        | Op::Shr { .. }
        | Op::Sar { .. }
        | Op::ExtendZero { .. }
        | Op::ExtendSign { .. }
        | Op::Truncate { .. }
        | Op::Select { .. }
        | Op::Compare { .. }
        | Op::Condition { .. }
        | Op::Lea { .. }
        | Op::Load { .. }
        | Op::Store { .. } => unreachable!("evaluated by dispatch::step"),
    };
    values[dst].0[0] = result;
    Ok(())
}

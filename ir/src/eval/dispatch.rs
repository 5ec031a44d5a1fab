//! The ops that most code is made of, inlined into the loop over a block's ops; [`super::dispatch_rest`] has all others.
//!
//! Both list their ops in the order of the op table. Together they are exhaustive: the compiler asks for each new op there.

use super::dispatch_rest::{self, effect, wide};
use super::memory::{Memory, effective};
use super::values::Values;
use super::{EvalFault, Machine, flags, int, shift, state};
use crate::guest::FlagSet;
use crate::operand::Type;
use crate::ops::Op;
use crate::region::Value;

/// Evaluates `op` and stores its result, if any, at `dst`.
#[inline(always)]
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
    let bits = |f: FlagSet| u64::from(f.bits());

    let result: u64 = match *op {
        // ---- Boundaries
        Op::Insn { pc, .. } => effect!(m.pc = pc),

        // ---- Guest state
        Op::GetGpr { reg, w } => *values.gpr(m.cpu, reg) & w.mask(),
        Op::SetGpr { reg, w, v } => {
            let v = int(v);
            effect!(state::set_register(values.gpr(m.cpu, reg), w, v))
        }
        Op::GetGprHigh { reg } => *values.gpr(m.cpu, reg) >> 8 & 0xff,
        Op::SetGprHigh { reg, v } => {
            let v = int(v);
            effect!(state::set_register_high(values.gpr(m.cpu, reg), v))
        }
        Op::GetFlags {} => m.cpu.status_flags.into(),
        Op::SetFlags { set, v } => {
            m.cpu.status_flags = m.cpu.status_flags & !set.bits() | int(v) as u32 & set.bits();
            return Ok(());
        }
        Op::GetVec { reg, ty: ty @ (Type::V128 | Type::V256) } => wide!(values[dst] = state::get_vec(m.cpu, reg.0, ty)),
        Op::GetVec { reg, ty } => state::get_vec_low(m.cpu, reg.0, ty),
        Op::SetVec { reg, ty, upper, v } => effect!(state::set_vec(m.cpu, reg.0, ty, upper, &values[v])),

        // ---- Integers
        Op::Iconst { w, value } => value.0 & w.mask(),
        Op::Add { w, a, b } => int(a).wrapping_add(int(b)) & w.mask(),
        Op::AddFlags { w, a, b } => bits(flags::add(w, int(a), int(b), false)),
        Op::Sub { w, a, b } => int(a).wrapping_sub(int(b)) & w.mask(),
        Op::SubFlags { w, a, b } => bits(flags::sub(w, int(a), int(b), false)),
        Op::And { w, a, b } => int(a) & int(b) & w.mask(),
        Op::Or { w, a, b } => (int(a) | int(b)) & w.mask(),
        Op::Xor { w, a, b } => (int(a) ^ int(b)) & w.mask(),
        Op::Not { w, a } => !int(a) & w.mask(),
        Op::LogicFlags { w, v } => bits(flags::of_result(w, int(v))),
        Op::IncFlags { w, a } => bits(flags::add(w, int(a), 1, false) & !FlagSet::CF),
        Op::DecFlags { w, a } => bits(flags::sub(w, int(a), 1, false) & !FlagSet::CF),
        Op::Mul { w, a, b } => int(a).wrapping_mul(int(b)) & w.mask(),
        Op::Shl { w, a, n } => shift::shl(w, int(a), count(n)),
        Op::Shr { w, a, n } => shift::shr(w, int(a), count(n)),
        Op::Sar { w, a, n } => shift::sar(w, int(a), count(n)),
        Op::ExtendZero { from, v, .. } => int(v) & from.mask(),
        Op::ExtendSign { from, to, v } => int::signed(from, int(v)) as u64 & to.mask(),
        Op::Truncate { to, v, .. } => int(v) & to.mask(),
        Op::Select { w, c, a, b } => int(if int(c) as u8 != 0 { a } else { b }) & w.mask(),
        Op::Compare { op, w, a, b } => int::compare(op, w, int(a), int(b)).into(),
        Op::Condition { cc, f } => cc.holds(flag_set(f)).into(),

        // ---- Memory
        Op::Lea { w, at } => effective(&at, values) & w.mask(),
        Op::Load { ty, align, at } => {
            let at = m.linear(&at, values);
            match ty {
                Type::I8 => m.memory.read_u8(at)?.into(),
                Type::I16 => m.memory.read_u16(at)?.into(),
                Type::I32 | Type::F32 => m.memory.read_u32(at)?.into(),
                Type::I64 | Type::F64 | Type::V64 => m.memory.read_u64(at)?,
                Type::V128 => wide!(values[dst] = m.load_128(align, at)?),
                _ => wide!(values[dst] = m.load_wide(ty, align, at)?),
            }
        }
        Op::Store { ty, align, at, v } => {
            let at = m.linear(&at, values);
            match ty {
                Type::I8 => m.memory.write_u8(at, int(v) as u8)?,
                Type::I16 => m.memory.write_u16(at, int(v) as u16)?,
                Type::I32 | Type::F32 => m.memory.write_u32(at, int(v) as u32)?,
                Type::I64 | Type::F64 | Type::V64 => m.memory.write_u64(at, int(v))?,
                Type::V128 => m.store_128(align, at, &values[v])?,
                _ => m.store_wide(ty, align, at, wide(v))?,
            }
            return Ok(());
        }
        _ => return dispatch_rest::step(op, dst, values, m),
    };
    values[dst].0[0] = result;
    Ok(())
}

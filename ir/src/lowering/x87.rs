//! How x87 ops become calls of routines: [`crate::eval::X87_ROUTINES`].

use crate::eval::{FIRST, SECOND, TRUNCATE, X87How, X87RoutineId as Id};
use crate::operand::{Addr, Width, X87Control, X87Format, X87Op, X87Unary};
use crate::ops::Op;
use crate::region::Value;

/// What code does beside the call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum X87Access {
    /// Nothing.
    None,
    /// The operand is this integer.
    Value(Value),
    /// The operand is zero.
    Zero,
    /// Loads the operand first; integers are sign-extended.
    Load(X87Format, Addr),
    /// Stores the routine's result afterwards.
    Store(X87Format, Addr),
}

/// A call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct X87Call {
    /// The routine.
    pub routine: Id,
    /// What it is to do.
    pub how: X87How,
    /// Its operand or result in memory.
    pub access: X87Access,
}

impl X87Call {
    /// The word of a call that is left to the evaluator.
    pub const REFUSED: u32 = (Id::Refuse as u32) << 16;

    /// What stubs look at: the routine's number above 16 bits of what it is to do.
    pub fn word(&self) -> u32 {
        (self.routine as u32) << 16 | self.how.0 as u32
    }

    /// `op`, which this call is for, as the evaluator is given it where the routine refuses: with its operand, or the address of width
    /// `word` of its operand in memory, as value 0.
    pub fn evaluated(&self, mut op: Op, word: Width) -> Op {
        op.map_values(&mut |_| Value(0));
        if let X87Access::Load(..) | X87Access::Store(..) = self.access {
            match &mut op {
                Op::X87Load { at, .. }
                | Op::X87Store { at, .. }
                | Op::X87ArithMem { at, .. }
                | Op::X87CompareMem { at, .. } => *at = Addr::at(Value(0), word),
                _ => {}
            }
        }
        op
    }
}

/// The routine of the first, or where the operand is in memory, of its format.
fn by_format(format: X87Format, routines: [Id; 3]) -> Option<Id> {
    match format {
        X87Format::F64 => Some(routines[0]),
        X87Format::F32 => Some(routines[1]),
        X87Format::I16 | X87Format::I32 | X87Format::I64 => Some(routines[2]),
        X87Format::F80 | X87Format::Bcd => None,
    }
}

/// Sums, products and quotients: the routines for a register, double, single and integer; and the variant.
fn arithmetic(op: X87Op) -> ([Id; 4], u8) {
    const SUMS: [Id; 4] = [Id::Sum, Id::SumDouble, Id::SumSingle, Id::SumInteger];
    const PRODUCTS: [Id; 4] = [Id::Product, Id::ProductDouble, Id::ProductSingle, Id::ProductInteger];
    const QUOTIENTS: [Id; 4] = [Id::Quotient, Id::QuotientDouble, Id::QuotientSingle, Id::QuotientInteger];
    match op {
        X87Op::Add => (SUMS, 0),
        X87Op::Sub => (SUMS, SECOND),
        X87Op::SubR => (SUMS, FIRST),
        X87Op::Mul => (PRODUCTS, 0),
        X87Op::Div => (QUOTIENTS, 0),
        X87Op::DivR => (QUOTIENTS, FIRST),
    }
}

/// The call that does `op`; `None` where there is no routine for it.
pub fn x87_call(op: &Op) -> Option<X87Call> {
    let plain = |routine, how| Some(X87Call { routine, how, access: X87Access::None });
    // The evaluator is given the address without its segment's base, which the code has not kept apart.
    let with = |routine: Option<Id>, how, access| {
        let flat = match access {
            X87Access::Load(_, at) | X87Access::Store(_, at) => at.seg.is_none(),
            _ => true,
        };
        routine.filter(|_| flat).map(|routine| X87Call { routine, how, access })
    };
    let st = |i: u8| X87How::new(0, i, 0);
    match *op {
        Op::X87Load { format: X87Format::F80, at } => {
            with(Some(Id::LoadExtended), st(0), X87Access::Load(X87Format::F80, at))
        }
        Op::X87Load { format, at } => {
            let routines = [Id::LoadDouble, Id::LoadSingle, Id::LoadInteger];
            with(by_format(format, routines), st(0), X87Access::Load(format, at))
        }
        Op::X87Store { format, truncate, pop, at } => {
            let routine = match format {
                X87Format::F80 => Some(Id::StoreExtended),
                _ => by_format(format, [Id::StoreDouble, Id::StoreSingle, Id::StoreInteger]),
            };
            let bytes = match format {
                X87Format::I16 => 1,
                X87Format::I32 => 2,
                X87Format::I64 => 3,
                _ => 0,
            };
            let how = X87How::new(0, 0, pop.0.into()).variant(bytes | if truncate.0 { TRUNCATE } else { 0 });
            with(routine, how, X87Access::Store(format, at))
        }
        Op::X87Push { st: i } => plain(Id::Push, st(i.0)),
        Op::X87PushConst { value } => plain(Id::PushConstant, st(0).variant(value as u8)),
        Op::X87Copy { st: i, pop } => plain(Id::Copy, X87How::new(i.0, 0, pop.0.into())),
        Op::X87Exchange { st: i } => plain(Id::Exchange, st(i.0)),
        Op::X87Arith { op, dst, src, pop } => {
            let (routines, variant) = arithmetic(op);
            plain(routines[0], X87How::new(dst.0, src.0, pop.0.into()).variant(variant))
        }
        Op::X87ArithMem { op, format, at } => {
            let ([_, double, single, integer], variant) = arithmetic(op);
            let routine = by_format(format, [double, single, integer]);
            with(routine, st(0).variant(variant), X87Access::Load(format, at))
        }
        Op::X87Compare { st: i, pops, .. } => plain(Id::Compare, X87How::new(0, i.0, pops.0)),
        Op::X87CompareMem { format, pop, at } => {
            let routine = by_format(format, [Id::CompareDouble, Id::CompareSingle, Id::CompareInteger]);
            with(routine, X87How::new(0, 0, pop.0.into()), X87Access::Load(format, at))
        }
        Op::X87CompareFlags { st: i, pop, .. } => plain(Id::CompareFlags, X87How::new(0, i.0, pop.0.into())),
        Op::X87UnaryOp { op: X87Unary::Fchs } => plain(Id::Negate, st(0)),
        Op::X87UnaryOp { op: X87Unary::Fabs } => plain(Id::Magnitude, st(0)),
        Op::X87UnaryOp { op: X87Unary::Fxam } => plain(Id::Examine, st(0)),
        Op::X87UnaryOp { op: X87Unary::Ftst } => with(Some(Id::CompareInteger), st(0), X87Access::Zero),
        Op::X87UnaryOp { op: X87Unary::Fincstp | X87Unary::Fdecstp } => None,
        Op::X87UnaryOp { op } => plain(Id::Unary, st(0).variant(op as u8)),
        Op::X87Cmov { c, st: i } => with(Some(Id::ConditionalCopy), st(i.0), X87Access::Value(c)),
        Op::X87Free { st: i, pop } => plain(Id::Free, X87How::new(i.0, 0, pop.0.into())),
        Op::X87ControlOp { op: X87Control::Wait } => plain(Id::Wait, st(0)),
        Op::X87SetControl { v } => with(Some(Id::SetControl), st(0), X87Access::Value(v)),
        _ => None,
    }
}

//! Checks that a region keeps the invariants that passes, evaluator and back ends rely on.

use std::fmt;

use crate::exit::Exit;
use crate::operand::*;
use crate::ops::{Effects, Op};
use crate::region::{Block, BlockId, Region, Value};

/// What is wrong with a region, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyError {
    /// The block.
    pub block: BlockId,
    /// Place of the op in the block; the number of ops for the exit.
    pub inst: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block b{}, op {}: {}", self.block.0, self.inst, self.message)
    }
}

impl std::error::Error for VerifyError {}

/// Checks `region`: each value is defined once, in its block, before its uses, with the type that the use expects; each block
/// starts with `insn`; within a guest instruction no op that may fault follows one that writes state; targets exist.
///
/// # Errors
/// The first violation.
pub fn verify(region: &Region) -> Result<(), VerifyError> {
    let mut defined: Vec<Option<(BlockId, Type)>> = vec![None; region.value_count as usize];
    for id in region.block_ids() {
        Checker { region, id, block: region.block(id), defined: &mut defined }.check()?;
    }
    Ok(())
}

struct Checker<'a> {
    region: &'a Region,
    id: BlockId,
    block: &'a Block,
    defined: &'a mut Vec<Option<(BlockId, Type)>>,
}

impl Checker<'_> {
    fn check(mut self) -> Result<(), VerifyError> {
        let id = self.id;
        let fail = |inst, message| Err(VerifyError { block: id, inst, message });
        if !matches!(self.block.insts.first().map(|i| i.op), Some(Op::Insn { .. })) {
            return fail(0, "the block does not start with `insn`".into());
        }
        let mut written = false;
        for (n, inst) in self.block.insts.iter().enumerate() {
            let fx = inst.op.effects();
            if fx.contains(Effects::boundary) {
                written = false;
            }
            if written && fx.contains(Effects::may_fault) {
                return fail(n, format!("{} may fault after guest state was written", inst.op.name()));
            }
            written |= fx.contains(Effects::writes_state);
            if let Err(message) = self.operands(&inst.op).and_then(|()| self.define(inst.value, inst.op.result_type()))
            {
                return fail(n, message);
            }
        }
        self.exit().or_else(|message| fail(self.block.insts.len(), message))
    }

    fn define(&mut self, value: Value, ty: Type) -> Result<(), String> {
        let slot =
            self.defined.get_mut(value.0 as usize).ok_or(format!("{value} is beyond the region's value count"))?;
        if slot.is_some() {
            return Err(format!("{value} is defined twice"));
        }
        *slot = Some((self.id, ty));
        Ok(())
    }

    fn expect(&self, value: Value, ty: Type) -> Result<(), String> {
        match self.defined.get(value.0 as usize).copied().flatten() {
            Some((block, found)) if block == self.id && found == ty => Ok(()),
            Some((block, found)) if block == self.id => Err(format!("{value} is {found}, not {ty}")),
            Some((block, _)) => Err(format!("{value} belongs to block b{}", block.0)),
            None => Err(format!("{value} is used before it is defined")),
        }
    }

    fn operands(&self, op: &Op) -> Result<(), String> {
        let expected = operand_types(op);
        let mut found = Vec::new();
        op.values(&mut |v| found.push(v));
        // An address's parts come last or alone; they are integers of its width.
        if found.len() != expected.len() {
            return Err(format!("{} has {} values, not {}", op.name(), found.len(), expected.len()));
        }
        found.iter().zip(expected).try_for_each(|(v, ty)| self.expect(*v, ty))
    }

    fn exit(&self) -> Result<(), String> {
        let word = self.region.key.mode.word().ty();
        match self.block.exit {
            Exit::Branch { cond, .. } => self.expect(cond, Type::I8)?,
            Exit::Indirect { target }
            | Exit::Dispatch { target }
            | Exit::IndirectCall { target, .. }
            | Exit::Return { target } => {
                self.expect(target, word)?;
            }
            _ => {}
        }
        let mut targets = Vec::new();
        self.block.exit.successors(&mut |b| targets.push(b));
        if let Exit::Call { ret_block: Some(b), ret, .. } | Exit::IndirectCall { ret_block: Some(b), ret, .. } =
            self.block.exit
        {
            if self.region.blocks.get(b.0 as usize).is_some_and(|block| block.pc != ret) {
                return Err(format!("return block b{} is not at {ret}", b.0));
            }
            targets.push(b);
        }
        match targets.iter().find(|b| b.0 as usize >= self.region.blocks.len()) {
            Some(b) => Err(format!("there is no block b{}", b.0)),
            None => Ok(()),
        }
    }
}

fn address_types(at: &Addr) -> Vec<Type> {
    at.base.iter().chain(&at.index).map(|_| at.width.ty()).collect()
}

/// Types that the value operands of `op` must have, in order.
fn operand_types(op: &Op) -> Vec<Type> {
    use Type::{Flags, I8, I16, I32, I64, V64};
    let at_and = |at: &Addr, more: &[Type]| [address_types(at), more.to_vec()].concat();
    match *op {
        Op::Insn { .. }
        | Op::GetGpr { .. }
        | Op::GetGprHigh { .. }
        | Op::GetFlags {}
        | Op::GetSystemFlags {}
        | Op::GetSegmentBase { .. }
        | Op::GetSelector { .. }
        | Op::GetVec { .. }
        | Op::GetMmx { .. }
        | Op::GetMxcsr {}
        | Op::Iconst { .. }
        | Op::FenceOp { .. }
        | Op::String { .. }
        | Op::Cpuid {}
        | Op::Rdtsc {}
        | Op::Random { .. }
        | Op::GetTscAux {}
        | Op::Xgetbv {}
        | Op::StateInUse {}
        | Op::CheckCode { .. }
        | Op::Pause {}
        | Op::VecConst { .. }
        | Op::ZeroVectors { .. }
        | Op::X87Push { .. }
        | Op::X87PushConst { .. }
        | Op::X87Copy { .. }
        | Op::X87Exchange { .. }
        | Op::X87Arith { .. }
        | Op::X87Compare { .. }
        | Op::X87CompareFlags { .. }
        | Op::X87UnaryOp { .. }
        | Op::X87Free { .. }
        | Op::X87ControlOp { .. }
        | Op::X87GetStatus {}
        | Op::X87GetControl {} => vec![],
        Op::SetGpr { w, .. } => vec![w.ty()],
        Op::SetGprHigh { .. } | Op::X87Cmov { .. } | Op::TrapIf { .. } => vec![I8],
        Op::SetFlags { .. } | Op::Condition { .. } | Op::FlagsToInt { .. } => vec![Flags],
        Op::SetSystemFlags { .. } | Op::SetMxcsr { .. } | Op::IntToFlags { .. } => vec![I32],
        Op::SetSegmentBase { .. } => vec![I64],
        Op::AccessRights { .. } | Op::SetSelector { .. } | Op::X87SetControl { .. } => vec![I16],
        Op::SetVec { ty, .. } => vec![ty],
        Op::SetMmx { .. } => vec![V64],
        Op::Add { w, .. }
        | Op::AddFlags { w, .. }
        | Op::Sub { w, .. }
        | Op::SubFlags { w, .. }
        | Op::And { w, .. }
        | Op::Or { w, .. }
        | Op::Xor { w, .. }
        | Op::Mul { w, .. }
        | Op::MulHighU { w, .. }
        | Op::MulHighS { w, .. }
        | Op::MulFlagsU { w, .. }
        | Op::MulFlagsS { w, .. }
        | Op::BitScanForward { w, .. }
        | Op::BitScanReverse { w, .. }
        | Op::CountZerosFlags { w, .. }
        | Op::ExtractField { w, .. }
        | Op::LowBits { w, .. }
        | Op::DepositBits { w, .. }
        | Op::ExtractBits { w, .. }
        | Op::Compare { w, .. } => vec![w.ty(); 2],
        Op::Ado { w, .. } | Op::AdoFlags { w, .. } => vec![w.ty(), w.ty(), Flags],
        Op::Adc { w, .. } | Op::AdcFlags { w, .. } | Op::Sbb { w, .. } | Op::SbbFlags { w, .. } => {
            vec![w.ty(), w.ty(), Flags]
        }
        Op::Not { w, .. }
        | Op::LogicFlags { w, .. }
        | Op::IncFlags { w, .. }
        | Op::DecFlags { w, .. }
        | Op::BitScanFlags { w, .. }
        | Op::CountLeadingZeros { w, .. }
        | Op::CountTrailingZeros { w, .. }
        | Op::CountOnes { w, .. }
        | Op::CountOnesFlags { w, .. }
        | Op::ByteSwap { w, .. }
        | Op::IntToFp { w, .. } => vec![w.ty()],
        Op::DivU { w, .. } | Op::RemU { w, .. } | Op::DivS { w, .. } | Op::RemS { w, .. } => vec![w.ty(); 3],
        Op::Shl { w, .. } | Op::Shr { w, .. } | Op::Sar { w, .. } | Op::Rotl { w, .. } | Op::Rotr { w, .. } => {
            vec![w.ty(), I8]
        }
        Op::ShlFlags { w, .. }
        | Op::ShrFlags { w, .. }
        | Op::SarFlags { w, .. }
        | Op::RotlFlags { w, .. }
        | Op::RotrFlags { w, .. }
        | Op::RotlCarry { w, .. }
        | Op::RotrCarry { w, .. }
        | Op::RotlCarryFlags { w, .. }
        | Op::RotrCarryFlags { w, .. } => vec![w.ty(), I8, Flags],
        Op::Shld { w, .. } | Op::Shrd { w, .. } => vec![w.ty(), w.ty(), I8],
        Op::ShldFlags { w, .. } | Op::ShrdFlags { w, .. } => vec![w.ty(), w.ty(), I8, Flags],
        Op::Crc32c { from, .. } => vec![I32, from.ty()],
        Op::BitTestFlags { w, .. } => vec![w.ty(), w.ty(), Flags],
        Op::BcdAdjust { .. } | Op::BcdAdjustFlags { .. } => vec![I16, Flags],
        Op::ExtendZero { from, .. } | Op::ExtendSign { from, .. } | Op::Truncate { from, .. } => vec![from.ty()],
        Op::Select { w, .. } => vec![I8, w.ty(), w.ty()],
        Op::MergeFlags { .. } => vec![Flags; 2],
        Op::Bitcast { from, .. } | Op::FpConvert { from, .. } | Op::VecToMmxInts { from, .. } => vec![from],
        Op::Lea { ref at, .. }
        | Op::Load { ref at, .. }
        | Op::CompareExchangePair { ref at, .. }
        | Op::X87Load { ref at, .. }
        | Op::X87Store { ref at, .. }
        | Op::StoreMmx { ref at, .. }
        | Op::X87ArithMem { ref at, .. }
        | Op::X87CompareMem { ref at, .. }
        | Op::Gather { ref at, .. }
        | Op::StateImageOp { ref at, .. }
        | Op::Xsave { ref at, .. } => address_types(at),
        Op::Store { ref at, ty, .. } => at_and(at, &[ty]),
        Op::AtomicRmw { ref at, w, .. } => at_and(at, &[w.ty()]),
        Op::AtomicCas { ref at, w, .. } => at_and(at, &[w.ty(); 2]),
        Op::StoreMasked { ref at, ty, .. } => at_and(at, &[ty; 2]),
        Op::LoadMasked { ref at, ty, .. } => at_and(at, &[ty]),
        Op::FpArith { ty, .. } | Op::FpCompareFlags { ty, .. } | Op::FpCompareMask { ty, .. } => vec![ty; 2],
        Op::FpSqrt { ty, .. } | Op::FpToInt { ty, .. } | Op::FpIntegral { ty, .. } => vec![ty],
        Op::VecBinary { ty, .. }
        | Op::VecShuffleImm { ty, .. }
        | Op::VecByImm { ty, .. }
        | Op::VecCompare { ty, .. }
        | Op::VecDot { ty, .. }
        | Op::VecTestFlags { ty, .. } => vec![ty; 2],
        Op::FpFma { ty, .. } | Op::VecTernary { ty, .. } | Op::VecFma { ty, .. } => vec![ty; 3],
        Op::VecUnary { op, ty, .. } => vec![op.operand_type(ty)],
        Op::VecShiftImm { ty, .. }
        | Op::VecIntegral { ty, .. }
        | Op::VecToHalf { ty, .. }
        | Op::VecMask { ty, .. }
        | Op::VecExtract { ty, .. }
        | Op::VecHalf { ty, .. } => vec![ty],
        Op::VecShiftBy { ty, .. } => vec![ty, if ty == Type::V256 { Type::V128 } else { ty }],
        Op::VecFromMmxInts { .. } => vec![V64],
        Op::VecInsert { ty, w, .. } => vec![ty, if w == Width::W64 { I64 } else { I32 }],
        Op::VecMergeLow { ty, .. } => vec![Type::V128, ty],
        Op::VecZeroExtend { from, .. } => vec![from],
        Op::VecBroadcast { .. } => vec![Type::V128],
        Op::VecJoin { ty, .. } => vec![if ty == Type::V256 { Type::V128 } else { V64 }; 2],
        Op::VecStringIndex { .. } | Op::VecStringMask { .. } | Op::VecStringFlags { .. } => {
            vec![Type::V128, I64, Type::V128, I64]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::parse;

    fn message(block: &str) -> String {
        let region = parse::region(&format!("region 0x1000 long64\nblock b0 0x1000\n{block}\n")).unwrap();
        verify(&region).map_or_else(|e| e.message, |()| "fine".into())
    }

    #[test]
    fn accepts_what_is_right_and_names_what_is_not() {
        assert_eq!(
            message(
                "insn 0x1000, #3\n%1 = get_gpr rax, w64\n%2 = load i64, unaligned, [w64 + %1]\nset_gpr rax, w64, %2\njump b0"
            ),
            "fine"
        );
        assert!(message("%1 = get_gpr rax, w64\njump b0").contains("start with"));
        assert!(message("insn 0x1000, #3\nset_gpr rax, w64, %9\njump b0").contains("before it is defined"));
        assert!(message("insn 0x1000, #3\n%1 = get_gpr rax, w32\nset_gpr rax, w64, %1\njump b0").contains("is i32"));
        assert!(
            message("insn 0x1000, #3\n%1 = get_gpr rax, w32\n%2 = load i8, unaligned, [w64 + %1]\njump b0")
                .contains("is i32")
        );
        assert!(message("insn 0x1000, #3\n%1 = get_gpr rax, w64\nset_gpr rcx, w64, %1\n%2 = load i64, unaligned, [w64 + %1]\njump b0").contains("may fault after"));
        assert!(message("insn 0x1000, #3\n%1 = get_gpr rax, w64\n%1 = get_gpr rax, w64\njump b0").contains("twice"));
        assert!(message("insn 0x1000, #3\n%1 = get_gpr rax, w64\nbranch %1, b0, b0").contains("is i64"));
        assert!(message("insn 0x1000, #3\ncall 0x10, 0x1003, b0").contains("not at"));
    }
}

//! FMA: fused multiply-add. Source: Intel SDM vol. 2C, `VFMADD132PD` to `VFNMSUB231SS`.

use hokku_ir::{Align, FmaOp, Type};
use iced_x86::{Code, CpuidFeature};

use crate::emit::{Emitter, Translated, Translator};
use crate::families::vector::{register_type, source, write, write_scalar_in};
use crate::insn::{Insn, Unsupported};

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    (code.cpuid_features() == [CpuidFeature::FMA]).then_some(fma)
}

/// All of them. The opcode's high digit tells which operands are multiplied, the low one the signs and whether it is a scalar; `vex.w` the precision.
fn fma(e: &mut Emitter, insn: &Insn) -> Translated {
    let info = insn.code().op_code();
    let opcode = info.op_code();
    let (op, is_scalar) = match opcode & 15 {
        6 => (FmaOp::AddSub, false),
        7 => (FmaOp::SubAdd, false),
        8 => (FmaOp::Add, false),
        9 => (FmaOp::Add, true),
        10 => (FmaOp::Sub, false),
        11 => (FmaOp::Sub, true),
        12 => (FmaOp::NegAdd, false),
        13 => (FmaOp::NegAdd, true),
        14 => (FmaOp::NegSub, false),
        15 => (FmaOp::NegSub, true),
        _ => return Err(Unsupported),
    };
    // Operands 1 and 3 are multiplied and 2 is added, and so on. A NaN in the first of these three wins.
    let [a, b, c] = match opcode >> 4 {
        9 => [0, 2, 1],
        10 => [1, 0, 2],
        11 => [1, 2, 0],
        _ => return Err(Unsupported),
    };
    let lane = if info.w() != 0 { Type::F64 } else { Type::F32 };
    if is_scalar {
        let mut read = |operand| e.vector(insn, operand, lane, Align::Any);
        let (a, b, c) = (read(a)?, read(b)?, read(c)?);
        let v = e.fp_fma(op, lane, a, b, c);
        return write_scalar_in(e, insn, 0, lane, v);
    }
    let ty = register_type(insn, 0);
    let mut read = |operand| source(e, insn, operand, ty);
    let (a, b, c) = (read(a)?, read(b)?, read(c)?);
    let v = e.vec_fma(op, lane, ty, a, b, c);
    write(e, insn, v)
}

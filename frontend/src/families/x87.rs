//! The x87 unit. Each instruction is one op on the x87 state, which knows tags, stack faults, rounding and exceptions.

use hokku_ir::{
    Cond, Flag, FlagSet, Num, StateDirection, StateImage, Value, Width, X87Const, X87Control, X87Format, X87Op,
    X87Unary,
};
use iced_x86::{Code, MemorySize, Mnemonic};

use crate::emit::{Emitter, Step, Translated, Translator};
use crate::insn::{Insn, Unsupported};

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    Some(match code.mnemonic() {
        Mnemonic::Fld | Mnemonic::Fild | Mnemonic::Fbld => fld,
        Mnemonic::Fst | Mnemonic::Fist => |e, i| fst(e, i, false, false),
        Mnemonic::Fstp | Mnemonic::Fstpnce | Mnemonic::Fistp | Mnemonic::Fbstp => |e, i| fst(e, i, true, false),
        Mnemonic::Fisttp => |e, i| fst(e, i, true, true),
        Mnemonic::Fld1 => |e, _| constant(e, X87Const::One),
        Mnemonic::Fldl2t => |e, _| constant(e, X87Const::L2t),
        Mnemonic::Fldl2e => |e, _| constant(e, X87Const::L2e),
        Mnemonic::Fldpi => |e, _| constant(e, X87Const::Pi),
        Mnemonic::Fldlg2 => |e, _| constant(e, X87Const::Lg2),
        Mnemonic::Fldln2 => |e, _| constant(e, X87Const::Ln2),
        Mnemonic::Fldz => |e, _| constant(e, X87Const::Zero),
        Mnemonic::Fxch => fxch,
        Mnemonic::Fadd | Mnemonic::Fiadd => |e, i| arith(e, i, X87Op::Add, false),
        Mnemonic::Fsub | Mnemonic::Fisub => |e, i| arith(e, i, X87Op::Sub, false),
        Mnemonic::Fsubr | Mnemonic::Fisubr => |e, i| arith(e, i, X87Op::SubR, false),
        Mnemonic::Fmul | Mnemonic::Fimul => |e, i| arith(e, i, X87Op::Mul, false),
        Mnemonic::Fdiv | Mnemonic::Fidiv => |e, i| arith(e, i, X87Op::Div, false),
        Mnemonic::Fdivr | Mnemonic::Fidivr => |e, i| arith(e, i, X87Op::DivR, false),
        Mnemonic::Faddp => |e, i| arith(e, i, X87Op::Add, true),
        Mnemonic::Fsubp => |e, i| arith(e, i, X87Op::Sub, true),
        Mnemonic::Fsubrp => |e, i| arith(e, i, X87Op::SubR, true),
        Mnemonic::Fmulp => |e, i| arith(e, i, X87Op::Mul, true),
        Mnemonic::Fdivp => |e, i| arith(e, i, X87Op::Div, true),
        Mnemonic::Fdivrp => |e, i| arith(e, i, X87Op::DivR, true),
        Mnemonic::Fcom | Mnemonic::Ficom => |e, i| compare(e, i, false, 0),
        Mnemonic::Fcomp | Mnemonic::Ficomp => |e, i| compare(e, i, false, 1),
        Mnemonic::Fcompp => |e, i| compare(e, i, false, 2),
        Mnemonic::Fucom => |e, i| compare(e, i, true, 0),
        Mnemonic::Fucomp => |e, i| compare(e, i, true, 1),
        Mnemonic::Fucompp => |e, i| compare(e, i, true, 2),
        Mnemonic::Fcomi => |e, i| compare_flags(e, i, false, false),
        Mnemonic::Fcomip => |e, i| compare_flags(e, i, false, true),
        Mnemonic::Fucomi => |e, i| compare_flags(e, i, true, false),
        Mnemonic::Fucomip => |e, i| compare_flags(e, i, true, true),
        Mnemonic::Fcmovb => |e, i| cmov(e, i, Cond::B),
        Mnemonic::Fcmove => |e, i| cmov(e, i, Cond::E),
        Mnemonic::Fcmovbe => |e, i| cmov(e, i, Cond::Be),
        Mnemonic::Fcmovu => |e, i| cmov(e, i, Cond::P),
        Mnemonic::Fcmovnb => |e, i| cmov(e, i, Cond::Ae),
        Mnemonic::Fcmovne => |e, i| cmov(e, i, Cond::Ne),
        Mnemonic::Fcmovnbe => |e, i| cmov(e, i, Cond::A),
        Mnemonic::Fcmovnu => |e, i| cmov(e, i, Cond::Np),
        Mnemonic::Fchs => |e, _| unary(e, X87Unary::Fchs),
        Mnemonic::Fabs => |e, _| unary(e, X87Unary::Fabs),
        Mnemonic::Fsqrt => |e, _| unary(e, X87Unary::Fsqrt),
        Mnemonic::Frndint => |e, _| unary(e, X87Unary::Frndint),
        Mnemonic::Ftst => |e, _| unary(e, X87Unary::Ftst),
        Mnemonic::Fxam => |e, _| unary(e, X87Unary::Fxam),
        Mnemonic::Fsin => |e, _| unary(e, X87Unary::Fsin),
        Mnemonic::Fcos => |e, _| unary(e, X87Unary::Fcos),
        Mnemonic::Fsincos => |e, _| unary(e, X87Unary::Fsincos),
        Mnemonic::Fptan => |e, _| unary(e, X87Unary::Fptan),
        Mnemonic::Fpatan => |e, _| unary(e, X87Unary::Fpatan),
        Mnemonic::F2xm1 => |e, _| unary(e, X87Unary::F2xm1),
        Mnemonic::Fyl2x => |e, _| unary(e, X87Unary::Fyl2x),
        Mnemonic::Fyl2xp1 => |e, _| unary(e, X87Unary::Fyl2xp1),
        Mnemonic::Fscale => |e, _| unary(e, X87Unary::Fscale),
        Mnemonic::Fprem => |e, _| unary(e, X87Unary::Fprem),
        Mnemonic::Fprem1 => |e, _| unary(e, X87Unary::Fprem1),
        Mnemonic::Fxtract => |e, _| unary(e, X87Unary::Fxtract),
        Mnemonic::Fincstp => |e, _| unary(e, X87Unary::Fincstp),
        Mnemonic::Fdecstp => |e, _| unary(e, X87Unary::Fdecstp),
        Mnemonic::Ffree => |e, i| free(e, i, false),
        Mnemonic::Ffreep => |e, i| free(e, i, true),
        Mnemonic::Fninit => |e, _| control(e, X87Control::Init),
        Mnemonic::Fnclex => |e, _| control(e, X87Control::Clex),
        Mnemonic::Wait => |e, _| control(e, X87Control::Wait),
        Mnemonic::Fnop => |e, _| control(e, X87Control::Nop),
        // Left over from the 8087 and 80287: no operations on later units.
        Mnemonic::Fneni | Mnemonic::Fndisi | Mnemonic::Fnsetpm => |_, _| Ok(Step::Next),
        Mnemonic::Fnstsw => fnstsw,
        Mnemonic::Fnstcw => fnstcw,
        Mnemonic::Fldcw => fldcw,
        Mnemonic::Fnstenv => |e, i| image(e, i, StateImage::Env, StateDirection::Save),
        Mnemonic::Fldenv => |e, i| image(e, i, StateImage::Env, StateDirection::Load),
        Mnemonic::Fnsave => |e, i| image(e, i, StateImage::All, StateDirection::Save),
        Mnemonic::Frstor => |e, i| image(e, i, StateImage::All, StateDirection::Load),
        Mnemonic::Fxsave => |e, i| image(e, i, StateImage::Fx, StateDirection::Save),
        Mnemonic::Fxrstor => |e, i| image(e, i, StateImage::Fx, StateDirection::Load),
        Mnemonic::Fxsave64 => |e, i| image(e, i, StateImage::Fx64, StateDirection::Save),
        Mnemonic::Fxrstor64 => |e, i| image(e, i, StateImage::Fx64, StateDirection::Load),
        _ => return None,
    })
}

/// Format of the memory operand.
fn format(insn: &Insn) -> Result<X87Format, Unsupported> {
    Ok(match insn.raw.memory_size() {
        MemorySize::Float32 => X87Format::F32,
        MemorySize::Float64 => X87Format::F64,
        MemorySize::Float80 => X87Format::F80,
        MemorySize::Int16 => X87Format::I16,
        MemorySize::Int32 => X87Format::I32,
        MemorySize::Int64 => X87Format::I64,
        MemorySize::Bcd => X87Format::Bcd,
        _ => return Err(Unsupported),
    })
}

/// The stack position ST(i) that `operand` is.
fn st(insn: &Insn, operand: u32) -> Result<Num, Unsupported> {
    let register = insn.register(operand).filter(|r| r.is_st()).ok_or(Unsupported)?;
    Ok(Num(register.number() as u8))
}

/// `FLD`, `FILD`, `FBLD`: SDM 2A.
fn fld(e: &mut Emitter, insn: &Insn) -> Translated {
    if insn.is_memory(0) {
        let (format, at) = (format(insn)?, e.address(insn)?);
        e.x87_load(format, at);
    } else {
        e.x87_push(st(insn, 0)?);
    }
    Ok(Step::Next)
}

/// `FST(P)`, `FIST(P)`, `FISTTP`, `FBSTP`: SDM 2A.
fn fst(e: &mut Emitter, insn: &Insn, pop: bool, truncate: bool) -> Translated {
    if insn.is_memory(0) {
        let (format, at) = (format(insn)?, e.address(insn)?);
        e.x87_store(format, Flag(truncate), Flag(pop), at);
    } else {
        e.x87_copy(st(insn, 0)?, Flag(pop));
    }
    Ok(Step::Next)
}

/// `FLD1` and kin: SDM 2A.
fn constant(e: &mut Emitter, value: X87Const) -> Translated {
    e.x87_push_const(value);
    Ok(Step::Next)
}

/// `FXCH`: SDM 2A.
fn fxch(e: &mut Emitter, insn: &Insn) -> Translated {
    e.x87_exchange(st(insn, 1)?);
    Ok(Step::Next)
}

/// `FADD` and the others with their `FI` and `P` forms: SDM 2A.
fn arith(e: &mut Emitter, insn: &Insn, op: X87Op, pop: bool) -> Translated {
    if insn.is_memory(0) {
        let (format, at) = (format(insn)?, e.address(insn)?);
        e.x87_arith_mem(op, format, at);
    } else {
        e.x87_arith(op, st(insn, 0)?, st(insn, 1)?, Flag(pop));
    }
    Ok(Step::Next)
}

/// `FCOM`, `FUCOM`, `FICOM` and popping forms: SDM 2A. Without operand: with ST(1).
fn compare(e: &mut Emitter, insn: &Insn, unordered: bool, pops: u8) -> Translated {
    if insn.is_memory(0) {
        let (format, at) = (format(insn)?, e.address(insn)?);
        e.x87_compare_mem(format, Flag(pops > 0), at);
        return Ok(Step::Next);
    }
    let other = if insn.raw.op_count() == 2 { st(insn, 1)? } else { Num(1) };
    e.x87_compare(other, Flag(unordered), Num(pops));
    Ok(Step::Next)
}

/// `FCOMI(P)`, `FUCOMI(P)`: SDM 2A. ZF, PF, CF tell; OF, SF, AF become zero.
fn compare_flags(e: &mut Emitter, insn: &Insn, unordered: bool, pop: bool) -> Translated {
    let flags = e.x87_compare_flags(st(insn, 1)?, Flag(unordered), Flag(pop));
    e.set_flags(FlagSet::STATUS, flags);
    Ok(Step::Next)
}

/// `FCMOVcc`: SDM 2A.
fn cmov(e: &mut Emitter, insn: &Insn, cc: Cond) -> Translated {
    let source = st(insn, 1)?;
    let f = e.get_flags();
    let c = e.condition(cc, f);
    e.x87_cmov(c, source);
    Ok(Step::Next)
}

fn unary(e: &mut Emitter, op: X87Unary) -> Translated {
    e.x87_unary(op);
    Ok(Step::Next)
}

/// `FFREE`: SDM 2A; `FFREEP`, which pops as well.
fn free(e: &mut Emitter, insn: &Insn, pop: bool) -> Translated {
    e.x87_free(st(insn, 0)?, Flag(pop));
    Ok(Step::Next)
}

fn control(e: &mut Emitter, op: X87Control) -> Translated {
    e.x87_control(op);
    Ok(Step::Next)
}

/// Writes an I16 of the unit to the operand.
fn store_word(e: &mut Emitter, insn: &Insn, v: Value) -> Translated {
    let dst = e.place(insn, 0)?;
    e.write(dst, Width::W16, v)?;
    Ok(Step::Next)
}

/// `FNSTSW`: SDM 2A.
fn fnstsw(e: &mut Emitter, insn: &Insn) -> Translated {
    let v = e.x87_get_status();
    store_word(e, insn, v)
}

/// `FNSTCW`: SDM 2A.
fn fnstcw(e: &mut Emitter, insn: &Insn) -> Translated {
    let v = e.x87_get_control();
    store_word(e, insn, v)
}

/// `FLDCW`: SDM 2A.
fn fldcw(e: &mut Emitter, insn: &Insn) -> Translated {
    let v = e.operand(insn, 0, Width::W16)?;
    e.x87_set_control(v);
    Ok(Step::Next)
}

/// `FNSTENV`, `FLDENV`, `FNSAVE`, `FRSTOR`, `FXSAVE`, `FXRSTOR`: SDM 2A.
fn image(e: &mut Emitter, insn: &Insn, image: StateImage, direction: StateDirection) -> Translated {
    let short = matches!(
        insn.code(),
        Code::Fnstenv_m14byte | Code::Fldenv_m14byte | Code::Fnsave_m94byte | Code::Frstor_m94byte
    );
    let at = e.address(insn)?;
    e.state_image(image, direction, Flag(short), at);
    Ok(Step::Next)
}

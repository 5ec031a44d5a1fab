//! The instructions under test: what the processor runs and what the evaluator runs.

use hokku_ir::eval::Val;
use hokku_ir::ops::Op;
use hokku_ir::{
    Addr, Cond, Flag, FlagSet, Imm, Num, StateDirection, StateImage, Type, Value, Width, X87Const, X87Control,
    X87Format, X87Op, X87Unary,
};

use crate::State;
use crate::cases::{self, Rng};
use crate::native::{Area, Native, native};

pub(crate) use crate::native::MEMORY;

/// One instruction.
pub(crate) struct Instruction {
    pub(crate) name: &'static str,
    pub(crate) native: Native,
    /// Its ops, given the status flags before: value 0 is the address of the memory operand, value 1 the result of the op before.
    pub(crate) ops: Box<dyn Fn(u32) -> Vec<Op>>,
    /// Clears what is not compared.
    pub(crate) forget: fn(&mut Area),
    /// Before which states it is tried.
    pub(crate) applies: fn(&State) -> bool,
}

/// What ops find as operands.
#[derive(Default)]
pub(crate) struct Values {
    pub(crate) last: Val,
}

const LAST: Value = Value(1);

/// Random contents for a memory operand of any format.
pub(crate) fn memory(rng: &mut Rng) -> Area {
    let mut area = Area::default();
    area.0.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&rng.next().to_le_bytes()));
    match rng.below(6) {
        0 => area.0[..4].copy_from_slice(&cases::f32(rng).0.to_le_bytes()),
        1 => area.0[..8].copy_from_slice(&cases::f64(rng).0.to_le_bytes()),
        2 => area.0[..10].copy_from_slice(&cases::f80(rng).to_le_bytes()),
        3 => area.0[..8].copy_from_slice(&(rng.below(9) as i64 - 4).to_le_bytes()),
        _ => {}
    }
    area
}

fn at() -> Addr {
    Addr::at(Value(0), Width::W64)
}

/// An instruction of one op.
macro_rules! one {
    ($inst:literal, $op:expr) => {
        Instruction {
            name: $inst,
            native: native!($inst),
            ops: Box::new(|_| vec![$op]),
            forget: |_| {},
            applies: |_| true,
        }
    };
}

fn load(format: X87Format) -> Op {
    Op::X87Load { format, at: at() }
}

fn store(format: X87Format, pop: bool) -> Op {
    Op::X87Store { format, truncate: Flag(false), pop: Flag(pop), at: at() }
}

fn truncate(format: X87Format) -> Op {
    Op::X87Store { format, truncate: Flag(true), pop: Flag(true), at: at() }
}

fn arith(op: X87Op, dst: u8, src: u8, pop: bool) -> Op {
    Op::X87Arith { op, dst: Num(dst), src: Num(src), pop: Flag(pop) }
}

fn arith_mem(op: X87Op, format: X87Format) -> Op {
    Op::X87ArithMem { op, format, at: at() }
}

fn compare(st: u8, unordered: bool, pops: u8) -> Op {
    Op::X87Compare { st: Num(st), unordered: Flag(unordered), pops: Num(pops) }
}

fn unary(op: X87Unary) -> Op {
    Op::X87UnaryOp { op }
}

fn control(op: X87Control) -> Op {
    Op::X87ControlOp { op }
}

fn image(image: StateImage, direction: StateDirection, short: bool) -> Op {
    Op::StateImageOp { image, direction, short: Flag(short), at: at() }
}

/// `fcomi` and kin, whose result is the flags.
fn compare_flags(name: &'static str, native: Native, st: u8, unordered: bool, pop: bool) -> Instruction {
    let op = Op::X87CompareFlags { st: Num(st), unordered: Flag(unordered), pop: Flag(pop) };
    let ops = move |_| vec![op, Op::SetFlags { set: FlagSet::STATUS, v: LAST }];
    Instruction { name, native, ops: Box::new(ops), forget: |_| {}, applies: |_| true }
}

/// `fcmovcc`.
fn cmov(name: &'static str, native: Native, cc: Cond, st: u8) -> Instruction {
    let ops = move |flags| {
        let holds = cc.holds(FlagSet::from_bits_truncate(flags));
        vec![Op::Iconst { w: Width::W8, value: Imm(holds.into()) }, Op::X87Cmov { c: LAST, st: Num(st) }]
    };
    Instruction { name, native, ops: Box::new(ops), forget: |_| {}, applies: |_| true }
}

/// A store whose value the op before gives.
fn then_store(name: &'static str, native: Native, op: Op, ty: Type) -> Instruction {
    let store = Op::Store { ty, align: hokku_ir::Align::Any, at: at(), v: LAST };
    Instruction { name, native, ops: Box::new(move |_| vec![op, store]), forget: |_| {}, applies: |_| true }
}

/// An image whose pointers are not compared: `size` bytes a field, from the fourth field on.
fn saved(name: &'static str, native: Native, op: Op, forget: fn(&mut Area)) -> Instruction {
    Instruction { name, native, ops: Box::new(move |_| vec![op]), forget, applies: |_| true }
}

pub(crate) fn all() -> Vec<Instruction> {
    use StateDirection::{Load, Save};
    use X87Format::{Bcd, F32, F64, F80, I16, I32, I64};
    use X87Op::{Add, Div, DivR, Mul, Sub, SubR};
    let load_value = Op::Load { ty: Type::I16, align: hokku_ir::Align::Any, at: at() };
    let mut all = vec![
        one!("fld dword ptr [rdi]", load(F32)),
        one!("fld qword ptr [rdi]", load(F64)),
        one!("fld tbyte ptr [rdi]", load(F80)),
        one!("fild word ptr [rdi]", load(I16)),
        one!("fild dword ptr [rdi]", load(I32)),
        one!("fild qword ptr [rdi]", load(I64)),
        one!("fbld tbyte ptr [rdi]", load(Bcd)),
        one!("fst dword ptr [rdi]", store(F32, false)),
        one!("fst qword ptr [rdi]", store(F64, false)),
        one!("fstp dword ptr [rdi]", store(F32, true)),
        one!("fstp qword ptr [rdi]", store(F64, true)),
        one!("fstp tbyte ptr [rdi]", store(F80, true)),
        one!("fist word ptr [rdi]", store(I16, false)),
        one!("fist dword ptr [rdi]", store(I32, false)),
        one!("fistp word ptr [rdi]", store(I16, true)),
        one!("fistp dword ptr [rdi]", store(I32, true)),
        one!("fistp qword ptr [rdi]", store(I64, true)),
        one!("fisttp word ptr [rdi]", truncate(I16)),
        one!("fisttp dword ptr [rdi]", truncate(I32)),
        one!("fisttp qword ptr [rdi]", truncate(I64)),
        one!("fbstp tbyte ptr [rdi]", store(Bcd, true)),
        one!("fld st(0)", Op::X87Push { st: Num(0) }),
        one!("fld st(5)", Op::X87Push { st: Num(5) }),
        one!("fld st(7)", Op::X87Push { st: Num(7) }),
        one!("fld1", Op::X87PushConst { value: X87Const::One }),
        one!("fldz", Op::X87PushConst { value: X87Const::Zero }),
        one!("fldpi", Op::X87PushConst { value: X87Const::Pi }),
        one!("fldl2t", Op::X87PushConst { value: X87Const::L2t }),
        one!("fldl2e", Op::X87PushConst { value: X87Const::L2e }),
        one!("fldlg2", Op::X87PushConst { value: X87Const::Lg2 }),
        one!("fldln2", Op::X87PushConst { value: X87Const::Ln2 }),
        one!("fst st(2)", Op::X87Copy { st: Num(2), pop: Flag(false) }),
        one!("fstp st(0)", Op::X87Copy { st: Num(0), pop: Flag(true) }),
        one!("fstp st(3)", Op::X87Copy { st: Num(3), pop: Flag(true) }),
        one!("fxch st(1)", Op::X87Exchange { st: Num(1) }),
        one!("fxch st(6)", Op::X87Exchange { st: Num(6) }),
        one!("fadd st, st(1)", arith(Add, 0, 1, false)),
        one!("fsub st, st(2)", arith(Sub, 0, 2, false)),
        one!("fsubr st, st(2)", arith(SubR, 0, 2, false)),
        one!("fmul st, st(0)", arith(Mul, 0, 0, false)),
        one!("fdiv st, st(3)", arith(Div, 0, 3, false)),
        one!("fdivr st, st(3)", arith(DivR, 0, 3, false)),
        one!("fadd st(4), st", arith(Add, 4, 0, false)),
        // In the order of the bytes, not of the assemblers' names: `dc e8+i` is ST(i) - ST(0).
        one!(".byte 0xdc, 0xe9", arith(Sub, 1, 0, false)),
        one!(".byte 0xdc, 0xe1", arith(SubR, 1, 0, false)),
        one!(".byte 0xde, 0xf9", arith(Div, 1, 0, true)),
        one!(".byte 0xde, 0xf1", arith(DivR, 1, 0, true)),
        one!("faddp st(1), st", arith(Add, 1, 0, true)),
        one!("fmulp st(2), st", arith(Mul, 2, 0, true)),
        one!("fadd dword ptr [rdi]", arith_mem(Add, F32)),
        one!("fsub qword ptr [rdi]", arith_mem(Sub, F64)),
        one!("fsubr dword ptr [rdi]", arith_mem(SubR, F32)),
        one!("fmul qword ptr [rdi]", arith_mem(Mul, F64)),
        one!("fdiv dword ptr [rdi]", arith_mem(Div, F32)),
        one!("fdivr qword ptr [rdi]", arith_mem(DivR, F64)),
        one!("fiadd word ptr [rdi]", arith_mem(Add, I16)),
        one!("fidivr dword ptr [rdi]", arith_mem(DivR, I32)),
        one!("fcom st(1)", compare(1, false, 0)),
        one!("fcomp st(3)", compare(3, false, 1)),
        one!("fcompp", compare(1, false, 2)),
        one!("fucom st(1)", compare(1, true, 0)),
        one!("fucompp", compare(1, true, 2)),
        one!("fcom dword ptr [rdi]", Op::X87CompareMem { format: F32, pop: Flag(false), at: at() }),
        one!("fcomp qword ptr [rdi]", Op::X87CompareMem { format: F64, pop: Flag(true), at: at() }),
        one!("ficomp word ptr [rdi]", Op::X87CompareMem { format: I16, pop: Flag(true), at: at() }),
        compare_flags("fcomi", native!("fcomi st, st(1)"), 1, false, false),
        compare_flags("fcomip", native!("fcomip st, st(2)"), 2, false, true),
        compare_flags("fucomi", native!("fucomi st, st(1)"), 1, true, false),
        compare_flags("fucomip", native!("fucomip st, st(1)"), 1, true, true),
        cmov("fcmovb", native!("fcmovb st, st(1)"), Cond::B, 1),
        cmov("fcmovnu", native!("fcmovnu st, st(2)"), Cond::Np, 2),
        cmov("fcmovbe", native!("fcmovbe st, st(3)"), Cond::Be, 3),
        one!("ffree st(2)", Op::X87Free { st: Num(2), pop: Flag(false) }),
        one!(".byte 0xdf, 0xc1", Op::X87Free { st: Num(1), pop: Flag(true) }),
        one!("fninit", control(X87Control::Init)),
        one!("fnclex", control(X87Control::Clex)),
        one!("emms", control(X87Control::Emms)),
        one!("fwait", control(X87Control::Wait)),
        then_store("fnstsw", native!("fnstsw word ptr [rdi]"), Op::X87GetStatus {}, Type::I16),
        then_store("fnstcw", native!("fnstcw word ptr [rdi]"), Op::X87GetControl {}, Type::I16),
        then_store("movq from mm", native!("movq [rdi], mm3"), Op::GetMmx { reg: Num(3) }, Type::V64),
        Instruction {
            name: "fldcw",
            native: native!("fldcw word ptr [rdi]"),
            ops: Box::new(move |_| vec![load_value, Op::X87SetControl { v: LAST }]),
            forget: |_| {},
            applies: |_| true,
        },
        Instruction {
            name: "movd to mm",
            native: native!("mov eax, 7", "movd mm2, eax"),
            ops: Box::new(|_| vec![Op::Iconst { w: Width::W64, value: Imm(7) }, Op::SetMmx { reg: Num(2), v: LAST }]),
            forget: |_| {},
            applies: |_| true,
        },
        saved("fnstenv", native!("fnstenv [rdi]"), image(StateImage::Env, Save, false), |m| m.0[12..28].fill(0)),
        saved("fnsave", native!("fnsave [rdi]"), image(StateImage::All, Save, false), |m| m.0[12..28].fill(0)),
        saved("fnstenv (16)", native!(".byte 0x66", "fnstenv [rdi]"), image(StateImage::Env, Save, true), |m| {
            m.0[6..14].fill(0)
        }),
        saved("fnsave (16)", native!(".byte 0x66", "fnsave [rdi]"), image(StateImage::All, Save, true), |m| {
            m.0[6..14].fill(0)
        }),
        one!("fldenv [rdi]", image(StateImage::Env, Load, false)),
        one!("frstor [rdi]", image(StateImage::All, Load, false)),
    ];
    macro_rules! unaries {
        ($($inst:literal $op:ident),*) => { all.extend([$(one!($inst, unary(X87Unary::$op))),*]) };
    }
    unaries!(
        "fchs" Fchs, "fabs" Fabs, "fsqrt" Fsqrt, "frndint" Frndint, "ftst" Ftst, "fxam" Fxam, "fscale" Fscale, "fprem" Fprem,
        "fprem1" Fprem1, "fxtract" Fxtract, "fincstp" Fincstp, "fdecstp" Fdecstp
    );
    macro_rules! transcendentals {
        ($applies:expr, $($inst:literal $op:ident),*) => {
            all.extend([$(Instruction { applies: $applies, ..one!($inst, unary(X87Unary::$op)) }),*])
        };
    }
    // Their values are the business of `tests/softfloat`, up to the last place: here they fault for want of an operand or of room.
    transcendentals!(|s| s.is_empty(0), "fsin" Fsin, "fcos" Fcos, "f2xm1" F2xm1);
    transcendentals!(|s| s.is_empty(0) || s.is_empty(1), "fpatan" Fpatan, "fyl2x" Fyl2x, "fyl2xp1" Fyl2xp1);
    transcendentals!(|s| s.is_empty(0) || !s.is_empty(7), "fsincos" Fsincos, "fptan" Fptan);
    all
}

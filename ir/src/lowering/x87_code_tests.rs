//! The functions of exact arithmetic, run by a machine of a few lines, against the evaluator's arithmetic.

use super::x87_asm::{X87Alu, X87Asm, X87If, X87Imm, X87Part, X87Regs};
use super::x87_code::{X87_FUNCTIONS, x87_function};
use crate::backend::StubId;
use crate::eval::testing::Random;
use crate::eval::{x87_exactly_from_host, x87_exactly_to_host};
use crate::offsets::{X87_SHAPE, X87_TAGS};
use crate::softfloat::{self as soft, Exceptions, F80, FloatEnv, Relation, Rounding};

#[derive(Clone, Copy)]
enum Step {
    Op(X87Alu, u8, u8, u8),
    Imm(X87Imm, u8, u8, i32),
    Not(u8, u8),
    Zeros(u8, u8),
    Spread(u8, u8),
    Constant(u8, u64),
    Load(u8),
    Store(X87Part, u8, i32),
    Branch(X87If, u8, u8, usize),
    Jump(usize),
    Return(bool),
}

/// A machine: its registers by number, of which 0 is zero, and the places of the state that functions use.
#[derive(Default)]
struct Code {
    steps: Vec<Step>,
    labels: Vec<usize>,
}

impl X87Asm for Code {
    type Label = usize;

    fn x87_label(&mut self) -> usize {
        self.labels.push(usize::MAX);
        self.labels.len() - 1
    }

    fn x87_bind(&mut self, label: usize) {
        self.labels[label] = self.steps.len();
    }

    fn x87_op(&mut self, op: X87Alu, d: u8, a: u8, b: u8) {
        self.steps.push(Step::Op(op, d, a, b));
    }

    fn x87_imm(&mut self, op: X87Imm, d: u8, a: u8, n: i32) {
        self.steps.push(Step::Imm(op, d, a, n));
    }

    fn x87_not(&mut self, d: u8, a: u8) {
        self.steps.push(Step::Not(d, a));
    }

    fn x87_leading_zeros(&mut self, d: u8, a: u8, _: [u8; 2]) {
        self.steps.push(Step::Zeros(d, a));
    }

    fn x87_spread(&mut self, d: u8, a: u8) {
        self.steps.push(Step::Spread(d, a));
    }

    fn x87_constant(&mut self, d: u8, n: u64) {
        self.steps.push(Step::Constant(d, n));
    }

    fn x87_load(&mut self, _: X87Part, d: u8, _: i32) {
        self.steps.push(Step::Load(d));
    }

    fn x87_store(&mut self, part: X87Part, s: u8, offset: i32) {
        self.steps.push(Step::Store(part, s, offset));
    }

    fn x87_branch(&mut self, on: X87If, a: u8, b: u8, to: usize) {
        self.steps.push(Step::Branch(on, a, b, to));
    }

    fn x87_jump(&mut self, to: usize) {
        self.steps.push(Step::Jump(to));
    }

    fn x87_return(&mut self, is_done: bool) {
        self.steps.push(Step::Return(is_done));
    }
}

const REGS: X87Regs = X87Regs { a: (1, 2), b: (3, 4), t: [5, 6, 7], zero: 0 };

/// What a function leaves.
struct Left {
    is_done: bool,
    a: (u64, u64),
    b: (u64, u64),
    c1: bool,
    inexact: bool,
}

impl Code {
    fn run(&self, a: (u64, u64), b: (u64, u64)) -> Left {
        let mut r = [0, a.0, a.1, b.0, b.1, 0x5555, 0x6666, 0x7777];
        let (mut c1, mut inexact, mut kept, mut at) = (2, 0, 0, 0);
        loop {
            let step = self.steps[at];
            at += 1;
            match step {
                Step::Op(op, d, a, b) => {
                    let (a, b) = (r[a as usize], r[b as usize]);
                    r[d as usize] = match op {
                        X87Alu::Add => a.wrapping_add(b),
                        X87Alu::Sub => a.wrapping_sub(b),
                        X87Alu::And => a & b,
                        X87Alu::Or => a | b,
                        X87Alu::Xor => a ^ b,
                        X87Alu::ShiftLeft => a << (b & 63),
                        X87Alu::ShiftRight => a >> (b & 63),
                        X87Alu::Below => u64::from(a < b),
                        X87Alu::Mul => a.wrapping_mul(b),
                        X87Alu::MulHigh => ((u128::from(a) * u128::from(b)) >> 64) as u64,
                        X87Alu::Div => a / b,
                    };
                }
                Step::Imm(op, d, a, n) => {
                    let a = r[a as usize];
                    r[d as usize] = match op {
                        X87Imm::Add => a.wrapping_add_signed(n.into()),
                        X87Imm::And => a & n as u64,
                        X87Imm::ShiftLeft => a << n,
                        X87Imm::ShiftRight => a >> n,
                        X87Imm::Below => u64::from(a < n as u64),
                    };
                }
                Step::Not(d, a) => r[d as usize] = !r[a as usize],
                Step::Zeros(d, a) => {
                    assert_ne!(r[a as usize], 0);
                    r[d as usize] = r[a as usize].leading_zeros().into();
                }
                Step::Spread(d, a) => r[d as usize] = ((r[a as usize] as i64) << 1 >> 1) as u64,
                Step::Constant(d, n) => r[d as usize] = n,
                Step::Load(d) => r[d as usize] = kept,
                Step::Store(X87Part::Long, s, _) => kept = r[s as usize],
                Step::Store(X87Part::Byte, s, offset) => {
                    assert_eq!(offset, X87_SHAPE + 2);
                    c1 = r[s as usize] as u8;
                }
                Step::Store(X87Part::Half, s, offset) => {
                    assert_eq!(offset, X87_TAGS);
                    inexact = r[s as usize] as u16;
                    assert_ne!(inexact, 0, "that would tell nothing");
                }
                Step::Store(..) => panic!("no word is stored"),
                Step::Branch(on, a, b, to) => {
                    let (a, b) = (r[a as usize], r[b as usize]);
                    let holds = match on {
                        X87If::Equal => a == b,
                        X87If::NotEqual => a != b,
                        X87If::Less => (a as i64) < b as i64,
                        X87If::NotLess => a as i64 >= b as i64,
                        X87If::Below => a < b,
                        X87If::NotBelow => a >= b,
                    };
                    if holds {
                        at = self.labels[to];
                    }
                }
                Step::Jump(to) => at = self.labels[to],
                Step::Return(is_done) => {
                    assert_eq!(r[0], 0);
                    let (a, b) = ((r[1], r[2]), (r[3], r[4]));
                    return Left { is_done, a, b, c1: c1 == 1, inexact: inexact != 0 };
                }
            }
        }
    }
}

impl Random {
    fn value(&mut self) -> F80 {
        let (bits, n) = (self.next(), self.below(64));
        let significand = match self.below(7) {
            0 => bits,
            1 => bits << n,
            2 => u64::MAX << n,
            3 => 1 << n,
            4 => !(1 << n),
            5 => bits & !0x7ff,
            _ => (1 << 63) + self.below(3),
        };
        let exponent = match self.below(8) {
            0 => self.next() as u16 & 0x7fff,
            1 => [0, 1, 2, 0x7ffd, 0x7ffe, 0x7fff][self.below(6) as usize],
            2 => 16383,
            _ => 16383 - 70 + self.below(140) as u16,
        };
        let sign = (self.below(2) << 15) as u16;
        match self.below(12) {
            0 => F80 { significand: 0, sign_exponent: sign },
            1 => F80 { significand, sign_exponent: sign | exponent },
            _ => F80 { significand: significand | 1 << 63, sign_exponent: sign | exponent },
        }
    }
}

fn is_ordinary(v: F80) -> bool {
    let exponent = v.sign_exponent & 0x7fff;
    (1..0x7fff).contains(&exponent) && v.significand >> 63 != 0 || exponent == 0 && v.significand == 0
}

#[test]
fn functions_do_what_the_evaluator_does() {
    let codes = X87_FUNCTIONS.map(|id| {
        let mut code = Code::default();
        x87_function(&mut code, id, REGS);
        (id, code)
    });
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut ordinary, mut done) = (0, 0);
    for _ in 0..300_000 {
        let a = random.value();
        let mut b = random.value();
        match random.below(6) {
            0 => b = F80 { significand: a.significand ^ random.below(4), ..b },
            1 => {
                b = F80 {
                    sign_exponent: a.sign_exponent ^ (random.below(2) << 15) as u16 ^ random.below(2) as u16,
                    ..b
                }
            }
            _ => {}
        }
        for (id, code) in &codes {
            let mut env = FloatEnv::from_control_word(0x37f);
            let left = code.run(x87_exactly_to_host(a), x87_exactly_to_host(b));
            let takes_two = !matches!(id, StubId::X87Integer | StubId::X87Truncation);
            ordinary += usize::from(is_ordinary(a) && (is_ordinary(b) || !takes_two));
            done += usize::from(left.is_done);
            if !left.is_done {
                continue;
            }
            let what = || format!("{id:?} {a:x?} {b:x?}");
            assert!(is_ordinary(a) && (is_ordinary(b) || !takes_two), "{}", what());
            let expected = match id {
                StubId::X87Sum => soft::add(a, b, &mut env),
                StubId::X87Difference => soft::sub(a, b, &mut env),
                StubId::X87Product => soft::mul(a, b, &mut env),
                StubId::X87Quotient => soft::div(a, b, &mut env),
                StubId::X87Comparison => {
                    let told = match soft::compare_signaling(a, b, &mut env) {
                        Relation::Less => 1,
                        Relation::Equal => 0x40,
                        _ => 0,
                    };
                    assert_eq!(left.a.0, told, "{}", what());
                    continue;
                }
                _ => {
                    let truncates = *id == StubId::X87Truncation;
                    let rounding = if truncates { Rounding::Zero } else { Rounding::Nearest };
                    let n = soft::to_i64(a, rounding, &mut env);
                    let flags = env.settle().flags;
                    let told = (flags.contains(Exceptions::ROUNDED_UP), flags.contains(Exceptions::PRECISION));
                    assert_eq!((left.a.0 as i64, left.b.0 != 0, left.b.1 != 0), (n, told.0, told.1), "{}", what());
                    continue;
                }
            };
            let flags = env.settle().flags;
            let told = (flags.contains(Exceptions::ROUNDED_UP), flags.contains(Exceptions::PRECISION));
            let plain = Exceptions::ROUNDED_UP | Exceptions::PRECISION;
            assert!(plain.contains(flags), "{} raises {flags:?}", what());
            assert_eq!(
                (x87_exactly_from_host(left.a), left.c1, left.inexact),
                (expected, told.0, told.1),
                "{}",
                what()
            );
        }
    }
    assert!(done * 10 > ordinary * 9, "{done} of {ordinary}");
}

//! Each routine does what the evaluator does, or nothing.

use super::testing::{Case, Random};
use super::{Val, X87_ROUTINES, x87_from_host, x87_to_exact};
use crate::guest::{F80, GuestAddr};
use crate::lowering::{X87Access, x87_call};
use crate::operand::{Addr, Flag, Num, Width, X87Const, X87Control, X87Format, X87Op, X87Unary};
use crate::ops::Op;
use crate::region::Value;

const AREA: u64 = 0x1000;

impl Random {
    /// Bits of which many are alike.
    fn bits(&mut self) -> u64 {
        let (a, n) = (self.next(), self.below(64));
        match self.below(6) {
            0 => a,
            1 => a << n,
            2 => a >> n,
            3 => u64::MAX << n,
            4 => 1 << n,
            _ => !(1 << n),
        }
    }

    fn register(&mut self) -> F80 {
        let sign = (self.below(2) << 15) as u16;
        let near = 16383 - 70 + self.below(140) as u16;
        let (significand, exponent) = match self.below(12) {
            0 => (0, 0),
            1 => (self.bits(), self.next() as u16 & 0x7fff),
            2 => (self.bits() | 1 << 63, [1, 2, 0x7ffe, 0x7fff, 0x3c01, 0x43fe][self.below(6) as usize]),
            3 => (self.bits() | 1 << 63, self.next() as u16 & 0x7fff),
            // A double.
            4 => ((self.bits() | 1 << 63) & !0x7ff, near),
            _ => (self.bits() | 1 << 63, near),
        };
        F80 { significand, sign_exponent: sign | exponent, padding: [0; 3] }
    }

    fn memory(&mut self, format: X87Format) -> [u8; 16] {
        let mut bytes = [0; 16];
        let register = self.register();
        let (near, fraction, sign) = (self.below(100), self.bits(), self.below(2));
        let low = match format {
            X87Format::F64 if self.below(8) > 0 => sign << 63 | (1023 - 50 + near) << 52 | fraction >> 12,
            X87Format::F32 if self.below(8) > 0 => sign << 31 | (127 - 50 + near) << 23 | fraction >> 41,
            X87Format::F80 => register.significand,
            _ => self.bits(),
        };
        bytes[..8].copy_from_slice(&low.to_le_bytes());
        bytes[8..10].copy_from_slice(&register.sign_exponent.to_le_bytes());
        bytes
    }

    fn op(&mut self) -> Op {
        let at = Addr::at(Value(0), Width::W64);
        let pick = |n: u64, len: usize| n as usize % len;
        let (st, other) = (Num(self.below(8) as u8), Num(self.below(8) as u8));
        let (pop, n) = (Flag(self.below(2) == 0), self.next() >> 20);
        let formats = [X87Format::F64, X87Format::F32, X87Format::I16, X87Format::I32, X87Format::I64];
        let format = formats[pick(n, 5)];
        let long = if self.below(6) == 0 { X87Format::F80 } else { format };
        let op = X87Op::ALL[pick(n / 5, X87Op::ALL.len())];
        match self.below(16) {
            0 => Op::X87Load { format: long, at },
            1 | 2 => {
                let is_integer = matches!(long, X87Format::I16 | X87Format::I32 | X87Format::I64);
                Op::X87Store { format: long, truncate: Flag(is_integer && self.below(2) == 0), pop, at }
            }
            3 => Op::X87Push { st },
            4 => Op::X87PushConst { value: X87Const::ALL[pick(n, X87Const::ALL.len())] },
            5 => Op::X87Copy { st, pop },
            6 => Op::X87Exchange { st },
            7..10 => Op::X87Arith { op, dst: st, src: other, pop },
            10 => Op::X87ArithMem { op, format, at },
            11 => Op::X87Compare { st, unordered: pop, pops: Num(self.below(3) as u8) },
            12 => Op::X87CompareMem { format, pop, at },
            13 => Op::X87CompareFlags { st, unordered: Flag(n & 1 == 0), pop },
            14 => Op::X87UnaryOp { op: X87Unary::ALL[pick(n, X87Unary::ALL.len())] },
            _ => match n & 3 {
                0 => Op::X87Cmov { c: Value(0), st },
                1 => Op::X87Free { st, pop },
                2 => Op::X87ControlOp { op: X87Control::Wait },
                _ => Op::X87SetControl { v: Value(0) },
            },
        }
    }
}

fn bytes_of(format: X87Format) -> usize {
    match format {
        X87Format::I16 => 2,
        X87Format::F32 | X87Format::I32 => 4,
        X87Format::F64 | X87Format::I64 => 8,
        X87Format::F80 | X87Format::Bcd => 10,
    }
}

/// What code loads for the routine.
fn loaded(format: X87Format, bytes: &[u8; 16]) -> (u64, u64) {
    let low = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    let upper = u16::from_le_bytes(bytes[8..10].try_into().unwrap());
    match format {
        X87Format::F32 => (low as u32 as u64, 0),
        X87Format::I16 => (low as i16 as u64, 0),
        X87Format::I32 => (low as i32 as u64, 0),
        X87Format::F80 => (low, upper.into()),
        _ => (low, 0),
    }
}

#[test]
fn routines_do_what_the_evaluator_does() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut done, mut called) = (0, 0);
    for _ in 0..400_000 {
        let op = random.op();
        let Some(call) = x87_call(&op) else { continue };
        let mut case = Case::new();
        let x87 = &mut case.cpu.x87;
        x87.regs.fill_with(|| random.register());
        if random.below(3) == 0 {
            x87.regs[1] = x87.regs[0];
            x87.regs[1].significand ^= random.below(4) << random.below(64);
        }
        x87.tags = if random.below(4) == 0 { random.next() as u8 } else { 0xfe };
        x87.status = random.next() as u16 & !(1 << 7 | 1 << 15);
        if random.below(2) == 0 {
            x87.set_top(1);
        }
        if random.below(16) == 0 {
            x87.status |= 1 << 7 | 1 << 15;
        }
        x87.control = match random.below(8) {
            0 => random.next() as u16 & 0x1f3f | 0x40,
            1 => 0x37f | (random.below(4) << 10) as u16,
            2 => 0x27f,
            3 => 0x7f,
            _ => 0x37f,
        };
        let format = match call.access {
            X87Access::Load(format, _) | X87Access::Store(format, _) => format,
            _ => X87Format::F64,
        };
        let bytes = random.memory(format);
        case.memory.map(GuestAddr(AREA), bytes.to_vec(), true);
        let (bits, upper) = match call.access {
            X87Access::Load(format, _) => loaded(format, &bytes),
            X87Access::Value(_) => (random.bits() & 0xffff, 0),
            _ => (0, 0),
        };
        let mut cpu = case.cpu.clone();
        x87_to_exact(&mut cpu);
        let pc = 0x40_1000;
        let answer = X87_ROUTINES[call.routine as usize](&mut cpu, call.how, pc, bits, upper);
        called += 1;
        if answer.done == 0 {
            x87_from_host(&mut cpu);
            assert_eq!(cpu.x87, case.cpu.x87, "{op:?} has changed something");
            continue;
        }
        done += 1;
        let before = case.cpu.x87;
        let argument = if matches!(call.access, X87Access::Value(_)) { bits } else { AREA };
        let result = case.eval(op, &[Val::int(argument)]).unwrap_or_else(|fault| panic!("{op:?}: {fault:?}"));
        let mut expected = bytes;
        if let X87Access::Store(format, _) = call.access {
            let [low, high, status, shape] = cpu.host.callout_result;
            expected[..8].copy_from_slice(&low.to_le_bytes());
            expected[8..10].copy_from_slice(&(high as u16).to_le_bytes());
            let len = bytes_of(format);
            expected[len..].copy_from_slice(&bytes[len..]);
            (cpu.x87.status, cpu.x87_shape, cpu.x87.instruction) = (status as u16, shape as u32, pc);
        }
        x87_from_host(&mut cpu);
        assert_eq!(cpu.x87, case.cpu.x87, "{op:?} on {before:x?} and {bits:#x}");
        assert_eq!(expected, case.memory.contents()[0].1[..], "{op:?} on {before:x?}");
        if matches!(op, Op::X87CompareFlags { .. }) {
            assert_eq!(cpu.host.callout_result[0], result.low(), "{op:?}");
        }
    }
    assert!(done * 4 > called, "{done} of {called}");
}

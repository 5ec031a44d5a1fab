//! x87 instructions with a memory operand. Memory comes first: a page fault leaves the unit as it was.

use super::memory::{Memory, effective};
use super::state::enter_mmx;
use super::values::Values;
use super::x87::{Insn, StackFault, Unit, arith};
use super::x87_double as double;
use super::{EvalFault, Machine};
use crate::guest::GuestAddr;
use crate::operand::{Addr, Width, X87Format, X87Op};
use crate::softfloat::{self as soft, F32, F64, F80, FloatEnv, Format, Relation, Rounding};

/// A memory operand of an x87 instruction.
#[derive(Clone, Copy)]
pub(super) struct Operand {
    pub(super) format: X87Format,
    /// Linear address.
    pub(super) at: GuestAddr,
    /// Address without segment base, which the unit keeps.
    pub(super) offset: u64,
}

/// A memory operand's value, in the format that decides the rules.
enum Loaded {
    Single(F32),
    Double(F64),
    /// An extended, or an integer or decimal: those are exact.
    Extended(F80),
}

impl<'a, M: Memory + ?Sized> Machine<'a, M> {
    /// The instruction that runs.
    fn insn(&self) -> Insn<'a, M> {
        Insn { memory: self.memory, mode: self.mode, x87: self.x87, pc: self.pc }
    }

    /// The memory operand at `at`.
    pub(super) fn x87_operand(&self, format: X87Format, at: &Addr, values: &impl Values) -> Operand {
        Operand { format, at: self.linear(at, values), offset: effective(at, values) }
    }

    /// The unit at the start of an instruction without memory operand.
    pub(super) fn x87(&mut self) -> Result<Unit<'_, M>, EvalFault> {
        let insn = self.insn();
        Unit::start(&mut self.cpu.x87, insn)
    }

    /// The unit at the start of an instruction that leaves C1 as it is.
    pub(super) fn x87_keeping_c1(&mut self) -> Result<Unit<'_, M>, EvalFault> {
        let insn = self.insn();
        Unit::start_keeping_c1(&mut self.cpu.x87, insn)
    }

    /// The unit before a waiting instruction has done anything.
    fn x87_waiting(&mut self) -> Result<Unit<'_, M>, EvalFault> {
        let insn = self.insn();
        Unit::wait(&mut self.cpu.x87, insn)
    }

    /// `store_mmx`.
    pub(super) fn store_mmx(&mut self, w: Width, reg: u8, at: GuestAddr) -> Result<(), EvalFault> {
        self.x87_waiting()?;
        // Processors move the top before they reach memory, and mark the registers after.
        self.cpu.x87.set_top(0);
        let bytes = self.cpu.x87.regs[usize::from(reg & 7)].significand.to_le_bytes();
        self.memory.write(at, &bytes[..w.bytes() as usize])?;
        enter_mmx(&mut self.cpu.x87)
    }

    fn load_x87(&self, from: Operand) -> Result<Loaded, EvalFault> {
        let int = |w| self.read_int(w, from.at);
        let integer = |v: i64| Loaded::Extended(soft::from_i64(v, &mut FloatEnv::default()));
        let ten = || {
            let mut bytes = [0; 10];
            self.memory.read(from.at, &mut bytes).map(|()| bytes)
        };
        Ok(match from.format {
            X87Format::F32 => Loaded::Single(F32(int(Width::W32)? as u32)),
            X87Format::F64 => Loaded::Double(F64(int(Width::W64)?)),
            X87Format::F80 => Loaded::Extended(F80::from_le_bytes(ten()?)),
            X87Format::I16 => integer((int(Width::W16)? as i16).into()),
            X87Format::I32 => integer((int(Width::W32)? as i32).into()),
            X87Format::I64 => integer(int(Width::W64)? as i64),
            X87Format::Bcd => Loaded::Extended(soft::from_bcd(ten()?)),
        })
    }

    /// Starts a waiting instruction that reads `from`.
    fn start_x87(&mut self, from: Operand) -> Result<(Unit<'_, M>, Loaded), EvalFault> {
        self.x87_waiting()?;
        let loaded = self.load_x87(from)?;
        let mut unit = self.x87()?;
        unit.note_operand(from.offset);
        Ok((unit, loaded))
    }

    /// `x87_load`.
    pub(super) fn x87_load(&mut self, from: Operand) -> Result<(), EvalFault> {
        let (mut unit, loaded) = self.start_x87(from)?;
        if unit.is_full() {
            unit.push_checked(F80::INDEFINITE);
            return Ok(());
        }
        let mut env = unit.env();
        let v = match loaded {
            Loaded::Single(v) if unit.is_double() => double::widen(double::from_single(v)),
            Loaded::Double(v) if unit.is_double() => double::widen(v),
            Loaded::Extended(v) if unit.is_double() => double::rounded(v, env.rounding),
            Loaded::Single(v) => soft::load(v, &mut env),
            Loaded::Double(v) => soft::load(v, &mut env),
            Loaded::Extended(v) => v,
        };
        let settled = env.settle();
        unit.commit(settled);
        if settled.pushes() {
            unit.push(v);
        }
        Ok(())
    }

    /// `x87_arith_mem`.
    pub(super) fn x87_arith_mem(&mut self, op: X87Op, from: Operand) -> Result<(), EvalFault> {
        let (mut unit, loaded) = self.start_x87(from)?;
        let a = unit.st(0);
        if unit.is_double() {
            let b = match loaded {
                Loaded::Single(b) => double::from_single(b),
                Loaded::Double(b) => b,
                Loaded::Extended(b) => double::narrow(b, Rounding::Nearest),
            };
            unit.compute_from(&[0], 0, 0, |env| double::arith(op, a, b, env));
            return Ok(());
        }
        unit.compute_from(&[0], 0, 0, |env| match loaded {
            Loaded::Single(b) => arith(op, a, b, env),
            Loaded::Double(b) => arith(op, a, b, env),
            Loaded::Extended(b) => arith(op, a, b, env),
        });
        Ok(())
    }

    /// `x87_compare_mem`.
    pub(super) fn x87_compare_mem(&mut self, from: Operand, pops: u8) -> Result<(), EvalFault> {
        fn relate<M: Memory + ?Sized, B: Format>(unit: &mut Unit<'_, M>, b: B) -> (Relation, bool) {
            unit.relate(&[0], b, false)
        }
        let (mut unit, loaded) = self.start_x87(from)?;
        let relation = match loaded {
            Loaded::Single(b) => relate(&mut unit, b),
            Loaded::Double(b) => relate(&mut unit, b),
            Loaded::Extended(b) => relate(&mut unit, b),
        };
        unit.tell(relation, pops);
        Ok(())
    }

    /// `x87_store`.
    pub(super) fn x87_store(&mut self, to: Operand, truncate: bool, pops: u8) -> Result<(), EvalFault> {
        let unit = self.x87_waiting()?;
        let (empty, mut env, v) = (unit.lacks(&[0]), unit.env(), unit.st(0));
        let (bytes, len) = match to.format {
            _ if empty => indefinite(to.format),
            X87Format::F32 if unit.is_double() => low(double::to_single(v, &mut env).0.into(), 4),
            X87Format::F64 if unit.is_double() => low(double::narrow(v, env.rounding).0, 8),
            _ => stored(to.format, truncate, v, &mut env),
        };
        let settled = env.settle();
        let writes = if empty { env.masked.contains(soft::Exceptions::INVALID) } else { settled.writes_memory() };
        if writes {
            self.memory.write(to.at, &bytes[..len])?;
        }
        let mut unit = self.x87()?;
        unit.note_operand(to.offset);
        if empty {
            unit.stack_fault(StackFault::Underflow);
        } else {
            unit.commit(settled);
        }
        if writes {
            unit.pop(pops);
        }
        Ok(())
    }
}

/// Up to ten bytes and how many they are.
type Bytes = ([u8; 10], usize);

/// The low `len` bytes of `v`.
fn low(v: u64, len: usize) -> Bytes {
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&v.to_le_bytes());
    (bytes, len)
}

/// `v` in `format`.
fn stored(format: X87Format, truncate: bool, v: F80, env: &mut FloatEnv) -> Bytes {
    let rounding = if truncate { Rounding::Zero } else { env.rounding };
    match format {
        X87Format::F32 => low(soft::store::<F32>(v, env).0.into(), 4),
        X87Format::F64 => low(soft::store::<F64>(v, env).0, 8),
        X87Format::F80 => (v.to_le_bytes(), 10),
        X87Format::I16 => low(soft::to_i16(v, rounding, env) as u64, 2),
        X87Format::I32 => low(soft::to_i32(v, rounding, env) as u64, 4),
        X87Format::I64 => low(soft::to_i64(v, rounding, env) as u64, 8),
        X87Format::Bcd => (soft::to_bcd(v, env), 10),
    }
}

/// What a store of an empty register writes: the format's indefinite, which is what a NaN becomes.
fn indefinite(format: X87Format) -> Bytes {
    stored(format, false, F80::INDEFINITE, &mut FloatEnv::default())
}

#[cfg(test)]
mod tests {
    use super::super::Val;
    use super::super::testing::Case;
    use super::*;
    use crate::guest::X87;
    use crate::operand::Flag;
    use crate::ops::Op;
    use crate::region::Value;

    const AREA: u64 = 0x1000;

    fn at() -> Addr {
        Addr::at(Value(0), Width::W64)
    }

    fn load(format: X87Format) -> Op {
        Op::X87Load { format, at: at() }
    }

    fn store_pop(format: X87Format) -> Op {
        Op::X87Store { format, truncate: Flag(false), pop: Flag(true), at: at() }
    }

    fn case(bytes: &[u8]) -> Case {
        let case = Case::new();
        case.memory.map(GuestAddr(AREA), bytes.to_vec(), true);
        case
    }

    #[test]
    fn values_pass_through_the_stack() {
        let mut case = case(&1.5f64.to_le_bytes());
        case.eval(load(X87Format::F64), &[Val::int(AREA)]).unwrap();
        assert_eq!((case.cpu.x87.top(), case.cpu.x87.tags), (7, 0x80));
        let double = Op::X87ArithMem { op: X87Op::Add, format: X87Format::F64, at: at() };
        case.eval(double, &[Val::int(AREA)]).unwrap();
        case.eval(store_pop(X87Format::I64), &[Val::int(AREA)]).unwrap();
        assert_eq!(case.memory.contents()[0].1, 3u64.to_le_bytes());
        assert_eq!((case.cpu.x87.top(), case.cpu.x87.tags, case.cpu.x87.status), (0, 0, 0));
        assert_eq!((case.cpu.x87.instruction, case.cpu.x87.operand), (0x40_1000, 0));
    }

    #[test]
    fn page_fault_leaves_the_unit() {
        let mut case = case(&[0; 4]);
        for op in [load(X87Format::F64), store_pop(X87Format::F64)] {
            assert!(matches!(case.eval(op, &[Val::int(AREA)]), Err(EvalFault::Memory(_))));
            assert_eq!(case.cpu.x87, X87::INIT);
        }
    }

    #[test]
    fn stack_overflow_pushes_the_indefinite() {
        let mut case = case(&[0; 8]);
        case.cpu.x87.tags = 0xff;
        case.eval(load(X87Format::F64), &[Val::int(AREA)]).unwrap();
        assert_eq!(case.cpu.x87.status, 7 << 11 | 1 << 9 | 0x41);
        assert_eq!(case.cpu.x87.regs[7].sign_exponent, 0xffff);
    }

    #[test]
    fn unmasked_exception_is_raised_by_the_next_waiting_instruction() {
        let mut case = case(&0f64.to_le_bytes());
        case.cpu.x87.control = 0x37f & !4;
        case.eval(Op::X87PushConst { value: crate::operand::X87Const::One }, &[]).unwrap();
        let divide = Op::X87ArithMem { op: X87Op::Div, format: X87Format::F64, at: at() };
        assert!(case.eval(divide, &[Val::int(AREA)]).is_ok());
        assert!(case.eval(Op::X87GetStatus {}, &[]).is_ok_and(|status| status.low() & 0x84 == 0x84));
        let pending = EvalFault::X87Float(soft::Exceptions::DIVIDE_BY_ZERO);
        assert_eq!(case.eval(load(X87Format::F64), &[Val::int(AREA)]), Err(pending));
        assert_eq!(case.eval(Op::X87ControlOp { op: crate::operand::X87Control::Wait }, &[]), Err(pending));
    }

    #[test]
    fn empty_store_writes_the_indefinite() {
        let mut case = case(&[0; 10]);
        case.eval(store_pop(X87Format::Bcd), &[Val::int(AREA)]).unwrap();
        assert_eq!(case.memory.contents()[0].1, [0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff]);
        assert_eq!(case.cpu.x87.status & 0x41, 0x41);
    }
}

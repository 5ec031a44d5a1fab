//! The meaning of the IR: runs regions and single ops on a [`CpuState`] and a [`Memory`], on any host, exactly.
//!
//! It is the oracle that back ends are tested against, the interpreter engine, and what evaluates callouts. [`dispatch`] has one
//! arm per op; the families stand in the other files, as plain functions of their operands.
//!
//! **State at a fault.** A fault leaves guest state as it was before the instruction, since within an instruction the ops that fault come first.
//! Two kinds of state change all the same, as on the processor: exception flags of a float instruction that faults, and the registers of a
//! restartable string instruction.
//!
//! **x87.** The evaluator works on [`CpuState::x87`]; where a host unit holds that state, the caller brings it back first.

mod bcd;
mod bits;
pub mod cpuid;
mod crypto;
mod dispatch;
mod dispatch_rest;
mod flags;
mod flat;
mod fp;
mod host_float;
mod image;
mod in_place;
mod int;
mod late;
mod memory;
mod prepared;
mod shift;
mod state;
mod string;
mod system;
#[cfg(test)]
pub(crate) mod testing;
mod values;
mod vector;
mod vector_float;
mod vector_memory;
mod vector_permute;
mod vector_string;
mod vector_sums;
mod x87;
mod x87_double;
mod x87_exact_host;
mod x87_host;
mod x87_memory;
mod x87_routines;
#[cfg(test)]
mod x87_routines_tests;
mod x87_unary;
mod xsave;

pub use flat::FlatMemory;
pub use memory::{Memory, MemoryFault, MemoryFaultKind};
pub use prepared::Prepared;
use prepared::PreparedBlock;
use values::{Operands, Table, Values};

pub use system::{FixedSystem, SystemModel};
pub use x87::X87Code;
pub use x87_exact_host::{EXACT_IN_HOST, x87_to_exact};
pub(crate) use x87_exact_host::{SHAPE_C1, SHAPE_IS_ODD, x87_constant_exactly};
#[cfg(test)]
pub(crate) use x87_exact_host::{x87_exactly_from_host, x87_exactly_to_host};
pub use x87_host::{DOUBLES_IN_HOST, x87_constant, x87_from_doubles, x87_from_host, x87_to_doubles};
pub(crate) use x87_routines::{FIRST, SECOND, TRUNCATE};
pub use x87_routines::{X87_ROUTINES, X87Answer, X87How, X87Routine, X87RoutineId};

use crate::exit::{Exit, SyscallKind, Target, Trap};
use crate::guest::{CpuState, GuestAddr};
use crate::key::{CpuMode, X87Arithmetic};
use crate::ops::{Effects, Op};
use crate::region::{BlockId, Inst, Region, Value};
use crate::softfloat::Exceptions;

/// A value of any type: 256 bits, low word first.
///
/// Integers, flags and scalars stand in the low word, zero-extended; smaller vectors in the low words. What an op does not need of an operand it ignores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Val(pub [u64; 4]);

impl Val {
    /// A value of up to 64 bits.
    pub const fn int(v: u64) -> Val {
        Val([v, 0, 0, 0])
    }

    /// A value of 128 bits.
    pub const fn v128(v: u128) -> Val {
        Val([v as u64, (v >> 64) as u64, 0, 0])
    }

    /// The low 64 bits.
    pub const fn low(self) -> u64 {
        self.0[0]
    }

    /// The low 128 bits.
    pub const fn low128(self) -> u128 {
        self.0[0] as u128 | (self.0[1] as u128) << 64
    }
}

/// Why an op did not complete: the exception that the guest sees at the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvalFault {
    /// #PF, or #GP where the address is not canonical.
    Memory(MemoryFault),
    /// #GP(0): misaligned vector access, reserved bits, bad selector.
    Protection,
    /// What a `trap_if` op raised.
    Trap(Trap),
    /// #DE.
    Divide,
    /// #XM, with the unmasked exceptions.
    SimdFloat(Exceptions),
    /// #GP(0): a jump, call or return to an address that is not canonical. The stack pointer has moved as if it were one.
    Target,
    /// #MF, with the unmasked exceptions that an earlier x87 instruction left pending.
    X87Float(Exceptions),
}

impl From<MemoryFault> for EvalFault {
    fn from(fault: MemoryFault) -> Self {
        EvalFault::Memory(fault)
    }
}

/// How a run of guest code ended. `cpu.rip` holds the address that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Goes on at `to`, which is not a block of this region or was computed. `rip` = `to`.
    Jump {
        /// Guest address.
        to: GuestAddr,
    },
    /// Into the personality. `rip` = `next`.
    Syscall {
        /// Which instruction.
        kind: SyscallKind,
        /// Its address.
        at: GuestAddr,
        /// The address after it.
        next: GuestAddr,
    },
    /// An instruction that raises an exception by its nature. `rip` = `at`.
    Trap {
        /// What it raises.
        trap: Trap,
        /// Its address.
        at: GuestAddr,
        /// The address after it.
        next: GuestAddr,
    },
    /// An instruction faulted. `rip` = `at`.
    Fault {
        /// Its address.
        at: GuestAddr,
        /// How.
        fault: EvalFault,
    },
    /// The callback asked to stop before the block at `at`. `rip` = `at`.
    Stopped {
        /// Guest address.
        at: GuestAddr,
    },
}

/// What ops work on beside their operands.
#[derive(Debug)]
pub struct Machine<'a, M: Memory + ?Sized> {
    /// Guest registers.
    pub cpu: &'a mut CpuState,
    /// Guest memory.
    pub memory: &'a M,
    /// The rest of the guest's machine.
    pub system: &'a dyn SystemModel,
    /// Word size of the code that runs.
    pub mode: CpuMode,
    /// What x87 instructions compute in.
    pub x87: X87Arithmetic,
    /// Address of the instruction that the ops belong to, for those of the x87 unit; `insn` ops set it.
    pub pc: GuestAddr,
}

/// Runs regions; keeps its table of values from run to run.
#[derive(Debug, Default)]
pub struct Evaluator {
    values: Table,
}

impl Evaluator {
    /// An evaluator without values.
    pub fn new() -> Self {
        Evaluator::default()
    }

    /// Runs `region` from block `start` until it is left.
    ///
    /// `go_on` is called with the next block's address between two blocks (not before the first, so that each run gets ahead);
    /// where it says no, the run ends there.
    pub fn run<M: Memory + ?Sized>(
        &mut self,
        region: &Prepared,
        start: BlockId,
        cpu: &mut CpuState,
        memory: &M,
        system: &dyn SystemModel,
        mut go_on: impl FnMut(GuestAddr) -> bool,
    ) -> Flow {
        let mut block = region.block(start);
        let (mode, x87, pc) = (region.mode, region.x87, block.pc);
        let mut machine = Machine { cpu, memory, system, mode, x87, pc };
        self.values.open().take_registers(machine.cpu);
        let (flow, rip) = loop {
            let next = match self.run_block(block, &mut machine) {
                Ok(next) => next,
                Err((place, fault)) => {
                    self.complete_state(block, place, &mut machine);
                    let at = block.instruction_at(place);
                    break (Flow::Fault { at, fault }, at);
                }
            };
            match next {
                Next::Go(Target::Block(next)) => {
                    block = region.block(next);
                    let at = block.pc;
                    if !go_on(at) {
                        break (Flow::Stopped { at }, at);
                    }
                }
                Next::Go(Target::Guest(to)) => break (Flow::Jump { to }, to),
                Next::Syscall { kind, at, next } => break (Flow::Syscall { kind, at, next }, next),
                Next::Trap { trap, at, next } => break (Flow::Trap { trap, at, next }, at),
            }
        };
        self.values.open().give_registers(machine.cpu);
        machine.cpu.rip = rip.0;
        flow
    }

    /// Brings the guest's registers up to date after the op at `place` of `block` faulted.
    #[cold]
    #[inline(never)]
    fn complete_state<M: Memory + ?Sized>(
        &mut self,
        block: &PreparedBlock,
        place: usize,
        machine: &mut Machine<'_, M>,
    ) {
        let may_fault = |inst: &Inst| inst.op.effects().contains(Effects::may_fault);
        debug_assert!(block.insts.get(place).is_none_or(may_fault), "{:?}", block.insts[place]);
        let mut values = self.values.open();
        values.give_registers(machine.cpu);
        for inst in block.late_at(place) {
            let (mut op, mut args) = (inst.op, Vec::new());
            op.map_values(&mut |v| {
                args.push(values[v]);
                Value(args.len() as u32 - 1)
            });
            match eval_op(&op, &args, machine) {
                Ok(result) => values[inst.value] = result,
                Err(fault) => unreachable!("neither sums nor writes of registers fault: {fault:?}"),
            }
        }
        values.take_registers(machine.cpu);
    }

    /// Runs one block; where it faults, the place among its ops comes with it.
    #[inline(always)]
    fn run_block<M: Memory + ?Sized>(
        &mut self,
        block: &PreparedBlock,
        machine: &mut Machine<'_, M>,
    ) -> Result<Next, (usize, EvalFault)> {
        let mut values = self.values.open();
        let mut left = block.insts.iter();
        while let Some(inst) = left.next() {
            if let Err(fault) = dispatch::step(&inst.op, inst.value, &mut values, machine) {
                return Err((block.insts.len() - left.len() - 1, fault));
            }
        }
        let int = |v: Value| values[v].low();
        let address = |v: Value| {
            let to = GuestAddr(int(v) & machine.mode.word().mask());
            if machine.mode == CpuMode::Long64 && !to.is_canonical() {
                return Err((block.insts.len(), EvalFault::Target));
            }
            Ok(Next::Go(Target::Guest(to)))
        };
        Ok(match block.exit {
            Exit::Jump { to } | Exit::Call { to, .. } => Next::Go(to),
            Exit::Branch { cond, taken, next } => Next::Go(if int(cond) as u8 != 0 { taken } else { next }),
            Exit::Indirect { target }
            | Exit::Dispatch { target }
            | Exit::IndirectCall { target, .. }
            | Exit::Return { target } => address(target)?,
            Exit::Syscall { kind, at, next } => Next::Syscall { kind, at, next },
            Exit::Trap { trap, at, next } => Next::Trap { trap, at, next },
        })
    }
}

/// Where a block's exit leads.
enum Next {
    Go(Target),
    Syscall { kind: SyscallKind, at: GuestAddr, next: GuestAddr },
    Trap { trap: Trap, at: GuestAddr, next: GuestAddr },
}

/// Runs `region` from block `start` with a new [`Evaluator`] until it is left, however long that takes.
pub fn run_region<M: Memory + ?Sized>(
    region: &Region,
    start: BlockId,
    cpu: &mut CpuState,
    memory: &M,
    system: &dyn SystemModel,
) -> Flow {
    Evaluator::new().run(&Prepared::new(region), start, cpu, memory, system, |_| true)
}

/// Evaluates one op whose value operands are numbered as places in `args` ([`crate::backend::Callout`]).
///
/// Integer operands need not be zero-extended. At most [`MAX_ARGS`] operands.
pub fn eval_op<M: Memory + ?Sized>(op: &Op, args: &[Val], machine: &mut Machine<'_, M>) -> Result<Val, EvalFault> {
    let mut values = Operands::default();
    values.0[..args.len()].copy_from_slice(args);
    dispatch::step(op, Value(MAX_ARGS as u32), &mut values, machine)?;
    Ok(values.0[MAX_ARGS])
}

/// The most value operands that an op has.
pub const MAX_ARGS: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::{FlagSet, Gpr};
    use crate::key::BlockKey;
    use crate::operand::{Addr, Align, Cond, Imm, Num, Type, Width};
    use crate::ops::Builder;
    use crate::region::Block;

    /// `add rax, rcx; sub rcx, 1; jnz` at 0x1000, then `mov [rdi], rax; ret`.
    fn sum_loop() -> Region {
        let mut b = Builder::new();
        b.insn(GuestAddr(0x1000), Num(3));
        let (rax, rcx) = (b.get_gpr(Gpr::Rax, Width::W64), b.get_gpr(Gpr::Rcx, Width::W64));
        let sum = b.add(Width::W64, rax, rcx);
        b.set_gpr(Gpr::Rax, Width::W64, sum);
        b.insn(GuestAddr(0x1003), Num(4));
        let one = b.iconst(Width::W64, Imm(1));
        let left = b.sub(Width::W64, rcx, one);
        let flags = b.sub_flags(Width::W64, rcx, one);
        b.set_gpr(Gpr::Rcx, Width::W64, left);
        b.set_flags(FlagSet::STATUS, flags);
        b.insn(GuestAddr(0x1007), Num(2));
        let again = b.condition(Cond::Ne, flags);
        let exit = Exit::Branch { cond: again, taken: Target::Block(BlockId(0)), next: Target::Block(BlockId(1)) };
        let first = Block { pc: GuestAddr(0x1000), insts: b.take(), exit };
        b.insn(GuestAddr(0x1009), Num(3));
        let (rdi, rax) = (b.get_gpr(Gpr::Rdi, Width::W64), b.get_gpr(Gpr::Rax, Width::W64));
        b.store(Type::I64, Align::Any, Addr::at(rdi, Width::W64), rax);
        b.insn(GuestAddr(0x100c), Num(1));
        let rsp = b.get_gpr(Gpr::Rsp, Width::W64);
        let target = b.load(Type::I64, Align::Any, Addr::at(rsp, Width::W64));
        let popped = b.lea(Width::W64, Addr::at(rsp, Width::W64).plus(8));
        b.set_gpr(Gpr::Rsp, Width::W64, popped);
        let second = Block { pc: GuestAddr(0x1009), insts: b.take(), exit: Exit::Return { target } };
        Region {
            key: BlockKey::new(GuestAddr(0x1000), CpuMode::Long64),
            blocks: vec![first, second],
            value_count: b.value_count(),
            ranges: vec![(GuestAddr(0x1000), 13)],
        }
    }

    fn machine() -> (CpuState, FlatMemory) {
        let mut cpu = CpuState::new(CpuMode::Long64);
        cpu.set(Gpr::Rcx, 100);
        cpu.set(Gpr::Rsp, 0x8008);
        cpu.set(Gpr::Rdi, 0x8000);
        let memory = FlatMemory::with(GuestAddr(0x8000), &[0; 16]);
        memory.write_u64(GuestAddr(0x8008), 0x7777).unwrap();
        (cpu, memory)
    }

    #[test]
    fn region_runs_its_loop_and_returns() {
        let (mut cpu, memory) = machine();
        let flow = run_region(&sum_loop(), BlockId(0), &mut cpu, &memory, &FixedSystem::default());
        assert_eq!(flow, Flow::Jump { to: GuestAddr(0x7777) });
        assert_eq!(memory.read_u64(GuestAddr(0x8000)), Ok(5050));
        assert_eq!((cpu.rip, cpu.get(Gpr::Rsp)), (0x7777, 0x8010));
        assert_eq!(cpu.status_flags, (FlagSet::ZF | FlagSet::PF).bits());
    }

    #[test]
    fn fault_tells_the_instruction() {
        let (mut cpu, memory) = machine();
        cpu.set(Gpr::Rdi, 0x9000);
        let flow = run_region(&sum_loop(), BlockId(1), &mut cpu, &memory, &FixedSystem::default());
        let fault = MemoryFault { at: GuestAddr(0x9000), write: true, kind: MemoryFaultKind::Unmapped };
        assert_eq!(flow, Flow::Fault { at: GuestAddr(0x1009), fault: EvalFault::Memory(fault) });
        assert_eq!(cpu.rip, 0x1009);
    }

    #[test]
    fn fault_sees_what_is_replaced_later() {
        // `add rcx, rdi; lea rcx, [rcx+1]; mov al, [rdi]; xor ecx, ecx`, at one after the other of two faults.
        let text = "region 0x1000 long64\nblock b0 0x1000\ninsn 0x1000, #3\n%1 = get_gpr rdi, w64\n%2 = add w64, %1, %1\n\
            %3 = add_flags w64, %1, %1\nset_gpr rcx, w64, %2\nset_flags {cpazso}, %3\n%20 = load i8, unaligned, [w64 + %1]\n\
            insn 0x1003, #4\n%6 = iconst w64, 0x1\n%7 = add w64, %2, %6\nset_gpr rcx, w64, %7\n%21 = load i8, unaligned, [w64 + %1 + 0x8]\n\
            insn 0x1007, #2\n%10 = iconst w64, 0x0\nset_gpr rcx, w64, %10\n%11 = logic_flags w64, %10\nset_flags {cpazso}, %11\njump 0x1009\n";
        let region = Prepared::new(&crate::text::parse::region(text).unwrap());
        for (rdi, at, rcx) in [(0x9000, 0x1000, 0x12000), (0x8008, 0x1003, 0x10011)] {
            let (mut cpu, memory) = machine();
            cpu.set(Gpr::Rdi, rdi);
            let system = FixedSystem::default();
            let flow = Evaluator::new().run(&region, BlockId(0), &mut cpu, &memory, &system, |_| true);
            assert!(matches!(flow, Flow::Fault { .. }), "{flow:?}");
            assert_eq!((cpu.rip, cpu.get(Gpr::Rcx), cpu.status_flags & FlagSet::ZF.bits()), (at, rcx, 0));
        }
    }

    #[test]
    fn callback_stops_between_blocks() {
        let (mut cpu, memory) = machine();
        let mut budget = 10;
        let go_on = |_| {
            budget -= 1;
            budget > 0
        };
        let system = FixedSystem::default();
        let flow = Evaluator::new().run(&Prepared::new(&sum_loop()), BlockId(0), &mut cpu, &memory, &system, go_on);
        assert_eq!(flow, Flow::Stopped { at: GuestAddr(0x1000) });
        assert_eq!((cpu.rip, cpu.get(Gpr::Rcx)), (0x1000, 90));
    }

    #[test]
    fn callout_operands_need_not_be_extended() {
        let (mut cpu, memory) = machine();
        let system = FixedSystem::default();
        let (mode, x87, pc) = (CpuMode::Long64, X87Arithmetic::Exact, GuestAddr(0x1000));
        let machine = &mut Machine { cpu: &mut cpu, memory: &memory, system: &system, mode, x87, pc };
        let op = Op::DivU { w: Width::W8, high: Value(0), low: Value(1), d: Value(2) };
        let args = [Val::int(0xff01), Val::int(0xff07), Val::int(0xff10)];
        assert_eq!(eval_op(&op, &args, machine), Ok(Val::int(0x10)));
    }
}

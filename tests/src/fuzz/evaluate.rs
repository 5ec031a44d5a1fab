//! A case through the front end and the evaluator.

use hokku_frontend::{FaultingAccess, Limits, faulting_access, translate, undo_transfer};
use hokku_ir::eval::{EvalFault, Evaluator, FixedSystem, MemoryFaultKind, Prepared};
use hokku_ir::guest::eflags;
use hokku_ir::passes::{self, FaultsSee};
use hokku_ir::{BlockId, BlockKey, CpuState, GuestAddr, Region, Trap};

use super::case::Program;
use super::pages::Pages;
use crate::oracle::{Ending, vector};
use hokku_ir::eval::Flow;

/// Blocks that a run may take.
const BUDGET: usize = 10_000;

/// What a run came to, beside the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As on the processor.
    Ended(Ending),
    /// The program holds an instruction that is not translated.
    Untranslated,
    /// The evaluator lacks an op.
    Unevaluated,
}

/// A translated program.
#[derive(Debug)]
pub struct Translated {
    /// As the front end made it.
    pub region: Region,
    /// After what the interpreter applies, where that is.
    pub optimised: Option<Region>,
}

/// Translates `program`, and improves it as the interpreter does where `optimise`.
pub fn translated(program: &Program, optimise: bool) -> Translated {
    let code = (GuestAddr(program.at), &program.bytes[..]);
    let key = key(program, program.at);
    let limits = if program.is_single() { Limits::single_instruction() } else { Limits::default() };
    let region = translate(&code, key, &limits);
    let optimised = optimise.then(|| {
        let mut region = region.clone();
        passes::run(&mut region, FaultsSee::ExactFlags);
        region
    });
    Translated { region, optimised }
}

/// Runs `translated` from the state `cpu`, which becomes the state after it.
pub fn run(
    translated: &Translated,
    program: &Program,
    evaluator: &mut Evaluator,
    cpu: &mut CpuState,
    memory: &Pages,
) -> Outcome {
    let system = FixedSystem { model: program.model, ..FixedSystem::default() };
    let region = &Prepared::new(translated.optimised.as_ref().unwrap_or(&translated.region));
    if program.is_single() {
        let flow = evaluator.run(region, BlockId(0), cpu, memory, &system, |_| false);
        return outcome(flow, program, cpu);
    }
    let mut left = BUDGET;
    let code = (GuestAddr(program.at), &program.bytes[..]);
    let mut flow = evaluator.run(region, BlockId(0), cpu, memory, &system, |_| step(&mut left));
    let mut stepping = false;
    loop {
        match flow {
            Flow::Jump { to } if stepping => {
                return outcome(Flow::Trap { trap: Trap::Debug, at: to, next: to }, program, cpu);
            }
            Flow::Jump { to } if !program.arrivals.contains(&to.0) && left > 0 => {
                stepping = cpu.system_flags & eflags::TF != 0;
                let key = BlockKey { single_step: stepping, ..key(program, to.0) };
                let region = Prepared::new(&translate(&code, key, &Limits::default()));
                flow = evaluator.run(&region, BlockId(0), cpu, memory, &system, |_| step(&mut left));
            }
            // Where the piece ends there is no code for the front end.
            Flow::Trap { trap: Trap::Fetch, at, .. } if program.arrivals.contains(&at.0) => {
                return Outcome::Ended(Ending::Arrived);
            }
            Flow::Stopped { .. } => return Outcome::Ended(Ending::Endless),
            other => return outcome(other, program, cpu),
        }
    }
}

/// The key of the code of `program` at `at`.
fn key(program: &Program, at: u64) -> BlockKey {
    BlockKey { features: program.model.features, x87: program.x87, ..BlockKey::new(GuestAddr(at), program.mode) }
}

fn step(left: &mut usize) -> bool {
    *left = left.saturating_sub(1);
    *left > 0
}

/// The exception or end that `flow` is; sets `rip` to what the processor's frame holds.
fn outcome(flow: Flow, program: &Program, cpu: &mut CpuState) -> Outcome {
    let exception = |vector| Outcome::Ended(Ending::Exception { vector, page: None });
    let trapped = |trap: Trap, next: GuestAddr, cpu: &mut CpuState| match trap {
        Trap::InvalidOpcode => exception(vector::UD),
        Trap::Untranslated => Outcome::Untranslated,
        Trap::Breakpoint | Trap::Debug | Trap::Overflow => {
            cpu.rip = next.0;
            exception(match trap {
                Trap::Breakpoint => vector::BP,
                Trap::Debug => vector::DB,
                _ => vector::OF,
            })
        }
        Trap::Bound => exception(vector::BR),
        Trap::Protection | Trap::Halt => exception(vector::GP),
        Trap::Divide => exception(vector::DE),
        Trap::Fetch => Outcome::Ended(Ending::Exception { vector: vector::PF, page: Some((next.0, false)) }),
        Trap::Stale => unreachable!("the fuzzer's code does not change, and is not checked"),
    };
    match flow {
        Flow::Jump { .. } | Flow::Stopped { .. } => Outcome::Ended(Ending::Arrived),
        Flow::Syscall { .. } => Outcome::Ended(Ending::Syscall),
        Flow::Trap { trap, next, .. } => trapped(trap, next, cpu),
        Flow::Fault { fault, .. } => match fault {
            EvalFault::Memory(fault) if fault.kind == MemoryFaultKind::NotCanonical => {
                exception(not_canonical(access(program, cpu, Some(fault.at))))
            }
            EvalFault::Memory(fault) => {
                let write = fault.write || access(program, cpu, Some(fault.at)).modifies;
                Outcome::Ended(Ending::Exception { vector: vector::PF, page: Some((fault.at.0, write)) })
            }
            EvalFault::Protection => exception(not_canonical(access(program, cpu, None))),
            EvalFault::Trap(Trap::Overflow) => {
                // A trap: reported after the instruction.
                let insn = program.insns.iter().find(|i| i.ip() == cpu.rip);
                cpu.rip = insn.map_or(cpu.rip, |i| i.next_ip());
                exception(vector::OF)
            }
            EvalFault::Trap(trap) => trapped(trap, GuestAddr(cpu.rip), cpu),
            EvalFault::Target => {
                undo_transfer(&(GuestAddr(program.at), &program.bytes[..]), cpu);
                exception(vector::GP)
            }
            EvalFault::Divide => exception(vector::DE),
            EvalFault::SimdFloat(_) => exception(vector::XM),
            EvalFault::X87Float(_) => exception(vector::MF),
            #[allow(unreachable_patterns, reason = "the evaluator loses this variant with its last missing op")]
            _ => Outcome::Unevaluated,
        },
    }
}

/// The access of the instruction at `cpu.rip` that faulted.
fn access(program: &Program, cpu: &CpuState, address: Option<GuestAddr>) -> FaultingAccess {
    faulting_access(&(GuestAddr(program.at), &program.bytes[..]), program.mode, cpu, address)
}

fn not_canonical(access: FaultingAccess) -> u8 {
    if access.on_stack { vector::SS } else { vector::GP }
}

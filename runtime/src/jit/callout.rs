//! Callouts: ops of translated code that are evaluated instead of compiled.

use hokku_ir::backend::Callout;
use hokku_ir::eval::{EvalFault, MAX_ARGS, Machine, Val, eval_op};
use hokku_ir::{CpuState, Effects, GuestAddr, Op, Value};

use super::JitThread;
use crate::host::arch;
use crate::thread::Attention;
use crate::world::Place;

/// Evaluates the op of the callout that returns to host address `site`, on the guest state in `cpu`; says whether the thread goes on in its
/// code. If not, `cpu.rip` is the instruction, and [`JitThread::take_callout_fault`] tells why.
pub(crate) fn evaluate(jit: &JitThread, cpu: &mut CpuState, site: u64) -> bool {
    jit.host.in_host(false);
    jit.shared.place.set(Place::Callout);
    jit.team().world.moved();
    let result = evaluate_outside(jit, cpu, site);
    jit.host.in_host(true);
    jit.shared.place.set(Place::Code);
    if result && jit.shared.attention() != Attention::empty() {
        // Steps on from here to the next safe point.
        crate::host::interrupt::send(jit.shared.id());
    }
    result
}

fn evaluate_outside(jit: &JitThread, cpu: &mut CpuState, site: u64) -> bool {
    let Some(callout) = jit.callout_at(site) else { panic!("no callout returns to host address {site:#x}") };
    let Callout { op, pc, lazy, .. } = callout;
    jit.count_callout(op.name());
    let fx = op.effects();
    let sees_state = fx.contains(Effects::reads_state) || fx.contains(Effects::writes_state);
    // Code goes on with its own notion of the flags after an op that has nothing to do with them.
    let sees_flags = hokku_ir::lowering::sees_flags(&op) || matches!(op, Op::GetFlags {});
    if sees_flags {
        jit.settle(cpu, lazy, site - 1);
    } else if sees_state {
        jit.settle_registers(cpu, lazy);
    }
    let uses_x87 = fx.contains(Effects::x87);
    if uses_x87 {
        arch::x87::save(cpu, |host| jit.team().x87_instruction(host));
    }
    let mut args = [Val::default(); MAX_ARGS];
    for (arg, words) in args.iter_mut().zip(&cpu.host.callout_args) {
        *arg = Val(*words);
    }
    let count = operand_count(&op);
    let team = jit.team();
    let (memory, system, mode, x87) = (&team.memory, &team.processor, team.mode, team.x87);
    let machine = &mut Machine { cpu: &mut *cpu, memory, system, mode, x87, pc };
    let result = eval_op(&op, &args[..count], machine);
    if uses_x87 {
        arch::x87::load(cpu, x87);
    }
    match result {
        Ok(value) => {
            cpu.host.callout_result = value.0;
            true
        }
        Err(fault) => {
            if !sees_flags {
                jit.settle(cpu, lazy, site - 1);
            }
            cpu.rip = pc.0;
            jit.set_callout_fault(pc, fault);
            false
        }
    }
}

fn operand_count(op: &Op) -> usize {
    let mut count = 0;
    op.values(&mut |_: Value| count += 1);
    count
}

/// Where a callout faulted, and how.
pub(crate) type CalloutFault = (GuestAddr, EvalFault);

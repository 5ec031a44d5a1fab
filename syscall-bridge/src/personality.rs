//! The bridge as the runtime sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hokku_ir::{GuestAddr, SyscallKind};
use hokku_runtime::{FaultCause, FaultKind, GuestFault, Personality, Resume, Thread};

use crate::abi::Status;
use crate::abi::signal::{Signal, code};
use crate::abi::structs::SigInfo;
use crate::args::{Shown, ThreadId};
use crate::call::{Call, Flow, local};
use crate::calling::{ArgWords, Entry, RetWord, X86_VECTOR, number, set_result};
use crate::crash;
use crate::deliver::before_user_code;
use crate::numbers::Numbers;
use crate::table::TABLE;
use crate::team::TeamState;
use crate::team::signals::TeamSignals;
use crate::team::waiting::lock;
use crate::trace::Tracer;

/// Haiku's kernel, for one team.
pub struct HaikuPersonality {
    /// The team.
    pub team: Arc<TeamState>,
    /// Which number is which call.
    pub numbers: Numbers,
    /// Where calls are traced to.
    pub tracer: Option<Tracer>,
    /// Calls, by row, that were missing and have been told of.
    missed: Vec<AtomicBool>,
}

impl HaikuPersonality {
    /// The kernel for `team`.
    pub fn new(team: Arc<TeamState>, numbers: Numbers, tracer: Option<Tracer>) -> Self {
        HaikuPersonality { team, numbers, tracer, missed: TABLE.iter().map(|_| AtomicBool::default()).collect() }
    }

    fn missing(&self, row: usize, words: ArgWords, cx: &Shown<'_>) -> RetWord {
        let call = &TABLE[row];
        if !self.missed[row].swap(true, Ordering::Relaxed) {
            let args = (call.show)(words, cx);
            let args: Vec<String> =
                call.args.iter().zip(args).map(|(arg, (value, _))| format!("{} = {value}", arg.name)).collect();
            tracing::warn!("system call not there yet: {}({})", call.name, args.join(", "));
        }
        RetWord { value: Status::B_UNSUPPORTED.raw().into(), wide: false }
    }

    fn run(&self, thread: &mut Thread, row: usize) -> Flow {
        let call = &TABLE[row];
        let mode = self.team.mode;
        let memory = &thread.team.memory;
        let words = match ArgWords::collect(&thread.cpu, memory, mode, call.args.len(), call.words_32) {
            Ok(words) => words,
            Err(fault) => {
                let status: Status = fault.into();
                set_result(&mut thread.cpu, mode, RetWord { value: status.raw().into(), wide: false });
                return Flow::Return;
            }
        };
        let begun = self.tracer.as_ref().map(|tracer| tracer.begin(call, words, memory, mode));
        let me = Arc::clone(&local(thread).me);
        let id = me.id();
        let mut in_progress = Call { thread, team: &self.team, me, flow: Flow::Return };
        let result = match call.run {
            Some(run) => run(&mut in_progress, words),
            None => self.missing(row, words, &Shown { memory: in_progress.memory(), mode }),
        };
        let flow = in_progress.flow;
        if let (Some(tracer), Some(begun)) = (&self.tracer, begun) {
            let cx = Shown { memory: &thread.team.memory, mode };
            tracer.end(id, call, begun, words, &cx, (flow == Flow::Return).then_some(result));
        }
        if flow == Flow::Return {
            local(thread).restart.wide = result.wide;
            set_result(&mut thread.cpu, mode, result);
        }
        flow
    }

    fn note(&self, thread: ThreadId, text: impl FnOnce() -> String) {
        if let Some(tracer) = &self.tracer {
            tracer.note(thread, &text());
        }
    }
}

impl Personality for HaikuPersonality {
    fn syscall(&self, thread: &mut Thread, kind: SyscallKind, at: GuestAddr) -> Resume {
        match kind {
            SyscallKind::Syscall | SyscallKind::Int(X86_VECTOR) => {}
            // User code never contains it; a program that has it anyway meets a processor that cannot.
            SyscallKind::Sysenter => return self.fault(thread, GuestFault { at, kind: FaultKind::InvalidOpcode }),
            // A gate that user code may not use.
            SyscallKind::Int(_) => {
                thread.cpu.rip = at.0;
                return self.fault(thread, GuestFault { at, kind: FaultKind::Protection });
            }
        }
        let entry = Entry::of(&thread.cpu);
        local(thread).restart.entry = entry;
        local(thread).restart.wide = false;
        let number = number(&thread.cpu);
        match self.numbers.row(number) {
            // Beyond the kernel's own calls nothing happens: not even the result register changes.
            None => tracing::warn!("no system call has the number {number}"),
            Some(row) => {
                if self.run(thread, row) == Flow::Leave {
                    return Resume::LeaveThread;
                }
            }
        }
        before_user_code(&self.team, thread)
    }

    fn fault(&self, thread: &mut Thread, fault: GuestFault) -> Resume {
        let (signal, si_code, address, trap) = signal_of(thread, &fault);
        if let FaultKind::Untranslated(_) = fault.kind {
            tracing::error!("{} at {}", fault.kind, fault.at);
        }
        let me = Arc::clone(&local(thread).me);
        self.note(me.id(), || format!("{} at {}: {}", fault.kind, fault.at, signal.name()));
        // What a call that was to run again needs is gone with the instruction that faults now.
        local(thread).restart.wanted = false;
        local(thread).last_fault = (address.0, trap);
        let info =
            SigInfo { si_addr: address, ..SigInfo::sent(signal, si_code, self.team.kernel.processes().team(), 0) };
        let uncaught = {
            let action = lock(&self.team.signals).action(signal);
            TeamSignals::discards(signal, &action) || action.sa_handler.0 == crate::abi::signal::SIG_DFL
        };
        let masked = lock(&me.signals).mask & signal.bit() != 0;
        if uncaught || masked {
            // The instruction would fault for ever: the team ends whatever was asked for.
            let report = crash::report(&self.team, thread, signal, &fault, address);
            let status = crate::team::exit::ExitStatus::Signaled { signal, report: Some(Box::new(report)) };
            self.team.exit.set(status);
            self.team.threads.all().iter().for_each(|t| t.poke());
            return Resume::LeaveThread;
        }
        if let Err(error) = self.team.signal_thread(&me, info, false) {
            tracing::error!("cannot send {} to thread {}: {error}", signal.name(), me.id());
            return Resume::LeaveThread;
        }
        before_user_code(&self.team, thread)
    }

    fn interrupted(&self, thread: &mut Thread) -> Resume {
        // Between calls nothing waits to run again.
        local(thread).restart.wanted = false;
        before_user_code(&self.team, thread)
    }
}

/// Signal, code, address and trap number for an exception.
fn signal_of(thread: &Thread, fault: &GuestFault) -> (Signal, i32, GuestAddr, u8) {
    let at = fault.at;
    match &fault.kind {
        FaultKind::Page(fault) => match fault.cause {
            FaultCause::Unmapped => (Signal::SIGSEGV, code::SEGV_MAPERR, fault.address, 14),
            FaultCause::Protection => (Signal::SIGSEGV, code::SEGV_ACCERR, fault.address, 14),
            FaultCause::Bus => (Signal::SIGBUS, code::BUS_ADRERR, fault.address, 14),
        },
        FaultKind::Protection | FaultKind::Halt => (Signal::SIGILL, code::ILL_PRVOPC, at, 13),
        FaultKind::Stack => (Signal::SIGBUS, code::BUS_ADRERR, at, 12),
        FaultKind::Divide => (Signal::SIGFPE, code::FPE_INTDIV, at, 0),
        FaultKind::Overflow => (Signal::SIGFPE, code::FPE_INTOVF, at, 4),
        FaultKind::Bound => (Signal::SIGTRAP, code::SI_USER, at, 5),
        FaultKind::InvalidOpcode | FaultKind::Untranslated(_) => (Signal::SIGILL, code::ILL_ILLOPC, at, 6),
        FaultKind::Breakpoint => (Signal::SIGTRAP, code::TRAP_BRKPT, at, 3),
        FaultKind::Debug => (Signal::SIGTRAP, code::TRAP_TRACE, at, 1),
        FaultKind::X87 => (Signal::SIGFPE, float_code(u32::from(thread.cpu.x87.status)), at, 16),
        FaultKind::SimdFloat => (Signal::SIGFPE, float_code(thread.cpu.mxcsr), at, 19),
    }
}

/// The code for the first of the exception flags that stands: invalid, denormal, zero divide, overflow, underflow, precision.
fn float_code(status: u32) -> i32 {
    const CODES: [i32; 6] =
        [code::FPE_FLTINV, code::FPE_FLTUND, code::FPE_FLTDIV, code::FPE_FLTOVF, code::FPE_FLTUND, code::FPE_FLTRES];
    CODES.into_iter().enumerate().find(|(bit, _)| status >> bit & 1 != 0).map_or(code::FPE_FLTINV, |(_, code)| code)
}

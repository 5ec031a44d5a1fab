//! What happens on the way back to user code: suspension, signals, running calls again.
//!
//! Source: haiku `src/system/kernel/signal.cpp`, `handle_signals()`.

use std::sync::atomic::Ordering;

use hokku_ir::GuestAddr;
use hokku_runtime::{Resume, Thread};

use crate::abi::signal::*;
use crate::abi::structs::{SigAction, SigInfo, SignalStack, UserThread};
use crate::call::{defers, local, write};
use crate::calling::{Entry, rewind};
use crate::frame::{self, FrameContents};
use crate::team::TeamState;
use crate::team::exit::ExitStatus;
use crate::team::threads::ThreadState;
use crate::team::waiting::{Deadline, Waiting, lock};

/// Prepares the thread for user code: delivers what is pending, and makes an interrupted call run again if it is to.
pub fn before_user_code(team: &TeamState, thread: &mut Thread) -> Resume {
    let state = local(thread);
    // Nearly every call ends here.
    if !state.me.attention.load(Ordering::SeqCst) && !state.restart.wanted {
        state.restart.at = None;
        state.restart.always = false;
        return Resume::Continue;
    }
    let me = std::sync::Arc::clone(&state.me);
    // A signal may come while another is handled.
    while me.attention.swap(false, Ordering::SeqCst) {
        if team.exit.is_set() {
            return Resume::LeaveThread;
        }
        wait_while_suspended(team, &me);
        match handle_signals(team, thread, &me) {
            Handled::Leave => return Resume::LeaveThread,
            Handled::Deferred => {
                me.attention.store(true, Ordering::SeqCst);
                break;
            }
            Handled::Done => {}
        }
    }
    let mode = team.mode;
    let restart = &mut local(thread).restart;
    restart.at = None;
    restart.always = false;
    if std::mem::take(&mut restart.wanted) {
        let entry = restart.entry;
        rewind(&mut thread.cpu, mode, entry);
        // Where the call will be seen to return to when it is made again.
        local(thread).restart.at = Some(thread.cpu.rip + crate::calling::SYSCALL_BYTES);
    }
    Resume::Continue
}

/// Blocks while the thread is suspended.
pub fn wait_while_suspended(team: &TeamState, me: &std::sync::Arc<ThreadState>) {
    if me.suspended.load(Ordering::SeqCst) {
        let ended = || team.exit.is_set() || kills_pending(team, me);
        me.parker.wait_until(team.kernel.clock(), Deadline::Never, || {
            (!me.suspended.load(Ordering::SeqCst) || ended()).then_some(())
        });
    }
}

fn kills_pending(team: &TeamState, me: &ThreadState) -> bool {
    team.pending(me) & KILL != 0
}

enum Handled {
    /// Nothing is pending any more, or a handler is to run.
    Done,
    /// The thread does not want them yet.
    Deferred,
    /// The thread ends.
    Leave,
}

fn set_pending_word(team: &TeamState, thread: &Thread, me: &ThreadState, set: u64) {
    let at = lock(&me.memory).user_thread;
    let offset = UserThread::fields(team.mode).1.iter().find(|f| f.0 == "pending_signals").map_or(0, |f| f.1);
    // A program that has unmapped the structure has nothing to be told.
    let _ = write(&thread.team.memory, team.mode, at.offset(offset as u64), &set);
}

fn handle_signals(team: &TeamState, thread: &mut Thread, me: &ThreadState) -> Handled {
    let (allowed, suspending) = {
        let signals = lock(&me.signals);
        (!signals.mask, signals.suspend_mask.is_some())
    };
    let pending = team.pending(me) & allowed;
    if pending & NON_DEFERRABLE == 0 && !suspending && defers(me, &thread.team.memory) {
        set_pending_word(team, thread, me, pending);
        return if pending != 0 { Handled::Deferred } else { Handled::Done };
    }
    if pending != 0 {
        set_pending_word(team, thread, me, 0);
    }
    let no_restart = std::mem::take(&mut lock(&me.signals).no_restart);
    let always = local(thread).restart.always;
    let mut may_restart = always || !no_restart;
    while let Some(info) = take_signal(team, me, allowed) {
        let signal = info.signal();
        let mut action = match signal.0 {
            1..=REALTIME_MAX => lock(&team.signals).action(signal),
            _ => SigAction::default(),
        };
        match action.sa_handler.0 {
            SIG_IGN => continue,
            SIG_DFL if signal == Signal::SIGNAL_CANCEL_THREAD => {
                action = SigAction { sa_handler: lock(&me.signals).cancel, ..SigAction::default() };
                may_restart = false;
            }
            SIG_DFL if signal == Signal::SIGNAL_CONTINUE_THREAD => {
                may_restart = false;
                local(thread).restart.wanted = false;
                continue;
            }
            SIG_DFL => match signal.default_action() {
                DefaultAction::Ignore | DefaultAction::Continue => continue,
                DefaultAction::Stop => {
                    if let Err(error) = team.kernel.processes().stop() {
                        tracing::warn!("cannot stop the team: {error}");
                    }
                    continue;
                }
                DefaultAction::KillThread if !is_main(team, me) => return Handled::Leave,
                DefaultAction::KillThread | DefaultAction::Kill => {
                    let report = local(thread).crash.take();
                    team.exit.set(ExitStatus::Signaled { signal, report });
                    team.threads.all().iter().for_each(|t| t.poke());
                    return Handled::Leave;
                }
            },
            _ => {}
        }
        let flags = ActionFlags::from_bits_retain(action.sa_flags as u32);
        if flags.contains(ActionFlags::RESETHAND) {
            lock(&team.signals).set_action(signal, SigAction { sa_handler: GuestAddr(SIG_DFL), ..action });
        }
        if !may_restart || (!always && !flags.contains(ActionFlags::RESTART)) {
            local(thread).restart.wanted = false;
        }
        return call_handler(team, thread, me, info, action);
    }
    let restart = &mut local(thread).restart;
    if suspending {
        // `sigsuspend` goes on waiting: whatever woke it was not for it.
        restart.wanted = true;
    } else if !may_restart {
        restart.wanted = false;
    }
    Handled::Done
}

fn is_main(team: &TeamState, me: &ThreadState) -> bool {
    team.threads.main().is_some_and(|main| main.id() == me.id())
}

/// Takes out the pending signal with the highest priority.
pub fn take_signal(team: &TeamState, me: &ThreadState, allowed: u64) -> Option<SigInfo> {
    let mut of_team = lock(&team.signals);
    let mut of_thread = lock(&me.signals);
    if of_team.pending.priority(allowed) > of_thread.pending.priority(allowed) {
        of_team.pending.take(allowed)
    } else {
        of_thread.pending.take(allowed)
    }
}

/// The stack that the thread is on, as a context shows it.
fn current_stack(me: &ThreadState, sp: u64) -> SignalStack {
    let alternate = lock(&me.signals).stack;
    let memory = *lock(&me.memory);
    let (base, size, flags) = match alternate {
        Some((base, size)) if (base.0..base.0 + size).contains(&sp) => (base, size, SS_ONSTACK),
        _ => (memory.stack_base, memory.stack_end.0.saturating_sub(memory.stack_base.0), 0),
    };
    SignalStack { ss_sp: base, ss_size: crate::abi::Word(size), ss_flags: flags }
}

fn call_handler(
    team: &TeamState,
    thread: &mut Thread,
    me: &ThreadState,
    mut info: SigInfo,
    action: SigAction,
) -> Handled {
    let mode = team.mode;
    let Some(commpage) = team.commpage.get() else { return Handled::Done };
    thread.sync_x87();
    let flags = ActionFlags::from_bits_retain(action.sa_flags as u32);
    let beos = flags.contains(ActionFlags::BEOS);
    if beos && info.signal() == Signal::SIGBUS {
        // BeOS had one number for both.
        info.si_signo = Signal::SIGSEGV.0.into();
    }
    let stack = current_stack(me, thread.cpu.get(hokku_ir::Gpr::Rsp));
    let local = local(thread);
    let mut thread_flags = 0;
    if std::mem::take(&mut local.restart.wanted) {
        thread_flags |= THREAD_FLAGS_RESTART_SYSCALL;
    }
    if std::mem::take(&mut local.restart.wide) {
        thread_flags |= THREAD_FLAGS_64_BIT_SYSCALL_RETURN;
    }
    let mut signals = lock(&me.signals);
    let contents = FrameContents {
        info,
        action,
        mask: signals.suspend_mask.take().unwrap_or(signals.mask),
        link: signals.context,
        stack,
        thread_flags,
        restart_value: local.restart.entry.pack(mode),
        restart_parameters: local.restart.parameters,
        commpage: commpage.base,
        last_fault: local.last_fault,
    };
    let mut mask = signals.mask | action.sa_mask;
    if !flags.contains(ActionFlags::NODEFER) {
        mask |= info.signal().bit();
    }
    let frame = frame::build(&thread.cpu, mode, &contents, signals.stack);
    if thread.team.memory.write_bytes(GuestAddr(frame.sp), &frame.bytes).is_err() {
        // No stack to run the handler on: as if there were none.
        drop(signals);
        let report = crate::call::local(thread).crash.take();
        team.exit.set(ExitStatus::Signaled { signal: Signal::SIGSEGV, report });
        team.threads.all().iter().for_each(|t| t.poke());
        return Handled::Leave;
    }
    signals.set_mask(mask);
    signals.context = frame.context;
    drop(signals);
    crate::call::local(thread).crash = None;
    let wrapper = if beos { commpage.signal_handler_beos } else { commpage.signal_handler };
    frame::enter_handler(&mut thread.cpu, mode, &frame, wrapper);
    // For a second handler on top of this one.
    team.look_at_unmasked(me);
    Handled::Done
}

/// The way back from a handler: `restore_signal_frame`. Gives `None` if there is no frame.
pub fn return_from_handler(team: &TeamState, thread: &mut Thread, at: GuestAddr) -> Option<()> {
    let mode = team.mode;
    let mut data = vec![0; frame::data_size(mode)];
    thread.team.memory.read_bytes(at, &mut data).ok()?;
    thread.sync_x87();
    let restored = frame::restore(&mut thread.cpu, mode, &data);
    let entry = Entry::unpack(restored.restart_value, &thread.cpu, mode);
    let local = local(thread);
    local.restart.wanted = restored.thread_flags & THREAD_FLAGS_RESTART_SYSCALL != 0;
    local.restart.wide = restored.thread_flags & THREAD_FLAGS_64_BIT_SYSCALL_RETURN != 0;
    local.restart.parameters = restored.restart_parameters;
    local.restart.entry = entry;
    let me = std::sync::Arc::clone(&local.me);
    let mut signals = lock(&me.signals);
    signals.set_mask(restored.mask);
    signals.context = restored.link;
    drop(signals);
    team.look_at_unmasked(&me);
    Some(())
}

/// Waits for a signal of the thread's own, under `wait`.
pub fn wait_for_signal(wait: &Waiting<'_>, deadline: Deadline, mut ready: impl FnMut() -> bool) -> bool {
    wait.parker.wait_until(wait.clock, deadline, || ready().then_some(())).is_some()
}

//! Signals.
//!
//! Haiku: `src/system/kernel/signal.cpp`.

use std::sync::atomic::Ordering;

use hokku_ir::{Gpr, GuestAddr};

use crate::abi::signal::*;
use crate::abi::structs::{SigAction, SigInfo, SignalStack};
use crate::abi::{Status, SysResult, Word};
use crate::args::*;
use crate::call::{Call, Flow, has_deliverable, local};
use crate::deliver::{return_from_handler, take_signal};
use crate::team::signals::{TeamSignals, is_catchable};
use crate::team::waiting::{Deadline, lock};

/// Haiku: `_user_restore_signal_frame`. A thread without a frame to return to is ended.
pub fn restore_signal_frame(call: &mut Call<'_>, signal_frame_data: GuestAddr) -> SysResult<i64> {
    match return_from_handler(call.team, call.thread, signal_frame_data) {
        Some(()) => {
            call.flow = Flow::RegistersSet;
            Ok(call.thread.cpu.get(Gpr::Rax) as i64)
        }
        None => {
            let info = SigInfo::sent(Signal::SIGKILLTHR, 0, call.kernel().processes().team(), 0);
            call.team.signal_thread(&call.me, info, false)?;
            Err(Status::B_BAD_ADDRESS)
        }
    }
}

/// Haiku: `_user_send_signal`.
pub fn send_signal(call: &mut Call<'_>, id: i32, signal: u32, user_value: In<Word>, flags: u32) -> SysResult {
    let value = if user_value.is_null() { Word(0) } else { call.read(user_value)? };
    let queued = flags & send::QUEUING_REQUIRED != 0;
    let processes = call.kernel().processes();
    let own = processes.team();
    if signal > u32::from(REALTIME_MAX) {
        return Err(Status::B_BAD_VALUE);
    }
    let info = |signal: Signal| SigInfo {
        si_value: value,
        ..SigInfo::sent(signal, if queued { code::SI_QUEUE } else { code::SI_USER }, own, processes.user_ids()[0])
    };
    let signal = Signal::new(signal);
    if flags & send::TO_THREAD != 0 && id > 0 {
        let thread = call.team.threads.get(ThreadId(id))?;
        return match signal {
            None => Ok(()),
            Some(signal) => call.team.signal_thread(&thread, info(signal), queued),
        };
    }
    if id == 0 || id == own.0 {
        return match signal {
            None => Ok(()),
            Some(signal) => call.team.signal_team(info(signal), queued),
        };
    }
    // Another team, a group (negative), or everybody (-1); the host knows them.
    let result = match signal {
        None => processes.exists(id),
        Some(signal) => processes.send_signal(id, signal),
    };
    result.map_err(|error| if error == Status::ESRCH && id > 0 { Status::B_BAD_THREAD_ID } else { error })
}

/// Haiku: `_user_set_signal_mask`.
pub fn set_signal_mask(call: &mut Call<'_>, how: i32, set: In<u64>, old_set: Out<u64>) -> SysResult {
    let new = if set.is_null() { None } else { Some(call.read(set)?) };
    let old = lock(&call.me.signals).mask;
    if let Some(set) = new {
        let mask = match how {
            how::SIG_BLOCK => old | set,
            how::SIG_UNBLOCK => old & !set,
            how::SIG_SETMASK => set,
            _ => return Err(Status::B_BAD_VALUE),
        };
        lock(&call.me.signals).set_mask(mask);
        call.team.look_at_unmasked(&call.me);
    }
    call.write_optional(old_set, &old)
}

/// Haiku: `_user_sigaction`.
pub fn sigaction(call: &mut Call<'_>, sig: i32, action: In<SigAction>, old_action: Out<SigAction>) -> SysResult {
    let signal =
        u32::try_from(sig).ok().and_then(Signal::new).filter(|s| is_catchable(*s)).ok_or(Status::B_BAD_VALUE)?;
    let new = if action.is_null() { None } else { Some(call.read(action)?) };
    let old = {
        let mut signals = lock(&call.team.signals);
        let old = signals.action(signal);
        if let Some(new) = new {
            signals.set_action(signal, new);
            if TeamSignals::discards(signal, &new) {
                signals.pending.remove(signal.bit());
            }
        }
        old
    };
    if new.is_some_and(|new| TeamSignals::discards(signal, &new)) {
        for thread in call.team.threads.all() {
            lock(&thread.signals).pending.remove(signal.bit());
        }
    }
    call.write_optional(old_action, &old)
}

/// Haiku: `_user_sigwait`.
pub fn sigwait(call: &mut Call<'_>, set: In<u64>, info: Out<SigInfo>, flags: u32, timeout: i64) -> SysResult {
    let wanted = call.read(set)? & BLOCKABLE;
    let deadline = call.deadline(flags, timeout);
    let (team, me) = (call.team, std::sync::Arc::clone(&call.me));
    let result = call.waiting(|wait| {
        let done = wait.parker.wait_until(wait.clock, deadline, || {
            if team.pending(&me) & KILL != 0 {
                return Some(Err(Status::B_INTERRUPTED));
            }
            match take_signal(team, &me, wanted) {
                Some(info) => Some(Ok(info)),
                None => (wait.interrupted)().then_some(Err(Status::B_INTERRUPTED)),
            }
        });
        // POSIX wants EAGAIN when the time has passed.
        done.unwrap_or(Err(Status::B_WOULD_BLOCK))
    });
    if result.is_err() {
        local(call.thread).restart.always = matches!(result, Err(Status::B_INTERRUPTED));
    }
    let value = call.restartable(result)?;
    call.write_optional(info, &value)
}

/// Haiku: `_user_sigsuspend`.
pub fn sigsuspend(call: &mut Call<'_>, mask: In<u64>) -> SysResult {
    let mask = call.read(mask)?;
    {
        let mut signals = lock(&call.me.signals);
        // Running again after a signal that was not for it, the mask to go back to is still the first one.
        let old = signals.suspend_mask.unwrap_or(signals.mask);
        signals.set_mask(mask);
        signals.suspend_mask = Some(old);
    }
    call.me.attention.store(true, Ordering::SeqCst);
    let (team, me) = (call.team, std::sync::Arc::clone(&call.me));
    call.waiting(|wait| {
        wait.parker.wait_until(wait.clock, Deadline::Never, || {
            let unmasked = team.pending(&me) & !lock(&me.signals).mask != 0;
            (unmasked || has_deliverable(team, &me, call.memory())).then_some(())
        })
    });
    Err(Status::B_INTERRUPTED)
}

/// Haiku: `_user_sigpending`.
pub fn sigpending(call: &mut Call<'_>, set: Out<u64>) -> SysResult {
    let pending = call.team.pending(&call.me);
    call.write(set, &pending)
}

/// Haiku: `_user_set_signal_stack`.
pub fn set_signal_stack(call: &mut Call<'_>, new_stack: In<SignalStack>, old_stack: Out<SignalStack>) -> SysResult {
    let new = if new_stack.is_null() { None } else { Some(call.read(new_stack)?) };
    let sp = call.thread.cpu.get(Gpr::Rsp);
    let current = lock(&call.me.signals).stack;
    let on_stack = current.is_some_and(|(base, size)| (base.0..base.0 + size).contains(&sp));
    let old = match current {
        Some((base, size)) => {
            SignalStack { ss_sp: base, ss_size: Word(size), ss_flags: if on_stack { SS_ONSTACK } else { 0 } }
        }
        None => SignalStack { ss_flags: SS_DISABLE, ..SignalStack::default() },
    };
    if let Some(new) = new {
        if on_stack {
            return Err(Status::B_NOT_ALLOWED);
        }
        let stack = if new.ss_flags & SS_DISABLE != 0 {
            None
        } else {
            if new.ss_size.0 < MIN_SIGNAL_STACK {
                return Err(Status::B_NO_MEMORY);
            }
            if new.ss_sp.0.checked_add(new.ss_size.0).is_none() {
                return Err(Status::B_BAD_VALUE);
            }
            Some((new.ss_sp, new.ss_size.0))
        };
        lock(&call.me.signals).stack = stack;
    }
    call.write_optional(old_stack, &old)
}

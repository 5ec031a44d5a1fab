//! Running host code: in, out, and what to do then.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hashbrown::HashMap;
use hokku_ir::backend::{Callout, LazyState, Stop, StopKind};
use hokku_ir::eval::{EXACT_IN_HOST, EvalFault, Flow, MemoryFault, MemoryFaultKind, X87Code};
use hokku_ir::guest::ExitReason;
use hokku_ir::softfloat::Exceptions;
use hokku_ir::{BlockKey, CpuMode, Gpr, GuestAddr};

use super::callout::{self, CalloutFault};
use super::linking::LinkRef;
use super::{Entrances, install};
use crate::guest_memory::Prot;
use crate::host::arch::enter::HostThread;
use crate::host::thread_memory::ThreadMemory;
use crate::host::{NativeFault, PAGE_SIZE};
use crate::stats::Stats;
use crate::team::Team;
use crate::thread::{Attention, Shared, Thread};

/// The callouts by their return addresses, and the cache's generation that they are of.
type KnownCallouts = (u64, HashMap<u64, Callout>);

/// Entries of a thread's own table of stops; a power of two.
const RECENT_STOPS: usize = 64;

/// What a guest thread needs to run host code.
pub(crate) struct JitThread {
    team: Arc<Team>,
    pub(super) shared: Arc<Shared>,
    pub(super) host: HostThread,
    memory: Arc<ThreadMemory>,
    entrances: Entrances,
    /// Stack pointer of the shadow stack; zero while it is to be set up.
    shadow_sp: Cell<u64>,
    /// Those that this thread met.
    callouts: RefCell<KnownCallouts>,
    /// Stops that this thread met lately, by their stubs; of the generation that goes with them.
    stops: RefCell<[Option<(u64, u64, Stop)>; RECENT_STOPS]>,
    counts: RefCell<BTreeMap<&'static str, u64>>,
    fault: Cell<Option<CalloutFault>>,
}

/// Why a thread is out of host code, in terms that outlive the code.
enum Left {
    /// It goes on at this address; a link leads there if the place named is patched.
    To { target: GuestAddr, link: Option<LinkRef> },
    /// It goes on at this address, where code has run often.
    Hot { target: GuestAddr },
    /// Something happened.
    Flow(Flow),
}

impl JitThread {
    pub(crate) fn new(team: &Arc<Team>, shared: &Arc<Shared>, memory: Arc<ThreadMemory>) -> Option<JitThread> {
        let entrances = team.code.lock().host.as_ref()?.entrances();
        memory.set_miss(entrances.jump_miss);
        let host = HostThread::new(Arc::clone(&memory), &team.code, entrances);
        Some(JitThread {
            team: Arc::clone(team),
            shared: Arc::clone(shared),
            host,
            memory,
            entrances,
            shadow_sp: Cell::new(0),
            callouts: RefCell::default(),
            stops: RefCell::new([None; RECENT_STOPS]),
            counts: RefCell::default(),
            fault: Cell::new(None),
        })
    }

    /// The word that is not zero while the thread is called.
    pub(crate) fn flag(&self) -> &AtomicU32 {
        self.shared.attention_word()
    }

    pub(super) fn team(&self) -> &Team {
        &self.team
    }

    /// The callout that returns to host address `site`.
    pub(super) fn callout_at(&self, site: u64) -> Option<Callout> {
        let mut known = self.callouts.borrow_mut();
        let generation = self.team.code.generation();
        if known.0 != generation {
            known.1.clear();
            known.0 = generation;
        }
        if let Some(found) = known.1.get(&site) {
            return Some(*found);
        }
        let found = self.team.code.lock().code_at(site - 1)?.callout(site)?;
        known.1.insert(site, found);
        Some(found)
    }

    /// What is left to be done where the instruction at host address `site` faulted.
    fn lazy_at(&self, site: u64) -> Option<LazyState> {
        Some(self.team.code.lock().code_at(site)?.fault(site)?.lazy)
    }

    /// The stop whose stub is at host address `site`, if this thread has met it lately.
    fn known_stop(&self, site: u64) -> Option<Stop> {
        let (stub, generation, stop) = self.stops.borrow()[stop_slot(site)]?;
        (stub == site && generation == self.team.code.generation()).then_some(stop)
    }

    fn remember_stop(&self, site: u64, stop: Stop) {
        self.stops.borrow_mut()[stop_slot(site)] = Some((site, self.team.code.generation(), stop));
    }

    pub(super) fn count_callout(&self, op: &'static str) {
        *self.counts.borrow_mut().entry(op).or_default() += 1;
    }

    pub(super) fn set_callout_fault(&self, at: GuestAddr, fault: EvalFault) {
        self.fault.set(Some((at, fault)));
    }

    /// Makes sure that computed jumps of this thread do not lead to `blocks`, or to anything at all if there are none: another thread has dropped
    /// those that were met. Returns lead there still, and find the same.
    pub(crate) fn forget_jumps(&self, blocks: &[u64]) {
        if blocks.is_empty() {
            self.memory.forget_all_jumps();
        }
        blocks.iter().for_each(|&pc| self.memory.forget_jump(pc));
    }

    /// Adds what was counted to the team's.
    pub(crate) fn flush_counts(&self) {
        let counts = std::mem::take(&mut *self.counts.borrow_mut());
        if !counts.is_empty() {
            self.team.stats.add_callouts(&counts);
        }
    }

    /// All translations are gone, and this thread knows it first.
    pub(crate) fn forget_code(&self) {
        self.memory.forget_all_jumps();
        self.shadow_sp.set(0);
    }

    /// The process has been forked, and this is the child.
    pub(crate) fn moved_to_child(&self) {
        self.host.renew();
    }
}

impl Thread {
    /// Runs translated code until something other than a jump happens, or the thread is called.
    pub(crate) fn run_jit(&mut self) -> Flow {
        let mut link = None;
        loop {
            let at = GuestAddr(self.cpu.rip);
            if self.shared.attention() != Attention::empty() || !self.team.world.enter(&self.shared) {
                return Flow::Stopped { at };
            }
            let Some(host) = self.find(self.key(), link.take()) else {
                self.team.world.leave(&self.shared);
                if self.team.rewritten.is_evaluated(&self.team.memory, at) {
                    return self.interpret_rewritten();
                }
                if !install::install(&self.team, self.key()) {
                    // Code that does not fit even an empty cache.
                    return self.interpret_instruction();
                }
                continue;
            };
            let left = self.enter(host);
            self.team.world.leave(&self.shared);
            match left {
                Left::To { target, link: from } => {
                    self.cpu.rip = target.0;
                    if self.steps() {
                        return Flow::Stopped { at: target };
                    }
                    link = from;
                }
                Left::Hot { target } => {
                    self.cpu.rip = target.0;
                    self.team.optimiser.request(&self.team, self.key());
                }
                Left::Flow(flow) => return flow,
            }
        }
    }

    /// Host address of the code for `key`; `link` is patched to lead there, or else the jump cache knows it from now on.
    fn find(&mut self, key: BlockKey, link: Option<LinkRef>) -> Option<u64> {
        let jit = self.jit.as_ref()?;
        if let (None, Some(host)) = (link, jit.memory.cached_jump(key.pc.0)) {
            return Some(host);
        }
        let mut tables = self.team.code.lock();
        let (id, block) = tables.find(&key)?;
        let code = tables.record(id)?.jit()?;
        let (host, checked) = (code.block(block)?, code.checked_block(block)?);
        match link.zip(self.team.backend.as_deref()) {
            Some((link, backend)) => {
                if tables.link(backend, link, id, host) {
                    Stats::add(&self.team.stats.links, 1);
                }
            }
            None => jit.memory.cache_jump(key.pc.0, host, checked),
        }
        Some(host)
    }

    /// Runs host code from `code` on. The thread's place is in code; when this returns, it needs the code no more.
    fn enter(&mut self, code: u64) -> Left {
        let jit = self.jit.as_ref().expect("a thread of a JIT team");
        let stale = &self.shared.stale_returns;
        if stale.load(Ordering::SeqCst) || jit.shadow_sp.get() == 0 {
            stale.store(false, Ordering::SeqCst);
            jit.shadow_sp.set(jit.memory.empty_shadow_stack(jit.entrances.return_miss));
        }
        crate::host::arch::x87::load(&mut self.cpu, self.team.x87);
        let area = &mut self.cpu.host;
        area.jump_cache = jit.memory.jump_cache_address();
        area.shadow_top = jit.memory.shadow_top();
        area.shadow_sp = jit.shadow_sp.get();
        area.callout_fn = crate::host::callout::entry();
        area.x87_call = crate::host::callout::x87_entry();
        area.attention = std::ptr::from_ref(jit.flag()).addr() as u64;
        area.callout_context = std::ptr::from_ref(&**jit).addr() as u64;
        let at = GuestAddr(self.cpu.rip);
        if !jit.host.run(&mut self.cpu, code, &self.shared) {
            return Left::Flow(Flow::Stopped { at });
        }
        jit.shadow_sp.set(self.cpu.host.shadow_sp);
        let (reason, site) = (self.cpu.host.exit_reason, self.cpu.host.exit_site);
        let faulted = reason == ExitReason::Fault as u32 && jit.host.fault().is_some();
        let at_fault = faulted.then(|| jit.lazy_at(site)).flatten();
        jit.settle(&mut self.cpu, at_fault.unwrap_or_default(), site);
        let sp = self.cpu.get(Gpr::Rsp).wrapping_add_signed(jit.host.stack_delta().into());
        self.cpu.set(Gpr::Rsp, sp & self.team.mode.word().mask());
        self.left()
    }

    fn left(&mut self) -> Left {
        let jit = self.jit.as_ref().expect("a thread of a JIT team");
        let stats = &self.team.stats;
        let (reason, site) = (self.cpu.host.exit_reason, self.cpu.host.exit_site);
        if reason == ExitReason::Fault as u32 {
            if let Some((at, fault)) = jit.fault.take() {
                return Left::Flow(Flow::Fault { at, fault });
            }
            let behind = jit.lazy_at(site).map_or(0, |lazy| lazy.behind);
            return Left::Flow(self.native_fault(jit.host.fault(), behind.into()));
        }
        if reason == ExitReason::Indirect as u32 {
            Stats::add(&stats.indirect_exits, 1);
            if let Some(at) = self.transfer_to_no_address(site) {
                return Left::Flow(Flow::Fault { at, fault: EvalFault::Target });
            }
            return Left::To { target: GuestAddr(self.cpu.rip), link: None };
        }
        jit.flush_counts();
        if let Some(stop) = jit.known_stop(site) {
            return Left::Flow(stop_flow(&stop));
        }
        let tables = self.team.code.lock();
        if reason == ExitReason::Hot as u32 {
            let Some(target) = tables.hot_at(site) else { panic!("nothing is hot at host address {site:#x}") };
            return Left::Hot { target };
        }
        if reason == ExitReason::Link as u32 {
            Stats::add(&stats.link_exits, 1);
            let Some((link, target)) = tables.link_at(site) else { panic!("no link leaves at host address {site:#x}") };
            return Left::To { target, link: Some(link) };
        }
        let Some(stop) = tables.stop_at(site) else { panic!("nothing stops at host address {site:#x}") };
        jit.remember_stop(site, stop);
        Left::Flow(stop_flow(&stop))
    }

    /// The guest instruction of the computed jump at host address `site` if its target is no address.
    fn transfer_to_no_address(&self, site: u64) -> Option<GuestAddr> {
        if self.team.mode != CpuMode::Long64 || GuestAddr(self.cpu.rip).is_canonical() {
            return None;
        }
        let inside = site.checked_sub(1)?;
        self.team.code.lock().code_at(inside)?.guest_instruction(inside)
    }

    /// The first byte that cannot be written of an access that starts at `start` and has failed at `address` already.
    fn first_inaccessible(&self, address: u64, start: u64) -> u64 {
        let page = |a: u64| a / PAGE_SIZE;
        let protection = self.team.memory.protection(GuestAddr(start));
        let is_writable = protection.is_some_and(|p| p.contains(Prot::WRITE));
        if page(address) == page(start) || !is_writable { start } else { page(address) * PAGE_SIZE }
    }

    /// The x87 exceptions that the waiting x87 instruction at `at`, if it is one, delivers instead of its fault: translated code does not look
    /// for them before it reaches memory.
    fn pending_before_memory(&self, at: GuestAddr) -> Option<Exceptions> {
        let x87 = &self.cpu.x87;
        let pending = Exceptions::from_bits_truncate(x87.status & !x87.control) & Exceptions::ALL;
        let is_known = matches!(self.cpu.host.x87_in_host, 0 | EXACT_IN_HOST);
        let is_pending = is_known && x87.status & 1 << 7 != 0;
        (is_pending && X87Code::waits(&self.team.memory, self.team.mode, at)).then_some(pending)
    }

    /// What the fault handler found, in the evaluator's words. `rip` is the instruction.
    fn native_fault(&self, fault: Option<NativeFault>, behind: u64) -> Flow {
        let at = GuestAddr(self.cpu.rip);
        let fault = match fault {
            Some(NativeFault::Memory { address, write, bus }) => {
                // 32-bit code may have gone over an end of the 4 GiB.
                let mask = self.team.mode.word().mask();
                let address = self.first_inaccessible(address & mask, address.wrapping_sub(behind) & mask);
                if let Some(pending) = self.pending_before_memory(at) {
                    return Flow::Fault { at, fault: EvalFault::X87Float(pending) };
                }
                let mapped = !bus && self.team.memory.protection(GuestAddr(address)).is_some();
                let kind = if mapped { MemoryFaultKind::Protected } else { MemoryFaultKind::Unmapped };
                EvalFault::Memory(MemoryFault { at: GuestAddr(address), write, kind })
            }
            Some(NativeFault::Protection) => EvalFault::Protection,
            Some(NativeFault::Divide) => EvalFault::Divide,
            Some(NativeFault::X87) => EvalFault::X87Float(Exceptions::empty()),
            Some(NativeFault::SimdFloat) => EvalFault::SimdFloat(Exceptions::empty()),
            Some(NativeFault::Called) | None => return Flow::Stopped { at },
        };
        Flow::Fault { at, fault }
    }
}

fn stop_slot(site: u64) -> usize {
    (site >> 4 ^ site >> 10) as usize & (RECENT_STOPS - 1)
}

fn stop_flow(stop: &Stop) -> Flow {
    match stop.kind {
        StopKind::Syscall(kind) => Flow::Syscall { kind, at: stop.at, next: stop.next },
        StopKind::Trap(trap) => Flow::Trap { trap, at: stop.at, next: stop.next },
    }
}

/// Evaluates a callout for the stub that made it; says whether the thread goes on in its code.
pub(crate) fn evaluate_callout(jit: &JitThread, cpu: &mut hokku_ir::CpuState, site: u64) -> bool {
    callout::evaluate(jit, cpu, site)
}

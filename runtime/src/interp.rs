//! The interpreter engine: evaluates regions.

use std::sync::Arc;
use std::time::Instant;

use hokku_frontend::Limits;
use hokku_ir::backend::Tier;
use hokku_ir::eval::{EvalFault, Evaluator, Flow, Memory, Prepared};
use hokku_ir::passes::{FaultsSee, NAMES};
use hokku_ir::{BlockId, BlockKey, GuestAddr, Trap};

use crate::code_cache::{Code, Outline};
use crate::debug::{Watch, WatchHit, WatchedMemory};
use crate::stats::Stats;
use crate::team::Team;
use crate::thread::{Attention, Thread};
use crate::translator;

/// Entries of a thread's own table of regions; a power of two.
const RECENT: usize = 1 << 12;

/// A place to start in a region.
type Start = (BlockKey, Arc<Prepared>, BlockId);

/// One thread's evaluator and the regions that it met lately.
#[derive(Default)]
pub(crate) struct Interpreter {
    evaluator: Evaluator,
    recent: Recent,
}

/// The regions that a thread met lately, by where they were entered.
#[derive(Default)]
struct Recent {
    starts: Vec<Option<Start>>,
    /// The cache's generation that `starts` is of.
    generation: u64,
}

impl Recent {
    fn slot(key: &BlockKey) -> usize {
        (key.pc.0 ^ key.pc.0 >> 12) as usize & (RECENT - 1)
    }

    /// Looks the region for `key` up in the team's cache the next time.
    fn forget(&mut self, key: &BlockKey) {
        if let Some(entry) = self.starts.get_mut(Self::slot(key)) {
            *entry = None;
        }
    }

    /// The region for `key`, which is here or in the team's cache.
    #[inline]
    fn find(&mut self, team: &Team, key: &BlockKey) -> Option<(&Prepared, BlockId)> {
        let generation = team.code.generation();
        if self.generation != generation || self.starts.is_empty() {
            self.starts.clear();
            self.starts.resize(RECENT, None);
            self.generation = generation;
        }
        let entry = &mut self.starts[Self::slot(key)];
        if !matches!(entry, Some((found, ..)) if found == key) {
            *entry = Some(look_up(team, key)?);
        }
        entry.as_ref().map(|(_, region, block)| (&**region, *block))
    }
}

/// The region for `key` in the team's cache.
#[cold]
fn look_up(team: &Team, key: &BlockKey) -> Option<Start> {
    let tables = team.code.lock();
    let (id, block) = tables.find(key)?;
    let Code::Interp(region) = &tables.record(id)?.code else { return None };
    Some((*key, Arc::clone(region), block))
}

impl Thread {
    /// Evaluates guest code until something other than a jump happens, or the thread is called.
    pub(crate) fn interpret(&mut self) -> Flow {
        let stopped = Flow::Stopped { at: GuestAddr(self.cpu.rip) };
        if !self.team.world.enter(&self.shared) {
            return stopped;
        }
        let flow = loop {
            let at = GuestAddr(self.cpu.rip);
            if self.shared.attention() != Attention::empty() {
                break Flow::Stopped { at };
            }
            let key = self.key();
            let Interpreter { evaluator, recent } = &mut self.interpreter;
            let Some((region, block)) = recent.find(&self.team, &key) else {
                self.team.world.leave(&self.shared);
                install(&self.team, key);
                if !self.team.world.enter(&self.shared) {
                    return Flow::Stopped { at };
                }
                continue;
            };
            let shared = &self.shared;
            let go_on = |_| shared.attention() == Attention::empty();
            let (memory, processor) = (&self.team.memory, &self.team.processor);
            let flow = evaluator.run(region, block, &mut self.cpu, memory, processor, go_on);
            match flow {
                Flow::Jump { .. } | Flow::Stopped { .. } if self.steps() => {
                    break Flow::Stopped { at: GuestAddr(self.cpu.rip) };
                }
                Flow::Jump { .. } | Flow::Stopped { .. } => {}
                // What could not be read may be there now.
                Flow::Fault { fault: EvalFault::Trap(Trap::Stale), .. } | Flow::Trap { trap: Trap::Fetch, .. } => {
                    self.interpreter.recent.forget(&key);
                    break flow;
                }
                _ => break flow,
            }
        };
        self.team.world.leave(&self.shared);
        flow
    }

    /// Evaluates the block at `rip` as it is now. Nothing of it is kept.
    pub(crate) fn interpret_rewritten(&mut self) -> Flow {
        self.sync_x87();
        let region = translator::translate_block(&self.team.memory, self.key());
        self.team.rewritten.count(&self.team.memory, &region);
        Stats::add(&self.team.stats.evaluated_blocks, 1);
        let (memory, processor) = (&self.team.memory, &self.team.processor);
        let region = Prepared::new(&region);
        self.interpreter.evaluator.run(&region, BlockId(0), &mut self.cpu, memory, processor, |_| false)
    }

    /// Evaluates the one instruction at `rip`. Its translation is not kept, so that it may change its own page.
    pub(crate) fn interpret_instruction(&mut self) -> Flow {
        let team = Arc::clone(&self.team);
        self.interpret_on(&team.memory)
    }

    /// The same, and the access that was watched for.
    pub(crate) fn interpret_watched(&mut self, watches: &[Watch]) -> (Flow, Option<WatchHit>) {
        let team = Arc::clone(&self.team);
        let memory = WatchedMemory::new(&team.memory, watches);
        let flow = self.interpret_on(&memory);
        (flow, memory.hit())
    }

    fn interpret_on(&mut self, memory: &impl Memory) -> Flow {
        self.sync_x87();
        let region = translator::translate_instruction(&self.team.memory, self.key());
        let processor = &self.team.processor;
        let region = Prepared::new(&region);
        self.interpreter.evaluator.run(&region, BlockId(0), &mut self.cpu, memory, processor, |_| false)
    }
}

/// Translates `key` to a region that is evaluated, and enters it into the cache.
fn install(team: &Team, key: BlockKey) {
    if team.code.lock().is_full() {
        team.flush_code();
    }
    let start = Instant::now();
    let translation = translator::translate(
        &team.memory,
        &team.debug,
        key,
        &Limits::default(),
        &|_| false,
        &NAMES,
        FaultsSee::ExactFlags,
    );
    let counts = team.stats.tier(Tier::First { counted: false });
    Stats::time(counts.translation_ns, start.elapsed());
    let mut tables = team.code.lock();
    // Where a page has changed meanwhile, the caller finds no region and comes again.
    if tables.is_fresh(&team.memory, &translation.pages) {
        Stats::add(counts.regions, 1);
        Stats::add(&team.stats.checked_regions, translation.is_checked.into());
        let outline = Outline::of(&translation.region);
        Stats::add(counts.guest_bytes, outline.bytes());
        Stats::add(counts.guest_instructions, outline.instructions);
        let prepared = Prepared::new(&translation.region);
        tables.insert(&outline, Code::Interp(Arc::new(prepared)));
    }
}

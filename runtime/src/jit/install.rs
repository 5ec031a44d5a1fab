//! New host code: from a block key to code that threads find, in either tier.

use std::time::Instant;

use hokku_ir::backend::{Backend, Compiled, Tier};
use hokku_ir::passes::FaultsSee;
use hokku_ir::{BlockKey, GuestAddr};

use super::JitCode;
use super::fault_table::FaultTable;
use super::linking::LinkRef;
use crate::code_cache::{Code, CodePage, Outline, RegionId, Tables};
use crate::disk_cache::{Cached, DiskCache};
use crate::stats::Stats;
use crate::team::Team;
use crate::tiering::{self, Tiers};
use crate::translator;

/// Host code that has no place yet.
struct Fresh {
    outline: Outline,
    pages: Vec<CodePage>,
    compiled: Compiled,
    faults: FaultTable,
    tier: Tier,
    /// What the perf map is to call it.
    name: String,
}

impl Fresh {
    fn new(team: &Team, made: Cached, tier: Tier) -> Self {
        let Cached { outline, pages, compiled, faults } = made;
        // Symbols may have to be read from their files first, which is not for under the tables' lock.
        let name = team.perf_map.as_ref().map(|_| team.symbols.name(outline.key.pc).to_string());
        Fresh { outline, pages, compiled, faults, tier, name: name.unwrap_or_default() }
    }
}

/// Where translations are kept; nowhere while there are breakpoints in them.
fn disk_cache(team: &Team) -> Option<&DiskCache> {
    team.disk_cache.as_ref().filter(|_| !team.debug.has_breakpoints())
}

/// What an earlier run has kept for `key`.
fn look_up(team: &Team, key: BlockKey, tier: Tier) -> Option<Fresh> {
    let disk = disk_cache(team)?;
    let start = Instant::now();
    let cached = disk.lookup(&team.memory, key, tier)?;
    let stats = &team.stats;
    Stats::add(&stats.disk_regions, 1);
    Stats::add(&stats.disk_guest_bytes, cached.outline.bytes());
    Stats::add(&stats.disk_host_bytes, cached.compiled.code.len() as u64);
    Stats::time(&stats.disk_ns, start.elapsed());
    Some(Fresh::new(team, cached, tier))
}

/// Translates `key`, and keeps the result for later runs.
fn compile(team: &Team, backend: &dyn Backend, key: BlockKey, tier: Tier) -> Fresh {
    let start = Instant::now();
    // Code that runs for the first time is not translated twice; hot code has all of its loop in one region.
    let is_translated = |pc| tier != Tier::Second && team.code.lock().find(&BlockKey { pc, ..key }).is_some();
    let mut translation = translator::translate(
        &team.memory,
        &team.debug,
        key,
        &tiering::limits(tier),
        &is_translated,
        backend.passes(),
        FaultsSee::ExactFlags,
    );
    let mut compiled = backend.compile_as(&translation.region, tier);
    let outline = Outline::of(&translation.region);
    let counts = team.stats.tier(tier);
    Stats::time(counts.translation_ns, start.elapsed());
    Stats::add(counts.regions, 1);
    Stats::add(counts.guest_bytes, outline.bytes());
    Stats::add(counts.guest_instructions, outline.instructions);
    Stats::add(counts.host_bytes, compiled.code.len() as u64);
    Stats::add(&team.stats.checked_regions, translation.is_checked.into());
    let faults = FaultTable::of(&mut compiled);
    let kept = disk_cache(team).filter(|_| !translation.is_checked);
    if let Some((disk, code)) = kept.and_then(|disk| Some((disk, translation.guest_code()?))) {
        disk.store(&team.memory, tier, &outline, &code, &compiled, &faults);
    }
    let pages = std::mem::take(&mut translation.pages);
    Fresh::new(team, Cached { outline, pages, compiled, faults }, tier)
}

/// Enters host code for `key` into the cache: from disk, the best that there is, or translated for the first time. `false`: it is too large
/// for the cache. Where a page has changed meanwhile, the caller finds nothing and comes again.
pub(super) fn install(team: &Team, key: BlockKey) -> bool {
    let Some(backend) = team.backend.as_deref() else { return false };
    let first = team.tiering.first();
    let better = (team.tiering.tiers == Tiers::Both).then_some(Tier::Second);
    let kept = better.and_then(|tier| look_up(team, key, tier)).or_else(|| look_up(team, key, first));
    let mut fresh = kept.unwrap_or_else(|| compile(team, backend, key, first));
    for attempt in 0..2 {
        if attempt > 0 {
            team.make_room();
        } else if team.code.lock().is_full() {
            team.flush_code();
        }
        let mut tables = team.code.lock();
        if !tables.is_fresh(&team.memory, &fresh.pages) {
            return true;
        }
        let len = fresh.compiled.code.len();
        if !tables.host.as_ref().is_some_and(|host| host.has_room_for(len + 64)) {
            return false;
        }
        if enter(team, backend, &mut tables, &mut fresh).is_some() {
            return true;
        }
    }
    false
}

/// Translates `key`, which has run often, again, and leads to the result what led to the code before. Where its pages have changed meanwhile
/// or there is no room, all stays as it is.
pub(super) fn improve(team: &Team, key: BlockKey) {
    let Some(backend) = team.backend.as_deref() else { return };
    if team.code.lock().tier_of(&key) != Some(team.tiering.first()) {
        return;
    }
    team.memory.settle_code(key.pc);
    let kept = look_up(team, key, Tier::Second);
    let mut fresh = kept.unwrap_or_else(|| compile(team, backend, key, Tier::Second));
    let mut tables = team.code.lock();
    let wanted = !tables.is_full() && tables.tier_of(&key).is_some_and(|tier| tier != Tier::Second);
    if !wanted || !tables.is_fresh(&team.memory, &fresh.pages) {
        return;
    }
    enter(team, backend, &mut tables, &mut fresh);
}

/// Places `fresh` and enters it into the tables; `None` where there is no room. Code of the second tier takes over from that of the first.
fn enter(team: &Team, backend: &dyn Backend, tables: &mut Tables, fresh: &mut Fresh) -> Option<RegionId> {
    let Fresh { outline, compiled, faults, tier, name, .. } = fresh;
    let at = tables.host.as_mut()?.place(backend, compiled, team.tiering.threshold)?;
    let code = JitCode::new(at, std::mem::take(compiled), std::mem::take(faults), *tier);
    Stats::add(&team.stats.table_bytes, code.table_bytes() as u64);
    let key = outline.key;
    if let Some(map) = &team.perf_map {
        map.add(at, code.len, name);
    }
    // Code of the first tier takes over from none.
    let better = if *tier == Tier::Second { &*outline.block_pcs } else { &[] };
    let keys = better.iter().map(|&pc| BlockKey { pc, ..key });
    let before: Vec<_> = keys.map(|key| (key, tables.find(&key).map(|(id, _)| id))).collect();
    let id = tables.insert(outline, Code::Jit(Box::new(code)));
    tables.by_host.insert(at, id);
    link_forward(team, backend, tables, id, key);
    for (key, before) in before {
        take_over(team, backend, tables, id, key, before);
    }
    Some(id)
}

/// Links the exits of a new region, and its back edges, to what is translated already.
fn link_forward(team: &Team, backend: &dyn Backend, tables: &mut Tables, id: RegionId, key: BlockKey) {
    let links: Vec<(GuestAddr, bool)> = tables
        .record(id)
        .and_then(|r| r.jit())
        .map_or(Vec::new(), |code| code.links.iter().map(|l| (l.target, l.back_edge)).collect());
    for (index, (pc, back_edge)) in links.into_iter().enumerate() {
        let link = LinkRef { region: id, index };
        if back_edge {
            tables.note_back_edge(pc, link);
        }
        let Some((to, block)) = tables.find(&BlockKey { pc, ..key }) else { continue };
        let Some(code) = tables.record(to).and_then(|r| r.jit()) else { continue };
        // A back edge leaves the region's own loop for better code alone.
        let Some(host) = code.block(block).filter(|_| !back_edge || code.tier == Tier::Second) else { continue };
        if tables.link(backend, link, to, host) {
            Stats::add(&team.stats.links, 1);
        }
    }
}

/// Leads to the block at `key` of region `id` what leads to code of the first tier for it, in region `before`: keys, links, loops and threads'
/// computed jumps.
fn take_over(
    team: &Team,
    backend: &dyn Backend,
    tables: &mut Tables,
    id: RegionId,
    key: BlockKey,
    before: Option<RegionId>,
) {
    let Some((new, block)) = tables.own_block(id, key.pc) else { return };
    if let Some(old) = before {
        let Some(code) = tables.record(old).and_then(|r| r.jit()) else { return };
        if code.tier == Tier::Second {
            return;
        }
        let incoming: Vec<LinkRef> = code.incoming.iter().map(|&(region, index)| LinkRef { region, index }).collect();
        for link in incoming {
            if tables.link_target(link) == Some(key.pc) {
                tables.relink(backend, link, id, new.0);
            }
        }
        if let Some((entrances, _)) = tables.own_block(old, key.pc) {
            team.threads.replace_jump(key.pc.0, entrances, new);
        }
        tables.set_key(key, id, block);
    }
    for link in tables.back_edges_to(key.pc) {
        if link.region != id {
            tables.relink(backend, link, id, new.0);
        }
    }
}

//! What the runtime knows of one region's host code.

use hokku_ir::GuestAddr;
use hokku_ir::backend::{BlockEntry, Callout, Compiled, FaultSite, FlagSite, HotExit, Link, Stop, Tier};
use hokku_ir::lowering::FlagsRecipe;

use super::fault_table::FaultTable;
use super::host_code::Jump;
use crate::code_cache::RegionId;

/// A direct exit of a region, or a back edge of one of the first tier.
#[derive(Clone, Debug)]
pub(crate) struct JitLink {
    /// The jump.
    pub(crate) jump: Jump,
    /// Host address of its stub, where it leads while unlinked: out of the code, or for a back edge to the region's own block.
    pub(crate) stub: u64,
    /// Where the guest goes.
    pub(crate) target: GuestAddr,
    /// The region that it is linked to.
    pub(crate) linked_to: Option<RegionId>,
    /// It stays in the region while unlinked.
    pub(crate) back_edge: bool,
}

/// One region's host code.
#[derive(Debug)]
pub(crate) struct JitCode {
    pub(crate) tier: Tier,
    /// Host address of its first byte.
    pub(crate) start: u64,
    /// Number of bytes.
    pub(crate) len: u64,
    /// By block number.
    blocks: Vec<BlockEntry>,
    /// Offsets of the blocks and of back edges' stubs, in order: where guest state is complete, at which guest address.
    block_offsets: Vec<(u32, GuestAddr)>,
    /// In order of `stub`.
    pub(crate) links: Vec<JitLink>,
    /// Links of this and other regions that lead here: region and number of the link.
    pub(crate) incoming: Vec<(RegionId, usize)>,
    hot_exits: Vec<HotExit>,
    stops: Vec<Stop>,
    faults: FaultTable,
    callouts: Vec<Callout>,
    flag_sites: Vec<FlagSite>,
    recipes: Vec<FlagsRecipe>,
}

impl JitCode {
    /// Code of `tier` that was placed at `start`, with the table of its faults.
    pub(crate) fn new(start: u64, compiled: Compiled, faults: FaultTable, tier: Tier) -> Self {
        let at = |offset: u32| start + u64::from(offset);
        let link = |back_edge| {
            move |l: &Link| {
                let far = l.far.map(|far| (at(far.jump), at(far.slot)));
                let jump = Jump { site: at(l.site), is_call: l.is_call, far };
                JitLink { jump, stub: at(l.stub), target: l.target, linked_to: None, back_edge }
            }
        };
        let back_edges = compiled.back_edges.iter().map(link(true));
        let mut links: Vec<_> = compiled.links.iter().map(link(false)).chain(back_edges).collect();
        links.sort_unstable_by_key(|l| l.stub);
        let Compiled { code, mut blocks, mut hot_exits, mut stops, mut callouts, .. } = compiled;
        let Compiled { back_edges, mut flag_sites, recipes, .. } = compiled;
        hot_exits.sort_unstable_by_key(|h| h.stub);
        blocks.sort_unstable_by_key(|b| b.block);
        stops.sort_unstable_by_key(|s| s.stub);
        callouts.sort_unstable_by_key(|c| c.offset);
        flag_sites.sort_unstable_by_key(|f| f.offset);
        let mut block_offsets: Vec<_> = blocks.iter().map(|b| (b.offset, b.pc)).collect();
        block_offsets.extend(back_edges.iter().map(|b| (b.stub, b.target)));
        block_offsets.sort_unstable();
        JitCode {
            tier,
            start,
            len: code.len() as u64,
            blocks,
            block_offsets,
            links,
            incoming: Vec::new(),
            hot_exits,
            stops,
            faults,
            callouts,
            flag_sites,
            recipes,
        }
    }

    /// Bytes of memory that this takes beside the code itself.
    pub(crate) fn table_bytes(&self) -> usize {
        size_of::<Self>()
            + size_of_val(&*self.blocks)
            + size_of_val(&*self.block_offsets)
            + size_of_val(&*self.links)
            + size_of_val(&*self.hot_exits)
            + size_of_val(&*self.stops)
            + self.faults.bytes().len()
            + size_of_val(&*self.callouts)
            + size_of_val(&*self.flag_sites)
            + self.recipes.iter().map(|r| size_of_val(&*r.steps)).sum::<usize>()
    }

    /// Host address of block number `block`.
    pub(crate) fn block(&self, block: hokku_ir::BlockId) -> Option<u64> {
        let i = self.blocks.binary_search_by_key(&block, |b| b.block).ok()?;
        Some(self.start + u64::from(self.blocks[i].offset))
    }

    /// Host address of the code that goes to block number `block` if a computed jump's target is that.
    pub(crate) fn checked_block(&self, block: hokku_ir::BlockId) -> Option<u64> {
        let i = self.blocks.binary_search_by_key(&block, |b| b.block).ok()?;
        Some(self.start + u64::from(self.blocks[i].checked))
    }

    /// Number of the link whose stub is at host address `stub`.
    pub(crate) fn link_of_stub(&self, stub: u64) -> Option<usize> {
        self.links.binary_search_by_key(&stub, |l| l.stub).ok()
    }

    /// Where the guest goes on after the hot exit whose stub is at host address `stub`.
    pub(crate) fn hot_exit(&self, stub: u64) -> Option<GuestAddr> {
        let i = self.hot_exits.binary_search_by_key(&(stub - self.start), |h| u64::from(h.stub)).ok()?;
        Some(self.hot_exits[i].target)
    }

    /// The syscall or trap exit whose stub is at host address `stub`.
    pub(crate) fn stop(&self, stub: u64) -> Option<Stop> {
        let i = self.stops.binary_search_by_key(&(stub - self.start), |s| u64::from(s.stub)).ok()?;
        Some(self.stops[i])
    }

    /// The faulting instruction at host address `pc`.
    pub(crate) fn fault(&self, pc: u64) -> Option<FaultSite> {
        self.faults.at(pc - self.start)
    }

    /// The guest instruction of the last faulting instruction at or before host address `pc`.
    pub(crate) fn guest_instruction(&self, pc: u64) -> Option<GuestAddr> {
        Some(self.faults.last_until(pc - self.start)?.pc)
    }

    /// The guest address of the block that starts at host address `pc`.
    pub(crate) fn block_at(&self, pc: u64) -> Option<GuestAddr> {
        let i = self.block_offsets.binary_search_by_key(&(pc - self.start), |b| u64::from(b.0)).ok()?;
        Some(self.block_offsets[i].1)
    }

    /// The callout that returns to host address `pc`.
    pub(crate) fn callout(&self, pc: u64) -> Option<Callout> {
        let i = self.callouts.binary_search_by_key(&(pc - self.start), |c| u64::from(c.offset)).ok()?;
        Some(self.callouts[i])
    }

    /// How the guest's flags are computed after the place at host address `pc` has been passed.
    pub(crate) fn flag_site(&self, pc: u64) -> Option<&FlagsRecipe> {
        let i = self.flag_sites.binary_search_by_key(&(pc - self.start), |f| u64::from(f.offset)).ok()?;
        self.recipe(self.flag_sites[i].recipe)
    }

    /// The recipe number `n`.
    pub(crate) fn recipe(&self, n: u32) -> Option<&FlagsRecipe> {
        self.recipes.get(n as usize)
    }
}

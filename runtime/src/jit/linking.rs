//! Links between regions: direct jumps that were patched to lead to translated code.

use hokku_ir::backend::{Backend, Stop, Tier};
use hokku_ir::{BlockId, BlockKey, GuestAddr};

use super::code::JitLink;
use super::host_code::Jump;
use super::{HostCode, JitCode};
use crate::code_cache::{Code, Record, RegionId, Tables};

/// Which link of which region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkRef {
    pub(crate) region: RegionId,
    pub(crate) index: usize,
}

impl Tables {
    /// The region whose host code holds `pc`. It may have been dropped, but its code is still there.
    pub(crate) fn region_at(&self, pc: u64) -> Option<(RegionId, &JitCode)> {
        let (_, id) = self.by_host.range(..=pc).next_back()?;
        let code = self.record(*id)?.jit()?;
        (pc - code.start < code.len).then_some((*id, code))
    }

    /// The host code that holds `pc`.
    pub(crate) fn code_at(&self, pc: u64) -> Option<&JitCode> {
        self.region_at(pc).map(|(_, code)| code)
    }

    /// The link whose stub is at `site`, and where the guest goes there.
    pub(crate) fn link_at(&self, site: u64) -> Option<(LinkRef, GuestAddr)> {
        let (region, code) = self.region_at(site)?;
        let index = code.link_of_stub(site)?;
        Some((LinkRef { region, index }, code.links[index].target))
    }

    /// Where the guest goes on after the hot exit whose stub is at `site`: the start of a region or of a loop.
    pub(crate) fn hot_at(&self, site: u64) -> Option<GuestAddr> {
        self.code_at(site)?.hot_exit(site)
    }

    /// The syscall or trap exit whose stub is at `site`.
    pub(crate) fn stop_at(&self, site: u64) -> Option<Stop> {
        self.code_at(site)?.stop(site)
    }

    /// Makes `link` lead to `host`, a block of region `to`; says whether that was possible.
    pub(crate) fn link(&mut self, backend: &dyn Backend, link: LinkRef, to: RegionId, host: u64) -> bool {
        let alive = |id| self.record(id).is_some_and(|r| !r.dropped);
        if !alive(link.region) || !alive(to) {
            return false;
        }
        let Some(from) = self.jit_mut(link.region) else { return false };
        let entry = &mut from.links[link.index];
        if entry.linked_to.is_some() {
            return false;
        }
        let (jump, linked) = (entry.jump, &mut entry.linked_to);
        *linked = Some(to);
        if !self.redirect(backend, &jump, host) {
            if let Some(from) = self.jit_mut(link.region) {
                from.links[link.index].linked_to = None;
            }
            return false;
        }
        if let Some(target) = self.jit_mut(to) {
            target.incoming.push((link.region, link.index));
        }
        true
    }

    /// Where the guest goes at `link`.
    pub(crate) fn link_target(&self, link: LinkRef) -> Option<GuestAddr> {
        Some(self.record(link.region)?.jit()?.links.get(link.index)?.target)
    }

    /// Makes `link` lead to `host`, a block of region `to`, wherever it leads now.
    pub(crate) fn relink(&mut self, backend: &dyn Backend, link: LinkRef, to: RegionId, host: u64) {
        let Some(from) = self.jit_mut(link.region) else { return };
        if let Some(before) = from.links[link.index].linked_to.take()
            && let Some(code) = self.jit_mut(before)
        {
            code.incoming.retain(|other| *other != (link.region, link.index));
        }
        // The jump still leads where it led before, until it is patched to lead to `host`.
        if !self.link(backend, link, to, host) {
            self.reset(backend, link);
        }
    }

    /// Makes `link` lead to its stub.
    fn reset(&self, backend: &dyn Backend, link: LinkRef) {
        let Some(code) = self.record(link.region).and_then(|r| r.jit()) else { return };
        let JitLink { jump, stub, .. } = code.links[link.index];
        self.redirect(backend, &jump, stub);
    }

    /// Host addresses (of the code and of its check) of the block of region `id` at `pc`, and its number.
    pub(crate) fn own_block(&self, id: RegionId, pc: GuestAddr) -> Option<((u64, u64), BlockId)> {
        let record = self.record(id)?;
        let block = BlockId(record.block_pcs.iter().position(|&at| at == pc.0)? as u32);
        let code = record.jit()?;
        Some(((code.block(block)?, code.checked_block(block)?), block))
    }

    /// The tier of the code for `key`.
    pub(crate) fn tier_of(&self, key: &BlockKey) -> Option<Tier> {
        let (id, _) = self.find(key)?;
        Some(self.record(id)?.jit()?.tier)
    }

    /// Takes back all links from and to region `id`, which is being dropped.
    pub(crate) fn unlink(&mut self, backend: &dyn Backend, id: RegionId) {
        let Some(code) = self.jit_mut(id) else { return };
        let incoming = std::mem::take(&mut code.incoming);
        let mut outgoing = Vec::new();
        for link in &mut code.links {
            if let Some(to) = link.linked_to.take() {
                outgoing.push((to, link.jump, link.stub));
            }
        }
        for (to, jump, stub) in outgoing {
            self.redirect(backend, &jump, stub);
            if let Some(target) = self.jit_mut(to) {
                target.incoming.retain(|(from, _)| *from != id);
            }
        }
        for (from, index) in incoming {
            let Some(code) = self.jit_mut(from) else { continue };
            let link = &mut code.links[index];
            if link.linked_to.take().is_some() {
                let (jump, stub) = (link.jump, link.stub);
                self.redirect(backend, &jump, stub);
            }
        }
    }

    fn redirect(&self, backend: &dyn Backend, jump: &Jump, target: u64) -> bool {
        self.host.as_ref().is_some_and(|host: &HostCode| host.redirect(backend, jump, target))
    }

    fn jit_mut(&mut self, id: RegionId) -> Option<&mut JitCode> {
        match &mut self.regions.get_mut(&id)?.code {
            Code::Jit(code) => Some(code),
            Code::Interp(_) => None,
        }
    }
}

impl Record {
    /// Its host code.
    pub(crate) fn jit(&self) -> Option<&JitCode> {
        match &self.code {
            Code::Jit(code) => Some(code),
            Code::Interp(_) => None,
        }
    }
}

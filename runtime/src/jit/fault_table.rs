//! Places in host code that may fault, as few bytes: there is one for each access to guest memory, and hardly one is ever asked for.
//!
//! Each is told from the one before it, so a look goes through all that come before.

use hokku_ir::GuestAddr;
use hokku_ir::backend::{Compiled, FaultSite, LazyState, StubId};

use crate::wire::{Source, of_signed, put, put_all, put_signed};

/// Where sites lead: numbered by place.
const LEAVES: [StubId; 4] = [StubId::LeaveFault, StubId::LeaveFaultString, StubId::LeaveFaultBytes, StubId::JumpMiss];
/// Bits of the byte that says what is told of a site: number of its stub, number of borrowed registers, what follows.
const LEAVE: u8 = 3;
const BORROWED_SHIFT: u32 = 2;
const BORROWED: u8 = 7;
const STACK: u8 = 1 << 5;
const LAZY: u8 = 1 << 6;
const RETRY: u8 = 1 << 7;

/// Writes or reads sites in order of offset.
#[derive(Clone, Copy, Debug, Default)]
struct Coder {
    offset: u32,
    pc: GuestAddr,
}

impl Coder {
    /// Appends `site`.
    #[inline]
    fn put(&mut self, to: &mut Vec<u8>, site: &FaultSite) {
        let forward = u64::from(site.offset.wrapping_sub(self.offset));
        let guest = of_signed(site.pc.0.wrapping_sub(self.pc.0) as i64);
        *self = Coder { offset: site.offset, pc: site.pc };
        let is_usual = site.leave == LEAVES[0]
            && site.borrowed.iter().all(Option::is_none)
            && site.retry.is_none()
            && site.lazy == LazyState::default();
        match site.stack_delta {
            0 if is_usual => put_all(to, [0, forward, guest]),
            delta if is_usual => put_all(to, [STACK.into(), forward, guest, of_signed(delta.into())]),
            _ => Self::put_unusual(to, site, [forward, guest]),
        }
    }

    #[inline(never)]
    fn put_unusual(to: &mut Vec<u8>, site: &FaultSite, distances: [u64; 2]) {
        let FaultSite { leave, stack_delta, borrowed, lazy, retry, .. } = *site;
        let number = LEAVES.iter().position(|one| *one == leave);
        let number = number.unwrap_or_else(|| panic!("{leave:?} is not for faults"));
        let lent = borrowed.iter().flatten();
        let mut what = number as u8 | (lent.clone().count() as u8) << BORROWED_SHIFT;
        if stack_delta != 0 {
            what |= STACK;
        }
        if lazy != LazyState::default() {
            what |= LAZY;
        }
        if retry.is_some() {
            what |= RETRY;
        }
        to.push(what);
        put_all(to, distances);
        if stack_delta != 0 {
            put_signed(to, stack_delta.into());
        }
        lent.for_each(|(register, slot)| to.extend_from_slice(&[*register, *slot]));
        if what & LAZY != 0 {
            put_lazy(to, lazy);
        }
        if let Some(retry) = retry {
            put(to, retry.into());
        }
    }

    /// Reads the next site; `None`: there is none.
    fn take(&mut self, from: &mut Source<'_>) -> Option<FaultSite> {
        let what = from.byte()?;
        let leave = *LEAVES.get(usize::from(what & LEAVE))?;
        let offset = self.offset.wrapping_add(from.word()?);
        let pc = GuestAddr(self.pc.0.wrapping_add_signed(from.signed()?));
        let stack_delta = if what & STACK != 0 { from.signed()?.try_into().ok()? } else { 0 };
        let mut borrowed = [None; 4];
        for lent in borrowed.get_mut(..usize::from(what >> BORROWED_SHIFT & BORROWED))? {
            *lent = Some((from.byte()?, from.byte()?));
        }
        let lazy = if what & LAZY != 0 { take_lazy(from)? } else { LazyState::default() };
        let retry = if what & RETRY != 0 { Some(from.number()?.try_into().ok()?) } else { None };
        *self = Coder { offset, pc };
        Some(FaultSite { offset, pc, leave, stack_delta, borrowed, lazy, retry })
    }
}

/// Appends `lazy`.
pub(crate) fn put_lazy(to: &mut Vec<u8>, lazy: LazyState) {
    put(to, lazy.flags.map_or(0, |n| u64::from(n) + 1));
    put(to, lazy.narrow.into());
    to.push(lazy.behind);
    put(to, lazy.x87);
}

/// Reads what [`put_lazy`] wrote.
pub(crate) fn take_lazy(from: &mut Source<'_>) -> Option<LazyState> {
    let flags = from.word()?.checked_sub(1);
    Some(LazyState { flags, narrow: from.number()?.try_into().ok()?, behind: from.byte()?, x87: from.number()? })
}

/// The sites of one region. The cache on disk keeps it as it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FaultTable {
    bytes: Box<[u8]>,
}

impl FaultTable {
    /// The sites of `compiled`, which it has no more.
    pub(crate) fn of(compiled: &mut Compiled) -> Self {
        let mut sites = std::mem::take(&mut compiled.faults);
        sites.sort_unstable_by_key(|site| site.offset);
        Self::new(&sites)
    }

    /// The table whose bytes these are.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        FaultTable { bytes: bytes.into() }
    }

    /// `sites`, in order of offset.
    fn new(sites: &[FaultSite]) -> Self {
        let mut bytes = Vec::with_capacity(4 * sites.len());
        let mut coder = Coder::default();
        sites.iter().for_each(|site| coder.put(&mut bytes, site));
        FaultTable { bytes: bytes.into() }
    }

    /// The table as bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn iter(&self) -> impl Iterator<Item = FaultSite> + '_ {
        let (mut from, mut coder) = (Source(&self.bytes), Coder::default());
        std::iter::from_fn(move || coder.take(&mut from))
    }

    /// The last site at or before `offset`.
    pub(crate) fn last_until(&self, offset: u64) -> Option<FaultSite> {
        self.iter().take_while(|site| u64::from(site.offset) <= offset).last()
    }

    /// The site at `offset`.
    pub(crate) fn at(&self, offset: u64) -> Option<FaultSite> {
        self.last_until(offset).filter(|site| u64::from(site.offset) == offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites() -> Vec<FaultSite> {
        let plain = FaultSite {
            offset: 3,
            pc: GuestAddr(0x1000),
            leave: StubId::LeaveFault,
            stack_delta: 0,
            borrowed: [None; 4],
            lazy: LazyState::default(),
            retry: None,
        };
        let lent = [Some((3, 1)), Some((0, 63)), None, None];
        vec![
            plain,
            FaultSite { offset: 9, pc: GuestAddr(0x0fff), leave: StubId::LeaveFaultString, ..plain },
            FaultSite { offset: 700, pc: GuestAddr(u64::MAX), stack_delta: -8, borrowed: lent, ..plain },
            FaultSite {
                offset: 701,
                lazy: LazyState { flags: Some(0), narrow: 0x8001, behind: 7, x87: 1 << 63 | 5 },
                ..plain
            },
            FaultSite { offset: 702, retry: Some(0), ..plain },
            FaultSite { offset: 703, retry: Some(u32::MAX), ..plain },
            FaultSite { offset: u32::MAX, leave: StubId::LeaveFaultBytes, stack_delta: i32::MAX, ..plain },
        ]
    }

    #[test]
    fn each_site_is_found_at_its_offset() {
        let sites = sites();
        // Back ends need not tell them in order.
        let mut compiled = Compiled { faults: sites.iter().rev().copied().collect(), ..Compiled::default() };
        let table = FaultTable::of(&mut compiled);
        assert!(compiled.faults.is_empty());
        assert_eq!(FaultTable::from_bytes(table.bytes()), table);
        for site in &sites {
            assert_eq!(table.at(site.offset.into()), Some(*site));
            assert_eq!(table.last_until(site.offset.into()), Some(*site));
        }
        assert_eq!(table.at(4), None);
        assert_eq!(table.last_until(2), None);
        assert_eq!(table.last_until(699), Some(sites[1]));
        assert_eq!(table.last_until(u64::MAX), sites.last().copied());
    }

    #[test]
    fn a_usual_site_takes_three_bytes() {
        let sites = sites();
        let [one, two] = [1, 2].map(|n| FaultTable::new(&sites[..n]).bytes().len());
        assert_eq!(two - one, 3);
        assert_eq!(FaultTable::new(&[]).at(0), None);
    }

    #[test]
    fn what_is_cut_off_is_no_site() {
        let mut bytes = Vec::new();
        Coder::default().put(&mut bytes, &sites()[2]);
        for len in 0..bytes.len() {
            assert_eq!(Coder::default().take(&mut Source(&bytes[..len])), None);
        }
    }
}

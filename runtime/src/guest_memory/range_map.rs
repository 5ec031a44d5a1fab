//! Which guest addresses are mapped, and how: ranges in order, neighbours of equal attributes joined.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Prot;
use crate::disk_cache::ImageId;

/// Attributes of a mapped range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attributes {
    /// What the guest may do.
    pub(super) prot: Prot,
    /// Whether stores go to a file or to other processes.
    pub(super) shared: bool,
    /// Whether other processes may store to the same memory.
    pub(super) foreign: bool,
    /// The file that the guest's code there comes from.
    pub(super) image: Option<ImageId>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    end: u64,
    attributes: Attributes,
}

/// Disjoint ranges by start address.
#[derive(Debug, Default)]
pub(super) struct RangeMap {
    ranges: BTreeMap<u64, Entry>,
}

impl RangeMap {
    /// Notes that other processes may store to all shared ranges; gives those for which that is news.
    pub(super) fn make_foreign(&mut self) -> Vec<Range<u64>> {
        let mut news = Vec::new();
        for (&start, e) in &mut self.ranges {
            if e.attributes.shared && !e.attributes.foreign {
                e.attributes.foreign = true;
                news.push(start..e.end);
            }
        }
        news
    }

    /// The range that holds `at`.
    pub(super) fn get(&self, at: u64) -> Option<(Range<u64>, Attributes)> {
        let (&start, e) = self.ranges.range(..=at).next_back()?;
        (at < e.end).then_some((start..e.end, e.attributes))
    }

    /// The first range that ends after `at`.
    pub(super) fn at_or_after(&self, at: u64) -> Option<(Range<u64>, Attributes)> {
        self.get(at).or_else(|| self.ranges.range(at..).next().map(|(&s, e)| (s..e.end, e.attributes)))
    }

    /// The parts of mapped ranges that lie in `within`, in order.
    pub(super) fn overlapping(&self, within: Range<u64>) -> Vec<(Range<u64>, Attributes)> {
        let mut found = Vec::new();
        let mut at = within.start;
        while let Some((r, attributes)) = self.at_or_after(at) {
            if r.start >= within.end {
                break;
            }
            found.push((r.start.max(within.start)..r.end.min(within.end), attributes));
            if r.end >= within.end {
                break;
            }
            at = r.end;
        }
        found
    }

    /// Whether every address of `range` is mapped.
    pub(super) fn covers(&self, range: Range<u64>) -> bool {
        let mut at = range.start;
        while at < range.end {
            match self.get(at) {
                Some((r, _)) => at = r.end,
                None => return false,
            }
        }
        true
    }

    /// Forgets what is mapped in `range`.
    pub(super) fn remove(&mut self, range: Range<u64>) {
        self.split(range.start);
        self.split(range.end);
        let starts: Vec<u64> = self.ranges.range(range).map(|(&s, _)| s).collect();
        for s in starts {
            self.ranges.remove(&s);
        }
    }

    /// Maps `range` with `attributes`, in place of what was there.
    pub(super) fn insert(&mut self, range: Range<u64>, attributes: Attributes) {
        self.remove(range.clone());
        self.ranges.insert(range.start, Entry { end: range.end, attributes });
        self.join(range.start);
        self.join(range.end);
    }

    /// Changes the protection of the mapped parts of `range`.
    pub(super) fn protect(&mut self, range: Range<u64>, prot: Prot) {
        for (part, attributes) in self.overlapping(range) {
            self.insert(part, Attributes { prot, ..attributes });
        }
    }

    /// Tells which file the mapped parts of `range` come from.
    pub(super) fn set_image(&mut self, range: Range<u64>, image: Option<ImageId>) {
        for (part, attributes) in self.overlapping(range) {
            self.insert(part, Attributes { image, ..attributes });
        }
    }

    /// The first gap of `len` bytes in `within` whose start is a multiple of `align`.
    pub(super) fn find_gap(&self, len: u64, within: Range<u64>, align: u64) -> Option<u64> {
        let mut at = within.start.checked_next_multiple_of(align)?;
        loop {
            let end = at.checked_add(len)?;
            if end > within.end {
                return None;
            }
            match self.at_or_after(at) {
                Some((r, _)) if r.start < end => at = r.end.checked_next_multiple_of(align)?,
                _ => return Some(at),
            }
        }
    }

    /// All ranges in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Range<u64>, Attributes)> + '_ {
        self.ranges.iter().map(|(&s, e)| (s..e.end, e.attributes))
    }

    fn split(&mut self, at: u64) {
        let Some((&start, e)) = self.ranges.range_mut(..at).next_back() else { return };
        if at < e.end {
            let tail = *e;
            e.end = at;
            debug_assert!(start < at);
            self.ranges.insert(at, tail);
        }
    }

    /// Joins the range that starts at `at` to the one that ends there, where their attributes are equal.
    fn join(&mut self, at: u64) {
        let Some(&right) = self.ranges.get(&at) else { return };
        let Some((_, left)) = self.ranges.range_mut(..at).next_back() else { return };
        if left.end == at && left.attributes == right.attributes {
            left.end = right.end;
            self.ranges.remove(&at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RW: Attributes =
        Attributes { prot: Prot::READ.union(Prot::WRITE), shared: false, foreign: false, image: None };
    const R: Attributes = Attributes { prot: Prot::READ, shared: false, foreign: false, image: None };

    fn list(map: &RangeMap) -> Vec<(u64, u64, Attributes)> {
        map.iter().map(|(r, a)| (r.start, r.end, a)).collect()
    }

    #[test]
    fn neighbours_of_equal_attributes_join_and_others_do_not() {
        let mut map = RangeMap::default();
        map.insert(0x2000..0x3000, RW);
        map.insert(0x1000..0x2000, RW);
        map.insert(0x3000..0x4000, R);
        assert_eq!(list(&map), [(0x1000, 0x3000, RW), (0x3000, 0x4000, R)]);
    }

    #[test]
    fn protect_splits_and_joins_again() {
        let mut map = RangeMap::default();
        map.insert(0x1000..0x5000, RW);
        map.protect(0x2000..0x3000, Prot::READ);
        assert_eq!(list(&map), [(0x1000, 0x2000, RW), (0x2000, 0x3000, R), (0x3000, 0x5000, RW)]);
        map.protect(0x0..0x9000, Prot::READ);
        assert_eq!(list(&map), [(0x1000, 0x5000, R)]);
    }

    #[test]
    fn removal_leaves_both_sides() {
        let mut map = RangeMap::default();
        map.insert(0x1000..0x5000, RW);
        map.remove(0x2000..0x3000);
        assert!(!map.covers(0x1000..0x5000));
        assert!(map.covers(0x3000..0x5000));
        assert_eq!(map.get(0x2fff), None);
        assert_eq!(map.overlapping(0x1800..0x3800), [(0x1800..0x2000, RW), (0x3000..0x3800, RW)]);
    }

    #[test]
    fn gaps_are_found_first_fit_and_aligned() {
        let mut map = RangeMap::default();
        map.insert(0x1000..0x3000, RW);
        map.insert(0x5000..0x6000, RW);
        assert_eq!(map.find_gap(0x2000, 0x1000..0x10000, 0x1000), Some(0x3000));
        assert_eq!(map.find_gap(0x2000, 0x1000..0x10000, 0x4000), Some(0x8000));
        assert_eq!(map.find_gap(0x20000, 0x1000..0x10000, 0x1000), None);
        assert_eq!(map.find_gap(u64::MAX, 0x1000..u64::MAX, 0x1000), None);
    }
}

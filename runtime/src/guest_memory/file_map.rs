//! Which parts of which files are mapped where: tells which addresses are the same memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use crate::host::PAGE_SIZE;
use crate::host::mapping::FileId;

/// What is at the first address of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FilePart {
    pub(super) file: FileId,
    /// Bytes from the file's start.
    pub(super) offset: u64,
    /// Whether stores go to the file. Those of others are seen in any case.
    pub(super) shared: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    end: u64,
    part: FilePart,
}

/// The mappings of files. A look-up takes time in proportion to the number of mappings of one file, which are few.
#[derive(Debug, Default)]
pub(super) struct FileMap {
    /// By first address.
    mappings: BTreeMap<u64, Entry>,
    /// First addresses of each file's mappings.
    by_file: HashMap<FileId, BTreeSet<u64>>,
}

impl FileMap {
    /// Enters that `part` is mapped at `range`, in place of what was there.
    pub(super) fn insert(&mut self, range: Range<u64>, part: FilePart) {
        self.remove(range.clone());
        self.put(range, part);
    }

    /// Forgets what is mapped at `range`.
    pub(super) fn remove(&mut self, range: Range<u64>) {
        let before = self.mappings.range(..range.start).next_back().filter(|(_, e)| e.end > range.start);
        let inside = self.mappings.range(range.clone());
        let hit: Vec<(u64, Entry)> = before.into_iter().chain(inside).map(|(&start, &e)| (start, e)).collect();
        for (start, Entry { end, part }) in hit {
            self.mappings.remove(&start);
            if let Some(starts) = self.by_file.get_mut(&part.file) {
                starts.remove(&start);
                if starts.is_empty() {
                    self.by_file.remove(&part.file);
                }
            }
            if start < range.start {
                self.put(start..range.start, part);
            }
            if end > range.end {
                self.put(range.end..end, FilePart { offset: part.offset + (range.end - start), ..part });
            }
        }
    }

    /// Where `len` bytes of `part` are mapped, with whether that mapping is shared.
    pub(super) fn places(&self, part: FilePart, len: u64) -> impl Iterator<Item = (Range<u64>, bool)> + '_ {
        let wanted = part.offset..part.offset.saturating_add(len);
        self.by_file.get(&part.file).into_iter().flatten().filter_map(move |start| {
            let &Entry { end, part } = self.mappings.get(start)?;
            let from = wanted.start.max(part.offset);
            let to = wanted.end.min(part.offset.saturating_add(end - start));
            (from < to).then(|| (start + (from - part.offset)..start + (to - part.offset), part.shared))
        })
    }

    /// The other pages through which stores change what is read from `page`.
    pub(super) fn writers(&self, page: u64) -> Vec<u64> {
        let Some((&start, e)) = self.mappings.range(..=page).next_back().filter(|(_, e)| page < e.end) else {
            return Vec::new();
        };
        let part = FilePart { offset: e.part.offset + (page - start), ..e.part };
        let places = self.places(part, PAGE_SIZE);
        places.filter(|(range, shared)| *shared && range.start != page).map(|(range, _)| range.start).collect()
    }

    /// The files of which there are shared mappings.
    pub(super) fn shared_files(&self) -> impl Iterator<Item = FileId> + '_ {
        self.mappings.values().filter(|e| e.part.shared).map(|e| e.part.file)
    }

    fn put(&mut self, range: Range<u64>, part: FilePart) {
        self.mappings.insert(range.start, Entry { end: range.end, part });
        self.by_file.entry(part.file).or_default().insert(range.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(inode: u64, offset: u64, shared: bool) -> FilePart {
        FilePart { file: FileId { device: 1, inode }, offset, shared }
    }

    #[test]
    fn pages_of_one_part_find_each_other() {
        let mut map = FileMap::default();
        map.insert(0x1_0000..0x1_4000, part(5, 0x2000, true));
        map.insert(0x2_0000..0x2_4000, part(5, 0x3000, true));
        map.insert(0x3_0000..0x3_4000, part(6, 0x2000, true));
        assert_eq!(map.writers(0x1_0000), []);
        assert_eq!(map.writers(0x1_1000), [0x2_0000]);
        assert_eq!(map.writers(0x2_2000), [0x1_3000]);
        assert_eq!(map.writers(0x2_3000), []);
        assert_eq!(map.writers(0x1_4000), [], "nothing is mapped there");
    }

    #[test]
    fn private_mappings_see_stores_and_make_none() {
        let mut map = FileMap::default();
        map.insert(0x1_0000..0x1_1000, part(5, 0, true));
        map.insert(0x2_0000..0x2_1000, part(5, 0, false));
        assert_eq!(map.writers(0x2_0000), [0x1_0000]);
        assert_eq!(map.writers(0x1_0000), []);
    }

    #[test]
    fn both_sides_of_a_removed_range_stay() {
        let mut map = FileMap::default();
        map.insert(0x1_0000..0x1_4000, part(5, 0, true));
        map.insert(0x2_0000..0x2_4000, part(5, 0, true));
        map.remove(0x1_1000..0x1_3000);
        assert_eq!(map.writers(0x2_0000), [0x1_0000]);
        assert_eq!(map.writers(0x2_1000), []);
        assert_eq!(map.writers(0x2_3000), [0x1_3000]);
        map.remove(0..u64::MAX);
        assert!(map.mappings.is_empty() && map.by_file.is_empty());
    }

    #[test]
    fn offsets_at_the_end_of_all_numbers_do_not_overflow() {
        let mut map = FileMap::default();
        let far = part(5, !(PAGE_SIZE - 1), true);
        map.insert(0x1_0000..0x1_1000, far);
        assert_eq!(map.places(far, 2 * PAGE_SIZE).map(|(range, _)| range.start).collect::<Vec<_>>(), [0x1_0000]);
    }
}

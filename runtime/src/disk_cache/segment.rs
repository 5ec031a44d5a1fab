//! One file of the cache on disk: translations of code of one guest image. Written once, under another name, then renamed; never changed.
//!
//! ```text
//! head     48 bytes   magic, whole length, where the index starts, number of entries, checksum of the index, checksum of the head
//! name     what the translations depend on beside guest code: the translator, the host processor, the guest's
//! entries  one after the other (see `entry`)
//! index    28 bytes each, by guest address and variant: address, variant, offset, length, checksum
//! ```
//! Numbers are little-endian.

use std::collections::BTreeMap;
use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;

use crate::host::file_view::FileView;

/// Starts every file; its last byte is the format's version.
const MAGIC: &[u8; 8] = b"hokkuTC\x02";
const HEAD: usize = 48;
const INDEX_ENTRY: usize = 28;

/// What an entry is of: the guest address of its first instruction, and a number for all else that the region's key tells, with the tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EntryKey {
    pub(crate) pc: u64,
    pub(crate) variant: u64,
}

/// Entries that are to be written.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// Regions of the same key may differ in their guest code.
    entries: BTreeMap<EntryKey, Vec<Vec<u8>>>,
    bytes: usize,
}

impl Draft {
    /// Adds an entry, unless there is the same.
    pub(super) fn add(&mut self, key: EntryKey, entry: &[u8]) {
        let same = self.entries.entry(key).or_default();
        if !same.iter().any(|other| other == entry) {
            self.bytes += entry.len();
            same.push(entry.to_vec());
        }
    }

    /// The entries of `key`.
    pub(super) fn find(&self, key: EntryKey) -> impl Iterator<Item = &[u8]> {
        self.entries.get(&key).into_iter().flatten().map(Vec::as_slice)
    }

    /// Adds all entries of `other`.
    pub(super) fn merge(&mut self, other: &Draft) {
        for (key, entry) in other.entries.iter().flat_map(|(key, same)| same.iter().map(move |entry| (key, entry))) {
            self.add(*key, entry);
        }
    }

    /// Adds all entries of `segment`; those that are damaged are left out.
    pub(super) fn add_all(&mut self, segment: &Segment) {
        for i in 0..segment.count {
            if let Some((key, entry)) = segment.entry(i) {
                self.add(key, entry);
            }
        }
    }

    /// Bytes of the entries.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The file's bytes; `None` where they are more than the format can tell.
    pub(super) fn write(&self, name: &str) -> Option<Vec<u8>> {
        let mut file = vec![0; HEAD];
        file.extend_from_slice(name.as_bytes());
        let mut index = Vec::new();
        let mut count = 0_u32;
        for (key, entry) in self.entries.iter().flat_map(|(key, same)| same.iter().map(move |entry| (key, entry))) {
            index.extend_from_slice(&key.pc.to_le_bytes());
            index.extend_from_slice(&key.variant.to_le_bytes());
            index.extend_from_slice(&u32::try_from(file.len()).ok()?.to_le_bytes());
            index.extend_from_slice(&u32::try_from(entry.len()).ok()?.to_le_bytes());
            index.extend_from_slice(&(xxh3_64(entry) as u32).to_le_bytes());
            file.extend_from_slice(entry);
            count += 1;
        }
        let start = u32::try_from(file.len()).ok()?;
        file.extend_from_slice(&index);
        let len = file.len() as u64;
        file[..8].copy_from_slice(MAGIC);
        file[8..16].copy_from_slice(&len.to_le_bytes());
        file[16..20].copy_from_slice(&start.to_le_bytes());
        file[20..24].copy_from_slice(&count.to_le_bytes());
        file[24..28].copy_from_slice(&u32::try_from(name.len()).ok()?.to_le_bytes());
        file[32..40].copy_from_slice(&xxh3_64(&index).to_le_bytes());
        let check = head_check(&file, name);
        file[40..48].copy_from_slice(&check.to_le_bytes());
        Some(file)
    }
}

fn head_check(file: &[u8], name: &str) -> u64 {
    xxh3_64(&[&file[..40], name.as_bytes()].concat())
}

/// A file of the cache, its head and index checked.
#[derive(Debug)]
pub(super) struct Segment {
    bytes: FileView,
    index: Range<usize>,
    count: usize,
}

/// Why a file is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It is not whole, or not of this format.
    Damaged,
    /// It was made by another translator, or for another processor.
    Foreign,
}

impl Segment {
    /// The segment in `bytes`, whose translations must depend on exactly what `name` says.
    pub(super) fn open(bytes: FileView, name: &str) -> Result<Segment, Unusable> {
        let found = Self::check(&bytes).ok_or(Unusable::Damaged)?;
        if found.0 != name.as_bytes() {
            return Err(Unusable::Foreign);
        }
        let (index, count) = (found.1, found.2);
        Ok(Segment { bytes, index, count })
    }

    /// Name, index and number of entries of a whole file.
    fn check(bytes: &[u8]) -> Option<(&[u8], Range<usize>, usize)> {
        let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        let long = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        let (start, count) = (word(16)? as usize, word(20)? as usize);
        let name = bytes.get(HEAD..HEAD + word(24)? as usize)?;
        let end = count.checked_mul(INDEX_ENTRY)?.checked_add(start)?;
        let whole = bytes.starts_with(MAGIC) && long(8)? == bytes.len() as u64 && end == bytes.len();
        let index = bytes.get(start..end)?;
        let text = std::str::from_utf8(name).ok()?;
        let right = whole && long(32)? == xxh3_64(index) && long(40)? == head_check(bytes, text);
        right.then_some((name, start..end, count))
    }

    /// The number of entries of a whole file; `None`: it is damaged.
    pub(super) fn count_in(bytes: &[u8]) -> Option<usize> {
        Self::check(bytes).map(|(_, _, count)| count)
    }

    /// Bytes of the file.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Entry number `i`; `None` where it is damaged.
    fn entry(&self, i: usize) -> Option<(EntryKey, &[u8])> {
        let at = self.index.start + i * INDEX_ENTRY;
        let item: &[u8; INDEX_ENTRY] = self.bytes.get(at..at + INDEX_ENTRY)?.try_into().ok()?;
        let word = |at: usize| u32::from_le_bytes([item[at], item[at + 1], item[at + 2], item[at + 3]]);
        let entry = self.bytes.get(word(16) as usize..)?.get(..word(20) as usize)?;
        (xxh3_64(entry) as u32 == word(24)).then_some((self.key(i), entry))
    }

    fn key(&self, i: usize) -> EntryKey {
        let at = self.index.start + i * INDEX_ENTRY;
        let (mut pc, mut variant) = ([0; 8], [0; 8]);
        pc.copy_from_slice(&self.bytes[at..at + 8]);
        variant.copy_from_slice(&self.bytes[at + 8..at + 16]);
        EntryKey { pc: u64::from_le_bytes(pc), variant: u64::from_le_bytes(variant) }
    }

    /// The sound entries of `key`.
    pub(super) fn find(&self, key: EntryKey) -> impl Iterator<Item = &[u8]> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            if self.key(middle) < key { low = middle + 1 } else { high = middle }
        }
        (low..self.count).take_while(move |&i| self.key(i) == key).filter_map(|i| self.entry(i)).map(|(_, entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const NAME: &str = "translator 1";

    fn key(pc: u64) -> EntryKey {
        EntryKey { pc, variant: 7 }
    }

    fn draft() -> Draft {
        let mut draft = Draft::default();
        for pc in [5, 3, 9] {
            draft.add(key(pc), &[pc as u8; 20]);
        }
        draft.add(key(3), b"another");
        draft.add(key(3), b"another");
        draft
    }

    fn opened(bytes: &[u8], name: &str) -> Result<Segment, Unusable> {
        let path = std::env::temp_dir().join(format!(
            "hokku-segment-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
        let view = FileView::new(&std::fs::File::open(&path).unwrap()).unwrap();
        std::fs::remove_file(path).unwrap();
        Segment::open(view, name)
    }

    #[test]
    fn entries_are_found_by_key() {
        let segment = opened(&draft().write(NAME).unwrap(), NAME).unwrap();
        assert_eq!(segment.count, 4);
        assert_eq!(segment.find(key(3)).collect::<Vec<_>>(), [&[3; 20][..], b"another"]);
        assert_eq!(segment.find(key(9)).collect::<Vec<_>>(), [&[9; 20]]);
        assert_eq!(segment.find(key(4)).count() + segment.find(EntryKey { pc: 9, variant: 8 }).count(), 0);
        let mut again = Draft::default();
        again.add_all(&segment);
        assert_eq!(again.write(NAME), draft().write(NAME));
    }

    #[test]
    fn another_translator_does_not_use_it() {
        assert_eq!(opened(&draft().write(NAME).unwrap(), "translator 2").unwrap_err(), Unusable::Foreign);
    }

    #[test]
    fn no_damage_gives_wrong_entries() {
        let whole = draft().write(NAME).unwrap();
        let good = [&[5; 20][..], &[3; 20], &[9; 20], b"another"];
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            if let Ok(segment) = opened(&damaged, NAME) {
                let found: Vec<_> =
                    [3, 5, 9].iter().flat_map(|pc| segment.find(key(*pc)).collect::<Vec<_>>()).collect();
                assert!(found.len() == 3 && found.iter().all(|entry| good.contains(entry)), "byte {at}");
            }
            if at > 0 {
                assert_eq!(opened(&whole[..at], NAME).unwrap_err(), Unusable::Damaged, "cut to {at} bytes");
            }
        }
    }
}

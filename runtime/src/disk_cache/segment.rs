//! One file of the cache on disk: translations of code of one guest image. Written once, under another name, then renamed; never changed.
//!
//! ```text
//! head     48 bytes   magic, whole length, where the index starts, number of entries, checksum of the index, checksum of the head
//! name     what the translations depend on beside guest code: the translator, the host processor, the guest's
//! entries  one after the other (see `entry`)
//! index    32 bytes each, by guest address, variant and checksum: address, variant, offset, length, checksum
//! ```
//! Numbers are little-endian.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, BufWriter, Write};
use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;

use crate::host::file_view::FileView;

/// Starts every file; its last byte is the format's version.
const MAGIC: &[u8; 8] = b"hokkuTC\x03";
const HEAD: usize = 48;
const INDEX_ENTRY: usize = 32;
/// Bytes that are written at once.
const BUFFER: usize = 1 << 16;

/// What an entry is of: the guest address of its first instruction, and a number for all else that the region's key tells, with the tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EntryKey {
    pub(crate) pc: u64,
    pub(crate) variant: u64,
}

/// Entries that are to be written.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Where in `bytes`, by key and checksum: regions of the same key may differ in their guest code.
    entries: BTreeMap<(EntryKey, u64), Range<usize>>,
    /// The entries one after the other, as they came.
    bytes: Vec<u8>,
}

impl Draft {
    /// Adds the entry that `put` appends to what it is given, unless there is the same. Where `put` gives `None` nothing is added.
    pub(super) fn add(&mut self, key: EntryKey, put: impl FnOnce(&mut Vec<u8>) -> Option<()>) {
        let start = self.bytes.len();
        let put = put(&mut self.bytes);
        let place = start..self.bytes.len();
        match self.entries.entry((key, xxh3_64(&self.bytes[place.clone()]))) {
            Entry::Vacant(unknown) if put.is_some() => drop(unknown.insert(place)),
            _ => self.bytes.truncate(start),
        }
    }

    /// The entries of `key`.
    pub(super) fn find(&self, key: EntryKey) -> impl Iterator<Item = &[u8]> {
        self.entries.range((key, 0)..=(key, u64::MAX)).map(|(_, place)| &self.bytes[place.clone()])
    }

    /// Adds all entries of `other`.
    pub(super) fn merge(&mut self, other: &Draft) {
        for Item { key, bytes, .. } in other.items() {
            self.add(key, |to| {
                to.extend_from_slice(bytes);
                Some(())
            });
        }
    }

    /// Bytes of the entries.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries, by key and checksum.
    fn items(&self) -> impl Iterator<Item = Item<'_>> {
        self.entries.iter().map(|(&(key, check), place)| Item { key, check, bytes: &self.bytes[place.clone()] })
    }
}

/// An entry that is written.
#[derive(Clone, Copy)]
struct Item<'a> {
    key: EntryKey,
    check: u64,
    bytes: &'a [u8],
}

/// Writes a file of the entries of `draft` and of `segments`. These are not looked at: one that is damaged does not have its checksum there either.
///
/// # Errors
/// Those of `to`, and where they are more than the format can tell.
pub(super) fn write(draft: &Draft, segments: &[Segment], name: &str, to: impl Write) -> io::Result<()> {
    let mut items: Vec<Item<'_>> = draft.items().chain(segments.iter().flat_map(Segment::items)).collect();
    // Each of them is in order already. The new one of two that are the same is the one that is not damaged.
    items.sort_by_key(|item| (item.key, item.check));
    items.dedup_by_key(|item| (item.key, item.check));
    let word = |n: usize| u32::try_from(n).map_err(|_| io::Error::other("too many translations for one file"));
    let mut index = Vec::with_capacity(items.len() * INDEX_ENTRY);
    let mut start = HEAD + name.len();
    for Item { key, check, bytes } in &items {
        index.extend_from_slice(&key.pc.to_le_bytes());
        index.extend_from_slice(&key.variant.to_le_bytes());
        index.extend_from_slice(&word(start)?.to_le_bytes());
        index.extend_from_slice(&word(bytes.len())?.to_le_bytes());
        index.extend_from_slice(&check.to_le_bytes());
        start += bytes.len();
    }
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(MAGIC);
    head[8..16].copy_from_slice(&((start + index.len()) as u64).to_le_bytes());
    head[16..20].copy_from_slice(&word(start)?.to_le_bytes());
    head[20..24].copy_from_slice(&word(items.len())?.to_le_bytes());
    head[24..28].copy_from_slice(&word(name.len())?.to_le_bytes());
    head[32..40].copy_from_slice(&xxh3_64(&index).to_le_bytes());
    let check = head_check(&head, name);
    head[40..48].copy_from_slice(&check.to_le_bytes());
    let mut to = BufWriter::with_capacity(BUFFER, to);
    to.write_all(&head)?;
    to.write_all(name.as_bytes())?;
    items.iter().try_for_each(|item| to.write_all(item.bytes))?;
    to.write_all(&index)?;
    to.flush()
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

    /// Entry number `i`, whatever its bytes are now; `None` where they are not in the file.
    fn item(&self, i: usize) -> Option<Item<'_>> {
        let at = self.index.start + i * INDEX_ENTRY;
        let item: &[u8; INDEX_ENTRY] = self.bytes.get(at..at + INDEX_ENTRY)?.try_into().ok()?;
        let word = |at: usize| u32::from_le_bytes([item[at], item[at + 1], item[at + 2], item[at + 3]]);
        let bytes = self.bytes.get(word(16) as usize..)?.get(..word(20) as usize)?;
        Some(Item { key: self.key(i), check: u64::from(word(24)) | u64::from(word(28)) << 32, bytes })
    }

    /// All entries, by key and checksum.
    fn items(&self) -> impl Iterator<Item = Item<'_>> {
        (0..self.count).filter_map(|i| self.item(i))
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
        let same = (low..self.count).take_while(move |&i| self.key(i) == key).filter_map(|i| self.item(i));
        same.filter(|item| xxh3_64(item.bytes) == item.check).map(|item| item.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "translator 1";

    fn key(pc: u64) -> EntryKey {
        EntryKey { pc, variant: 7 }
    }

    fn draft() -> Draft {
        let mut draft = Draft::default();
        for pc in [5, 3, 9] {
            add(&mut draft, key(pc), &[pc as u8; 20]);
        }
        add(&mut draft, key(3), b"another");
        add(&mut draft, key(3), b"another");
        draft
    }

    fn add(draft: &mut Draft, key: EntryKey, entry: &[u8]) {
        draft.add(key, |to| {
            to.extend_from_slice(entry);
            Some(())
        });
    }

    fn written(draft: &Draft, segments: &[Segment]) -> Vec<u8> {
        let mut file = Vec::new();
        write(draft, segments, NAME, &mut file).unwrap();
        file
    }

    /// The entries of `pc`, in order.
    fn found(segment: &Segment, pc: u64) -> Vec<&[u8]> {
        let mut found: Vec<_> = segment.find(key(pc)).collect();
        found.sort_unstable();
        found
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
        let segment = opened(&written(&draft(), &[]), NAME).unwrap();
        assert_eq!(segment.count, 4);
        assert_eq!(found(&segment, 3), [&[3; 20][..], b"another"]);
        assert_eq!(found(&segment, 9), [&[9; 20]]);
        assert_eq!(segment.find(key(4)).count() + segment.find(EntryKey { pc: 9, variant: 8 }).count(), 0);
        assert_eq!(written(&Draft::default(), &[segment]), written(&draft(), &[]));
    }

    #[test]
    fn what_is_given_up_leaves_nothing() {
        let mut draft = draft();
        let before = (draft.bytes(), written(&draft, &[]));
        draft.add(key(4), |to| {
            to.push(1);
            None
        });
        assert_eq!((draft.bytes(), written(&draft, &[])), before);
        assert_eq!(draft.find(key(4)).count(), 0);
    }

    #[test]
    fn files_are_joined_without_what_both_have() {
        let mut more = Draft::default();
        add(&mut more, key(3), b"a third");
        add(&mut more, key(5), &[5; 20]);
        let segments = [draft(), more].map(|draft| opened(&written(&draft, &[]), NAME).unwrap());
        let mut new = Draft::default();
        add(&mut new, key(9), &[9; 20]);
        add(&mut new, key(1), b"new");
        let all = opened(&written(&new, &segments), NAME).unwrap();
        assert_eq!(all.count, 6);
        assert_eq!(found(&all, 3), [&[3; 20][..], b"a third", b"another"]);
        assert_eq!([1, 5, 9].map(|pc| found(&all, pc)), [[&b"new"[..]], [&[5; 20]], [&[9; 20]]]);
        let mut one_by_one = Draft::default();
        for (i, bytes) in segments.iter().flat_map(|s| s.items()).map(|item| (item.key, item.bytes)) {
            add(&mut one_by_one, i, bytes);
        }
        one_by_one.merge(&new);
        assert_eq!(written(&one_by_one, &[]), written(&new, &segments));
    }

    #[test]
    fn an_entry_stays_damaged_until_it_is_new() {
        let mut whole = written(&draft(), &[]);
        let at = whole.windows(20).position(|bytes| bytes == [5; 20]).unwrap();
        whole[at] ^= 1;
        let damaged = [opened(&whole, NAME).unwrap()];
        let joined = opened(&written(&Draft::default(), &damaged), NAME).unwrap();
        assert_eq!([3, 5, 9].map(|pc| found(&joined, pc).len()), [2, 0, 1]);
        let mut new = Draft::default();
        add(&mut new, key(5), &[5; 20]);
        let mended = opened(&written(&new, &damaged), NAME).unwrap();
        assert_eq!([3, 5, 9].map(|pc| found(&mended, pc).len()), [2, 1, 1]);
        assert_eq!(mended.count, 4);
    }

    #[test]
    fn another_translator_does_not_use_it() {
        assert_eq!(opened(&written(&draft(), &[]), "translator 2").unwrap_err(), Unusable::Foreign);
    }

    #[test]
    fn no_damage_gives_wrong_entries() {
        let whole = written(&draft(), &[]);
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

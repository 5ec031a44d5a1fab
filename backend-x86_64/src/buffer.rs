//! The bytes of code that is being written, and the places in it that its own jumps lead to.

use dynasmrt::{AssemblyOffset, DynasmApi};

/// A place in the code that is known or will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(u32);

/// The place of a label that is not bound yet.
const UNBOUND: u32 = u32::MAX;

/// A distance that is filled in at the end, when the place of the label is known. Distances count from the byte behind them.
#[derive(Clone, Copy, Debug)]
struct Distance {
    at: u32,
    to: Label,
    /// One byte; else four.
    short: bool,
}

/// Code that is being written.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    labels: Vec<u32>,
    distances: Vec<Distance>,
}

impl Buffer {
    /// The code, of which all labels are bound; what comes next starts anew, in the same memory.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let Buffer { bytes, labels, distances } = self;
        for Distance { at, to, short } in distances.drain(..) {
            let place = labels[to.0 as usize];
            assert!(place != UNBOUND, "a label of the back end's own is never bound");
            if short {
                let distance = place.wrapping_sub(at + 1) as i32;
                assert!(i8::try_from(distance).is_ok(), "a label of the back end's own is out of reach");
                bytes[at as usize] = distance as u8;
            } else {
                write_distance(bytes, at, place);
            }
        }
        labels.clear();
        let code = bytes.as_slice().to_vec();
        bytes.clear();
        code
    }

    pub(crate) fn here(&self) -> u32 {
        self.bytes.len() as u32
    }

    #[inline]
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends `len` bits of `bits`, whole bytes, the lowest first. (All 16 bytes are written, which takes no loop.)
    #[inline]
    pub(crate) fn append_bits(&mut self, bits: u128, len: u32) {
        let end = self.bytes.len() + len as usize / 8;
        self.bytes.extend_from_slice(&bits.to_le_bytes());
        self.bytes.truncate(end);
    }

    // ---- Labels

    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(UNBOUND);
        Label(self.labels.len() as u32 - 1)
    }

    /// `label` is here.
    pub(crate) fn bind(&mut self, label: Label) {
        self.labels[label.0 as usize] = self.here();
    }

    /// Appends the distance to `label`: four bytes.
    pub(crate) fn distance(&mut self, to: Label) {
        let (at, place) = (self.here(), self.labels[to.0 as usize]);
        if place == UNBOUND {
            self.distances.push(Distance { at, to, short: false });
        }
        self.append(&place.wrapping_sub(at + 4).to_le_bytes());
    }

    /// Appends the distance to `label`, which is near: one byte.
    pub(crate) fn short_distance(&mut self, to: Label) {
        self.distances.push(Distance { at: self.here(), to, short: true });
        self.append(&[0]);
    }

    /// Makes the four bytes at `at` the distance to here.
    pub(crate) fn lead_here(&mut self, at: u32) {
        let here = self.here();
        write_distance(&mut self.bytes, at, here);
    }
}

fn write_distance(bytes: &mut [u8], at: u32, place: u32) {
    let distance = place.wrapping_sub(at + 4);
    bytes[at as usize..][..4].copy_from_slice(&distance.to_le_bytes());
}

/// For what is written with dynasm, without labels of its own.
impl DynasmApi for Buffer {
    fn offset(&self) -> AssemblyOffset {
        AssemblyOffset(self.bytes.len())
    }

    fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    fn align(&mut self, alignment: usize, with: u8) {
        self.bytes.resize(self.bytes.len().next_multiple_of(alignment), with);
    }
}

impl Extend<u8> for Buffer {
    fn extend<T: IntoIterator<Item = u8>>(&mut self, bytes: T) {
        self.bytes.extend(bytes);
    }
}

impl<'a> Extend<&'a u8> for Buffer {
    fn extend<T: IntoIterator<Item = &'a u8>>(&mut self, bytes: T) {
        self.bytes.extend(bytes);
    }
}

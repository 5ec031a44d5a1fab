//! Numbers as few bytes: seven bits a byte, the lowest first; the top bit says that more follow. Signed ones with the sign lowest.

/// Appends `n`.
#[inline]
pub(crate) fn put(to: &mut Vec<u8>, n: u64) {
    // Nearly all numbers are this small.
    if n < 0x80 {
        to.push(n as u8);
    } else if n < 0x4000 {
        to.extend_from_slice(&[n as u8 | 0x80, (n >> 7) as u8]);
    } else {
        put_long(to, n);
    }
}

/// Appends `numbers`, one after the other.
#[inline]
pub(crate) fn put_all<const N: usize>(to: &mut Vec<u8>, numbers: [u64; N]) {
    if numbers.iter().fold(0, |all, n| all | n) < 0x80 {
        to.extend_from_slice(&numbers.map(|n| n as u8));
    } else {
        put_each(to, &numbers);
    }
}

#[inline(never)]
fn put_each(to: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|&n| put(to, n));
}

#[cold]
fn put_long(to: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        to.push(n as u8 | 0x80);
        n >>= 7;
    }
    to.push(n as u8);
}

/// Appends `n`, which may be negative.
#[inline]
pub(crate) fn put_signed(to: &mut Vec<u8>, n: i64) {
    put(to, of_signed(n));
}

/// The number as which `n` is written, which may be negative.
#[inline]
pub(crate) fn of_signed(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

/// Bytes that are read from the front on. `None`: there are no more, or no such number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a>(pub(crate) &'a [u8]);

impl<'a> Source<'a> {
    pub(crate) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let first = self.byte()?;
        if first < 0x80 {
            return Some(first.into());
        }
        let mut n = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(n);
            }
        }
        None
    }

    pub(crate) fn signed(&mut self) -> Option<i64> {
        let n = self.number()?;
        Some((n >> 1) as i64 ^ -((n & 1) as i64))
    }

    pub(crate) fn word(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    /// A number of things to come, each of which takes at least one byte.
    pub(crate) fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|&n| n <= self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let signed = [0, 1, -1, 63, -64, 64, 1 << 40, i64::MAX, i64::MIN];
        let plain = [0, 0x7f, 0x80, 0x3fff, 0x4000, u64::MAX];
        let mut bytes = Vec::new();
        put_all(&mut bytes, [0, 0x7f]);
        put_all(&mut bytes, [0x80, 1, u64::MAX]);
        signed.iter().for_each(|&n| put_signed(&mut bytes, n));
        plain.iter().for_each(|&n| put(&mut bytes, n));
        let mut source = Source(&bytes);
        assert!([0, 0x7f, 0x80, 1, u64::MAX].iter().all(|&n| source.number() == Some(n)));
        assert!(signed.iter().all(|&n| source.signed() == Some(n)));
        assert!(plain.iter().all(|&n| source.number() == Some(n)));
        assert_eq!(source.number(), None);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        assert_eq!(Source(&[0x80; 12]).number(), None);
        assert_eq!(Source(&[0x80]).number(), None);
        assert_eq!(Source(&[3, 1, 2]).count(), None);
        assert_eq!(Source(&[2, 1, 2]).count(), Some(2));
    }
}

//! Decimal adjustments of AX. Source: Intel SDM vol. 2, `DAA`, `DAS`, `AAA`, `AAS`; the flags that they leave undefined are zero.

use super::flags::{of_result, when};
use crate::guest::FlagSet;
use crate::operand::{BcdOp, Width};

/// AX and the flags after the adjustment.
pub(super) fn adjust(op: BcdOp, ax: u16, f: FlagSet) -> (u16, FlagSet) {
    match op {
        BcdOp::Daa | BcdOp::Das => packed(op, ax, f),
        BcdOp::Aaa | BcdOp::Aas => unpacked(op, ax, f),
    }
}

fn low_digit_is_off(ax: u16, f: FlagSet) -> bool {
    ax & 15 > 9 || f.contains(FlagSet::AF)
}

fn packed(op: BcdOp, ax: u16, f: FlagSet) -> (u16, FlagSet) {
    let old = ax as u8;
    let low = if low_digit_is_off(ax, f) { 6 } else { 0 };
    let high = if old > 0x99 || f.contains(FlagSet::CF) { 0x60 } else { 0 };
    let (al, borrow) = match op {
        BcdOp::Daa => (old.wrapping_add(low).wrapping_add(high), false),
        _ => (old.wrapping_sub(low).wrapping_sub(high), old < low),
    };
    let flags = when(low != 0, FlagSet::AF) | when(high != 0 || borrow, FlagSet::CF) | of_result(Width::W8, al.into());
    (ax & 0xff00 | u16::from(al), flags)
}

fn unpacked(op: BcdOp, ax: u16, f: FlagSet) -> (u16, FlagSet) {
    if !low_digit_is_off(ax, f) {
        return (ax & 0xff0f, FlagSet::empty());
    }
    let adjusted = match op {
        BcdOp::Aaa => ax.wrapping_add(0x106),
        _ => ax.wrapping_sub(6).wrapping_sub(0x100),
    };
    (adjusted & 0xff0f, FlagSet::AF | FlagSet::CF)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the manual's pages.
    #[test]
    fn manual_examples() {
        let (ax, f) = adjust(BcdOp::Daa, 0xae, FlagSet::SF | FlagSet::OF);
        assert_eq!((ax, f), (0x14, FlagSet::AF | FlagSet::CF | FlagSet::PF));
        let (ax, f) = adjust(BcdOp::Das, 0xee, FlagSet::CF | FlagSet::AF);
        assert_eq!((ax, f), (0x88, FlagSet::AF | FlagSet::CF | FlagSet::SF | FlagSet::PF));
    }

    #[test]
    fn sums_and_differences_of_packed_digits() {
        for (a, b) in (0..100u16).flat_map(|a| (0..100).map(move |b| (a, b))) {
            let bcd = |n: u16| (n / 10 % 10) * 16 + n % 10;
            let (x, y) = (u64::from(bcd(a)), u64::from(bcd(b)));
            let carries = super::super::flags::add(Width::W8, x, y, false);
            let (al, f) = adjust(BcdOp::Daa, x.wrapping_add(y) as u16 & 0xff, carries);
            assert_eq!((al, f.contains(FlagSet::CF)), (bcd(a + b), a + b > 99), "{a} + {b}");
            let borrows = super::super::flags::sub(Width::W8, x, y, false);
            let (al, f) = adjust(BcdOp::Das, x.wrapping_sub(y) as u16 & 0xff, borrows);
            assert_eq!((al, f.contains(FlagSet::CF)), (bcd(a + 100 - b), a < b), "{a} - {b}");
        }
    }

    #[test]
    fn unpacked_digits() {
        assert_eq!(adjust(BcdOp::Aaa, 0x000f, FlagSet::empty()), (0x0105, FlagSet::AF | FlagSet::CF));
        assert_eq!(adjust(BcdOp::Aas, 0x02ff, FlagSet::AF), (0x0109, FlagSet::AF | FlagSet::CF));
        assert_eq!(adjust(BcdOp::Aaa, 0x0235, FlagSet::CF), (0x0205, FlagSet::empty()));
    }
}

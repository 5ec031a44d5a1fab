//! Single bits, bit scans, counts of bits and sums over them.

use hokku_ir::{Addr, AtomicOp, FlagSet, Value, Width};
use iced_x86::{Code, Mnemonic};

use crate::emit::{Emitter, Place, Step, Translated, Translator};
use crate::insn::{Insn, Unsupported};

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    Some(match code.mnemonic() {
        Mnemonic::Bt => bt,
        Mnemonic::Bts => bts,
        Mnemonic::Btr => btr,
        Mnemonic::Btc => btc,
        Mnemonic::Bsf => bsf,
        Mnemonic::Bsr => bsr,
        Mnemonic::Tzcnt => tzcnt,
        Mnemonic::Lzcnt => lzcnt,
        Mnemonic::Popcnt => popcnt,
        Mnemonic::Crc32 => crc32,
        _ => return None,
    })
}

/// Width, place and number of the bit that `BT` and its kin name. A register offset reaches beyond a memory operand: signed, in bits.
fn bit_operand(e: &mut Emitter, insn: &Insn) -> Result<(Width, Place, Value), Unsupported> {
    let w = insn.width()?;
    let place = e.place(insn, 0)?;
    let n = e.operand(insn, 1, w)?;
    let (Place::Memory(at), Some(_)) = (place, insn.register(1)) else { return Ok((w, place, n)) };
    let (log2_bits, log2_bytes) = match w {
        Width::W16 => (4, 1),
        Width::W32 => (5, 2),
        _ => (6, 3),
    };
    let log2_bits = e.constant(Width::W8, log2_bits);
    let element = e.sar(w, n, log2_bits);
    let element = e.resize_signed(w, at.width, element);
    let base = e.lea(at.width, Addr { seg: None, ..at });
    let at = Addr { index: Some(element), scale: log2_bytes, seg: at.seg, ..Addr::at(base, at.width) };
    Ok((w, Place::Memory(at), n))
}

/// `BT`: SDM 2A. CF is the bit; ZF stays, the others are undefined and stay here too.
fn bt(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, place, n) = bit_operand(e, insn)?;
    let x = e.read(place, w);
    let f = e.get_flags();
    let flags = e.bit_test_flags(w, x, n, f);
    e.set_flags(FlagSet::CF, flags);
    Ok(Step::Next)
}

/// A word with only bit `n` mod w set.
fn bit_mask(e: &mut Emitter, w: Width, n: Value) -> Value {
    let n = e.truncate(w, Width::W8, n);
    let limit = e.constant(Width::W8, u64::from(w.bits() - 1));
    let n = e.and(Width::W8, n, limit);
    let one = e.constant(w, 1);
    e.shl(w, one, n)
}

/// `BTS`: SDM 2A. Flags as `BT`.
fn bts(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, place, n) = bit_operand(e, insn)?;
    let mask = bit_mask(e, w, n);
    let f = e.get_flags();
    e.modify(insn, place, w, (AtomicOp::Or, mask), FlagSet::CF, |e, x| (e.or(w, x, mask), e.bit_test_flags(w, x, n, f)))
}

/// `BTR`: SDM 2A. Flags as `BT`.
fn btr(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, place, n) = bit_operand(e, insn)?;
    let mask = bit_mask(e, w, n);
    let mask = e.not(w, mask);
    let f = e.get_flags();
    e.modify(insn, place, w, (AtomicOp::And, mask), FlagSet::CF, |e, x| {
        (e.and(w, x, mask), e.bit_test_flags(w, x, n, f))
    })
}

/// `BTC`: SDM 2A. Flags as `BT`.
fn btc(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, place, n) = bit_operand(e, insn)?;
    let mask = bit_mask(e, w, n);
    let f = e.get_flags();
    e.modify(insn, place, w, (AtomicOp::Xor, mask), FlagSet::CF, |e, x| {
        (e.xor(w, x, mask), e.bit_test_flags(w, x, n, f))
    })
}

/// `BSF`: SDM 2A. A zero source leaves the destination, as all processors do.
fn bsf(e: &mut Emitter, insn: &Insn) -> Translated {
    scan(e, insn, false)
}

/// `BSR`: SDM 2A.
fn bsr(e: &mut Emitter, insn: &Insn) -> Translated {
    scan(e, insn, true)
}

fn scan(e: &mut Emitter, insn: &Insn, reverse: bool) -> Translated {
    let (w, dst, x) = e.dst_src(insn)?;
    let old = e.read(dst, w);
    let n = if reverse { e.bit_scan_reverse(w, x, old) } else { e.bit_scan_forward(w, x, old) };
    let flags = e.bit_scan_flags(w, x);
    e.write(dst, w, n)?;
    e.set_flags(FlagSet::STATUS, flags);
    Ok(Step::Next)
}

/// `TZCNT`: SDM 2B. `rep bsf` on processors without BMI1, which differs only where the source is zero; compilers emit it for both.
fn tzcnt(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, dst, x) = e.dst_src(insn)?;
    let n = e.count_trailing_zeros(w, x);
    let flags = e.count_zeros_flags(w, x, n);
    e.write(dst, w, n)?;
    e.set_flags(FlagSet::STATUS, flags);
    Ok(Step::Next)
}

/// `LZCNT`: SDM 2A.
fn lzcnt(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, dst, x) = e.dst_src(insn)?;
    let n = e.count_leading_zeros(w, x);
    let flags = e.count_zeros_flags(w, x, n);
    e.write(dst, w, n)?;
    e.set_flags(FlagSet::STATUS, flags);
    Ok(Step::Next)
}

/// `POPCNT`: SDM 2B. ZF where the source is zero, the others clear.
fn popcnt(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, dst, x) = e.dst_src(insn)?;
    let (n, flags) = (e.count_ones(w, x), e.count_ones_flags(w, x));
    e.write(dst, w, n)?;
    e.set_flags(FlagSet::STATUS, flags);
    Ok(Step::Next)
}

/// `CRC32`: SDM 2A. A 64-bit destination is cleared above the sum.
fn crc32(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, from) = (insn.width()?, insn.width_of(1)?);
    let v = e.operand(insn, 1, from)?;
    let dst = e.place(insn, 0)?;
    let crc = e.read(dst, Width::W32);
    let crc = e.crc32c(from, crc, v);
    let crc = e.resize(Width::W32, w, crc);
    e.write(dst, w, crc)?;
    Ok(Step::Next)
}

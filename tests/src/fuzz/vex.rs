//! Random VEX prefixes.

use hokku_ir::CpuMode;
use iced_x86::{MandatoryPrefix, OpCodeInfo, OpCodeOperandKind as Kind, OpCodeTableKind as Table};

use super::rng::Rng;

/// A random VEX prefix of `info`'s instruction: of two bytes where that can say it, sometimes of three all the same.
pub fn prefix(rng: &mut Rng, info: &OpCodeInfo, mode: CpuMode) -> Vec<u8> {
    let long = mode == CpuMode::Long64;
    // 32-bit code has R and X set (else the bytes are LES or LDS), and bits of registers beyond the eighth have no effect.
    let mut inverted = |free: bool| if free { rng.below(2) as u8 } else { 1 };
    let (r, x, b) = (inverted(long), inverted(long), inverted(true));
    let w = match info {
        _ if info.is_wig() || (info.is_wig32() && !long) => rng.below(2) as u8,
        _ => info.w() as u8,
    };
    let l = if info.is_lig() { rng.below(2) as u8 } else { info.l() as u8 };
    let vvvv = if info.op_kinds().iter().any(|k| is_vvvv(*k)) { rng.below(16) as u8 } else { 15 };
    let pp = match info.mandatory_prefix() {
        MandatoryPrefix::P66 => 1,
        MandatoryPrefix::PF3 => 2,
        MandatoryPrefix::PF2 => 3,
        MandatoryPrefix::None | MandatoryPrefix::PNP => 0,
    };
    let map = match info.table() {
        Table::T0F38 => 2,
        Table::T0F3A => 3,
        _ => 1,
    };
    let last = vvvv << 3 | l << 2 | pp;
    if map == 1 && w == 0 && x & b == 1 && rng.percent(70) {
        vec![0xc5, r << 7 | last]
    } else {
        vec![0xc4, r << 7 | x << 6 | b << 5 | map, w << 7 | last]
    }
}

/// Whether the operand is named in the prefix.
fn is_vvvv(kind: Kind) -> bool {
    matches!(kind, Kind::r32_vvvv | Kind::r64_vvvv | Kind::xmm_vvvv | Kind::ymm_vvvv)
}

//! Random values that hit corners: integers, floats of all kinds, whole processor states.

use hokku_ir::guest::{F80, MXCSR_START, X87, eflags};
use hokku_ir::{CpuMode, CpuState, FlagSet};

use super::rng::Rng;

/// An integer: often at the edges of its widths, small as a shift count is, or with few bits.
pub fn integer(rng: &mut Rng) -> u64 {
    const CORNERS: [u64; 24] = [
        0,
        1,
        2,
        u64::MAX,
        u64::MAX - 1,
        0x7f,
        0x80,
        0xff,
        0x100,
        0x7fff,
        0x8000,
        0xffff,
        0x1_0000,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        0x1_0000_0000,
        0x7fff_ffff_ffff_ffff,
        0x8000_0000_0000_0000,
        0x8080_8080_8080_8080,
        0x5555_5555_5555_5555,
        0xffff_ffff_8000_0000,
        0x0f0f_0f0f_0f0f_0f0f,
        0x8000_0000_7fff_ffff,
    ];
    match rng.below(8) {
        0..=2 => rng.u64(),
        3 | 4 => rng.pick(&CORNERS).wrapping_add(rng.pick(&[0, 0, 1, u64::MAX])),
        5 => rng.below(70),
        6 => rng.u64() & rng.u64() & rng.u64(),
        _ => rng.u64() >> rng.below(64),
    }
}

/// Bits of a single: any kind of value, exponents near one another often.
pub fn single(rng: &mut Rng) -> u32 {
    let sign = (rng.u64() as u32) << 31;
    let fraction = match rng.below(4) {
        0 => 0,
        1 => 0x7f_ffff,
        2 => 1 << rng.below(23),
        _ => rng.u64() as u32 & 0x7f_ffff,
    };
    sign | match rng.below(12) {
        0 => 0,
        1 => fraction,
        2 => 0x7f80_0000,
        3 => 0x7fc0_0000 | fraction,
        4 => 0x7f80_0000 | (fraction & 0x3f_ffff).max(1),
        5 => 0x7f7f_ffff,
        6 => 0x0080_0000 | fraction,
        7 => ((rng.below(70) as i64 - 35) as f32).to_bits() & 0x7fff_ffff,
        8 => (rng.u64() as u32) & 0x7fff_ffff,
        _ => (0x7f + rng.below(40) as u32 - 20) << 23 | fraction,
    }
}

/// Bits of a double; as [`single`].
pub fn double(rng: &mut Rng) -> u64 {
    const FRACTION: u64 = (1 << 52) - 1;
    let sign = rng.u64() << 63;
    let fraction = match rng.below(5) {
        0 => 0,
        1 => FRACTION,
        2 => 1 << rng.below(52),
        // Rounds to a single with a tie, or nearly.
        3 => (rng.u64() & FRACTION & !0x1fff_ffff) | rng.pick(&[0x1000_0000, 0x0fff_ffff, 0x1000_0001, 0]),
        _ => rng.u64() & FRACTION,
    };
    sign | match rng.below(12) {
        0 => 0,
        1 => fraction,
        2 => 0x7ff << 52,
        3 => 0xfff << 51 | fraction,
        4 => 0x7ff << 52 | (fraction & FRACTION >> 1).max(1),
        5 => (0x7ff << 52) - 1,
        6 => 1 << 52 | fraction,
        7 => ((rng.u64() as i64 >> rng.below(64)) as f64).to_bits() & !(1 << 63),
        8 => rng.u64() >> 1,
        9 => (0x3ff - 150 + rng.below(300)) << 52 | fraction,
        _ => (0x3ff - 20 + rng.below(40)) << 52 | fraction,
    }
}

/// An x87 value: also unnormals, pseudo-denormals and the other encodings that only memory can hold.
pub fn extended(rng: &mut Rng) -> F80 {
    let fraction = match rng.below(6) {
        0 => 0,
        1 => u64::MAX >> 1,
        2 => 1 << rng.below(63),
        // Rounds to a double or single with a tie, or nearly.
        3 => (rng.u64() >> 1 & !0x7ff) | rng.pick(&[0x400, 0x3ff, 0x401, 0]),
        4 => (rng.u64() >> 1 & !0xff_ffff_ffff) | rng.pick(&[0x80_0000_0000, 0x7f_ffff_ffff, 0x80_0000_0001, 0]),
        _ => rng.u64() >> 1,
    };
    const ONE: u64 = 1 << 63;
    let (exponent, significand) = match rng.below(16) {
        0 => (0, 0),
        1 => (0, fraction.max(1)),
        2 => (0, ONE | fraction),
        3 => (0x7fff, ONE),
        4 => (0x7fff, 3 << 62 | fraction),
        5 => (0x7fff, ONE | (fraction & !(1 << 62)).max(1)),
        6 => (rng.below(0x8000), fraction),
        7 => (0x7ffe, ONE | fraction),
        8 => (1 + rng.below(3), ONE | fraction),
        9 => {
            let n = (rng.u64() as i64 >> rng.below(64)).unsigned_abs().max(1);
            (0x3fff + 63 - u64::from(n.leading_zeros()), n << n.leading_zeros())
        }
        10 => (rng.below(0x8000), ONE | rng.u64()),
        11 => (0x3fff - 70 + rng.below(140), ONE | fraction),
        12 => {
            (rng.pick(&[0x3fff - 1023, 0x3fff + 1023, 0x3fff - 127, 0x3fff + 127]) - 3 + rng.below(6), ONE | fraction)
        }
        _ => (0x3fff - 4 + rng.below(10), ONE | fraction),
    };
    F80 { significand, sign_exponent: exponent as u16 | (rng.u64() as u16) << 15, padding: [0; 3] }
}

/// Bits of a half: any kind of value.
pub fn half(rng: &mut Rng) -> u16 {
    let random = rng.u64() as u16;
    random & 0x8000
        | match rng.below(8) {
            0 => 0,
            1 => random & 0x3ff,
            2 => 0x7c00,
            3 => 0x7e00 | random & 0x1ff,
            4 => 0x7c01 | random & 0x1ff,
            5 => rng.pick(&[0x7bff, 0x0400, 0x0001, 0x3c00]),
            _ => random & 0x7fff,
        }
}

/// 256 bits of lanes of one kind.
pub fn vector(rng: &mut Rng) -> [u64; 4] {
    let kind = rng.below(11);
    let mut lane = |_| match kind {
        0 => rng.u64(),
        1 | 2 => u64::from(single(rng)) | u64::from(single(rng)) << 32,
        3 | 4 => double(rng),
        5 => integer(rng),
        6 => {
            let mut bytes = [0; 8];
            bytes.fill_with(|| rng.pick(&[0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x81, 0x55]));
            u64::from_le_bytes(bytes)
        }
        7 => rng.pick(&[0, u64::MAX, 1, 1 << 63]),
        8 => (0..4).fold(0, |lane, _| lane << 16 | u64::from(half(rng))),
        // Counts of shifts, and numbers of lanes.
        9 => rng.below(66) | rng.below(34) << 32,
        // Text of few letters, with ends.
        _ => (0..8).fold(0, |lane, _| lane << 8 | u64::from(rng.pick(b"aabcz\0"))),
    };
    std::array::from_fn(&mut lane)
}

/// `len` bytes such as an operand in memory may have.
pub fn operand(rng: &mut Rng, out: &mut [u8]) {
    let extended_real = out.len() == 10 || rng.one_in(12);
    if extended_real {
        for chunk in out.chunks_mut(10) {
            let mut bytes = [0; 10];
            if rng.one_in(4) {
                // Decimal digits, sometimes with wrong ones.
                bytes.fill_with(|| (rng.below(10) << 4 | rng.below(10)) as u8);
                bytes[9] = rng.pick(&[0, 0x80, 0x00, 0x7f]);
            } else {
                let v = extended(rng);
                bytes[..8].copy_from_slice(&v.significand.to_le_bytes());
                bytes[8..].copy_from_slice(&v.sign_exponent.to_le_bytes());
            }
            let len = chunk.len();
            chunk.copy_from_slice(&bytes[..len]);
        }
        return;
    }
    let mut words = [0; 4];
    for (i, chunk) in out.chunks_mut(8).enumerate() {
        if i % 4 == 0 {
            words = vector(rng);
        }
        let len = chunk.len();
        chunk.copy_from_slice(&words[i % 4].to_le_bytes()[..len]);
    }
}

/// An x87 unit in any state that a program can bring it to.
pub fn x87(rng: &mut Rng) -> X87 {
    let mut unit = X87::INIT;
    unit.regs.fill_with(|| extended(rng));
    // Mostly full enough for two operands, with room to push.
    let top = rng.below(8) as u8;
    unit.set_top(top);
    unit.tags = match rng.below(8) {
        0 => 0,
        1 => 0xff,
        2 => rng.u64() as u8,
        _ => 0x0fu8.rotate_left(u32::from(top)) | rng.u64() as u8 & 0x1fu8.rotate_left(u32::from(top)),
    };
    let masks = if rng.percent(80) { 0x3f } else { rng.u64() as u16 & 0x3f };
    unit.control = 0x40 | masks | (rng.pick(&[3, 3, 2, 0, 1]) << 8) | (rng.below(4) as u16) << 10;
    unit.status |= rng.u64() as u16 & 0x4700;
    // Hosts without a unit write code for the stack and the control word that programs have.
    if cfg!(not(target_arch = "x86_64")) && rng.percent(70) {
        let depth = rng.below(5) as u8;
        unit.set_top(8 - depth);
        unit.tags = 0xffu8.checked_shl(8 - u32::from(depth)).unwrap_or(0);
        unit.control = 0x37f;
    }
    let masks = unit.control & 0x3f;
    if rng.percent(30) {
        // Exceptions of earlier instructions: mostly masked ones, else they are pending.
        let raised = rng.u64() as u16 & 0x7f;
        unit.status |= if rng.percent(80) { raised & (masks | 0x40) } else { raised };
    }
    if unit.status & !unit.control & 0x3f != 0 {
        unit.status |= 0x8080;
    }
    // As earlier instructions have left them.
    unit.opcode = rng.u64() as u16 & 0x7ff;
    unit.instruction = rng.u64() >> 16;
    unit.operand = integer(rng);
    unit
}

/// A random state for code of `mode`.
pub fn state(rng: &mut Rng, mode: CpuMode) -> CpuState {
    let mut cpu = scalar_state(rng, mode);
    let vectors = if mode == CpuMode::Protected32 { 8 } else { 16 };
    cpu.vector[..vectors].fill_with(|| vector(rng));
    cpu.x87 = x87(rng);
    cpu
}

/// A state whose vector registers and x87 unit are those of the start.
fn scalar_state(rng: &mut Rng, mode: CpuMode) -> CpuState {
    let mut cpu = CpuState::new(mode);
    let gprs = mode.gpr_count();
    let mask = mode.word().mask();
    cpu.gpr[..gprs].fill_with(|| integer(rng) & mask);
    if rng.percent(30) {
        // Equal and opposite operands.
        let (a, b) = (rng.below(gprs as u64) as usize, rng.below(gprs as u64) as usize);
        cpu.gpr[a] = rng.pick(&[cpu.gpr[b], cpu.gpr[b].wrapping_neg(), !cpu.gpr[b]]) & mask;
    }
    cpu.status_flags = rng.u64() as u32 & FlagSet::STATUS.bits();
    if rng.percent(20) {
        cpu.system_flags |= eflags::DF;
    }
    if rng.one_in(16) {
        cpu.system_flags |= eflags::ID;
    }
    let (code, data) = match mode {
        CpuMode::Protected32 => (0x23, 0x2b),
        CpuMode::Long64 => (0x33, 0x2b),
    };
    cpu.selector = [data, code, data, data, 0, 0];
    cpu.mxcsr = MXCSR_START;
    if rng.percent(60) {
        cpu.mxcsr |= rng.u64() as u32 & 0xe07f & if rng.percent(50) { u32::MAX } else { !0x3f };
    }
    if rng.percent(10) {
        cpu.mxcsr &= !(rng.u64() as u32 & 0x1f80);
    }
    cpu
}

/// A random state like [`state`], in which the vector registers but `vectors`, and without `x87` the x87 unit too, are as in `last`: most of
/// the time that a state takes goes into them.
pub fn next_state(rng: &mut Rng, mode: CpuMode, last: &CpuState, vectors: &[usize], x87: bool) -> CpuState {
    let mut cpu = scalar_state(rng, mode);
    cpu.vector = last.vector;
    for n in vectors {
        cpu.vector[*n] = vector(rng);
    }
    cpu.x87 = if x87 { self::x87(rng) } else { last.x87 };
    cpu
}

//! The back ends, each for a processor that has everything, but for floats as x86's on aarch64, which few have: all of them compile on any host.

use hokku_backend_aarch64::{Aarch64, Features};
use hokku_backend_riscv64::Riscv64;
use hokku_backend_x86_64::X86_64;
use hokku_frontend::{Limits, translate};
use hokku_ir::backend::{Backend, Compiled};
use hokku_ir::passes::{self, FaultsSee};
use hokku_ir::{BlockKey, CpuMode, GuestAddr, Region};

/// Names, as they stand at the head of columns, and back ends.
pub fn all() -> Vec<(&'static str, Box<dyn Backend>)> {
    vec![
        ("x86-64", Box::new(X86_64::new(hokku_backend_x86_64::Features::all()))),
        ("riscv64", Box::new(Riscv64::new(hokku_backend_riscv64::Features::all()))),
        ("aarch64", Box::new(Aarch64::new(Features::all() - Features::AFP))),
    ]
}

/// The aarch64 back end for a processor that computes as x86 does, too.
pub fn aarch64_afp() -> Box<dyn Backend> {
    Box::new(Aarch64::new(Features::all()))
}

/// What the runtime would translate `code` at `start` to: the region before a host's passes. `ordered`: for a team whose accesses others see.
pub fn region(mode: CpuMode, start: GuestAddr, code: &[u8], ordered: bool) -> Region {
    let key = BlockKey { ordered, ..BlockKey::new(start, mode) };
    translate(&(start, code), key, &Limits::default())
}

/// What `host` makes of `region`.
pub fn compile(host: &dyn Backend, region: &Region) -> Compiled {
    let mut region = region.clone();
    for name in host.passes() {
        passes::run_one(&mut region, name, FaultsSee::ExactFlags);
    }
    host.compile(&region)
}

/// How an instruction keeps accesses to memory in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// It is a barrier, or part of one, that earlier stores and later loads do not pass.
    Full,
    /// Anything less.
    Weak,
}

/// The instructions in `code` of host `name` that order accesses. Data between instructions may look like some.
pub fn orderings(name: &str, code: &[u8]) -> Vec<Ordering> {
    let words = code.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    match name {
        "aarch64" => words.filter_map(aarch64_ordering).collect(),
        "riscv64" => words.filter_map(riscv64_ordering).collect(),
        _ => Vec::new(),
    }
}

/// Source: Arm Architecture Reference Manual (DDI 0487), C4.1, "Barriers" and "Loads and Stores".
fn aarch64_ordering(word: u32) -> Option<Ordering> {
    // DMB and DSB; the options ISH and SY are for all accesses.
    if word & 0xffff_f0df == 0xd503_309f {
        return Some(if word >> 8 & 3 == 3 { Ordering::Full } else { Ordering::Weak });
    }
    // LDAR and STLR, LDAPR, LDAPUR and STLUR, exclusives and atomic operations that acquire or release.
    let ordered = word & 0x3f80_8000 == 0x0880_8000
        || word & 0x3fa0_8000 == 0x0800_8000
        || word & 0x3fff_fc00 == 0x38bf_c000
        || word & 0x3f20_0c00 == 0x1900_0000
        || word & 0x3f20_0c00 == 0x3820_0000 && word & 0x00c0_0000 != 0;
    ordered.then_some(Ordering::Weak)
}

/// Source: RISC-V unprivileged ISA, "RV32I" (`fence`) and "A".
fn riscv64_ordering(word: u32) -> Option<Ordering> {
    match word & 0x707f {
        // `fence`: predecessors and successors, each rw.
        0x000f => Some(if word >> 20 & 0x33 == 0x33 { Ordering::Full } else { Ordering::Weak }),
        0x202f | 0x302f if word >> 25 & 3 == 3 => Some(Ordering::Full),
        0x202f | 0x302f if word >> 25 & 3 != 0 => Some(Ordering::Weak),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_that_order_accesses_are_known() {
        use Ordering::{Full, Weak};
        for (word, expected, text) in [
            (0xd503_3bbf_u32, Some(Full), "dmb ish"),
            (0xd503_39bf, Some(Weak), "dmb ishld"),
            (0xd503_3abf, Some(Weak), "dmb ishst"),
            (0xc8df_fc20, Some(Weak), "ldar x0, [x1]"),
            (0xc89f_fc20, Some(Weak), "stlr x0, [x1]"),
            (0xf8bf_c020, Some(Weak), "ldapr x0, [x1]"),
            (0xc85f_fc20, Some(Weak), "ldaxr x0, [x1]"),
            (0xc8e0_fc22, Some(Weak), "casal x0, x2, [x1]"),
            (0xf8e0_0022, Some(Weak), "ldaddal x0, x2, [x1]"),
            (0xc85f_7c20, None, "ldxr x0, [x1]"),
            (0xf820_0022, None, "ldadd x0, x2, [x1]"),
            (0xf940_0020, None, "ldr x0, [x1]"),
            (0xf822_6820, None, "str x0, [x1, x2]"),
            (0xa940_0440, None, "ldp x0, x1, [x2]"),
        ] {
            assert_eq!(aarch64_ordering(word), expected, "{text}");
        }
        for (word, expected, text) in [
            (0x0330_000f_u32, Some(Full), "fence rw, rw"),
            (0x0310_000f, Some(Weak), "fence rw, w"),
            (0x0230_000f, Some(Weak), "fence r, rw"),
            (0x06b5_352f, Some(Full), "amoadd.d.aqrl"),
            (0x1405_352f, Some(Weak), "lr.d.aq"),
            (0x00b5_352f, None, "amoadd.d"),
            (0x0005_3503, None, "ld"),
        ] {
            assert_eq!(riscv64_ordering(word), expected, "{text}");
        }
    }
}

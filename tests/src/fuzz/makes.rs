//! Processors of another make than Intel's: what they do otherwise where the manual leaves it open, and what they read otherwise.
//!
//! Hokku evaluates what the manual leaves open as Intel's processors do it. On others these explanations stand beside those of [`super::explain`]; on
//! Intel's, none of this is looked at. "SDM" is Intel's manual, "APM" the AMD64 Architecture Programmer's Manual; words in quotes are their own.

use hokku_ir::guest::F80;
use hokku_ir::{CpuMode, CpuState, Gpr};
use iced_x86::{Code, CodeSize, CpuidFeature, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register};

use super::case::Program;
use super::compare::{After, Field};
use super::explain::{Case, Explained, exceptions, is_transcendental, near, register_number};
use super::images;
use super::safety::address;
use crate::oracle::{Ending, vector};

/// Status word of the x87 unit: an unmasked exception is pending.
const PENDING: u16 = 1 << 7;
/// The same by its other name, and underflow there and in the control word.
const BUSY: u16 = 1 << 15;
const UNDERFLOW: u16 = 1 << 4;

/// What translated code does otherwise as well on an x86-64 host of another make, since it has the host's instruction for it.
pub const OF_ITS_CODE: &[Explained] = &[
    Explained {
        name: "x87 pointers in an image",
        words: "as \"x87 pointers without an exception\", in what FNSTENV, FNSAVE, FXSAVE, XSAVE and their kin store",
        covers: |case, field| field.name.starts_with('[') && images::only_pointers_are_apart(case),
    },
    Explained {
        name: "estimates",
        words: "RCPPS, RSQRTPS: \"The relative error for this approximation is: |Relative Error| ≤ 1.5 ∗ 2^−12\", and of reciprocals near the \
                least normal number: \"input values in between this range may or may not produce tiny results, depending on the implementation\"",
        covers: |case, field| {
            let same = |a: u32, b: u32| a == b || estimate_one(f32::from_bits(a), f32::from_bits(b));
            is_estimate(case.insn.mnemonic()) && lanes(case, field).is_some_and(|(a, b)| singles(a, b, same))
        },
    },
    Explained {
        name: "which NaN of a dot product",
        words: "DPPS, DPPD: \"Horizontal propagation of NaNs to the destination and the positioning of those NaNs in the destination is \
                implementation dependent.\"",
        covers: |case, field| {
            let nans = |a: u32, b: u32| a == b || f32::from_bits(a).is_nan() && f32::from_bits(b).is_nan();
            let wide = |(a, b): (&u64, &u64)| a == b || f64::from_bits(*a).is_nan() && f64::from_bits(*b).is_nan();
            lanes(case, field).is_some_and(|(a, b)| match case.insn.mnemonic() {
                Mnemonic::Dpps | Mnemonic::Vdpps => singles(a, b, nans),
                Mnemonic::Dppd | Mnemonic::Vdppd => a.iter().zip(b).all(wide),
                _ => false,
            })
        },
    },
    Explained {
        name: "MMX store that faults",
        words: "SDM volume 3, 12.2: MMX instructions set the top of the x87 stack to zero; of one that faults Intel's do so first",
        covers: |case, field| {
            let stores = case.insn.op1_register().is_mm() && case.insn.op0_kind() == OpKind::Memory;
            let (before, a, b) = (case.before.x87.status, case.native.cpu.x87.status, case.ours.cpu.x87.status);
            let fault = fault_of_memory(case.native.ending) && fault_of_memory(case.ours.ending);
            stores && field.name == "x87 status" && fault && a == before && (a ^ b) & !0x3800 == 0
        },
    },
    Explained {
        name: "mxcsr of vcvtps2ph that faults",
        words: "SDM volume 3, 6.9: \"the order ... within each class is implementation-dependent\", of page faults and SIMD floating-point exceptions: whether \
                mxcsr has the exceptions of a conversion whose store faults depends on it. Nor is PE said to be set beside an unmasked underflow",
        covers: |case, field| {
            let (before, a, b) = (case.before.mxcsr, case.native.cpu.mxcsr, case.ours.cpu.mxcsr);
            let underflow = exceptions(case) == Some((vector::XM, vector::XM)) && a ^ b == 0x20 && a & b & 0x10 != 0;
            let place = fault_of_memory(case.native.ending) && a == before;
            let stored = place && fault_of_memory(case.ours.ending);
            let raised = place && matches!(case.ours.ending, Ending::Exception { vector: vector::XM, .. });
            case.insn.mnemonic() == Mnemonic::Vcvtps2ph
                && (field.name == "mxcsr" && (underflow || stored || raised) || field.name == "ending" && raised)
        },
    },
    Explained {
        name: "page fault or x87 exception of a store",
        words: "SDM volume 3, 6.9: \"the order ... within each class is implementation-dependent\" among the \"faults on executing an instruction\": \
                the place of a store may fault before the store finds that its x87 exception keeps it from being made",
        covers: |case, _| {
            use Mnemonic::*;
            let stores = matches!(case.insn.mnemonic(), Fst | Fstp | Fist | Fistp | Fisttp | Fbstp);
            let kept =
                case.native.cpu.x87.status == case.before.x87.status && case.native.cpu.x87.status & PENDING == 0;
            let raised = case.ours.ending == Ending::Arrived && case.ours.cpu.x87.status & PENDING != 0;
            let place = fault_of_memory(case.native.ending);
            stores && case.insn.op0_kind() == OpKind::Memory && place && kept && raised
        },
    },
    Explained {
        name: "place of a fault in a masked operand",
        words: "SDM volume 3, 4.7: cr2 is \"the linear address that generated the exception\", one of those that the instruction uses; AMD's tell where the \
                page begins, whatever elements of it the mask selects",
        covers: |case, field| {
            use Mnemonic::*;
            let masked = matches!(case.insn.mnemonic(), Vmaskmovps | Vmaskmovpd | Vpmaskmovd | Vpmaskmovq);
            let (Some(operand), Some((a, b))) = (operand(case), pages(case)) else { return false };
            let within = |at: u64| {
                let short = case.insn.memory_base().size() == 2;
                let away = at.wrapping_sub(operand);
                (if short { away & 0xffff } else { away }) < case.insn.memory_size().size() as u64
            };
            masked && field.name == "ending" && within(a) && within(b)
        },
    },
    Explained {
        name: "registers of a gather that faults",
        words: "VGATHERDPS and its kin: of a mask only the highest bits of its elements count, and where an element's fetch faults nothing tells that the \
                others of the mask have all their bits alike by then, or that what is beyond a short vector is zero",
        covers: |case, field| {
            let (insn, before) = (case.insn, &case.before.vector);
            let of = |n: usize| (&before[n], &case.native.cpu.vector[n], &case.ours.cpu.vector[n]);
            let is_it = |register: Register| field.name == format!("ymm{}", register.number());
            let (result, mask) = (insn.op0_register(), insn.op2_register());
            let faults = fault_of_memory(case.native.ending) && fault_of_memory(case.ours.ending);
            insn.is_vsib()
                && faults
                && (is_it(mask) && is_same_mask(insn.memory_size().size(), mask.size(), of(mask.number()))
                    || is_it(result) && is_same_below(result.size(), of(result.number())))
        },
    },
    Explained {
        name: "upper halves of short string addresses",
        words: "in 64-bit code an instruction writes the lower half of a register with zeros in the upper; whether a string instruction with 32-bit \
                addresses that makes no step writes its registers is not said",
        covers: |case, field| {
            let register = [Gpr::Rcx, Gpr::Rsi, Gpr::Rdi].into_iter().find(|r| r.name() == field.name);
            let long = case.insn.code_size() == CodeSize::Code64 && case.insn.is_string_instruction();
            register.is_some_and(|r| {
                let (before, a, b) = (case.before.get(r), case.native.cpu.get(r), case.ours.cpu.get(r));
                long && a as u32 == b as u32 && a >> 32 == before >> 32 && b >> 32 == 0
            })
        },
    },
    Explained {
        name: "underflow of a denormal number that stays",
        words: "SDM volume 1, 8.5.5: a tiny result is an underflow where that is not masked, exact or not, and is scaled by 2^24576. FPREM by infinity \
                and FSCALE by zero leave a denormal number as it is, and only AMD's tell of it",
        covers: |case, field| {
            let (native, ours) = (&case.native.cpu.x87, &case.ours.cpu.x87);
            let top = usize::from(ours.top());
            let stays = matches!(case.insn.mnemonic(), Mnemonic::Fprem | Mnemonic::Fprem1 | Mnemonic::Fscale)
                && ours.control & UNDERFLOW == 0
                && ours.regs[top] == case.before.x87.regs[top]
                && is_scaled_denormal(ours.regs[top], native.regs[top]);
            match field.name.as_str() {
                "x87 status" => stays && native.status == ours.status | UNDERFLOW | PENDING | BUSY,
                name => stays && register_number(name) == Some(top),
            }
        },
    },
    Explained {
        name: "flags of a comparison that faults",
        words: "REP: \"When a page fault occurs during CMPS or SCAS instructions that are prefixed with REPNE, the EFLAGS value is restored to the state \
                prior to the execution of the instruction. Since SCAS and CMPS do not use EFLAGS as an input, the processor can resume the instruction \
                after the page fault handler.\" AMD's leave those of the last comparison",
        covers: |case, field| {
            use Mnemonic::*;
            let compares =
                matches!(case.insn.mnemonic(), Cmpsb | Cmpsw | Cmpsd | Cmpsq | Scasb | Scasw | Scasd | Scasq);
            let apart = case.native.cpu.eflags() ^ case.ours.cpu.eflags();
            compares && field.name == "eflags" && pages(case).is_some() && apart & !0x8d5 == 0
        },
    },
    Explained {
        name: "transcendental functions without the scale of an underflow",
        words: "as \"transcendental functions\", where only one side tells of an underflow that is not masked, and scales for it",
        covers: |case, field| {
            let unit = |after: &After<'_>| hokku_ir::guest::X87 { status: 0, ..after.cpu.x87 };
            let (a, b) = (unit(case.native), unit(case.ours));
            is_transcendental(case.insn) && register_number(&field.name).is_some_and(|n| near(&a, &b, n))
        },
    },
];

/// What the processor does otherwise, and translated code does not.
pub const OF_THE_PROCESSOR: &[Explained] = &[
    Explained {
        name: "components in use",
        words: "SDM volume 1, 13.6: \"If XINUSE[i] = 0, state component i is known to be in its initial configuration; otherwise XINUSE[i] = 1. It is \
                possible for XINUSE[i] to be 1 even when state component i is in its initial configuration.\" What is not in use is not stored",
        covers: |case, field| {
            images::one_side_stores_nothing_that_faults(case)
                || field.name.starts_with('[') && images::only_initial_components_are_apart(case)
        },
    },
    Explained {
        name: "selector pushed whole",
        words: "PUSH: \"if the operand size is 32-bits, either a zero-extended value is pushed on the stack or the segment selector is written on the \
                stack using a 16-bit move\"",
        covers: |case, field| {
            let insn = case.insn;
            let pushes = insn.mnemonic() == Mnemonic::Push && insn.op0_register().is_segment_register();
            let upper = case.before.get(Gpr::Rsp).wrapping_sub(2) & 0xffff_ffff;
            let of_it = |(at, a, _): (u64, u8, u8)| a == 0 && at.wrapping_sub(upper) < 2;
            let beyond = case.ours.ending == Ending::Arrived
                && matches!(case.native.ending, Ending::Exception { page: Some((at, true)), .. } if at.wrapping_sub(upper) < 2);
            pushes && (beyond || field.name.starts_with('[') && images::apart(case).all(of_it))
        },
    },
    Explained {
        name: "return address of a call to nowhere",
        words: "CALL to an address that is not canonical is a fault (#GP); whether the return address is on the stack by then is not said",
        covers: |case, field| {
            let rsp = case.before.get(Gpr::Rsp);
            let below = |(at, ..): (u64, u8, u8)| rsp.wrapping_sub(at).wrapping_sub(1) < 8;
            let calls = case.insn.mnemonic() == Mnemonic::Call && exceptions(case) == Some((vector::GP, vector::GP));
            calls && field.name.starts_with('[') && images::apart(case).all(below)
        },
    },
    Explained {
        name: "misaligned exception mask",
        words: "APM, MXCSR: bit 17, MM, masks the exception for operands that are not aligned. Intel's have it reserved: #GP where it is loaded",
        covers: |case, _| {
            let loads = |m| {
                use Mnemonic::*;
                matches!(m, Ldmxcsr | Vldmxcsr | Fxrstor | Fxrstor64 | Xrstor | Xrstor64)
            };
            let refused = matches!(case.ours.ending, Ending::Exception { vector: vector::GP, .. });
            let loaded = case.native.ending == Ending::Arrived && case.native.cpu.mxcsr & 1 << 17 != 0;
            loads(case.insn.mnemonic()) && loaded && refused
        },
    },
    Explained {
        name: "SHA operand that is not aligned",
        words: "SHA1RNDS4 and its kin want their operand aligned as all 128-bit ones (#GP); AMD's do not look",
        covers: |case, _| {
            let refused = matches!(case.ours.ending, Ending::Exception { vector: vector::GP, .. });
            is_sha(case.insn.code())
                && case.native.ending == Ending::Arrived
                && refused
                && operand(case).is_some_and(|at| at % 16 != 0)
        },
    },
    Explained {
        name: "16-bit movsxd reads 32 bits",
        words: "SDM, MOVSXD: with a 16-bit destination the source is of 16 bits; APM: of 32 bits, as with any destination",
        covers: |case, _| {
            let at_fault = fault_of_memory(case.native.ending);
            case.insn.code() == Code::Movsxd_r16_rm16 && at_fault && case.ours.ending == Ending::Arrived
        },
    },
    Explained {
        name: "loop with a repeat prefix",
        words: "volume 2, 2.1.1: \"Use of repeat prefixes ... with other Intel 64 or IA-32 instructions is reserved; such use may cause \
                unpredictable behavior.\" AMD's take the condition of LOOPE and LOOPNE from the prefix",
        covers: |case, field| {
            let loops = matches!(case.insn.mnemonic(), Mnemonic::Loope | Mnemonic::Loopne);
            loops && (case.insn.has_rep_prefix() || case.insn.has_repne_prefix()) && field.name == "rip"
        },
    },
];

/// Removes x87 pointers from `fields` that another make does not keep; whether there were any.
///
/// APM, FXSAVE: it "does not save the x87 pointer registers (last instruction pointer, last data pointer, and last opcode), except in the
/// relatively rare cases in which the exception-summary (ES) bit in the x87 status word is set to 1", and FXRSTOR does not load them. With it, addresses
/// are of 48 bits there, and that of the operand is not kept where the instruction has none. In a piece of code exceptions may be cleared and
/// raised again, and pointers are lost where they are saved in between.
pub fn without_pointers(
    program: &Program,
    before: &CpuState,
    native: &After<'_>,
    ours: &After<'_>,
    fields: &mut Vec<Field>,
) -> bool {
    let (a, b) = (&native.cpu.x87, &ours.cpu.x87);
    let pending = a.status & b.status & PENDING != 0;
    let loaded = before.x87.status & PENDING != 0;
    let memory = |i: &Instruction| (0..i.op_count()).any(|n| i.op_kind(n) == OpKind::Memory);
    let has_operand = program.insns.iter().any(|i| i.ip() == b.instruction && memory(i));
    let unseen = |a: u64, b: u64, before: u64| !pending || a << 16 == b << 16 || !loaded && b == before;
    let len = fields.len();
    fields.retain(|field| !match field.name.as_str() {
        "x87 opcode" => unseen(a.opcode.into(), b.opcode.into(), before.x87.opcode.into()),
        "x87 instruction" => unseen(a.instruction, b.instruction, before.x87.instruction),
        "x87 operand" => {
            let is_kept = loaded && program.is_single();
            unseen(a.operand, b.operand, before.x87.operand) || !is_kept && !has_operand
        }
        _ => false,
    });
    fields.len() != len
}

/// Why the processor of another make reads `program` as something else, or not at all; `None` where it does not.
pub fn left_out(program: &Program) -> Option<&'static str> {
    let odd = |insn: &Instruction| {
        use Code::*;
        let from = (insn.ip() - program.at) as usize;
        let bytes = &program.bytes[from..from + insn.len()];
        match insn.code() {
            INVALID if is_lock_mov_control(bytes) => Some("LOCK before a move of cr0 makes it one of cr8"),
            INVALID if vex(bytes).is_some() => Some("VEX.W that must be zero or one is not looked at"),
            Lfs_r64_m1664 | Lgs_r64_m1664 | Lss_r64_m1664 | Jmp_m1664 | Call_m1664 => {
                Some("REX.W makes no 64-bit offset")
            }
            VEX_Vpinsrd_xmm_xmm_rm32_imm8 | VEX_Vpextrd_rm32_xmm_imm8
                if vex(bytes).is_some_and(|v| v[2] & 0x80 != 0) =>
            {
                Some("VEX.W of 32-bit code is not ignored")
            }
            Pause if bytes.len() > 2 => Some("REX.B makes it an exchange with r8"),
            Int1 => Some("its debug exception is told at the instruction"),
            Reservednop_rm16_r16_0F0D | Reservednop_rm32_r32_0F0D | Reservednop_rm64_r64_0F0D
                if insn.op0_kind() == OpKind::Register =>
            {
                Some("a prefetch of a register is invalid")
            }
            _ => None,
        }
    };
    program.insns.iter().find_map(odd)
}

/// Whether `insn` may not stand in a piece of code, where what it leaves open would be seen by what follows.
pub fn is_open(insn: &Instruction) -> bool {
    use Code::*;
    let selector = insn.mnemonic() == Mnemonic::Push && insn.op0_register().is_segment_register();
    let read_otherwise = matches!(
        insn.code(),
        Reservednop_rm16_r16_0F0D
            | Reservednop_rm32_r32_0F0D
            | Reservednop_rm64_r64_0F0D
            | Pause
            | VEX_Vpinsrd_xmm_xmm_rm32_imm8
            | VEX_Vpextrd_rm32_xmm_imm8
    );
    let by_name = {
        use Mnemonic::*;
        let dot_product = matches!(insn.mnemonic(), Dpps | Vdpps | Dppd | Vdppd);
        dot_product || matches!(insn.mnemonic(), Vldmxcsr | Fprem | Fprem1 | Fscale)
    };
    let unaligned = is_sha(insn.code()) && (0..insn.op_count()).any(|n| insn.op_kind(n) == OpKind::Memory);
    selector || read_otherwise || by_name || unaligned || is_estimate(insn.mnemonic())
}

/// Whether it is a locked move from or to a control register.
fn is_lock_mov_control(bytes: &[u8]) -> bool {
    bytes.contains(&0xf0) && bytes.windows(2).any(|pair| matches!(pair, [0x0f, 0x20 | 0x22]))
}

/// The VEX prefix of `bytes` and what follows.
fn vex(bytes: &[u8]) -> Option<&[u8]> {
    let legacy = |b: &u8| matches!(b, 0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3 | 0x40..=0x4f);
    let start = bytes.iter().position(|b| !legacy(b))?;
    Some(&bytes[start..]).filter(|rest| matches!(rest[0], 0xc4 | 0xc5))
}

fn is_sha(code: Code) -> bool {
    code.cpuid_features().contains(&CpuidFeature::SHA)
}

fn is_estimate(mnemonic: Mnemonic) -> bool {
    use Mnemonic::*;
    matches!(mnemonic, Rcpps | Rcpss | Rsqrtps | Rsqrtss | Vrcpps | Vrcpss | Vrsqrtps | Vrsqrtss)
}

/// Whether `a` and `b` may both be estimates of one number.
pub fn estimate_one(a: f32, b: f32) -> bool {
    /// Twice the error that either may have.
    const APART: f64 = 3.0 / 4096.0;
    let (a, b) = (f64::from(a), f64::from(b));
    let (low, high) = (a.abs().min(b.abs()), a.abs().max(b.abs()));
    let alike = a.is_sign_negative() == b.is_sign_negative();
    let tiny = low == 0.0 && high < f64::from(f32::MIN_POSITIVE) * (1.0 + APART);
    let near = high.is_finite() && high - low <= APART * low / (1.0 - APART / 2.0);
    !a.is_nan() && !b.is_nan() && alike && (tiny || near)
}

/// Whether `scaled` is the denormal number `v` times 2^24576.
fn is_scaled_denormal(v: F80, scaled: F80) -> bool {
    let shift = v.significand.leading_zeros();
    let (sign, exponent) = (v.sign_exponent & 0x8000, v.sign_exponent & 0x7fff);
    let is_denormal = exponent == 0 && v.significand != 0;
    is_denormal
        && scaled.significand == v.significand << shift
        && scaled.sign_exponent == sign | (1 + 0x6000 - shift as u16)
}

/// The vector register that `field` is, if it is the first operand's, on both sides.
fn lanes<'a>(case: &'a Case<'_>, field: &Field) -> Option<(&'a [u64; 4], &'a [u64; 4])> {
    let register = case.insn.op0_register();
    let is_it = register.is_vector_register() && field.name == format!("ymm{}", register.number());
    is_it.then(|| (&case.native.cpu.vector[register.number()], &case.ours.cpu.vector[register.number()]))
}

/// Whether `same` holds for all 32-bit lanes.
fn singles(a: &[u64; 4], b: &[u64; 4], same: impl Fn(u32, u32) -> bool) -> bool {
    a.iter().zip(b).all(|(a, b)| same(*a as u32, *b as u32) && same((a >> 32) as u32, (b >> 32) as u32))
}

/// What a register was before, and is on either side.
type Versions<'a> = (&'a [u64; 4], &'a [u64; 4], &'a [u64; 4]);

/// Whether masks of elements of `size` bytes in a register of `width` bytes select the same elements behind a fault: the processor's as it was or done,
/// ours done or with whole elements, and zero or such beyond the register.
fn is_same_mask(size: usize, width: usize, (before, a, b): Versions<'_>) -> bool {
    let lane = |v: &[u64; 4], n: usize| if size == 8 { v[n] } else { v[n / 2] >> (32 * (n % 2)) & 0xffff_ffff };
    let whole = |v: u64| (v >> (8 * size - 1) & 1) * (u64::MAX >> (64 - 8 * size));
    (0..32 / size).all(|n| {
        let (before, a, b) = (lane(before, n), lane(a, n), lane(b, n));
        let beyond = n * size >= width;
        a == 0 && b == 0 || a == before && (b == whole(before) || beyond && b == 0)
    })
}

/// Whether the lower `width` bytes are the same, and above them the processor's are as they were and ours zero.
fn is_same_below(width: usize, (before, a, b): Versions<'_>) -> bool {
    let words = width / 8;
    a[..words] == b[..words] && a[words..] == before[words..] && b[words..].iter().all(|v| *v == 0)
}

/// Whether memory could not be reached.
fn fault_of_memory(ending: Ending) -> bool {
    matches!(ending, Ending::Exception { vector: vector::PF | vector::GP | vector::SS, .. })
}

/// Addresses of the page faults that end both sides.
fn pages(case: &Case<'_>) -> Option<(u64, u64)> {
    match (case.native.ending, case.ours.ending) {
        (Ending::Exception { page: Some((a, _)), .. }, Ending::Exception { page: Some((b, _)), .. }) => Some((a, b)),
        _ => None,
    }
}

/// Address of the memory operand.
pub(super) fn operand(case: &Case<'_>) -> Option<u64> {
    let mode = if case.insn.code_size() == CodeSize::Code64 { CpuMode::Long64 } else { CpuMode::Protected32 };
    let mut factory = InstructionInfoFactory::new();
    factory.info(case.insn).used_memory().first().map(|memory| address(memory, case.before, mode))
}

#[cfg(test)]
mod tests {
    use hokku_ir::eval::cpuid::CpuModel;

    use super::super::explain::EXPLAINED;
    use super::super::sequence::decode_all;
    use super::*;

    fn program(mode: CpuMode, bytes: &[u8]) -> Program {
        Program::sequence(mode, CpuModel::DEFAULT, 0x1000, bytes.to_vec(), decode_all(mode, 0x1000, bytes))
    }

    #[test]
    fn names_are_their_own() {
        let all = [EXPLAINED, OF_ITS_CODE, OF_THE_PROCESSOR];
        let mut names: Vec<_> = all.iter().flat_map(|of| of.iter().map(|e| e.name)).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn what_is_read_otherwise_is_left_out() {
        const LEFT_OUT: &[(CpuMode, &[u8])] = &[
            (CpuMode::Long64, &[0xf3, 0x49, 0x90]),
            (CpuMode::Long64, &[0xf1]),
            (CpuMode::Long64, &[0x0f, 0x0d, 0xc0]),
            (CpuMode::Long64, &[0x4d, 0x0f, 0xb4, 0x07]),
            (CpuMode::Long64, &[0x90, 0x48, 0xff, 0x28]),
            (CpuMode::Long64, &[0xf0, 0x0f, 0x20, 0xc3]),
            (CpuMode::Protected32, &[0xc4, 0xe3, 0xf9, 0x16, 0x0f, 0x01]),
            (CpuMode::Protected32, &[0xc4, 0xe3, 0x7d, 0x01, 0xd7, 0x01]),
        ];
        const COMPARED: &[(CpuMode, &[u8])] = &[
            (CpuMode::Long64, &[0xf3, 0x90]),
            (CpuMode::Long64, &[0x0f, 0x0d, 0x00]),
            (CpuMode::Long64, &[0x0f, 0xb4, 0x07]),
            (CpuMode::Long64, &[0xf0, 0x01, 0xc0]),
            (CpuMode::Protected32, &[0xc4, 0xe3, 0x79, 0x16, 0x0f, 0x01]),
        ];
        for (mode, bytes) in LEFT_OUT {
            assert!(left_out(&program(*mode, bytes)).is_some(), "{bytes:x?}");
        }
        for (mode, bytes) in COMPARED {
            assert_eq!(left_out(&program(*mode, bytes)), None, "{bytes:x?}");
        }
    }

    #[test]
    fn pieces_have_nothing_that_is_open() {
        let open = |bytes: &[u8]| is_open(&decode_all(CpuMode::Protected32, 0, bytes)[0]);
        // rcpps, vrsqrtss, push es, fprem, dpps, sha1nexte [eax]
        assert!(open(&[0x0f, 0x53, 0xc1]));
        assert!(open(&[0xc5, 0xf2, 0x52, 0xc1]));
        assert!(open(&[0x06]));
        assert!(open(&[0xd9, 0xf8]));
        assert!(open(&[0x66, 0x0f, 0x3a, 0x40, 0xc1, 0xff]));
        assert!(open(&[0x0f, 0x38, 0xc8, 0x00]));
        // sqrtps, push eax, fsqrt, sha1nexte xmm0, xmm1
        assert!(!open(&[0x0f, 0x51, 0xc1]));
        assert!(!open(&[0x50]));
        assert!(!open(&[0xd9, 0xfa]));
        assert!(!open(&[0x0f, 0x38, 0xc8, 0xc1]));
    }

    #[test]
    fn estimates_are_twice_their_error_apart() {
        assert!(estimate_one(1.0, 1.0007));
        assert!(!estimate_one(1.0, 1.0008));
        assert!(estimate_one(-3.0, -3.002));
        assert!(!estimate_one(1.0, -1.0));
        // Tiny ones are zero or the least normal number.
        assert!(estimate_one(0.0, f32::MIN_POSITIVE));
        assert!(!estimate_one(0.0, 1.1 * f32::MIN_POSITIVE));
        assert!(!estimate_one(f32::INFINITY, f32::MAX));
        assert!(!estimate_one(f32::NAN, 1.0));
    }

    #[test]
    fn masks_are_the_same_where_they_select_the_same() {
        let before = [0x8000_0000_0000_0001, 7, 0x8000_0000, 0];
        let whole = [0xffff_ffff_0000_0000, 0, 0xffff_ffff, 0];
        assert!(is_same_mask(4, 32, (&before, &before, &whole)));
        assert!(!is_same_mask(4, 32, (&before, &before, &[0, 0, 0xffff_ffff, 0])));
        assert!(is_same_mask(4, 16, (&before, &before, &[whole[0], 0, 0, 0])));
        assert!(!is_same_mask(4, 32, (&before, &[2, 7, 0x8000_0000, 0], &[0, 0, 0xffff_ffff, 0])));
        assert!(is_same_mask(4, 32, (&before, &[0, 7, 0x8000_0000, 0], &[0, 0, 0xffff_ffff, 0])));
        assert!(is_same_mask(8, 32, (&before, &before, &[u64::MAX, 0, 0, 0])));
        assert!(is_same_below(16, (&before, &[1, 2, before[2], before[3]], &[1, 2, 0, 0])));
        assert!(!is_same_below(16, (&before, &[1, 2, 0, 0], &[1, 3, 0, 0])));
    }

    #[test]
    fn denormal_numbers_are_scaled() {
        let f80 = |sign_exponent, significand| F80 { significand, sign_exponent, padding: [0; 3] };
        assert!(is_scaled_denormal(f80(0x8000, 1), f80(0xdfc2, 1 << 63)));
        assert!(is_scaled_denormal(f80(0, u64::MAX >> 1), f80(0x6000, u64::MAX - 1)));
        assert!(!is_scaled_denormal(f80(0, 1), f80(0xdfc2, 1 << 63)));
        assert!(!is_scaled_denormal(f80(0, 0), f80(0x6000, 0)));
    }

    #[test]
    fn pointers_count_where_they_are_kept() {
        let fst = program(CpuMode::Long64, &[0xd9, 0x10]);
        let fnclex_fsqrt = program(CpuMode::Long64, &[0xdb, 0xe2, 0xd9, 0xfa]);
        let mut before = CpuState::new(CpuMode::Long64);
        before.x87.operand = 5;
        let left_of = |program: &Program, before: &CpuState, status: u16, native: u64, ours: u64| {
            let (mut a, mut b) = (before.clone(), before.clone());
            (a.x87.status, b.x87.status) = (status, status);
            (a.x87.operand, b.x87.operand, b.x87.instruction) = (native, ours, 0x1000);
            let after = |cpu| After { ending: Ending::Arrived, cpu, memory: &[] };
            let (a, b) = (after(&a), after(&b));
            let mut fields = super::super::compare::differences(&a, &b);
            without_pointers(program, before, &a, &b, &mut fields);
            fields.iter().any(|f| f.name == "x87 operand")
        };
        let left = |before: &CpuState, status, native, ours| left_of(&fst, before, status, native, ours);
        assert!(!left(&before, 0, 0, 9));
        assert!(left(&before, PENDING, 0, 9));
        assert!(!left(&before, PENDING, 0xffff_8000_0000_0009, 0x1234_8000_0000_0009));
        assert!(!left(&before, PENDING, 0, 5));
        before.x87.status = PENDING;
        assert!(left(&before, PENDING, 0, 5));
        assert!(!left_of(&fnclex_fsqrt, &before, PENDING, 0, 5));
    }
}

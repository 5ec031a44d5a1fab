//! Cases: an instruction with its surroundings, and states to run it from.

use std::collections::HashSet;

use hokku_frontend::known_as;
use hokku_ir::eval::cpuid::CpuModel;
use hokku_ir::{CpuMode, CpuState, Gpr, Seg, X87Arithmetic};
use iced_x86::{
    Code, CodeSize, CpuidFeature, Decoder, DecoderOptions, Instruction, InstructionInfoFactory, Mnemonic, OpKind,
    Register, UsedMemory, UsedRegister,
};

use super::encoding::{self, Encoded, bitness};
use super::far;
use super::lanes;
use super::pages::BYTES;
use super::rng::Rng;
use super::safety::{
    self, accesses_are_harmless, address, bits_are_harmless, excluded, is_far_bit_test, is_indirect, is_near_branch,
    set_value, value, writes_code_segment,
};
use super::system;
use super::values;
use crate::oracle::layout::{BASES_32, CODE, PAGE, SCRATCH, SELECTORS_32, WRITABLE};

/// Bytes of the largest stub.
const STUB: u64 = 18;

/// Code to run from some states, and what of it the states depend on.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its word size.
    pub mode: CpuMode,
    /// The processor that it runs on.
    pub model: CpuModel,
    /// What x87 instructions compute in.
    pub x87: X87Arithmetic,
    /// What this processor runs in its place to do what that one does.
    pub native: Native,
    /// Address of its first instruction.
    pub at: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Where it is over.
    pub arrivals: Vec<u64>,
    /// Its instructions.
    pub insns: Vec<Instruction>,
    /// Whether it is one instruction, of which anything may be allowed.
    single: bool,
    /// Memory that the first instruction uses: what single-instruction states aim at the scratch pages.
    used: Vec<UsedMemory>,
    /// Numbers of the vector registers that it uses.
    vectors: Vec<usize>,
    /// Whether it works on the x87 unit, or may.
    uses_x87: bool,
}

/// What a processor with all instructions does in place of an older one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Native {
    /// The same.
    Same,
    /// These bytes: their instruction is the one that the older processor finds.
    Bytes(Vec<u8>),
    /// Nothing: the older one finds no instruction.
    Invalid,
}

/// Where a run starts.
#[derive(Clone, Debug)]
pub struct Start {
    /// Registers.
    pub cpu: CpuState,
    /// Bytes that differ from the common pattern of the scratch pages: address and contents.
    pub memory: Vec<(u64, Vec<u8>)>,
}

/// The contents of the scratch pages before each case's own bytes.
pub fn pattern() -> Box<[u8; BYTES]> {
    let mut rng = Rng::new(0x5c7a_7c41, 0);
    let mut bytes = Box::new([0; BYTES]);
    for chunk in bytes.chunks_mut(32) {
        values::operand(&mut rng, chunk);
    }
    bytes
}

/// Instructions of `mode` that are translated and can be compared.
pub fn codes(mode: CpuMode) -> Vec<Code> {
    translated(mode).into_iter().filter(|c| excluded(*c).is_none()).collect()
}

/// Of `codes`, those that `model` has.
pub fn codes_of(model: &CpuModel, codes: &[Code]) -> Vec<Code> {
    codes.iter().copied().filter(|c| known_as(*c, model.features) == Some(*c)).collect()
}

/// Instructions of `mode` that are translated and cannot be compared, and why.
pub fn left_out(mode: CpuMode) -> Vec<(Code, &'static str)> {
    translated(mode).into_iter().filter_map(|c| Some((c, excluded(c)?))).collect()
}

fn translated(mode: CpuMode) -> Vec<Code> {
    let translated: HashSet<String> = hokku_frontend::coverage()
        .into_iter()
        .filter(|c| c.status == hokku_frontend::Status::Translated)
        .filter(|c| if mode == CpuMode::Protected32 { c.in_32 } else { c.in_64 })
        .map(|c| c.name)
        .collect();
    Code::values().filter(|c| translated.contains(&format!("{c:?}")) && !c.op_code().fwait()).collect()
}

impl Program {
    /// One random instruction of kind `code`, for processors that have it all; `None` where no encoding was found.
    pub fn single(rng: &mut Rng, code: Code, mode: CpuMode) -> Option<Program> {
        let at = CODE + 0x400 + rng.below(0x400);
        let illegal = rng.one_in(50).then(|| encoding::illegal(rng, code, mode, at)).flatten();
        let legal = illegal.is_none();
        let Encoded { mut bytes, mut insn } = illegal.or_else(|| encoding::random(rng, code, mode, at))?;
        if legal && excluded(insn.code()).is_some() {
            return None;
        }
        aim_constants(rng, mode, &mut bytes, &insn);
        insn = encoding::decode(mode, at, &bytes);
        let mut factory = InstructionInfoFactory::new();
        let info = factory.info(&insn);
        let used = info.used_memory().to_vec();
        let registers = || info.used_registers().iter().map(UsedRegister::register);
        let vectors = registers().filter(|r| r.is_vector_register()).map(Register::number).collect();
        let uses_x87 = registers().any(|r| r.is_st() || r.is_mm()) || is_of_x87(code);
        if mode == CpuMode::Protected32 && writes_code_segment(&insn, &used) {
            return None;
        }
        let next = at + bytes.len() as u64;
        let mut arrivals = vec![next];
        if is_near_branch(&insn) {
            let target = insn.near_branch_target();
            let apart = target + STUB <= at || target >= next + STUB;
            let inside = (CODE..=CODE + PAGE - STUB).contains(&target);
            if inside && apart {
                arrivals.push(target);
            } else if target != next && inside {
                return None;
            }
        }
        let (model, native) = (CpuModel::DEFAULT, Native::Same);
        Some(Program {
            mode,
            model,
            x87: X87Arithmetic::Exact,
            native,
            at,
            bytes,
            arrivals,
            insns: vec![insn],
            single: true,
            used,
            vectors,
            uses_x87,
        })
    }

    /// The one instruction as a program for the processor `model`, which may know it as another one or not at all.
    pub fn on(mut self, model: CpuModel) -> Program {
        self.model = model;
        let code = self.insns[0].code();
        let known = known_as(code, model.features);
        if known.is_some_and(|known| known != code) {
            let bytes = without_rep(&self.bytes);
            self.insns = vec![encoding::decode(self.mode, self.at, &bytes)];
            self.native = Native::Bytes(bytes);
        } else if known.is_none() {
            self.native = Native::Invalid;
        }
        self
    }

    /// With x87 instructions that compute in `x87`.
    #[must_use]
    pub fn computing_in(self, x87: X87Arithmetic) -> Program {
        Program { x87, ..self }
    }

    /// Code of several instructions whose states the caller prepares.
    pub fn sequence(mode: CpuMode, model: CpuModel, at: u64, bytes: Vec<u8>, insns: Vec<Instruction>) -> Program {
        let arrivals = vec![at + bytes.len() as u64];
        let (used, vectors) = (Vec::new(), Vec::new());
        let (x87, native) = (X87Arithmetic::Exact, Native::Same);
        Program { mode, model, x87, native, at, bytes, arrivals, insns, single: false, used, vectors, uses_x87: true }
    }

    /// Whether it is one instruction.
    pub fn is_single(&self) -> bool {
        self.single
    }

    /// Whether it is 32-bit code with fs or gs.
    pub fn needs_segments(&self) -> bool {
        self.mode == CpuMode::Protected32 && self.insns.iter().any(uses_based_segment)
    }

    /// A random state to run the one instruction from; `None` where memory of this process would be touched. Of vector and x87 registers that
    /// the instruction does not use, the values are those of `last`, the state before.
    pub fn start(&self, rng: &mut Rng, last: &mut Option<CpuState>) -> Option<Start> {
        let insn = &self.insns[0];
        let cpu = match last {
            Some(last) => values::next_state(rng, self.mode, last, &self.vectors, self.uses_x87),
            None => values::state(rng, self.mode),
        };
        *last = Some(cpu.clone());
        let mut start = Start { cpu, memory: Vec::new() };
        start.cpu.rip = self.at;
        if self.needs_segments() {
            for (i, seg) in [Seg::Fs, Seg::Gs].into_iter().enumerate() {
                start.cpu.selector[seg.index()] = SELECTORS_32[i];
                start.cpu.segment_base[seg.index()] = BASES_32[i];
            }
        } else if uses_based_segment(insn) {
            for seg in [Seg::Fs, Seg::Gs] {
                start.cpu.segment_base[seg.index()] = match rng.below(3) {
                    0 => 0,
                    1 => SCRATCH + rng.below(64),
                    _ => rng.u64() >> 18,
                };
            }
        }
        limit_counts(rng, insn, &mut start.cpu);
        system::set_components(rng, insn, &mut start.cpu);
        system::set_selector(rng, insn, &mut start.cpu);
        lanes::set_lengths(rng, insn, &mut start.cpu, self.mode);
        lanes::relate(rng, insn, &mut start.cpu);
        self.aim(rng, &mut start);
        if is_indirect(insn.flow_control()) && !far::is_far(insn) {
            self.aim_jump(rng, &mut start);
        }
        self.start_is_harmless(&start).then_some(start)
    }

    /// Whether running from `start` touches no memory of this process.
    pub fn start_is_harmless(&self, start: &Start) -> bool {
        if !self.single {
            return true;
        }
        let flags = matches!(self.insns[0].mnemonic(), Mnemonic::Popf | Mnemonic::Popfd | Mnemonic::Popfq);
        // Flags from elsewhere might hold TF or AC.
        let sp = start.cpu.get(Gpr::Rsp);
        if flags
            && (SCRATCH - 8..SCRATCH + 3 * PAGE).contains(&sp)
            && !start.memory.iter().any(|(at, b)| *at == sp && b.len() >= 4)
        {
            return false;
        }
        let insn = &self.insns[0];
        if system::asks_for_other_components(insn, &start.cpu)
            || system::asks_for_other_segment(insn, &self.used, self.mode, start)
            || far::loads_other_selector(insn, &self.used, self.mode, start)
        {
            return false;
        }
        accesses_are_harmless(&self.used, &start.cpu, self.mode)
            && bits_are_harmless(insn, &self.used, &start.cpu, self.mode)
    }

    /// Points the instruction's memory operands at the scratch pages and puts values there.
    fn aim(&self, rng: &mut Rng, start: &mut Start) {
        let mut aimed = Vec::new();
        for memory in &self.used {
            let size = safety::size(memory) as usize;
            if memory.vsib_size() != 0 {
                lanes::aim_gather(rng, memory, &mut start.cpu, self.mode, |rng| place(rng, size as u64, self.mode));
                continue;
            }
            let target = place(rng, size as u64, self.mode);
            let base = if memory.base() == Register::None { memory.index() } else { memory.base() };
            let fixed = base == Register::None || aimed.contains(&base.full_register());
            if !fixed && memory.address_size() != CodeSize::Code16 {
                aimed.push(base.full_register());
                let mut factor = 0;
                if memory.base() == base {
                    factor += 1;
                }
                if memory.index() == base {
                    factor += u64::from(memory.scale());
                }
                let away = target.wrapping_sub(address(memory, &start.cpu, self.mode));
                let old = value(&start.cpu, base);
                if factor == 1 {
                    set_value(&mut start.cpu, base, old.wrapping_add(away));
                } else {
                    set_value(&mut start.cpu, base, 0);
                    let rest = target.wrapping_sub(address(memory, &start.cpu, self.mode));
                    set_value(&mut start.cpu, base, rest / factor);
                }
            }
            let at = address(memory, &start.cpu, self.mode);
            let mut bytes = vec![0; size.clamp(8, 64)];
            values::operand(rng, &mut bytes);
            start.put(at, &bytes);
        }
        lanes::set_mask(rng, &self.insns[0], &mut start.cpu);
        system::put_image(rng, &self.insns[0], &self.used, self.mode, start);
        system::put_selector(rng, &self.insns[0], &self.used, self.mode, start);
        far::put_pointer(rng, &self.insns[0], &self.used, self.mode, start);
        if matches!(self.insns[0].mnemonic(), Mnemonic::Popf | Mnemonic::Popfd | Mnemonic::Popfq) {
            // Without TF and AC, which would trap what follows, and NT.
            let flags = u64::from(rng.u64() as u32 & !0x4_4100).to_le_bytes();
            start.put(start.cpu.get(Gpr::Rsp), &flags);
        }
    }

    /// Sets the target of a computed jump: elsewhere in the code page, or unmapped.
    fn aim_jump(&self, rng: &mut Rng, start: &mut Start) {
        let insn = &self.insns[0];
        let target = match rng.below(4) {
            0 => 0x4000_0000 + rng.below(0x1000_0000),
            _ => CODE + 0xe00 + rng.below(0x1f0),
        };
        if insn.op_count() > 0 && insn.op_kind(0) == OpKind::Register {
            set_value(&mut start.cpu, insn.op0_register(), target);
        } else if let Some(memory) = self.used.iter().find(|m| m.access() != iced_x86::OpAccess::Write) {
            let at = address(memory, &start.cpu, self.mode);
            start.put(at, &target.to_le_bytes());
        }
    }
}

impl Start {
    /// Puts `bytes` at `at`, as far as that is writable.
    pub fn put(&mut self, at: u64, bytes: &[u8]) {
        let Some(offset) = at.checked_sub(SCRATCH).filter(|o| *o < WRITABLE) else { return };
        let len = bytes.len().min((WRITABLE - offset) as usize);
        self.memory.push((at, bytes[..len].to_vec()));
    }

    /// Writes the case's own bytes over the pattern in `memory`, the writable scratch bytes.
    pub fn apply(&self, memory: &mut [u8]) {
        for (at, bytes) in &self.memory {
            let offset = (at - SCRATCH) as usize;
            memory[offset..offset + bytes.len()].copy_from_slice(bytes);
        }
    }
}

/// `bytes` of one instruction with prefixes of no effect in place of REP: of the segment that it names, or DS.
fn without_rep(bytes: &[u8]) -> Vec<u8> {
    let prefixes = bytes.iter().position(|b| *b == 0x0f).unwrap_or(bytes.len());
    let segment = bytes[..prefixes].iter().rev().find(|b| matches!(b, 0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65));
    let other = *segment.unwrap_or(&0x3e);
    let replaced = bytes.iter().enumerate().map(|(i, b)| if i < prefixes && *b == 0xf3 { other } else { *b });
    replaced.collect()
}

/// Whether `code` is of the x87 unit or MMX, or stores or loads their state.
fn is_of_x87(code: Code) -> bool {
    use CpuidFeature::*;
    let features = [FPU, FPU287, FPU387, FXSR, MMX, XSAVE, XSAVEC, XSAVEOPT];
    code.cpuid_features().iter().any(|f| features.contains(f))
}

/// Whether it names fs or gs, whose bases are not zero.
fn uses_based_segment(insn: &Instruction) -> bool {
    matches!(insn.segment_prefix(), Register::FS | Register::GS)
}

/// Whether it is a string instruction of 64-bit code with 32-bit addresses.
fn uses_half_addresses(insn: &Instruction) -> bool {
    let half = [OpKind::MemoryESEDI, OpKind::MemorySegESI, OpKind::MemorySegEDI];
    insn.code_size() == CodeSize::Code64 && (0..insn.op_count()).any(|i| half.contains(&insn.op_kind(i)))
}

/// A place for an operand of `size` bytes: mostly well inside, else at the edges and beyond.
fn place(rng: &mut Rng, size: u64, mode: CpuMode) -> u64 {
    let end = SCRATCH + WRITABLE;
    let room = WRITABLE - size.min(WRITABLE / 2);
    match rng.below(64) {
        0..=39 => SCRATCH + (rng.below(room) & !63),
        40..=53 => SCRATCH + rng.below(room),
        54 => end - rng.below(size + 1),
        55 => end + rng.below(PAGE - 16),
        56 => end + PAGE - rng.below(size + 1),
        57 => end + PAGE + rng.below(64),
        58 => SCRATCH - rng.below(size + 1),
        // Over the inner page boundary.
        59..=61 => SCRATCH + PAGE - rng.below(size + 1),
        _ if mode == CpuMode::Protected32 => rng.pick(&[0, 0xffff_fff8, 0x8000_0000]),
        _ => rng.pick(&[
            0,
            0x8000_0000_0000,
            0xffff_8000_0000_0000,
            0x1234_5678_9abc_def0,
            0x7fff_ffff_ffff_fffa,
            u64::MAX,
        ]),
    }
}

/// Patches displacements that no register is added to and relative jumps so that they lead to where something is.
fn aim_constants(rng: &mut Rng, mode: CpuMode, bytes: &mut [u8], insn: &Instruction) {
    far::aim_direct(rng, mode, bytes, insn);
    let mut decoder = Decoder::with_ip(bitness(mode), bytes, insn.ip(), DecoderOptions::NONE);
    let again = decoder.decode();
    let constants = decoder.get_constant_offsets(&again);
    let mut patch = |offset: usize, size: usize, v: u64| {
        bytes[offset..offset + size].copy_from_slice(&v.to_le_bytes()[..size]);
    };
    if is_near_branch(insn) {
        let back = rng.percent(50);
        let away = match constants.immediate_size() {
            1 if back => rng.below(90).wrapping_sub(128),
            1 => 24 + rng.below(100),
            4 if back => rng.below(0x300).wrapping_sub(0x380),
            4 => 24 + rng.below(0x300),
            _ => return,
        };
        patch(constants.immediate_offset(), constants.immediate_size(), away);
        return;
    }
    let has_memory = (0..insn.op_count()).any(|i| insn.op_kind(i) == OpKind::Memory);
    let relative = insn.is_ip_rel_memory_operand();
    let absolute = insn.memory_base() == Register::None && insn.memory_index() == Register::None;
    if has_memory && (relative || absolute) && constants.displacement_size() >= 4 {
        let target = place(rng, insn.memory_size().size() as u64, CpuMode::Protected32);
        let value = if relative { target.wrapping_sub(insn.next_ip()) } else { target };
        patch(constants.displacement_offset(), constants.displacement_size(), value);
    }
}

/// Keeps what an instruction repeats, or reaches beyond its operand, within the scratch pages.
fn limit_counts(rng: &mut Rng, insn: &Instruction, cpu: &mut CpuState) {
    if insn.is_string_instruction() {
        let count = if rng.one_in(20) { rng.below(9000) } else { rng.below(20) };
        // Of rcx only the part of the address width counts.
        let garbage = if rng.percent(30) { rng.u64() << 32 } else { 0 };
        cpu.set(Gpr::Rcx, if uses_half_addresses(insn) { count | garbage } else { count });
    }
    if is_far_bit_test(insn) {
        let offset = rng.below(8 * PAGE).wrapping_sub(4 * PAGE);
        set_value(cpu, insn.op1_register(), offset);
    }
}

//! Random pieces of code: 5 to 50 instructions of all families with jumps forward (direct, conditional, computed, by rcx), a counted loop and
//! calls, sometimes with the trap flag set at the end, so that passes, liveness and register allocation are compared too.
//!
//! Memory operands go through registers that nothing in the piece writes: rbx and rsi (and, in 64-bit code, rbp, r12 and r13) point into the
//! scratch pages, rdi is a small index, rsp a stack there. rbp (r15 in 64-bit code) counts the loop.

use hokku_ir::eval::cpuid::CpuModel;
use hokku_ir::{CpuFeatures, CpuMode, CpuState, Gpr};
use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpCodeOperandKind as Kind, OpKind, Register, UsedMemory, UsedRegister,
};

use super::case::{Program, Start};
use super::encoding::{self, bitness};
use super::items;
use super::makes;
use super::rng::Rng;
use super::safety::{is_indirect, is_near_branch};
use super::values;
use crate::oracle::layout::{CODE, SCRATCH};

/// Where pieces start.
const AT: u64 = CODE + 0x100;
/// Bytes that a piece may have.
const ROOM: usize = 0xc00;
/// How often a random instruction is tried.
const TRIES: usize = 60;

/// Of `codes`, those that may stand in a piece.
pub fn codes(codes: &[Code]) -> Vec<Code> {
    codes.iter().copied().filter(|c| is_plain(*c)).collect()
}

/// Whether the instruction goes on to the next one and what it leaves undefined can be kept from being seen.
fn is_plain(code: Code) -> bool {
    use Mnemonic::*;
    if code.flow_control() != FlowControl::Next || code.is_privileged() {
        return false;
    }
    let string = code.op_code().op_kinds().iter().any(|k| matches!(k, Kind::seg_rSI | Kind::es_rDI | Kind::seg_rDI));
    let segments = [Kind::seg_reg, Kind::es, Kind::cs, Kind::ss, Kind::ds, Kind::fs, Kind::gs];
    let info = code.op_code();
    let loads_segment = info.op_count() > 0 && segments.contains(&info.op0_kind()) && code.mnemonic() != Push;
    !string
        && !loads_segment
        && !matches!(
            code.mnemonic(),
            Popf | Popfd
                | Popfq
                | Enter
                | Leave
                | Popa
                | Popad
                | Pusha
                | Pushad
                | Fldenv
                | Fnstenv
                | Frstor
                | Fnsave
                | Fxsave
                | Fxsave64
                | Fxrstor
                | Fxrstor64
                | Fldcw
                | Ldmxcsr
                | Xsave
                | Xsave64
                | Xsaveopt
                | Xsaveopt64
                | Xsavec
                | Xsavec64
                | Xrstor
                | Xrstor64
                | Lar
                | Lsl
                | Lds
                | Les
                | Lss
                | Lfs
                | Lgs
                | Retf
                | Iret
                | Iretd
                | Iretq
                | Verr
                | Verw
                | Maskmovq
                | Maskmovdqu
                | Fsin
                | Fcos
                | Fsincos
                | Fptan
                | Fpatan
                | F2xm1
                | Fyl2x
                | Fyl2xp1
                | Bsf
                | Bsr
                | Shld
                | Shrd
                | Xlatb
                | Bound
                | Wrfsbase
                | Wrgsbase
                | Div
                | Idiv
                | Aam
                | Int3
                | Int1
                | Into
                | Hlt
                | Ud0
                | Ud1
                | Ud2
                | Clflush
                | Clflushopt
                | Clwb
        )
}

/// Registers that pieces leave alone.
fn reserved(mode: CpuMode) -> &'static [Register] {
    use Register::*;
    match mode {
        CpuMode::Protected32 => &[RBX, RSI, RDI, RBP, RSP],
        CpuMode::Long64 => &[RBX, RSI, RDI, RBP, RSP, R12, R13, R15],
    }
}

/// Pointers among them.
fn pointers(mode: CpuMode) -> &'static [Register] {
    use Register::*;
    match mode {
        CpuMode::Protected32 => &[EBX, ESI, ESP],
        CpuMode::Long64 => &[RBX, RSI, RBP, RSP, R12, R13],
    }
}

/// Collects a piece.
struct Piece<'a> {
    rng: &'a mut Rng,
    mode: CpuMode,
    model: CpuModel,
    codes: &'a [Code],
    factory: InstructionInfoFactory,
    bytes: Vec<u8>,
    /// Places of 32-bit jump distances and the item that they lead to.
    jumps: Vec<(usize, usize)>,
    /// The same for addresses of 32 bits.
    addresses: Vec<(usize, usize)>,
    /// Where items start.
    items: Vec<usize>,
    /// Whether the next instruction's flags are seen.
    steps: bool,
}

/// A random piece of code for `model` with instructions from `codes`.
pub fn program(rng: &mut Rng, codes: &[Code], mode: CpuMode, model: CpuModel) -> Program {
    let count = 5 + rng.below(46) as usize;
    let factory = InstructionInfoFactory::new();
    let mut piece = Piece {
        rng,
        mode,
        model,
        codes,
        factory,
        bytes: vec![],
        jumps: vec![],
        addresses: vec![],
        items: vec![],
        steps: false,
    };
    let functions = piece.rng.below(3) as usize;
    piece.body(count, functions);
    piece.finish(count, functions)
}

impl Piece<'_> {
    /// The main part, `count` items, and its functions. Item `count` is the end, those after it the functions.
    fn body(&mut self, count: usize, functions: usize) {
        let looped = self.rng.percent(50).then(|| {
            let start = self.rng.below(count as u64 - 2) as usize;
            (start, start + 1 + self.rng.below((count - start - 1) as u64) as usize)
        });
        for n in 0..count {
            if looped.is_some_and(|(start, _)| start == n) {
                self.set_counter();
            }
            self.items.push(self.bytes.len());
            // Jumps stay before the loop (whose counter is set first), in it, or behind it.
            let limit = match looped {
                Some((start, _)) if n < start => start - 1,
                Some((_, end)) if n < end => end,
                _ => count,
            };
            match self.rng.below(12) {
                0 if n + 2 < limit => {
                    let to = n + 2 + self.rng.below((limit - n - 1).min(6) as u64) as usize;
                    self.branch(to.min(limit));
                }
                1 if functions > 0 => {
                    let function = self.rng.below(functions as u64) as usize;
                    self.call(count + 1 + function);
                }
                2 if self.rng.percent(40) && self.bytes.len() + 64 < ROOM => self.prepared(),
                _ => self.instruction(true),
            }
            if let Some((start, end)) = looped {
                if end == n + 1 {
                    self.repeat(start);
                }
            }
        }
        // The end: a jump over the functions, to the place behind all.
        self.items.push(self.bytes.len());
        self.jump(&[0xe9], count + 1 + functions);
        for _ in 0..functions {
            self.items.push(self.bytes.len());
            for _ in 0..1 + self.rng.below(4) {
                self.instruction(false);
            }
            self.bytes.push(0xc3);
        }
        self.items.push(self.bytes.len());
    }

    fn finish(mut self, _count: usize, _functions: usize) -> Program {
        for (place, item) in std::mem::take(&mut self.jumps) {
            let distance = (self.items[item] as i64 - (place as i64 + 4)) as i32;
            self.bytes[place..place + 4].copy_from_slice(&distance.to_le_bytes());
        }
        for (place, item) in std::mem::take(&mut self.addresses) {
            let address = AT as u32 + self.items[item] as u32;
            self.bytes[place..place + 4].copy_from_slice(&address.to_le_bytes());
        }
        let insns = decode_all(self.mode, AT, &self.bytes);
        Program::sequence(self.mode, self.model, AT, self.bytes, insns)
    }

    /// `opcode` with a distance of 32 bits to `item`.
    fn jump(&mut self, opcode: &[u8], item: usize) {
        self.bytes.extend(opcode);
        self.jumps.push((self.bytes.len(), item));
        self.bytes.extend([0; 4]);
    }

    /// A conditional jump forward, sometimes one that counts rcx or one to a computed address.
    fn branch(&mut self, item: usize) {
        match self.rng.below(16) {
            // jrcxz, loop, loope, loopne: to a jump that reaches
            0 => {
                let count = self.rng.pick(&[0xe0, 0xe1, 0xe2, 0xe3]);
                self.bytes.extend([count, 2, 0xeb, 5]);
                self.jump(&[0xe9], item);
            }
            1 => {
                self.address(item);
                self.bytes.extend([0xff, 0xe1]);
            }
            _ => {
                let condition = self.rng.below(16) as u8;
                self.jump(&[0x0f, 0x80 | condition], item);
            }
        }
    }

    /// A call, sometimes to a computed address.
    fn call(&mut self, item: usize) {
        if self.rng.one_in(5) {
            self.address(item);
            self.bytes.extend([0xff, 0xd1]);
        } else {
            self.jump(&[0xe8], item);
        }
    }

    /// `mov ecx, address of item`
    fn address(&mut self, item: usize) {
        self.bytes.push(0xb9);
        self.addresses.push((self.bytes.len(), item));
        self.bytes.extend([0; 4]);
    }

    /// An item of several instructions.
    fn prepared(&mut self) {
        let item = match self.rng.below(10) {
            8 if self.model.features.contains(CpuFeatures::AVX2) => {
                self.bytes.extend(items::gather(self.rng));
                return;
            }
            9 if self.rng.one_in(3) => {
                self.bytes.extend(items::single_step());
                return self.last_step();
            }
            0..=2 => {
                self.bytes.extend(items::string(self.rng, self.mode));
                return;
            }
            3 => items::division(self.rng, self.mode),
            4 => items::scan(self.rng, self.mode),
            5 => items::bit_string(self.rng, self.mode),
            _ => {
                self.bytes.extend(items::rounding(self.rng, self.mode, self.model.features));
                return;
            }
        };
        self.bytes.extend(item);
        self.define_flags();
    }

    /// `mov counter, n`
    fn set_counter(&mut self) {
        let times = 1 + self.rng.below(6) as u8;
        match self.mode {
            CpuMode::Protected32 => self.bytes.extend([0xbd, times, 0, 0, 0]),
            CpuMode::Long64 => self.bytes.extend([0x41, 0xbf, times, 0, 0, 0]),
        }
    }

    /// `dec counter` or `sub counter, 1`, and `jnz` to `item`.
    fn repeat(&mut self, item: usize) {
        let code: &[u8] = match (self.mode, self.rng.percent(50)) {
            (CpuMode::Protected32, true) => &[0x4d],
            (CpuMode::Protected32, false) => &[0x83, 0xed, 1],
            (CpuMode::Long64, true) => &[0x41, 0xff, 0xcf],
            (CpuMode::Long64, false) => &[0x49, 0x83, 0xef, 1],
        };
        self.bytes.extend(code);
        self.jump(&[0x0f, 0x85], item);
    }

    /// What the trap flag lets run: a jump to what follows, or an instruction whose flags are all defined.
    fn last_step(&mut self) {
        if self.rng.one_in(4) {
            let condition = self.rng.below(16) as u8;
            let jump = self.rng.pick(&[0xeb, 0x70 | condition]);
            self.bytes.extend([jump, 0]);
        } else {
            self.steps = true;
            self.instruction(true);
            self.steps = false;
        }
    }

    /// A random instruction that keeps to the rules; `nop` where none is found.
    fn instruction(&mut self, stack: bool) {
        for _ in 0..TRIES {
            let code = self.rng.pick(self.codes);
            let at = AT + self.bytes.len() as u64;
            let Some(mut found) = encoding::random(self.rng, code, self.mode, at) else { continue };
            self.align(&mut found.bytes, &found.insn);
            let insn = encoding::decode(self.mode, at, &found.bytes);
            let seen = self.steps && leaves_flags_undefined(&insn);
            if seen || !self.is_allowed(&insn, stack) || self.bytes.len() + 64 > ROOM {
                continue;
            }
            self.bytes.extend(&found.bytes);
            if leaves_flags_undefined(&insn) {
                if let Some(read) = self.rng.percent(50).then(|| items::read_flags(self.rng, &insn)).flatten() {
                    self.bytes.extend(read);
                }
                self.define_flags();
            }
            return;
        }
        self.bytes.push(0x90);
    }

    /// Rounds a short displacement so that most vector operands are aligned.
    fn align(&mut self, bytes: &mut [u8], insn: &Instruction) {
        if insn.memory_size().size() < 16 || self.rng.one_in(20) {
            return;
        }
        let mut decoder = Decoder::with_ip(bitness(self.mode), bytes, insn.ip(), DecoderOptions::NONE);
        let again = decoder.decode();
        let constants = decoder.get_constant_offsets(&again);
        if constants.displacement_size() == 1 {
            bytes[constants.displacement_offset()] &= 0xf0;
        }
    }

    fn is_allowed(&mut self, insn: &Instruction, stack: bool) -> bool {
        let mode = self.mode;
        let info = self.factory.info(insn);
        let uses_stack = insn.is_stack_instruction();
        let writes = |r: &UsedRegister| {
            !matches!(r.access(), OpAccess::Read | OpAccess::CondRead | OpAccess::None | OpAccess::NoMemAccess)
        };
        let kept = |r: Register| {
            !reserved(mode).contains(&r.full_register()) || (uses_stack && r.full_register() == Register::RSP)
        };
        (stack || !uses_stack)
            && !matches!(insn.segment_prefix(), Register::FS | Register::GS | Register::CS)
            && info.used_registers().iter().filter(|r| writes(r)).all(|r| kept(r.register()))
            && !explicitly_writes_sp(insn)
            && info.used_memory().iter().all(|m| is_near_pointer(m, mode, uses_stack, stack))
            && !is_bit_string(insn)
            && !(crate::is_of_another_make() && makes::is_open(insn))
    }

    /// An instruction that sets all status flags and cannot fault: on registers that a piece may write.
    fn define_flags(&mut self) {
        let opcode = self.rng.pick(&[0x01, 0x29, 0x39, 0x39]);
        let (a, b) = (self.rng.below(3) as u8, self.rng.below(3) as u8);
        self.bytes.extend([opcode, 0xc0 | a << 3 | b]);
    }
}

/// Whether the stack pointer is an operand (`pop rsp`, `mov`).
fn explicitly_writes_sp(insn: &Instruction) -> bool {
    insn.op_count() > 0
        && insn.op_kind(0) == OpKind::Register
        && insn.op0_register().full_register() == Register::RSP
        && insn.mnemonic() != Mnemonic::Push
}

/// Whether the place of the memory operand depends on a register's bit number.
fn is_bit_string(insn: &Instruction) -> bool {
    let bit = matches!(insn.mnemonic(), Mnemonic::Bt | Mnemonic::Bts | Mnemonic::Btr | Mnemonic::Btc);
    bit && insn.op_kind(0) == OpKind::Memory && insn.op_kind(1) == OpKind::Register
}

/// Whether an access is a pointer with a short displacement, maybe with the index.
fn is_near_pointer(memory: &UsedMemory, mode: CpuMode, own: bool, stack: bool) -> bool {
    let index = if mode == CpuMode::Protected32 { Register::EDI } else { Register::RDI };
    let near =
        (memory.displacement() as i64).abs() <= 0x200 || (memory.displacement() as u32 as i32).unsigned_abs() <= 0x200;
    let on_stack = memory.base().full_register() == Register::RSP;
    // A function's return address must stay.
    if on_stack && !stack {
        return false;
    }
    near && ((own && on_stack) || pointers(mode).contains(&memory.base()))
        && (memory.index() == Register::None || memory.index() == index)
}

/// Whether what follows must not see the flags. `and`, `or`, `xor` and `test` leave AF undefined by the manual, but all processors clear it.
fn leaves_flags_undefined(insn: &Instruction) -> bool {
    let logic = matches!(insn.mnemonic(), Mnemonic::And | Mnemonic::Or | Mnemonic::Xor | Mnemonic::Test);
    is_shift(insn) || (insn.rflags_undefined() != 0 && !logic)
}

/// Whether it is a shift or rotation, of which flags depend on the count.
pub fn is_shift(insn: &Instruction) -> bool {
    use Mnemonic::*;
    matches!(insn.mnemonic(), Shl | Sal | Shr | Sar | Rol | Ror | Rcl | Rcr)
}

/// Decodes `bytes` from start to end.
pub fn decode_all(mode: CpuMode, at: u64, bytes: &[u8]) -> Vec<Instruction> {
    Decoder::with_ip(bitness(mode), bytes, at, DecoderOptions::NONE).iter().collect()
}

/// A state for a piece: pointers set, everything else random.
pub fn start(rng: &mut Rng, mode: CpuMode) -> Start {
    let mut cpu: CpuState = values::state(rng, mode);
    if rng.percent(85) {
        // Exceptions would end most pieces early.
        cpu.mxcsr = cpu.mxcsr & !0x3f | 0x1f80;
        cpu.x87.control |= 0x3f;
        cpu.x87.status &= !0x80ff;
    }
    // Apart from the stack, which moves by some 2 KiB at most.
    let pointer = |rng: &mut Rng| SCRATCH + 0x300 + (rng.below(0x600) & !15);
    for reg in [Gpr::Rbx, Gpr::Rsi, Gpr::Rbp, Gpr::R12, Gpr::R13] {
        if reg.index() < mode.gpr_count() {
            let at = pointer(rng);
            cpu.set(reg, at);
        }
    }
    cpu.set(Gpr::Rdi, rng.below(4) * 16);
    cpu.set(Gpr::Rsp, SCRATCH + 0x1600);
    cpu.rip = AT;
    Start { cpu, memory: Vec::new() }
}

/// One `nop` of `len` bytes, which every processor knows.
fn nop(len: usize) -> Vec<u8> {
    [vec![0x66; len - 1], vec![0x90]].concat()
}

/// `program` with the instruction number `n` replaced by a `nop`; `None` for jumps and what the shape needs.
pub fn without(program: &Program, n: usize) -> Option<Program> {
    let insn = program.insns.get(n)?;
    // Without its counter a loop would not end; a pointer or a computed address would lead anywhere.
    let register = if insn.op_count() > 0 { insn.op_register(0).full_register() } else { Register::None };
    let kept = reserved(program.mode).contains(&register);
    let saved = insn.mnemonic() == Mnemonic::Push && register == Register::RCX;
    let aims = program.insns.get(n + 1).is_some_and(|next| is_indirect(next.flow_control()));
    let leads = is_near_branch(insn) || insn.flow_control() != FlowControl::Next;
    // Another make's undefined flags would be seen.
    let open = |i: &Instruction| leaves_flags_undefined(i) && crate::is_of_another_make();
    let defines = insn.rflags_written() != 0 && program.insns[n.saturating_sub(2)..n].iter().any(open);
    if kept || saved || aims || leads || defines || insn.mnemonic() == Mnemonic::Nop {
        return None;
    }
    let mut bytes = program.bytes.clone();
    let from = (insn.ip() - program.at) as usize;
    bytes[from..from + insn.len()].copy_from_slice(&nop(insn.len()));
    let insns = decode_all(program.mode, program.at, &bytes);
    let smaller = Program::sequence(program.mode, program.model, program.at, bytes, insns);
    Some(smaller.computing_in(program.x87))
}

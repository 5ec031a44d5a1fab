//! Region discovery: translates instructions along direct jumps and finds where blocks start.

use std::collections::VecDeque;
use std::ops::Range;

use hokku_ir::{BlockKey, CpuMode, Exit, GuestAddr, Inst, MAX_VALUES, Num, Target, Trap};
use iced_x86::{InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};

use crate::decode::{CodeSource, Decoded, Window};
use crate::dispatch::{self, Known};
use crate::emit::{Emitter, Step};
use crate::insn::Insn;
use crate::places::Places;

/// How large a region may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Blocks that discovery starts.
    pub max_blocks: usize,
    /// Guest instructions.
    pub max_instructions: usize,
    /// Bytes between the region's first instruction and a jump target that it follows.
    pub max_distance: u64,
}

impl Default for Limits {
    /// For code that runs for the first time: a small function with its loops.
    fn default() -> Self {
        Limits { max_blocks: 32, max_instructions: 256, max_distance: 16 << 10 }
    }
}

impl Limits {
    /// One block: no jump is followed.
    pub fn single_block() -> Self {
        Limits { max_blocks: 1, ..Limits::default() }
    }

    /// One instruction, or two where there is no trap after the first.
    fn single_step() -> Self {
        Limits { max_instructions: 2, ..Limits::single_instruction() }
    }

    /// One instruction.
    pub fn single_instruction() -> Self {
        Limits { max_blocks: 1, max_instructions: 1, max_distance: 0 }
    }
}

/// One translated instruction.
pub(crate) struct Piece {
    /// Its address.
    pub(crate) at: GuestAddr,
    /// Its ops' places in [`Found::insts`].
    pub(crate) insts: Range<usize>,
    /// Number of code bytes.
    pub(crate) len: u8,
    /// How it goes on.
    pub(crate) step: Step,
    /// The address after it.
    pub(crate) next: GuestAddr,
    /// Whether a block starts with it: for whoever cuts what was found into blocks.
    pub(crate) starts_block: bool,
}

/// What discovery finds. Its memory serves one region after the other.
#[derive(Default)]
pub(crate) struct Found {
    /// Ops of all instructions, in the order of discovery.
    pub(crate) insts: Vec<Inst>,
    /// One more than their largest value number.
    pub(crate) value_count: u32,
    /// Instructions in the order of discovery.
    pub(crate) pieces: Vec<Piece>,
    /// Place in `pieces` of the instruction at an address.
    pub(crate) places: Places,
    /// Addresses where blocks start, in order; those without a piece were beyond the limits.
    pub(crate) leaders: Vec<GuestAddr>,
    /// Those of them that are still to be translated.
    queue: VecDeque<GuestAddr>,
    /// Memory for the ops of blocks: for whoever cuts what was found into blocks.
    pub(crate) block_rooms: Vec<Vec<Inst>>,
}

/// Values at which a region ends: few enough that passes may add to those that the last instruction brings before the evaluator's table is full.
const MOST_VALUES: u32 = MAX_VALUES / 2;

/// Translates the instructions of the region at `key.pc`, nearest first; `found` becomes what is found.
pub(crate) fn discover(code: &dyn CodeSource, key: BlockKey, limits: &Limits, found: &mut Found) {
    let limits = if key.single_step { &Limits::single_step() } else { limits };
    found.pieces.clear();
    found.places.clear(limits.max_instructions);
    found.leaders.clear();
    found.leaders.push(key.pc);
    found.queue.clear();
    found.queue.push_back(key.pc);
    let mut emitter = Emitter::new(key, std::mem::take(&mut found.insts));
    let mut window = Window::new();
    while let Some(leader) = found.queue.pop_front() {
        let mut from = Some(leader);
        while let Some(at) = from {
            from = run(code, key, limits, &mut window, &mut emitter, found, at);
        }
    }
    found.value_count = emitter.value_count();
    found.insts = emitter.take();
}

/// Translates instructions from `at` on, to the end of their block or to what is known; gives the address of the next one where that takes another
/// window.
fn run(
    code: &dyn CodeSource,
    key: BlockKey,
    limits: &Limits,
    window: &mut Window,
    emitter: &mut Emitter,
    found: &mut Found,
    mut at: GuestAddr,
) -> Option<GuestAddr> {
    let (mut window, mut reader) = (Some(window), None);
    loop {
        if found.places.find(at).is_some() {
            found.add_leader(at);
            return None;
        }
        if found.pieces.len() >= limits.max_instructions.max(1) || emitter.value_count() >= MOST_VALUES {
            return None;
        }
        let piece = if code.has_breakpoint(at) {
            breakpoint(emitter, at)
        } else {
            let reader = match &mut reader {
                Some(reader) => reader,
                none => none.insert(window.take()?.read(code, key.mode, at)),
            };
            let Some(decoded) = reader.decode(at) else { return Some(at) };
            translate_at(decoded, emitter, key, at)
        };
        let (step, next) = (piece.step, piece.next);
        found.places.insert(at, found.pieces.len() as u32);
        found.pieces.push(piece);
        let Step::End(exit) = step else {
            at = next;
            continue;
        };
        for target in follow(&exit).into_iter().flatten() {
            let near = target.0.abs_diff(key.pc.0) <= limits.max_distance;
            let room = near && found.leaders.len() < limits.max_blocks;
            if room && found.leaders.binary_search(&target).is_err() && !code.is_translated(target) {
                found.add_leader(target);
                found.queue.push_back(target);
            }
        }
        return None;
    }
}

impl Found {
    fn add_leader(&mut self, at: GuestAddr) {
        if let Err(place) = self.leaders.binary_search(&at) {
            self.leaders.insert(place, at);
        }
    }
}

/// The guest addresses where a region goes on after `exit`, the likelier to be laid out next first.
fn follow(exit: &Exit) -> [Option<GuestAddr>; 2] {
    let guest = |t: &Target| match t {
        Target::Guest(at) => Some(*at),
        Target::Block(_) => None,
    };
    match exit {
        Exit::Jump { to } => [guest(to), None],
        Exit::Branch { taken, next, .. } => [guest(next), guest(taken)],
        Exit::Call { ret, .. } | Exit::IndirectCall { ret, .. } => [Some(*ret), None],
        Exit::Indirect { .. }
        | Exit::Dispatch { .. }
        | Exit::Return { .. }
        | Exit::Syscall { .. }
        | Exit::Trap { .. } => [None, None],
    }
}

/// What stands for an instruction before which a debugger wants to stop.
fn breakpoint(e: &mut Emitter, at: GuestAddr) -> Piece {
    let start = e.insts().len();
    e.insn(at, Num(1));
    let step = Step::End(Exit::Trap { trap: Trap::Debug, at, next: at });
    Piece { at, insts: start..e.insts().len(), len: 1, step, next: at, starts_block: false }
}

/// `MOV SS`, `POP SS`: no debug exception until the instruction after them is done (SDM vol. 3A, 6.8.3).
fn loads_stack_segment(insn: &Insn) -> bool {
    matches!(insn.mnemonic(), Mnemonic::Mov | Mnemonic::Pop) && insn.raw.op0_register() == Register::SS
}

/// Translates what was decoded at `at`.
fn translate_at(decoded: Decoded, e: &mut Emitter, key: BlockKey, at: GuestAddr) -> Piece {
    let (start, len) = (e.insts().len(), decoded.len());
    e.insn(at, Num(len));
    let trap = |trap: Trap, next: GuestAddr| (Step::End(Exit::Trap { trap, at, next }), next);
    let (step, next) = match decoded {
        Decoded::Unreadable(len) => trap(Trap::Fetch, at.offset(u64::from(len))),
        Decoded::TooLong => trap(Trap::Protection, at.offset(u64::from(len))),
        Decoded::Invalid(len) => trap(Trap::InvalidOpcode, at.offset(u64::from(len))),
        Decoded::Instruction(raw) => {
            let insn = Insn { raw, mode: key.mode };
            let next = insn.next();
            let translated = match dispatch::lookup(insn.code(), key.features) {
                Known::Translator(translate) => Some(translate(e, &insn)),
                Known::Invalid => Some(e.trap(&insn, Trap::InvalidOpcode)),
                Known::Untranslated => None,
            };
            match translated {
                Some(Ok(_)) if writes_through_cs(&insn) => {
                    e.truncate_to(start + 1);
                    trap(Trap::Protection, next)
                }
                Some(Ok(Step::Next)) if key.single_step && !loads_stack_segment(&insn) => trap(Trap::Debug, next),
                Some(Ok(step)) => (step, next),
                None | Some(Err(_)) => {
                    e.truncate_to(start + 1);
                    trap(Trap::Untranslated, next)
                }
            }
        }
    };
    Piece { at, insts: start..e.insts().len(), len, step, next, starts_block: false }
}

/// Whether the instruction writes memory through the code segment, which 32-bit code must not: code segments are never writable.
fn writes_through_cs(insn: &Insn) -> bool {
    let cs = insn.mode == CpuMode::Protected32 && insn.raw.segment_prefix() == Register::CS;
    cs && insn.raw.op_kinds().any(|k| k == OpKind::Memory)
        && InstructionInfoFactory::new().info(&insn.raw).used_memory().iter().any(|m| {
            use OpAccess::{CondWrite, ReadCondWrite, ReadWrite, Write};
            m.segment() == Register::CS && matches!(m.access(), CondWrite | ReadCondWrite | ReadWrite | Write)
        })
}

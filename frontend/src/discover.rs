//! Region discovery: translates instructions along direct jumps and finds where blocks start.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use hokku_ir::{BlockKey, CpuMode, Exit, GuestAddr, Inst, MAX_VALUES, Num, Target, Trap};
use iced_x86::{InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};

use crate::decode::{CodeSource, Decoded, Reader};
use crate::dispatch::{self, Known};
use crate::emit::{Emitter, Step};
use crate::insn::Insn;

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
}

/// What discovery finds.
pub(crate) struct Found {
    /// Ops of all instructions, in the order of discovery.
    pub(crate) insts: Vec<Inst>,
    /// One more than their largest value number.
    pub(crate) value_count: u32,
    /// Instructions in the order of discovery.
    pub(crate) pieces: Vec<Piece>,
    /// Place in `pieces` of the instruction at an address.
    pub(crate) places: BTreeMap<GuestAddr, u32>,
    /// Addresses where blocks start; those without a piece were beyond the limits.
    pub(crate) leaders: BTreeSet<GuestAddr>,
}

/// Values at which a region ends: few enough that passes may add to those that the last instruction brings before the evaluator's table is full.
const MOST_VALUES: u32 = MAX_VALUES / 2;

/// Translates the instructions of the region at `key.pc`, nearest first.
pub(crate) fn discover(code: &dyn CodeSource, key: BlockKey, limits: &Limits) -> Found {
    let limits = if key.single_step { &Limits::single_step() } else { limits };
    let mut reader = Reader::new(code, key.mode);
    let mut emitter = Emitter::new(key);
    let mut pieces: Vec<Piece> = Vec::new();
    let mut places = BTreeMap::new();
    let mut leaders = BTreeSet::from([key.pc]);
    let mut queue = VecDeque::from([key.pc]);
    while let Some(leader) = queue.pop_front() {
        let mut at = leader;
        loop {
            let full = pieces.len() >= limits.max_instructions.max(1) || emitter.value_count() >= MOST_VALUES;
            if full && !places.contains_key(&at) {
                break;
            }
            let Entry::Vacant(place) = places.entry(at) else {
                leaders.insert(at);
                break;
            };
            place.insert(pieces.len() as u32);
            let piece = if code.has_breakpoint(at) {
                breakpoint(&mut emitter, at)
            } else {
                translate_at(&mut reader, &mut emitter, key, at)
            };
            let (step, next) = (piece.step, piece.next);
            pieces.push(piece);
            let Step::End(exit) = step else {
                at = next;
                continue;
            };
            for target in follow(&exit).into_iter().flatten() {
                let near = target.0.abs_diff(key.pc.0) <= limits.max_distance;
                let room = near && leaders.len() < limits.max_blocks;
                if room && !leaders.contains(&target) && !code.is_translated(target) {
                    leaders.insert(target);
                    queue.push_back(target);
                }
            }
            break;
        }
    }
    Found { value_count: emitter.value_count(), insts: emitter.take(), pieces, places, leaders }
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
    Piece { at, insts: start..e.insts().len(), len: 1, step, next: at }
}

/// `MOV SS`, `POP SS`: no debug exception until the instruction after them is done (SDM vol. 3A, 6.8.3).
fn loads_stack_segment(insn: &Insn) -> bool {
    matches!(insn.mnemonic(), Mnemonic::Mov | Mnemonic::Pop) && insn.raw.op0_register() == Register::SS
}

/// Decodes and translates the instruction at `at`.
fn translate_at(reader: &mut Reader<'_>, e: &mut Emitter, key: BlockKey, at: GuestAddr) -> Piece {
    let decoded = reader.decode(at);
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
    Piece { at, insts: start..e.insts().len(), len, step, next }
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

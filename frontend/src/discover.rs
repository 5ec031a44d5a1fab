//! Region discovery: translates instructions along direct jumps and finds where blocks start.

use std::collections::VecDeque;

use hokku_ir::{Block, BlockKey, CpuMode, Exit, GuestAddr, Inst, MAX_VALUES, Num, Target, Trap};
use iced_x86::{Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};

use crate::decode::{CodeSource, Decoded, Reader, WINDOW, WINDOWS};
use crate::dispatch::{self, Known};
use crate::emit::{Emitter, Step};
use crate::insn::{Insn, Unsupported};
use crate::places::{Place, Places, Seen};

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

/// What discovery finds. Its memory serves one region after the other.
#[derive(Default)]
pub(crate) struct Found {
    /// Blocks in the order of discovery, which is that of their values. Direct targets are guest addresses still.
    pub(crate) blocks: Vec<Block>,
    /// Instructions inside them with which a block starts, too: number of the first value, address.
    pub(crate) cuts: Vec<(u32, GuestAddr)>,
    /// One more than the largest value number.
    pub(crate) value_count: u32,
    /// What is known of addresses.
    pub(crate) places: Places,
    /// Their guest code.
    pub(crate) spans: Vec<Span>,
    /// Where blocks are to start that are still to be translated.
    queue: VecDeque<GuestAddr>,
    /// Memory for windows on guest code.
    windows: Vec<[u8; WINDOW]>,
    /// Memory for the ops of blocks.
    pub(crate) rooms: Vec<Vec<Inst>>,
}

/// Contiguous guest code of a block.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) start: GuestAddr,
    pub(crate) len: u32,
    /// The block's place in [`Found::blocks`]; `None` where the code has gone on at address zero.
    pub(crate) block: Option<usize>,
}

/// Values at which a region ends: few enough that passes may add to those that the last instruction brings before the evaluator's table is full.
const MOST_VALUES: u32 = MAX_VALUES / 2;

/// Translates the instructions of the region at `key.pc`, nearest first; `found` becomes what is found.
pub(crate) fn discover(code: &dyn CodeSource, key: BlockKey, limits: &Limits, found: &mut Found) {
    let limits = if key.single_step { &Limits::single_step() } else { limits };
    found.blocks.clear();
    found.cuts.clear();
    found.spans.clear();
    found.queue.clear();
    found.places.clear();
    let (entry, _) = found.places.find(key.pc);
    found.places.set(entry, Seen::Awaited);
    let mut windows = std::mem::take(&mut found.windows);
    windows.resize(WINDOWS, [0; WINDOW]);
    let mut emitter = Emitter::new(key);
    emitter.collect_in(found.rooms.pop().unwrap_or_default());
    let insn = Insn { raw: Instruction::default(), mode: key.mode };
    let mut search = Search {
        code,
        has_breakpoints: code.has_breakpoints(),
        key,
        limits,
        found,
        emitter,
        insn,
        block: None,
        span: key.pc,
        instructions: 0,
        leaders: 1,
    };
    let mut next = Some(key.pc);
    while let Some(at) = next {
        next = search.translate_from(at, &mut Reader::new(code, key.mode, &mut windows));
    }
    let mut emitter = search.emitter;
    found.value_count = emitter.value_count();
    found.rooms.push(emitter.take());
    found.windows = windows;
}

/// Discovery of one region.
struct Search<'a> {
    code: &'a dyn CodeSource,
    has_breakpoints: bool,
    key: BlockKey,
    limits: &'a Limits,
    found: &'a mut Found,
    /// Has the ops of the block that is being translated.
    emitter: Emitter,
    /// The instruction that is being translated.
    insn: Insn,
    /// Where that block starts.
    block: Option<GuestAddr>,
    /// Where its code starts, or has gone on at address zero.
    span: GuestAddr,
    /// How many were translated.
    instructions: usize,
    /// Blocks that were started or are to be.
    leaders: usize,
}

impl Search<'_> {
    /// Translates from `at` on, then what is to be translated still, as far as `reader` has windows for it; gives the address that takes another
    /// reader.
    fn translate_from(&mut self, mut at: GuestAddr, reader: &mut Reader<'_>) -> Option<GuestAddr> {
        loop {
            if let Some(beyond) = self.translate_block(at, reader) {
                return Some(beyond);
            }
            at = self.found.queue.pop_front()?;
        }
    }

    /// Translates instructions from `at` on, to the end of their block or to what is known; gives the address of the next one where that takes
    /// another reader.
    fn translate_block(&mut self, mut at: GuestAddr, reader: &mut Reader<'_>) -> Option<GuestAddr> {
        loop {
            let (place, seen) = self.found.places.find(at);
            let is_full =
                self.instructions >= self.limits.max_instructions.max(1) || self.emitter.value_count() >= MOST_VALUES;
            if seen != Seen::Nothing || is_full {
                self.end_block(at, Exit::Jump { to: Target::Guest(at) });
            }
            if let Seen::Inside(value) = seen {
                self.cut(place, at, value);
            }
            if is_full || matches!(seen, Seen::Start(_) | Seen::Inside(_)) {
                return None;
            }
            let decoded = if self.has_breakpoints && self.code.has_breakpoint(at) {
                Decoded::Breakpoint
            } else if let Some(decoded) = reader.decode(at, &mut self.insn.raw) {
                decoded
            } else {
                return Some(at);
            };
            if self.block.is_some() {
                self.found.places.set(place, Seen::Inside(self.emitter.value_count()));
            } else {
                self.found.places.set(place, Seen::Start(0));
                (self.block, self.span) = (Some(at), at);
            }
            self.instructions += 1;
            match self.translate_instruction(decoded, at) {
                Step::Next => {
                    let next = self.insn.next();
                    if next.0 < at.0 {
                        self.end_span(at.offset(u64::from(decoded.len())));
                        self.span = next;
                    }
                    at = next;
                }
                Step::End(exit) => {
                    // The first unreadable byte belongs to the code: what appears there changes the region.
                    let unreadable = matches!(decoded, Decoded::Unreadable(_));
                    self.end_block(at.offset(u64::from(decoded.len()) + u64::from(unreadable)), exit);
                    self.follow(&exit);
                    return None;
                }
            }
        }
    }

    /// Translates what was decoded at `at`.
    fn translate_instruction(&mut self, decoded: Decoded, at: GuestAddr) -> Step {
        let e = &mut self.emitter;
        e.insn(at, Num(decoded.len()));
        let trap = |trap: Trap, next: GuestAddr| Step::End(Exit::Trap { trap, at, next });
        let behind = || at.offset(u64::from(decoded.len()));
        match decoded {
            Decoded::Instruction(_) => {}
            Decoded::Breakpoint => return trap(Trap::Debug, at),
            Decoded::Unreadable(_) => return trap(Trap::Fetch, behind()),
            Decoded::TooLong => return trap(Trap::Protection, behind()),
            Decoded::Invalid(_) => return trap(Trap::InvalidOpcode, behind()),
        }
        let insn = &self.insn;
        let start = e.insts().len();
        let translated = match dispatch::lookup(insn.code(), self.key.features) {
            Known::Translator(translate) => translate(e, insn),
            Known::Invalid => e.trap(insn, Trap::InvalidOpcode),
            Known::Untranslated => Err(Unsupported),
        };
        match translated {
            Ok(_) if writes_through_cs(insn) => {
                e.truncate_to(start);
                trap(Trap::Protection, insn.next())
            }
            Ok(Step::Next) if self.key.single_step && !loads_stack_segment(insn) => trap(Trap::Debug, insn.next()),
            Ok(step) => step,
            Err(Unsupported) => {
                e.truncate_to(start);
                trap(Trap::Untranslated, insn.next())
            }
        }
    }

    /// Ends the block that is being translated, if there is one, with `exit`; its code ends at `end`.
    fn end_block(&mut self, end: GuestAddr, exit: Exit) {
        if let Some(pc) = self.block {
            self.end_span(end);
            self.block = None;
            let insts = self.emitter.take();
            self.emitter.collect_in(self.found.rooms.pop().unwrap_or_default());
            self.found.blocks.push(Block { pc, insts, exit });
        }
    }

    /// Notes the code of the block that is being translated up to `end`.
    fn end_span(&mut self, end: GuestAddr) {
        let (start, len) = (self.span, end.0.wrapping_sub(self.span.0) as u32);
        let block = (self.block == Some(start)).then_some(self.found.blocks.len());
        if len > 0 {
            self.found.spans.push(Span { start, len, block });
        }
    }

    /// A block starts at the instruction at `at` inside another, whose first value is `value`.
    fn cut(&mut self, place: Place, at: GuestAddr, value: u32) {
        self.found.places.set(place, Seen::Start(0));
        self.found.cuts.push((value, at));
        self.leaders += 1;
    }

    /// Lets blocks start where `exit` leads, as far as they belong to the region.
    fn follow(&mut self, exit: &Exit) {
        for target in successors(exit).into_iter().flatten() {
            let near = target.0.abs_diff(self.key.pc.0) <= self.limits.max_distance;
            if !near || self.leaders >= self.limits.max_blocks {
                continue;
            }
            match self.found.places.find(target) {
                (place, Seen::Nothing) if !self.code.is_translated(target) => {
                    self.found.places.set(place, Seen::Awaited);
                    self.found.queue.push_back(target);
                    self.leaders += 1;
                }
                (place, Seen::Inside(value)) if !self.code.is_translated(target) => self.cut(place, target, value),
                _ => {}
            }
        }
    }
}

/// The guest addresses where a region goes on after `exit`, the likelier to be laid out next first.
fn successors(exit: &Exit) -> [Option<GuestAddr>; 2] {
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

/// `MOV SS`, `POP SS`: no debug exception until the instruction after them is done (SDM vol. 3A, 6.8.3).
fn loads_stack_segment(insn: &Insn) -> bool {
    matches!(insn.mnemonic(), Mnemonic::Mov | Mnemonic::Pop) && insn.raw.op0_register() == Register::SS
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

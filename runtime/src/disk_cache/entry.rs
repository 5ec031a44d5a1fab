//! One region as bytes: its guest code, what was made of it, and what the runtime must know of that.
//!
//! Numbers are [`wire`](crate::wire) numbers; guest addresses are distances, each from the one before, the first from the region's own, and
//! offsets in host code are distances from the one of the same kind before in the same list. Host code is position-independent but for the
//! relocations that are kept with it.

use hokku_ir::backend::*;
use hokku_ir::lowering::{FlagsRecipe, RecipeStep};
use hokku_ir::{BlockId, BlockKey, GuestAddr, Op, SyscallKind, Trap, text};

use crate::code_cache::Outline;
use crate::jit::fault_table::{FaultTable, put_lazy, take_lazy};
use crate::wire::{Source, of_signed, put, put_all};

/// A region that is to be kept.
pub(super) struct Kept<'a> {
    pub(super) outline: &'a Outline,
    /// The guest code of each of the outline's ranges.
    pub(super) guest: &'a [Vec<u8>],
    pub(super) compiled: &'a Compiled,
    /// In place of its faults.
    pub(super) faults: &'a FaultTable,
}

/// Writes and reads offsets as distances.
#[derive(Default)]
struct Step(u32);

impl Step {
    fn to(&mut self, offset: u32) -> u64 {
        // Few lists ever go back.
        let distance = offset.wrapping_sub(self.0);
        self.0 = offset;
        distance.into()
    }

    fn take(&mut self, from: &mut Source<'_>) -> Option<u32> {
        self.0 = self.0.wrapping_add(from.word()?);
        Some(self.0)
    }
}

/// Writes and reads addresses as distances.
struct Near(u64);

impl Near {
    fn to(&mut self, at: GuestAddr) -> u64 {
        let distance = at.0.wrapping_sub(self.0) as i64;
        self.0 = at.0;
        of_signed(distance)
    }

    fn take(&mut self, from: &mut Source<'_>) -> Option<GuestAddr> {
        self.0 = self.0.wrapping_add_signed(from.signed()?);
        Some(GuestAddr(self.0))
    }
}

const STUBS: &[StubId] = &[
    StubId::Enter,
    StubId::LeaveLink,
    StubId::Indirect,
    StubId::LeaveSyscall,
    StubId::LeaveTrap,
    StubId::LeaveFault,
    StubId::LeaveFaultString,
    StubId::JumpMiss,
    StubId::ReturnMiss,
    StubId::Callout,
    StubId::LeaveHot,
    StubId::CheckTarget,
    StubId::LeaveFaultBytes,
    StubId::BytesOfDwords,
    StubId::BytesOfQwords,
    StubId::X87,
    StubId::X87Sum,
    StubId::X87Difference,
    StubId::X87Product,
    StubId::X87Quotient,
    StubId::X87Comparison,
    StubId::X87Integer,
    StubId::X87Truncation,
];

/// Place of each stub in `STUBS`, by the compiler's own number; [`u8::MAX`] where it has none.
const STUB_NUMBERS: [u8; 64] = {
    let mut numbers = [u8::MAX; 64];
    let mut i = 0;
    while i < STUBS.len() {
        numbers[STUBS[i] as usize] = i as u8;
        i += 1;
    }
    numbers
};

const TRAPS: &[Trap] = &[
    Trap::InvalidOpcode,
    Trap::Untranslated,
    Trap::Breakpoint,
    Trap::Debug,
    Trap::Overflow,
    Trap::Bound,
    Trap::Protection,
    Trap::Halt,
    Trap::Divide,
];

fn number_of<T: PartialEq>(list: &[T], wanted: &T) -> Option<u8> {
    list.iter().position(|one| one == wanted).map(|n| n as u8)
}

/// Appends the region; `None` where it holds something that must not be kept: a fetch that failed depends on more than the guest's code.
pub(super) fn encode(kept: &Kept<'_>, to: &mut Vec<u8>) -> Option<()> {
    let Outline { key, block_pcs, ranges, instructions } = kept.outline;
    let Compiled {
        code,
        blocks,
        links,
        back_edges,
        hot_exits,
        counters,
        stops,
        faults: _,
        callouts,
        return_pads,
        relocations,
        recipes,
        flag_sites,
        host_instructions,
        block_callouts,
    } = kept.compiled;
    to.reserve(code.len() * 2);
    let mut near = Near(key.pc.0);
    put(to, ranges.len() as u64);
    for (start, len) in ranges {
        put_all(to, [near.to(*start), (*len).into()]);
    }
    kept.guest.iter().for_each(|bytes| to.extend_from_slice(bytes));
    put(to, *instructions);
    put(to, (*host_instructions).into());
    put(to, (*block_callouts).into());
    put(to, code.len() as u64);
    to.extend_from_slice(code);
    put(to, block_pcs.len() as u64);
    block_pcs.iter().for_each(|pc| put(to, near.to(*pc)));
    put(to, blocks.len() as u64);
    let [mut number, mut at, mut behind] = [const { Step(0) }; 3];
    for BlockEntry { block, pc, offset, checked } in blocks {
        put_all(to, [number.to(block.0), near.to(*pc), at.to(*offset), behind.to(*checked)]);
    }
    for list in [links, back_edges] {
        put(to, list.len() as u64);
        let [mut at, mut behind] = [const { Step(0) }; 2];
        for Link { site, stub, target, is_call, far } in list {
            let how = u64::from(*is_call) | u64::from(far.is_some()) << 1;
            put_all(to, [at.to(*site), behind.to(*stub), how, near.to(*target)]);
            if let Some(FarJump { jump, slot }) = far {
                put_all(to, [(*jump).into(), (*slot).into()]);
            }
        }
    }
    put(to, hot_exits.len() as u64);
    let mut at = Step::default();
    for HotExit { stub, target } in hot_exits {
        put_all(to, [at.to(*stub), near.to(*target)]);
    }
    put(to, counters.len() as u64);
    let mut at = Step::default();
    counters.iter().for_each(|offset| put(to, at.to(*offset)));
    put(to, stops.len() as u64);
    let mut behind = Step::default();
    for Stop { stub, kind, at, next } in stops {
        put(to, behind.to(*stub));
        to.extend_from_slice(&stop_kind(*kind)?);
        put_all(to, [near.to(*at), near.to(*next)]);
    }
    put(to, kept.faults.bytes().len() as u64);
    to.extend_from_slice(kept.faults.bytes());
    put(to, callouts.len() as u64);
    for Callout { offset, op, pc, lazy } in callouts {
        put_all(to, [(*offset).into(), near.to(*pc)]);
        put_op(to, op);
        put_lazy(to, *lazy);
    }
    put(to, return_pads.len() as u64);
    let mut at = Step::default();
    for ReturnPad { offset, pc } in return_pads {
        put_all(to, [at.to(*offset), near.to(*pc)]);
    }
    put(to, relocations.len() as u64);
    let mut at = Step::default();
    for Relocation { offset, stub } in relocations {
        let number = STUB_NUMBERS.get(*stub as usize).filter(|n| **n != u8::MAX)?;
        put_all(to, [at.to(*offset), (*number).into()]);
    }
    put(to, recipes.len() as u64);
    for recipe in recipes {
        put(to, recipe.steps.len() as u64);
        recipe.steps.iter().for_each(|step| put_step(to, step));
    }
    put(to, flag_sites.len() as u64);
    let mut at = Step::default();
    for FlagSite { offset, recipe } in flag_sites {
        put_all(to, [at.to(*offset), (*recipe).into()]);
    }
    Some(())
}

fn put_op(to: &mut Vec<u8>, op: &Op) {
    let op = text::print::op(op);
    put(to, op.len() as u64);
    to.extend_from_slice(op.as_bytes());
}

fn take_op(from: &mut Source<'_>) -> Option<Op> {
    let len = from.count()?;
    text::parse::op_alone(std::str::from_utf8(from.bytes(len)?).ok()?).ok()
}

fn put_step(to: &mut Vec<u8>, step: &RecipeStep) {
    match step {
        RecipeStep::Register(n) => to.extend_from_slice(&[0, *n]),
        RecipeStep::Slot(n) => to.extend_from_slice(&[1, *n]),
        RecipeStep::Constant(n) => {
            to.push(2);
            put(to, *n);
        }
        RecipeStep::Before => to.push(3),
        RecipeStep::Op(op) => {
            to.push(4);
            put_op(to, op);
        }
    }
}

fn take_step(from: &mut Source<'_>) -> Option<RecipeStep> {
    Some(match from.byte()? {
        0 => RecipeStep::Register(from.byte()?),
        1 => RecipeStep::Slot(from.byte()?),
        2 => RecipeStep::Constant(from.number()?),
        3 => RecipeStep::Before,
        4 => RecipeStep::Op(take_op(from)?),
        _ => return None,
    })
}

fn stop_kind(kind: StopKind) -> Option<[u8; 2]> {
    Some(match kind {
        StopKind::Syscall(SyscallKind::Syscall) => [0, 0],
        StopKind::Syscall(SyscallKind::Int(n)) => [1, n],
        StopKind::Syscall(SyscallKind::Sysenter) => [2, 0],
        StopKind::Trap(trap) => [3, number_of(TRAPS, &trap)?],
    })
}

fn read_stop_kind(from: &mut Source<'_>) -> Option<StopKind> {
    Some(match (from.byte()?, from.byte()?) {
        (0, 0) => StopKind::Syscall(SyscallKind::Syscall),
        (1, n) => StopKind::Syscall(SyscallKind::Int(n)),
        (2, 0) => StopKind::Syscall(SyscallKind::Sysenter),
        (3, n) => StopKind::Trap(*TRAPS.get(usize::from(n))?),
        _ => return None,
    })
}

/// The first part of a region's bytes: which guest code it is of.
pub(super) struct Opened<'a> {
    /// Pieces of guest code: where, and which bytes.
    pub(super) guest: Vec<(GuestAddr, &'a [u8])>,
    near: Near,
    rest: Source<'a>,
}

/// Reads the first part; `None`: it is damaged.
pub(super) fn open(bytes: &[u8], key: BlockKey) -> Option<Opened<'_>> {
    let mut from = Source(bytes);
    let mut near = Near(key.pc.0);
    let ranges: Vec<_> =
        (0..from.count()?).map(|_| Some((near.take(&mut from)?, from.count()?))).collect::<Option<_>>()?;
    let guest = ranges.into_iter().map(|(at, len)| Some((at, from.bytes(len)?))).collect::<Option<_>>()?;
    Some(Opened { guest, near, rest: from })
}

impl Opened<'_> {
    /// Reads the rest; `None`: it is damaged.
    pub(super) fn decode(self, key: BlockKey) -> Option<(Outline, Compiled, FaultTable)> {
        let Opened { guest, mut near, rest: mut from } = self;
        let near = &mut near;
        let instructions = from.number()?;
        let host_instructions = from.word()?;
        let block_callouts = from.word()?;
        let code_len = from.count()?;
        let code = from.bytes(code_len)?.to_vec();
        let block_pcs = list(&mut from, |from| near.take(from))?;
        let [mut number, mut at, mut behind] = [const { Step(0) }; 3];
        let blocks = list(&mut from, |from| {
            let (block, pc) = (BlockId(number.take(from)?), near.take(from)?);
            Some(BlockEntry { block, pc, offset: at.take(from)?, checked: behind.take(from)? })
        })?;
        let mut links = || {
            let [mut at, mut behind] = [const { Step(0) }; 2];
            list(&mut from, |from| {
                let (site, stub, how, target) = (at.take(from)?, behind.take(from)?, from.byte()?, near.take(from)?);
                let far = if how & 2 != 0 { Some(FarJump { jump: from.word()?, slot: from.word()? }) } else { None };
                Some(Link { site, stub, target, is_call: how & 1 != 0, far })
            })
        };
        let (links, back_edges) = (links()?, links()?);
        let mut at = Step::default();
        let hot_exits = list(&mut from, |from| Some(HotExit { stub: at.take(from)?, target: near.take(from)? }))?;
        let mut at = Step::default();
        let counters = list(&mut from, |from| at.take(from))?;
        let mut behind = Step::default();
        let stops = list(&mut from, |from| {
            let (stub, kind) = (behind.take(from)?, read_stop_kind(from)?);
            Some(Stop { stub, kind, at: near.take(from)?, next: near.take(from)? })
        })?;
        let faults_len = from.count()?;
        let faults = FaultTable::from_bytes(from.bytes(faults_len)?);
        let callouts = list(&mut from, |from| {
            let (offset, pc) = (from.word()?, near.take(from)?);
            Some(Callout { offset, op: take_op(from)?, pc, lazy: take_lazy(from)? })
        })?;
        let mut at = Step::default();
        let return_pads = list(&mut from, |from| Some(ReturnPad { offset: at.take(from)?, pc: near.take(from)? }))?;
        let mut at = Step::default();
        let relocations = list(&mut from, |from| {
            Some(Relocation { offset: at.take(from)?, stub: *STUBS.get(usize::from(from.byte()?))? })
        })?;
        let recipes = list(&mut from, |from| Some(FlagsRecipe { steps: list(from, take_step)? }))?;
        let mut at = Step::default();
        let flag_sites = list(&mut from, |from| Some(FlagSite { offset: at.take(from)?, recipe: from.word()? }))?;
        let ranges = guest.iter().map(|(at, bytes)| (*at, bytes.len() as u32)).collect();
        let compiled = Compiled {
            code,
            blocks,
            links,
            back_edges,
            hot_exits,
            counters,
            stops,
            faults: Vec::new(),
            callouts,
            return_pads,
            relocations,
            recipes,
            flag_sites,
            host_instructions,
            block_callouts,
        };
        is_sound(&compiled).then_some((Outline { key, block_pcs, ranges, instructions }, compiled, faults))
    }
}

/// Whether what is to be written into the code lies in it: the runtime relies on that.
fn is_sound(compiled: &Compiled) -> bool {
    let word = |offset: u32| compiled.code.len().checked_sub(4).is_some_and(|last| offset as usize <= last);
    let inside = |offset: u32| (offset as usize) < compiled.code.len();
    let links = || compiled.links.iter().chain(&compiled.back_edges);
    links().all(|l| l.site % 4 == 0 && word(l.site) && inside(l.stub))
        && compiled.relocations.iter().all(|r| word(r.offset))
        && compiled.counters.iter().all(|&offset| word(offset))
        && compiled.blocks.iter().all(|b| inside(b.offset) && inside(b.checked))
        && links().filter_map(|l| l.far).all(|far| far.slot % 8 == 0 && word(far.slot + 4) && inside(far.jump))
}

fn list<'a, T>(from: &mut Source<'a>, mut one: impl FnMut(&mut Source<'a>) -> Option<T>) -> Option<Vec<T>> {
    let count = from.count()?;
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        all.push(one(from)?);
    }
    Some(all)
}

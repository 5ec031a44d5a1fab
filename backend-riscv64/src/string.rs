//! String instructions: loops over elements, with the guest's registers brought up to date after each, so that a fault tells what is done.
//!
//! What is rare is evaluated out of line: the direction or trap flag, no elements where flags come of them, other widths of addresses, segments.

use hokku_ir::lowering::FlagsNode;
use hokku_ir::operand::{Rep, StringOp};
use hokku_ir::{Effects, Exit, FlagSet, Gpr, Op, Region, Target, Value, Width, guest::eflags};

use crate::asm::Label;
use crate::assign::*;
use crate::encode::*;
use crate::features::Features;
use crate::lower::Lowering;

/// Bytes of a word.
pub(crate) const WORD: i32 = 8;
/// Words of a chunk.
pub(crate) const CHUNK: i32 = 4;

pub(crate) const RSI: Reg = HOMES[Gpr::Rsi as usize];
pub(crate) const RDI: Reg = HOMES[Gpr::Rdi as usize];
pub(crate) const RCX: Reg = HOMES[Gpr::Rcx as usize];

/// Whether `kind` leaves flags of its own.
fn gives_flags(kind: StringOp) -> bool {
    matches!(kind, StringOp::Cmps | StringOp::Scas)
}

/// Flags that are read behind a string instruction which leaves them alone are the value that they were set to before it.
pub(crate) fn read_flags_past_strings(region: &mut Region) {
    for block in &mut region.blocks {
        let mut set: Option<Value> = None;
        let mut renamed: Vec<(Value, Value)> = Vec::new();
        let is_new = |renamed: &[(Value, Value)], v: Value| renamed.iter().find(|r| r.0 == v).map_or(v, |r| r.1);
        block.insts.retain_mut(|inst| {
            inst.op.map_values(&mut |v| is_new(&renamed, v));
            match inst.op {
                Op::SetFlags { set: flags, v } => set = (flags == FlagSet::STATUS).then_some(v),
                Op::GetFlags {} => {
                    if let Some(v) = set {
                        renamed.push((inst.value, v));
                        return false;
                    }
                }
                Op::String { op, .. } if !gives_flags(op) => {}
                Op::SetGpr { .. } | Op::SetGprHigh { .. } | Op::SetVec { .. } => {}
                op if op.effects().contains(Effects::writes_state) => set = None,
                _ => {}
            }
            true
        });
        block.exit.map_values(&mut |v| is_new(&renamed, v));
    }
}

impl Lowering<'_> {
    /// Lowers the string instruction `op`; says whether it could.
    pub(crate) fn string(&mut self, op: Op) -> bool {
        let Op::String { op: kind, w, rep, address, seg, .. } = op else { return false };
        let whole = if self.is_64() { Width::W64 } else { Width::W32 };
        let gives_flags = gives_flags(kind);
        let node = self.plan.flags_at(self.at as usize);
        // A note that builds on older flags may call the runtime on the way, which the code behind it would have to know of.
        let is_noted = || !self.older_flags_are_read() && !self.values.recipe(&self.plan, node).reads_before();
        let keeps_node = gives_flags || self.plan.node(node) == FlagsNode::Entry || is_noted();
        let is_plain = address == whole && !seg.0 && kind != StringOp::Lods;
        if self.frugal || !is_plain || !keeps_node || self.region.key.ordered {
            return false;
        }
        let uses_source = matches!(kind, StringOp::Movs | StringOp::Cmps);
        let repeats = rep != Rep::Once;
        let changed = [(Gpr::Rsi, uses_source), (Gpr::Rdi, true), (Gpr::Rcx, repeats)];
        // What is needed by this op's own fault is needed still.
        self.values.start(self.at.saturating_sub(1));
        for (g, _) in changed.into_iter().filter(|c| c.1) {
            self.widen(g);
            self.overwrite(g, None);
        }
        self.values.start(self.at);
        // What is stored, or compared, as a whole.
        self.widen(Gpr::Rax);
        if !gives_flags && self.plan.node(node) != FlagsNode::Entry {
            let note = self.note(&[]);
            self.write_note(note);
        }
        let (a, b, t) = (self.temp(), self.temp(), self.temp());
        let c = if kind == StringOp::Movs && repeats { self.temp() } else { t };
        let lazy = self.lazy();
        let mut slow = self.out_of_line_in(op, Vec::new(), lazy);
        slow.reads_flags = true;
        slow.signs = self.narrow;
        let done = self.asm.label();
        self.asm.i(LWU, SCRATCH, STATE, SYSTEM_FLAGS);
        self.asm.i(ANDI, SCRATCH, SCRATCH, (eflags::DF | eflags::TF) as i32);
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, slow.label);
        if repeats {
            self.asm.branch(Branch::Eq, RCX, ZERO, if gives_flags { slow.label } else { done });
        }
        let element = Element { kind, w, repeats, a, b, c };
        match kind {
            StringOp::Movs | StringOp::Stos => self.move_elements(element, t, done),
            _ => self.compare_elements(element, rep, t, done),
        }
        self.asm.bind(done);
        if gives_flags {
            self.difference_flags(w, a, b, t);
        }
        self.out_of_line_ends(slow, None);
        true
    }

    /// Whether code behind the op at hand reads the flags from before the block, as it takes them, as bits.
    fn older_flags_are_read(&self) -> bool {
        let is_read = |to: &Target| matches!(to, Target::Block(b) if !self.read_in[b.0 as usize].is_empty());
        let by_exit = match &self.block.exit {
            Exit::Jump { to } => is_read(to),
            Exit::Branch { taken, next, .. } => is_read(taken) || is_read(next),
            Exit::Call { to, .. } => is_read(to),
            _ => false,
        };
        by_exit || self.block.insts[self.at as usize..].iter().any(|i| matches!(i.op, Op::GetFlags {}))
    }

    /// `b` = what is at rdi, `a` = what is at rsi, if it is not rax.
    pub(crate) fn compare_element(&mut self, Element { kind, w, repeats, a, b, .. }: Element) {
        let (load, _) = accesses(w);
        // Processors reach the second operand first.
        self.string_access(load, b, RDI, 0, None);
        if kind == StringOp::Cmps {
            self.string_access(load, a, RSI, 0, None);
        }
        self.advance(kind == StringOp::Cmps, w.bytes() as i32, i32::from(repeats));
    }

    /// Where it faults, the thread goes on at `retry`, if there is one.
    pub(crate) fn string_access(&mut self, load: I, d: Reg, at: Reg, offset: i32, retry: Option<Label>) {
        self.string_site(retry);
        self.asm.i(load, d, at, offset);
    }

    /// The next instruction may fault, and the thread then goes on at `retry`, if there is one.
    pub(crate) fn string_site(&mut self, retry: Option<Label>) {
        let lazy = self.lazy();
        self.may_fault(lazy);
        if let Some(retry) = retry {
            self.retries.push((self.out.faults.len() - 1, retry));
        }
    }

    /// Addresses that could be accessed have not run over, and do not by an element or as many as were: the top of the address space is never mapped.
    pub(crate) fn advance(&mut self, source: bool, bytes: i32, elements: i32) {
        if source {
            self.asm.i(ADDI, RSI, RSI, bytes);
        }
        self.asm.i(ADDI, RDI, RDI, bytes);
        if elements != 0 {
            self.asm.i(ADDI, RCX, RCX, -elements);
        }
    }

    /// Branches where fewer than `elements` are left.
    pub(crate) fn leave_below(&mut self, elements: i32, to: Label) {
        self.asm.i(SLTIU, SCRATCH, RCX, elements);
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, to);
    }

    /// Branches where at least so many are.
    pub(crate) fn repeat_from(&mut self, elements: i32, to: Label) {
        self.asm.i(SLTIU, SCRATCH, RCX, elements);
        self.asm.branch(Branch::Eq, SCRATCH, ZERO, to);
    }

    /// Has `one` do elements, of which there are enough, until rdi is a word's address; goes to `singly` where it never is. `t` changes.
    pub(crate) fn align(&mut self, w: Width, t: Reg, singly: Label, one: impl FnOnce(&mut Self)) {
        let [again, aligned] = [(); 2].map(|()| self.asm.label());
        if w != Width::W8 {
            self.asm.i(ANDI, t, RDI, w.bytes() as i32 - 1);
            self.asm.branch(Branch::Ne, t, ZERO, singly);
        }
        if w == Width::W64 {
            return;
        }
        self.asm.i(ANDI, t, RDI, WORD - 1);
        self.asm.branch(Branch::Eq, t, ZERO, aligned);
        self.asm.bind(again);
        one(self);
        self.asm.i(ANDI, t, RDI, WORD - 1);
        self.asm.branch(Branch::Ne, t, ZERO, again);
        self.asm.bind(aligned);
    }

    /// `r` = rax's element as often as it fits.
    pub(crate) fn fill_with_element(&mut self, r: Reg, w: Width) {
        self.extend_zero_to(r, home(Gpr::Rax), w);
        let mut bits = w.bits() as i32;
        while bits < 64 {
            self.asm.i(SLLI, SCRATCH, r, bits);
            self.asm.r(OR, r, r, SCRATCH);
            bits *= 2;
        }
    }

    /// The guest's flags are those of `a - b`, which are zero-extended: in the state and in [`OLDER`]. Changes the registers.
    fn difference_flags(&mut self, w: Width, a: Reg, b: Reg, t: Reg) {
        let top = w.bits() as i32 - 1;
        let place = |flag: FlagSet| flag.bits().trailing_zeros() as i32;
        let bit = |l: &mut Self, r: Reg, from: i32, flag: FlagSet| {
            l.bit_at(r, r, from);
            l.asm.i(SLLI, r, r, place(flag));
            l.asm.r(OR, OLDER, OLDER, r);
        };
        self.asm.r(SLTU, OLDER, a, b);
        self.asm.r(SUB, t, a, b);
        self.asm.r(XOR, SCRATCH, a, b);
        // AF: the carry into bit 4.
        self.asm.r(XOR, b, SCRATCH, t);
        self.asm.i(ANDI, b, b, FlagSet::AF.bits() as i32);
        self.asm.r(OR, OLDER, OLDER, b);
        self.asm.r(XOR, b, a, t);
        self.asm.r(AND, b, b, SCRATCH);
        bit(self, b, top, FlagSet::OF);
        self.asm.mv(b, t);
        bit(self, b, top, FlagSet::SF);
        self.asm.i(SLTIU, b, t, 1);
        self.asm.i(SLLI, b, b, place(FlagSet::ZF));
        self.asm.r(OR, OLDER, OLDER, b);
        self.asm.i(ANDI, t, t, 255);
        if self.has(Features::ZBB) {
            self.asm.i(SLLI, t, t, CPOP);
        } else {
            for by in [4, 2, 1] {
                self.asm.i(SRLI, b, t, by);
                self.asm.r(XOR, t, t, b);
            }
        }
        self.asm.i(XORI, t, t, 1);
        bit(self, t, 0, FlagSet::PF);
        self.asm.s(SW, OLDER, STATE, STATUS_FLAGS);
        self.asm.i(ADDI, FLAGS, ZERO, 1);
    }
}

/// A string instruction's elements, and registers for them.
#[derive(Clone, Copy)]
pub(crate) struct Element {
    pub(crate) kind: StringOp,
    pub(crate) w: Width,
    pub(crate) repeats: bool,
    pub(crate) a: Reg,
    pub(crate) b: Reg,
    /// Of those that repeat and move alone.
    pub(crate) c: Reg,
}

impl Element {
    /// How many of it a word holds.
    pub(crate) fn per_word(self) -> i32 {
        WORD / self.w.bytes() as i32
    }
}

/// How elements of `w` are loaded, with zeros above, and stored.
pub(crate) fn accesses(w: Width) -> (I, I) {
    match w {
        Width::W8 => (LBU, SB),
        Width::W16 => (LHU, SH),
        Width::W32 => (LWU, SW),
        Width::W64 => (LD, SD),
    }
}

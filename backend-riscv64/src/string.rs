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

const RSI: Reg = HOMES[Gpr::Rsi as usize];
const RDI: Reg = HOMES[Gpr::Rdi as usize];
const RCX: Reg = HOMES[Gpr::Rcx as usize];

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
        let element = Element { kind, w, repeats, a, b };
        match kind {
            StringOp::Movs | StringOp::Stos => self.move_elements(element, t, done),
            _ => {
                if kind == StringOp::Scas {
                    self.extend_zero_to(a, home(Gpr::Rax), w);
                }
                let again = self.asm.label();
                self.asm.bind(again);
                self.compare_element(element);
                match rep {
                    Rep::Once | Rep::Rep => {}
                    Rep::Repe => self.asm.branch(Branch::Ne, a, b, done),
                    Rep::Repne => self.asm.branch(Branch::Eq, a, b, done),
                }
                if repeats {
                    self.asm.branch(Branch::Ne, RCX, ZERO, again);
                }
            }
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

    /// Moves or stores until rcx is zero: words where both addresses can be aligned.
    fn move_elements(&mut self, element: Element, t: Reg, done: Label) {
        let Element { kind, w, repeats, a, b } = element;
        if !repeats {
            return self.move_element(element);
        }
        let per_word = 8 / w.bytes() as i32;
        let (one_by_one, words) = (self.asm.label(), self.asm.label());
        if per_word > 1 {
            let aligning = self.asm.label();
            self.asm.i(ADDI, t, ZERO, 2 * per_word);
            self.asm.branch(Branch::Ltu, RCX, t, one_by_one);
            if kind == StringOp::Movs {
                self.asm.r(XOR, t, RSI, RDI);
                self.asm.i(ANDI, t, t, 7);
                self.asm.branch(Branch::Ne, t, ZERO, one_by_one);
            } else {
                // The element as often as it fits.
                self.extend_zero_to(b, home(Gpr::Rax), w);
                let mut bits = w.bits() as i32;
                while bits < 64 {
                    self.asm.i(SLLI, SCRATCH, b, bits);
                    self.asm.r(OR, b, b, SCRATCH);
                    bits *= 2;
                }
            }
            self.asm.bind(aligning);
            self.asm.i(ANDI, t, RDI, 7);
            self.asm.branch(Branch::Eq, t, ZERO, words);
            self.move_element(element);
            self.asm.branch(Branch::Ne, RCX, ZERO, aligning);
            self.asm.jump(ZERO, done);
            self.asm.bind(words);
            self.asm.i(ADDI, t, ZERO, per_word);
            self.asm.branch(Branch::Ltu, RCX, t, one_by_one);
            let again = self.asm.label();
            self.asm.bind(again);
            let mut from = b;
            if kind == StringOp::Movs {
                self.string_access(LD, a, RSI);
                from = a;
            }
            self.string_store(SD, from);
            self.advance(kind == StringOp::Movs, 8, per_word);
            self.asm.branch(Branch::Geu, RCX, t, again);
            self.asm.branch(Branch::Eq, RCX, ZERO, done);
        }
        self.asm.bind(one_by_one);
        self.move_element(element);
        self.asm.branch(Branch::Ne, RCX, ZERO, one_by_one);
    }

    fn move_element(&mut self, Element { kind, w, repeats, a, .. }: Element) {
        let (load, store) = accesses(w);
        let mut from = home(Gpr::Rax);
        if kind == StringOp::Movs {
            self.string_access(load, a, RSI);
            from = a;
        }
        self.string_store(store, from);
        self.advance(kind == StringOp::Movs, w.bytes() as i32, i32::from(repeats));
    }

    /// `b` = what is at rdi, `a` = what is at rsi, if it is not rax.
    fn compare_element(&mut self, Element { kind, w, repeats, a, b }: Element) {
        let (load, _) = accesses(w);
        // Processors reach the second operand first.
        self.string_access(load, b, RDI);
        if kind == StringOp::Cmps {
            self.string_access(load, a, RSI);
        }
        self.advance(kind == StringOp::Cmps, w.bytes() as i32, i32::from(repeats));
    }

    fn string_access(&mut self, load: I, d: Reg, at: Reg) {
        let lazy = self.lazy();
        self.may_fault(lazy);
        self.asm.i(load, d, at, 0);
    }

    fn string_store(&mut self, store: I, from: Reg) {
        let lazy = self.lazy();
        self.may_fault(lazy);
        self.asm.s(store, from, RDI, 0);
    }

    /// Addresses that could be accessed have not run over, and do not by an element: the top of the address space is never mapped.
    fn advance(&mut self, source: bool, bytes: i32, elements: i32) {
        if source {
            self.asm.i(ADDI, RSI, RSI, bytes);
        }
        self.asm.i(ADDI, RDI, RDI, bytes);
        if elements != 0 {
            self.asm.i(ADDI, RCX, RCX, -elements);
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
struct Element {
    kind: StringOp,
    w: Width,
    repeats: bool,
    a: Reg,
    b: Reg,
}

/// How elements of `w` are loaded, with zeros above, and stored.
fn accesses(w: Width) -> (I, I) {
    match w {
        Width::W8 => (LBU, SB),
        Width::W16 => (LHU, SH),
        Width::W32 => (LWU, SW),
        Width::W64 => (LD, SD),
    }
}

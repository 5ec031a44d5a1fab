//! String instructions as loops on the registers where the guest's are: at each access they tell what is done.

use hokku_ir::backend::{Callout, FaultSite, LazyState, StubId};
use hokku_ir::guest::eflags;
use hokku_ir::{FlagSet, Gpr, Rep, Seg, StringOp, Width};

use crate::access::{Piece, Place};
use crate::asm::{Cc, Label, Size};
use crate::assign::*;
use crate::integer::Sum;
use crate::lower::Lowering;

/// Bytes that one turn of the fast loops moves, by a pair of vector registers.
pub(crate) const CHUNK: i32 = 32;
const PAGE_BITS: u8 = 12;

/// What all the loops need to know.
#[derive(Clone, Copy)]
pub(crate) struct Loop {
    pub(crate) op: StringOp,
    /// Of elements.
    pub(crate) w: Width,
    pub(crate) rep: Rep,
    /// Of addresses and the count.
    pub(crate) size: Size,
    /// Registers for elements: what is read first, or compared with.
    pub(crate) element: u8,
    /// The second operand of a comparison.
    pub(crate) second: u8,
    /// Two more, where the instruction repeats.
    pub(crate) left: u8,
    pub(crate) other: u8,
}

impl Loop {
    pub(crate) fn piece(&self) -> Piece {
        Piece::Int(self.w as u8)
    }

    pub(crate) fn bytes(&self) -> i32 {
        self.w.bytes() as i32
    }
}

pub(crate) const RSI: u8 = Gpr::Rsi as u8;
pub(crate) const RDI: u8 = Gpr::Rdi as u8;
pub(crate) const RCX: u8 = Gpr::Rcx as u8;
pub(crate) const RAX: u8 = Gpr::Rax as u8;

impl Lowering<'_> {
    /// False where the runtime must do it: addresses of another width than the mode's, a source in a segment with a base.
    pub(crate) fn string_op(&mut self, op: StringOp, w: Width, rep: Rep, address: Width, source: Option<Seg>) -> bool {
        let reads_source = matches!(op, StringOp::Movs | StringOp::Lods | StringOp::Cmps);
        let compares = matches!(op, StringOp::Cmps | StringOp::Scas);
        if address != self.mode.word() || reads_source && matches!(source, Some(Seg::Fs | Seg::Gs)) {
            return false;
        }
        // Its faults tell of no x87 values.
        self.write_stack_back();
        // Whoever sees flags from here on finds them by the site.
        self.leave_flags(FlagSet::STATUS);
        if let Some(site) = self.sites[self.block_number] {
            self.entry_site = Some(site);
        }
        let writes = [
            (Gpr::Rsi, reads_source),
            (Gpr::Rdi, op != StringOp::Lods),
            (Gpr::Rcx, rep != Rep::Once),
            (Gpr::Rax, op == StringOp::Lods),
        ];
        for (g, _) in writes.iter().filter(|(_, written)| *written) {
            self.values.overwrite(*g, None, &mut self.plan, &mut self.asm);
        }
        // What the runtime's way does to values must be done on the other way as well.
        self.spill_vectors();
        self.compared = None;
        let element = self.temp();
        let second = if compares { self.temp() } else { element };
        let (left, other) = if rep == Rep::Once { (element, element) } else { (self.temp(), self.temp()) };
        let l = Loop { op, w, rep, size: Size::of(address), element, second, left, other };
        let (slow, done) = (self.asm.label(), self.asm.label());
        // Of the second byte of the system flags only IF is set in nearly every program: neither DF nor TF.
        self.asm.load(Piece::B, SCRATCH, STATE, SYSTEM_FLAGS + 1);
        self.asm.add_imm(Sum::Sub, Size::W, SCRATCH, SCRATCH, eflags::IF >> 8);
        self.asm.cbnz(Size::W, SCRATCH, slow);
        if l.rep != Rep::Once {
            self.asm.cbz(l.size, RCX, done);
        }
        match op {
            StringOp::Movs | StringOp::Stos => self.move_elements(l, done),
            StringOp::Lods => self.load_elements(l),
            StringOp::Cmps | StringOp::Scas => self.compare_elements(l),
        }
        let (op, pc) = (self.block.insts[self.at as usize].op, self.pc);
        self.outline(slow, |l| {
            l.branch_to_stub(StubId::Callout, true);
            l.out.callouts.push(Callout { offset: l.asm.offset(), op, pc, lazy: LazyState::default() });
            l.asm.b(done);
        });
        self.asm.bind(done);
        true
    }

    /// The next instruction may fault; the flags are where the site says.
    pub(crate) fn string_site(&mut self) {
        self.out.faults.push(FaultSite {
            offset: self.asm.offset(),
            pc: self.pc,
            leave: StubId::LeaveFault,
            stack_delta: 0,
            borrowed: [None; 4],
            lazy: LazyState::default(),
            retry: None,
        });
    }

    pub(crate) fn read_element(&mut self, l: Loop, to: u8, at: u8) {
        self.string_site();
        self.asm.load(l.piece(), to, at, 0);
    }

    /// Adds `by` to a register.
    pub(crate) fn advance(&mut self, l: Loop, reg: u8, by: i32) {
        let op = if by < 0 { Sum::Sub } else { Sum::Add };
        self.asm.add_imm(op, l.size, reg, reg, by.unsigned_abs());
    }

    /// Writes `piece` (or a pair of them) to the destination, which moves on by `by`.
    fn write_on(&mut self, l: Loop, piece: Piece, reg: u8, pair: Option<u8>, by: i32) {
        self.string_site();
        // Addresses of 32 bits wrap.
        let wraps = l.size == Size::W;
        match pair {
            None if wraps => self.asm.store(piece, reg, RDI, 0),
            None => self.asm.access(false, piece, reg, Place::After { base: RDI, offset: by }),
            Some(other) if wraps => self.asm.store_pair(piece, reg, other, RDI, 0),
            Some(other) => self.asm.store_pair_after(piece, reg, other, RDI, by),
        }
        if wraps {
            self.advance(l, RDI, by);
        }
    }

    /// One element of `movs` or `stos`; counts it.
    fn move_element(&mut self, l: Loop) {
        if l.op == StringOp::Stos {
            self.write_on(l, l.piece(), RAX, None, l.bytes());
        } else {
            self.read_element(l, l.element, RSI);
            self.write_on(l, l.piece(), l.element, None, l.bytes());
            self.advance(l, RSI, l.bytes());
        }
        if l.rep != Rep::Once {
            self.advance(l, RCX, -1);
        }
    }

    /// `movs`, `stos`: by chunks that lie within pages, so that they fault as a whole or not at all, and by single elements.
    fn move_elements(&mut self, l: Loop, done: Label) {
        if l.rep == Rep::Once {
            return self.move_element(l);
        }
        let moves = l.op == StringOp::Movs;
        let log2 = l.w as u8;
        let (left, other) = (l.left, l.other);
        let (low, high) = (self.vec_temp(), self.vec_temp());
        let [head, chunk, single, tail] = [(); 4].map(|()| self.asm.label());
        let high = if moves { high } else { low };
        if !moves {
            self.asm.broadcast_gpr(log2, low, RAX);
        }
        self.asm.bind(head);
        self.asm.add_imm(Sum::Subs, l.size, ZERO, RCX, (CHUNK >> log2) as u32);
        self.asm.b_cond(Cc::Lo, tail);
        if moves {
            // A destination shortly behind the source reads what was just written.
            self.asm.add(Sum::Sub, l.size, left, RDI, RSI);
            self.asm.add_imm(Sum::Subs, l.size, ZERO, left, CHUNK as u32);
            self.asm.b_cond(Cc::Lo, tail);
        }
        self.chunks_on_pages(l, left, other, moves);
        self.asm.cbz(Size::W, left, single);
        self.asm.bind(chunk);
        if moves {
            self.string_site();
            self.asm.load_pair(Piece::Q, low, high, RSI, 0);
        }
        self.write_on(l, Piece::Q, low, Some(high), CHUNK);
        if moves {
            self.advance(l, RSI, CHUNK);
        }
        self.advance(l, RCX, -(CHUNK >> log2));
        self.asm.add_imm(Sum::Sub, Size::W, left, left, 1);
        self.asm.cbnz(Size::W, left, chunk);
        self.asm.cbnz(l.size, RCX, head);
        self.asm.b(done);
        self.asm.bind(single);
        self.move_element(l);
        self.asm.cbnz(l.size, RCX, head);
        self.asm.b(done);
        self.asm.bind(tail);
        self.move_element(l);
        self.asm.cbnz(l.size, RCX, tail);
    }

    /// `left` = how many chunks there are until the count ends, or the page of the destination, or, where that is `also_source`, of the source.
    /// `other` changes.
    pub(crate) fn chunks_on_pages(&mut self, l: Loop, left: u8, other: u8, also_source: bool) {
        let log2 = l.w as u8;
        self.asm.ubfx(Size::W, left, RDI, 0, PAGE_BITS);
        if also_source {
            self.asm.ubfx(Size::W, other, RSI, 0, PAGE_BITS);
            self.asm.add(Sum::Subs, Size::W, ZERO, left, other);
            self.asm.csel(Size::W, left, left, other, Cc::Hs);
        }
        self.asm.constant(other, 1 << PAGE_BITS);
        self.asm.add(Sum::Sub, Size::W, left, other, left);
        self.asm.lsr(Size::W, left, left, log2);
        self.asm.add(Sum::Subs, l.size, ZERO, RCX, left);
        self.asm.csel(l.size, left, RCX, left, Cc::Lo);
        self.asm.lsr(Size::W, left, left, 5 - log2);
    }

    fn load_elements(&mut self, l: Loop) {
        let again = self.asm.here();
        let to = if l.w < Width::W32 { l.element } else { RAX };
        self.read_element(l, to, RSI);
        if l.w < Width::W32 {
            self.asm.bfi(Size::X, RAX, to, 0, l.w.bits() as u8);
        }
        self.advance(l, RSI, l.bytes());
        if l.rep != Rep::Once {
            self.advance(l, RCX, -1);
            self.asm.cbnz(l.size, RCX, again);
        }
    }
}

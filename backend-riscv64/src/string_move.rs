//! `movs` and `stos`: by words to aligned addresses, four at a time, and by single elements.
//!
//! What is read or written of more than one page at a time is done again by single elements where it faults: they tell how far it went.

use hokku_ir::operand::StringOp;
use hokku_ir::{Gpr, Width};

use crate::asm::Label;
use crate::assign::*;
use crate::encode::*;
use crate::lower::Lowering;
use crate::string::{CHUNK, Element, RCX, RDI, RSI, WORD, accesses};

/// Fewer elements that are words are moved one by one.
const LEAST: i32 = 8;

/// Registers of a move by shifted words.
#[derive(Clone, Copy)]
struct Shifted {
    /// The aligned word that the source is in, and the one after it.
    held: Reg,
    next: Reg,
    /// The address of the former.
    from: Reg,
    /// By how much they are shifted, in bits.
    down: Reg,
    up: Reg,
}

impl Lowering<'_> {
    /// Moves or stores until rcx is zero, then goes to `done` or on.
    pub(crate) fn move_elements(&mut self, element: Element, t: Reg, done: Label) {
        if !element.repeats {
            return self.move_element(element);
        }
        let singly = self.asm.label();
        self.move_words(element, t, singly, done);
        self.asm.bind(singly);
        self.move_element(element);
        self.asm.branch(Branch::Ne, RCX, ZERO, singly);
    }

    /// Goes on at `singly` where elements are left.
    fn move_words(&mut self, element: Element, t: Reg, singly: Label, done: Label) {
        let Element { kind, w, a, b, .. } = element;
        let moves = kind == StringOp::Movs;
        let per_word = element.per_word();
        let [shifted, chunk, words, word] = [(); 4].map(|()| self.asm.label());
        self.leave_below(if w == Width::W64 { LEAST } else { 2 * per_word }, singly);
        self.align(w, t, singly, |l| l.move_element(element));
        if moves {
            self.asm.i(ANDI, t, RSI, WORD - 1);
            self.asm.branch(Branch::Ne, t, ZERO, shifted);
        } else {
            self.fill_with_element(b, w);
        }
        self.leave_below(CHUNK * per_word, words);
        if moves {
            self.leave_near(t, words);
        }
        self.asm.bind(chunk);
        let regs = if moves { [a, b, t, SCRATCH] } else { [b; CHUNK as usize] };
        for (r, offset) in regs.into_iter().zip((0..).step_by(WORD as usize)).filter(|_| moves) {
            self.string_access(LD, r, RSI, offset, Some(singly));
        }
        for (r, offset) in regs.into_iter().zip((0..).step_by(WORD as usize)) {
            self.string_store(SD, r, offset, Some(singly));
        }
        self.advance(moves, CHUNK * WORD, CHUNK * per_word);
        self.repeat_from(CHUNK * per_word, chunk);
        self.asm.branch(Branch::Eq, RCX, ZERO, done);
        if per_word > 1 {
            self.leave_below(per_word, singly);
        }
        self.asm.bind(words);
        self.asm.i(ADDI, t, ZERO, per_word);
        self.asm.bind(word);
        if moves {
            self.string_access(LD, a, RSI, 0, None);
        }
        self.string_store(SD, if moves { a } else { b }, 0, None);
        self.advance(moves, WORD, per_word);
        self.asm.branch(Branch::Geu, RCX, t, word);
        if per_word > 1 {
            self.asm.branch(Branch::Ne, RCX, ZERO, singly);
        }
        self.asm.jump(ZERO, done);
        if moves {
            self.asm.bind(shifted);
            self.move_shifted(element, t, singly, done);
        }
    }

    /// Moves words to aligned addresses from others, which are `t` bytes behind aligned ones.
    fn move_shifted(&mut self, element: Element, t: Reg, singly: Label, done: Label) {
        let Element { a, b, c: from, .. } = element;
        let per_word = element.per_word();
        let [chunk, word] = [(); 2].map(|()| self.asm.label());
        // What a word holds for the next one must not be written meanwhile.
        self.asm.r(SUB, SCRATCH, RDI, RSI);
        self.asm.i(SLTIU, SCRATCH, SCRATCH, 2 * WORD);
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, singly);
        self.asm.i(ANDI, from, RSI, -WORD);
        self.string_access(LD, a, from, 0, Some(singly));
        self.asm.i(SLLI, b, t, 3);
        self.asm.r(SUB, t, ZERO, b);
        self.leave_below(CHUNK * per_word, word);
        self.leave_near(SCRATCH, word);
        self.asm.bind(chunk);
        let (mut held, mut next) = (a, RA);
        for offset in (0..CHUNK).map(|n| n * WORD) {
            self.move_shifted_word(Shifted { held, next, from, down: b, up: t }, offset, singly);
            (held, next) = (next, held);
        }
        debug_assert!(held == a, "an even number of words");
        self.asm.i(ADDI, from, from, CHUNK * WORD);
        self.advance(true, CHUNK * WORD, CHUNK * per_word);
        self.repeat_from(CHUNK * per_word, chunk);
        self.asm.branch(Branch::Eq, RCX, ZERO, done);
        self.leave_below(per_word, singly);
        self.asm.bind(word);
        self.move_shifted_word(Shifted { held: a, next: RA, from, down: b, up: t }, 0, singly);
        self.asm.mv(a, RA);
        self.asm.i(ADDI, from, from, WORD);
        self.advance(true, WORD, per_word);
        self.repeat_from(per_word, word);
        self.asm.branch(Branch::Eq, RCX, ZERO, done);
    }

    /// One of the words, which changes what is held. Single elements tell how far it went where it faults.
    fn move_shifted_word(&mut self, words: Shifted, offset: i32, singly: Label) {
        let Shifted { held, next, from, down, up } = words;
        self.string_access(LD, next, from, offset + WORD, Some(singly));
        self.asm.r(SRL, held, held, down);
        self.asm.r(SLL, SCRATCH, next, up);
        self.asm.r(OR, SCRATCH, SCRATCH, held);
        self.string_store(SD, SCRATCH, offset, Some(singly));
    }

    /// Branches where a destination shortly behind the source reads what was just written, and where one shortly before it must not have been written
    /// when a chunk is done again. `t` changes.
    fn leave_near(&mut self, t: Reg, to: Label) {
        let bytes = CHUNK * WORD;
        self.asm.r(SUB, t, RDI, RSI);
        self.asm.i(ADDI, t, t, bytes - 1);
        self.asm.i(SLTIU, t, t, 2 * bytes - 1);
        self.asm.branch(Branch::Ne, t, ZERO, to);
    }

    fn move_element(&mut self, Element { kind, w, repeats, a, .. }: Element) {
        let (load, store) = accesses(w);
        let mut from = home(Gpr::Rax);
        if kind == StringOp::Movs {
            self.string_access(load, a, RSI, 0, None);
            from = a;
        }
        self.string_store(store, from, 0, None);
        self.advance(kind == StringOp::Movs, w.bytes() as i32, i32::from(repeats));
    }

    fn string_store(&mut self, store: I, from: Reg, offset: i32, retry: Option<Label>) {
        self.string_site(retry);
        self.asm.s(store, from, RDI, offset);
    }
}

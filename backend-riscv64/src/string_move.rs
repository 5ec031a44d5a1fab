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
            // A destination shortly behind the source reads what was just written; one before it must not have been written when it is done again.
            let bytes = CHUNK * WORD;
            self.asm.r(SUB, t, RDI, RSI);
            self.asm.i(ADDI, t, t, bytes - 1);
            self.asm.i(SLTIU, t, t, 2 * bytes - 1);
            self.asm.branch(Branch::Ne, t, ZERO, words);
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
        let Element { a, b, .. } = element;
        // What a word holds for the next one must not be written meanwhile.
        self.asm.r(SUB, SCRATCH, RDI, RSI);
        self.asm.i(SLTIU, SCRATCH, SCRATCH, 2 * WORD);
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, singly);
        self.asm.i(ANDI, SCRATCH, RSI, -WORD);
        self.string_access(LD, a, SCRATCH, 0, Some(singly));
        self.asm.i(SLLI, b, t, 3);
        self.asm.r(SUB, t, ZERO, b);
        let again = self.asm.label();
        self.asm.bind(again);
        self.asm.i(ANDI, SCRATCH, RSI, -WORD);
        self.string_access(LD, RA, SCRATCH, WORD, Some(singly));
        self.asm.r(SRL, a, a, b);
        self.asm.r(SLL, SCRATCH, RA, t);
        self.asm.r(OR, SCRATCH, SCRATCH, a);
        self.asm.mv(a, RA);
        self.string_store(SD, SCRATCH, 0, None);
        self.advance(true, WORD, element.per_word());
        self.repeat_from(element.per_word(), again);
        self.asm.branch(Branch::Eq, RCX, ZERO, done);
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

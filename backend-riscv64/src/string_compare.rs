//! `cmps` and `scas`: by words, four at a time, whose elements do not end the instruction, and by single elements.
//!
//! Words are aligned, and so are four of them at the destination: they fault as a whole or not at all.

use hokku_ir::operand::{Rep, StringOp};
use hokku_ir::{Gpr, Width};

use crate::asm::Label;
use crate::assign::*;
use crate::encode::*;
use crate::features::Features;
use crate::lower::Lowering;
use crate::string::{CHUNK, Element, RCX, RDI, RSI, WORD};

/// A comparison by words.
#[derive(Clone, Copy)]
struct Words {
    element: Element,
    /// Changes; holds what a test of words needs.
    t: Reg,
    /// Bytes are told by instructions for them.
    has_bytes: bool,
}

impl Words {
    fn is_cmps(&self) -> bool {
        self.element.kind == StringOp::Cmps
    }
}

impl Lowering<'_> {
    /// Compares until `done`, with the last elements in the registers for them.
    pub(crate) fn compare_elements(&mut self, element: Element, rep: Rep, t: Reg, done: Label) {
        let Element { kind, w, a, .. } = element;
        if kind == StringOp::Scas {
            self.extend_zero_to(a, home(Gpr::Rax), w);
        }
        let ends_by_word = matches!((kind, rep), (StringOp::Cmps, Rep::Repe) | (StringOp::Scas, Rep::Repne));
        let singly = self.asm.label();
        if ends_by_word && w != Width::W64 {
            let has_bytes = self.has(Features::ZBB) && w == Width::W8;
            self.compare_words(Words { element, t, has_bytes }, rep, singly, done);
        }
        self.asm.bind(singly);
        self.compare_one(element, rep, done);
        if element.repeats {
            self.asm.branch(Branch::Ne, RCX, ZERO, singly);
        }
    }

    /// Goes to `done` if that was the last comparison for what it found.
    fn compare_one(&mut self, element: Element, rep: Rep, done: Label) {
        self.compare_element(element);
        match rep {
            Rep::Once | Rep::Rep => {}
            Rep::Repe => self.asm.branch(Branch::Ne, element.a, element.b, done),
            Rep::Repne => self.asm.branch(Branch::Eq, element.a, element.b, done),
        }
    }

    /// Goes on at `singly` or ends: at least one element is left there.
    fn compare_words(&mut self, words: Words, rep: Rep, singly: Label, done: Label) {
        let Words { element, t, .. } = words;
        let Element { w, a, b, .. } = element;
        let per_word = element.per_word();
        let [word, chunk, found, last] = [(); 4].map(|()| self.asm.label());
        self.leave_below(2 * per_word, singly);
        if words.is_cmps() {
            self.asm.r(XOR, t, RSI, RDI);
            self.asm.i(ANDI, t, t, WORD - 1);
            self.asm.branch(Branch::Ne, t, ZERO, singly);
        }
        self.align(w, t, singly, |l| l.compare_one(element, rep, done));

        if !words.is_cmps() {
            self.fill_with_element(a, w);
            if !words.has_bytes {
                self.asm.li(t, all_but_tops(w));
            }
        }
        self.asm.bind(word);
        self.leave_below(per_word + 1, last);
        self.string_access(LD, b, RDI, 0, None);
        if words.is_cmps() {
            self.string_access(LD, a, RSI, 0, None);
            self.asm.branch(Branch::Ne, a, b, found);
        } else {
            self.find_in_word(words, SCRATCH, b);
            self.end_of_search(words, SCRATCH, found);
        }
        self.advance(words.is_cmps(), WORD, per_word);
        self.asm.i(ANDI, SCRATCH, RDI, CHUNK * WORD - 1);
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, word);
        self.leave_below(CHUNK * per_word + 1, word);
        self.asm.bind(chunk);
        self.compare_chunk(words, word, singly);
        self.advance(words.is_cmps(), CHUNK * WORD, CHUNK * per_word);
        self.repeat_from(CHUNK * per_word + 1, chunk);
        self.asm.jump(ZERO, word);

        self.asm.bind(found);
        if words.has_bytes {
            self.end_in_word(words);
            self.asm.jump(ZERO, done);
        }
        self.asm.bind(last);
        if !words.is_cmps() {
            self.extend_zero_to(a, home(Gpr::Rax), w);
        }
    }

    /// Goes to `found`, with nothing done, where an element of the chunk ends the instruction.
    fn compare_chunk(&mut self, words: Words, found: Label, singly: Label) {
        let b = words.element.b;
        if words.is_cmps() {
            for n in 0..CHUNK {
                let offset = n * WORD;
                let sum = if n == 0 { b } else { SCRATCH };
                self.string_access(LD, sum, RDI, offset, None);
                // The source may reach the next page with it: then single elements tell where.
                self.string_access(LD, RA, RSI, offset, Some(singly));
                self.asm.r(XOR, sum, sum, RA);
                if n != 0 {
                    self.asm.r(OR, b, b, sum);
                }
            }
            return self.asm.branch(Branch::Ne, b, ZERO, found);
        }
        for n in 0..CHUNK {
            self.string_access(LD, RA, RDI, n * WORD, None);
            let to = if n == 0 { b } else { SCRATCH };
            self.find_in_word(words, to, RA);
            if n != 0 {
                self.asm.r(AND, b, b, SCRATCH);
            }
        }
        self.end_of_search(words, b, found);
    }

    /// `to` = `word`, which changes, with top bits of elements ones, all bits of bytes where they are told, but of elements that are sought.
    fn find_in_word(&mut self, words: Words, to: Reg, word: Reg) {
        let Words { element: Element { a, .. }, t, has_bytes } = words;
        self.asm.r(XOR, word, word, a);
        if has_bytes {
            return self.asm.i(SRLI, to, word, ORC_B);
        }
        self.asm.r(AND, to, word, t);
        self.asm.r(ADD, to, to, t);
        self.asm.r(OR, to, to, word);
    }

    /// Goes to `found` with ones in [`SCRATCH`] where elements are sought; `tops` are as [`Self::find_in_word`] gives them.
    fn end_of_search(&mut self, words: Words, tops: Reg, found: Label) {
        if !words.has_bytes {
            self.asm.r(OR, tops, tops, words.t);
        }
        self.asm.i(XORI, SCRATCH, tops, -1);
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, found);
    }

    /// The last comparison is of bytes of a word.
    fn end_in_word(&mut self, words: Words) {
        let Element { w, a, b, .. } = words.element;
        if words.is_cmps() {
            self.asm.r(XOR, SCRATCH, a, b);
        }
        self.asm.i(SLLI, SCRATCH, SCRATCH, CTZ);
        if words.is_cmps() {
            // Shifts are by whole bytes.
            self.asm.i(ANDI, SCRATCH, SCRATCH, -8);
            self.asm.r(SRL, a, a, SCRATCH);
            self.extend_zero_to(a, a, w);
            self.asm.r(SRL, b, b, SCRATCH);
            self.extend_zero_to(b, b, w);
        } else {
            self.extend_zero_to(a, home(Gpr::Rax), w);
            self.asm.mv(b, a);
        }
        self.asm.i(SRLI, SCRATCH, SCRATCH, 3);
        self.asm.i(ADDI, SCRATCH, SCRATCH, 1);
        self.asm.r(ADD, RDI, RDI, SCRATCH);
        if words.is_cmps() {
            self.asm.r(ADD, RSI, RSI, SCRATCH);
        }
        self.asm.r(SUB, RCX, RCX, SCRATCH);
    }
}

/// Ones but for the top bits of elements of `w`.
fn all_but_tops(w: Width) -> i64 {
    let element = w.mask() >> 1;
    (0..64).step_by(w.bits() as usize).fold(0, |all, at| all | element << at) as i64
}

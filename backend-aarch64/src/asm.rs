//! A buffer of instructions with labels.
#![allow(dead_code, reason = "an instruction is listed with its family")]

/// A place in the code that branches lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(u32);

/// Which bits of a branch hold its distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// `b`, `bl`: 26 bits from bit 0, ±128 MiB.
    Imm26,
    /// `b.cond`, `cbz`, `ldr` of a literal: 19 bits from bit 5, ±1 MiB.
    Imm19,
    /// `tbz`: 14 bits from bit 5, ±32 KiB.
    Imm14,
    /// `adr`: 21 bits of bytes, two of them at bit 29.
    Adr,
}

#[derive(Debug)]
struct Fixup {
    at: u32,
    label: Label,
    field: Field,
}

/// Instructions under construction. A register is its number, 31 the zero register or (where an instruction says so) the stack pointer.
#[derive(Debug, Default)]
pub(crate) struct Asm {
    words: Vec<u32>,
    labels: Vec<Option<u32>>,
    fixups: Vec<Fixup>,
    /// The code is a stub: all of it is near.
    pub(crate) is_stub: bool,
}

impl Asm {
    /// An empty buffer.
    pub(crate) fn new() -> Self {
        Asm::default()
    }

    /// Offset of the next instruction in bytes.
    pub(crate) fn offset(&self) -> u32 {
        self.words.len() as u32 * 4
    }

    /// What has been written from `offset` on; distances are not filled in.
    pub(crate) fn words_from(&self, offset: u32) -> &[u32] {
        &self.words[(offset / 4) as usize..]
    }

    /// Has the instruction at `offset` write its result, which is in bits 4:0, to `reg` instead.
    pub(crate) fn redirect(&mut self, offset: u32, reg: u8) {
        let word = &mut self.words[(offset / 4) as usize];
        *word = *word & !31 | u32::from(reg);
    }

    /// Appends an instruction or a word of data.
    pub(crate) fn word(&mut self, word: u32) {
        self.words.push(word);
    }

    /// A label without a place.
    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() as u32 - 1)
    }

    /// Gives `label` its place: here.
    pub(crate) fn bind(&mut self, label: Label) {
        debug_assert!(self.labels[label.0 as usize].is_none(), "a label has one place");
        self.labels[label.0 as usize] = Some(self.words.len() as u32);
    }

    /// The offset of `label`, if it has its place.
    pub(crate) fn offset_of(&self, label: Label) -> Option<u32> {
        self.labels[label.0 as usize].map(|at| at * 4)
    }

    /// A bound label at this place.
    pub(crate) fn here(&mut self) -> Label {
        let label = self.label();
        self.bind(label);
        label
    }

    fn branch_to_label(&mut self, word: u32, label: Label, field: Field) {
        self.fixups.push(Fixup { at: self.words.len() as u32, label, field });
        self.words.push(word);
    }

    /// `b label`.
    pub(crate) fn b(&mut self, label: Label) {
        self.branch_to_label(0x1400_0000, label, Field::Imm26);
    }

    /// `bl label`.
    pub(crate) fn bl(&mut self, label: Label) {
        self.branch_to_label(0x9400_0000, label, Field::Imm26);
    }

    /// `b.cc label`.
    pub(crate) fn b_cond(&mut self, cc: Cc, label: Label) {
        self.branch_to_label(0x5400_0000 | cc as u32, label, Field::Imm19);
    }

    /// `cbz reg, label`.
    pub(crate) fn cbz(&mut self, size: Size, reg: u8, label: Label) {
        self.branch_to_label(0x3400_0000 | size.bit31() | u32::from(reg), label, Field::Imm19);
    }

    /// `cbnz reg, label`.
    pub(crate) fn cbnz(&mut self, size: Size, reg: u8, label: Label) {
        self.branch_to_label(0x3500_0000 | size.bit31() | u32::from(reg), label, Field::Imm19);
    }

    /// `tbz reg, #bit, label`; the label must be within 32 KiB.
    pub(crate) fn tbz(&mut self, reg: u8, bit: u8, label: Label) {
        self.branch_to_label(0x3600_0000 | test_bit(reg, bit), label, Field::Imm14);
    }

    /// `tbnz reg, #bit, label`; the label must be within 32 KiB.
    pub(crate) fn tbnz(&mut self, reg: u8, bit: u8, label: Label) {
        self.branch_to_label(0x3700_0000 | test_bit(reg, bit), label, Field::Imm14);
    }

    /// `adr reg, label`.
    pub(crate) fn adr(&mut self, reg: u8, label: Label) {
        self.branch_to_label(0x1000_0000 | u32::from(reg), label, Field::Adr);
    }

    /// `ldr xreg, label`.
    pub(crate) fn load_long_literal(&mut self, reg: u8, label: Label) {
        self.branch_to_label(0x5800_0000 | u32::from(reg), label, Field::Imm19);
    }

    /// `ldr wreg, label`, or `ldrsw xreg, label` where `signed`.
    pub(crate) fn load_literal(&mut self, signed: bool, reg: u8, label: Label) {
        let op = if signed { 0x9800_0000 } else { 0x1800_0000 };
        self.branch_to_label(op | u32::from(reg), label, Field::Imm19);
    }

    /// The code, with all distances filled in.
    ///
    /// # Panics
    /// Where a label has no place or is out of reach: a bug of the caller's.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut words = self.words;
        for Fixup { at, label, field } in self.fixups {
            let to = self.labels[label.0 as usize].unwrap_or_else(|| panic!("label {label:?} has no place"));
            let distance = i64::from(to) - i64::from(at);
            let place = |bits: u32, shift: u32| {
                let half = 1 << (bits - 1);
                assert!((-half..half).contains(&distance), "a label {distance} instructions away is out of reach");
                ((distance as u32) & ((1 << bits) - 1)) << shift
            };
            words[at as usize] |= match field {
                Field::Imm26 => place(26, 0),
                Field::Imm19 => place(19, 5),
                Field::Imm14 => place(14, 5),
                // A multiple of four: the two low bits, at bit 29, are zero.
                Field::Adr => place(19, 5),
            };
        }
        words.iter().flat_map(|w| w.to_le_bytes()).collect()
    }
}

/// Code that was written at one place and is to stand at another.
#[derive(Debug)]
pub(crate) struct Piece {
    words: Vec<u32>,
    fixups: Vec<Fixup>,
    /// Numbers of the labels bound in it.
    labels: Vec<usize>,
    /// Where it stood, in words.
    start: u32,
}

impl Asm {
    /// Takes away what has been written from `offset` on.
    pub(crate) fn cut(&mut self, offset: u32) -> Piece {
        let start = offset / 4;
        let words = self.words.split_off(start as usize);
        let first = self.fixups.iter().position(|f| f.at >= start).unwrap_or(self.fixups.len());
        let fixups = self.fixups.split_off(first);
        // A label at the very start may belong to the code before; those of a piece are bound behind its first word, or to be bound when it is pasted.
        let labels = (0..self.labels.len()).filter(|n| self.labels[*n].is_some_and(|at| at > start)).collect();
        Piece { words, fixups, labels, start }
    }

    /// Writes `piece` here; gives how many bytes it has moved.
    pub(crate) fn paste(&mut self, piece: Piece) -> i64 {
        let moved = i64::from(self.words.len() as u32) - i64::from(piece.start);
        let to = |at: u32| (i64::from(at) + moved) as u32;
        self.fixups.extend(piece.fixups.into_iter().map(|f| Fixup { at: to(f.at), ..f }));
        for n in piece.labels {
            self.labels[n] = self.labels[n].map(to);
        }
        self.words.extend(piece.words);
        moved * 4
    }
}

fn test_bit(reg: u8, bit: u8) -> u32 {
    u32::from(bit >> 5) << 31 | u32::from(bit & 31) << 19 | u32::from(reg)
}

/// Operand size of an integer instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// 32 bits; results have zeros above.
    W,
    /// 64 bits.
    X,
}

impl Size {
    pub(crate) fn bit31(self) -> u32 {
        (self as u32) << 31
    }

    pub(crate) fn bits(self) -> u8 {
        match self {
            Size::W => 32,
            Size::X => 64,
        }
    }

    /// The size in which a value of width `w` is computed.
    pub(crate) fn of(w: hokku_ir::Width) -> Size {
        if w == hokku_ir::Width::W64 { Size::X } else { Size::W }
    }
}

/// Conditions of the host, on NZCV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(dead_code, reason = "the processor's whole list")]
pub(crate) enum Cc {
    Eq,
    Ne,
    Hs,
    Lo,
    Mi,
    Pl,
    Vs,
    Vc,
    Hi,
    Ls,
    Ge,
    Lt,
    Gt,
    Le,
}

impl Cc {
    const ALL: [Cc; 14] = [
        Cc::Eq,
        Cc::Ne,
        Cc::Hs,
        Cc::Lo,
        Cc::Mi,
        Cc::Pl,
        Cc::Vs,
        Cc::Vc,
        Cc::Hi,
        Cc::Ls,
        Cc::Ge,
        Cc::Lt,
        Cc::Gt,
        Cc::Le,
    ];

    /// The opposite condition.
    pub(crate) fn negate(self) -> Cc {
        Cc::ALL[self as usize ^ 1]
    }
}

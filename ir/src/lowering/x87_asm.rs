//! A host's instructions, as exact x87 arithmetic needs them: those that all hosts have, and steps that some hosts do in fewer.

/// The registers of the functions: significand and word of the first operand, which the result replaces, and of the second; three more that they change.
#[derive(Clone, Copy, Debug)]
pub struct X87Regs {
    /// The first operand and the result.
    pub a: (u8, u8),
    /// The second operand.
    pub b: (u8, u8),
    /// Changed.
    pub t: [u8; 3],
    /// Reads as zero.
    pub zero: u8,
}

/// Instructions of three registers. Shifts count modulo 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum X87Alu {
    Add,
    Sub,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
    /// One where the first is below the second.
    Below,
    Mul,
    MulHigh,
    Div,
}

/// Instructions with a small constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum X87Imm {
    /// -2048 to 2047.
    Add,
    /// A run of ones from any bit below 11 on.
    And,
    ShiftLeft,
    ShiftRight,
    /// One where the register is below the constant, which is positive.
    Below,
}

/// Conditions of branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum X87If {
    Equal,
    NotEqual,
    /// Signed.
    Less,
    /// Signed.
    NotLess,
    Below,
    NotBelow,
}

/// How much of a register an access to the state moves; loads have zeros above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum X87Part {
    Byte,
    Half,
    Word,
    Long,
}

/// A host's instructions.
pub trait X87Asm {
    /// A place in the code.
    type Label: Copy;
    /// A label without a place.
    fn x87_label(&mut self) -> Self::Label;
    /// Gives `label` its place: here.
    fn x87_bind(&mut self, label: Self::Label);
    /// `d = a op b`.
    fn x87_op(&mut self, op: X87Alu, d: u8, a: u8, b: u8);
    /// `d = a op n`.
    fn x87_imm(&mut self, op: X87Imm, d: u8, a: u8, n: i32);
    /// `d = !a`.
    fn x87_not(&mut self, d: u8, a: u8);
    /// `d` = the zeros above the topmost one of `a`, which is not zero; `t` changes.
    fn x87_leading_zeros(&mut self, d: u8, a: u8, t: [u8; 2]);
    /// `d` = the bits of `a` from bit `from` on, `count` of them.
    fn x87_field(&mut self, d: u8, a: u8, from: i32, count: i32) {
        self.x87_imm(X87Imm::ShiftLeft, d, a, 64 - from - count);
        self.x87_imm(X87Imm::ShiftRight, d, d, 64 - count);
    }
    /// `d` = the topmost bit of `a`, in its place.
    fn x87_sign(&mut self, d: u8, a: u8) {
        self.x87_imm(X87Imm::ShiftRight, d, a, 63);
        self.x87_imm(X87Imm::ShiftLeft, d, d, 63);
    }
    /// `d` = the lower 63 bits of `a`, the topmost of them being its sign.
    fn x87_spread(&mut self, d: u8, a: u8);
    /// `d = a` with its topmost bit set; `t`, which is neither, changes.
    fn x87_set_top(&mut self, d: u8, a: u8, t: u8) {
        self.x87_constant(t, 1 << 63);
        self.x87_op(X87Alu::Or, d, a, t);
    }
    /// `d = a` with its topmost bit turned over; `t`, which is neither, changes.
    fn x87_flip_top(&mut self, d: u8, a: u8, t: u8) {
        self.x87_constant(t, 1 << 63);
        self.x87_op(X87Alu::Xor, d, a, t);
    }
    /// `d += n`; `t` changes.
    fn x87_increase(&mut self, d: u8, n: i64, t: u8) {
        self.x87_constant(t, n as u64);
        self.x87_op(X87Alu::Add, d, d, t);
    }
    /// `d -= a * b`; `t` changes.
    fn x87_subtract_product(&mut self, d: u8, a: u8, b: u8, t: u8) {
        self.x87_op(X87Alu::Mul, t, a, b);
        self.x87_op(X87Alu::Sub, d, d, t);
    }
    /// `d += a << n`; `t` changes, and `a` may.
    fn x87_add_shifted(&mut self, d: u8, a: u8, n: i32, t: u8) {
        self.x87_imm(X87Imm::ShiftLeft, t, a, n);
        self.x87_op(X87Alu::Add, d, d, t);
    }
    /// `d = a - b`; goes to `to` unless `a` is above `b`.
    fn x87_subtract_unless(&mut self, d: u8, a: u8, b: u8, to: Self::Label) {
        self.x87_op(X87Alu::Sub, d, a, b);
        self.x87_branch(X87If::NotBelow, b, a, to);
    }
    /// `d += a`; goes to `to` if that does not fit.
    fn x87_add_or(&mut self, d: u8, a: u8, to: Self::Label) {
        self.x87_op(X87Alu::Add, d, d, a);
        self.x87_branch(X87If::Below, d, a, to);
    }
    /// `high:low = high:0 - a:low`; `t` changes.
    fn x87_subtract_wide(&mut self, high: u8, low: u8, a: u8, [t, zero]: [u8; 2]) {
        self.x87_op(X87Alu::Sub, high, high, a);
        self.x87_op(X87Alu::Below, t, zero, low);
        self.x87_op(X87Alu::Sub, high, high, t);
        self.x87_op(X87Alu::Sub, low, zero, low);
    }
    /// `high:low` is doubled; `t` changes.
    fn x87_double_wide(&mut self, high: u8, low: u8, t: u8) {
        self.x87_imm(X87Imm::ShiftRight, t, low, 63);
        self.x87_imm(X87Imm::ShiftLeft, high, high, 1);
        self.x87_op(X87Alu::Or, high, high, t);
        self.x87_imm(X87Imm::ShiftLeft, low, low, 1);
    }
    /// `d` = whether `high:low` is nearer to the integer above `high`, or as near and `high` odd; `t` changes.
    fn x87_rounds_up(&mut self, d: u8, high: u8, low: u8, t: u8) {
        self.x87_imm(X87Imm::And, d, high, 1);
        self.x87_constant(t, 1 << 63);
        self.x87_op(X87Alu::Sub, t, t, d);
        self.x87_op(X87Alu::Below, d, t, low);
    }
    /// Branches to `to` where bit 15 of `a` is one; `t` changes.
    fn x87_branch_bit15(&mut self, a: u8, t: u8, zero: u8, to: Self::Label) {
        self.x87_imm(X87Imm::ShiftLeft, t, a, 48);
        self.x87_branch(X87If::Less, t, zero, to);
    }
    /// `d = n`.
    fn x87_constant(&mut self, d: u8, n: u64);
    /// `d` = the state at `offset`.
    fn x87_load(&mut self, part: X87Part, d: u8, offset: i32);
    /// The state at `offset` = `s`.
    fn x87_store(&mut self, part: X87Part, s: u8, offset: i32);
    /// The registers `to` = two words of the state at `offset`.
    fn x87_load_pair(&mut self, to: (u8, u8), offset: i32) {
        self.x87_load(X87Part::Long, to.0, offset);
        self.x87_load(X87Part::Long, to.1, offset + 8);
    }
    /// Two words of the state at `offset` = the registers `from`.
    fn x87_store_pair(&mut self, from: (u8, u8), offset: i32) {
        self.x87_store(X87Part::Long, from.0, offset);
        self.x87_store(X87Part::Long, from.1, offset + 8);
    }
    /// Branches to `to`.
    fn x87_branch(&mut self, on: X87If, a: u8, b: u8, to: Self::Label);
    /// Jumps to `to`.
    fn x87_jump(&mut self, to: Self::Label);
    /// Ends a function: to the call's second instruction behind it if it has been done, else to the first.
    fn x87_return(&mut self, is_done: bool);
}

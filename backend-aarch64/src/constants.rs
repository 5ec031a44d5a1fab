//! Constants in registers: temporaries that nothing else needs keep them for what comes later in the block.

use hokku_ir::lowering::Loc;
use hokku_ir::{Effects, Value};

use crate::access::{Piece, Place, offset_fits};
use crate::asm::{Asm, Size};
use crate::assign::ZERO;
use crate::control::Cold;
use crate::immediate::add_immediate;
use crate::integer::{Shift, Sum};
use crate::lower::Lowering;

/// How many instructions write the constant `n`.
pub(crate) fn length(n: u64) -> u32 {
    let mut asm = Asm::new();
    asm.constant(0, n);
    asm.offset() / 4
}

impl Lowering<'_> {
    /// A register with the constant `n`, which must not be written. To be called on ways alone that all code behind them is reached by, or aside.
    pub(crate) fn shared_constant(&mut self, n: u64) -> u8 {
        if n == 0 {
            return ZERO;
        }
        let keeps = self.keeps_constants();
        if keeps && let Some(r) = self.values.constant(n as i64) {
            return r;
        }
        let t = self.temp();
        self.put_constant(t, n);
        if keeps {
            self.values.keep_constant(t, n as i64);
        }
        t
    }

    /// Ops on the x87 unit have parts that are jumped over.
    fn keeps_constants(&self) -> bool {
        let op = self.block.insts.get(self.at as usize).map(|i| i.op);
        !self.is_aside && op.is_none_or(|op| !op.effects().contains(Effects::x87))
    }

    /// `d` = `n`, which nothing waits for: from memory where that is shorter.
    pub(crate) fn literal(&mut self, d: u8, n: u64) {
        if length(n) < 2 || self.is_aside {
            return self.asm.constant(d, n);
        }
        let label = self.asm.label();
        self.cold.push(Cold::Literal { label, n });
        if n >> 32 == 0 {
            self.asm.load_literal(false, d, label);
        } else {
            self.asm.load_long_literal(d, label);
        }
    }

    /// `d` = `n`, with the help of a constant that is there where that is shorter.
    pub(crate) fn put_constant(&mut self, d: u8, n: u64) {
        if length(n) < 2 || !self.keeps_constants() {
            return self.asm.constant(d, n);
        }
        let near = self.values.constants().find_map(|(r, c)| {
            let by = (n as i64).wrapping_sub(c);
            let imm = add_immediate(by.unsigned_abs())?;
            Some((r, by, imm))
        });
        match near {
            Some((r, 0, _)) => self.asm.mov(Size::X, d, r),
            Some((r, by, imm)) => self.asm.add_imm(if by < 0 { Sum::Sub } else { Sum::Add }, Size::X, d, r, imm),
            None if length(n) > 2 => self.literal(d, n),
            None => self.asm.constant(d, n),
        }
    }

    /// As [`Self::reg`]; a constant may be in a register that has it already. The place is one for [`Self::shared_constant`].
    pub(crate) fn operand(&mut self, v: Value) -> u8 {
        let Some(n) = self.constant_of(v) else { return self.reg(v) };
        if let Loc::Home(_) = self.values.loc(v)
            && n != 0
            && self.keeps_constants()
        {
            return self.values.register(v, &self.plan, &mut self.asm);
        }
        self.shared_constant(n)
    }

    /// `address`, for accesses of `piece`.
    pub(crate) fn constant_place(&mut self, address: u64, piece: Piece) -> Place {
        let near = self.values.constants().find_map(|(r, c)| {
            let offset = (address as i64).wrapping_sub(c);
            offset_fits(piece, offset).then_some((r, offset as i32))
        });
        if let Some((base, offset)) = near.filter(|_| self.keeps_constants()) {
            self.values.lock(base);
            return Place::Offset { base, offset };
        }
        let base = match self.shared_constant(address) {
            ZERO => {
                let t = self.temp();
                self.asm.constant(t, 0);
                t
            }
            r => r,
        };
        Place::Offset { base, offset: 0 }
    }

    /// `d` = `n` + `add`. The place is one for [`Self::shared_constant`].
    pub(crate) fn add_shared(&mut self, size: Size, d: u8, n: u8, add: i64) {
        if add.unsigned_abs() < 1 << 24 {
            return self.add_constant(size, d, n, add);
        }
        let c = self.shared_constant(if size == Size::W { add as u32 as u64 } else { add as u64 });
        self.asm.add_shifted(Sum::Add, size, d, n, c, Shift::Lsl, 0);
    }
}

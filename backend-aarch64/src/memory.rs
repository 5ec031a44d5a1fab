//! Addresses, loads and stores.

use hokku_ir::lowering::{Loc, UpperBits};
use hokku_ir::{Addr, Align, CpuMode, Exit, Fence, Gpr, Op, Type, Value, Width};

use crate::access::{Piece, Place, offset_fits};
use crate::asm::Size;
use crate::assign::*;
use crate::immediate::{add_immediate, bitmask};
use crate::integer::{Extend, Logic, Shift, Sum};
use crate::lower::Lowering;

/// What a value of `ty` is to a load or store.
fn piece(ty: Type) -> Piece {
    match ty {
        Type::I8 => Piece::B,
        Type::I16 => Piece::H,
        Type::I32 => Piece::W,
        Type::F32 => Piece::Vec(2),
        Type::F64 | Type::V64 => Piece::Vec(3),
        Type::V128 | Type::V256 => Piece::Q,
        _ => Piece::X,
    }
}

/// Whether an access to `at` adds base and index by an instruction of its own; what is known of addresses of vectors is told of the guest's registers.
pub(crate) fn has_sum_of_its_own(at: &Addr, ty: Type) -> bool {
    let is_direct = at.width == Width::W64 && at.disp == 0 && (at.scale == 0 || at.scale == piece(ty).log2());
    ty.bytes() <= 8 && !is_direct
}

/// Offsets that 32-bit code adds without cutting the sum to 32 bits: what lies so near below and above the 4 GiB is never mapped there.
const SMALL: i64 = 2048;

impl Lowering<'_> {
    /// The effective address of `at`, without segment base, in a register of 64 bits that is not to be changed.
    pub(crate) fn offset_of(&mut self, at: Addr) -> u8 {
        let size = if at.width == Width::W64 { Size::X } else { Size::W };
        let base = at.base.map(|v| self.reg(v)).filter(|r| *r != ZERO);
        let index = at.index.map(|v| self.reg(v)).filter(|r| *r != ZERO);
        let disp = if size == Size::W { i64::from(at.disp as i32) } else { at.disp };
        let r = match (base, index) {
            (None, None) => match self.shared_constant(at.disp as u64 & at.width.mask()) {
                ZERO => {
                    let t = self.temp();
                    self.asm.constant(t, 0);
                    t
                }
                r => r,
            },
            (Some(b), None) if disp == 0 && (size == Size::X || self.is_clean_word(at.base)) => b,
            (Some(b), None) => {
                let t = self.temp();
                self.add_shared(size, t, b, disp);
                t
            }
            (None, Some(i)) if add_immediate(disp.unsigned_abs()).is_none() => {
                let c = self.shared_constant(at.disp as u64 & at.width.mask());
                let t = self.temp();
                self.asm.add_shifted(Sum::Add, size, t, c, i, Shift::Lsl, at.scale);
                t
            }
            (base, Some(i)) => {
                let t = self.temp();
                match base {
                    Some(b) => self.asm.add_shifted(Sum::Add, size, t, b, i, Shift::Lsl, at.scale),
                    None => self.asm.lsl(size, t, i, at.scale),
                }
                if disp != 0 {
                    self.add_shared(size, t, t, disp);
                }
                t
            }
        };
        if at.width == Width::W16 {
            let t = self.temp();
            self.asm.ubfx(Size::W, t, r, 0, 16);
            return t;
        }
        r
    }

    /// Whether the register of `v` has zeros above 32 bits.
    fn is_clean_word(&self, v: Option<Value>) -> bool {
        let Some(v) = v else { return false };
        let root = self.plan.root(v);
        let home = matches!(self.values.loc(root), hokku_ir::lowering::Loc::Home(_));
        (home && self.mode == CpuMode::Protected32) || (root == v && self.values.upper(root).zero)
    }

    /// Where `at` is, for accesses of `piece`; `plain`: a register alone will do.
    pub(crate) fn place(&mut self, at: Addr, piece: Piece, plain: bool) -> Place {
        if at.width == Width::W64 && at.seg.is_none() && !plain {
            let base = at.base.map(|v| self.reg(v)).filter(|r| *r != ZERO);
            let index = at.index.map(|v| self.reg(v)).filter(|r| *r != ZERO);
            match (base, index) {
                (Some(base), None) if offset_fits(piece, at.disp) => {
                    return Place::Offset { base, offset: at.disp as i32 };
                }
                (Some(base), Some(index)) if at.disp == 0 && (at.scale == 0 || at.scale == piece.log2()) => {
                    return Place::Index { base, index, extend: Extend::Uxtx, shifted: at.scale != 0 };
                }
                (Some(base), Some(index)) => {
                    let t = self.temp();
                    self.asm.add_scaled(t, base, index, at.scale);
                    if offset_fits(piece, at.disp) {
                        return Place::Offset { base: t, offset: at.disp as i32 };
                    }
                    return self.far_place(t, at.disp, piece);
                }
                (Some(base), None) => return self.far_place(base, at.disp, piece),
                (None, Some(index)) if add_immediate(at.disp.unsigned_abs()).is_none() => {
                    let base = self.shared_constant(at.disp as u64);
                    if at.scale == 0 || at.scale == piece.log2() {
                        return Place::Index { base, index, extend: Extend::Uxtx, shifted: at.scale != 0 };
                    }
                    let t = self.temp();
                    self.asm.add_scaled(t, base, index, at.scale);
                    return Place::Offset { base: t, offset: 0 };
                }
                (None, None) => return self.constant_place(at.disp as u64, piece),
                (None, Some(_)) => {}
            }
        }
        let is_constant = at.base.is_none() && at.index.is_none() && at.seg.is_none() && !plain;
        if is_constant && at.width == Width::W32 {
            return self.constant_place(at.disp as u64 & at.width.mask(), piece);
        }
        let small = (-SMALL..SMALL).contains(&i64::from(at.disp as i32)) && offset_fits(piece, (at.disp as i32).into());
        if at.width == Width::W32 && self.mode == CpuMode::Protected32 && at.seg.is_none() && !plain && small {
            let base = self.offset_of(Addr { disp: 0, ..at });
            return Place::Offset { base, offset: at.disp as i32 };
        }
        let r = self.address(at);
        Place::Offset { base: r, offset: 0 }
    }

    /// `base` + `disp`, which no access takes as its offset.
    fn far_place(&mut self, base: u8, disp: i64, piece: Piece) -> Place {
        let low = disp & 0xfff;
        if let Some(imm) = u64::try_from(disp - low).ok().and_then(add_immediate)
            && offset_fits(piece, low)
        {
            let t = self.temp();
            self.asm.add_imm(Sum::Add, Size::X, t, base, imm);
            return Place::Offset { base: t, offset: low as i32 };
        }
        let index = self.shared_constant(disp as u64);
        Place::Index { base, index, extend: Extend::Uxtx, shifted: false }
    }

    /// The whole address of `at` in a register that is not to be changed.
    pub(crate) fn address(&mut self, at: Addr) -> u8 {
        let r = self.offset_of(at);
        let Some(seg) = at.seg else { return r };
        let t = self.temp();
        self.asm.load(Piece::X, t, STATE, segment_base_offset(seg));
        // The sum with the base wraps at the word's width.
        self.asm.add(Sum::Add, Size::of(self.mode.word()), t, t, r);
        t
    }

    /// `lea`.
    pub(crate) fn effective_address(&mut self, dst: Value, w: Width, at: Addr) {
        let at = Addr { seg: None, ..at };
        let size = if at.width == Width::W64 && w == Width::W64 { Size::X } else { Size::W };
        let disp = if size == Size::W { i64::from(at.disp as i32) } else { at.disp };
        if at.width == Width::W16 {
            let r = self.offset_of(at);
            let d = self.dest(dst);
            self.asm.mov(Size::W, d, r);
            return self.define(dst, UpperBits::ZERO);
        }
        let base = at.base.map(|v| self.reg(v)).filter(|r| *r != ZERO);
        let index = at.index.map(|v| self.reg(v)).filter(|r| *r != ZERO);
        let d = self.dest(dst);
        match (base, index) {
            (None, None) => self.put_constant(d, at.disp as u64 & at.width.mask() & w.mask()),
            (Some(b), None) => self.add_shared(size, d, b, disp),
            (Some(b), Some(i)) => {
                if disp == 0 {
                    self.asm.add_shifted(Sum::Add, size, d, b, i, Shift::Lsl, at.scale);
                } else if d == i || d == b {
                    self.asm.add_shifted(Sum::Add, size, TARGET, b, i, Shift::Lsl, at.scale);
                    self.add_shared(size, d, TARGET, disp);
                } else {
                    self.asm.add_shifted(Sum::Add, size, d, b, i, Shift::Lsl, at.scale);
                    self.add_shared(size, d, d, disp);
                }
            }
            (None, Some(i)) => {
                self.asm.lsl(size, d, i, at.scale);
                if disp != 0 {
                    self.add_shared(size, d, d, disp);
                }
            }
        }
        let zero = size == Size::W && w >= Width::W32;
        self.define(dst, if zero { UpperBits::ZERO } else { UpperBits::UNKNOWN });
    }

    /// Whether the block has checked already that `at` is aligned to `bytes`.
    fn is_aligned(&self, at: Addr, bytes: u32) -> bool {
        let distance = |other: &Addr| other.disp.wrapping_sub(at.disp) & i64::from(bytes - 1);
        // A segment's base may have changed.
        at.seg.is_none()
            && self.aligned.iter().any(|(other, of)| {
                *of >= bytes && distance(other) == 0 && Addr { disp: 0, ..*other } == Addr { disp: 0, ..at }
            })
    }

    /// Goes to a callout of the op at hand if the address in `r` is not aligned to `bytes`: that faults as it should.
    fn check_alignment(&mut self, r: u8, bytes: u64) {
        let bits = bitmask(Size::X, bytes - 1).unwrap_or(0);
        self.asm.logic_bits(Logic::And, Size::X, SCRATCH, r, bits);
        if let Some(retry) = self.retry_label() {
            return self.asm.cbnz(Size::X, SCRATCH, retry);
        }
        let slow = self.asm.label();
        self.asm.cbnz(Size::X, SCRATCH, slow);
        self.outline(slow, Self::protection_fault);
    }

    /// Raises #GP: what the evaluator makes of a trap under a condition that holds.
    pub(crate) fn protection_fault(&mut self) {
        let op = Op::TrapIf { trap: hokku_ir::CheckedTrap::Protection, c: Value(0) };
        self.asm.constant(SCRATCH, 1);
        self.asm.store(Piece::X, SCRATCH, STATE, callout_arg_offset(0));
        let lazy = self.lazy().with_x87_settled();
        self.branch_to_stub(hokku_ir::backend::StubId::Callout, true);
        let offset = self.asm.offset();
        self.out.callouts.push(hokku_ir::backend::Callout { offset, op, pc: self.pc, lazy });
    }

    /// `load`.
    pub(crate) fn load_value(&mut self, dst: Value, ty: Type, align: Align, at: Addr) {
        let piece = piece(ty);
        if let Some(w) = ty.width() {
            if let Some((is_signed, to, ext)) = self.extension(dst, w) {
                let place = self.place(at, piece, false);
                // The extension is the result; the loaded value has no other use.
                let site = self.out.faults.len();
                self.fault_site();
                let before = self.asm.offset();
                let d = self.dest(ext);
                self.move_site(site, before);
                let short = to != Width::W64;
                let piece = if is_signed { Piece::Signed { log2_bytes: w as u8, short } } else { piece };
                self.asm.access(true, piece, d, place);
                self.define(ext, if !is_signed || to == Width::W32 { UpperBits::ZERO } else { UpperBits::UNKNOWN });
                return;
            }
            if ty == Type::I64 && at.width == Width::W64 && at.disp == 0 && self.plan.info(dst).home != Some(Gpr::Rsp) {
                if let Some(lea) = self.stack_move(at, 8) {
                    let site = self.out.faults.len();
                    self.fault_site();
                    let before = self.asm.offset();
                    let d = if self.plan.info(dst).uses == 0 { ZERO } else { self.dest(dst) };
                    let base = self.dest(lea);
                    self.move_site(site, before);
                    self.asm.access(true, piece, d, Place::After { base, offset: 8 });
                    return;
                }
            }
            let place = self.place(at, piece, false);
            let site = self.out.faults.len();
            self.fault_site();
            let before = self.asm.offset();
            let d = if self.plan.info(dst).uses == 0 { ZERO } else { self.dest(dst) };
            // Old values may have been moved away first.
            self.move_site(site, before);
            self.loaded = Some((dst, self.asm.offset()));
            self.asm.access(true, piece, d, place);
            if d != ZERO {
                self.define(dst, UpperBits::ZERO);
            }
            return;
        }
        if align == Align::Natural && ty.bytes() >= 16 {
            if ty == Type::V128 && self.is_aligned(at, 16) {
                let place = self.place(at, piece, false);
                return self.load_vector(dst, ty, place);
            }
            let r = self.address(at);
            self.check_alignment(r, u64::from(ty.bytes()));
            self.aligned.push((at, ty.bytes()));
            return self.load_vector(dst, ty, Place::Offset { base: r, offset: 0 });
        }
        let place = self.place(at, piece, ty == Type::V256);
        self.load_vector(dst, ty, place);
    }

    /// The `lea` right behind that moves the stack pointer by `by`, where `at` is relative to that and nobody reads its old value any more: the
    /// access can do both. It is done then.
    fn stack_move(&mut self, at: Addr, by: i64) -> Option<Value> {
        let plain = at.width == self.mode.word() && at.index.is_none() && at.seg.is_none();
        let base = at.base.filter(|_| plain)?;
        if self.plan.root(base) != base || self.values.loc(base) != Loc::Home(Gpr::Rsp) {
            return None;
        }
        let n = self.at as usize + 1;
        let next = self.block.insts.get(n)?;
        let moves = matches!(next.op, Op::Lea { w, at: to }
            if w == at.width && to.base == Some(base) && to.index.is_none() && to.disp == by && to.width == w);
        // Flags that need the old value compute it back from the new one.
        let is_last = self.plan.info(base).last as usize <= n;
        if !moves || !is_last || self.plan.dead[n] || self.plan.info(next.value).home != Some(Gpr::Rsp) {
            return None;
        }
        self.plan.values[base.0 as usize].last = self.at;
        self.done[n] = true;
        Some(next.value)
    }

    /// The fault site `n`, noted at offset `before`, is that of the next instruction: what has been written since only copies.
    fn move_site(&mut self, n: usize, before: u32) {
        if self.asm.offset() != before {
            self.out.faults[n].offset = self.asm.offset();
        }
    }

    fn load_vector(&mut self, dst: Value, ty: Type, place: Place) {
        if let (Type::V256, Place::Offset { base, offset }) = (ty, place) {
            let pair = (self.vec_temp(), self.vec_temp());
            for (half, t) in [(0, pair.0), (1, pair.1)] {
                self.fault_site();
                self.asm.load(Piece::Q, t, base, offset + 16 * half);
            }
            return self.own_pair(pair.0, pair.1, dst);
        }
        let site = self.out.faults.len();
        self.fault_site();
        let before = self.asm.offset();
        let d = self.loaded_dest(dst);
        self.move_site(site, before);
        self.asm.access(true, piece(ty), d, place);
    }

    /// The extension that is the only use of the loaded value `dst`, if it stands right behind: whether it is one of the sign, to what width.
    fn extension(&mut self, dst: Value, w: Width) -> Option<(bool, Width, Value)> {
        if self.plan.info(dst).uses != 1 || w == Width::W64 {
            return None;
        }
        let n = self.at as usize + 1;
        let next = self.block.insts.get(n)?;
        let (is_signed, to) = match next.op {
            Op::ExtendSign { from, to, v } if v == dst && from == w && to >= Width::W32 => (true, to),
            Op::ExtendZero { from, to, v } if v == dst && from == w => (false, to),
            _ => return None,
        };
        if self.plan.dead[n] || self.plan.info(next.value).deferred {
            return None;
        }
        self.done[n] = true;
        Some((is_signed, to, next.value))
    }

    /// `store`.
    pub(crate) fn store_value(&mut self, ty: Type, align: Align, at: Addr, v: Value) {
        let piece = piece(ty);
        if ty.width().is_some() {
            let is_return = matches!(self.block.exit, Exit::Call { ret, .. } | Exit::IndirectCall { ret, .. }
                if self.constant_of(v) == Some(ret.0) && at.base.is_some());
            let r = if is_return { self.return_address(v) } else { self.operand(v) };
            let by = -i64::from(ty.bytes());
            if at.disp == by && r != home(Gpr::Rsp) {
                if let Some(lea) = self.stack_move(at, by) {
                    let site = self.out.faults.len();
                    self.fault_site();
                    let before = self.asm.offset();
                    let base = self.dest(lea);
                    self.move_site(site, before);
                    self.asm.access(false, piece, r, Place::Before { base, offset: by as i32 });
                    self.define_as(lea, at.width);
                    self.pushed = self.constant_of(v).filter(|_| r != ZERO).map(|n| (n, r, self.asm.offset()));
                    return;
                }
            }
            let place = self.place(at, piece, false);
            self.fault_site();
            return self.asm.access(false, piece, r, place);
        }
        let natural = align == Align::Natural && ty.bytes() >= 16;
        if ty == Type::V128 && natural && self.is_aligned(at, 16) {
            let q = self.vec_reg(v);
            let place = self.place(at, piece, false);
            self.fault_site();
            return self.asm.access(false, piece, q, place);
        }
        if ty == Type::V256 || natural {
            let r = self.address(at);
            if natural {
                self.check_alignment(r, u64::from(ty.bytes()));
                self.aligned.push((at, ty.bytes()));
            }
            if ty != Type::V256 {
                let q = self.vec_reg(v);
                self.fault_site();
                return self.asm.store(Piece::Q, q, r, 0);
            }
            return self.store_256(r, v, natural);
        }
        let q = self.vec_reg(v);
        let place = self.place(at, piece, ty == Type::V128);
        let (Type::V128, Place::Offset { base, .. }) = (ty, place) else {
            self.fault_site();
            return self.asm.access(false, piece, q, place);
        };
        // A store that faults must not have written, and this may be two to the processor: one that lies on two pages is the runtime's.
        let last = bitmask(Size::X, 0xff0).unwrap_or(0);
        self.asm.logic_bits(Logic::And, Size::X, SCRATCH, base, last);
        self.asm.logic_bits(Logic::Eor, Size::X, SCRATCH, SCRATCH, last);
        let (slow, done) = (self.asm.label(), self.asm.label());
        self.asm.cbz(Size::X, SCRATCH, slow);
        let store = self.asm.here();
        self.fault_site();
        self.asm.store(Piece::Q, q, base, 0);
        self.outline(slow, |l| {
            // The last sixteen bytes of a page are all on it.
            l.asm.logic_bits(Logic::And, Size::X, SCRATCH, base, bitmask(Size::X, 15).unwrap_or(0));
            l.asm.cbz(Size::X, SCRATCH, store);
            l.call_out_of_line();
            l.asm.b(done);
        });
        self.asm.bind(done);
        self.compared = None;
    }

    /// Stores the V256 `v` at the address in `r`. A store that faults must not have written: one that may lie on two pages is the runtime's.
    fn store_256(&mut self, r: u8, v: Value, aligned: bool) {
        let (low, high) = (self.half_reg(v, 0), self.half_reg(v, 1));
        let (slow, done) = (self.asm.label(), self.asm.label());
        if !aligned {
            let last = bitmask(Size::X, 0xfe0).unwrap_or(0);
            self.asm.logic_bits(Logic::And, Size::X, SCRATCH, r, last);
            self.asm.logic_bits(Logic::Eor, Size::X, SCRATCH, SCRATCH, last);
            self.asm.cbz(Size::X, SCRATCH, slow);
        }
        let store = self.asm.here();
        self.fault_site();
        self.asm.store(Piece::Q, low, r, 0);
        self.fault_site();
        self.asm.store(Piece::Q, high, r, 16);
        if !aligned {
            self.outline(slow, |l| {
                l.asm.logic_bits(Logic::And, Size::X, SCRATCH, r, bitmask(Size::X, 31).unwrap_or(0));
                l.asm.cbz(Size::X, SCRATCH, store);
                l.call_out_of_line();
                l.asm.b(done);
            });
            self.asm.bind(done);
            self.compared = None;
        }
    }

    /// The constant `v`, which the guest pushes as its return address.
    fn return_address(&mut self, v: Value) -> u8 {
        let Some(n) = self.constant_of(v).filter(|n| *n != 0) else { return self.reg(v) };
        let t = self.temp();
        self.literal(t, n);
        t
    }

    /// `fence`.
    pub(crate) fn fence_memory(&mut self, kind: Fence) {
        match kind {
            Fence::Full => self.asm.dmb_all(),
            Fence::Load | Fence::Acquire => self.asm.dmb_loads(),
            Fence::Store => self.asm.dmb_stores(),
            Fence::Release | Fence::AcquireRelease => self.asm.dmb_all(),
        }
    }
}

//! Instructions that count, gather and scatter bits: POPCNT, LZCNT, BMI, CRC32, and the wide compare-and-exchange.

use hokku_ir::{Addr, Gpr, Value, Width};

use crate::Features;
use crate::assign::{R14, RCX};
use crate::encode::{Opcode, Rm, Src};
use crate::lower::Lowering;
use crate::values::Dest;

impl Lowering<'_> {
    /// `popcnt`, `lzcnt` or `tzcnt`: opcode `code` with prefix F3h, of `feature`. The flags come with it.
    pub(crate) fn count_bits(&mut self, v: Value, code: u32, feature: Features, w: Width, a: Value) {
        if !self.features.contains(feature) {
            return self.rest(v);
        }
        // A further prefix goes before the instruction of 16 bits, which must not fault then.
        let s = if w == Width::W16 { Rm::Reg(self.src_reg(a, w)) } else { self.src_rm(a, w) };
        self.consume_pair();
        let flags = self.joined_flags();
        let d = self.dest(v, if let Rm::Reg(r) = s { Some(r) } else { None });
        self.clobber_flags();
        if w == Width::W16 {
            self.asm.bytes(&[0x66]);
        }
        self.asm.op(Opcode::sse(0xf3, code).wide(w == Width::W64), d.reg, s, &[]);
        self.flags_are(flags);
        self.define(v, d);
    }

    /// `pdep` or `pext`: `code` with `prefix`, which leaves flags alone.
    pub(crate) fn move_bits(&mut self, v: Value, prefix: u8, w: Width, a: Value, mask: Value) {
        if !self.features.contains(Features::BMI2) || w < Width::W32 {
            return self.rest(v);
        }
        self.bmi(v, Opcode::sse(prefix, 0x0f38f5), w, a, mask, false);
    }

    /// `bextr` (`code` 0F 38 F7) or `bzhi` (F5), whose last operand is the value.
    pub(crate) fn cut_bits(&mut self, v: Value, code: u32, feature: Features, w: Width, a: Value, control: Value) {
        if !self.features.contains(feature) || w < Width::W32 {
            return self.rest(v);
        }
        self.bmi(v, Opcode::of(code), w, control, a, true);
    }

    /// `v` = `op d, register, last`.
    fn bmi(&mut self, v: Value, op: Opcode, w: Width, register: Value, last: Value, flags: bool) {
        if self.is_deferred_load(last) {
            self.force(register);
        }
        let r = self.src_reg(register, w);
        let s = self.src_rm(last, w);
        self.consume_inst(self.cur);
        let d = self.dest(v, Some(r));
        if flags {
            self.clobber_flags();
        }
        self.asm.vex(op.wide(w == Width::W64), false, d.reg, r, s, &[]);
        self.define(v, d);
    }

    /// `crc32`.
    pub(crate) fn checksum(&mut self, v: Value, from: Width, crc: Value, b: Value) {
        if !self.features.contains(Features::SSE42) {
            return self.rest(v);
        }
        self.force(crc);
        let s = if from < Width::W32 { Rm::Reg(self.src_reg(b, from)) } else { self.src_rm(b, from) };
        let c = self.src(crc, Width::W32);
        self.consume_inst(self.cur);
        let goal = self.dest(v, if let Src::Reg(r) = c { Some(r) } else { None });
        let mut d = goal;
        let faults = Src::from(s).may_fault();
        if c != Src::Reg(d.reg) && (Src::from(s).uses(d.reg) || (d.place.is_some() && faults)) {
            d = Dest { reg: self.temp(), place: None };
        }
        self.load_reg(d.reg, c, Width::W32);
        if from == Width::W16 {
            self.asm.bytes(&[0x66]);
        }
        let code = if from == Width::W8 { 0x0f38f0 } else { 0x0f38f1 };
        let op = Opcode { byte_rm: from == Width::W8, ..Opcode::sse(0xf2, code) };
        self.asm.op(op.wide(from == Width::W64), d.reg, s, &[]);
        if d != goal && goal.place.is_some() {
            self.move_to(goal, Src::Reg(d.reg), Width::W32);
            d = goal;
        }
        self.define(v, d);
    }

    /// `cmpxchg8b` or `cmpxchg16b`: rdx:rax and rbx are where the guest has them.
    pub(crate) fn exchange_pair(&mut self, v: Value, w: Width, at: Addr, locked: bool) {
        if w == Width::W64 && !self.features.contains(Features::CMPXCHG16B) {
            return self.rest(v);
        }
        self.take_rcx();
        for g in [Gpr::Rax, Gpr::Rdx] {
            self.evict(g);
        }
        [0, 2, 3].into_iter().for_each(|r| self.lock(r));
        self.before_fault();
        let m = self.address(at);
        self.consume_inst(self.cur);
        if let Some(f) = self.eflags {
            self.keep_flags_values(f);
        }
        self.asm.mov(Width::W64, RCX, R14);
        let op = Opcode::of(0x0fc7).wide(w == Width::W64);
        self.asm.op(if locked { op.locked() } else { op }, 1, m, &[]);
        let new = self.new_flags();
        self.guest_flags = new;
        self.flags_are(Some(new));
    }
}

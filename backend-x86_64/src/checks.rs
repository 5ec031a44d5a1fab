//! Checks that a guest address is the expected one: where guest returns land, and where computed jumps arrive.
//!
//! They keep the flags: whoever comes to the wrong place goes on elsewhere with them, even where the code here has no use for them. Without flags a processor knows one question, whether rcx is zero, and the jump that asks
//! it is short. It is not taken where all goes well, because a taken jump costs a cycle: so rcx is made zero where the addresses differ.

use hokku_ir::backend::{ReturnPad, StubId};
use hokku_ir::{BlockId, CpuMode, GuestAddr, Target, Width};

use crate::assign::{R15, RCX};
use crate::control::{Cold, Jump};
use crate::encode::{Mem, Opcode};
use crate::lower::Lowering;
use crate::{Features, Optimisations};

/// Where the guest address is that was not the expected one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetIn {
    /// In rcx, less this.
    RcxPlus(u64),
    /// In xmm15.
    Vector,
    /// In ecx, less this and one, its halves exchanged.
    Exchanged(u64),
}

impl Lowering<'_> {
    /// Code at which computed jumps enter block `id`: goes on behind it if that is the target. Gives its offset.
    pub(crate) fn checked_entry(&mut self, id: BlockId) -> u32 {
        let pc = self.region.block(id).pc;
        if self.is_straight() {
            let miss = self.asm.offset();
            self.missed(TargetIn::Exchanged(pc.0));
            let start = self.asm.offset();
            self.zero_unless(pc);
            self.jump_if_zero(|end| miss.wrapping_sub(end) as u8);
            return start;
        }
        let start = self.asm.offset();
        self.target_from_vector();
        self.subtract_from_rcx(pc.0);
        let hit = self.asm.label();
        self.asm.jrcxz(hit);
        let site = self.asm.jmp_ahead();
        self.cold.push(Cold::Missed { site, target: TargetIn::RcxPlus(pc.0) });
        self.asm.bind(hit);
        start
    }

    /// The same by way of a stub: slower and shorter.
    pub(crate) fn short_checked_entry(&mut self, id: BlockId) -> u32 {
        let start = self.asm.offset();
        self.jump_to_stub(0xe8, StubId::CheckTarget);
        self.asm.bytes(&self.region.block(id).pc.0.to_le_bytes());
        start
    }

    /// Where the guest's `ret` lands: rcx is the guest address that it went to.
    pub(crate) fn return_pad(&mut self, ret: GuestAddr, block: Option<BlockId>, next: Option<BlockId>) {
        self.out.return_pads.push(ReturnPad { offset: self.asm.offset(), pc: ret });
        if self.is_straight() {
            if self.mode == CpuMode::Long64 {
                self.asm.vex(Opcode::sse(0x66, 0x0f6e).wide(true), false, 15, 0, RCX, &[]);
            }
            self.zero_unless(ret);
            // The jump to the code for misses, which is too far away, is the constant of an instruction that does nothing: mov r15, ...
            self.jump_if_zero(|_| 2);
            self.asm.plain(&[0x49, 0xbf]);
            self.asm.bytes(&[0xe9]);
            let site = self.asm.distance_ahead();
            self.asm.bytes(&[0x90; 3]);
            let target = match self.mode {
                CpuMode::Long64 => TargetIn::Vector,
                CpuMode::Protected32 => TargetIn::Exchanged(ret.0),
            };
            self.cold.push(Cold::Mismatch { site, target });
        } else {
            self.subtract_from_rcx(ret.0);
            let expected = self.asm.label();
            self.asm.jrcxz(expected);
            let site = self.asm.jmp_ahead();
            self.cold.push(Cold::Mismatch { site, target: TargetIn::RcxPlus(ret.0) });
            self.asm.bind(expected);
        }
        match block {
            Some(b) => self.jump(Jump::Always, Target::Block(b), next),
            None => self.jump(Jump::Always, Target::Guest(ret), None),
        }
    }

    fn is_straight(&self) -> bool {
        let need = match self.mode {
            CpuMode::Long64 => Features::AVX,
            CpuMode::Protected32 => Features::BMI2,
        };
        self.optimisations.contains(Optimisations::STRAIGHT_CHECKS) && self.features.contains(need)
    }

    /// In 64-bit code computed jumps keep their target in xmm15: puts it into rcx.
    fn target_from_vector(&mut self) {
        if self.mode == CpuMode::Long64 {
            self.asm.op(Opcode::sse(0x66, 0x0f7e).wide(true), 15, RCX, &[]);
        }
    }

    /// Makes rcx (in 32-bit code ecx) zero unless xmm15 (rcx) is `pc`.
    fn zero_unless(&mut self, pc: GuestAddr) {
        match self.mode {
            CpuMode::Long64 => {
                // vpcmpeqq xmm14, xmm15, [rip + ...]
                self.asm.plain(&[0xc4, 0x62, 0x01, 0x29, 0x35]);
                let site = self.asm.distance_ahead();
                self.cold.push(Cold::Address { site, pc });
                // vmovq rcx, xmm14
                self.asm.plain(&[0xc4, 0x61, 0xf9, 0x7e, 0xf1]);
            }
            CpuMode::Protected32 => {
                // The difference is zero extended. Less one its upper half is all ones where it was zero, and else zero.
                self.subtract_from_rcx(pc.0);
                self.asm.lea(Width::W64, RCX, Mem::plain(RCX, -1));
                self.exchange_halves();
            }
        }
    }

    /// `rorx rcx, rcx, 32`
    fn exchange_halves(&mut self) {
        self.asm.vex(Opcode::sse(0xf2, 0x0f3af0).wide(true), false, RCX, 0, RCX, &[32]);
    }

    /// `jrcxz`, `jecxz` in 32-bit code, over what `distance` gives for the offset behind it.
    fn jump_if_zero(&mut self, distance: impl FnOnce(u32) -> u8) {
        if self.mode == CpuMode::Protected32 {
            self.asm.bytes(&[0x67]);
        }
        let end = self.asm.offset() + 2;
        self.asm.plain(&[0xe3, distance(end)]);
    }

    /// Puts the guest address into rcx.
    pub(crate) fn target_back(&mut self, target: TargetIn) {
        match target {
            TargetIn::RcxPlus(n) => self.subtract_from_rcx(n.wrapping_neg()),
            TargetIn::Vector => self.asm.vex(Opcode::sse(0x66, 0x0f7e).wide(true), false, 15, 0, RCX, &[]),
            TargetIn::Exchanged(n) => {
                self.exchange_halves();
                self.subtract_from_rcx(n.wrapping_add(1).wrapping_neg());
            }
        }
    }

    /// To where a computed jump goes whose target another place in the jump cache is for.
    pub(crate) fn missed(&mut self, target: TargetIn) {
        if self.mode == CpuMode::Protected32 {
            self.target_back(target);
        }
        self.jump_to_stub(0xe9, StubId::JumpMiss);
    }

    /// rcx -= `n`, flags kept.
    fn subtract_from_rcx(&mut self, n: u64) {
        let w = self.mode.word();
        let less = n.wrapping_neg();
        match (self.mode, i32::try_from(less as i64)) {
            (CpuMode::Protected32, _) => self.asm.lea(w, RCX, Mem::plain(RCX, less as i32)),
            (_, Ok(less)) => self.asm.lea(w, RCX, Mem::plain(RCX, less)),
            (_, Err(_)) => {
                self.asm.constant(R15, less);
                self.asm.lea(w, RCX, Mem::sum(RCX, R15, 0));
            }
        }
    }
}

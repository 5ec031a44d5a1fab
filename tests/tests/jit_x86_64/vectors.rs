//! Random regions of vector operations, of 256 bits too: host code with and without AVX does what the evaluator does.

use hokku_backend_x86_64::Features;
use hokku_ir::eval::{FixedSystem, FlatMemory, run_region};
use hokku_ir::verify::verify;
use hokku_ir::{
    Addr, Align, Block, BlockId, BlockKey, Builder, CpuMode, CpuState, Exit, Flag, FmaOp, FpOp, Gpr, GuestAddr, MaskOp,
    Num, Region, Trap, Type, Upper, Value, VecBin, VecImm, VecShift, VecShuffle, VecTer, VecTest, VecUn, Width,
};
use iced_x86::{Decoder, DecoderOptions, Formatter, NasmFormatter};

use crate::generate::Random;
use crate::host::{AREA, AREA_LEN, Host, fill_area, map_area, read_area};
use crate::random::{CODE, differences, initial};

/// Makes one guest instruction after the other.
struct Maker<'r> {
    b: Builder,
    r: &'r mut Random,
    mode: CpuMode,
}

impl Maker<'_> {
    fn reg(&mut self) -> Num {
        // Also those that live in memory.
        let last = if self.mode == CpuMode::Long64 { 16 } else { 8 };
        Num(if self.r.below(3) == 0 { last - 1 - self.r.below(2) as u8 } else { self.r.below(u64::from(last)) as u8 })
    }

    fn address(&mut self) -> Addr {
        let w = self.mode.word();
        let rbx = self.b.get_gpr(Gpr::Rbx, w);
        let aligned = self.r.below(2) == 0;
        let disp = self.r.below(64) as i64;
        Addr::at(rbx, w).plus(if aligned { disp * 32 } else { disp })
    }

    /// An operand: a register or memory.
    fn operand(&mut self, ty: Type) -> Value {
        if self.r.below(3) == 0 {
            let at = self.address();
            let align = if at.disp % 32 == 0 && self.r.below(2) == 0 { Align::Natural } else { Align::Any };
            return self.b.load(ty, align, at);
        }
        let reg = self.reg();
        self.b.get_vec(reg, ty)
    }

    fn imm(&mut self) -> Num {
        Num(self.r.next() as u8)
    }

    fn lane(&mut self) -> Type {
        self.r.pick(&[Type::F32, Type::F64])
    }

    /// A vector of type `ty`.
    fn vector(&mut self, ty: Type) -> Value {
        let long = ty == Type::V256;
        match self.r.below(20) {
            0 => self.operand(ty),
            1 | 2 => {
                let op = loop {
                    let op = self.r.pick(VecUn::ALL);
                    let estimate = matches!(op, VecUn::RcpPs | VecUn::RsqrtPs | VecUn::RcpSs | VecUn::RsqrtSs);
                    let narrow = long && matches!(op, VecUn::PhminposuW | VecUn::AesImc);
                    if !estimate && !narrow && op.result_type(ty) == ty {
                        break op;
                    }
                };
                let a = self.operand(op.operand_type(ty));
                self.b.vec_unary(op, ty, a)
            }
            3 => {
                let op = self.r.pick(&[VecShift::PsllDq, VecShift::PsrlDq, VecShift::PsraD, VecShift::PsrlW]);
                let (a, n) = (self.operand(ty), Num(self.r.below(20) as u8));
                self.b.vec_shift_imm(op, ty, a, n)
            }
            4 => {
                let op = self.r.pick(&[VecShift::PsllW, VecShift::PsllQ, VecShift::PsraW, VecShift::PsrlD]);
                let a = self.operand(ty);
                let n = self.operand(Type::V128);
                self.b.vec_shift(op, ty, a, n)
            }
            5 | 6 => {
                let op = loop {
                    let op = self.r.pick(VecShuffle::ALL);
                    let wide = matches!(op, VecShuffle::Perm2F128 | VecShuffle::PermQ);
                    if op != VecShuffle::PshufW && !(long && op == VecShuffle::InsertPs) && (long || !wide) {
                        break op;
                    }
                };
                let (a, b, imm) = (self.operand(ty), self.operand(ty), self.imm());
                self.b.vec_shuffle(op, ty, a, b, imm)
            }
            7 => {
                let op = if long { VecImm::MpsadBw } else { self.r.pick(VecImm::ALL) };
                let (a, b, imm) = (self.operand(ty), self.operand(ty), self.imm());
                self.b.vec_imm(op, ty, a, b, imm)
            }
            8 => {
                let op = if long { self.r.pick(&VecTer::ALL[..3]) } else { self.r.pick(VecTer::ALL) };
                let (a, b, c) = (self.operand(ty), self.operand(ty), self.operand(ty));
                self.b.vec_ternary(op, ty, a, b, c)
            }
            9 => {
                let (op, lane) = (self.r.pick(FmaOp::ALL), self.lane());
                let (a, b, c) = (self.operand(ty), self.operand(ty), self.operand(ty));
                self.b.vec_fma(op, lane, ty, a, b, c)
            }
            10 => {
                let (lane, p) = (self.lane(), Num(self.r.below(32) as u8));
                let (a, b) = (self.operand(ty), self.operand(ty));
                self.b.vec_compare(lane, p, ty, a, b)
            }
            11 => {
                let (lane, mode) = (self.lane(), Num(self.r.below(16) as u8));
                let a = self.operand(ty);
                self.b.vec_integral(lane, mode, ty, a)
            }
            12 => {
                let w = self.r.pick(Width::ALL);
                let a = self.operand(Type::V128);
                self.b.vec_broadcast(w, ty, a)
            }
            13 if long => {
                let (low, high) = (self.operand(Type::V128), self.operand(Type::V128));
                self.b.vec_join(ty, low, high)
            }
            13 => {
                let a = self.operand(Type::V256);
                let high = Flag(self.r.below(2) == 0);
                self.b.vec_half(Type::V256, high, a)
            }
            14 => {
                let from =
                    self.r.pick(if long { &[Type::V128, Type::F32] } else { &[Type::F32, Type::F64, Type::V64] });
                let v = self.operand(from);
                self.b.vec_zero_extend(from, ty, v)
            }
            15 => {
                let bit = Flag(self.r.below(2) == 0);
                self.b.vec_const(ty, bit)
            }
            16 if !long => self.scalar_lane(),
            17 if !long => {
                let from = self.r.pick(&[Type::V128, Type::V256]);
                let (mode, a) = (Num(self.r.below(8) as u8), self.operand(from));
                self.b.vec_to_half(mode, from, a)
            }
            _ => {
                let op = loop {
                    let op = self.r.pick(VecBin::ALL);
                    let crypto = op >= VecBin::AesEnc && op <= VecBin::Sha256Msg2;
                    let halves = matches!(op, VecBin::MovHlps | VecBin::MovLhps);
                    if if long { !crypto && !halves } else { op != VecBin::PermD } {
                        break op;
                    }
                };
                let (a, b) = (self.operand(ty), self.operand(ty));
                self.b.vec_binary(op, ty, a, b)
            }
        }
    }

    /// A scalar result in the low lane of a register.
    fn scalar_lane(&mut self) -> Value {
        let (ty, source) = (self.lane(), self.reg());
        let low = match self.r.below(5) {
            0 => {
                let (a, b, c) = (self.operand(ty), self.operand(ty), self.operand(ty));
                let op = self.r.pick(&FmaOp::ALL[..4]);
                self.b.fp_fma(op, ty, a, b, c)
            }
            1 => {
                let a = self.operand(ty);
                self.b.fp_sqrt(ty, a)
            }
            2 => {
                let (a, mode) = (self.operand(ty), Num(self.r.below(16) as u8));
                self.b.fp_integral(ty, mode, a)
            }
            _ => {
                let b = self.operand(ty);
                let from = if self.r.below(2) == 0 { source } else { self.reg() };
                let a = self.b.get_vec(from, ty);
                self.b.fp_arith(self.r.pick(FpOp::ALL), ty, a, b)
            }
        };
        let a = self.b.get_vec(source, Type::V128);
        self.b.vec_merge_low(ty, a, low)
    }

    fn instruction(&mut self) {
        let ty = self.r.pick(&[Type::V128, Type::V256]);
        match self.r.below(16) {
            0 => {
                let v = self.vector(ty);
                let at = self.address();
                self.b.store(ty, Align::Any, at, v);
            }
            1 => {
                let op = self.r.pick(&[MaskOp::Pmovmskb, MaskOp::MovmskPs, MaskOp::MovmskPd]);
                let a = self.operand(ty);
                let m = self.b.vec_mask(op, ty, a);
                self.b.set_gpr(Gpr::Rdx, Width::W32, m);
            }
            2 => {
                let op = self.r.pick(VecTest::ALL);
                let (a, b) = (self.operand(ty), self.operand(ty));
                let f = self.b.vec_test_flags(op, ty, a, b);
                self.b.set_flags(hokku_ir::FlagSet::STATUS, f);
            }
            3 if self.r.below(4) == 0 => {
                let all = Flag(self.r.below(4) == 0);
                self.b.zero_vectors(all);
            }
            4 => {
                let w = self.r.pick(Width::ALL);
                let lane = Num(self.r.below(u64::from(16 / w.bytes())) as u8);
                let a = self.operand(Type::V128);
                let x = self.b.vec_extract(w, Type::V128, a, lane);
                let full = if w == Width::W64 { Width::W64 } else { Width::W32 };
                if full == Width::W32 || self.mode == CpuMode::Long64 {
                    self.b.set_gpr(Gpr::Rdx, full, x);
                }
            }
            5 => {
                let w = self.r.pick(&Width::ALL[..3]);
                let lane = Num(self.r.below(u64::from(16 / w.bytes())) as u8);
                let x = self.b.get_gpr(Gpr::Rax, Width::W32);
                let a = self.operand(Type::V128);
                let v = self.b.vec_insert(w, Type::V128, a, lane, x);
                self.write(Type::V128, v);
            }
            6 => {
                let (w, at, mask) = (self.r.pick(&[Width::W32, Width::W64]), self.address(), self.reg());
                let mask = self.b.get_vec(mask, ty);
                if self.r.below(2) == 0 {
                    let v = self.b.load_masked(w, ty, at, mask);
                    self.write(ty, v);
                } else {
                    let v = self.reg();
                    let v = self.b.get_vec(v, ty);
                    self.b.store_masked(w, ty, at, v, mask);
                }
            }
            7 => {
                // A scalar, of a legacy instruction.
                let (lane, reg) = (self.lane(), self.reg());
                let b = self.operand(lane);
                let a = self.b.get_vec(reg, lane);
                let v = self.b.fp_arith(self.r.pick(FpOp::ALL), lane, a, b);
                self.b.set_vec(reg, lane, Upper::Keep, v);
            }
            _ => {
                let v = self.vector(ty);
                self.write(ty, v);
            }
        }
    }

    fn write(&mut self, ty: Type, v: Value) {
        let upper = if ty == Type::V256 { Upper::Zero256 } else { self.r.pick(&[Upper::Keep, Upper::Zero256]) };
        let reg = self.reg();
        self.b.set_vec(reg, ty, upper, v);
    }
}

fn region(r: &mut Random, mode: CpuMode) -> Region {
    let count = 1 + r.below(6);
    let mut m = Maker { b: Builder::new(), r, mode };
    for n in 0..count {
        m.b.insn(GuestAddr(CODE + 4 * n), Num(4));
        m.instruction();
    }
    let (at, next) = (GuestAddr(CODE + 4 * count), GuestAddr(CODE + 4 * count + 1));
    m.b.insn(at, Num(1));
    let insts = m.b.take();
    let block = Block { pc: GuestAddr(CODE), insts, exit: Exit::Trap { trap: Trap::InvalidOpcode, at, next } };
    let key = BlockKey::new(GuestAddr(CODE), mode);
    Region {
        key,
        blocks: vec![block],
        value_count: m.b.value_count(),
        ranges: vec![(GuestAddr(CODE), 4 * count as u32 + 1)],
    }
}

fn listing(region: &Region, host: &Host) -> String {
    let mut out = hokku_ir::text::print::region(region);
    let mut formatter = NasmFormatter::new();
    for insn in &mut Decoder::with_ip(64, &host.compile(region).code, 0, DecoderOptions::NONE) {
        out.push_str(&format!("{:8x}  ", insn.ip()));
        formatter.format(&insn, &mut out);
        out.push('\n');
    }
    out
}

fn run(seed: u64, mode: CpuMode, rounds: usize, features: Features) {
    let mut host = Host::new(mode, features);
    let mut r = Random(seed);
    for round in 0..rounds {
        let seed = r.0;
        let region = region(&mut r, mode);
        verify(&region).unwrap_or_else(|e| panic!("{e}\n{}", hokku_ir::text::print::region(&region)));
        let mut start: Box<CpuState> = initial(&mut r, mode);
        start.set(Gpr::Rbx, AREA + 0x800);
        let bytes: Vec<u8> = (0..AREA_LEN).map(|_| r.next() as u8).collect();
        let memory = FlatMemory::with(GuestAddr(AREA), &bytes);
        let mut expected = start.clone();
        run_region(&region, BlockId(0), &mut expected, &memory, &FixedSystem::default());
        fill_area(&bytes);
        let mut got = start.clone();
        if std::env::var_os("HOKKU_TRACE").is_some() {
            eprintln!("seed {seed:#x}\n{}", listing(&region, &host));
        }
        let (_, fault) = host.run(host.compile(&region), &mut got);
        let mut wrong = differences(&expected, &got, 0x8d5, false);
        wrong.extend(fault.map(|f| format!("callout faulted: {f:?}")));
        if memory.contents()[0].1 != read_area() {
            wrong.push("memory".to_string());
        }
        assert!(
            wrong.is_empty(),
            "{features:?} {mode:?} round {round}, seed {seed:#x}\n{}\nstart {:x?}\n{}",
            wrong.join("\n"),
            start.vector,
            listing(&region, &host)
        );
    }
}

#[test]
fn random_vector_regions() {
    let _area = map_area();
    let rounds = std::env::var("HOKKU_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(2000);
    let seed = std::env::var("HOKKU_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(0x1234_5677);
    let host = Features::detect();
    let old = Features::SSE3 | Features::SSSE3 | Features::SSE41;
    for features in [host, host - Features::AVX2 - Features::FMA, host & old, Features::empty()] {
        for mode in [CpuMode::Long64, CpuMode::Protected32] {
            run(seed, mode, rounds, features);
        }
    }
}

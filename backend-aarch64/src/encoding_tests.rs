//! Our encodings, judged by another assembler.

use dynasmrt::{DynasmLabelApi, VecAssembler, aarch64::Aarch64Relocation, dynasm};

use crate::access::{Lse, Piece, Place};
use crate::asm::{Asm, Cc, Size};
use crate::immediate::bitmask;
use crate::integer::{Extend, Logic, Shift, Sum};
use crate::simd::{Crypto, One, Same};

/// Compares each call on [`Asm`] with the line of assembly behind it.
macro_rules! check {
    ($($name:ident($($arg:expr),*) => { $($theirs:tt)+ })*) => { $(
        let mut ours = Asm::new();
        ours.$name($($arg),*);
        let mut theirs = VecAssembler::<Aarch64Relocation>::new(0);
        dynasm!(theirs ; .arch aarch64 ; $($theirs)+);
        let (ours, theirs) = (ours.finish(), theirs.finalize().expect("no labels"));
        assert_eq!(ours, theirs, "{}{:?}: ours {:08x}", stringify!($name), stringify!($($theirs)+), word(&ours));
    )* };
}

fn word(code: &[u8]) -> u32 {
    u32::from_le_bytes(code[..4].try_into().expect("four bytes"))
}

const W: Size = Size::W;
const X: Size = Size::X;

#[test]
fn integer_instructions() {
    check! {
        add_imm(Sum::Add, X, 1, 2, 0x123) => { add x1, x2, 0x123 }
        count_byte_ones(1, 2) => { cnt v1.b8, v2.b8 }
        add_bytes(1, 2) => { addv b1, v2.b8 }
        add_imm(Sum::Subs, W, 1, 2, 1 << 12 | 5) => { subs w1, w2, 5, lsl 12 }
        add_shifted(Sum::Adds, X, 3, 4, 5, Shift::Asr, 7) => { adds x3, x4, x5, asr 7 }
        add(Sum::Sub, W, 3, 4, 5) => { sub w3, w4, w5 }
        add_extended(Sum::Add, X, 3, 4, 5, Extend::Uxtw, 2) => { add x3, x4, w5, uxtw 2 }
        add_extended(Sum::Subs, W, 3, 4, 5, Extend::Sxtb, 0) => { subs w3, w4, w5, sxtb 0 }
        logic_bits(Logic::And, X, 1, 2, bitmask(X, 0xff00).unwrap()) => { and x1, x2, 0xff00 }
        logic_bits(Logic::Eor, W, 1, 2, bitmask(W, 0x8000_0001).unwrap()) => { eor w1, w2, 0x8000_0001 }
        logic_bits(Logic::Ands, W, 1, 2, bitmask(W, 0x5555_5555).unwrap()) => { ands w1, w2, 0x5555_5555 }
        logic(Logic::Bic, X, 1, 2, 3) => { bic x1, x2, x3 }
        logic(Logic::Eon, W, 1, 2, 3) => { eon w1, w2, w3 }
        logic(Logic::Bics, W, 1, 2, 3) => { bics w1, w2, w3 }
        logic_shifted(Logic::Orn, X, 1, 2, 3, Shift::Ror, 63) => { orn x1, x2, x3, ror 63 }
        mov(X, 7, 8) => { mov x7, x8 }
        ubfx(X, 1, 2, 5, 40) => { ubfx x1, x2, 5, 40 }
        sbfx(W, 1, 2, 0, 8) => { sbfx w1, w2, 0, 8 }
        ubfiz(X, 1, 2, 32, 8) => { ubfiz x1, x2, 32, 8 }
        bfi(W, 1, 2, 8, 8) => { bfi w1, w2, 8, 8 }
        bfxil(X, 1, 2, 8, 16) => { bfxil x1, x2, 8, 16 }
        lsl(X, 1, 2, 63) => { lsl x1, x2, 63 }
        lsl(W, 1, 2, 3) => { lsl w1, w2, 3 }
        lsr(W, 1, 2, 31) => { lsr w1, w2, 31 }
        asr(X, 1, 2, 1) => { asr x1, x2, 1 }
        extr(X, 1, 2, 3, 17) => { extr x1, x2, x3, 17 }
        extr(W, 1, 2, 3, 17) => { extr w1, w2, w3, 17 }
        udiv(X, 1, 2, 3) => { udiv x1, x2, x3 }
        sdiv(W, 1, 2, 3) => { sdiv w1, w2, w3 }
        shift_reg(Shift::Ror, X, 1, 2, 3) => { ror x1, x2, x3 }
        shift_reg(Shift::Lsl, W, 1, 2, 3) => { lsl w1, w2, w3 }
        crc32c(0, 1, 2, 3) => { crc32cb w1, w2, w3 }
        crc32c(3, 1, 2, 3) => { crc32cx w1, w2, x3 }
        madd(X, 1, 2, 3, 4) => { madd x1, x2, x3, x4 }
        msub(W, 1, 2, 3, 4) => { msub w1, w2, w3, w4 }
        mull(true, 1, 2, 3) => { smull x1, w2, w3 }
        mull(false, 1, 2, 3) => { umull x1, w2, w3 }
        mulh(true, 1, 2, 3) => { smulh x1, x2, x3 }
        mulh(false, 1, 2, 3) => { umulh x1, x2, x3 }
        rbit(X, 1, 2) => { rbit x1, x2 }
        rev16(W, 1, 2) => { rev16 w1, w2 }
        rev(W, 1, 2) => { rev w1, w2 }
        rev(X, 1, 2) => { rev x1, x2 }
        clz(X, 1, 2) => { clz x1, x2 }
        csel(X, 1, 2, 3, Cc::Ge) => { csel x1, x2, x3, ge }
        csinc(W, 1, 2, 3, Cc::Vs) => { csinc w1, w2, w3, vs }
        csinv(W, 1, 2, 3, Cc::Le) => { csinv w1, w2, w3, le }
        cset(1, Cc::Hi) => { cset w1, hi }
        csetm(X, 1, Cc::Lt) => { csetm x1, lt }
        ccmp_imm(X, 1, 3, 4, Cc::Ne) => { ccmp x1, 3, 4, ne }
        ccmp(W, 1, 2, 15, Cc::Lo) => { ccmp w1, w2, 15, lo }
        adc(Sum::Adds, X, 1, 2, 3) => { adcs x1, x2, x3 }
        adc(Sum::Sub, W, 1, 2, 3) => { sbc w1, w2, w3 }
        br(3) => { br x3 }
        blr(3) => { blr x3 }
        ret() => { ret }
        nop() => { nop }
        pause() => { yield }
    }
}

#[test]
fn accesses() {
    let at = |offset| Place::Offset { base: 2, offset };
    check! {
        access(true, Piece::X, 1, at(0x7ff8)) => { ldr x1, [x2, 0x7ff8] }
        access(true, Piece::X, 1, at(-9)) => { ldur x1, [x2, -9] }
        access(false, Piece::W, 1, at(4)) => { str w1, [x2, 4] }
        access(true, Piece::H, 1, at(2)) => { ldrh w1, [x2, 2] }
        access(false, Piece::B, 1, at(4095)) => { strb w1, [x2, 4095] }
        access(true, Piece::Signed { log2_bytes: 0, short: true }, 1, at(1)) => { ldrsb w1, [x2, 1] }
        access(true, Piece::Signed { log2_bytes: 1, short: false }, 1, at(2)) => { ldrsh x1, [x2, 2] }
        access(true, Piece::Signed { log2_bytes: 2, short: false }, 1, at(4)) => { ldrsw x1, [x2, 4] }
        access(true, Piece::Q, 1, at(32)) => { ldr q1, [x2, 32] }
        access(false, Piece::Q, 1, at(-16)) => { stur q1, [x2, -16] }
        access(false, Piece::Vec(3), 1, at(8)) => { str d1, [x2, 8] }
        access(true, Piece::Vec(2), 1, at(8)) => { ldr s1, [x2, 8] }
        access(true, Piece::X, 1, Place::Index { base: 2, index: 3, extend: Extend::Uxtx, shifted: true }) => { ldr x1, [x2, x3, lsl 3] }
        access(false, Piece::W, 1, Place::Index { base: 2, index: 3, extend: Extend::Uxtw, shifted: false }) => { str w1, [x2, w3, uxtw] }
        access(false, Piece::X, 1, Place::Before { base: 2, offset: -8 }) => { str x1, [x2, -8]! }
        access(true, Piece::X, 1, Place::After { base: 2, offset: 8 }) => { ldr x1, [x2], 8 }
        load_pair(Piece::X, 1, 2, 3, 16) => { ldp x1, x2, [x3, 16] }
        store_pair(Piece::W, 1, 2, 3, -8) => { stp w1, w2, [x3, -8] }
        load_pair(Piece::Q, 1, 2, 3, 32) => { ldp q1, q2, [x3, 32] }
        store_pair(Piece::Vec(3), 1, 2, 31, 96) => { stp d1, d2, [sp, 96] }
        pop_pair(Piece::X, 1, 2, 3, 16) => { ldp x1, x2, [x3], 16 }
        store_pair_after(Piece::Q, 1, 2, 3, 32) => { stp q1, q2, [x3], 32 }
        push_pair(Piece::X, 1, 2, 3, 16) => { stp x1, x2, [x3, -16]! }
        ordered(true, 3, 1, 2) => { ldar x1, [x2] }
        ordered(false, 0, 1, 2) => { stlrb w1, [x2] }
        load_acquire_pc(2, 1, 2) => { ldapr w1, [x2] }
        load_exclusive(3, 1, 2) => { ldaxr x1, [x2] }
        load_exclusive(1, 1, 2) => { ldaxrh w1, [x2] }
        store_exclusive(2, 3, 1, 2) => { stlxr w3, w1, [x2] }
        lse(Lse::Add, 3, 1, 2, 3) => { ldaddal x1, x2, [x3] }
        lse(Lse::Clr, 0, 1, 2, 3) => { ldclralb w1, w2, [x3] }
        lse(Lse::Swp, 2, 1, 2, 3) => { swpal w1, w2, [x3] }
        cas(3, 1, 2, 3) => { casal x1, x2, [x3] }
        cas(1, 1, 2, 3) => { casalh w1, w2, [x3] }
        cas_pair(Size::X, 2, 4, 6) => { caspal x2, x3, x4, x5, [x6] }
        dmb_all() => { dmb ish }
        dmb_loads() => { dmb ishld }
        dmb_stores() => { dmb ishst }
        add_scaled(1, 2, 3, 2) => { add x1, x2, x3, lsl 2 }
    }
}

/// By the processor's manual: the other assembler does not know these, or not their registers' names.
#[test]
fn other_instructions() {
    let mut asm = Asm::new();
    asm.read_nzcv(1);
    asm.write_nzcv(1);
    asm.read_fpcr(1);
    asm.write_fpcr(1);
    asm.read_fpsr(1);
    asm.write_fpsr(1);
    asm.cfinv();
    asm.rmif(3, 63, 2);
    asm.ordered_offset(true, 3, 1, 2, -8);
    asm.ordered_offset(false, 2, 1, 2, 4);
    let words: Vec<u32> = asm.finish().chunks(4).map(word).collect();
    assert_eq!(words[..6], [0xd53b_4201, 0xd51b_4201, 0xd53b_4401, 0xd51b_4401, 0xd53b_4421, 0xd51b_4421]);
    assert_eq!(words[6..], [0xd500_401f, 0xba1f_8462, 0xd95f_8041, 0x9900_4041]);
}

#[test]
fn vector_instructions() {
    check! {
        same(Same::ADD, true, 3, 1, 2, 3) => { add v1.d2, v2.d2, v3.d2 }
        same(Same::EOR, true, 1, 1, 2, 3) => { bsl v1.b16, v2.b16, v3.b16 }
        same(Same::SSHL, true, 2, 1, 2, 3) => { sshl v1.s4, v2.s4, v3.s4 }
        same(Same::USHL, true, 3, 1, 2, 3) => { ushl v1.d2, v2.d2, v3.d2 }
        same(Same::CMHI, true, 3, 1, 2, 3) => { cmhi v1.d2, v2.d2, v3.d2 }
        same(Same::CMTST, true, 0, 1, 2, 3) => { cmtst v1.b16, v2.b16, v3.b16 }
        same(Same::FADD, true, 1, 1, 2, 3) => { fadd v1.d2, v2.d2, v3.d2 }
        same(Same::FSUB, true, 2, 1, 2, 3) => { fsub v1.s4, v2.s4, v3.s4 }
        same(Same::FMUL, true, 0, 1, 2, 3) => { fmul v1.s4, v2.s4, v3.s4 }
        same(Same::FMAX, true, 1, 1, 2, 3) => { fmax v1.d2, v2.d2, v3.d2 }
        same(Same::FMIN, true, 2, 1, 2, 3) => { fmin v1.s4, v2.s4, v3.s4 }
        same(Same::FDIV, true, 1, 1, 2, 3) => { fdiv v1.d2, v2.d2, v3.d2 }
        same(Same::FMLA, true, 1, 1, 2, 3) => { fmla v1.d2, v2.d2, v3.d2 }
        same(Same::FMLS, true, 2, 1, 2, 3) => { fmls v1.s4, v2.s4, v3.s4 }
        same(Same::FCMEQ, true, 1, 1, 2, 3) => { fcmeq v1.d2, v2.d2, v3.d2 }
        same(Same::FCMGE, true, 0, 1, 2, 3) => { fcmge v1.s4, v2.s4, v3.s4 }
        same(Same::FCMGT, true, 3, 1, 2, 3) => { fcmgt v1.d2, v2.d2, v3.d2 }
        same_scalar(Same::FCMGT, 3, 1, 2, 3) => { fcmgt d1, d2, d3 }
        same_scalar(Same::FCMGE, 0, 1, 2, 3) => { fcmge s1, s2, s3 }
        same_scalar(Same::FCMEQ, 1, 1, 2, 3) => { fcmeq d1, d2, d3 }
        one(One::ABS, true, 2, 1, 2) => { abs v1.s4, v2.s4 }
        one(One::NEG, true, 3, 1, 2) => { neg v1.d2, v2.d2 }
        one(One::NOT, true, 0, 1, 2) => { not v1.b16, v2.b16 }
        one(One::CMLT, true, 2, 1, 2) => { cmlt v1.s4, v2.s4, 0 }
        one(One::SADDLP, true, 1, 1, 2) => { saddlp v1.s4, v2.h8 }
        one(One::FRINTN, true, 1, 1, 2) => { frintn v1.d2, v2.d2 }
        one(One::FRINTM, true, 0, 1, 2) => { frintm v1.s4, v2.s4 }
        one(One::FRINTP, true, 3, 1, 2) => { frintp v1.d2, v2.d2 }
        one(One::FRINTZ, true, 2, 1, 2) => { frintz v1.s4, v2.s4 }
        one(One::FRINTX, true, 1, 1, 2) => { frintx v1.d2, v2.d2 }
        one(One::FRINTI, true, 2, 1, 2) => { frinti v1.s4, v2.s4 }
        one(One::FCVTZS, true, 3, 1, 2) => { fcvtzs v1.d2, v2.d2 }
        one(One::SCVTF, true, 0, 1, 2) => { scvtf v1.s4, v2.s4 }
        one(One::FSQRT, true, 3, 1, 2) => { fsqrt v1.d2, v2.d2 }
        one(One::FNEG, true, 2, 1, 2) => { fneg v1.s4, v2.s4 }
        one(One::FCVTL, true, 1, 1, 2) => { fcvtl2 v1.d2, v2.s4 }
        one(One::FCVTN, false, 1, 1, 2) => { fcvtn v1.s2, v2.d2 }
        fp_integral(2, true, 1, 2) => { frintm d1, d2 }
        fp_integral(6, false, 1, 2) => { frintx s1, s2 }
        fp_multiply_add((false, false), true, 1, [2, 3, 4]) => { fmadd d1, d2, d3, d4 }
        fp_multiply_add((true, false), false, 1, [2, 3, 4]) => { fmsub s1, s2, s3, s4 }
        fp_multiply_add((true, true), true, 1, [2, 3, 4]) => { fnmadd d1, d2, d3, d4 }
        fp_multiply_add((false, true), true, 1, [2, 3, 4]) => { fnmsub d1, d2, d3, d4 }
        extend_lanes(true, false, 0, 1, 2) => { sxtl v1.h8, v2.b8 }
        extend_lanes(false, true, 2, 1, 2) => { uxtl2 v1.d2, v2.s4 }
        narrow_by_four(1, 2) => { shrn v1.b8, v2.h8, 4 }
        round_words(true, 1, 2, 15) => { rshrn2 v1.h8, v2.s4, 15 }
        table_bytes(1, 2, 3) => { tbl v1.b16, {v2.b16}, v3.b16 }
        fill_bytes(1, 0x8f) => { movi v1.b16, 0x8f }
        broadcast_gpr(2, 1, 2) => { dup v1.s4, w2 }
        broadcast_gpr(3, 1, 2) => { dup v1.d2, x2 }
        greatest_pairs(1, 2, 3) => { umaxp v1.s4, v2.s4, v3.s4 }
        crypto(Crypto::Aese, 1, 2) => { aese v1.b16, v2.b16 }
        crypto(Crypto::Aesd, 1, 2) => { aesd v1.b16, v2.b16 }
        crypto(Crypto::Aesmc, 1, 2) => { aesmc v1.b16, v2.b16 }
        crypto(Crypto::Aesimc, 1, 2) => { aesimc v1.b16, v2.b16 }
        crypto(Crypto::Sha256su0, 1, 2) => { sha256su0 v1.s4, v2.s4 }
        sha256su1(1, 2, 3) => { sha256su1 v1.s4, v2.s4, v3.s4 }
        carryless(true, 1, 2, 3) => { pmull2 v1.q1, v2.d2, v3.d2 }
    }
}

#[test]
fn branches_reach_their_labels() {
    let mut asm = Asm::new();
    let (back, ahead) = (asm.here(), asm.label());
    asm.b(ahead);
    asm.bl(back);
    asm.b_cond(Cc::Ne, ahead);
    asm.cbz(Size::W, 3, back);
    asm.cbnz(Size::X, 3, ahead);
    asm.tbz(3, 33, back);
    asm.tbnz(3, 1, ahead);
    asm.adr(5, back);
    asm.load_literal(true, 6, ahead);
    asm.load_literal(false, 6, back);
    asm.bind(ahead);
    let mut theirs = VecAssembler::<Aarch64Relocation>::new(0);
    dynasmrt::dynasm!(theirs
        ; .arch aarch64
        ; ->back:
        ; b ->ahead
        ; bl ->back
        ; b.ne ->ahead
        ; cbz w3, ->back
        ; cbnz x3, ->ahead
        ; tbz x3, 33, ->back
        ; tbnz w3, 1, ->ahead
        ; adr x5, ->back
        ; ldrsw x6, ->ahead
        ; ldr w6, ->back
        ; ->ahead:
    );
    assert_eq!(asm.finish(), theirs.finalize().expect("labels are in reach"));
}

//! The fuzzer's own reach: every encoding that can be compared is drawn, in each of the fields that it has.

use std::collections::BTreeSet;

use hokku_ir::CpuMode;
use hokku_tests::fuzz::encoding;
use hokku_tests::fuzz::explain::EXPLAINED;
use hokku_tests::fuzz::rng::Rng;
use hokku_tests::fuzz::safety::excluded;
use iced_x86::{Code, Decoder, DecoderError, DecoderOptions, EncodingKind, OpCodeOperandKind as Kind};

const AT: u64 = 0x2000_0400;

/// All encodings of `mode` that can be compared, translated or not.
fn comparable(mode: CpuMode) -> impl Iterator<Item = Code> {
    Code::values().filter(move |code| {
        let info = code.op_code();
        let exists = match mode {
            CpuMode::Protected32 => info.mode32() && info.intel_decoder32(),
            CpuMode::Long64 => info.mode64() && info.intel_decoder64(),
        };
        let plain = info.is_instruction() && info.decoder_option() == DecoderOptions::NONE && !info.fwait();
        exists && plain && excluded(*code).is_none()
    })
}

fn missed(mode: CpuMode) -> Vec<Code> {
    let mut rng = Rng::new(1, mode.word().bits().into());
    comparable(mode).filter(|code| (0..10).all(|_| encoding::random(&mut rng, *code, mode, AT).is_none())).collect()
}

#[test]
fn every_encoding_is_drawn() {
    for mode in [CpuMode::Protected32, CpuMode::Long64] {
        assert!(comparable(mode).count() > 1800, "only {}", comparable(mode).count());
        assert_eq!(missed(mode), []);
    }
}

/// Registers of each VEX operand, all lanes of `vvvv`, and both forms of the prefix.
#[test]
fn vex_fields_take_all_values() {
    let mut rng = Rng::new(7, 0);
    let code = Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm;
    let mut seen = [const { BTreeSet::new() }; 4];
    for _ in 0..4000 {
        let found = encoding::random(&mut rng, code, CpuMode::Long64, AT).expect("an encoding");
        for (i, registers) in seen.iter_mut().enumerate() {
            registers.insert(found.insn.op_register(i as u32) as u32);
        }
    }
    assert_eq!(seen.map(|registers| registers.len()), [16, 16, 17, 16], "the third operand is memory, too");
    let prefixes: BTreeSet<u8> = (0..200)
        .filter_map(|_| encoding::random(&mut rng, Code::VEX_Vaddps_xmm_xmm_xmmm128, CpuMode::Protected32, AT))
        .filter_map(|found| found.bytes.into_iter().find(|b| matches!(b, 0xc4 | 0xc5)))
        .collect();
    assert_eq!(prefixes.len(), 2);
}

/// Bytes drawn to be illegal are so to the decoder, and there are some of most VEX encodings.
#[test]
fn illegal_encodings_are_drawn() {
    let mut rng = Rng::new(3, 0);
    let vex: Vec<Code> = comparable(CpuMode::Long64).filter(|c| c.op_code().encoding() == EncodingKind::VEX).collect();
    let mut found = 0;
    for code in &vex {
        let Some(illegal) = encoding::illegal(&mut rng, *code, CpuMode::Long64, AT) else { continue };
        let mut decoder = Decoder::with_ip(64, &illegal.bytes, AT, DecoderOptions::NONE);
        assert!(decoder.decode().is_invalid(), "{:x?}", illegal.bytes);
        assert_eq!(decoder.last_error(), DecoderError::InvalidInstruction);
        found += 1;
    }
    assert!(found * 10 > vex.len() * 9, "{found} of {}", vex.len());
    assert!(vex.iter().any(|c| c.op_code().op_kinds().contains(&Kind::mem_vsib32y)));
}

/// Whoever allows a difference says so on the page that lists them.
#[test]
fn the_page_lists_each_difference_that_is_allowed() {
    let page = include_str!("../../docs/differential.md");
    for explained in EXPLAINED {
        let line = format!("| {} | {} |", explained.name, explained.words.replace('|', "\\|"));
        assert!(page.contains(&line), "docs/differential.md lacks: {line}");
    }
}

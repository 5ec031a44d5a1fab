//! AES, carry-less products and SHA.

use hokku_ir::{Num, Type, VecBin, VecImm, VecTer, VecUn};
use iced_x86::{Code, CpuidFeature, Mnemonic};

use crate::emit::{Emitter, Translated, Translator};
use crate::families::vector::{immediate, packed, source, sources, unary, write};
use crate::insn::Insn;

/// The translator of `code`, if it is of this family. The 256-bit forms are of later processors than are offered.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    macro_rules! packed {
        ($Op:ident) => {
            |e, i| packed(e, i, VecBin::$Op)
        };
    }
    if code.cpuid_features().iter().any(|f| matches!(f, CpuidFeature::VAES | CpuidFeature::VPCLMULQDQ)) {
        return None;
    }
    Some(match code.mnemonic() {
        Mnemonic::Aesenc | Mnemonic::Vaesenc => packed!(AesEnc),
        Mnemonic::Aesenclast | Mnemonic::Vaesenclast => packed!(AesEncLast),
        Mnemonic::Aesdec | Mnemonic::Vaesdec => packed!(AesDec),
        Mnemonic::Aesdeclast | Mnemonic::Vaesdeclast => packed!(AesDecLast),
        Mnemonic::Aesimc | Mnemonic::Vaesimc => |e, i| unary(e, i, VecUn::AesImc),
        Mnemonic::Aeskeygenassist | Mnemonic::Vaeskeygenassist => aeskeygenassist,
        Mnemonic::Pclmulqdq | Mnemonic::Vpclmulqdq => |e, i| by_immediate(e, i, VecImm::PclmulQdq),
        Mnemonic::Sha1nexte => packed!(Sha1Nexte),
        Mnemonic::Sha1msg1 => packed!(Sha1Msg1),
        Mnemonic::Sha1msg2 => packed!(Sha1Msg2),
        Mnemonic::Sha256msg1 => packed!(Sha256Msg1),
        Mnemonic::Sha256msg2 => packed!(Sha256Msg2),
        Mnemonic::Sha1rnds4 => |e, i| by_immediate(e, i, VecImm::Sha1Rnds4),
        Mnemonic::Sha256rnds2 => sha256rnds2,
        _ => return None,
    })
}

/// `PCLMULQDQ`, `SHA1RNDS4`: SDM 2B.
fn by_immediate(e: &mut Emitter, insn: &Insn, op: VecImm) -> Translated {
    let (ty, a, b) = sources(e, insn)?;
    let v = e.vec_imm(op, ty, a, b, Num(immediate(insn)?));
    write(e, insn, v)
}

/// `AESKEYGENASSIST`: SDM 2A.
fn aeskeygenassist(e: &mut Emitter, insn: &Insn) -> Translated {
    let a = source(e, insn, 1, Type::V128)?;
    let v = e.vec_imm(VecImm::AesKeygenAssist, Type::V128, a, a, Num(immediate(insn)?));
    write(e, insn, v)
}

/// `SHA256RNDS2`: SDM 2B. Words plus constants are in xmm0.
fn sha256rnds2(e: &mut Emitter, insn: &Insn) -> Translated {
    let (ty, a, b) = sources(e, insn)?;
    let words = e.get_vec(Num(0), ty);
    let v = e.vec_ternary(VecTer::Sha256Rnds2, ty, a, b, words);
    write(e, insn, v)
}

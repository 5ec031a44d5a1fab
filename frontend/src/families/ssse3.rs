//! SSSE3: packed integers, in MMX registers too.

use hokku_ir::{VecBin, VecShuffle, VecUn};
use iced_x86::{Code, Mnemonic};

use crate::emit::Translator;
use crate::families::vector::{packed, shuffle_two, unary};

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    macro_rules! packed {
        ($Op:ident) => {
            |e, i| packed(e, i, VecBin::$Op)
        };
    }
    macro_rules! unary {
        ($Op:ident) => {
            |e, i| unary(e, i, VecUn::$Op)
        };
    }
    Some(match code.mnemonic() {
        Mnemonic::Pshufb | Mnemonic::Vpshufb => packed!(PshufB),
        Mnemonic::Phaddw | Mnemonic::Vphaddw => packed!(PhaddW),
        Mnemonic::Phaddd | Mnemonic::Vphaddd => packed!(PhaddD),
        Mnemonic::Phaddsw | Mnemonic::Vphaddsw => packed!(PhaddsW),
        Mnemonic::Phsubw | Mnemonic::Vphsubw => packed!(PhsubW),
        Mnemonic::Phsubd | Mnemonic::Vphsubd => packed!(PhsubD),
        Mnemonic::Phsubsw | Mnemonic::Vphsubsw => packed!(PhsubsW),
        Mnemonic::Pmaddubsw | Mnemonic::Vpmaddubsw => packed!(PmaddubSw),
        Mnemonic::Pmulhrsw | Mnemonic::Vpmulhrsw => packed!(PmulhrSw),
        Mnemonic::Psignb | Mnemonic::Vpsignb => packed!(PsignB),
        Mnemonic::Psignw | Mnemonic::Vpsignw => packed!(PsignW),
        Mnemonic::Psignd | Mnemonic::Vpsignd => packed!(PsignD),
        Mnemonic::Pabsb | Mnemonic::Vpabsb => unary!(PabsB),
        Mnemonic::Pabsw | Mnemonic::Vpabsw => unary!(PabsW),
        Mnemonic::Pabsd | Mnemonic::Vpabsd => unary!(PabsD),
        Mnemonic::Palignr | Mnemonic::Vpalignr => |e, i| shuffle_two(e, i, VecShuffle::Palignr),
        _ => return None,
    })
}

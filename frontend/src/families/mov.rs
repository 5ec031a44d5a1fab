//! Moves, extensions, conditional moves and sets.

use hokku_ir::{Addr, Align, Cond, FlagSet, Gpr, Seg, Trap, Type, Width};
use iced_x86::{Code, ConditionCode, Mnemonic, Register};

use crate::emit::{Emitter, Step, Translated, Translator};
use crate::insn::{Insn, Unsupported, segment_register};

/// The translator of `code`, if it is of this family.
pub(crate) fn lookup(code: Code) -> Option<Translator> {
    Some(match code.mnemonic() {
        Mnemonic::Mov => match code {
            Code::Mov_rm16_Sreg | Code::Mov_r32m16_Sreg | Code::Mov_r64m16_Sreg => mov_from_segment,
            Code::Mov_Sreg_rm16 | Code::Mov_Sreg_r32m16 | Code::Mov_Sreg_r64m16 => mov_to_segment,
            _ if code.is_privileged() => return None,
            _ => mov,
        },
        Mnemonic::Movnti => mov,
        Mnemonic::Movzx => movzx,
        Mnemonic::Movsx | Mnemonic::Movsxd => movsx,
        Mnemonic::Movbe => movbe,
        Mnemonic::Lea => lea,
        Mnemonic::Cmova | Mnemonic::Cmovae | Mnemonic::Cmovb | Mnemonic::Cmovbe => cmov,
        Mnemonic::Cmove | Mnemonic::Cmovne | Mnemonic::Cmovs | Mnemonic::Cmovns => cmov,
        Mnemonic::Cmovg | Mnemonic::Cmovge | Mnemonic::Cmovl | Mnemonic::Cmovle => cmov,
        Mnemonic::Cmovo | Mnemonic::Cmovno | Mnemonic::Cmovp | Mnemonic::Cmovnp => cmov,
        Mnemonic::Seta | Mnemonic::Setae | Mnemonic::Setb | Mnemonic::Setbe => setcc,
        Mnemonic::Sete | Mnemonic::Setne | Mnemonic::Sets | Mnemonic::Setns => setcc,
        Mnemonic::Setg | Mnemonic::Setge | Mnemonic::Setl | Mnemonic::Setle => setcc,
        Mnemonic::Seto | Mnemonic::Setno | Mnemonic::Setp | Mnemonic::Setnp => setcc,
        Mnemonic::Cbw => |e, _| widen_accumulator(e, Width::W8),
        Mnemonic::Cwde => |e, _| widen_accumulator(e, Width::W16),
        Mnemonic::Cdqe => |e, _| widen_accumulator(e, Width::W32),
        Mnemonic::Cwd => |e, _| sign_to_rdx(e, Width::W16),
        Mnemonic::Cdq => |e, _| sign_to_rdx(e, Width::W32),
        Mnemonic::Cqo => |e, _| sign_to_rdx(e, Width::W64),
        Mnemonic::Bswap => bswap,
        Mnemonic::Xlatb => xlat,
        Mnemonic::Lahf => lahf,
        Mnemonic::Sahf => sahf,
        Mnemonic::Lds | Mnemonic::Les | Mnemonic::Lfs | Mnemonic::Lgs | Mnemonic::Lss => load_far_pointer,
        _ => return None,
    })
}

/// The condition of `cmovcc`, `setcc`, `jcc`.
pub(crate) fn condition(insn: &Insn) -> Result<Cond, Unsupported> {
    Ok(match insn.raw.condition_code() {
        ConditionCode::None => return Err(Unsupported),
        ConditionCode::o => Cond::O,
        ConditionCode::no => Cond::No,
        ConditionCode::b => Cond::B,
        ConditionCode::ae => Cond::Ae,
        ConditionCode::e => Cond::E,
        ConditionCode::ne => Cond::Ne,
        ConditionCode::be => Cond::Be,
        ConditionCode::a => Cond::A,
        ConditionCode::s => Cond::S,
        ConditionCode::ns => Cond::Ns,
        ConditionCode::p => Cond::P,
        ConditionCode::np => Cond::Np,
        ConditionCode::l => Cond::L,
        ConditionCode::ge => Cond::Ge,
        ConditionCode::le => Cond::Le,
        ConditionCode::g => Cond::G,
    })
}

/// `MOV`: SDM 2B; `MOVNTI`.
fn mov(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, dst, v) = e.dst_src(insn)?;
    e.write(dst, w, v)?;
    Ok(Step::Next)
}

/// `MOV r/m, Sreg`: 16 bits to memory, zero-extended to a wider register.
fn mov_from_segment(e: &mut Emitter, insn: &Insn) -> Translated {
    let seg = insn.register(1).and_then(segment_register).ok_or(Unsupported)?;
    let w = if insn.is_memory(0) { Width::W16 } else { insn.width()? };
    let dst = e.place(insn, 0)?;
    let selector = e.get_selector(seg);
    let v = e.resize(Width::W16, w, selector);
    e.write(dst, w, v)?;
    Ok(Step::Next)
}

/// `MOV Sreg, r/m`.
fn mov_to_segment(e: &mut Emitter, insn: &Insn) -> Translated {
    let seg = insn.register(0).and_then(segment_register).ok_or(Unsupported)?;
    if seg == Seg::Cs {
        return e.trap(insn, Trap::InvalidOpcode);
    }
    let selector = e.operand(insn, 1, Width::W16)?;
    e.set_selector(seg, selector);
    Ok(Step::Next)
}

/// `LDS`, `LES`, `LFS`, `LGS`, `LSS`: SDM 2A. Offset first in memory, then the selector.
fn load_far_pointer(e: &mut Emitter, insn: &Insn) -> Translated {
    let seg = match insn.mnemonic() {
        Mnemonic::Lds => Seg::Ds,
        Mnemonic::Les => Seg::Es,
        Mnemonic::Lfs => Seg::Fs,
        Mnemonic::Lgs => Seg::Gs,
        _ => Seg::Ss,
    };
    let w = insn.width()?;
    let dst = e.place(insn, 0)?;
    let at = e.address(insn)?;
    let offset = e.load(w.ty(), Align::Any, at);
    let selector = e.load(Type::I16, Align::Any, at.plus(i64::from(w.bytes())));
    e.set_selector(seg, selector);
    e.write(dst, w, offset)?;
    Ok(Step::Next)
}

/// `MOVZX`: SDM 2B.
fn movzx(e: &mut Emitter, insn: &Insn) -> Translated {
    let (to, from) = (insn.width()?, insn.width_of(1)?);
    let dst = e.place(insn, 0)?;
    let v = e.operand(insn, 1, from)?;
    let v = e.resize(from, to, v);
    e.write(dst, to, v)?;
    Ok(Step::Next)
}

/// `MOVSX`, `MOVSXD`: SDM 2B.
fn movsx(e: &mut Emitter, insn: &Insn) -> Translated {
    let (to, from) = (insn.width()?, insn.width_of(1)?);
    let dst = e.place(insn, 0)?;
    let v = e.operand(insn, 1, from)?;
    let v = e.resize_signed(from, to, v);
    e.write(dst, to, v)?;
    Ok(Step::Next)
}

/// `MOVBE`: SDM 2B. Bytes in reverse order.
fn movbe(e: &mut Emitter, insn: &Insn) -> Translated {
    let (w, dst, v) = e.dst_src(insn)?;
    let v = if w == Width::W16 {
        let eight = e.constant(Width::W8, 8);
        e.rotl(w, v, eight)
    } else {
        e.byte_swap(w, v)
    };
    e.write(dst, w, v)?;
    Ok(Step::Next)
}

/// `LEA`: SDM 2A. The segment has no part in it.
fn lea(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let dst = e.place(insn, 0)?;
    let at = Addr { seg: None, ..e.address(insn)? };
    let v = e.lea(w, at);
    e.write(dst, w, v)?;
    Ok(Step::Next)
}

/// `CMOVcc`: SDM 2A. Reads the source and writes the destination (to clear the upper half) in any case.
fn cmov(e: &mut Emitter, insn: &Insn) -> Translated {
    let cc = condition(insn)?;
    let (w, dst, y) = e.dst_src(insn)?;
    let x = e.read(dst, w);
    let f = e.get_flags();
    let c = e.condition(cc, f);
    let v = e.select(w, c, y, x);
    e.write(dst, w, v)?;
    Ok(Step::Next)
}

/// `SETcc`: SDM 2B.
fn setcc(e: &mut Emitter, insn: &Insn) -> Translated {
    let cc = condition(insn)?;
    let dst = e.place(insn, 0)?;
    let f = e.get_flags();
    let c = e.condition(cc, f);
    e.write(dst, Width::W8, c)?;
    Ok(Step::Next)
}

/// `CBW`, `CWDE`, `CDQE`: SDM 2A. The accumulator sign-extended from `from` to twice its width.
fn widen_accumulator(e: &mut Emitter, from: Width) -> Translated {
    let to = twice(from);
    let v = e.get_gpr(Gpr::Rax, from);
    let v = e.extend_sign(from, to, v);
    e.set_gpr(Gpr::Rax, to, v);
    Ok(Step::Next)
}

/// `CWD`, `CDQ`, `CQO`: SDM 2A. rdx becomes the sign of the accumulator.
fn sign_to_rdx(e: &mut Emitter, w: Width) -> Translated {
    let v = e.get_gpr(Gpr::Rax, w);
    let n = e.constant(Width::W8, u64::from(w.bits() - 1).min(63));
    let sign = e.sar(w, v, n);
    e.set_gpr(Gpr::Rdx, w, sign);
    Ok(Step::Next)
}

/// The next wider width.
fn twice(w: Width) -> Width {
    match w {
        Width::W8 => Width::W16,
        Width::W16 => Width::W32,
        Width::W32 | Width::W64 => Width::W64,
    }
}

/// `BSWAP`: SDM 2A. The 16-bit form, undefined by the manual, gives zero on processors.
fn bswap(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = insn.width()?;
    let dst = e.place(insn, 0)?;
    let v = if w == Width::W16 {
        e.constant(w, 0)
    } else {
        let v = e.read(dst, w);
        e.byte_swap(w, v)
    };
    e.write(dst, w, v)?;
    Ok(Step::Next)
}

/// `XLAT`: SDM 2D. al = the byte at rbx + al.
fn xlat(e: &mut Emitter, insn: &Insn) -> Translated {
    let w = match insn.raw.memory_base() {
        Register::BX => Width::W16,
        Register::EBX => Width::W32,
        Register::RBX => Width::W64,
        _ => return Err(Unsupported),
    };
    let table = e.get_gpr(Gpr::Rbx, w);
    let al = e.get_gpr(Gpr::Rax, Width::W8);
    let index = e.extend_zero(Width::W8, w, al);
    let at = Addr { index: Some(index), seg: insn.segment(), ..Addr::at(table, w) };
    let v = e.load(Type::I8, Align::Any, at);
    e.set_gpr(Gpr::Rax, Width::W8, v);
    Ok(Step::Next)
}

/// The flags that `LAHF` and `SAHF` move.
const LOW_FLAGS: FlagSet = FlagSet::STATUS.difference(FlagSet::OF);

/// `LAHF`: SDM 2A. ah = SF:ZF:0:AF:0:PF:1:CF.
fn lahf(e: &mut Emitter, _: &Insn) -> Translated {
    let f = e.get_flags();
    let flags = e.flags_to_int(f);
    let low = e.truncate(Width::W32, Width::W8, flags);
    let fixed = e.constant(Width::W8, 2);
    let v = e.or(Width::W8, low, fixed);
    e.set_gpr_high(Gpr::Rax, v);
    Ok(Step::Next)
}

/// `SAHF`: SDM 2B.
fn sahf(e: &mut Emitter, _: &Insn) -> Translated {
    let ah = e.get_gpr_high(Gpr::Rax);
    let image = e.extend_zero(Width::W8, Width::W32, ah);
    let f = e.int_to_flags(image);
    e.set_flags(LOW_FLAGS, f);
    Ok(Step::Next)
}

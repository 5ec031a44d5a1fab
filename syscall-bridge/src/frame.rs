//! Signal frames: what a handler finds on its stack, and what the return from it takes back.
//!
//! Source: haiku `src/system/kernel/arch/x86/{32,64}/thread.cpp`, `headers/private/kernel/ksignal.h`.

use hokku_ir::guest::eflags;
use hokku_ir::{CpuMode, CpuState, Gpr, GuestAddr, Seg};

use crate::abi::fpu;
use crate::abi::layout::{GuestType, word_bytes};
use crate::abi::signal::ActionFlags;
use crate::abi::structs::{SigAction, SigInfo, SignalStack};

/// Offsets in `signal_frame_data` and in the registers, for one word size.
struct Layout {
    size: usize,
    context: usize,
    context_mask: usize,
    context_stack: usize,
    registers: usize,
    user_data: usize,
    handler: usize,
    siginfo_handler: usize,
    thread_flags: usize,
    restart_value: usize,
    restart_parameters: usize,
    commpage: usize,
}

const LAYOUT_64: Layout = Layout {
    size: 1144,
    context: 56,
    context_mask: 64,
    context_stack: 72,
    registers: 96,
    user_data: 1072,
    handler: 1080,
    siginfo_handler: 1088,
    thread_flags: 1092,
    restart_value: 1096,
    restart_parameters: 1104,
    commpage: 1136,
};

const LAYOUT_32: Layout = Layout {
    size: 680,
    context: 36,
    context_mask: 40,
    context_stack: 48,
    registers: 60,
    user_data: 620,
    handler: 624,
    siginfo_handler: 628,
    thread_flags: 632,
    restart_value: 636,
    restart_parameters: 644,
    commpage: 676,
};

fn layout(mode: CpuMode) -> &'static Layout {
    match mode {
        CpuMode::Protected32 => &LAYOUT_32,
        CpuMode::Long64 => &LAYOUT_64,
    }
}

/// Registers in the order of x86_64's `vregs`; `rsp`, `rip` and the flags follow.
const ORDER_64: [Gpr; 15] = [
    Gpr::Rax,
    Gpr::Rbx,
    Gpr::Rcx,
    Gpr::Rdx,
    Gpr::Rdi,
    Gpr::Rsi,
    Gpr::Rbp,
    Gpr::R8,
    Gpr::R9,
    Gpr::R10,
    Gpr::R11,
    Gpr::R12,
    Gpr::R13,
    Gpr::R14,
    Gpr::R15,
];
/// Offset of the floating-point state in x86_64's `vregs`.
const FPU_64: usize = 144;
/// Registers of x86's `vregs` with their offsets; `eip` is at 0 and the flags at 4.
const ORDER_32: [(Gpr, usize); 8] = [
    (Gpr::Rax, 8),
    (Gpr::Rcx, 12),
    (Gpr::Rdx, 16),
    (Gpr::Rsp, 20),
    (Gpr::Rbp, 24),
    (Gpr::Rdi, 548),
    (Gpr::Rsi, 552),
    (Gpr::Rbx, 556),
];
/// Offset of the floating-point state in x86's `vregs`.
const FPU_32: usize = 32;
/// Offset, in the floating-point state, of what the kernel adds: fault address, error code, selectors, trap number.
const SOFTWARE_FIELDS: usize = 464;
/// Bytes below an x86_64 stack pointer that a handler must leave alone.
const RED_ZONE: u64 = 128;
/// The flags that a handler's return can change.
const USER_FLAGS: u32 = 0x0004_0cd5 | eflags::TF | eflags::NT | eflags::ID;

/// What goes into a frame besides the registers.
#[derive(Clone, Copy, Debug)]
pub struct FrameContents {
    /// The signal.
    pub info: SigInfo,
    /// What it does.
    pub action: SigAction,
    /// The mask to go back to.
    pub mask: u64,
    /// The context of the handler that was interrupted, if any.
    pub link: GuestAddr,
    /// The stack that was in use.
    pub stack: SignalStack,
    /// Flags of the interrupted call.
    pub thread_flags: i32,
    /// Registers that an interrupted call needs to run again.
    pub restart_value: u64,
    /// What else it needs.
    pub restart_parameters: [u8; 32],
    /// The commpage.
    pub commpage: GuestAddr,
    /// Address and number of the last exception.
    pub last_fault: (u64, u8),
}

/// A frame, ready to be written.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The new stack pointer: where `bytes` go.
    pub sp: u64,
    /// What stands there: the call of the wrapper function, and the frame.
    pub bytes: Vec<u8>,
    /// Address of the frame itself.
    pub data: GuestAddr,
    /// Address of the context in it.
    pub context: GuestAddr,
}

/// What a frame gives back besides the registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The mask to go back to.
    pub mask: u64,
    /// The context of the handler that goes on now, if any.
    pub link: GuestAddr,
    /// Flags of the interrupted call.
    pub thread_flags: i32,
    /// Registers that it needs to run again.
    pub restart_value: u64,
    /// What else it needs.
    pub restart_parameters: [u8; 32],
}

fn put_word(bytes: &mut [u8], at: usize, value: u64, mode: CpuMode) {
    let n = word_bytes(mode);
    bytes[at..at + n].copy_from_slice(&value.to_le_bytes()[..n]);
}

fn get_u64(bytes: &[u8], at: usize) -> u64 {
    u64::decode(&bytes[at..], CpuMode::Long64)
}

fn get_u32(bytes: &[u8], at: usize) -> u32 {
    u32::decode(&bytes[at..], CpuMode::Long64)
}

/// Bytes that a frame takes, the call of the wrapper function included.
fn room(mode: CpuMode) -> u64 {
    let call = match mode {
        CpuMode::Protected32 => 8,
        CpuMode::Long64 => 8,
    };
    layout(mode).size as u64 + call
}

/// Where a frame goes: on the alternate stack if it is to be used and not in use, else below what is on the stack.
fn stack_pointer(cpu: &CpuState, mode: CpuMode, action: &SigAction, alternate: Option<(GuestAddr, u64)>) -> u64 {
    let sp = cpu.get(Gpr::Rsp);
    let on_stack = ActionFlags::from_bits_retain(action.sa_flags as u32).contains(ActionFlags::ONSTACK);
    let top = match alternate {
        Some((base, size)) if on_stack && !(base.0..base.0 + size).contains(&sp) => base.0 + size,
        _ if mode == CpuMode::Long64 => sp.wrapping_sub(RED_ZONE),
        _ => sp,
    };
    // So that the stack is aligned as at the start of any function.
    let below = match mode {
        CpuMode::Protected32 => 4,
        CpuMode::Long64 => 8,
    };
    (top.wrapping_sub(room(mode)) & !0xf).wrapping_sub(below)
}

/// Makes the frame for a handler that interrupts `cpu`, whose x87 state must be in [`CpuState::x87`].
pub fn build(cpu: &CpuState, mode: CpuMode, contents: &FrameContents, alternate: Option<(GuestAddr, u64)>) -> Frame {
    let l = layout(mode);
    let mut data = vec![0; l.size];
    let flags = ActionFlags::from_bits_retain(contents.action.sa_flags as u32);
    contents.info.encode(&mut data, mode);
    put_word(&mut data, l.context, contents.link.0, mode);
    contents.mask.encode(&mut data[l.context_mask..], mode);
    contents.stack.encode(&mut data[l.context_stack..], mode);
    save_registers(cpu, mode, contents.last_fault, &mut data[l.registers..]);
    put_word(&mut data, l.user_data, contents.action.sa_userdata.0, mode);
    put_word(&mut data, l.handler, contents.action.sa_handler.0, mode);
    data[l.siginfo_handler] = flags.contains(ActionFlags::SIGINFO).into();
    contents.thread_flags.encode(&mut data[l.thread_flags..], mode);
    contents.restart_value.encode(&mut data[l.restart_value..], mode);
    data[l.restart_parameters..l.restart_parameters + 32].copy_from_slice(&contents.restart_parameters);
    put_word(&mut data, l.commpage, contents.commpage.0, mode);

    let sp = stack_pointer(cpu, mode, &contents.action, alternate);
    let at = GuestAddr(sp).offset(8);
    // The interrupted instruction as return address, so that backtraces go on; on x86 the wrapper's argument as well.
    let call = match mode {
        CpuMode::Protected32 => cpu.rip & 0xffff_ffff | at.0 << 32,
        CpuMode::Long64 => cpu.rip,
    };
    let bytes = [&call.to_le_bytes()[..], &data].concat();
    Frame { sp, bytes, data: at, context: at.offset(l.context as u64) }
}

fn save_registers(cpu: &CpuState, mode: CpuMode, (fault, trap): (u64, u8), to: &mut [u8]) {
    match mode {
        CpuMode::Long64 => {
            let values = ORDER_64.iter().map(|r| cpu.get(*r)).chain([cpu.get(Gpr::Rsp), cpu.rip, cpu.eflags().into()]);
            for (i, value) in values.enumerate() {
                value.encode(&mut to[8 * i..], mode);
            }
            let image = &mut to[FPU_64..];
            fpu::save_64(cpu, image);
            let software = &mut image[SOFTWARE_FIELDS..];
            fault.encode(software, mode);
            cpu.selector[Seg::Cs.index()].encode(&mut software[16..], mode);
            cpu.selector[Seg::Ss.index()].encode(&mut software[18..], mode);
            software[20] = trap;
        }
        CpuMode::Protected32 => {
            (cpu.rip as u32).encode(to, mode);
            cpu.eflags().encode(&mut to[4..], mode);
            for (reg, at) in ORDER_32 {
                (cpu.get(reg) as u32).encode(&mut to[at..], mode);
            }
            let image = &mut to[FPU_32..];
            fpu::save_32(cpu, image);
            let software = &mut image[SOFTWARE_FIELDS..];
            (fault as u32).encode(software, mode);
            for (i, seg) in [Seg::Cs, Seg::Ds, Seg::Es, Seg::Fs, Seg::Gs, Seg::Ss].into_iter().enumerate() {
                cpu.selector[seg.index()].encode(&mut software[8 + 2 * i..], mode);
            }
            software[20] = trap;
        }
    }
}

/// Bytes of a frame's data.
pub fn data_size(mode: CpuMode) -> usize {
    layout(mode).size
}

/// Takes registers and the rest back from the data of a frame. Selectors stay: user code has only one of each kind.
pub fn restore(cpu: &mut CpuState, mode: CpuMode, data: &[u8]) -> Restored {
    let l = layout(mode);
    let from = &data[l.registers..];
    let flags;
    match mode {
        CpuMode::Long64 => {
            for (i, reg) in ORDER_64.into_iter().enumerate() {
                cpu.set(reg, get_u64(from, 8 * i));
            }
            cpu.set(Gpr::Rsp, get_u64(from, 120));
            cpu.rip = get_u64(from, 128);
            flags = get_u64(from, 136) as u32;
            fpu::restore_64(cpu, &from[FPU_64..]);
        }
        CpuMode::Protected32 => {
            cpu.rip = get_u32(from, 0).into();
            flags = get_u32(from, 4);
            for (reg, at) in ORDER_32 {
                cpu.set(reg, get_u32(from, at).into());
            }
            fpu::restore_32(cpu, &from[FPU_32..]);
        }
    }
    cpu.set_eflags(cpu.eflags() & !USER_FLAGS | flags & USER_FLAGS);
    let mut restart_parameters = [0; 32];
    restart_parameters.copy_from_slice(&data[l.restart_parameters..l.restart_parameters + 32]);
    Restored {
        mask: get_u64(data, l.context_mask),
        link: GuestAddr::decode(&data[l.context..], mode),
        thread_flags: get_u32(data, l.thread_flags) as i32,
        restart_value: get_u64(data, l.restart_value),
        restart_parameters,
    }
}

/// Makes `cpu` call the wrapper function at `wrapper` with the frame.
pub fn enter_handler(cpu: &mut CpuState, mode: CpuMode, frame: &Frame, wrapper: GuestAddr) {
    cpu.set(Gpr::Rsp, frame.sp);
    cpu.rip = wrapper.0;
    match mode {
        CpuMode::Long64 => cpu.set(Gpr::Rdi, frame.data.0),
        // FNSAVE leaves the unit as new.
        CpuMode::Protected32 => cpu.x87 = hokku_ir::guest::X87::INIT,
    }
    cpu.set_eflags(cpu.eflags() & !(eflags::TF | eflags::DF));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::fpu::filled;

    fn contents(flags: i32) -> FrameContents {
        FrameContents {
            info: SigInfo { si_signo: 18, si_pid: 77, ..SigInfo::default() },
            action: SigAction {
                sa_handler: GuestAddr(0x1111),
                sa_flags: flags,
                sa_userdata: GuestAddr(0x2222),
                sa_mask: 0,
            },
            mask: 0xf0f0,
            link: GuestAddr(0x3333),
            stack: SignalStack::default(),
            thread_flags: 0x80,
            restart_value: 0x9999_0000_1234,
            restart_parameters: [7; 32],
            commpage: GuestAddr(0x4000),
            last_fault: (0xdead_0000, 14),
        }
    }

    fn cpu(mode: CpuMode) -> CpuState {
        let mut cpu = filled(mode);
        for (i, reg) in Gpr::ALL[..mode.gpr_count()].iter().enumerate() {
            cpu.set(*reg, 0x100 + i as u64);
        }
        cpu.set(Gpr::Rsp, 0x7fff_f123);
        cpu.rip = 0x40_0000;
        cpu.set_eflags(0x8d5 | eflags::START);
        if mode == CpuMode::Protected32 {
            cpu.vector[8..].fill([0; 4]);
        }
        cpu
    }

    #[test]
    fn frames_give_back_what_they_took() {
        for mode in [CpuMode::Long64, CpuMode::Protected32] {
            let before = cpu(mode);
            let frame = build(&before, mode, &contents(0), None);
            let mut after = before.clone();
            enter_handler(&mut after, mode, &frame, GuestAddr(0x5000));
            for reg in Gpr::ALL {
                after.set(*reg, 0);
            }
            let restored = restore(&mut after, mode, &frame.bytes[8..]);
            assert_eq!(after.gpr, before.gpr);
            assert_eq!((after.rip, after.eflags(), after.x87), (before.rip, before.eflags(), before.x87));
            assert_eq!((restored.mask, restored.link, restored.thread_flags), (0xf0f0, GuestAddr(0x3333), 0x80));
            assert_eq!((restored.restart_value, restored.restart_parameters), (0x9999_0000_1234, [7; 32]));
        }
    }

    #[test]
    fn frames_lie_where_the_kernel_puts_them() {
        let frame = build(&cpu(CpuMode::Long64), CpuMode::Long64, &contents(0x40), None);
        assert_eq!(frame.sp, ((0x7fff_f123 - 128 - (1144 + 8)) & !0xf) - 8);
        assert_eq!(frame.bytes.len(), 1152);
        assert_eq!((frame.data.0, frame.context.0), (frame.sp + 8, frame.sp + 8 + 56));
        assert_eq!(get_u64(&frame.bytes, 0), 0x40_0000);
        assert_eq!(frame.bytes[8 + 1088], 1);
        assert_eq!(get_u64(&frame.bytes, 8 + 96 + 144 + 464), 0xdead_0000);

        let frame = build(&cpu(CpuMode::Protected32), CpuMode::Protected32, &contents(0), None);
        assert_eq!(frame.sp, ((0x7fff_f123 - (680 + 8)) & !0xf) - 4);
        assert_eq!((get_u32(&frame.bytes, 0), get_u32(&frame.bytes, 4)), (0x40_0000, frame.data.0 as u32));
        assert_eq!(get_u32(&frame.bytes, 8 + 624), 0x1111);
    }

    #[test]
    fn the_alternate_stack_is_used_once() {
        let mode = CpuMode::Long64;
        let alternate = Some((GuestAddr(0x10_0000), 0x4000));
        let frame = build(&cpu(mode), mode, &contents(0x20), alternate);
        assert!((0x10_0000..0x10_4000).contains(&frame.sp) && frame.sp % 16 == 8);
        let mut inside = cpu(mode);
        inside.set(Gpr::Rsp, 0x10_3000);
        let nested = build(&inside, mode, &contents(0x20), alternate);
        assert!(nested.sp < 0x10_3000 - 1152);
        assert!(build(&cpu(mode), mode, &contents(0), alternate).sp > 0x7000_0000);
    }
}

//! Where the fields of [`CpuState`] lie, in bytes from its start: what back ends' code addresses.

use std::mem::offset_of;

use crate::guest::HostArea;
use crate::lowering::CHAIN_SLOTS;
use crate::{CpuState, Gpr, Seg};

macro_rules! offsets {
    ($($NAME:ident = $($field:ident).+;)*) => {
        $(
            #[doc = concat!("Offset of `CpuState::", stringify!($($field).+), "`.")]
            pub const $NAME: i32 = offset_of!(CpuState, $($field).+) as i32;
        )*
    };
}

offsets! {
    GPR = gpr;
    VECTOR = vector;
    RIP = rip;
    STATUS_FLAGS = status_flags;
    SYSTEM_FLAGS = system_flags;
    MXCSR = mxcsr;
    JUMP_CACHE = host.jump_cache;
    DISPATCHER_SP = host.dispatcher_sp;
    SHADOW_SP = host.shadow_sp;
    SHADOW_TOP = host.shadow_top;
    EXIT_REASON = host.exit_reason;
    HOST_FLOAT_CONTROL = host.host_float_control;
    FLOAT_IS_ODD = host.float_is_odd;
    EXIT_SITE = host.exit_site;
    CALLOUT_FN = host.callout_fn;
    CALLOUT_CONTEXT = host.callout_context;
    CALLOUT_RESULT = host.callout_result;
    FLAG_SITE = host.flag_site;
    REGISTERS = host.registers;
    X87_CALL = host.x87_call;
    X87_ROUTINES = host.x87_routines;
    X87_IN_HOST = host.x87_in_host;
    X87_SHAPE = x87_shape;
    X87_REGS = x87.regs;
    X87_FLOATS = host.x87_floats;
    X87_STATUS = x87.status;
    X87_CONTROL = x87.control;
    X87_TAGS = x87.tags;
    X87_INSTRUCTION = x87.instruction;
}

/// Offset of `reg`.
pub const fn gpr_offset(reg: Gpr) -> i32 {
    GPR + 8 * reg as i32
}

/// Offset of quadword `word` (0 to 3) of vector register `reg`.
pub const fn vector_offset(reg: u8, word: i32) -> i32 {
    VECTOR + 32 * reg as i32 + 8 * word
}

/// Offset of the base address of `seg`.
pub const fn segment_base_offset(seg: Seg) -> i32 {
    offset_of!(CpuState, segment_base) as i32 + 8 * seg as i32
}

/// Offset of the selector in `seg`.
pub const fn selector_offset(seg: Seg) -> i32 {
    offset_of!(CpuState, selector) as i32 + 2 * seg as i32
}

/// Offset of spill slot `slot`, 8 bytes.
pub const fn slot_offset(slot: u8) -> i32 {
    (offset_of!(CpuState, host) + offset_of!(HostArea, spill)) as i32 + 8 * slot as i32
}

/// Offset of spill slot `slot`, 8 bytes, of a back end that keeps flags as recipes: their slots lie apart.
pub const fn recipe_slot_offset(slot: u8) -> i32 {
    if slot < CHAIN_SLOTS {
        return slot_offset(slot);
    }
    offset_of!(CpuState, flag_slots) as i32 + 8 * (slot - CHAIN_SLOTS) as i32
}

/// Offset of vector spill slot `slot`, 32 bytes.
pub const fn vector_slot_offset(slot: u8) -> i32 {
    (offset_of!(CpuState, host) + offset_of!(HostArea, vector_spill)) as i32 + 32 * slot as i32
}

/// Offset of operand `n` of a callout, 32 bytes.
pub const fn callout_arg_offset(n: usize) -> i32 {
    (offset_of!(CpuState, host) + offset_of!(HostArea, callout_args) + 32 * n) as i32
}

/// Offset of the place where host register `r` is saved.
pub const fn register_offset(r: u8) -> i32 {
    REGISTERS + 8 * r as i32
}

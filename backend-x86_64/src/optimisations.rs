//! Optimisations that can be left out one by one: to measure what each gains, and to find which one an error is in.

macro_rules! optimisations {
    ($($(#[doc = $doc:expr])* $NAME:ident = $bit:literal $text:literal;)*) => {
        bitflags::bitflags! {
            /// Optimisations of the code that can be left out.
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub struct Optimisations: u32 {
                $($(#[doc = $doc])* const $NAME = 1 << $bit;)*
            }
        }

        impl Optimisations {
            /// Their names, each at the place of its bit.
            pub const NAMES: &[&str] = &[$($text),*];
        }
    };
}

optimisations! {
    /// Loads are operands of the instruction that uses them.
    MEMORY_OPERANDS = 0 "memory-operands";
    /// A load, an operation and a store to the same place are one instruction.
    MEMORY_DESTINATIONS = 1 "memory-destinations";
    /// One instruction gives a result and its flags.
    JOINED_FLAGS = 2 "joined-flags";
    /// Results are computed into the guest register that they go to.
    TARGETS = 3 "targets";
    /// The stack pointer's register moves at ends of blocks alone.
    LATE_STACK = 4 "late-stack";
    /// Places where calls return to and computed jumps arrive check the address without a taken jump.
    STRAIGHT_CHECKS = 5 "straight-checks";
    /// `lock bts`, `btr`, `btc` and `neg` are themselves.
    LOCKED_INSTRUCTIONS = 6 "locked-instructions";
    /// A scalar's VEX instruction gives the whole vector.
    MERGED_SCALARS = 7 "merged-scalars";
    /// A guest register that lives in memory is not read again while a temporary still holds it.
    REMEMBERED_REGISTERS = 8 "remembered-registers";
    /// `rep movsd` and `rep movsq` of less than a page move bytes, where the processor does that faster.
    BYTE_MOVES = 9 "byte-moves";
    /// A guest register that lives in memory and is written in the region is loaded by an instruction of its own, not as an operand: AMD's
    /// processors (Zen 3) forward stores to plain loads without delay, to others in 7 cycles.
    SEPARATE_LOADS = 10 "separate-loads";
    /// A guest register that lives in memory is not written where it is written again before anyone can look at it, and its value is used as it is.
    DEAD_WRITES = 11 "dead-writes";
}

impl Default for Optimisations {
    fn default() -> Self {
        Optimisations::all()
    }
}

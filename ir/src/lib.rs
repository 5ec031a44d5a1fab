//! hokku's intermediate representation: what a region of guest code means, independent of any host.
//!
//! A [`Region`] holds [`Block`]s; a block is a run of guest instructions as a list of [`Op`]s with one [`Exit`].
//! [`ops`] declares every operation once; the enum, builder, text form, verifier, evaluator dispatch and the
//! [`Lower`](ops::Lower) trait of the back ends are made from that table.
//!
//! # Invariants
//! * **Values are local to a block.** What passes from block to block is guest state alone ([`guest::CpuState`]), read and
//!   written by the `get_*`/`set_*` ops. So every block boundary is a place where guest state is complete: any block can be
//!   entered from outside, and loops need no phi functions.
//! * **Zero extension.** An integer value of width w is meaningful in its low w bits; the evaluator keeps it zero-extended.
//! * **Faults come first.** Within one guest instruction (from one `insn` op to the next) no op that may fault follows an op that
//!   writes guest state, except ops that are documented as restartable (string ops). So the state at a fault is the state
//!   before the instruction.
#![forbid(unsafe_code)]

pub mod backend;
pub mod eval;
pub mod exit;
pub mod features;
pub mod guest;
pub mod host_features;
pub mod key;
pub mod lowering;
pub mod offsets;
pub mod operand;
pub mod ops;
pub mod passes;
pub mod region;
pub mod softfloat;
pub mod text;
pub mod verify;

pub use exit::{Exit, SyscallKind, Target, Trap};
pub use features::CpuFeatures;
pub use guest::{CpuState, FlagSet, Gpr, GuestAddr, Seg};
pub use key::{BlockKey, CpuMode, X87Arithmetic};
pub use operand::*;
pub use ops::{Builder, Effects, Op};
pub use region::{Block, BlockId, Inst, MAX_VALUES, Region, Value};

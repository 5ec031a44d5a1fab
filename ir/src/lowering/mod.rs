//! What back ends for load/store hosts share: decisions about a block before its code is written, and bookkeeping while it is.
//!
//! Such a host has registers for all of the guest's, and no flags like its own. So:
//!
//! * Each guest register has a *home*, a host register. A result that the guest writes to a register is computed there straight away where that
//!   changes nothing that is still to be read ([`plan`]).
//! * **Flags are ops, not bits.** A flags value is never computed for itself: who reads it looks at its op and operands. At an op that may fault the
//!   guest's flags are known by a [`FlagsRecipe`], which the runtime follows after the thread has left. The operands stay where it finds them, or it
//!   computes them back from the result ([`values`]).
//! * What registers hold above a value's width is known ([`UpperBits`]), so that extensions are not repeated.
//!
//! | file | what |
//! |---|---|
//! | `plan` | uses, homes, what is deferred, which flags are the guest's where |
//! | `values` | where each value is; homes, temporaries, spill slots |
//! | `carries` | chains of additions |
//! | `addresses` | sums of addresses that accesses share |
//! | `known_flags` | copies of blocks that are entered with known flags |
//! | `dead_sets` | writes of registers that nobody sees |
//! | `recipe` | how the guest's flags are computed after the fact |
//! | `x87` | x87 ops as calls of routines |
//! | `x87_stack` | the x87 stack of code that knows its shape |
//! | `x87_carry` | what of it stays in registers from block to block |
//! | `x87_exact`, `x87_exact_state` | exact x87 ops as code; the state around it |
//! | `x87_asm` | the instructions of hosts that it needs |
//! | `x87_code`, `x87_quotient` | the functions that it calls |

mod addresses;
mod carries;
mod dead_sets;
mod known_flags;
mod plan;
mod recipe;
mod values;
#[cfg(test)]
mod values_tests;
mod wide_values;
mod x87;
mod x87_asm;
mod x87_carry;
mod x87_code;
#[cfg(test)]
mod x87_code_tests;
mod x87_exact;
mod x87_exact_state;
mod x87_quotient;
mod x87_stack;

pub use addresses::share_addresses;
pub use carries::name_carries;
pub use dead_sets::{drop_dead_sets, drop_dead_sets_but};
pub use known_flags::{FlagsAlone, Knowledge, Known, has_access, is_told};
pub use plan::{FlagsNeed, FlagsNode, NodeId, Plan, ValueInfo, count_is_known, sees_flags};
pub use recipe::{
    CHAIN_SLOTS, CHAINED, FLAG_SLOTS, FlagsCode, FlagsRecipe, OLDER_SITE_SLOT, RecipeStep, Recipes, recipe_slot,
};
pub use values::{Loc, MAX_OFFSET, Moves, SLOTS, UpperBits, Values};
pub use wide_values::reread_wide;
pub use x87::{X87Access, X87Call, x87_call};
pub use x87_asm::{X87Alu, X87Asm, X87If, X87Imm, X87Part, X87Regs};
pub use x87_carry::{X87Carries, X87Way, x87_carries};
pub use x87_code::{X87_FUNCTIONS, x87_function};
pub use x87_exact::{X87Lowering, X87Place, X87Slow, x87_exact};
pub use x87_exact_state::{X87Zero, x87_come_back, x87_status, x87_write_exact, x87_zero};
pub(crate) use x87_stack::rounding_bits;
pub use x87_stack::{X87Late, X87Shape, X87Slot, X87Stack, settle_x87, x87_shapes};

//! What a back end delivers and what the runtime needs to know of it.

use crate::exit::{SyscallKind, Trap};
use crate::guest::GuestAddr;
use crate::key::{CpuMode, X87Arithmetic};
use crate::lowering::FlagsRecipe;
use crate::ops::Op;
use crate::region::{BlockId, Region};

/// What a piece of code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// The first translation: made quickly. Where `counted`, it counts down [`Compiled::counters`] at its entry and on its back edges, and
    /// leaves ([`HotExit`]) when the count is zero.
    First {
        /// Whether it counts.
        counted: bool,
    },
    /// The translation of code that has run often.
    Second,
}

/// Turns regions into bytes of one host's machine code.
///
/// Code is position-independent but for the places that [`Compiled::relocations`] lists, so it can be assembled and tested on any host.
///
/// # The agreement between host code and runtime
/// * While a thread is in host code, guest registers are where the back end pins them and the rest of [`crate::CpuState`] is in
///   memory at the state pointer. All blocks agree, so any block of any region can jump to any other.
/// * Host code is entered through [`StubId::Enter`] and comes back through its end with `exit_reason` and the rest set, everything
///   in [`crate::CpuState`] up to date (the x87 unit as `x87_in_host` says).
pub trait Backend: Send + Sync {
    /// Name of the host processor, as in `--help` and filetests.
    fn name(&self) -> &'static str;

    /// What its code depends on beside the region: the features of the host processor that it uses. Code may be kept for, and run on, a host
    /// whose back end gives the same.
    fn fingerprint(&self) -> String;

    /// Names of the optimisations that can be left out, for measurements and to find errors.
    fn optimisations(&self) -> &'static [&'static str] {
        &[]
    }

    /// Leaves out those optimisations whose places in [`Self::optimisations`] are the one bits of `places`.
    fn leave_out(&mut self, _places: u32) {}

    /// Names of the passes ([`crate::passes`]) that make regions better for this host, in the order in which they are to be applied.
    fn passes(&self) -> &'static [&'static str];

    /// Whether code for regions with `key.ordered` differs from that for others, because the host does not keep x86's memory order by itself.
    ///
    /// Such a back end either lowers the loads and stores of ordered regions to ones that acquire and release, or names
    /// [`memory_order`](crate::passes::memory_order()) as its last pass and lowers the fences.
    fn needs_order(&self) -> bool;

    /// What x87 instructions compute in where the user would have `wanted`: a host may be as fast with more than that.
    fn x87_arithmetic(&self, wanted: X87Arithmetic) -> X87Arithmetic;

    /// The code that all regions of `mode` share.
    fn stubs(&self, mode: CpuMode) -> Stubs;

    /// Compiles `region` as well as it can. Never fails: an op that the back end cannot lower becomes a [`Callout`].
    fn compile(&self, region: &Region) -> Compiled {
        self.compile_as(region, Tier::Second)
    }

    /// Compiles `region` as code of `tier`.
    fn compile_as(&self, region: &Region, tier: Tier) -> Compiled;

    /// The four bytes to write at `site` (their host address) so that the jump there, which is a call or not, leads to `target`; `None` where it
    /// does not reach. Sites are four-byte aligned, so that the write is atomic.
    fn branch_word(&self, site: u64, target: u64, is_call: bool) -> Option<u32>;

    /// Makes the code at the start of `place` lead to what is `distance` bytes behind `place`: a stub ([`Relocation`]).
    fn set_stub_distance(&self, place: &mut [u8], distance: i64);

    /// Makes the code at the start of `place` count with the word that is `distance` bytes behind `place` ([`Compiled::counters`]).
    fn set_counter_distance(&self, place: &mut [u8], distance: i64);
}

/// Pieces of shared code that regions jump to and the runtime enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StubId {
    /// `extern "C" fn(state: *mut CpuState, code: *const u8)`: loads guest registers, runs `code`, returns when the guest leaves.
    Enter,
    /// Where an unlinked exit goes: `exit_site` is set, here or by the code; saves the registers, reason `Link`.
    LeaveLink,
    /// Computed jump: the target is in the back end's target register; goes where the jump cache says.
    Indirect,
    /// Where code goes whose count is zero: `exit_site` is set; saves the registers, reason `Hot`.
    LeaveHot,
    /// `exit_site` is set; saves the registers, reason `Syscall`.
    LeaveSyscall,
    /// `exit_site` is set; saves the registers, reason `Trap`.
    LeaveTrap,
    /// Where the fault handler sends a thread that faulted in region code: saves the registers, reason `Fault`; `rip` is kept.
    LeaveFault,
    /// The same for a fault in a string instruction, whose count is in another register.
    LeaveFaultString,
    /// The same where it moves bytes for the guest's larger units. Of x86-64 alone.
    LeaveFaultBytes,
    /// Where a computed jump goes whose target has no entry in the jump cache: reason `Indirect`.
    JumpMiss,
    /// Called where code of the first tier is entered by computed jumps, before eight bytes: goes on behind them if they are the target, else to
    /// [`StubId::JumpMiss`]. Of x86-64 alone.
    CheckTarget,
    /// Called before a `rep movsd`: says how many bytes `rep movsb` is to move instead, or zero. Of x86-64 alone.
    BytesOfDwords,
    /// The same for a `rep movsq`.
    BytesOfQwords,
    /// Return address of the empty shadow stack: a `Return` that finds nothing; treats the target as `Indirect`.
    ReturnMiss,
    /// Calls `callout_fn(context, state, site)` with guest state in memory, then goes on in the code or leaves (`Fault`).
    Callout,
    /// Calls one of [`crate::eval::X87_ROUTINES`]; what that does not do is a callout, which the same return address names. Of hosts without an
    /// x87 unit.
    X87,
    /// Functions of exact x87 arithmetic: see [`x87_function`](crate::lowering::x87_function). Called before an instruction that leads to other code,
    /// which they leave out when they are done.
    X87Sum,
    /// The first operand less the second.
    X87Difference,
    /// The product.
    X87Product,
    /// The first operand by the second.
    X87Quotient,
    /// A comparison.
    X87Comparison,
    /// An integer, to nearest.
    X87Integer,
    /// An integer, towards zero.
    X87Truncation,
}

/// Shared code and where its pieces start.
#[derive(Clone, Debug)]
pub struct Stubs {
    /// Machine code; position-independent.
    pub code: Vec<u8>,
    /// Offset of each stub in `code`.
    pub entries: Vec<(StubId, u32)>,
}

/// A region's host code and all that the runtime must know of it. Offsets are from the start of `code`.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// Machine code, to be placed at a 16-byte boundary.
    pub code: Vec<u8>,
    /// Where each block starts.
    pub blocks: Vec<BlockEntry>,
    /// Direct exits, unlinked at first.
    pub links: Vec<Link>,
    /// Jumps inside the region that close a loop, as links that lead to their stub: code that goes on to the block, and counts where code
    /// is counted. In code of the second tier they lead to the block itself, and there are none here.
    pub back_edges: Vec<Link>,
    /// Where counted code leaves.
    pub hot_exits: Vec<HotExit>,
    /// Offsets of the places that tell where the region's count is, a 32-bit word: for [`Backend::set_counter_distance`].
    pub counters: Vec<u32>,
    /// Syscall and trap exits.
    pub stops: Vec<Stop>,
    /// Host instructions that may fault, in order of offset.
    pub faults: Vec<FaultSite>,
    /// Ops that the runtime evaluates.
    pub callouts: Vec<Callout>,
    /// Places where code lands after a guest `ret`, which validate the guest address: offset of each.
    pub return_pads: Vec<ReturnPad>,
    /// Places that depend on where the code is put.
    pub relocations: Vec<Relocation>,
    /// How the guest's status flags are computed after the fact, for [`LazyState::flags`] and [`FlagSite::recipe`].
    pub recipes: Vec<FlagsRecipe>,
    /// Places whose host address says what the guest's flags are.
    pub flag_sites: Vec<FlagSite>,
    /// Host instructions of the blocks, without the stubs and checks around them: for the golden counts.
    pub host_instructions: u32,
    /// Callouts of the blocks, without those that code behind them makes for operands that are rare: for the golden counts as well.
    pub block_callouts: u32,
}

impl Compiled {
    /// The instructions of a RISC host's code, whose name (see [`Backend::name`]) is `host`: the offset of each and its digits as a number, which
    /// `objdump` can be given. Compressed ones of riscv64 (RISC-V manual, 1.5) have four digits.
    pub fn words(&self, host: &str) -> impl Iterator<Item = (u32, String)> {
        let compressed = host == "riscv64";
        let mut offset = 0;
        std::iter::from_fn(move || {
            let rest = self.code.get(offset..).filter(|rest| !rest.is_empty())?;
            let len = if compressed && rest[0] & 3 != 3 { 2 } else { 4 };
            let word = &rest[..len.min(rest.len())];
            let at = offset as u32;
            offset += word.len();
            Some((at, word.iter().rev().map(|b| format!("{b:02x}")).collect()))
        })
    }
}

/// Where a block's host code starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockEntry {
    /// The block.
    pub block: BlockId,
    /// Its guest address.
    pub pc: GuestAddr,
    /// Offset of its code.
    pub offset: u32,
    /// Offset of code that goes there if the target of a computed jump is this block, and else to [`StubId::JumpMiss`].
    pub checked: u32,
}

/// A jump that can be redirected by writing the four bytes at `site` ([`Backend::branch_word`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Offset of the four bytes; a multiple of four.
    pub site: u32,
    /// Offset of the stub to which the jump leads while unlinked; its host address (start of the stub) is `exit_site` when it leaves.
    pub stub: u32,
    /// Where the guest goes.
    pub target: GuestAddr,
    /// The jump is a call as far as the host is concerned: for its prediction of returns.
    pub is_call: bool,
    /// Where the jump goes through when it does not reach.
    pub far: Option<FarJump>,
}

/// A jump to anywhere, for a [`Link`] whose own does not reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FarJump {
    /// Offset of the jump.
    pub jump: u32,
    /// Offset of the eight bytes that hold the host address where it leads; a multiple of eight.
    pub slot: u32,
}

/// A place where counted code leaves because its count is zero. The guest goes on at `target`, in this or other code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotExit {
    /// Offset of its stub, whose host address is `exit_site`.
    pub stub: u32,
    /// Where the guest goes on.
    pub target: GuestAddr,
}

/// A syscall or trap exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Offset of its stub, whose host address is `exit_site`.
    pub stub: u32,
    /// What stops.
    pub kind: StopKind,
    /// Address of the guest instruction.
    pub at: GuestAddr,
    /// Address after it.
    pub next: GuestAddr,
}

/// What stops at a [`Stop`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopKind {
    /// A system call.
    Syscall(SyscallKind),
    /// An exception.
    Trap(Trap),
}

/// A host instruction that may fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultSite {
    /// Offset of the host instruction.
    pub offset: u32,
    /// The guest instruction it belongs to.
    pub pc: GuestAddr,
    /// [`StubId::LeaveFault`], [`StubId::LeaveFaultString`] or [`StubId::LeaveFaultBytes`]. [`StubId::JumpMiss`]: nothing faults here, and
    /// no thread can leave, for the instruction may be done but for its jump; this tells which it is.
    pub leave: StubId,
    /// What is to be added to the guest's stack pointer (modulo the word) once the thread has left here: code may be late in moving it.
    pub stack_delta: i32,
    /// Guest registers that something else is in meanwhile: the host register's number and the spill slot that holds the guest's value.
    pub borrowed: [Option<(u8, u8)>; 4],
    /// Guest state that is not where it belongs.
    pub lazy: LazyState,
    /// Offset of code that does the block again from its start, exactly: guest state is as it was there, and the thread goes on there instead of
    /// leaving.
    pub retry: Option<u32>,
}

/// Guest state that the runtime puts in order once the thread has left the code: of back ends whose hosts have no flags of their own.
///
/// Their stubs that leave, and the callout's, store host integer registers in [`HostArea::registers`](crate::guest::HostArea::registers) and
/// keep [`HostArea::flag_site`](crate::guest::HostArea::flag_site) up to date. Where a thread leaves by a fault, the handler sets
/// [`HostArea::exit_site`](crate::guest::HostArea::exit_site) to the host address of the instruction that faulted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LazyState {
    /// Number of the recipe for the guest's flags; `None`: they are what `flag_site` says.
    pub flags: Option<u32>,
    /// Guest registers, by number, whose upper half is to be cleared.
    pub narrow: u16,
    /// Bytes of the guest's access that lie before those of the host instruction, and come after it.
    pub behind: u8,
    /// Where x87 values are, of code that computes in doubles: for [`settle_x87`](crate::lowering::settle_x87).
    pub x87: u64,
}

impl LazyState {
    /// The same where all of the x87 unit is in order.
    #[must_use]
    pub fn with_x87_settled(self) -> LazyState {
        LazyState { x87: 0, ..self }
    }
}

/// A place in the code that has been passed when its host address is in [`HostArea::flag_site`](crate::guest::HostArea::flag_site).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagSite {
    /// Offset of the place.
    pub offset: u32,
    /// Number of the recipe for the guest's flags, which reads slots from [`FLAG_SLOTS`](crate::lowering::FLAG_SLOTS) on and
    /// [`CpuState::status_flags`](crate::CpuState::status_flags).
    pub recipe: u32,
}

/// An op that the runtime evaluates: its value operands are numbered 0, 1, ... as places in `callout_args`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Callout {
    /// Offset of the return address of the callout, whose host address is `exit_site` meanwhile.
    pub offset: u32,
    /// The op, operands renumbered.
    pub op: Op,
    /// The guest instruction it belongs to.
    pub pc: GuestAddr,
    /// Guest state that is not where it belongs.
    pub lazy: LazyState,
}

/// A landing place after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnPad {
    /// Offset of the pad.
    pub offset: u32,
    /// The guest address that it stands for.
    pub pc: GuestAddr,
}

/// Code at `offset` that leads to a stub: for [`Backend::set_stub_distance`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// Offset of the four bytes.
    pub offset: u32,
    /// Where the distance leads.
    pub stub: StubId,
}

//! The guest processor's state: registers, flags and the layout that host code addresses.

use std::fmt;

/// An address in the guest's address space. Never a host pointer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct GuestAddr(pub u64);

impl GuestAddr {
    /// The address `n` bytes further; wraps.
    #[must_use]
    pub fn offset(self, n: u64) -> Self {
        GuestAddr(self.0.wrapping_add(n))
    }

    /// Whether bits 63 to 47 are alike.
    pub fn is_canonical(self) -> bool {
        (self.0 as i64) << 16 >> 16 == self.0 as i64
    }
}

impl fmt::Debug for GuestAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for GuestAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

macro_rules! registers {
    ($(#[$doc:meta])* $Name:ident { $($Variant:ident = $n:literal $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "the variants are the registers' own names")]
        pub enum $Name { $($Variant = $n),* }
        impl $Name {
            /// All of them, in encoding order.
            pub const ALL: &'static [$Name] = &[$($Name::$Variant),*];
            /// Name as assemblers write it.
            pub fn name(self) -> &'static str {
                match self { $($Name::$Variant => $text),* }
            }
            /// The one called `name`.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some($Name::$Variant),)* _ => None }
            }
            /// Place in [`Self::ALL`]: the number in instruction encodings.
            pub fn index(self) -> usize { self as usize }
        }
        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.name()) }
        }
    };
}

registers! {
    /// A general register, by its encoding number; 32-bit code has the first eight.
    Gpr {
        Rax = 0 "rax", Rcx = 1 "rcx", Rdx = 2 "rdx", Rbx = 3 "rbx", Rsp = 4 "rsp", Rbp = 5 "rbp", Rsi = 6 "rsi", Rdi = 7 "rdi",
        R8 = 8 "r8", R9 = 9 "r9", R10 = 10 "r10", R11 = 11 "r11", R12 = 12 "r12", R13 = 13 "r13", R14 = 14 "r14", R15 = 15 "r15",
    }
}

registers! {
    /// A segment register, by its encoding number.
    Seg { Es = 0 "es", Cs = 1 "cs", Ss = 2 "ss", Ds = 3 "ds", Fs = 4 "fs", Gs = 5 "gs" }
}

bitflags::bitflags! {
    /// The six status flags at their places in EFLAGS.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct FlagSet: u32 {
        /// Carry.
        const CF = 1;
        /// Parity of the result's low byte.
        const PF = 1 << 2;
        /// Carry out of bit 3.
        const AF = 1 << 4;
        /// Zero.
        const ZF = 1 << 6;
        /// Sign.
        const SF = 1 << 7;
        /// Signed overflow.
        const OF = 1 << 11;
    }
}

impl FlagSet {
    /// All six status flags.
    pub const STATUS: FlagSet = FlagSet::all();
}

/// Bits of EFLAGS beside the status flags.
pub mod eflags {
    /// Always one.
    pub const FIXED: u32 = 1 << 1;
    /// Trap: single step.
    pub const TF: u32 = 1 << 8;
    /// Interrupts enabled: always one for user programs.
    pub const IF: u32 = 1 << 9;
    /// Direction of string instructions: one is down.
    pub const DF: u32 = 1 << 10;
    /// Nested task.
    pub const NT: u32 = 1 << 14;
    /// Resume: no breakpoint on the next instruction.
    pub const RF: u32 = 1 << 16;
    /// Alignment check.
    pub const AC: u32 = 1 << 18;
    /// Can be toggled where `cpuid` exists.
    pub const ID: u32 = 1 << 21;
    /// What `popf` may change beside the status flags in user mode.
    pub const USER: u32 = TF | DF | NT | AC | ID;
    /// Value at the start of a program.
    pub const START: u32 = FIXED | IF;
}

/// An 80-bit x87 value as the processor stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
#[repr(C)]
pub struct F80 {
    /// 64-bit significand, integer bit explicit.
    pub significand: u64,
    /// Sign in bit 15, biased exponent below.
    pub sign_exponent: u16,
    /// Fills the register's 16 bytes, as in an FXSAVE image; zero.
    pub padding: [u16; 3],
}

/// The x87 unit; MMX registers are the significands of `regs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct X87 {
    /// *Physical* registers R0 to R7; ST(i) is R((top + i) mod 8).
    pub regs: [F80; 8],
    /// Control word.
    pub control: u16,
    /// Status word; bits 11 to 13 are the top of stack.
    pub status: u16,
    /// Abridged tags as in FXSAVE: bit n is one where physical register n is in use.
    pub tags: u8,
    /// Fills up; zero.
    pub padding: u8,
    /// Last opcode: 11 bits.
    pub opcode: u16,
    /// Address of the last x87 instruction.
    pub instruction: u64,
    /// Address of its memory operand.
    pub operand: u64,
}

impl X87 {
    /// State after `fninit`.
    pub const INIT: X87 = X87 {
        regs: [F80 { significand: 0, sign_exponent: 0, padding: [0; 3] }; 8],
        control: 0x37f,
        status: 0,
        tags: 0,
        padding: 0,
        opcode: 0,
        instruction: 0,
        operand: 0,
    };

    /// Number of the physical register that ST(0) is.
    pub fn top(&self) -> u8 {
        (self.status >> 11 & 7) as u8
    }

    /// Makes physical register `top` ST(0).
    pub fn set_top(&mut self, top: u8) {
        self.status = self.status & !(7 << 11) | u16::from(top & 7) << 11;
    }
}

/// `mxcsr` at the start of a program: all exceptions masked, round to nearest.
pub const MXCSR_START: u32 = 0x1f80;

/// Why host code came back to the dispatcher: [`HostArea::exit_reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ExitReason {
    /// An unlinked direct jump or call: `exit_site` is the host address of its exit stub, which the runtime knows.
    Link = 0,
    /// A computed jump whose target is not in the jump cache: `rip` is the target. Where that is no address in 64-bit code, `exit_site` is the host address
    /// behind a host instruction of the guest's jump, and [`crate::backend::Compiled::faults`] tells the guest instruction.
    Indirect = 1,
    /// `exit_site` is the host address of the stub of a syscall exit.
    Syscall = 2,
    /// `exit_site` is the host address of the stub of a trap exit.
    Trap = 3,
    /// A memory access or division faulted: the fault handler has set `rip`; details are with the runtime.
    Fault = 4,
    /// Counted code has run as often as it was to: `exit_site` is the host address of the stub of a hot exit.
    Hot = 5,
}

/// Words that host code and the runtime share and the guest never sees.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct HostArea {
    /// This thread's table from guest address to host code: host address of [`JUMP_CACHE_ENTRIES`] host addresses. What is there checks that
    /// it is the right one: [`crate::backend::BlockEntry::checked`], or [`crate::backend::StubId::JumpMiss`] in an unused entry.
    pub jump_cache: u64,
    /// Host stack pointer of the dispatcher, saved on entry to host code.
    pub dispatcher_sp: u64,
    /// Stack pointer of the shadow return stack while the thread is outside host code.
    pub shadow_sp: u64,
    /// Where an empty shadow stack starts: the highest address.
    pub shadow_top: u64,
    /// An [`ExitReason`].
    pub exit_reason: u32,
    /// The host's own `mxcsr` or like word, restored while outside host code.
    pub host_float_control: u32,
    /// Host address that tells which exit, or which callout, it was.
    pub exit_site: u64,
    /// Not zero while [`CpuState::mxcsr`] asks for more than a rounding mode (of back ends whose hosts have no such modes).
    pub float_is_odd: u32,
    /// One while the x87 state of record is in the host's own x87 unit instead of [`CpuState::x87`] (x86-64 hosts), or that is in host form.
    pub x87_in_host: u32,
    /// Address of the function that evaluates a callout, with this thread's context: the runtime's.
    pub callout_fn: u64,
    /// The runtime's context pointer for `callout_fn`.
    pub callout_context: u64,
    /// Where the guest's status flags are to be computed after the fact: host address of the [`crate::backend::FlagSite`] that tells how; bit 0 says
    /// that their CF is the one in [`CpuState::status_flags`]. Zero: all of them are there. (What follows starts at a multiple of 16 bytes of the
    /// state: hosts move vectors there.)
    pub flag_site: u64,
    /// Host integer registers by number, as they were when the thread left its code or called out: of back ends that keep flags as recipes.
    pub registers: [u64; 32],
    /// Operands of a callout, in order, 32 bytes each (vectors fill them, integers the low 8).
    pub callout_args: [[u64; 4]; 6],
    /// Result of a callout.
    pub callout_result: [u64; 4],
    /// Spill slots of the region that runs.
    pub spill: [u64; 64],
    /// The same for vectors, of back ends that keep them apart.
    pub vector_spill: [[u64; 4]; 32],
    /// Host address of the word that is not zero while the thread is called: the runtime's.
    pub attention: u64,
    /// Host address of the code that calls an x87 routine, and looks at that word before it returns: the runtime's.
    pub x87_call: u64,
    /// Host addresses of [`crate::eval::X87_ROUTINES`].
    pub x87_routines: [u64; crate::eval::X87_ROUTINES.len()],
    /// x87 registers as they were when the unit came into host form.
    pub x87_extended: [F80; 8],
    /// Host registers for x87 values, by [`crate::lowering::X87Slot`], as they were when the thread left its code by a fault.
    pub x87_floats: [u64; 8],
}

/// Number of entries in a jump cache. The slot of address `a` is `a & 0xffff`: so that a host can index with a 16-bit zero extension,
/// without touching its flags.
pub const JUMP_CACHE_ENTRIES: usize = 1 << 16;

/// State of one guest thread as host code addresses it. Each field has one master; [`HostArea::x87_in_host`] tells the x87's.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct CpuState {
    /// General registers by encoding number. 32-bit code keeps the upper halves zero.
    pub gpr: [u64; 16],
    /// The x87 unit; here, where pairs of registers are loaded and stored at once on aarch64.
    pub x87: X87,
    /// Address of the next instruction; of record while outside host code.
    pub rip: u64,
    /// The six status flags at their EFLAGS places, other bits zero; of record while outside host code.
    pub status_flags: u32,
    /// The other EFLAGS bits (see [`eflags`]): status places zero.
    pub system_flags: u32,
    /// Selectors by segment number.
    pub selector: [u16; 6],
    /// Top and tags of the x87 unit while it is in host form ([`crate::eval::x87_to_doubles`]): an [`crate::lowering::X87Shape`].
    pub x87_shape: u32,
    /// SSE control and status.
    pub mxcsr: u32,
    /// Word of Linux-like `rdtscp`/`rdpid`: the processor's number.
    pub tsc_aux: u32,
    /// Not the guest's: spill slots from [`CHAIN_SLOTS`](crate::lowering::CHAIN_SLOTS) on, of back ends that keep flags as recipes; here, where
    /// pairs of registers are stored at once on aarch64.
    pub flag_slots: [u64; 8],
    /// Vector registers: 256 bits each, low lane first; at a multiple of 64 bytes, so that none is in two cache lines.
    pub vector: [[u64; 4]; 16],
    /// Base addresses by segment number; zero for all but fs and gs.
    pub segment_base: [u64; 6],
    /// Not the guest's.
    pub host: HostArea,
}

impl CpuState {
    /// State at power-up of a user thread in `mode`: registers zero, flags `0x202`, flat selectors as Haiku's kernel sets them.
    pub fn new(mode: crate::key::CpuMode) -> Self {
        let (code, data) = match mode {
            crate::key::CpuMode::Protected32 => (0x1b, 0x23),
            crate::key::CpuMode::Long64 => (0x2b, 0x23),
        };
        CpuState {
            gpr: [0; 16],
            rip: 0,
            status_flags: 0,
            system_flags: eflags::START,
            segment_base: [0; 6],
            selector: [data, code, data, data, data, data],
            x87_shape: 0,
            vector: [[0; 4]; 16],
            mxcsr: MXCSR_START,
            tsc_aux: 0,
            flag_slots: [0; 8],
            x87: X87::INIT,
            host: HostArea {
                jump_cache: 0,
                dispatcher_sp: 0,
                shadow_sp: 0,
                shadow_top: 0,
                exit_reason: 0,
                host_float_control: MXCSR_START,
                exit_site: 0,
                float_is_odd: 0,
                x87_in_host: 0,
                callout_fn: 0,
                callout_context: 0,
                callout_args: [[0; 4]; 6],
                callout_result: [0; 4],
                spill: [0; 64],
                vector_spill: [[0; 4]; 32],
                registers: [0; 32],
                flag_site: 0,
                attention: 0,
                x87_call: 0,
                x87_routines: crate::eval::X87_ROUTINES.map(|routine| routine as usize as u64),
                x87_extended: X87::INIT.regs,
                x87_floats: [0; 8],
            },
        }
    }

    /// The value of `reg`.
    pub fn get(&self, reg: Gpr) -> u64 {
        self.gpr[reg.index()]
    }

    /// Sets all 64 bits of `reg`.
    pub fn set(&mut self, reg: Gpr, value: u64) {
        self.gpr[reg.index()] = value;
    }

    /// All of EFLAGS, as `pushf` stores it.
    pub fn eflags(&self) -> u32 {
        self.status_flags | self.system_flags | eflags::FIXED
    }

    /// Sets status and system flags from an EFLAGS image; reserved bits keep their fixed values.
    pub fn set_eflags(&mut self, value: u32) {
        self.status_flags = value & FlagSet::STATUS.bits();
        self.system_flags = value & eflags::USER | eflags::START;
    }
}

//! Litmus tests: what threads may see of each other's accesses to memory on x86, and what never.
//!
//! A test is a few accesses per thread to two places in memory, and what must not come out (Intel SDM vol. 3A, 9.2; the names are those of the
//! literature on memory models). It runs as guest code on a team of threads, over and over on fresh memory, with random delays, and the outcomes are counted.
//!
//! | file | what |
//! |---|---|
//! | `table` | the tests |
//! | `code` | a thread's accesses as guest code, good for both word sizes |
//! | `run` | runs it and counts outcomes |
//! | `locked` | locked operations on one place from several threads: nothing is lost |

mod code;
mod locked;
mod run;
mod table;

pub use locked::{LOCKED, Locked, OFFSETS, is_split, run_locked};
pub use run::{Bench, Count, run};
pub use table::{all, variants};

/// A place in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first one, zero at the start.
    X,
    /// The second one, in another cache line; zero at the start.
    Y,
}

/// What keeps a thread's accesses in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// `mfence`.
    Mfence,
    /// A locked operation on the stack.
    Locked,
    /// `cpuid`, which serialises.
    Cpuid,
}

/// One thing that a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Writes the value 1 or 2.
    W(Place, u8),
    /// Writes it by `xchg`, which is locked.
    Xchg(Place, u8),
    /// Reads into result 0 or 1 of the thread.
    R(Place, u8),
    /// A barrier where the variant has one.
    Fence,
}

/// How the accesses are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// 32 bits, aligned.
    Word,
    /// 8 bits.
    Byte,
    /// 32 bits across an alignment boundary, within a cache line.
    Unaligned,
    /// 64 bits by `movq`.
    Quad,
    /// 64 bits by `fild` and `fistp`.
    Float,
    /// 128 bits by `movaps`.
    Vector,
}

impl Access {
    /// All of them.
    pub const ALL: [Access; 6] =
        [Access::Word, Access::Byte, Access::Unaligned, Access::Quad, Access::Float, Access::Vector];

    /// Bytes of an access, all of which hold the value.
    fn bytes(self) -> usize {
        match self {
            Access::Byte => 1,
            Access::Word | Access::Unaligned => 4,
            Access::Quad | Access::Float => 8,
            Access::Vector => 16,
        }
    }

    /// Where in its cache line the place is.
    fn offset(self) -> i32 {
        if self == Access::Unaligned { 14 } else { 32 }
    }
}

/// Most threads of a test.
pub const MOST_THREADS: usize = 4;

/// What came out of one run: what each thread read, and what was in memory at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Outcome {
    /// By thread and result.
    pub r: [[u8; 2]; MOST_THREADS],
    /// At the end.
    pub x: u8,
    /// At the end.
    pub y: u8,
}

/// What a place holds when an access was torn: seen by nobody, ever.
pub const TORN: u8 = 0xff;

impl Outcome {
    fn is_torn(&self) -> bool {
        self.r.iter().flatten().chain([&self.x, &self.y]).any(|&v| v == TORN)
    }
}

/// A test.
#[derive(Clone, Copy, Debug)]
pub struct Litmus {
    /// Its name in the literature.
    pub name: &'static str,
    /// What each thread does.
    pub threads: &'static [&'static [Event]],
    /// The outcome in question.
    pub asked: fn(&Outcome) -> bool,
    /// Whether x86 may show it without barriers.
    pub allowed: bool,
}

/// A test in one form.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// The test.
    pub test: Litmus,
    /// How its accesses are made.
    pub access: Access,
    /// What its fences are.
    pub barrier: Option<Barrier>,
}

impl Variant {
    /// Whether x86 never shows the outcome in question.
    pub fn forbids(&self) -> bool {
        !self.test.allowed || self.barrier.is_some()
    }

    /// Name, access and barrier.
    pub fn name(&self) -> String {
        let barrier = self.barrier.map_or(String::new(), |b| format!("+{b:?}"));
        format!("{}+{:?}{barrier}", self.test.name, self.access).to_lowercase()
    }
}

//! The tests. Source: Intel SDM vol. 3A, 9.2.3 "Examples Illustrating the Memory-Ordering Principles"; names as in "A Tutorial Introduction to
//! the ARM and POWER Relaxed Memory Models" (Maranget, Sarkar, Sewell) and "x86-TSO" (Sewell et al.).

use super::Event::{Fence, R, W, Xchg};
use super::Place::{X, Y};
use super::{Access, Barrier, Litmus, Variant};

/// All tests.
pub fn all() -> Vec<Litmus> {
    vec![
        // A message and its flag.
        Litmus {
            name: "MP",
            threads: &[&[W(X, 1), Fence, W(Y, 1)], &[R(Y, 0), Fence, R(X, 1)]],
            asked: |o| o.r[1] == [1, 0],
            allowed: false,
        },
        // Stores wait in buffers: the one thing that x86 allows.
        Litmus {
            name: "SB",
            threads: &[&[W(X, 1), Fence, R(Y, 0)], &[W(Y, 1), Fence, R(X, 0)]],
            asked: |o| o.r[0][0] == 0 && o.r[1][0] == 0,
            allowed: true,
        },
        Litmus {
            name: "SB+xchg",
            threads: &[&[Xchg(X, 1), R(Y, 0)], &[Xchg(Y, 1), R(X, 0)]],
            asked: |o| o.r[0][0] == 0 && o.r[1][0] == 0,
            allowed: false,
        },
        Litmus {
            name: "LB",
            threads: &[&[R(X, 0), Fence, W(Y, 1)], &[R(Y, 0), Fence, W(X, 1)]],
            asked: |o| o.r[0][0] == 1 && o.r[1][0] == 1,
            allowed: false,
        },
        Litmus {
            name: "R",
            threads: &[&[W(X, 1), Fence, W(Y, 1)], &[W(Y, 2), Fence, R(X, 0)]],
            asked: |o| o.y == 2 && o.r[1][0] == 0,
            allowed: true,
        },
        Litmus {
            name: "S",
            threads: &[&[W(X, 2), Fence, W(Y, 1)], &[R(Y, 0), Fence, W(X, 1)]],
            asked: |o| o.r[1][0] == 1 && o.x == 2,
            allowed: false,
        },
        Litmus {
            name: "2+2W",
            threads: &[&[W(X, 1), Fence, W(Y, 2)], &[W(Y, 1), Fence, W(X, 2)]],
            asked: |o| o.x == 1 && o.y == 1,
            allowed: false,
        },
        // Independent reads of independent writes: all see them in one order.
        Litmus {
            name: "IRIW",
            threads: &[&[W(X, 1)], &[W(Y, 1)], &[R(X, 0), Fence, R(Y, 1)], &[R(Y, 0), Fence, R(X, 1)]],
            asked: |o| o.r[2] == [1, 0] && o.r[3] == [1, 0],
            allowed: false,
        },
        // What a thread passes on is seen by whom it tells.
        Litmus {
            name: "WRC",
            threads: &[&[W(X, 1)], &[R(X, 0), Fence, W(Y, 1)], &[R(Y, 0), Fence, R(X, 1)]],
            asked: |o| o.r[1][0] == 1 && o.r[2] == [1, 0],
            allowed: false,
        },
        Litmus {
            name: "RWC",
            threads: &[&[W(X, 1)], &[R(X, 0), Fence, R(Y, 1)], &[W(Y, 1), Fence, R(X, 0)]],
            asked: |o| o.r[1] == [1, 0] && o.r[2][0] == 0,
            allowed: true,
        },
        // One place: reads of a thread never go back in time.
        Litmus {
            name: "CoRR",
            threads: &[&[W(X, 1), W(X, 2)], &[R(X, 0), Fence, R(X, 1)]],
            asked: |o| o.r[1][0] > o.r[1][1],
            allowed: false,
        },
        Litmus {
            name: "CoRR2",
            threads: &[&[W(X, 1)], &[W(X, 2)], &[R(X, 0), R(X, 1)], &[R(X, 0), R(X, 1)]],
            asked: |o| (o.r[2], o.r[3]) == ([1, 2], [2, 1]) || (o.r[2], o.r[3]) == ([2, 1], [1, 2]),
            allowed: false,
        },
        Litmus { name: "CoWW", threads: &[&[W(X, 1), W(X, 2)]], asked: |o| o.x == 1, allowed: false },
        Litmus {
            name: "CoRW",
            threads: &[&[R(X, 0), W(X, 1)], &[W(X, 2)]],
            asked: |o| o.r[0][0] == 2 && o.x == 2,
            allowed: false,
        },
        Litmus {
            name: "CoWR",
            threads: &[&[W(X, 1), R(X, 0)], &[W(X, 2)]],
            asked: |o| o.r[0][0] == 2 && o.x == 1,
            allowed: false,
        },
    ]
}

/// All tests in all forms: each access without barriers, and the words with each barrier.
pub fn variants() -> Vec<Variant> {
    let barriers = [Barrier::Mfence, Barrier::Locked, Barrier::Cpuid].map(|b| (Access::Word, Some(b)));
    let forms: Vec<_> = Access::ALL.map(|a| (a, None)).into_iter().chain(barriers).collect();
    let fenced = |t: &Litmus| t.threads.iter().any(|events| events.contains(&Fence));
    let exchanges = |t: &Litmus| t.threads.iter().flat_map(|e| e.iter()).any(|e| matches!(e, Xchg(..)));
    let form = |test: Litmus| {
        let fits = move |(access, barrier): &(Access, Option<Barrier>)| {
            let whole = matches!(access, Access::Word | Access::Byte | Access::Unaligned);
            (barrier.is_none() || fenced(&test)) && (whole || !exchanges(&test))
        };
        forms.clone().into_iter().filter(fits).map(move |(access, barrier)| Variant { test, access, barrier })
    };
    all().into_iter().flat_map(form).collect()
}

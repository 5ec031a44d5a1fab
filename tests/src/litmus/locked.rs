//! Locked operations on one place from several threads at once: none gets lost, wherever the place lies.

use dynasmrt::{DynasmApi, DynasmLabelApi, dynasm};

use super::Bench;
use super::code::{Asm, CODE, CODE_BYTES, DATA};

/// How a thread adds one to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Adder {
    Inc,
    Add,
    Sub,
    Xadd,
    Cmpxchg,
    /// `cmpxchg8b` on the place and the four bytes behind it.
    Cmpxchg8b,
    /// Without lock, while it holds one that it takes by `xchg` with the place behind.
    UnderXchg,
    /// The same lock, taken by `lock bts`.
    UnderBts,
}

/// Several threads that add to one place, each in its way.
#[derive(Clone, Copy, Debug)]
pub struct Locked {
    /// What it shows.
    pub name: &'static str,
    /// Whether threads wait for each other by locked operations, of which there may be many more than additions.
    spins: bool,
    threads: &'static [Adder],
}

/// The combinations to be run at each place.
pub const LOCKED: &[Locked] = &[
    Locked { name: "inc add sub xadd", spins: false, threads: &[Adder::Inc, Adder::Add, Adder::Sub, Adder::Xadd] },
    Locked {
        name: "cmpxchg, cmpxchg8b, xadd",
        spins: false,
        threads: &[Adder::Cmpxchg, Adder::Cmpxchg8b, Adder::Xadd],
    },
    Locked { name: "under xchg, bts", spins: true, threads: &[Adder::UnderXchg, Adder::UnderBts, Adder::UnderXchg] },
];

/// Places: aligned, within a cache line, across two, across two pages.
pub const OFFSETS: [i32; 4] = [0, 13, 62, 4094];

/// Distance of the lock that protects a place from it: it lies as badly.
const LOCK: i32 = 4096;

/// Whether the place at `offset` lies in two cache lines: Linux makes each locked operation there take from 10 milliseconds to a second.
pub fn is_split(offset: i32) -> bool {
    offset % 64 > 60
}

impl Locked {
    /// Whether this can be run at `offset` in reasonable time.
    pub fn fits(&self, offset: i32) -> bool {
        !(self.spins && is_split(offset))
    }
}

/// Has each thread of `locked` add one `times` times at `offset` in a page; gives what the place then holds and what it should.
///
/// Where locked operations are slowed down ([`is_split`]) it is once per thread.
///
/// # Panics
/// If a thread does not get to its end.
pub fn run_locked(bench: &Bench, locked: &Locked, offset: i32, times: i32) -> (u32, u32) {
    let times = if is_split(offset) { 1 } else { times };
    bench.write(DATA, &[0; 3 * 4096]);
    for (thread, adder) in locked.threads.iter().enumerate() {
        bench.load(thread, &assemble(*adder, thread, DATA + offset, times));
    }
    bench.run_threads(locked.threads.len());
    let bytes = bench.read(DATA + offset, 4);
    let count = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    (count, locked.threads.len() as u32 * times as u32)
}

fn assemble(adder: Adder, thread: usize, at: i32, times: i32) -> Vec<u8> {
    let mut a = Asm::new((CODE + CODE_BYTES * thread as i32) as usize);
    dynasm!(a ; .arch x64
        ; mov edi, times
        ; mov esi, at
        ; mov ebp, at + LOCK
        ; ->next:
    );
    match adder {
        Adder::Inc => dynasm!(a ; .arch x64 ; lock inc DWORD [rsi]),
        Adder::Add => dynasm!(a ; .arch x64 ; mov eax, 1 ; lock add [rsi], eax),
        Adder::Sub => dynasm!(a ; .arch x64 ; lock sub DWORD [rsi], -1),
        Adder::Xadd => dynasm!(a ; .arch x64 ; mov eax, 1 ; lock xadd [rsi], eax),
        Adder::Cmpxchg => dynasm!(a ; .arch x64
            ; mov eax, [rsi]
            ; again:
            ; lea ecx, [rax + 1]
            ; lock cmpxchg [rsi], ecx
            ; jne <again
        ),
        Adder::Cmpxchg8b => dynasm!(a ; .arch x64
            ; mov eax, [rsi]
            ; mov edx, [rsi + 4]
            ; again:
            ; lea ebx, [rax + 1]
            ; mov ecx, edx
            ; lock cmpxchg8b [rsi]
            ; jne <again
        ),
        Adder::UnderXchg => dynasm!(a ; .arch x64
            ; wait:
            ; mov eax, 1
            ; xchg [rbp], eax
            ; test eax, eax
            ; jz >mine
            ; pause
            ; jmp <wait
            ; mine:
            ; add DWORD [rsi], 1
            ; xor ecx, ecx
            ; xchg [rbp], ecx
        ),
        Adder::UnderBts => dynasm!(a ; .arch x64
            ; wait:
            ; lock bts DWORD [rbp], BYTE 0
            ; jnc >mine
            ; pause
            ; jmp <wait
            ; mine:
            ; add DWORD [rsi], 1
            ; xor ecx, ecx
            ; xchg [rbp], ecx
        ),
    }
    dynasm!(a ; .arch x64
        ; sub edi, 1
        ; jnz ->next
        ; ud2
    );
    a.finalize().unwrap_or_else(|e| panic!("code of locked operations: {e}"))
}

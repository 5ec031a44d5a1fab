//! A thread's part of a test as guest code. The bytes mean the same in 32-bit and 64-bit code: no register beyond the first eight, no prefix of
//! 64-bit code, addresses below 2 GiB.

use dynasmrt::{DynasmApi, DynasmLabelApi, VecAssembler, dynasm, x64::X64Relocation};

use super::{Access, Barrier, Event, Place, Variant};

/// Guest address of the first instance; each is [`STRIDE`] further.
pub(super) const DATA: i32 = 0x100_0000;
/// Bytes of an instance: a cache line for each place, and the processor's neighbour of each.
pub(super) const STRIDE: i32 = 256;
/// Distance of the second place from the first.
pub(super) const Y: i32 = 128;
/// Where the results of thread 0 are; the next thread's are [`OUT_BYTES`] further.
pub(super) const OUT: i32 = 0x200_0000;
/// Space for a thread's results.
pub(super) const OUT_BYTES: i32 = 0x10_0000;
/// Bytes of the results of one instance: two of 16 bytes.
pub(super) const RESULT: i32 = 32;
/// Where threads wait for each other.
pub(super) const GATE: i32 = 0x300_0000;
/// The values 0, 1 and 2 as accesses write them, 16 bytes each, are behind the gate.
pub(super) const VALUES: i32 = GATE + 0x100;
/// Code of thread 0; the next thread's is [`CODE_BYTES`] further.
pub(super) const CODE: i32 = 0x10_0000;
/// Space for a thread's code.
pub(super) const CODE_BYTES: i32 = 0x1000;

/// Turns that a thread waits for the others at most: they may have no processor.
const PATIENCE: i32 = 300;

pub(super) type Asm = VecAssembler<X64Relocation>;

/// The guest code of thread `thread`, which does its part in `instances` instances and then `ud2`.
///
/// ebx is the instance, edi the place for its results, ebp the count at the gate that says that all are there.
pub(super) fn assemble(variant: &Variant, thread: usize, instances: i32) -> Vec<u8> {
    let mut a = Asm::new((CODE + CODE_BYTES * thread as i32) as usize);
    let threads = variant.test.threads.len() as i32;
    let out = OUT + OUT_BYTES * thread as i32;
    dynasm!(a ; .arch x64
        ; mov ebx, DATA
        ; mov edi, out
        ; xor ebp, ebp
        ; movaps xmm1, [VALUES + 16]
        ; movaps xmm2, [VALUES + 32]
        ; ->next:
        ; add ebp, threads
        ; lock add DWORD [GATE], 1
        ; mov ecx, PATIENCE
        ; wait:
        ; mov eax, [GATE]
        ; sub eax, ebp
        ; jns >go
        ; pause
        ; sub ecx, 1
        ; jnz <wait
        ; go:
        // Not all at once each time: 0 to 15 turns, other ones for each thread.
        ; mov ecx, ebx
        ; shr ecx, 8 + thread as i8
        ; and ecx, 15
        ; delay:
        ; sub ecx, 1
        ; jns <delay
        ; xor eax, eax
        ; xor edx, edx
        ; pxor xmm4, xmm4
        ; pxor xmm5, xmm5
    );
    for event in variant.test.threads[thread] {
        emit(&mut a, variant, *event);
    }
    results(&mut a, variant.access);
    dynasm!(a ; .arch x64
        ; add edi, RESULT
        ; add ebx, STRIDE
        ; cmp ebx, DATA + STRIDE * instances
        ; jne ->next
        ; ud2
    );
    a.finalize().unwrap_or_else(|e| panic!("litmus code: {e}"))
}

fn emit(a: &mut Asm, variant: &Variant, event: Event) {
    let access = variant.access;
    let at = |place: Place| access.offset() + if place == Place::Y { Y } else { 0 };
    let word = |value: u8| i32::from_le_bytes([value; 4]);
    match event {
        Event::W(place, value) => match access {
            Access::Byte => dynasm!(a ; .arch x64 ; mov BYTE [rbx + at(place)], value as i8),
            Access::Word | Access::Unaligned => dynasm!(a ; .arch x64 ; mov DWORD [rbx + at(place)], word(value)),
            Access::Quad if value == 1 => dynasm!(a ; .arch x64 ; movq QWORD [rbx + at(place)], xmm1),
            Access::Quad => dynasm!(a ; .arch x64 ; movq QWORD [rbx + at(place)], xmm2),
            Access::Float => dynasm!(a ; .arch x64
                ; fild QWORD [VALUES + 16 * i32::from(value)]
                ; fistp QWORD [rbx + at(place)]
            ),
            Access::Vector if value == 1 => dynasm!(a ; .arch x64 ; movaps [rbx + at(place)], xmm1),
            Access::Vector => dynasm!(a ; .arch x64 ; movaps [rbx + at(place)], xmm2),
        },
        Event::Xchg(place, value) => match access {
            Access::Byte => dynasm!(a ; .arch x64 ; mov cl, value as i8 ; xchg [rbx + at(place)], cl),
            _ => dynasm!(a ; .arch x64 ; mov ecx, word(value) ; xchg [rbx + at(place)], ecx),
        },
        Event::R(place, result) => read(a, access, at(place), result),
        Event::Fence => match variant.barrier {
            Some(Barrier::Mfence) => dynasm!(a ; .arch x64 ; mfence),
            Some(Barrier::Locked) => dynasm!(a ; .arch x64 ; lock or DWORD [rsp], 0),
            // It overwrites registers: the results so far wait elsewhere.
            Some(Barrier::Cpuid) => dynasm!(a ; .arch x64
                ; movd xmm6, eax
                ; movd xmm7, edx
                ; push rbx
                ; xor eax, eax
                ; cpuid
                ; pop rbx
                ; movd eax, xmm6
                ; movd edx, xmm7
            ),
            None => {}
        },
    }
}

fn read(a: &mut Asm, access: Access, at: i32, result: u8) {
    match (access, result) {
        (Access::Byte, 0) => dynasm!(a ; .arch x64 ; movzx eax, BYTE [rbx + at]),
        (Access::Byte, _) => dynasm!(a ; .arch x64 ; movzx edx, BYTE [rbx + at]),
        (Access::Word | Access::Unaligned, 0) => dynasm!(a ; .arch x64 ; mov eax, [rbx + at]),
        (Access::Word | Access::Unaligned, _) => dynasm!(a ; .arch x64 ; mov edx, [rbx + at]),
        (Access::Quad, 0) => dynasm!(a ; .arch x64 ; movq xmm4, QWORD [rbx + at]),
        (Access::Quad, _) => dynasm!(a ; .arch x64 ; movq xmm5, QWORD [rbx + at]),
        // At once to its place: only what was read into result 1 may still be on the x87 stack, and nothing else.
        (Access::Float, 0) => dynasm!(a ; .arch x64 ; fild QWORD [rbx + at] ; fistp QWORD [rdi]),
        (Access::Float, _) => dynasm!(a ; .arch x64 ; fild QWORD [rbx + at] ; fistp QWORD [rdi + 16]),
        (Access::Vector, 0) => dynasm!(a ; .arch x64 ; movaps xmm4, [rbx + at]),
        (Access::Vector, _) => dynasm!(a ; .arch x64 ; movaps xmm5, [rbx + at]),
    }
}

fn results(a: &mut Asm, access: Access) {
    match access {
        Access::Float => {}
        Access::Quad | Access::Vector => dynasm!(a ; .arch x64 ; movaps [rdi], xmm4 ; movaps [rdi + 16], xmm5),
        _ => dynasm!(a ; .arch x64 ; mov [rdi], eax ; mov [rdi + 16], edx),
    }
}

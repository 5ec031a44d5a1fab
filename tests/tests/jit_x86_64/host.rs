//! The smallest runtime that host code runs under: code memory, stubs, shadow stack, callouts by the evaluator.

use std::arch::x86_64::{_fxrstor64, _fxsave64};
use std::sync::{Mutex, MutexGuard};

use hokku_backend_x86_64::{Features, X86_64};
use hokku_ir::backend::{Backend, Compiled, StubId};
use hokku_ir::eval::{EvalFault, FixedSystem, MAX_ARGS, Machine, Memory, MemoryFault, MemoryFaultKind, Val, eval_op};
use hokku_ir::guest::{ExitReason, F80, X87};
use hokku_ir::{AtomicOp, CpuMode, CpuState, Effects, Fence, GuestAddr, Region, Width};

/// Where the guest's memory is, on the host as well.
pub(crate) const AREA: u64 = 0x2000_0000;
/// Its length.
pub(crate) const AREA_LEN: usize = 0x4000;

const CODE_LEN: usize = 1 << 20;
const SHADOW_LEN: usize = 1 << 16;
const ARCH_SET_GS: libc::c_long = 0x1001;

/// Memory and stubs for one mode.
pub(crate) struct Host {
    backend: X86_64,
    mode: CpuMode,
    code: *mut u8,
    stubs: Vec<(StubId, u32)>,
    stub_len: usize,
    shadow: *mut u8,
    misses: Vec<u64>,
}

/// What a callout needs.
struct Context {
    compiled: Compiled,
    code: u64,
    mode: CpuMode,
    fault: Option<EvalFault>,
}

fn map(at: u64, len: usize) -> *mut u8 {
    let fixed = if at == 0 { 0 } else { libc::MAP_FIXED_NOREPLACE };
    // SAFETY: a new anonymous mapping that replaces nothing.
    let p = unsafe {
        libc::mmap(
            at as *mut _,
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | fixed,
            -1,
            0,
        )
    };
    assert!(p != libc::MAP_FAILED && (at == 0 || p as u64 == at), "no memory at {at:#x}");
    p.cast()
}

fn protect(p: *mut u8, len: usize, how: libc::c_int) {
    // SAFETY: `p` is a mapping of ours of that length; no reference into it is alive.
    assert_eq!(unsafe { libc::mprotect(p.cast(), len, how) }, 0);
}

impl Host {
    pub(crate) fn new(mode: CpuMode, features: Features) -> Host {
        let backend = X86_64::new(features);
        let stubs = backend.stubs(mode);
        let code = map(0, CODE_LEN);
        // SAFETY: the mapping is longer than the stubs.
        unsafe { code.copy_from_nonoverlapping(stubs.code.as_ptr(), stubs.code.len()) };
        let stub_len = stubs.code.len().next_multiple_of(16);
        let miss = stubs.entries.iter().find(|s| s.0 == StubId::JumpMiss).expect("all stubs").1;
        let misses = vec![code as u64 + u64::from(miss); 1 << 16];
        Host { backend, mode, code, stubs: stubs.entries, stub_len, shadow: map(0, SHADOW_LEN), misses }
    }

    fn stub(&self, id: StubId) -> u64 {
        let offset = self.stubs.iter().find(|s| s.0 == id).expect("all stubs").1;
        self.code as u64 + u64::from(offset)
    }

    /// Compiles `region`.
    pub(crate) fn compile(&self, region: &Region) -> Compiled {
        self.backend.compile(region)
    }

    /// Runs `compiled` from its first block until it leaves; the guest's memory is at [`AREA`]. Gives the reason and, for a callout that
    /// faulted, the fault.
    pub(crate) fn run(&mut self, mut compiled: Compiled, cpu: &mut Box<CpuState>) -> (u32, Option<EvalFault>) {
        let start = self.code as u64 + self.stub_len as u64;
        for r in &compiled.relocations {
            let at = r.offset as usize;
            let distance = self.stub(r.stub).wrapping_sub(start + at as u64 + 4) as i32;
            compiled.code[at..at + 4].copy_from_slice(&distance.to_le_bytes());
        }
        assert!(self.stub_len + compiled.code.len() <= CODE_LEN);
        protect(self.code, CODE_LEN, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: writable now, and long enough.
        unsafe { (start as *mut u8).copy_from_nonoverlapping(compiled.code.as_ptr(), compiled.code.len()) };
        protect(self.code, CODE_LEN, libc::PROT_READ | libc::PROT_EXEC);

        let entry = start + u64::from(compiled.blocks[0].offset);
        let mut context = Context { compiled, code: start, mode: self.mode, fault: None };
        let top = self.shadow as u64 + SHADOW_LEN as u64 - 64;
        // SAFETY: inside the shadow stack's mapping.
        unsafe { *(top as *mut u64) = self.stub(StubId::ReturnMiss) };
        let area = &mut cpu.host;
        area.jump_cache = self.misses.as_ptr() as u64;
        area.shadow_sp = top;
        area.shadow_top = top;
        area.callout_fn = callout as *const () as u64;
        area.callout_context = std::ptr::from_mut(&mut context) as u64;
        let state: *mut CpuState = &mut **cpu;
        // SAFETY: gs is free for us in this process; the state outlives the run. The stub follows the C calling convention, and the code works on
        // the state, its own stack and the guest's memory alone.
        unsafe {
            assert_eq!(libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, state), 0);
            load_x87(&mut *state);
            let enter: extern "C" fn(*mut CpuState, u64) = std::mem::transmute(self.stub(StubId::Enter));
            enter(state, entry);
            save_x87(&mut *state);
        }
        (cpu.host.exit_reason, context.fault)
    }
}

extern "C" fn callout(context: *mut Context, state: *mut CpuState, site: u64) -> u64 {
    // SAFETY: both belong to the `run` that is on the stack below and are not used by it meanwhile.
    let (context, cpu) = unsafe { (&mut *context, &mut *state) };
    let c = context
        .compiled
        .callouts
        .iter()
        .find(|c| context.code + u64::from(c.offset) == site)
        .expect("a callout returns here");
    let mut args = [Val::default(); MAX_ARGS];
    for (arg, words) in args.iter_mut().zip(&cpu.host.callout_args) {
        *arg = Val(*words);
    }
    let mut count = 0;
    c.op.values(&mut |_| count += 1);
    let x87 = c.op.effects().contains(Effects::x87);
    if x87 {
        save_x87(cpu);
    }
    let system = FixedSystem::default();
    let mut machine = Machine {
        cpu,
        memory: &HostMemory,
        system: &system,
        mode: context.mode,
        x87: hokku_ir::X87Arithmetic::Exact,
        pc: c.pc,
    };
    let result = eval_op(&c.op, &args[..count], &mut machine);
    if x87 {
        load_x87(cpu);
    }
    match result {
        Ok(v) => {
            cpu.host.callout_result = v.0;
            0
        }
        Err(fault) => {
            cpu.rip = c.pc.0;
            cpu.host.exit_reason = ExitReason::Fault as u32;
            context.fault = Some(fault);
            1
        }
    }
}

#[repr(C, align(16))]
struct Image([u8; 512]);

fn image() -> Image {
    let mut image = Image([0; 512]);
    // SAFETY: 512 bytes, aligned.
    unsafe { _fxsave64(image.0.as_mut_ptr()) };
    image
}

/// Puts the guest's x87 state into the host's unit.
fn load_x87(cpu: &mut CpuState) {
    let mut i = image();
    i.0[0..2].copy_from_slice(&cpu.x87.control.to_le_bytes());
    i.0[2..4].copy_from_slice(&cpu.x87.status.to_le_bytes());
    i.0[4] = cpu.x87.tags;
    for n in 0..8 {
        let r = cpu.x87.regs[(usize::from(cpu.x87.top()) + n) % 8];
        i.0[32 + 16 * n..][..8].copy_from_slice(&r.significand.to_le_bytes());
        i.0[40 + 16 * n..][..2].copy_from_slice(&r.sign_exponent.to_le_bytes());
    }
    // SAFETY: the image that `fxsave` made, its x87 part replaced by valid values.
    unsafe { _fxrstor64(i.0.as_ptr()) };
    cpu.host.x87_in_host = 1;
}

/// Takes it back and leaves the unit empty.
fn save_x87(cpu: &mut CpuState) {
    let i = image();
    let word = |at: usize| u16::from_le_bytes([i.0[at], i.0[at + 1]]);
    cpu.x87 = X87 { control: word(0), status: word(2), tags: i.0[4], ..X87::INIT };
    for n in 0..8 {
        let significand = u64::from_le_bytes(std::array::from_fn(|k| i.0[32 + 16 * n + k]));
        let at = (usize::from(cpu.x87.top()) + n) % 8;
        cpu.x87.regs[at] = F80 { significand, sign_exponent: word(40 + 16 * n), padding: [0; 3] };
    }
    // SAFETY: empties the unit, as Rust code expects it.
    unsafe { std::arch::asm!("fninit") };
    cpu.host.x87_in_host = 0;
}

/// Maps the guest's memory, of which there is one: it is the caller's until the guard is dropped.
pub(crate) fn map_area() -> MutexGuard<'static, bool> {
    static MAPPED: Mutex<bool> = Mutex::new(false);
    let mut mapped = MAPPED.lock().unwrap_or_else(|e| e.into_inner());
    if !*mapped {
        map(AREA, AREA_LEN);
        *mapped = true;
    }
    mapped
}

/// Replaces the guest's memory.
pub(crate) fn fill_area(bytes: &[u8]) {
    // SAFETY: mapped by `map_area`, as long as the area.
    unsafe { (AREA as *mut u8).copy_from_nonoverlapping(bytes.as_ptr(), AREA_LEN.min(bytes.len())) };
}

/// What is in the guest's memory.
pub(crate) fn read_area() -> Vec<u8> {
    // SAFETY: mapped by `map_area`; nobody writes meanwhile.
    unsafe { std::slice::from_raw_parts(AREA as *const u8, AREA_LEN) }.to_vec()
}

/// The guest's memory as callouts see it.
struct HostMemory;

impl HostMemory {
    fn at(&self, at: GuestAddr, len: usize, write: bool) -> Result<*mut u8, MemoryFault> {
        let inside = at.0 >= AREA && at.0.saturating_add(len as u64) <= AREA + AREA_LEN as u64;
        if inside { Ok(at.0 as *mut u8) } else { Err(MemoryFault { at, write, kind: MemoryFaultKind::Unmapped }) }
    }
}

impl Memory for HostMemory {
    fn read(&self, at: GuestAddr, buf: &mut [u8]) -> Result<(), MemoryFault> {
        let p = self.at(at, buf.len(), false)?;
        // SAFETY: inside the area.
        unsafe { buf.as_mut_ptr().copy_from_nonoverlapping(p, buf.len()) };
        Ok(())
    }
    fn write(&self, at: GuestAddr, bytes: &[u8]) -> Result<(), MemoryFault> {
        let p = self.at(at, bytes.len(), true)?;
        // SAFETY: inside the area.
        unsafe { p.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }
    fn atomic_rmw(&self, op: AtomicOp, w: Width, at: GuestAddr, v: u64) -> Result<u64, MemoryFault> {
        let mut buf = [0; 8];
        let n = w.bytes() as usize;
        self.read(at, &mut buf[..n])?;
        let old = u64::from_le_bytes(buf);
        let new = match op {
            AtomicOp::Xchg => v,
            AtomicOp::Add => old.wrapping_add(v),
            AtomicOp::Sub => old.wrapping_sub(v),
            AtomicOp::And => old & v,
            AtomicOp::Or => old | v,
            AtomicOp::Xor => old ^ v,
            AtomicOp::Neg => old.wrapping_neg(),
        };
        self.write(at, &new.to_le_bytes()[..n])?;
        Ok(old)
    }
    fn atomic_cas(&self, w: Width, at: GuestAddr, expected: u64, new: u64) -> Result<u64, MemoryFault> {
        let mut buf = [0; 8];
        let n = w.bytes() as usize;
        self.read(at, &mut buf[..n])?;
        let old = u64::from_le_bytes(buf);
        let write = if old == expected & w.mask() { new } else { old };
        self.write(at, &write.to_le_bytes()[..n])?;
        Ok(old)
    }
    fn atomic_cas_16(&self, at: GuestAddr, expected: u128, new: u128) -> Result<u128, MemoryFault> {
        let mut buf = [0; 16];
        self.read(at, &mut buf)?;
        let old = u128::from_le_bytes(buf);
        self.write(at, &if old == expected { new } else { old }.to_le_bytes())?;
        Ok(old)
    }
    fn fence(&self, _: Fence) {}
}

//! The oracle itself: its pages, code with stubs, and runs.

use std::marker::PhantomData;
use std::ptr;
use std::slice;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use hokku_ir::{CpuMode, CpuState, Seg};

use super::Ending;
use super::enter::{CONTEXT, hokku_oracle_arrive, hokku_oracle_enter_32, hokku_oracle_enter_64};
use super::image;
use super::layout::{BASES_32, CODE, CODE_END, PAGE, PORT, PORT_CODE, SCRATCH, SCRATCH_END, SELECTORS_32, WRITABLE};
use super::signals::Handlers;
use super::vector;

/// Selector of 32-bit code segments on Linux.
const CS_32: u16 = 0x23;
/// Selector of 64-bit code segments on Linux.
const CS_64: u16 = 0x33;
/// `hlt`: what a guest program may not do.
const HLT: u8 = 0xf4;

/// One holder at a time.
static LOCK: Mutex<()> = Mutex::new(());
/// Whether the pages are mapped, or why not.
static MAPPED: OnceLock<Result<(), String>> = OnceLock::new();

/// The right to run guest code on this processor.
#[derive(Debug)]
pub struct Oracle {
    _handlers: Handlers,
    segments: bool,
    _lock: MutexGuard<'static, ()>,
    /// Signal set-up belongs to a thread.
    _here: PhantomData<*mut ()>,
}

impl Oracle {
    /// Waits until no other `Oracle` exists; `Err` says why this host has none.
    pub fn acquire() -> Result<Oracle, String> {
        let lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        MAPPED.get_or_init(map).clone()?;
        Ok(Oracle { _handlers: Handlers::install()?, segments: set_segments(), _lock: lock, _here: PhantomData })
    }

    /// Whether 32-bit code can have fs and gs as `layout::SELECTORS_32` and `layout::BASES_32` tell, in the thread that acquired the oracle.
    pub fn has_segments(&self) -> bool {
        self.segments
    }

    /// Replaces the guest code: `bytes` at `at`, stubs at `arrivals`, `hlt` everywhere else.
    ///
    /// # Panics
    /// Where something does not fit into the page.
    pub fn set_code(&mut self, mode: CpuMode, at: u64, bytes: &[u8], arrivals: &[u64]) {
        // SAFETY: the page is mapped readable, writable and executable for the oracle alone, whose lock `self` holds.
        let page = unsafe { slice::from_raw_parts_mut(CODE as *mut u8, PAGE as usize) };
        page.fill(HLT);
        for arrival in arrivals {
            let stub = stub(mode, *arrival);
            let offset = (arrival - CODE) as usize;
            page[offset..offset + stub.len()].copy_from_slice(&stub);
        }
        let offset = (at - CODE) as usize;
        page[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// The writable part of the scratch memory.
    pub fn memory(&self) -> &[u8] {
        // SAFETY: as `memory_mut`.
        unsafe { slice::from_raw_parts(SCRATCH as *const u8, WRITABLE as usize) }
    }

    /// The same, to be written.
    pub fn memory_mut(&mut self) -> &mut [u8] {
        // SAFETY: mapped for the oracle alone, whose lock `self` holds; guest code runs only inside `run`.
        unsafe { slice::from_raw_parts_mut(SCRATCH as *mut u8, WRITABLE as usize) }
    }

    /// Sets the page that guest code can only read.
    pub fn set_constant_page(&mut self, bytes: &[u8; PAGE as usize]) {
        let page = (SCRATCH + WRITABLE) as *mut u8;
        // SAFETY: as `memory`; the page is writable between the two calls.
        unsafe {
            let done = libc::mprotect(page.cast(), PAGE as usize, libc::PROT_READ | libc::PROT_WRITE);
            assert_eq!(done, 0, "mprotect");
            ptr::copy_nonoverlapping(bytes.as_ptr(), page, bytes.len());
            assert_eq!(libc::mprotect(page.cast(), PAGE as usize, libc::PROT_READ), 0, "mprotect");
        }
    }

    /// Runs the code at `entry` from the state `cpu`, which becomes the state after it.
    ///
    /// The code must touch no memory but the scratch pages and `layout::harmless` addresses, and must not enter the kernel.
    pub fn run(&mut self, mode: CpuMode, entry: u64, cpu: &mut CpuState) -> Ending {
        let context = CONTEXT.get();
        // SAFETY: the lock makes CONTEXT ours. The assembly code saves and restores all that the calling convention asks for; the caller
        // vouches for the guest code.
        unsafe {
            let c = &mut *context;
            image::store(cpu, &mut c.image);
            c.clean[24..28].copy_from_slice(&0x1f80u32.to_le_bytes());
            c.gpr = cpu.gpr;
            c.flags = u64::from(cpu.eflags());
            c.guest_bases = [cpu.segment_base[Seg::Fs.index()], cpu.segment_base[Seg::Gs.index()]];
            c.selectors = [cpu.selector[Seg::Fs.index()], cpu.selector[Seg::Gs.index()], 0, 0];
            c.entry = entry;
            c.far_entry = [entry as u16, (entry >> 16) as u16, CS_32, 0];
            c.faulted = 0;
            ptr::write_volatile(&raw mut (*context).active, 1);
            match mode {
                CpuMode::Long64 => hokku_oracle_enter_64(),
                CpuMode::Protected32 => hokku_oracle_enter_32(),
            }
            ptr::write_volatile(&raw mut (*context).active, 0);
        }
        // SAFETY: guest code is over, so nothing writes CONTEXT now.
        let c = unsafe { &*context };
        image::load(&c.image, cpu);
        cpu.gpr = c.gpr;
        if mode == CpuMode::Protected32 {
            cpu.gpr.iter_mut().for_each(|r| *r &= 0xffff_ffff);
            cpu.gpr[8..].fill(0);
        }
        cpu.set_eflags(c.flags as u32);
        cpu.segment_base[Seg::Fs.index()] = c.guest_bases[0];
        cpu.segment_base[Seg::Gs.index()] = c.guest_bases[1];
        if c.faulted == 0 {
            // SAFETY: the word is mapped, and guest code that wrote it is over.
            cpu.rip = u64::from(unsafe { ptr::read_volatile(PORT as *const u32) });
            return Ending::Arrived;
        }
        cpu.rip = c.rip;
        let page_fault = c.vector == u64::from(vector::PF);
        let jumped_out = page_fault && c.error & 0x10 != 0 && c.address == c.rip;
        if c.rip != entry && (jumped_out || self.is_filler(c.rip)) {
            return Ending::Arrived;
        }
        Ending::Exception { vector: c.vector as u8, page: page_fault.then_some((c.address, c.error & 2 != 0)) }
    }

    /// Whether `at` is a place of the code page that was not set.
    fn is_filler(&self, at: u64) -> bool {
        // SAFETY: reads a byte of the oracle's own page.
        (CODE..CODE_END).contains(&at) && unsafe { ptr::read_volatile(at as *const u8) } == HLT
    }
}

/// Code that notes its own address and leads back, without touching a register or a flag.
fn stub(mode: CpuMode, at: u64) -> Vec<u8> {
    let mut code = match mode {
        CpuMode::Long64 => vec![0xc7, 0x04, 0x25],
        // Through the stack segment: the others may be null.
        CpuMode::Protected32 => vec![0x36, 0xc7, 0x05],
    };
    code.extend((PORT as u32).to_le_bytes());
    code.extend((at as u32).to_le_bytes());
    match mode {
        CpuMode::Long64 => {
            code.extend([0xff, 0x24, 0x25]);
            code.extend((PORT as u32 + 8).to_le_bytes());
        }
        CpuMode::Protected32 => {
            code.push(0xea);
            code.extend((PORT_CODE as u32).to_le_bytes());
            code.extend(CS_64.to_le_bytes());
        }
    }
    code
}

/// Makes descriptors for this thread as the layout wants them; whether it got them.
fn set_segments() -> bool {
    /// Linux: `struct user_desc` of `asm/ldt.h`.
    #[repr(C)]
    struct Descriptor {
        entry: u32,
        base: u32,
        limit: u32,
        flags: u32,
    }
    const BITS_32: u32 = 1;
    const LIMIT_IN_PAGES: u32 = 1 << 4;
    SELECTORS_32.into_iter().zip(BASES_32).all(|(selector, base)| {
        let mut descriptor = Descriptor {
            entry: u32::from(selector >> 3),
            base: base as u32,
            limit: 0xf_ffff,
            flags: BITS_32 | LIMIT_IN_PAGES,
        };
        // SAFETY: the kernel reads and writes the structure, which is as it wants it; the entries are for programs, and 64-bit ones do
        // without.
        unsafe { libc::syscall(libc::SYS_set_thread_area, &raw mut descriptor) == 0 }
    })
}

/// Maps the pages of [`super::layout`] and writes the way back.
fn map() -> Result<(), String> {
    if !std::arch::is_x86_feature_detected!("avx") || !std::arch::is_x86_feature_detected!("xsave") {
        return Err("the native oracle needs a processor with AVX and XSAVE".into());
    }
    // SAFETY: asks the kernel a number.
    if unsafe { libc::getauxval(libc::AT_HWCAP2) } & 2 == 0 {
        return Err("the native oracle needs a kernel that lets programs set the bases of fs and gs".into());
    }
    let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    let data = libc::PROT_READ | libc::PROT_WRITE;
    let pages = [(PORT, PAGE, data), (PORT_CODE, PAGE, all), (CODE, PAGE, all), (SCRATCH, SCRATCH_END - SCRATCH, data)];
    for (at, len, protection) in pages {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        // SAFETY: maps new pages and replaces none.
        let got = unsafe { libc::mmap(at as *mut libc::c_void, len as usize, protection, flags, -1, 0) };
        if got as u64 != at {
            return Err(format!("cannot map {at:#x}: {}", std::io::Error::last_os_error()));
        }
    }
    // jmp [PORT + 8], which the distance from the end of the instruction tells.
    let mut code = vec![0xff, 0x25];
    code.extend(((PORT + 8) as i32 - (PORT_CODE as i32 + 6)).to_le_bytes());
    // SAFETY: both pages were mapped just now, and code fits.
    unsafe {
        ptr::write_volatile((PORT + 8) as *mut u64, hokku_oracle_arrive as *const () as u64);
        ptr::copy_nonoverlapping(code.as_ptr(), PORT_CODE as *mut u8, code.len());
    }
    Ok(())
}

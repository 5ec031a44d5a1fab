//! The register that leads translated code to its thread's state: the base of gs.

use std::cell::Cell;

thread_local! {
    static GS_BASE: Cell<u64> = const { Cell::new(0) };
}

/// Makes `base`, the address of a guest thread's state, the calling host thread's.
pub(crate) fn bind(base: u64) {
    if GS_BASE.get() != base {
        set_gs_base(base);
        GS_BASE.set(base);
    }
}

fn set_gs_base(base: u64) {
    const ARCH_SET_GS: libc::c_long = 0x1001;
    // SAFETY: no code but translated code uses gs in a 64-bit Linux process.
    let failed = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, base) };
    assert_eq!(failed, 0, "setting the base of gs");
}

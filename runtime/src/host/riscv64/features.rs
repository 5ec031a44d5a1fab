//! What the processor has, as the kernel tells it or the user says.

use hokku_backend_riscv64::Features;

/// Names of features, separated by commas, instead of what the kernel tells: for tests.
const OVERRIDE: &str = "HOKKU_HOST_FEATURES";

/// A question to `riscv_hwprobe` and its answer. Source: Linux `Documentation/arch/riscv/hwprobe.rst`.
#[repr(C)]
struct Probe {
    key: i64,
    value: u64,
}

/// The features that code may use.
pub(super) fn features() -> Features {
    match std::env::var(OVERRIDE) {
        Ok(list) => Features::from_names(&list).unwrap_or_else(|error| {
            tracing::error!("{OVERRIDE}: {error}; none are used");
            Features::empty()
        }),
        Err(_) => detected(),
    }
}

fn detected() -> Features {
    const RISCV_HWPROBE: libc::c_long = 258;
    const IMA_EXT_0: i64 = 4;
    let mut probe = Probe { key: IMA_EXT_0, value: 0 };
    // SAFETY: one pair, for all processors; kernels that lack the call say so.
    let failed = unsafe { libc::syscall(RISCV_HWPROBE, &raw mut probe, 1usize, 0usize, 0usize, 0u32) } != 0;
    if failed || probe.key != IMA_EXT_0 {
        // SAFETY: a question without side effects.
        return Features::from_hwcap(unsafe { libc::getauxval(libc::AT_HWCAP) });
    }
    Features::from_hwprobe(probe.value)
}

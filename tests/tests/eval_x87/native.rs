//! One instruction on this processor between two FXSAVE images.

/// Bytes of memory that an instruction can reach.
pub(crate) const MEMORY: usize = 128;

/// Memory around an operand, which is at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Area(pub(crate) [u8; MEMORY]);

impl Default for Area {
    fn default() -> Self {
        Area([0; MEMORY])
    }
}

/// An FXSAVE image.
#[repr(C, align(64))]
pub(crate) struct Image([u8; 512]);

impl Default for Image {
    fn default() -> Self {
        Image([0; 512])
    }
}

impl Image {
    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn get<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|i| self.0[at + i])
    }
}

/// Runs one instruction on the state in the image, with `[rdi]` as memory operand and these status flags; gives the flags.
pub(crate) type Native = fn(&mut Image, &mut Area, u32) -> u32;

/// A [`Native`] that runs `$inst`.
macro_rules! native {
    ($($inst:literal),+) => {{
        fn run(image: &mut $crate::native::Image, memory: &mut $crate::native::Area, flags: u32) -> u32 {
            let mut flags = u64::from(flags) | 2;
            // SAFETY: reads and writes the two structures, which are aligned and live, and declared registers; `fninit` leaves
            // nothing pending. Rust's own state of the SSE unit is the default one that the image carries.
            unsafe {
                std::arch::asm!(
                    "fxrstor64 [{image}]", "push {flags}", "popfq",
                    $($inst,)+
                    "pushfq", "pop {flags}", "fxsave64 [{image}]", "fninit",
                    image = in(reg) std::ptr::from_mut(image), flags = inout(reg) flags, in("rdi") std::ptr::from_mut(memory),
                    out("rax") _, out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
                    out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
                    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _, out("xmm6") _,
                    out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _, out("xmm12") _, out("xmm13") _,
                    out("xmm14") _, out("xmm15") _,
                );
            }
            flags as u32
        }
        run as $crate::native::Native
    }};
}
pub(crate) use native;

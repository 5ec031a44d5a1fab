//! The small Haiku roots that come inside hokku.

use std::path::Path;

use hokku_syscall_bridge::{EmbeddedFile, EmbeddedRoot};

use crate::run::Arch;

include!(concat!(env!("OUT_DIR"), "/embedded_files.rs"));

/// All of them.
pub(crate) static ROOTS: &[&EmbeddedRoot] =
    &[&EmbeddedRoot { name: "x86_64", files: X86_64 }, &EmbeddedRoot { name: "x86", files: X86 }];

/// The root for `arch`.
pub(crate) fn root(arch: Arch) -> &'static EmbeddedRoot {
    match arch {
        Arch::X86_64 => ROOTS[0],
        Arch::X86 => ROOTS[1],
    }
}

/// The program called `name` (`hello`, or its whole path) in the root for `arch`.
pub(crate) fn program(arch: Arch, name: &Path) -> Option<&'static [u8]> {
    let name = name.to_str()?;
    let path =
        if name.contains('/') { name.trim_start_matches('/').to_string() } else { format!("boot/system/bin/{name}") };
    root(arch).files.iter().find(|file| file.path == path).map(|file| file.data)
}

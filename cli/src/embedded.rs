//! The small Haiku roots that come inside hokku.

include!(concat!(env!("OUT_DIR"), "/embedded_files.rs"));

use std::path::Path;

use crate::run::Arch;

/// Files of the root for `arch`.
pub(crate) fn files(arch: Arch) -> &'static [(&'static str, &'static [u8])] {
    match arch {
        Arch::X86_64 => X86_64,
        Arch::X86 => X86,
    }
}

/// The program called `name` (`hello`, or its whole path) in the root for `arch`.
pub(crate) fn program(arch: Arch, name: &Path) -> Option<&'static [u8]> {
    let name = name.to_str()?;
    let path =
        if name.contains('/') { name.trim_start_matches('/').to_string() } else { format!("boot/system/bin/{name}") };
    files(arch).iter().find(|(file, _)| *file == path).map(|(_, bytes)| *bytes)
}

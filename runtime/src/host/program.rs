//! This program's file: what further processes of hokku are started from.
//!
//! Where hokku runs under an emulator of user programs (qemu-user), the host's kernel cannot start it by its file alone. `HOKKU_EMULATOR` then
//! names the emulator, which takes the program's path as its first argument; other settings reach it through its own environment.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const EMULATOR: &str = "HOKKU_EMULATOR";
const SELF: &str = "/proc/self/exe";

fn emulator() -> Option<OsString> {
    std::env::var_os(EMULATOR).filter(|name| !name.is_empty())
}

/// Whether an emulator runs this program.
pub fn is_emulated() -> bool {
    emulator().is_some()
}

/// Where the file lies; `None` where the host does not tell.
fn path() -> Option<PathBuf> {
    std::fs::read_link(SELF).ok()
}

/// The words of a command line that start `program`, a program for this processor.
pub fn words_for(program: &Path) -> Vec<OsString> {
    emulator().into_iter().chain([program.as_os_str().to_owned()]).collect()
}

/// The words of a command line that start this program again, whatever its path leads to by now.
pub fn own_words() -> Vec<OsString> {
    match emulator() {
        // The host's link leads to the emulator.
        Some(_) => words_for(&path().unwrap_or_else(|| SELF.into())),
        None => vec![SELF.into()],
    }
}

/// A command that starts `program`, a program for this processor.
pub fn command_for(program: &Path) -> Command {
    command(&words_for(program))
}

/// A command that starts this program again.
pub fn own_command() -> Command {
    command(&own_words())
}

fn command(words: &[OsString]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// Whether process `id` runs this program's file. Processes of other users, which do not tell, do not.
pub fn is_run_by(id: i32) -> bool {
    let Some(own) = path() else { return false };
    if emulator().is_none() {
        return std::fs::read_link(format!("/proc/{id}/exe")).is_ok_and(|exe| exe == own);
    }
    let Ok(line) = std::fs::read(format!("/proc/{id}/cmdline")) else { return false };
    // The emulator leaves its own name out of what it tells a process of itself.
    line.split(|&byte| byte == 0).take(2).any(|word| {
        let program = Path::new(std::str::from_utf8(word).unwrap_or_default());
        std::fs::canonicalize(program).is_ok_and(|program| program == own)
    })
}

/// Tells this build of the running program from others: size and time of its file. (Sources that change while they are compiled can give two
/// programs the same hash of their source.)
pub(crate) fn build() -> String {
    let file = if emulator().is_some() { path().unwrap_or_default() } else { SELF.into() };
    let Ok(file) = std::fs::metadata(file) else { return "unknown".into() };
    format!("{}-{}.{}", file.size(), file.mtime(), file.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_this_program() {
        assert!(is_run_by(std::process::id() as i32));
        assert!(!is_run_by(std::os::unix::process::parent_id() as i32));
        assert!(own_words().len() <= 2);
        assert_ne!(build(), "unknown");
    }
}

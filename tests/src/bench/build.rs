//! Builds hokku and the native forms of the kernels; the guest forms come prebuilt.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The workspace's top folder.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the workspace").to_path_buf()
}

/// What kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// x86_64 baseline.
    X86_64,
    /// 32 bit with SSE2.
    Sse2,
    /// 32 bit as gcc2-era compilers made it: i586 with x87.
    X87,
}

impl Flavour {
    /// All flavours.
    pub const ALL: [Flavour; 3] = [Flavour::X86_64, Flavour::Sse2, Flavour::X87];

    /// Name in tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Flavour::X86_64 => "x86_64",
            Flavour::Sse2 => "x86-sse2",
            Flavour::X87 => "x86-x87",
        }
    }

    /// Folder of the native programs.
    pub fn native_folder(self) -> &'static str {
        match self {
            Flavour::X86_64 => "x86_64",
            Flavour::Sse2 => "i386-sse2",
            Flavour::X87 => "i386-x87",
        }
    }

    /// The compiler's options for the machine.
    pub fn machine(self) -> &'static [&'static str] {
        match self {
            Flavour::X86_64 => &["-m64"],
            Flavour::Sse2 => &["-m32", "-march=i686", "-msse2", "-mfpmath=sse"],
            Flavour::X87 => &["-m32", "-march=i586", "-mfpmath=387"],
        }
    }

    /// The guest's word size, as the folder of its root is called.
    pub fn arch(self) -> &'static str {
        self.guest_folders().0
    }

    /// Folder of the prebuilt guest root, and the kernels' folder in it.
    fn guest_folders(self) -> (&'static str, &'static str) {
        match self {
            Flavour::X86_64 => ("x86_64", "boot/system/bench"),
            Flavour::Sse2 => ("x86", "boot/system/bench-sse2"),
            Flavour::X87 => ("x86", "boot/system/bench-x87"),
        }
    }

    /// Guest root and the path of `kernel` in it; `None` where the kernel does not exist in this flavour.
    pub fn guest(self, kernel: &str) -> Option<(PathBuf, String)> {
        let (arch, folder) = self.guest_folders();
        let root = workspace().join("tests/guest/prebuilt").join(arch);
        let place = format!("{folder}/{kernel}");
        root.join(&place).is_file().then(|| (root, format!("/{place}")))
    }
}

/// Names of all kernels, sorted.
///
/// # Errors
/// Where the kernels' folder cannot be read.
pub fn kernels() -> Result<Vec<String>, String> {
    let dir = workspace().join("tests/bench/kernels");
    let entries = fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut names: Vec<String> =
        entries.filter_map(|e| Some(e.ok()?.file_name().to_str()?.strip_suffix(".c")?.to_string())).collect();
    names.sort();
    Ok(names)
}

/// Builds the native forms of all kernels: static programs with the same options and the same library functions as the guest forms,
/// so that native code is the code that the guest runs. Returns the folder that holds one folder a flavour.
///
/// # Errors
/// What the compiler says.
pub fn native() -> Result<PathBuf, String> {
    let out = target_dir().join("bench");
    run(Command::new("bash").arg(workspace().join("tests/bench/native/native.sh")).arg(&out))?;
    Ok(out)
}

/// Builds the release form of the `hokku` command and returns it.
///
/// # Errors
/// What cargo says.
pub fn hokku() -> Result<PathBuf, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    run(build.args(["build", "--release", "--quiet", "--package", "hokku"]).current_dir(workspace()))?;
    Ok(target_dir().join("release/hokku"))
}

/// Cargo's target folder.
pub(super) fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// Runs `command` and returns what it printed.
pub(super) fn run(command: &mut Command) -> Result<Vec<u8>, String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}

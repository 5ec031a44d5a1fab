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

    fn flags(self) -> &'static [&'static str] {
        match self {
            Flavour::X86_64 => &["-m64"],
            Flavour::Sse2 => &["-m32", "-march=i686", "-msse2", "-mfpmath=sse"],
            Flavour::X87 => &["-m32", "-march=i586", "-mfpmath=387"],
        }
    }
}

/// Names of all kernels, sorted.
///
/// # Errors
/// Where the kernels' folder cannot be read.
pub fn kernels() -> Result<Vec<String>, String> {
    let dir = workspace().join("tests/bench/kernels");
    let entries = fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|e| Some(e.ok()?.file_name().to_str()?.strip_suffix(".c")?.to_string()))
        .filter(|name| name != "linux_shim")
        .collect();
    names.sort();
    Ok(names)
}

/// Compiles `kernel` for this machine's own system and returns the program: 64-bit ones with the C library, 32-bit ones
/// free-standing, so that no 32-bit libraries are needed.
///
/// # Errors
/// What the compiler says.
pub fn native(kernel: &str, flavour: Flavour) -> Result<PathBuf, String> {
    let top = workspace();
    let out = target_dir().join("bench").join(flavour.name());
    fs::create_dir_all(&out).map_err(|e| format!("{}: {e}", out.display()))?;
    let program = out.join(kernel);
    let source = |name: &str| top.join("tests/bench/kernels").join(format!("{name}.c"));
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=gnu11", "-O2", "-fcf-protection=none", "-fno-stack-protector"]).args(flavour.flags());
    if flavour == Flavour::X86_64 {
        gcc.arg(source(kernel)).arg("-lm");
    } else {
        let include = Command::new("gcc").arg("-print-file-name=include").output().map_err(|e| format!("gcc: {e}"))?;
        gcc.args(["-nostdlib", "-nostartfiles", "-static", "-nostdinc", "-isystem"])
            .arg(String::from_utf8_lossy(&include.stdout).trim())
            .arg("-I")
            .arg(top.join("tests/guest/include"))
            .arg(source(kernel))
            .arg(source("linux_shim"))
            .arg(top.join("tests/guest/glue/wide_math.c"));
    }
    run(gcc.arg("-o").arg(&program))?;
    Ok(program)
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

fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}

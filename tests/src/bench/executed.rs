//! Counts executed instructions under qemu-user: the host's, of hokku with a kernel as its guest; the guest's, of the kernel as a native program of the
//! guest's processor; the host's again, of the kernel compiled for it. Start-up is cancelled: each runs `n` and `2 n` rounds, and the difference counts.
//!
//! qemu counts each turn of a repeated string instruction as an instruction.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::build::{self, Flavour, run, target_dir, workspace};
use super::report::{Executed, ExecutedRow};

/// A host, as qemu shows it.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Name on the command line and in tables.
    pub name: &'static str,
    /// Processor, as in the names of `.ci/cross`, compilers and emulators.
    host: &'static str,
    /// Rust's name for it.
    target: &'static str,
    /// What `-cpu` is given.
    cpu: &'static str,
    /// The features that hokku is to use, where it cannot find them out: qemu 7.2 tells nothing of riscv64's.
    features: Option<&'static str>,
    /// Options for the compiler.
    compile: &'static [&'static str],
}

impl Machine {
    /// All machines.
    pub const ALL: [Machine; 4] = [
        Machine::riscv64("riscv64", "rv64", "", &["-march=rv64gc"]),
        Machine::riscv64(
            "riscv64-zb",
            "rv64,zba=true,zbb=true,zbs=true",
            "zba,zbb,zbs",
            &["-march=rv64gc_zba_zbb_zbs"],
        ),
        // Compilers of 2022 have no vector instructions.
        Machine::riscv64(
            "riscv64-v",
            "rv64,zba=true,zbb=true,zbs=true,v=true,vlen=128,vext_spec=v1.0",
            "zba,zbb,zbs,v",
            &["-march=rv64gc_zba_zbb_zbs"],
        ),
        Machine {
            name: "aarch64",
            host: "aarch64",
            target: "aarch64-unknown-linux-gnu",
            cpu: "max",
            features: None,
            compile: &["-march=armv8.2-a"],
        },
    ];

    const fn riscv64(
        name: &'static str,
        cpu: &'static str,
        features: &'static str,
        compile: &'static [&'static str],
    ) -> Machine {
        let (host, target) = ("riscv64", "riscv64gc-unknown-linux-gnu");
        Machine { name, host, target, cpu, features: Some(features), compile }
    }

    /// The machine called `name`.
    ///
    /// # Errors
    /// Where there is none.
    pub fn named(name: &str) -> Result<Machine, String> {
        let names = || Machine::ALL.map(|m| m.name).join(", ");
        Machine::ALL
            .into_iter()
            .find(|m| m.name == name)
            .ok_or_else(|| format!("there is no {name}; there are {}", names()))
    }

    fn emulator(&self) -> String {
        format!("qemu-{}", self.host)
    }

    /// Builds the release form of `hokku` for this host.
    fn hokku(&self) -> Result<PathBuf, String> {
        let cross = workspace().join(".ci/cross");
        let line = [self.host, "cargo", "build", "--release", "--quiet", "--package", "hokku"];
        run(Command::new(cross).args(line).current_dir(workspace()))?;
        Ok(target_dir().join(self.target).join("release/hokku"))
    }

    /// Compiles `kernel` for this host; `None` where it holds what only x86 has.
    fn compile(&self, kernel: &str) -> Result<Option<PathBuf>, String> {
        if kernel.starts_with("sse2_") || matches!(kernel, "bignum" | "repstring") {
            return Ok(None);
        }
        let folder = target_dir().join("bench").join(self.name);
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let out = folder.join(kernel);
        let source = workspace().join("tests/bench/kernels").join(format!("{kernel}.c"));
        let mut gcc = Command::new(format!("{}-linux-gnu-gcc", self.host));
        gcc.args(["-std=gnu11", "-O2", "-static"]).args(self.compile).arg("-o").arg(&out).arg(source).arg("-lm");
        run(&mut gcc).map(|_| Some(out))
    }
}

/// Counts what commands execute.
struct Counter {
    plugin: PathBuf,
    counts: PathBuf,
}

impl Counter {
    fn build() -> Result<Counter, String> {
        let folder = target_dir().join("bench");
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let plugin = folder.join("count.so");
        let source = workspace().join("tests/bench/count/plugin.c");
        run(Command::new("gcc").args(["-O2", "-Wall", "-shared", "-fPIC", "-o"]).arg(&plugin).arg(source))?;
        Ok(Counter { plugin, counts: folder.join(format!("counts-{}", std::process::id())) })
    }

    /// Runs `words` under `emulator`, as on `machine` if it is not a guest's; gives how many instructions it executed, how many of them translated ones, and what it printed.
    fn run(&self, emulator: &str, machine: Option<&Machine>, words: &[&str]) -> Result<(u64, u64, Vec<u8>), String> {
        let mut command = Command::new(emulator);
        if let Some(Machine { host, cpu, features, .. }) = machine {
            let prefix = format!("/usr/{host}-linux-gnu");
            command.envs([("QEMU_CPU", *cpu), ("QEMU_LD_PREFIX", &prefix), ("HOKKU_EMULATOR", emulator)]);
            command.envs(features.map(|features| ("HOKKU_HOST_FEATURES", features)));
        }
        command.arg("-plugin").arg(format!("{},out={}", self.plugin.display(), self.counts.display()));
        let output = run(command.args(words))?;
        let text = fs::read_to_string(&self.counts).map_err(|e| format!("{}: {e}", self.counts.display()))?;
        let mut numbers = text.split_whitespace().map(|n| n.parse::<u64>().map_err(|e| format!("{n}: {e}")));
        let mut next = || numbers.next().unwrap_or_else(|| Err("the plugin wrote no counts".into()));
        Ok((next()?, next()?, output))
    }

    /// Instructions of `n` rounds, all and translated ones: those of `2 n` less those of `n`; and the output of the latter.
    fn rounds(
        &self,
        emulator: &str,
        machine: Option<&Machine>,
        words: &[&str],
        n: u64,
    ) -> Result<(u64, u64, Vec<u8>), String> {
        let with = |n: u64| {
            let rounds = n.to_string();
            let words: Vec<&str> = words.iter().copied().chain([rounds.as_str()]).collect();
            self.run(emulator, machine, &words)
        };
        let (once, twice) = (with(n)?, with(2 * n)?);
        Ok((twice.0.saturating_sub(once.0), twice.1.saturating_sub(once.1), once.2))
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        // It is there only once something was counted.
        let _ = fs::remove_file(&self.counts);
    }
}

/// How many rounds `kernel` makes if it is not told otherwise: about 0.4 s of native work.
///
/// # Errors
/// Where its source does not say.
pub fn standard_rounds(kernel: &str) -> Result<u64, String> {
    let source = workspace().join("tests/bench/kernels").join(format!("{kernel}.c"));
    let text = fs::read_to_string(&source).map_err(|e| format!("{}: {e}", source.display()))?;
    let number = text.split("kernel_scale(argc, argv, ").nth(1).and_then(|rest| rest.split(')').next());
    number.and_then(|n| n.parse().ok()).ok_or_else(|| format!("{}: how many rounds?", source.display()))
}

/// Counts `kernels` of `flavour` on `machines`, a `share` (one divided by it) of their standard rounds; `options` are more of `hokku run`'s.
///
/// # Errors
/// What compilers and emulators say, but for what hokku itself fails at: that is in the rows.
pub fn measure(
    machines: &[Machine],
    flavour: Flavour,
    kernels: &[String],
    share: u64,
    options: &[String],
) -> Result<Executed, String> {
    let native = build::native()?.join(flavour.native_folder());
    let hokkus = machines.iter().map(Machine::hokku).collect::<Result<Vec<_>, _>>()?;
    let counter = Counter::build()?;
    let guest_emulator = if flavour == Flavour::X86_64 { "qemu-x86_64" } else { "qemu-i386" };
    let mut rows = Vec::new();
    for kernel in kernels {
        let Some((root, guest)) = flavour.guest(kernel) else { continue };
        // Fibonacci numbers are asked for by index: one more takes 1.6 times as long.
        let rounds = (standard_rounds(kernel)? / if kernel == "fib" { 2 } else { share }).max(1);
        let path = native.join(kernel);
        let (guest_count, _, expected) = counter.rounds(guest_emulator, None, &[&text(&path)], rounds)?;
        let mut row =
            ExecutedRow { kernel: kernel.clone(), guest: guest_count, hokku: vec![], native: vec![], errors: vec![] };
        for (machine, hokku) in machines.iter().zip(&hokkus) {
            let (emulator, on) = (machine.emulator(), Some(machine));
            let (hokku, root) = (text(hokku), text(&root));
            let mut words = vec![hokku.as_str(), "run", "--no-cache", "--root", &root, "--engine", "jit"];
            words.extend(options.iter().map(String::as_str));
            words.push(&guest);
            let counted = match counter.rounds(&emulator, on, &words, rounds) {
                Ok((count, _, output)) if output == expected => Ok(count),
                Ok(_) => Err("wrong output".to_string()),
                Err(error) => Err(error),
            };
            row.hokku.push(counted.as_ref().ok().copied());
            row.errors.extend(counted.err().map(|error| format!("{}: {error}", machine.name)));
            let compiled = machine.compile(kernel)?;
            let own = compiled.map(|path| counter.rounds(&emulator, on, &[&text(&path)], rounds)).transpose()?;
            row.native.push(own.map(|(count, ..)| count));
        }
        eprintln!("{} {kernel}: {}", flavour.name(), row.text());
        rows.push(row);
    }
    let machines = machines.iter().map(|m| m.name.to_string()).collect();
    Ok(Executed { flavour: flavour.name().into(), machines, rows })
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kernel_tells_its_rounds() {
        for kernel in build::kernels().expect("the kernels") {
            assert!(standard_rounds(&kernel).expect("the rounds") > 1, "{kernel}");
        }
    }

    #[test]
    fn counts_are_exact_where_qemu_is() {
        let is_there = |name: &str| {
            std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|p| p.join(name).is_file())
        };
        if !is_there("qemu-x86_64") || !is_there("gcc") || cfg!(not(target_arch = "x86_64")) {
            return;
        }
        let counter = Counter::build().expect("the plugin");
        let folder = target_dir().join("bench");
        let (source, program) = (folder.join("loop.s"), folder.join(format!("loop-{}", std::process::id())));
        let code =
            ".globl _start\n_start: mov $100, %ecx\n1: dec %ecx\njnz 1b\nmov $60, %eax\nxor %edi, %edi\nsyscall\n";
        fs::write(&source, code).expect("the source");
        run(Command::new("gcc").args(["-nostdlib", "-static", "-o"]).arg(&program).arg(&source)).expect("the program");
        let (all, translated, _) = counter.run("qemu-x86_64", None, &[&text(&program)]).expect("the counts");
        assert_eq!((all, translated), (1 + 2 * 100 + 3, 0));
        fs::remove_file(program).expect("the program is there");
    }
}

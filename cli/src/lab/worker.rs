//! Runs lab cases one after the other in this process.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use hokku_ir::eval::cpuid::CpuModel;
use hokku_ir::guest::F80;
use hokku_ir::{CpuFeatures, CpuMode, CpuState, Gpr, GuestAddr, Seg, SyscallKind};
use hokku_runtime::{FaultKind, GuestFault, Personality, Placement, Prot, Resume, Team, TeamConfig, Thread, Tiering};

use super::case::{Case, Fnv1a, Hex, Memory, Outcome, Register, Stop, from_hex, to_hex};
use crate::EngineName;
use crate::cpu::CpuOption;

/// Other names than [`CpuFeatures`]' own that a case may use for a processor's features: letters and digits count, case does not.
const OTHER_NAMES: &[(&str, CpuFeatures)] = &[
    ("x87", CpuFeatures::FPU),
    ("cmpxchg8b", CpuFeatures::CX8),
    ("cmpxchg16b", CpuFeatures::CX16),
    ("clflush", CpuFeatures::CLFSH),
    ("lahf", CpuFeatures::LAHF64),
    ("fma3", CpuFeatures::FMA),
    ("pclmul", CpuFeatures::PCLMULQDQ),
    ("clmul", CpuFeatures::PCLMULQDQ),
    ("aesni", CpuFeatures::AES),
    ("shani", CpuFeatures::SHA),
    ("abm", CpuFeatures::LZCNT),
    ("bmi", CpuFeatures::BMI1),
    ("x8664v1", CpuFeatures::X86_64_V1),
    ("x8664v2", CpuFeatures::X86_64_V2),
    ("x8664v3", CpuFeatures::X86_64_V3),
];

/// Answers each line of stdin by one line on stdout.
pub(crate) fn run(engine: EngineName, cpu: &CpuOption, tiering: Tiering, dir: &Path) -> Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line.context("cannot read cases")?;
        let case: Case = serde_json::from_str(&line).context("not a case")?;
        let outcome = run_case(&case, engine, cpu, tiering, dir)
            .unwrap_or_else(|error| Outcome::without_state(&case.id, "setup_error", Some(format!("{error:#}"))));
        writeln!(out, "{}", serde_json::to_string(&outcome)?).context("cannot write results")?;
        out.flush().context("cannot write results")?;
    }
    Ok(())
}

/// The system of a lab case: none. Whatever leaves plain guest code ends the case.
#[derive(Default)]
struct Lab {
    stop: Mutex<Option<Stop>>,
}

impl Lab {
    fn end(&self, stop: Stop) -> Resume {
        self.stop.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert(stop);
        Resume::LeaveThread
    }
}

fn signal(signo: u32, addr: u64) -> Stop {
    Stop { reason: "signal".into(), signo: Some(signo), addr: Some(Hex(addr)), message: None }
}

impl Personality for Lab {
    fn syscall(&self, thread: &mut Thread, kind: SyscallKind, at: GuestAddr) -> Resume {
        thread.cpu.rip = at.0;
        self.end(match kind {
            SyscallKind::Int(_) => signal(11, 0),
            SyscallKind::Syscall | SyscallKind::Sysenter => signal(4, at.0),
        })
    }

    fn fault(&self, thread: &mut Thread, fault: GuestFault) -> Resume {
        thread.cpu.rip = fault.at.0;
        let at = fault.at.0;
        self.end(match fault.kind {
            FaultKind::Halt => Stop { reason: "hlt".into(), ..Stop::default() },
            FaultKind::Page(memory) => signal(11, memory.address.0),
            FaultKind::Protection | FaultKind::Overflow | FaultKind::Bound => signal(11, 0),
            FaultKind::Stack => signal(7, 0),
            FaultKind::InvalidOpcode => signal(4, at),
            FaultKind::Untranslated(bytes) => {
                Stop { message: Some(format!("not translated yet: {}", to_hex(&bytes))), ..signal(4, at) }
            }
            FaultKind::Divide | FaultKind::X87 | FaultKind::SimdFloat => signal(8, at),
            FaultKind::Breakpoint | FaultKind::Debug => signal(5, at),
        })
    }

    fn interrupted(&self, _thread: &mut Thread) -> Resume {
        self.end(Stop { reason: "timeout".into(), ..Stop::default() })
    }
}

/// Runs one case on `engine`; files of data are looked up in `dir`.
pub(crate) fn run_case(
    case: &Case,
    engine: EngineName,
    cpu: &CpuOption,
    tiering: Tiering,
    dir: &Path,
) -> Result<Outcome> {
    let (processor, x87) = (cpu.model, cpu.x87);
    if case.v != 1 {
        bail!("format version {} is not 1", case.v);
    }
    if let Some(feature) = case.features.iter().find(|f| !has_feature(processor, f)) {
        return Ok(Outcome::without_state(&case.id, "unsupported", Some(format!("no {feature}"))));
    }
    let lab = Arc::new(Lab::default());
    let config = TeamConfig { processor, x87, tiering, ..TeamConfig::new(case.mode, engine.engine()) };
    let team = Team::new(&config, lab.clone())?;
    fill_memory(&team, case, dir)?;
    let mut cpu = CpuState::new(case.mode);
    for (name, value) in &case.regs {
        set_register(&mut cpu, name, value).with_context(|| format!("register {name}"))?;
    }
    let mut thread = team.attach(cpu, Box::new(()))?;
    let handle = thread.handle();
    let (done, ended) = std::sync::mpsc::channel::<()>();
    let limit = Duration::from_millis(case.timeout_ms);
    let timer = thread::spawn(move || {
        if ended.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            handle.interrupt();
        }
    });
    thread.run();
    drop(done);
    timer.join().map_err(|_| anyhow!("the timer failed"))?;
    thread.sync_x87();
    let stop = lab.stop.lock().unwrap_or_else(|e| e.into_inner()).take().context("the case ended without a reason")?;
    let regs = Some(registers(&thread.cpu, case.mode, processor));
    let mem = case.dump.iter().map(|d| dump(&team, d.addr, d.size, d.raw)).collect::<Result<_>>()?;
    drop(thread);
    // The next case wants to use its addresses.
    team.close();
    Ok(Outcome { v: 1, id: case.id.clone(), stop, regs, mem })
}

/// Whether `processor` has the feature that a case calls `name`.
fn has_feature(processor: CpuModel, name: &str) -> bool {
    let plain = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let wanted = plain(name);
    let own = CpuFeatures::all().iter_names().find(|(name, _)| plain(name) == wanted).map(|(_, feature)| feature);
    let other = || OTHER_NAMES.iter().find(|(name, _)| *name == wanted).map(|(_, feature)| *feature);
    own.or_else(other).is_some_and(|feature| processor.features.contains(feature))
}

fn fill_memory(team: &Team, case: &Case, dir: &Path) -> Result<()> {
    for m in &case.map {
        let writable = Prot::READ | Prot::WRITE;
        team.memory
            .map_anonymous(Placement::Replace(GuestAddr(m.addr.0)), m.size.0, writable, false)
            .with_context(|| format!("map {} + {}", m.addr, m.size))?;
    }
    for d in &case.data {
        let bytes = match (&d.hex, &d.file) {
            (Some(hex), None) => from_hex(hex).map_err(|e| anyhow!("data at {}: {e}", d.addr))?,
            (None, Some(file)) => {
                let path = dir.join(file);
                fs::read(&path).with_context(|| path.display().to_string())?
            }
            _ => bail!("data at {} needs either hex or file", d.addr),
        };
        team.memory
            .write_bytes(GuestAddr(d.addr.0), &bytes)
            .map_err(|e| anyhow!("data at {} + {:#x}: {e}", d.addr, bytes.len()))?;
    }
    for m in &case.map {
        let prot = match m.prot.as_str() {
            "r" => Prot::READ,
            "rw" => Prot::READ | Prot::WRITE,
            "rx" => Prot::READ | Prot::EXECUTE,
            "rwx" => Prot::READ | Prot::WRITE | Prot::EXECUTE,
            "none" => Prot::empty(),
            other => bail!("prot {other:?} is none of r, rw, rx, rwx, none"),
        };
        team.memory.protect(GuestAddr(m.addr.0), m.size.0, prot).with_context(|| format!("protect {}", m.addr))?;
    }
    Ok(())
}

fn one(value: &Register) -> Result<u64> {
    match value {
        Register::One(Hex(n)) => Ok(*n),
        Register::Lanes(lanes) => bail!("{} lanes where one number is expected", lanes.len()),
    }
}

fn set_register(cpu: &mut CpuState, name: &str, value: &Register) -> Result<()> {
    if let Some(reg) = Gpr::from_name(name) {
        cpu.set(reg, one(value)?);
        return Ok(());
    }
    if let Some(n) = numbered(name, "fpr", 8) {
        let Register::Lanes(lanes) = value else { bail!("needs mantissa and sign with exponent") };
        let [mantissa, sign_exponent] = lanes.as_slice() else { bail!("needs two numbers, not {}", lanes.len()) };
        cpu.x87.regs[n] =
            F80 { significand: mantissa.0, sign_exponent: u16::try_from(sign_exponent.0)?, padding: [0; 3] };
        return Ok(());
    }
    if let Some(n) = numbered(name, "xmm", 16).or_else(|| numbered(name, "ymm", 16)) {
        let Register::Lanes(lanes) = value else { bail!("needs lanes") };
        if lanes.len() > 4 {
            bail!("{} lanes are too many", lanes.len());
        }
        for (to, from) in cpu.vector[n].iter_mut().zip(lanes) {
            *to = from.0;
        }
        return Ok(());
    }
    let value = one(value)?;
    match name {
        "rip" => cpu.rip = value,
        "rflags" => cpu.set_eflags(value as u32),
        "mxcsr" => cpu.mxcsr = u32::try_from(value)?,
        "fcw" => cpu.x87.control = u16::try_from(value)?,
        "fsw" => cpu.x87.status = u16::try_from(value)?,
        "ftw" => cpu.x87.tags = u8::try_from(value)?,
        "fs_base" => cpu.segment_base[Seg::Fs.index()] = value,
        "gs_base" => cpu.segment_base[Seg::Gs.index()] = value,
        _ => bail!("there is no such register"),
    }
    Ok(())
}

fn numbered(name: &str, prefix: &str, count: usize) -> Option<usize> {
    name.strip_prefix(prefix)?.parse().ok().filter(|n| *n < count)
}

/// The registers that `processor` has: of vectors the whole of those with AVX.
fn registers(cpu: &CpuState, mode: CpuMode, processor: CpuModel) -> BTreeMap<String, Register> {
    let mut regs = BTreeMap::new();
    let mut add = |name: String, value: Register| {
        regs.insert(name, value);
    };
    let one = |value: u64| Register::One(Hex(value));
    let count = mode.gpr_count();
    for reg in &Gpr::ALL[..count] {
        add(reg.name().into(), one(cpu.get(*reg)));
    }
    let (prefix, length) = if processor.features.contains(CpuFeatures::AVX) { ("ymm", 4) } else { ("xmm", 2) };
    for (n, lanes) in cpu.vector.iter().take(count).enumerate() {
        add(format!("{prefix}{n}"), Register::Lanes(lanes[..length].iter().map(|l| Hex(*l)).collect()));
    }
    for (n, reg) in cpu.x87.regs.iter().enumerate() {
        add(format!("fpr{n}"), Register::Lanes(vec![Hex(reg.significand), Hex(u64::from(reg.sign_exponent))]));
    }
    add("rip".into(), one(cpu.rip));
    add("rflags".into(), one(u64::from(cpu.eflags())));
    add("mxcsr".into(), one(u64::from(cpu.mxcsr)));
    add("fcw".into(), one(u64::from(cpu.x87.control)));
    add("fsw".into(), one(u64::from(cpu.x87.status)));
    add("ftw".into(), one(u64::from(cpu.x87.tags)));
    regs
}

/// Reports `size` bytes at `addr`, a part at a time: a case may ask for more than the host has memory.
fn dump(team: &Team, addr: Hex, size: Hex, raw: bool) -> Result<Memory> {
    const PART: u64 = 1 << 16;
    let mut part = vec![0; size.0.min(PART) as usize];
    let mut hash = Fnv1a::default();
    let mut hex = raw.then(String::new);
    let mut done = 0;
    while done < size.0 {
        let part = &mut part[..(size.0 - done).min(PART) as usize];
        team.memory
            .read_bytes(GuestAddr(addr.0.wrapping_add(done)), part)
            .map_err(|e| anyhow!("dump of {addr} + {size}: {e}"))?;
        hash.add(part);
        if let Some(hex) = &mut hex {
            hex.push_str(&to_hex(part));
        }
        done += part.len() as u64;
    }
    Ok(Memory { addr, size, fnv1a: format!("{:016x}", hash.value()), hex })
}

//! What a team leaves for the process that it becomes by `exec`, or that it starts by `load_image`: a memory file that the new process reads.

use std::ffi::OsString;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;

use hokku_ir::X87Arithmetic;
use hokku_ir::eval::cpuid::CpuModel;
use hokku_runtime::{DiskCacheConfig, Engine, Tiering, Tiers};
use rustix::fs::{MemfdFlags, memfd_create};

use super::files::LinuxFiles;
use super::namespace::Node;
use super::open_file::OpenFile;
use super::{files, raw};
use crate::abi::fs::OpenMode;
use crate::abi::{Status, SysResult};
use crate::kernel::{At, DescriptorFlags, Paths, ProgramStart};
use crate::root::{EmbeddedRoot, GuestRoot, Share};
use crate::run::Strace;
use crate::team::waiting::lock;

/// First argument of a process that takes a team over; the second is the number of the descriptor to read.
const ARGUMENT: &str = "--hokku-team";

/// Settings that a team passes on to the teams that it starts.
#[derive(Clone, Debug)]
pub struct TeamSetup {
    /// The guest's root.
    pub root: GuestRoot,
    /// What is shared into it.
    pub shares: Vec<Share>,
    /// How guest code is run.
    pub engine: Engine,
    /// The guest's processor.
    pub processor: CpuModel,
    /// When the JIT translates code, and how well.
    pub tiering: Tiering,
    /// What x87 instructions may compute in.
    pub x87: X87Arithmetic,
    /// Where calls are traced to.
    pub strace: Option<Strace>,
    /// Whether to write a map for Linux's `perf`.
    pub perf_map: bool,
    /// Bytes for translated code.
    pub code_cache_bytes: usize,
    /// Where translations are kept.
    pub disk_cache: Option<DiskCacheConfig>,
    /// The clock's factor, so that all teams' clocks agree.
    pub clock_factor: u32,
}

/// An open file that is passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PassedFile {
    guest: i32,
    host: i32,
    mode: u32,
    borrowed: bool,
    clofork: bool,
    /// Guest path of a directory; empty for other files.
    dir: Vec<u8>,
}

/// Everything that a new process needs to be a team.
#[derive(Debug)]
pub struct Handover {
    /// Settings.
    pub setup: TeamSetup,
    /// The program.
    pub start: ProgramStart,
    /// Guest path of the working directory.
    pub cwd: Vec<u8>,
    /// The starter's end of a socket over which the new team reports that it is loaded, and is resumed.
    pub starter: Option<OwnedFd>,
    /// Whether to wait to be resumed before anything runs, not once it is loaded.
    pub hold_at_start: bool,
    files: Vec<PassedFile>,
}

/// The descriptors that the new process must find open.
pub(super) struct Kept {
    pub(super) numbers: Vec<i32>,
    /// Keeps them open until then.
    _files: Vec<Arc<OwnedFd>>,
}

/// What is written for a new process: its memory file, and what else must stay open.
pub(super) struct Written {
    pub(super) memory: OwnedFd,
    pub(super) kept: Kept,
}

impl Written {
    /// Arguments of the new process.
    pub(super) fn arguments(&self) -> [String; 2] {
        [ARGUMENT.to_owned(), self.memory.as_raw_fd().to_string()]
    }
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn int(&mut self, value: impl Into<i64>) {
        self.0.extend_from_slice(&value.into().to_le_bytes());
    }
    fn word(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
    fn list(&mut self, list: &[Vec<u8>]) {
        self.word(list.len() as u64);
        list.iter().for_each(|b| self.bytes(b));
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> SysResult<&'a [u8]> {
        if n > self.0.len() {
            return Err(Status::B_BAD_DATA);
        }
        let (head, rest) = self.0.split_at(n);
        self.0 = rest;
        Ok(head)
    }
    fn word(&mut self) -> SysResult<u64> {
        let mut raw = [0; 8];
        raw.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(raw))
    }
    fn int<T: TryFrom<i64>>(&mut self) -> SysResult<T> {
        T::try_from(self.word()? as i64).map_err(|_| Status::B_BAD_DATA)
    }
    fn flag(&mut self) -> SysResult<bool> {
        Ok(self.word()? != 0)
    }
    fn bytes(&mut self) -> SysResult<Vec<u8>> {
        let n = usize::try_from(self.word()?).map_err(|_| Status::B_BAD_DATA)?;
        Ok(self.take(n)?.to_vec())
    }
    fn list(&mut self) -> SysResult<Vec<Vec<u8>>> {
        let n = self.word()?;
        (0..n).map(|_| self.bytes()).collect()
    }
    fn path(&mut self) -> SysResult<PathBuf> {
        Ok(PathBuf::from(OsString::from_vec(self.bytes()?)))
    }
}

fn write_setup(w: &mut Writer, setup: &TeamSetup) {
    match &setup.root {
        GuestRoot::Folder(path) => w.bytes(path.as_os_str().as_bytes()),
        GuestRoot::Embedded(root) => {
            w.bytes(b"");
            w.bytes(root.name.as_bytes());
        }
    }
    w.word(setup.shares.len() as u64);
    for share in &setup.shares {
        w.bytes(share.host.as_os_str().as_bytes());
        w.bytes(&share.guest);
    }
    w.word(u64::from(setup.engine == Engine::Jit));
    w.bytes(setup.processor.name.as_bytes());
    let Tiering { tiers, threshold, background, without } = setup.tiering;
    w.word(tiers as u64);
    w.word(threshold.into());
    w.word(background.into());
    w.word(without.into());
    w.word(u64::from(setup.x87 == X87Arithmetic::Double));
    match &setup.strace {
        None => w.word(0),
        Some(Strace::Stderr) => w.word(1),
        Some(Strace::File(path)) => {
            w.word(2);
            w.bytes(path.as_os_str().as_bytes());
        }
    }
    w.word(u64::from(setup.perf_map));
    w.word(setup.code_cache_bytes as u64);
    w.word(u64::from(setup.disk_cache.is_some()));
    if let Some(disk) = &setup.disk_cache {
        w.bytes(disk.folder.as_os_str().as_bytes());
        w.word(disk.limit);
    }
    w.word(setup.clock_factor.into());
}

fn read_setup(r: &mut Reader<'_>, embedded: &[&'static EmbeddedRoot]) -> SysResult<TeamSetup> {
    let root = r.path()?;
    let root = if root.as_os_str().is_empty() {
        let name = r.bytes()?;
        let found = embedded.iter().find(|e| e.name.as_bytes() == name);
        GuestRoot::Embedded(found.ok_or(Status::B_BAD_DATA)?)
    } else {
        GuestRoot::Folder(root)
    };
    let count = r.word()?;
    let shares = (0..count).map(|_| Ok(Share { host: r.path()?, guest: r.bytes()? })).collect::<SysResult<_>>()?;
    Ok(TeamSetup {
        root,
        shares,
        engine: if r.flag()? { Engine::Jit } else { Engine::Interp },
        processor: processor(r)?,
        tiering: read_tiering(r)?,
        x87: if r.flag()? { X87Arithmetic::Double } else { X87Arithmetic::Exact },
        strace: match r.word()? {
            0 => None,
            1 => Some(Strace::Stderr),
            _ => Some(Strace::File(r.path()?)),
        },
        perf_map: r.flag()?,
        code_cache_bytes: r.int()?,
        disk_cache: if r.flag()? { Some(DiskCacheConfig { folder: r.path()?, limit: r.word()? }) } else { None },
        clock_factor: r.int()?,
    })
}

fn processor(r: &mut Reader<'_>) -> SysResult<CpuModel> {
    let name = r.bytes()?;
    CpuModel::ALL.iter().find(|m| m.name.as_bytes() == name).copied().ok_or(Status::B_BAD_DATA)
}

fn read_tiering(r: &mut Reader<'_>) -> SysResult<Tiering> {
    let tiers = match r.word()? {
        0 => Tiers::First,
        1 => Tiers::Second,
        _ => Tiers::Both,
    };
    Ok(Tiering { tiers, threshold: r.int()?, background: r.flag()?, without: r.int()? })
}

fn write_start(w: &mut Writer, start: &ProgramStart) {
    w.bytes(&start.path);
    w.list(&start.args);
    w.list(&start.env);
    w.int(start.umask.map_or(-1, i64::from));
    w.int(start.error_port);
    w.int(start.error_token);
    w.word(start.signal_mask);
    w.word(start.ignored_signals);
    w.int(start.priority);
}

fn read_start(r: &mut Reader<'_>) -> SysResult<ProgramStart> {
    Ok(ProgramStart {
        path: r.bytes()?,
        args: r.list()?,
        env: r.list()?,
        umask: u32::try_from(r.int::<i64>()?).ok(),
        error_port: r.int()?,
        error_token: r.int()?,
        signal_mask: r.word()?,
        ignored_signals: r.word()?,
        priority: r.int()?,
    })
}

/// Writes what a new process needs. Descriptors that are closed on exec are left out.
pub(super) fn write(
    files: &LinuxFiles,
    setup: &TeamSetup,
    start: &ProgramStart,
    starter: Option<BorrowedFd<'_>>,
    hold_at_start: bool,
) -> SysResult<Written> {
    let mut w = Writer::default();
    write_setup(&mut w, setup);
    write_start(&mut w, start);
    let cwd = lock(&files.cwd).path();
    w.bytes(&cwd);
    w.int(starter.map_or(-1, |fd| fd.as_raw_fd()));
    w.word(u64::from(hold_at_start));
    let mut kept = Kept { numbers: starter.iter().map(AsRawFd::as_raw_fd).collect(), _files: Vec::new() };
    let table = files.table();
    w.int(table.limit());
    let passed: Vec<_> = table.iter().filter(|(_, d)| !d.flags.cloexec).collect();
    w.word(passed.len() as u64);
    for (guest, descriptor) in passed {
        let file = &descriptor.file;
        w.int(guest);
        w.int(file.host.as_raw_fd());
        w.int(file.mode().bits());
        w.word(u64::from(file.borrowed));
        w.word(u64::from(descriptor.flags.clofork));
        w.bytes(&file.dir().map(|d| d.path()).unwrap_or_default());
        kept.numbers.push(file.host.as_raw_fd());
        kept._files.push(Arc::clone(&file.host));
    }
    let memory = memfd_create("hokku-team", MemfdFlags::CLOEXEC)?;
    let mut written = 0;
    while written < w.0.len() {
        written += rustix::io::pwrite(&memory, &w.0[written..], written as u64)?;
    }
    kept.numbers.push(memory.as_raw_fd());
    Ok(Written { memory, kept })
}

impl Handover {
    /// What this process was started to take over; `None` for an ordinary start. `embedded` are the embedded roots that there are.
    pub fn take(arguments: &[OsString], embedded: &[&'static EmbeddedRoot]) -> SysResult<Option<(Handover, i32)>> {
        let [_, argument, number] = arguments else { return Ok(None) };
        if argument != ARGUMENT {
            return Ok(None);
        }
        let number: i32 = number.to_str().and_then(|n| n.parse().ok()).ok_or(Status::B_BAD_VALUE)?;
        let memory = raw::take_over(number)?;
        let size = usize::try_from(rustix::fs::fstat(&memory)?.st_size).map_err(|_| Status::B_BAD_DATA)?;
        let mut data = vec![0; size];
        let mut done = 0;
        while done < size {
            match rustix::io::pread(&memory, &mut data[done..], done as u64)? {
                0 => return Err(Status::B_BAD_DATA),
                n => done += n,
            }
        }
        let mut r = Reader(&data);
        let setup = read_setup(&mut r, embedded)?;
        let start = read_start(&mut r)?;
        let cwd = r.bytes()?;
        let starter = match r.int::<i32>()? {
            -1 => None,
            fd => Some(raw::take_over(fd)?),
        };
        let hold_at_start = r.flag()?;
        let limit = r.int()?;
        let count = r.word()?;
        let files = (0..count)
            .map(|_| {
                Ok(PassedFile {
                    guest: r.int()?,
                    host: r.int()?,
                    mode: r.int()?,
                    borrowed: r.flag()?,
                    clofork: r.flag()?,
                    dir: r.bytes()?,
                })
            })
            .collect::<SysResult<_>>()?;
        Ok(Some((Handover { setup, start, cwd, starter, hold_at_start, files }, limit)))
    }

    /// Gives the guest the open files and the working directory that it had.
    pub fn restore_files(&self, to: &LinuxFiles, limit: i32) -> SysResult {
        to.table().set_limit(limit)?;
        let mut taken: Vec<(i32, Arc<OpenFile>)> = Vec::new();
        for passed in &self.files {
            // Two descriptors of one open file come with one host descriptor.
            let file = match taken.iter().find(|(host, _)| *host == passed.host) {
                Some((_, file)) => Arc::clone(file),
                None => {
                    let file = Arc::new(restore_file(to, passed)?);
                    taken.push((passed.host, Arc::clone(&file)));
                    file
                }
            };
            let flags = DescriptorFlags { cloexec: false, clofork: passed.clofork };
            to.table().replace(passed.guest, file, flags)?;
        }
        // A directory that is gone by now leaves the team in the root.
        if to.set_working_dir(At { dir: -1, path: Some(&self.cwd) }).is_err() {
            tracing::warn!("the working directory {} is gone", String::from_utf8_lossy(&self.cwd));
        }
        Ok(())
    }
}

fn restore_file(to: &LinuxFiles, passed: &PassedFile) -> SysResult<OpenFile> {
    let host = raw::take_over(passed.host)?;
    let mode = OpenMode::from_bits_retain(passed.mode);
    if !passed.dir.is_empty() {
        let located = to.locate(At { dir: -1, path: Some(&passed.dir) }, true)?;
        return match located.existing()? {
            Node::Dir(dir) => files::open_directory(dir, mode),
            _ => Err(Status::B_NOT_A_DIRECTORY),
        };
    }
    if passed.borrowed { OpenFile::borrowed(host) } else { OpenFile::host(host, mode) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let setup = TeamSetup {
            root: GuestRoot::Folder(PathBuf::from("/some/root")),
            shares: vec![Share { host: PathBuf::from("/host"), guest: b"/boot/home/x".to_vec() }],
            engine: Engine::Interp,
            processor: CpuModel::PENTIUM3,
            tiering: Tiering { tiers: Tiers::Second, threshold: 77, background: false, without: 5 },
            x87: X87Arithmetic::Double,
            strace: Some(Strace::File(PathBuf::from("trace"))),
            perf_map: true,
            code_cache_bytes: 123,
            disk_cache: Some(DiskCacheConfig { folder: "/cache".into(), limit: 5 }),
            clock_factor: 456,
        };
        let start = ProgramStart {
            path: b"/boot/hello".to_vec(),
            args: vec![b"hello".to_vec(), Vec::new(), b"\xff".to_vec()],
            env: vec![b"A=b".to_vec()],
            umask: Some(0o22),
            error_port: -1,
            error_token: 7,
            signal_mask: u64::MAX,
            ignored_signals: 3,
            priority: 10,
        };
        let mut w = Writer::default();
        write_setup(&mut w, &setup);
        write_start(&mut w, &start);
        let mut r = Reader(&w.0);
        let read = read_setup(&mut r, &[]).expect("the setup");
        assert_eq!(format!("{read:?}"), format!("{setup:?}"));
        assert_eq!(read_start(&mut r), Ok(start));
        assert!(r.0.is_empty());
        let mut cut = Reader(&w.0[..w.0.len() - 1]);
        read_setup(&mut cut, &[]).expect("the setup");
        assert_eq!(read_start(&mut cut), Err(Status::B_BAD_DATA));
    }

    #[test]
    fn an_ordinary_command_line_is_no_handover() {
        let args = ["hokku", "run", "hello"].map(OsString::from);
        assert!(matches!(Handover::take(&args, &[]), Ok(None)));
    }
}

//! What the bridge asks of the host, in Haiku's terms: 64-bit values, Haiku's numbers and errors, no guest word size.
//!
//! Semaphores, ports, user mutexes, images and the area table are the team's own and stand in [`crate::team`]; what needs the host is here.
//! [`crate::host`] implements these traits; nothing else knows the host system.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use hokku_runtime::HostBuffer;

use crate::abi::SysResult;
use crate::abi::fs::OpenMode;
use crate::abi::signal::Signal;
use crate::abi::structs::{FLock, FsInfo, LoadAvg, SigInfo, Stat, TeamInfo, TeamUsageInfo, Termios, WinSize};
use crate::args::{DeviceId, TeamId, ThreadId};
use crate::team::waiting::{Deadline, Waiting};

/// The host, by subject.
pub trait Kernel: Send + Sync {
    /// Clocks.
    fn clock(&self) -> &dyn Clock;
    /// Files by path.
    fn paths(&self) -> &dyn Paths;
    /// Open files.
    fn descriptors(&self) -> &dyn Descriptors;
    /// Attributes of files.
    fn attributes(&self) -> &dyn Attributes;
    /// Teams.
    fn processes(&self) -> &dyn Processes;
    /// The computer.
    fn machine(&self) -> &dyn Machine;
}

/// Clocks. Unit: microseconds.
pub trait Clock: Send + Sync {
    /// Time since boot, on the same scale as the guest computes it from its time stamp counter.
    fn system_time(&self) -> i64;
    /// Time since 1970.
    fn real_time(&self) -> i64;
    /// Microseconds from system time to real time, as the commpage tells the guest.
    fn real_time_offset(&self) -> i64;
    /// `2^32 * 10^6 / counts per second` of the guest's time stamp counter.
    fn conversion_factor(&self) -> u32;
    /// Processor time of this team: within guest and bridge, and within the host's kernel.
    fn team_time(&self) -> SysResult<TeamUsageInfo>;
    /// Processor time of the team's children that have been waited for.
    fn children_time(&self) -> SysResult<TeamUsageInfo>;
    /// Processor time of a thread of this team.
    fn thread_time(&self, thread: ThreadId) -> SysResult<i64>;
}

/// A path as a call gives it: relative to a directory.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// Guest file descriptor of the directory; negative: the working directory.
    pub dir: i32,
    /// The path; `None`: what `dir` is itself.
    pub path: Option<&'a [u8]>,
}

/// Files by path.
pub trait Paths: Send + Sync {
    /// Opens a file.
    fn open(&self, at: At<'_>, mode: OpenMode, perms: u32) -> SysResult<i32>;
    /// Opens a directory for reading its entries.
    fn open_dir(&self, at: At<'_>) -> SysResult<i32>;
    /// Opens the directory that directory `fd` stands in; gives `fd`'s name in it as well.
    fn open_parent_dir(&self, fd: i32) -> SysResult<(i32, Vec<u8>)>;
    /// The path of a directory that this team has seen.
    fn path_of_node(&self, device: DeviceId, node: i64) -> SysResult<Vec<u8>>;
    /// The contents of a regular file.
    fn read_whole(&self, at: At<'_>) -> SysResult<Vec<u8>>;
    /// Status of a node.
    fn stat(&self, at: At<'_>, follow: bool) -> SysResult<Stat>;
    /// Changes those fields of a node's status that `mask` names.
    fn write_stat(&self, at: At<'_>, follow: bool, stat: &Stat, mask: u32) -> SysResult;
    /// Makes a directory.
    fn create_dir(&self, at: At<'_>, perms: u32) -> SysResult;
    /// Removes an empty directory.
    fn remove_dir(&self, at: At<'_>) -> SysResult;
    /// Removes an entry that is no directory.
    fn unlink(&self, at: At<'_>) -> SysResult;
    /// Moves an entry.
    fn rename(&self, from: At<'_>, to: At<'_>) -> SysResult;
    /// Makes a symbolic link at `at` that holds `target`.
    fn create_symlink(&self, at: At<'_>, target: &[u8]) -> SysResult;
    /// Makes another name, `at`, for the node at `target`.
    fn create_link(&self, at: At<'_>, target: At<'_>, follow: bool) -> SysResult;
    /// Makes a named pipe.
    fn create_fifo(&self, at: At<'_>, perms: u32) -> SysResult;
    /// What a symbolic link holds.
    fn read_link(&self, at: At<'_>) -> SysResult<Vec<u8>>;
    /// Whether the user may do `mode` (4 read, 2 write, 1 execute).
    fn access(&self, at: At<'_>, mode: u32, effective: bool) -> SysResult;
    /// Path of the working directory.
    fn working_dir(&self) -> SysResult<Vec<u8>>;
    /// Changes the working directory.
    fn set_working_dir(&self, at: At<'_>) -> SysResult;
    /// Absolute path without links and dots; the last component may be missing, and may stay a link.
    fn normalize(&self, path: &[u8], follow: bool) -> SysResult<Vec<u8>>;
    /// Describes a volume.
    fn volume(&self, device: DeviceId) -> SysResult<FsInfo>;
    /// The volume after `cookie`, which starts at zero.
    fn next_volume(&self, cookie: &mut i32) -> SysResult<DeviceId>;
    /// Writes all cached data.
    fn sync(&self);
    /// Sets the mask of permissions that new files do not get.
    fn set_umask(&self, umask: u32);
}

/// A directory entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Volume of the entry's node.
    pub device: i32,
    /// Node.
    pub node: i64,
    /// Volume of the directory.
    pub parent_device: i32,
    /// Node of the directory.
    pub parent_node: i64,
    /// Name.
    pub name: Vec<u8>,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the file to the guest.
    Read,
    /// From the guest to the file.
    Write,
}

/// Flags of a file descriptor, as opposed to those of the open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct DescriptorFlags {
    /// Closed on exec.
    pub cloexec: bool,
    /// Closed on fork.
    pub clofork: bool,
}

/// What to wait for at a file, and what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollItem {
    /// Guest file descriptor.
    pub fd: i32,
    /// Events asked for, in Haiku's `B_EVENT_` bits.
    pub events: u16,
    /// Events that came.
    pub came: u16,
}

/// An open file as the kernel describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFileInfo {
    /// Guest file descriptor.
    pub fd: i32,
    /// How it is open.
    pub mode: OpenMode,
    /// Volume.
    pub device: i32,
    /// Node.
    pub node: i64,
}

/// What a terminal is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminalRequest {
    /// New modes: when (0 now, 1 after output, 2 after output and without unread input).
    SetModes(Termios, u8),
    /// New size.
    SetSize(WinSize),
    /// New foreground process group.
    SetForeground(i32),
    /// A break of so many quarter seconds; not zero: only waits for output.
    Break(i32),
    /// Throws data away: 1 input, 2 output, 3 both.
    Flush(i32),
    /// Flow control: 1, 2 stop and restart output, 4, 8 input.
    Flow(i32),
    /// Becomes the controlling terminal.
    Control,
}

/// Open files.
pub trait Descriptors: Send + Sync {
    /// Closes a descriptor.
    fn close(&self, fd: i32) -> SysResult;
    /// Closes those of `first..=last` that are open, or sets them close-on-exec.
    fn close_range(&self, first: u32, last: u32, only_flag: Option<DescriptorFlags>) -> SysResult;
    /// The lowest free descriptor, `lowest` or more, for the same open file.
    fn dup(&self, fd: i32, lowest: i32, flags: DescriptorFlags) -> SysResult<i32>;
    /// Makes `to` stand for the same open file.
    fn dup_to(&self, fd: i32, to: i32, flags: DescriptorFlags) -> SysResult<i32>;
    /// A descriptor's flags.
    fn flags(&self, fd: i32) -> SysResult<DescriptorFlags>;
    /// Sets a descriptor's flags.
    fn set_flags(&self, fd: i32, flags: DescriptorFlags) -> SysResult;
    /// How a file is open.
    fn mode(&self, fd: i32) -> SysResult<OpenMode>;
    /// Changes `APPEND` and `NONBLOCK` of an open file.
    fn set_mode(&self, fd: i32, mode: OpenMode) -> SysResult;
    /// Reads or writes; `position` `None`: at the file position, which moves on.
    fn transfer(
        &self,
        fd: i32,
        direction: Direction,
        position: Option<i64>,
        buffers: &[HostBuffer],
        wait: &Waiting<'_>,
    ) -> SysResult<usize>;
    /// Moves the file position: 0 from the start, 1 from the position, 2 from the end.
    fn seek(&self, fd: i32, offset: i64, whence: i32) -> SysResult<i64>;
    /// Hands the next entries to `take` until it refuses one or there are no more.
    fn read_dir(&self, fd: i32, take: &mut dyn FnMut(&DirEntry) -> bool) -> SysResult;
    /// Starts reading a directory anew.
    fn rewind_dir(&self, fd: i32) -> SysResult;
    /// Makes a pipe: reading end, writing end.
    fn pipe(&self, mode: OpenMode) -> SysResult<(i32, i32)>;
    /// Writes cached data; `data_only`: not the status.
    fn fsync(&self, fd: i32, data_only: bool) -> SysResult;
    /// `flock`: 1 shared, 2 exclusive, 4 without waiting, 8 unlock.
    fn flock(&self, fd: i32, operation: i32) -> SysResult;
    /// What holds a lock that is in the way of `lock`; type `F_UNLCK` if nothing does.
    fn get_lock(&self, fd: i32, lock: &FLock) -> SysResult<FLock>;
    /// Sets or removes a lock on a part of a file.
    fn set_lock(&self, fd: i32, lock: &FLock, wait: bool) -> SysResult;
    /// Reserves space.
    fn preallocate(&self, fd: i32, offset: i64, length: i64) -> SysResult;
    /// Bytes that can be read without waiting.
    fn readable_bytes(&self, fd: i32) -> SysResult<i32>;
    /// A terminal's modes; `ENOTTY` for other files.
    fn terminal_modes(&self, fd: i32) -> SysResult<Termios>;
    /// A terminal's size.
    fn terminal_size(&self, fd: i32) -> SysResult<WinSize>;
    /// A terminal's foreground process group, or its session.
    fn terminal_group(&self, fd: i32, session: bool) -> SysResult<i32>;
    /// Tells a terminal something.
    fn terminal_request(&self, fd: i32, request: TerminalRequest) -> SysResult;
    /// Waits until an item has an event, or `also` is true; gives the number of items that have.
    fn poll(
        &self,
        items: &mut [PollItem],
        deadline: Deadline,
        wait: &Waiting<'_>,
        also: &dyn Fn() -> bool,
    ) -> SysResult<usize>;
    /// The host's file, for mapping: with its mode, and its path if it has one.
    fn for_mapping(&self, fd: i32) -> SysResult<(Arc<OwnedFd>, OpenMode)>;
    /// Most descriptors that the team may have.
    fn limit(&self) -> i32;
    /// Changes that.
    fn set_limit(&self, limit: i32) -> SysResult;
    /// The open file with the lowest descriptor that is at least `from`.
    fn next_info(&self, from: i32) -> SysResult<OpenFileInfo>;
}

/// An attribute of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its type code.
    pub kind: u32,
    /// Its contents.
    pub data: Vec<u8>,
}

/// Attributes of open files.
pub trait Attributes: Send + Sync {
    /// Reads an attribute; `B_ENTRY_NOT_FOUND` if there is none of that name.
    fn attribute(&self, fd: i32, name: &[u8]) -> SysResult<Attribute>;
    /// Sets an attribute; `B_UNSUPPORTED` where the host keeps none.
    fn set_attribute(&self, fd: i32, name: &[u8], attribute: &Attribute) -> SysResult;
    /// Removes an attribute.
    fn remove_attribute(&self, fd: i32, name: &[u8]) -> SysResult;
}

/// What a child did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildEvent {
    /// The child.
    pub team: TeamId,
    /// What happened, as `SIGCHLD` says it.
    pub info: SigInfo,
    /// Processor time that it used.
    pub usage: TeamUsageInfo,
}

/// Which children to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildWait {
    /// A child's id, 0 own group, -1 any, less than -1: that group.
    pub who: i32,
    /// Ended ones.
    pub exited: bool,
    /// Stopped ones.
    pub stopped: bool,
    /// Continued ones.
    pub continued: bool,
    /// Leaves the event to be waited for again.
    pub keep: bool,
}

/// What a program is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramStart {
    /// Guest path of the program.
    pub path: Vec<u8>,
    /// Arguments.
    pub args: Vec<Vec<u8>>,
    /// Environment, `NAME=value`.
    pub env: Vec<Vec<u8>>,
    /// Mask for new files; `None`: as it is.
    pub umask: Option<u32>,
    /// Port for messages of the runtime loader.
    pub error_port: i32,
    /// Token for these messages.
    pub error_token: u32,
    /// Signals that the team holds back.
    pub signal_mask: u64,
    /// Signals that the team ignores.
    pub ignored_signals: u64,
    /// Priority of the main thread.
    pub priority: i32,
}

/// Teams.
pub trait Processes: Send + Sync {
    /// This team's id.
    fn team(&self) -> TeamId;
    /// The calling host thread's id.
    fn thread(&self) -> ThreadId;
    /// Makes a copy of this process; `None` in the child. The caller has made sure that the child finds all locks free.
    fn fork(&self) -> SysResult<Option<TeamId>>;
    /// Replaces this process's program; returns only if that fails.
    fn exec(&self, start: &ProgramStart) -> SysResult<std::convert::Infallible>;
    /// Starts a program in a new team, which waits to be resumed; with `wait_loaded`, returns once it is loaded.
    fn load(&self, start: &ProgramStart, wait_loaded: bool, wait: &Waiting<'_>) -> SysResult<TeamId>;
    /// Lets a team that [`Self::load`] made run; false if there is no such team.
    fn resume_loaded(&self, team: TeamId) -> bool;
    /// The team's program is loaded: tells the one who started it, and waits to be resumed.
    fn loaded(&self, wait: &Waiting<'_>);
    /// Waits to be resumed before the program is loaded, if whoever loaded the team wants that.
    fn hold_at_start(&self, wait: &Waiting<'_>);
    /// The team's program cannot be loaded: tells the one who started it.
    fn load_failed(&self, error: i32);
    /// Takes an event of a child, if there is one.
    fn child_event(&self, which: ChildWait) -> SysResult<Option<ChildEvent>>;
    /// Sends a signal to another team or, negative, to a group.
    fn send_signal(&self, to: i32, signal: Signal) -> SysResult;
    /// Whether there is a team or, negative, a group that may be signalled.
    fn exists(&self, to: i32) -> SysResult;
    /// Stops the whole process until `SIGCONT`.
    fn stop(&self) -> SysResult;
    /// Process group of a team; 0 is this one.
    fn group(&self, team: TeamId) -> SysResult<TeamId>;
    /// Session of a team; 0 is this one.
    fn session(&self, team: TeamId) -> SysResult<TeamId>;
    /// Parent of a team; 0 is this one.
    fn parent(&self, team: TeamId) -> SysResult<TeamId>;
    /// Moves a team into a group.
    fn set_group(&self, team: TeamId, group: TeamId) -> SysResult;
    /// Starts a session.
    fn new_session(&self) -> SysResult<TeamId>;
    /// Real, effective and saved user ids.
    fn user_ids(&self) -> [u32; 3];
    /// Real, effective and saved group ids.
    fn group_ids(&self) -> [u32; 3];
    /// Supplementary groups.
    fn groups(&self) -> SysResult<Vec<u32>>;
    /// The teams of this guest root in order of their ids.
    fn teams(&self) -> Vec<TeamId>;
    /// What another team is.
    fn describe(&self, team: TeamId) -> SysResult<TeamInfo>;
}

/// A resource limit: current and highest value, `u64::MAX` for none.
pub type Limit = (u64, u64);

/// The computer.
pub trait Machine: Send + Sync {
    /// Number of processors.
    fn cpu_count(&self) -> u32;
    /// Number of the processor that the caller runs on.
    fn current_cpu(&self) -> u32;
    /// Memory: total and used pages of 4096 bytes.
    fn pages(&self) -> (u64, u64);
    /// A file in memory of `size` bytes, all zero.
    fn shared_memory(&self, size: u64) -> SysResult<OwnedFd>;
    /// Fills `buffer` with random bytes.
    fn random(&self, buffer: &mut [u8]);
    /// Load averages.
    fn load_averages(&self) -> LoadAvg;
    /// Busy time of each processor in microseconds, and its frequency in hertz.
    fn cpu_activity(&self) -> Vec<(i64, u64)>;
    /// Processors that a thread may run on, as a bit set.
    fn affinity(&self, thread: ThreadId) -> SysResult<Vec<u8>>;
    /// Sets the processors that a thread may run on.
    fn set_affinity(&self, thread: ThreadId, set: &[u8]) -> SysResult;
    /// Limit `resource` (Haiku's number).
    fn limit(&self, resource: i32) -> SysResult<Limit>;
    /// Sets limit `resource`.
    fn set_limit(&self, resource: i32, limit: Limit) -> SysResult;
    /// Lets other threads run.
    fn yield_now(&self);
}

//! Open files.
//!
//! Haiku: `src/system/kernel/fs/{fd,vfs,vfs_select}.cpp`.

use hokku_ir::GuestAddr;
use hokku_runtime::{Access, HostBuffer};

use crate::abi::fs::{OpenMode, event, fcntl as op, ioctl as control, object};
use crate::abi::layout::GuestType;
use crate::abi::signal::Signal;
use crate::abi::structs::{DIRENT_NAME, DirEntHead, FLock, FdInfo, ObjectWaitInfo, PollFd, SigInfo, Termios, WinSize};
use crate::abi::thread::{B_ABSOLUTE_TIMEOUT, B_RELATIVE_TIMEOUT};
use crate::abi::{Status, SysResult};
use crate::args::*;
use crate::call::Call;
use crate::kernel::{DescriptorFlags, DirEntry, Direction, PollItem, TerminalRequest};
use crate::team::waiting::{Deadline, lock};

fn transfer(call: &mut Call<'_>, fd: Fd, direction: Direction, pos: i64, buffers: &[HostBuffer]) -> SysResult<Count> {
    let position = match pos {
        -1 => None,
        i64::MIN..=-2 => return Err(Status::B_BAD_VALUE),
        at => Some(at),
    };
    let result = call.waiting(|wait| call.kernel().descriptors().transfer(fd.0, direction, position, buffers, wait));
    if result == Err(Status::B_BUSTED_PIPE) {
        let info = SigInfo::sent(Signal::SIGPIPE, 0, call.kernel().processes().team(), 0);
        call.team.signal_thread(&call.me, info, false)?;
    }
    call.restartable(result).map(Count::from)
}

/// Haiku: `_user_read`.
pub fn read(call: &mut Call<'_>, fd: Fd, pos: i64, buffer: OutBytes, buffer_size: Size) -> SysResult<Count> {
    let buffer = call.buffer(buffer.0, buffer_size.0, Access::Write)?;
    transfer(call, fd, Direction::Read, pos, &[buffer])
}

/// Haiku: `_user_readv`.
pub fn readv(call: &mut Call<'_>, fd: Fd, pos: i64, vecs: InBytes, count: Size) -> SysResult<Count> {
    let buffers = call.vectors(vecs, count.0, Access::Write)?;
    transfer(call, fd, Direction::Read, pos, &buffers)
}

/// Haiku: `_user_write`.
pub fn write(call: &mut Call<'_>, fd: Fd, pos: i64, buffer: InBytes, buffer_size: Size) -> SysResult<Count> {
    let buffer = call.buffer(buffer.0, buffer_size.0, Access::Read)?;
    transfer(call, fd, Direction::Write, pos, &[buffer])
}

/// Haiku: `_user_writev`.
pub fn writev(call: &mut Call<'_>, fd: Fd, pos: i64, vecs: InBytes, count: Size) -> SysResult<Count> {
    let buffers = call.vectors(vecs, count.0, Access::Read)?;
    transfer(call, fd, Direction::Write, pos, &buffers)
}

/// Haiku: `_user_seek`.
pub fn seek(call: &mut Call<'_>, fd: Fd, pos: i64, seek_type: i32) -> SysResult<i64> {
    call.kernel().descriptors().seek(fd.0, pos, seek_type)
}

/// Haiku: `_user_close`.
pub fn close(call: &mut Call<'_>, fd: Fd) -> SysResult {
    call.kernel().descriptors().close(fd.0)
}

/// Haiku: `_user_close_range`.
pub fn close_range(call: &mut Call<'_>, min_fd: u32, max_fd: u32, flags: i32) -> SysResult {
    /// Sets the flags instead of closing.
    const CLOSE_RANGE_CLOEXEC: i32 = 1 << 2;
    const CLOSE_RANGE_CLOFORK: i32 = 1 << 3;
    if flags & !(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_CLOFORK) != 0 {
        return Err(Status::B_BAD_VALUE);
    }
    let only = DescriptorFlags { cloexec: flags & CLOSE_RANGE_CLOEXEC != 0, clofork: flags & CLOSE_RANGE_CLOFORK != 0 };
    call.kernel().descriptors().close_range(min_fd, max_fd, (flags != 0).then_some(only))
}

/// Haiku: `_user_dup`.
pub fn dup(call: &mut Call<'_>, fd: Fd) -> SysResult<Fd> {
    call.kernel().descriptors().dup(fd.0, 0, DescriptorFlags::default()).map(Fd)
}

/// Haiku: `_user_dup2`.
pub fn dup2(call: &mut Call<'_>, ofd: Fd, nfd: i32, flags: i32) -> SysResult<Fd> {
    let mode = OpenMode::from_bits_retain(flags as u32);
    if !(OpenMode::CLOEXEC | OpenMode::CLOFORK).contains(mode) {
        return Err(Status::B_BAD_VALUE);
    }
    call.kernel().descriptors().dup_to(ofd.0, nfd, descriptor_flags(mode)).map(Fd)
}

fn descriptor_flags(mode: OpenMode) -> DescriptorFlags {
    DescriptorFlags { cloexec: mode.contains(OpenMode::CLOEXEC), clofork: mode.contains(OpenMode::CLOFORK) }
}

/// Haiku: `_user_fcntl`.
pub fn fcntl(call: &mut Call<'_>, fd: Fd, operation: i32, argument: Size) -> SysResult<i32> {
    let files = call.kernel().descriptors();
    let number = argument.0 as u32;
    match operation {
        op::F_DUPFD | op::F_DUPFD_CLOEXEC | op::F_DUPFD_CLOFORK => {
            let lowest = i32::try_from(argument.0).map_err(|_| Status::B_BAD_VALUE)?;
            let flags = DescriptorFlags {
                cloexec: operation == op::F_DUPFD_CLOEXEC,
                clofork: operation == op::F_DUPFD_CLOFORK,
            };
            files.dup(fd.0, lowest, flags)
        }
        op::F_GETFD => {
            let flags = files.flags(fd.0)?;
            let bits = u32::from(flags.cloexec) * op::FD_CLOEXEC | u32::from(flags.clofork) * op::FD_CLOFORK;
            Ok(bits as i32)
        }
        op::F_SETFD => {
            let flags =
                DescriptorFlags { cloexec: number & op::FD_CLOEXEC != 0, clofork: number & op::FD_CLOFORK != 0 };
            files.set_flags(fd.0, flags).map(|()| 0)
        }
        op::F_GETFL => {
            const SHOWN: OpenMode =
                OpenMode::ACCESS.union(OpenMode::APPEND).union(OpenMode::NONBLOCK).union(OpenMode::SYNC);
            Ok((files.mode(fd.0)? & SHOWN).bits() as i32)
        }
        op::F_SETFL => files.set_mode(fd.0, OpenMode::from_bits_retain(number)).map(|()| 0),
        op::F_GETLK => {
            let lock: FLock = call.read_at(GuestAddr(argument.0))?;
            let held = call.kernel().descriptors().get_lock(fd.0, &lock)?;
            call.write_at(GuestAddr(argument.0), &held).map(|()| 0)
        }
        op::F_SETLK | op::F_SETLKW => {
            let lock: FLock = call.read_at(GuestAddr(argument.0))?;
            let result = call.kernel().descriptors().set_lock(fd.0, &lock, operation == op::F_SETLKW);
            call.restartable(result).map(|()| 0)
        }
        _ => Err(Status::B_BAD_VALUE),
    }
}

/// Haiku: `_user_fsync`.
pub fn fsync(call: &mut Call<'_>, fd: Fd, data_only: bool) -> SysResult {
    call.kernel().descriptors().fsync(fd.0, data_only)
}

/// Haiku: `_user_flock`.
pub fn flock(call: &mut Call<'_>, fd: Fd, operation: i32) -> SysResult {
    let result = call.kernel().descriptors().flock(fd.0, operation);
    call.restartable(result)
}

/// Haiku: `_user_preallocate`.
pub fn preallocate(call: &mut Call<'_>, fd: Fd, offset: i64, length: i64) -> SysResult {
    call.kernel().descriptors().preallocate(fd.0, offset, length)
}

/// Haiku: `_user_create_pipe`.
pub fn create_pipe(call: &mut Call<'_>, fds: OutBytes, flags: i32) -> SysResult {
    let mode = OpenMode::from_bits_retain(flags as u32);
    if !(OpenMode::CLOEXEC | OpenMode::CLOFORK | OpenMode::NONBLOCK).contains(mode) {
        return Err(Status::B_BAD_VALUE);
    }
    call.memory().check(fds.0, 8, Access::Write)?;
    let (read, write) = call.kernel().descriptors().pipe(mode)?;
    call.put_bytes(fds, &[read.to_le_bytes(), write.to_le_bytes()].concat())
}

/// Bytes of entry `entry` in the guest's memory: eight-byte steps, so that the next one is aligned.
fn entry_bytes(entry: &DirEntry) -> usize {
    (DIRENT_NAME + entry.name.len() + 1).next_multiple_of(8)
}

/// Haiku: `_user_read_dir`.
pub fn read_dir(call: &mut Call<'_>, fd: Fd, buffer: OutBytes, buffer_size: Size, max_count: u32) -> SysResult<Count> {
    let mode = call.mode();
    call.memory().check(buffer.0, buffer_size.0, Access::Write)?;
    let room = usize::try_from(buffer_size.0).unwrap_or(usize::MAX).min(1 << 20);
    let mut bytes = Vec::new();
    let mut count = 0;
    let mut too_small = false;
    call.kernel().descriptors().read_dir(fd.0, &mut |entry| {
        let size = entry_bytes(entry);
        if count >= max_count || bytes.len() + size > room {
            too_small = count == 0 && max_count > 0;
            return false;
        }
        let start = bytes.len();
        bytes.resize(start + size, 0);
        let head = DirEntHead {
            d_dev: entry.device,
            d_pdev: entry.parent_device,
            d_ino: entry.node,
            d_pino: entry.parent_node,
            d_reclen: size as u16,
        };
        head.encode(&mut bytes[start..], mode);
        bytes[start + DIRENT_NAME..start + DIRENT_NAME + entry.name.len()].copy_from_slice(&entry.name);
        count += 1;
        true
    })?;
    if too_small {
        return Err(Status::B_BUFFER_OVERFLOW);
    }
    call.put_bytes(buffer, &bytes)?;
    Ok(Count(count.into()))
}

/// Haiku: `_user_rewind_dir`.
pub fn rewind_dir(call: &mut Call<'_>, fd: Fd) -> SysResult {
    call.kernel().descriptors().rewind_dir(fd.0)
}

/// Haiku: `_user_get_next_fd_info`.
pub fn get_next_fd_info(
    call: &mut Call<'_>,
    team: TeamId,
    cookie: InOut<u32>,
    info: Out<FdInfo>,
    info_size: Size,
) -> SysResult {
    super::team::own_team(call, team)?;
    let from = call.read_io(cookie)?;
    let from = i32::try_from(from).map_err(|_| Status::B_ENTRY_NOT_FOUND)?;
    let file = call.kernel().descriptors().next_info(from)?;
    let value = FdInfo { number: file.fd, open_mode: file.mode.bits() as i32, device: file.device, node: file.node };
    call.write_sized(info, info_size, &value)?;
    call.write_io(cookie, &(file.fd as u32 + 1))
}

/// Haiku: `_user_ioctl`.
pub fn ioctl(call: &mut Call<'_>, fd: Fd, command: u32, data: GuestAddr, _length: Size) -> SysResult<i32> {
    let files = call.kernel().descriptors();
    let number = data.0 as i32;
    match command {
        control::TCGETA => {
            let modes = files.terminal_modes(fd.0)?;
            call.write_at(data, &modes)?;
        }
        control::TCSETA | control::TCSETAW | control::TCSETAF => {
            let modes: Termios = call.read_at(data)?;
            let when = match command {
                control::TCSETA => 0,
                control::TCSETAW => 1,
                _ => 2,
            };
            files.terminal_request(fd.0, TerminalRequest::SetModes(modes, when))?;
        }
        control::TIOCGWINSZ => {
            let size = files.terminal_size(fd.0)?;
            call.write_at(data, &size)?;
        }
        control::TIOCSWINSZ => {
            let size: WinSize = call.read_at(data)?;
            files.terminal_request(fd.0, TerminalRequest::SetSize(size))?;
        }
        control::TIOCGPGRP | control::TIOCGSID => {
            let group = files.terminal_group(fd.0, command == control::TIOCGSID)?;
            call.write_at(data, &group)?;
        }
        control::TIOCSPGRP => {
            let group: i32 = call.read_at(data)?;
            files.terminal_request(fd.0, TerminalRequest::SetForeground(group))?;
        }
        control::TIOCSCTTY => files.terminal_request(fd.0, TerminalRequest::Control)?,
        control::TCSBRK => files.terminal_request(fd.0, TerminalRequest::Break(number))?,
        control::TCFLSH => files.terminal_request(fd.0, TerminalRequest::Flush(number))?,
        control::TCXONC => files.terminal_request(fd.0, TerminalRequest::Flow(number))?,
        control::FIONREAD => {
            let count = files.readable_bytes(fd.0)?;
            call.write_at(data, &count)?;
        }
        control::FIONBIO => {
            let on: i32 = call.read_at(data)?;
            let mut mode = files.mode(fd.0)?;
            mode.set(OpenMode::NONBLOCK, on != 0);
            files.set_mode(fd.0, mode)?;
        }
        _ => {
            // A bad descriptor is told first.
            files.mode(fd.0)?;
            return Err(Status::B_DEV_INVALID_IOCTL);
        }
    }
    Ok(0)
}

/// Runs `wait` under another signal mask, as `select` and `poll` may ask for.
fn with_mask<T>(call: &mut Call<'_>, mask: In<u64>, wait: impl FnOnce(&mut Call<'_>) -> SysResult<T>) -> SysResult<T> {
    if mask.is_null() {
        return wait(call);
    }
    let new = call.read(mask)?;
    let old = {
        let mut signals = lock(&call.me.signals);
        let old = signals.mask;
        signals.set_mask(new);
        old
    };
    call.me.attention.store(true, std::sync::atomic::Ordering::SeqCst);
    let result = wait(call);
    let mut signals = lock(&call.me.signals);
    match result {
        // The handler runs under the new mask; the old one comes back with its frame.
        Err(Status::B_INTERRUPTED) => signals.suspend_mask = Some(old),
        _ => signals.set_mask(old),
    }
    drop(signals);
    result
}

fn relative(timeout: i64, call: &mut Call<'_>) -> Deadline {
    if timeout < 0 { Deadline::Never } else { call.deadline(B_RELATIVE_TIMEOUT, timeout) }
}

/// Most files in one wait.
const MAX_POLLED: i32 = 8192;

/// Haiku: `_user_poll`.
pub fn poll(call: &mut Call<'_>, fds: GuestAddr, num_fds: i32, timeout: i64, sig_mask: In<u64>) -> SysResult<Count> {
    if !(0..=MAX_POLLED).contains(&num_fds) {
        return Err(Status::B_BAD_VALUE);
    }
    let size = PollFd::size(call.mode()) as u64;
    let place = |i: usize| fds.offset(i as u64 * size);
    let asked = (0..num_fds as usize).map(|i| call.read_at(place(i))).collect::<SysResult<Vec<PollFd>>>()?;
    let deadline = relative(timeout, call);
    let mut items: Vec<PollItem> =
        asked.iter().map(|p| PollItem { fd: p.fd, events: p.events as u16, came: 0 }).collect();
    let ready = with_mask(call, sig_mask, |call| {
        call.waiting(|wait| call.kernel().descriptors().poll(&mut items, deadline, wait, &|| false))
    })?;
    for (i, (asked, item)) in asked.iter().zip(&items).enumerate() {
        call.write_at(place(i), &PollFd { revents: item.came as i16, ..*asked })?;
    }
    Ok(ready.into())
}

/// Haiku: `_user_select`. The sets are arrays of 32-bit words.
pub fn select(
    call: &mut Call<'_>,
    numfds: i32,
    read_set: GuestAddr,
    write_set: GuestAddr,
    error_set: GuestAddr,
    timeout: i64,
    sig_mask: In<u64>,
) -> SysResult<Count> {
    if !(0..=MAX_POLLED).contains(&numfds) {
        return Err(Status::B_BAD_VALUE);
    }
    let words = (numfds as usize).div_ceil(32);
    let read_words = |at: GuestAddr| -> SysResult<Vec<u32>> {
        match at.0 {
            0 => Ok(vec![0; words]),
            _ => (0..words).map(|i| call.read_at(at.offset(4 * i as u64))).collect(),
        }
    };
    let sets = [read_words(read_set)?, read_words(write_set)?, read_words(error_set)?];
    let asked = [event::READ, event::WRITE, event::ERROR];
    let has = |set: &[u32], fd: usize| set[fd / 32] >> (fd % 32) & 1 != 0;
    let mut items: Vec<PollItem> = (0..numfds as usize)
        .filter_map(|fd| {
            let events = sets.iter().zip(asked).filter(|(set, _)| has(set, fd)).fold(0, |all, (_, e)| all | e);
            (events != 0).then_some(PollItem { fd: fd as i32, events, came: 0 })
        })
        .collect();
    let deadline = relative(timeout, call);
    with_mask(call, sig_mask, |call| {
        call.waiting(|wait| call.kernel().descriptors().poll(&mut items, deadline, wait, &|| false))
    })?;
    if items.iter().any(|i| i.came & event::INVALID != 0) {
        return Err(Status::B_FILE_ERROR);
    }
    let mut ready = 0;
    for ((at, set), asked) in [read_set, write_set, error_set].into_iter().zip(&sets).zip(asked) {
        let mut result = vec![0u32; words];
        for item in &items {
            // The end of a stream can be read, an error can be met both ways.
            let came = match asked {
                event::READ => item.came & (event::READ | event::DISCONNECTED | event::ERROR),
                event::WRITE => item.came & (event::WRITE | event::ERROR),
                other => item.came & other,
            };
            if came != 0 && has(set, item.fd as usize) {
                result[item.fd as usize / 32] |= 1 << (item.fd % 32);
                ready += 1;
            }
        }
        if at.0 != 0 {
            result.iter().enumerate().try_for_each(|(i, word)| call.write_at(at.offset(4 * i as u64), word))?;
        }
    }
    Ok(Count(ready))
}

/// What has happened to an object that is no file.
fn object_events(call: &Call<'_>, info: &ObjectWaitInfo) -> u16 {
    match info.kind {
        object::SEMAPHORE => match call.team.sems.count(SemId(info.object)) {
            Err(_) => event::INVALID,
            Ok(count) if count > 0 => info.events & event::ACQUIRE_SEMAPHORE,
            Ok(_) => 0,
        },
        object::PORT => match call.team.ports.ready(PortId(info.object)) {
            None => event::INVALID,
            Some((read, write)) => info.events & (u16::from(read) * event::READ | u16::from(write) * event::WRITE),
        },
        object::THREAD => {
            if call.team.threads.is_living(ThreadId(info.object)) {
                0
            } else {
                event::INVALID
            }
        }
        _ => event::INVALID,
    }
}

/// Haiku: `_user_wait_for_objects`.
pub fn wait_for_objects(
    call: &mut Call<'_>,
    infos: GuestAddr,
    num_infos: i32,
    flags: u32,
    timeout: i64,
) -> SysResult<Count> {
    if !(0..=MAX_POLLED).contains(&num_infos) {
        return Err(Status::B_BAD_VALUE);
    }
    let size = ObjectWaitInfo::size(call.mode()) as u64;
    let place = |i: usize| infos.offset(i as u64 * size);
    let asked = (0..num_infos as usize).map(|i| call.read_at(place(i))).collect::<SysResult<Vec<ObjectWaitInfo>>>()?;
    let deadline = if flags & (B_RELATIVE_TIMEOUT | B_ABSOLUTE_TIMEOUT) == 0 {
        Deadline::Never
    } else {
        call.deadline(flags, timeout)
    };
    let is_file = |info: &&ObjectWaitInfo| info.kind == object::FD;
    let mut items: Vec<PollItem> =
        asked.iter().filter(is_file).map(|i| PollItem { fd: i.object, events: i.events, came: 0 }).collect();
    let others: Vec<&ObjectWaitInfo> = asked.iter().filter(|i| !is_file(i)).collect();
    let result = {
        let team = call.team;
        let _sems = team.sems.watch(&call.me.parker);
        let _ports = team.ports.watch(&call.me.parker);
        let _threads = team.threads.watchers.watch(&call.me.parker);
        let any = || others.iter().any(|info| object_events(call, info) != 0);
        call.waiting(|wait| call.kernel().descriptors().poll(&mut items, deadline, wait, &any))
    };
    call.restartable(result)?;
    let mut files = items.iter();
    let mut ready = 0;
    for (i, info) in asked.iter().enumerate() {
        let came = match is_file(&info) {
            true => files.next().map_or(0, |item| item.came),
            false => object_events(call, info),
        };
        ready += i64::from(came != 0);
        call.write_at(place(i), &ObjectWaitInfo { events: came, ..*info })?;
    }
    if ready == 0 && num_infos > 0 {
        return Err(deadline.expired());
    }
    Ok(Count(ready))
}

/// Haiku: `_user_lock_node`: kept by the descriptor, for nobody else looks.
pub fn lock_node(call: &mut Call<'_>, fd: Fd) -> SysResult {
    call.kernel().descriptors().mode(fd.0).map(|_| ())
}

/// Haiku: `_user_unlock_node`.
pub fn unlock_node(call: &mut Call<'_>, fd: Fd) -> SysResult {
    call.kernel().descriptors().mode(fd.0).map(|_| ())
}

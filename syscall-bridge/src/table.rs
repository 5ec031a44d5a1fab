//! The table of all system calls.
//!
//! Dispatch, strace, the coverage table, the documentation page and tests are made from it. Rows are in the order of Haiku's
//! `headers/private/system/syscalls.h`; a row's place is its number in the revision of [`crate::numbers`]'s built-in list alone.

use hokku_ir::GuestAddr;

use crate::abi::layout::{SignedWord, Word};
use crate::abi::structs::*;
use crate::args::*;
use crate::declare::syscalls;

#[rustfmt::skip]
mod rows {
    use super::*;

syscalls! {
    /// Returns 1; libroot calls it to have deferred signals delivered.
    system::is_computer_on() -> i32, Full;
    /// Calls function `function` of a kernel subsystem by name.
    system::generic_syscall(subsystem: InStr, function: u32, buffer: GuestAddr, buffer_size: Size) -> (), Partial("the subsystems `random` and `thread` only");
    /// Reads a resource limit of the team.
    user::getrlimit(resource: i32, rlp: Out<RLimit>) -> i32, Full;
    /// Sets a resource limit of the team.
    user::setrlimit(resource: i32, rlp: In<RLimit>) -> i32, Partial("core size, file size and number of files only");
    /// Switches the computer off or restarts it.
    system::shutdown(reboot: bool) -> (), Stub("only the registrar may, and none runs here");
    /// Reads a boot option of safe mode.
    system::get_safemode_option(parameter: InStr, buffer: OutBytes, buffer_size: InOut<Word>) -> (), Stub("nothing runs in safe mode here");
    /// Waits until one of several files, semaphores, ports or threads is ready.
    fd::wait_for_objects(infos: GuestAddr, num_infos: i32, flags: u32, timeout: i64) -> Count, Full;
    /// Creates an event queue.
    fd::event_queue_create(open_flags: i32) -> Fd, Missing;
    /// Adds, changes or removes events of an event queue.
    fd::event_queue_select(queue: Fd, user_infos: GuestAddr, num_infos: i32) -> (), Missing;
    /// Waits for events of an event queue.
    fd::event_queue_wait(queue: Fd, infos: GuestAddr, num_infos: i32, flags: u32, timeout: i64) -> Count, Missing;
    /// Locks a user mutex that is contended.
    mutex::mutex_lock(mutex: GuestAddr, name: InStr, flags: u32, timeout: i64) -> (), Partial("mutexes in memory shared with other teams are this team's alone");
    /// Hands a user mutex to its next waiter, or wakes all.
    mutex::mutex_unblock(mutex: GuestAddr, flags: u32) -> (), Partial("mutexes in memory shared with other teams are this team's alone");
    /// Unlocks one user mutex and locks another in one step.
    mutex::mutex_switch_lock(from_mutex: GuestAddr, from_flags: u32, to_mutex: GuestAddr, name: InStr, to_flags: u32, timeout: i64) -> (), Partial("mutexes in memory shared with other teams are this team's alone");
    /// Waits for a user-space semaphore that is contended.
    mutex::mutex_sem_acquire(sem: GuestAddr, name: InStr, flags: u32, timeout: i64) -> (), Partial("semaphores in memory shared with other teams are this team's alone");
    /// Releases a user-space semaphore that has waiters.
    mutex::mutex_sem_release(sem: GuestAddr, flags: u32) -> (), Partial("semaphores in memory shared with other teams are this team's alone");
    /// Creates a semaphore with `count` tickets.
    sem::create_sem(count: i32, name: InStr) -> SemId, Partial("known to its own team only");
    /// Deletes a semaphore and wakes its waiters with `B_BAD_SEM_ID`.
    sem::delete_sem(id: SemId) -> (), Full;
    /// Releases one semaphore and acquires another.
    sem::switch_sem(release_sem: SemId, id: SemId) -> (), Full;
    /// Releases one semaphore and acquires `count` tickets of another, with timeout.
    sem::switch_sem_etc(release_sem: SemId, id: SemId, count: u32, flags: u32, timeout: i64) -> (), Full;
    /// Acquires one ticket of a semaphore.
    sem::acquire_sem(id: SemId) -> (), Full;
    /// Acquires `count` tickets of a semaphore, with timeout.
    sem::acquire_sem_etc(id: SemId, count: u32, flags: u32, timeout: i64) -> (), Full;
    /// Releases one ticket of a semaphore.
    sem::release_sem(id: SemId) -> (), Full;
    /// Releases `count` tickets of a semaphore.
    sem::release_sem_etc(id: SemId, count: u32, flags: u32) -> (), Full;
    /// Reads a semaphore's count; negative when threads wait.
    sem::get_sem_count(id: SemId, thread_count: Out<i32>) -> (), Full;
    /// Describes a semaphore.
    sem::get_sem_info(semaphore: SemId, info: Out<SemInfo>, size: Size) -> (), Full;
    /// Describes a team's semaphores one after the other.
    sem::get_next_sem_info(team: TeamId, cookie: InOut<i32>, info: Out<SemInfo>, size: Size) -> (), Partial("of the calling team only");
    /// Gives a semaphore to another team.
    sem::set_sem_owner(id: SemId, team: TeamId) -> (), Partial("to the calling team only");
    /// Opens or creates a POSIX semaphore.
    sem::realtime_sem_open(name: InStr, open_flags_or_shared: i32, mode: u32, sem_count: u32, user_sem: GuestAddr, used_user_sem: Out<Word>) -> (), Partial("names are the team's own");
    /// Closes a POSIX semaphore.
    sem::realtime_sem_close(sem_id: SemId, delete_user_sem: Out<Word>) -> (), Full;
    /// Removes the name of a POSIX semaphore.
    sem::realtime_sem_unlink(name: InStr) -> (), Partial("names are the team's own");
    /// Reads the count of a POSIX semaphore.
    sem::realtime_sem_get_value(sem_id: SemId, value: Out<i32>) -> (), Full;
    /// Releases a POSIX semaphore.
    sem::realtime_sem_post(sem_id: SemId) -> (), Full;
    /// Acquires a POSIX semaphore, with timeout.
    sem::realtime_sem_wait(sem_id: SemId, flags: u32, timeout: i64) -> (), Full;
    /// Finds or creates a System V semaphore set.
    sem::xsi_semget(key: i32, num_sems: i32, flags: i32) -> i32, Missing;
    /// Controls a System V semaphore set.
    sem::xsi_semctl(sem_id: i32, sem_number: i32, command: i32, args: GuestAddr) -> i32, Missing;
    /// Operates on a System V semaphore set.
    sem::xsi_semop(sem_id: i32, sem_ops: GuestAddr, num_sem_ops: Size) -> (), Missing;
    /// Controls a System V message queue.
    port::xsi_msgctl(message_queue_id: i32, command: i32, buffer: GuestAddr) -> i32, Missing;
    /// Finds or creates a System V message queue.
    port::xsi_msgget(key: i32, message_queue_flags: i32) -> i32, Missing;
    /// Takes a message from a System V message queue.
    port::xsi_msgrcv(message_queue_id: i32, message_pointer: GuestAddr, message_size: Size, message_type: Long, message_flags: i32) -> Count, Missing;
    /// Puts a message into a System V message queue.
    port::xsi_msgsnd(message_queue_id: i32, message_pointer: InBytes, message_size: Size, message_flags: i32) -> i32, Missing;
    /// Starts a program in a new team.
    team::load_image(flat_args: InBytes, flat_args_size: Size, arg_count: i32, env_count: i32, priority: i32, flags: u32, error_port: PortId, error_token: u32) -> ThreadId, Partial("errors of the runtime loader go to no port of another team");
    /// Ends the calling team.
    team::exit_team(return_value: i32) -> (), Full;
    /// Ends a team.
    team::kill_team(team: TeamId) -> (), Full;
    /// Returns the calling team's id.
    team::get_current_team() -> TeamId, Full;
    /// Waits until a team is gone.
    team::wait_for_team(team: TeamId, return_code: Out<i32>) -> (), Partial("children only; of an exit status the low eight bits");
    /// Waits for a change of state of a child team.
    team::wait_for_child(child: ThreadId, flags: u32, info: Out<SigInfo>, usage_info: Out<TeamUsageInfo>) -> TeamId, Partial("of an exit status the low eight bits");
    /// Replaces the team's program.
    team::exec(path: InStr, flat_args: InBytes, flat_args_size: Size, arg_count: i32, env_count: i32, umask: u32) -> (), Full;
    /// Makes a copy of the team with the calling thread alone.
    team::fork() -> ThreadId, Partial("memory that was cloned stays shared with the parent");
    /// Returns the session, group or parent of a team.
    team::process_info(process: TeamId, which: i32) -> TeamId, Full;
    /// Moves a team into a process group.
    team::setpgid(process: TeamId, group: TeamId) -> TeamId, Full;
    /// Starts a session.
    team::setsid() -> TeamId, Full;
    /// Makes a directory the root of the team's file system.
    fs::change_root(path: InStr) -> (), Stub("only for the super-user, whom programs here never are");
    /// Creates a thread, suspended.
    thread::spawn_thread(attributes: InBytes) -> ThreadId, Full;
    /// Finds a thread by name; null is the caller.
    thread::find_thread(name: InStr) -> ThreadId, Partial("threads of the calling team only");
    /// Stops a thread until `resume_thread`.
    thread::suspend_thread(thread: ThreadId) -> (), Partial("threads of the calling team only");
    /// Lets a new or suspended thread run.
    thread::resume_thread(thread: ThreadId) -> (), Partial("threads of the calling team, and main threads of teams that it has loaded");
    /// Gives a thread another name.
    thread::rename_thread(thread: ThreadId, new_name: InStr) -> (), Partial("threads of the calling team only");
    /// Sets a thread's priority and returns the old one.
    thread::set_thread_priority(thread: ThreadId, new_priority: i32) -> i32, Partial("kept and shown; the host schedules as it likes");
    /// Ends a thread.
    thread::kill_thread(thread: ThreadId) -> (), Partial("threads of the calling team only");
    /// Ends the calling thread.
    thread::exit_thread(return_value: i32) -> (), Full;
    /// Makes a thread call `cancelFunction`.
    thread::cancel_thread(thread_id: ThreadId, cancel_function: GuestAddr) -> (), Full;
    /// Lets other threads run.
    thread::thread_yield() -> (), Full;
    /// Waits until a thread is gone and takes its exit status.
    thread::wait_for_thread_etc(thread: ThreadId, flags: u32, timeout: i64, return_code: Out<i32>) -> (), Partial("threads of the calling team, and main threads of its children with the low eight bits of their status");
    /// Tells whether data was sent to a thread.
    thread::has_data(thread: ThreadId) -> bool, Partial("threads of the calling team only");
    /// Sends a code and data to a thread.
    thread::send_data(thread: ThreadId, code: i32, buffer: InBytes, buffer_size: Size) -> (), Partial("to threads of the calling team only");
    /// Receives what was sent to the calling thread.
    thread::receive_data(sender: Out<ThreadId>, buffer: OutBytes, buffer_size: Size) -> i32, Full;
    /// Returns from a signal handler.
    signal::restore_signal_frame(signal_frame_data: GuestAddr) -> i64, Full;
    /// Describes a thread.
    thread::get_thread_info(id: ThreadId, info: Out<ThreadInfo>) -> (), Partial("threads of the calling team only; all their time counts as user time");
    /// Describes a team's threads one after the other.
    thread::get_next_thread_info(team: TeamId, cookie: InOut<i32>, info: Out<ThreadInfo>) -> (), Partial("threads of the calling team only; all their time counts as user time");
    /// Describes a team.
    team::get_team_info(id: TeamId, info: Out<TeamInfo>, size: Size) -> (), Partial("of other teams without numbers of areas and images");
    /// Describes all teams one after the other.
    team::get_next_team_info(cookie: InOut<i32>, info: Out<TeamInfo>, size: Size) -> (), Partial("of other teams without numbers of areas and images");
    /// Reads the processor time that a team has used.
    team::get_team_usage_info(team: TeamId, who: i32, info: Out<TeamUsageInfo>, size: Size) -> (), Partial("of the calling team only");
    /// Describes a team as a flattened message.
    team::get_extended_team_info(team_id: TeamId, flags: u32, buffer: OutBytes, size: Size, size_needed: Out<Word>) -> (), Missing;
    /// Returns the number of the processor that the caller runs on.
    system::get_cpu() -> i32, Full;
    /// Reads the set of processors that a thread may run on.
    thread::get_thread_affinity(id: ThreadId, user_mask: OutBytes, size: Size) -> (), Full;
    /// Sets the processors that a thread may run on.
    thread::set_thread_affinity(id: ThreadId, user_mask: InBytes, size: Size) -> (), Full;
    /// Asks for messages about teams and threads.
    system::start_watching_system(object: i32, flags: u32, port: PortId, token: i32) -> (), Missing;
    /// Ends messages about teams and threads.
    system::stop_watching_system(object: i32, flags: u32, port: PortId, token: i32) -> (), Missing;
    /// Blocks the calling thread until `unblock_thread`.
    thread::block_thread(flags: u32, timeout: i64) -> (), Full;
    /// Unblocks a thread with a status.
    thread::unblock_thread(thread: ThreadId, status: i32) -> (), Full;
    /// Unblocks several threads with a status.
    thread::unblock_threads(threads: InBytes, count: u32, status: i32) -> (), Full;
    /// Estimates how long a thread may wait for a processor.
    thread::estimate_max_scheduling_latency(thread: ThreadId) -> i64, Stub("the host does not tell");
    /// Chooses between low latency and power saving.
    system::set_scheduler_mode(mode: i32) -> (), Stub("the host schedules as it likes");
    /// Returns the scheduler's mode.
    system::get_scheduler_mode() -> i32, Stub("always low latency");
    /// Reads the load averages.
    system::get_loadavg(info: Out<LoadAvg>, size: Size) -> (), Full;
    /// Reads real, effective and saved group id.
    user::getresgid(rgid: Out<u32>, egid: Out<u32>, sgid: Out<u32>) -> (), Full;
    /// Reads real, effective and saved user id.
    user::getresuid(ruid: Out<u32>, euid: Out<u32>, suid: Out<u32>) -> (), Full;
    /// Sets real, effective and saved group id.
    user::setresgid(rgid: u32, egid: u32, sgid: u32, set_all_if_privileged: bool) -> (), Stub("succeeds for ids that the team has already; nobody is the super-user");
    /// Sets real, effective and saved user id.
    user::setresuid(ruid: u32, euid: u32, suid: u32, set_all_if_privileged: bool) -> (), Stub("succeeds for ids that the team has already; nobody is the super-user");
    /// Reads the supplementary groups.
    user::getgroups(group_count: i32, group_list: OutBytes) -> Count, Full;
    /// Sets the supplementary groups.
    user::setgroups(group_count: i32, group_list: InBytes) -> (), Stub("only for the super-user, whom programs here never are");
    /// Sends a signal to a thread, team or process group.
    signal::send_signal(id: i32, signal: u32, user_value: In<Word>, flags: u32) -> (), Partial("values do not reach other teams; threads of the calling team only");
    /// Changes the calling thread's signal mask.
    signal::set_signal_mask(how: i32, set: In<u64>, old_set: Out<u64>) -> (), Full;
    /// Sets or reads what a signal does.
    signal::sigaction(sig: i32, action: In<SigAction>, old_action: Out<SigAction>) -> (), Full;
    /// Waits for one of a set of signals and takes it.
    signal::sigwait(set: In<u64>, info: Out<SigInfo>, flags: u32, timeout: i64) -> (), Full;
    /// Waits for a signal under another mask.
    signal::sigsuspend(mask: In<u64>) -> (), Full;
    /// Reads the pending signals.
    signal::sigpending(set: Out<u64>) -> (), Full;
    /// Sets or reads the alternate signal stack.
    signal::set_signal_stack(new_stack: In<SignalStack>, old_stack: Out<SignalStack>) -> (), Full;
    /// Tells the kernel of an image that the runtime loader has mapped.
    image::register_image(info: In<ExtendedImageInfo>, size: Size) -> ImageId, Full;
    /// Tells the kernel that an image is gone.
    image::unregister_image(id: ImageId) -> (), Full;
    /// Tells the kernel that an image is ready to run.
    image::image_relocated(id: ImageId) -> (), Full;
    /// Ends the team because its program could not be loaded.
    image::loading_app_failed(error: i32) -> (), Full;
    /// Describes an image.
    image::get_image_info(id: ImageId, info: Out<ImageInfo>, size: Size) -> (), Full;
    /// Describes a team's images one after the other.
    image::get_next_image_info(team: TeamId, cookie: InOut<i32>, info: Out<ImageInfo>, size: Size) -> (), Partial("of the calling team only");
    /// Reads the symbols of a kernel image.
    image::read_kernel_image_symbols(id: ImageId, symbol_table: GuestAddr, symbol_count: InOut<i32>, string_table: OutBytes, string_table_size: InOut<Word>, image_delta: InOut<Word>) -> (), Missing;
    /// Mounts a volume.
    fs::mount(path: InStr, device: InStr, fs_name: InStr, flags: u32, args: InStr, args_length: Size) -> DeviceId, Stub("not for ordinary users");
    /// Unmounts a volume.
    fs::unmount(path: InStr, flags: u32) -> (), Stub("not for ordinary users");
    /// Describes a volume.
    fs::read_fs_info(device: DeviceId, info: Out<FsInfo>) -> (), Partial("volumes that the program has come across");
    /// Changes a volume's name.
    fs::write_fs_info(device: DeviceId, info: In<FsInfo>, mask: i32) -> (), Missing;
    /// Lists the mounted volumes.
    fs::next_device(cookie: InOut<i32>) -> DeviceId, Partial("the root's volume only");
    /// Writes all cached data.
    fs::sync() -> (), Full;
    /// Makes a path from a directory's node and an entry's name.
    fs::entry_ref_to_path(device: DeviceId, inode: i64, leaf: InStr, user_path: OutBytes, path_length: Size) -> (), Partial("directories that the program has come across");
    /// Makes a path absolute and free of links and dots.
    fs::normalize_path(user_path: InStr, traverse_link: bool, buffer: OutBytes) -> (), Full;
    /// Opens a file by its directory's node and its name.
    fs::open_entry_ref(device: DeviceId, inode: i64, name: InStr, open_mode: i32, perms: i32) -> Fd, Partial("directories that the program has come across");
    /// Opens a file.
    fs::open(fd: Fd, path: InStr, open_mode: i32, perms: i32) -> Fd, Full;
    /// Opens a directory by its parent's node and its name.
    fs::open_dir_entry_ref(device: DeviceId, inode: i64, name: InStr) -> Fd, Partial("directories that the program has come across");
    /// Opens a directory for reading its entries.
    fs::open_dir(fd: Fd, path: InStr) -> Fd, Full;
    /// Opens a directory's parent and tells the directory's name in it.
    fs::open_parent_dir(fd: Fd, name: OutBytes, name_length: Size) -> Fd, Full;
    /// Reads or changes properties of a file descriptor.
    fd::fcntl(fd: Fd, op: i32, argument: Size) -> i32, Partial("a lock that is waited for is not given up for a signal that comes just before");
    /// Writes a file's cached data.
    fd::fsync(fd: Fd, data_only: bool) -> (), Full;
    /// Locks a whole file.
    fd::flock(fd: Fd, op: i32) -> (), Partial("a lock that is waited for is not given up for a signal that comes just before");
    /// Moves the file position.
    fd::seek(fd: Fd, pos: i64, seek_type: i32) -> i64, Full;
    /// Creates a directory by its parent's node and its name.
    fs::create_dir_entry_ref(device: DeviceId, inode: i64, name: InStr, perms: i32) -> (), Partial("directories that the program has come across");
    /// Creates a directory.
    fs::create_dir(fd: Fd, path: InStr, perms: i32) -> (), Full;
    /// Removes an empty directory.
    fs::remove_dir(fd: Fd, path: InStr) -> (), Full;
    /// Reads where a symbolic link points.
    fs::read_link(fd: Fd, path: InStr, buffer: OutBytes, buffer_size: InOut<Word>) -> (), Full;
    /// Creates a symbolic link.
    fs::create_symlink(fd: Fd, path: InStr, to_path: InStr, mode: i32) -> (), Full;
    /// Creates a hard link.
    fs::create_link(path_fd: Fd, path: InStr, to_fd: Fd, to_path: InStr, traverse_leaf_link: bool) -> (), Full;
    /// Removes a directory entry.
    fs::unlink(fd: Fd, path: InStr) -> (), Full;
    /// Moves an entry.
    fs::rename(old_dir: Fd, oldpath: InStr, new_dir: Fd, newpath: InStr) -> (), Full;
    /// Creates a named pipe.
    fs::create_fifo(fd: Fd, path: InStr, perms: u32) -> (), Full;
    /// Creates a pipe.
    fd::create_pipe(fds: OutBytes, flags: i32) -> (), Full;
    /// Checks what the caller may do with a file.
    fs::access(fd: Fd, path: InStr, mode: i32, effective_user_group: bool) -> (), Full;
    /// Waits until one of several files is ready.
    fd::select(numfds: i32, read_set: GuestAddr, write_set: GuestAddr, error_set: GuestAddr, timeout: i64, sig_mask: In<u64>) -> Count, Full;
    /// Waits until one of several files is ready.
    fd::poll(fds: GuestAddr, num_f_ds: i32, timeout: i64, sig_mask: In<u64>) -> Count, Full;
    /// Opens the list of a node's attributes.
    attr::open_attr_dir(fd: Fd, path: InStr, traverse_leaf_link: bool) -> Fd, Stub("attributes are not listed");
    /// Reads an attribute.
    attr::read_attr(fd: Fd, attribute: InStr, pos: i64, buffer: OutBytes, read_bytes: Size) -> Count, Full;
    /// Writes an attribute.
    attr::write_attr(fd: Fd, attribute: InStr, kind: u32, pos: i64, buffer: InBytes, read_bytes: Size) -> Count, Partial("as much as the host's extended attributes hold: up to 64 KiB");
    /// Describes an attribute.
    attr::stat_attr(fd: Fd, attribute: InStr, attr_info: Out<AttrInfo>) -> (), Full;
    /// Opens an attribute as a file.
    attr::open_attr(fd: Fd, path: InStr, name: InStr, kind: u32, open_mode: i32) -> Fd, Stub("attributes are not opened as files");
    /// Removes an attribute.
    attr::remove_attr(fd: Fd, name: InStr) -> (), Full;
    /// Renames or moves an attribute.
    attr::rename_attr(from_file: Fd, from_name: InStr, to_file: Fd, to_name: InStr) -> (), Full;
    /// Opens the list of a volume's indices.
    attr::open_index_dir(device: DeviceId) -> Fd, Stub("the volume has no indices");
    /// Creates an index.
    attr::create_index(device: DeviceId, name: InStr, kind: u32, flags: u32) -> (), Stub("the volume has no indices");
    /// Describes an index.
    attr::read_index_stat(device: DeviceId, name: InStr, stat: OutBytes) -> (), Stub("the volume has no indices");
    /// Removes an index.
    attr::remove_index(device: DeviceId, name: InStr) -> (), Stub("the volume has no indices");
    /// Reads the path of the working directory.
    fs::getcwd(buffer: OutBytes, size: Size) -> (), Full;
    /// Sets the working directory.
    fs::setcwd(fd: Fd, path: InStr) -> (), Full;
    /// Starts a query.
    attr::open_query(device: DeviceId, query: InStr, query_length: Size, flags: u32, port: PortId, token: i32) -> Fd, Stub("the volume has no indices, so it takes no queries");
    /// Reads from a file.
    fd::read(fd: Fd, pos: i64, buffer: OutBytes, buffer_size: Size) -> Count, Full;
    /// Reads from a file into several buffers.
    fd::readv(fd: Fd, pos: i64, vecs: InBytes, count: Size) -> Count, Full;
    /// Writes to a file.
    fd::write(fd: Fd, pos: i64, buffer: InBytes, buffer_size: Size) -> Count, Full;
    /// Writes several buffers to a file.
    fd::writev(fd: Fd, pos: i64, vecs: InBytes, count: Size) -> Count, Full;
    /// Controls a device.
    fd::ioctl(fd: Fd, cmd: u32, data: GuestAddr, length: Size) -> i32, Partial("terminals, FIONREAD and FIONBIO only");
    /// Reads directory entries and returns their number.
    fd::read_dir(fd: Fd, buffer: OutBytes, buffer_size: Size, max_count: u32) -> Count, Full;
    /// Starts reading a directory from its first entry again.
    fd::rewind_dir(fd: Fd) -> (), Full;
    /// Reads a node's status.
    fs::read_stat(fd: Fd, path: InStr, traverse_link: bool, stat: OutBytes, stat_size: Size) -> (), Partial("the creation time is the time of the last change");
    /// Changes a node's status.
    fs::write_stat(fd: Fd, path: InStr, traverse_link: bool, stat: InBytes, stat_size: Size, stat_mask: i32) -> (), Partial("creation and change times stay the host's");
    /// Closes a file descriptor.
    fd::close(fd: Fd) -> (), Full;
    /// Makes another file descriptor for an open file.
    fd::dup(fd: Fd) -> Fd, Full;
    /// Makes a given file descriptor stand for an open file.
    fd::dup2(ofd: Fd, nfd: i32, flags: i32) -> Fd, Full;
    /// Locks a node against others.
    fd::lock_node(fd: Fd) -> (), Stub("nobody else would look at the lock");
    /// Unlocks a node.
    fd::unlock_node(fd: Fd) -> (), Stub("nobody else would look at the lock");
    /// Describes a team's file descriptors one after the other.
    fd::get_next_fd_info(team: TeamId, cookie: InOut<u32>, info: Out<FdInfo>, info_size: Size) -> (), Partial("of the calling team only");
    /// Reserves space for a file.
    fd::preallocate(fd: Fd, offset: i64, length: i64) -> (), Full;
    /// Closes a range of file descriptors.
    fd::close_range(min_fd: u32, max_fd: u32, flags: i32) -> (), Full;
    /// Creates a socket.
    socket::socket(family: i32, kind: i32, protocol: i32) -> Fd, Missing;
    /// Gives a socket its address.
    socket::bind(socket: Fd, address: InBytes, address_length: u32) -> (), Missing;
    /// Ends sending or receiving on a socket.
    socket::shutdown_socket(socket: Fd, how: i32) -> (), Missing;
    /// Connects a socket.
    socket::connect(socket: Fd, address: InBytes, address_length: u32) -> (), Missing;
    /// Lets a socket take connections.
    socket::listen(socket: Fd, backlog: i32) -> (), Missing;
    /// Takes a connection.
    socket::accept(socket: Fd, address: OutBytes, address_length: InOut<u32>, flags: i32) -> Fd, Missing;
    /// Receives data.
    socket::recv(socket: Fd, data: OutBytes, length: Size, flags: i32) -> Count, Missing;
    /// Receives data and the sender's address.
    socket::recvfrom(socket: Fd, data: OutBytes, length: Size, flags: i32, address: OutBytes, address_length: InOut<u32>) -> Count, Missing;
    /// Receives data with control data.
    socket::recvmsg(socket: Fd, message: InOut<MsgHdr>, flags: i32) -> Count, Missing;
    /// Sends data.
    socket::send(socket: Fd, data: InBytes, length: Size, flags: i32) -> Count, Missing;
    /// Sends data to an address.
    socket::sendto(socket: Fd, data: InBytes, length: Size, flags: i32, address: InBytes, address_length: u32) -> Count, Missing;
    /// Sends data with control data.
    socket::sendmsg(socket: Fd, message: In<MsgHdr>, flags: i32) -> Count, Missing;
    /// Reads a socket option.
    socket::getsockopt(socket: Fd, level: i32, option: i32, value: OutBytes, length: InOut<u32>) -> (), Missing;
    /// Sets a socket option.
    socket::setsockopt(socket: Fd, level: i32, option: i32, value: InBytes, length: u32) -> (), Missing;
    /// Reads the address of a socket's peer.
    socket::getpeername(socket: Fd, address: OutBytes, address_length: InOut<u32>) -> (), Missing;
    /// Reads a socket's address.
    socket::getsockname(socket: Fd, address: OutBytes, address_length: InOut<u32>) -> (), Missing;
    /// Tells whether a socket is at the out-of-band mark.
    socket::sockatmark(socket: Fd) -> i32, Missing;
    /// Creates two connected sockets.
    socket::socketpair(family: i32, kind: i32, protocol: i32, socket_vector: OutBytes) -> (), Missing;
    /// Lists the sockets of the system.
    socket::get_next_socket_stat(family: i32, cookie: InOut<u32>, stat: GuestAddr) -> (), Missing;
    /// Ends all node monitoring for a port and token.
    node_monitor::stop_notifying(port: PortId, token: u32) -> (), Missing;
    /// Asks for messages about changes of a node.
    node_monitor::start_watching(device: DeviceId, node: i64, flags: u32, port: PortId, token: u32) -> (), Missing;
    /// Ends messages about changes of a node.
    node_monitor::stop_watching(device: DeviceId, node: i64, port: PortId, token: u32) -> (), Missing;
    /// Sets the real time clock.
    time::set_real_time_clock(time: i64) -> (), Stub("the time is the host's");
    /// Sets the system's time zone.
    time::set_timezone(timezone_offset: i32, name: InStr, name_length: Size) -> (), Stub("the time is the host's");
    /// Reads the system's time zone.
    time::get_timezone(timezone_offset: Out<i32>, name: OutBytes, name_length: Size) -> (), Stub("always GMT; libroot follows TZ itself");
    /// Tells whether the hardware clock runs in GMT.
    time::set_real_time_clock_is_gmt(is_gmt: bool) -> (), Stub("the time is the host's");
    /// Reads whether the hardware clock runs in GMT.
    time::get_real_time_clock_is_gmt(is_gmt: Out<bool>) -> (), Stub("always");
    /// Reads a POSIX clock.
    time::get_clock(clock_id: i32, time: Out<i64>) -> (), Partial("clocks of the calling team and its threads");
    /// Sets a POSIX clock.
    time::set_clock(clock_id: i32, time: i64) -> (), Stub("the time is the host's");
    /// Finds the processor time clock of a thread or team.
    time::get_cpuclockid(id: ThreadId, which: i32, clock_id: Out<i32>) -> (), Partial("of the calling team and its threads");
    /// Returns the microseconds since boot.
    time::system_time() -> i64, Full;
    /// Sleeps for or until a time.
    time::snooze_etc(time: i64, timebase: i32, flags: i32, remaining_time: Out<i64>) -> (), Full;
    /// Creates a timer.
    time::create_timer(clock_id: i32, thread_id: ThreadId, flags: u32, event: In<SigEvent>, thread_attributes: InBytes) -> i32, Partial("SIGEV_THREAD is not there; clocks of other teams are not seen");
    /// Deletes a timer.
    time::delete_timer(timer_id: i32, thread_id: ThreadId) -> (), Full;
    /// Reads a timer.
    time::get_timer(timer_id: i32, thread_id: ThreadId, info: Out<UserTimerInfo>) -> (), Full;
    /// Starts or stops a timer.
    time::set_timer(timer_id: i32, thread_id: ThreadId, start_time: i64, interval: i64, flags: u32, old_info: Out<UserTimerInfo>) -> (), Full;
    /// Creates an area of memory.
    area::create_area(name: InStr, address: InOut<Word>, address_spec: u32, size: Size, lock: u32, protection: u32) -> AreaId, Partial("locking is kept and shown; the host pages as it likes");
    /// Deletes an area.
    area::delete_area(area: AreaId) -> (), Full;
    /// Finds the area that holds an address.
    area::area_for(address: GuestAddr) -> AreaId, Full;
    /// Finds an area by name.
    area::find_area(name: InStr) -> AreaId, Partial("areas of the calling team only");
    /// Describes an area.
    area::get_area_info(area: AreaId, info: Out<AreaInfo>) -> (), Partial("areas of the calling team only");
    /// Describes a team's areas one after the other.
    area::get_next_area_info(team: TeamId, cookie: InOut<SignedWord>, info: Out<AreaInfo>) -> (), Partial("areas of the calling team only");
    /// Grows or shrinks an area at its end.
    area::resize_area(area: AreaId, new_size: Size) -> (), Partial("areas with clones can only shrink");
    /// Gives an area to another team.
    area::transfer_area(area: AreaId, address: InOut<Word>, address_spec: u32, target: TeamId) -> AreaId, Partial("to the own team only");
    /// Changes the protection of a whole area.
    area::set_area_protection(area: AreaId, new_protection: u32) -> (), Full;
    /// Maps another area's memory a second time.
    area::clone_area(name: InStr, address: InOut<Word>, address_spec: u32, protection: u32, source_area: AreaId) -> AreaId, Partial("areas of the calling team only; stores by others while it is made may be lost");
    /// Keeps a range of addresses free for areas at exact addresses.
    area::reserve_address_range(address: InOut<Word>, address_spec: u32, size: GuestAddr) -> (), Full;
    /// Gives the unused parts of a reserved range back.
    area::unreserve_address_range(address: GuestAddr, size: GuestAddr) -> (), Full;
    /// Maps a file, or anonymous memory where `fd` is -1.
    area::map_file(name: InStr, address: InOut<Word>, address_spec: u32, size: Size, protection: u32, mapping: u32, unmap_address_range: bool, fd: Fd, offset: i64) -> AreaId, Full;
    /// Unmaps a range, splitting areas.
    area::unmap_memory(address: GuestAddr, size: Size) -> (), Full;
    /// Changes the protection of a range of pages.
    area::set_memory_protection(address: GuestAddr, size: Size, protection: u32) -> (), Full;
    /// Writes changed pages of mapped files.
    area::sync_memory(address: GuestAddr, size: Size, flags: i32) -> (), Stub("mapped files are the host's own pages of them");
    /// Tells how a range will be used.
    area::memory_advice(address: GuestAddr, size: Size, advice: u32) -> (), Stub("checks its arguments; the host pages as it likes");
    /// Reads protection and locking of a page.
    area::get_memory_properties(team_id: TeamId, address: GuestAddr, protected: Out<u32>, lock: Out<u32>) -> (), Partial("of the calling team only");
    /// Keeps a range in memory.
    area::mlock(address: GuestAddr, size: Size) -> (), Stub("checks its arguments; the host pages as it likes");
    /// Lets a locked range be paged out again.
    area::munlock(address: GuestAddr, size: Size) -> (), Stub("checks its arguments; the host pages as it likes");
    /// Creates a port that holds up to `queue_length` messages.
    port::create_port(queue_length: i32, name: InStr) -> PortId, Partial("known to its own team only");
    /// Closes a port for writing.
    port::close_port(id: PortId) -> (), Full;
    /// Deletes a port.
    port::delete_port(id: PortId) -> (), Full;
    /// Finds a port by name.
    port::find_port(port_name: InStr) -> PortId, Partial("ports of the calling team only");
    /// Describes a port.
    port::get_port_info(id: PortId, info: Out<PortInfo>) -> (), Full;
    /// Describes a team's ports one after the other.
    port::get_next_port_info(team: TeamId, cookie: InOut<i32>, info: Out<PortInfo>) -> (), Partial("of the calling team only");
    /// Waits for a message and returns its size.
    port::port_buffer_size_etc(port: PortId, flags: u32, timeout: i64) -> Count, Full;
    /// Returns the number of messages in a port.
    port::port_count(port: PortId) -> i32, Full;
    /// Takes a message out of a port.
    port::read_port_etc(port: PortId, msg_code: Out<i32>, msg_buffer: OutBytes, buffer_size: Size, flags: u32, timeout: i64) -> Count, Full;
    /// Gives a port to another team.
    port::set_port_owner(port: PortId, team: TeamId) -> (), Partial("to the calling team only");
    /// Puts a message into a port.
    port::write_port_etc(port: PortId, msg_code: i32, msg_buffer: InBytes, buffer_size: Size, flags: u32, timeout: i64) -> (), Full;
    /// Puts a message of several buffers into a port.
    port::writev_port_etc(id: PortId, msg_code: i32, msg_vecs: InBytes, vec_count: Size, buffer_size: Size, flags: u32, timeout: i64) -> (), Full;
    /// Waits for a message and describes it.
    port::get_port_message_info_etc(port: PortId, info: Out<PortMessageInfo>, info_size: Size, flags: u32, timeout: i64) -> (), Full;
    /// Enters the kernel debugger.
    debug::kernel_debugger(message: InStr) -> (), Stub("not for ordinary users");
    /// Makes a port receive the system log.
    debug::register_syslog_daemon(port: PortId) -> (), Missing;
    /// Stops the team for a debugger, with a message.
    debug::debugger(message: InStr) -> (), Partial("without a debugger: ends the team with SIGTRAP");
    /// Turns the crash debugger off or on for the team.
    debug::disable_debugger(state: i32) -> i32, Stub("there is no debugger to be disabled");
    /// Sets the port of the debug server.
    debug::install_default_debugger(debugger_port: PortId) -> (), Missing;
    /// Makes the caller a team's debugger.
    debug::install_team_debugger(team: TeamId, debugger_port: PortId) -> PortId, Missing;
    /// Detaches a team's debugger.
    debug::remove_team_debugger(team: TeamId) -> (), Missing;
    /// Stops a thread for the debugger.
    debug::debug_thread(thread: ThreadId) -> (), Missing;
    /// Waits until a debugger is attached.
    debug::wait_for_debugger() -> (), Missing;
    /// Sets a breakpoint or watchpoint.
    debug::set_debugger_breakpoint(address: GuestAddr, kind: u32, length: i32, watchpoint: bool) -> (), Missing;
    /// Clears a breakpoint or watchpoint.
    debug::clear_debugger_breakpoint(address: GuestAddr, watchpoint: bool) -> (), Missing;
    /// Starts the system profiler.
    debug::system_profiler_start(parameters: GuestAddr) -> (), Missing;
    /// Reads on in the system profiler's data.
    debug::system_profiler_next_buffer(bytes_read: Size, dropped_events: Out<u64>) -> (), Missing;
    /// Stops the system profiler.
    debug::system_profiler_stop() -> (), Missing;
    /// Reads what the system profiler recorded at boot.
    debug::system_profiler_recorded(parameters: GuestAddr) -> (), Missing;
    /// Describes the system.
    system::get_system_info(info: Out<SystemInfo>) -> (), Partial("limits are those of hokku; caches and page faults count as zero");
    /// Reads activity and speed of processors.
    system::get_cpu_info(first_cpu: u32, cpu_count: u32, info: OutBytes) -> (), Full;
    /// Describes packages, cores and threads of the processors.
    system::get_cpu_topology_info(topology_infos: OutBytes, topology_info_count: InOut<u32>) -> (), Partial("one package with a core for each processor");
    /// Analyses recorded scheduling events.
    debug::analyze_scheduling(from: i64, until: i64, buffer: GuestAddr, size: Size, analysis: GuestAddr) -> (), Missing;
    /// Writes a message to the system log.
    debug::debug_output(message: InStr) -> (), Full;
    /// Writes a message to the kernel's trace buffer.
    debug::ktrace_output(message: InStr) -> (), Stub("goes to hokku's own debug log");
    /// Tells the kernel where the frame buffer is.
    system::frame_buffer_update(base_address: GuestAddr, width: i32, height: i32, depth: i32, bytes_per_row: i32) -> (), Stub("only the app_server may, and none runs here");
    /// Registers the registrar's messaging service.
    system::register_messaging_service(locking_sem: SemId, counter_sem: SemId) -> AreaId, Missing;
    /// Ends the registrar's messaging service.
    system::unregister_messaging_service() -> (), Missing;
    /// Makes written code visible to instruction fetch.
    system::clear_caches(address: GuestAddr, length: Size, flags: u32) -> (), Stub("written code is noticed where it is written");
    /// Tells whether a processor is in use.
    system::cpu_enabled(cpu: i32) -> bool, Full;
    /// Puts a processor into or out of use.
    system::set_cpu_enabled(cpu: i32, enabled: bool) -> (), Stub("not for ordinary users");
    /// Runs the `cpuid` instruction on a processor.
    system::get_cpuid(info: OutBytes, eax: u32, cpu: u32) -> (), Full;
    /// Lists the disk devices.
    disk::get_next_disk_device_id(cookie: InOut<i32>, needed_size: InOut<Word>) -> i32, Missing;
    /// Finds a disk device by path.
    disk::find_disk_device(filename: InStr, needed_size: InOut<Word>) -> i32, Missing;
    /// Finds a partition by path.
    disk::find_partition(filename: InStr, needed_size: InOut<Word>) -> i32, Missing;
    /// Finds the disk device made of a file.
    disk::find_file_disk_device(filename: InStr, needed_size: InOut<Word>) -> i32, Missing;
    /// Describes a disk device and its partitions.
    disk::get_disk_device_data(device_id: i32, device_only: bool, buffer: GuestAddr, buffer_size: Size, needed_size: InOut<Word>) -> (), Missing;
    /// Makes a file a disk device.
    disk::register_file_device(filename: InStr) -> i32, Missing;
    /// Ends a file's being a disk device.
    disk::unregister_file_device(device_id: i32, filename: InStr) -> (), Missing;
    /// Returns the path of a disk device made of a file.
    disk::get_file_disk_device_path(id: i32, buffer: OutBytes, buffer_size: Size) -> (), Missing;
    /// Describes a disk system.
    disk::get_disk_system_info(id: i32, info: GuestAddr) -> (), Missing;
    /// Describes the disk systems one after the other.
    disk::get_next_disk_system_info(cookie: InOut<i32>, info: GuestAddr) -> (), Missing;
    /// Finds a disk system by name.
    disk::find_disk_system(name: InStr, info: GuestAddr) -> (), Missing;
    /// Defragments a partition.
    disk::defragment_partition(partition_id: i32, change_counter: InOut<i32>) -> (), Missing;
    /// Checks or repairs a partition.
    disk::repair_partition(partition_id: i32, change_counter: InOut<i32>, check_only: bool) -> (), Missing;
    /// Resizes a partition.
    disk::resize_partition(partition_id: i32, change_counter: InOut<i32>, child_id: i32, child_change_counter: InOut<i32>, size: i64, content_size: i64) -> (), Missing;
    /// Moves a partition.
    disk::move_partition(partition_id: i32, change_counter: InOut<i32>, child_id: i32, child_change_counter: InOut<i32>, new_offset: i64, descendant_i_ds: Out<i32>, descendant_change_counters: InOut<i32>, descendant_count: i32) -> (), Missing;
    /// Names a partition.
    disk::set_partition_name(partition_id: i32, change_counter: InOut<i32>, child_id: i32, child_change_counter: InOut<i32>, name: InStr) -> (), Missing;
    /// Names a partition's content.
    disk::set_partition_content_name(partition_id: i32, change_counter: InOut<i32>, name: InStr) -> (), Missing;
    /// Sets a partition's type.
    disk::set_partition_type(partition_id: i32, change_counter: InOut<i32>, child_id: i32, child_change_counter: InOut<i32>, kind: InStr) -> (), Missing;
    /// Sets a partition's parameters.
    disk::set_partition_parameters(partition_id: i32, change_counter: InOut<i32>, child_id: i32, child_change_counter: InOut<i32>, parameters: InStr) -> (), Missing;
    /// Sets the parameters of a partition's content.
    disk::set_partition_content_parameters(partition_id: i32, change_counter: InOut<i32>, parameters: InStr) -> (), Missing;
    /// Writes a disk system onto a partition.
    disk::initialize_partition(partition_id: i32, change_counter: InOut<i32>, disk_system_name: InStr, name: InStr, parameters: InStr) -> (), Missing;
    /// Removes the disk system from a partition.
    disk::uninitialize_partition(partition_id: i32, change_counter: InOut<i32>, parent_id: i32, parent_change_counter: InOut<i32>) -> (), Missing;
    /// Creates a partition within another.
    disk::create_child_partition(partition_id: i32, change_counter: InOut<i32>, offset: i64, size: i64, kind: InStr, name: InStr, parameters: InStr, child_id: Out<i32>, child_change_counter: InOut<i32>) -> (), Missing;
    /// Deletes a partition within another.
    disk::delete_child_partition(partition_id: i32, change_counter: InOut<i32>, child_id: i32, child_change_counter: i32) -> (), Missing;
    /// Asks for messages about disks.
    disk::start_watching_disks(event_mask: u32, port: PortId, token: i32) -> (), Missing;
    /// Ends messages about disks.
    disk::stop_watching_disks(port: PortId, token: i32) -> (), Missing;
}
}

pub use rows::TABLE;

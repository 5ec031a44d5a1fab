//! The structures that system calls exchange, as Haiku's headers declare them.
//!
//! Source: haiku `headers/os/kernel/OS.h`, `image.h`, `fs_info.h`, `headers/posix`, `headers/private/system`.

use hokku_ir::GuestAddr;

use super::layout::{Chars, SignedWord, Word, guest_structs};

/// `B_OS_NAME_LENGTH`: room for a name, with its zero.
pub const OS_NAME_LENGTH: usize = 32;
/// `MAXPATHLEN`: room for a path, with its zero.
pub const PATH_LENGTH: usize = 1024;
/// `B_FILE_NAME_LENGTH`: room for an entry's name, with its zero.
pub const FILE_NAME_LENGTH: usize = 256;

guest_structs! {
    /// What the kernel hands to the runtime loader.
    UserSpaceProgramArgs "user_space_program_args" {
        program_name: Chars<32>,
        program_path: Chars<1024>,
        error_port: i32,
        error_token: u32,
        arg_count: i32,
        env_count: i32,
        args: GuestAddr,
        env: GuestAddr,
        umask: u32,
        disable_user_addons: bool,
    }
    /// How a thread is to be made.
    ThreadCreationAttributes "thread_creation_attributes" {
        entry: GuestAddr,
        name: GuestAddr,
        args1: GuestAddr,
        args2: GuestAddr,
        stack_address: GuestAddr,
        stack_size: Word,
        guard_size: Word,
        pthread: GuestAddr,
        priority: i32,
        flags: u32,
    }
    /// The same with the priority in third place: the order before the middle of 2026.
    EarlyThreadCreationAttributes "early thread_creation_attributes" {
        entry: GuestAddr,
        name: GuestAddr,
        priority: i32,
        args1: GuestAddr,
        args2: GuestAddr,
        stack_address: GuestAddr,
        stack_size: Word,
        guard_size: Word,
        pthread: GuestAddr,
        flags: u32,
    }
    /// What kernel and libroot share about a thread.
    UserThread "user_thread" {
        pthread: GuestAddr,
        flags: u32,
        wait_status: i32,
        defer_signals: i32,
        pending_signals: u64,
    }
    /// What the commpage tells about time.
    RealTimeData "real_time_data" {
        /// Microseconds to add to `system_time` for the time since 1970.
        system_time_offset: i64,
        /// `2^32 * 10^6 / cycles per second` of the time stamp counter.
        system_time_conversion_factor: u32,
        reserved: u32,
    }
    /// What a signal says.
    SigInfo "siginfo_t" {
        si_signo: i32,
        si_code: i32,
        si_errno: i32,
        si_pid: i32,
        si_uid: u32,
        si_addr: GuestAddr,
        si_status: i32,
        si_band: SignedWord,
        si_value: Word,
    }
    /// A signal stack.
    SignalStack "stack_t" {
        ss_sp: GuestAddr,
        ss_size: Word,
        ss_flags: i32,
    }
    /// What a signal does.
    SigAction "struct sigaction" {
        sa_handler: GuestAddr,
        sa_mask: u64,
        sa_flags: i32,
        sa_userdata: GuestAddr,
    }
    /// A time in seconds and nanoseconds.
    TimeSpec "struct timespec" {
        tv_sec: SignedWord,
        tv_nsec: SignedWord,
    }
    /// A node's status.
    Stat "struct stat" {
        st_dev: i32,
        st_ino: i64,
        st_mode: u32,
        st_nlink: i32,
        st_uid: u32,
        st_gid: u32,
        st_size: i64,
        st_rdev: i32,
        st_blksize: i32,
        st_atim: TimeSpec,
        st_mtim: TimeSpec,
        st_ctim: TimeSpec,
        st_crtim: TimeSpec,
        st_type: u32,
        st_blocks: i64,
    }
    /// An area.
    AreaInfo "area_info" {
        area: i32,
        name: Chars<32>,
        size: Word,
        lock: u32,
        protection: u32,
        team: i32,
        ram_size: u32,
        copy_count: u32,
        in_count: u32,
        out_count: u32,
        address: GuestAddr,
    }
    /// A team.
    TeamInfo "team_info" {
        team: i32,
        thread_count: i32,
        image_count: i32,
        area_count: i32,
        debugger_nub_thread: i32,
        debugger_nub_port: i32,
        argc: i32,
        args: Chars<64>,
        uid: u32,
        gid: u32,
        real_uid: u32,
        real_gid: u32,
        group_id: i32,
        session_id: i32,
        parent: i32,
        name: Chars<32>,
        start_time: i64,
    }
    /// Processor time of a team.
    TeamUsageInfo "team_usage_info" {
        user_time: i64,
        kernel_time: i64,
    }
    /// A thread.
    ThreadInfo "thread_info" {
        thread: i32,
        team: i32,
        name: Chars<32>,
        state: i32,
        priority: i32,
        sem: i32,
        user_time: i64,
        kernel_time: i64,
        stack_base: GuestAddr,
        stack_end: GuestAddr,
    }
    /// A semaphore.
    SemInfo "sem_info" {
        sem: i32,
        team: i32,
        name: Chars<32>,
        count: i32,
        latest_holder: i32,
    }
    /// A port.
    PortInfo "port_info" {
        port: i32,
        team: i32,
        name: Chars<32>,
        capacity: i32,
        queue_count: i32,
        total_count: i32,
    }
    /// A message in a port.
    PortMessageInfo "port_message_info" {
        size: Word,
        sender: u32,
        sender_group: u32,
        sender_team: i32,
    }
    /// The system.
    SystemInfo "system_info" {
        boot_time: i64,
        cpu_count: u32,
        max_pages: u64,
        used_pages: u64,
        cached_pages: u64,
        block_cache_pages: u64,
        ignored_pages: u64,
        needed_memory: u64,
        free_memory: u64,
        max_swap_pages: u64,
        free_swap_pages: u64,
        page_faults: u32,
        max_sems: u32,
        used_sems: u32,
        max_ports: u32,
        used_ports: u32,
        max_threads: u32,
        used_threads: u32,
        max_teams: u32,
        used_teams: u32,
        kernel_name: Chars<256>,
        kernel_build_date: Chars<32>,
        kernel_build_time: Chars<32>,
        kernel_version: i64,
        abi: u32,
    }
    /// A processor.
    CpuInfo "cpu_info" {
        active_time: i64,
        enabled: bool,
        current_frequency: u64,
    }
    /// A node of the tree of packages, cores and threads; what stands in `data` depends on `kind`.
    CpuTopologyNodeInfo "cpu_topology_node_info" {
        id: u32,
        kind: u32,
        level: u32,
        data: CpuTopologyData,
    }
    /// What a node of that tree tells: platform, or vendor, or model and frequency.
    CpuTopologyData "cpu_topology_core_info" {
        first: u32,
        frequency: u64,
    }
    /// An image.
    ImageInfo "image_info" {
        id: i32,
        kind: i32,
        sequence: i32,
        init_order: i32,
        init_routine: GuestAddr,
        term_routine: GuestAddr,
        device: i32,
        node: i64,
        name: Chars<1024>,
        text: GuestAddr,
        data: GuestAddr,
        text_size: i32,
        data_size: i32,
        api_version: i32,
        abi: i32,
    }
    /// An image as the runtime loader registers it.
    ExtendedImageInfo "extended_image_info" {
        basic_info: ImageInfo,
        text_delta: SignedWord,
        symbol_table: GuestAddr,
        symbol_hash: GuestAddr,
        string_table: GuestAddr,
    }
    /// Something to wait for.
    ObjectWaitInfo "object_wait_info" {
        object: i32,
        kind: u16,
        events: u16,
    }
    /// A volume.
    FsInfo "fs_info" {
        dev: i32,
        root: i64,
        flags: u32,
        block_size: i64,
        io_size: i64,
        total_blocks: i64,
        free_blocks: i64,
        total_nodes: i64,
        free_nodes: i64,
        device_name: Chars<128>,
        volume_name: Chars<256>,
        fsh_name: Chars<32>,
    }
    /// An open file.
    FdInfo "struct fd_info" {
        number: i32,
        open_mode: i32,
        device: i32,
        node: i64,
    }
    /// A terminal's modes.
    Termios "struct termios" {
        c_iflag: u16,
        c_ispeed: u16,
        c_oflag: u16,
        c_ospeed: u16,
        c_cflag: u16,
        c_ispeed_high: u16,
        c_lflag: u16,
        c_ospeed_high: u16,
        c_line: u8,
        c_ixxxxx: u8,
        c_oxxxxx: u8,
        c_cc: Chars<11>,
    }
    /// A terminal's size.
    WinSize "struct winsize" {
        ws_row: u16,
        ws_col: u16,
        ws_xpixel: u16,
        ws_ypixel: u16,
    }
    /// A file to poll.
    PollFd "struct pollfd" {
        fd: i32,
        events: i16,
        revents: i16,
    }
    /// One of several buffers.
    IoVec "struct iovec" {
        iov_base: GuestAddr,
        iov_len: Word,
    }
    /// A resource limit.
    RLimit "struct rlimit" {
        rlim_cur: Word,
        rlim_max: Word,
    }
    /// An advisory lock on a part of a file.
    FLock "struct flock" {
        l_type: i16,
        l_whence: i16,
        l_start: i64,
        l_len: i64,
        l_pid: i32,
    }
    /// An attribute.
    AttrInfo "attr_info" {
        kind: u32,
        size: i64,
    }
    /// How a timer tells that its time has come.
    SigEvent "struct sigevent" {
        sigev_notify: i32,
        sigev_signo: i32,
        sigev_value: Word,
        sigev_notify_function: GuestAddr,
        sigev_notify_attributes: GuestAddr,
    }
    /// A timer.
    UserTimerInfo "struct user_timer_info" {
        remaining_time: i64,
        interval: i64,
        overrun_count: u32,
    }
    /// Load averages in units of 1/2048.
    LoadAvg "struct loadavg" {
        ldavg_1: u32,
        ldavg_5: u32,
        ldavg_15: u32,
        fscale: SignedWord,
    }
    /// A message with several buffers and control data.
    MsgHdr "struct msghdr" {
        msg_name: GuestAddr,
        msg_namelen: u32,
        msg_iov: GuestAddr,
        msg_iovlen: i32,
        msg_control: GuestAddr,
        msg_controllen: u32,
        msg_flags: i32,
    }
    /// Request of the subsystem `random`.
    RandomGetEntropyArgs "random_get_entropy_args" {
        buffer: GuestAddr,
        length: Word,
    }
    /// Head of a directory entry; the name follows at [`DIRENT_NAME`].
    DirEntHead "struct dirent" {
        d_dev: i32,
        d_pdev: i32,
        d_ino: i64,
        d_pino: i64,
        d_reclen: u16,
    }
}

/// Offset of `d_name` in a directory entry, for both word sizes.
pub const DIRENT_NAME: usize = 26;

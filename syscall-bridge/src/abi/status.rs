//! Haiku's error numbers, and how host errors become them.

use std::fmt;
use std::num::NonZeroI32;

/// A Haiku error: any `status_t` but `B_OK`, which cannot be expressed.
///
/// Source: haiku `headers/os/support/Errors.h`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(NonZeroI32);

/// What a call gives back: a value, or the error that the guest sees.
pub type SysResult<T = ()> = Result<T, Status>;

/// First of the general errors.
const GENERAL: i32 = i32::MIN;
/// First of the operating system errors.
const OS: i32 = GENERAL + 0x1000;
/// First of the application errors.
const APP: i32 = GENERAL + 0x2000;
/// First of the storage errors.
const STORAGE: i32 = GENERAL + 0x6000;
/// First of the errors that only POSIX has.
const POSIX: i32 = GENERAL + 0x7000;
/// First of the device errors.
const DEVICE: i32 = GENERAL + 0xa000;

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        impl Status {
            $($(#[$doc])* pub const $name: Status = Status(NonZeroI32::new($value).expect("an error is not zero"));)*

            /// Every named error.
            pub const ALL: &'static [(Status, &'static str)] = &[$((Status::$name, stringify!($name))),*];
        }
    };
}

statuses! {
    /// Unspecific failure.
    B_ERROR = -1;
    /// No memory.
    B_NO_MEMORY = GENERAL;
    /// Input or output failed.
    B_IO_ERROR = GENERAL + 1;
    /// `EACCES`.
    B_PERMISSION_DENIED = GENERAL + 2;
    /// An index beyond the end.
    B_BAD_INDEX = GENERAL + 3;
    /// A type that does not fit.
    B_BAD_TYPE = GENERAL + 4;
    /// `EINVAL`.
    B_BAD_VALUE = GENERAL + 5;
    /// Values that do not fit together.
    B_MISMATCHED_VALUES = GENERAL + 6;
    /// No such name.
    B_NAME_NOT_FOUND = GENERAL + 7;
    /// The name is taken.
    B_NAME_IN_USE = GENERAL + 8;
    /// The timeout passed.
    B_TIMED_OUT = GENERAL + 9;
    /// `EINTR`.
    B_INTERRUPTED = GENERAL + 10;
    /// `EAGAIN`.
    B_WOULD_BLOCK = GENERAL + 11;
    /// Cancelled.
    B_CANCELED = GENERAL + 12;
    /// Not initialised.
    B_NO_INIT = GENERAL + 13;
    /// `EBUSY`.
    B_BUSY = GENERAL + 14;
    /// `EPERM`.
    B_NOT_ALLOWED = GENERAL + 15;
    /// Data that make no sense.
    B_BAD_DATA = GENERAL + 16;
    /// Would be a mistake.
    B_DONT_DO_THAT = GENERAL + 17;
    /// No such semaphore.
    B_BAD_SEM_ID = OS;
    /// The semaphore table is full.
    B_NO_MORE_SEMS = OS + 1;
    /// No such thread.
    B_BAD_THREAD_ID = OS + 0x100;
    /// No thread can be made.
    B_NO_MORE_THREADS = OS + 0x101;
    /// The thread is not in the state that this needs.
    B_BAD_THREAD_STATE = OS + 0x102;
    /// No such team.
    B_BAD_TEAM_ID = OS + 0x103;
    /// No team can be made.
    B_NO_MORE_TEAMS = OS + 0x104;
    /// No such port.
    B_BAD_PORT_ID = OS + 0x200;
    /// The port table is full.
    B_NO_MORE_PORTS = OS + 0x201;
    /// No such image.
    B_BAD_IMAGE_ID = OS + 0x300;
    /// Guest memory that is not there, or not so accessible.
    B_BAD_ADDRESS = OS + 0x301;
    /// A file that cannot be run.
    B_NOT_AN_EXECUTABLE = OS + 0x302;
    /// A library that is not found.
    B_MISSING_LIBRARY = OS + 0x303;
    /// A symbol that is not found.
    B_MISSING_SYMBOL = OS + 0x304;
    /// An executable of an unknown kind.
    B_UNKNOWN_EXECUTABLE = OS + 0x305;
    /// An executable of another system.
    B_LEGACY_EXECUTABLE = OS + 0x306;
    /// The team has a debugger already.
    B_DEBUGGER_ALREADY_INSTALLED = OS + 0x400;
    /// The wrong kind of handler: a subsystem function that is not there.
    B_BAD_HANDLER = APP + 3;
    /// `EBADF`.
    B_FILE_ERROR = STORAGE;
    /// `EEXIST`.
    B_FILE_EXISTS = STORAGE + 2;
    /// `ENOENT`.
    B_ENTRY_NOT_FOUND = STORAGE + 3;
    /// `ENAMETOOLONG`.
    B_NAME_TOO_LONG = STORAGE + 4;
    /// `ENOTDIR`.
    B_NOT_A_DIRECTORY = STORAGE + 5;
    /// `ENOTEMPTY`.
    B_DIRECTORY_NOT_EMPTY = STORAGE + 6;
    /// `ENOSPC`.
    B_DEVICE_FULL = STORAGE + 7;
    /// `EROFS`.
    B_READ_ONLY_DEVICE = STORAGE + 8;
    /// `EISDIR`.
    B_IS_A_DIRECTORY = STORAGE + 9;
    /// `EMFILE`.
    B_NO_MORE_FDS = STORAGE + 10;
    /// `EXDEV`.
    B_CROSS_DEVICE_LINK = STORAGE + 11;
    /// `ELOOP`.
    B_LINK_LIMIT = STORAGE + 12;
    /// `EPIPE`.
    B_BUSTED_PIPE = STORAGE + 13;
    /// The file system cannot do it.
    B_UNSUPPORTED = STORAGE + 14;
    /// `E2BIG`.
    B_TOO_MANY_ARGS = POSIX + 1;
    /// No child to wait for.
    ECHILD = POSIX + 2;
    /// A deadlock would result.
    EDEADLK = POSIX + 3;
    /// `EFBIG`.
    B_FILE_TOO_LARGE = POSIX + 4;
    /// Too many links.
    EMLINK = POSIX + 5;
    /// Too many open files in the system.
    ENFILE = POSIX + 6;
    /// `ENODEV`.
    B_DEVICE_NOT_FOUND = POSIX + 7;
    /// No locks left.
    ENOLCK = POSIX + 8;
    /// No such function.
    ENOSYS = POSIX + 9;
    /// Not a terminal.
    ENOTTY = POSIX + 10;
    /// No such device or address.
    ENXIO = POSIX + 11;
    /// Cannot seek there.
    ESPIPE = POSIX + 12;
    /// No such process.
    ESRCH = POSIX + 13;
    /// Outside the domain of a function.
    EDOM = POSIX + 16;
    /// `ERANGE`.
    B_RESULT_NOT_REPRESENTABLE = POSIX + 17;
    /// Wrong protocol for the socket.
    EPROTOTYPE = POSIX + 18;
    /// Protocol not there.
    EPROTONOSUPPORT = POSIX + 19;
    /// Protocol family not there.
    EPFNOSUPPORT = POSIX + 20;
    /// Address family not there.
    EAFNOSUPPORT = POSIX + 21;
    /// Address in use.
    EADDRINUSE = POSIX + 22;
    /// Address not ours.
    EADDRNOTAVAIL = POSIX + 23;
    /// Network down.
    ENETDOWN = POSIX + 24;
    /// Network unreachable.
    ENETUNREACH = POSIX + 25;
    /// Connection dropped by the network.
    ENETRESET = POSIX + 26;
    /// Connection aborted.
    ECONNABORTED = POSIX + 27;
    /// Connection reset by the peer.
    ECONNRESET = POSIX + 28;
    /// Connected already.
    EISCONN = POSIX + 29;
    /// Not connected.
    ENOTCONN = POSIX + 30;
    /// Shut down.
    ESHUTDOWN = POSIX + 31;
    /// Connection refused.
    ECONNREFUSED = POSIX + 32;
    /// Host unreachable.
    EHOSTUNREACH = POSIX + 33;
    /// No such option.
    ENOPROTOOPT = POSIX + 34;
    /// No buffers.
    ENOBUFS = POSIX + 35;
    /// Under way.
    EINPROGRESS = POSIX + 36;
    /// Under way already.
    EALREADY = POSIX + 37;
    /// Illegal byte sequence.
    EILSEQ = POSIX + 38;
    /// No message of that type.
    ENOMSG = POSIX + 39;
    /// Stale handle.
    ESTALE = POSIX + 40;
    /// `EOVERFLOW`.
    B_BUFFER_OVERFLOW = POSIX + 41;
    /// Message too long.
    EMSGSIZE = POSIX + 42;
    /// `EOPNOTSUPP`.
    B_NOT_SUPPORTED = POSIX + 43;
    /// Not a socket.
    ENOTSOCK = POSIX + 44;
    /// Host down.
    EHOSTDOWN = POSIX + 45;
    /// Bad message.
    EBADMSG = POSIX + 46;
    /// Cancelled.
    ECANCELED = POSIX + 47;
    /// No destination.
    EDESTADDRREQ = POSIX + 48;
    /// Quota exceeded.
    EDQUOT = POSIX + 49;
    /// Identifier removed.
    EIDRM = POSIX + 50;
    /// No data.
    ENODATA = POSIX + 52;
    /// Not supported.
    ENOTSUP = POSIX + 56;
    /// Protocol error.
    EPROTO = POSIX + 57;
    /// Text file busy.
    ETXTBSY = POSIX + 59;
    /// No such attribute.
    ENOATTR = POSIX + 60;
    /// The lock's state cannot be recovered.
    ENOTRECOVERABLE = POSIX + 61;
    /// The lock's owner died.
    EOWNERDEAD = POSIX + 62;
    /// Socket type not there.
    ESOCKTNOSUPPORT = POSIX + 63;
    /// The device does not know this control operation.
    B_DEV_INVALID_IOCTL = DEVICE;
}

impl Status {
    /// The error with this number; `None` for zero and positive numbers, which are no errors.
    pub fn new(raw: i32) -> Option<Self> {
        if raw < 0 { NonZeroI32::new(raw).map(Status) } else { None }
    }

    /// The number as the guest sees it.
    pub fn raw(self) -> i32 {
        self.0.get()
    }

    /// The name in Haiku's headers.
    pub fn name(self) -> Option<&'static str> {
        Self::ALL.iter().find(|(s, _)| *s == self).map(|(_, name)| *name)
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#010x}", self.raw()),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Status {}

impl From<hokku_runtime::MemoryFault> for Status {
    fn from(_: hokku_runtime::MemoryFault) -> Self {
        Status::B_BAD_ADDRESS
    }
}

impl From<std::io::Error> for Status {
    fn from(error: std::io::Error) -> Self {
        error.raw_os_error().map_or(Status::B_ERROR, |raw| rustix::io::Errno::from_raw_os_error(raw).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_headers() {
        assert_eq!(Status::B_NO_MEMORY.raw() as u32, 0x8000_0000);
        assert_eq!(Status::B_BAD_ADDRESS.raw() as u32, 0x8000_1301);
        assert_eq!(Status::B_ENTRY_NOT_FOUND.raw() as u32, 0x8000_6003);
        assert_eq!(Status::B_NOT_SUPPORTED.raw() as u32, 0x8000_702b);
        assert_eq!(Status::new(0), None);
        assert_eq!(Status::new(5), None);
        assert_eq!(format!("{}", Status::B_BUSTED_PIPE), "B_BUSTED_PIPE");
        assert_eq!(format!("{}", Status::new(-7).expect("negative")), "0xfffffff9");
    }

    #[test]
    fn no_two_names_share_a_number() {
        for (i, (a, name)) in Status::ALL.iter().enumerate() {
            for (b, other) in &Status::ALL[i + 1..] {
                assert_ne!(a, b, "{name} and {other}");
            }
        }
    }

    #[test]
    fn host_errors_become_haiku_ones() {
        assert_eq!(Status::from(rustix::io::Errno::NOENT), Status::B_ENTRY_NOT_FOUND);
        assert_eq!(Status::from(std::io::Error::from_raw_os_error(libc::EAGAIN)), Status::B_WOULD_BLOCK);
    }
}

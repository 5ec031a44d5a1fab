//! Terminals: Haiku's modes and the host's.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::process::Pid;
use rustix::termios::{
    Action, ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, QueueSelector,
    SpecialCodeIndex as Code, Winsize, tcdrain, tcflow, tcflush, tcgetattr, tcgetpgrp, tcgetwinsize, tcsendbreak,
    tcsetattr, tcsetpgrp, tcsetwinsize,
};

use super::process::host_group;
use crate::abi::structs::{Termios, WinSize};
use crate::abi::{Chars, Status, SysResult};
use crate::kernel::TerminalRequest;

const INPUT: &[(u16, InputModes)] = &[
    (0x01, InputModes::IGNBRK),
    (0x02, InputModes::BRKINT),
    (0x04, InputModes::IGNPAR),
    (0x08, InputModes::PARMRK),
    (0x10, InputModes::INPCK),
    (0x20, InputModes::ISTRIP),
    (0x40, InputModes::INLCR),
    (0x80, InputModes::IGNCR),
    (0x100, InputModes::ICRNL),
    (0x400, InputModes::IXON),
    (0x800, InputModes::IXANY),
    (0x1000, InputModes::IXOFF),
];
const OUTPUT: &[(u16, OutputModes)] = &[
    (0x01, OutputModes::OPOST),
    (0x04, OutputModes::ONLCR),
    (0x08, OutputModes::OCRNL),
    (0x10, OutputModes::ONOCR),
    (0x20, OutputModes::ONLRET),
];
const LOCAL: &[(u16, LocalModes)] = &[
    (0x01, LocalModes::ISIG),
    (0x02, LocalModes::ICANON),
    (0x08, LocalModes::ECHO),
    (0x10, LocalModes::ECHOE),
    (0x20, LocalModes::ECHOK),
    (0x40, LocalModes::ECHONL),
    (0x80, LocalModes::NOFLSH),
    (0x100, LocalModes::TOSTOP),
    (0x200, LocalModes::IEXTEN),
    (0x400, LocalModes::ECHOCTL),
    (0x1000, LocalModes::ECHOKE),
];
/// Control characters by Haiku's index, for canonical input; `VMIN` and `VTIME` share places 4 and 5 otherwise.
const CHARACTERS: &[(usize, Code)] = &[
    (0, Code::VINTR),
    (1, Code::VQUIT),
    (2, Code::VERASE),
    (3, Code::VKILL),
    (6, Code::VEOL2),
    (8, Code::VSTART),
    (9, Code::VSTOP),
    (10, Code::VSUSP),
];
/// The line speeds that Haiku numbers: index is the number.
const SPEEDS: &[u32] = &[
    0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600, 115_200, 230_400, 31250,
];

fn to_haiku<T: Copy>(table: &[(u16, T)], has: impl Fn(T) -> bool) -> u16 {
    table.iter().filter(|(_, host)| has(*host)).fold(0, |all, (ours, _)| all | ours)
}

/// Reads a terminal's modes.
pub(super) fn modes(fd: BorrowedFd<'_>) -> SysResult<Termios> {
    let host = tcgetattr(fd)?;
    let mut characters = [0; 11];
    for (index, code) in CHARACTERS {
        characters[*index] = host.special_codes[*code];
    }
    let canonical = host.local_modes.contains(LocalModes::ICANON);
    let (fourth, fifth) = if canonical { (Code::VEOF, Code::VEOL) } else { (Code::VMIN, Code::VTIME) };
    characters[4] = host.special_codes[fourth];
    characters[5] = host.special_codes[fifth];
    let speed = SPEEDS.iter().position(|s| *s == host.output_speed()).unwrap_or(0xf) as u16;
    let mut control = speed & 0x1f;
    for (ours, hosts) in [
        (0x40, ControlModes::CSTOPB),
        (0x80, ControlModes::CREAD),
        (0x100, ControlModes::PARENB),
        (0x200, ControlModes::PARODD),
        (0x400, ControlModes::HUPCL),
        (0x800, ControlModes::CLOCAL),
        (0x6000, ControlModes::CRTSCTS),
    ] {
        if host.control_modes.contains(hosts) {
            control |= ours;
        }
    }
    if host.control_modes & ControlModes::CSIZE == ControlModes::CS8 {
        control |= 0x20;
    }
    Ok(Termios {
        c_iflag: to_haiku(INPUT, |m| host.input_modes.contains(m)),
        c_oflag: to_haiku(OUTPUT, |m| host.output_modes.contains(m)),
        c_lflag: to_haiku(LOCAL, |m| host.local_modes.contains(m)),
        c_cflag: control,
        c_ispeed: speed,
        c_ospeed: speed,
        c_cc: Chars(characters),
        ..Termios::default()
    })
}

fn set_modes(fd: BorrowedFd<'_>, modes: &Termios, when: u8) -> SysResult {
    let mut host = tcgetattr(fd)?;
    for (ours, hosts) in INPUT {
        host.input_modes.set(*hosts, modes.c_iflag & ours != 0);
    }
    for (ours, hosts) in OUTPUT {
        host.output_modes.set(*hosts, modes.c_oflag & ours != 0);
    }
    for (ours, hosts) in LOCAL {
        host.local_modes.set(*hosts, modes.c_lflag & ours != 0);
    }
    for (index, code) in CHARACTERS {
        host.special_codes[*code] = modes.c_cc.0[*index];
    }
    let canonical = host.local_modes.contains(LocalModes::ICANON);
    let (fourth, fifth) = if canonical { (Code::VEOF, Code::VEOL) } else { (Code::VMIN, Code::VTIME) };
    host.special_codes[fourth] = modes.c_cc.0[4];
    host.special_codes[fifth] = modes.c_cc.0[5];
    let when = match when {
        0 => OptionalActions::Now,
        1 => OptionalActions::Drain,
        _ => OptionalActions::Flush,
    };
    Ok(tcsetattr(fd, when, &host)?)
}

/// Reads a terminal's size.
pub(super) fn size(fd: BorrowedFd<'_>) -> SysResult<WinSize> {
    let host = tcgetwinsize(fd)?;
    Ok(WinSize { ws_row: host.ws_row, ws_col: host.ws_col, ws_xpixel: host.ws_xpixel, ws_ypixel: host.ws_ypixel })
}

/// Reads a terminal's foreground process group or its session.
pub(super) fn group(fd: BorrowedFd<'_>, session: bool) -> SysResult<i32> {
    if session {
        // SAFETY: the descriptor is open for as long as it is borrowed; tcgetsid() touches no memory.
        return Ok(host_group(unsafe { libc::tcgetsid(fd.as_raw_fd()) })?.0);
    }
    Ok(tcgetpgrp(fd)?.as_raw_nonzero().get())
}

/// Tells a terminal something.
pub(super) fn request(fd: BorrowedFd<'_>, request: TerminalRequest) -> SysResult {
    match request {
        TerminalRequest::SetModes(modes, when) => set_modes(fd, &modes, when),
        TerminalRequest::SetSize(size) => Ok(tcsetwinsize(
            fd,
            Winsize { ws_row: size.ws_row, ws_col: size.ws_col, ws_xpixel: size.ws_xpixel, ws_ypixel: size.ws_ypixel },
        )?),
        TerminalRequest::SetForeground(group) => {
            let group = Pid::from_raw(group).ok_or(Status::B_BAD_VALUE)?;
            Ok(tcsetpgrp(fd, group)?)
        }
        TerminalRequest::Break(0) => Ok(tcsendbreak(fd)?),
        TerminalRequest::Break(_) => Ok(tcdrain(fd)?),
        TerminalRequest::Flush(what) => {
            let queue = match what {
                1 => QueueSelector::IFlush,
                2 => QueueSelector::OFlush,
                3 => QueueSelector::IOFlush,
                _ => return Err(Status::B_BAD_VALUE),
            };
            Ok(tcflush(fd, queue)?)
        }
        TerminalRequest::Flow(what) => {
            let action = match what {
                1 => Action::OOff,
                2 => Action::OOn,
                4 => Action::IOff,
                8 => Action::IOn,
                _ => return Err(Status::B_BAD_VALUE),
            };
            Ok(tcflow(fd, action)?)
        }
        TerminalRequest::Control => Ok(rustix::process::ioctl_tiocsctty(fd)?),
    }
}

//! Device control operations.

use hokku_ir::GuestAddr;

use crate::abi::fs::{OpenMode, ioctl as op};
use crate::abi::{Status, SysResult};
use crate::args::{Fd, Size};
use crate::call::Call;
use crate::kernel::TerminalRequest;

/// Haiku: `_user_ioctl`; `data` is an address or a number, as the operation has it.
pub fn ioctl(call: &mut Call<'_>, fd: Fd, command: u32, data: GuestAddr, _length: Size) -> SysResult<i32> {
    let descriptors = call.kernel().descriptors();
    let mode = descriptors.mode(fd.0)?;
    let number = data.0 as i32;
    let request = match command {
        op::FIONBIO => {
            if data.0 == 0 {
                return Err(Status::B_BAD_VALUE);
            }
            let on: i32 = call.read_at(data)?;
            let wanted = if on != 0 { mode | OpenMode::NONBLOCK } else { mode - OpenMode::NONBLOCK };
            return descriptors.set_mode(fd.0, wanted).map(|()| 0);
        }
        op::FIONREAD => {
            let count = descriptors.readable_bytes(fd.0)?;
            return call.write_at(data, &count).map(|()| 0);
        }
        op::TCGETA => {
            let modes = descriptors.terminal_modes(fd.0)?;
            return call.write_at(data, &modes).map(|()| 0);
        }
        op::TIOCGWINSZ => {
            let size = descriptors.terminal_size(fd.0)?;
            return call.write_at(data, &size).map(|()| 0);
        }
        op::TIOCGPGRP | op::TIOCGSID => {
            let id = descriptors.terminal_group(fd.0, command == op::TIOCGSID)?;
            return call.write_at(data, &id).map(|()| 0);
        }
        op::TCSETA => TerminalRequest::SetModes(call.read_at(data)?, 0),
        op::TCSETAW => TerminalRequest::SetModes(call.read_at(data)?, 1),
        op::TCSETAF => TerminalRequest::SetModes(call.read_at(data)?, 2),
        op::TIOCSWINSZ => TerminalRequest::SetSize(call.read_at(data)?),
        op::TIOCSPGRP => TerminalRequest::SetForeground(call.read_at(data)?),
        op::TIOCSCTTY => TerminalRequest::Control,
        op::TCSBRK => TerminalRequest::Break(number),
        op::TCFLSH => TerminalRequest::Flush(number),
        op::TCXONC => TerminalRequest::Flow(number),
        _ => return Err(Status::ENOTTY),
    };
    descriptors.terminal_request(fd.0, request).map(|()| 0)
}

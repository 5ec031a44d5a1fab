//! Ports.
//!
//! Haiku: `src/system/kernel/port.cpp`.

use hokku_runtime::Access;

use crate::abi::layout::{GuestType, Word};
use crate::abi::structs::{IoVec, PortInfo, PortMessageInfo};
use crate::abi::{Status, SysResult};
use crate::args::*;
use crate::call::Call;
use crate::team::ports::{MAX_MESSAGE, Message, Sender};
use crate::team::waiting::Deadline;

/// Haiku: `_user_create_port`.
pub fn create_port(call: &mut Call<'_>, queue_length: i32, name: InStr) -> SysResult<PortId> {
    let name = call.name(name, "unnamed port")?;
    call.team.ports.create(queue_length, &name)
}

/// Haiku: `_user_close_port`.
pub fn close_port(call: &mut Call<'_>, id: PortId) -> SysResult {
    call.team.ports.close(id)
}

/// Haiku: `_user_delete_port`.
pub fn delete_port(call: &mut Call<'_>, id: PortId) -> SysResult {
    call.team.ports.delete(id)
}

/// Haiku: `_user_find_port`.
pub fn find_port(call: &mut Call<'_>, port_name: InStr) -> SysResult<PortId> {
    let name = call.string(port_name)?;
    call.team.ports.find(&name)
}

/// Haiku: `_user_get_port_info`.
pub fn get_port_info(call: &mut Call<'_>, id: PortId, info: Out<PortInfo>) -> SysResult {
    let value = call.team.ports.info(id, call.kernel().processes().team())?;
    call.write(info, &value)
}

/// Haiku: `_user_get_next_port_info`. The cookie is the id of the port before.
pub fn get_next_port_info(call: &mut Call<'_>, team: TeamId, cookie: InOut<i32>, info: Out<PortInfo>) -> SysResult {
    let own = super::team::own_team(call, team)?;
    let after = call.read_io(cookie)?;
    let value = call.team.ports.next_info(after, own).ok_or(Status::B_BAD_VALUE)?;
    call.write(info, &value)?;
    call.write_io(cookie, &value.port)
}

fn peek(call: &mut Call<'_>, port: PortId, deadline: Deadline) -> SysResult<(usize, Sender)> {
    let result = call.waiting(|wait| call.team.ports.peek(port, deadline, wait));
    call.restartable(result)
}

/// Haiku: `_user_port_buffer_size_etc`.
pub fn port_buffer_size_etc(call: &mut Call<'_>, port: PortId, flags: u32, timeout: i64) -> SysResult<Count> {
    let deadline = call.deadline(flags, timeout);
    peek(call, port, deadline).map(|(size, _)| size.into())
}

/// Haiku: `_user_get_port_message_info_etc`.
pub fn get_port_message_info_etc(
    call: &mut Call<'_>,
    port: PortId,
    info: Out<PortMessageInfo>,
    info_size: Size,
    flags: u32,
    timeout: i64,
) -> SysResult {
    let deadline = call.deadline(flags, timeout);
    let (size, sender) = peek(call, port, deadline)?;
    let value = PortMessageInfo {
        size: Word(size as u64),
        sender: sender.user,
        sender_group: sender.group,
        sender_team: sender.team,
    };
    call.write_sized(info, info_size, &value)
}

/// Haiku: `_user_port_count`.
pub fn port_count(call: &mut Call<'_>, port: PortId) -> SysResult<i32> {
    call.team.ports.count(port)
}

/// Haiku: `_user_read_port_etc`. Bytes that do not fit are lost.
pub fn read_port_etc(
    call: &mut Call<'_>,
    port: PortId,
    msg_code: Out<i32>,
    msg_buffer: OutBytes,
    buffer_size: Size,
    flags: u32,
    timeout: i64,
) -> SysResult<Count> {
    if msg_buffer.0.0 == 0 && buffer_size.0 > 0 {
        return Err(Status::B_BAD_VALUE);
    }
    // A message must not be lost to a pointer that leads nowhere.
    call.memory().check(msg_buffer.0, buffer_size.0.min(1), Access::Write)?;
    let deadline = call.deadline(flags, timeout);
    let result = call.waiting(|wait| call.team.ports.read(port, deadline, wait));
    let message = call.restartable(result)?;
    let taken = message.data.len().min(usize::try_from(buffer_size.0).unwrap_or(usize::MAX));
    call.put_bytes(msg_buffer, &message.data[..taken])?;
    call.write_optional(msg_code, &message.code)?;
    Ok(taken.into())
}

/// Haiku: `_user_set_port_owner`.
pub fn set_port_owner(call: &mut Call<'_>, port: PortId, team: TeamId) -> SysResult {
    call.team.ports.count(port)?;
    super::team::own_team(call, team).map(|_| ())
}

fn send(call: &mut Call<'_>, port: PortId, code: i32, data: Vec<u8>, flags: u32, timeout: i64) -> SysResult {
    let deadline = call.deadline(flags, timeout);
    let processes = call.kernel().processes();
    let sender = Sender { user: processes.user_ids()[1], group: processes.group_ids()[1], team: processes.team().0 };
    let message = Message { code, data, sender };
    let result = call.waiting(|wait| call.team.ports.write(port, message, deadline, wait));
    call.restartable(result)
}

/// Haiku: `_user_write_port_etc`.
pub fn write_port_etc(
    call: &mut Call<'_>,
    port: PortId,
    msg_code: i32,
    msg_buffer: InBytes,
    buffer_size: Size,
    flags: u32,
    timeout: i64,
) -> SysResult {
    if buffer_size.0 > MAX_MESSAGE {
        return Err(Status::B_BAD_VALUE);
    }
    let data = call.bytes(msg_buffer, buffer_size.0)?;
    send(call, port, msg_code, data, flags, timeout)
}

/// Haiku: `_user_writev_port_etc`.
pub fn writev_port_etc(
    call: &mut Call<'_>,
    id: PortId,
    msg_code: i32,
    msg_vecs: InBytes,
    vec_count: Size,
    buffer_size: Size,
    flags: u32,
    timeout: i64,
) -> SysResult {
    if buffer_size.0 > MAX_MESSAGE || vec_count.0 > 1024 {
        return Err(Status::B_BAD_VALUE);
    }
    let size = IoVec::size(call.mode()) as u64;
    let mut data = Vec::new();
    for i in 0..vec_count.0 {
        let vector: IoVec = call.read_at(msg_vecs.0.offset(i * size))?;
        let left = buffer_size.0 - data.len() as u64;
        data.extend(call.bytes(InBytes(vector.iov_base), vector.iov_len.0.min(left))?);
    }
    if (data.len() as u64) < buffer_size.0 {
        return Err(Status::B_BAD_VALUE);
    }
    send(call, id, msg_code, data, flags, timeout)
}

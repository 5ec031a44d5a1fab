//! Images: what the runtime loader tells of the files that it maps.
//!
//! Haiku: `src/system/kernel/image.cpp`.

use std::sync::Arc;

use hokku_ir::GuestAddr;
use hokku_runtime::loader::SymbolTable;

use crate::abi::layout::GuestType;
use crate::abi::signal::{KILL, Signal};
use crate::abi::structs::{ExtendedImageInfo, ImageInfo};
use crate::abi::{Status, SysResult};
use crate::args::*;
use crate::call::Call;
use crate::kernel::At;
use crate::run::team_of;
use crate::team::exit::ExitStatus;
use crate::team::images::B_APP_IMAGE;
use crate::team::waiting::lock;

/// Haiku: `_user_register_image`.
pub fn register_image(call: &mut Call<'_>, info: In<ExtendedImageInfo>, size: Size) -> SysResult<ImageId> {
    if size.0 != ExtendedImageInfo::size(call.mode()) as u64 {
        return Err(Status::B_BAD_VALUE);
    }
    let value = call.read(info)?;
    name_symbols(call, &value);
    Ok(lock(&call.team.images).add(value))
}

/// Lets crash reports and profiles name addresses in the image.
fn name_symbols(call: &Call<'_>, info: &ExtendedImageInfo) {
    let basic = &info.basic_info;
    let path = basic.name.text();
    let place = call.kernel().paths().normalize(path, true).unwrap_or_else(|_| path.to_vec());
    let team = Arc::downgrade(&team_of(call.thread));
    // The symbols are read from the file: an image without one has none.
    let read = move || {
        let file = team.upgrade()?.kernel.paths().read_whole(At { dir: -1, path: Some(&place) }).ok()?;
        Some(SymbolTable::read(&file))
    };
    let end = basic.text.0.max(basic.data.0)
        + u64::from(if basic.data > basic.text { basic.data_size as u32 } else { basic.text_size as u32 });
    let name = String::from_utf8_lossy(path.rsplit(|&b| b == b'/').next().unwrap_or_default()).into_owned();
    let delta = info.text_delta.0 as u64;
    call.thread.team.symbols.add(&name, basic.text, GuestAddr(end), delta, move || read().unwrap_or_default());
}

/// Haiku: `_user_unregister_image`.
pub fn unregister_image(call: &mut Call<'_>, id: ImageId) -> SysResult {
    let info = lock(&call.team.images).remove(id)?;
    call.thread.team.symbols.remove(info.text);
    Ok(())
}

/// Haiku: `_user_image_relocated`. A team that was loaded by another waits here to be resumed.
pub fn image_relocated(call: &mut Call<'_>, id: ImageId) -> SysResult {
    let info = lock(&call.team.images).get(id)?;
    if info.kind == B_APP_IMAGE {
        // What resumes a suspended thread, or ends it; other signals wait until it runs.
        call.waiting_but_for(KILL | Signal::SIGCONT.bit(), |wait| call.kernel().processes().loaded(wait));
    }
    Ok(())
}

/// Haiku: `_user_loading_app_failed`.
pub fn loading_app_failed(call: &mut Call<'_>, error: i32) -> SysResult {
    let error = if error >= 0 { Status::B_ERROR.raw() } else { error };
    call.kernel().processes().load_failed(error);
    super::team::end_team(call, ExitStatus::Exited(error))
}

/// Haiku: `_user_get_image_info`.
pub fn get_image_info(call: &mut Call<'_>, id: ImageId, info: Out<ImageInfo>, size: Size) -> SysResult {
    let value = lock(&call.team.images).get(id)?;
    call.write_sized(info, size, &value)
}

/// Haiku: `_user_get_next_image_info`.
pub fn get_next_image_info(
    call: &mut Call<'_>,
    team: TeamId,
    cookie: InOut<i32>,
    info: Out<ImageInfo>,
    size: Size,
) -> SysResult {
    super::team::own_team(call, team)?;
    let mut place = call.read_io(cookie)?;
    let value = lock(&call.team.images).next(&mut place)?;
    call.write_sized(info, size, &value)?;
    call.write_io(cookie, &place)
}

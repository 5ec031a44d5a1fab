//! Debugging.
//!
//! Haiku: `src/system/kernel/debug/*.cpp`.

use crate::abi::{Status, SysResult};
use crate::args::*;
use crate::call::Call;
use crate::team::exit::ExitStatus;

/// Haiku: `_user_debug_output`.
pub fn debug_output(call: &mut Call<'_>, message: InStr) -> SysResult {
    let text = call.string(message)?;
    tracing::info!(target: "guest", "{}", String::from_utf8_lossy(&text).trim_end());
    Ok(())
}

/// Haiku: `_user_ktrace_output`.
pub fn ktrace_output(call: &mut Call<'_>, message: InStr) -> SysResult {
    let text = call.string(message)?;
    tracing::debug!(target: "guest", "{}", String::from_utf8_lossy(&text).trim_end());
    Ok(())
}

/// Haiku: `_user_debugger`. Where no debugger can be had, the team ends with status 1.
pub fn debugger(call: &mut Call<'_>, message: InStr) -> SysResult {
    let text = call.optional_string(message)?.unwrap_or_default();
    tracing::error!(target: "guest", "debugger call: {}", String::from_utf8_lossy(&text));
    super::team::end_team(call, ExitStatus::Exited(1))
}

/// Haiku: `_user_disable_debugger`: nothing is shown either way. Gives what was set before: 0.
pub fn disable_debugger(_: &mut Call<'_>, _state: i32) -> SysResult<i32> {
    Ok(0)
}

/// Haiku: `_user_kernel_debugger`: not for ordinary users.
pub fn kernel_debugger(_: &mut Call<'_>, _message: InStr) -> SysResult {
    Err(Status::B_NOT_ALLOWED)
}

//! What host systems do in ways of their own: one file each.

#[cfg(not(target_os = "haiku"))]
mod linux;
#[cfg(not(target_os = "haiku"))]
pub(crate) use linux::*;

#[cfg(target_os = "haiku")]
mod haiku;
#[cfg(target_os = "haiku")]
pub(crate) use haiku::*;

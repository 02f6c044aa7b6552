//! The steps of a machine's patch, a file each.

pub(super) mod install;
pub(super) mod preflight;
pub(super) mod prepare;
pub(super) mod reboot;
pub(super) mod restart;
pub(super) mod save;
pub(super) mod snapshot;
pub(super) mod verify;

#[cfg(test)]
mod tests;

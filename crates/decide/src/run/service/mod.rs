//! The steps of a Swarm service's update, a file each.

pub(super) mod preflight;
pub(super) mod prepare;
pub(super) mod snapshot;
pub(super) mod update;
pub(super) mod verify;

#[cfg(test)]
mod tests;

//! The steps of a container's swap, a file each.

pub(super) mod carry;
pub(super) mod create;
pub(super) mod drain;
pub(super) mod fill;
pub(super) mod hold;
pub(super) mod preflight;
pub(super) mod prepare;
pub(super) mod rename;
pub(super) mod retire;
pub(super) mod save;
pub(super) mod snapshot;
pub(super) mod start;
pub(super) mod stop;
pub(super) mod verify;

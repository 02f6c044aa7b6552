//! The guest layer: what is done inside a machine, the same for every way there.
//!
//! A machine is a VM (by its guest agent), a host (by ssh), this machine, or a system container. What is
//! asked and done there is always a program with arguments, started over a
//! [`Transport`](patchyard_contract::Transport).

mod error;
pub mod files;
pub mod job;
pub mod needs;
mod packages;
pub mod transport;

pub use error::GuestError;
pub use packages::{Guest, Installed, Readiness};

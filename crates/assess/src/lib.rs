//! Assessment: reads package databases and solvers' answers, and says what is missing on a target.
//!
//! Bytes in, values out: nothing here touches a file, a process, a clock or the network. All bytes
//! come from targets and are hostile until proven otherwise: every reader has limits, validates
//! names and versions against the packaging rules, and never panics.

pub mod apk;
pub mod deb;
pub mod exact;
mod names;
pub mod needs;
mod os_release;
pub mod rpm;
pub mod sockets;
pub mod version;

pub use os_release::{package_manager, package_manager_of, parse as parse_os_release};

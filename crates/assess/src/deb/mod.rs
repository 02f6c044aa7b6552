//! Debian and its children: the dpkg database, and what apt is asked and answers.

pub mod apt;
mod name;
mod status;

pub use name::{is_arch, is_package, is_version};
pub use status::{
    Layout, Status, StatusError, StatusReader, is_status_d_member, sources_digest, state_digest,
};

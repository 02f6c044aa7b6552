//! rpm and its children: the rpm database, and what dnf and zypper are asked and answer.
//!
//! A version is written `version-release`, or `epoch:version-release` where the epoch is not 0: as dnf and zypper
//! print it and take it.

pub mod dnf;
mod list;
mod name;
mod primary;
mod xml;
pub mod zypper;

pub use list::{ListError, QUERY, installed};
pub use name::{is_arch, is_package, is_version};
pub use primary::{Offer, offers};

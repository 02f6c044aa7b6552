//! The JSON documents that scripts read: types of their own, so that the inside may change and they
//! do not. Within a version there are only additions.
//!
//! One file a verb; the schemas are in `docs/schemas/`. Everywhere `target` is a target's id and
//! `name` its name, `host` a host's name and `host_id` its id, durations end in `_ms`, sizes are
//! bytes, and what is not known is `null`, never nothing and never zero.

mod audit;
mod config;
mod discover;
mod doctor;
mod error;
mod event;
mod gc;
mod history;
mod log;
mod plan;
mod quarantine;
mod request;
mod rollout;
mod scan;
mod snapshots;
mod status;
mod target;
#[cfg(test)]
mod tests;
mod why;
mod words;
mod write;

pub use audit::AuditDocument;
pub use config::{ConfigCheckDocument, ConfigExplainDocument};
pub use discover::DiscoverDocument;
pub use doctor::DoctorDocument;
pub use error::ErrorDocument;
pub use event::{EventLine, Lines, Names};
pub use gc::GcDocument;
pub use history::HistoryDocument;
pub use log::LogDocument;
pub use plan::PlanDocument;
pub use quarantine::QuarantineDocument;
pub use request::RequestDocument;
pub use rollout::RolloutDocument;
pub use scan::ScanDocument;
pub use snapshots::SnapshotsDocument;
pub use status::StatusDocument;
pub use why::WhyDocument;
pub use write::line;

/// A text that may be empty: empty means there is none.
fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// A time that may not have come yet.
fn time(at: Option<jiff::Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

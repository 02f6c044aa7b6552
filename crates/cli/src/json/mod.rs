//! The JSON documents that scripts read: types of their own, so that the inside may change and they
//! do not. Within a version there are only additions. Schemas: `docs/schemas/`.

mod audit;
mod config;
mod discover;
mod doctor;
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
mod why;

pub use audit::AuditDocument;
pub use config::ConfigDocument;
pub use discover::DiscoverDocument;
pub use doctor::DoctorDocument;
pub use event::EventLine;
pub use gc::GcDocument;
pub use history::HistoryDocument;
pub use log::{LogDocument, LogEntryJson};
pub use plan::PlanDocument;
pub use quarantine::QuarantineDocument;
pub use request::RequestDocument;
pub use rollout::RolloutDocument;
pub use scan::ScanDocument;
pub use snapshots::SnapshotsDocument;
pub use status::StatusDocument;
pub use why::WhyDocument;

use patchyard_app::Unreachable;
use serde::Serialize;

/// A host that did not answer: what is on it is unknown.
#[derive(Debug, Serialize)]
pub struct UnreachableJson {
    name: String,
    reason: String,
}

impl From<&Unreachable> for UnreachableJson {
    fn from(host: &Unreachable) -> Self {
        Self { name: host.name.clone(), reason: host.error.to_string() }
    }
}

/// A value of the vocabulary as the word that JSON has for it.
fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

//! `patchyard.quarantine/v1`: what is kept out of plans, or what was let back in.

use patchyard_types::{Quarantine, QuarantineId};
use serde::Serialize;

/// What `quarantine` lists, or `quarantine release` did.
#[derive(Debug, Serialize)]
pub struct QuarantineDocument {
    schema: &'static str,
    entries: Vec<EntryJson>,
    released: Vec<EntryJson>,
}

/// One entry.
#[derive(Debug, Serialize)]
pub struct EntryJson {
    id: String,
    service: String,
    run: String,
    at: String,
    reason: String,
    versions: Vec<String>,
    patch_set: String,
}

impl QuarantineDocument {
    /// What is kept out now.
    pub fn listed(entries: &[(QuarantineId, Quarantine)]) -> Self {
        let entries = entries.iter().map(EntryJson::from).collect();
        Self { schema: "patchyard.quarantine/v1", entries, released: Vec::new() }
    }

    /// What was let back in.
    pub fn released(entries: &[(QuarantineId, Quarantine)]) -> Self {
        let released = entries.iter().map(EntryJson::from).collect();
        Self { schema: "patchyard.quarantine/v1", entries: Vec::new(), released }
    }
}

impl From<&(QuarantineId, Quarantine)> for EntryJson {
    fn from((id, entry): &(QuarantineId, Quarantine)) -> Self {
        let Quarantine { patch_set, versions, files: _, service, run, at, reason } = entry;
        Self {
            id: id.to_string(),
            service: service.clone(),
            run: run.to_string(),
            at: at.to_string(),
            reason: reason.clone(),
            versions: versions.clone(),
            patch_set: patch_set.to_string(),
        }
    }
}

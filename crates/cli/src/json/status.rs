//! `patchyard.status/v1`: rollouts that are not over, each a document of its own.

use patchyard_app::{AuditHead, RolloutReport};
use serde::Serialize;

use super::RolloutDocument;

/// What `status` shows; of one named rollout it shows that one's document alone.
#[derive(Debug, Serialize)]
pub struct StatusDocument {
    schema: &'static str,
    rollouts: Vec<RolloutDocument>,
}

impl StatusDocument {
    /// Rollouts, with the head of the audit log as it is now.
    pub fn new(reports: &[RolloutReport], head: AuditHead) -> Self {
        let rollouts = reports.iter().map(|report| RolloutDocument::new(report, head)).collect();
        Self { schema: "patchyard.status/v1", rollouts }
    }
}

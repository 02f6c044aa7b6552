//! `patchyard.audit/v1`: whether the log is as it was written.

use patchyard_app::AuditReport;
use serde::Serialize;

/// What `audit verify` found.
#[derive(Debug, Serialize)]
pub struct AuditDocument {
    schema: &'static str,
    intact: bool,
    broken: Option<String>,
    entries: u64,
    /// `ENTRIES:HASH`, as far as the chain holds.
    head: String,
}

impl From<&AuditReport> for AuditDocument {
    fn from(report: &AuditReport) -> Self {
        let AuditReport { head, broken } = report;
        Self {
            schema: "patchyard.audit/v1",
            intact: broken.is_none(),
            broken: broken.clone(),
            entries: head.entries,
            head: head.to_string(),
        }
    }
}

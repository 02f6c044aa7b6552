//! `patchyard.audit/v1`

use patchyard_app::AuditReport;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub struct AuditDocument {
    schema: &'static str,
    intact: bool,
    broken: Option<String>,
    entries: u64,
    head: String,
}

impl From<&AuditReport> for AuditDocument {
    fn from(report: &AuditReport) -> Self {
        Self {
            schema: "patchyard.audit/v1",
            intact: report.broken.is_none(),
            broken: report.broken.clone(),
            entries: report.head.entries,
            head: format!("{}:{}", report.head.entries, report.head.hash),
        }
    }
}

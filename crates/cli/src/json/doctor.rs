//! `patchyard.doctor/v1`

use patchyard_app::doctor::{Finding, Severity};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub struct DoctorDocument {
    schema: &'static str,
    version: &'static str,
    findings: Vec<FindingJson>,
}

#[derive(Debug, Serialize)]
struct FindingJson {
    severity: &'static str,
    about: &'static str,
    text: String,
    hint: Option<String>,
}

impl From<&[Finding]> for DoctorDocument {
    fn from(findings: &[Finding]) -> Self {
        let findings = findings.iter().map(|finding| FindingJson {
            severity: match finding.severity {
                Severity::Good => "good",
                Severity::Warning => "warning",
                Severity::Bad => "bad",
            },
            about: finding.about,
            text: finding.text.clone(),
            hint: Some(finding.hint.clone()).filter(|hint| !hint.is_empty()),
        });
        Self {
            schema: "patchyard.doctor/v1",
            version: env!("CARGO_PKG_VERSION"),
            findings: findings.collect(),
        }
    }
}

//! `patchyard.doctor/v1`: whatever would be in the way.

use patchyard_app::doctor::Finding;
use serde::Serialize;

use super::{some, words};

/// What `doctor` looked at.
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
    /// The kind of failure, where it is one, as in `patchyard.error/v1`.
    code: Option<&'static str>,
}

impl From<&[Finding]> for DoctorDocument {
    fn from(findings: &[Finding]) -> Self {
        Self {
            schema: "patchyard.doctor/v1",
            version: env!("CARGO_PKG_VERSION"),
            findings: findings.iter().map(FindingJson::from).collect(),
        }
    }
}

impl From<&Finding> for FindingJson {
    fn from(finding: &Finding) -> Self {
        let Finding { severity, about, text, hint, kind } = finding;
        Self {
            severity: words::severity(*severity),
            about,
            text: text.clone(),
            hint: some(hint),
            code: kind.map(words::kind),
        }
    }
}

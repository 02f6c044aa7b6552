//! `patchyard.why/v1`

use patchyard_app::WhyReport;
use serde::Serialize;

use super::quarantine::EntryJson;
use super::scan::KnownJson;
use super::target::TargetJson;

#[derive(Debug, Serialize)]
pub struct WhyDocument {
    schema: &'static str,
    target: TargetJson,
    #[serde(flatten)]
    known: KnownJson,
    method: String,
    excluded: bool,
    unsaved_paths: Option<Vec<String>>,
    quarantine: Vec<EntryJson>,
    last_run: Option<String>,
    reverted: bool,
}

impl From<&WhyReport> for WhyDocument {
    fn from(report: &WhyReport) -> Self {
        Self {
            schema: "patchyard.why/v1",
            target: TargetJson::from(&report.known.target),
            known: KnownJson::from(&report.known),
            method: report.settings.method.to_string(),
            excluded: report.excluded,
            unsaved_paths: report.unsaved.as_ref().ok().cloned(),
            quarantine: report.quarantine.iter().map(EntryJson::from).collect(),
            last_run: report.last.as_ref().map(|last| last.run.to_string()),
            reverted: report.reverted,
        }
    }
}

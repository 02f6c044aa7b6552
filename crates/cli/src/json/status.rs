//! `patchyard.status/v1`

use patchyard_app::RolloutReport;
use serde::Serialize;

use super::rollout::RolloutJson;

#[derive(Debug, Serialize)]
pub struct StatusDocument {
    schema: &'static str,
    rollouts: Vec<RolloutJson>,
}

impl From<&[RolloutReport]> for StatusDocument {
    fn from(reports: &[RolloutReport]) -> Self {
        Self { schema: "patchyard.status/v1", rollouts: reports.iter().map(RolloutJson::from).collect() }
    }
}

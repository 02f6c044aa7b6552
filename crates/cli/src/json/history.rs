//! `patchyard.history/v1`

use patchyard_app::Past;
use patchyard_types::RunEnd;
use serde::Serialize;

use super::rollout::phase_word;

#[derive(Debug, Serialize)]
pub struct HistoryDocument {
    schema: &'static str,
    rollouts: Vec<PastJson>,
}

#[derive(Debug, Serialize)]
struct PastJson {
    rollout: String,
    plan: String,
    undoes: Option<String>,
    state: String,
    started_at: Option<String>,
    ended_at: Option<String>,
    by: Option<String>,
    runs: usize,
    succeeded: usize,
    rolled_back: usize,
    failed: usize,
    skipped: usize,
    needs_attention: usize,
}

impl From<&[Past]> for HistoryDocument {
    fn from(past: &[Past]) -> Self {
        Self { schema: "patchyard.history/v1", rollouts: past.iter().map(PastJson::from).collect() }
    }
}

impl From<&Past> for PastJson {
    fn from(past: &Past) -> Self {
        Self {
            rollout: past.id.to_string(),
            plan: past.plan.to_string(),
            undoes: past.undoes.map(|rollout| rollout.to_string()),
            state: phase_word(past.phase),
            started_at: past.started_at.map(|at| at.to_string()),
            ended_at: past.ended_at.map(|at| at.to_string()),
            by: past.by.as_ref().map(|actor| actor.0.clone()),
            runs: past.ends.len(),
            succeeded: past.count(RunEnd::Succeeded),
            rolled_back: past.count(RunEnd::RolledBack),
            failed: past.count(RunEnd::Failed),
            skipped: past.count(RunEnd::Skipped),
            needs_attention: past.count(RunEnd::NeedsAttention),
        }
    }
}

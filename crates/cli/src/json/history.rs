//! `patchyard.history/v1`: past rollouts, newest first.

use patchyard_app::Past;
use patchyard_types::RunEnd;
use serde::Serialize;

use super::{time, words};

/// What `history` lists.
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
    state: &'static str,
    started_at: Option<String>,
    ended_at: Option<String>,
    by: Option<String>,
    runs: CountsJson,
}

/// How its runs ended.
#[derive(Debug, Serialize)]
struct CountsJson {
    total: usize,
    succeeded: usize,
    rolled_back: usize,
    failed: usize,
    skipped: usize,
    needs_attention: usize,
    not_ended: usize,
}

impl From<&[Past]> for HistoryDocument {
    fn from(past: &[Past]) -> Self {
        Self { schema: "patchyard.history/v1", rollouts: past.iter().map(PastJson::from).collect() }
    }
}

impl From<&Past> for PastJson {
    fn from(past: &Past) -> Self {
        let Past { id, plan, undoes, phase, started_at, ended_at, by, ends } = past;
        Self {
            rollout: id.to_string(),
            plan: plan.to_string(),
            undoes: undoes.map(|rollout| rollout.to_string()),
            state: words::phase(*phase),
            started_at: time(*started_at),
            ended_at: time(*ended_at),
            by: by.as_ref().map(|actor| actor.0.clone()),
            runs: CountsJson {
                total: ends.len(),
                succeeded: past.count(RunEnd::Succeeded),
                rolled_back: past.count(RunEnd::RolledBack),
                failed: past.count(RunEnd::Failed),
                skipped: past.count(RunEnd::Skipped),
                needs_attention: past.count(RunEnd::NeedsAttention),
                not_ended: ends.iter().filter(|end| end.is_none()).count(),
            },
        }
    }
}

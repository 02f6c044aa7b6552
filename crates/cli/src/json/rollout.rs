//! `patchyard.rollout/v1`

use patchyard_app::rollouts::Phase;
use patchyard_app::{RolloutReport, RunReport};
use serde::Serialize;

use super::plan::LeftOutJson;
use super::word;

#[derive(Debug, Serialize)]
pub struct RolloutDocument {
    schema: &'static str,
    #[serde(flatten)]
    rollout: RolloutJson,
}

/// A rollout, alone or among others.
#[derive(Debug, Serialize)]
pub struct RolloutJson {
    rollout: String,
    plan: String,
    undoes: Option<String>,
    state: String,
    reason: Option<String>,
    by: Option<String>,
    started_at: Option<String>,
    ended_at: Option<String>,
    runs: Vec<RunJson>,
    tags_left: Vec<TagLeftJson>,
    left_out: Vec<LeftOutJson>,
}

#[derive(Debug, Serialize)]
pub struct RunJson {
    run: String,
    target: String,
    id: String,
    service: String,
    method: String,
    state: String,
    reason: Option<String>,
    gap_ms: Option<u64>,
    verify_for_ms: u64,
    quarantined: bool,
    versions: Vec<String>,
    snapshot: Option<String>,
}

#[derive(Debug, Serialize)]
struct TagLeftJson {
    reference: String,
    reason: String,
}

/// What a rollout is doing, or how it ended.
pub fn phase_word(phase: Phase) -> String {
    match phase {
        Phase::Running => "running".into(),
        Phase::Paused => "paused".into(),
        Phase::Interrupted => "interrupted".into(),
        Phase::NeedsAttention => "needs_attention".into(),
        Phase::Ended(end) => word(&end),
    }
}

impl From<&RolloutReport> for RolloutDocument {
    fn from(report: &RolloutReport) -> Self {
        Self { schema: "patchyard.rollout/v1", rollout: RolloutJson::from(report) }
    }
}

impl From<&RolloutReport> for RolloutJson {
    fn from(report: &RolloutReport) -> Self {
        let RolloutReport {
            id,
            plan,
            undoes,
            phase,
            why,
            by,
            started_at,
            ended_at,
            runs,
            tags_left,
            left_out,
        } = report;
        Self {
            rollout: id.to_string(),
            plan: plan.to_string(),
            undoes: undoes.map(|rollout| rollout.to_string()),
            state: phase_word(*phase),
            reason: why.clone(),
            by: by.as_ref().map(|actor| actor.0.clone()),
            started_at: started_at.map(|at| at.to_string()),
            ended_at: ended_at.map(|at| at.to_string()),
            runs: runs.iter().map(RunJson::from).collect(),
            tags_left: tags_left
                .iter()
                .map(|(reference, reason)| TagLeftJson {
                    reference: reference.clone(),
                    reason: reason.clone(),
                })
                .collect(),
            left_out: left_out.iter().map(LeftOutJson::from).collect(),
        }
    }
}

impl From<&RunReport> for RunJson {
    fn from(report: &RunReport) -> Self {
        let RunReport {
            run,
            target,
            name,
            service,
            method,
            end,
            begun,
            reason,
            quarantined,
            versions,
            gap,
            verify_for,
            snapshot,
        } = report;
        Self {
            run: run.to_string(),
            target: name.clone(),
            id: target.to_string(),
            service: service.clone(),
            method: method.to_string(),
            state: match end {
                Some(end) => word(end),
                None if *begun => "running".into(),
                None => "waiting".into(),
            },
            reason: reason.clone(),
            gap_ms: gap.map(|gap| gap.0),
            verify_for_ms: verify_for.0,
            quarantined: *quarantined,
            versions: versions.clone(),
            snapshot: snapshot.as_ref().map(|snapshot| snapshot.id.to_string()),
        }
    }
}

//! `patchyard.rollout/v1`: a rollout and its runs; what `apply` writes last.

use patchyard_app::{AuditHead, RolloutReport, RunReport, rollouts};
use patchyard_types::Snapshot;
use serde::Serialize;

use super::plan::LeftOutJson;
use super::{time, words};

/// A rollout.
#[derive(Debug, Serialize)]
pub struct RolloutDocument {
    schema: &'static str,
    rollout: String,
    plan: String,
    undoes: Option<String>,
    state: &'static str,
    reason: Option<String>,
    by: Option<String>,
    started_at: Option<String>,
    ended_at: Option<String>,
    runs: Vec<RunJson>,
    tags_left: Vec<TagLeftJson>,
    left_out: Vec<LeftOutJson>,
    /// The command that goes on with it, or tells more.
    next: String,
    /// `ENTRIES:HASH`, as `audit verify --head` takes it.
    audit_head: String,
}

#[derive(Debug, Serialize)]
struct RunJson {
    run: String,
    target: String,
    name: String,
    service: String,
    method: &'static str,
    state: &'static str,
    reason: Option<String>,
    gap_ms: Option<u64>,
    verify_for_ms: u64,
    quarantined: bool,
    versions: Vec<String>,
    snapshot: Option<KeptJson>,
    reboot_wanted: Vec<String>,
}

/// The way back that was kept, and what it does not hold.
#[derive(Debug, Serialize)]
struct KeptJson {
    id: String,
    size: u64,
    lost: Vec<String>,
}

#[derive(Debug, Serialize)]
struct TagLeftJson {
    reference: String,
    reason: String,
}

impl RolloutDocument {
    /// A rollout, with the head of the audit log as it is now.
    pub fn new(report: &RolloutReport, head: AuditHead) -> Self {
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
        let tags_left = tags_left
            .iter()
            .map(|(reference, reason)| TagLeftJson { reference: reference.clone(), reason: reason.clone() });
        Self {
            schema: "patchyard.rollout/v1",
            rollout: id.to_string(),
            plan: plan.to_string(),
            undoes: undoes.map(|rollout| rollout.to_string()),
            state: words::phase(*phase),
            reason: why.clone(),
            by: by.as_ref().map(|actor| actor.0.clone()),
            started_at: time(*started_at),
            ended_at: time(*ended_at),
            runs: runs.iter().map(RunJson::from).collect(),
            tags_left: tags_left.collect(),
            left_out: left_out.iter().map(LeftOutJson::from).collect(),
            next: rollouts::what_next(*id, *phase),
            audit_head: head.to_string(),
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
            reboot,
        } = report;
        Self {
            run: run.to_string(),
            target: target.to_string(),
            name: name.clone(),
            service: service.clone(),
            method: words::method(*method),
            state: match end {
                Some(end) => words::run_end(*end),
                None if *begun => "running",
                None => "waiting",
            },
            reason: reason.clone(),
            gap_ms: gap.map(|gap| gap.0),
            verify_for_ms: verify_for.0,
            quarantined: *quarantined,
            versions: versions.clone(),
            snapshot: snapshot.as_ref().map(KeptJson::from),
            reboot_wanted: reboot.clone(),
        }
    }
}

impl From<&Snapshot> for KeptJson {
    fn from(snapshot: &Snapshot) -> Self {
        Self { id: snapshot.id.to_string(), size: snapshot.size, lost: snapshot.lost.clone() }
    }
}

//! The report of a rollout: every run, how it ended, and what that meant for its service.

use jiff::{SignedDuration, Timestamp};
use patchyard_decide::rollout::{RunSlot, TagState};
use patchyard_decide::run::RunState;
use patchyard_types::{
    Action, Actor, LeftOut, MachineStep, Method, Millis, Order, PatchSet, Plan, PlanDigest, Reboot, Record,
    RolloutId, RunEnd, RunId, Snapshot, Step, TargetId,
};

use crate::rollouts::{self, Phase, Rollout, snapshot_in};
use crate::{Context, Error};

/// A rollout and its runs.
pub struct RolloutReport {
    /// Its number.
    pub id: RolloutId,
    /// Its plan.
    pub plan: PlanDigest,
    /// The rollout it took back.
    pub undoes: Option<RolloutId>,
    /// What it is doing, or how it ended.
    pub phase: Phase,
    /// Why it was paused or aborted, in the words of the last request.
    pub why: Option<String>,
    /// Who said yes.
    pub by: Option<Actor>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its runs, in the order of the plan.
    pub runs: Vec<RunReport>,
    /// Tags that were left where they are, and why.
    pub tags_left: Vec<(String, String)>,
    /// What the plan had left out.
    pub left_out: Vec<LeftOut>,
}

/// One target's part of it.
#[derive(Debug, Clone)]
pub struct RunReport {
    /// The run.
    pub run: RunId,
    /// Its target.
    pub target: TargetId,
    /// The target's name.
    pub name: String,
    /// Its service.
    pub service: String,
    /// How it is patched.
    pub method: Method,
    /// How it ended; `None` while it has not.
    pub end: Option<RunEnd>,
    /// It has begun.
    pub begun: bool,
    /// Why, where there is a reason.
    pub reason: Option<String>,
    /// Its patch set was quarantined.
    pub quarantined: bool,
    /// The changed versions, `name=version`.
    pub versions: Vec<String>,
    /// How long the service did not answer, as far as the checks could see.
    pub gap: Option<Millis>,
    /// How long its checks had to stay green.
    pub verify_for: Millis,
    /// The way back that was kept.
    pub snapshot: Option<Snapshot>,
    /// Why its machine should be started anew, where the plan does not do it.
    pub reboot: Vec<String>,
}

/// Reads the report of a rollout.
///
/// # Errors
/// When there is no such rollout or the store cannot be read.
pub async fn report(context: &Context, id: RolloutId) -> Result<RolloutReport, Error> {
    let rollout = Rollout::read(&*context.store, id).await?;
    let mut runs = Vec::new();
    for (run, action) in rollout.runs() {
        let state = rollouts::run(&*context.store, run).await?;
        let slot = rollout.state.runs.get(run.action).unwrap_or(&RunSlot::Waiting);
        runs.push(run_report(run, action, &rollout.plan, &state, slot));
    }
    let tags = rollout.plan.decisions.tags.iter().zip(&rollout.state.tags);
    let tags_left = tags.filter_map(|(tag, state)| match state {
        TagState::Settled(Some(reason)) => Some((tag.reference.clone(), reason.clone())),
        _ => None,
    });
    Ok(RolloutReport {
        id,
        plan: rollout.plan.digest(),
        undoes: rollout.plan.about.undoes,
        phase: rollout.phase,
        why: rollout.state.why.clone(),
        by: rollout.state.by.clone(),
        started_at: rollout.state.started_at,
        ended_at: rollout.state.ended_at,
        runs,
        tags_left: tags_left.collect(),
        left_out: rollout.plan.about.left_out.clone(),
    })
}

/// One run's report from its state and its place in the rollout.
pub(crate) fn run_report(
    run: RunId,
    action: &Action,
    plan: &Plan,
    state: &RunState,
    slot: &RunSlot,
) -> RunReport {
    let (end, reason, quarantined) = match slot {
        RunSlot::Ended { end, reason, quarantined } => (Some(*end), reason.clone(), *quarantined),
        RunSlot::Waiting | RunSlot::Running => (None, None, false),
    };
    RunReport {
        run,
        target: action.target.clone(),
        name: action.name.clone(),
        service: action.service.clone(),
        method: action.method,
        end,
        begun: *slot != RunSlot::Waiting,
        reason,
        quarantined,
        versions: plan.patch_set(action).map(PatchSet::versions).unwrap_or_default(),
        gap: match (action.order, end) {
            // One of the two ran at any time.
            (Order::StartFirst, Some(RunEnd::Succeeded | RunEnd::RolledBack)) => Some(Millis(0)),
            _ => state.down_at.zip(state.up_at).and_then(|(down, up)| span(down, up)),
        },
        verify_for: action.verify_for,
        snapshot: snapshot_in(state).cloned(),
        reboot: match end {
            Some(RunEnd::Succeeded) => reboot_left(action, state),
            _ => Vec::new(),
        },
    }
}

/// Why a patched machine should be started anew, as it said itself when its services were restarted; nothing where the plan
/// does it.
fn reboot_left(action: &Action, state: &RunState) -> Vec<String> {
    match (action.reboot, state.records.get(&Step::Machine(MachineStep::Restart))) {
        (Reboot::Never | Reboot::ServicesOnly, Some(Record::Restarted { reboot, .. })) => reboot.clone(),
        _ => Vec::new(),
    }
}

/// From one moment to a later one; nothing where a clock was set back in between.
pub(crate) fn span(from: Timestamp, to: Timestamp) -> Option<Millis> {
    let span: SignedDuration = to.duration_since(from);
    u64::try_from(span.as_millis()).ok().map(Millis)
}

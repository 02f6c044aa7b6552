//! Gates: why a run that waits is not started any more.

use patchyard_types::{Action, Plan, Quarantine, QuarantineId, RunEnd};

use super::{RolloutState, RunSlot};

/// The reason why an action must not start, if there is one.
pub(super) fn closed(
    state: &RolloutState,
    plan: &Plan,
    quarantine: &[(QuarantineId, Quarantine)],
    action: usize,
) -> Option<String> {
    let me = plan.decisions.actions.get(action)?;
    let failed: Vec<&Action> = failures(state, plan).collect();
    let tolerated = plan.decisions.max_failures.tolerated(plan.decisions.actions.len());
    if failed.len() > tolerated {
        return Some(format!("the rollout stopped: {} runs failed, {tolerated} are tolerated", failed.len()));
    }
    let disturbs = |service: &str| me.services().any(|(other, _)| other == service);
    if let Some(sibling) = failed.iter().find(|other| other.services().any(|(service, _)| disturbs(service)))
    {
        return Some(format!("{} of the same service failed", sibling.name));
    }
    if let Some(twin) = failed.iter().find(|other| other.patch_set == me.patch_set) {
        return Some(format!("same patch set as {}, which failed", twin.name));
    }
    quarantined(plan, quarantine, me)
}

/// Something in quarantine since the plan was made.
fn quarantined(plan: &Plan, quarantine: &[(QuarantineId, Quarantine)], me: &Action) -> Option<String> {
    if me.method == patchyard_types::Method::Restore {
        return None;
    }
    let set = plan.patch_set(me)?;
    let (_, hit) = quarantine.iter().find(|(_, entry)| entry.keeps_out(&me.service, set))?;
    Some(format!("its patch set is in quarantine since run {}", hit.run))
}

fn failures<'a>(state: &'a RolloutState, plan: &'a Plan) -> impl Iterator<Item = &'a Action> {
    plan.decisions.actions.iter().zip(&state.runs).filter_map(|(action, slot)| match slot {
        RunSlot::Ended { end: RunEnd::RolledBack | RunEnd::Failed | RunEnd::NeedsAttention, .. } => {
            Some(action)
        }
        RunSlot::Ended { end: RunEnd::Succeeded | RunEnd::Skipped, .. }
        | RunSlot::Waiting
        | RunSlot::Running => None,
    })
}

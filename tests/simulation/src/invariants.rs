//! What must hold at the end of every rollout, whatever went wrong.

use patchyard_provider_sim::{Behaviour, SimObject, World};
use patchyard_types::{Action, RunEnd, RunId, SnapshotId};

use crate::history;
use crate::scenario::{Outcome, Scenario};

/// Everything that does not hold, in words; empty when all is well.
#[must_use]
pub fn broken(scenario: &Scenario, outcome: &Outcome) -> Vec<String> {
    let mut broken = history::broken(scenario, outcome);
    let world = scenario.world();
    broken.extend(world.violations.iter().cloned());
    if outcome.rollout.ended.is_none() {
        broken.push("the rollout has not ended".into());
    }
    for (action, planned) in scenario.plan.decisions.actions.iter().enumerate() {
        let Some(target) = world.targets.get(&planned.target) else { continue };
        let Some(end) = outcome.rollout.runs[action].end() else {
            broken.push(format!("{} has no defined end", target.name));
            continue;
        };
        if end == RunEnd::Succeeded && target.patched != Behaviour::Good {
            broken
                .push(format!("{} counts as patched with a bad version ({:?})", target.name, target.patched));
        }
        // Who else laid hands on it has made his own state; a person decides about attention.
        if target.interfered || end == RunEnd::NeedsAttention || outcome.runs[action].resolved_by_hand {
            continue;
        }
        let complaints = state_of(&world, outcome, action, planned, end);
        broken.extend(complaints.into_iter().map(|c| format!("{} ({end:?}): {c}", target.name)));
    }
    broken
}

/// Complaints about one target's containers and snapshots.
fn state_of(world: &World, outcome: &Outcome, action: usize, planned: &Action, end: RunEnd) -> Vec<String> {
    let name = planned.name.as_str();
    let mut complaints = Vec::new();
    let mine: Vec<_> = world.objects.iter().filter(|(_, object)| world.is_of(object, name)).collect();
    let [(handle, object)] = mine[..] else {
        return vec![format!("{} containers instead of one", mine.len())];
    };
    let Some((first, before)) = outcome.before.iter().find(|(_, object)| object.name == name) else {
        return vec!["it was not there before".into()];
    };
    if object.name != name {
        complaints.push(format!("its container is named {}", object.name));
    }
    if object.started.is_none() {
        complaints.push("it is stopped".into());
    }
    if object.held {
        complaints.push("its restart policy was not restored".into());
    }
    complaints.extend(world.spoilt.iter().filter(|(of, _)| of == name).map(|(_, how)| how.clone()));
    let run = RunId { rollout: outcome.id, action };
    let copy = format!("patchyard-{run}-save-{name}");
    let copy = world.volumes.get(&copy);
    let kept = world.snapshots.contains_key(&SnapshotId(run.to_string()));
    if end == RunEnd::Succeeded {
        if handle == first {
            complaints.push("it was not patched".into());
        }
        if !kept {
            complaints.push("it has no snapshot".into());
        }
        // What the old container wrote, to the last byte: the way back from here.
        if copy.is_none_or(|copy| !copy.whole || copy.by != Some((first.clone(), before.starts))) {
            complaints.push(format!("its snapshot's copy of its volume is {copy:?}"));
        }
        if object.starts != 1 {
            complaints.push(format!("its replacement was started {} times", object.starts));
        }
        // Once: what it wrote when it was stopped.
        if object.carried != Some(before.written + 1) {
            complaints.push(format!("it was given {:?} of what was written", object.carried));
        }
    } else {
        // How often it was stopped and started is all that may differ.
        let lived = SimObject {
            started: object.started,
            starts: object.starts,
            written: object.written,
            left: object.left.clone(),
            ..before.clone()
        };
        if handle != first || *object != lived {
            complaints.push(format!("it is not what it was before: {object:?}, before {before:?}"));
        }
        if object.starts > before.starts + 1 {
            complaints.push(format!("it was started {} times", object.starts - before.starts));
        }
        if copy.is_some() {
            complaints.push("a copy of its volume was left".into());
        }
        if kept {
            complaints.push("a snapshot of an undone run was left".into());
        }
    }
    complaints
}

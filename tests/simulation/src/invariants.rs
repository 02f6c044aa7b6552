//! What must hold at the end of every rollout, whatever went wrong.

use patchyard_provider_sim::{Behaviour, SimMachine, SimObject, World};
use patchyard_types::{
    Action, Data, Dependent, RunEnd, RunId, SnapshotId, SnapshotPolicy, TargetId, WritableLayer,
};

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
        if let Some(machine) = world.machines.get(&planned.target) {
            let before = outcome.machines_before.get(&planned.target);
            broken.extend(machine_of(machine, before, outcome, action, planned));
            continue;
        }
        let Some(target) = world.targets.get(&planned.target) else { continue };
        let Some(end) = outcome.rollout.runs[action].end() else {
            broken.push(format!("{} has no defined end", target.name));
            continue;
        };
        if end == RunEnd::Succeeded && target.patched != Behaviour::Good {
            broken
                .push(format!("{} counts as patched with a bad version ({:?})", target.name, target.patched));
        }
        if !target.interfered && !outcome.runs[action].resolved_by_hand {
            let when = world.unserved.iter().filter(|(of, _)| *of == target.name);
            broken.extend(when.map(|(name, when)| format!("{name}: {when}")));
        }
        // Who else laid hands on it has made his own state; a person decides about attention.
        let interfered = |id: &TargetId| world.targets.get(id).is_some_and(|target| target.interfered);
        let by_hand = end == RunEnd::NeedsAttention || outcome.runs[action].resolved_by_hand;
        if planned.disturbed().any(interfered) || by_hand {
            continue;
        }
        for dependent in &planned.dependents {
            let complaints = dependent_of(&world, outcome, planned, dependent, end);
            broken.extend(complaints.into_iter().map(|c| format!("{} ({end:?}): {c}", dependent.name)));
        }
        let complaints = state_of(&world, outcome, action, planned, end);
        broken.extend(complaints.into_iter().map(|c| format!("{} ({end:?}): {c}", target.name)));
    }
    broken
}

/// Complaints about a machine: its packages are whole, and those of the patch where it counts as patched, else those that
/// were there before.
fn machine_of(
    machine: &SimMachine,
    before: Option<&SimMachine>,
    outcome: &Outcome,
    action: usize,
    planned: &Action,
) -> Vec<String> {
    let Some(end) = outcome.rollout.runs[action].end() else {
        return vec![format!("{} has no defined end", machine.name)];
    };
    let mut complaints = Vec::new();
    // What somebody else has installed before the first look is what it is held to.
    if end == RunEnd::Succeeded && machine.patched != Behaviour::Good && !machine.interfered {
        complaints.push(format!("it counts as patched with a bad version: {machine:?}"));
    }
    let by_hand = end == RunEnd::NeedsAttention || outcome.runs[action].resolved_by_hand;
    if machine.interfered || by_hand {
        return complaints;
    }
    let version = if end == RunEnd::Succeeded { Some("2") } else { before.map(|before| &*before.version) };
    if machine.half || Some(&*machine.version) != version {
        complaints.push(format!("{} ({end:?}): it was left as {machine:?}", machine.name));
    }
    if machine.scarred && end == RunEnd::RolledBack {
        complaints.push(format!("it was put back and does not serve: {machine:?}"));
    }
    // Its disks are kept where it was patched, and nothing of them stays where it was not.
    let is_saved = machine.saved.contains_key(&RunId { rollout: outcome.id, action });
    if is_saved != (end == RunEnd::Succeeded && planned.snapshot == SnapshotPolicy::Required) {
        complaints.push(format!("{} ({end:?}): saved: {is_saved}", machine.name));
    }
    complaints
}

/// A target's only container, and the one that it had before.
fn now_and_before<'a>(
    world: &'a World,
    outcome: &'a Outcome,
    name: &str,
) -> Result<[(&'a String, &'a SimObject); 2], String> {
    let mine: Vec<_> = world.objects.iter().filter(|(_, object)| world.is_of(object, name)).collect();
    let [now] = mine[..] else { return Err(format!("{} containers instead of one", mine.len())) };
    let before = outcome.before.iter().find(|(_, object)| object.name == name);
    Ok([now, before.ok_or("it was not there before")?])
}

/// Complaints about a target that lives in the namespaces of a planned one: it serves, in those of whom its owner
/// is by now, and is what it was.
fn dependent_of(
    world: &World,
    outcome: &Outcome,
    planned: &Action,
    dependent: &Dependent,
    end: RunEnd,
) -> Vec<String> {
    let name = dependent.name.as_str();
    let mut complaints = Vec::new();
    let [(handle, object), (first, before)] = match now_and_before(world, outcome, name) {
        Ok(both) => both,
        Err(complaint) => return vec![complaint],
    };
    if object.name != name || object.held || object.started.is_none() {
        complaints.push(format!("it was left as {object:?}"));
    }
    if (object.image.as_str(), object.config) != (before.image.as_str(), before.config) {
        complaints.push("it is not what it was".into());
    }
    if (handle == first) == (end == RunEnd::Succeeded) {
        complaints.push(format!("its container is {handle}, was {first}"));
    }
    if object.starts > before.starts + 1 {
        complaints.push(format!("it was started {} times", object.starts - before.starts));
    }
    let owners: Vec<&str> = std::iter::once(planned.name.as_str())
        .chain(planned.dependents.iter().map(|other| other.name.as_str()))
        .collect();
    let lives_in = object.lives_in.as_ref().and_then(|owner| world.objects.get(owner));
    if !lives_in.is_some_and(|owner| owners.contains(&owner.name.as_str())) {
        complaints.push(format!("it lives in {:?}, which nobody serves from", object.lives_in));
    }
    complaints
}

/// Complaints about one target's containers and snapshots.
fn state_of(world: &World, outcome: &Outcome, action: usize, planned: &Action, end: RunEnd) -> Vec<String> {
    let name = planned.name.as_str();
    let mut complaints = Vec::new();
    let [(handle, object), (first, before)] = match now_and_before(world, outcome, name) {
        Ok(both) => both,
        Err(complaint) => return vec![complaint],
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
        if object.told > 0 {
            complaints.push("its replacement was told that it is going".into());
        }
        // What the old container wrote, to the last byte: the way back from here.
        if planned.data == Data::Keep {
            if copy.is_some() {
                complaints.push("its volume was copied".into());
            }
        } else if copy.is_none_or(|copy| !copy.whole || copy.by != Some((first.clone(), before.starts))) {
            complaints.push(format!("its snapshot's copy of its volume is {copy:?}"));
        }
        if object.starts != 1 {
            complaints.push(format!("its replacement was started {} times", object.starts));
        }
        // Once: what it wrote when it was stopped.
        let carries = planned.writable_layer == WritableLayer::Carry;
        if object.carried != carries.then_some(before.written + 1) {
            complaints.push(format!("it was given {:?} of what was written", object.carried));
        }
    } else {
        // How often it was stopped and started is all that may differ.
        let lived = SimObject {
            started: object.started,
            starts: object.starts,
            written: object.written,
            left: object.left.clone(),
            restarts: object.restarts,
            ..before.clone()
        };
        if handle != first || *object != lived {
            complaints.push(format!("it is not what it was before: {object:?}, before {before:?}"));
        }
        // Besides the restarts by which it forgot that it had been told to go.
        let starts = object.starts - (object.restarts - before.restarts);
        if starts > before.starts + 1 {
            complaints.push(format!("it was started {} times", starts - before.starts));
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

//! Dependents: targets that live in the namespaces of another one and are made again with it.

use std::collections::{BTreeMap, BTreeSet};

use patchyard_types::{
    Action, Dependent, Expected, LeftOutReason, Loss, Settings, Target, WritableLayer, printable,
};

use crate::request::DependentTarget;
use crate::{judge, losses, planner};

/// Everybody who lives in the namespaces of a target, and in theirs, each after those it lives in. `everyone`
/// are the targets that are known.
#[must_use]
pub fn dependents<'a>(target: &Target, everyone: impl IntoIterator<Item = &'a Target>) -> Vec<&'a Target> {
    let mut others: Vec<&Target> = everyone
        .into_iter()
        .filter(|other| other.host == target.host && other.object != target.object)
        .filter(|other| !other.lives_in.is_empty())
        .collect();
    others.sort_by(|a, b| planner::by_name(a, b));
    let mut involved = BTreeSet::from([target.object.as_str()]);
    loop {
        let before = involved.len();
        for other in &others {
            if other.lives_in.iter().any(|owner| involved.contains(owner.as_str())) {
                involved.insert(&other.object);
            }
        }
        if involved.len() == before {
            break;
        }
    }
    others.retain(|other| involved.contains(other.object.as_str()));
    let mut placed = BTreeSet::from([target.object.as_str()]);
    let mut sorted = Vec::with_capacity(others.len());
    while !others.is_empty() {
        // Whoever lives in none that waits; an engine knows no circles, and if there is one its first breaks it.
        let is_free = |other: &&Target| {
            other.lives_in.iter().all(|o| placed.contains(o.as_str()) || !involved.contains(o.as_str()))
        };
        let next = others.remove(others.iter().position(is_free).unwrap_or(0));
        placed.insert(&next.object);
        sorted.push(next);
    }
    sorted
}

/// Why a target with these settings is left alone because of somebody who would be made again with it, if it is.
#[must_use]
pub fn in_the_way(settings: &Settings, dependents: &[DependentTarget]) -> Option<(LeftOutReason, String)> {
    if let (Some(dependent), false) = (dependents.first(), settings.drain.command.is_empty()) {
        let name = printable(&dependent.target.name, 100);
        let why = format!(
            "{name} lives in its namespaces, and would lose them to the restart that takes its drain command back; \
             give the drain a wait only"
        );
        return Some((LeftOutReason::Refused, why));
    }
    dependents.iter().find_map(|DependentTarget { target, settings, excluded, unsaved }| {
        let because = |reason, why: &str| {
            let name = printable(&target.name, 100);
            Some((reason, format!("{name} lives in its namespaces and is made again with it: {why}")))
        };
        if *excluded {
            return because(LeftOutReason::Excluded, "that one is excluded by its label or by --exclude");
        }
        if let Some(refusal) = target.refusals.iter().min() {
            return because(LeftOutReason::Refused, &printable(&refusal.message, 300));
        }
        if !settings.drain.is_nothing() {
            return because(LeftOutReason::Refused, "nobody drains that one then; take its drain away");
        }
        if let Some(detail) = judge::not_well(target) {
            return because(LeftOutReason::Unhealthy, &format!("{detail}; start it, or remove it"));
        }
        match unsaved {
            Err(reason) => because(LeftOutReason::NotAssessed, &printable(reason, 300)),
            Ok(unsaved) if unsaved.paths.is_empty() => None,
            Ok(_) if settings.writable_layer == WritableLayer::Discard => None,
            Ok(unsaved) => {
                let paths = losses::some_of(&unsaved.paths);
                let why = format!(
                    "its writable layer holds data that recreation would lose: {paths}; that is not carried over \
                     for it: move it to a volume, or say writable_layer: discard"
                );
                because(LeftOutReason::WritableLayer, &why)
            }
        }
    })
}

/// Adds the dependents to the action of their owner, and what they lose.
pub fn add(action: &mut Action, dependents: &[DependentTarget]) {
    for DependentTarget { target, settings, excluded: _, unsaved } in dependents {
        action.losses.extend(losses_of(target, unsaved.as_ref().map_or(&[], |unsaved| &unsaved.paths)));
        let mut checks = settings.checks.clone();
        checks.sort_unstable();
        action.dependents.push(Dependent {
            target: target.id.clone(),
            name: target.name.clone(),
            service: target.service.clone(),
            expected: Expected::of(target),
            checks,
            writable_layer: match settings.writable_layer {
                WritableLayer::Discard => WritableLayer::Discard,
                WritableLayer::LeaveOut | WritableLayer::Carry => WritableLayer::LeaveOut,
            },
            // Depends on the whole service, as the owner's does.
            max_unavailable: 1,
        });
    }
    action.losses.sort_unstable();
    action.losses.dedup();
}

fn losses_of(target: &Target, paths: &[String]) -> Vec<Loss> {
    let name = printable(&target.name, 100);
    let loss = |detail: String| Loss { kind: "dependent".to_owned(), detail };
    let mut found = vec![loss(format!(
        "{name} lives in its namespaces: it is stopped, made again unchanged and started with it; its logs, and \
         what is in its memory, are lost"
    ))];
    if !paths.is_empty() {
        let paths = losses::some_of(paths);
        found.push(loss(format!(
            "{paths} in the writable layer of {name} are LOST to its new container; an image of them is kept with \
             the snapshot, and no rollback puts them back"
        )));
    }
    found
}

/// What of the services that an action disturbs is at most unavailable at the same time, by the settings of
/// those who are planned.
pub fn caps<'a>(
    all: impl Iterator<Item = (&'a str, &'a Settings)>,
    sizes: &BTreeMap<String, usize>,
) -> BTreeMap<String, usize> {
    let mut caps: BTreeMap<String, usize> = BTreeMap::new();
    for (service, settings) in all {
        let cap = settings.max_unavailable.of(sizes.get(service).copied().unwrap_or(1));
        // A service has one budget; where its targets disagree, the most careful one counts.
        caps.entry(service.to_owned()).and_modify(|c| *c = cap.min(*c)).or_insert(cap);
    }
    caps
}

/// How many targets of each service an action makes unavailable at the same time.
pub fn takes(action: &Action) -> BTreeMap<&str, usize> {
    let mut takes = BTreeMap::new();
    for (service, _) in action.services() {
        *takes.entry(service).or_insert(0) += 1;
    }
    takes
}

/// Why an action fits into no budget, if it fits into none: what shares namespaces goes at once.
pub fn over_budget(action: &Action, caps: &BTreeMap<String, usize>) -> Option<String> {
    let (service, takes, cap) = takes(action).into_iter().find_map(|(service, takes)| {
        let cap = caps.get(service).copied().unwrap_or(1);
        (takes > cap).then_some((service, takes, cap))
    })?;
    let names: Vec<&str> = action.dependents.iter().map(|other| other.name.as_str()).collect();
    Some(format!(
        "it can only be patched together with {}, which lives in its namespaces: {takes} targets of {} would be \
         unavailable at once, max_unavailable allows {cap}",
        names.iter().take(3).map(|name| printable(name, 60)).collect::<Vec<_>>().join(", "),
        printable(service, 60),
    ))
}

//! Order: what a target depends on is patched before it.

use std::collections::{BTreeMap, BTreeSet};

use patchyard_types::Target;

/// Targets that Compose treats as one: a service of a project on a host.
pub type Group<'a> = (&'a str, &'a str, &'a str);

/// Who comes before whom.
pub struct Order<'a> {
    /// Groups in an order in which each comes after what it depends on.
    pub rank: BTreeMap<Group<'a>, usize>,
    /// What each group waits for; without the dependencies that were dropped to break a circle.
    pub waits_for: BTreeMap<Group<'a>, BTreeSet<Group<'a>>>,
    /// Remarks on circles that had to be broken.
    pub notes: Vec<String>,
}

/// The group of a target. A label of ours may have given its service another name than Compose has.
pub fn group(target: &Target) -> Group<'_> {
    let service = target.labels.get("com.docker.compose.service").unwrap_or(&target.service);
    (target.host.as_str(), target.project.as_deref().unwrap_or_default(), service)
}

/// Orders the groups of the targets in the plan. What is not in the plan is not waited for.
pub fn order<'a>(targets: &[&'a Target]) -> Order<'a> {
    let mut waits_for: BTreeMap<Group<'a>, BTreeSet<Group<'a>>> =
        targets.iter().map(|target| (group(target), BTreeSet::new())).collect();
    for target in targets.iter().filter(|target| target.project.is_some()) {
        let me = group(target);
        for service in &target.depends_on {
            let other = (me.0, me.1, service.as_str());
            if other != me && waits_for.contains_key(&other) {
                waits_for.entry(me).or_default().insert(other);
            }
        }
    }
    let mut notes = Vec::new();
    let mut rank = BTreeMap::new();
    let mut dependents: BTreeMap<Group<'a>, BTreeSet<Group<'a>>> = BTreeMap::new();
    for (group, others) in &waits_for {
        for other in others {
            dependents.entry(*other).or_default().insert(*group);
        }
    }
    let mut open: BTreeMap<Group<'a>, BTreeSet<Group<'a>>> = waits_for.clone();
    let mut ready: BTreeSet<Group<'a>> =
        open.iter().filter(|(_, others)| others.is_empty()).map(|(group, _)| *group).collect();
    loop {
        while let Some(group) = ready.pop_first() {
            rank.insert(group, rank.len());
            open.remove(&group);
            for dependent in dependents.get(&group).into_iter().flatten() {
                let freed = open.get_mut(dependent).is_some_and(|o| o.remove(&group) && o.is_empty());
                if freed {
                    ready.insert(*dependent);
                }
            }
        }
        // Whatever is left waits in a circle, or behind one.
        let Some(first) = circle(&open) else { break };
        let Some(dropped) = open.insert(first, BTreeSet::new()) else { break };
        if let Some(kept) = waits_for.get_mut(&first) {
            kept.retain(|other| !dropped.contains(other));
        }
        let names: Vec<_> = dropped.iter().map(|(.., service)| *service).collect();
        notes.push(format!(
            "the services of project {} depend on each other in a circle: {} goes before {}",
            first.1,
            first.2,
            names.join(", ")
        ));
        ready.insert(first);
    }
    Order { rank, waits_for, notes }
}

/// The smallest member of a circle among groups that all wait for something; always the same one.
fn circle<'a>(open: &BTreeMap<Group<'a>, BTreeSet<Group<'a>>>) -> Option<Group<'a>> {
    let mut path: Vec<Group<'a>> = Vec::new();
    let mut at = *open.keys().next()?;
    let mut seen: BTreeMap<Group<'a>, usize> = BTreeMap::new();
    loop {
        if let Some(start) = seen.get(&at) {
            return path[*start..].iter().min().copied();
        }
        seen.insert(at, path.len());
        path.push(at);
        at = *open.get(&at)?.first()?;
    }
}

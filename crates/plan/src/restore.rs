//! Manual rollback: a plan of its own that puts targets back to their snapshots.

use std::collections::BTreeMap;

use patchyard_types::{
    Change, Data, LeftOutReason, Method, PatchSet, Settings, Snapshot, StartingState, TagMove, Target,
    TargetId, TargetKind, printable,
};

use crate::data::VolumeUsers;
use crate::planner::{self, Draft, Planned, Said};
use crate::request::{DependentTarget, Restoration, RestoreRequest, TagPolicy};
use crate::{beside, data, dependents, judge, tags};

/// Plans a manual rollback, with the same waves and budgets as any plan.
///
/// A target that is not well is no reason to leave it alone here: it is why people go back.
pub fn restore(request: &RestoreRequest) -> Planned {
    let targets: BTreeMap<&TargetId, &Target> = request.targets.iter().map(|t| (&t.id, t)).collect();
    let ambiguous = planner::twins(request.targets.iter().map(|t| &t.id));
    let users = VolumeUsers::of(&request.targets);
    let twice = planner::twins(request.restorations.iter().map(|r| &r.snapshot.target));
    let mut restorations: Vec<&Restoration> = request.restorations.iter().collect();
    restorations
        .sort_by(|a, b| (&a.snapshot.target, &a.snapshot.id).cmp(&(&b.snapshot.target, &b.snapshot.id)));

    let (mut drafts, mut left_out, mut up_to_date) = (Vec::new(), Vec::new(), Vec::new());
    for Restoration { snapshot, settings, dependents } in restorations {
        let mut leave_out = |reason, detail: String| {
            left_out.push(patchyard_types::LeftOut {
                target: snapshot.target.clone(),
                name: snapshot.name.clone(),
                reason,
                detail,
            });
        };
        let restored = match request.keep_data {
            true => Vec::new(),
            false => snapshot.volumes.iter().map(|saved| saved.volume.clone()).collect::<Vec<_>>(),
        };
        let Some(target) = targets.get(&snapshot.target) else {
            leave_out(LeftOutReason::Unhealthy, "it does not exist any more".to_owned());
            continue;
        };
        if ambiguous.contains(&snapshot.target) {
            leave_out(LeftOutReason::Refused, "another target has the same id".to_owned());
        } else if twice.contains(&snapshot.target) {
            leave_out(LeftOutReason::Refused, "more than one of its snapshots was named".to_owned());
        } else if target.kind == TargetKind::Host && snapshot.packages.is_empty() {
            leave_out(LeftOutReason::Unsolvable, "none of its previous versions was kept".to_owned());
        } else if target.kind != TargetKind::Host && target.image.id == snapshot.image {
            up_to_date.push(target.name.clone());
        } else if let Some(refusal) = target.refusals.iter().min() {
            leave_out(LeftOutReason::Refused, printable(&refusal.message, 400));
        } else if let Some(detail) = restored.first().and_then(|_| cannot_fill(target, &restored, &users)) {
            leave_out(LeftOutReason::Refused, detail);
        } else if let Some((reason, detail)) = dependents::in_the_way(settings, dependents) {
            leave_out(reason, detail);
        } else if let Some(detail) = cannot_start_first(target, dependents, settings, &restored) {
            leave_out(LeftOutReason::Refused, detail);
        } else {
            let set = PatchSet {
                // A snapshot stays on its host: the platform is whatever it was.
                from: StartingState {
                    platform: String::new(),
                    image: target.image.id.clone(),
                    packages: None,
                },
                change: Change::Snapshot {
                    snapshot: snapshot.id.clone(),
                    image: (target.kind == TargetKind::Service).then(|| snapshot.image.clone()),
                    packages: snapshot.packages.clone(),
                },
            };
            let mut action = judge::skeleton(target, settings, Method::Restore, set.id(), &restored);
            action.expected.base = None;
            dependents::add(&mut action, dependents);
            drafts.push(Draft { target, settings, dependents, action, set });
        }
    }
    drafts.sort_by(|a, b| planner::by_name(a.target, b.target));
    up_to_date.sort_unstable();

    let sizes = planner::service_sizes(request.targets.iter());
    let arranged = planner::arrange(drafts, &sizes);
    left_out.extend(arranged.left_out);
    let mut decisions = arranged.decisions;
    if request.tags == TagPolicy::Move {
        let snapshots: BTreeMap<_, _> =
            request.restorations.iter().map(|r| (&r.snapshot.target, &r.snapshot)).collect();
        decisions.tags = tags_back(&decisions.actions, &snapshots, &request.targets);
    }
    let said = Said {
        author: &request.author,
        at: request.at,
        undoes: request.undoes,
        considered: request.restorations.len(),
        left_out,
        up_to_date,
        notes: arranged.notes,
    };
    let plan = planner::finish(decisions, said, &request.timings);
    Planned { plan, waits: arranged.waits, filtered_out: Vec::new() }
}

/// Why the volumes that a snapshot keeps copies of could not be given back, if they could not.
fn cannot_fill(target: &Target, restored: &[String], users: &VolumeUsers<'_>) -> Option<String> {
    let volumes = data::volumes(target);
    if let Some(gone) = restored.iter().find(|volume| !volumes.contains(volume)) {
        let gone = printable(gone, 200);
        return Some(format!(
            "its snapshot keeps the data of volume {gone}, which it does not have any more; say --data keep to leave data alone"
        ));
    }
    users.cannot_restore(target)
}

/// Why it cannot be put back in the order that its settings ask for, if it cannot. What its writable layer holds
/// by now is lost by going back in any order.
fn cannot_start_first(
    target: &Target,
    dependents: &[DependentTarget],
    settings: &Settings,
    restored: &[String],
) -> Option<String> {
    let data = if restored.is_empty() { Data::Keep } else { Data::Restore };
    beside::cannot_start_first(target, dependents, &Settings { data, ..settings.clone() }, &[])
}

/// Tags go back to the base once nobody on the host runs the image they name: when all of its
/// targets are put back, to the same base.
fn tags_back(
    actions: &[patchyard_types::Action],
    snapshots: &BTreeMap<&TargetId, &Snapshot>,
    everyone: &[Target],
) -> Vec<TagMove> {
    let mut running: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    for target in everyone.iter().filter(|target| tags::holds(target)) {
        *running.entry((target.host.as_str(), &target.image.reference, &target.image.id)).or_insert(0) += 1;
    }
    let mut planned: BTreeMap<(&str, &str, &str), Vec<usize>> = BTreeMap::new();
    for (index, action) in actions.iter().enumerate().filter(|(_, action)| action.kind.is_container()) {
        let expected = &action.expected;
        planned.entry((action.host.as_str(), &expected.reference, &expected.image)).or_default().push(index);
    }
    let mut tags = Vec::new();
    for (key, after) in planned {
        let (_, reference, from) = key;
        let bases: Vec<_> =
            after.iter().filter_map(|i| snapshots.get(&actions[*i].target)).map(|s| &s.base_image).collect();
        let [base, rest @ ..] = &bases[..] else { continue };
        if !tags::is_tag(reference)
            || running.get(&key) != Some(&after.len())
            || rest.iter().any(|b| b != base)
        {
            continue;
        }
        let first = &actions[after[0]];
        tags.push(TagMove {
            host: first.host.clone(),
            reference: reference.to_owned(),
            from: from.to_owned(),
            patch_set: first.patch_set,
            image: Some((*base).clone()),
            after,
        });
    }
    tags.sort_unstable();
    tags
}

//! Puts a plan together from the judgements on its targets.

use std::collections::{BTreeMap, BTreeSet};

use patchyard_types::{
    About, Action, Budget, Data, Decisions, LeftOut, LeftOutReason, Manager, PatchSet, PatchSetId, Plan,
    RolloutId, Settings, Target, TargetId, printable,
};

use crate::data::VolumeUsers;
use crate::judge::{self, Judgement};
use crate::request::{Candidate, DependentTarget, PlanRequest, TagPolicy, Timings};
use crate::waves::{Part, Slot, Wait};
use crate::{beside, dependents, estimate, order, service, tags, waves};

/// The format of [`Decisions`] written here.
pub const VERSION: u32 = 1;

/// A plan, and what the planner has to say beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a plan that nobody looks at was made in vain"]
pub struct Planned {
    /// The plan; without actions when there is nothing to do.
    pub plan: Plan,
    /// Why each action is not in the first wave, in the order of actions.
    pub waits: Vec<Option<Wait>>,
    /// Names of targets with pending patches of which the filter wants none.
    pub filtered_out: Vec<String>,
}

/// Plans. The same request gives the same plan, in whatever order its parts come.
pub fn plan(request: &PlanRequest) -> Planned {
    let mut candidates: Vec<&Candidate> = request.candidates.iter().collect();
    candidates.sort_by(|a, b| by_name(&a.target, &b.target));
    let twins = twins(candidates.iter().map(|c| &c.target.id));

    // Looked through once, and only for those who want it.
    let restores = candidates.iter().any(|candidate| candidate.settings.data == Data::Restore);
    let users = match restores {
        true => VolumeUsers::of(request.candidates.iter().map(|c| &c.target).chain(&request.others)),
        false => VolumeUsers::default(),
    };

    let mut ids = judge::SetIds::default();
    let mut drafts = Vec::new();
    let mut left_out = Vec::new();
    let (mut up_to_date, mut filtered_out, mut later) = (Vec::new(), Vec::new(), BTreeMap::new());
    for candidate in &candidates {
        let target = &candidate.target;
        let judgement = if twins.contains(&target.id) {
            twin()
        } else {
            judge::judge(candidate, request, &users, &mut ids)
        };
        match judgement {
            Judgement::Patch { action, set, note } => {
                if let Some(note) = note {
                    later.entry(note).or_insert_with(Vec::new).push(target.name.as_str());
                }
                drafts.push(Draft {
                    target,
                    settings: &candidate.settings,
                    dependents: &candidate.dependents,
                    action: *action,
                    set: *set,
                });
            }
            Judgement::UpToDate => up_to_date.push(target.name.clone()),
            Judgement::FilteredOut => filtered_out.push(target.name.clone()),
            Judgement::LeftOut(reason, detail) => left_out.push(leave_out(target, reason, detail)),
        }
    }
    let everyone = || candidates.iter().map(|candidate| &candidate.target).chain(&request.others);
    let sizes = service_sizes(everyone());
    let arranged = arrange(drafts, &sizes);
    left_out.extend(arranged.left_out);
    let mut notes = arranged.notes;
    notes.extend(later.into_iter().map(|(note, names)| format!("{}: {note}", some_of(&names))));
    let mut decisions = arranged.decisions;
    if request.tags == TagPolicy::Move {
        let whoever = candidates.iter().map(|candidate| (&candidate.target, candidate.excluded));
        let others = request.others.iter().map(|target| (target, false));
        let (tags, remarks) = tags::follow(&decisions.actions, whoever.chain(others));
        decisions.tags = tags;
        notes.extend(remarks);
    }
    let said = Said {
        author: &request.author,
        at: request.at,
        undoes: None,
        considered: candidates.len(),
        left_out,
        up_to_date,
        notes,
    };
    Planned { plan: finish(decisions, said, &request.timings), waits: arranged.waits, filtered_out }
}

/// One target's action before it has its place.
pub struct Draft<'a> {
    pub target: &'a Target,
    pub settings: &'a Settings,
    pub dependents: &'a [DependentTarget],
    pub action: Action,
    pub set: PatchSet,
}

/// Drafts in their places.
pub struct Arranged {
    pub decisions: Decisions,
    pub waits: Vec<Option<Wait>>,
    pub notes: Vec<String>,
    pub left_out: Vec<LeftOut>,
}

/// Puts drafts (sorted by name) into waves within the budgets of their services. A target that is made again
/// with another one has no place of its own.
pub fn arrange(mut drafts: Vec<Draft<'_>>, sizes: &BTreeMap<String, usize>) -> Arranged {
    let mut left_out = Vec::new();
    let involved = drafts.iter().flat_map(|draft| {
        let theirs = draft.dependents.iter().map(|other| (other.target.service.as_str(), &other.settings));
        std::iter::once((draft.target.service.as_str(), draft.settings)).chain(theirs)
    });
    let caps = dependents::caps(involved, sizes);
    drafts.retain(|draft| match dependents::over_budget(&draft.action, &caps) {
        Some(detail) => {
            left_out.push(leave_out(draft.target, LeftOutReason::Refused, detail));
            false
        }
        None => true,
    });
    left_out.extend(once_each(&mut drafts));
    let targets: Vec<&Target> = drafts.iter().map(|draft| draft.target).collect();
    let order::Order { rank, waits_for, notes: circles } = order::order(&targets);
    let mut waits_by_rank = vec![Vec::new(); rank.len()];
    for (group, others) in &waits_for {
        waits_by_rank[rank[group]] = others.iter().map(|other| rank[other]).collect();
    }
    // Dependencies first, then as they came: by service and name. The sort is stable.
    drafts.sort_by_key(|draft| rank[&order::group(draft.target)]);

    let slots: Vec<_> = drafts
        .iter()
        .map(|draft| Slot {
            services: dependents::takes(&draft.action)
                .into_iter()
                .map(|(service, takes)| Part { service, takes, cap: caps[service] })
                .collect(),
            set: draft.action.patch_set,
            group: rank[&order::group(draft.target)],
        })
        .collect();
    let parallel = drafts.iter().map(|draft| draft.settings.max_parallel).min().unwrap_or(1);
    let places = waves::assign(&slots, &waits_by_rank, parallel);

    let whole = drafts.len();
    let max_failures = drafts
        .iter()
        .map(|draft| draft.settings.max_failures)
        .min_by_key(|budget| (budget.tolerated(whole), *budget))
        .unwrap_or(Budget::Count(0));
    let mut notes = circles;
    notes.extend(managers(&targets));
    notes.extend(service::traps(&targets));
    notes.extend(beside::without_a_replica(&drafts, sizes));

    // Actions are numbered in the order in which they go.
    let mut placed: Vec<_> = drafts.into_iter().zip(places).collect();
    placed.sort_by_key(|(_, (wave, _))| *wave);
    let mut decisions = Decisions {
        version: VERSION,
        patch_sets: BTreeMap::new(),
        actions: Vec::with_capacity(whole),
        waves: Vec::new(),
        tags: Vec::new(),
        max_failures,
    };
    let mut waits = Vec::with_capacity(whole);
    let mut last = None;
    for (draft, (wave, wait)) in placed {
        let Draft { target: _, settings: _, dependents: _, mut action, set } = draft;
        action.max_unavailable = caps[&action.service];
        for dependent in &mut action.dependents {
            dependent.max_unavailable = caps[&dependent.service];
        }
        if last != Some(wave) {
            last = Some(wave);
            decisions.waves.push(patchyard_types::Wave(Vec::new()));
        }
        if let Some(current) = decisions.waves.last_mut() {
            current.0.push(decisions.actions.len());
        }
        decisions.patch_sets.entry(action.patch_set).or_insert(set);
        decisions.actions.push(action);
        waits.push(wait);
    }
    Arranged { decisions, waits, notes, left_out }
}

/// Takes out who is made again with another one: what is pending on it, a later plan finds.
fn once_each(drafts: &mut Vec<Draft<'_>>) -> Vec<LeftOut> {
    let mut in_order: Vec<&Draft<'_>> = drafts.iter().collect();
    // Owners come before their dependents, of whom each has fewer than they have.
    in_order.sort_by_key(|draft| std::cmp::Reverse(draft.dependents.len()));
    let mut left_out = Vec::new();
    let mut taken: BTreeMap<&TargetId, &str> = BTreeMap::new();
    for draft in in_order {
        let action = &draft.action;
        let Some(owner) = action.disturbed().find_map(|target| taken.get(target)) else {
            taken.extend(action.disturbed().map(|target| (target, action.name.as_str())));
            continue;
        };
        let who = if taken.contains_key(&action.target) { "it" } else { "who lives in its namespaces" };
        let owner = printable(owner, 100);
        let detail = format!("{who} is made again with {owner} in this plan; plan again after it");
        left_out.push(leave_out(draft.target, LeftOutReason::WithOwner, detail));
    }
    let out: BTreeSet<TargetId> = left_out.iter().map(|left_out| left_out.target.clone()).collect();
    drafts.retain(|draft| !out.contains(&draft.action.target));
    left_out
}

/// What is said about a plan.
pub struct Said<'a> {
    pub author: &'a str,
    pub at: jiff::Timestamp,
    pub undoes: Option<RolloutId>,
    pub considered: usize,
    pub left_out: Vec<LeftOut>,
    pub up_to_date: Vec<String>,
    pub notes: Vec<String>,
}

/// Adds to decisions what is said about them.
pub fn finish(decisions: Decisions, said: Said<'_>, timings: &Timings) -> Plan {
    let Said { author, at, undoes, considered, left_out, up_to_date, notes } = said;
    let estimate = estimate::estimate(&decisions.actions, &decisions.waves, timings);
    Plan {
        decisions,
        about: About {
            author: author.to_owned(),
            created_at: at,
            undoes,
            considered,
            left_out,
            up_to_date,
            estimate,
            notes,
        },
    }
}

pub fn leave_out(target: &Target, reason: LeftOutReason, detail: String) -> LeftOut {
    LeftOut { target: target.id.clone(), name: target.name.clone(), reason, detail }
}

/// Ids that more than one target claims.
pub fn twins<'a>(ids: impl Iterator<Item = &'a TargetId>) -> BTreeSet<TargetId> {
    let mut seen = BTreeSet::new();
    ids.filter(|id| !seen.insert(*id)).cloned().collect()
}

fn twin() -> Judgement {
    Judgement::LeftOut(
        LeftOutReason::Refused,
        "another target has the same id: two machines with one machine-id, or one reached twice".to_owned(),
    )
}

/// How many targets each service has, whatever becomes of them.
pub fn service_sizes<'a>(targets: impl Iterator<Item = &'a Target>) -> BTreeMap<String, usize> {
    let mut sizes = BTreeMap::new();
    for target in targets {
        *sizes.entry(target.service.clone()).or_insert(0) += 1;
    }
    sizes
}

/// Remarks on others who act on the same targets.
fn managers(targets: &[&Target]) -> Vec<String> {
    let mut found: BTreeMap<&Manager, Vec<&str>> = BTreeMap::new();
    for target in targets {
        for manager in &target.managers {
            // Compose is told apart by its labels and keeps away until somebody calls it.
            if !matches!(manager, Manager::Compose(_)) {
                found.entry(manager).or_default().push(&target.name);
            }
        }
    }
    found
        .into_iter()
        .map(|(manager, names)| {
            let who = match manager {
                Manager::Watchtower(name) => format!("Watchtower ({})", printable(name, 60)),
                Manager::Systemd(name) => format!("the systemd unit {}", printable(name, 60)),
                Manager::Swarm(name) => format!("the Swarm service {}", printable(name, 60)),
                Manager::Compose(name) => format!("the Compose project {}", printable(name, 60)),
            };
            format!("{who} acts on {} too", some_of(&names))
        })
        .collect()
}

/// The first few names of many.
pub fn some_of(names: &[&str]) -> String {
    let first: Vec<_> = names.iter().take(3).map(|name| printable(name, 60)).collect();
    let more = if names.len() > 3 { format!(" and {} more", names.len() - 3) } else { String::new() };
    format!("{}{more}", first.join(", "))
}

/// By service and name, `shop-2` before `shop-10`; by id where names are equal.
pub fn by_name(a: &Target, b: &Target) -> std::cmp::Ordering {
    natural(&a.service, &b.service)
        .then_with(|| natural(&a.name, &b.name))
        .then_with(|| a.id.cmp(&b.id))
        .then_with(|| a.object.cmp(&b.object))
}

/// Texts with runs of digits as numbers; texts that differ are never equal.
fn natural(a: &str, b: &str) -> std::cmp::Ordering {
    let (mut rest_a, mut rest_b) = (a.as_bytes(), b.as_bytes());
    while let (Some(x), Some(y)) = (rest_a.first(), rest_b.first()) {
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (number_a, tail_a) = split_number(rest_a);
            let (number_b, tail_b) = split_number(rest_b);
            let order = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b));
            if order.is_ne() {
                return order;
            }
            (rest_a, rest_b) = (tail_a, tail_b);
        } else if x == y {
            (rest_a, rest_b) = (&rest_a[1..], &rest_b[1..]);
        } else {
            return x.cmp(y);
        }
    }
    rest_a.len().cmp(&rest_b.len()).then_with(|| a.cmp(b))
}

/// Leading digits without leading zeros, and the rest.
fn split_number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let start = text[..end].iter().position(|b| *b != b'0').unwrap_or(end);
    (&text[start..end], &text[end..])
}

/// The id of every patch set in use.
pub fn used_sets(actions: &[Action]) -> BTreeSet<PatchSetId> {
    actions.iter().map(|action| action.patch_set).collect()
}

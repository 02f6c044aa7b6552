//! What holds of every plan, whatever the fleet looks like.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{candidate, patch, request, target};
use patchyard_plan::{Candidate, PlanRequest, Wait, lint, plan};
use patchyard_types::{
    Action, Assessment, Budget, Change, Digest, Health, LeftOutReason, NotAssessed, PendingStatus, Plan,
    Quarantine, QuarantineId, Refusal, RolloutId, RunId, TargetState,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};

const SERVICES: [&str; 5] = ["db", "queue", "shop", "mail", "web"];

/// One row of a fleet; few values each, so that services, images and hosts are shared.
#[derive(Debug, Clone)]
struct Row {
    host: &'static str,
    service: usize,
    image: &'static str,
    depends_on: Vec<usize>,
    trouble: Option<u8>,
    pending: Vec<(&'static str, u8)>,
    cap: Budget,
    parallel: usize,
}

fn row() -> impl Strategy<Value = Row> {
    (
        select(&["alpha", "beta"][..]),
        0..SERVICES.len(),
        select(&["debian", "nginx", "postgres"][..]),
        proptest::collection::vec(0..SERVICES.len(), 0..3),
        prop_oneof![4 => Just(None), 1 => (0..9_u8).prop_map(Some)],
        proptest::collection::vec((select(&["libssl3", "nginx", "perl-base"][..]), 0..3_u8), 0..3),
        prop_oneof![(0..4_u32).prop_map(Budget::Count), (0..=100_u8).prop_map(Budget::Percent)],
        1..6_usize,
    )
        .prop_map(|(host, service, image, depends_on, trouble, mut pending, cap, parallel)| {
            pending.sort_unstable();
            pending.dedup_by_key(|(name, _)| *name);
            Row { host, service, image, depends_on, trouble, pending, cap, parallel }
        })
}

fn build(number: usize, row: &Row) -> Candidate {
    let mut target = target(row.host, SERVICES[row.service], number, row.image);
    target.depends_on = row.depends_on.iter().map(|service| SERVICES[*service].to_owned()).collect();
    let pending = row.pending.iter().map(|(name, version)| patch(name, &format!("2.{version}"))).collect();
    let mut candidate = candidate(target, pending);
    candidate.settings.max_unavailable = row.cap;
    candidate.settings.max_parallel = row.parallel;
    match row.trouble {
        None => {}
        Some(0) => candidate.excluded = true,
        Some(1) => candidate.target.state = TargetState::Exited,
        Some(2) => candidate.target.health = Health::Unhealthy,
        Some(3) => candidate.unsaved.paths = vec!["/srv/data".into()],
        Some(4) => {
            let refusal = Refusal { code: "auto_remove".into(), message: "started with --rm".into() };
            candidate.target.refusals.push(refusal);
        }
        Some(5) => {
            candidate.assessment = Assessment::NotAssessed(NotAssessed {
                at: jiff::Timestamp::UNIX_EPOCH,
                reason: "no package manager".into(),
                hint: "try --method image".into(),
            });
        }
        Some(6) => candidate.settings.max_layer = 999,
        Some(7) => each(&mut candidate, |patch| patch.sha256 = None),
        Some(_) => each(&mut candidate, |patch| patch.status = PendingStatus::KeptBack),
    }
    candidate
}

fn each(candidate: &mut Candidate, change: impl Fn(&mut patchyard_types::PendingPatch)) {
    if let Assessment::Assessed { pending, .. } = &mut candidate.assessment {
        pending.iter_mut().for_each(change);
    }
}

fn fleet() -> impl Strategy<Value = PlanRequest> {
    let entry = (
        0..SERVICES.len(),
        proptest::collection::btree_set((select(&["libssl3", "nginx", "perl-base"][..]), 0..3_u8), 1..3),
    );
    (proptest::collection::vec(row(), 0..40), proptest::collection::vec(entry, 0..2)).prop_map(
        |(rows, entries)| {
            let candidates = rows.iter().enumerate().map(|(number, row)| build(number, row)).collect();
            let mut request = request(candidates);
            request.quarantine = (1..)
                .zip(entries)
                .map(|(id, (service, versions))| (QuarantineId(id), quarantine(SERVICES[service], versions)))
                .collect();
            request
        },
    )
}

fn quarantine(service: &str, versions: impl IntoIterator<Item = (&'static str, u8)>) -> Quarantine {
    Quarantine {
        patch_set: Digest::of_bytes(b"an earlier set"),
        versions: versions.into_iter().map(|(name, version)| format!("{name}=2.{version}")).collect(),
        files: std::collections::BTreeMap::new(),
        service: service.into(),
        run: RunId { rollout: RolloutId(1), action: 0 },
        at: jiff::Timestamp::UNIX_EPOCH,
        reason: ":25 stopped listening".into(),
    }
}

fn wave_of(plan: &Plan) -> Vec<usize> {
    let mut waves = vec![usize::MAX; plan.decisions.actions.len()];
    for (number, wave) in plan.decisions.waves.iter().enumerate() {
        wave.0.iter().for_each(|index| waves[*index] = number);
    }
    waves
}

fn versions(plan: &Plan, action: &Action) -> BTreeSet<String> {
    plan.patch_set(action).unwrap().versions().into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_target_comes_exactly_once(request in fleet()) {
        let planned = plan(&request);
        let about = &planned.plan.about;
        let mut names: Vec<_> = planned.plan.decisions.actions.iter().map(|a| a.name.clone()).collect();
        names.extend(about.left_out.iter().map(|l| l.name.clone()));
        names.extend(about.up_to_date.iter().cloned());
        names.extend(planned.filtered_out.iter().cloned());
        names.sort_unstable();
        let mut all: Vec<_> = request.candidates.iter().map(|c| c.target.name.clone()).collect();
        all.sort_unstable();
        prop_assert_eq!(names, all);
        prop_assert_eq!(about.considered, request.candidates.len());

        let waves = wave_of(&planned.plan);
        let placed: usize = planned.plan.decisions.waves.iter().map(|w| w.0.len()).sum();
        prop_assert_eq!(placed, waves.len());
        prop_assert!(waves.iter().all(|wave| *wave != usize::MAX));
        prop_assert!(waves.is_sorted(), "actions are numbered as they go");
    }

    #[test]
    fn no_wave_breaks_a_budget(request in fleet()) {
        let plan = plan(&request).plan;
        let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
        request.candidates.iter().for_each(|c| *sizes.entry(&c.target.service).or_default() += 1);
        let by_id: BTreeMap<_, _> = request.candidates.iter().map(|c| (&c.target.id, c)).collect();
        let planned: Vec<_> = plan.decisions.actions.iter().map(|a| by_id[&a.target]).collect();
        let parallel = planned.iter().map(|c| c.settings.max_parallel).min().unwrap_or(1);
        for wave in &plan.decisions.waves {
            prop_assert!(!wave.0.is_empty() && wave.0.len() <= parallel);
            let mut services: BTreeMap<&str, usize> = BTreeMap::new();
            wave.0.iter().for_each(|i| *services.entry(&plan.decisions.actions[*i].service).or_default() += 1);
            for (service, count) in services {
                // The budget of a service is the most careful one of its targets in the plan.
                let cap = planned
                    .iter()
                    .filter(|c| c.target.service == service)
                    .map(|c| c.settings.max_unavailable.of(sizes[service]))
                    .min()
                    .unwrap();
                prop_assert!(count <= cap, "{} of {} at once, {} may be", count, service, cap);
            }
        }
    }

    #[test]
    fn a_patch_set_proves_itself_alone_first(request in fleet()) {
        let plan = plan(&request).plan;
        let waves = wave_of(&plan);
        let mut by_set: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (action, wave) in plan.decisions.actions.iter().zip(waves) {
            by_set.entry(action.patch_set).or_default().push(wave);
        }
        for waves in by_set.values() {
            let first = waves.iter().min().unwrap();
            prop_assert_eq!(waves.iter().filter(|wave| *wave == first).count(), 1);
        }
    }

    #[test]
    fn dependencies_go_first(mut request in fleet()) {
        // Every service depends only on those before it in the list: no circles.
        for candidate in &mut request.candidates {
            let me = SERVICES.iter().position(|s| *s == candidate.target.service).unwrap();
            candidate.target.depends_on.retain(|other| SERVICES[..me].contains(&other.as_str()));
        }
        let planned = plan(&request);
        let plan = &planned.plan;
        prop_assert!(plan.about.notes.iter().all(|note| !note.contains("circle")));
        let waves = wave_of(plan);
        let by_id: BTreeMap<_, _> = request.candidates.iter().map(|c| (&c.target.id, &c.target)).collect();
        for (action, wave) in plan.decisions.actions.iter().zip(&waves) {
            for (other, other_wave) in plan.decisions.actions.iter().zip(&waves) {
                if other.host == action.host && by_id[&action.target].depends_on.contains(&other.service) {
                    prop_assert!(other_wave < wave, "{} needs {}", action.name, other.name);
                }
            }
        }
    }

    #[test]
    fn the_order_of_the_input_plays_no_role(request in fleet(), indices in proptest::collection::vec(any::<Index>(), 40)) {
        let digest = plan(&request).plan.digest();
        prop_assert_eq!(plan(&request).plan.digest(), digest);
        let mut shuffled = request;
        for (at, index) in indices.iter().enumerate().take(shuffled.candidates.len()) {
            let other = index.index(shuffled.candidates.len());
            shuffled.candidates.swap(at, other);
        }
        shuffled.quarantine.reverse();
        for candidate in &mut shuffled.candidates {
            candidate.target.depends_on.reverse();
            if let Assessment::Assessed { pending, .. } = &mut candidate.assessment {
                pending.reverse();
            }
        }
        // Who plans and when is said about a plan, not decided by it.
        shuffled.author = "somebody else".into();
        shuffled.at = jiff::Timestamp::MAX;
        prop_assert_eq!(plan(&shuffled).plan.digest(), digest);
    }

    #[test]
    fn a_fleet_that_has_been_patched_gives_an_empty_plan(mut request in fleet()) {
        let first = plan(&request);
        let patched: BTreeSet<_> = first.plan.decisions.actions.iter().map(|a| a.target.clone()).collect();
        for candidate in request.candidates.iter_mut().filter(|c| patched.contains(&c.target.id)) {
            candidate.assessment = Assessment::Assessed { at: jiff::Timestamp::MAX, pending: Vec::new() };
        }
        let second = plan(&request);
        prop_assert!(second.plan.decisions.actions.is_empty());
        prop_assert!(second.plan.decisions.waves.is_empty() && second.plan.decisions.patch_sets.is_empty());
        prop_assert_eq!(second.plan.about.left_out, first.plan.about.left_out);
    }

    #[test]
    fn quarantine_is_respected_and_no_more_than_needed(request in fleet()) {
        let planned = plan(&request);
        for action in &planned.plan.decisions.actions {
            let versions = versions(&planned.plan, action);
            for (_, entry) in &request.quarantine {
                let common = entry.versions.iter().filter(|v| versions.contains(*v)).count();
                let here = entry.service == action.service;
                let allowed = if here { 1 } else { entry.versions.len() };
                prop_assert!(common < allowed);
            }
        }
        let without = plan(&PlanRequest { quarantine: Vec::new(), ..request });
        for left_out in &planned.plan.about.left_out {
            if left_out.reason == LeftOutReason::Quarantined {
                prop_assert!(left_out.detail.contains("quarantine release Q"));
                prop_assert!(without.plan.decisions.actions.iter().any(|a| a.target == left_out.target));
            }
        }
    }

    #[test]
    fn the_linter_finds_nothing(request in fleet()) {
        prop_assert_eq!(lint(&plan(&request).plan), vec![]);
    }

    #[test]
    fn every_wait_is_explained(request in fleet()) {
        let planned = plan(&request);
        let waves = wave_of(&planned.plan);
        prop_assert_eq!(planned.waits.len(), waves.len());
        for (wait, wave) in planned.waits.iter().zip(waves) {
            prop_assert_eq!(wait.is_some(), wave > 0);
        }
    }

    #[test]
    fn patch_sets_hold_exactly_what_is_available(request in fleet()) {
        let planned = plan(&request).plan;
        let by_id: BTreeMap<_, _> = request.candidates.iter().map(|c| (&c.target.id, c)).collect();
        for action in &planned.decisions.actions {
            let Change::Packages(packages) = &planned.patch_set(action).unwrap().change else { panic!() };
            let Assessment::Assessed { pending, .. } = &by_id[&action.target].assessment else { panic!() };
            let wanted: BTreeSet<_> =
                pending.iter().map(|p| (&p.package, Some(&p.candidate), p.sha256)).collect();
            let found: BTreeSet<_> = packages.iter().map(|p| (&p.name, p.to.as_ref(), p.sha256)).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}

#[test]
fn circles_are_broken_the_same_way_each_time() {
    let mut candidates: Vec<_> = ["a", "b", "c", "d"]
        .iter()
        .map(|service| candidate(target("alpha", service, 1, service), vec![patch("libssl3", "2.0")]))
        .collect();
    for (index, on) in [(0, "c"), (1, "a"), (2, "b"), (3, "a")] {
        candidates[index].target.depends_on = vec![on.to_owned()];
    }
    let planned = plan(&request(candidates.clone()));
    let names: Vec<_> = planned.plan.decisions.actions.iter().map(|a| a.service.as_str()).collect();
    assert_eq!(names, ["a", "b", "d", "c"]);
    assert_eq!(planned.plan.about.notes.iter().filter(|note| note.contains("circle")).count(), 1);
    assert_eq!(planned.waits, [None, Some(Wait::Dependency), Some(Wait::Dependency), Some(Wait::Dependency)]);
    candidates.reverse();
    assert_eq!(plan(&request(candidates)).plan.digest(), planned.plan.digest());
}

#[test]
fn a_hundred_thousand_targets_fit_into_one_plan() {
    let candidates: Vec<_> = (0..100_000)
        .map(|n| {
            let target =
                target(&format!("host{}", n % 50), &format!("s{}", n / 20), n, &format!("i{}", n % 400));
            candidate(target, vec![patch("libssl3", "2.0")])
        })
        .collect();
    let planned = plan(&request(candidates));
    assert_eq!(planned.plan.decisions.actions.len(), 100_000);
    assert_eq!(lint(&planned.plan), vec![]);
    assert_eq!(planned.plan.about.estimate.builds, 400);
}

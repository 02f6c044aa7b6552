//! Who lives in the namespaces of a planned target: told as small stories.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{candidate, patch, request, target};
use patchyard_plan::{Candidate, DependentTarget, PlanRequest, dependents, lint, plan};
use patchyard_types::{
    Budget, Health, LeftOutReason, Millis, Order, Plan, Refusal, Settings, Target, TargetState, Unsaved,
    WritableLayer,
};

/// A target of a service of its own, in the namespaces of others.
fn lives_in(name: &str, owners: &[&str]) -> Target {
    let mut target = target("web01", name, 1, name);
    target.lives_in = owners.iter().map(|owner| format!("object-{owner}-1")).collect();
    target
}

fn know(target: &Target) -> DependentTarget {
    DependentTarget {
        target: target.clone(),
        settings: Settings { max_unavailable: Budget::Count(1), ..Settings::default() },
        excluded: false,
        unsaved: Ok(Unsaved::default()),
    }
}

/// Everybody with something pending, and with the dependents that they have.
fn fleet(targets: &[Target]) -> PlanRequest {
    let candidates = targets.iter().map(|target| {
        let mut candidate = candidate(target.clone(), vec![patch("libssl3", "3.0.22")]);
        candidate.dependents = dependents(target, targets).into_iter().map(know).collect();
        candidate
    });
    request(candidates.collect())
}

fn names(plan: &Plan) -> Vec<(&str, Vec<&str>)> {
    plan.decisions
        .actions
        .iter()
        .map(|action| (action.name.as_str(), action.dependents.iter().map(|d| d.name.as_str()).collect()))
        .collect()
}

fn of<'a>(request: &'a mut PlanRequest, name: &str) -> &'a mut Candidate {
    request.candidates.iter_mut().find(|candidate| candidate.target.name == name).unwrap()
}

fn left_out(plan: &Plan, name: &str) -> (LeftOutReason, String) {
    let found = plan.about.left_out.iter().find(|left_out| left_out.name == name);
    let found = found.unwrap_or_else(|| panic!("{name} is not left out: {:#?}", plan.about.left_out));
    (found.reason, found.detail.clone())
}

#[test]
fn they_come_after_those_they_live_in_however_deep() {
    let all = [
        lives_in("alast", &["middle", "zfirst"]),
        lives_in("middle", &["zfirst"]),
        lives_in("zfirst", &["owner"]),
        lives_in("owner", &[]),
        lives_in("stranger", &["somebody"]),
    ];
    let names = |of: &Target| dependents(of, &all).into_iter().map(|t| t.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&all[3]), ["zfirst-1", "middle-1", "alast-1"]);
    assert_eq!(names(&all[1]), ["alast-1"]);
    assert_eq!(names(&all[4]), [""; 0]);

    let mut elsewhere = all.clone();
    elsewhere[2].host = patchyard_types::HostId::new("web02");
    assert!(dependents(&elsewhere[3], &elsewhere).is_empty(), "ids mean something on one engine only");
}

#[test]
fn who_is_made_again_with_another_one_has_no_action_of_its_own() {
    let all = [lives_in("owner", &[]), lives_in("side", &["owner"]), lives_in("third", &["side"])];
    let planned = plan(&fleet(&all)).plan;
    assert_eq!(names(&planned), [("owner-1", vec!["side-1", "third-1"])]);
    assert_eq!(lint(&planned), vec![]);
    let (reason, detail) = left_out(&planned, "third-1");
    assert_eq!(reason, LeftOutReason::WithOwner);
    assert_eq!(detail, "it is made again with owner-1 in this plan; plan again after it");
    let losses: Vec<_> = planned.decisions.actions[0].losses.iter().map(|loss| &loss.detail).collect();
    assert!(losses.iter().any(|loss| loss.starts_with("side-1 lives in its namespaces")), "{losses:?}");

    // With the owner up to date, the next one has its turn.
    let mut later = fleet(&all);
    of(&mut later, "owner-1").assessment =
        patchyard_types::Assessment::Assessed { at: later.at, pending: Vec::new() };
    assert_eq!(names(&plan(&later).plan), [("side-1", vec!["third-1"])]);

    // The order in which they come does not matter.
    let mut reversed = fleet(&all);
    reversed.candidates.reverse();
    assert_eq!(plan(&reversed).plan.digest(), planned.digest());
}

#[test]
fn whoever_is_lived_in_is_stopped_first_and_never_restarted() {
    let all = [lives_in("owner", &[]), lives_in("side", &["owner"])];
    let mut request = fleet(&all);
    of(&mut request, "owner-1").settings.order = Order::StartFirst;
    let (reason, detail) = left_out(&plan(&request).plan, "owner-1");
    assert_eq!(reason, LeftOutReason::Refused);
    assert!(detail.contains("side-1 lives in its namespaces") && detail.contains("stop-first"), "{detail}");

    let settings = &mut of(&mut request, "owner-1").settings;
    (settings.order, settings.drain.wait) = (Order::StopFirst, Millis::from_secs(1));
    let mut planned = plan(&request).plan;
    assert_eq!(names(&planned)[0], ("owner-1", vec!["side-1"]));
    let action = &mut planned.decisions.actions[0];
    (action.order, action.drain.command) = (Order::StartFirst, vec!["drain".to_owned()]);
    let problems: Vec<_> = lint(&planned).into_iter().map(|finding| finding.problem).collect();
    for words in ["to be started first, and others", "drained by a command, and others"] {
        assert!(problems.iter().any(|problem| problem.contains(words)), "{problems:?}");
    }

    of(&mut request, "owner-1").settings.drain.command = vec!["drain".to_owned()];
    let (reason, detail) = left_out(&plan(&request).plan, "owner-1");
    assert_eq!(reason, LeftOutReason::Refused);
    assert!(detail.contains("side-1") && detail.contains("a wait only"), "{detail}");
}

#[test]
fn one_of_two_owners_of_the_same_waits_for_the_next_plan() {
    let all = [lives_in("network", &[]), lives_in("process", &[]), lives_in("side", &["network", "process"])];
    let planned = plan(&fleet(&all)).plan;
    assert_eq!(names(&planned), [("network-1", vec!["side-1"])]);
    let (reason, detail) = left_out(&planned, "process-1");
    assert_eq!(reason, LeftOutReason::WithOwner);
    assert!(detail.contains("made again with network-1"), "{detail}");
}

#[test]
fn what_stands_in_the_way_of_a_dependent_stands_in_the_way_of_its_owner() {
    type Spoil = fn(&mut DependentTarget);
    let table: [(Spoil, LeftOutReason, &str); 8] = [
        (|other| other.excluded = true, LeftOutReason::Excluded, "excluded"),
        (|other| other.settings.drain.wait = Millis(1), LeftOutReason::Refused, "take its drain away"),
        (
            |other| {
                let refusal = Refusal { code: "auto_remove".into(), message: "started with --rm".into() };
                other.target.refusals.push(refusal);
            },
            LeftOutReason::Refused,
            "started with --rm",
        ),
        (
            |other| other.target.state = TargetState::Exited,
            LeftOutReason::Unhealthy,
            "start it, or remove it",
        ),
        (|other| other.target.health = Health::Unhealthy, LeftOutReason::Unhealthy, "healthcheck fails"),
        (|other| other.unsaved = Err("it is silent".into()), LeftOutReason::NotAssessed, "it is silent"),
        (
            |other| other.unsaved.as_mut().unwrap().paths.push("/srv/data".into()),
            LeftOutReason::WritableLayer,
            "/srv/data",
        ),
        (
            |other| {
                other.settings.writable_layer = WritableLayer::Carry;
                other.unsaved.as_mut().unwrap().paths.push("/srv/data".into());
            },
            LeftOutReason::WritableLayer,
            "not carried over",
        ),
    ];
    let all = [lives_in("owner", &[]), lives_in("side", &["owner"])];
    for (spoil, reason, words) in table {
        let mut request = fleet(&all);
        spoil(&mut of(&mut request, "owner-1").dependents[0]);
        let planned = plan(&request).plan;
        let (found, detail) = left_out(&planned, "owner-1");
        assert_eq!(found, reason, "{detail}");
        assert!(detail.contains("side-1") && detail.contains(words), "{detail}");
    }

    let mut discarding = fleet(&all);
    let other = &mut of(&mut discarding, "owner-1").dependents[0];
    other.settings.writable_layer = WritableLayer::Discard;
    other.unsaved.as_mut().unwrap().paths.push("/srv/data".into());
    let planned = plan(&discarding).plan;
    let [action] = &planned.decisions.actions[..] else { panic!("{planned:#?}") };
    assert_eq!(action.dependents[0].writable_layer, WritableLayer::Discard);
    assert!(
        action.losses.iter().any(|loss| loss.detail.contains("/srv/data") && loss.detail.contains("LOST"))
    );
}

#[test]
fn budgets_count_who_is_made_again_as_unavailable() {
    // Both owners disturb a target of the service `side`, of which one may be down.
    let mut all = [
        lives_in("alpha", &[]),
        lives_in("beta", &[]),
        lives_in("gamma", &[]),
        lives_in("side", &["alpha"]),
        target("web01", "side", 2, "side"),
    ];
    all[4].lives_in = vec!["object-beta-1".into()];
    let mut request = fleet(&all);
    request.candidates.retain(|candidate| !candidate.target.name.starts_with("side"));
    for candidate in &mut request.candidates {
        // No first attempt that would keep them apart.
        candidate.starting.as_mut().unwrap().image = format!("of {}", candidate.target.name);
        candidate.settings.max_parallel = 9;
    }
    request.others = all[3..].to_vec();
    let planned = plan(&request).plan;
    assert_eq!(planned.decisions.waves.iter().map(|wave| wave.0.len()).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(lint(&planned), vec![]);
    let mut squeezed = planned;
    let last = squeezed.decisions.waves.pop().unwrap();
    squeezed.decisions.waves[0].0.extend(last.0);
    let findings = lint(&squeezed);
    assert!(
        findings.iter().any(|f| f.problem.contains("2 targets of side at once, 1 may be")),
        "{findings:?}"
    );

    // Two of a service in the namespaces of one: never within a budget of one.
    all[4].lives_in = vec!["object-alpha-1".into()];
    let mut tight = fleet(&all);
    let planned = plan(&tight).plan;
    let (reason, detail) = left_out(&planned, "alpha-1");
    assert_eq!(reason, LeftOutReason::Refused);
    assert!(
        detail.contains("2 targets of side would be unavailable at once, max_unavailable allows 1"),
        "{detail}"
    );
    for candidate in &mut tight.candidates {
        candidate.settings.max_unavailable = Budget::Count(2);
        for other in &mut candidate.dependents {
            other.settings.max_unavailable = Budget::Count(2);
        }
    }
    let planned = plan(&tight).plan;
    let alpha = planned.decisions.actions.iter().find(|action| action.name == "alpha-1").unwrap();
    assert_eq!(alpha.dependents.iter().map(|other| other.max_unavailable).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn a_plan_that_touches_a_dependent_twice_is_none() {
    let all = [lives_in("owner", &[]), lives_in("side", &["owner"]), lives_in("other", &[])];
    let mut planned = plan(&fleet(&all)).plan;
    assert_eq!(lint(&planned), vec![]);
    let side = planned.decisions.actions.iter().find_map(|action| action.dependents.first()).unwrap().clone();
    let other = planned.decisions.actions.iter_mut().find(|action| action.name == "other-1").unwrap();
    other.dependents.push(side);
    assert!(
        lint(&planned).iter().any(|f| f.problem == "its dependent side-1 is in the plan already"),
        "{:?}",
        lint(&planned)
    );
}

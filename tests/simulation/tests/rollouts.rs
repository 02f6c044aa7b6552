//! Ten thousand random rollouts, and the stories worth telling one by one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use patchyard_provider_sim::{Behaviour, Fault, FaultAt};
use patchyard_simulation_tests::crash::CrashAt;
use patchyard_simulation_tests::invariants::broken;
use patchyard_simulation_tests::plan::Limits;
use patchyard_simulation_tests::scenario::{Ask, Outcome, Scenario};
use patchyard_types::{
    Action, Direction, FailureKind, Order, PersonVerdict, Request, RolloutEnd, RunEnd, Step, SwapStep,
    TargetKind,
};

/// Runs a future on simulated time.
fn simulate<T>(future: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(future)
}

fn shop(replicas: usize, behaviour: Behaviour) -> Vec<(String, String, Behaviour)> {
    (0..replicas).map(|n| ("shop".to_owned(), format!("shop-{n}"), behaviour)).collect()
}

fn check(scenario: &Scenario, outcome: &Outcome, story: &str) {
    let broken = broken(scenario, outcome);
    assert!(broken.is_empty(), "{story}:\n  {}\n{:#?}", broken.join("\n  "), outcome.rollout.runs);
}

/// What the random rollouts met: without it they would prove little.
#[derive(Debug, Default)]
struct Met {
    /// Rollouts with several targets of one service down at the same time.
    several_down: AtomicU32,
    /// Later rollouts with a plan that knew of a quarantine.
    planned_around: AtomicU32,
    /// Later rollouts with a plan from before the quarantine.
    stale_plans: AtomicU32,
    /// Rollouts that needed another controller.
    taken_over: AtomicU32,
    /// Requests.
    requests: AtomicU32,
    /// Runs with dependents that succeeded.
    together: AtomicU32,
    /// Runs with dependents that were taken back.
    back_together: AtomicU32,
    /// Runs with dependents of which a call reached only some.
    half: AtomicU32,
    /// Runs that succeeded with the new container started first.
    started_first: AtomicU32,
    /// Machines that were patched.
    machines: AtomicU32,
    /// Machines that were put back.
    machines_back: AtomicU32,
    /// Machines whose disks went back, as their packages could not be put back.
    disks_back: AtomicU32,
}

/// One random rollout, now and then with another one after it; everything in it follows from the seed.
fn random_rollout(seed: u64, met: &Met) {
    simulate(async {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut scenario = Scenario::random(&mut rng).await;
        let outcome = run_randomly(&scenario, &mut rng, met).await;
        check(&scenario, &outcome, &format!("seed {seed}"));
        let succeeded =
            outcome.rollout.runs.iter().filter(|run| run.end() == Some(RunEnd::Succeeded)).count();
        if scenario.limits.order == Order::StartFirst {
            met.started_first.fetch_add(u32::try_from(succeeded).unwrap(), Relaxed);
        }
        met.several_down.fetch_add(u32::from(scenario.world().most_down > 1), Relaxed);

        // What waits for a person, or was changed by somebody else, is not planned again unseen.
        let failed = outcome.quarantined(&scenario.plan);
        let undecided = outcome.rollout.runs.iter().any(|run| run.end() == Some(RunEnd::NeedsAttention))
            || outcome.runs.iter().any(|run| run.resolved_by_hand)
            || scenario.world().targets.values().any(|target| target.interfered)
            || scenario.world().machines.values().any(|machine| machine.interfered);
        if failed.is_empty() || undecided {
            return;
        }
        scenario.quarantined.extend(failed);
        if rng.bool() {
            scenario.plan_again().await;
            let kept_out =
                |action: &Action| scenario.quarantined.contains(&(action.service.clone(), action.patch_set));
            assert!(
                !scenario.plan.decisions.actions.iter().any(kept_out),
                "seed {seed}: planned all the same"
            );
            met.planned_around.fetch_add(1, Relaxed);
        } else {
            met.stale_plans.fetch_add(1, Relaxed);
        }
        let outcome = run_randomly(&scenario, &mut rng, met).await;
        check(&scenario, &outcome, &format!("seed {seed}, second rollout"));
    });
}

async fn run_randomly(scenario: &Scenario, rng: &mut fastrand::Rng, met: &Met) -> Outcome {
    let crashes: Vec<CrashAt> =
        (0..rng.usize(0..4)).map(|_| CrashAt { append: rng.i64(0..60), written: rng.bool() }).collect();
    let mut asks: Vec<Ask> = (0..rng.usize(0..3))
        .map(|_| Ask {
            after: Duration::from_millis(rng.u64(0..200_000)),
            request: *rng.choice(&[Request::Pause, Request::Resume, Request::Abort]).unwrap(),
        })
        .collect();
    asks.sort_by_key(|ask| ask.after);
    let verdicts = [PersonVerdict::Undo, PersonVerdict::Done, PersonVerdict::Close];
    let person = verdicts.get(rng.usize(0..=verdicts.len())).copied();
    let outcome = scenario.run(&crashes, &asks, person).await;
    met.taken_over.fetch_add(u32::from(outcome.controllers > 1), Relaxed);
    met.requests.fetch_add(u32::try_from(outcome.rollout.requests).unwrap(), Relaxed);
    for (number, action) in scenario.plan.decisions.actions.iter().enumerate() {
        let end = outcome.rollout.runs[number].end();
        if action.kind == TargetKind::Host {
            met.machines.fetch_add(u32::from(end == Some(RunEnd::Succeeded)), Relaxed);
            met.machines_back.fetch_add(u32::from(end == Some(RunEnd::RolledBack)), Relaxed);
            let by_disks = end == Some(RunEnd::RolledBack) && !outcome.runs[number].given_up().is_empty();
            met.disks_back.fetch_add(u32::from(by_disks), Relaxed);
        }
        if !action.dependents.is_empty() {
            met.together.fetch_add(u32::from(end == Some(RunEnd::Succeeded)), Relaxed);
            met.back_together.fetch_add(u32::from(end == Some(RunEnd::RolledBack)), Relaxed);
        }
    }
    met.half.fetch_add(scenario.world().left_half_done, Relaxed);
    outcome
}

#[test]
fn ten_thousand_random_rollouts_hold_every_invariant() {
    let met = Met::default();
    // Two threads for two cores; a failure names its seed.
    let halves = [0..5_000_u64, 5_000..10_000];
    std::thread::scope(|scope| {
        for half in halves {
            scope.spawn(|| half.for_each(|seed| random_rollout(seed, &met)));
        }
    });
    let Met {
        several_down,
        planned_around,
        stale_plans,
        taken_over,
        requests,
        together,
        back_together,
        half,
        started_first,
        machines,
        machines_back,
        disks_back,
    } = &met;
    let counts = [
        several_down,
        planned_around,
        stale_plans,
        taken_over,
        requests,
        together,
        back_together,
        half,
        started_first,
        machines,
        machines_back,
        disks_back,
    ];
    for count in counts {
        assert!(count.load(Relaxed) > 100, "hardly met: {met:?}");
    }
}

#[test]
fn without_faults_everything_is_patched() {
    simulate(async {
        let scenario = Scenario::new(1, &shop(3, Behaviour::Good), Limits::default()).await;
        let outcome = scenario.run(&[], &[], None).await;
        check(&scenario, &outcome, "no faults");
        assert_eq!(outcome.rollout.ended, Some(RolloutEnd::Succeeded));
        assert_eq!(scenario.world().tags["shop:1"], scenario.plan.decisions.tags[0].patch_set.short(12));
    });
}

#[test]
fn every_bad_version_is_taken_back_and_stops_its_service() {
    for behaviour in [
        Behaviour::CrashesAtStart,
        Behaviour::CrashesAfter(20),
        Behaviour::OtherPort,
        Behaviour::Http500,
        Behaviour::HealthHangs,
    ] {
        simulate(async {
            let scenario = Scenario::new(2, &shop(2, behaviour), Limits::default()).await;
            let outcome = scenario.run(&[], &[], None).await;
            check(&scenario, &outcome, &format!("{behaviour:?}"));
            assert_eq!(
                (outcome.end(0), outcome.end(1)),
                (RunEnd::RolledBack, RunEnd::Skipped),
                "{behaviour:?}"
            );
            assert_eq!(outcome.rollout.ended, Some(RolloutEnd::RolledBack));
        });
    }
}

fn limits(order: Order) -> Limits {
    Limits { order, ..Limits::default() }
}

/// Kills the controller at every append of a rollout, before and after the write, and resumes.
fn crash_everywhere(order: Order, behaviour: Behaviour, expected: RunEnd) {
    let mut points = 0;
    loop {
        let mut survived = false;
        for written in [false, true] {
            simulate(async {
                let scenario = Scenario::new(3, &shop(2, behaviour), limits(order)).await;
                let outcome = scenario.run(&[CrashAt { append: points, written }], &[], None).await;
                let story = format!("{order}: crash at append {points}, written: {written}");
                check(&scenario, &outcome, &story);
                assert_eq!(outcome.end(0), expected, "{story}");
                survived = outcome.controllers == 1;
            });
        }
        if survived {
            break;
        }
        points += 1;
    }
    // Start, then eleven steps, of which each writes its outcome with what comes next, end: for the first of two runs
    // alone. A bad version that is started first is taken back after five.
    let least = if expected == RunEnd::RolledBack && order == Order::StartFirst { 10 } else { 14 };
    assert!(points > least, "only {points} points were tried");
}

#[test]
fn a_crash_at_any_event_of_a_good_rollout_ends_right() {
    Order::ALL.into_iter().for_each(|order| crash_everywhere(order, Behaviour::Good, RunEnd::Succeeded));
}

#[test]
fn a_crash_at_any_event_of_a_rollback_ends_right() {
    let late = Behaviour::CrashesAfter(20);
    Order::ALL.into_iter().for_each(|order| crash_everywhere(order, late, RunEnd::RolledBack));
}

#[test]
fn every_fault_at_every_step_ends_in_a_defined_state() {
    let faults = [
        Fault::Fails(FailureKind::Host),
        Fault::Fails(FailureKind::NoSpace),
        Fault::Hangs,
        Fault::HangsAndDoes,
        Fault::LostBefore,
        Fault::LostAfter,
    ];
    // No plan here goes back to a snapshot that could fill volumes.
    let met = |step: &SwapStep| !matches!(step, SwapStep::Verify | SwapStep::Fill);
    let steps = |order| SwapStep::in_order(order).iter().copied().filter(met).map(move |step| (order, step));
    for (order, step) in Order::ALL.into_iter().flat_map(steps) {
        for fault in faults {
            simulate(async {
                let scenario = Scenario::new(4, &shop(2, Behaviour::Good), limits(order)).await;
                let at = FaultAt { action: 0, step: Step::Swap(step), direction: Direction::Do, fault };
                scenario.world().faults.placed.push(at);
                let outcome = scenario.run(&[], &[], None).await;
                check(&scenario, &outcome, &format!("{order}: {fault:?} at {step}"));
                assert!(scenario.world().faults.placed.is_empty(), "the fault at {step} was never met");
            });
        }
    }
}

#[test]
fn started_first_nobody_is_ever_without_service() {
    for (behaviour, end) in [
        (Behaviour::Good, RunEnd::Succeeded),
        (Behaviour::CrashesAtStart, RunEnd::RolledBack),
        (Behaviour::Http500, RunEnd::RolledBack),
    ] {
        simulate(async {
            let scenario = Scenario::new(10, &shop(2, behaviour), limits(Order::StartFirst)).await;
            let outcome = scenario.run(&[], &[], None).await;
            check(&scenario, &outcome, &format!("{behaviour:?}"));
            assert_eq!(outcome.end(0), end);
            assert_eq!((scenario.world().most_down, outcome.runs[0].down_at), (0, None));
        });
    }
}

#[test]
fn a_full_disk_quarantines_nothing() {
    simulate(async {
        let scenario = Scenario::new(5, &shop(1, Behaviour::Good), Limits::default()).await;
        let fault = Fault::Fails(FailureKind::NoSpace);
        let at = FaultAt { action: 0, step: Step::Swap(SwapStep::Create), direction: Direction::Do, fault };
        scenario.world().faults.placed.push(at);
        let outcome = scenario.run(&[], &[], None).await;
        assert_eq!(outcome.end(0), RunEnd::Failed);
        assert!(patchyard_engine::quarantine(&scenario.store).await.unwrap().is_empty());
    });
}

#[test]
fn what_failed_is_quarantined_and_not_started_again_by_the_next_rollout() {
    simulate(async {
        let scenario = Scenario::new(6, &shop(2, Behaviour::Http500), Limits::default()).await;
        let _ = scenario.run(&[], &[], None).await;
        assert_eq!(patchyard_engine::quarantine(&scenario.store).await.unwrap().len(), 1);
        let again = scenario.run(&[], &[], None).await;
        assert_eq!((again.end(0), again.end(1)), (RunEnd::Skipped, RunEnd::Skipped));
    });
}

#[test]
fn an_abort_finishes_what_disturbs_and_starts_nothing() {
    simulate(async {
        let scenario = Scenario::new(7, &shop(3, Behaviour::Good), Limits::default()).await;
        let ask = Ask { after: Duration::from_secs(20), request: Request::Abort };
        let outcome = scenario.run(&[], &[ask], None).await;
        check(&scenario, &outcome, "abort");
        assert_eq!(outcome.end(0), RunEnd::Succeeded);
        assert_eq!((outcome.end(1), outcome.end(2)), (RunEnd::Skipped, RunEnd::Skipped));
        assert_eq!(outcome.rollout.ended, Some(RolloutEnd::Aborted));
    });
}

#[test]
fn a_pause_is_resumed_where_it_stopped() {
    simulate(async {
        let scenario = Scenario::new(8, &shop(2, Behaviour::Good), Limits::default()).await;
        let ask = Ask { after: Duration::from_millis(600), request: Request::Pause };
        let outcome = scenario.run(&[], &[ask], None).await;
        check(&scenario, &outcome, "pause");
        assert_eq!(outcome.rollout.ended, Some(RolloutEnd::Succeeded));
        assert_eq!(outcome.controllers, 2);
    });
}

#[test]
fn a_full_disk_under_the_state_pauses_and_loses_nothing() {
    simulate(async {
        let scenario = Scenario::new(9, &shop(2, Behaviour::Good), Limits::default()).await;
        scenario.store.set_low(true);
        let room = scenario.store.clone();
        let freed = async {
            tokio::time::sleep(Duration::from_secs(30)).await;
            room.set_low(false);
            std::future::pending::<()>().await;
        };
        let outcome = tokio::select! {
            outcome = scenario.run(&[], &[], None) => outcome,
            () = freed => unreachable!("it waits for ever"),
        };
        check(&scenario, &outcome, "full disk");
        assert_eq!(outcome.rollout.ended, Some(RolloutEnd::Succeeded));
        assert!(outcome.controllers > 1, "the first controller had to pause");
    });
}

/// One target, one who lives in its namespaces, and one who lives in those of that one.
async fn pod(seed: u64, behaviour: Behaviour) -> Scenario {
    let target = |service: &str| (service.to_owned(), format!("{service}-0"), behaviour);
    let targets = ["shop", "side", "third"].map(target);
    let lives_in = [("side-0", "shop-0"), ("third-0", "side-0")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let scenario = Scenario::living_together(seed, &targets, &lives_in, Limits::default()).await;
    assert_eq!(scenario.plan.decisions.actions.len(), 1);
    assert_eq!(scenario.plan.decisions.actions[0].dependents.len(), 2);
    scenario
}

/// Whoever lives in a target's namespaces goes there and back with it, wherever the controller dies.
#[test]
fn a_crash_at_any_event_leaves_no_dependent_behind() {
    for (behaviour, expected) in [
        (Behaviour::Good, RunEnd::Succeeded),
        (Behaviour::CrashesAtStart, RunEnd::RolledBack),
        (Behaviour::Http500, RunEnd::RolledBack),
    ] {
        for append in 0..40 {
            for written in [false, true] {
                simulate(async {
                    let scenario = pod(5, behaviour).await;
                    let outcome = scenario.run(&[CrashAt { append, written }], &[], None).await;
                    let story = format!("{behaviour:?}, crash at append {append}, written: {written}");
                    check(&scenario, &outcome, &story);
                    assert_eq!(outcome.end(0), expected, "{story}");
                });
            }
        }
    }
}

#[test]
fn a_fault_between_a_target_and_its_dependents_leaves_none_behind() {
    let faults = [Fault::LostHalf, Fault::LostAfter, Fault::HangsAndDoes, Fault::Fails(FailureKind::Host)];
    let met = |step: &SwapStep| !matches!(step, SwapStep::Verify | SwapStep::Fill);
    for step in SwapStep::ALL.into_iter().filter(met) {
        for (behaviour, direction) in
            [(Behaviour::Good, Direction::Do), (Behaviour::Http500, Direction::Undo)]
        {
            for fault in faults {
                simulate(async {
                    let scenario = pod(6, behaviour).await;
                    let at = FaultAt { action: 0, step: Step::Swap(step), direction, fault };
                    scenario.world().faults.placed.push(at);
                    let outcome = scenario.run(&[], &[], None).await;
                    check(&scenario, &outcome, &format!("{fault:?} in {direction:?} {step}"));
                });
            }
        }
    }
}

//! Ten thousand random rollouts, and the stories worth telling one by one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use patchyard_provider_sim::{Behaviour, Fault, FaultAt};
use patchyard_simulation_tests::crash::CrashAt;
use patchyard_simulation_tests::invariants::broken;
use patchyard_simulation_tests::scenario::{Ask, Outcome, Scenario};
use patchyard_types::{
    Budget, Direction, FailureKind, PersonVerdict, Request, RolloutEnd, RunEnd, Step, SwapStep,
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

/// One random rollout; everything in it follows from the seed.
fn random_rollout(seed: u64) {
    simulate(async {
        let mut rng = fastrand::Rng::with_seed(seed);
        let scenario = Scenario::random(&mut rng).await;
        let crashes: Vec<CrashAt> =
            (0..rng.usize(0..4)).map(|_| CrashAt { append: rng.i64(0..60), written: rng.bool() }).collect();
        let asks: Vec<Ask> = (0..rng.usize(0..3))
            .map(|_| Ask {
                after: Duration::from_millis(rng.u64(0..200_000)),
                request: *rng.choice(&[Request::Pause, Request::Resume, Request::Abort]).unwrap(),
            })
            .collect();
        let mut asks = asks;
        asks.sort_by_key(|ask| ask.after);
        let verdicts = [PersonVerdict::Undo, PersonVerdict::Done, PersonVerdict::Close];
        let person = verdicts.get(rng.usize(0..=verdicts.len())).copied();
        let outcome = scenario.run(&crashes, &asks, person).await;
        check(&scenario, &outcome, &format!("seed {seed}"));
    });
}

#[test]
fn ten_thousand_random_rollouts_hold_every_invariant() {
    // Two threads for two cores; a failure names its seed.
    let halves = [0..5_000_u64, 5_000..10_000];
    std::thread::scope(|scope| {
        for half in halves {
            scope.spawn(|| half.for_each(random_rollout));
        }
    });
}

#[test]
fn without_faults_everything_is_patched() {
    simulate(async {
        let scenario = Scenario::new(1, &shop(3, Behaviour::Good), Budget::Count(3)).await;
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
            let scenario = Scenario::new(2, &shop(2, behaviour), Budget::Count(3)).await;
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

/// Kills the controller at every append of a rollout, before and after the write, and resumes.
fn crash_everywhere(behaviour: Behaviour, expected: RunEnd) {
    let mut points = 0;
    loop {
        let mut survived = false;
        for written in [false, true] {
            simulate(async {
                let scenario = Scenario::new(3, &shop(2, behaviour), Budget::Count(3)).await;
                let outcome = scenario.run(&[CrashAt { append: points, written }], &[], None).await;
                let story = format!("crash at append {points}, written: {written}");
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
    // Start, then intent and outcome of eleven steps, end: for the first of two runs alone.
    assert!(points > 24, "only {points} points were tried");
}

#[test]
fn a_crash_at_any_event_of_a_good_rollout_ends_right() {
    crash_everywhere(Behaviour::Good, RunEnd::Succeeded);
}

#[test]
fn a_crash_at_any_event_of_a_rollback_ends_right() {
    crash_everywhere(Behaviour::CrashesAfter(20), RunEnd::RolledBack);
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
    for step in SwapStep::ALL.into_iter().filter(|step| *step != SwapStep::Verify) {
        for fault in faults {
            simulate(async {
                let scenario = Scenario::new(4, &shop(2, Behaviour::Good), Budget::Count(3)).await;
                let at = FaultAt { action: 0, step: Step::Swap(step), direction: Direction::Do, fault };
                scenario.world().faults.placed.push(at);
                let outcome = scenario.run(&[], &[], None).await;
                check(&scenario, &outcome, &format!("{fault:?} at {step}"));
                assert!(scenario.world().faults.placed.is_empty(), "the fault at {step} was never met");
            });
        }
    }
}

#[test]
fn a_full_disk_quarantines_nothing() {
    simulate(async {
        let scenario = Scenario::new(5, &shop(1, Behaviour::Good), Budget::Count(3)).await;
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
        let scenario = Scenario::new(6, &shop(2, Behaviour::Http500), Budget::Count(3)).await;
        let _ = scenario.run(&[], &[], None).await;
        assert_eq!(patchyard_engine::quarantine(&scenario.store).await.unwrap().len(), 1);
        let again = scenario.run(&[], &[], None).await;
        assert_eq!((again.end(0), again.end(1)), (RunEnd::Skipped, RunEnd::Skipped));
    });
}

#[test]
fn an_abort_finishes_what_disturbs_and_starts_nothing() {
    simulate(async {
        let scenario = Scenario::new(7, &shop(3, Behaviour::Good), Budget::Count(3)).await;
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
        let scenario = Scenario::new(8, &shop(2, Behaviour::Good), Budget::Count(3)).await;
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
        let scenario = Scenario::new(9, &shop(2, Behaviour::Good), Budget::Count(3)).await;
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

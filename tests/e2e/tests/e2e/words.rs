//! What the command says at the moments at which people do not know what to do next. On a simulated
//! fleet.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::{Controller, Outcome, Running};
use rustix::process::Signal;
use serde_json::Value;

/// A controller at work on a rollout, its first, of the whole shop.
fn at_work() -> (Controller, Running) {
    let controller = Controller::simulated("ordinary");
    let mut driver = controller.start(["apply", "--yes", "shop-*"]);
    let has_begun = || {
        let events = controller.events();
        events.rollouts().iter().any(|id| events.runs(*id).iter().any(|(_, events)| !events.is_empty()))
    };
    driver.wait_until("begun", has_begun);
    (controller, driver)
}

/// The last thing that was said beside results.
fn last_message(outcome: &Outcome) -> &str {
    outcome.stderr.lines().last().unwrap_or_default()
}

#[test]
fn a_log_that_is_followed_ends_when_its_rollout_is_paused() {
    let (controller, driver) = at_work();
    let follower = controller.start(["log", "-f", "R1"]);
    driver.signal(Signal::INT);
    driver.finish().expect(7);
    for outcome in [follower.finish(), controller.run(["log", "-f", "R1"])] {
        let outcome = outcome.expect(7);
        assert_eq!(last_message(&outcome), "R1 is paused: patchyard resume R1", "{outcome}");
        assert!(outcome.stdout.contains("R1  paused"), "{outcome}");
    }
    controller.run(["log", "R1"]).expect(0);
}

#[test]
fn a_log_that_is_followed_ends_when_nobody_drives_its_rollout_any_more() {
    let (controller, driver) = at_work();
    let follower = controller.start(["log", "-f", "R1"]);
    driver.signal(Signal::KILL);
    driver.finish();
    let outcome = follower.finish().expect(7);
    assert_eq!(last_message(&outcome), "R1 was interrupted: patchyard resume R1", "{outcome}");
}

#[test]
fn what_is_under_way_is_told_to_who_would_resume_it() {
    let (controller, driver) = at_work();
    for args in [&["resume"][..], &["resume", "R1"]] {
        let outcome = controller.run(args).expect(4);
        outcome
            .says(&["R1 is under way in another process: there is nothing to resume", "patchyard status R1"]);
    }
    driver.signal(Signal::KILL);
    driver.finish();
    let outcome = controller.run(["pause"]).expect(0);
    outcome.says(&["R1 was interrupted: nobody drives it. To go on: patchyard resume R1"]);
}

#[test]
fn a_second_pause_tells_how_to_go_on() {
    let (controller, driver) = at_work();
    driver.signal(Signal::INT);
    driver.finish().expect(7);
    controller.run(["pause"]).expect(0).says(&["R1 is paused already. To go on: patchyard resume R1"]);
}

#[test]
fn a_slip_in_a_name_is_told_before_anything_else() {
    let controller = Controller::simulated("small");
    for (args, told) in [
        (&["apply", "shpo-1"][..], "no target is called 'shpo-1'; did you mean 'shop-1'?"),
        (&["apply", "shop-1", "nobody-*"], "no target is called 'nobody-*'"),
        (&["apply", "--exclude", "shpo-1"], "no target is called 'shpo-1'"),
        (&["apply", "7f3a9c"], "'7f3a9c' is neither a plan nor a target"),
        (&["apply", "--yes", "7f3a9c"], "'7f3a9c' is neither a plan nor a target"),
        (&["apply", "shop-*"], "there is no terminal to ask on"),
    ] {
        controller.run(args).expect(2).says(&[told]);
    }
    assert!(controller.events().rollouts().is_empty());
}

#[test]
fn what_is_in_quarantine_is_nothing_to_plan() {
    let controller = Controller::simulated("small");
    controller.run(["apply", "--yes", "--verify-for", "1s", "mail-1"]).expect(5);
    let alone = controller.run(["scan", "mail-1"]).expect(0);
    alone.says(&["All that is pending failed before. Next: patchyard quarantine\n"]);
    assert!(!alone.stdout.contains("patchyard plan"), "{alone}");
    controller.run::<&str>([]).expect(0).says(&["Next: patchyard plan\n"]);
}

#[test]
fn what_a_filter_keeps_back_is_not_up_to_date() {
    let controller = Controller::simulated("small");
    for (args, told) in [
        (&["scan", "--security-only", "clock-1"][..], "No security patch is pending; 1 other is.\n"),
        (&["scan", "--package", "lib*", "shop-*"], "No such patch is pending; 2 others are.\n"),
        (&["scan", "clock-1"], "Next: patchyard plan clock-1\n"),
    ] {
        controller.run(args).expect(0).says(&[told]);
    }
}

#[test]
fn usage_shows_nothing_that_was_not_asked_for() {
    let controller = Controller::simulated("small");
    for (args, code) in [(&["--help"][..], 0), (&["scan", "--help"], 0), (&["scan", "--frobnicate"], 2)] {
        let outcome = controller.run(args).expect(code);
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        let usage = said.lines().find(|line| line.starts_with("Usage:")).unwrap();
        assert!(!usage.contains("--state"), "{outcome}");
    }
    controller.run(["status", "--json"]).expect(0);
    assert!(controller.state().join("locks").exists(), "$PATCHYARD_STATE is where the state is");
}

#[test]
fn every_status_that_waits_for_somebody_names_what_is_next() {
    let (controller, driver) = at_work();
    controller.run(["status"]).expect(0).says(&["\nNext: patchyard log -f R1\n"]);
    driver.signal(Signal::INT);
    driver.finish().expect(7);
    controller.run(["status"]).expect(0).says(&["\nNext: patchyard resume R1\n"]);
}

#[test]
fn a_script_reads_a_rollout_from_its_first_event_to_its_last() {
    let controller = Controller::simulated("small");
    let outcome = controller.run(["apply", "--yes", "--json", "--verify-for", "1s", "shop-1"]).expect(0);
    let is = |line: &Value, kind: &str| line["what"].as_str().is_some_and(|what| what.starts_with(kind));
    let lines = outcome.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_rollout: Vec<Value> = lines.filter(|line| is(line, "rollout.")).collect();
    let told: Vec<u64> = of_rollout.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(told, (1..=told.len() as u64).collect::<Vec<_>>(), "{outcome}");
    let what = |line: Option<&Value>| line.unwrap()["what"].as_str().unwrap().to_owned();
    assert_eq!(what(of_rollout.first()), "rollout.started");
    assert_eq!(what(of_rollout.last()), "rollout.ended");
}

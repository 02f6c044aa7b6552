//! Swarm services on a real swarm of one node: updated through Swarm as their own `update_config` says, and rolled back
//! by it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::{Controller, Outcome, Swarm, slow};
use patchyard_types::{Direction, EventBody, RunEvent, ServiceStep, Step};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Quick where nothing is to be waited for, and generous where something may be slow.
const DEFAULTS: &str = "verify_for: 3s, timeouts: { step: 3m, healthy: 60s }";

/// Something that its owner has decided in each place that an update could lose.
const OPTIONS: [&str; 24] = [
    "--update-parallelism",
    "2",
    "--update-delay",
    "1s",
    "--update-monitor",
    "2s",
    "--update-failure-action",
    "rollback",
    "--update-max-failure-ratio",
    "0.2",
    "--rollback-monitor",
    "2s",
    "--rollback-order",
    "start-first",
    "--env",
    "GREETING=grüß 'di\"ch",
    "--label",
    "shop=a b",
    "--container-label",
    "lab.empty=",
    "--label",
    "io.patchyard.check.http=8080",
    "--mount",
    "type=tmpfs,target=/scratch",
];

fn apply(controller: &Controller, name: &str) -> Outcome {
    controller.run(["apply", "--yes", "--json", "--method", "image", "--refresh", name])
}

fn the_run(outcome: &Outcome) -> Value {
    outcome.rollout()["runs"][0].clone()
}

/// A spec but for its image.
fn but_for_the_image(mut spec: Value) -> Value {
    spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!("image");
    spec
}

#[test]
fn a_good_version_is_rolled_out_by_swarm_and_put_back_by_it() {
    let swarm = Swarm::start();
    let name = swarm.service("good", 3, &OPTIONS);
    let controller = swarm.controller(DEFAULTS);
    let (before, first) = (swarm.spec(&name), swarm.digest(&name));

    let found = controller.discovered();
    let targets = found["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 1, "a service is one target, and its tasks are none: {found:#}");
    assert_eq!((&targets[0]["name"], &targets[0]["kind"]), (&json!(name), &json!("service")), "{found:#}");
    assert_eq!(targets[0]["os"]["id"], "debian", "{found:#}");
    // Its packages are seen, and no layer is offered.
    let layer = controller.run(["plan", &name]).expect(0);
    layer.says(&["--method image"]);

    let second = swarm.registry().push("good", "1.1");
    let applied = apply(&controller, &name).expect(0);
    assert_eq!(the_run(&applied)["state"], "succeeded", "{applied}");
    assert_eq!(swarm.digest(&name), second);
    assert_eq!(swarm.running(&name), vec![second; 3]);
    assert_eq!(but_for_the_image(swarm.spec(&name)), but_for_the_image(before.clone()));
    controller.run(["plan", "--method", "image", "--refresh", &name]).expect(0).says(&["Up to date"]);

    let back = controller.run(["rollback", "--yes", "--json", &name]).expect(0);
    assert_eq!(the_run(&back)["state"], "succeeded", "{back}");
    assert_eq!(swarm.spec(&name), before);
    assert_eq!(swarm.running(&name), vec![first; 3]);
    assert_eq!(swarm.inspect(&name)["UpdateStatus"]["State"], "rollback_completed");
}

#[test]
fn a_version_that_crashes_is_rolled_back_by_swarm_and_kept_out() {
    let swarm = Swarm::start();
    // Swarm's own default leaves it half done; told so, it goes back by itself.
    for action in ["pause", "rollback"] {
        let name =
            swarm.service("crash-start", 2, &["--update-failure-action", action, "--update-monitor", "3s"]);
        let controller = swarm.controller(DEFAULTS);
        let before = swarm.spec(&name);
        swarm.registry().push("crash-start", "1.1");
        let applied = apply(&controller, &name).expect(5);
        let run = the_run(&applied);
        assert_eq!(run["state"], "rolled_back", "{action}: {applied}");
        assert!(run["reason"].as_str().unwrap().contains("non-zero exit"), "{action}: {run:#}");
        assert_eq!(swarm.spec(&name), before, "{action}");
        assert_eq!(swarm.running(&name), vec![swarm.digest(&name); 2], "{action}");
        assert_eq!(controller.quarantine().len(), 1, "{action}");
        controller.run(["plan", "--method", "image", &name]).expect(0).says(&["quarantine"]);
        let why = controller.run(["why", "--json", &name]).expect(0).json("patchyard.why/v1");
        assert!(codes(&why).contains(&"forgets".to_owned()), "{why:#}");
    }
}

#[test]
fn a_version_that_swarm_calls_good_and_that_crashes_later_is_rolled_back() {
    let swarm = Swarm::start();
    let name = swarm.service("crash-late", 1, &[]);
    let controller = swarm.controller("verify_for: 40s, timeouts: { step: 3m, healthy: 60s }");
    let before = swarm.spec(&name);
    swarm.registry().push("crash-late", "1.1");
    let applied = apply(&controller, &name).expect(5);
    assert_eq!(the_run(&applied)["state"], "rolled_back", "{applied}");
    assert_eq!(swarm.spec(&name), before);
    assert_eq!(controller.quarantine().len(), 1);
    // Swarm itself had called it completed.
    let run = controller.events().runs(controller.events().rollouts()[0]);
    let updated = Step::Service(ServiceStep::Update);
    let is_done = |body: &EventBody| matches!(body, EventBody::Run(RunEvent::Succeeded { step, direction: Direction::Do, .. }) if *step == updated);
    assert!(run[0].1.iter().any(|event| is_done(&event.body)), "{run:#?}");
}

#[test]
fn a_healthcheck_that_never_answers_is_waited_for_no_longer_than_it_may_take() {
    if !slow() {
        eprintln!("not run: Swarm waits long for what hangs; PATCHYARD_SLOW=1 runs it");
        return;
    }
    let swarm = Swarm::start();
    let name = swarm.service("good", 1, &[]);
    let controller = swarm.controller("verify_for: 2s, timeouts: { step: 3m, healthy: 10s, check: 2s }");
    let before = swarm.spec(&name);
    // The same tag, and a case whose healthcheck hangs.
    let bad = swarm.registry().push("health-hangs", "1.1");
    let (from, to) = (swarm.registry().reference("health-hangs"), swarm.registry().reference("good"));
    let engine = swarm.engine();
    engine.docker(["pull", "-q", &from]);
    engine.docker(["tag", &from, &to]);
    engine.docker(["push", "-q", &to]);
    let applied = apply(&controller, &name).expect(5);
    let run = the_run(&applied);
    assert_eq!(run["state"], "rolled_back", "{applied}");
    assert!(run["reason"].as_str().unwrap().contains("healthcheck"), "{run:#}");
    assert_eq!(swarm.spec(&name), before);
    assert_ne!(swarm.digest(&name), bad);
    assert_eq!(controller.quarantine().len(), 1);
}

#[test]
fn a_controller_that_dies_in_the_middle_of_an_update_finds_it_again() {
    let swarm = Swarm::start();
    let name = swarm.service("good", 3, &["--update-delay", "2s", "--update-monitor", "2s"]);
    let controller = swarm.controller(DEFAULTS);
    let second = swarm.registry().push("good", "1.1");
    let mut apply = controller.start(["apply", "--yes", "--method", "image", "--refresh", name.as_str()]);
    apply.wait_until("Swarm updates it", || swarm.inspect(&name)["UpdateStatus"]["State"] == "updating");
    apply.signal(Signal::KILL);
    assert_eq!(apply.finish().code(), None);

    let resumed = controller.run(["resume", "--json"]).expect(0);
    assert_eq!(the_run(&resumed)["state"], "succeeded", "{resumed}");
    assert_eq!(swarm.running(&name), vec![second; 3]);
    controller.events().nothing_was_done_twice();
}

#[test]
fn what_swarm_cannot_go_back_to_is_not_gone_back_to() {
    let swarm = Swarm::start();
    let name = swarm.service("good", 1, &["--update-monitor", "1s"]);
    let controller = swarm.controller(DEFAULTS);
    swarm.registry().push("good", "1.1");
    apply(&controller, &name).expect(0);
    // Somebody changes something: Swarm keeps one spec, and that is another one now.
    swarm.engine().docker(["service", "update", "-d", "--env-add", "A=b", &name]);
    swarm
        .wait(&name, "updated by hand", |swarm| swarm.inspect(&name)["UpdateStatus"]["State"] == "completed");
    let patched = swarm.spec(&name);
    let back = controller.run(["rollback", "--yes", "--json", &name]).expect(5);
    let run = the_run(&back);
    assert_eq!(run["state"], "skipped", "{back}");
    assert!(run["reason"].as_str().unwrap().contains("docker service update --image"), "{run:#}");
    assert_eq!(swarm.spec(&name), patched);
}

#[test]
fn the_traps_of_an_update_config_are_told() {
    let swarm = Swarm::start();
    let port = format!("mode=host,published={},target=8080", patchyard_e2e_tests::free_port());
    let trapped = [
        "--update-order",
        "start-first",
        "--publish",
        &port,
        "--health-cmd",
        "true",
        "--health-interval",
        "4s",
        "--health-retries",
        "5",
        "--health-start-period",
        "1s",
    ];
    let name = swarm.service("good", 1, &trapped);
    let controller = swarm.controller(DEFAULTS);
    let why = controller.run(["why", "--json", &name]).expect(0).json("patchyard.why/v1");
    assert_eq!(codes(&why), ["monitor", "failure_action", "host_port"], "{why:#}");
    swarm.registry().push("good", "1.1");
    let plan = controller.run(["plan", "--method", "image", "--refresh", &name]).expect(0);
    plan.says(&["update_config.monitor", "update_config.failure_action", "update_config.order"]);
}

fn codes(why: &Value) -> Vec<String> {
    let traps = why["traps"].as_array().unwrap();
    traps.iter().map(|trap| trap["code"].as_str().unwrap().to_owned()).collect()
}

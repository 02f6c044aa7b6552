//! A machine behind ssh: found, assessed, patched and put back; bad packages; a controller that dies.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::{Controller, Engine, Inside, Outcome, Service, ServiceOptions, SshMachine, unique};
use rustix::process::Signal;
use serde_json::{Value, json};

const DEFAULTS: &str = "verify_for: 2s, timeouts: { step: 5m, healthy: 30s }";

fn the_run(outcome: &Outcome) -> Value {
    outcome.rollout()["runs"][0].clone()
}

#[test]
fn a_machine_is_found_assessed_patched_and_put_back() {
    let machine = SshMachine::start(&Engine::machine(), &["lab-tool", "lab-lib", "lab-needs"]);
    let controller = machine.controller(DEFAULTS);

    let found = controller.discovered();
    let targets = found["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 1, "nothing but what the configuration names: {found:#}");
    assert_eq!((&targets[0]["name"], &targets[0]["kind"]), (&json!("db01"), &json!("host")), "{found:#}");
    controller.run(["doctor"]).expect(0).says(&["Debian GNU/Linux 12 (bookworm) at db01"]);
    controller.run(["scan"]).expect(0).says(&["db01", "db "]);
    controller.run(["why", "db01"]).expect(0).says(&["lab-tool", "lab-lib", "lab-needs"]);
    controller.run(["plan", "--method", "layer"]).expect(0).says(&["is a machine"]);
    let plan = controller.run(["plan"]).expect(0);
    plan.says(&["lab-tool 1.2", "previous versions put back", "reboot: services-only"]);

    let applied = controller.run(["apply", "--yes", "--json"]).expect(0);
    assert_eq!(the_run(&applied)["state"], "succeeded", "{applied}");
    assert_eq!(machine.version("lab-tool"), "1.2 installed");
    controller.run(["status"]).expect(0);
    controller.run(["plan", "--refresh"]).expect(0);
    assert_eq!(machine.sh("ls -A /var/lib/patchyard"), "", "nothing of ours is left on it");

    let back = controller.run(["rollback", "--yes", "--json", "db01"]).expect(0);
    assert_eq!(the_run(&back)["state"], "succeeded", "{back}");
    for package in ["lab-tool", "lab-lib", "lab-needs"] {
        assert_eq!(machine.version(package), "1.0 installed", "{package}");
    }
}

/// One plan, one budget and one rollback, whatever each of a service's targets is.
#[test]
fn a_machine_and_a_container_of_one_service_are_patched_one_after_the_other_and_put_back_together() {
    let engine = Engine::machine();
    let machine = SshMachine::start(&engine, &["lab-tool"]);
    let service = unique();
    let label = format!("io.patchyard.service={service}");
    let options = ServiceOptions { run: &["--label", &label], ..ServiceOptions::default() };
    let container = Service::start_with(&engine, "web-good", &options);
    let original = container.inspect()["Image"].clone();
    let controller = machine.controller_with_engine(&service, DEFAULTS);
    let selector = format!("service={service}");

    let plan = controller.run(["plan", "--json", "-l", &selector]).expect(0).json("patchyard.plan/v1");
    let waves = plan["waves"].as_array().unwrap();
    let sizes: Vec<_> = waves.iter().map(|wave| wave["targets"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [1, 1], "{plan:#}");
    let mut methods: Vec<_> =
        plan["actions"].as_array().unwrap().iter().map(|action| action["method"].as_str().unwrap()).collect();
    methods.sort_unstable();
    assert_eq!(methods, ["layer", "packages"]);

    controller.run(["apply", "--yes", "-l", &selector]).expect(0);
    assert_eq!(machine.version("lab-tool"), "1.2 installed");
    assert_ne!(container.inspect()["Image"], original);
    controller.run(["rollback", "--yes", "R1"]).expect(0);
    assert_eq!(machine.version("lab-tool"), "1.0 installed");
    assert_eq!(container.inspect()["Image"], original);
}

#[test]
fn a_bad_package_is_taken_back_and_kept_out() {
    let machine = SshMachine::start(&Engine::machine(), &["lab-broken", "lab-tool"]);
    let controller = machine.controller(DEFAULTS);
    let applied = controller.run(["apply", "--yes", "--json"]).expect(5);
    let run = the_run(&applied);
    assert_eq!(run["state"], "rolled_back", "{applied}");
    assert!(run["reason"].as_str().unwrap().contains("cannot migrate its data"), "{run:#}");
    assert_eq!(machine.version("lab-broken"), "1.0 installed");
    assert_eq!(machine.version("lab-tool"), "1.0 installed");
    assert_eq!(controller.quarantine().len(), 1);
    controller.run(["plan", "--refresh"]).expect(0).says(&["quarantine"]);
}

/// Killed before the transaction, and in the middle of it.
#[test]
fn a_controller_that_dies_is_taken_up_by_another() {
    for (moment, is_reached) in [
        ("while it prepares", "test -d /var/lib/patchyard"),
        ("in the middle of the transaction", "pgrep -f '[l]ab-slow.postinst'"),
    ] {
        let machine = SshMachine::start(&Engine::machine(), &["lab-slow"]);
        let controller: Controller = machine.controller(DEFAULTS);
        // Planning downloads on the machine, too; what it has fetched is not fetched again.
        controller.run(["plan"]).expect(0);
        let _ = machine.sh("rm -rf /var/lib/patchyard");
        let mut apply = controller.start(["apply", "--yes"]);
        apply.wait_until(moment, || machine.is(is_reached));
        apply.signal(Signal::KILL);
        assert_eq!(apply.finish().code(), None, "{moment}");
        let _ = machine.sh("touch /run/lab-go");
        let resumed = controller.run(["resume", "--json"]).expect(0);
        assert_eq!(the_run(&resumed)["state"], "succeeded", "{moment}: {resumed}");
        assert_eq!(machine.version("lab-slow"), "1.1 installed", "{moment}");
    }
}

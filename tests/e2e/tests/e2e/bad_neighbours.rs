//! Somebody else acts on the same targets: between planning and applying, or at the same time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::{Controller, Engine, Service, slow};
use patchyard_types::SwapStep;
use serde_json::Value;

/// Plans for two services, lets somebody change the first one, and applies the plan.
fn after_planning(somebody: impl Fn(&Service)) -> (Service, Value) {
    let engine = Engine::machine();
    let (changed, other) = (Service::start(&engine, "web-good"), Service::start(&engine, "web-security"));
    let controller = Controller::new(&engine).with_defaults("verify_for: 2s");
    let plan = controller.plan(&[&changed, &other]);
    somebody(&changed);
    let apply = controller.run(["apply", "--yes", "--json", "--plan", &plan]);
    let run = apply.run_of(&changed);
    assert_eq!(run["state"], "skipped", "{apply}");
    assert_eq!(apply.run_of(&other)["state"], "succeeded", "the rest goes on: {apply}");
    assert_eq!(apply.code(), Some(5), "something is not as it should be: {apply}");
    assert_eq!(apply.rollout()["state"], "partly", "{apply}");
    assert!(controller.quarantine().is_empty(), "it says nothing about the patch");
    (changed, run)
}

fn says(run: &Value, words: &str) {
    assert!(run["reason"].as_str().is_some_and(|reason| reason.contains(words)), "'{words}': {run:#}");
}

#[test]
fn a_container_that_was_removed_after_planning_is_skipped() {
    let (_, run) = after_planning(|service| {
        service.engine().docker(["rm", "-f", service.name()]);
    });
    says(&run, "removed");
}

#[test]
fn a_container_that_was_recreated_after_planning_is_skipped_and_serves_on() {
    let (service, run) = after_planning(|service| {
        let (engine, port) = (service.engine(), format!("127.0.0.1:{}:8080", service.port()));
        engine.docker(["rm", "-f", service.name()]);
        engine.docker(["run", "-d", "--name", service.name(), "-p", &port, service.reference()]);
        service.wait_until_it_answers();
    });
    says(&run, "recreated");
    assert_eq!(service.answer().unwrap(), "lab-web 1.0\n");
}

#[test]
fn a_container_that_was_changed_after_planning_is_skipped_and_serves_on() {
    let (service, run) = after_planning(|service| {
        service.engine().docker(["update", "--restart", "always", service.name()]);
    });
    says(&run, "changed");
    assert_eq!(service.answer().unwrap(), "lab-web 1.0\n");
    assert_eq!(service.inspect()["HostConfig"]["RestartPolicy"]["Name"], "always");
}

#[test]
fn a_container_that_was_stopped_after_planning_stays_stopped() {
    let (service, run) = after_planning(|service| {
        service.engine().docker(["stop", service.name()]);
    });
    says(&run, "running");
    assert_eq!(service.inspect()["State"]["Status"], "exited");
}

#[test]
fn a_service_that_was_unhealthy_before_is_left_out_and_not_judged() {
    let engine = Engine::machine();
    let options = patchyard_e2e_tests::ServiceOptions {
        run: &["--health-cmd", "exit 1", "--health-interval", "500ms", "--health-retries", "1"],
        ..Default::default()
    };
    let service = Service::start_with(&engine, "web-good", &options);
    let is_unhealthy = || service.inspect()["State"]["Health"]["Status"] == "unhealthy";
    while !is_unhealthy() {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let plan = Controller::new(&engine).run(["plan", "--json", service.name()]).json("patchyard.plan/v1");
    assert_eq!(plan["left_out"][0]["reason"], "unhealthy", "{plan:#}");
}

#[test]
fn of_two_applies_at_once_one_is_refused_with_the_name_of_the_other() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "web-good");
    let controller = Controller::new(&engine).with_defaults("verify_for: 20s");
    let plan = controller.plan(&[&service]);
    let mut first = controller.start(["apply", "--yes", "--json", "--plan", &plan]);
    first.wait_until("at prepare", || controller.events().has_begun(&service, SwapStep::Prepare));
    controller.run(["apply", "--yes", "--json", "--plan", &plan]).expect(4).says(&["R1", service.name()]);
    // The patch is on it by now, and may still be taken back: nobody is told that it is up to date, or was never patched.
    first.wait_until("at verify", || controller.events().has_begun(&service, SwapStep::Verify));
    for verb in ["apply", "rollback"] {
        controller
            .run([verb, "--yes", service.name()])
            .expect(4)
            .says(&["R1 is not finished with", "patchyard status R1"]);
    }
    controller.run(["why", service.name()]).says(&["R1 is not finished with it"]);
    let first = first.finish().expect(0);
    assert_eq!(first.run_of(&service)["state"], "succeeded", "{first}");
    assert_eq!(controller.events().rollouts().len(), 1);
    assert_eq!(service.answer().unwrap(), "lab-web 1.1\n");
}

#[test]
fn two_applies_of_different_services_do_not_disturb_each_other() {
    let engine = Engine::machine();
    let services = [Service::start(&engine, "web-good"), Service::start(&engine, "web-security")];
    let controller = Controller::new(&engine).with_defaults("verify_for: 3s");
    let plans = [controller.plan(&[&services[0]]), controller.plan(&[&services[1]])];
    let running = plans.map(|plan| controller.start(["apply", "--yes", "--json", "--plan", &plan]));
    for (running, service) in running.into_iter().zip(&services) {
        assert_eq!(running.finish().expect(0).run_of(service)["state"], "succeeded");
        assert_eq!(service.answer().unwrap(), "lab-web 1.1\n");
    }
    controller.events().nothing_was_done_twice();
}

#[test]
fn an_unfinished_run_of_another_controller_is_refused_with_its_name() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "web-good");
    let [theirs, ours] = [(); 2].map(|()| Controller::new(&engine).with_defaults("verify_for: 20s"));
    let plan = ours.plan(&[&service]);
    let their_plan = theirs.plan(&[&service]);
    let mut first = theirs.start(["apply", "--yes", "--json", "--plan", &their_plan]);
    first.wait_until("at verify", || theirs.events().has_begun(&service, SwapStep::Verify));
    let apply = ours.run(["apply", "--yes", "--json", "--plan", &plan]);
    assert!(matches!(apply.code(), Some(4 | 5)), "{apply}");
    let again = ours.run(["plan", "--json", service.name()]).json("patchyard.plan/v1");
    assert!(again["actions"].as_array().is_some_and(Vec::is_empty), "{again:#}");
    ours.run(["apply", "--yes", service.name()])
        .expect(4)
        .says(&["run R1.1 of controller", "is not finished on it"]);
    let first = first.finish().expect(0);
    assert_eq!(first.run_of(&service)["state"], "succeeded", "{first}");
}

#[test]
fn a_rollout_is_paused_by_another_process_and_resumed() {
    let engine = Engine::machine();
    let services = [Service::start(&engine, "web-good"), Service::start(&engine, "web-security")];
    let controller = Controller::new(&engine).with_defaults("verify_for: 3s, max_parallel: 1");
    let plan = controller.plan(&[&services[0], &services[1]]);
    let mut apply = controller.start(["apply", "--yes", "--json", "--plan", &plan]);
    let has_stopped = |service: &Service| controller.events().has_begun(service, SwapStep::Stop);
    apply.wait_until("in a swap", || services.iter().any(has_stopped));
    controller.run(["pause"]).expect(0);
    apply.finish().expect(7);
    let patched = services.iter().filter(|service| service.answer().unwrap() == "lab-web 1.1\n").count();
    assert_eq!(patched, 1, "what had begun was finished, nothing else was begun");
    controller.run(["discover"]).says(&["R1", "patchyard resume"]);
    controller.run(["resume", "--yes", "--json"]).expect(0);
    assert!(services.iter().all(|service| service.answer().unwrap() == "lab-web 1.1\n"));
    controller.events().nothing_was_done_twice();
}

#[test]
fn a_signal_finishes_the_swap_and_pauses() {
    use rustix::process::Signal;
    let engine = Engine::machine();
    let signals = if slow() { &[Signal::TERM, Signal::INT][..] } else { &[Signal::TERM] };
    for signal in signals {
        let services = [Service::start(&engine, "web-good"), Service::start(&engine, "web-security")];
        let controller = Controller::new(&engine).with_defaults("verify_for: 3s, max_parallel: 1");
        let plan = controller.plan(&[&services[0], &services[1]]);
        let mut apply = controller.start(["apply", "--yes", "--json", "--plan", &plan]);
        let has_stopped = |service: &Service| controller.events().has_begun(service, SwapStep::Stop);
        apply.wait_until("in a swap", || services.iter().any(has_stopped));
        apply.signal(*signal);
        apply.finish().expect(7).says(&["patchyard resume"]);
        assert!(services.iter().all(|service| service.answer().is_ok()), "nothing is left stopped");
        controller.run(["abort"]).expect(7);
    }
}

#[test]
fn a_watchtower_that_updates_the_same_containers_is_told_of_before_anything_is_done() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "web-good");
    let tower = format!("{}-tower", service.name());
    let label = "com.centurylinklabs.watchtower=true";
    // Only of this service's container, whoever else is on this engine.
    engine.docker([
        "run",
        "-d",
        "--name",
        &tower,
        "--label",
        label,
        "--entrypoint",
        "sh",
        service.reference(),
        "-c",
        "sleep 1000",
        service.name(),
    ]);
    let controller = Controller::new(&engine);
    let warns = |args: &[&str]| controller.run(args).to_string().contains(&tower);
    for args in ["plan", "discover", "scan", "why"].map(|verb| [verb, service.name()]) {
        assert!(warns(&args), "{}", controller.run(args));
    }
    let found = controller.run(["discover", "--json", service.name()]).json("patchyard.discover/v1");
    assert_eq!(
        found["targets"][0]["managers"],
        serde_json::json!([{"kind": "watchtower", "name": tower}]),
        "{found:#}"
    );
    engine.docker(["rm", "-f", &tower]);
    assert!(!warns(&["plan", service.name()]));
}

#[test]
fn a_host_that_upgrades_itself_is_told_of_before_anything_is_done() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "web-good");
    // As on a machine that has the package; apt itself says whether its timer is on.
    let machine = tempfile::tempdir().unwrap();
    let path = std::env::join_paths(
        [machine.path().to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    std::fs::write(machine.path().join("unattended-upgrade"), "").unwrap();
    let apt = machine.path().join("apt.conf");
    let controller = Controller::new(&engine).with("PATH", path.unwrap()).with("APT_CONFIG", &apt);
    let warns = |args: &[&str]| controller.run(args).to_string().contains("unattended-upgrades is on at");
    for (setting, is_on) in [("0", false), ("1", true)] {
        std::fs::write(&apt, format!("APT::Periodic::Unattended-Upgrade \"{setting}\";\n")).unwrap();
        for args in [&["scan", service.name()][..], &["discover"], &["plan", service.name()], &["doctor"]] {
            assert_eq!(warns(args), is_on, "{setting}: {}", controller.run(args));
        }
        let hosts = &controller.run(["discover", "--json"]).json("patchyard.discover/v1")["hosts"];
        assert_eq!(
            hosts[0]["managers"],
            serde_json::json!(if is_on { vec!["unattended_upgrades"] } else { vec![] })
        );
    }
}

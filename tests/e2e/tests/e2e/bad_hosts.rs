//! Bad hosts: an engine that is not there, does not let us in, or dies in the middle.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::{Controller, Engine, PrivateEngine, Service, ServiceOptions, slow};
use patchyard_types::SwapStep;
use rustix::process::Signal;

#[test]
fn an_engine_that_is_not_there_is_told_with_what_to_do() {
    let controller = Controller::new(&Engine::machine()).with("DOCKER_HOST", "unix:///nowhere/docker.sock");
    for verb in [&[][..], &["discover"], &["scan"], &["plan"], &["apply", "--yes"], &["doctor"]] {
        controller.run(verb).expect(3).says(&["/nowhere/docker.sock", "dockerd"]);
    }
    let tcp = Controller::new(&Engine::machine()).with("DOCKER_HOST", "tcp://127.0.0.1:9");
    tcp.run(["scan"]).expect(3).says(&["127.0.0.1:9"]);
    // What needs no engine works without one.
    for verb in [&["history"][..], &["quarantine"], &["audit", "verify"], &["status"]] {
        controller.run(verb).expect(0);
    }
}

#[test]
fn a_socket_that_is_not_permitted_is_told_with_what_to_do() {
    let controller = Controller::new(&Engine::machine()).as_nobody();
    let outcome = controller.run(["scan"]).expect(3);
    outcome.says(&["no permission", "docker.sock", "docker $USER"]);
}

#[test]
fn one_silent_host_of_two_is_told_and_the_other_one_is_scanned() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "web-good");
    let hosts = format!(
        "version: 1\nhosts:\n  here: {{ url: '{}' }}\n  gone: {{ url: 'tcp://127.0.0.1:9' }}\n",
        engine.host()
    );
    let controller = Controller::new(&engine).with_config(&hosts);
    let scan = controller.run(["scan", "--json", service.name()]).expect(3);
    scan.says(&["gone", "127.0.0.1:9"]);
    let targets = &scan.json("patchyard.scan/v1")["targets"];
    assert_eq!(targets[0]["name"], service.name(), "{targets:#}");
}

/// A service on an engine of its own, and a controller that is about to patch it.
fn yard() -> (Service, Controller, String, PrivateEngine) {
    let engine = PrivateEngine::start();
    engine.load(&["patchyard-lab/web-good:1"]);
    let options = ServiceOptions { run: &["--restart", "always"], ..Default::default() };
    let service = Service::start_with(&engine, "web-good", &options);
    let controller = Controller::new(&engine).with_defaults("verify_for: 3s");
    let plan = controller.plan(&[&service]);
    (service, controller, plan, engine)
}

/// Patched or as before, by what its rollout says; nothing in between.
fn ended_well(controller: &Controller, service: &Service) {
    service.wait_until_it_answers();
    let status = controller.run(["history", "--json"]).expect(0).json("patchyard.history/v1");
    let state = status["rollouts"][0]["state"].as_str().unwrap_or_default().to_owned();
    let expected = match state.as_str() {
        "succeeded" => "lab-web 1.1\n",
        "rolled_back" => "lab-web 1.0\n",
        _ => panic!("{status:#}"),
    };
    assert_eq!(service.answer().unwrap(), expected);
    controller.events().nothing_was_done_twice();
    let containers = service.engine().list(["ps", "-a", "--format", "{{.Names}}"]);
    assert_eq!(containers, [service.name()], "{state}");
}

#[test]
fn an_engine_that_dies_in_the_middle_and_comes_back_is_waited_for() {
    for step in [SwapStep::Prepare, SwapStep::Stop, SwapStep::Verify] {
        let (service, controller, plan, engine) = yard();
        let mut apply = controller.start(["apply", "--yes", "--json", "--plan", &plan]);
        apply.wait_until(&format!("at {step}"), || controller.events().has_begun(&service, step));
        engine.kill();
        engine.restart();
        let outcome = apply.finish();
        assert!(matches!(outcome.code(), Some(0 | 5)), "at {step}: {outcome}");
        ended_well(&controller, &service);
        drop(service);
    }
}

#[test]
fn when_engine_and_controller_die_together_resume_brings_it_to_an_end() {
    // An engine of version 20.10 that is killed while it starts a container keeps the published port for
    // itself after its restart, and a person is called; see docs/troubleshooting.md.
    for step in [SwapStep::Create, SwapStep::Stop] {
        let (service, controller, plan, engine) = yard();
        let mut apply = controller.start(["apply", "--yes", "--json", "--plan", &plan]);
        apply.wait_until(&format!("at {step}"), || controller.events().has_begun(&service, step));
        engine.kill();
        apply.signal(Signal::KILL);
        let _ = apply.finish();
        controller.run(["status"]).says(&["R1", "patchyard resume"]);
        engine.restart();
        let outcome = controller.run(["resume", "--yes", "--json"]);
        assert!(matches!(outcome.code(), Some(0 | 5)), "at {step}: {outcome}");
        ended_well(&controller, &service);
        drop(service);
    }
}

#[test]
fn an_engine_that_stays_away_puts_the_rollout_down_and_resume_goes_on() {
    if !slow() {
        eprintln!("not run: it waits for two minutes; PATCHYARD_SLOW=1 runs it");
        return;
    }
    let (service, controller, plan, engine) = yard();
    let mut apply = controller.start(["apply", "--yes", "--json", "--plan", &plan]);
    apply.wait_until("at stop", || controller.events().has_begun(&service, SwapStep::Stop));
    engine.kill();
    apply.finish().expect(3).says(&["patchyard resume R1"]);
    engine.restart();
    let outcome = controller.run(["resume", "--yes", "--json"]);
    assert!(matches!(outcome.code(), Some(0 | 5)), "{outcome}");
    ended_well(&controller, &service);
    drop(service);
}

//! Data that a container has written outside of its volumes: left out, carried, or given up as the plan
//! says; and the way back brings back what was.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::{Controller, Engine, Service};

const FILE: &str = "/srv/app/state";

/// A service that has written.
fn service(engine: &Engine) -> Service {
    let service = Service::start(engine, "web-good");
    let script = format!("mkdir -p /srv/app; echo before > {FILE}; chown 33:33 {FILE}; chmod 640 {FILE}");
    service.engine().docker(["exec", "-u", "0", service.name(), "sh", "-ec", &script]);
    service
}

/// Whose it is, and what is in it.
fn looks(service: &Service) -> String {
    let script = format!("stat -c '%u:%g %a' {FILE} && cat {FILE}");
    let output = service.engine().try_docker(["exec", "-u", "0", service.name(), "sh", "-c", &script]);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

const BEFORE: &str = "33:33 640\nbefore";

#[test]
fn without_a_word_it_is_left_out_and_the_plan_says_what_could_be_said() {
    let engine = Engine::machine();
    let service = service(&engine);
    let controller = Controller::new(&engine);
    let plan = controller.run(["plan", service.name()]).expect(0);
    plan.says(&[FILE, "writable_layer: carry or discard"]);
    controller.run(["why", service.name()]).expect(0).says(&[FILE, "writable_layer: carry or discard"]);
    controller.run(["config", "explain"]).expect(0).says(&["defaults.writable_layer", "leave_out"]);
    controller
        .run(["plan", "--writable-layer", "throw-away"])
        .expect(2)
        .says(&["carry, discard or leave_out"]);
}

#[test]
fn carried_it_is_there_after_the_patch_and_after_the_rollback() {
    let engine = Engine::machine();
    let service = service(&engine);
    let controller = Controller::new(&engine).with_defaults("verify_for: 1s, writable_layer: carry");
    controller.run(["config", "explain"]).expect(0).says(&["defaults.writable_layer", "carry", "line 2"]);
    let plan = controller.run(["plan", "--json", service.name()]).expect(0).json("patchyard.plan/v1");
    assert_eq!(plan["actions"][0]["writable_layer"], "carry", "{plan:#}");
    controller.run(["plan", service.name()]).expect(0).says(&[FILE, "carried into the new container"]);
    let why = controller.run(["why", service.name()]).expect(0).to_string();
    assert!(!why.contains("would lose"), "{why}");

    let old = service.id();
    controller.run(["apply", "--yes", service.name()]).expect(0);
    assert_ne!(service.id(), old);
    assert_eq!((service.answer().unwrap().as_str(), looks(&service).as_str()), ("lab-web 1.1\n", BEFORE));

    let script = format!("echo after > {FILE}");
    service.engine().docker(["exec", "-u", "0", service.name(), "sh", "-ec", &script]);
    controller.run(["rollback", "--yes", service.name()]).expect(0);
    service.wait_until_it_answers();
    assert_eq!((service.answer().unwrap().as_str(), looks(&service).as_str()), ("lab-web 1.0\n", BEFORE));
}

#[test]
fn a_bad_patch_leaves_it_as_it_was() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "web-http-500");
    service.engine().docker([
        "exec",
        "-u",
        "0",
        service.name(),
        "sh",
        "-ec",
        &format!("mkdir /srv/app; echo mine > {FILE}"),
    ]);
    let (old, before) = (service.id(), looks(&service));
    let controller = Controller::new(&engine)
        .with_defaults("verify_for: 1s, timeouts: { healthy: 5s }, writable_layer: carry");
    controller.run(["apply", "--yes", service.name()]).expect(5);
    assert_eq!((service.id(), looks(&service)), (old, before));
    assert_eq!(service.answer().unwrap(), "lab-web 1.0\n");
}

#[test]
fn given_up_it_is_named_before_the_yes_and_only_the_rollback_has_it() {
    let engine = Engine::machine();
    let service = service(&engine);
    let controller = Controller::new(&engine).with_defaults("verify_for: 1s");
    let apply = controller.run(["apply", "--yes", "--writable-layer", "discard", service.name()]).expect(0);
    apply.says(&[FILE, "LOST"]);
    assert_eq!((service.answer().unwrap().as_str(), looks(&service).as_str()), ("lab-web 1.1\n", ""));
    controller.run(["rollback", "--yes", service.name()]).expect(0);
    assert_eq!((service.answer().unwrap().as_str(), looks(&service).as_str()), ("lab-web 1.0\n", BEFORE));
}

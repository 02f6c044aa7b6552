//! Bad input: a clear error with what to do, and nothing done.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::os::unix::fs::PermissionsExt;

use patchyard_e2e_tests::{Controller, Engine, Outcome, Service};

/// A controller with a configuration, and what it says about it.
fn with_config(yaml: &str) -> Outcome {
    Controller::new(&Engine::machine()).with_config(yaml).run(["plan"])
}

#[test]
fn malformed_yaml_is_refused_with_its_place() {
    let outcome = with_config("version: 1\ndefaults:\n  verify_for: [30s\n").expect(2);
    outcome.says(&["patchyard.yaml", ":3", "put that line right"]);
    assert!(outcome.stdout.is_empty(), "{outcome}");
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_nearest_right_one() {
    with_config("version: 1\ndefaults:\n  verfy_for: 30s\n").expect(2).says(&[
        "patchyard.yaml:3",
        "verfy_for",
        "verify_for",
    ]);
    with_config("version: 1\nhost: {}\n").expect(2).says(&["patchyard.yaml:2", "hosts"]);
    with_config("version: 1\npolicies: {}\n").expect(2).says(&["patchyard.yaml:2", "policies"]);
}

#[test]
fn a_value_that_makes_no_sense_is_refused_with_its_place() {
    with_config("version: 1\ndefaults: { verify_for: 30 }\n").expect(2).says(&["patchyard.yaml:2", "20m"]);
    with_config("version: 2\n").expect(2).says(&["patchyard.yaml:1", "version"]);
    with_config("version: 1\nhosts: { a: { url: 'ftp://a' } }\n")
        .expect(2)
        .says(&["patchyard.yaml:2", "unix://"]);
}

#[test]
fn config_check_says_the_same_without_doing_anything() {
    let controller =
        Controller::new(&Engine::machine()).with_config("version: 1\ndefaults: { max_layr: 1GiB }\n");
    controller.run(["config", "check"]).expect(2).says(&["patchyard.yaml:2", "max_layer"]);
    let good = Controller::new(&Engine::machine()).with_defaults("max_layer: 1GiB");
    good.run(["config", "check"]).expect(0).says(&["patchyard.yaml"]);
    let hosts = "version: 1\nhosts:\n  web01: { url: 'tcp://127.0.0.1:1', tls: { ca: nowhere.pem } }\n";
    let unreadable = Controller::new(&Engine::machine()).with_config(hosts);
    unreadable.run(["config", "check"]).expect(2).says(&["patchyard.yaml:3", "hosts.web01", "nowhere.pem"]);
}

#[test]
fn a_configuration_that_is_named_and_not_there_is_an_error() {
    let controller = Controller::new(&Engine::machine());
    controller.run(["--config", "elsewhere.yaml", "plan"]).expect(2).says(&["elsewhere.yaml"]);
}

#[test]
fn a_target_that_nobody_knows_is_an_error_and_not_nothing_to_do() {
    let controller = Controller::new(&Engine::machine());
    for verb in ["scan", "plan", "discover"] {
        controller.run([verb, "e2e-nobody-has-this-name"]).expect(2).says(&["e2e-nobody-has-this-name"]);
    }
    let apply = controller.run(["apply", "--yes", "e2e-nobody-has-this-name"]).expect(2);
    apply.says(&["e2e-nobody-has-this-name"]);
}

#[test]
fn what_shapes_a_plan_is_a_usage_error_once_there_is_one() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "web-good");
    let controller = Controller::new(&engine);
    let plan = controller.plan(&[&service]);
    for shape in [
        &["--verify-for", "1s"][..],
        &["--step-timeout", "1m"],
        &["--max-unavailable", "2"],
        &["--allow-remove"],
    ] {
        let apply = controller.run(["apply", "--yes", &plan].iter().chain(shape)).expect(2);
        apply.says(&["a plan is applied as it is", "patchyard plan"]);
    }
    assert!(controller.events().rollouts().is_empty());
}

#[test]
fn a_plan_that_does_not_exist_is_an_error() {
    let controller = Controller::new(&Engine::machine());
    controller
        .run(["apply", "--yes", "--plan", "0123456789ab"])
        .expect(2)
        .says(&["0123456789ab", "patchyard plan"]);
    controller.run(["apply", "--yes", "--plan", "nonsense"]).expect(2).says(&["nonsense"]);
}

#[test]
fn without_a_terminal_and_without_yes_nothing_is_applied() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "web-good");
    let controller = Controller::new(&engine);
    controller.run(["apply", service.name()]).expect(2).says(&["--yes"]);
    assert_eq!(service.answer().unwrap(), "lab-web 1.0\n");
}

#[test]
fn a_state_directory_that_is_not_writable_is_named_with_what_to_do() {
    let locked = tempfile::tempdir().unwrap();
    std::fs::set_permissions(locked.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let state = locked.path().join("state");
    let controller = Controller::new(&Engine::machine()).with_state(&state).as_nobody();
    let outcome = controller.run(["plan"]).expect(2);
    outcome.says(&[state.to_str().unwrap(), "--state"]);
    assert!(!state.exists());
}

#[test]
fn a_state_in_the_place_of_a_file_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let controller = Controller::new(&Engine::machine()).with_state(file.path());
    controller.run(["history"]).expect(2).says(&[file.path().to_str().unwrap(), "--state"]);
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let controller = Controller::new(&Engine::machine());
    controller.run(["history"]).expect(0);
    let database = controller.state().join(patchyard_store_sqlite::DATABASE);
    let set = |version: u32| {
        let connection = rusqlite::Connection::open(&database).unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
    };
    set(999);
    let before = std::fs::read(&database).unwrap();
    for verb in [&["history"][..], &["plan"], &["apply", "--yes"], &["resume"]] {
        controller.run(verb).expect(2).says(&["newer version of patchyard", "999"]);
    }
    assert_eq!(std::fs::read(&database).unwrap(), before);
}

#[test]
fn a_plan_of_nothing_is_nothing_to_do() {
    let engine = Engine::machine();
    let controller = Controller::new(&engine);
    let outcome = controller.run(["plan", "--json", "-l", "lab.nobody=has-this-label"]).expect(0);
    assert!(outcome.json("patchyard.plan/v1")["actions"].as_array().is_some_and(Vec::is_empty), "{outcome}");
    controller.run(["apply", "--yes", "-l", "lab.nobody=has-this-label"]).expect(0);
    assert!(controller.events().rollouts().is_empty());
}

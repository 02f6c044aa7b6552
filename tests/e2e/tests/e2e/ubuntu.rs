//! A service on Ubuntu: security by its suites, phased updates by the machine's id.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::{Controller, Engine, Service, ServiceOptions};
use serde_json::Value;

/// The update of lab-half, phased to 50 %, has not reached this machine.
const LATE: &str = "0123456789abcdef0123456789abcdef";

fn names(packages: &Value, name: &str) -> Vec<String> {
    let packages = packages.as_array().unwrap_or_else(|| panic!("no packages: {packages:#}"));
    packages.iter().map(|package| package[name].as_str().unwrap().to_owned()).collect()
}

#[test]
fn everything_is_patched_but_the_phased_update_whose_turn_has_not_come() {
    let engine = Engine::machine();
    let folder = tempfile::tempdir().unwrap();
    let id = folder.path().join("machine-id");
    std::fs::write(&id, format!("{LATE}\n")).unwrap();
    let mount = format!("{}:/etc/machine-id:ro", id.display());
    let options = ServiceOptions { run: &["-v", &mount], ..Default::default() };
    let service = Service::start_with(&engine, "web-ubuntu", &options);
    let controller = Controller::new(&engine).with_defaults("verify_for: 2s");

    let scan = controller.run(["scan", "--json", service.name()]).expect(0).json("patchyard.scan/v1");
    let pending = scan["targets"][0]["pending"].as_array().unwrap();
    let found: Vec<_> = pending
        .iter()
        .map(|patch| (patch["package"].as_str().unwrap(), patch["security"] == true, patch["phased"] == true))
        .collect();
    let expected = [
        ("lab-esm", true, false),
        ("lab-half", false, true),
        ("lab-web", true, false),
        ("lab-whole", false, false),
    ];
    assert_eq!(found, expected, "{scan:#}");
    controller.run(["why", service.name()]).expect(0).says(&["phased: its turn has not come"]);

    let plan = |more: &[&str]| {
        let plan = controller.run(["plan", "--json", service.name()].iter().chain(more)).expect(0);
        plan.json("patchyard.plan/v1")
    };
    assert_eq!(names(&plan(&["--security-only"])["actions"][0]["packages"], "name"), ["lab-esm", "lab-web"]);
    let packages = names(&plan(&[])["actions"][0]["packages"], "name");
    assert_eq!(packages, ["lab-esm", "lab-web", "lab-whole"]);

    let apply = controller.run(["apply", "--yes", "--json", service.name()]).expect(0);
    assert_eq!(apply.run_of(&service)["state"], "succeeded", "{apply}");
    assert_eq!(service.answer().unwrap(), "lab-web 1.1\n");
    for (package, version) in [("lab-half", "1.0"), ("lab-whole", "1.1"), ("lab-esm", "1.1")] {
        let file = format!("/usr/share/{package}/version");
        let installed = service.engine().docker(["exec", service.name(), "cat", &file]);
        assert_eq!(installed, format!("{package} {version}"));
    }
    let again = plan(&["--refresh"]);
    assert!(again["actions"].as_array().is_some_and(Vec::is_empty), "{again:#}");
    assert_eq!(again["left_out"][0]["detail"], "phased: lab-half", "{again:#}");
}

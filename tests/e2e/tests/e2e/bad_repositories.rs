//! Bad repositories and images that cannot be asked: unknown is never zero, and what was planned is
//! deployed whatever the archive has dropped since.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use patchyard_e2e_tests::{Controller, Engine, Service, ServiceOptions, in_parallel, lab};
use serde_json::Value;

fn scan(controller: &Controller, service: &Service) -> Value {
    let outcome = controller.run(["scan", "--json", "--refresh", service.name()]);
    assert_eq!(outcome.code(), Some(0), "{outcome}");
    outcome.json("patchyard.scan/v1")["targets"][0].clone()
}

#[test]
fn a_repository_that_cannot_be_trusted_or_reached_means_not_assessed() {
    let engine = Engine::machine();
    // What the reason has to name; a wrong hash shows only when the package is fetched.
    let cases = [("web-unreachable", "127.0.0.1:9"), ("web-unsigned", "signed")];
    in_parallel(
        2,
        &cases,
        |(case, _)| (*case).to_owned(),
        |(case, words)| {
            let service = Service::start(&engine, case);
            let controller = Controller::new(&engine);
            let target = scan(&controller, &service);
            assert_eq!(target["assessment"]["state"], "not_assessed", "{target:#}");
            assert!(
                target["assessment"]["reason"].as_str().is_some_and(|reason| reason.contains(words)),
                "{target:#}"
            );
            let overview = controller.run(["scan", service.name()]).expect(0);
            overview.says(&["not assessed"]);
            let plan = controller.run(["plan", "--json", service.name()]).json("patchyard.plan/v1");
            assert_eq!(plan["left_out"][0]["reason"], "not_assessed", "{plan:#}");
        },
    );
}

#[test]
fn a_package_with_a_wrong_hash_is_never_kept() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "web-wrong-hash");
    let controller = Controller::new(&engine);
    let target = scan(&controller, &service);
    assert_eq!(target["pending"][0]["candidate"], "1.1", "the index says so: {target:#}");
    let plan = controller.run(["plan", "--json", service.name()]).json("patchyard.plan/v1");
    assert!(plan["actions"].as_array().is_some_and(Vec::is_empty), "{plan:#}");
    let detail = plan["left_out"][0]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("lab-web"), "{plan:#}");
    assert!(files_below(&controller.state().join("cache")).iter().all(|size| *size == 0), "nothing is kept");
}

fn files_below(dir: &Path) -> Vec<u64> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            found.extend(files_below(&entry.path()));
        } else {
            found.push(metadata.len());
        }
    }
    found
}

/// A service whose package source is a folder of ours, so that its archive can move on.
fn service_on(archive: &Path) -> Service {
    let mount = format!("{}:/repo:ro", archive.display());
    let options = ServiceOptions { run: &["-v", &mount], ..Default::default() };
    Service::start_with(&Engine::machine(), "web-good2", &options)
}

fn publish(archive: &Path, versions: &[&str]) {
    let mut args = vec!["publish", archive.to_str().unwrap(), "good2"];
    args.extend(versions);
    lab("packages", args);
}

#[test]
fn a_version_that_the_archive_dropped_after_planning_is_deployed_from_the_cache() {
    let archive = tempfile::tempdir().unwrap();
    publish(archive.path(), &["1.0", "1.1"]);
    let service = service_on(archive.path());
    let controller = Controller::new(service.engine()).with_defaults("verify_for: 2s");
    let plan = controller.plan(&[&service]);
    publish(archive.path(), &["1.0", "1.2"]);
    let apply = controller.run(["apply", "--yes", "--json", "--plan", &plan]).expect(0);
    assert_eq!(apply.run_of(&service)["state"], "succeeded", "{apply}");
    assert_eq!(service.answer().unwrap(), "lab-web 1.1\n", "what was planned, not what is newest");
    let target = scan(&controller, &service);
    assert_eq!(target["pending"][0]["candidate"], "1.2", "{target:#}");
    // And what is found newer since is patched from the original base.
    controller.run(["apply", "--yes", "--json", "--refresh", service.name()]).expect(0);
    assert_eq!(service.answer().unwrap(), "lab-web 1.2\n");
}

#[test]
fn an_image_without_a_package_manager_is_read_and_not_assessed() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "scratch-app");
    let controller = Controller::new(&engine);
    let target = scan(&controller, &service);
    assert_eq!(target["assessment"]["state"], "not_assessed", "{target:#}");
    let assessment = target["assessment"].to_string();
    assert!(assessment.contains("package manager"), "{target:#}");
    for verb in ["scan", "plan"] {
        let outcome = controller.run([verb, service.name()]);
        outcome.says(&["not assessed", "no package manager"]);
        assert!(!outcome.stdout.contains("--method image"), "it was not pulled from anywhere: {outcome}");
    }
    let plan = controller.run(["plan", "--json", service.name()]).json("patchyard.plan/v1");
    assert_eq!(plan["left_out"][0]["reason"], "not_assessed", "{plan:#}");
    assert_eq!(service.answer().unwrap(), "scratch-app 1\n");
}

#[test]
fn an_image_without_anything_is_patched_by_its_newer_image() {
    let registry = patchyard_e2e_tests::Registry::start(false);
    let engine = Engine::machine();
    let reference = format!("{}/e2e/scratch-app:stable", registry.address());
    let push = |version: &str| {
        engine.docker(["tag", &format!("patchyard-lab/scratch-app:{version}"), &reference]);
        engine.docker(["push", "-q", &reference]);
        engine.docker(["rmi", &reference]);
    };
    push("1");
    engine.docker(["pull", "-q", &reference]);
    let options = ServiceOptions { as_it_is: true, ..Default::default() };
    let service = Service::start_with(&engine, &reference, &options);
    let before = service.fingerprint();
    push("2");
    engine.docker(["tag", "patchyard-lab/scratch-app:1", &reference]);
    let controller = Controller::new(&engine).with_defaults("verify_for: 2s");
    controller.run(["scan", service.name()]).says(&["no package manager: try --method image"]);
    let apply = controller.run(["apply", "--yes", "--json", "--method", "image", service.name()]).expect(0);
    assert_eq!(apply.run_of(&service)["state"], "succeeded", "{apply}");
    assert_eq!(service.answer().unwrap(), "scratch-app 2\n");
    let after = service.fingerprint();
    assert_eq!((after.volumes, after.settings), (before.volumes, before.settings));
    drop(service);
    engine.try_docker(["rmi", &reference]);
}

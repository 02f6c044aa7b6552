//! A full disk under the state: what has begun comes to its end, and nothing else begins.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use patchyard_e2e_tests::{Controller, Engine, Service};
use patchyard_types::SwapStep;

/// A small file system of its own in memory; gone when this is dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=32m,mode=700", "e2e"])
            .arg(dir.path())
            .status();
        assert!(mount.unwrap().success(), "root may mount");
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut file = std::fs::File::options().create(true).append(true).open(self.filler()).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a failed test may still have files open there.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_swap_in_the_middle_comes_to_its_end_on_a_full_disk() {
    let disk = Disk::mount();
    let engine = Engine::machine();
    let services = [Service::start(&engine, "web-good"), Service::start(&engine, "web-security")];
    let controller = Controller::new(&engine)
        .with_state(&disk.path().join("state"))
        .with_defaults("verify_for: 3s, max_parallel: 1");
    let plan = controller.plan(&[&services[0], &services[1]]);
    let mut apply = controller.start(["apply", "--yes", "--json", "--plan", &plan]);
    let has_stopped = |service: &Service| controller.events().has_begun(service, SwapStep::Stop);
    apply.wait_until("in a swap", || services.iter().any(has_stopped));
    disk.fill();
    let outcome = apply.finish();
    assert_ne!(outcome.code(), Some(0), "{outcome}");
    outcome.says(&["space", "patchyard resume"]);
    let answers: Vec<String> = services.iter().map(|service| service.answer().unwrap()).collect();
    assert!(answers.contains(&"lab-web 1.1\n".to_owned()), "what had begun was finished: {answers:?}");
    assert!(answers.contains(&"lab-web 1.0\n".to_owned()), "nothing new was begun: {answers:?}");

    disk.free();
    controller.run(["resume", "--yes", "--json"]).expect(0);
    assert!(services.iter().all(|service| service.answer().unwrap() == "lab-web 1.1\n"));
    controller.events().nothing_was_done_twice();
    controller.run(["audit", "verify"]).expect(0);
}

#[test]
fn on_a_full_disk_nothing_is_begun_and_the_error_says_what_to_do() {
    let disk = Disk::mount();
    let engine = Engine::machine();
    let service = Service::start(&engine, "web-good");
    let before = (service.fingerprint(), service.id());
    let controller =
        Controller::new(&engine).with_state(&disk.path().join("state")).with_defaults("verify_for: 2s");
    let plan = controller.plan(&[&service]);
    disk.fill();
    let apply = controller.run(["apply", "--yes", "--json", "--plan", &plan]);
    assert_ne!(apply.code(), Some(0), "{apply}");
    apply.says(&["space"]);
    assert_eq!((service.fingerprint(), service.id()), before);
    disk.free();
    // Whether the rollout was begun before the room was missed decides how one goes on.
    let on = if controller.events().rollouts().is_empty() {
        vec!["apply", "--yes", "--plan", &plan]
    } else {
        vec!["resume", "--yes"]
    };
    controller.run(on).expect(0);
    assert_eq!(service.answer().unwrap(), "lab-web 1.1\n");
}

#[test]
fn a_disk_that_is_full_from_the_start_is_an_error_with_its_name() {
    let disk = Disk::mount();
    disk.fill();
    let state = disk.path().join("state");
    let outcome = Controller::new(&Engine::machine()).with_state(&state).run(["plan"]);
    assert!(matches!(outcome.code(), Some(1 | 2)), "{outcome}");
    outcome.says(&["space", state.to_str().unwrap()]);
}

//! What is true of every machine that somebody keeps, a libvirt or an Incus: nothing leads into it but its keeper.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::{Controller, Kept};
use serde_json::json;

/// Found under its name, patched, started anew and put back. `boot` prints something else after each start; the machine has the
/// label that makes it one of the service `shop`.
pub(crate) fn is_found_patched_started_anew_and_put_back(
    machine: &dyn Kept,
    controller: &Controller,
    (provider, name): (&str, &str),
    boot: &str,
) {
    let found = controller.discovered();
    let targets = found["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 1, "{found:#}");
    let target = &targets[0];
    assert_eq!(
        (&target["name"], &target["provider"], &target["service"]),
        (&json!(name), &json!(provider), &json!("shop"))
    );

    let first = machine.sh(boot);
    assert_eq!(target["disk_snapshots"]["by"], "keeper", "{target:#}");
    let plan = controller.run(["plan"]).expect(0);
    plan.says(&["lab-tool 1.2", "reboot: always", "a snapshot of the disks"]);
    controller.run(["apply", "--yes"]).expect(0);
    assert_eq!(machine.version("lab-tool"), "1.2 installed");
    let second = machine.sh(boot);
    assert_ne!(second, first, "it was started anew");

    controller.run(["rollback", "--yes", name]).expect(0);
    for package in ["lab-tool", "lab-lib", "lab-needs"] {
        assert_eq!(machine.version(package), "1.0 installed", "{package}");
    }
    assert_ne!(machine.sh(boot), second);
    assert_eq!(machine.sh("ls -A /var/lib/patchyard"), "", "nothing of ours is left on it");

    let listed = controller.run(["snapshots", "--json"]).expect(0).json("patchyard.snapshots/v1");
    let listed = listed["snapshots"].as_array().unwrap();
    let mut names: Vec<_> = listed.iter().map(|one| one["disks"]["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    let mut saved = machine.saved();
    saved.sort_unstable();
    assert_eq!(names, saved);
    assert_eq!(names.len(), 2, "one a rollout");
    // The older one first.
    for one in listed.iter().rev() {
        controller.run(["snapshots", "prune", one["id"].as_str().unwrap()]).expect(0);
    }
    assert_eq!(machine.saved(), Vec::<String>::new());
    assert_eq!(machine.version("lab-tool"), "1.0 installed");
}

/// What cannot be assessed is told by name, and never counts as nothing.
pub(crate) fn is_not_assessed(controller: &Controller, name: &str, why: &str) {
    let scan = controller.run(["scan"]);
    assert_ne!(scan.code(), Some(0), "{scan}");
    scan.says(&[name, why]);
}

/// What ends the service that [`Kept::start_a_shop`] has started, for good.
pub(crate) const SHOP_IS_CLOSED: &str = "rm /usr/local/bin/shop; systemctl stop shop";

/// A patch whose way back by packages fails, or helps nothing. `breaks` sees to that at the end of the transaction, and is not
/// undone by any package. Returns what the run is said to have ended for.
pub(crate) fn goes_back_by_its_disks(
    machine: &dyn Kept,
    controller: &Controller,
    package: &str,
    breaks: &str,
) -> String {
    machine.at_the_end_of_a_transaction(&format!("touch /root/stuck; {breaks}"));
    let _ = machine.sh("echo before >/root/before");
    let applied = controller.run(["apply", "--yes", "--json"]).expect(5);
    let run = applied.rollout()["runs"][0].clone();
    assert_eq!(run["state"], "rolled_back", "{applied}");
    let reason = run["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("so its disks went back to the moment before the patch"), "{reason}");
    assert_eq!(machine.version(package), "1.0 installed");
    // Of what came after the snapshot nothing is there, and of what came before all.
    assert_eq!(machine.sh("cat /root/before; ls -A /root/stuck 2>/dev/null || echo gone"), "before\ngone");
    assert_eq!(machine.saved(), Vec::<String>::new(), "the snapshot has gone with it");
    assert_eq!(controller.quarantine().len(), 1);
    controller.run(["plan", "--refresh"]).expect(0).says(&["quarantine"]);
    reason
}

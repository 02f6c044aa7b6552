//! What is true of every machine that somebody keeps, a libvirt or an Incus: nothing leads into it but its keeper.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::{Controller, Inside};
use serde_json::json;

/// Found under its name, patched, started anew and put back. `boot` prints something else after each start; the machine has the
/// label that makes it one of the service `shop`.
pub(crate) fn is_found_patched_started_anew_and_put_back(
    machine: &dyn Inside,
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
    controller.run(["plan"]).expect(0).says(&["lab-tool 1.2", "reboot: always"]);
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
}

/// What cannot be assessed is told by name, and never counts as nothing.
pub(crate) fn is_not_assessed(controller: &Controller, name: &str, why: &str) {
    let scan = controller.run(["scan"]);
    assert_ne!(scan.code(), Some(0), "{scan}");
    scan.says(&[name, why]);
}

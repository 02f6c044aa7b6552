//! A virtual machine at libvirt: found, assessed, patched, started anew and put back, by its guest agent alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::{VirtualMachine, slow};
use serde_json::json;

/// An emulated machine on a busy host takes its time for everything.
const DEFAULTS: &str = "verify_for: 2s, reboot: always, timeouts: { ask: 10m, step: 30m, healthy: 5m }";

#[test]
fn a_virtual_machine_is_found_patched_started_anew_and_put_back() {
    if !slow() {
        eprintln!("not run: an emulated machine takes seven minutes for it; PATCHYARD_SLOW=1 runs it");
        return;
    }
    let machine = VirtualMachine::start(&["lab-tool", "lab-lib", "lab-needs"]);
    machine.label("io.patchyard.service", "shop");
    let controller = machine.controller(DEFAULTS);
    let name = machine.name();

    let found = controller.run(["discover", "--json"]).expect(0).json("patchyard.discover/v1");
    let targets = found["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 1, "{found:#}");
    let target = &targets[0];
    assert_eq!(
        (&target["name"], &target["provider"], &target["service"]),
        (&json!(name), &json!("libvirt"), &json!("shop"))
    );

    let booted = machine.sh("cat /proc/sys/kernel/random/boot_id");
    controller.run(["plan"]).expect(0).says(&["lab-tool 1.2", "reboot: always"]);
    controller.run(["apply", "--yes"]).expect(0);
    assert_eq!(machine.version("lab-tool"), "1.2 installed");
    let booted_anew = machine.sh("cat /proc/sys/kernel/random/boot_id");
    assert_ne!(booted_anew, booted, "it was started anew");

    controller.run(["rollback", "--yes", name]).expect(0);
    for package in ["lab-tool", "lab-lib", "lab-needs"] {
        assert_eq!(machine.version(package), "1.0 installed", "{package}");
    }
    assert_ne!(machine.sh("cat /proc/sys/kernel/random/boot_id"), booted_anew);
    assert_eq!(machine.sh("ls -A /var/lib/patchyard"), "", "nothing of ours is left on it");

    // What cannot be assessed is told by name, and never counts as nothing.
    machine.power_off();
    let scan = controller.run(["scan"]);
    assert_ne!(scan.code(), Some(0), "{scan}");
    scan.says(&[name, "it is shut off: virsh start starts it"]);
    machine.label("io.patchyard.exclude", "true");
    let without = controller.run(["discover", "--json"]).expect(0).json("patchyard.discover/v1");
    assert_eq!(without["targets"], json!([]));
}

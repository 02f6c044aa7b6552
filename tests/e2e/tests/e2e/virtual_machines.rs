//! A virtual machine at libvirt: found, assessed, patched, started anew and put back, by its guest agent alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::{VirtualMachine, slow};
use serde_json::json;

use crate::kept::{is_found_patched_started_anew_and_put_back, is_not_assessed};

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
    let (controller, name) = (machine.controller(DEFAULTS), machine.name());
    let boot = "cat /proc/sys/kernel/random/boot_id";
    is_found_patched_started_anew_and_put_back(&machine, &controller, ("libvirt", name), boot);

    machine.power_off();
    is_not_assessed(&controller, name, "it is shut off: virsh start starts it");
    machine.label("io.patchyard.exclude", "true");
    assert_eq!(controller.discovered()["targets"], json!([]));
}

//! A virtual machine at libvirt: found, assessed, patched, started anew and put back, by its guest agent alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::{Inside as _, Kept as _, VirtualMachine, slow};
use serde_json::json;

use crate::kept::{goes_back_by_its_disks, is_found_patched_started_anew_and_put_back, is_not_assessed};

/// An emulated machine on a busy host takes its time for everything.
const DEFAULTS: &str = "verify_for: 2s, reboot: always, timeouts: { ask: 10m, step: 30m, healthy: 5m }";

/// An emulated machine takes minutes for each of these.
fn is_left_out() -> bool {
    if !slow() {
        eprintln!("not run: an emulated machine takes seven minutes for it; PATCHYARD_SLOW=1 runs it");
    }
    !slow()
}

#[test]
fn a_virtual_machine_is_found_patched_started_anew_and_put_back() {
    if is_left_out() {
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

/// Nobody inside is left to take anything back.
#[test]
fn a_package_that_breaks_the_guest_agent_goes_with_the_disks() {
    if is_left_out() {
        return;
    }
    let machine = VirtualMachine::start(&["lab-broken"]);
    let controller = machine.controller("verify_for: 2s, timeouts: { ask: 10m, step: 30m, healthy: 2m }");
    goes_back_by_its_disks(&machine, &controller, "lab-broken", "systemctl stop qemu-guest-agent");
}

#[test]
fn a_virtual_machine_that_is_powered_off_in_the_middle_is_started_and_put_back() {
    if is_left_out() {
        return;
    }
    let machine = VirtualMachine::start(&["lab-slow"]);
    let controller = machine.controller("verify_for: 2s, timeouts: { ask: 10m, step: 30m, healthy: 5m }");
    controller.run(["plan"]).expect(0);
    let mut apply = controller.start(["apply", "--yes", "--json"]);
    apply.wait_until("in the middle of the transaction", || {
        machine.sh("pgrep -f '[l]ab-slow.postinst' || echo none") != "none"
    });
    machine.power_off();
    // What it was doing is gone on with before anything is put back.
    let _ = machine.sh("touch /run/lab-go");
    let applied = apply.finish().expect(5);
    assert_eq!(applied.rollout()["runs"][0]["state"], "rolled_back", "{applied}");
    assert_eq!(machine.version("lab-slow"), "1.0 installed");
    assert_eq!(machine.saved(), Vec::<String>::new());
}

#[test]
fn a_virtual_machine_that_does_not_come_up_again_goes_back_with_its_disks() {
    if is_left_out() {
        return;
    }
    let machine = VirtualMachine::start(&["lab-tool"]);
    let controller =
        machine.controller("verify_for: 2s, reboot: always, timeouts: { ask: 10m, step: 4m, healthy: 60s }");
    goes_back_by_its_disks(&machine, &controller, "lab-tool", "mv /sbin/init /sbin/gone");
}

//! A virtual machine at libvirt: found, assessed, patched, started anew and put back, by its guest agent alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::{Controller, Inside as _, Kept as _, Running, VirtualMachine, slow};
use serde_json::json;

use crate::kept::{goes_back_by_its_disks, is_found_patched_started_anew_and_put_back, is_not_assessed};

/// An emulated machine on a busy host takes its time for everything.
const DEFAULTS: &str = "verify_for: 2s, reboot: always, timeouts: { ask: 10m, step: 30m, healthy: 5m }";

/// A machine that `start` starts with these packages not held, in the long tests: an emulated one takes minutes for each.
fn machine(start: fn(&[&str]) -> VirtualMachine, packages: &[&str]) -> Option<VirtualMachine> {
    if !slow() {
        eprintln!("not run: an emulated machine takes seven minutes for it; PATCHYARD_SLOW=1 runs it");
        return None;
    }
    Some(start(packages))
}

/// Patches `lab-slow`, and returns in the middle of it.
fn in_the_middle_of_a_transaction(machine: &VirtualMachine, controller: &Controller) -> Running {
    controller.run(["plan"]).expect(0);
    let mut apply = controller.start(["apply", "--yes", "--json"]);
    apply.wait_until("in the middle of the transaction", || {
        machine.sh("pgrep -f '[l]ab-slow.postinst' || echo none") != "none"
    });
    apply
}

#[test]
fn a_virtual_machine_is_found_patched_started_anew_and_put_back() {
    let Some(machine) = machine(VirtualMachine::start, &["lab-tool", "lab-lib", "lab-needs"]) else { return };
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
    let Some(machine) = machine(VirtualMachine::start, &["lab-broken"]) else { return };
    let controller = machine.controller("verify_for: 2s, timeouts: { ask: 10m, step: 30m, healthy: 2m }");
    goes_back_by_its_disks(&machine, &controller, "lab-broken", "systemctl stop qemu-guest-agent");
}

/// Nothing can be written to it any more, not even what has become of the transaction.
#[test]
fn a_package_that_fills_the_disk_goes_with_the_disks() {
    let Some(machine) = machine(VirtualMachine::start, &["lab-broken"]) else { return };
    let controller = machine.controller("verify_for: 2s, timeouts: { ask: 10m, step: 30m, healthy: 5m }");
    let fills = "head -c 4G /dev/zero 2>/dev/null >/var/filler || true";
    goes_back_by_its_disks(&machine, &controller, "lab-broken", fills);
}

/// It serves whoever is on it, as its agent is, and nobody else.
#[test]
fn a_package_that_breaks_the_network_goes_with_the_disks() {
    let Some(machine) = machine(VirtualMachine::start, &["lab-tool"]) else { return };
    let unit = "[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=ip address add 10.0.2.15/24 dev eth0\\n\
        ExecStart=ip link set eth0 up\\n[Install]\\nWantedBy=multi-user.target\\n";
    let _ = machine
        .sh(&format!("printf '{unit}' >/etc/systemd/system/net.service; systemctl enable --quiet --now net"));
    let controller = machine.controller("verify_for: 2s, timeouts: { ask: 10m, step: 30m, healthy: 2m }");
    let reason = goes_back_by_its_disks(&machine, &controller, "lab-tool", "ip link set eth0 down");
    assert!(reason.contains("network 10.0.2.0/24"), "{reason}");
    assert_ne!(machine.sh("ip -4 -o address show dev eth0"), "");
}

/// A package manager must not be stopped, so its packages cannot be put back either.
#[test]
fn a_package_that_hangs_goes_with_the_disks() {
    let Some(machine) = machine(VirtualMachine::start, &["lab-slow"]) else { return };
    let controller = machine.controller("verify_for: 2s, timeouts: { ask: 10m, step: 2m, healthy: 1m }");
    goes_back_by_its_disks(&machine, &controller, "lab-slow", "true");
}

#[test]
fn a_libvirtd_that_is_restarted_in_the_middle_changes_nothing() {
    let Some(machine) = machine(VirtualMachine::start, &["lab-slow"]) else { return };
    let controller = machine.controller("verify_for: 2s, timeouts: { ask: 10m, step: 30m, healthy: 5m }");
    let apply = in_the_middle_of_a_transaction(&machine, &controller);
    machine.restart_its_libvirt();
    let _ = machine.sh("touch /run/lab-go");
    let applied = apply.finish().expect(0);
    assert_eq!(applied.rollout()["runs"][0]["state"], "succeeded", "{applied}");
    assert_eq!(machine.version("lab-slow"), "1.1 installed");
    assert_eq!(machine.saved().len(), 1);
}

#[test]
fn a_virtual_machine_that_is_powered_off_in_the_middle_is_started_and_put_back() {
    let Some(machine) = machine(VirtualMachine::start, &["lab-slow"]) else { return };
    let controller = machine.controller("verify_for: 2s, timeouts: { ask: 10m, step: 30m, healthy: 5m }");
    let apply = in_the_middle_of_a_transaction(&machine, &controller);
    machine.power_off();
    // What it was doing is gone on with before anything is put back.
    let _ = machine.sh("touch /run/lab-go");
    let applied = apply.finish().expect(5);
    assert_eq!(applied.rollout()["runs"][0]["state"], "rolled_back", "{applied}");
    assert_eq!(machine.version("lab-slow"), "1.0 installed");
    assert_eq!(machine.saved(), Vec::<String>::new());
}

/// Debian's own, by GRUB: it comes in under a name of its own, its initramfs is made, and the machine starts it.
#[test]
fn a_kernel_is_patched_and_started() {
    let Some(machine) = machine(VirtualMachine::with_its_own_kernel, &[]) else { return };
    let controller = machine
        .controller("verify_for: 2s, reboot: as-needed, timeouts: { ask: 10m, step: 60m, healthy: 10m }");
    let before = machine.sh("uname -r");
    controller.run(["plan"]).expect(0).says(&["linux-image-cloud-amd64", "reboot: as-needed"]);
    controller.run(["apply", "--yes"]).expect(0);
    assert_ne!(machine.sh("uname -r"), before);
    assert_eq!(machine.sh("ls /boot/vmlinuz-* | wc -l"), "2", "the older one can still be chosen");
    assert_eq!(machine.saved().len(), 1);
}

#[test]
fn a_virtual_machine_whose_kernel_panics_goes_back_with_its_disks() {
    let Some(machine) = machine(VirtualMachine::start, &["lab-tool"]) else { return };
    let unit = "[Unit]\\nDefaultDependencies=no\\n[Service]\\nType=oneshot\\n\
        ExecStart=/bin/sh -c \"echo c >/proc/sysrq-trigger\"\\n[Install]\\nWantedBy=sysinit.target\\n";
    let _ = machine.sh(&format!("printf '{unit}' >/root/panic.service"));
    let controller =
        machine.controller("verify_for: 2s, reboot: always, timeouts: { ask: 10m, step: 4m, healthy: 60s }");
    goes_back_by_its_disks(&machine, &controller, "lab-tool", "systemctl enable --quiet /root/panic.service");
}

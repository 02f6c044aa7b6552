//! A system container of LXD's: found, assessed, patched, started anew and put back.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::{Inside as _, SystemContainer};

use crate::kept::{goes_back_by_its_disks, is_found_patched_started_anew_and_put_back, is_not_assessed};

const DEFAULTS: &str = "verify_for: 2s, reboot: always, timeouts: { step: 10m, healthy: 60s }";

#[test]
fn a_system_container_is_found_patched_started_anew_and_put_back() {
    let container = SystemContainer::start(&["lab-tool", "lab-lib", "lab-needs"]);
    let name = SystemContainer::NAME;
    container.lxc(&["config", "set", name, "user.io.patchyard.service=shop"]);
    // The one that others are copied from does not run.
    container.lxc(&["config", "set", "guest", "user.io.patchyard.exclude=true"]);
    let controller = container.controller(DEFAULTS);
    let boot = "cut -d' ' -f22 /proc/1/stat";
    is_found_patched_started_anew_and_put_back(&container, &controller, ("incus", name), boot);

    container.lxc(&["stop", "--force", name]);
    is_not_assessed(&controller, name, "it is stopped: incus start");
}

#[test]
fn where_packages_cannot_be_put_back_a_system_container_is() {
    let container = SystemContainer::start(&["lab-broken"]);
    container.lxc(&["config", "set", "guest", "user.io.patchyard.exclude=true"]);
    let controller = container.controller("verify_for: 2s, timeouts: { step: 10m, healthy: 60s }");
    // After the first transaction there is no other.
    let _ = container.sh("echo 'DPkg::Pre-Invoke {\"test ! -e /root/stuck\";};' >/etc/apt/apt.conf.d/98lab");
    goes_back_by_its_disks(&container, &controller, "touch /root/stuck");
}

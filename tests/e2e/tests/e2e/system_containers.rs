//! A system container of LXD's: found, assessed, patched, started anew and put back.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::{Controller, Inside as _, Kept as _, SystemContainer};
use rustix::process::Signal;

use crate::kept::{
    SHOP_IS_CLOSED, goes_back_by_its_disks, is_found_patched_started_anew_and_put_back, is_not_assessed,
};

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

/// Whose apt takes no transaction after the first.
fn stuck() -> (SystemContainer, Controller) {
    let container = SystemContainer::start(&["lab-broken"]);
    container.lxc(&["config", "set", "guest", "user.io.patchyard.exclude=true"]);
    let controller = container.controller("verify_for: 2s, timeouts: { step: 10m, healthy: 30s }");
    container.take_one_transaction_only();
    (container, controller)
}

#[test]
fn where_packages_cannot_be_put_back_a_system_container_is() {
    let (container, controller) = stuck();
    goes_back_by_its_disks(&container, &controller, "lab-broken", "true");
}

/// Its packages are those from before, and it still does not serve.
#[test]
fn where_packages_do_not_bring_a_service_back_the_disks_do() {
    let container = SystemContainer::start(&["lab-tool"]);
    container.lxc(&["config", "set", "guest", "user.io.patchyard.exclude=true"]);
    let controller = container.controller("verify_for: 2s, timeouts: { step: 10m, healthy: 10s }");
    container.start_a_shop();
    let reason = goes_back_by_its_disks(&container, &controller, "lab-tool", SHOP_IS_CLOSED);
    assert_eq!(reason.matches("service shop.service is gone").count(), 2, "patched, and put back: {reason}");
    assert_eq!(container.sh("systemctl is-active shop"), "active");
}

/// Somebody stops it, and nobody is left who would have noticed.
#[test]
fn a_system_container_that_is_down_when_the_rollout_is_taken_up_is_started_and_put_back() {
    let (container, controller) = stuck();
    controller.run(["plan"]).expect(0);
    let mut apply = controller.start(["apply", "--yes"]);
    apply.wait_until("in the middle of it", || container.sh("ls /root") == "stuck");
    apply.signal(Signal::KILL);
    assert_eq!(apply.finish().code(), None);
    container.lxc(&["stop", "--force", SystemContainer::NAME]);
    controller.run(["scan"]).says(&["it is stopped"]);
    let resumed = controller.run(["resume", "--json"]).expect(5);
    assert_eq!(resumed.rollout()["runs"][0]["state"], "rolled_back", "{resumed}");
    assert_eq!(container.version("lab-broken"), "1.0 installed");
    assert_eq!(container.saved(), Vec::<String>::new());
}

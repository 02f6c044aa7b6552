//! A system container of LXD's: found, assessed, patched, started anew and put back.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::SystemContainer;

use crate::kept::{is_found_patched_started_anew_and_put_back, is_not_assessed};

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

//! A system container of LXD's: found, assessed, patched, started anew and put back.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::SystemContainer;
use serde_json::json;

const DEFAULTS: &str = "verify_for: 2s, reboot: always, timeouts: { step: 10m, healthy: 60s }";

#[test]
fn a_system_container_is_found_patched_started_anew_and_put_back() {
    let container = SystemContainer::start(&["lab-tool", "lab-lib", "lab-needs"]);
    container.lxc(&["config", "set", SystemContainer::NAME, "user.io.patchyard.service=shop"]);
    // The one that others are copied from does not run.
    container.lxc(&["config", "set", "guest", "user.io.patchyard.exclude=true"]);
    let controller = container.controller(DEFAULTS);

    let found = controller.run(["discover", "--json"]).expect(0).json("patchyard.discover/v1");
    let targets = found["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 1, "{found:#}");
    let target = &targets[0];
    assert_eq!(
        (&target["name"], &target["provider"], &target["service"]),
        (&json!(SystemContainer::NAME), &json!("incus"), &json!("shop"))
    );

    let init = || container.sh("cut -d' ' -f22 /proc/1/stat");
    let first = init();
    controller.run(["plan"]).expect(0).says(&["lab-tool 1.2", "reboot: always"]);
    controller.run(["apply", "--yes"]).expect(0);
    assert_eq!(container.version("lab-tool"), "1.2 installed");
    let second = init();
    assert_ne!(second, first, "it was started anew");

    controller.run(["rollback", "--yes", SystemContainer::NAME]).expect(0);
    for package in ["lab-tool", "lab-lib", "lab-needs"] {
        assert_eq!(container.version(package), "1.0 installed", "{package}");
    }
    assert_ne!(init(), second);
    assert_eq!(container.sh("ls -A /var/lib/patchyard"), "", "nothing of ours is left on it");

    // What cannot be assessed is told by name, and never counts as nothing.
    container.lxc(&["stop", "--force", SystemContainer::NAME]);
    let scan = controller.run(["scan"]);
    assert_ne!(scan.code(), Some(0), "{scan}");
    scan.says(&[SystemContainer::NAME, "it is stopped: incus start"]);
}

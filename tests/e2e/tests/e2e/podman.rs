//! Containers on Podman, of root and of a user without rights: patched, taken back, put back; what cannot be is
//! refused by name.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::time::{Duration, Instant};

use patchyard_e2e_tests::{Controller, Podman, free_port, get};
use serde_json::Value;

/// A controller for which the Podman has a name.
fn controller(podman: &Podman) -> Controller {
    let hosts = format!("hosts: {{ pod: {{ url: \"{}\" }} }}", podman.host());
    Controller::new(podman).with_config(&format!("version: 1\n{hosts}\ndefaults: {{ verify_for: 2s }}\n"))
}

/// What a service answers, once it does.
fn answer(port: u16) -> String {
    let began = Instant::now();
    loop {
        match get(port, "/") {
            Ok((200, body)) => return body,
            other => assert!(began.elapsed() < Duration::from_secs(60), "{other:?}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn run(podman: &Podman, name: &str, port: u16, case: &str) {
    let (published, data) = (format!("127.0.0.1:{port}:8080"), format!("{name}-data:/data"));
    let image = format!("patchyard-lab/{case}:1");
    podman.podman(&["run", "-d", "--name", name, "-p", &published, "-v", &data, "-v", "/anonymous", &image]);
    assert_eq!(answer(port), "lab-web 1.0\n");
}

/// Names, ids and states of all containers.
fn containers(podman: &Podman) -> Vec<String> {
    podman.list(["ps", "-a", "--no-trunc", "--format", "{{.Names}} {{.ID}} {{.State}}"])
}

fn is_patched_and_back_on(rootless: bool) {
    let podman = Podman::start(rootless, &["patchyard-lab/web-good:1", "patchyard-lab/web-http-500:1"]);
    let (good, bad) = (free_port(), free_port());
    run(&podman, "good", good, "web-good");
    run(&podman, "bad", bad, "web-http-500");
    let controller = controller(&podman);

    let found = controller.discovered();
    let ids: Vec<&Value> = found["targets"].as_array().unwrap().iter().map(|target| &target["id"]).collect();
    assert_eq!(ids, ["docker:pod/bad", "docker:pod/good"]);

    let before = containers(&podman);
    let apply = controller.run(["apply", "--yes", "--json", "bad"]).expect(5);
    assert_eq!(apply.rollout()["runs"][0]["state"], "rolled_back", "{apply}");
    assert_eq!(answer(bad), "lab-web 1.0\n");
    assert_eq!(containers(&podman), before, "the same containers, and nothing else");

    podman.podman(&["exec", "good", "sh", "-c", "echo kept > /anonymous/file"]);
    let apply = controller.run(["apply", "--yes", "--json", "good"]).expect(0);
    assert_eq!(apply.rollout()["state"], "succeeded", "{apply}");
    assert_eq!(answer(good), "lab-web 1.1\n");
    assert_eq!(podman.podman(&["exec", "good", "cat", "/anonymous/file"]), "kept");
    assert_eq!(containers(&podman).len(), 2);

    let back = controller.run(["rollback", "--yes", "--json", "good"]).expect(0);
    assert_eq!(back.rollout()["state"], "succeeded", "{back}");
    assert_eq!(answer(good), "lab-web 1.0\n");
    assert_eq!(podman.podman(&["exec", "good", "cat", "/anonymous/file"]), "kept");
    assert_eq!(containers(&podman).len(), 2);
    controller.events().nothing_was_done_twice();
}

#[test]
fn a_service_of_podman_is_patched_and_put_back_and_a_bad_patch_is_taken_back() {
    is_patched_and_back_on(false);
}

#[test]
fn a_service_of_a_user_without_rights_is_patched_and_put_back_and_a_bad_patch_is_taken_back() {
    is_patched_and_back_on(true);
}

/// Every container: what is in its way, and the plan says so.
#[test]
fn what_podman_cannot_make_again_is_left_out_by_name() {
    let podman = Podman::start(false, &["patchyard-lab/web-good:1"]);
    let image = "patchyard-lab/web-good:1";
    // Without the container that holds a pod's namespaces, which wants a program of its own.
    podman.podman(&["pod", "create", "--infra=false", "--name", "shop"]);
    for (name, options, why) in [
        ("always", &["--restart", "always"][..], "podman-restart.service"),
        ("health", &["--health-cmd", "true"], "its healthcheck has never been run"),
        ("inpod", &["--pod", "shop"], "it belongs to a pod"),
        ("sysctl", &["--sysctl", "net.ipv4.ip_unprivileged_port_start=0"], "it was created with --sysctl"),
        ("unit", &["-l", "PODMAN_SYSTEMD_UNIT=web.service"], "the systemd unit web.service"),
        ("guest", &["--network", "container:unit"], "namespace of another container"),
    ] {
        podman.podman(&[&["run", "-d", "--name", name], options, &[image]].concat());
        let plan = controller(&podman).run(["plan", "--json", name]).expect(0).json("patchyard.plan/v1");
        let detail = plan["left_out"][0]["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(why), "{name}: {plan:#}");
    }
    podman.docker(["create", "--name", "api", image]);
    podman.docker(["start", "api"]);
    let plan = controller(&podman).run(["plan", "api"]);
    plan.says(&["not created by `podman run`"]);
    podman.podman(&["run", "-d", "--name", "plain", image]);
    let unnamed = Controller::new(&podman).run(["plan", "--json", "plain"]);
    unnamed.says(&["give the host a name"]);
}

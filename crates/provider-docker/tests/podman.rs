//! The provider passes the suite of every provider on Podman, too: on root's, and on that of a user without rights.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails is a failed test")]

mod yard;

use patchyard_contract::provider_suite;
use patchyard_types::SwapStep;
use serde_json::Value;
use yard::{Hand, RealYard, Whose};

provider_suite!(tokio::test, RealYard::on_podman(Whose::Root));

mod rootless {
    use super::*;

    provider_suite! { tokio::test, RealYard::on_podman(Whose::User);
        every_step_in_order_patches_and_the_probe_knows
        undo_tolerates_that_there_is_nothing_to_undo
        every_step_looks_before_it_acts
        a_target_changed_since_planning_is_refused
        reading_changes_nothing
        original_and_replacement_are_seen_apart
    }

    #[tokio::test]
    async fn from_every_step_the_way_back_restores_what_was() {
        if std::env::var_os("PATCHYARD_SLOW").is_none() {
            eprintln!("not run: it swaps a dozen times, as root's does; PATCHYARD_SLOW=1 runs it");
            return;
        }
        let yard = RealYard::on_podman(Whose::User).await;
        patchyard_contract::suite::provider::from_every_step_the_way_back_restores_what_was(&yard).await;
    }
}

/// The options that a replacement is said to get, as far as one container can have them all.
#[rustfmt::skip]
const OPTIONS: &[&str] = &[
    "--annotation", "shop=yes",
    "--cap-add", "NET_ADMIN",
    "--cap-drop", "MKNOD",
    "--cpu-shares", "512",
    "--cpus", "0.5",
    "--dns", "10.9.8.7",
    "--dns-option", "ndots:2",
    "--dns-search", "shop.test",
    "--entrypoint", "[\"lab-web\"]",
    "--env", "HOME=/srv",
    "--expose", "9000",
    "--group-add", "5",
    "--hostname", "shop",
    "--init=false",
    "--interactive",
    "--ipc", "private",
    "--label", "more=yes",
    "--log-driver", "k8s-file",
    "--log-opt", "max-size=12345678",
    "--memory-reservation", "64m",
    "--memory-swap", "512m",
    "--mount", "type=tmpfs,dst=/quick,tmpfs-size=1m",
    "--no-healthcheck",
    "--oom-score-adj", "10",
    "--pids-limit", "100",
    "--read-only=false",
    "--security-opt", "no-new-privileges",
    "--security-opt", "seccomp=unconfined",
    "--shm-size", "32m",
    "--stop-signal", "INT",
    "--stop-timeout", "7",
    "--tty",
    "--tz", "UTC",
    "--umask", "0027",
    "--user", "0:0",
    "--workdir", "/srv",
];

/// What the runtime was told of a container that runs, without what is another for each.
fn told_to_the_runtime(yard: &RealYard) -> Value {
    let path = yard.podman().run(&["inspect", "--format", "{{.OCIConfigPath}}", &yard.name]);
    let id = yard.podman().run(&["inspect", "--format", "{{.Id}}", &yard.name]);
    let text = std::fs::read_to_string(path).unwrap().replace(&id, "ID").replace(&id[..12], "ID");
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["root"]["path"].take();
    for namespace in config["linux"]["namespaces"].as_array_mut().unwrap() {
        namespace["path"].take();
    }
    config["annotations"]["io.kubernetes.cri-o.Created"].take();
    for list in ["/process/env", "/mounts"] {
        let list = config.pointer_mut(list).and_then(Value::as_array_mut).unwrap();
        for options in list.iter_mut().filter_map(|mount| mount.get_mut("options")?.as_array_mut()) {
            options.sort_by_key(ToString::to_string);
        }
        list.sort_by_key(ToString::to_string);
    }
    let labels = ["controller", "run", "role", "target", "name", "reference"];
    for label in labels {
        config["annotations"].as_object_mut().unwrap().remove(&format!("io.patchyard.{label}"));
    }
    config
}

#[tokio::test]
async fn whatever_an_option_does_is_done_for_the_replacement_too() {
    let mut yard = RealYard::on_podman_with(Whose::Root, OPTIONS).await;
    let target = yard.target().await;
    assert!(target.refusals.is_empty(), "{:?}", target.refusals);
    let before = told_to_the_runtime(&yard);
    assert_eq!(before["process"]["user"]["umask"], 0o27, "it is what was asked for");
    yard.plan_layer().await;
    let mut hand = Hand::new(&yard);
    let snapshot = hand.swapped().await;
    assert_eq!(told_to_the_runtime(&yard), before, "patched");

    let patched = yard.inspect(&yard.name).await["Image"].clone();
    yard.plan_restore(&snapshot.id).await;
    let mut hand = Hand::of(&yard, 2);
    hand.doing_up_to(SwapStep::Start).await;
    assert_ne!(yard.inspect(&yard.name).await["Image"], patched);
    assert_eq!(told_to_the_runtime(&yard), before, "put back");
}

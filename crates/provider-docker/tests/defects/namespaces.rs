//! Containers in the namespaces of others: `--network`, `--pid` and `--ipc container:…`.

use patchyard_contract::Provider;
use patchyard_contract::suite::provider::Yard;
use patchyard_types::{Direction, FailureKind, Subject, SwapStep};
use serde_json::{Value, json};

use crate::yard::{Hand, RealYard, failure};
use crate::{Pair, naively, preflown, replace, restore, swap};

/// Every setting, and what it is called in `/proc/<pid>/ns`.
const KINDS: [(&str, &str); 3] = [("NetworkMode", "net"), ("PidMode", "pid"), ("IpcMode", "ipc")];

/// Starts a container that lives in a namespace of the yard's target.
async fn guest(yard: &RealYard, key: &str) -> String {
    let guest = format!("{}-guest", yard.name);
    let mode = format!("container:{}", yard.name);
    let body = json!({"Image": yard.reference, "Cmd": ["sleep", "1000"], "HostConfig": {key: mode}});
    yard.run(&guest, &body).await;
    guest
}

/// One that others depend on is not touched: they know it by its id.
#[tokio::test]
async fn in_whose_namespaces_others_live_is_left_alone_by_name() {
    for (key, kind) in KINDS {
        let mut pair = Pair::new(|body, _| body["HostConfig"]["IpcMode"] = json!("shareable")).await;
        let of_naive = guest(&pair.naive, key).await;
        naively(&pair.naive, &[]).await.unwrap();
        let restart = pair.naive.client().post(&["containers", &of_naive, "restart"]).query("t", "0");
        let why = restart.done().await.unwrap_err();
        assert!(why.to_string().contains("No such container"), "{key}: {why}");

        // Planned before the guest came, and found out before anything is disturbed.
        let image = pair.ours.plan_image("2", &[]).await;
        let guest = guest(&pair.ours, key).await;
        let before = pair.ours.serving().await;
        let mut hand = Hand::with_image(&pair.ours, &image);
        let why = failure(hand.try_to(SwapStep::Preflight, Direction::Do).await);
        assert_eq!(why.kind, FailureKind::Precondition, "{key}: {why}");
        assert!(why.message.contains(&guest), "{key}: {why}");
        let refusals = pair.ours.target().await.refusals;
        assert_eq!(refusals.len(), 1, "{key}: {refusals:?}");
        assert_eq!(refusals[0].code, "shared_namespace");
        assert!(refusals[0].message.contains(&guest), "{key}: {refusals:?}");

        assert!(before.is_some());
        assert_eq!(pair.ours.serving().await, before);
        let restart = pair.ours.client().post(&["containers", &guest, "restart"]).query("t", "0");
        restart.done().await.unwrap_or_else(|error| panic!("{key}: {error}"));
        assert!(live_together(&pair.ours, &guest, &pair.ours.name, kind).await);
        // A guest that is stopped would be cut off as well.
        pair.ours.client().post(&["containers", &guest, "stop"]).query("t", "0").done().await.unwrap();
        failure(hand.try_to(SwapStep::Preflight, Direction::Do).await);
        pair.ours.client().delete(&["containers", &guest]).done().await.unwrap();
        hand.doing(SwapStep::Preflight).await;
    }
}

/// Makes the yard's target a guest of a container of its own.
async fn move_in(yard: &RealYard, key: &str) {
    let host = format!("{}-host", yard.name);
    let _ = yard.client().delete(&["containers", &host]).query("force", "1").done().await;
    let sleeps = json!({"Image": yard.reference, "Cmd": ["sleep", "1000"], "Hostname": "the-host",
        "HostConfig": {"IpcMode": "shareable"}});
    yard.run(&host, &sleeps).await;
    let body = json!({"Image": yard.reference, "Env": ["GREETING=hello"],
        "HostConfig": {key: format!("container:{host}"), "RestartPolicy": {"Name": "always"}}});
    replace(yard, &body).await;
}

async fn live_together(yard: &RealYard, one: &str, other: &str, kind: &str) -> bool {
    let of = async |name: &str| {
        let inspect: Value = yard.inspect(name).await;
        let pid = inspect["State"]["Pid"].as_u64().unwrap();
        std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap()
    };
    of(one).await == of(other).await
}

#[tokio::test]
async fn a_guest_stays_in_the_namespaces_it_lives_in() {
    for (key, kind) in KINDS {
        let mut yard = RealYard::with(|_, _| {}).await;
        move_in(&yard, key).await;
        let host = format!("{}-host", yard.name);
        let before = yard.target().await;
        assert_eq!(before.refusals, [], "{key}");

        // There and back by hand.
        let image = yard.plan_image("2", &["ENV NEW=1"]).await;
        let mut hand = preflown(&yard, &image).await;
        hand.doing_up_to(SwapStep::Start).await;
        assert!(live_together(&yard, &yard.name, &host, kind).await, "{key}");
        let call = hand.call(SwapStep::Verify, Direction::Do);
        let seen = yard.docker.observe(&call, Subject::Replacement).await.unwrap();
        assert_eq!(seen.state, patchyard_types::TargetState::Running, "{key}");
        hand.back().await;
        assert!(live_together(&yard, &yard.name, &host, kind).await, "{key}");
        assert_eq!(yard.target().await.config, before.config, "{key}");

        // To the end, and back to the snapshot.
        let snapshot = swap(&mut yard, 2, &[]).await;
        assert!(live_together(&yard, &yard.name, &host, kind).await, "{key}");
        assert_eq!(yard.target().await.config, before.config, "{key}");
        let second = restore(&mut yard, 3, &snapshot).await;
        assert!(live_together(&yard, &yard.name, &host, kind).await, "{key}");

        // Somebody recreates both: what comes back lives where its predecessor lived last.
        move_in(&yard, key).await;
        restore(&mut yard, 4, &second).await;
        assert!(live_together(&yard, &yard.name, &host, kind).await, "{key}");

        // And one whose host has gone cannot be put anywhere.
        yard.client().delete(&["containers", &host]).query("force", "1").done().await.unwrap();
        let refusals = yard.target().await.refusals;
        assert!(refusals.iter().any(|refusal| refusal.code == "namespace_gone"), "{key}: {refusals:?}");
    }
}

/// What listens in a guest is told from what listens in its host, and is reached at the host's address.
#[tokio::test]
async fn a_guest_is_judged_by_what_it_answers_itself() {
    let mut yard = RealYard::with(|_, _| {}).await;
    move_in(&yard, "NetworkMode").await;
    let image = yard.plan_image("2", &[]).await;
    let mut hand = preflown(&yard, &image).await;
    let call = hand.call(SwapStep::Preflight, Direction::Do);
    let mut before = yard.docker.observe(&call, Subject::Original).await.unwrap();
    for _ in 0..100 {
        if before.listening.as_ref().is_some_and(|sockets| !sockets.is_empty()) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        before = yard.docker.observe(&call, Subject::Original).await.unwrap();
    }
    let ports: Vec<u16> = before.listening.unwrap().into_iter().map(|socket| socket.port).collect();
    assert_eq!(ports, [8080]);
    hand.doing_up_to(SwapStep::Start).await;
    hand.back().await;
}

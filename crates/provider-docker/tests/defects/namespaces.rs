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
    let body = json!({"Image": yard.reference, "Cmd": ["sleep", "1000"], "Env": ["MINE=1"],
        "Volumes": {"/anonymous": {}}, "StopSignal": "SIGKILL", "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {key: mode, "RestartPolicy": {"Name": "unless-stopped"}, "Memory": 134_217_728}});
    yard.run(&guest, &body).await;
    guest
}

/// They know it by its id: a naive recreate cuts them off for good, ours makes them again with it.
#[tokio::test]
async fn in_whose_namespaces_others_live_takes_them_along() {
    for (key, kind) in KINDS {
        let mut pair = Pair::new(|body, _| body["HostConfig"]["IpcMode"] = json!("shareable")).await;
        let of_naive = guest(&pair.naive, key).await;
        naively(&pair.naive, &[]).await.unwrap();
        let restart = pair.naive.client().post(&["containers", &of_naive, "restart"]).query("t", "0");
        let why = restart.done().await.unwrap_err();
        assert!(why.to_string().contains("No such container"), "{key}: {why}");

        let yard = &mut pair.ours;
        let guest = guest(yard, key).await;
        assert_eq!(yard.target().await.refusals, [], "{key}");
        let before = yard.inspect(&guest).await;
        let write = "echo kept > /anonymous/file; echo gone > /tmp/file";
        yard.exec(&guest, &["sh", "-c", write]).await;

        // There and back by hand: the very same containers serve again, together.
        let image = yard.plan_image("2", &["ENV NEW=1"]).await;
        let mut hand = preflown(yard, &image).await;
        hand.doing_up_to(SwapStep::Start).await;
        assert!(live_together(yard, &guest, &yard.name, kind).await, "{key}");
        hand.back().await;
        let back = yard.inspect(&guest).await;
        assert_eq!((&back["Id"], &back["HostConfig"]), (&before["Id"], &before["HostConfig"]), "{key}");
        assert!(live_together(yard, &guest, &yard.name, kind).await, "{key}");

        // To the end, and back to the snapshot: another container each time, and the same in everything else.
        let snapshot = swap(yard, 2, &[]).await;
        again_as_it_was(yard, &before, &guest, key, kind).await;
        assert_eq!(snapshot.lost.len(), 1, "{key}: {:?}", snapshot.lost);
        restore(yard, 3, &snapshot).await;
        again_as_it_was(yard, &before, &guest, key, kind).await;
    }
}

/// A guest was made again: it lives with the yard's target, has what it had, and can be started at any time.
async fn again_as_it_was(yard: &RealYard, before: &Value, guest: &str, key: &str, kind: &str) {
    let now = yard.inspect(guest).await;
    assert_ne!(now["Id"], before["Id"], "{key}");
    assert_eq!(now["Image"], before["Image"], "{key}");
    for field in ["Env", "Cmd", "Image", "StopSignal"] {
        assert_eq!(now["Config"][field], before["Config"][field], "{key}: {field}");
    }
    for field in ["RestartPolicy", "Memory"] {
        assert_eq!(now["HostConfig"][field], before["HostConfig"][field], "{key}: {field}");
    }
    assert_eq!(now["Mounts"][0]["Name"], before["Mounts"][0]["Name"], "{key}");
    assert_eq!(yard.exec(guest, &["cat", "/anonymous/file"]).await, "kept\n", "{key}");
    assert!(live_together(yard, guest, &yard.name, kind).await, "{key}");
    let restart = yard.client().post(&["containers", guest, "restart"]).query("t", "0");
    restart.done().await.unwrap_or_else(|error| panic!("{key}: {error}"));
    assert!(live_together(yard, guest, &yard.name, kind).await, "{key}");
}

/// Somebody who moved in since the plan was made would be cut off.
#[tokio::test]
async fn who_moves_in_after_planning_stops_the_run_before_anything_is_disturbed() {
    for (key, kind) in KINDS {
        let mut yard = RealYard::with(|body, _| body["HostConfig"]["IpcMode"] = json!("shareable")).await;
        let image = yard.plan_image("2", &[]).await;
        let guest = guest(&yard, key).await;
        let before = yard.serving().await;
        let mut hand = Hand::with_image(&yard, &image);
        let why = failure(hand.try_to(SwapStep::Preflight, Direction::Do).await);
        assert_eq!(why.kind, FailureKind::Precondition, "{key}: {why}");
        assert!(why.message.contains(&guest), "{key}: {why}");
        assert_eq!(yard.serving().await, before);
        assert!(live_together(&yard, &guest, &yard.name, kind).await);
        // A guest that is stopped would be cut off as well.
        yard.client().post(&["containers", &guest, "stop"]).query("t", "0").done().await.unwrap();
        failure(hand.try_to(SwapStep::Preflight, Direction::Do).await);
        yard.client().delete(&["containers", &guest]).done().await.unwrap();
        hand.doing(SwapStep::Preflight).await;
    }
}

/// What a dependent has written into itself since it was planned for is not in its new container.
#[tokio::test]
async fn what_a_dependent_writes_after_planning_is_kept_with_the_snapshot() {
    let mut yard = RealYard::with(|_, _| {}).await;
    let guest = guest(&yard, "NetworkMode").await;
    let image = yard.plan_image("2", &[]).await;
    yard.exec(&guest, &["sh", "-c", "echo early > /srv/early"]).await;
    let mut hand = Hand::with_image(&yard, &image);
    let why = failure(hand.try_to(SwapStep::Preflight, Direction::Do).await);
    assert_eq!(why.kind, FailureKind::Precondition, "{why}");
    assert!(why.message.contains(&guest) && why.message.contains("/srv/early"), "{why}");

    yard.exec(&guest, &["rm", "/srv/early"]).await;
    let mut hand = preflown(&yard, &image).await;
    yard.exec(&guest, &["sh", "-c", "echo late > /srv/late"]).await;
    let snapshot = hand.swapped().await;
    let [_, _, tag] = &snapshot.tags[..] else { panic!("{:?}", snapshot.tags) };
    assert!(snapshot.lost.iter().any(|lost| lost.contains(&guest) && lost.contains(tag)), "{snapshot:?}");
    let shown = yard.create(&format!("{}-shown", yard.name), &json!({"Image": tag, "Cmd": ["true"]})).await;
    let late = yard.client().read_file(&shown, "/srv/late", 100).await.unwrap();
    assert_eq!(late.as_deref(), Some(&b"late\n"[..]));
    yard.client().delete(&["containers", &shown]).done().await.unwrap();
    yard.docker.remove_snapshot(&snapshot).await.unwrap();
    assert!(yard.client().get(&["images", tag, "json"]).json().await.is_err(), "it goes with the snapshot");
}

/// A tag that has been pulled anew since is no reason to put a dependent on another image.
#[tokio::test]
async fn a_dependent_stays_on_the_image_it_has() {
    let mut yard = RealYard::with(|_, _| {}).await;
    let guest = guest(&yard, "NetworkMode").await;
    let before = yard.inspect(&guest).await;
    let image = yard.plan_image("2", &[]).await;
    let moved = crate::yard::derive(&yard.reference, &yard.reference, &["ENV PULLED=1"]);
    assert_ne!(before["Image"], moved);
    let mut hand = preflown(&yard, &image).await;
    hand.swapped().await;
    let now = yard.inspect(&guest).await;
    assert_ne!(now["Id"], before["Id"]);
    assert_eq!(now["Image"], before["Image"]);
    let seen = yard.docker.discover().await.unwrap();
    let seen = seen.into_iter().find(|target| target.name == guest).unwrap();
    assert_eq!(seen.image.reference, yard.reference, "the reference it was created with is still known");
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

//! Two containers of a target beside each other: who is found by which name, what is told to whom, and what is
//! refused.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails is a failed test")]

mod yard;

use patchyard_contract::suite::provider::Yard;
use patchyard_types::{Direction, FailureKind, Order, SwapStep};
use serde_json::json;
use yard::{Hand, RealYard, failure, two_can_run};

/// A yard whose target is on a network of its own with these aliases, and its own name as one more, as Compose has
/// it, where that is asked for.
async fn on_a_network(and_its_name: bool) -> RealYard {
    let mut yard = RealYard::not_started(yard::IMAGE, |body, name| {
        two_can_run(body);
        std::process::Command::new("docker").args(["network", "create", name]).output().unwrap();
        body["HostConfig"]["NetworkMode"] = json!(name);
        body["NetworkingConfig"] = json!({"EndpointsConfig": {name: {"Aliases": if and_its_name { vec!["shop", name] } else { vec!["shop"] }}}});
    })
    .await;
    yard.client().post(&["containers", &yard.name, "start"]).done().await.unwrap();
    yard.order = Order::StartFirst;
    yard.drain.command = vec!["touch".to_owned(), "/scratch/draining".to_owned()];
    yard.plan_layer().await;
    yard
}

/// The addresses that the engine's DNS has for a name, asked for in a container, and those of containers.
async fn found(yard: &RealYard, from: &str, name: &str) -> Vec<String> {
    let script = format!("getent ahostsv4 {name} | cut -d' ' -f1 | sort -u");
    yard.exec(from, &["sh", "-c", &script]).await.lines().map(str::to_owned).collect()
}

async fn address(yard: &RealYard, container: &str) -> String {
    let inspect = yard.inspect(container).await;
    inspect["NetworkSettings"]["Networks"][&yard.name]["IPAddress"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn both_are_found_by_their_alias_and_the_name_follows_the_one_that_has_proved_itself() {
    let yard = on_a_network(false).await;
    let (name, mut hand) = (yard.name.clone(), Hand::new(&yard));
    let original = yard.inspect(&name).await["Id"].as_str().unwrap().to_owned();
    hand.doing_up_to(SwapStep::Start).await;
    let (old, new) = (address(&yard, &name).await, address(&yard, &yard.of_run("new")).await);
    let mut both = vec![old.clone(), new.clone()];
    both.sort();
    assert_eq!(found(&yard, &original, "shop").await, both);
    assert_eq!(found(&yard, &original, &name).await, [old.as_str()], "not before it has proved itself");

    hand.doing(SwapStep::Rename).await;
    assert_eq!(found(&yard, &original, &name).await, [new.as_str()]);
    assert_eq!(found(&yard, &original, "shop").await, both);

    hand.doing(SwapStep::Drain).await;
    yard.exec(&original, &["test", "-e", "/scratch/draining"]).await;
    hand.undoing(SwapStep::Drain).await;
    yard.exec(&original, &["test", "!", "-e", "/scratch/draining"]).await;
    hand.undoing(SwapStep::Rename).await;
    assert_eq!(found(&yard, &original, &name).await, [address(&yard, &original).await]);
    hand.undoing(SwapStep::Start).await;
    hand.undoing(SwapStep::Create).await;
    assert_eq!(yard.inspect(&name).await["Id"].as_str(), Some(original.as_str()));
}

#[tokio::test]
async fn what_is_patched_started_first_is_the_same_container_and_can_be_put_back_so() {
    let mut yard = on_a_network(true).await;
    let before = yard.target().await;
    let snapshot = {
        let mut hand = Hand::new(&yard);
        hand.doing_up_to(SwapStep::Snapshot).await;
        let snapshot =
            yard::snapshot_of(hand.records[&patchyard_types::Step::Swap(SwapStep::Snapshot)].clone());
        hand.doing(SwapStep::Retire).await;
        snapshot
    };
    let after = yard.target().await;
    assert_ne!(after.image.id, before.image.id);
    assert_eq!((&after.id, &after.alone), (&before.id, &Vec::new()));
    assert_eq!(found(&yard, &after.object, &yard.name).await, [address(&yard, &yard.name).await]);

    yard.plan_restore(&snapshot.id).await;
    let mut back = Hand::of(&yard, 2);
    back.doing_up_to(SwapStep::Start).await;
    assert!(yard.serving().await.is_some(), "nobody serves");
    back.doing_up_to(SwapStep::Retire).await;
    assert_eq!(yard.target().await.image.id, before.image.id);
}

#[tokio::test]
async fn what_cannot_be_two_at_once_is_refused_before_anything_is_touched() {
    let mut yard = RealYard::with(|_, _| {}).await;
    yard.order = Order::StartFirst;
    yard.plan_layer().await;
    let codes: Vec<String> = yard.target().await.alone.into_iter().map(|refusal| refusal.code).collect();
    assert!(
        codes.contains(&"published_port".to_owned()) && codes.contains(&"single_writer".to_owned()),
        "{codes:?}"
    );

    let (serving, objects) = (yard.serving().await, yard.objects().await);
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Preflight).await;
    let why = failure(hand.try_to(SwapStep::Create, Direction::Do).await);
    assert!(why.kind == FailureKind::Refused && why.message.contains("beside each other"), "{why}");
    assert_eq!((yard.serving().await, yard.objects().await), (serving, objects));
}

#[tokio::test]
async fn an_original_that_an_engine_has_revived_is_stopped_again() {
    let yard = on_a_network(false).await;
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Stop).await;
    let old = yard.of_run("old");
    yard.client().post(&["containers", &old, "start"]).done().await.unwrap();
    hand.doing(SwapStep::Hold).await;
    let held = yard.inspect(&old).await;
    assert_eq!(
        (&held["State"]["Running"], &held["HostConfig"]["RestartPolicy"]["Name"]),
        (&json!(false), &json!("no"))
    );
    hand.doing(SwapStep::Snapshot).await;
    hand.doing(SwapStep::Retire).await;
}

#[tokio::test]
async fn whom_somebody_has_changed_is_neither_drained_nor_restarted() {
    let yard = on_a_network(false).await;
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Rename).await;
    let old = yard.of_run("old");
    let update = yard.client().post(&["containers", &old, "update"]).json_body(&json!({"PidsLimit": 77}));
    update.done().await.unwrap();
    let since = yard.inspect(&old).await["State"]["StartedAt"].clone();
    let why = failure(hand.try_to(SwapStep::Drain, Direction::Do).await);
    assert_eq!(why.kind, FailureKind::Precondition, "{why}");
    hand.undoing(SwapStep::Drain).await;
    yard.exec(&old, &["test", "!", "-e", "/scratch/draining"]).await;
    assert_eq!(yard.inspect(&old).await["State"]["StartedAt"], since);
}

#[tokio::test]
async fn who_serves_alone_is_neither_restarted_nor_stopped() {
    let yard = on_a_network(false).await;
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Rename).await;
    let (old, new) = (yard.of_run("old"), yard.name.clone());
    let since = yard.inspect(&old).await["State"]["StartedAt"].clone();
    yard.client().post(&["containers", &new, "stop"]).query("t", "0").done().await.unwrap();
    let why = failure(hand.try_to(SwapStep::Drain, Direction::Do).await);
    assert_eq!(why.kind, FailureKind::Host, "{why}");
    hand.undoing(SwapStep::Drain).await;
    assert_eq!(yard.inspect(&old).await["State"]["StartedAt"], since);

    // And the other way round: the original is gone, and the replacement is all that is left.
    yard.client().post(&["containers", &new, "start"]).done().await.unwrap();
    yard.client().delete(&["containers", &old]).query("force", "1").done().await.unwrap();
    let why = failure(hand.try_to(SwapStep::Start, Direction::Undo).await);
    assert_eq!(why.kind, FailureKind::Host, "{why}");
    assert_eq!(yard.inspect(&new).await["State"]["Running"], true);
}

#[tokio::test]
async fn a_replacement_that_was_stopped_is_not_revived() {
    let yard = on_a_network(false).await;
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Start).await;
    hand.undoing(SwapStep::Start).await;
    assert_eq!(yard.inspect(&yard.of_run("new")).await["HostConfig"]["RestartPolicy"]["Name"], "no");
    assert_ne!(yard.inspect(&yard.name).await["HostConfig"]["RestartPolicy"]["Name"], "no");
    hand.undoing(SwapStep::Create).await;
}

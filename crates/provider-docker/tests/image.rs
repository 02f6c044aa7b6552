//! Method `image` on a real engine and a real registry on the loopback.
//!
//! Registry and images come from the lab's scripts (`lab/prepare web-good`).

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod yard;

use std::process::Command;

use patchyard_contract::Provider;
use patchyard_types::{
    Change, Direction, FailureKind, Method, PatchSet, Probe, Record, StartingState, SwapStep,
};
use serde_json::json;
use yard::{Hand, RealYard, failure};

/// A script of the lab.
fn lab(script: &str, arguments: &[&str]) -> String {
    let path = format!("{}/../../lab/{script}", env!("CARGO_MANIFEST_DIR"));
    // The lab's images are on the machine's own engine, whichever one is tested.
    let output = Command::new(path).args(arguments).env_remove("DOCKER_HOST").output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_newer_digest_is_pulled_served_and_taken_back_by_id() {
    let registry = lab("registry", &["start"]);
    let first = lab("services", &["push", "good", "1.0", &registry]);
    let reference = format!("{registry}/lab/web-good:stable");
    let repository = format!("{registry}/lab/web-good");
    let mut yard = RealYard::with(|_, _| {}).await;
    let pull =
        yard.client().post(&["images", "create"]).query("fromImage", &repository).query("tag", "stable");
    let mut lines = pull.lines().await.unwrap();
    while lines.next().await.unwrap().is_some() {}
    let mut body = yard.inspect(&yard.name).await["Config"].clone();
    body["HostConfig"] = yard.inspect(&yard.name).await["HostConfig"].clone();
    body["Image"] = json!(reference);
    yard.remove().await;
    yard.run(&yard.name, &body).await;
    let before = yard.target().await;
    assert_eq!(before.image.digest.as_deref(), Some(first.as_str()));

    let second = lab("services", &["push", "good", "1.1", &registry]);
    let update = yard.docker.newer_image(&before).await.unwrap().expect("there is a newer one");
    assert_eq!((update.from.as_deref(), update.to.as_str()), (Some(first.as_str()), second.as_str()));
    let from = StartingState { platform: String::new(), image: before.image.id.clone(), packages: None };
    let change = Change::Image { reference: update.reference, from: update.from, to: update.to };
    yard.plan_with(Method::Image, PatchSet { from, change }).await;

    let mut hand = Hand::new(&yard);
    assert_eq!(hand.probe(SwapStep::Prepare, Direction::Do).await, Probe::NotDone);
    let record = hand.doing(SwapStep::Prepare).await;
    assert_eq!(hand.probe(SwapStep::Prepare, Direction::Do).await, Probe::Done { record: record.clone() });
    let tagged = yard.client().get(&["images", &reference, "json"]).json().await.unwrap();
    assert_eq!(tagged["Id"], json!(before.image.id), "the pull leaves the tag where it was");
    hand.doing_up_to(SwapStep::Start).await;
    let Record::Prepared { image, .. } = record else { panic!("prepared") };
    let after = yard.target().await;
    assert_eq!(
        (after.image.id.as_str(), after.image.reference.as_str()),
        (image.as_str(), reference.as_str())
    );
    let Record::Snapshotted { snapshot } = hand.doing(SwapStep::Snapshot).await else {
        panic!("snapshotted")
    };
    hand.doing(SwapStep::Retire).await;

    // Whatever the tag says by now, the way back goes by id.
    let moved =
        yard.client().post(&["images", &image, "tag"]).query("repo", &repository).query("tag", "stable");
    moved.done().await.unwrap();
    yard.plan_restore(&snapshot.id).await;
    let mut back = Hand::of(&yard, 2);
    back.doing_up_to(SwapStep::Start).await;
    let restored = yard.target().await;
    assert_eq!((restored.image.id, restored.config), (before.image.id, before.config));
    assert_eq!(restored.image.reference, reference);
    let _ = yard.client().delete(&["images", &reference]).done().await;
}

#[tokio::test]
async fn a_digest_that_the_registry_does_not_have_is_no_fault_of_the_image() {
    let registry = lab("registry", &["start"]);
    let mut yard = RealYard::with(|_, _| {}).await;
    let target = yard.target().await;
    let change = Change::Image {
        reference: format!("{registry}/lab/web-good:stable"),
        from: None,
        to: format!("sha256:{}", "0".repeat(64)),
    };
    let from = StartingState { platform: String::new(), image: target.image.id, packages: None };
    yard.plan_with(Method::Image, PatchSet { from, change }).await;
    let why = failure(Hand::new(&yard).try_to(SwapStep::Prepare, Direction::Do).await);
    assert_eq!(why.kind, FailureKind::Host, "{why}");
    assert!(why.message.starts_with("the image cannot be pulled: "), "{why}");
}

//! Volumes that no setting names, and those of other containers; and a create that fails.

use patchyard_contract::suite::provider::Yard;
use patchyard_types::{Direction, FailureKind, SwapStep};
use serde_json::{Value, json};

use crate::yard::{RealYard, failure};
use crate::{Pair, file, naively, preflown, replace, restore, swap};

/// The folder of the host that a mount asks for goes away, as folders do. What runs goes on running.
#[tokio::test]
async fn a_create_that_fails_leaves_the_service_running() {
    let folder = |name: &str| std::env::temp_dir().join(format!("{name}-folder"));
    let mut pair = Pair::new(|body, name| {
        std::fs::create_dir(folder(name)).unwrap();
        body["HostConfig"]["Mounts"] = json!([{"Type": "bind", "Source": folder(name), "Target": "/folder"}]);
    })
    .await;
    for yard in [&pair.naive, &pair.ours] {
        std::fs::remove_dir(folder(&yard.name)).unwrap();
    }

    let why = naively(&pair.naive, &[]).await.unwrap_err();
    assert!(why.to_string().contains("does not exist"), "{why}");
    assert!(pair.naive.inspect(&pair.naive.name).await.is_null(), "the service is gone");

    let image = pair.ours.plan_image("2", &[]).await;
    let before = pair.ours.serving().await;
    let mut hand = preflown(&pair.ours, &image).await;
    let why = failure(hand.try_to(SwapStep::Create, Direction::Do).await);
    assert_eq!(why.kind, FailureKind::Refused, "{why}");
    hand.undoing(SwapStep::Create).await;
    assert!(before.is_some());
    assert_eq!((pair.ours.serving().await, pair.ours.objects().await.len()), (before, 1));
}

#[tokio::test]
async fn anonymous_volumes_come_back_with_their_data() {
    let mut pair = Pair::new(|_, _| {}).await;
    pair.exec(&["sh", "-c", "echo kept > /anonymous/file"]).await;

    naively(&pair.naive, &[]).await.unwrap();
    assert_eq!(file(&pair.naive, "/anonymous/file").await, "", "the volume came back empty");

    let snapshot = swap(&mut pair.ours, 1, &[]).await;
    assert_eq!(file(&pair.ours, "/anonymous/file").await, "kept\n");
    restore(&mut pair.ours, 2, &snapshot).await;
    assert_eq!(file(&pair.ours, "/anonymous/file").await, "kept\n");
}

/// A container with the volumes and the folders of another one, which is gone by now.
async fn borrower(yard: &RealYard) {
    let source = format!("{}-source", yard.name);
    let binds = [format!("{}-shared:/shared", yard.name), format!("{}:/host/read:ro", yard.folder())];
    let image = yard.inspect(&yard.name).await["Config"]["Image"].clone();
    let of_source = json!({"Image": image, "Volumes": {"/own": {}}, "HostConfig": {"Binds": binds}});
    yard.create(&source, &of_source).await;
    replace(
        yard,
        &json!({"Image": image, "HostConfig": {"VolumesFrom": [source], "Binds": [format!("{}:/host/written", yard.folder())]}}),
    )
    .await;
    yard.exec(&yard.name, &["sh", "-c", "echo kept > /own/file; echo kept > /shared/file"]).await;
    yard.client().delete(&["containers", &source]).query("v", "0").done().await.unwrap();
}

#[tokio::test]
async fn volumes_of_another_container_stay_without_it() {
    let mut pair = Pair::new(|_, _| {}).await;
    borrower(&pair.naive).await;
    borrower(&pair.ours).await;

    let why = naively(&pair.naive, &[]).await.unwrap_err();
    assert!(why.to_string().contains("No such container"), "{why}");
    assert!(pair.naive.inspect(&pair.naive.name).await.is_null(), "the service is gone");

    let all_there = async |yard: &RealYard| {
        for path in ["/own/file", "/shared/file"] {
            assert_eq!(file(yard, path).await, "kept\n", "{path}");
        }
        let inspect = yard.inspect(&yard.name).await;
        let mut mounts: Vec<(&str, bool)> = inspect["Mounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|mount| (mount["Destination"].as_str().unwrap(), mount["RW"].as_bool().unwrap()))
            .collect();
        mounts.sort_unstable();
        assert_eq!(
            mounts,
            [("/host/read", false), ("/host/written", true), ("/own", true), ("/shared", true)]
        );
    };
    let before = pair.ours.target().await;
    assert_eq!(before.refusals, []);
    let snapshot = swap(&mut pair.ours, 1, &[]).await;
    all_there(&pair.ours).await;
    assert_eq!(pair.ours.target().await.config, before.config, "the normalised settings are equal");
    restore(&mut pair.ours, 2, &snapshot).await;
    all_there(&pair.ours).await;
}

/// The other direction: whose volumes are taken may be swapped, both go on with the same ones.
#[tokio::test]
async fn who_lends_volumes_can_be_swapped() {
    let mut ours = RealYard::with(|_, _| {}).await;
    let borrower = format!("{}-borrower", ours.name);
    let body: Value = json!({"Image": ours.reference, "Cmd": ["sleep", "1000"], "HostConfig": {"VolumesFrom": [ours.name]}});
    ours.run(&borrower, &body).await;
    let snapshot = swap(&mut ours, 1, &[]).await;
    let same = async |yard: &RealYard, word: &str| {
        let write = format!("echo {word} > /anonymous/{word}; echo {word} > /named/{word}");
        yard.exec(&yard.name, &["sh", "-c", &write]).await;
        yard.client().post(&["containers", &borrower, "restart"]).query("t", "0").done().await.unwrap();
        for folder in ["anonymous", "named"] {
            assert_eq!(
                yard.exec(&borrower, &["cat", &format!("/{folder}/{word}")]).await,
                format!("{word}\n")
            );
        }
    };
    same(&ours, "after").await;
    restore(&mut ours, 2, &snapshot).await;
    same(&ours, "back").await;
}

//! Settings that a container made itself, told from those of its image; and what is said about it.

use std::time::Duration;

use patchyard_contract::Provider;
use patchyard_contract::suite::provider::Yard;
use patchyard_types::{Direction, Health, Step, Subject, SwapStep};
use serde_json::{Value, json};

use crate::yard::{Hand, IMAGE, RealYard, derive};
use crate::{Pair, naive, naively, naively_from, restore, swap};

/// An image of a test's own.
pub struct OwnImage(pub String);

impl OwnImage {
    pub fn new(name: &str, changes: &[&str]) -> Self {
        let tag = format!("pydefect-{}-{name}:1", std::process::id());
        derive(IMAGE, &tag, changes);
        Self(tag)
    }
}

impl Drop for OwnImage {
    fn drop(&mut self) {
        let _ = std::process::Command::new("docker").args(["rmi", "--no-prune", &self.0]).output();
    }
}

fn env(inspect: &Value) -> Vec<&str> {
    inspect["Config"]["Env"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

#[tokio::test]
async fn what_was_set_stays_and_what_was_inherited_follows() {
    let old = OwnImage::new(
        "inherited",
        &[
            "ENV MODE=old LEVEL=old",
            "ENTRYPOINT [\"/bin/sh\", \"-c\"]",
            "CMD [\"exec sleep 1000\"]",
            "STOPSIGNAL SIGUSR1",
            "WORKDIR /srv",
            "HEALTHCHECK --interval=50s CMD true",
        ],
    );
    let new = [
        "ENV MODE=new LEVEL=new",
        "ENTRYPOINT [\"/bin/sh\", \"-ec\"]",
        "STOPSIGNAL SIGUSR2",
        "WORKDIR /opt",
        "HEALTHCHECK --interval=40s CMD echo",
    ];
    // It has set a variable, and that there is no entrypoint.
    let mut pair = Pair::of_image(&old.0, |body, _| {
        body["Env"] = json!(["LEVEL=mine"]);
        body["Entrypoint"] = json!([""]);
        body["Cmd"] = json!(["sleep", "1000"]);
        body["StopTimeout"] = json!(0);
    })
    .await;
    let first = pair.naive.inspect(&pair.naive.name).await;

    naively(&pair.naive, &new).await.unwrap();
    let lost = pair.naive.inspect(&pair.naive.name).await;
    assert_eq!(lost["Config"]["Entrypoint"], json!(["/bin/sh", "-ec"]), "it had none");
    assert_eq!(lost["Config"]["StopSignal"], "SIGUSR1", "the old image's");
    assert_eq!(
        lost["Config"]["Hostname"].as_str(),
        first["Id"].as_str().map(|id| &id[..12]),
        "the old one's"
    );

    let before = pair.ours.target().await;
    let snapshot = swap(&mut pair.ours, 1, &new).await;
    let kept = pair.ours.inspect(&pair.ours.name).await;
    let config = &kept["Config"];
    assert_eq!((&config["Entrypoint"], &config["Cmd"]), (&Value::Null, &json!(["sleep", "1000"])));
    assert_eq!((&config["StopSignal"], &config["WorkingDir"]), (&json!("SIGUSR2"), &json!("/opt")));
    assert_eq!(config["Hostname"].as_str(), kept["Id"].as_str().map(|id| &id[..12]));
    assert_eq!(config["Healthcheck"]["Test"], json!(["CMD-SHELL", "echo"]));
    assert!(env(&kept).contains(&"LEVEL=mine") && env(&kept).contains(&"MODE=new"), "{:?}", env(&kept));
    restore(&mut pair.ours, 2, &snapshot).await;
    assert_eq!(pair.ours.target().await.config, before.config);
    assert!(env(&pair.ours.inspect(&pair.ours.name).await).contains(&"MODE=old"));
}

/// Who creates a container again from everything that it is freezes what its image said on the day.
#[tokio::test]
async fn what_came_from_the_old_image_is_not_frozen() {
    let image = |word: &str, user: &str| {
        let command = format!("CMD [\"/bin/sh\", \"-c\", \"exec sleep 1000 # {word}\"]");
        [
            format!("ENV MODE={word}"),
            command,
            format!("USER {user}"),
            format!("WORKDIR /srv/{word}"),
            format!("HEALTHCHECK --interval=50s CMD echo {word}"),
            format!("LABEL mode={word}"),
        ]
    };
    let (old, new) = (image("old", "33"), image("new", "34"));
    let old = OwnImage::new("frozen", &old.each_ref().map(String::as_str));
    let new = new.each_ref().map(String::as_str);
    let mut pair = Pair::of_image(&old.0, |_, _| {}).await;
    // Each setting, by what there is to be seen of it.
    let settings = async |yard: &RealYard| {
        let inspect = yard.inspect(&yard.name).await;
        let config = &inspect["Config"];
        let mode = env(&inspect).into_iter().find(|entry| entry.starts_with("MODE=")).unwrap().to_owned();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        [
            mode,
            text(&config["Cmd"][2]),
            text(&config["User"]),
            text(&config["WorkingDir"]),
            text(&config["Healthcheck"]["Test"][1]),
            text(&config["Labels"]["mode"]),
        ]
    };
    let of = |word: &str, user: &str| {
        let command = format!("exec sleep 1000 # {word}");
        [
            format!("MODE={word}"),
            command,
            user.to_owned(),
            format!("/srv/{word}"),
            format!("echo {word}"),
            word.to_owned(),
        ]
    };
    naively_from(naive::From::All, &pair.naive, &new).await.unwrap();
    assert_eq!(settings(&pair.naive).await, of("old", "33"), "on the new image");

    let snapshot = swap(&mut pair.ours, 1, &new).await;
    assert_eq!(settings(&pair.ours).await, of("new", "34"));
    restore(&mut pair.ours, 2, &snapshot).await;
    assert_eq!(settings(&pair.ours).await, of("old", "33"));
}

#[tokio::test]
async fn compose_is_told_of_the_image_it_runs() {
    let mut pair = Pair::new(|_, _| {}).await;
    let label = async |yard: &RealYard| {
        let inspect = yard.inspect(&yard.name).await;
        (inspect["Config"]["Labels"]["com.docker.compose.image"].clone(), inspect["Image"].clone())
    };
    naively(&pair.naive, &["ENV NEW=1"]).await.unwrap();
    let (said, runs) = label(&pair.naive).await;
    assert_eq!(said, "sha256:of-the-old-image");
    assert_ne!(said, runs, "Compose would recreate it once more");

    let snapshot = swap(&mut pair.ours, 1, &["ENV NEW=1"]).await;
    let (said, runs) = label(&pair.ours).await;
    assert_eq!(said, runs);
    // Back it says what it said, and so does the tag that went back with it.
    restore(&mut pair.ours, 2, &snapshot).await;
    assert_eq!(label(&pair.ours).await.0, "sha256:of-the-old-image");

    // Where the tag stays, Compose goes on finding the image that it put there.
    pair.ours.tag_follows = false;
    swap(&mut pair.ours, 3, &["ENV NEW=1"]).await;
    assert_eq!(label(&pair.ours).await.0, "sha256:of-the-old-image");
}

/// A version that starts and never becomes healthy. That ours is judged by it, goes back and remembers is
/// shown end to end by the table of bad versions.
#[tokio::test]
async fn a_version_that_never_turns_healthy_is_noticed() {
    let bad = ["HEALTHCHECK --interval=1s --retries=2 CMD false"];
    let mut pair = Pair::new(|_, _| {}).await;
    let health = async |yard: &RealYard| yard.inspect(&yard.name).await["State"]["Health"]["Status"].clone();
    // Done, it says, as often as it is run.
    for _ in 0..2 {
        naively(&pair.naive, &bad).await.unwrap();
        assert_ne!(health(&pair.naive).await, "healthy");
    }

    let image = pair.ours.plan_image("2", &bad).await;
    let original = pair.ours.serving().await;
    let mut hand = Hand::with_image(&pair.ours, &image);
    hand.doing_up_to(SwapStep::Start).await;
    let call = hand.call(SwapStep::Verify, Direction::Do);
    let seen = async || pair.ours.docker.observe(&call, Subject::Replacement).await.unwrap();
    let mut observation = seen().await;
    assert!(observation.health_within.is_some(), "there is an end to waiting");
    for _ in 0..300 {
        if observation.health == Health::Unhealthy {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        observation = seen().await;
    }
    assert_eq!(observation.health, Health::Unhealthy);
    assert!(hand.records.contains_key(&Step::Swap(SwapStep::Start)));
    hand.back().await;
    assert_eq!(pair.ours.serving().await, original);
    assert_eq!(health(&pair.naive).await, "unhealthy", "and so it stays");
}

//! Swaps on a real engine: what comes back, what is refused, what is left.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails is a failed test")]

mod yard;

use patchyard_contract::Provider;
use patchyard_contract::suite::provider::Yard;
use patchyard_types::{Direction, FailureKind, Probe, Record, RunId, Snapshot, SwapStep, TagMove};
use serde_json::{Value, json};
use yard::{Hand, RealYard, failure, snapshot_of};

#[tokio::test]
async fn a_patched_container_is_the_same_container_with_newer_packages() {
    let mut yard = RealYard::with(|body, _| {
        body["User"] = json!("0:0");
        body["StopTimeout"] = json!(3);
        body["HostConfig"]["CapAdd"] = json!(["NET_ADMIN"]);
        body["HostConfig"]["LogConfig"] = json!({"Type": "json-file", "Config": {"max-size": "1m"}});
    })
    .await;
    yard.exec(&yard.name, &["sh", "-c", "echo kept > /anonymous/file; echo kept > /named/file"]).await;
    yard.plan_layer().await;
    let (before, inspect_before) = (yard.target().await, yard.inspect(&yard.name).await);
    Hand::new(&yard).swapped().await;
    let (after, inspect_after) = (yard.target().await, yard.inspect(&yard.name).await);

    assert_ne!(after.object, before.object);
    assert_ne!(after.image.id, before.image.id);
    assert_eq!(after.image.base.as_ref(), Some(&before.image.id));
    assert_eq!(after.image.reference, before.image.reference);
    assert_eq!((after.id, after.config), (before.id, before.config), "the normalised settings are equal");
    // The engine lists mounts in no order of its own.
    let places = |inspect: &serde_json::Value| -> std::collections::BTreeSet<String> {
        let mounts = inspect["Mounts"].as_array().unwrap().iter();
        mounts.map(|mount| mount["Destination"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(places(&inspect_after), places(&inspect_before));
    for place in ["/anonymous/file", "/named/file"] {
        assert_eq!(yard.exec(&yard.name, &["cat", place]).await, "kept\n");
    }
    let version = yard.exec(&yard.name, &["dpkg-query", "-W", "-f", "${Version}", "lab-web"]).await;
    assert_eq!(version, "1.1");
    assert_eq!(inspect_after["HostConfig"]["RestartPolicy"]["Name"], "unless-stopped");
    assert_eq!(inspect_after["Config"]["Labels"]["com.docker.compose.image"], json!(after.image.id));
    // The host name is the new container's own, not the old one's pinned.
    assert_eq!(
        inspect_after["Config"]["Hostname"].as_str(),
        inspect_after["Id"].as_str().map(|id| &id[..12])
    );
}

#[tokio::test]
async fn names_aliases_and_addresses_on_networks_of_ones_own_come_back() {
    let yard = RealYard::with(|_, _| {}).await;
    let client = yard.client();
    let mut yard = {
        let networks = [("front", "10.214.1.0/24"), ("back", "10.214.2.0/24")];
        for (suffix, subnet) in networks {
            let body =
                json!({"Name": format!("{}-{suffix}", yard.name), "IPAM": {"Config": [{"Subnet": subnet}]}});
            client.post(&["networks", "create"]).json_body(&body).done().await.unwrap();
        }
        let mut body = yard.inspect(&yard.name).await["Config"].clone();
        body["Hostname"] = json!("web");
        let front = format!("{}-front", yard.name);
        body["HostConfig"] = json!({"NetworkMode": front, "RestartPolicy": {"Name": "always"}});
        body["NetworkingConfig"] = json!({"EndpointsConfig": {front:
            {"Aliases": ["shop"], "IPAMConfig": {"IPv4Address": "10.214.1.77"}}}});
        client.delete(&["containers", &yard.name]).query("force", "1").query("v", "1").done().await.unwrap();
        yard.run(&yard.name, &body).await;
        let connect = json!({"Container": yard.name, "EndpointConfig": {"Aliases": ["behind"]}});
        client
            .post(&["networks", &format!("{}-back", yard.name), "connect"])
            .json_body(&connect)
            .done()
            .await
            .unwrap();
        yard
    };
    yard.plan_layer().await;
    let before = yard.target().await;
    Hand::new(&yard).swapped().await;
    assert_eq!(yard.target().await.config, before.config);
    let inspect = yard.inspect(&yard.name).await;
    let networks = &inspect["NetworkSettings"]["Networks"];
    assert_eq!(networks[format!("{}-front", yard.name)]["IPAddress"], "10.214.1.77");
    assert_eq!(networks[format!("{}-back", yard.name)]["Aliases"][0], "behind");
    assert_eq!(inspect["Config"]["Hostname"], "web");
    // Others find it under its alias and its name, on one network or the other.
    for known in ["shop", yard.name.as_str()] {
        let found = yard.exec(&yard.name, &["getent", "hosts", known]).await;
        assert!(found.starts_with("10.214."), "{known}: {found}");
    }
}

#[tokio::test]
async fn while_the_replacement_serves_nothing_revives_the_original() {
    let yard = RealYard::ordinary().await;
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Start).await;
    let old = yard.inspect(&yard.of_run("old")).await;
    assert_eq!(
        (&old["HostConfig"]["RestartPolicy"]["Name"], &old["State"]["Running"]),
        (&json!("no"), &json!(false))
    );
    assert_eq!(
        hand.records[&patchyard_types::Step::Swap(SwapStep::Hold)],
        Record::Held { policy: "unless-stopped".to_owned(), retries: 0, dependents: Vec::new() }
    );
    // On the way back the replacement must not be revived either.
    hand.undoing(SwapStep::Start).await;
    let new = yard.inspect(&yard.name).await;
    assert_eq!(new["HostConfig"]["RestartPolicy"]["Name"], "no");
    for step in [SwapStep::Rename, SwapStep::Hold, SwapStep::Stop, SwapStep::Create] {
        hand.undoing(step).await;
    }
    let back = yard.inspect(&yard.name).await;
    assert_eq!(
        (&back["Id"], &back["HostConfig"]["RestartPolicy"]["Name"]),
        (&old["Id"], &json!("unless-stopped"))
    );
    assert_eq!(yard.target().await.config, yard.plan().decisions.actions[0].expected.config);
}

#[tokio::test]
async fn a_lost_record_is_found_again_in_the_world() {
    let yard = RealYard::ordinary().await;
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Create).await;
    // The controller died before it wrote down what it had created, held and renamed.
    hand.records.remove(&patchyard_types::Step::Swap(SwapStep::Create));
    for step in [SwapStep::Stop, SwapStep::Hold, SwapStep::Rename, SwapStep::Start] {
        hand.doing(step).await;
        hand.records.remove(&patchyard_types::Step::Swap(step));
    }
    let Probe::Done { record } = hand.probe(SwapStep::Hold, Direction::Do).await else { panic!("held") };
    assert_eq!(
        record,
        Record::Held { policy: "unless-stopped".to_owned(), retries: 0, dependents: Vec::new() }
    );
    let snapshot = snapshot_of(hand.doing(SwapStep::Snapshot).await);
    let Probe::Done { record } = hand.probe(SwapStep::Snapshot, Direction::Do).await else { panic!("taken") };
    assert_eq!(snapshot_of(record), snapshot);
    for step in [
        SwapStep::Snapshot,
        SwapStep::Start,
        SwapStep::Rename,
        SwapStep::Hold,
        SwapStep::Stop,
        SwapStep::Create,
    ] {
        hand.undoing(step).await;
    }
    assert_eq!(yard.target().await.config, yard.plan().decisions.actions[0].expected.config);
    assert_eq!(yard.objects().await.len(), 1);
}

#[tokio::test]
async fn half_a_rename_is_finished_in_either_direction() {
    let yard = RealYard::ordinary().await;
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Hold).await;
    let half = yard.client().post(&["containers", &yard.name, "rename"]).query("name", &yard.of_run("old"));
    half.done().await.unwrap();
    assert_eq!(hand.probe(SwapStep::Rename, Direction::Do).await, Probe::NotDone);
    assert_eq!(hand.probe(SwapStep::Rename, Direction::Undo).await, Probe::NotDone);
    hand.doing(SwapStep::Rename).await;
    assert!(matches!(hand.probe(SwapStep::Rename, Direction::Do).await, Probe::Done { .. }));
    // And half of the way back.
    let half = yard.client().post(&["containers", &yard.name, "rename"]).query("name", &yard.of_run("new"));
    half.done().await.unwrap();
    hand.undoing(SwapStep::Rename).await;
    assert_eq!(yard.inspect(&yard.name).await["Id"], json!(yard.plan().decisions.actions[0].expected.object));
}

#[tokio::test]
async fn a_half_made_replacement_is_made_again() {
    let yard = RealYard::ordinary().await;
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Preflight).await;
    let Record::Created { object, .. } = hand.doing(SwapStep::Create).await else { panic!("created") };
    hand.records.remove(&patchyard_types::Step::Swap(SwapStep::Create));
    // As if its settings had not all arrived.
    let update = json!({"RestartPolicy": {"Name": "no"}});
    yard.client().post(&["containers", &object, "update"]).json_body(&update).done().await.unwrap();
    assert_eq!(hand.probe(SwapStep::Create, Direction::Do).await, Probe::NotDone);
    let Record::Created { object: again, .. } = hand.doing(SwapStep::Create).await else { panic!("created") };
    assert_ne!(again, object);
    assert!(yard.inspect(&object).await.is_null());
}

#[tokio::test]
async fn what_is_not_as_planned_is_left_alone() {
    let yard = RealYard::ordinary().await;
    let mut hand = Hand::new(&yard);
    hand.doing(SwapStep::Prepare).await;
    let post = async |verb: &str| yard.client().post(&["containers", &yard.name, verb]).done().await.unwrap();
    let refused = async |hand: &mut Hand<'_>| failure(hand.try_to(SwapStep::Preflight, Direction::Do).await);

    post("pause").await;
    let why = refused(&mut hand).await;
    assert_eq!(
        (why.kind, why.message.as_str()),
        (FailureKind::Precondition, "cannot be judged: it is paused")
    );
    post("unpause").await;
    post("stop").await;
    assert_eq!(refused(&mut hand).await.message, "cannot be judged: it is not running");
    post("start").await;
    hand.doing(SwapStep::Preflight).await;

    let update = json!({"Memory": 300_000_000, "MemorySwap": 700_000_000});
    yard.client().post(&["containers", &yard.name, "update"]).json_body(&update).done().await.unwrap();
    let why = refused(&mut hand).await;
    assert_eq!(
        (why.kind, why.message.starts_with("changed since planning")),
        (FailureKind::Precondition, true)
    );
    for step in [SwapStep::Create, SwapStep::Stop] {
        assert_eq!(failure(hand.try_to(step, Direction::Do).await).kind, FailureKind::Precondition, "{step}");
    }
    assert!(yard.serving().await.is_some());
    yard.remove().await;
    assert!(refused(&mut hand).await.message.contains("removed by somebody else"));
}

#[tokio::test]
async fn a_target_on_which_another_run_is_unfinished_is_left_alone() {
    let yard = RealYard::ordinary().await;
    let mut first = Hand::new(&yard);
    first.doing_up_to(SwapStep::Create).await;
    let mut second = Hand::of(&yard, 2);
    second.doing(SwapStep::Prepare).await;
    let why = failure(second.try_to(SwapStep::Preflight, Direction::Do).await);
    assert_eq!(why.kind, FailureKind::Precondition);
    assert!(why.message.starts_with("run R1.1 of this controller is unfinished on it"), "{why}");
    first.undoing(SwapStep::Create).await;
    second.doing(SwapStep::Preflight).await;
}

#[tokio::test]
async fn what_was_written_into_the_container_comes_back_with_its_snapshot() {
    let mut yard = RealYard::ordinary().await;
    yard.exec(
        &yard.name,
        &["sh", "-c", "echo mine > /etc/shop.conf; echo x > /tmp/y; echo kept > /anonymous/file"],
    )
    .await;
    let before = yard.target().await;
    let snapshot = Hand::new(&yard).swapped().await;
    assert!(snapshot.own_layer && snapshot.size > 0 && snapshot.tags.len() == 2, "{snapshot:?}");
    assert_eq!(snapshot.base_image, before.image.id);
    let patched = yard.target().await;

    yard.plan_restore(&snapshot.id).await;
    let mut back = Hand::of(&yard, 2);
    let second = back.swapped().await;
    let after = yard.target().await;
    assert_eq!(after.config, before.config);
    assert_eq!(after.image.reference, before.image.reference);
    assert_eq!(yard.exec(&yard.name, &["cat", "/etc/shop.conf", "/anonymous/file"]).await, "mine\nkept\n");
    let version = yard.exec(&yard.name, &["dpkg-query", "-W", "-f", "${Version}", "lab-web"]).await;
    assert_eq!(version, "1.0");

    // And forth again, to what the second snapshot holds.
    yard.plan_restore(&second.id).await;
    Hand::of(&yard, 3).swapped().await;
    let again = yard.target().await;
    assert_eq!((again.image.id, again.config), (patched.image.id, patched.config));
}

#[tokio::test]
async fn a_container_keeps_the_name_of_its_image_when_its_snapshot_goes() {
    let mut yard = RealYard::ordinary().await;
    yard.exec(&yard.name, &["sh", "-c", "echo mine > /etc/shop.conf"]).await;
    let snapshot = Hand::new(&yard).swapped().await;
    yard.plan_restore(&snapshot.id).await;
    Hand::of(&yard, 2).swapped().await;
    let name = snapshot.tags[0].clone();
    // With another name of its image nothing is in the engine's way.
    let other = format!("{}-other", yard.name);
    yard.client().post(&["images", &snapshot.image, "tag"]).query("repo", &other).done().await.unwrap();

    yard.docker.remove_snapshot(&snapshot).await.unwrap();
    let is_left = || async { yard.docker.leftovers(&[], &[]).await.unwrap().iter().any(|l| l.name == name) };
    assert_eq!(yard.inspect(&yard.name).await["Config"]["Image"], json!(name));
    assert!(yard.client().get(&["images", &name, "json"]).json().await.is_ok(), "{name} is gone");
    assert!(!is_left().await, "it is in use");

    yard.remove().await;
    assert!(is_left().await, "nobody uses it any more");
}

#[tokio::test]
async fn a_container_that_wrote_nothing_needs_no_layer_of_its_own() {
    let mut yard = RealYard::ordinary().await;
    let before = yard.target().await;
    let snapshot = Hand::new(&yard).swapped().await;
    assert!(!snapshot.own_layer, "{snapshot:?}");
    assert_eq!((&snapshot.image, snapshot.size), (&before.image.id, 0));
    yard.plan_restore(&snapshot.id).await;
    Hand::of(&yard, 2).swapped().await;
    let after = yard.target().await;
    assert_eq!((after.image.id, after.config), (before.image.id, before.config));
    // The tag still leads to the same image: the container bears it again.
    assert_eq!(yard.inspect(&yard.name).await["Config"]["Image"], json!(yard.reference));
}

#[tokio::test]
async fn a_snapshots_file_is_for_its_owner_alone_and_goes_with_it() {
    use std::os::unix::fs::PermissionsExt;
    let yard = RealYard::ordinary().await;
    let snapshot = Hand::new(&yard).swapped().await;
    let objects = yard.objects().await;
    let file = objects.iter().find(|object| object.ends_with("R1.1.json")).expect("there is a file");
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    for _ in 0..2 {
        yard.docker.remove_snapshot(&snapshot).await.unwrap();
    }
    assert_eq!(yard.objects().await.len(), 1, "the target alone is left");
}

#[tokio::test]
async fn what_was_inherited_follows_the_new_image_and_what_was_set_stays() {
    let mut yard = RealYard::with(|body, _| body["Env"] = json!(["GREETING=mine", "OWN=1"])).await;
    // The image sets what the container set too.
    let image = yard
        .plan_image("2", &["ENV GREETING=theirs ADDED=1", "WORKDIR /srv", "VOLUME /more", "LABEL added=1"])
        .await;
    let mut hand = Hand::with_image(&yard, &image);
    for step in [SwapStep::Preflight, SwapStep::Create] {
        hand.doing(step).await;
    }
    let new = yard.inspect(&yard.of_run("new")).await;
    let env: Vec<&str> = new["Config"]["Env"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(env.contains(&"GREETING=mine") && env.contains(&"OWN=1") && env.contains(&"ADDED=1"), "{env:?}");
    assert_eq!(
        (&new["Config"]["WorkingDir"], &new["Config"]["Labels"]["added"]),
        (&json!("/srv"), &json!("1"))
    );
    let made =
        new["Mounts"].as_array().unwrap().iter().find(|mount| mount["Destination"] == "/more").unwrap();
    let volume = made["Name"].as_str().unwrap().to_owned();

    hand.undoing(SwapStep::Create).await;
    let gone = yard.client().get(&["volumes", &volume]).json().await;
    assert!(gone.is_err_and(|error| error.is_not_found()), "the volume made for the replacement is gone");
    let kept = yard.inspect(&yard.name).await;
    let kept =
        kept["Mounts"].as_array().unwrap().iter().find(|mount| mount["Destination"] == "/anonymous").unwrap();
    yard.client()
        .get(&["volumes", kept["Name"].as_str().unwrap()])
        .done()
        .await
        .expect("the original's is there");
}

#[tokio::test]
async fn an_image_whose_program_is_missing_is_blamed_and_taken_back() {
    let mut yard = RealYard::with(|_, _| {}).await;
    let image = yard.plan_image("2", &["CMD [\"/no/such/program\"]"]).await;
    // The container did not set its command: it follows the image.
    let mut hand = Hand::with_image(&yard, &image);
    for step in [SwapStep::Preflight, SwapStep::Create, SwapStep::Stop, SwapStep::Hold, SwapStep::Rename] {
        hand.doing(step).await;
    }
    let why = failure(hand.try_to(SwapStep::Start, Direction::Do).await);
    assert_eq!(why.kind, FailureKind::Check, "{why}");
    for step in [SwapStep::Start, SwapStep::Rename, SwapStep::Hold, SwapStep::Stop, SwapStep::Create] {
        hand.undoing(step).await;
    }
    assert!(yard.serving().await.is_some());
}

#[tokio::test]
async fn a_port_that_somebody_took_is_nobodys_fault() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut yard = RealYard::with(|body, _| {
        body["HostConfig"]["PortBindings"]["8080/tcp"][0]["HostPort"] = json!(port);
    })
    .await;
    yard.plan_layer().await;
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Rename).await;
    let taken = std::net::TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    let why = failure(hand.try_to(SwapStep::Start, Direction::Do).await);
    assert_eq!(why.kind, FailureKind::Host, "{why}");
    drop(taken);
    for step in [SwapStep::Start, SwapStep::Rename, SwapStep::Hold, SwapStep::Stop, SwapStep::Create] {
        hand.undoing(step).await;
    }
    assert!(yard.serving().await.is_some());
}

#[tokio::test]
async fn a_tag_moves_only_from_where_it_was() {
    let yard = RealYard::ordinary().await;
    let (from, now) = (yard.target().await.image.id, async || {
        yard.client().get(&["images", &yard.reference, "json"]).json().await.unwrap()["Id"].clone()
    });
    let mut hand = Hand::new(&yard);
    let Record::Prepared { image, .. } = hand.doing(SwapStep::Prepare).await else { panic!("prepared") };
    let mut tag = TagMove {
        host: yard.docker.host().clone(),
        reference: yard.reference.clone(),
        from: from.clone(),
        patch_set: yard.plan().decisions.actions[0].patch_set,
        image: None,
        after: vec![0],
    };
    for _ in 0..2 {
        assert_eq!(yard.docker.move_tag(&tag, &image).await.unwrap(), None);
        assert_eq!(now().await, json!(image));
    }
    // Somebody else's image behind the tag stays.
    tag.from = "sha256:another".to_owned();
    assert!(yard.docker.move_tag(&tag, &from).await.unwrap().is_some());
    assert_eq!(now().await, json!(image));
    tag.from = image.clone();
    assert_eq!(yard.docker.move_tag(&tag, &from).await.unwrap(), None);
    tag.reference = format!("{}-none:1", yard.name);
    assert!(
        yard.docker.move_tag(&tag, &from).await.unwrap().is_some_and(|why| why.contains("does not exist"))
    );
}

#[tokio::test]
async fn an_exported_image_is_one_that_can_be_loaded() {
    let yard = RealYard::ordinary().await;
    let Record::Prepared { image, .. } = Hand::new(&yard).doing(SwapStep::Prepare).await else {
        panic!("prepared")
    };
    let file = std::env::temp_dir().join(format!("{}.tar", yard.name));
    yard.docker.export_image(&image, &file).await.unwrap();
    let listed = std::process::Command::new("tar").arg("-tf").arg(&file).output().unwrap();
    std::fs::remove_file(file).unwrap();
    assert!(String::from_utf8(listed.stdout).unwrap().lines().any(|line| line == "manifest.json"));
    assert!(listed.status.success());
}

#[tokio::test]
async fn only_what_nobody_needs_is_left_over() {
    let yard = RealYard::ordinary().await;
    let mut hand = Hand::new(&yard);
    let run: RunId = hand.run;
    hand.doing_up_to(SwapStep::Start).await;
    let own = |left: Vec<patchyard_contract::Leftover>| -> Vec<String> {
        let mark = [yard.controller[..8].to_owned(), yard.name.clone(), run.to_string()];
        let of_yard = left.into_iter().filter(|l| mark.iter().any(|mark| l.name.contains(mark.as_str())));
        of_yard.map(|l| format!("{} {}", l.kind, l.name)).collect()
    };
    let leftovers = async |unfinished: &[RunId], kept: &[Snapshot]| {
        own(yard.docker.leftovers(unfinished, kept).await.unwrap())
    };
    assert_eq!(leftovers(&[run], &[]).await, [""; 0]);
    // Given up for good, the container that was set aside would be.
    assert_eq!(leftovers(&[], &[]).await, [format!("container {}", yard.of_run("old"))]);
    let snapshot = snapshot_of(hand.doing(SwapStep::Snapshot).await);
    hand.doing(SwapStep::Retire).await;
    assert_eq!(leftovers(&[], std::slice::from_ref(&snapshot)).await, [""; 0]);

    let left = yard.docker.leftovers(&[], &[]).await.unwrap();
    let left: Vec<_> = left.into_iter().filter(|l| !own(vec![l.clone()]).is_empty()).collect();
    let kinds: Vec<&str> = left.iter().map(|l| l.kind.as_str()).collect();
    assert_eq!(kinds, ["file", "tag"], "{left:?}");
    for _ in 0..2 {
        for leftover in &left {
            yard.docker.collect(leftover).await.unwrap();
        }
    }
    assert_eq!(leftovers(&[], &[]).await, [""; 0]);
    assert!(yard.serving().await.is_some());
}

#[tokio::test]
async fn nothing_but_ours_is_ever_collected() {
    let yard = RealYard::ordinary().await;
    let foreign = |kind: &str, name: &str| patchyard_contract::Leftover {
        kind: kind.to_owned(),
        name: name.to_owned(),
        run: None,
        size: 0,
    };
    let objects = yard.objects().await;
    let _ = yard.docker.collect(&foreign("container", &yard.name)).await;
    let _ = yard.docker.collect(&foreign("tag", &yard.reference)).await;
    let _ = yard.docker.collect(&foreign("volume", &format!("{}-named", yard.name))).await;
    let own = std::env::temp_dir().join(&yard.name).join("precious");
    std::fs::write(&own, "").unwrap();
    assert!(yard.docker.collect(&foreign("file", own.to_str().unwrap())).await.is_err());
    assert!(own.exists());
    assert_eq!(yard.objects().await, objects);
    yard.client().get(&["images", &yard.reference, "json"]).done().await.expect("the tag is there");
}

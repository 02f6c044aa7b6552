//! Every field of the engine's create call survives a swap and the way back, alone and in random
//! company, on a real engine.
//!
//! `./test` plays 40 random specifications, `--slow` (PATCHYARD_SLOW=1) 500. PATCHYARD_SEED plays
//! others; a failure names the seed that plays it again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails is a failed test")]

mod spec;
#[path = "../yard/mod.rs"]
mod yard;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::{FutureExt, StreamExt, stream};
use patchyard_contract::Provider;
use patchyard_provider_docker::client::{Client, Environment, resolve};
use patchyard_provider_docker::{names, normalise};
use patchyard_types::{Change, Method, PatchSet, RolloutId, StartingState, SwapStep, Unsaved};
use serde_json::{Value, json};

use spec::{Dice, EngineKind, LEFT_OUT, Row, SLEEP, random, single};
use yard::{Hand, RealYard};

/// How many swaps are under way at the same time.
const AT_ONCE: usize = 4;

/// How rare a field is in a random specification: one in so many.
const RARITY: usize = 4;

/// Two images that differ in every setting that a container can inherit.
struct Images {
    old: String,
    new: String,
}

impl Images {
    fn make() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("pyevery-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let made = |version: &str, signal: &str, changes: &[&str]| {
            let tag = format!("{name}:{version}");
            let container =
                docker(&["create", "--stop-signal", signal, "patchyard-lab/base:1", "sh", version]);
            let command = format!("CMD {}", json!([SLEEP[0], SLEEP[1], format!("{} # {version}", SLEEP[2])]));
            let mut commit = vec!["commit", "--change", &command];
            for change in changes {
                commit.extend(["--change", change]);
            }
            commit.extend([container.as_str(), &tag]);
            docker(&commit);
            docker(&["rm", &container]);
            tag
        };
        let old = [
            "ENV LAB_OLD=image",
            "LABEL lab.old=image lab.version=",
            "EXPOSE 8080",
            "WORKDIR /srv",
            "HEALTHCHECK --interval=50s CMD true",
        ];
        let new = [
            "ENV LAB_OLD=new LAB_NEW=image",
            "LABEL lab.old=new lab.new=image",
            "EXPOSE 8081",
            "WORKDIR /opt",
            "USER 0:0",
            "HEALTHCHECK --interval=40s CMD test 1",
        ];
        Self { old: made("old", "SIGINT", &old), new: made("new", "SIGHUP", &new) }
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        drop(Command::new("docker").args(["rmi", &self.old, &self.new]).output());
    }
}

fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Plans a patch whose image is there already.
async fn planned(mut yard: RealYard, images: &Images) -> (RealYard, String) {
    let from = StartingState { platform: yard.name.clone(), image: String::new(), packages: None };
    let set = PatchSet { from, change: Change::Packages(Vec::new()) };
    let tag = names::patched_tag(&yard.reference, &set.id());
    docker(&["tag", &images.new, &tag]);
    yard.plan_with(Method::Layer, set).await;
    let image = docker(&["image", "inspect", "--format", "{{.Id}}", &images.new]);
    (yard, image)
}

/// A hand on a planned yard that has the image already.
fn hand<'a>(yard: &'a RealYard, rollout: u64, image: &str) -> Hand<'a> {
    let mut hand = Hand::with_image(yard, image);
    hand.run.rollout = RolloutId(rollout);
    hand
}

/// The parts of a container, as they are compared.
const PARTS: [&str; 4] = ["config", "host", "mounts", "networks"];

/// What makes two containers different in some of their parts, in words.
fn differences(before: &Value, after: &Value, parts: &[&str]) -> Vec<String> {
    let (before, after) = (normalise(before), normalise(after));
    let mut found = Vec::new();
    for &part in parts {
        let keys = |of: &Value| -> BTreeSet<String> {
            of[part].as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
        };
        if before[part].is_array() && before[part] != after[part] {
            found.push(format!("{part}: {} became {}", before[part], after[part]));
        }
        for key in keys(&before).union(&keys(&after)) {
            let (was, is) = (&before[part][key], &after[part][key]);
            if was != is {
                found.push(format!("{part}.{key}: {was} became {is}"));
            }
        }
    }
    found
}

/// What the replacement of a container that was asked for so must be: `Config` as the engine makes it when it is asked
/// the same of the new image, everything else as it was.
async fn is_as_asked(
    what: &str,
    images: &Images,
    yard: &RealYard,
    asked: &Value,
    before: &Value,
    made: &Value,
) {
    let name = format!("{}-asked", yard.name);
    let mut body = asked.clone();
    body["Image"] = json!(images.new);
    yard.create(&name, &body).await;
    let expected = yard.inspect(&name).await;
    yard.client().delete(&["containers", &name]).query("v", "1").done().await.unwrap();
    assert_eq!(differences(&expected, made, &PARTS[..1]), [""; 0], "{what}: asked for, made");
    assert_eq!(differences(before, made, &PARTS[1..]), [""; 0], "{what}: before, after");
}

/// A container as it was asked for, running, and what was asked for.
async fn running(images: &Images, shape: impl FnOnce(&str, &str) -> Value) -> (RealYard, Value) {
    let mut asked = Value::Null;
    let yard = RealYard::of_image(&images.old, |body, name| {
        *body = shape(name, body["Image"].as_str().unwrap());
        asked = body.clone();
    })
    .await;
    (yard, asked)
}

/// Finds nothing against a container, swaps it and takes the swap back. Returns the yard, planned, with the patched image.
async fn there_and_back(what: &str, images: &Images, yard: RealYard, asked: &Value) -> (RealYard, String) {
    let target = yard.target().await;
    assert_eq!(target.refusals, [], "{what}");
    assert_eq!(yard.docker.unsaved(&target).await.unwrap(), Unsaved::default(), "{what}");
    let (yard, image) = planned(yard, images).await;
    let before = yard.inspect(&yard.name).await;
    let mut hand = hand(&yard, 1, &image);
    hand.doing_up_to(SwapStep::Start).await;
    let after = yard.inspect(&yard.name).await;
    assert_eq!(after["Image"], json!(image), "{what}");
    is_as_asked(what, images, &yard, asked, &before, &after).await;
    assert_eq!(addresses(&after), addresses(&before), "{what}");
    hand.back().await;
    let back = yard.inspect(&yard.name).await;
    assert_eq!((&back["Id"], &back["Image"]), (&before["Id"], &before["Image"]), "{what}");
    is_as_before(&format!("{what}, taken back"), &before, &back);
    (yard, image)
}

/// The same; then swaps it to the end, and goes back to the snapshot.
async fn there_to_the_end_and_back(what: &str, images: &Images, yard: RealYard, asked: &Value) {
    let (mut yard, image) = there_and_back(what, images, yard, asked).await;
    let before = yard.inspect(&yard.name).await;
    let snapshot = hand(&yard, 2, &image).swapped().await;
    let after = yard.inspect(&yard.name).await;
    is_as_asked(what, images, &yard, asked, &before, &after).await;
    yard.plan_restore(&snapshot.id).await;
    Hand::of(&yard, 3).swapped().await;
    let restored = yard.inspect(&yard.name).await;
    assert_ne!(restored["Id"], before["Id"], "{what}");
    is_as_before(&format!("{what}, restored"), &before, &restored);
}

fn is_as_before(what: &str, before: &Value, now: &Value) {
    assert_eq!(differences(before, now, &PARTS), [""; 0], "{what}");
    assert_eq!(addresses(now), addresses(before), "{what}");
}

/// As far as a container can be compared that never starts.
async fn made_again(what: &str, images: &Images, shape: impl FnOnce(&str, &str) -> Value) {
    let mut asked = Value::Null;
    let yard = RealYard::not_started(&images.old, |body, name| {
        *body = shape(name, body["Image"].as_str().unwrap());
        asked = body.clone();
    })
    .await;
    let (yard, image) = planned(yard, images).await;
    let before = yard.inspect(&yard.name).await;
    let mut hand = hand(&yard, 1, &image);
    hand.doing(SwapStep::Create).await;
    let made = yard.inspect(&yard.of_run("new")).await;
    is_as_asked(what, images, &yard, &asked, &before, &made).await;
}

/// How many random specifications, and the first one's seed.
fn how_many() -> (u64, u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let slow = number("PATCHYARD_SLOW") == Some(1);
    (if slow { 500 } else { 40 }, number("PATCHYARD_SEED").unwrap_or(1))
}

/// The seeds of the random ones, and what plays each again.
fn seeds() -> impl Iterator<Item = (u64, String)> {
    let (number, first) = how_many();
    (first..first + number).map(|seed| (seed, format!("PATCHYARD_SEED={seed}")))
}

/// Plays all of them, some at a time; fails with the names of those that failed, each of which has
/// said why.
async fn all<F: Future<Output = ()>>(plays: impl Iterator<Item = (String, F)>) {
    let played = plays.map(|(what, play)| async move {
        let failed = AssertUnwindSafe(play).catch_unwind().await.is_err();
        failed.then_some(what)
    });
    let played: Vec<_> = stream::iter(played.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).collect().await;
    let failed: Vec<_> = played.into_iter().flatten().collect();
    assert!(failed.is_empty(), "failed: {failed:#?}");
}

/// Every value of every row.
fn each(rows: Vec<Row>) -> impl Iterator<Item = (&'static str, Value)> {
    rows.into_iter().flat_map(|(path, values)| values().into_iter().map(move |value| (path, value)))
}

/// What kind of engine it is that all of this is tried on.
async fn engine() -> EngineKind {
    let endpoint = resolve(None, &Environment::of_process()).unwrap();
    let api_minor = Client::connect(endpoint).await.unwrap().api().minor;
    EngineKind { api_minor, storage_driver: docker(&["info", "--format", "{{.Driver}}"]) }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_containers_survive_a_swap_and_the_way_back() {
    let images = &Images::make();
    let settings = &engine().await.settings();
    all(seeds().map(|(seed, what)| {
        let named = what.clone();
        let play = async move {
            let mut dice = Dice(seed);
            let shape = |name: &str, image: &str| random(&mut dice, settings, RARITY, name, image);
            let (yard, asked) = running(images, shape).await;
            there_to_the_end_and_back(&named, images, yard, &asked).await;
        };
        (what, play)
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_setting_survives_a_swap_alone() {
    let images = &Images::make();
    all(each(engine().await.settings()).map(|(path, value)| {
        let what = format!("{path} = {value}");
        let named = what.clone();
        let play = async move {
            let (yard, asked) = running(images, |name, image| single(path, value, name, image)).await;
            there_and_back(&named, images, yard, &asked).await;
        };
        (what, play)
    }))
    .await;
}

/// Among others, and with others that need more than this machine has.
#[tokio::test(flavor = "multi_thread")]
async fn random_containers_that_cannot_be_started_here_are_made_again_as_they_are() {
    let images = &Images::make();
    let engine = engine().await;
    let settings = &[engine.settings(), engine.unstartable()].concat();
    all(seeds().map(|(seed, what)| {
        let named = what.clone();
        let play = async move {
            let mut dice = Dice(seed);
            let shape = |name: &str, image: &str| random(&mut dice, settings, RARITY, name, image);
            made_again(&named, images, shape).await;
        };
        (what, play)
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_started_here_is_made_again_as_it_is() {
    let images = &Images::make();
    all(each(engine().await.unstartable()).map(|(path, value)| {
        let what = format!("{path} = {value}");
        let named = what.clone();
        let play = async move {
            made_again(&named, images, |name, image| single(path, value, name, image)).await;
        };
        (what, play)
    }))
    .await;
}

/// Where on a network's subnets somebody may ask to be.
struct Subnet {
    v4: String,
    v6: String,
}

/// Makes a network in subnets that nobody has.
async fn network(yard: &RealYard, name: &str, third: usize) -> Subnet {
    for second in 200..250 {
        let subnet = Subnet { v4: format!("10.{second}.{third}."), v6: format!("fd00:{second}:{third}::") };
        let ipam = json!({"Config": [{"Subnet": format!("{}0/24", subnet.v4)}, {"Subnet": format!("{}/64", subnet.v6)}]});
        let body = json!({"Name": name, "EnableIPv6": true, "IPAM": ipam});
        if yard.client().post(&["networks", "create"]).json_body(&body).done().await.is_ok() {
            return subnet;
        }
    }
    panic!("no subnet is free for {name}")
}

/// What the MAC addresses begin with that are asked for on a network besides the first.
const MACS: &str = "06:00:00:00:";

/// Networks of one's own, with what a container may ask of each.
///
/// An engine that takes all of them with the create call takes a MAC address for each. Returns what was asked for.
async fn attached(yard: &RealYard, dice: &mut Dice, number: usize, settings: &[Row]) -> Value {
    let api = yard.client().api();
    let count = 1 + dice.roll(3);
    let mut subnets = Vec::new();
    for index in 0..count {
        subnets.push(network(yard, &format!("{}-net{index}", yard.name), number * 3 + index).await);
    }
    let image = yard.inspect(&yard.name).await["Config"]["Image"].as_str().unwrap().to_owned();
    let linked = format!("{}-linked", yard.name);
    yard.run(&linked, &json!({"Image": image, "Cmd": SLEEP})).await;
    let endpoint = |dice: &mut Dice, index: usize| {
        let mut endpoint = json!({});
        if dice.roll(2) == 0 {
            endpoint["IPAMConfig"] = json!({"IPv4Address": format!("{}77", subnets[index].v4)});
        }
        if dice.roll(2) == 0 {
            endpoint["IPAMConfig"]["IPv6Address"] = json!(format!("{}77", subnets[index].v6));
        }
        if dice.roll(2) == 0 {
            endpoint["Links"] = json!([format!("{linked}:db")]);
        }
        if dice.roll(2) == 0 {
            endpoint["Aliases"] = json!(["shop", format!("shop-{index}")]);
        }
        if dice.roll(2) == 0 {
            endpoint["DriverOpts"] = match api.minor {
                46.. => json!({"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1"}),
                _ => json!({"com.example.shop": "1"}),
            };
        }
        if dice.roll(2) == 0 {
            endpoint["IPAMConfig"]["LinkLocalIPs"] = json!([format!("169.254.{number}.{}", 7 + index)]);
        }
        if api.minor >= 48 && dice.roll(2) == 0 {
            endpoint["GwPriority"] = json!(index);
        }
        endpoint
    };
    let mut body = random(dice, settings, RARITY, &yard.name, &image);
    let first = format!("{}-net0", yard.name);
    body["HostConfig"]["NetworkMode"] = json!(first);
    body["NetworkingConfig"] = json!({"EndpointsConfig": {first: endpoint(dice, 0)}});
    if dice.roll(2) == 0 {
        body["MacAddress"] = json!("02:42:0a:d7:00:09");
    }
    let at_once = api.takes_several_endpoints() && dice.roll(2) == 0;
    for index in (1..count).filter(|_| at_once) {
        let mut endpoint = endpoint(dice, index);
        if dice.roll(2) == 0 {
            endpoint["MacAddress"] = json!(format!("{MACS}{number:02x}:{index:02x}"));
        }
        body["NetworkingConfig"]["EndpointsConfig"][format!("{}-net{index}", yard.name)] = endpoint;
    }
    yard.client().delete(&["containers", &yard.name]).done().await.unwrap();
    yard.create(&yard.name, &body).await;
    for index in (1..count).filter(|_| !at_once) {
        let connect = json!({"Container": yard.name, "EndpointConfig": endpoint(dice, index)});
        let network = format!("{}-net{index}", yard.name);
        yard.client().post(&["networks", &network, "connect"]).json_body(&connect).done().await.unwrap();
    }
    yard.client().post(&["containers", &yard.name, "start"]).done().await.unwrap();
    body
}

/// Where somebody has asked for them, addresses are the same; names are known on each network.
fn addresses(inspect: &Value) -> Vec<String> {
    let networks = inspect["NetworkSettings"]["Networks"].as_object().unwrap();
    let mut found = Vec::new();
    for (name, endpoint) in networks {
        for (asked, got) in [("IPv4Address", "IPAddress"), ("IPv6Address", "GlobalIPv6Address")] {
            if !endpoint["IPAMConfig"][asked].is_null() {
                found.push(format!("{name} {}", endpoint[got]));
            }
        }
        let mac = endpoint["MacAddress"].as_str().filter(|mac| mac.starts_with(MACS));
        found.extend(mac.map(|mac| format!("MAC {name} {mac}")));
    }
    if inspect["Config"]["MacAddress"].as_str().is_some_and(|mac| !mac.is_empty()) {
        let primary = match inspect["HostConfig"]["NetworkMode"].as_str() {
            Some("default") | None => "bridge",
            Some(named) => named,
        };
        found.push(format!("MAC {}", inspect["NetworkSettings"]["Networks"][primary]["MacAddress"]));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_addresses_and_aliases_survive_a_swap_and_the_way_back() {
    let images = &Images::make();
    let (number, first) = how_many();
    // What has its own way with networks is tried without any.
    let mut settings = engine().await.settings();
    settings.retain(|(path, _)| !["HostConfig.NetworkMode", "NetworkDisabled", "MacAddress"].contains(path));
    let settings = &settings;
    // Each takes subnets of a host that has not many.
    all((0..usize::try_from(number / 4).unwrap().clamp(12, 60)).map(|number| {
        let seed = first + number as u64;
        let what = format!("PATCHYARD_SEED={seed}");
        let named = what.clone();
        let play = async move {
            let yard = RealYard::not_started(&images.old, |_, _| {}).await;
            let asked = attached(&yard, &mut Dice(seed), number, settings).await;
            there_to_the_end_and_back(&named, images, yard, &asked).await;
        };
        (what, play)
    }))
    .await;
}

/// An engine that knows a new field fails here, until somebody has said what becomes of it.
#[tokio::test]
async fn every_field_that_the_engine_tells_is_tried_or_left_out_with_a_reason() {
    let images = Images::make();
    let yard = RealYard::not_started(&images.old, |_, _| {}).await;
    let inspect = yard.inspect(&yard.name).await;
    let engine = engine().await;
    let tried = engine.settings().into_iter().chain(engine.unstartable()).map(|(path, _)| path);
    let known: BTreeSet<&str> = tried.chain(LEFT_OUT.iter().map(|(path, _)| *path)).collect();
    let fields = |part: &str, prefix: &str| -> Vec<String> {
        let keys = inspect[part].as_object().unwrap().keys();
        keys.map(|key| format!("{prefix}{key}")).collect()
    };
    let told = [fields("Config", ""), fields("HostConfig", "HostConfig.")].concat();
    let unknown: Vec<_> = told.iter().filter(|field| !known.contains(field.as_str())).collect();
    assert!(unknown.is_empty(), "this engine has fields that nobody has tried: {unknown:?}");
}

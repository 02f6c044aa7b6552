//! The tests' own tools: what they start is what they say, and nothing of it stays.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;

use patchyard_e2e_tests::{Engine, Objects, Poller, PrivateEngine, Service, bad_versions, lab};

#[test]
fn a_service_takes_everything_of_its_own_along() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "web-good");
    let name = service.name().to_owned();
    let mine = |engine: &Engine| {
        let all = engine.objects().since(&Objects::default());
        all.into_iter().filter(|object| object.contains(&name)).count()
    };
    assert_eq!(service.answer().unwrap(), "lab-web 1.0\n");
    assert_eq!(mine(&engine), 3, "a container, an image, a volume");
    drop(service);
    assert_eq!(mine(&engine), 0);
}

#[test]
fn a_fingerprint_is_stable_and_notices_what_changes() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "web-good");
    let before = service.fingerprint();
    assert_eq!(before.volumes.len(), 2, "{:?}", before.volumes.keys());
    assert_eq!(service.fingerprint(), before);
    service.put("/data", "more", "bytes");
    let after = service.fingerprint();
    assert_ne!(after.volumes, before.volumes);
    assert_eq!(after.settings, before.settings);
}

#[test]
fn a_client_misses_nothing_while_nothing_happens_and_much_while_it_is_down() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "web-good");
    let client = Poller::start(service.port());
    std::thread::sleep(std::time::Duration::from_millis(500));
    engine.docker(["stop", service.name()]);
    engine.docker(["start", service.name()]);
    service.wait_until_it_answers();
    let log = client.finish();
    assert!(log.requests > log.failed.len(), "{log:?}");
    assert!(!log.failed.is_empty(), "{log:?}");
    let quiet = Poller::start(service.port());
    std::thread::sleep(std::time::Duration::from_millis(500));
    let log = quiet.finish();
    assert!(log.failed.is_empty(), "{log:?}");
}

#[test]
fn a_private_engine_has_nothing_but_what_its_test_made() {
    let engine = PrivateEngine::start();
    let before = engine.objects();
    engine.load(&["patchyard-lab/web-good:1"]);
    let service = Service::start(&engine, "web-good");
    engine.kill();
    engine.restart();
    engine.docker(["start", service.name()]);
    service.wait_until_it_answers();
    drop(service);
    let left = engine.objects().since(&before);
    assert_eq!(left.len(), 1, "only the image that was loaded: {left:?}");
}

#[test]
fn the_table_of_bad_versions_has_every_bad_case_of_the_lab_once() {
    const GOOD: [&str; 11] = [
        "good",
        "good2",
        "security",
        "slow-start",
        "ignores-term",
        "worker",
        "new-dep",
        "debconf",
        "hostile",
        "ubuntu",
        "many",
    ];
    let lab: BTreeSet<String> = lab("packages", ["cases"]).lines().map(str::to_owned).collect();
    let rows = bad_versions();
    let table: BTreeSet<String> = rows.iter().map(|row| row.case.clone()).collect();
    assert_eq!(rows.len(), table.len(), "no case twice");
    let bad: BTreeSet<String> = lab.into_iter().filter(|case| !GOOD.contains(&case.as_str())).collect();
    assert_eq!(table, bad);
}

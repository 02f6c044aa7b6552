//! Projects of Compose: patched in the order that they need, and what Compose does with them afterwards. One
//! contract for both versions; where they keep it differently, the names of the tests say how.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod copied;
mod project;

use std::collections::BTreeMap;

use patchyard_e2e_tests::{Compose, Controller, Outcome};
use serde_json::Value;

use project::{Container, Project};

/// Conditions, several networks with other names on them, a volume, a secret and a config from files, a profile, and
/// two images of which each has two services. By their names the first would be patched first, and it does not start
/// where the database is not there.
const SHOP: &str = r#"
services:
  app:
    image: IMAGE0
    command: [sh, -ec, 'getent hosts database; exec lab-good-01']
    depends_on: {db: {condition: service_healthy}}
    ports: ['127.0.0.1:PORT:8080']
    networks: {front: {}, back: {aliases: [shop]}}
    secrets: [token]
    configs: [{source: settings, target: /etc/settings.conf}]
  db:
    image: IMAGE1
    networks: {back: {aliases: [database]}}
    volumes: ['data:/var/lib/db']
    healthcheck: {test: [CMD, lab-good-02-health], interval: 1s}
  tool:
    image: IMAGE1
    profiles: [tools]
    networks: [front]
  worker:
    image: IMAGE0
    depends_on: {app: {condition: service_started}}
    networks: [back]
networks: {front: {}, back: {}}
volumes: {data: {}}
secrets: {token: {file: ./token}}
configs: {settings: {file: ./settings}}
"#;
const CASES: [&str; 2] = ["web-many-01", "web-many-02"];
const ALL: [&str; 4] = ["app/1", "db/1", "tool/1", "worker/1"];

fn shop(compose: &Compose) -> Project {
    Project::with_files(compose, &CASES, SHOP, &[("token", "hush\n"), ("settings", "colour = green\n")])
}

/// Two services of one image, one port.
const PAIR: &str = "
services:
  app:
    image: IMAGE0
    ports: ['127.0.0.1:PORT:8080']
  worker:
    image: IMAGE0
";
const BOTH: [&str; 2] = ["app/1", "worker/1"];

fn pair(compose: &Compose) -> Project {
    Project::up(compose, &CASES[..1], PAIR)
}

fn controller(project: &Project, more: &str) -> Controller {
    Controller::new(&project.engine).with_defaults(&format!("verify_for: 1s{more}"))
}

fn apply(controller: &Controller, project: &Project) -> Outcome {
    controller.run(["apply", "--yes", "-l", &project.selector()])
}

fn scan(controller: &Controller, project: &Project) -> Value {
    controller.run(["scan", "--json", "-l", &project.selector()]).expect(0).json("patchyard.scan/v1")
}

/// Those of two listings whose container is another one now.
fn recreated<'a>(before: &'a BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<&'a str> {
    before.iter().filter(|(place, id)| after[*place] != **id).map(|(place, _)| place.as_str()).collect()
}

// --- what is true of both ---------------------------------------------------------------------------

fn what_a_service_needs_is_patched_before_it_and_everything_stays(compose: &Compose) {
    let project = shop(compose);
    let before = settings(&project);
    // All stopped, and started in the order of their names: this is how a service is lost.
    let ids = project.ids();
    for id in ids.values() {
        project.engine.docker(["stop", "-t", "1", id]);
    }
    project.engine.docker(["start", &ids["app/1"]]);
    assert_ne!(project.engine.docker(["wait", &ids["app/1"]]).trim(), "0");
    for place in &ALL[1..] {
        project.engine.docker(["start", &ids[*place]]);
    }
    assert_eq!(project.containers()["app/1"].inspect["State"]["Status"], "exited");
    project.run(&["up", "-d"]);
    assert_eq!(project.ids(), ids);

    let controller = controller(&project, "");
    let plan = controller.run(["plan", "--json", "-l", &project.selector()]).expect(0);
    let plan = plan.json("patchyard.plan/v1");
    let waves: Vec<Vec<&str>> = plan["waves"].as_array().unwrap().iter().map(places_of).collect();
    let wave = |place: &str| waves.iter().position(|wave| wave.contains(&place)).expect(place);
    assert!(wave("db/1") < wave("app/1") && wave("app/1") < wave("worker/1"), "{waves:?}");

    apply(&controller, &project).expect(0);
    project.are_all(true, &ALL);
    assert_eq!(project.answer(), "lab-good-01 1.1\n");
    assert_eq!(settings(&project), before);
    assert_eq!(project.containers()["db/1"].inspect["State"]["Health"]["Status"], "healthy");
    for name in ["shop", "database", "db", "worker"] {
        project.exec("app", &["getent", "hosts", name]);
    }
    assert_eq!(project.exec("app", &["cat", "/run/secrets/token"]), "hush\n");
    if compose.is_two() {
        // Version 1 says that it leaves configs to Swarm.
        assert_eq!(project.exec("app", &["cat", "/etc/settings.conf"]), "colour = green\n");
    }
}

fn after_a_rollback_by_hand_up_recreates_nothing_and_down_up_gives_the_old_version(compose: &Compose) {
    let project = shop(compose);
    let controller = controller(&project, "");
    apply(&controller, &project).expect(0);
    // What Compose has recreated onto the patched image goes back as well.
    project.run(&["up", "-d"]);
    controller.run(["rollback", "--yes", "R1"]).expect(0);
    project.are_all(false, &ALL);
    assert_eq!(project.tags_have_moved(), [false, false]);
    let before = project.ids();
    project.run(&["up", "-d"]);
    assert_eq!(recreated(&before, &project.ids()), [""; 0]);
    project.run(&["down"]);
    project.run(&["up", "-d"]);
    project.are_all(false, &ALL);
    assert_eq!(project.answer(), "lab-good-01 1.0\n");
    assert_eq!(scan(&controller, &project)["targets"][0]["reverted"], Value::Null);
}

fn after_a_patch_was_taken_back_up_recreates_nothing(compose: &Compose) {
    let project = Project::up(compose, &["web-crash-start"], PAIR);
    let controller = controller(&project, "");
    let before = project.ids();
    apply(&controller, &project).expect(5);
    project.are_all(false, &BOTH);
    assert_eq!(recreated(&before, &project.ids()), [""; 0], "the original was started again");
    project.run(&["up", "-d"]);
    assert_eq!(recreated(&before, &project.ids()), [""; 0]);
    project.run(&["up", "-d", "--scale", "worker=2"]);
    project.are_all(false, &["app/1", "worker/1", "worker/2"]);
    assert_eq!(project.answer(), "lab-web 1.0\n");
}

fn what_was_recreated_on_the_base_is_found_first_and_patched_again(compose: &Compose) {
    let project = pair(compose);
    let controller = controller(&project, "");
    apply(&controller, &project).expect(0);
    project.put_tags_back();
    project.run(&["up", "-d", "--force-recreate", "--no-deps", "worker"]);
    let patched = |place: &str| project.is_patched(&project.containers()[place]);
    assert_eq!((patched("app/1"), patched("worker/1")), (true, false));

    let worker = compose.container(&project.name, "worker");
    let scan_now = scan(&controller, &project);
    let targets = scan_now["targets"].as_array().unwrap();
    let reverted: Vec<_> =
        targets.iter().map(|one| (&one["name"], one["reverted"]["run"].as_str())).collect();
    let app = compose.container(&project.name, "app");
    let run = reverted[0].1;
    assert_eq!(reverted, [(&Value::from(&*worker), run), (&Value::from(&*app), None)], "{scan_now:#}");
    assert!(run.is_some_and(|run| run.starts_with("R1.")), "{scan_now:#}");
    controller
        .run(["plan", "-l", &project.selector()])
        .expect(0)
        .says(&[&worker, "went back to its unpatched image"]);

    apply(&controller, &project).expect(0);
    project.are_all(true, &BOTH);
    assert_eq!(project.tags_have_moved(), [true]);
    project.run(&["up", "-d", "--force-recreate"]);
    project.are_all(true, &BOTH);
    assert_eq!(scan(&controller, &project)["totals"]["pending"], 0);
}

fn where_the_tag_is_kept_up_recreates_nothing_and_down_up_gives_the_base(compose: &Compose) {
    let project = pair(compose);
    let controller = controller(&project, ", tag: keep");
    apply(&controller, &project).expect(0);
    project.are_all(true, &BOTH);
    assert_eq!(project.tags_have_moved(), [false]);
    let before = project.ids();
    project.run(&["up", "-d"]);
    assert_eq!(recreated(&before, &project.ids()), [""; 0]);
    // Back and forth again.
    controller.run(["rollback", "--yes", "R1"]).expect(0);
    project.are_all(false, &BOTH);
    let before = project.ids();
    project.run(&["up", "-d"]);
    assert_eq!(recreated(&before, &project.ids()), [""; 0]);
    apply(&controller, &project).expect(0);
    project.are_all(true, &BOTH);
    project.run(&["down"]);
    project.run(&["up", "-d"]);
    project.are_all(false, &BOTH);
}

fn after_a_rollback_of_some_up_brings_the_patched_image_again(compose: &Compose) {
    let project = pair(compose);
    let controller = controller(&project, "");
    apply(&controller, &project).expect(0);
    project.run(&["up", "-d"]);
    controller.run(["rollback", "--yes", &compose.container(&project.name, "worker")]).expect(0);
    assert!(!project.is_patched(&project.containers()["worker/1"]));
    assert_eq!(project.tags_have_moved(), [true]);
    let before = project.ids();
    project.run(&["up", "-d"]);
    assert_eq!(recreated(&before, &project.ids()), ["worker/1"]);
    project.are_all(true, &BOTH);
}

fn once_nothing_is_left_of_the_way_back_up_does_the_same(compose: &Compose) {
    let project = pair(compose);
    let controller = controller(&project, "");
    let forget = |controller: Controller| {
        let forgetful = controller.with_defaults("verify_for: 1s, retention: { keep_for: 0s, keep_last: 0 }");
        forgetful.run(["snapshots", "prune"]).expect(0);
        forgetful.run(["gc", "--yes"]).expect(0);
        forgetful
    };
    apply(&controller, &project).expect(0);
    controller.run(["rollback", "--yes", "R1"]).expect(0);
    let controller = forget(controller);
    let before = project.ids();
    project.run(&["up", "-d"]);
    assert_eq!(recreated(&before, &project.ids()), [""; 0]);
    project.are_all(false, &BOTH);

    apply(&controller, &project).expect(0);
    let controller = forget(controller);
    let before = project.ids();
    project.run(&["up", "-d"]);
    // As with the way back: version 1 recreates all once.
    let once: &[&str] = if compose.is_two() { &[] } else { &BOTH };
    assert_eq!(recreated(&before, &project.ids()), once);
    project.are_all(true, &BOTH);
    project.run(&["down"]);
    project.run(&["up", "-d"]);
    project.are_all(true, &BOTH);
    assert_eq!(scan(&controller, &project)["totals"]["pending"], 0);
}

/// A service that has done its work and ended, and one with the same image that waits for that.
const MIGRATED: &str = "
services:
  app:
    image: IMAGE0
    ports: ['127.0.0.1:PORT:8080']
    depends_on: {migrate: {condition: service_completed_successfully}}
  migrate:
    image: IMAGE0
    entrypoint: ['true']
";

fn who_waits_for_a_service_that_has_ended_is_patched_without_it(compose: &Compose) {
    let project = Project::up(compose, &CASES, MIGRATED);
    let controller = controller(&project, "");
    let before = project.ids();
    apply(&controller, &project).expect(0);
    assert_eq!(recreated(&before, &project.ids()), ["app/1"]);
    let containers = project.containers();
    assert!(project.is_patched(&containers["app/1"]));
    assert_eq!(containers["migrate/1"].inspect["State"]["Status"], "exited", "it was not started again");
    assert_eq!(project.answer(), "lab-good-01 1.1\n");
    project.run(&["up", "-d"]);
    assert_eq!(project.answer(), "lab-good-01 1.1\n");
    project.run(&["down"]);
    project.run(&["up", "-d"]);
    // Who has ended holds no tag: made again, it has the patched image as well.
    let containers = project.containers();
    assert!(project.is_patched(&containers["app/1"]));
    assert!(project.is_patched(&containers["migrate/1"]));
    assert_eq!(project.answer(), "lab-good-01 1.1\n");
}

fn every_replica_of_a_service_that_was_scaled_up_is_patched(compose: &Compose) {
    const SCALED: [&str; 4] = ["app/1", "worker/1", "worker/2", "worker/3"];
    let scaled = ["up", "-d", "--scale", "worker=3"];
    let project = pair(compose);
    project.run(&scaled);
    let controller = controller(&project, "");
    apply(&controller, &project).expect(0);
    project.are_all(true, &SCALED);
    let before = project.ids();
    project.run(&scaled);
    // As without replicas: version 1 recreates all once.
    let once: &[&str] = if compose.is_two() { &[] } else { &SCALED };
    assert_eq!(recreated(&before, &project.ids()), once);
    project.are_all(true, &SCALED);
    controller.run(["rollback", "--yes", "R1"]).expect(0);
    project.are_all(false, &SCALED);
}

// --- what differs -----------------------------------------------------------------------------------

/// `once`: the containers that the first `up` recreates.
fn after_a_patch(compose: &Compose, once: &[&str]) {
    let project = shop(compose);
    let controller = controller(&project, "");
    apply(&controller, &project).expect(0);
    assert_eq!(project.tags_have_moved(), [true, true]);
    let patched = project.ids();
    // Whose profile is not asked for is nobody's business.
    project.run_without_profile(&["up", "-d"]);
    let first = project.ids();
    assert_eq!(recreated(&patched, &first), once);
    project.are_all(true, &ALL);
    project.run_without_profile(&["up", "-d"]);
    assert_eq!(recreated(&first, &project.ids()), [""; 0]);
    up_down_and_scaled(&project);

    // The same once nothing is left of the way back.
    let controller = controller.with_defaults("verify_for: 1s, retention: { keep_for: 0s, keep_last: 0 }");
    controller.run(["snapshots", "prune"]).expect(0);
    let left = controller.run(["snapshots", "--json"]).expect(0).json("patchyard.snapshots/v1");
    assert_eq!(left["snapshots"], Value::Array(Vec::new()));
    project.run(&["down"]);
    controller.run(["gc", "--yes"]).expect(0);
    project.run(&["up", "-d"]);
    up_down_and_scaled(&project);
    assert_eq!(scan(&controller, &project)["totals"]["pending"], 0);
}

fn up_down_and_scaled(project: &Project) {
    project.run(&["up", "-d"]);
    project.are_all(true, &ALL);
    let before = project.ids();
    project.run(&["up", "-d"]);
    assert_eq!(recreated(&before, &project.ids()), [""; 0]);
    project.run(&["up", "-d", "--scale", "worker=3"]);
    project.are_all(true, &["app/1", "db/1", "tool/1", "worker/1", "worker/2", "worker/3"]);
    project.run(&["down"]);
    project.run(&["up", "-d"]);
    project.are_all(true, &ALL);
    assert_eq!(project.answer(), "lab-good-01 1.1\n");
}

/// `once`: the containers that `up` recreates when a later rollout has moved the tag.
fn after_a_plan_that_leaves_the_tag(compose: &Compose, once: &[&str]) {
    let project = pair(compose);
    let controller = controller(&project, "");
    let worker = compose.container(&project.name, "worker");
    controller.run(["plan", &worker]).expect(0).says(&["stays: 1 of 2 of its containers"]);
    controller.run(["apply", "--yes", &worker]).expect(0);
    assert_eq!(project.tags_have_moved(), [false]);
    let before = project.ids();
    project.run(&["up", "-d"]);
    assert_eq!(recreated(&before, &project.ids()), [""; 0]);
    assert!(project.is_patched(&project.containers()["worker/1"]));

    apply(&controller, &project).expect(0);
    assert_eq!(project.tags_have_moved(), [true]);
    let before = project.ids();
    project.run(&["up", "-d"]);
    let after = project.ids();
    assert_eq!(recreated(&before, &after), once);
    project.are_all(true, &BOTH);
    project.run(&["up", "-d"]);
    assert_eq!(recreated(&after, &project.ids()), [""; 0]);
}

/// `picky` keeps to the old version: the rollout ends `partly`, and the tag of both stays.
const PICKY: &str = r#"
services:
  app:
    image: IMAGE0
    ports: ['127.0.0.1:PORT:8080']
  picky:
    image: IMAGE0
    depends_on: [app]
    labels:
      io.patchyard.check.command: '["sh", "-c", "dpkg -s lab-good-01 | grep -qx ''Version: 1.0''"]'
"#;

/// A project of which a rollout has patched `app` alone, and its controller.
fn partly_patched(compose: &Compose) -> (Project, Controller) {
    let project = Project::up(compose, &CASES[..1], PICKY);
    let controller = controller(&project, "");
    apply(&controller, &project).expect(5).says(&["was left where it is"]);
    let patched = |place: &str| project.is_patched(&project.containers()[place]);
    assert_eq!((patched("app/1"), patched("picky/1")), (true, false));
    assert_eq!(project.tags_have_moved(), [false]);
    (project, controller)
}

fn after_a_patch_of_some_up_keeps_it(compose: &Compose) {
    let (project, _controller) = partly_patched(compose);
    let before = project.ids();
    project.run(&["up", "-d"]);
    assert_eq!(recreated(&before, &project.ids()), [""; 0]);
    assert_eq!(project.answer(), "lab-good-01 1.1\n");
}

fn after_a_patch_of_some_up_returns_to_the_base(compose: &Compose) {
    let (project, controller) = partly_patched(compose);
    let before = project.ids();
    project.run(&["up", "-d"]);
    assert_eq!(recreated(&before, &project.ids()), ["app/1"]);
    assert_eq!(project.answer(), "lab-good-01 1.0\n");
    let found = &scan(&controller, &project)["targets"][0];
    assert_eq!((&found["service"], &found["reverted"]["run"]), (&"app".into(), &"R1.1".into()), "{found:#}");
    // What failed is in quarantine, for both. A plan for one moves no tag, and `up` has nothing to put right.
    let entry = controller.quarantine()[0]["id"].as_str().unwrap().to_owned();
    controller.run(["quarantine", "release", &entry, "--reason", "picky is picky"]).expect(0);
    let app = compose.container(&project.name, "app");
    controller.run(["apply", "--yes", &app]).expect(0);
    let before = project.ids();
    project.run(&["up", "-d"]);
    assert_eq!(recreated(&before, &project.ids()), [""; 0]);
    assert_eq!(project.answer(), "lab-good-01 1.1\n");
}

// ----------------------------------------------------------------------------------------------------

macro_rules! of_both {
    ($($test:ident),+ $(,)?) => {
        mod version_1 {
            use super::*;
            $(#[test] fn $test() { super::$test(&Compose::One); })+

            #[test]
            fn after_a_patch_up_recreates_once_onto_the_patched_image_and_down_up_gives_it() {
                after_a_patch(&Compose::One, &["app/1", "db/1", "worker/1"]);
            }

            #[test]
            fn a_plan_that_leaves_the_tag_leaves_up_alone_until_one_moves_it_then_all_are_recreated_once() {
                after_a_plan_that_leaves_the_tag(&Compose::One, &["app/1", "worker/1"]);
            }

            #[test]
            fn until_the_tag_moves_up_recreates_nothing() {
                after_a_patch_of_some_up_keeps_it(&Compose::One);
            }
        }
        mod version_2 {
            use super::*;
            $(#[test] #[ignore = "wants Compose 2, which lab/compose builds"] fn $test() { super::$test(&Compose::two()); })+

            #[test]
            #[ignore = "wants Compose 2, which lab/compose builds"]
            fn after_a_patch_up_recreates_nothing_and_down_up_gives_the_patched_image() {
                after_a_patch(&Compose::two(), &[]);
            }

            #[test]
            #[ignore = "wants Compose 2, which lab/compose builds"]
            fn a_plan_that_leaves_the_tag_leaves_up_alone_until_one_moves_it_then_those_of_before_are_recreated_once() {
                after_a_plan_that_leaves_the_tag(&Compose::two(), &["worker/1"]);
            }

            #[test]
            #[ignore = "wants Compose 2, which lab/compose builds"]
            fn until_the_tag_moves_up_returns_to_the_base_which_is_found() {
                after_a_patch_of_some_up_returns_to_the_base(&Compose::two());
            }
        }
    };
}

of_both! {
    what_a_service_needs_is_patched_before_it_and_everything_stays,
    after_a_rollback_by_hand_up_recreates_nothing_and_down_up_gives_the_old_version,
    after_a_patch_was_taken_back_up_recreates_nothing,
    what_was_recreated_on_the_base_is_found_first_and_patched_again,
    where_the_tag_is_kept_up_recreates_nothing_and_down_up_gives_the_base,
    after_a_rollback_of_some_up_brings_the_patched_image_again,
    once_nothing_is_left_of_the_way_back_up_does_the_same,
    who_waits_for_a_service_that_has_ended_is_patched_without_it,
    every_replica_of_a_service_that_was_scaled_up_is_patched,
}

/// Networks with the names on them, and mounts, of every container.
fn settings(project: &Project) -> BTreeMap<String, Value> {
    let of = |container: &Container| {
        let networks = container.inspect["NetworkSettings"]["Networks"].as_object().unwrap();
        let names = networks.iter().map(|(network, endpoint)| {
            let names = endpoint["Aliases"].as_array().into_iter().flatten();
            let mut names: Vec<&str> =
                names.filter_map(Value::as_str).filter(|name| !container.id.starts_with(name)).collect();
            names.sort_unstable();
            (network.clone(), names.into())
        });
        let mut mounts = container.inspect["Mounts"].as_array().unwrap().clone();
        mounts.sort_by_key(|mount| mount["Destination"].to_string());
        let mounts = mounts.iter().map(|mount| (mount["Source"].clone(), mount["Destination"].clone()));
        serde_json::json!({
            "networks": names.collect::<serde_json::Map<String, Value>>(),
            "mounts": mounts.collect::<Vec<_>>(),
        })
    };
    project.containers().iter().map(|(place, container)| (place.clone(), of(container))).collect()
}

/// Service and number of a wave's targets.
fn places_of(wave: &Value) -> Vec<&str> {
    let ids = wave["targets"].as_array().unwrap().iter().filter_map(Value::as_str);
    ids.filter_map(|id| id.splitn(3, '/').nth(2)).collect()
}

//! What must be true after a rollout that died on the way and was resumed.

use std::collections::BTreeSet;

use patchyard_e2e_tests::Service;
use patchyard_types::RolloutId;
use serde_json::Value;

use super::BAD;
use super::place::{Watched, Yard};

/// Good patches are in place and bad ones are not, or nothing ever began; nothing was done twice, and
/// nothing is left that nobody needs.
///
/// A controller that died when all was over but the housekeeping leaves that to `gc`: nobody resumes.
pub(super) fn ended_well(yard: &Yard<'_>, died_after_the_end: bool) {
    let Yard { scenario, services, controller, .. } = yard;
    let events = controller.events();
    let began = events.rollouts() == [RolloutId(1)];
    assert!(began || events.rollouts().is_empty(), "{:?}", events.rollouts());
    for (service, (case, _)) in services.iter().zip(scenario.services) {
        let patched = began && case != BAD;
        assert_eq!(service.answer().unwrap(), if patched { "lab-web 1.1\n" } else { "lab-web 1.0\n" });
    }
    for (guest, service) in yard.guests.iter().zip(services) {
        guest.lives_with(service);
    }
    if began {
        its_state_is_right(yard);
    }
    events.nothing_was_done_twice();
    controller.run(["audit", "verify"]).expect(0);
    let mut left_copies = 0;
    for host in &yard.hosts {
        no_container_was_treated_twice(host);
        let now = host.engine.objects();
        assert_eq!(now.containers, host.before.containers, "no container is left over");
        let (copies, volumes): (BTreeSet<_>, BTreeSet<_>) =
            now.volumes.into_iter().partition(|name| is_copy(name));
        assert_eq!(volumes, host.before.volumes, "no volume is left over, none is lost");
        left_copies += copies.len();
    }
    if died_after_the_end {
        controller.run(["gc", "--yes"]).expect(0);
    }
    let snapshots = controller.run(["snapshots", "--json"]).expect(0).json("patchyard.snapshots/v1");
    let snapshots = snapshots["snapshots"].as_array().expect("a list").as_slice();
    let kept = snapshots.iter().flat_map(|snapshot| snapshot["volumes"].as_array().into_iter().flatten());
    assert_eq!(left_copies, kept.count(), "copies of volumes are kept with their snapshots, and no others");
    for host in &yard.hosts {
        let needed = needed(services, host, snapshots);
        // An image whose tag has moved on is not new.
        let is_known = |object: &str| {
            let id = object.rsplit(' ').next().unwrap_or_default();
            object.contains(":<none> ") && host.before.images.iter().any(|image| image.ends_with(id))
        };
        let is_needed = |object: &String| {
            let is_there_for_it = needed.iter().any(|id| object.ends_with(id.as_str()));
            object.starts_with("image ") && (is_there_for_it || is_known(object))
        };
        let mut left = host.engine.objects().since(&host.before);
        // The copies of volumes have been counted.
        left.retain(|object| !is_needed(object) && !is_copy(object));
        assert!(left.is_empty(), "left behind: {left:#?}");
    }
    let moves = std::fs::read_dir(controller.state().join("transfer")).into_iter().flatten();
    let moves: Vec<_> = moves.flatten().map(|entry| entry.path()).collect();
    assert!(moves.is_empty(), "left behind: {moves:#?}");
    if scenario.writes {
        let of_it = |snapshot: &&Value| snapshot["name"].as_str() == Some(services[0].name());
        snapshots.iter().filter(of_it).for_each(|snapshot| holds_what_was_written(yard, snapshot));
        let written = format!("{}:/srv/{}", services[0].name(), Yard::WRITTEN);
        let has_it = yard.hosts[0].engine.try_docker(["cp", &written, "-"]).status.success();
        assert_eq!(has_it, scenario.carries || !began, "what it wrote is carried, or lost as the plan says");
    }
}

fn its_state_is_right(yard: &Yard<'_>) {
    let Yard { scenario, services, controller, .. } = yard;
    let status = controller.run(["status", "--json", "R1"]).json("patchyard.rollout/v1");
    assert_eq!(status["state"], if scenario.is_bad() { "partly" } else { "succeeded" }, "{status:#}");
    for (service, (case, _)) in services.iter().zip(scenario.services) {
        let expected = if case == BAD { "rolled_back" } else { "succeeded" };
        let runs = status["runs"].as_array().expect("runs");
        let run = runs.iter().find(|run| run["name"] == service.name()).expect("a run of every service");
        assert_eq!(run["state"], expected, "{status:#}");
    }
    assert_eq!(controller.quarantine().len(), usize::from(scenario.is_bad()));
    if yard.hosts.len() > 1 {
        // Every build has an id of its own.
        let [one, other] = services.each_ref().map(|service| service.inspect()["Image"].clone());
        assert_eq!(one, other, "the image was built twice, not moved");
    }
}

/// The engine tells it itself: every replacement was created once; no container was started or ended
/// twice.
fn no_container_was_treated_twice(host: &Watched<'_>) {
    let counted = host.witness.counted();
    // What copies volumes begins anew.
    let is_replacement = |what: &str| what.ends_with("-new") || what.ends_with("-new-1");
    let is_replaced =
        |what: &str| !what.ends_with("-volume") && (!what.starts_with("create ") || is_replacement(what));
    let twice: Vec<_> = counted.iter().filter(|(what, times)| is_replaced(what) && **times > 1).collect();
    assert!(twice.is_empty(), "more than once: {twice:#?} of {counted:#?}");
}

/// The images that the services of a host run, with their bases, and what snapshots keep.
fn needed(services: &[Service], host: &Watched<'_>, snapshots: &[Value]) -> BTreeSet<String> {
    let mut needed = BTreeSet::new();
    let mut need = |id: &Value| needed.extend(id.as_str().map(str::to_owned));
    for service in services.iter().filter(|service| service.engine().host() == host.engine.host()) {
        let image = service.inspect()["Image"].clone();
        let inspected = host.engine.inspect("image", image.as_str().expect("an id"));
        need(&inspected["Config"]["Labels"]["io.patchyard.base"]);
        need(&image);
    }
    for snapshot in snapshots {
        need(&snapshot["image"]);
        need(&snapshot["base_image"]);
    }
    needed
}

/// Whether this is a volume that holds the copy of another one.
fn is_copy(name: &str) -> bool {
    name.contains("patchyard-") && name.contains("-save-")
}

/// What the service wrote is in its snapshot.
fn holds_what_was_written(yard: &Yard<'_>, snapshot: &Value) {
    assert_eq!(snapshot["own_layer"], true, "{snapshot:#}");
    let (engine, image) = (yard.hosts[0].engine, snapshot["image"].as_str().expect("an id"));
    let container = format!("{}-look", yard.services[0].name());
    engine.docker(["create", "--name", &container, image]);
    let file = engine.docker(["cp", &format!("{container}:/srv/{}", Yard::WRITTEN), "-"]);
    engine.docker(["rm", "-v", &container]);
    assert!(file.contains("since the plan"), "it is not in the snapshot: {snapshot:#}");
}

//! `kill -9` at every moment of a rollout: `resume` brings it to its right end, leaves nothing behind
//! and does nothing twice.
//!
//! The first run of a scenario lists its points; every other run dies at one of them. `./test` takes a
//! sample, `./test --slow` (PATCHYARD_SLOW=1) takes them all.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod ending;
mod machine;
mod place;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;

use patchyard_e2e_tests::crash::{AT, LIST};
use patchyard_e2e_tests::{in_parallel, slow};
use patchyard_types::{Order, SwapStep};

use ending::ended_well;
use place::{Place, Yard};

/// How far into the long effects one dies as well, in milliseconds.
const DEEPER: [(&str, &[u32]); 5] = [
    ("prepare", &[60, 700, 2500]),
    ("stop", &[40]),
    ("carry", &[20, 60]),
    ("snapshot", &[40, 150]),
    ("copy", &[40, 150, 400]),
];

/// How long after a remark on a long effect one dies as well, in milliseconds.
const LATER: u32 = 40;

/// A rollout of two services.
struct Scenario {
    method: &'static str,
    defaults: &'static str,
    /// The lab's cases, one service each, and the host that it is on.
    services: [(&'static str, usize); 2],
    /// Whether a service writes something of its own after the plan: its snapshot has a layer then.
    writes: bool,
    /// Points that there must be, besides those of the steps; the beginnings of their names, without
    /// the run's.
    points: &'static [&'static str],
    /// Whether a point is worth dying at here.
    counts: fn(&str) -> bool,
    /// Whether what it writes is carried into the new container.
    carries: bool,
    /// Whether volumes are saved, and restored on the way back.
    saves: bool,
    /// Whether somebody lives in the network of each service.
    guests: bool,
    /// Which comes first. Started first, it is drained, too.
    order: Order,
    /// How many points `./test` takes, spread over the whole.
    sample: usize,
    /// The points that `./test` takes in any case.
    always: &'static [&'static str],
}

/// A patch that is found bad after the swap.
const BAD: &str = "http-500";

impl Scenario {
    fn is_bad(&self) -> bool {
        self.services.iter().any(|(case, _)| *case == BAD)
    }

    /// How `apply` and `resume` exit in the end.
    fn exit(&self) -> i32 {
        if self.is_bad() { 5 } else { 0 }
    }

    /// Every point, in the order in which they are met.
    fn points(&self, place: &Place) -> Vec<String> {
        let mut yard = Yard::new(self, place);
        let list = tempfile::NamedTempFile::new().unwrap();
        yard.controller = yard.controller.with(LIST, list.path());
        yard.controller.run(["apply", "--yes", "--json", "--plan", &yard.plan]).expect(self.exit());
        let points = std::fs::read_to_string(list.path()).unwrap().lines().map(str::to_owned).collect();
        ended_well(&yard, false);
        points
    }

    /// Dies at a point, resumes, and looks at what came of it.
    fn dies_at(&self, place: &Place, point: &str) {
        let mut yard = Yard::new(self, place);
        yard.controller = yard.controller.with(AT, point);
        let apply = yard.controller.run(["apply", "--yes", "--json", "--plan", &yard.plan]);
        assert_eq!(apply.code(), None, "it did not die at '{point}': {apply}");
        yard.controller = yard.controller.with(AT, "nowhere");
        let rollouts = yard.controller.run(["status", "--json"]).expect(0).json("patchyard.status/v1");
        let is_open = rollouts["rollouts"].as_array().is_some_and(|open| !open.is_empty());
        if is_open {
            yard.controller.run(["resume", "--yes", "--json"]).expect(self.exit());
        }
        ended_well(&yard, !is_open);
    }

    /// A new step that nobody dies in is a step that nobody has tried to resume.
    fn has_its_points(&self, points: &[String]) {
        // An outcome and the intent that follows at once are written together: after the intent, that is.
        let places = ["intent", "middle", "effect"];
        let has = |step: &&SwapStep| match step {
            SwapStep::Drain => self.order == Order::StartFirst,
            SwapStep::Save => self.saves,
            SwapStep::Fill => false,
            SwapStep::Carry => self.carries,
            _ => true,
        };
        let all = || SwapStep::in_order(self.order).iter().filter(has);
        // Nothing that comes after a failed check has begun.
        let begun = SwapStep::in_order(self.order).iter().take_while(|step| **step != SwapStep::Verify);
        let begun: Vec<_> = begun.collect();
        let is_undone =
            |step: &SwapStep| self.is_bad() && !NEVER_UNDONE.contains(step) && begun.contains(&step);
        let steps = all().map(SwapStep::to_string);
        let undos = all().filter(|step| is_undone(step)).map(|step| format!("undo {step}"));
        let of_steps = steps.chain(undos).flat_map(|step| places.map(|place| format!("{place} {step}")));
        for wanted in of_steps.chain(self.points.iter().map(|&point| point.to_owned())) {
            assert!(points.iter().any(|point| is_of(point, &wanted)), "no point '{wanted}' in {points:#?}");
        }
    }

    /// All of them, or some that are spread over the whole; and deeper into what takes long.
    fn chosen(&self, points: &[String]) -> Vec<String> {
        let points: Vec<&String> = points.iter().filter(|point| (self.counts)(point)).collect();
        if slow() {
            let deeper = points.iter().flat_map(|point| deeper(point));
            return points.iter().copied().cloned().chain(deeper).collect();
        }
        let step = points.len().div_ceil(self.sample.max(1));
        let spread = points.iter().skip(step / 2).step_by(step).take(self.sample).copied().cloned();
        let always = self.always.iter().map(|wanted| {
            let (name, after) = wanted.split_once('@').unwrap_or((wanted, "0"));
            let found = points.iter().rfind(|point| is_of(point, name));
            format!("{}@{after}", found.unwrap_or_else(|| panic!("no point '{wanted}'")))
        });
        spread.chain(always).collect()
    }
}

/// Steps whose undo is no part of the way back from a failed check.
const NEVER_UNDONE: [SwapStep; 2] = [SwapStep::Prepare, SwapStep::Carry];

/// Whether a point has this name, whatever run or stream it is of.
fn is_of(point: &str, name: &str) -> bool {
    point == name || point.split_once(' ').is_some_and(|(_, rest)| rest == name)
}

/// The later moments of what takes long.
fn deeper(point: &str) -> Vec<String> {
    let later: &[u32] = if point.contains(" note ") {
        &[LATER]
    } else {
        let long = DEEPER.iter().find(|(step, _)| is_of(point, &format!("middle {step}")));
        long.map_or(&[], |(_, later)| later)
    };
    later.iter().map(|ms| format!("{point}@{ms}")).collect()
}

/// How many plays at a time: mostly they wait.
fn places() -> usize {
    if slow() { 3 } else { 2 }
}

fn die_at_every_chosen_point(scenario: &Scenario) {
    let first = Place::new(scenario);
    let points = scenario.points(&first);
    first.clear();
    scenario.has_its_points(&points);
    let chosen = scenario.chosen(&points);
    eprintln!("{} points, and {} times death", points.len(), chosen.len());
    // What is left on an engine is counted, and a tag in the registry moves: one play at a time in a
    // place.
    let places = std::iter::once(first).chain((1..places()).map(|_| Place::new(scenario)));
    let places: Vec<Place> = places.collect();
    let free = Mutex::new(places.iter().collect::<Vec<_>>());
    in_parallel(
        places.len(),
        &chosen,
        |point| format!("died at '{point}'"),
        |point| {
            let place = free.lock().unwrap().pop().expect("as many places as threads");
            let played = catch_unwind(AssertUnwindSafe(|| scenario.dies_at(place, point)));
            place.clear();
            free.lock().unwrap().push(place);
            if let Err(panic) = played {
                resume_unwind(panic);
            }
        },
    );
}

#[test]
fn a_rollout_of_layers_survives_a_crash_at_any_moment() {
    die_at_every_chosen_point(&Scenario {
        method: "layer",
        defaults: "writable_layer: carry, data: restore",
        services: [("good", 0), (BAD, 0)],
        writes: true,
        points: &[
            "note starting a builder",
            "note uploading packages",
            "note installing package",
            "note committing the layer",
            "note saving volumes",
            "note restoring volumes",
            "note carrying the writable layer",
            "note keeping the writable layer",
            "before intent tag",
            "after intent tag",
            "middle tag",
            "before outcome tag",
            "after outcome tag",
        ],
        carries: true,
        saves: true,
        guests: false,
        order: Order::StopFirst,
        counts: |_| true,
        sample: 1,
        always: &[
            "note committing the layer@40",
            "note saving volumes@300",
            "effect save",
            "note restoring volumes@300",
            "effect undo save",
            "middle carry@20",
            "note carrying the writable layer@20",
            "effect carry",
            "note keeping the writable layer@40",
            // Whose doing a failed check is must not be forgotten by a driver that dies while it looks.
            "intent verify",
        ],
    });
}

#[test]
fn a_rollout_of_images_that_keeps_no_snapshot_survives_a_crash_at_any_moment() {
    die_at_every_chosen_point(&Scenario {
        method: "image",
        defaults: "retention: { keep_for: 1ms, keep_last: 0 }",
        services: [("good", 0), (BAD, 0)],
        writes: true,
        points: &[
            "note pulling",
            "note keeping the writable layer",
            "before intent prune",
            "after intent prune",
            "middle prune",
            "before outcome prune",
            "after outcome prune",
        ],
        carries: false,
        saves: false,
        guests: false,
        order: Order::StopFirst,
        counts: |_| true,
        sample: 1,
        // The first of several removals is done: the others must still be known for ours.
        always: &["note pulling@10", "middle prune", "before collect", "after collect"],
    });
}

#[test]
fn a_layer_on_its_way_to_a_second_host_survives_a_crash_at_any_moment() {
    die_at_every_chosen_point(&Scenario {
        method: "layer",
        // The image is the lab's own.
        defaults: "tag: keep",
        services: [("good", 0), ("good", 1)],
        writes: false,
        points: &[
            "note fetching the patched image from the host that built it",
            "middle copy",
            "note loading the patched image",
        ],
        // What one host does alone, the layers have shown.
        carries: false,
        saves: false,
        guests: false,
        order: Order::StopFirst,
        counts: |point| {
            let of_second = point.starts_with("R1.2 ");
            is_of(point, "middle copy")
                || of_second && (point.ends_with(" prepare") || point.contains(" note "))
                || of_second && point.ends_with(" start")
        },
        sample: 0,
        always: &["middle copy@40", "note loading the patched image@40"],
    });
}

#[test]
fn a_rollout_with_dependents_survives_a_crash_at_any_moment() {
    die_at_every_chosen_point(&Scenario {
        method: "layer",
        defaults: "tag: keep",
        services: [("good", 0), (BAD, 0)],
        writes: false,
        points: &[],
        carries: false,
        saves: false,
        guests: true,
        order: Order::StopFirst,
        counts: |_| true,
        sample: 1,
        // Between one container and the next.
        always: &[
            "middle create@40",
            "middle stop@20",
            "middle hold@10",
            "middle rename@10",
            "middle start@150",
            "middle retire@10",
            "middle undo start@40",
            "middle undo stop@150",
            "effect undo create",
        ],
    });
}

#[test]
fn a_rollout_that_is_started_first_survives_a_crash_at_any_moment() {
    die_at_every_chosen_point(&Scenario {
        method: "layer",
        defaults: "order: start-first, drain: { command: ['true'], wait: 300ms }",
        services: [("good", 0), (BAD, 0)],
        writes: true,
        points: &["note draining", "note draining the replacement"],
        carries: false,
        saves: false,
        guests: false,
        order: Order::StartFirst,
        counts: |_| true,
        sample: 1,
        // Both run, and only the names tell who serves.
        always: &["middle rename", "note draining@100", "effect stop", "note draining the replacement@100"],
    });
}

//! `kill -9` at every moment of a rollout: `resume` brings it to its right end, leaves nothing behind
//! and does nothing twice.
//!
//! The first run of a scenario lists its points; every other run dies at one of them. `./test` takes a
//! sample, `./test --slow` (PATCHYARD_SLOW=1) takes them all.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;

use patchyard_e2e_tests::crash::{AT, LIST};
use patchyard_e2e_tests::{
    Controller, Engine, Objects, PrivateEngine, Registry, Service, ServiceOptions, in_parallel, slow,
};
use patchyard_types::{RolloutId, SwapStep};

/// How many points `./test` takes of a scenario.
const SAMPLE: usize = 6;

/// How far into the long effects one dies as well, in milliseconds.
const DEEPER: [u32; 3] = [60, 700, 2500];

/// A rollout of two services, one of which is rolled back.
struct Scenario {
    method: &'static str,
    defaults: &'static str,
}

/// Where a scenario is played, again and again: what is left on the engine is counted, and a tag in the
/// registry moves, so there is one play at a time.
struct Place {
    engine: PrivateEngine,
    registry: Option<Registry>,
}

impl Place {
    fn new(scenario: &Scenario) -> Self {
        let engine = PrivateEngine::start();
        let registry = (scenario.method == "image").then(|| Registry::start(true));
        if registry.is_none() {
            engine.load(&CASES.map(|case| format!("patchyard-lab/web-{case}:1")));
        }
        Self { engine, registry }
    }

    fn service(&self, case: &str) -> Service {
        let Some(registry) = &self.registry else {
            return Service::start(&self.engine, &format!("web-{case}"));
        };
        let reference = registry.reference(case);
        registry.push(case, "1.0");
        let mut pull = self.engine.command(["pull", "-q", &reference]);
        assert!(pull.env("DOCKER_CONFIG", registry.docker_config()).output().unwrap().status.success());
        registry.push(case, "1.1");
        let options = ServiceOptions { as_it_is: true, ..Default::default() };
        Service::start_with(&self.engine, &reference, &options)
    }
}

/// A patch that is good, and one that is found bad after the swap.
const CASES: [&str; 2] = ["good", "http-500"];

struct Yard {
    services: [Service; 2],
    controller: Controller,
    plan: String,
    before: Objects,
}

impl Scenario {
    fn yard(&self, place: &Place) -> Yard {
        let services = CASES.map(|case| place.service(case));
        let mut controller = Controller::new(&place.engine)
            .with_binary(env!("CARGO_BIN_EXE_patchyard-that-crashes"))
            .with_defaults(&format!(
                "verify_for: 1s, max_parallel: 1, timeouts: {{ healthy: 5s }}, {}",
                self.defaults
            ));
        if let Some(registry) = &place.registry {
            controller = controller.with("DOCKER_CONFIG", registry.docker_config());
        }
        let names = services.iter().map(Service::name);
        let plan =
            controller.run(["plan", "--json", "--method", self.method].into_iter().chain(names)).expect(0);
        let plan = plan.json("patchyard.plan/v1");
        assert_eq!(plan["actions"].as_array().map(Vec::len), Some(2), "{plan:#}");
        let plan = plan["digest"].as_str().unwrap().to_owned();
        Yard { services, controller, plan, before: place.engine.objects() }
    }

    /// Every point of the scenario, in the order in which they are met.
    fn points(&self, place: &Place) -> Vec<String> {
        let yard = self.yard(place);
        let list = tempfile::NamedTempFile::new().unwrap();
        let Yard { services, controller, plan, before } = yard;
        let controller = controller.with(LIST, list.path());
        controller.run(["apply", "--yes", "--json", "--plan", &plan]).expect(5);
        let points = std::fs::read_to_string(list.path()).unwrap().lines().map(str::to_owned).collect();
        ended_well(&Yard { services, controller, plan, before }, &place.engine);
        points
    }

    /// Dies at a point, resumes, and looks at what came of it.
    fn dies_at(&self, place: &Place, point: &str) {
        let Yard { services, controller, plan, before } = self.yard(place);
        let controller = controller.with(AT, point);
        let apply = controller.run(["apply", "--yes", "--json", "--plan", &plan]);
        assert_eq!(apply.code(), None, "it did not die at '{point}': {apply}");
        let controller = controller.with(AT, "nowhere");
        let yard = Yard { services, controller, plan, before };
        let rollouts = yard.controller.run(["status", "--json"]).expect(0).json("patchyard.status/v1");
        if rollouts["rollouts"].as_array().is_some_and(|open| !open.is_empty()) {
            let resumed = yard.controller.run(["resume", "--yes", "--json"]);
            assert!(matches!(resumed.code(), Some(0 | 5)), "after '{point}': {resumed}");
        }
        ended_well(&yard, &place.engine);
    }
}

/// The good patch is in place and the bad one is not, or nothing ever began.
fn ended_well(yard: &Yard, engine: &Engine) {
    let Yard { services, controller, before, .. } = yard;
    let events = controller.events();
    let began = !events.rollouts().is_empty();
    let expected = if began { ["lab-web 1.1\n", "lab-web 1.0\n"] } else { ["lab-web 1.0\n"; 2] };
    assert_eq!(services.each_ref().map(|service| service.answer().unwrap()), expected);
    if began {
        let status = controller.run(["status", "--json", "R1"]).json("patchyard.rollout/v1");
        assert_eq!(status["state"], "partly", "{status:#}");
        let states: Vec<_> = services.iter().map(|service| state_of(&status, service)).collect();
        assert_eq!(states, ["succeeded", "rolled_back"], "{status:#}");
        assert_eq!(controller.quarantine().len(), 1);
    }
    assert_eq!(events.rollouts().iter().filter(|id| **id != RolloutId(1)).count(), 0);
    events.nothing_was_done_twice();
    controller.run(["audit", "verify"]).expect(0);

    let containers = engine.objects().containers;
    assert_eq!(containers, before.containers, "no container is left over");
    controller.run(["gc", "--yes"]).expect(0);
    let left: Vec<String> = engine
        .objects()
        .since(before)
        .into_iter()
        .filter(|object| !is_accounted_for(yard, engine, object))
        .collect();
    assert!(left.is_empty(), "left behind: {left:#?}");
}

fn state_of(status: &serde_json::Value, service: &Service) -> String {
    let runs = status["runs"].as_array().expect("runs");
    let run = runs.iter().find(|run| run["target"].as_str() == Some(service.name()));
    run.and_then(|run| run["state"].as_str()).unwrap_or_default().to_owned()
}

/// The image that a service runs now, with its base, and what `snapshots` lists.
fn is_accounted_for(yard: &Yard, engine: &Engine, object: &str) -> bool {
    let mut needed: BTreeSet<String> = BTreeSet::new();
    for service in &yard.services {
        let image = service.inspect()["Image"].as_str().unwrap().to_owned();
        let base = engine.inspect("image", &image)["Config"]["Labels"]["io.patchyard.base"].clone();
        needed.extend(base.as_str().map(str::to_owned));
        needed.insert(image);
    }
    let snapshots = yard.controller.run(["snapshots", "--json"]).expect(0).json("patchyard.snapshots/v1");
    for snapshot in snapshots["snapshots"].as_array().expect("a list") {
        needed.extend(snapshot["image"].as_str().map(str::to_owned));
    }
    needed.iter().any(|id| object.starts_with("image ") && object.ends_with(id.as_str()))
}

/// A new step that nobody dies in is a step that nobody has tried to resume.
fn every_step_has_its_points(points: &[String]) {
    let has = |name: &str| points.iter().any(|point| point.ends_with(&format!(" {name}")));
    let undone = [
        SwapStep::Start,
        SwapStep::Rename,
        SwapStep::Hold,
        SwapStep::Stop,
        SwapStep::Create,
        SwapStep::Preflight,
    ];
    let steps = SwapStep::ALL.map(|step| step.to_string());
    let undos = undone.map(|step| format!("undo {step}"));
    for step in steps.iter().chain(&undos) {
        for place in ["decided", "intent", "middle", "effect", "outcome"] {
            assert!(has(&format!("{place} {step}")), "no point '{place} {step}' among {points:#?}");
        }
    }
    for tag in ["after intent tag", "middle tag", "before outcome tag", "after outcome tag"] {
        assert!(points.iter().any(|point| point.ends_with(tag)), "no point '{tag}' among {points:#?}");
    }
}

/// All of them, or some that are spread over the whole; and deeper into what takes long.
fn chosen(points: &[String]) -> Vec<String> {
    if !slow() {
        eprintln!("{SAMPLE} of {} points: PATCHYARD_SLOW=1 takes them all", points.len());
        let step = points.len().div_ceil(SAMPLE);
        return points.iter().skip(step / 2).step_by(step).cloned().collect();
    }
    let long = |point: &&String| {
        ["prepare", "stop", "snapshot"].iter().any(|step| point.ends_with(&format!("middle {step}")))
    };
    let deeper = points.iter().filter(long).flat_map(|point| DEEPER.map(|ms| format!("{point}@{ms}")));
    points.iter().cloned().chain(deeper).collect()
}

fn die_at_every_chosen_point(scenario: &Scenario) {
    let places = [Place::new(scenario), Place::new(scenario)];
    let points = scenario.points(&places[0]);
    every_step_has_its_points(&points);
    let free = Mutex::new(places.iter().collect::<Vec<_>>());
    in_parallel(
        places.len(),
        &chosen(&points),
        |point| format!("died at '{point}'"),
        |point| {
            let place = free.lock().unwrap().pop().expect("as many places as threads");
            let played = catch_unwind(AssertUnwindSafe(|| scenario.dies_at(place, point)));
            free.lock().unwrap().push(place);
            if let Err(panic) = played {
                resume_unwind(panic);
            }
        },
    );
}

#[test]
fn a_rollout_of_layers_survives_a_crash_at_any_moment() {
    if !slow() {
        eprintln!("not run: it takes minutes; PATCHYARD_SLOW=1 runs it");
        return;
    }
    die_at_every_chosen_point(&Scenario { method: "layer", defaults: "tag: move" });
}

#[test]
fn a_rollout_of_images_that_keeps_no_snapshot_survives_a_crash_at_any_moment() {
    if !slow() {
        eprintln!("not run: PATCHYARD_SLOW=1 runs it");
        return;
    }
    let defaults = "retention: { keep_for: 1ms, keep_last: 0 }";
    die_at_every_chosen_point(&Scenario { method: "image", defaults });
}

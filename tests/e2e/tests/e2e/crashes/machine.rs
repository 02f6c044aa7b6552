//! `kill -9` at every moment of a rollout of a machine that somebody keeps: a good patch, one that is put back by its
//! packages, and one that only its disks put back. Whoever is taken up then finds the machine wherever it was left: also
//! powered off.

use patchyard_e2e_tests::crash::{AT, LIST};
use patchyard_e2e_tests::{Controller, Inside as _, Kept as _, SystemContainer, in_parallel, slow};

use super::is_of;

const DEFAULTS: &str = "verify_for: 1s, timeouts: { step: 10m, healthy: 30s }";

/// A rollout of one machine.
struct Scenario {
    /// The package that is patched.
    package: &'static str,
    /// Whether apt takes no transaction after the first.
    is_stuck: bool,
    /// How `apply` and `resume` exit in the end.
    exit: i32,
    /// What is installed in the end.
    version: &'static str,
    /// How many snapshots there are in the end.
    saved: usize,
    /// Steps that there must be points in.
    steps: &'static [&'static str],
    /// The points that `./test` dies at; `--slow` takes them all.
    always: &'static [&'static str],
}

/// A machine that is as it was before each play.
struct Place(SystemContainer);

impl Place {
    fn new(scenario: &Scenario) -> Self {
        let container = SystemContainer::start(&[scenario.package]);
        container.lxc(&["config", "set", "guest", "user.io.patchyard.exclude=true"]);
        if scenario.is_stuck {
            container.take_one_transaction_only();
        }
        container.keep_as_it_is();
        Self(container)
    }

    /// Rolls out to the end, or to wherever `name` in the environment says.
    fn apply(&self, name: &str, value: &str) -> (Controller, Option<i32>) {
        self.0.as_it_was();
        let controller = self.0.controller(DEFAULTS);
        let controller =
            controller.with_binary(env!("CARGO_BIN_EXE_patchyard-that-crashes")).with(name, value);
        let apply = controller.run(["apply", "--yes", "--json"]);
        (controller, apply.code())
    }

    fn ended_well(&self, scenario: &Scenario) {
        assert_eq!(self.0.version(scenario.package), format!("{} installed", scenario.version));
        assert_eq!(self.0.saved().len(), scenario.saved, "{:?}", self.0.saved());
        assert_eq!(self.0.sh("ls -A /var/lib/patchyard; ls -A /root/stuck 2>/dev/null || true"), "");
    }

    fn points(&self, scenario: &Scenario) -> Vec<String> {
        let list = tempfile::NamedTempFile::new().unwrap();
        let (_, code) = self.apply(LIST, list.path().to_str().unwrap());
        assert_eq!(code, Some(scenario.exit));
        self.ended_well(scenario);
        std::fs::read_to_string(list.path()).unwrap().lines().map(str::to_owned).collect()
    }

    fn dies_at(&self, scenario: &Scenario, point: &str) {
        let (controller, code) = self.apply(AT, point);
        assert_eq!(code, None, "it did not die at '{point}'");
        let controller = controller.with(AT, "nowhere");
        let rollouts = controller.run(["status", "--json"]).expect(0).json("patchyard.status/v1");
        if rollouts["rollouts"].as_array().is_some_and(|open| !open.is_empty()) {
            controller.run(["resume", "--yes", "--json"]).expect(scenario.exit);
        } else if self.0.version(scenario.package) != format!("{} installed", scenario.version) {
            // It had not begun.
            controller.run(["apply", "--yes", "--json"]).expect(scenario.exit);
        }
        // What its end would have removed is removed now.
        controller.run(["gc"]).expect(0);
        self.ended_well(scenario);
    }
}

fn die_at_every_chosen_point(scenario: &Scenario) {
    let place = Place::new(scenario);
    let points = place.points(scenario);
    for wanted in
        scenario.steps.iter().flat_map(|step| ["intent", "middle", "effect"].map(|at| format!("{at} {step}")))
    {
        assert!(points.iter().any(|point| is_of(point, &wanted)), "no point '{wanted}' in {points:#?}");
    }
    let always = scenario.always.iter().map(|wanted| {
        let (name, after) = wanted.split_once('@').unwrap_or((wanted, "0"));
        let found = points.iter().rfind(|point| is_of(point, name));
        format!("{}@{after}", found.unwrap_or_else(|| panic!("no point '{wanted}' in {points:#?}")))
    });
    let mut chosen: Vec<String> = always.collect();
    if slow() {
        chosen.extend(points.iter().cloned());
    }
    in_parallel(1, &chosen, |point| format!("died at '{point}'"), |point| place.dies_at(scenario, point));
}

#[test]
fn a_rollout_of_a_machine_that_only_its_disks_put_back_survives_a_crash_at_any_moment() {
    die_at_every_chosen_point(&Scenario {
        package: "lab-broken",
        is_stuck: true,
        exit: 5,
        version: "1.0",
        saved: 0,
        steps: &["prepare", "preflight", "save", "install", "undo install", "undo save", "undo preflight"],
        // Powered off; put back, and the snapshot still there.
        always: &["middle undo save@300", "middle undo save@1500"],
    });
}

#[test]
fn a_rollout_of_a_machine_survives_a_crash_at_any_moment() {
    die_at_every_chosen_point(&Scenario {
        package: "lab-tool",
        is_stuck: false,
        exit: 0,
        version: "1.2",
        saved: 1,
        steps: &["prepare", "preflight", "save", "install", "restart", "verify", "snapshot"],
        always: &["middle save@100"],
    });
}

#[test]
fn a_rollout_of_a_machine_that_its_packages_put_back_survives_a_crash_at_any_moment() {
    die_at_every_chosen_point(&Scenario {
        package: "lab-broken",
        is_stuck: false,
        exit: 5,
        version: "1.0",
        saved: 0,
        steps: &["undo install", "undo save", "undo preflight"],
        always: &["effect undo install"],
    });
}

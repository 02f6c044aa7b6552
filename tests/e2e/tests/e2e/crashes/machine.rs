//! `kill -9` at every moment of a rollout of a machine that somebody keeps: a good patch, one that is put back by its
//! packages, and one that only its disks put back. Whoever is taken up then finds the machine wherever it was left: also
//! powered off. A virtual machine takes its time, and dies at some moments only.

use std::cell::RefCell;

use patchyard_e2e_tests::crash::{AT, LIST};
use patchyard_e2e_tests::{Controller, Kept, SystemContainer, VirtualMachine, one_after_the_other, slow};

use super::is_of;

/// A machine that one may have as it was, again and again.
trait Again: Kept {
    /// As it was, with a package that is not held.
    fn as_it_was(&mut self, package: &str);
    fn controller(&self) -> Controller;
}

impl Again for SystemContainer {
    /// It was started with that package.
    fn as_it_was(&mut self, _: &str) {
        SystemContainer::as_it_was(self);
    }

    fn controller(&self) -> Controller {
        SystemContainer::controller(self, "verify_for: 1s, timeouts: { step: 10m, healthy: 30s }")
    }
}

impl Again for VirtualMachine {
    fn as_it_was(&mut self, package: &str) {
        self.begin_anew(&[package]);
    }

    fn controller(&self) -> Controller {
        VirtualMachine::controller(self, "verify_for: 1s, timeouts: { ask: 10m, step: 30m, healthy: 2m }")
    }
}

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
    /// The points that `./test` dies at; `--slow` takes them all on a system container.
    always: &'static [&'static str],
    /// Those that a virtual machine dies at.
    of_virtual: &'static [&'static str],
}

/// A machine that is as it was before each play.
struct Place<'a>(RefCell<&'a mut dyn Again>);

impl Place<'_> {
    /// Rolls out to the end, or to wherever `name` in the environment says.
    fn apply(&self, scenario: &Scenario, name: &str, value: &str) -> (Controller, Option<i32>) {
        let mut machine = self.0.borrow_mut();
        machine.as_it_was(scenario.package);
        if scenario.is_stuck {
            machine.take_one_transaction_only();
        }
        let controller = machine.controller();
        let controller =
            controller.with_binary(env!("CARGO_BIN_EXE_patchyard-that-crashes")).with(name, value);
        let apply = controller.run(["apply", "--yes", "--json"]);
        (controller, apply.code())
    }

    fn ended_well(&self, scenario: &Scenario) {
        let machine = self.0.borrow();
        assert_eq!(machine.version(scenario.package), format!("{} installed", scenario.version));
        assert_eq!(machine.saved().len(), scenario.saved, "{:?}", machine.saved());
        assert_eq!(machine.sh("ls -A /var/lib/patchyard; ls -A /root/stuck 2>/dev/null || true"), "");
    }

    fn points(&self, scenario: &Scenario) -> Vec<String> {
        let list = tempfile::NamedTempFile::new().unwrap();
        let (_, code) = self.apply(scenario, LIST, list.path().to_str().unwrap());
        assert_eq!(code, Some(scenario.exit));
        self.ended_well(scenario);
        std::fs::read_to_string(list.path()).unwrap().lines().map(str::to_owned).collect()
    }

    fn dies_at(&self, scenario: &Scenario, point: &str) {
        let (controller, code) = self.apply(scenario, AT, point);
        assert_eq!(code, None, "it did not die at '{point}'");
        let controller = controller.with(AT, "nowhere");
        let rollouts = controller.run(["status", "--json"]).expect(0).json("patchyard.status/v1");
        if rollouts["rollouts"].as_array().is_some_and(|open| !open.is_empty()) {
            controller.run(["resume", "--yes", "--json"]).expect(scenario.exit);
        } else if self.0.borrow().version(scenario.package) != format!("{} installed", scenario.version) {
            // It had not begun.
            controller.run(["apply", "--yes", "--json"]).expect(scenario.exit);
        }
        // What its end would have removed is removed now.
        controller.run(["gc"]).expect(0);
        self.ended_well(scenario);
    }
}

fn die_at_every_chosen_point(scenario: &Scenario) {
    let mut container = SystemContainer::start(&[scenario.package]);
    container.lxc(&["config", "set", "guest", "user.io.patchyard.exclude=true"]);
    container.keep_as_it_is();
    die_at_points_of(&mut container, scenario, scenario.always, slow());
}

fn a_virtual_machine_dies_at_some_points(scenario: &Scenario) {
    if !slow() {
        eprintln!(
            "not run: an emulated machine takes three minutes for each point; PATCHYARD_SLOW=1 runs it"
        );
        return;
    }
    die_at_points_of(&mut VirtualMachine::start(&[]), scenario, scenario.of_virtual, false);
}

fn die_at_points_of(machine: &mut dyn Again, scenario: &Scenario, always: &[&str], all: bool) {
    let place = Place(RefCell::new(machine));
    let points = place.points(scenario);
    for wanted in
        scenario.steps.iter().flat_map(|step| ["intent", "middle", "effect"].map(|at| format!("{at} {step}")))
    {
        assert!(points.iter().any(|point| is_of(point, &wanted)), "no point '{wanted}' in {points:#?}");
    }
    let always = always.iter().map(|wanted| {
        let (name, after) = wanted.split_once('@').unwrap_or((wanted, "0"));
        let found = points.iter().rfind(|point| is_of(point, name));
        format!("{}@{after}", found.unwrap_or_else(|| panic!("no point '{wanted}' in {points:#?}")))
    });
    let mut chosen: Vec<String> = always.collect();
    if all {
        chosen.extend(points.iter().cloned());
    }
    one_after_the_other(
        &chosen,
        |point| format!("died at '{point}'"),
        |point| place.dies_at(scenario, point),
    );
}

const BY_ITS_DISKS: Scenario = Scenario {
    package: "lab-broken",
    is_stuck: true,
    exit: 5,
    version: "1.0",
    saved: 0,
    steps: &["prepare", "preflight", "save", "install", "undo install", "undo save", "undo preflight"],
    // Powered off; put back, and the snapshot still there.
    always: &["middle undo save@300", "middle undo save@1500"],
    of_virtual: &["middle undo save@300", "effect undo save"],
};

const GOOD: Scenario = Scenario {
    package: "lab-tool",
    is_stuck: false,
    exit: 0,
    version: "1.2",
    saved: 1,
    steps: &["prepare", "preflight", "save", "install", "restart", "verify", "snapshot"],
    always: &["middle save@100"],
    of_virtual: &["middle save@100", "middle install@1000"],
};

const BY_ITS_PACKAGES: Scenario = Scenario {
    package: "lab-broken",
    is_stuck: false,
    exit: 5,
    version: "1.0",
    saved: 0,
    steps: &["undo install", "undo save", "undo preflight"],
    always: &["effect undo install"],
    of_virtual: &["middle undo install@1000"],
};

#[test]
fn a_rollout_of_a_machine_that_only_its_disks_put_back_survives_a_crash_at_any_moment() {
    die_at_every_chosen_point(&BY_ITS_DISKS);
}

#[test]
fn a_rollout_of_a_machine_survives_a_crash_at_any_moment() {
    die_at_every_chosen_point(&GOOD);
}

#[test]
fn a_rollout_of_a_machine_that_its_packages_put_back_survives_a_crash_at_any_moment() {
    die_at_every_chosen_point(&BY_ITS_PACKAGES);
}

#[test]
fn a_rollout_of_a_virtual_machine_that_only_its_disks_put_back_survives_a_crash() {
    a_virtual_machine_dies_at_some_points(&BY_ITS_DISKS);
}

#[test]
fn a_rollout_of_a_virtual_machine_survives_a_crash() {
    a_virtual_machine_dies_at_some_points(&GOOD);
}

#[test]
fn a_rollout_of_a_virtual_machine_that_its_packages_put_back_survives_a_crash() {
    a_virtual_machine_dies_at_some_points(&BY_ITS_PACKAGES);
}

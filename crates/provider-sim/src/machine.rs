//! Machines of the simulation: packages that are changed in place, and can be left half done.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use patchyard_contract::{Call, ProviderError};
use patchyard_types::{
    Action, Change, Digest, Direction, DiskSnapshots, FailureKind, Health, HttpAnswer, Image,
    InstalledPackage, Inventory, MachineStep, Millis, Observation, PackageChange, PackageManager, PatchSet,
    PendingPatch, Protocol, Record, RunId, SavedDisks, Snapshot, SnapshotId, Socket, StartingState, Step,
    StepError, Target, TargetId, TargetKind, TargetState,
};

use crate::provider::{Work, failed};
use crate::world::{Behaviour, Effect, World, pending};

/// Who keeps a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// Nobody who could take a snapshot.
    Nobody,
    /// Somebody who takes snapshots.
    Keeper,
    /// Somebody who takes snapshots, of a machine whose packages cannot be put back once they have changed.
    KeeperOfStuck,
    /// Somebody who takes snapshots, of a machine that a patch leaves something on with which the first version does not serve.
    KeeperOfScarred,
}

/// One simulated machine. It has one package, of which the first version is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimMachine {
    /// Its name.
    pub name: String,
    /// Its service.
    pub service: String,
    /// How its patched version behaves.
    pub patched: Behaviour,
    /// The version that is installed.
    pub version: String,
    /// Its package manager was interrupted in the middle of it.
    pub half: bool,
    /// Since when its service runs on this version.
    pub since: Timestamp,
    /// The service runs on files that have been replaced.
    pub stale: bool,
    /// How often it was started anew.
    pub boots: u64,
    /// Somebody else has laid hands on it.
    pub interfered: bool,
    /// Who keeps it.
    pub keeping: Keeping,
    /// A patch has left something on it that no package puts back.
    pub scarred: bool,
    /// The versions that were installed when snapshots of its disks were taken, by run.
    pub saved: BTreeMap<RunId, String>,
}

impl SimMachine {
    fn behaviour(&self) -> Behaviour {
        match (self.version.as_str(), self.scarred) {
            ("1", false) => Behaviour::Good,
            ("1", true) => Behaviour::CrashesAtStart,
            _ => self.patched,
        }
    }

    /// Whether its service runs at a time.
    fn alive(&self, now: Timestamp) -> bool {
        match self.behaviour() {
            Behaviour::CrashesAtStart => false,
            Behaviour::CrashesAfter(seconds) => {
                now.duration_since(self.since) < jiff::SignedDuration::from_secs(seconds)
            }
            _ => !self.half,
        }
    }
}

impl World {
    /// Adds a machine that serves version one since before the simulation.
    pub fn add_machine(&mut self, service: &str, name: &str, patched: Behaviour, now: Timestamp) -> TargetId {
        let id = TargetId::new("sim", &self.host, name);
        let machine = SimMachine {
            name: name.into(),
            service: service.into(),
            patched,
            version: "1".into(),
            half: false,
            since: now,
            stale: false,
            boots: 1,
            interfered: false,
            keeping: Keeping::Nobody,
            scarred: false,
            saved: BTreeMap::new(),
        };
        self.machines.insert(id.clone(), machine);
        id
    }

    /// Says who keeps a machine.
    pub fn keep(&mut self, machine: &TargetId, keeping: Keeping) {
        if let Some(machine) = self.machines.get_mut(machine) {
            machine.keeping = keeping;
        }
    }
}

pub(crate) fn target(world: &World, id: &TargetId, machine: &SimMachine) -> Target {
    Target {
        id: id.clone(),
        name: machine.name.clone(),
        provider: "sim".into(),
        kind: TargetKind::Host,
        host: world.host.clone(),
        host_name: world.host.to_string(),
        service: machine.service.clone(),
        project: None,
        environment: None,
        labels: BTreeMap::new(),
        object: machine.name.clone(),
        image: Image { reference: "Sim OS 1".into(), id: "sim 1".into(), digest: None, base: None },
        state: TargetState::Running,
        health: Health::None,
        os: None,
        mounts: vec![],
        networks: vec![],
        ports: vec![],
        depends_on: vec![],
        lives_in: vec![],
        managers: vec![],
        refusals: vec![],
        alone: vec![],
        traps: vec![],
        disk_snapshots: match machine.keeping {
            Keeping::Nobody => DiskSnapshots::Nobody,
            Keeping::Keeper | Keeping::KeeperOfStuck | Keeping::KeeperOfScarred => DiskSnapshots::Keeper,
        },
        config: Digest::of_bytes(machine.name.as_bytes()),
    }
}

pub(crate) fn inventory(machine: &SimMachine) -> Inventory {
    let package = InstalledPackage {
        name: "web".into(),
        arch: pending("").arch,
        version: machine.version.clone(),
        source: None,
        held: false,
    };
    Inventory {
        os: None,
        package_manager: Some(PackageManager::Apt),
        sources: None,
        starting: StartingState {
            platform: "linux/amd64".into(),
            image: "sim 1".into(),
            packages: Some(Digest::of(&package)),
        },
        packages: [package].into(),
    }
}

pub(crate) fn patches(machine: &SimMachine) -> Vec<PendingPatch> {
    let patch = PendingPatch { installed: Some(machine.version.clone()), ..pending(&machine.service) };
    if machine.version == patch.candidate { Vec::new() } else { vec![patch] }
}

/// What changes on a machine.
fn changes(set: &PatchSet) -> Result<&PackageChange, StepError> {
    let packages = match &set.change {
        Change::Packages(packages) | Change::Snapshot { packages, .. } => packages.first(),
        Change::Image { .. } => None,
    };
    packages.ok_or_else(|| failed(FailureKind::Refused, "a machine has no image"))
}

fn machine<'a>(world: &'a World, action: &Action) -> Result<&'a SimMachine, StepError> {
    world.machines.get(&action.target).ok_or_else(|| failed(FailureKind::Precondition, "no such machine"))
}

/// What is left to do for a call.
pub(crate) fn work(world: &World, call: &Call, step: MachineStep, at: Timestamp) -> Result<Work, StepError> {
    let (action, set) = call.action()?;
    let (machine, change) = (machine(world, action)?, changes(set)?);
    let (from, to) = (change.from.clone().unwrap_or_default(), change.to.clone().unwrap_or_default());
    let target = action.target.clone();
    let back = PackageChange { from: Some(to.clone()), to: Some(from.clone()), ..change.clone() };
    let mut record = Record::Nothing;
    let effects = match (step, call.direction) {
        (MachineStep::Prepare, Direction::Do) => {
            record = Record::Kept { back: vec![back], missing: Vec::new(), automatic: Vec::new() };
            Vec::new()
        }
        (MachineStep::Preflight, Direction::Do) => {
            if machine.version != from || machine.half {
                return Err(failed(FailureKind::Precondition, "changed since it was planned"));
            }
            Vec::new()
        }
        (MachineStep::Save, Direction::Do) => {
            record = Record::DisksSaved { disks: saved(call.run) };
            vec![Effect::SaveDisks { run: call.run, target }]
        }
        (MachineStep::Save, Direction::Undo) => {
            let back = call.given_up.contains(&Step::Machine(MachineStep::Install));
            vec![Effect::ForgetDisks { run: call.run, target, back }]
        }
        (MachineStep::Install, direction) => {
            let begun = world.has_begun(call.run, call.step);
            match direction {
                Direction::Do if !begun && machine.version != from && machine.version != to => {
                    return Err(failed(FailureKind::Precondition, "changed since it was looked at"));
                }
                // What stands there is somebody else's.
                Direction::Undo if !begun => {
                    return Ok(Work { effects: Vec::new(), record: Record::NotBegun, half: 0 });
                }
                Direction::Undo if machine.keeping == Keeping::KeeperOfStuck && machine.version != from => {
                    return Err(failed(FailureKind::PackageManager, "its packages do not go back"));
                }
                Direction::Do | Direction::Undo => {}
            }
            let version = if direction == Direction::Do { to } else { from };
            let half = |half| Effect::Install {
                run: call.run,
                target: target.clone(),
                version: version.clone(),
                half,
            };
            vec![half(true), half(false)]
        }
        (MachineStep::Restart, Direction::Do) => {
            record = Record::Restarted {
                services: vec!["web.service".into()],
                reboot: vec!["a kernel".into()],
                boot_id: machine.boots.to_string(),
            };
            vec![Effect::Renew { target, boot: false }]
        }
        (MachineStep::Reboot, Direction::Do) => vec![Effect::Renew { target, boot: true }],
        (MachineStep::Snapshot, Direction::Do) => {
            record = Record::Snapshotted { snapshot: Box::new(snapshot(call, action, back, at)) };
            Vec::new()
        }
        (MachineStep::Verify, _) | (_, Direction::Undo) => {
            return Err(StepError::Unknown(format!("never asked of a provider: {step}")));
        }
    };
    // Half of an installation is its first half.
    let half = effects.len().div_ceil(2);
    Ok(Work { effects, record, half })
}

fn saved(run: RunId) -> SavedDisks {
    SavedDisks { name: format!("saved-{run}"), disks: Vec::new(), left_out: Vec::new() }
}

fn snapshot(call: &Call, action: &Action, back: PackageChange, at: Timestamp) -> Snapshot {
    Snapshot {
        id: SnapshotId(call.run.to_string()),
        target: action.target.clone(),
        name: action.name.clone(),
        service: action.service.clone(),
        host: action.host.clone(),
        run: call.run,
        at,
        image: action.expected.image.clone(),
        base_image: action.expected.image.clone(),
        reference: action.expected.reference.clone(),
        own_layer: false,
        tags: vec![],
        volumes: vec![],
        packages: vec![back],
        disks: match call.records.get(&Step::Machine(MachineStep::Save)) {
            Some(Record::DisksSaved { disks }) => Some(disks.clone()),
            _ => None,
        },
        size: 0,
        lost: vec![],
    }
}

/// Whether what a call would do is already so.
pub(crate) fn already(world: &World, call: &Call, step: MachineStep) -> bool {
    let Ok((action, set)) = call.action() else { return false };
    let (Ok(machine), Ok(change)) = (machine(world, action), changes(set)) else { return false };
    let idle = !machine.half && !world.installs(call.run);
    let has = |version: &Option<String>| idle && Some(&machine.version) == version.as_ref();
    match (step, call.direction) {
        (MachineStep::Save, Direction::Do) => machine.saved.contains_key(&call.run),
        (MachineStep::Save, Direction::Undo) => !machine.saved.contains_key(&call.run),
        (MachineStep::Install, Direction::Do) => has(&change.to),
        (MachineStep::Install, Direction::Undo) => has(&change.from),
        (MachineStep::Reboot, _) => {
            let record = call.records.get(&Step::Machine(MachineStep::Restart));
            matches!(record, Some(Record::Restarted { boot_id, .. }) if *boot_id != machine.boots.to_string())
        }
        // They only look, or find nothing left to do.
        _ => false,
    }
}

/// Looks once.
pub(crate) fn observation(
    world: &World,
    action: &Action,
    now: Timestamp,
) -> Result<Observation, ProviderError> {
    let machine = world.machines.get(&action.target);
    let machine = machine.ok_or_else(|| ProviderError::Gone { object: action.name.clone() })?;
    let alive = machine.alive(now);
    let port = if machine.behaviour() == Behaviour::OtherPort { 8081 } else { 8080 };
    let broken = matches!(machine.behaviour(), Behaviour::Http500 | Behaviour::HealthHangs);
    let status = if broken { 500 } else { 200 };
    let good = alive && (port, status) == (8080, 200);
    let answer = patchyard_types::CheckAnswer { good, detail: format!("answered {status} on :{port}") };
    Ok(Observation {
        at: now,
        state: TargetState::Running,
        started_at: machine.boots.to_string(),
        restarts: 0,
        exit_code: None,
        health: Health::None,
        health_within: None,
        listening: Some(
            alive.then_some(Socket { protocol: Protocol::Tcp, port, loopback: false }).into_iter().collect(),
        ),
        processes: Some(alive.then(|| ("web".to_owned(), 1)).into_iter().collect()),
        lasting: BTreeSet::from(["web".to_owned()]),
        http: BTreeMap::from([(
            8080,
            if alive && port == 8080 {
                HttpAnswer::Status { status, took: Millis(5) }
            } else {
                HttpAnswer::Silent
            },
        )]),
        parts: alive.then(|| "service web.service".to_owned()).into_iter().collect(),
        failed_units: BTreeSet::new(),
        checks: action.checks.iter().map(|check| (check.name.clone(), answer.clone())).collect(),
    })
}

//! The simulated world: targets, their containers, images, snapshots, and effects on their way.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use patchyard_types::{
    Arch, Digest, HostId, PatchSetId, PendingPatch, PendingStatus, Refusal, RunId, Snapshot, SnapshotId,
    Step, TargetId, Unsaved,
};

use crate::fault::Faults;
use crate::image::{SimLayer, base_image, image_of};
use crate::machine::{Keeping, SimMachine};

/// How a version of a service behaves once started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Serves.
    Good,
    /// Exits at once.
    CrashesAtStart,
    /// Exits after so many seconds.
    CrashesAfter(i64),
    /// Listens somewhere else.
    OtherPort,
    /// Answers HTTP 500.
    Http500,
    /// Its healthcheck never answers.
    HealthHangs,
}

/// One simulated container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimObject {
    /// Its present name.
    pub name: String,
    /// The image it was created from.
    pub image: String,
    /// Digest of its configuration.
    pub config: Digest,
    /// Restart policy is `no` instead of `always`.
    pub held: bool,
    /// When it was last started; `None` when it is stopped.
    pub started: Option<Timestamp>,
    /// How often it was started.
    pub starts: u64,
    /// How it behaves.
    pub behaviour: Behaviour,
    /// The run that created it.
    pub run: Option<RunId>,
    /// How often it has written into its writable layer: whenever it is stopped, a last time.
    pub written: u64,
    /// What it has been given of its original's writable layer.
    pub carried: Option<u64>,
    /// What its target's volume held when it was stopped.
    pub left: Option<SimData>,
    /// The container in whose namespaces it lives, by its handle.
    pub lives_in: Option<String>,
    /// How often it has been told that it is going, since it was last started: told once, it takes nothing new.
    pub told: u64,
    /// How often it was restarted in one go, to forget that.
    pub restarts: u64,
}

/// What is in a target's volume, or in a copy of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimData {
    /// Who wrote last, and how often it had been started by then; nobody into an empty one.
    pub by: Option<(String, u64)>,
    /// Everything of it is there: neither a copy in the making nor a volume that is being restored.
    pub whole: bool,
}

impl SimObject {
    /// Whether it serves at a time.
    #[must_use]
    pub fn alive(&self, now: Timestamp) -> bool {
        self.started.is_some_and(|started| match self.behaviour {
            Behaviour::CrashesAtStart => false,
            Behaviour::CrashesAfter(seconds) => {
                now.duration_since(started) < SignedDuration::from_secs(seconds)
            }
            _ => true,
        })
    }
}

impl SimObject {
    /// Whether it answers its clients as it should.
    #[must_use]
    pub fn serves(&self, now: Timestamp) -> bool {
        let answers = !matches!(
            self.behaviour,
            Behaviour::OtherPort | Behaviour::Http500 | Behaviour::HealthHangs | Behaviour::CrashesAtStart
        );
        answers && self.told == 0 && self.alive(now)
    }
}

/// One simulated target.
#[derive(Debug, Clone)]
pub struct SimTarget {
    /// Its name: the name its container has to have.
    pub name: String,
    /// Its service.
    pub service: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// How its patched version behaves.
    pub patched: Behaviour,
    /// What is pending on its base image; a patched image has less.
    pub pending: Vec<PendingPatch>,
    /// Why its package manager cannot be asked, while it cannot.
    pub mute: Option<String>,
    /// What its writable layer holds, by discovery.
    pub unsaved: Unsaved,
    /// Why it cannot be patched, as its host sees it.
    pub refusals: Vec<Refusal>,
    /// Somebody else has laid hands on it.
    pub interfered: bool,
}

/// What somebody else does to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interference {
    /// Removes its container.
    Remove,
    /// Recreates it.
    Recreate,
    /// Recreates it from its unpatched base image, as an engine does that never heard of a patch.
    Revert,
    /// Stops it.
    Stop,
    /// Changes its configuration.
    Reconfigure,
}

/// A change on its way: the host makes it at its time, whether anybody still waits for it or not.
#[derive(Debug, Clone)]
pub(crate) enum Effect {
    Build {
        patch_set: PatchSetId,
        layer: Option<SimLayer>,
    },
    Create {
        object: String,
        value: Box<SimObject>,
    },
    /// It is told that it is going.
    Tell {
        object: String,
    },
    /// Stopped and started in one go.
    Restart {
        object: String,
    },
    Stop {
        object: String,
    },
    Hold {
        object: String,
        held: bool,
    },
    Carry {
        from: String,
        to: String,
    },
    /// What one volume holds goes into another one, half of it at first.
    Copy {
        run: RunId,
        from: String,
        to: String,
        half: bool,
    },
    /// Copies of volumes go.
    Drop {
        copies: Vec<String>,
    },
    Rename {
        object: String,
        to: String,
    },
    Start {
        object: String,
    },
    Remove {
        object: String,
    },
    Keep {
        snapshot: Box<Snapshot>,
    },
    Forget {
        snapshot: SnapshotId,
    },
    Interfere {
        target: TargetId,
        how: Interference,
    },
    /// A snapshot of a machine's disks.
    SaveDisks {
        run: RunId,
        target: TargetId,
    },
    /// It goes, and the disks go back to it, or stay as they are.
    ForgetDisks {
        run: RunId,
        target: TargetId,
        back: bool,
    },
    /// A machine's package becomes a version, half of it at first.
    Install {
        run: RunId,
        target: TargetId,
        version: String,
        half: bool,
    },
    /// A machine's service is started anew, or all of it.
    Renew {
        target: TargetId,
        boot: bool,
    },
}

impl Effect {
    /// The container that it changes.
    fn object(&self) -> Option<&str> {
        match self {
            Self::Stop { object }
            | Self::Tell { object }
            | Self::Restart { object }
            | Self::Hold { object, .. }
            | Self::Carry { to: object, .. }
            | Self::Rename { object, .. }
            | Self::Start { object }
            | Self::Remove { object } => Some(object),
            Self::Build { .. }
            | Self::Create { .. }
            | Self::Copy { .. }
            | Self::Drop { .. }
            | Self::Keep { .. }
            | Self::Forget { .. }
            | Self::Install { .. }
            | Self::SaveDisks { .. }
            | Self::ForgetDisks { .. }
            | Self::Renew { .. }
            | Self::Interfere { .. } => None,
        }
    }
}

/// The simulated world.
pub struct World {
    /// Everything random.
    pub rng: fastrand::Rng,
    /// How much goes wrong.
    pub faults: Faults,
    /// The one host.
    pub host: HostId,
    /// Its targets.
    pub targets: BTreeMap<TargetId, SimTarget>,
    /// Machines that it reaches.
    pub machines: BTreeMap<TargetId, SimMachine>,
    /// Its containers, by handle.
    pub objects: BTreeMap<String, SimObject>,
    /// The volumes of targets, by their names, and the copies of them.
    pub volumes: BTreeMap<String, SimData>,
    /// Targets have volumes, and a way back has to put them back.
    pub restores: bool,
    /// Targets that were started on data that they should not have met, and how, in words.
    pub spoilt: Vec<(String, String)>,
    /// Two containers of a target may run beside each other, and one of them has to serve at any time.
    pub start_first: bool,
    /// Targets that nobody served for, and when, in words.
    pub unserved: Vec<(String, String)>,
    /// Patch sets whose image has been built.
    pub images: BTreeSet<PatchSetId>,
    /// The patched images.
    pub layers: BTreeMap<String, SimLayer>,
    /// Snapshots that are kept.
    pub snapshots: BTreeMap<SnapshotId, Snapshot>,
    /// Where tags point.
    pub tags: BTreeMap<String, String>,
    /// Rules that were broken, in words.
    pub violations: Vec<String>,
    /// How many of a service's targets may be down at the same time.
    pub budget: BTreeMap<String, usize>,
    /// The most of one service's targets that have been down at the same time.
    pub most_down: usize,
    /// How many calls on a target and its dependents have reached only some of them.
    pub left_half_done: u32,
    /// The host does not answer before this time.
    pub silent_until: Option<Timestamp>,
    pub(crate) applied: BTreeSet<(RunId, Step)>,
    due: Vec<(Timestamp, Effect)>,
    now: Timestamp,
}

impl World {
    /// An empty world.
    #[must_use]
    pub fn new(seed: u64, host: HostId) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            faults: Faults::default(),
            host,
            targets: BTreeMap::new(),
            machines: BTreeMap::new(),
            objects: BTreeMap::new(),
            volumes: BTreeMap::new(),
            restores: false,
            spoilt: Vec::new(),
            start_first: false,
            unserved: Vec::new(),
            images: BTreeSet::new(),
            layers: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            tags: BTreeMap::new(),
            violations: Vec::new(),
            budget: BTreeMap::new(),
            most_down: 0,
            left_half_done: 0,
            silent_until: None,
            applied: BTreeSet::new(),
            due: Vec::new(),
            now: Timestamp::UNIX_EPOCH,
        }
    }

    /// Adds a target that serves version one since before the simulation.
    pub fn add(&mut self, service: &str, name: &str, patched: Behaviour, now: Timestamp) -> TargetId {
        let id = TargetId::new("sim", &self.host, name);
        let target = SimTarget {
            name: name.into(),
            service: service.into(),
            labels: BTreeMap::new(),
            patched,
            pending: vec![pending(service)],
            mute: None,
            unsaved: Unsaved::default(),
            refusals: Vec::new(),
            interfered: false,
        };
        let object = SimObject {
            name: name.into(),
            image: base_image(service),
            config: Digest::of_bytes(name.as_bytes()),
            held: false,
            started: Some(now),
            starts: 1,
            behaviour: Behaviour::Good,
            run: None,
            written: 0,
            carried: None,
            left: None,
            lives_in: None,
            told: 0,
            restarts: 0,
        };
        self.volumes.insert(name.into(), SimData { by: Some((format!("{name}-first"), 1)), whole: true });
        self.objects.insert(format!("{name}-first"), object);
        self.targets.insert(id.clone(), target);
        id
    }

    /// Moves a target into the namespaces of another one, since before the simulation.
    pub fn move_in(&mut self, dependent: &str, owner: &str) {
        let owner = self.named(owner).map(|(handle, _)| handle.clone());
        if let Some((handle, _)) = self.named(dependent) {
            let handle = handle.clone();
            self.change(&handle, |object| object.lives_in = owner);
        }
    }

    /// Somebody else does something to a target at a time.
    pub fn interfere(&mut self, target: &TargetId, how: Interference, at: Timestamp) {
        self.schedule(at, Effect::Interfere { target: target.clone(), how });
    }

    /// The container that bears a target's name now.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<(&String, &SimObject)> {
        self.objects.iter().find(|(_, object)| object.name == name)
    }

    /// Lets time pass: what was due happens, in order.
    pub fn tick(&mut self, now: Timestamp) {
        self.now = now;
        self.due.sort_by_key(|(at, _)| *at);
        let later = self.due.partition_point(|(at, _)| *at <= now);
        let due: Vec<_> = self.due.drain(..later).collect();
        for (at, effect) in due {
            self.now = at;
            self.apply(effect);
        }
        self.now = now;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) fn schedule(&mut self, at: Timestamp, effect: Effect) {
        self.due.push((at, effect));
    }

    /// Makes a change. One that changes nothing was made a second time: asked for without a look.
    fn apply(&mut self, effect: Effect) {
        if let Effect::Start { object } = &effect
            && !self.can_start(object)
        {
            return;
        }
        let touched = effect.object().map(|handle| (handle.to_owned(), self.objects.get(handle).cloned()));
        let words = format!("{effect:?}");
        self.make(effect);
        if self.start_first {
            self.check_somebody_serves(&words);
        }
        let Some((handle, Some(before))) = touched else { return };
        let hands_off = !self.targets.values().any(|t| t.interfered && self.is_of(&before, &t.name));
        if hands_off && self.objects.get(&handle) == Some(&before) {
            self.violations.push(format!("done a second time: {words}"));
        }
    }

    fn make(&mut self, effect: Effect) {
        match effect {
            Effect::Build { patch_set, layer } => {
                self.images.insert(patch_set);
                self.layers.extend(layer.map(|layer| (image_of(&patch_set), layer)));
            }
            Effect::Create { object, value } => {
                if self.objects.insert(object.clone(), *value).is_some() {
                    self.violations.push(format!("{object} was created twice"));
                }
            }
            Effect::Tell { object } => self.change(&object, |o| o.told += 1),
            Effect::Restart { object } => {
                let now = self.now;
                self.change(&object, |o| {
                    o.started = Some(now);
                    o.starts += 1;
                    o.restarts += 1;
                    o.written += 1;
                    o.told = 0;
                });
                let writer = self.objects.get(&object).map(|o| (object.clone(), o.starts));
                if let (Some(by), Some(volume)) = (writer, self.volume_of(&object)) {
                    self.volumes.insert(volume, SimData { by: Some(by), whole: true });
                }
            }
            Effect::Stop { object } => {
                self.check_nobody_is_cut_off(&object);
                let held = self.volume_of(&object).and_then(|volume| self.volumes.get(&volume).cloned());
                self.change(&object, |o| {
                    if o.started.take().is_some() {
                        o.written += 1;
                        o.left = held;
                    }
                });
                self.check_budget();
            }
            Effect::Hold { object, held } => self.change(&object, |o| o.held = held),
            Effect::Carry { from, to } => {
                let written = self.objects.get(&from).map(|object| object.written);
                self.change(&to, |o| o.carried = written);
            }
            Effect::Copy { from, to, half, .. } => {
                let data = self.volumes.get(&from).cloned().unwrap_or(SimData { by: None, whole: false });
                self.volumes.insert(to, SimData { whole: data.whole && !half, ..data });
            }
            Effect::Drop { copies } => {
                for copy in copies {
                    self.volumes.remove(&copy);
                }
            }
            Effect::Rename { object, to } => {
                if !self.objects.iter().any(|(id, o)| o.name == to && *id != object) {
                    self.change(&object, |o| o.name = to);
                } else if !self.targets.values().any(|target| target.name == to && target.interfered) {
                    self.violations.push(format!("two containers would be named {to}"));
                }
            }
            Effect::Start { object } => {
                let now = self.now;
                self.check_data(&object);
                self.change(&object, |o| {
                    o.started = Some(now);
                    o.starts += 1;
                    o.told = 0;
                });
                let writer = self.objects.get(&object).map(|o| (object.clone(), o.starts));
                if let (Some(by), Some(volume)) = (writer, self.volume_of(&object)) {
                    self.volumes.insert(volume, SimData { by: Some(by), whole: true });
                }
                self.check_one_at_a_time(&object);
            }
            Effect::Remove { object } => {
                self.objects.remove(&object);
                self.check_budget();
            }
            Effect::Keep { snapshot } => {
                self.snapshots.insert(snapshot.id.clone(), *snapshot);
            }
            Effect::Forget { snapshot } => {
                self.snapshots.remove(&snapshot);
            }
            Effect::Interfere { target, how } => self.apply_interference(&target, how),
            Effect::Install { target, version, half, .. } => self.install(&target, version, half),
            Effect::SaveDisks { run, target } => {
                if let Some(machine) = self.machines.get_mut(&target) {
                    let version = machine.version.clone();
                    machine.saved.entry(run).or_insert(version);
                }
            }
            Effect::ForgetDisks { run, target, back } => {
                let now = self.now;
                let Some(machine) = self.machines.get_mut(&target) else { return };
                if let (Some(version), true) = (machine.saved.remove(&run), back) {
                    (machine.version, machine.half, machine.stale) = (version, false, false);
                    machine.scarred = false;
                    machine.boots += 1;
                    machine.since = now;
                }
            }
            Effect::Renew { target, boot } => {
                let now = self.now;
                if let Some(machine) = self.machines.get_mut(&target) {
                    machine.since = now;
                    machine.stale = false;
                    machine.boots += u64::from(boot);
                }
            }
        }
    }

    fn install(&mut self, target: &TargetId, version: String, half: bool) {
        let now = self.now;
        let Some(machine) = self.machines.get_mut(target) else { return };
        machine.half = half;
        if !half {
            machine.scarred |= version != "1" && machine.keeping == Keeping::KeeperOfScarred;
            machine.version = version;
            machine.since = now;
            machine.stale = true;
        }
    }

    fn change(&mut self, object: &str, change: impl FnOnce(&mut SimObject)) {
        if let Some(object) = self.objects.get_mut(object) {
            change(object);
        }
    }

    fn apply_interference(&mut self, target: &TargetId, how: Interference) {
        if let Some(machine) = self.machines.get_mut(target) {
            // Whatever somebody does to a machine, its packages are others afterwards.
            machine.interfered = true;
            machine.version = "3".into();
            machine.half = false;
            return;
        }
        let Some(hit) = self.targets.get_mut(target) else { return };
        hit.interfered = true;
        let (name, service) = (hit.name.clone(), hit.service.clone());
        let Some((id, object)) = self.named(&name).map(|(id, o)| (id.clone(), o.clone())) else { return };
        match how {
            Interference::Remove => {
                self.objects.remove(&id);
            }
            Interference::Recreate => {
                self.objects.remove(&id);
                self.objects.insert(format!("{id}+"), SimObject { run: None, ..object });
            }
            Interference::Revert => {
                self.objects.remove(&id);
                let base = SimObject {
                    image: base_image(&service),
                    behaviour: Behaviour::Good,
                    run: None,
                    ..object
                };
                self.objects.insert(format!("{id}+"), base);
            }
            Interference::Stop => self.change(&id, |o| o.started = None),
            Interference::Reconfigure => {
                self.change(&id, |o| o.config = Digest::of_bytes(b"changed by hand"));
            }
        }
    }

    /// The volume of the target that a container is of: of its name.
    #[must_use]
    pub fn volume_of(&self, object: &str) -> Option<String> {
        let object = self.objects.get(object)?;
        self.targets.values().find(|target| self.is_of(object, &target.name)).map(|t| t.name.clone())
    }

    /// Nothing may start on half of its data; and what starts again, on anything but what it left.
    fn check_data(&mut self, starting: &str) {
        let Some(volume) = self.volume_of(starting) else { return };
        if self.targets.values().any(|target| target.name == volume && target.interfered) {
            return;
        }
        let (found, left) =
            (self.volumes.get(&volume), self.objects.get(starting).and_then(|o| o.left.as_ref()));
        if found.is_none_or(|data| !data.whole) {
            self.spoilt.push((volume, format!("{starting} was started on half of its data")));
        } else if self.restores && !self.is_dependent(starting) && left.is_some() && left != found {
            self.spoilt.push((volume, format!("{starting} was started on data that it had not left")));
        }
    }

    /// Dependents keep their data: they run what they ran.
    fn is_dependent(&self, object: &str) -> bool {
        self.objects.get(object).is_some_and(|object| object.lives_in.is_some())
    }

    /// An engine starts nobody in namespaces that are not there.
    fn can_start(&mut self, starting: &str) -> bool {
        let Some(owner) = self.objects.get(starting).and_then(|object| object.lives_in.clone()) else {
            return true;
        };
        let owner = self.objects.get(&owner);
        let hands_off = !self.targets.values().any(|target| target.interfered);
        if hands_off && owner.is_none_or(|owner| owner.started.is_none()) {
            let message = format!("{starting} was to be started in namespaces that are not there");
            self.violations.push(message);
        }
        owner.is_some_and(|owner| owner.alive(self.now))
    }

    /// Whoever lives in the namespaces of a container has to be stopped before it.
    fn check_nobody_is_cut_off(&mut self, stopping: &str) {
        let hands_off = !self.targets.values().any(|target| target.interfered);
        let left = self
            .objects
            .values()
            .find(|object| object.started.is_some() && object.lives_in.as_deref() == Some(stopping));
        if let Some(left) = left.filter(|_| hands_off) {
            let message = format!("{} was cut off: {stopping} was stopped under it", left.name);
            self.violations.push(message);
        }
    }

    /// Whatever is still being copied or installed for a run stops there: it is taken up by whoever asks again.
    pub(crate) fn end_copying(&mut self, run: RunId) {
        let is_of_the_run = |effect: &Effect| match effect {
            Effect::Copy { run: of, .. } | Effect::Install { run: of, .. } => *of == run,
            _ => false,
        };
        self.due.retain(|(_, effect)| !is_of_the_run(effect));
    }

    /// Whether anything of a run's step has ever reached the world.
    pub(crate) fn has_begun(&self, run: RunId, step: Step) -> bool {
        self.applied.contains(&(run, step))
    }

    /// Whether something is still being installed for a run.
    pub(crate) fn installs(&self, run: RunId) -> bool {
        self.due.iter().any(|(_, effect)| matches!(effect, Effect::Install { run: of, .. } if *of == run))
    }

    /// Whoever is started first has somebody who serves at any time.
    fn check_somebody_serves(&mut self, words: &str) {
        let now = self.now;
        for target in self.targets.values().filter(|target| !target.interfered) {
            if !self.objects.values().any(|o| o.serves(now) && self.is_of(o, &target.name)) {
                self.unserved.push((target.name.clone(), format!("nobody served after {words}")));
            }
        }
    }

    /// No service may have more targets down than its budget says.
    fn check_budget(&mut self) {
        let mut down: BTreeMap<&str, usize> = BTreeMap::new();
        for target in self.targets.values().filter(|target| !target.interfered) {
            let serves = self.objects.values().any(|o| o.started.is_some() && self.is_of(o, &target.name));
            *down.entry(&target.service).or_default() += usize::from(!serves);
        }
        self.most_down = self.most_down.max(down.values().copied().max().unwrap_or(0));
        let over = down.into_iter().find(|(service, n)| *n > self.budget.get(*service).copied().unwrap_or(1));
        if let Some((service, n)) = over {
            let message = format!("{n} targets of {service} were down at the same time");
            self.violations.push(message);
        }
    }

    /// Nobody may be left down while nobody works on it; who is, is noted as a violation. `attention`
    /// names those for which a person has been called.
    pub fn note_who_is_down(&mut self, attention: &BTreeSet<TargetId>) {
        let down = self.targets.iter().filter(|(id, _)| !attention.contains(id)).map(|(_, target)| target);
        let down = down.filter(|target| {
            !target.interfered
                && !self.objects.values().any(|o| o.started.is_some() && self.is_of(o, &target.name))
        });
        let notes: Vec<String> =
            down.map(|target| format!("{} was left down by a pause", target.name)).collect();
        self.violations.extend(notes);
    }

    /// Two containers of one target must never run beside each other: two databases on one volume.
    fn check_one_at_a_time(&mut self, started: &str) {
        let Some(me) = self.objects.get(started) else { return };
        let Some(target) = self.targets.values().find(|target| self.is_of(me, &target.name)) else { return };
        let running =
            self.objects.values().filter(|o| self.is_of(o, &target.name) && o.started.is_some()).count();
        if running > 1 && !target.interfered && !self.start_first {
            let message = format!("two containers of {} ran at the same time", target.name);
            self.violations.push(message);
        }
    }

    /// Whether a container belongs to a target: it bears its name or one derived from it.
    #[must_use]
    pub fn is_of(&self, object: &SimObject, target: &str) -> bool {
        object.name == target
            || object
                .name
                .strip_prefix("patchyard-")
                .is_some_and(|rest| rest.ends_with(&format!("-{target}")))
    }
}

/// What is pending on every target: the second version of its service, other bytes in each service.
pub(crate) fn pending(service: &str) -> PendingPatch {
    PendingPatch {
        package: "web".into(),
        arch: Arch("amd64".into()),
        installed: Some("1".into()),
        candidate: "2".into(),
        security: true,
        origin: "sim".into(),
        status: PendingStatus::Available,
        size: 1,
        sha256: Some(Digest::of_bytes(service.as_bytes())),
        why: String::new(),
    }
}

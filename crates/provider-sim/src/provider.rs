//! The provider of the simulated host: looks before it acts, as a real one does.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use patchyard_contract::{Ask, Call, Clock, Leftover, Provider, ProviderError, Wish};
use patchyard_types::{
    Action, Change, Direction, Failure, FailureKind, Health, HostId, Image, ImageUpdate, InstalledPackage,
    Inventory, Method, Mount, MountKind, Observation, Order, PackageChange, PackageManager, PendingPatch,
    Probe, Record, Refusal, RunId, SavedVolume, Snapshot, SnapshotId, StartingState, Step, StepError,
    Subject, SwapStep, TagMove, Target, TargetId, TargetKind, TargetState, Unsaved,
};

use crate::fault::Fault;
use crate::image::{self, base_image, installed, layer, patched_image, snapshot};
use crate::look::observation;
use crate::machine;
use crate::world::{Behaviour, Effect, SimObject, SimTarget, World};

/// A provider over a simulated world. Several may share one world: a crashed controller and the
/// one that resumes.
pub struct SimProvider {
    world: Arc<Mutex<World>>,
    clock: Arc<dyn Clock>,
    host: HostId,
    kept: bool,
}

impl SimProvider {
    /// A provider over a world.
    #[must_use]
    pub fn new(world: Arc<Mutex<World>>, clock: Arc<dyn Clock>) -> Self {
        let host = world.lock().unwrap_or_else(PoisonError::into_inner).host.clone();
        Self { world, clock, host, kept: false }
    }

    /// The same by the way of who keeps the host.
    #[must_use]
    pub fn kept(self) -> Self {
        Self { kept: true, ..self }
    }

    /// The world as it is now.
    fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.tick(self.clock.now());
        world
    }

    fn reach(&self) -> Result<MutexGuard<'_, World>, ProviderError> {
        let world = self.world();
        if world.silent_until.is_some_and(|until| self.clock.now() < until) {
            let host = self.host.to_string();
            return Err(ProviderError::Unreachable { host, reason: "it does not answer".into() });
        }
        Ok(world)
    }
}

/// Names derived from run and target, so that a crashed controller finds them again.
struct Names {
    original: String,
    replacement: String,
    old_name: String,
    new_name: String,
    name: String,
    /// Of the copy of its volume.
    copy: String,
}

/// The step of a container.
fn swap_step(call: &Call) -> Result<SwapStep, StepError> {
    match call.step {
        Step::Swap(step) => Ok(step),
        Step::Service(_) => Err(failed(FailureKind::Host, "there is no Swarm on a simulated host")),
        Step::Machine(_) => Err(failed(FailureKind::Host, "a container has no step of a machine's")),
    }
}

impl Names {
    fn of(run: RunId, action: &Action) -> Self {
        let name = action.target.name().to_owned();
        Self {
            original: action.expected.object.clone(),
            replacement: format!("{name}-{run}"),
            old_name: format!("patchyard-{run}-old-{name}"),
            new_name: format!("patchyard-{run}-new-{name}"),
            copy: copy_of(run, &name),
            name,
        }
    }
}

/// The copy that a run makes of a target's volume.
pub(crate) fn copy_of(run: RunId, target: &str) -> String {
    format!("patchyard-{run}-save-{target}")
}

/// A target's one volume.
fn volume(target: &str) -> Mount {
    let (source, destination) = (target.to_owned(), "/data".to_owned());
    Mount { kind: MountKind::Volume, source, destination, writable: true }
}

fn single_writer() -> Refusal {
    Refusal { code: "single_writer".to_owned(), message: "it may write to a volume at /data".to_owned() }
}

/// A copy of a volume on its way: half of it is there before the whole.
fn copying(run: RunId, from: &str, to: &str) -> Vec<Effect> {
    [true, false].map(|half| Effect::Copy { run, from: from.to_owned(), to: to.to_owned(), half }).into()
}

/// Whether a wish brings a package: itself, and what comes in new because of it, `tool-data` with `tool`.
fn brings(wish: &Wish, patch: &PendingPatch) -> bool {
    let rest = patch.package.strip_prefix(&wish.package);
    rest.is_some_and(|rest| rest.is_empty() || (patch.installed.is_none() && rest.starts_with('-')))
}

fn sim_target<'a>(world: &'a World, target: &Target) -> Result<&'a SimTarget, ProviderError> {
    world.targets.get(&target.id).ok_or_else(|| ProviderError::Gone { object: target.name.clone() })
}

pub(crate) fn failed(kind: FailureKind, message: &str) -> StepError {
    StepError::Failed(Failure::new(kind, message))
}

/// Whether a call takes away what others live in: they go first then.
fn goes_down(call: &Call) -> bool {
    match (call.step, call.direction) {
        (Step::Swap(SwapStep::Stop), Direction::Do) => true,
        (Step::Swap(SwapStep::Stop), Direction::Undo) | (_, Direction::Do) => false,
        (_, Direction::Undo) => true,
    }
}

/// Where a replacement lives: in the replacement of the container that its original lives in, where the run
/// makes one.
fn successor(call: &Call, lives_in: Option<&String>) -> Result<Option<String>, StepError> {
    let Some(lives_in) = lives_in else { return Ok(None) };
    let (owner, _) = call.owner()?;
    let parts = (0..owner.dependents.len()).filter_map(|number| owner.of_dependent(number));
    let moved = parts.chain([owner.clone()]).find(|part| part.expected.object == *lives_in);
    Ok(Some(moved.map_or_else(|| lives_in.clone(), |part| Names::of(call.run, &part).replacement)))
}

/// What a call comes to: effects still to be made, and what it leaves on record.
pub(crate) struct Work {
    pub effects: Vec<Effect>,
    pub record: Record,
    /// So many of the effects are about the first half of those whom the call is about.
    pub half: usize,
}

impl SimProvider {
    /// Looks at the world and says what is left to do for a call, for the target and its dependents.
    fn work(world: &World, call: &Call, at: Timestamp) -> Result<Work, StepError> {
        if let Step::Machine(step) = call.step {
            return machine::work(world, call, step, at);
        }
        let mut calls = Self::everyone(world, call)?;
        let goes_down = goes_down(call);
        if goes_down {
            calls.reverse();
        }
        let (mut effects, mut records, mut half) = (Vec::new(), Vec::new(), 0);
        for (number, call) in calls.iter().enumerate() {
            let (action, _) = call.action()?;
            let work = Self::work_of(world, call, at)?;
            records.push(work.record);
            if !Self::already_of(world, call, action) {
                effects.extend(work.effects);
            }
            if number < calls.len().div_ceil(2) {
                half = effects.len();
            }
        }
        if goes_down {
            records.reverse();
        }
        let own = if records.is_empty() { Record::Nothing } else { records.remove(0) };
        Ok(Work { effects, record: own.with_dependents(records), half })
    }

    /// The call itself, and what it comes to for each dependent whom the step is about.
    fn everyone(world: &World, call: &Call) -> Result<Vec<Call>, StepError> {
        let step = swap_step(call)?;
        let mut calls = vec![call.clone()];
        let alone = match step {
            SwapStep::Prepare | SwapStep::Drain | SwapStep::Save | SwapStep::Fill | SwapStep::Carry => true,
            SwapStep::Verify | SwapStep::Snapshot => true,
            // Beside one that has ended nobody can be started: verifying will see it.
            SwapStep::Start if call.direction == Direction::Do => {
                let (action, _) = call.action()?;
                let new = world.objects.get(&Names::of(call.run, action).replacement);
                new.is_some_and(|new| {
                    new.behaviour == Behaviour::CrashesAtStart || (new.starts > 0 && !new.alive(world.now()))
                })
            }
            SwapStep::Preflight | SwapStep::Create | SwapStep::Stop | SwapStep::Hold => false,
            SwapStep::Rename | SwapStep::Start | SwapStep::Retire => false,
        };
        if !alone {
            calls.extend(call.dependents()?);
        }
        Ok(calls)
    }

    /// Whether what a call would do is already so, for everybody whom it is about.
    fn already(world: &World, call: &Call) -> bool {
        if let Step::Machine(step) = call.step {
            return machine::already(world, call, step);
        }
        let calls = Self::everyone(world, call).unwrap_or_default();
        calls.iter().all(|call| call.action().is_ok_and(|(action, _)| Self::already_of(world, call, action)))
    }

    /// Looks at the world and says what is left to do for one target alone.
    fn work_of(world: &World, call: &Call, at: Timestamp) -> Result<Work, StepError> {
        let (action, set) = call.action()?;
        let names = Names::of(call.run, action);
        let original = world.objects.get(&names.original);
        let replacement = world.objects.get(&names.replacement);
        let gone = || failed(FailureKind::Precondition, "its container was removed by somebody else");
        let step = swap_step(call)?;
        let mut record = Record::Nothing;
        let start_first = action.order == Order::StartFirst;
        let replaced = replacement.is_some_and(|new| new.started.is_some());
        let effects = match (step, call.direction) {
            (SwapStep::Prepare, Direction::Do) => {
                record = Record::Prepared { image: patched_image(world, action, set)?, size: 1 };
                vec![Effect::Build { patch_set: action.patch_set, layer: layer(action, set) }]
            }
            (SwapStep::Preflight, Direction::Do) => {
                let original = original.ok_or_else(gone)?;
                let as_planned = original.name == names.name
                    && original.config == action.expected.config
                    && original.started.is_some();
                if !as_planned {
                    return Err(failed(FailureKind::Precondition, "changed since it was planned"));
                }
                vec![]
            }
            (SwapStep::Create, Direction::Do) => {
                let original = original.ok_or_else(gone)?;
                let (image, behaviour) = match (&call.dependent, world.targets.get(&action.target)) {
                    (Some(_), _) => (original.image.clone(), original.behaviour),
                    (None, target) => {
                        let image = patched_image(world, action, set)?;
                        let is_base = target.is_none_or(|target| image == base_image(&target.service));
                        (
                            image,
                            if is_base {
                                Behaviour::Good
                            } else {
                                target.map_or(Behaviour::Good, |t| t.patched)
                            },
                        )
                    }
                };
                record = Record::Created { object: names.replacement.clone(), dependents: Vec::new() };
                let value = Box::new(SimObject {
                    name: names.new_name,
                    image,
                    config: original.config,
                    held: false,
                    started: None,
                    starts: 0,
                    behaviour,
                    run: Some(call.run),
                    written: 0,
                    carried: None,
                    left: None,
                    lives_in: successor(call, original.lives_in.as_ref())?,
                    told: 0,
                    restarts: 0,
                });
                vec![Effect::Create { object: names.replacement, value }]
            }
            (SwapStep::Create, Direction::Undo) => {
                vec![Effect::Drop { copies: vec![names.copy] }, Effect::Remove { object: names.replacement }]
            }
            (SwapStep::Drain | SwapStep::Stop, Direction::Do) if start_first && !replaced => {
                return Err(failed(FailureKind::Host, "its replacement does not run"));
            }
            (SwapStep::Drain, Direction::Do) => {
                let original = original.ok_or_else(gone)?;
                if original.config != action.expected.config {
                    return Err(failed(FailureKind::Precondition, "changed since it was planned"));
                }
                record = Record::Drained { since: original.starts.to_string() };
                vec![Effect::Tell { object: names.original }]
            }
            (SwapStep::Drain, Direction::Undo) => {
                let told = match call.records.get(&call.step) {
                    Some(Record::Drained { since }) => Some(since),
                    _ => None,
                };
                let original = original.filter(|o| o.started.is_some());
                let was_told = |o: &&SimObject| match told {
                    Some(since) => *since == o.starts.to_string(),
                    None => o.config == action.expected.config && (replaced || !start_first),
                };
                match original.filter(was_told) {
                    Some(_) => vec![Effect::Restart { object: names.original }],
                    None => vec![],
                }
            }
            (SwapStep::Stop, Direction::Do) => {
                let original = original.ok_or_else(gone)?;
                if original.config != action.expected.config {
                    return Err(failed(FailureKind::Precondition, "changed since it was planned"));
                }
                vec![Effect::Stop { object: names.original }]
            }
            (SwapStep::Stop, Direction::Undo) => {
                let original = original.ok_or_else(gone)?;
                match (original.started, replaced) {
                    (Some(_), _) => vec![],
                    (None, true) if !start_first => {
                        return Err(failed(FailureKind::Host, "its replacement still runs"));
                    }
                    (None, _) => vec![Effect::Start { object: names.original }],
                }
            }
            (SwapStep::Hold, direction) => {
                original.ok_or_else(gone)?;
                record = Record::Held { policy: "always".into(), retries: 0, dependents: Vec::new() };
                vec![Effect::Hold { object: names.original, held: direction == Direction::Do }]
            }
            (SwapStep::Save | SwapStep::Fill, Direction::Do) => {
                let (original, replacement) = (original.ok_or_else(gone)?, replacement.ok_or_else(gone)?);
                if original.started.is_some() || replacement.starts > 0 {
                    return Err(failed(FailureKind::Host, "somebody writes to its volumes"));
                }
                if step == SwapStep::Save {
                    let saved = SavedVolume { volume: names.name.clone(), copy: names.copy.clone(), size: 1 };
                    record = Record::Saved { volumes: vec![saved] };
                    copying(call.run, &names.name, &names.copy)
                } else {
                    let Change::Snapshot { snapshot, .. } = &set.change else {
                        return Err(failed(FailureKind::Refused, "no snapshot"));
                    };
                    let kept = world.snapshots.get(snapshot).and_then(|kept| kept.volumes.first());
                    let kept = kept.ok_or_else(|| failed(FailureKind::Precondition, "no copy"))?;
                    copying(call.run, &kept.copy, &names.name)
                }
            }
            (SwapStep::Save, Direction::Undo) => {
                let original = original.ok_or_else(gone)?;
                if original.started.is_some() || replacement.is_some_and(|new| new.started.is_some()) {
                    return Err(failed(FailureKind::Host, "somebody writes to its volumes"));
                }
                let was_started = replacement.is_none_or(|new| new.starts > 0);
                match call.records.get(&call.step) {
                    Some(Record::Saved { .. }) if was_started || action.method == Method::Restore => {
                        copying(call.run, &names.copy, &names.name)
                    }
                    Some(Record::Saved { .. }) => vec![],
                    _ if replacement.is_some() && was_started => {
                        return Err(failed(FailureKind::Host, "its volumes were not saved"));
                    }
                    _ => vec![],
                }
            }
            (SwapStep::Carry, Direction::Do) => {
                let (original, _) = (original.ok_or_else(gone)?, replacement.ok_or_else(gone)?);
                if original.started.is_some() {
                    return Err(failed(FailureKind::Host, "what it writes now would be lost"));
                }
                vec![Effect::Carry { from: names.original, to: names.replacement }]
            }
            (SwapStep::Rename, _) if Self::name_taken(world, &names) => {
                return Err(failed(FailureKind::Host, "another container has its name"));
            }
            (SwapStep::Rename, Direction::Do) => vec![
                Effect::Rename { object: names.original, to: names.old_name },
                Effect::Rename { object: names.replacement, to: names.name },
            ],
            (SwapStep::Rename, Direction::Undo) => vec![
                Effect::Rename { object: names.replacement, to: names.new_name },
                Effect::Rename { object: names.original, to: names.name },
            ],
            (SwapStep::Start, Direction::Do) => {
                replacement.ok_or_else(gone)?;
                if !start_first && original.is_some_and(|old| old.started.is_some()) {
                    return Err(failed(FailureKind::Host, "the original runs again"));
                }
                vec![Effect::Start { object: names.replacement }]
            }
            (SwapStep::Start, Direction::Undo) if start_first => {
                if replaced && original.is_some_and(|old| old.started.is_none()) {
                    return Err(failed(FailureKind::Host, "the original does not run"));
                }
                let object = names.replacement;
                vec![Effect::Tell { object: object.clone() }, Effect::Stop { object }]
            }
            (SwapStep::Start, Direction::Undo) => vec![Effect::Stop { object: names.replacement }],
            (SwapStep::Snapshot, Direction::Do) => {
                original.ok_or_else(gone)?;
                let mut snapshot = snapshot(world, call.run, action, at);
                if let Some(Record::Saved { volumes }) = call.records.get(&Step::Swap(SwapStep::Save)) {
                    snapshot.volumes.clone_from(volumes);
                }
                let snapshot = Box::new(snapshot);
                record = Record::Snapshotted { snapshot: snapshot.clone() };
                vec![Effect::Keep { snapshot }]
            }
            (SwapStep::Snapshot, Direction::Undo) => {
                vec![Effect::Forget { snapshot: SnapshotId(call.run.to_string()) }]
            }
            (SwapStep::Retire, Direction::Do) => vec![Effect::Remove { object: names.original }],
            (
                SwapStep::Prepare
                | SwapStep::Preflight
                | SwapStep::Fill
                | SwapStep::Carry
                | SwapStep::Verify
                | SwapStep::Retire,
                Direction::Undo,
            )
            | (SwapStep::Verify, Direction::Do) => {
                return Err(StepError::Unknown(format!("never asked of a provider: {step}")));
            }
        };
        Ok(Work { half: effects.len(), effects, record })
    }

    /// Whether somebody else's container bears the target's name.
    fn name_taken(world: &World, names: &Names) -> bool {
        world
            .named(&names.name)
            .is_some_and(|(handle, _)| *handle != names.original && *handle != names.replacement)
    }

    /// Whether what a call would do is already so for one target alone.
    fn already_of(world: &World, call: &Call, action: &Action) -> bool {
        let names = Names::of(call.run, action);
        let original = world.objects.get(&names.original);
        let replacement = world.objects.get(&names.replacement);
        let Ok(step) = swap_step(call) else { return false };
        let done = match step {
            SwapStep::Prepare => world.images.contains(&action.patch_set),
            // They only look, or begin anew.
            SwapStep::Preflight | SwapStep::Drain | SwapStep::Save | SwapStep::Fill | SwapStep::Verify => {
                false
            }
            SwapStep::Create => replacement.is_some(),
            SwapStep::Stop => original.is_some_and(|o| o.started.is_none()),
            SwapStep::Hold => original.is_some_and(|o| o.held),
            SwapStep::Carry => {
                let written = original.map(|o| o.written);
                written.is_some() && replacement.and_then(|o| o.carried) == written
            }
            SwapStep::Rename => {
                original.is_some_and(|o| o.name == names.old_name)
                    && replacement.is_some_and(|o| o.name == names.name)
            }
            // Undoing a start leaves it stopped although it has been started.
            SwapStep::Start => match call.direction {
                Direction::Do => replacement.is_some_and(|o| o.starts > 0),
                Direction::Undo => replacement.is_some_and(|o| o.started.is_some()),
            },
            SwapStep::Snapshot => world.snapshots.contains_key(&SnapshotId(call.run.to_string())),
            SwapStep::Retire => original.is_none(),
        };
        match (call.direction, step) {
            (Direction::Do, _) => done,
            // Half a rename back is no rename back.
            (Direction::Undo, SwapStep::Rename) => original.is_some_and(|o| o.name == names.name),
            (Direction::Undo, SwapStep::Drain | SwapStep::Save) => false,
            (Direction::Undo, _) => !done,
        }
    }
}

#[async_trait]
impl Provider for SimProvider {
    fn kind(&self) -> &'static str {
        "sim"
    }

    fn host(&self) -> &HostId {
        &self.host
    }

    fn describe(&self) -> String {
        format!("simulated host {}", self.host)
    }

    fn is_kept(&self) -> bool {
        self.kept
    }

    async fn instance(&self) -> Result<String, ProviderError> {
        let _answers = self.reach()?;
        Ok(format!("{:p}", Arc::as_ptr(&self.world)))
    }

    async fn discover(&self) -> Result<Vec<Target>, ProviderError> {
        let world = self.reach()?;
        let targets = world.targets.iter().filter_map(|(id, target)| {
            let (object, value) = world.named(&target.name)?;
            Some(Target {
                id: id.clone(),
                name: target.name.clone(),
                provider: "sim".into(),
                host: self.host.clone(),
                host_name: self.host.to_string(),
                service: target.service.clone(),
                project: None,
                environment: None,
                labels: target.labels.clone(),
                object: object.clone(),
                image: Image {
                    reference: format!("{}:1", target.service),
                    id: value.image.clone(),
                    digest: None,
                    base: image::base(&world, &value.image),
                },
                state: if value.started.is_some() { TargetState::Running } else { TargetState::Exited },
                health: Health::None,
                os: None,
                mounts: world.restores.then(|| volume(&target.name)).into_iter().collect(),
                networks: vec![],
                ports: vec![],
                depends_on: vec![],
                lives_in: value.lives_in.iter().cloned().collect(),
                managers: vec![],
                refusals: target.refusals.clone(),
                kind: TargetKind::Container,
                traps: vec![],
                disk_snapshots: patchyard_types::DiskSnapshots::Nobody,
                alone: world.restores.then(single_writer).into_iter().collect(),
                config: value.config,
            })
        });
        let machines = world.machines.iter().map(|(id, machine)| machine::target(&world, id, machine));
        Ok(targets.chain(machines).collect())
    }

    async fn inventory(&self, target: &Target) -> Result<Inventory, ProviderError> {
        let world = self.reach()?;
        if let Some(machine) = world.machines.get(&target.id) {
            return Ok(machine::inventory(machine));
        }
        let package = |patch: &PendingPatch| {
            Some(InstalledPackage {
                name: patch.package.clone(),
                arch: patch.arch.clone(),
                version: installed(&world, &target.image.id, patch)?,
                source: None,
                held: false,
            })
        };
        let packages = sim_target(&world, target)?.pending.iter().filter_map(package).collect();
        Ok(Inventory {
            os: None,
            package_manager: Some(PackageManager::Apt),
            packages,
            sources: None,
            starting: StartingState {
                platform: "linux/amd64".into(),
                image: target.image.id.clone(),
                packages: None,
            },
        })
    }

    async fn pending(
        &self,
        target: &Target,
        _inventory: &Inventory,
        ask: &Ask,
    ) -> Result<Vec<PendingPatch>, ProviderError> {
        let world = self.reach()?;
        if let Some(machine) = world.machines.get(&target.id) {
            return Ok(machine::patches(machine));
        }
        let found = sim_target(&world, target)?;
        if let Some(reason) = &found.mute {
            return Err(ProviderError::NoAnswer { reason: reason.clone(), hint: String::new() });
        }
        let wanted = |patch: &PendingPatch| ask.only.is_empty() || ask.only.iter().any(|w| brings(w, patch));
        let pending = found.pending.iter().filter(|patch| wanted(patch)).filter_map(|patch| {
            let installed = installed(&world, &target.image.id, patch);
            (installed.as_ref() != Some(&patch.candidate))
                .then(|| PendingPatch { installed, ..patch.clone() })
        });
        Ok(pending.collect())
    }

    async fn newer_image(&self, _target: &Target) -> Result<Option<ImageUpdate>, ProviderError> {
        Ok(None)
    }

    async fn unsaved(&self, target: &Target) -> Result<Unsaved, ProviderError> {
        if target.kind == TargetKind::Host {
            return Ok(Unsaved::default());
        }
        Ok(sim_target(&*self.reach()?, target)?.unsaved.clone())
    }

    async fn fetch(&self, _target: &Target, _packages: &[PackageChange]) -> Result<(), ProviderError> {
        self.reach().map(|_| ())
    }

    async fn perform(&self, call: &Call) -> Result<Record, StepError> {
        let (action, _) = call.action()?;
        let now = self.clock.now();
        let (fault, takes, work) = {
            let mut world = self.reach().map_err(|error| StepError::Unknown(error.to_string()))?;
            let world = &mut *world;
            let fault = world.faults.draw(&mut world.rng, call.run.action, call.step, call.direction);
            let takes = world.rng.u64(20..2000);
            if let Some(Fault::Fails(kind)) = fault {
                return Err(failed(kind, "a fault of the simulation"));
            }
            let work = Self::work(world, call, now)?;
            let already = Self::already(world, call);
            let effectful = !matches!(
                call.step,
                Step::Swap(SwapStep::Prepare | SwapStep::Preflight)
                    // What a job has done already, another driver finds done.
                    | Step::Machine(_)
            );
            // What somebody else has done already is not done a second time.
            let interfered =
                |target: &TargetId| world.targets.get(target).is_some_and(|target| target.interfered);
            let others = action.disturbed().any(interfered);
            if already && effectful && !others && call.direction == Direction::Do {
                let violation = format!("{} of {} was done blindly a second time", call.step, call.run);
                world.violations.push(violation);
            }
            let does = !matches!(fault, Some(Fault::Hangs | Fault::LostBefore)) && !already;
            if does {
                if call.direction == Direction::Do {
                    world.applied.insert((call.run, call.step));
                }
                let at = now.checked_add(SignedDuration::from_millis(takes as i64 / 2)).unwrap_or(now);
                world.end_copying(call.run);
                let mut effects = work.effects;
                if fault == Some(Fault::LostHalf) {
                    world.left_half_done += u32::from(work.half < effects.len());
                    effects.truncate(work.half);
                }
                for (number, effect) in effects.into_iter().enumerate() {
                    // The second half of a copy, when whoever waits for it still does.
                    let is_second = matches!(effect, Effect::Copy { .. } | Effect::Install { .. });
                    let later = if number > 0 && is_second { takes / 4 } else { 0 };
                    let at = at.checked_add(SignedDuration::from_millis(later as i64)).unwrap_or(at);
                    world.schedule(at, effect);
                }
            }
            (fault, takes, work.record)
        };
        match fault {
            Some(Fault::Hangs | Fault::HangsAndDoes) => {
                self.clock.sleep(Duration::from_secs(10_000)).await;
            }
            _ => self.clock.sleep(Duration::from_millis(takes)).await,
        }
        drop(self.world());
        match fault {
            Some(Fault::LostBefore | Fault::LostHalf | Fault::LostAfter) => {
                Err(StepError::Unknown("connection lost".into()))
            }
            _ => Ok(work),
        }
    }

    async fn probe(&self, call: &Call) -> Result<Probe, ProviderError> {
        self.clock.sleep(Duration::from_millis(20)).await;
        let world = self.reach()?;
        if call.action().is_err() {
            return Ok(Probe::CannotTell { reason: "the plan has no such action".into() });
        }
        if !Self::already(&world, call) {
            return Ok(Probe::NotDone);
        }
        if let (Step::Swap(SwapStep::Snapshot), Direction::Do, Some(kept)) =
            (call.step, call.direction, world.snapshots.get(&SnapshotId(call.run.to_string())))
        {
            return Ok(Probe::Done { record: Record::Snapshotted { snapshot: Box::new(kept.clone()) } });
        }
        // Everything else a record of the simulation holds derives from the call.
        Ok(match Self::work(&world, call, self.clock.now()) {
            Ok(work) => Probe::Done { record: work.record },
            Err(StepError::Failed(failure)) if call.direction == Direction::Do => Probe::Failed { failure },
            Err(_) => Probe::Done { record: Record::Nothing },
        })
    }

    async fn observe(&self, call: &Call, subject: Subject) -> Result<Observation, ProviderError> {
        self.clock.sleep(Duration::from_millis(5)).await;
        let world = self.reach()?;
        let Ok((action, _)) = call.action() else {
            return Err(ProviderError::Gone { object: call.run.to_string() });
        };
        if action.kind == TargetKind::Host {
            return machine::observation(&world, action, self.clock.now());
        }
        let names = Names::of(call.run, action);
        let handle = match subject {
            Subject::Original => names.original,
            Subject::Replacement => names.replacement,
        };
        let now = self.clock.now();
        let object = world.objects.get(&handle).ok_or(ProviderError::Gone { object: handle })?;
        Ok(observation(object, &action.checks, now))
    }

    async fn move_tag(&self, tag: &TagMove, image: &str) -> Result<Option<String>, ProviderError> {
        self.reach()?.tags.insert(tag.reference.clone(), image.to_owned());
        Ok(None)
    }

    async fn export_image(&self, _image: &str, _to: &Path) -> Result<(), ProviderError> {
        Err(ProviderError::NoAnswer { reason: "a simulated image has no bytes".into(), hint: String::new() })
    }

    async fn remove_snapshot(&self, snapshot: &Snapshot) -> Result<(), ProviderError> {
        let mut world = self.reach()?;
        for saved in &snapshot.volumes {
            world.volumes.remove(&saved.copy);
        }
        world.snapshots.remove(&snapshot.id);
        Ok(())
    }

    async fn leftovers(
        &self,
        unfinished: &[RunId],
        _kept: &[Snapshot],
    ) -> Result<Vec<Leftover>, ProviderError> {
        let world = self.reach()?;
        let ours = world.objects.iter().filter(|(_, object)| object.name.starts_with("patchyard-"));
        let left = ours.filter(|(_, object)| object.run.is_none_or(|run| !unfinished.contains(&run)));
        Ok(left
            .map(|(id, object)| Leftover {
                kind: "container".into(),
                name: id.clone(),
                run: object.run,
                size: 0,
            })
            .collect())
    }

    async fn collect(&self, leftover: &Leftover) -> Result<(), ProviderError> {
        self.reach()?.objects.remove(&leftover.name);
        Ok(())
    }
}

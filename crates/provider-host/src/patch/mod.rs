//! The steps of a machine's patch, back and forth. What is done to packages is a job of the guest layer's, so that it goes
//! on whoever watches; everything of ours on a machine lies under `/var/lib/patchyard`, in folders named after the run.

mod install;
mod keep;
mod preflight;
mod prepare;
mod reboot;
mod restart;
mod save;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use patchyard_contract::{Call, Note, ProviderError, TransportError};
use patchyard_guest::{Guest, GuestError};
use patchyard_types::{
    Action, Arch, Change, Direction, Failure, FailureKind, MachineStep, PackageChange, Probe, Record, Step,
    StepError,
};

use crate::kept::{self, Silence};
use crate::{HostProvider, words};

/// How long another package manager is waited for before something is changed.
const LOCK: Duration = Duration::from_secs(300);

/// One call on one machine.
pub(crate) struct Run<'a> {
    pub host: &'a HostProvider,
    pub call: &'a Call,
    pub action: &'a Action,
    /// What changes, in the direction of the patch: removals there are none of.
    pub changes: &'a [PackageChange],
    pub guest: Guest,
}

impl<'a> Run<'a> {
    async fn open(host: &'a HostProvider, call: &'a Call) -> Result<Self, StepError> {
        let (action, _) = call.action()?;
        let changes = changes(call)?;
        let guest = Guest::open(Arc::clone(&host.transport)).await.map_err(trouble)?;
        Ok(Self { host, call, action, changes, guest })
    }

    /// The name of a job of this run's, unique on the machine.
    fn name(&self, what: &str) -> String {
        format!("{}.{}.{what}", self.host.controller8(), self.call.run)
    }

    /// The folder of this run's packages.
    fn folder(&self) -> String {
        format!("{}/packages-{}.{}", crate::leftovers::ROOT, self.host.controller8(), self.call.run)
    }

    /// Where the file of a package of this run's lies on the machine, if it was brought.
    fn path(&self, change: &PackageChange) -> Option<String> {
        Some(format!("{}/{}{}", self.folder(), change.sha256?, self.guest.file_suffix()))
    }

    /// The guest with those of these packages that lie on the machine as files, and with what is on record about marks.
    async fn for_changing(&self, changes: &[PackageChange]) -> Result<Guest, StepError> {
        let mut files: BTreeMap<(String, Arch), String> = BTreeMap::new();
        for change in changes {
            let (Some(path), Some(sha256)) = (self.path(change), change.sha256) else { continue };
            let there = patchyard_guest::files::is_there(self.guest.transport(), &path, &sha256).await;
            if there.map_err(trouble)? {
                files.insert((change.name.clone(), change.arch.clone()), path);
            }
        }
        Ok(self.guest.clone().with_files(files).with_automatic(self.automatic().to_vec()))
    }

    /// What *prepare* has left on record: the way back, what is missing of it, and the marks.
    fn kept(&self) -> (&[PackageChange], &[String], &[String]) {
        match self.call.records.get(&Step::Machine(MachineStep::Prepare)) {
            Some(Record::Kept { back, missing, automatic }) => (back, missing, automatic),
            _ => (&[], &[], &[]),
        }
    }

    /// What the way back installs, once that is on record.
    fn back(&self) -> &[PackageChange] {
        self.kept().0
    }

    /// What was replaced and of which no file was to be had.
    fn missing(&self) -> &[String] {
        self.kept().1
    }

    /// What nobody had asked for by name before, as `name:arch`.
    fn automatic(&self) -> &[String] {
        self.kept().2
    }

    fn note(&self, text: impl Into<String>) {
        note(self.call, text);
    }
}

fn note(call: &Call, text: impl Into<String>) {
    if let Some(progress) = &call.progress {
        progress.note(Note { text: text.into(), part: None });
    }
}

/// What changes, in the direction of the patch.
fn changes(call: &Call) -> Result<&[PackageChange], StepError> {
    match &call.action()?.1.change {
        Change::Packages(packages) | Change::Snapshot { packages, .. } => Ok(packages),
        Change::Image { .. } => Err(failed(FailureKind::Refused, "a machine has no image")),
    }
}

fn step(call: &Call) -> Result<MachineStep, StepError> {
    match call.step {
        Step::Machine(step) => Ok(step),
        Step::Swap(_) | Step::Service(_) => Err(failed(FailureKind::Refused, "a machine is no container")),
    }
}

pub(crate) async fn perform(host: &HostProvider, call: &Call) -> Result<Record, StepError> {
    let step = step(call)?;
    match (step, call.direction) {
        // Nobody inside is needed for it.
        (MachineStep::Save, Direction::Do) => return save::perform(host, call).await,
        (MachineStep::Save, Direction::Undo) => return save::undo(host, call).await,
        (MachineStep::Install, Direction::Undo) => kept::wake(host, call.action()?.0).await?,
        _ => {}
    }
    let run = Run::open(host, call).await?;
    match (step, call.direction) {
        (MachineStep::Prepare, Direction::Do) => prepare::perform(&run).await,
        (MachineStep::Preflight, Direction::Do) => preflight::perform(&run).await,
        (MachineStep::Install, Direction::Do) => install::perform(&run).await,
        (MachineStep::Install, Direction::Undo) => install::undo(&run).await,
        (MachineStep::Restart, Direction::Do) => restart::perform(&run).await,
        (MachineStep::Reboot, Direction::Do) => reboot::perform(&run).await,
        (MachineStep::Snapshot, Direction::Do) => Ok(snapshot::perform(&run)),
        (_, Direction::Undo) | (MachineStep::Save | MachineStep::Verify, Direction::Do) => {
            Err(StepError::Unknown(format!("never asked of a provider: {step}")))
        }
    }
}

/// Asks the machine, or its keeper. Where that answers and the machine does not, nobody needs to wait for it any longer.
pub(crate) async fn probe(host: &HostProvider, call: &Call) -> Result<Probe, ProviderError> {
    let unknown = |reason| ProviderError::Unreachable { host: host.options.name.clone(), reason };
    match asked(host, call).await {
        Ok(probe) => Ok(probe),
        Err(StepError::Failed(failure)) => Ok(Probe::CannotTell { reason: failure.message }),
        Err(StepError::Unknown(reason)) => {
            let (action, _) = call.action().map_err(|error| unknown(error.to_string()))?;
            match kept::silence(host, kept::patience(action)).await {
                Silence::Broken(failure) => Ok(Probe::Failed { failure }),
                // Whoever asks again finds out.
                Silence::Over | Silence::Unknown => Err(unknown(reason)),
            }
        }
    }
}

async fn asked(host: &HostProvider, call: &Call) -> Result<Probe, StepError> {
    let step = step(call)?;
    if step == MachineStep::Save {
        return save::probe(host, call).await;
    }
    let run = Run::open(host, call).await?;
    match (step, call.direction) {
        (MachineStep::Prepare, Direction::Do) => prepare::probe(&run).await,
        (MachineStep::Install, Direction::Do) => install::probe(&run).await,
        (MachineStep::Install, Direction::Undo) => install::probe_undo(&run).await,
        (MachineStep::Reboot, Direction::Do) => reboot::probe(&run).await,
        (MachineStep::Snapshot, Direction::Do) => Ok(Probe::Done { record: snapshot::perform(&run) }),
        // They are done again.
        _ => Ok(Probe::NotDone),
    }
}

pub(crate) fn failed(kind: FailureKind, message: impl Into<String>) -> StepError {
    StepError::Failed(Failure::new(kind, message))
}

/// What an error in the machine means for a step: whether anything took place is unknown where the way there broke.
fn trouble(error: GuestError) -> StepError {
    match error {
        GuestError::Transport(
            error @ (TransportError::Unreachable { .. } | TransportError::TimedOut { .. }),
        ) => StepError::Unknown(error.to_string()),
        GuestError::Transport(error) => failed(FailureKind::Host, error.to_string()),
        GuestError::Refused { reason, .. } => failed(FailureKind::Precondition, reason),
        error @ GuestError::Failed { .. } if error.to_string().contains("No space left") => {
            failed(FailureKind::NoSpace, error.to_string())
        }
        error => failed(FailureKind::Host, error.to_string()),
    }
}

/// What a provider's error means for a step.
fn of_provider(error: ProviderError) -> StepError {
    match error {
        ProviderError::Unreachable { .. } => StepError::Unknown(error.to_string()),
        error => failed(FailureKind::Host, error.to_string()),
    }
}

/// What an error in the machine means for a question of planning's.
pub(crate) fn no_answer(host: &HostProvider, error: GuestError) -> ProviderError {
    words::no_answer(&host.options.name, error)
}

pub(crate) use keep::fetch;

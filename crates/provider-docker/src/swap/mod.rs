//! What changes targets: the steps of a swap, a file each with its effect, its undo and its probe.
//!
//! Every step looks before it acts, so that doing it again is no mistake; every undo tolerates that
//! there is nothing to take back. An engine that says no is not believed on its word alone: the probe
//! looks whether the effect has taken place all the same.

mod container;
mod create;
mod drain;
mod hold;
mod last_words;
mod neighbour;
mod preflight;
mod rename;
mod retire;
mod run;
mod start;
mod stop;
mod together;

use patchyard_contract::{Call, ProviderError};
use patchyard_types::{Direction, Probe, Record, Step, StepError, SwapStep};

use crate::client::ApiError;
use crate::{DockerProvider, carry, prepare, save, snapshot};

pub(crate) use container::Container;
pub(crate) use create::remove as remove_replacement;
pub use last_words::last_words;
pub(crate) use preflight::{enough, image_size};
use run::GONE;
pub(crate) use run::{Run, Trouble, failed, judge, restart_policy};
pub(crate) use start::REPLACEMENT_GONE;

/// Does a step or takes it back, for a target and its dependents.
pub(crate) async fn perform(docker: &DockerProvider, call: &Call) -> Result<Record, StepError> {
    let run = Run::new(docker, call)?;
    let error = match Box::pin(together::perform(&run)).await {
        Ok(record) => return Ok(record),
        Err(Trouble::Step(error)) => return Err(error),
        Err(Trouble::Api(error)) => error,
    };
    let verdict = judge(&error);
    if matches!(verdict, StepError::Unknown(_)) {
        return Err(verdict);
    }
    // It said no. Did it do it all the same?
    match Box::pin(together::probe(&run)).await {
        Ok(Probe::Done { record }) => Ok(record),
        Ok(_) => Err(verdict),
        Err(_) => Err(StepError::Unknown(error.to_string())),
    }
}

/// Asks the world whether a step, or its undo, has taken place.
pub(crate) async fn probe(docker: &DockerProvider, call: &Call) -> Result<Probe, ProviderError> {
    let run = match Run::new(docker, call) {
        Ok(run) => run,
        Err(error) => return Ok(Probe::CannotTell { reason: error.to_string() }),
    };
    Box::pin(together::probe(&run)).await.map_err(|error| docker.error(error))
}

/// The step of a swap that a call is about.
fn step_of(run: &Run<'_>) -> Result<SwapStep, StepError> {
    match run.call.step {
        Step::Swap(step) => Ok(step),
        Step::Service(step) => {
            Err(StepError::Unknown(format!("never asked about a container: {step} of a service")))
        }
        Step::Machine(step) => {
            Err(StepError::Unknown(format!("never asked about a container: {step} of a machine")))
        }
    }
}

/// Does a step or takes it back, for one target alone.
async fn effect(run: &Run<'_>) -> Result<Record, Trouble> {
    let step = step_of(run)?;
    match (step, run.call.direction) {
        (SwapStep::Prepare, Direction::Do) => prepare::perform(run).await,
        (SwapStep::Preflight, Direction::Do) => preflight::perform(run).await,
        (SwapStep::Create, Direction::Do) => create::perform(run).await,
        (SwapStep::Create, Direction::Undo) => create::undo(run).await,
        (SwapStep::Drain, Direction::Do) => drain::perform(run).await,
        (SwapStep::Drain, Direction::Undo) => drain::undo(run).await,
        (SwapStep::Stop, Direction::Do) => stop::perform(run).await,
        (SwapStep::Stop, Direction::Undo) => stop::undo(run).await,
        (SwapStep::Hold, Direction::Do) => hold::perform(run).await,
        (SwapStep::Hold, Direction::Undo) => hold::undo(run).await,
        (SwapStep::Save, Direction::Do) => save::perform(run).await,
        (SwapStep::Save, Direction::Undo) => save::undo(run).await,
        (SwapStep::Fill, Direction::Do) => save::fill(run).await,
        (SwapStep::Carry, Direction::Do) => carry::perform(run).await,
        (SwapStep::Rename, Direction::Do) => rename::perform(run).await,
        (SwapStep::Rename, Direction::Undo) => rename::undo(run).await,
        (SwapStep::Start, Direction::Do) => start::perform(run).await,
        (SwapStep::Start, Direction::Undo) => start::undo(run).await,
        (SwapStep::Snapshot, Direction::Do) => snapshot::perform(run).await,
        (SwapStep::Snapshot, Direction::Undo) => snapshot::undo(run).await,
        (SwapStep::Retire, Direction::Do) => retire::perform(run).await,
        (SwapStep::Verify, _)
        | (
            SwapStep::Prepare | SwapStep::Preflight | SwapStep::Fill | SwapStep::Carry | SwapStep::Retire,
            Direction::Undo,
        ) => Err(Trouble::Step(StepError::Unknown(format!("never asked of a provider: {step}")))),
    }
}

/// Asks the world about one target alone.
async fn ask(run: &Run<'_>) -> Result<Probe, ApiError> {
    let Step::Swap(step) = run.call.step else { return Ok(Probe::NotDone) };
    let undone = run.call.direction == Direction::Undo;
    match step {
        SwapStep::Prepare => prepare::probe(run).await,
        SwapStep::Create => create::probe(run, undone).await,
        SwapStep::Stop => stop::probe(run, undone).await,
        SwapStep::Hold => hold::probe(run, undone).await,
        SwapStep::Carry => carry::probe(run).await,
        SwapStep::Rename => rename::probe(run, undone).await,
        SwapStep::Start => start::probe(run, undone).await,
        SwapStep::Snapshot => snapshot::probe(run, undone).await,
        SwapStep::Retire => retire::probe(run).await,
        // They only look, or begin anew: doing them again is right.
        SwapStep::Preflight | SwapStep::Drain | SwapStep::Save | SwapStep::Fill | SwapStep::Verify => {
            Ok(Probe::NotDone)
        }
    }
}

/// A probe's answer for a step that leaves nothing on record.
pub(crate) fn done_if(done: bool) -> Probe {
    if done { Probe::Done { record: Record::Nothing } } else { Probe::NotDone }
}

/// A probe's answer when the original is gone before it may be.
pub(crate) fn gone() -> Probe {
    let failure = patchyard_types::Failure::new(patchyard_types::FailureKind::Precondition, GONE);
    Probe::Failed { failure }
}

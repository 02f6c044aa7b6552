//! Together: a target and its dependents, who live in its namespaces, one step for all of them.
//!
//! Nobody lives in namespaces that are not there: whoever is made or started comes after those it lives in,
//! whoever is stopped, or taken back, before them. A step looks before it acts on each, so that a step that a
//! crash has left half done is done again.

use patchyard_contract::Call;
use patchyard_types::{Direction, Probe, Record, Step, StepError, SwapStep};

use super::{Run, Trouble, ask, effect, step_of};
use crate::client::ApiError;

/// Does a step, or takes it back, for everybody whom it is about.
pub(super) async fn perform(run: &Run<'_>) -> Result<Record, Trouble> {
    let (step, direction) = (step_of(run)?, run.call.direction);
    let calls = concerned(run)?;
    if calls.is_empty() {
        return effect(run).await;
    }
    let mut records = Vec::with_capacity(calls.len());
    if owner_goes_last(step, direction) {
        for call in calls.iter().rev() {
            records.push(one(run, call).await?);
        }
        records.reverse();
        return Ok(effect(run).await?.with_dependents(records));
    }
    let own = effect(run).await?;
    for call in &calls {
        match one(run, call).await {
            Ok(record) => records.push(record),
            Err(_) if has_ended(run).await? => return Ok(own),
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(own.with_dependents(records))
}

/// Asks whether a step, or its undo, has taken place for everybody whom it is about.
pub(super) async fn probe(run: &Run<'_>) -> Result<Probe, ApiError> {
    let own = ask(run).await?;
    let Probe::Done { record } = own else { return Ok(own) };
    if has_ended(run).await? {
        return Ok(Probe::Done { record });
    }
    let calls = match concerned(run) {
        Ok(calls) => calls,
        Err(error) => return Ok(Probe::CannotTell { reason: error.to_string() }),
    };
    let mut records = Vec::with_capacity(calls.len());
    for call in &calls {
        let part = match Run::new(run.docker, call) {
            Ok(part) => part,
            Err(error) => return Ok(Probe::CannotTell { reason: error.to_string() }),
        };
        match ask(&part).await? {
            Probe::Done { record } => records.push(record),
            Probe::NotDone => return Ok(Probe::NotDone),
            Probe::CannotTell { reason } => return Ok(Probe::CannotTell { reason: part.about(&reason) }),
            Probe::Failed { mut failure } => {
                failure.message = part.about(&failure.message);
                return Ok(Probe::Failed { failure });
            }
        }
    }
    Ok(Probe::Done { record: record.with_dependents(records) })
}

/// The call for each dependent, where the step is about them: what is prepared, drained, saved and carried is the
/// owner's alone, and its snapshot looks after what they have written itself.
fn concerned(run: &Run<'_>) -> Result<Vec<Call>, StepError> {
    match step_of(run)? {
        SwapStep::Prepare
        | SwapStep::Drain
        | SwapStep::Save
        | SwapStep::Fill
        | SwapStep::Carry
        | SwapStep::Verify
        | SwapStep::Snapshot => Ok(Vec::new()),
        SwapStep::Preflight
        | SwapStep::Create
        | SwapStep::Stop
        | SwapStep::Hold
        | SwapStep::Rename
        | SwapStep::Start
        | SwapStep::Retire => run.call.dependents(),
    }
}

fn owner_goes_last(step: SwapStep, direction: Direction) -> bool {
    match (step, direction) {
        // What is retired is stopped, and what its owner has to fulfil for that comes first.
        (SwapStep::Retire, _) => false,
        (SwapStep::Stop, Direction::Do) => true,
        (SwapStep::Stop, Direction::Undo) => false,
        (_, Direction::Undo) => true,
        (_, Direction::Do) => false,
    }
}

async fn one(run: &Run<'_>, call: &Call) -> Result<Record, Trouble> {
    let part = Run::new(run.docker, call)?;
    effect(&part).await.map_err(|trouble| match trouble {
        Trouble::Step(StepError::Failed(mut failure)) => {
            failure.message = part.about(&failure.message);
            Trouble::Step(StepError::Failed(failure))
        }
        trouble => trouble,
    })
}

/// Whether the owner's replacement has been started and has ended: nobody can be started beside it, and the
/// verification of it will say why, which a dependent's failure could not.
async fn has_ended(run: &Run<'_>) -> Result<bool, ApiError> {
    if (run.call.step, run.call.direction) != (Step::Swap(SwapStep::Start), Direction::Do) {
        return Ok(false);
    }
    let new = run.new_container().await?;
    Ok(new.is_some_and(|new| new.was_started() && !new.runs_since_its_start()))
}

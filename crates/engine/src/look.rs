//! Looking: asks the provider for observations and the judge what they say.

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use patchyard_contract::{Call, Clock, Provider, ProviderError};
use patchyard_decide::verify::{Before, Judge, LOOK_EVERY, Verdict, before};
use patchyard_types::{
    Action, Baseline, Failure, FailureKind, Millis, Observation, Record, StepError, Subject, TargetState,
};

/// Between the two looks of a baseline: long enough for a crash loop to show.
const BASELINE_APART: Duration = Duration::from_secs(1);

/// How long the original's answers must stay good after the way back.
const CONFIRM_FOR: Millis = Millis::from_secs(2);

/// Takes the baselines of the original and of its dependents: two looks, and only what is stable counts.
pub(crate) async fn baseline(
    provider: &dyn Provider,
    clock: &dyn Clock,
    call: &Call,
) -> Result<Record, StepError> {
    let everyone = everyone(call)?;
    let baselines = try_join_all(everyone.iter().map(|one| baseline_of(provider, clock, one))).await?;
    let mut records =
        baselines.into_iter().map(|baseline| Record::Preflighted { baseline, dependents: Vec::new() });
    let own = records.next().unwrap_or(Record::Nothing);
    Ok(own.with_dependents(records.collect()))
}

async fn baseline_of(provider: &dyn Provider, clock: &dyn Clock, call: &Call) -> Result<Baseline, StepError> {
    let (action, _) = call.action()?;
    loop {
        let first = look(provider, call, Subject::Original).await.map_err(|error| about(call, error))?;
        clock.sleep(BASELINE_APART).await;
        let second = look(provider, call, Subject::Original).await.map_err(|error| about(call, error))?;
        match before(action, &first, &second) {
            Before::Good(baseline) => return Ok(baseline),
            // The step's own timeout ends this.
            Before::Wait => {}
            Before::Bad(failure) => return Err(about(call, StepError::Failed(failure))),
        }
    }
}

/// Watches the replacements until their checks have stayed green for `verify_for`.
pub(crate) async fn verify(
    provider: &dyn Provider,
    clock: &dyn Clock,
    call: &Call,
) -> Result<Record, StepError> {
    let (owner, _) = call.owner()?;
    let judge = |action: &Action, baseline| Judge::new(action, baseline, owner.verify_for, clock.now());
    watch(provider, clock, call, Subject::Replacement, judge).await
}

/// Watches the originals after the way back until they serve as before.
pub(crate) async fn confirm(
    provider: &dyn Provider,
    clock: &dyn Clock,
    call: &Call,
) -> Result<Record, StepError> {
    let judge = |action: &Action, baseline| Judge::new(action, baseline, CONFIRM_FOR, clock.now()).patient();
    watch(provider, clock, call, Subject::Original, judge).await
}

/// The call itself, and what it comes to for each dependent.
fn everyone(call: &Call) -> Result<Vec<Call>, StepError> {
    let dependents = call.dependents()?;
    Ok(std::iter::once(call.clone()).chain(dependents).collect())
}

/// Looks at everybody in turn until all are good for long enough, or one is not: they go together, and one
/// that is good already has to stay so while another one still comes up.
async fn watch(
    provider: &dyn Provider,
    clock: &dyn Clock,
    call: &Call,
    subject: Subject,
    judge: impl Fn(&Action, Baseline) -> Judge,
) -> Result<Record, StepError> {
    let calls = everyone(call)?;
    let mut judges = Vec::with_capacity(calls.len());
    for call in &calls {
        let (action, _) = call.action()?;
        judges.push(judge(action, recorded_baseline(call)?));
    }
    loop {
        let looks = join_all(calls.iter().map(|call| provider.observe(call, subject))).await;
        let mut green = Some(clock.now());
        for ((call, judge), look) in calls.iter().zip(&mut judges).zip(looks) {
            let verdict = match look {
                Ok(observation) => judge.look(Ok(&observation), clock.now()),
                // Nothing was learned about the target: the outcome is unknown, not bad.
                Err(error @ ProviderError::Unreachable { .. }) => {
                    return Err(StepError::Unknown(error.to_string()));
                }
                Err(error) => judge.look(Err(error.to_string()), clock.now()),
            };
            match verdict {
                Verdict::Wait => green = None,
                // The service of the target itself is what counts as up.
                Verdict::Green { first_good } if call.dependent.is_none() => {
                    green = green.map(|_| first_good);
                }
                Verdict::Green { .. } => {}
                Verdict::Bad(failure) => return Err(about(call, StepError::Failed(failure))),
            }
        }
        match green {
            Some(first_good) => return Ok(Record::Verified { first_good }),
            None => clock.sleep(LOOK_EVERY.as_duration()).await,
        }
    }
}

/// Says of whom a failure is, where it is of a dependent.
fn about(call: &Call, error: StepError) -> StepError {
    match (&call.dependent, error) {
        (Some(dependent), StepError::Failed(failure)) => {
            let message = format!("its dependent {}: {}", dependent.action.name, failure.message);
            StepError::Failed(Failure { message, ..failure })
        }
        (_, error) => error,
    }
}

fn recorded_baseline(call: &Call) -> Result<Baseline, StepError> {
    call.baseline().cloned().ok_or_else(|| {
        StepError::Failed(Failure::new(FailureKind::Host, "no baseline was recorded before the patch"))
    })
}

async fn look(provider: &dyn Provider, call: &Call, subject: Subject) -> Result<Observation, StepError> {
    let observation = provider.observe(call, subject).await.map_err(|error| match error {
        ProviderError::Gone { .. } => {
            StepError::Failed(Failure::new(FailureKind::Precondition, error.to_string()))
        }
        ProviderError::Unreachable { .. } => StepError::Unknown(error.to_string()),
        ProviderError::Denied { .. }
        | ProviderError::NoWayIn(_)
        | ProviderError::Twin { .. }
        | ProviderError::NoAnswer { .. }
        | ProviderError::Local { .. } => {
            StepError::Failed(Failure::new(FailureKind::Host, error.to_string()))
        }
    })?;
    if observation.state == TargetState::Exited {
        let failure = Failure::new(FailureKind::Precondition, "is not running any more");
        return Err(StepError::Failed(failure));
    }
    Ok(observation)
}

//! Looking: asks the provider for observations and the judge what they say.

use std::time::Duration;

use patchyard_contract::{Call, Clock, Provider, ProviderError};
use patchyard_decide::verify::{Before, Judge, LOOK_EVERY, Verdict, before};
use patchyard_types::{
    Baseline, Failure, FailureKind, Millis, Observation, Record, Step, StepError, Subject, SwapStep,
    TargetState,
};

/// Between the two looks of a baseline: long enough for a crash loop to show.
const BASELINE_APART: Duration = Duration::from_secs(1);

/// How long the original's answers must stay good after the way back.
const CONFIRM_FOR: Millis = Millis::from_secs(2);

/// Takes the baseline of the original: two looks, and only what is stable counts.
pub(crate) async fn baseline(
    provider: &dyn Provider,
    clock: &dyn Clock,
    call: &Call,
) -> Result<Record, StepError> {
    let (action, _) = call.action()?;
    loop {
        let first = look(provider, call, Subject::Original).await?;
        clock.sleep(BASELINE_APART).await;
        let second = look(provider, call, Subject::Original).await?;
        match before(action, &first, &second) {
            Before::Good(baseline) => return Ok(Record::Preflighted { baseline }),
            // The step's own timeout ends this.
            Before::Wait => {}
            Before::Bad(failure) => return Err(StepError::Failed(failure)),
        }
    }
}

/// Watches the replacement until its checks have stayed green for `verify_for`.
pub(crate) async fn verify(
    provider: &dyn Provider,
    clock: &dyn Clock,
    call: &Call,
) -> Result<Record, StepError> {
    let (action, _) = call.action()?;
    let judge = Judge::new(action, recorded_baseline(call)?, action.verify_for, clock.now());
    watch(provider, clock, call, Subject::Replacement, judge).await
}

/// Watches the original after the way back until it serves as before.
pub(crate) async fn confirm(
    provider: &dyn Provider,
    clock: &dyn Clock,
    call: &Call,
) -> Result<Record, StepError> {
    let (action, _) = call.action()?;
    let judge = Judge::new(action, recorded_baseline(call)?, CONFIRM_FOR, clock.now()).patient();
    watch(provider, clock, call, Subject::Original, judge).await
}

async fn watch(
    provider: &dyn Provider,
    clock: &dyn Clock,
    call: &Call,
    subject: Subject,
    mut judge: Judge,
) -> Result<Record, StepError> {
    loop {
        let verdict = match provider.observe(call, subject).await {
            Ok(observation) => judge.look(Ok(&observation), clock.now()),
            // Nothing was learned about the target: the outcome is unknown, not bad.
            Err(error @ ProviderError::Unreachable { .. }) => {
                return Err(StepError::Unknown(error.to_string()));
            }
            Err(error) => judge.look(Err(error.to_string()), clock.now()),
        };
        match verdict {
            Verdict::Wait => clock.sleep(LOOK_EVERY.as_duration()).await,
            Verdict::Green { first_good } => return Ok(Record::Verified { first_good }),
            Verdict::Bad(failure) => return Err(StepError::Failed(failure)),
        }
    }
}

fn recorded_baseline(call: &Call) -> Result<Baseline, StepError> {
    match call.records.get(&Step::Swap(SwapStep::Preflight)) {
        Some(Record::Preflighted { baseline }) => Ok(baseline.clone()),
        _ => Err(StepError::Failed(Failure::new(
            FailureKind::Host,
            "no baseline was recorded before the patch",
        ))),
    }
}

async fn look(provider: &dyn Provider, call: &Call, subject: Subject) -> Result<Observation, StepError> {
    let observation = provider.observe(call, subject).await.map_err(|error| match error {
        ProviderError::Gone { .. } => {
            StepError::Failed(Failure::new(FailureKind::Precondition, error.to_string()))
        }
        ProviderError::Unreachable { .. } => StepError::Unknown(error.to_string()),
        ProviderError::Denied { .. }
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

//! Driving a rollout in this process, and asking things of one that another process drives.

use std::sync::Arc;
use std::time::Duration;

use patchyard_contract::StoreError;
use patchyard_engine::{DriveEnd, Engine, EngineError, Stop, Watcher};
use patchyard_types::{PersonVerdict, Request, RolloutId, RunId};

use crate::rollouts::{LOOK, Phase, Rollout, nothing_to};
use crate::{Context, Error, Fleet, gc, snapshots};

/// How long a driver has to acknowledge a request. It looks four times a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often this process looks whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Drives a rollout until it is over, paused or interrupted; at its end removes the snapshots that
/// retention no longer keeps, and images that nothing needs any more.
///
/// # Errors
/// When another driver holds it, the store fails, or a host of the plan is out of reach.
pub async fn drive(
    context: &Context,
    fleet: &Fleet,
    rollout: RolloutId,
    watcher: Arc<dyn Watcher>,
    stop: Stop,
) -> Result<DriveEnd, Error> {
    let engine = context.engine(fleet.providers());
    let end = drive_patiently(context, &engine, rollout, watcher, stop).await?;
    if matches!(end, DriveEnd::Ended(_)) {
        // Housekeeping: what cannot be removed now is removed next time, and `gc` tells.
        let _ = snapshots::apply_retention(context, fleet, false).await;
        let _ = gc::tidy(context, fleet, rollout).await;
    }
    Ok(end)
}

/// A look at who drives a rollout holds its lock for a moment: that is no reason to give up.
async fn drive_patiently(
    context: &Context,
    engine: &Engine,
    rollout: RolloutId,
    watcher: Arc<dyn Watcher>,
    stop: Stop,
) -> Result<DriveEnd, Error> {
    let mut waited = Duration::ZERO;
    loop {
        match engine.drive(rollout, Arc::clone(&watcher), stop.clone()).await {
            Err(EngineError::Store(StoreError::Locked { holder, .. }))
                if holder.contains(LOOK) && waited < PATIENCE =>
            {
                context.clock.sleep(LOOK_EVERY).await;
                waited += LOOK_EVERY;
            }
            other => return Ok(other?),
        }
    }
}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Its driver has taken it up.
    Acknowledged,
    /// Nobody drives it: it rests as it is, and whoever resumes it will see the request.
    Resting,
    /// Its driver did not acknowledge in time.
    Silent,
}

/// Asks a rollout to pause or to abort, and waits until its driver has seen it.
///
/// # Errors
/// When it has ended or the store fails.
pub async fn ask(context: &Context, rollout: RolloutId, request: Request, why: &str) -> Result<Asked, Error> {
    let before = Rollout::read(&*context.store, rollout).await?;
    if let Phase::NeedsAttention = before.phase {
        return Err(Error::refused(
            format!("{rollout} waits for a decision"),
            crate::rollouts::what_next(rollout, before.phase),
        ));
    }
    let engine = context.engine(Vec::new());
    engine.request(rollout, request, context.actor.clone(), why).await?;
    if before.phase != Phase::Running {
        return Ok(Asked::Resting);
    }
    let mut waited = Duration::ZERO;
    while waited < PATIENCE {
        let now = Rollout::read(&*context.store, rollout).await?;
        if now.state.acknowledged > before.state.requests || now.state.ended.is_some() {
            return Ok(Asked::Acknowledged);
        }
        if now.phase != Phase::Running {
            return Ok(Asked::Resting);
        }
        context.clock.sleep(LOOK_EVERY).await;
        waited += LOOK_EVERY;
    }
    Ok(Asked::Silent)
}

/// Writes that a paused or interrupted rollout goes on; [`drive`] then does.
///
/// # Errors
/// When it is under way, over, or waits for a decision.
pub async fn resume(context: &Context, rollout: RolloutId) -> Result<(), Error> {
    let found = Rollout::read(&*context.store, rollout).await?;
    if !found.phase.waits() {
        return Err(nothing_to("resume", rollout, found.phase));
    }
    let engine = context.engine(Vec::new());
    engine.request(rollout, Request::Resume, context.actor.clone(), "resumed").await?;
    Ok(())
}

/// Writes a person's decision about a run; [`drive`] then goes on with it.
///
/// # Errors
/// When the run does not wait for one.
pub async fn resolve(
    context: &Context,
    run: RunId,
    verdict: PersonVerdict,
    reason: &str,
) -> Result<(), Error> {
    // A run that does not exist would read as one that waits for nothing.
    let rollout = Rollout::read(&*context.store, run.rollout).await?;
    if run.action >= rollout.plan.decisions.actions.len() {
        let hint = format!("patchyard status {}", run.rollout);
        return Err(Error::input(format!("there is no run {run}"), hint));
    }
    let engine = context.engine(Vec::new());
    engine.resolve(run, verdict, context.actor.clone(), reason).await?;
    Ok(())
}

//! Carries decisions out: writes the intent, has the effect made, writes the outcome.
//!
//! Knows the contracts and the deciding rooms, and no implementation. Whatever it knows is a fold
//! of events, so a driver that dies is replaced by one that reads.
//!
//! - [`Engine`] begins rollouts and takes requests;
//! - `drive` holds the one loop over a rollout, and its lock;
//! - `run` carries one target through its steps;
//! - `look` asks the provider to look, and the judge what the looks say.

mod drive;
mod error;
mod look;
mod read;
mod run;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use patchyard_contract::{Append, Clock, Provider, Store, StoreError};
use patchyard_decide::rollout::RolloutState;
use patchyard_decide::run::RunState;
use patchyard_types::{
    Actor, EventBody, HostId, PersonVerdict, Plan, Request, RolloutEvent, RolloutId, RunEvent, RunId, Stream,
};

pub use drive::DriveEnd;
pub use error::EngineError;
pub use read::quarantine;
pub use watch::{Stop, Stopper, Watcher};

/// The engine of one controller.
pub struct Engine {
    store: Arc<dyn Store>,
    providers: BTreeMap<HostId, Arc<dyn Provider>>,
    clock: Arc<dyn Clock>,
    controller: String,
}

impl Engine {
    /// An engine over a store, the providers of the hosts in reach, and a clock.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        providers: Vec<Arc<dyn Provider>>,
        clock: Arc<dyn Clock>,
        controller: String,
    ) -> Self {
        let providers = providers.into_iter().map(|p| (p.host().clone(), p)).collect();
        Self { store, providers, clock, controller }
    }

    /// Stores a plan and begins its rollout, without doing anything yet.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn begin(&self, plan: &Plan, by: Actor) -> Result<RolloutId, EngineError> {
        self.store.save_plan(plan).await?;
        loop {
            let rollout = RolloutId(self.store.rollouts().await?.last().map_or(1, |last| last.0 + 1));
            let started = RolloutEvent::Started { plan: plan.digest(), by: by.clone() };
            let first = Append {
                stream: Stream::Rollout(rollout),
                expected: Some(0),
                bodies: vec![EventBody::Rollout(started)],
            };
            match self.store.append(self.clock.now(), vec![first]).await {
                Ok(_) => return Ok(rollout),
                // Another process took this number first.
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Asks something of a rollout, from whatever process; its driver acknowledges within a second.
    ///
    /// # Errors
    /// When there is no such rollout, it has ended, or the store cannot be written.
    pub async fn request(
        &self,
        rollout: RolloutId,
        request: Request,
        by: Actor,
        why: &str,
    ) -> Result<(), EngineError> {
        let (_, state) = self.rollout(rollout).await?;
        if let Some(end) = state.ended {
            return Err(EngineError::Ended { rollout, end });
        }
        let body = RolloutEvent::Requested { request, by, why: why.to_owned() };
        self.append(Stream::Rollout(rollout), vec![EventBody::Rollout(body)]).await
    }

    /// Writes a person's decision about a run that needs attention; `drive` then goes on with it.
    ///
    /// # Errors
    /// When the run does not need attention, a driver is at work, or the store cannot be written.
    pub async fn resolve(
        &self,
        run: RunId,
        verdict: PersonVerdict,
        by: Actor,
        reason: &str,
    ) -> Result<(), EngineError> {
        let _lock = self.lock(run.rollout)?;
        if self.run(run).await?.attention.is_none() {
            return Err(EngineError::NothingToResolve { run });
        }
        let resolved = RunEvent::Resolved { verdict, by, reason: reason.to_owned() };
        let reopened = RolloutEvent::RunStarted { action: run.action };
        let batch = vec![
            Append { stream: Stream::Run(run), expected: None, bodies: vec![EventBody::Run(resolved)] },
            Append {
                stream: Stream::Rollout(run.rollout),
                expected: None,
                bodies: vec![EventBody::Rollout(reopened)],
            },
        ];
        self.store.append(self.clock.now(), batch).await?;
        Ok(())
    }

    /// A rollout's plan and state.
    ///
    /// # Errors
    /// When there is no such rollout or its plan is gone.
    pub async fn rollout(&self, rollout: RolloutId) -> Result<(Plan, RolloutState), EngineError> {
        read::rollout(&*self.store, rollout).await
    }

    /// A run's state.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn run(&self, run: RunId) -> Result<RunState, EngineError> {
        Ok(RunState::fold(&self.store.read(Stream::Run(run), 0).await?))
    }

    async fn append(&self, stream: Stream, bodies: Vec<EventBody>) -> Result<(), EngineError> {
        self.store.append(self.clock.now(), vec![Append { stream, expected: None, bodies }]).await?;
        Ok(())
    }

    fn lock(&self, rollout: RolloutId) -> Result<patchyard_contract::LockGuard, EngineError> {
        Ok(self.store.lock(&format!("rollout-{rollout}"), &format!("the driver of {rollout}"))?)
    }
}

//! One target through its steps: intent, effect, outcome, until the decider says it is over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use patchyard_contract::{
    Append, Call, ImageSource, LockGuard, Note, Progress, Provider, ProviderError, StoreError,
};
use patchyard_decide::rollout::Wish;
use patchyard_decide::run::{Mode, Probing, RunCommand, RunState, Undo, decide, has_another_way_back, rules};
use patchyard_types::{
    Action, Digest, Direction, Event, EventBody, Failure, FailureKind, HostId, LedgerEvent, Method, Millis,
    Order, PatchSetId, Plan, Probe, Quarantine, Record, RolloutEvent, RunEnd, RunEvent, RunId, Step,
    StepError, Stream, SwapStep, TargetId,
};
use tokio::sync::watch;

use crate::{Engine, EngineError, Watcher, look};

/// How long a host may stay silent before the run is put down; `resume` takes it up again.
const PATIENCE: Duration = Duration::from_secs(120);

/// The longest pause between two tries to reach a silent host.
const TRY_AGAIN: Duration = Duration::from_secs(8);

/// How a run came out of this driver's hands.
#[derive(Debug)]
pub(crate) enum RunFinish {
    /// It is over, or waits for a person.
    Ended,
    /// The rollout was paused before the service was disturbed.
    Rested,
    /// Its host does not answer, or another process holds the target: the rest waits for `resume`.
    Suspended {
        /// Why.
        reason: String,
    },
}

/// Images that this rollout has built, by patch set: where, and under which id.
pub(crate) type Built = Arc<Mutex<BTreeMap<PatchSetId, (HostId, String)>>>;

/// One run in a driver's hands.
pub(crate) struct RunTask<'a> {
    pub engine: &'a Engine,
    pub plan: Arc<Plan>,
    pub id: RunId,
    pub wish: watch::Receiver<Wish>,
    pub watcher: Arc<dyn Watcher>,
    pub built: Built,
}

/// A step whose intent is written.
#[derive(Clone, Copy)]
struct Intended {
    step: Step,
    direction: Direction,
    timeout: Millis,
}

/// Passes a provider's remarks on with the run's name.
struct Notes {
    run: RunId,
    watcher: Arc<dyn Watcher>,
}

impl Progress for Notes {
    fn note(&self, note: Note) {
        self.watcher.note(self.run, note);
    }
}

impl RunTask<'_> {
    pub(crate) async fn drive(mut self) -> Result<RunFinish, EngineError> {
        let plan = Arc::clone(&self.plan);
        let broken = |reason: &str| EngineError::BrokenPlan { reason: reason.to_owned() };
        let action = plan.decisions.actions.get(self.id.action).ok_or_else(|| broken("no such action"))?;
        let Some(provider) = self.engine.providers.get(&action.host).cloned() else {
            return Err(EngineError::NoProvider { host: action.host.clone() });
        };
        let mut state = self.engine.run(self.id).await?;
        let _targets = match self.lock_targets(action) {
            Ok(guard) => guard,
            Err(StoreError::Locked { holder, .. }) if state.open.is_none() && state.records.is_empty() => {
                let failure = format!("another rollout is working on it: {holder}");
                return self.end(&state, action, RunEnd::Skipped, Some(failure), false).await;
            }
            Err(StoreError::Locked { name, holder }) => {
                return Ok(RunFinish::Suspended { reason: format!("{name} is in use by {holder}") });
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(open) = state.open.clone().filter(|open| open.cannot_tell.is_none()) {
            let reason = "the driver stopped in the middle of it".to_owned();
            let lost =
                RunEvent::Lost { step: open.step, direction: open.direction, reason, host_away: false };
            self.tell(&mut state, vec![lost]).await?;
        }
        loop {
            let wish = *self.wish.borrow_and_update();
            if wish == Wish::Abort && !state.aborted && state.ended.is_none() && state.attention.is_none() {
                self.tell(&mut state, vec![RunEvent::AbortRequested]).await?;
            }
            let mode = if wish == Wish::Pause { Mode::Pause } else { Mode::Go };
            match decide(&state, action, mode) {
                RunCommand::Perform { step, direction, timeout, after } => {
                    self.engine.clock.sleep(after.as_duration()).await;
                    self.tell(&mut state, vec![RunEvent::Intended { step, direction }]).await?;
                    let mut intended = Some(Intended { step, direction, timeout });
                    while let Some(this) = intended {
                        intended = self.perform(&mut state, action, &*provider, this).await?;
                    }
                }
                RunCommand::Probe { step, direction } => {
                    if let Some(reason) = self.probe(&mut state, &*provider, step, direction).await? {
                        return Ok(RunFinish::Suspended { reason });
                    }
                }
                RunCommand::CallPerson { reason } => return self.call_person(reason).await,
                RunCommand::End { end, reason, quarantine } => {
                    return self.end(&state, action, end, reason, quarantine).await;
                }
                RunCommand::Rest => return Ok(RunFinish::Rested),
                RunCommand::AwaitPerson | RunCommand::Over => return Ok(RunFinish::Ended),
            }
        }
    }

    /// Has the effect of a written intent made and writes its outcome, together with the intent that follows it at
    /// once: each transaction waits for the disk, and between two steps of a swap nobody serves.
    async fn perform(
        &mut self,
        state: &mut RunState,
        action: &Action,
        provider: &dyn Provider,
        Intended { step, direction, timeout }: Intended,
    ) -> Result<Option<Intended>, EngineError> {
        let call = self.call(state, step, direction);
        let outcome = self.within(timeout, step, direction, effect(self.engine, provider, &call)).await;
        let body = match outcome {
            Ok(record) => {
                self.remember_image(&call, &record);
                RunEvent::Succeeded { step, direction, record }
            }
            Err(StepError::Failed(failure)) => RunEvent::Failed { step, direction, failure },
            Err(StepError::Unknown(reason)) => RunEvent::Lost { step, direction, reason, host_away: true },
        };
        let next = self.next(state, action, &body);
        let intent =
            next.as_ref().map(|next| RunEvent::Intended { step: next.step, direction: next.direction });
        self.tell(state, [body].into_iter().chain(intent).collect()).await?;
        Ok(next)
    }

    /// What would be begun at once if this were written; nothing where something else comes first.
    fn next(&self, state: &RunState, action: &Action, body: &RunEvent) -> Option<Intended> {
        let mode = match *self.wish.borrow() {
            Wish::Go => Mode::Go,
            Wish::Pause => Mode::Pause,
            Wish::Abort => return None,
        };
        let mut ahead = state.clone();
        let (stream, body) = (Stream::Run(self.id), EventBody::Run(body.clone()));
        ahead.apply(&Event { stream, seq: state.seq + 1, at: self.engine.clock.now(), body });
        match decide(&ahead, action, mode) {
            RunCommand::Perform { step, direction, timeout, after: Millis(0) } => {
                Some(Intended { step, direction, timeout })
            }
            _ => None,
        }
    }

    /// The effect within its time; dropped on pause and abort where nothing but time is lost.
    async fn within(
        &mut self,
        timeout: Millis,
        step: Step,
        direction: Direction,
        effect: impl Future<Output = Result<Record, StepError>>,
    ) -> Result<Record, StepError> {
        let effect = std::pin::pin!(effect);
        let interruptible = rules(step).interruptible && direction == Direction::Do;
        let limit = async {
            tokio::select! {
                biased;
                () = asked_to_stop(&mut self.wish), if interruptible => {
                    StepError::Unknown("interrupted on request".into())
                }
                () = self.engine.clock.sleep(timeout.as_duration()) => {
                    let message = format!("step '{step}' did not end within {timeout}");
                    StepError::Failed(Failure::new(FailureKind::Timeout, message))
                }
            }
        };
        match select(effect, std::pin::pin!(limit)).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right((error, _)) => Err(error),
        }
    }

    /// Asks the world about an unknown outcome. Returns why the run is put down, if the host stays
    /// silent.
    async fn probe(
        &self,
        state: &mut RunState,
        provider: &dyn Provider,
        step: Step,
        direction: Direction,
    ) -> Result<Option<String>, EngineError> {
        let call = self.call(state, step, direction);
        let mut wait = Duration::from_millis(500);
        let mut waited = Duration::ZERO;
        let probe = loop {
            if rules(step).probing == Probing::Repeat {
                break Probe::NotDone;
            }
            match probe(self.engine, provider, &call).await {
                Ok(probe) => break probe,
                Err(error) if waited >= PATIENCE => return Ok(Some(error.to_string())),
                Err(_) => {
                    self.engine.clock.sleep(wait).await;
                    waited += wait;
                    wait = (wait * 2).min(TRY_AGAIN);
                }
            }
        };
        if let Probe::Done { record } = &probe {
            self.remember_image(&call, record);
        }
        self.tell(state, vec![RunEvent::Probed { step, direction, probe }]).await?;
        Ok(None)
    }

    async fn call_person(&self, reason: String) -> Result<RunFinish, EngineError> {
        let ended = RolloutEvent::RunEnded {
            action: self.id.action,
            end: RunEnd::NeedsAttention,
            reason: Some(reason.clone()),
            quarantined: false,
        };
        self.append(vec![self.to_run(RunEvent::AttentionNeeded { reason }), self.to_rollout(ended)]).await?;
        Ok(RunFinish::Ended)
    }

    /// Writes the end of the run, its place in the rollout, and the quarantine, in one transaction.
    async fn end(
        &self,
        state: &RunState,
        action: &Action,
        end: RunEnd,
        reason: Option<String>,
        quarantine: bool,
    ) -> Result<RunFinish, EngineError> {
        let entry = self.plan.patch_set(action).filter(|_| quarantine && action.method != Method::Restore);
        let entry = entry.map(|set| Quarantine {
            patch_set: action.patch_set,
            versions: set.versions(),
            files: set.files(),
            service: action.service.clone(),
            run: self.id,
            at: self.engine.clock.now(),
            reason: reason.clone().unwrap_or_default(),
        });
        let quarantined = entry.is_some();
        let mut batch = vec![
            self.to_run(RunEvent::Ended { end, reason: reason.clone(), quarantined }),
            self.to_rollout(RolloutEvent::RunEnded { action: self.id.action, end, reason, quarantined }),
        ];
        if let Some(quarantine) = entry {
            let body = EventBody::Ledger(LedgerEvent::Quarantined { quarantine });
            batch.push(Append { stream: Stream::Ledger, expected: None, bodies: vec![body] });
        }
        debug_assert!(state.ended.is_none(), "a run ends once");
        self.append(batch).await?;
        Ok(RunFinish::Ended)
    }

    fn call(&self, state: &RunState, step: Step, direction: Direction) -> Call {
        Call {
            run: self.id,
            step,
            direction,
            plan: Arc::clone(&self.plan),
            records: state.records.clone(),
            given_up: state.given_up().keys().copied().collect(),
            source: self.source(),
            progress: Some(Arc::new(Notes { run: self.id, watcher: Arc::clone(&self.watcher) })),
            dependent: None,
        }
    }

    /// The same patch set's image on another host, if it was built there.
    fn source(&self) -> Option<ImageSource> {
        let action = self.plan.decisions.actions.get(self.id.action)?;
        let built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        let (host, image) = built.get(&action.patch_set).filter(|(host, _)| *host != action.host)?;
        let provider = self.engine.providers.get(host)?;
        Some(ImageSource { provider: Arc::clone(provider), image: image.clone() })
    }

    fn remember_image(&self, call: &Call, record: &Record) {
        if let (Step::Swap(SwapStep::Prepare), Record::Prepared { image, .. }, Ok((action, _))) =
            (call.step, record, call.action())
        {
            let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
            built.entry(action.patch_set).or_insert_with(|| (action.host.clone(), image.clone()));
        }
    }

    /// Locks the target and its dependents.
    fn lock_targets(&self, action: &Action) -> Result<Vec<LockGuard>, StoreError> {
        let holder = format!("run {} on {}", self.id, action.name);
        let name =
            |target: &TargetId| format!("target-{}", Digest::of_bytes(target.as_str().as_bytes()).short(16));
        action.disturbed().map(|target| self.engine.store.lock(&name(target), &holder)).collect()
    }

    fn to_run(&self, body: RunEvent) -> Append {
        Append { stream: Stream::Run(self.id), expected: None, bodies: vec![EventBody::Run(body)] }
    }

    fn to_rollout(&self, body: RolloutEvent) -> Append {
        let stream = Stream::Rollout(self.id.rollout);
        Append { stream, expected: None, bodies: vec![EventBody::Rollout(body)] }
    }

    /// Writes events of this run, in one transaction, and folds them.
    async fn tell(&self, state: &mut RunState, bodies: Vec<RunEvent>) -> Result<(), EngineError> {
        // Only this task writes to its stream; the sequence number makes sure of it.
        let bodies = bodies.into_iter().map(EventBody::Run).collect();
        let append = Append { stream: Stream::Run(self.id), expected: Some(state.seq), bodies };
        for event in self.append(vec![append]).await? {
            state.apply(&event);
        }
        Ok(())
    }

    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Event>, EngineError> {
        let events = self.engine.store.append(self.engine.clock.now(), batch).await?;
        for event in &events {
            self.watcher.event(event);
        }
        Ok(events)
    }
}

/// Makes an effect: the provider's, or the engine's own looking.
async fn effect(engine: &Engine, provider: &dyn Provider, call: &Call) -> Result<Record, StepError> {
    let clock = &*engine.clock;
    match (call.step, call.direction) {
        (step, Direction::Do) if step.is_verify() => look::verify(provider, clock, call).await,
        (step, Direction::Do) if step.is_preflight() => {
            provider.perform(call).await?;
            look::baseline(provider, clock, call).await
        }
        (step, Direction::Undo) if step.is_preflight() => look::confirm(provider, clock, call).await,
        (step, Direction::Undo) if rules(step).undo == Undo::ConfirmedEffect => {
            let (action, _) = call.owner()?;
            if action.order == Order::StartFirst {
                look::confirm(provider, clock, call).await?;
            }
            provider.perform(call).await
        }
        _ if is_confirmed(call) => {
            let record = provider.perform(call).await?;
            if record != Record::NotBegun {
                look::confirm(provider, clock, call).await?;
            }
            Ok(record)
        }
        _ => provider.perform(call).await,
    }
}

/// Asks the provider about an effect, and looks where the effect itself would have.
async fn probe(engine: &Engine, provider: &dyn Provider, call: &Call) -> Result<Probe, ProviderError> {
    let probe = provider.probe(call).await?;
    match &probe {
        Probe::Done { record } if *record != Record::NotBegun && is_confirmed(call) => {}
        _ => return Ok(probe),
    }
    match look::confirm(provider, &*engine.clock, call).await {
        Ok(_) => Ok(probe),
        Err(StepError::Failed(failure)) => Ok(Probe::Failed { failure }),
        Err(StepError::Unknown(reason)) => {
            let (action, _) =
                call.action().map_err(|error| ProviderError::Local { reason: error.to_string() })?;
            Err(ProviderError::Unreachable { host: action.host.to_string(), reason })
        }
    }
}

/// Whether it matters now that the target serves as before: where it does not, its disks go back, and they can only as long as
/// nothing has come of the step behind this one.
fn is_confirmed(call: &Call) -> bool {
    call.direction == Direction::Undo && has_another_way_back(call.step, &call.records)
}

/// Returns once the rollout is to be paused or aborted.
async fn asked_to_stop(wish: &mut watch::Receiver<Wish>) {
    if wish.wait_for(|wish| *wish != Wish::Go).await.is_err() {
        std::future::pending::<()>().await;
    }
}

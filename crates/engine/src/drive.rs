//! The driver: the one loop over a rollout. One driver per rollout holds its lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::FuturesUnordered;
use patchyard_contract::Append;
use patchyard_decide::rollout::{RolloutCommand, RolloutState, RunSlot, Wish, decide};
use patchyard_types::{
    Actor, EventBody, Millis, Plan, Record, Request, RolloutEnd, RolloutEvent, RolloutId, RunEnd, RunEvent,
    RunId, Step, Stream, SwapStep,
};
use tokio::sync::watch;

use crate::run::{Built, RunFinish, RunTask};
use crate::{Engine, EngineError, Stop, Watcher, read};

/// How often requests of other processes are looked for: they are acknowledged within a second.
const LOOK_FOR_REQUESTS: Millis = Millis(250);

/// How a driver let go of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriveEnd {
    /// It is over.
    Ended(RolloutEnd),
    /// It was paused; `resume` goes on.
    Paused,
    /// A host does not answer; `resume` goes on once it does.
    Interrupted {
        /// What stands in the way.
        reason: String,
    },
}

type Running<'a> = FuturesUnordered<BoxFuture<'a, (usize, Result<RunFinish, EngineError>)>>;

/// A rollout in a driver's hands.
struct Driver<'a> {
    engine: &'a Engine,
    rollout: RolloutId,
    plan: Arc<Plan>,
    state: RolloutState,
    ledger: read::Ledger,
    watcher: Arc<dyn Watcher>,
    wish: watch::Sender<Wish>,
    built: Built,
    running: Running<'a>,
    in_hand: BTreeSet<usize>,
    suspended: BTreeMap<usize, String>,
    error: Option<EngineError>,
}

impl Engine {
    /// Drives a rollout until it is over, paused or interrupted. What a crashed driver left open is
    /// probed first.
    ///
    /// # Errors
    /// When another driver holds the rollout, the store fails, or a host of the plan is not known.
    pub async fn drive(
        &self,
        rollout: RolloutId,
        watcher: Arc<dyn Watcher>,
        mut stop: Stop,
    ) -> Result<DriveEnd, EngineError> {
        let _lock = self.lock(rollout)?;
        let (plan, state) = self.rollout(rollout).await?;
        for action in &plan.decisions.actions {
            if !self.providers.contains_key(&action.host) {
                return Err(EngineError::NoProvider { host: action.host.clone() });
            }
        }
        let mut driver = Driver {
            engine: self,
            rollout,
            wish: watch::Sender::new(state.wish),
            plan: Arc::new(plan),
            state,
            ledger: read::Ledger::default(),
            watcher,
            built: Arc::new(Mutex::new(BTreeMap::new())),
            running: FuturesUnordered::new(),
            in_hand: BTreeSet::new(),
            suspended: BTreeMap::new(),
            error: None,
        };
        if let Some(end) = driver.state.ended {
            return Ok(DriveEnd::Ended(end));
        }
        driver.tell(RolloutEvent::Driven { controller: self.controller.clone() }).await?;
        driver.recall_built().await?;
        driver.take_up_runs();
        driver.run(&mut stop).await
    }
}

impl Driver<'_> {
    async fn run(&mut self, stop: &mut Stop) -> Result<DriveEnd, EngineError> {
        let mut stopped = false;
        loop {
            if self.error.is_none()
                && let Err(error) = self.decide_and_do().await
            {
                self.error = Some(error);
                // Without a store nothing new may begin; what disturbs a service is finished.
                self.wish.send_replace(Wish::Pause);
            }
            if self.running.is_empty()
                && let Some(end) = self.finish()
            {
                return end;
            }
            tokio::select! {
                Some((action, finish)) = self.running.next() => self.came_back(action, finish),
                why = stop.pulled(), if !stopped => {
                    stopped = true;
                    if let Err(error) = self.ask_for_pause(&why).await {
                        self.error.get_or_insert(error);
                    }
                }
                () = self.engine.clock.sleep(LOOK_FOR_REQUESTS.as_duration()) => {}
            }
        }
    }

    /// Looks at what is new, decides, carries out, until nothing more is to be done now.
    async fn decide_and_do(&mut self) -> Result<(), EngineError> {
        loop {
            self.refresh().await?;
            if self.state.wish == Wish::Go && self.engine.store.is_low() {
                // The reserve was spent to finish what was in the middle: begin nothing on top of it.
                self.ask_for_pause("no space left for the state: free some, then resume").await?;
                continue;
            }
            if self.state.wish != Wish::Pause {
                self.take_up_runs();
            }
            let resting = self.running.is_empty() && self.suspended.is_empty();
            let commands = decide(&self.state, &self.plan, &self.ledger.entries, resting);
            if commands.is_empty() {
                return Ok(());
            }
            for command in commands {
                self.carry_out(command).await?;
            }
        }
    }

    /// Asks for a pause in the controller's own name: every stop goes the same way.
    async fn ask_for_pause(&mut self, why: &str) -> Result<(), EngineError> {
        let by = Actor(self.engine.controller.clone());
        self.tell(RolloutEvent::Requested { request: Request::Pause, by, why: why.to_owned() }).await
    }

    async fn carry_out(&mut self, command: RolloutCommand) -> Result<(), EngineError> {
        match command {
            RolloutCommand::Acknowledge { requests } => {
                self.tell(RolloutEvent::Acknowledged { requests }).await
            }
            RolloutCommand::Start { action } => self.start(action).await,
            RolloutCommand::Skip { action, reason } => self.skip(action, reason).await,
            RolloutCommand::MoveTag { tag } => self.move_tag(tag).await,
            RolloutCommand::LeaveTag { tag, reason } => {
                self.tell(RolloutEvent::TagSettled { tag, left: Some(reason) }).await
            }
            RolloutCommand::Pause => self.tell(RolloutEvent::Paused).await,
            RolloutCommand::End { end } => self.tell(RolloutEvent::Ended { end }).await,
        }
    }

    async fn start(&mut self, action: usize) -> Result<(), EngineError> {
        let Some(planned) = self.plan.decisions.actions.get(action) else { return Ok(()) };
        let started = RunEvent::Started { target: planned.target.clone() };
        let run = RunId { rollout: self.rollout, action };
        let run =
            Append { stream: Stream::Run(run), expected: Some(0), bodies: vec![EventBody::Run(started)] };
        self.append(vec![run, self.of(RolloutEvent::RunStarted { action })]).await?;
        self.take_up(action);
        Ok(())
    }

    async fn skip(&mut self, action: usize, reason: String) -> Result<(), EngineError> {
        let end = RunEnd::Skipped;
        let run = RunId { rollout: self.rollout, action };
        let ended = RunEvent::Ended { end, reason: Some(reason.clone()), quarantined: false };
        let run = Append { stream: Stream::Run(run), expected: Some(0), bodies: vec![EventBody::Run(ended)] };
        let rollout = RolloutEvent::RunEnded { action, end, reason: Some(reason), quarantined: false };
        self.append(vec![run, self.of(rollout)]).await
    }

    async fn move_tag(&mut self, tag: usize) -> Result<(), EngineError> {
        let plan = Arc::clone(&self.plan);
        let Some(planned) = plan.decisions.tags.get(tag) else { return Ok(()) };
        self.tell(RolloutEvent::TagIntended { tag }).await?;
        let image = match &planned.image {
            Some(image) => Some(image.clone()),
            None => self.image_on(&planned.host, &planned.patch_set).await?,
        };
        let left = match (self.engine.providers.get(&planned.host), image) {
            (Some(provider), Some(image)) => {
                provider.move_tag(planned, &image).await.unwrap_or_else(|error| Some(error.to_string()))
            }
            _ => Some("the patched image is not known".into()),
        };
        self.tell(RolloutEvent::TagSettled { tag, left }).await
    }

    /// The image that a run of this rollout prepared on a host.
    async fn image_on(
        &self,
        host: &patchyard_types::HostId,
        patch_set: &patchyard_types::PatchSetId,
    ) -> Result<Option<String>, EngineError> {
        for (index, action) in self.plan.decisions.actions.iter().enumerate() {
            if action.host != *host || action.patch_set != *patch_set {
                continue;
            }
            let state = self.engine.run(RunId { rollout: self.rollout, action: index }).await?;
            if let Some(Record::Prepared { image, .. }) = state.records.get(&Step::Swap(SwapStep::Prepare)) {
                return Ok(Some(image.clone()));
            }
        }
        Ok(None)
    }

    /// What earlier drivers of this rollout built.
    async fn recall_built(&mut self) -> Result<(), EngineError> {
        for (index, action) in self.plan.decisions.actions.iter().enumerate() {
            if self.state.runs.get(index) == Some(&RunSlot::Waiting) {
                continue;
            }
            if let Some(image) = self.image_on(&action.host, &action.patch_set).await? {
                let mut built = self.built.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                built.entry(action.patch_set).or_insert_with(|| (action.host.clone(), image));
            }
        }
        Ok(())
    }

    /// Takes up every run that has begun and is in nobody's hands.
    fn take_up_runs(&mut self) {
        let begun: Vec<usize> = (0..self.state.runs.len())
            .filter(|action| self.state.runs[*action] == RunSlot::Running)
            .filter(|action| !self.in_hand.contains(action) && !self.suspended.contains_key(action))
            .collect();
        for action in begun {
            self.take_up(action);
        }
    }

    fn take_up(&mut self, action: usize) {
        let task = RunTask {
            engine: self.engine,
            plan: Arc::clone(&self.plan),
            id: RunId { rollout: self.rollout, action },
            wish: self.wish.subscribe(),
            watcher: Arc::clone(&self.watcher),
            built: Arc::clone(&self.built),
        };
        self.in_hand.insert(action);
        self.running.push(task.drive().map(move |finish| (action, finish)).boxed());
    }

    fn came_back(&mut self, action: usize, finish: Result<RunFinish, EngineError>) {
        self.in_hand.remove(&action);
        match finish {
            Ok(RunFinish::Ended | RunFinish::Rested) => {}
            Ok(RunFinish::Suspended { reason }) => {
                self.suspended.insert(action, reason);
            }
            Err(error) => {
                self.error.get_or_insert(error);
                self.wish.send_replace(Wish::Pause);
            }
        }
    }

    /// How the driver lets go, when no run is at work and nothing is left to decide.
    fn finish(&mut self) -> Option<Result<DriveEnd, EngineError>> {
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        if let Some(end) = self.state.ended {
            return Some(Ok(DriveEnd::Ended(end)));
        }
        if let Some(reason) = self.suspended.values().next() {
            return Some(Ok(DriveEnd::Interrupted { reason: reason.clone() }));
        }
        self.state.paused.then_some(Ok(DriveEnd::Paused))
    }

    /// Reads what is new in the rollout's stream and in the ledger, which other rollouts write too.
    async fn refresh(&mut self) -> Result<(), EngineError> {
        for event in self.engine.store.read(Stream::Rollout(self.rollout), self.state.seq).await? {
            self.state.apply(&event);
        }
        self.ledger.refresh(&*self.engine.store).await?;
        let wish = self.state.wish;
        self.wish.send_if_modified(|current| std::mem::replace(current, wish) != wish);
        Ok(())
    }

    fn of(&self, body: RolloutEvent) -> Append {
        let stream = Stream::Rollout(self.rollout);
        Append { stream, expected: None, bodies: vec![EventBody::Rollout(body)] }
    }

    async fn tell(&mut self, body: RolloutEvent) -> Result<(), EngineError> {
        self.append(vec![self.of(body)]).await
    }

    /// Writes events; the state takes them in when it reads them back, in the order in which other
    /// processes' requests came in between.
    async fn append(&mut self, batch: Vec<Append>) -> Result<(), EngineError> {
        for event in self.engine.store.append(self.engine.clock.now(), batch).await? {
            self.watcher.event(&event);
        }
        Ok(())
    }
}

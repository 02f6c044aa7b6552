//! The event log of a controller, read as any process of it would.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use patchyard_contract::Store;
use patchyard_store_sqlite::SqliteStore;
use patchyard_types::{
    Direction, Event, EventBody, Probe, RolloutEvent, RolloutId, RunEvent, RunId, Step, Stream, SwapStep,
};

use crate::Service;

/// The event log.
pub struct Events {
    store: SqliteStore,
    runtime: tokio::runtime::Runtime,
}

impl Events {
    pub(crate) fn open(state: &Path) -> Self {
        let store = SqliteStore::open(state).expect("the state can be opened");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self { store, runtime }
    }

    /// Every rollout there is.
    #[must_use]
    pub fn rollouts(&self) -> Vec<RolloutId> {
        self.runtime.block_on(self.store.rollouts()).expect("rollouts can be listed")
    }

    /// The events of a stream.
    #[must_use]
    pub fn of(&self, stream: Stream) -> Vec<Event> {
        self.runtime.block_on(self.store.read(stream, 0)).expect("a stream can be read")
    }

    /// The events of every run of a rollout that has begun.
    #[must_use]
    pub fn runs(&self, rollout: RolloutId) -> Vec<(RunId, Vec<Event>)> {
        let mut actions: Vec<usize> = Vec::new();
        for event in self.of(Stream::Rollout(rollout)) {
            if let EventBody::Rollout(RolloutEvent::RunStarted { action }) = event.body
                && !actions.contains(&action)
            {
                actions.push(action);
            }
        }
        let runs = actions.into_iter().map(|action| RunId { rollout, action });
        runs.map(|id| (id, self.of(Stream::Run(id)))).collect()
    }

    /// What the first event of a run gives that gives something.
    #[must_use]
    pub fn find<T>(&self, run: RunId, pick: impl Fn(Timestamp, &RunEvent) -> Option<T>) -> Option<T> {
        self.of(Stream::Run(run)).iter().find_map(|event| match &event.body {
            EventBody::Run(body) => pick(event.at, body),
            EventBody::Rollout(_) | EventBody::Ledger(_) => None,
        })
    }

    /// The last run of a service that has begun.
    #[must_use]
    pub fn run_of(&self, service: &Service) -> Option<RunId> {
        let runs = self.rollouts().into_iter().flat_map(|rollout| self.runs(rollout));
        let is_it = |event: &Event| matches!(&event.body, EventBody::Run(RunEvent::Started { target }) if target.name() == service.name());
        runs.filter(|(_, events)| events.iter().any(is_it)).map(|(run, _)| run).last()
    }

    /// Whether a service's run has written the intent to do a step.
    #[must_use]
    pub fn has_begun(&self, service: &Service, step: SwapStep) -> bool {
        self.run_of(service).is_some_and(|run| self.find(run, |at, event| intent(step, at, event)).is_some())
    }

    /// Makes sure that no step of any run has taken effect twice without having been taken back.
    ///
    /// # Panics
    /// When one has.
    pub fn nothing_was_done_twice(&self) {
        for rollout in self.rollouts() {
            for (run, events) in self.runs(rollout) {
                let mut done: BTreeMap<Step, u32> = BTreeMap::new();
                for event in &events {
                    let EventBody::Run(body) = &event.body else { continue };
                    let Some((step, direction)) = took_effect(body) else { continue };
                    let times = done.entry(step).or_default();
                    match direction {
                        Direction::Do => *times += 1,
                        Direction::Undo => *times = 0,
                    }
                    assert!(*times < 2, "{run}: '{step}' was done twice: {events:#?}");
                }
            }
        }
    }
}

fn took_effect(body: &RunEvent) -> Option<(Step, Direction)> {
    match body {
        RunEvent::Succeeded { step, direction, .. }
        | RunEvent::Probed { step, direction, probe: Probe::Done { .. } } => Some((*step, *direction)),
        _ => None,
    }
}

/// When a step was intended, if that is what an event says.
#[must_use]
pub fn intent(step: SwapStep, at: Timestamp, event: &RunEvent) -> Option<Timestamp> {
    match event {
        RunEvent::Intended { step: Step::Swap(this), direction: Direction::Do } if *this == step => Some(at),
        _ => None,
    }
}

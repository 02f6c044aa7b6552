//! The event log of a controller, read as any process of it would.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use patchyard_contract::Store;
use patchyard_store_sqlite::SqliteStore;
use patchyard_types::{Direction, Event, EventBody, Probe, RolloutId, RunEvent, RunId, Step, Stream, SwapStep};

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

    /// The events of every run of a rollout.
    #[must_use]
    pub fn runs(&self, rollout: RolloutId) -> Vec<(RunId, Vec<Event>)> {
        let run = |action| RunId { rollout, action };
        (0..).map(run).map(|id| (id, self.of(Stream::Run(id)))).take_while(|(_, events)| !events.is_empty()).collect()
    }

    /// When an event of a run was written for the first time.
    #[must_use]
    pub fn when(&self, run: RunId, is_it: impl Fn(&RunEvent) -> bool) -> Option<Timestamp> {
        self.of(Stream::Run(run)).iter().find(|event| matches!(&event.body, EventBody::Run(body) if is_it(body))).map(|event| event.at)
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

/// Whether an event is the intent to do a step.
#[must_use]
pub fn intends(step: SwapStep) -> impl Fn(&RunEvent) -> bool {
    move |event| matches!(event, RunEvent::Intended { step: Step::Swap(this), direction: Direction::Do } if *this == step)
}

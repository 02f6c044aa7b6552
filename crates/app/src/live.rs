//! Looking on while a rollout is driven: events folded into what a person wants to know now.

use std::sync::{Mutex, PoisonError};

use patchyard_contract::Note;
use patchyard_decide::rollout::RolloutState;
use patchyard_decide::run::RunState;
use patchyard_engine::Watcher;
use patchyard_types::{
    Direction, Event, EventBody, Plan, Request, RolloutEnd, RolloutEvent, RolloutId, RunEvent, RunId, Step,
    Stream,
};

use crate::report::{RunReport, run_report};
use crate::rollouts::{self, Rollout};
use crate::{Context, Error};

/// Something worth showing.
#[derive(Debug, Clone)]
pub enum Update {
    /// A run began, or was taken up again.
    Began {
        /// The run.
        run: RunId,
        /// Its target's name.
        name: String,
    },
    /// A step is being done or taken back.
    Step {
        /// The run.
        run: RunId,
        /// Its target's name.
        name: String,
        /// Which step.
        step: Step,
        /// Do or undo.
        direction: Direction,
    },
    /// A remark on long work.
    Note {
        /// The run.
        run: RunId,
        /// Its target's name.
        name: String,
        /// The remark.
        note: Note,
    },
    /// A run ended, or waits for a person.
    Ended(Box<RunReport>),
    /// Somebody asked something of the rollout.
    Requested {
        /// What.
        request: Request,
        /// Why.
        why: String,
    },
    /// The rollout was put down.
    Paused,
    /// The rollout ended.
    Over(RolloutEnd),
}

/// Folds a rollout's events and hands on what is worth showing.
pub struct Live<F> {
    plan: Plan,
    folded: Mutex<Folded>,
    sink: F,
}

struct Folded {
    rollout: RolloutState,
    runs: Vec<RunState>,
}

impl<F: Fn(Update) + Send + Sync> Live<F> {
    /// Looks on from where the rollout is now.
    ///
    /// # Errors
    /// When there is no such rollout or the store cannot be read.
    pub async fn open(context: &Context, id: RolloutId, sink: F) -> Result<Self, Error> {
        let rollout = Rollout::read(&*context.store, id).await?;
        let mut runs = Vec::new();
        for (run, action) in rollout.runs() {
            runs.push(rollouts::run(&*context.store, run).await?);
            if rollout.is_in_hand(run.action) {
                sink(Update::Began { run, name: action.name.clone() });
            }
        }
        let Rollout { id: _, plan, state, phase: _ } = rollout;
        Ok(Self { plan, folded: Mutex::new(Folded { rollout: state, runs }), sink })
    }

    fn name(&self, run: RunId) -> String {
        self.plan.decisions.actions.get(run.action).map(|action| action.name.clone()).unwrap_or_default()
    }

    fn update(&self, event: &Event) -> Option<Update> {
        let mut folded = self.folded.lock().unwrap_or_else(PoisonError::into_inner);
        match (&event.body, event.stream) {
            (EventBody::Run(body), Stream::Run(run)) => {
                folded.runs.get_mut(run.action)?.apply(event);
                match body {
                    RunEvent::Started { .. } => Some(Update::Began { run, name: self.name(run) }),
                    RunEvent::Intended { step, direction } => {
                        let (step, direction) = (*step, *direction);
                        Some(Update::Step { run, name: self.name(run), step, direction })
                    }
                    _ => None,
                }
            }
            (EventBody::Rollout(body), Stream::Rollout(rollout)) => {
                folded.rollout.apply(event);
                match body {
                    RolloutEvent::RunEnded { action: index, .. } => {
                        let action = self.plan.decisions.actions.get(*index)?;
                        let (state, slot) = (folded.runs.get(*index)?, folded.rollout.runs.get(*index)?);
                        let run = RunId { rollout, action: *index };
                        Some(Update::Ended(Box::new(run_report(run, action, &self.plan, state, slot))))
                    }
                    RolloutEvent::Requested { request, why, .. } => {
                        Some(Update::Requested { request: *request, why: why.clone() })
                    }
                    RolloutEvent::Paused => Some(Update::Paused),
                    RolloutEvent::Ended { end } => Some(Update::Over(*end)),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

impl<F: Fn(Update) + Send + Sync> Watcher for Live<F> {
    fn event(&self, event: &Event) {
        if let Some(update) = self.update(event) {
            (self.sink)(update);
        }
    }

    fn note(&self, run: RunId, note: Note) {
        (self.sink)(Update::Note { run, name: self.name(run), note });
    }
}

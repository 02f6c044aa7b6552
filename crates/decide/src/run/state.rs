//! A run's state: a fold of its events.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use patchyard_types::{
    Action, Direction, Event, EventBody, Failure, FailureKind, MachineStep, PersonVerdict, Probe, Record,
    RunEnd, RunEvent, Step, SwapStep, TargetId,
};

use super::{ATTEMPTS, UNDO_ATTEMPTS, Undo, has_another_way_back, rules, steps};

/// Which way a run is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Heading {
    /// Towards the patch.
    #[default]
    Forward,
    /// Back to what was before.
    Back,
}

/// An intent whose outcome is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The step.
    pub step: Step,
    /// Do or undo.
    pub direction: Direction,
    /// The probe's own word that it cannot tell.
    pub cannot_tell: Option<String>,
}

/// Everything that is known about a run.
#[derive(Debug, Clone, Default)]
pub struct RunState {
    /// Its target, once it has started.
    pub target: Option<TargetId>,
    /// Which way it is going.
    pub heading: Heading,
    /// What finished steps left.
    pub records: BTreeMap<Step, Record>,
    /// The step whose outcome is open.
    pub open: Option<Open>,
    /// What turned it around, or holds it up behind the point of no return.
    pub failure: Option<(Step, Failure)>,
    /// What went wrong on the way back, last.
    pub undo_failure: Option<Failure>,
    /// Why a person has to decide.
    pub attention: Option<String>,
    /// Of a machine: its packages were put back, as far as they were kept.
    pub is_put_back: bool,
    /// The rollout was aborted while it ran.
    pub aborted: bool,
    /// A person declared one of its steps done, or closed it: the world is as they left it.
    pub resolved_by_hand: bool,
    /// Why a person closed it: nothing more is done to the target.
    pub closed: Option<String>,
    /// How it ended, why, and whether its patch set was quarantined.
    pub ended: Option<(RunEnd, Option<String>, bool)>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When the service went down.
    pub down_at: Option<Timestamp>,
    /// When it was first seen good again, patched or back.
    pub up_at: Option<Timestamp>,
    /// Sequence number of the last event folded.
    pub seq: u64,
    /// The host was out of reach while the checks were watched.
    pub away_in_verify: bool,
    /// In the order in which they were begun first: taken back in reverse.
    begun: Vec<Step>,
    undone: BTreeSet<Step>,
    given_up: BTreeMap<Step, Failure>,
    attempts: BTreeMap<(Step, Direction), u32>,
}

impl RunState {
    /// Folds the events of a run's stream.
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut state = Self::default();
        for event in events {
            state.apply(event);
        }
        state
    }

    /// Takes one event in. Events of other streams do not belong here and change nothing.
    pub fn apply(&mut self, event: &Event) {
        let EventBody::Run(body) = &event.body else { return };
        self.seq = event.seq;
        match body {
            RunEvent::Started { target } => {
                self.target = Some(target.clone());
                self.started_at = Some(event.at);
            }
            RunEvent::Intended { step, direction } => {
                *self.attempts.entry((*step, *direction)).or_default() += 1;
                if *direction == Direction::Do && !self.begun.contains(step) {
                    self.begun.push(*step);
                }
                // Where the new one has been verified before, it serves in the old one's place.
                let is_replaced = self.records.contains_key(&Step::Swap(SwapStep::Verify));
                if (*step, *direction) == (Step::Swap(SwapStep::Stop), Direction::Do) && !is_replaced {
                    self.down_at.get_or_insert(event.at);
                }
                self.open = Some(Open { step: *step, direction: *direction, cannot_tell: None });
            }
            RunEvent::Succeeded { step, direction, record } => {
                self.succeeded(*step, *direction, record, event.at);
            }
            RunEvent::Failed { step, direction, failure } => self.failed(*step, *direction, failure),
            // The outcome stays open; the intent says so already.
            RunEvent::Lost { step, host_away, .. } => {
                self.away_in_verify |= *host_away && step.is_verify();
            }
            RunEvent::Probed { step, direction, probe } => {
                self.probed(*step, *direction, probe, event.at);
            }
            RunEvent::AbortRequested => {
                self.aborted = true;
                if !self.disturbed() && self.heading == Heading::Forward {
                    self.turn_around();
                }
            }
            RunEvent::AttentionNeeded { reason } => self.attention = Some(reason.clone()),
            RunEvent::Resolved { verdict, reason, .. } => self.resolved(*verdict, reason, event.at),
            RunEvent::Ended { end, reason, quarantined } => {
                self.ended = Some((*end, reason.clone(), *quarantined));
            }
        }
    }

    /// Whether the service may have been disturbed by this run.
    #[must_use]
    pub fn disturbed(&self) -> bool {
        self.begun.iter().any(|step| rules(*step).disturbs)
    }

    /// How often a step was begun in a direction.
    #[must_use]
    pub fn attempts(&self, step: Step, direction: Direction) -> u32 {
        self.attempts.get(&(step, direction)).copied().unwrap_or(0)
    }

    /// The first step of the action that is not done.
    #[must_use]
    pub fn next_step(&self, action: &Action) -> Option<Step> {
        steps(action).find(|step| !self.records.contains_key(step))
    }

    /// The last step that was begun and is not taken back yet.
    #[must_use]
    pub fn next_undo(&self) -> Option<Step> {
        let mut disturbed_behind = false;
        self.begun.iter().rev().copied().find(|step| {
            let rules = rules(*step);
            let is_next = !self.undone.contains(step)
                && !self.given_up.contains_key(step)
                && match rules.undo {
                    Undo::Effect | Undo::EffectOrDisks | Undo::ConfirmedEffect => true,
                    Undo::Confirm => disturbed_behind && self.records.contains_key(step),
                    Undo::Nothing | Undo::Never => false,
                };
            disturbed_behind |= rules.disturbs;
            is_next
        })
    }

    /// The steps that could not be taken back, and why: the disks go back instead.
    #[must_use]
    pub fn given_up(&self) -> &BTreeMap<Step, Failure> {
        &self.given_up
    }

    /// Of a machine whose packages were put back: those of which the version before was not kept, as its plan allowed.
    #[must_use]
    pub fn not_put_back(&self) -> &[String] {
        match self.records.get(&Step::Machine(MachineStep::Prepare)) {
            Some(Record::Kept { missing, .. }) if self.is_put_back => missing,
            _ => &[],
        }
    }

    /// Whether a step that could not be taken back is not tried again, because there is another way back. Who has waited for
    /// an answer that never came need not wait three times.
    fn gives_up(&self, step: Step, failure: &Failure) -> bool {
        let is_silent = matches!(failure.kind, FailureKind::Check | FailureKind::Timeout);
        has_another_way_back(step, &self.records)
            && (is_silent || self.attempts(step, Direction::Undo) >= UNDO_ATTEMPTS)
    }

    fn succeeded(&mut self, step: Step, direction: Direction, record: &Record, at: Timestamp) {
        self.open = None;
        match direction {
            Direction::Do => {
                if let Record::Verified { first_good } = record {
                    self.up_at = Some(*first_good);
                }
                self.records.insert(step, record.clone());
                if self.failure.as_ref().is_some_and(|(failed, _)| *failed == step) {
                    self.failure = None;
                }
            }
            Direction::Undo => {
                if step == Step::Swap(SwapStep::Stop) {
                    self.up_at = Some(at);
                }
                self.undone.insert(step);
                if step == Step::Machine(MachineStep::Install) && *record != Record::NotBegun {
                    self.is_put_back = true;
                }
            }
        }
    }

    fn failed(&mut self, step: Step, direction: Direction, failure: &Failure) {
        self.open = None;
        match direction {
            Direction::Do => {
                self.failure = Some((step, failure.clone()));
                if rules(step).retries == 0 {
                    self.turn_around();
                } else if failure.kind == FailureKind::Timeout {
                    // It is tried again, but never blindly: it may have taken place after all.
                    self.open = Some(Open { step, direction, cannot_tell: None });
                }
            }
            Direction::Undo => {
                self.undo_failure = Some(failure.clone());
                if self.gives_up(step, failure) {
                    self.given_up.insert(step, failure.clone());
                }
            }
        }
    }

    fn probed(&mut self, step: Step, direction: Direction, probe: &Probe, at: Timestamp) {
        match probe {
            Probe::Done { record } => self.succeeded(step, direction, record, at),
            Probe::Failed { failure } => self.failed(step, direction, failure),
            Probe::NotDone if direction == Direction::Do && self.attempts(step, direction) >= ATTEMPTS => {
                let message = format!("step '{step}' was lost {ATTEMPTS} times in a row");
                self.failed(step, direction, &Failure::new(FailureKind::Host, message));
            }
            Probe::NotDone => self.open = None,
            Probe::CannotTell { reason } => {
                self.open = Some(Open { step, direction, cannot_tell: Some(reason.clone()) });
            }
        }
    }

    fn resolved(&mut self, verdict: PersonVerdict, reason: &str, at: Timestamp) {
        self.attention = None;
        if verdict == PersonVerdict::Close {
            (self.resolved_by_hand, self.closed) = (true, Some(reason.to_owned()));
            return;
        }
        // What the person was asked about: the open step, else what would come next.
        let (step, direction) = match (&self.open, self.heading, &self.failure) {
            (Some(open), _, _) => (Some(open.step), open.direction),
            (None, Heading::Forward, Some((step, _))) => (Some(*step), Direction::Do),
            (None, Heading::Forward, None) => (None, Direction::Do),
            (None, Heading::Back, _) => (self.next_undo(), Direction::Undo),
        };
        self.open = None;
        match (verdict, direction, step) {
            (PersonVerdict::Done, _, Some(step)) => {
                self.resolved_by_hand = true;
                self.succeeded(step, direction, &Record::Nothing, at);
            }
            (PersonVerdict::Undo, Direction::Do, _) => self.turn_around(),
            (PersonVerdict::Undo, Direction::Undo, Some(step)) => {
                self.attempts.remove(&(step, Direction::Undo));
            }
            (_, _, None) | (PersonVerdict::Close, ..) => {}
        }
    }

    fn turn_around(&mut self) {
        self.heading = Heading::Back;
        // An open forward step needs no probe: taking it back tolerates that it never took place.
        self.open = None;
    }
}

//! A rollout's state: a fold of its events.

use jiff::Timestamp;
use patchyard_types::{Actor, Event, EventBody, Plan, PlanDigest, Request, RolloutEnd, RolloutEvent, RunEnd};

use super::Wish;

/// What one run of a rollout is doing, as far as the rollout cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunSlot {
    /// Not begun.
    Waiting,
    /// Begun.
    Running,
    /// Over.
    Ended {
        /// How.
        end: RunEnd,
        /// Why.
        reason: Option<String>,
        /// Whether its patch set was quarantined.
        quarantined: bool,
    },
}

impl RunSlot {
    /// How it ended, if it did.
    #[must_use]
    pub fn end(&self) -> Option<RunEnd> {
        match self {
            Self::Ended { end, .. } => Some(*end),
            Self::Waiting | Self::Running => None,
        }
    }
}

/// What became of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagState {
    /// Nothing yet.
    Open,
    /// About to move, or interrupted while moving: moving it again is harmless.
    Intended,
    /// Moved, or left alone for a reason.
    Settled(Option<String>),
}

/// Everything that is known about a rollout.
#[derive(Debug, Clone)]
pub struct RolloutState {
    /// The plan.
    pub plan: Option<PlanDigest>,
    /// Who said yes.
    pub by: Option<Actor>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// Its runs, one for each action of the plan.
    pub runs: Vec<RunSlot>,
    /// Its tags, one for each of the plan's.
    pub tags: Vec<TagState>,
    /// How many requests people made.
    pub requests: u64,
    /// How many of them the driver has seen.
    pub acknowledged: u64,
    /// What the last request wants.
    pub wish: Wish,
    /// Why, in the words of the last request.
    pub why: Option<String>,
    /// Put down on request.
    pub paused: bool,
    /// How it ended.
    pub ended: Option<RolloutEnd>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Sequence number of the last event folded.
    pub seq: u64,
}

impl RolloutState {
    /// The state before the first event of a rollout of this plan.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self {
            plan: None,
            by: None,
            started_at: None,
            runs: vec![RunSlot::Waiting; plan.decisions.actions.len()],
            tags: vec![TagState::Open; plan.decisions.tags.len()],
            requests: 0,
            acknowledged: 0,
            wish: Wish::Go,
            why: None,
            paused: false,
            ended: None,
            ended_at: None,
            seq: 0,
        }
    }

    /// Folds the events of a rollout's stream.
    pub fn fold<'a>(plan: &Plan, events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut state = Self::new(plan);
        for event in events {
            state.apply(event);
        }
        state
    }

    /// Takes one event in. Events of other streams do not belong here and change nothing.
    pub fn apply(&mut self, event: &Event) {
        let EventBody::Rollout(body) = &event.body else { return };
        self.seq = event.seq;
        match body {
            RolloutEvent::Started { plan, by } => {
                self.plan = Some(*plan);
                self.by = Some(by.clone());
                self.started_at = Some(event.at);
            }
            RolloutEvent::Requested { request, why, .. } => self.requested(*request, why),
            RolloutEvent::Acknowledged { requests } => self.acknowledged = *requests,
            RolloutEvent::RunStarted { action } => {
                // A run that a person resolved runs again, and so does its rollout.
                self.ended = None;
                self.set(*action, RunSlot::Running);
            }
            RolloutEvent::RunEnded { action, end, reason, quarantined } => {
                let slot = RunSlot::Ended { end: *end, reason: reason.clone(), quarantined: *quarantined };
                self.set(*action, slot);
            }
            RolloutEvent::TagIntended { tag } => self.set_tag(*tag, TagState::Intended),
            RolloutEvent::TagSettled { tag, left } => self.set_tag(*tag, TagState::Settled(left.clone())),
            RolloutEvent::Paused => self.paused = true,
            RolloutEvent::Driven { .. } => self.paused = false,
            RolloutEvent::Ended { end } => {
                self.ended = Some(*end);
                self.ended_at = Some(event.at);
            }
        }
    }

    /// Whether this action's run is over.
    #[must_use]
    pub fn ended_run(&self, action: usize) -> bool {
        self.runs.get(action).is_none_or(|slot| slot.end().is_some())
    }

    /// Whether every run is over.
    #[must_use]
    pub fn all_ended(&self) -> bool {
        self.runs.iter().all(|slot| slot.end().is_some())
    }

    /// Whether a tag needs nothing any more.
    #[must_use]
    pub fn tag_settled(&self, tag: usize) -> bool {
        matches!(self.tags.get(tag), None | Some(TagState::Settled(_)))
    }

    /// Whether no tag needs anything any more.
    #[must_use]
    pub fn all_tags_settled(&self) -> bool {
        (0..self.tags.len()).all(|tag| self.tag_settled(tag))
    }

    /// The next wish: an abort is final, a pause holds until it is resumed.
    fn requested(&mut self, request: Request, why: &str) {
        self.requests += 1;
        if self.wish != Wish::Abort {
            self.wish = match request {
                Request::Pause => Wish::Pause,
                Request::Resume => Wish::Go,
                Request::Abort => Wish::Abort,
            };
            self.why = Some(why.to_owned());
        }
    }

    fn set(&mut self, action: usize, slot: RunSlot) {
        if let Some(place) = self.runs.get_mut(action) {
            *place = slot;
        }
    }

    fn set_tag(&mut self, tag: usize, state: TagState) {
        if let Some(place) = self.tags.get_mut(tag) {
            *place = state;
        }
    }
}

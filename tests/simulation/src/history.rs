//! What must hold at every moment of a rollout, read from what it wrote about itself.
//!
//! The rules are said once more in other words than the code's: one pass over the events, which
//! counts what runs, what failed and what was asked.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use patchyard_types::{Action, EventBody, Plan, RolloutEvent, RunEnd};

use crate::scenario::{Outcome, Scenario};

/// A request is acknowledged within this time, while somebody drives.
const PROMPT: SignedDuration = SignedDuration::from_secs(1);

/// Everything in a rollout's log that must not be, in words.
pub(crate) fn broken(scenario: &Scenario, outcome: &Outcome) -> Vec<String> {
    let mut history = History::new(scenario);
    for event in &outcome.log {
        if let EventBody::Rollout(body) = &event.body {
            history.take(body, event.at);
        }
    }
    if history.unseen != 0 {
        history.broken.push(format!("{} requests were not acknowledged", history.unseen));
    }
    history.broken
}

struct History<'a> {
    plan: &'a Plan,
    scenario: &'a Scenario,
    running: BTreeSet<usize>,
    begun: BTreeSet<usize>,
    failed: BTreeSet<usize>,
    /// Runs that wait for a person, who may have them go on.
    attention: BTreeSet<usize>,
    /// Requests that nobody has acknowledged.
    unseen: u64,
    requests: u64,
    /// Since when one of them waits for the driver at work.
    waits_since: Option<Timestamp>,
    driven: bool,
    broken: Vec<String>,
}

impl<'a> History<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        Self {
            plan: &scenario.plan,
            scenario,
            running: BTreeSet::new(),
            begun: BTreeSet::new(),
            failed: BTreeSet::new(),
            attention: BTreeSet::new(),
            unseen: 0,
            requests: 0,
            waits_since: None,
            driven: false,
            broken: Vec::new(),
        }
    }

    fn take(&mut self, body: &RolloutEvent, at: Timestamp) {
        match body {
            RolloutEvent::Driven { .. } => {
                self.driven = true;
                self.waits_since = (self.unseen > 0).then_some(at);
            }
            RolloutEvent::Paused => self.driven = false,
            RolloutEvent::Requested { .. } => {
                self.requests += 1;
                self.unseen += 1;
                if self.driven {
                    self.waits_since.get_or_insert(at);
                }
            }
            RolloutEvent::Acknowledged { requests } => self.acknowledged(*requests, at),
            RolloutEvent::RunStarted { action } => self.starts(*action),
            RolloutEvent::RunEnded { action, end, .. } => self.ends(*action, *end),
            RolloutEvent::Started { .. }
            | RolloutEvent::TagIntended { .. }
            | RolloutEvent::TagSettled { .. }
            | RolloutEvent::Ended { .. } => {}
        }
    }

    fn acknowledged(&mut self, requests: u64, at: Timestamp) {
        self.unseen = self.requests.saturating_sub(requests);
        if let Some(since) = self.waits_since.take()
            && at.duration_since(since) > PROMPT
        {
            self.broken.push(format!("a request of {since} was acknowledged at {at}"));
        }
    }

    fn starts(&mut self, index: usize) {
        let me = &self.plan.decisions.actions[index];
        if self.attention.remove(&index) {
            // A person said how it goes on; that is no new start.
            self.running.insert(index);
            return;
        }
        let mut complaints = Vec::new();
        if !self.begun.insert(index) {
            complaints.push("a second time".to_owned());
        }
        let all = self.running.iter().map(|other| self.action(*other)).chain([me]);
        let disturbed: Vec<&str> = all.flat_map(services_of).collect();
        for service in services_of(me) {
            let at_once = disturbed.iter().filter(|other| **other == service).count();
            if at_once > self.scenario.world().budget[service] {
                complaints.push(format!("above the budget of {service}"));
            }
        }
        let failed = self.failed.iter().map(|other| self.action(*other));
        for other in failed {
            let meet = services_of(other).iter().any(|service| services_of(me).contains(service));
            if meet || other.patch_set == me.patch_set {
                complaints.push(format!("although {} failed", other.name));
            }
        }
        if self.failed.len() > self.plan.decisions.max_failures.tolerated(self.plan.decisions.actions.len()) {
            complaints.push(format!("after {} failures", self.failed.len()));
        }
        if self.scenario.quarantined.contains(&(me.service.clone(), me.patch_set)) {
            complaints.push("although its patch set is in quarantine".to_owned());
        }
        self.broken.extend(complaints.into_iter().map(|why| format!("{} was started {why}", me.name)));
        self.running.insert(index);
    }

    fn ends(&mut self, index: usize, end: RunEnd) {
        self.running.remove(&index);
        self.failed.remove(&index);
        match end {
            RunEnd::Succeeded | RunEnd::Skipped => {}
            RunEnd::RolledBack | RunEnd::Failed => {
                self.failed.insert(index);
            }
            RunEnd::NeedsAttention => {
                self.failed.insert(index);
                self.attention.insert(index);
            }
        }
    }

    fn action(&self, index: usize) -> &'a Action {
        &self.plan.decisions.actions[index]
    }
}

/// The services that a run disturbs, one for each of its targets.
fn services_of(action: &Action) -> Vec<&str> {
    let theirs = action.dependents.iter().map(|dependent| dependent.service.as_str());
    std::iter::once(action.service.as_str()).chain(theirs).collect()
}

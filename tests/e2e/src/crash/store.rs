//! The store, and the points around every append.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use patchyard_contract::{Append, AuditHead, AuditReport, LockGuard, Store, StoreError};
use patchyard_types::{
    Direction, Event, EventBody, LedgerEvent, Plan, PlanDigest, RolloutEvent, RolloutId, RunEvent, Step,
    Stream,
};

use super::Points;

pub(super) struct CrashingStore {
    pub(super) inner: Arc<dyn Store>,
    pub(super) points: Arc<Points>,
}

/// The names of the points before and after a batch is written: by the first event of what comes first, and by the last.
fn names(batch: &[Append]) -> Option<(String, String)> {
    let Append { stream, bodies, .. } = batch.first()?;
    let of = match stream {
        Stream::Rollout(id) => id.to_string(),
        Stream::Run(id) => id.to_string(),
        Stream::Ledger => "ledger".to_owned(),
    };
    let (before, after) = (around_event(bodies.first()?)?.0, around_event(bodies.last()?)?.1);
    Some((format!("{of} {before}"), format!("{of} {after}")))
}

fn around_event(body: &EventBody) -> Option<(String, String)> {
    match body {
        EventBody::Run(event) => run(event),
        EventBody::Rollout(event) => Some(around(rollout(event))),
        EventBody::Ledger(event) => Some(around(ledger(event))),
    }
}

fn around(what: &str) -> (String, String) {
    (format!("before {what}"), format!("after {what}"))
}

/// The name of a step in a direction: `stop`, `undo stop`.
pub(super) fn step(step: Step, direction: Direction) -> String {
    match direction {
        Direction::Do => step.to_string(),
        Direction::Undo => format!("undo {step}"),
    }
}

fn run(event: &RunEvent) -> Option<(String, String)> {
    Some(match event {
        RunEvent::Intended { step: this, direction } => {
            let what = step(*this, *direction);
            (format!("decided {what}"), format!("intent {what}"))
        }
        RunEvent::Succeeded { step: this, direction, .. }
        | RunEvent::Failed { step: this, direction, .. } => {
            let what = step(*this, *direction);
            (format!("effect {what}"), format!("outcome {what}"))
        }
        RunEvent::Started { .. } => around("start"),
        RunEvent::Ended { .. } => around("end"),
        RunEvent::AttentionNeeded { .. } => around("attention"),
        // What only a second driver writes, or a person.
        RunEvent::Lost { .. }
        | RunEvent::Probed { .. }
        | RunEvent::AbortRequested
        | RunEvent::Resolved { .. } => {
            return None;
        }
    })
}

const fn rollout(event: &RolloutEvent) -> &'static str {
    match event {
        RolloutEvent::Started { .. } => "start",
        RolloutEvent::Requested { .. } => "request",
        RolloutEvent::Acknowledged { .. } => "acknowledgement",
        RolloutEvent::RunStarted { .. } => "run start",
        RolloutEvent::RunEnded { .. } => "run end",
        RolloutEvent::TagIntended { .. } => "intent tag",
        RolloutEvent::TagSettled { .. } => "outcome tag",
        RolloutEvent::Paused => "pause",
        RolloutEvent::Driven { .. } => "drive",
        RolloutEvent::Ended { .. } => "end",
    }
}

const fn ledger(event: &LedgerEvent) -> &'static str {
    match event {
        LedgerEvent::Quarantined { .. } => "quarantine",
        LedgerEvent::Released { .. } => "release",
        LedgerEvent::PruneIntended { .. } => "intent prune",
        LedgerEvent::Pruned { .. } => "outcome prune",
        LedgerEvent::Planned { .. } => "plan",
        LedgerEvent::Collected { .. } => "collect",
    }
}

#[async_trait]
impl Store for CrashingStore {
    async fn append(&self, at: Timestamp, batch: Vec<Append>) -> Result<Vec<Event>, StoreError> {
        let Some((before, after)) = names(&batch) else { return self.inner.append(at, batch).await };
        self.points.pass(&before);
        let events = self.inner.append(at, batch).await?;
        self.points.pass(&after);
        Ok(events)
    }

    async fn read(&self, stream: Stream, after: u64) -> Result<Vec<Event>, StoreError> {
        self.inner.read(stream, after).await
    }

    async fn rollouts(&self) -> Result<Vec<RolloutId>, StoreError> {
        self.inner.rollouts().await
    }

    async fn save_plan(&self, plan: &Plan) -> Result<(), StoreError> {
        self.inner.save_plan(plan).await
    }

    async fn find_plans(&self, prefix: &str) -> Result<Vec<PlanDigest>, StoreError> {
        self.inner.find_plans(prefix).await
    }

    async fn load_plan(&self, digest: &PlanDigest) -> Result<Option<Plan>, StoreError> {
        self.inner.load_plan(digest).await
    }

    async fn remember(&self, key: &str, at: Timestamp, answer: &str) -> Result<(), StoreError> {
        self.inner.remember(key, at, answer).await
    }

    async fn recall(&self, key: &str) -> Result<Option<(Timestamp, String)>, StoreError> {
        self.inner.recall(key).await
    }

    async fn forget(&self, before: Timestamp, kept: &BTreeSet<PlanDigest>) -> Result<u64, StoreError> {
        self.inner.forget(before, kept).await
    }

    fn lock(&self, name: &str, about_me: &str) -> Result<LockGuard, StoreError> {
        self.inner.lock(name, about_me)
    }

    fn is_low(&self) -> bool {
        self.inner.is_low()
    }

    async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        self.inner.audit_head().await
    }

    async fn audit_verify(&self, expected: Option<AuditHead>) -> Result<AuditReport, StoreError> {
        self.inner.audit_verify(expected).await
    }
}

//! `patchyard.event/v1`: one line for each thing that happened; what `apply` writes while it works,
//! and what a log consists of.

use std::collections::BTreeMap;

use patchyard_app::{Note, Watcher};
use patchyard_types::{
    Direction, Event, EventBody, Failure, LedgerEvent, Plan, Probe, RolloutEvent, RolloutId, RunEnd,
    RunEvent, RunId, Step, Stream, TargetId,
};
use serde::Serialize;

use super::{line, some, words};

/// Something that happened. What does not belong to its kind is not there.
#[derive(Debug, Default, Serialize)]
pub struct EventLine {
    schema: &'static str,
    at: String,
    stream: String,
    seq: u64,
    /// `run.intended` and the like: the kind of stream, and what happened in it.
    what: &'static str,
    #[serde(flatten)]
    fields: Fields,
}

/// What the kinds of events carry. What a step left on record is not among it: that is the engine's.
#[derive(Debug, Default, Serialize)]
struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantined: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    controller: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
}

/// Whose part of a rollout each run is.
#[derive(Debug, Default)]
pub struct Names(BTreeMap<RunId, (Option<TargetId>, String)>);

impl Names {
    /// Of a rollout that carries out a plan.
    pub fn of_plan(rollout: RolloutId, plan: &Plan) -> Self {
        let name = |(action, planned): (usize, &patchyard_types::Action)| {
            (RunId { rollout, action }, (Some(planned.target.clone()), planned.name.clone()))
        };
        Self(plan.decisions.actions.iter().enumerate().map(name).collect())
    }

    /// Of the runs that a log is about; the ids of targets come with the events.
    pub fn of_runs(runs: &BTreeMap<RunId, String>) -> Self {
        Self(runs.iter().map(|(run, name)| (*run, (None, name.clone()))).collect())
    }

    /// Takes over what an event tells of its target.
    pub fn learn(&mut self, event: &Event) {
        if let (Stream::Run(run), EventBody::Run(RunEvent::Started { target })) = (event.stream, &event.body)
            && let Some((id, _)) = self.0.get_mut(&run)
        {
            *id = Some(target.clone());
        }
    }
}

impl EventLine {
    /// The line for an event.
    pub fn new(names: &Names, event: &Event) -> Self {
        let Event { stream, seq, at, body } = event;
        let (what, mut fields) = match body {
            EventBody::Rollout(body) => of_rollout(body),
            EventBody::Run(body) => of_run(body),
            EventBody::Ledger(body) => of_ledger(body),
        };
        let run = run_of(event);
        let rollout = match stream {
            Stream::Rollout(rollout) => Some(*rollout),
            Stream::Run(_) | Stream::Ledger => run.map(|run| run.rollout),
        };
        fields.rollout = rollout.map(|rollout| rollout.to_string());
        fields.run = run.map(|run| run.to_string());
        if let Some((target, name)) = run.and_then(|run| names.0.get(&run)) {
            fields.target = fields.target.or_else(|| target.as_ref().map(ToString::to_string));
            fields.name = Some(name.clone());
        }
        Self {
            schema: "patchyard.event/v1",
            at: at.to_string(),
            stream: stream.to_string(),
            seq: *seq,
            what,
            fields,
        }
    }
}

/// The run that an event is about, in whatever stream it was written.
fn run_of(event: &Event) -> Option<RunId> {
    match (event.stream, &event.body) {
        (Stream::Run(run), _) => Some(run),
        (
            Stream::Rollout(rollout),
            EventBody::Rollout(RolloutEvent::RunStarted { action } | RolloutEvent::RunEnded { action, .. }),
        ) => Some(RunId { rollout, action: *action }),
        (Stream::Ledger, EventBody::Ledger(LedgerEvent::Quarantined { quarantine })) => Some(quarantine.run),
        (Stream::Rollout(_) | Stream::Ledger, _) => None,
    }
}

fn of_rollout(body: &RolloutEvent) -> (&'static str, Fields) {
    let none = Fields::default();
    match body {
        RolloutEvent::Started { plan, by } => {
            let (plan, by) = (Some(plan.to_string()), Some(by.0.clone()));
            ("rollout.started", Fields { plan, by, ..none })
        }
        RolloutEvent::Requested { request, by, why } => {
            let (request, by, reason) = (Some(words::request(*request)), Some(by.0.clone()), some(why));
            ("rollout.requested", Fields { request, by, reason, ..none })
        }
        RolloutEvent::Acknowledged { requests } => {
            ("rollout.acknowledged", Fields { requests: Some(*requests), ..none })
        }
        RolloutEvent::RunStarted { action: _ } => ("rollout.run_started", none),
        RolloutEvent::RunEnded { action: _, end, reason, quarantined } => {
            ("rollout.run_ended", run_ended(*end, reason.as_ref(), *quarantined))
        }
        RolloutEvent::TagIntended { tag } => ("rollout.tag_intended", Fields { tag: Some(*tag), ..none }),
        RolloutEvent::TagSettled { tag, left } => {
            ("rollout.tag_settled", Fields { tag: Some(*tag), reason: left.clone(), ..none })
        }
        RolloutEvent::Paused => ("rollout.paused", none),
        RolloutEvent::Driven { controller } => {
            ("rollout.driven", Fields { controller: Some(controller.clone()), ..none })
        }
        RolloutEvent::Ended { end } => {
            ("rollout.ended", Fields { state: Some(words::rollout_end(*end)), ..none })
        }
    }
}

fn of_run(body: &RunEvent) -> (&'static str, Fields) {
    let none = Fields::default();
    match body {
        RunEvent::Started { target } => ("run.started", Fields { target: Some(target.to_string()), ..none }),
        RunEvent::Intended { step, direction } => ("run.intended", at_step(*step, *direction)),
        RunEvent::Succeeded { step, direction, record: _ } => ("run.succeeded", at_step(*step, *direction)),
        RunEvent::Failed { step, direction, failure } => {
            ("run.failed", failed(at_step(*step, *direction), failure))
        }
        RunEvent::Lost { step, direction, reason, host_away: _ } => {
            ("run.lost", Fields { reason: Some(reason.clone()), ..at_step(*step, *direction) })
        }
        RunEvent::Probed { step, direction, probe } => {
            let fields = Fields { found: Some(words::probe(probe)), ..at_step(*step, *direction) };
            let fields = match probe {
                Probe::Failed { failure } => failed(fields, failure),
                Probe::CannotTell { reason } => Fields { reason: Some(reason.clone()), ..fields },
                Probe::Done { record: _ } | Probe::NotDone => fields,
            };
            ("run.probed", fields)
        }
        RunEvent::AbortRequested => ("run.abort_requested", none),
        RunEvent::AttentionNeeded { reason } => {
            ("run.attention_needed", Fields { reason: Some(reason.clone()), ..none })
        }
        RunEvent::Resolved { verdict, by, reason } => {
            let (verdict, by) = (Some(words::verdict(*verdict)), Some(by.0.clone()));
            ("run.resolved", Fields { verdict, by, reason: some(reason), ..none })
        }
        RunEvent::Ended { end, reason, quarantined } => {
            ("run.ended", run_ended(*end, reason.as_ref(), *quarantined))
        }
    }
}

fn of_ledger(body: &LedgerEvent) -> (&'static str, Fields) {
    let none = Fields::default();
    match body {
        LedgerEvent::Quarantined { quarantine } => {
            ("ledger.quarantined", Fields { reason: some(&quarantine.reason), ..none })
        }
        LedgerEvent::Released { id, by, reason } => {
            let (entry, by) = (Some(id.to_string()), Some(by.0.clone()));
            ("ledger.released", Fields { entry, by, reason: some(reason), ..none })
        }
        LedgerEvent::PruneIntended { snapshot } => {
            ("ledger.prune_intended", Fields { snapshot: Some(snapshot.to_string()), ..none })
        }
        LedgerEvent::Pruned { snapshot, reason } => {
            let snapshot = Some(snapshot.to_string());
            ("ledger.pruned", Fields { snapshot, reason: some(reason), ..none })
        }
        LedgerEvent::Collected { host, kind, name, by } => {
            let (host_id, kind) = (Some(host.to_string()), Some(kind.clone()));
            let (object, by) = (Some(name.clone()), Some(by.0.clone()));
            ("ledger.collected", Fields { host_id, kind, object, by, ..none })
        }
        LedgerEvent::Planned { plan, by } => {
            let (plan, by) = (Some(plan.to_string()), Some(by.0.clone()));
            ("ledger.planned", Fields { plan, by, ..none })
        }
    }
}

fn at_step(step: Step, direction: Direction) -> Fields {
    let (step, direction) = (Some(words::step(step)), Some(words::direction(direction)));
    Fields { step, direction, ..Fields::default() }
}

fn failed(fields: Fields, failure: &Failure) -> Fields {
    let Failure { kind, message } = failure;
    Fields { failure: Some(words::failure(*kind)), reason: Some(message.clone()), ..fields }
}

fn run_ended(end: RunEnd, reason: Option<&String>, quarantined: bool) -> Fields {
    let (state, quarantined) = (Some(words::run_end(end)), Some(quarantined));
    Fields { state, reason: reason.cloned(), quarantined, ..Fields::default() }
}

/// Looks on while a rollout is driven and hands on a line for each event. Remarks on long work have
/// none: nothing depends on them.
pub struct Lines<F> {
    names: Names,
    sink: F,
}

impl<F: Fn(&str) + Send + Sync> Lines<F> {
    /// Hands on the lines of a rollout that carries out this plan.
    pub fn new(rollout: RolloutId, plan: &Plan, sink: F) -> Self {
        Self { names: Names::of_plan(rollout, plan), sink }
    }
}

impl<F: Fn(&str) + Send + Sync> Watcher for Lines<F> {
    fn event(&self, event: &Event) {
        (self.sink)(&line(&EventLine::new(&self.names, event)));
    }

    fn note(&self, _run: RunId, _note: Note) {}
}

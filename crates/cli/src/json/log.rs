//! `patchyard.log/v1`: what happened in a run or a rollout; its entries are `patchyard.event/v1`.

use std::collections::BTreeMap;

use patchyard_app::Log;
use patchyard_types::{Event, RolloutId, RunId};
use serde::Serialize;

use super::{EventLine, Names};

/// A log. `log --follow` writes its entries one by one instead.
#[derive(Debug, Serialize)]
pub struct LogDocument {
    schema: &'static str,
    rollout: String,
    runs: Vec<LoggedJson>,
    /// Earlier runs of the same target, newest first.
    earlier: Vec<String>,
    entries: Vec<EventLine>,
}

#[derive(Debug, Serialize)]
struct LoggedJson {
    run: String,
    name: String,
}

impl LogDocument {
    /// A log and the events that were read from it.
    pub fn new(log: &Log, events: &[Event]) -> Self {
        Self::of(log.rollout, &log.runs, &log.earlier, events)
    }

    pub(super) fn of(
        rollout: RolloutId,
        runs: &BTreeMap<RunId, String>,
        earlier: &[RunId],
        events: &[Event],
    ) -> Self {
        let mut names = Names::of_runs(runs);
        events.iter().for_each(|event| names.learn(event));
        let runs = runs.iter().map(|(run, name)| LoggedJson { run: run.to_string(), name: name.clone() });
        Self {
            schema: "patchyard.log/v1",
            rollout: rollout.to_string(),
            runs: runs.collect(),
            earlier: earlier.iter().map(ToString::to_string).collect(),
            entries: events.iter().map(|event| EventLine::new(&names, event)).collect(),
        }
    }
}

//! `patchyard.event/v1`: one line for each thing that happens while a rollout is driven.

use patchyard_app::Update;
use patchyard_types::{Direction, RolloutId};
use serde::Serialize;

use super::rollout::RunJson;
use super::word;

#[derive(Debug, Serialize)]
pub struct EventLine {
    schema: &'static str,
    rollout: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<RunJson>,
}

impl EventLine {
    /// The line for an update; remarks on long work have none: nothing depends on them.
    pub fn new(rollout: RolloutId, update: &Update) -> Option<Self> {
        let empty = |event| Self {
            schema: "patchyard.event/v1",
            rollout: rollout.to_string(),
            event,
            run: None,
            target: None,
            step: None,
            direction: None,
            text: None,
            result: None,
        };
        Some(match update {
            Update::Began { run, name } => {
                Self { run: Some(run.to_string()), target: Some(name.clone()), ..empty("run_began") }
            }
            Update::Step { run, name, step, direction } => Self {
                run: Some(run.to_string()),
                target: Some(name.clone()),
                step: Some(step.to_string()),
                direction: Some(match direction {
                    Direction::Do => "do",
                    Direction::Undo => "undo",
                }),
                ..empty("step")
            },
            Update::Note { .. } => return None,
            Update::Ended(report) => Self {
                run: Some(report.run.to_string()),
                target: Some(report.name.clone()),
                result: Some(RunJson::from(&**report)),
                ..empty("run_ended")
            },
            Update::Requested { request, why } => {
                Self { text: Some(format!("{}: {why}", word(request))), ..empty("requested") }
            }
            Update::Paused => empty("paused"),
            Update::Over(end) => Self { text: Some(word(end)), ..empty("ended") },
        })
    }
}

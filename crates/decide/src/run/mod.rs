//! One target's run: a state folded from its events, and the one next thing to do.
//!
//! ```text
//!            Perform Do ──ok──▶ next step … last step ──▶ End succeeded
//!   forward     │ lost ──▶ Probe ──done──▶ next · not done ──▶ again · cannot tell ──▶ person
//!               │ failed
//!               ▼
//!   back     Perform Undo, begun steps in reverse ──▶ End rolled back | failed | skipped
//!               │ failed three times, and the disks were not saved
//!               ▼
//!            CallPerson ──resolve --done──▶ on behind it · --undo ──▶ back, again · --close ──▶ End failed
//! ```

pub mod machine;
mod rules;
pub mod service;
mod state;
pub mod swap;

use patchyard_types::{Action, Direction, FailureKind, Millis, RunEnd, Step};

pub use rules::{Probing, StepRules, Undo, has_another_way_back, rules, steps};
pub use state::{Heading, Open, RunState};

/// How often a step is begun when its outcome got lost and the probe says it did not take place.
const ATTEMPTS: u32 = 4;

/// How often taking a step back is tried before a person is called.
const UNDO_ATTEMPTS: u32 = 3;

/// Whether the rollout lets its runs begin something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Go on.
    Go,
    /// Finish what disturbs the service, begin nothing.
    Pause,
}

/// The one next thing to do in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunCommand {
    /// Do a step or take it back, after writing the intent.
    Perform {
        /// Which.
        step: Step,
        /// Do or undo.
        direction: Direction,
        /// A timeout is a failure.
        timeout: Millis,
        /// How long to wait before, because it has failed before.
        after: Millis,
    },
    /// Ask the world whether a step took place whose outcome is unknown.
    Probe {
        /// Which.
        step: Step,
        /// Do or undo.
        direction: Direction,
    },
    /// Write that a person has to decide.
    CallPerson {
        /// Why, and what to do.
        reason: String,
    },
    /// Write the end.
    End {
        /// How.
        end: RunEnd,
        /// Why.
        reason: Option<String>,
        /// Whether the patch set goes into quarantine.
        quarantine: bool,
    },
    /// Nothing, until the rollout goes on.
    Rest,
    /// Nothing: a person has to decide.
    AwaitPerson,
    /// Nothing: it is over.
    Over,
}

/// Decides the next thing to do.
#[must_use]
pub fn decide(state: &RunState, action: &Action, mode: Mode) -> RunCommand {
    if state.ended.is_some() {
        return RunCommand::Over;
    }
    if state.attention.is_some() {
        return RunCommand::AwaitPerson;
    }
    if let Some(reason) = &state.closed {
        return RunCommand::End {
            end: RunEnd::Failed,
            reason: Some(format!("closed by a person: {reason}")),
            quarantine: blames_patch(state, action),
        };
    }
    match &state.heading {
        Heading::Forward => forward(state, action, mode),
        Heading::Back => back(state, action),
    }
}

fn forward(state: &RunState, action: &Action, mode: Mode) -> RunCommand {
    if let Some(open) = &state.open {
        if let Some(reason) = &open.cannot_tell {
            return RunCommand::CallPerson { reason: attention(open.step, Direction::Do, reason) };
        }
        return RunCommand::Probe { step: open.step, direction: Direction::Do };
    }
    let Some(step) = state.next_step(action) else {
        return RunCommand::End { end: RunEnd::Succeeded, reason: None, quarantine: false };
    };
    let rules = rules(step);
    if let Some((failed, failure)) = &state.failure
        && *failed == step
        && state.attempts(step, Direction::Do) > rules.retries
    {
        // Only a step behind the point of no return fails without turning the run around.
        return RunCommand::CallPerson { reason: attention(step, Direction::Do, &failure.message) };
    }
    if mode == Mode::Pause && !state.disturbed() {
        return RunCommand::Rest;
    }
    RunCommand::Perform {
        step,
        direction: Direction::Do,
        timeout: (rules.timeout)(action),
        after: backoff(state.attempts(step, Direction::Do)),
    }
}

fn back(state: &RunState, action: &Action) -> RunCommand {
    if let Some(open) = &state.open
        && open.direction == Direction::Undo
    {
        if let Some(reason) = &open.cannot_tell {
            return RunCommand::CallPerson { reason: attention(open.step, Direction::Undo, reason) };
        }
        return RunCommand::Probe { step: open.step, direction: Direction::Undo };
    }
    let Some(step) = state.next_undo() else {
        return the_end_of_the_way_back(state, action);
    };
    let attempts = state.attempts(step, Direction::Undo);
    if attempts >= UNDO_ATTEMPTS {
        let why = state.undo_failure.as_ref().map_or("it could not be taken back", |f| f.message.as_str());
        return RunCommand::CallPerson { reason: attention(step, Direction::Undo, why) };
    }
    RunCommand::Perform {
        step,
        direction: Direction::Undo,
        timeout: (rules(step).undo_timeout)(action),
        after: backoff(attempts),
    }
}

fn the_end_of_the_way_back(state: &RunState, action: &Action) -> RunCommand {
    let disturbed = state.disturbed();
    let Some((_, failure)) = &state.failure else {
        // Turned around without a failure: aborted, or a person said so.
        let end = if disturbed { RunEnd::RolledBack } else { RunEnd::Skipped };
        let reason = if state.aborted { "aborted before it started" } else { "taken back by a person" };
        return RunCommand::End { end, reason: Some(reason.into()), quarantine: false };
    };
    let end = match failure.kind {
        _ if disturbed => RunEnd::RolledBack,
        FailureKind::Precondition => RunEnd::Skipped,
        _ => RunEnd::Failed,
    };
    let reason = match (state.given_up().values().next(), state.not_put_back()) {
        (Some(why), _) => format!(
            "{failure}; its packages did not bring it back ({why}), so its disks went back to the moment before the patch"
        ),
        (None, []) => failure.message.clone(),
        (None, stays) => format!("{failure}; not kept before, and so not put back: {}", stays.join(", ")),
    };
    RunCommand::End { end, reason: Some(reason), quarantine: blames_patch(state, action) }
}

/// Whether what went wrong speaks against the patch set.
fn blames_patch(state: &RunState, action: &Action) -> bool {
    let Some((step, failure)) = &state.failure else { return false };
    // What is bad after the host has been away may be the host's doing: an engine that dies takes containers along.
    let by_the_host = state.away_in_verify && step.is_verify();
    (rules(*step).blames_patch)(action.method, failure.kind) && !by_the_host
}

/// 0 for the first attempt, then 1, 2, 4 … seconds, at most 8.
fn backoff(attempts: u32) -> Millis {
    match attempts {
        0 => Millis(0),
        n => Millis::from_secs(1 << (n - 1).min(3)),
    }
}

fn attention(step: Step, direction: Direction, why: &str) -> String {
    match direction {
        Direction::Do => format!(
            "step '{step}': {why}. Look at the target; then `resolve --done` if the step is done, `--undo` to take the run back, or `--close` to leave the target as it is"
        ),
        Direction::Undo => format!(
            "the way back stopped at step '{step}': {why}. Put it right by hand, then `resolve --done`; or `--undo` to try again, or `--close` to leave the target as it is"
        ),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod tests_support;

//! A rollout: who starts now, who is skipped and why, which tag moves, when it is over.
//!
//! The plan has decided the waves and so the budgets; here is only delay and stop. A run that
//! failed keeps its service's budget, so a failure stops its service; it stops every target with
//! the same patch set too. The rest goes on until more than `max_failures` runs failed.

mod gate;
mod state;

use patchyard_types::{Plan, Quarantine, QuarantineId, RolloutEnd, RunEnd};

pub use state::{RolloutState, RunSlot, TagState};

/// Something to do for a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutCommand {
    /// Say that every request so far has been seen.
    Acknowledge {
        /// How many there are.
        requests: u64,
    },
    /// Begin a run.
    Start {
        /// Index of the action.
        action: usize,
    },
    /// End a run that has not begun.
    Skip {
        /// Index of the action.
        action: usize,
        /// Why.
        reason: String,
    },
    /// Move a tag to the patched image.
    MoveTag {
        /// Index into the plan's tags.
        tag: usize,
    },
    /// Leave a tag where it is.
    LeaveTag {
        /// Index into the plan's tags.
        tag: usize,
        /// Why.
        reason: String,
    },
    /// Put the rollout down until `resume`.
    Pause,
    /// Write the end.
    End {
        /// How.
        end: RolloutEnd,
    },
}

/// What a rollout wants from its runs now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wish {
    /// Go on.
    #[default]
    Go,
    /// Finish what is in the middle, start nothing, wait.
    Pause,
    /// Finish or take back what is running, start nothing, end.
    Abort,
}

/// Decides what to do. `resting` says that no run of this driver is at work; `quarantine` is what
/// is in quarantine now, from whatever rollout.
#[must_use]
pub fn decide(
    state: &RolloutState,
    plan: &Plan,
    quarantine: &[(QuarantineId, Quarantine)],
    resting: bool,
) -> Vec<RolloutCommand> {
    let mut commands = Vec::new();
    if state.acknowledged < state.requests {
        commands.push(RolloutCommand::Acknowledge { requests: state.requests });
    }
    if state.ended.is_some() {
        return commands;
    }
    match state.wish {
        Wish::Pause => {
            if resting && !state.paused {
                commands.push(RolloutCommand::Pause);
            }
            return commands;
        }
        Wish::Abort => commands.extend(waiting(state).map(|action| RolloutCommand::Skip {
            action,
            reason: "the rollout was aborted before it started".into(),
        })),
        Wish::Go => commands.extend(next_of_wave(state, plan, quarantine)),
    }
    if !commands.iter().any(|c| matches!(c, RolloutCommand::Start { .. } | RolloutCommand::Skip { .. })) {
        commands.extend(tags(state, plan));
        if state.all_ended() && state.all_tags_settled() && resting {
            commands.push(RolloutCommand::End { end: end(state) });
        }
    }
    commands
}

fn waiting(state: &RolloutState) -> impl Iterator<Item = usize> {
    state.runs.iter().enumerate().filter(|(_, slot)| **slot == RunSlot::Waiting).map(|(action, _)| action)
}

/// Starts or skips what waits in the first wave that is not over.
fn next_of_wave<'a>(
    state: &'a RolloutState,
    plan: &'a Plan,
    quarantine: &'a [(QuarantineId, Quarantine)],
) -> impl Iterator<Item = RolloutCommand> + 'a {
    let current =
        plan.decisions.waves.iter().find(|wave| wave.0.iter().any(|action| !state.ended_run(*action)));
    current
        .into_iter()
        .flat_map(|wave| wave.0.iter().copied())
        .filter(|action| state.runs.get(*action) == Some(&RunSlot::Waiting))
        .map(move |action| match gate::closed(state, plan, quarantine, action) {
            Some(reason) => RolloutCommand::Skip { action, reason },
            None => RolloutCommand::Start { action },
        })
}

/// A tag moves when every run it waits for has succeeded, and stays otherwise.
fn tags(state: &RolloutState, plan: &Plan) -> Vec<RolloutCommand> {
    let open = plan.decisions.tags.iter().enumerate().filter(|(tag, _)| !state.tag_settled(*tag));
    open.filter_map(|(tag, planned)| {
        let ends: Vec<Option<RunEnd>> =
            planned.after.iter().map(|action| state.runs.get(*action).and_then(RunSlot::end)).collect();
        if !ends.is_empty() && ends.iter().all(|end| *end == Some(RunEnd::Succeeded)) {
            return Some(RolloutCommand::MoveTag { tag });
        }
        ends.iter().all(Option::is_some).then(|| RolloutCommand::LeaveTag {
            tag,
            reason: "not every container of this image on this host was patched".into(),
        })
    })
    .collect()
}

fn end(state: &RolloutState) -> RolloutEnd {
    let count = |end: RunEnd| state.runs.iter().filter(|slot| slot.end() == Some(end)).count();
    if count(RunEnd::NeedsAttention) > 0 {
        return RolloutEnd::NeedsAttention;
    }
    if state.wish == Wish::Abort {
        return RolloutEnd::Aborted;
    }
    let succeeded = count(RunEnd::Succeeded);
    let failed = count(RunEnd::RolledBack) + count(RunEnd::Failed);
    match (succeeded, failed) {
        (n, _) if n == state.runs.len() => RolloutEnd::Succeeded,
        (0, 1..) => RolloutEnd::RolledBack,
        _ => RolloutEnd::Partly,
    }
}

#[cfg(test)]
mod tests;

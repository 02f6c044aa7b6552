//! Drain: the old container's clients find out that it is going: a command in it, and a wait. Comes right before
//! stop.

use patchyard_types::{Action, Millis};

use crate::run::rules::{Probing, StepRules, Undo, blames_nothing, one_call};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: true,
    interruptible: false,
    // Telling it again is right: a command that has been run leaves nothing that could be asked for.
    probing: Probing::Repeat,
    // One that was told and still runs is restarted: nobody else knows how to take back what it was told.
    undo: Undo::Effect,
    retries: 0,
    timeout: as_long_as_it_says,
    undo_timeout: as_long_as_it_says,
    blames_patch: blames_nothing,
};

/// The command has as long as a step and says itself when that is over; the wait comes on top.
pub(super) const fn as_long_as_it_says(action: &Action) -> Millis {
    let command = one_call(action).0.saturating_add(action.timeouts.step.0);
    Millis(command.saturating_add(action.drain.wait.0))
}

//! Drain: the old container's clients find out that it is going: a command in it, and a wait. Comes right before
//! stop.

use patchyard_types::{Action, Millis};

use crate::run::rules::{Probing, StepRules, Undo, blames_nothing};

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

/// The command is a step like any other; the wait comes on top.
pub(super) const fn as_long_as_it_says(action: &Action) -> Millis {
    Millis(action.timeouts.step.0.saturating_add(action.drain.wait.0))
}

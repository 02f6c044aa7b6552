//! Preflight: the target is as planned and healthy, there is room; the baseline is taken.

use patchyard_types::{Action, Millis};

use crate::run::rules::{Probing, StepRules, Undo, blames_nothing};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: false,
    interruptible: true,
    probing: Probing::Repeat,
    // What was good before must be good after the way back.
    undo: Undo::Confirm,
    retries: 0,
    timeout: looking,
    undo_timeout: looking,
    blames_patch: blames_nothing,
};

/// Time to become healthy, and a minute for the looks themselves.
const fn looking(action: &Action) -> Millis {
    Millis(action.timeouts.healthy.0 + 60_000)
}

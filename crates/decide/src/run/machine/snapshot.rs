//! Snapshot: the versions that a rollback goes back to are written down. Their files are in the controller's cache.

use crate::run::rules::{Probing, StepRules, Undo, blames_nothing, one_call};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: false,
    interruptible: false,
    // It is made from what *prepare* has left on record.
    probing: Probing::Repeat,
    undo: Undo::Nothing,
    retries: 0,
    timeout: one_call,
    undo_timeout: one_call,
    blames_patch: blames_nothing,
};

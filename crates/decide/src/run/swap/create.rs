//! Create: the new container, complete but not started, compared with the intent.

use crate::run::rules::{Probing, StepRules, Undo, blames_nothing, one_call};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: false,
    interruptible: false,
    // The container has a name derived from the run.
    probing: Probing::AskTheWorld,
    undo: Undo::Effect,
    retries: 0,
    timeout: one_call,
    undo_timeout: one_call,
    blames_patch: blames_nothing,
};

//! Snapshot: what the run can be rolled back to later. It is required: without it the run goes back.

use crate::run::rules::{Probing, StepRules, Undo, blames_nothing, configured, one_call};

pub(in crate::run) const RULES: StepRules = StepRules {
    // The old container is out of the way by now, and the new one is not touched.
    disturbs: false,
    interruptible: false,
    probing: Probing::AskTheWorld,
    undo: Undo::Effect,
    retries: 0,
    // A large writable layer takes its time.
    timeout: configured,
    undo_timeout: one_call,
    blames_patch: blames_nothing,
};

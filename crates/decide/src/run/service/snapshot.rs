//! Snapshot: what Swarm can go back to is written down. Nothing is kept on the host: Swarm keeps the service's
//! previous spec itself, one of it, until somebody updates the service again.

use crate::run::rules::{Probing, StepRules, Undo, blames_nothing, one_call};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: false,
    interruptible: false,
    // It is made from the plan alone.
    probing: Probing::Repeat,
    undo: Undo::Nothing,
    retries: 0,
    timeout: one_call,
    undo_timeout: one_call,
    blames_patch: blames_nothing,
};

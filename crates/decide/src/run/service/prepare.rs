//! Prepare: how Swarm's last update of the service stands is written down. What stands otherwise later is an update
//! that was begun since.

use crate::run::rules::{Probing, StepRules, Undo, blames_nothing, one_call};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: false,
    interruptible: true,
    // It only looks, and nothing has been done to the service by then.
    probing: Probing::Repeat,
    undo: Undo::Nothing,
    retries: 0,
    timeout: one_call,
    undo_timeout: one_call,
    blames_patch: blames_nothing,
};

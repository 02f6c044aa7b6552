//! Hold: the old container's restart policy becomes `no`, so that a restarted engine does not
//! revive it beside the new one. Comes after stop: a running container must keep its policy.

use crate::run::rules::{Probing, StepRules, Undo, blames_nothing, one_call};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: true,
    interruptible: false,
    probing: Probing::AskTheWorld,
    undo: Undo::Effect,
    retries: 0,
    timeout: one_call,
    undo_timeout: one_call,
    blames_patch: blames_nothing,
};

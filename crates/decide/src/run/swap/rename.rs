//! Rename: the old container takes a name of ours, the new one takes the old name. Half done is
//! continued: both names derive from the run.

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

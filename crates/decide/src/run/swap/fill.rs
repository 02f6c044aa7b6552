//! Fill: the volumes get back what a snapshot keeps of them, in a rollback to it. Comes after save: what is
//! in them by then is copied aside, and put back should this rollback fail.

use crate::run::rules::{Probing, StepRules, Undo, blames_nothing, configured, one_call};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: true,
    interruptible: false,
    // It begins with emptying them: half done and not begun are alike.
    probing: Probing::Repeat,
    // Taking back *save* puts back what was there.
    undo: Undo::Nothing,
    retries: 0,
    timeout: configured,
    undo_timeout: one_call,
    blames_patch: blames_nothing,
};

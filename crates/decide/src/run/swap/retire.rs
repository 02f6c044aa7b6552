//! Retire: the old container goes; its volumes never. The point of no return: the snapshot is the
//! way back from here.

use crate::run::rules::{Probing, StepRules, Undo, blames_nothing, one_call};

pub(in crate::run) const RULES: StepRules = StepRules {
    // The old container is out of the way by now, and the new one is not touched.
    disturbs: false,
    interruptible: false,
    probing: Probing::AskTheWorld,
    undo: Undo::Never,
    // The service runs patched and verified already: trying again is right, going back is not.
    retries: 3,
    timeout: one_call,
    undo_timeout: one_call,
    blames_patch: blames_nothing,
};

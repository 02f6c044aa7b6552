//! Stop: the old container, by its own stop signal and timeout. Stop-first, the service is down from here on;
//! start-first, the new one serves in its place.

use crate::run::rules::{Probing, StepRules, Undo, blames_nothing, configured};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: true,
    interruptible: false,
    probing: Probing::AskTheWorld,
    // Starts it again.
    undo: Undo::Effect,
    retries: 0,
    // The container's own stop timeout may be long: a database flushes.
    timeout: configured,
    undo_timeout: configured,
    blames_patch: blames_nothing,
};

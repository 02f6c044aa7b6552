//! Carry: what the old container has written outside of its volumes goes into the new one. Comes
//! after stop and hold, so that nothing is written behind its back, and before start.

use crate::run::rules::{Probing, StepRules, Undo, blames_nothing, configured, one_call};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: true,
    interruptible: false,
    // File by file: the two containers are compared. The old one is stopped, so that carrying again
    // gives the same.
    probing: Probing::AskTheWorld,
    // The old container is only read, and what was carried goes with the new one when *create* is
    // taken back.
    undo: Undo::Nothing,
    retries: 0,
    // As many bytes as somebody has written.
    timeout: configured,
    undo_timeout: one_call,
    blames_patch: blames_nothing,
};

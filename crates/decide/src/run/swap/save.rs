//! Save: the old container's volumes are copied aside, for a way back that restores them. Comes after stop
//! and hold, so that nobody writes while they are copied, and before anything could change them.

use crate::run::rules::{Probing, StepRules, Undo, blames_nothing, configured};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: true,
    interruptible: false,
    // A copy that nobody has seen whole is never restored from: it is made again. Nothing has written to
    // the volumes until this step is on record, so that it comes out the same. Restoring is repeated for
    // the same reason: the copies go when *create* is taken back, the original serving again.
    probing: Probing::Repeat,
    // Puts the volumes back, if anything may have written to them.
    undo: Undo::Effect,
    retries: 0,
    // As many bytes as there are.
    timeout: configured,
    undo_timeout: configured,
    blames_patch: blames_nothing,
};

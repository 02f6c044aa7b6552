//! Prepare: what the package manager was interrupted in is finished, packages that its repositories no longer have are
//! brought from the cache, and the versions that are about to be replaced are kept. Where one of them is not to be had,
//! there would be no way back, and nothing is begun.

use crate::run::rules::{Probing, StepRules, Undo, blames_nothing, configured, one_call};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: false,
    interruptible: true,
    // What is there already is not brought again.
    probing: Probing::Repeat,
    // The files go with the run's folder, which is collected.
    undo: Undo::Nothing,
    retries: 0,
    timeout: configured,
    undo_timeout: one_call,
    blames_patch: blames_nothing,
};

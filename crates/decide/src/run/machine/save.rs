//! Save: whoever keeps the machine takes a snapshot of its disks, after everything that could refuse the patch and before
//! anything of it is changed. Taken back, the disks go back to it where the packages could not be put back; where they were,
//! or nothing was changed, what was written since stays and the snapshot goes.

use crate::run::rules::{Probing, StepRules, Undo, blames_nothing, configured};

pub(in crate::run) const RULES: StepRules = StepRules {
    // File systems are held still for a tenth of a second.
    disturbs: false,
    interruptible: false,
    // The snapshot has the run's name.
    probing: Probing::AskTheWorld,
    undo: Undo::Effect,
    retries: 0,
    // A keeper without copy-on-write copies all there is.
    timeout: configured,
    // A machine whose disks go back is started.
    undo_timeout: configured,
    blames_patch: blames_nothing,
};

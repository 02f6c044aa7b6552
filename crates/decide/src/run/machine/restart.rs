//! Restart: what still runs on files that were replaced is restarted, as systemd does it.

use patchyard_types::{FailureKind, Method};

use crate::run::rules::{Probing, StepRules, Undo, configured};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: true,
    interruptible: false,
    // Who was restarted already does not run on replaced files any more.
    probing: Probing::Repeat,
    // Taking the packages back restarts what runs on what they had.
    undo: Undo::Nothing,
    retries: 0,
    timeout: configured,
    undo_timeout: configured,
    blames_patch,
};

/// A service that does not come up again speaks against the packages.
const fn blames_patch(method: Method, kind: FailureKind) -> bool {
    !matches!(method, Method::Restore) && matches!(kind, FailureKind::Check)
}

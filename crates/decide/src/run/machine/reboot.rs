//! Reboot: the machine is started anew, where the plan lets it and something asks for it.

use patchyard_types::{FailureKind, Method};

use crate::run::rules::{Probing, StepRules, Undo, configured};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: true,
    interruptible: false,
    // Its boot id tells.
    probing: Probing::AskTheWorld,
    // The versions that were there before are put back first, and that may start it anew.
    undo: Undo::Nothing,
    retries: 0,
    timeout: configured,
    undo_timeout: configured,
    blames_patch,
};

/// A machine that does not come up again speaks against the packages.
const fn blames_patch(method: Method, kind: FailureKind) -> bool {
    !matches!(method, Method::Restore) && matches!(kind, FailureKind::Check | FailureKind::Timeout)
}

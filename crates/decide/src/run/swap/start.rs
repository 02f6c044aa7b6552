//! Start: the new container.

use patchyard_types::{FailureKind, Method};

use crate::run::rules::{Probing, StepRules, Undo, configured, one_call};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: true,
    interruptible: false,
    probing: Probing::AskTheWorld,
    // Stops it.
    undo: Undo::Effect,
    retries: 0,
    timeout: one_call,
    undo_timeout: configured,
    blames_patch,
};

/// A program that cannot be started at all is the patch's doing; a port in use is the host's.
const fn blames_patch(method: Method, kind: FailureKind) -> bool {
    !matches!(method, Method::Restore) && matches!(kind, FailureKind::Check)
}

//! Start: the new container.

use patchyard_types::{FailureKind, Method};

use super::drain::as_long_as_it_says;
use crate::run::rules::{Probing, StepRules, Undo, one_call};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: true,
    interruptible: false,
    probing: Probing::AskTheWorld,
    // Stops it; start-first it has clients, and is drained before.
    undo: Undo::Effect,
    retries: 0,
    timeout: one_call,
    undo_timeout: as_long_as_it_says,
    blames_patch,
};

/// A program that cannot be started at all is the patch's doing; a port in use is the host's.
const fn blames_patch(method: Method, kind: FailureKind) -> bool {
    !matches!(method, Method::Restore) && matches!(kind, FailureKind::Check)
}

//! Start: the new container.

use patchyard_types::{Action, FailureKind, Method, Millis};

use super::drain::as_long_as_it_says;
use crate::run::rules::{Probing, StepRules, Undo, configured, one_call};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: true,
    interruptible: false,
    probing: Probing::AskTheWorld,
    // Stops it; start-first it has clients, and is drained before.
    undo: Undo::Effect,
    retries: 0,
    timeout: one_call,
    undo_timeout: drained_and_stopped,
    blames_patch,
};

/// A program that cannot be started at all is the patch's doing; a port in use is the host's.
/// Its drain comes on top of its stop, and must not take the stop's time.
const fn drained_and_stopped(action: &Action) -> Millis {
    Millis(configured(action).0.saturating_add(as_long_as_it_says(action).0))
}

const fn blames_patch(method: Method, kind: FailureKind) -> bool {
    !matches!(method, Method::Restore) && matches!(kind, FailureKind::Check)
}

//! Verify: the checks turn green in time and stay so for `verify_for`.

use patchyard_types::{Action, FailureKind, Method, Millis};

use crate::run::rules::{Probing, StepRules, Undo};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: true,
    interruptible: false,
    probing: Probing::Repeat,
    undo: Undo::Nothing,
    retries: 0,
    timeout: at_most,
    undo_timeout: at_most,
    blames_patch,
};

/// The judge has limits of its own and gives up earlier; this one holds when looking itself hangs.
/// A container's healthcheck may ask for more than `healthy`, hence the half hour.
pub(super) const fn at_most(action: &Action) -> Millis {
    Millis(action.timeouts.healthy.0 + action.verify_for.0 + 30 * 60_000)
}

const fn blames_patch(method: Method, kind: FailureKind) -> bool {
    !matches!(method, Method::Restore) && kind.blames_patch()
}

//! Install: the packages are changed in one transaction, which goes on whoever watches. The way back is one, too, to the
//! versions that were there before; what runs on files that it has replaced is restarted with it.

use patchyard_types::{Action, FailureKind, Method, Millis};

use crate::run::rules::{Probing, StepRules, Undo, configured};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: true,
    interruptible: false,
    // The job's own word, then the machine's package database.
    probing: Probing::AskTheWorld,
    undo: Undo::EffectOrDisks,
    retries: 0,
    timeout: configured,
    undo_timeout: at_most,
    blames_patch,
};

/// A transaction that is at work is waited for first: package managers must not be stopped. Then it is looked at whether the
/// machine serves as before, where its disks could go back else.
const fn at_most(action: &Action) -> Millis {
    Millis(configured(action).0.saturating_mul(2).saturating_add(action.timeouts.healthy.0))
}

/// A package manager that fails or hangs speaks against the packages, and so does a machine that nobody reaches any more.
const fn blames_patch(method: Method, kind: FailureKind) -> bool {
    use FailureKind::{Check, PackageManager, Timeout};
    !matches!(method, Method::Restore) && matches!(kind, Check | PackageManager | Timeout)
}

//! Prepare: build the layer, pull the image, or find the snapshot's image. Nothing serves from it yet.

use patchyard_types::{FailureKind, Method};

use crate::run::rules::{Probing, StepRules, Undo, configured, one_call};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: false,
    interruptible: true,
    // A finished image carries the patch set in its labels; an unfinished builder is begun anew.
    probing: Probing::AskTheWorld,
    // The image stays: other runs use it, and what nobody uses is collected.
    undo: Undo::Nothing,
    retries: 0,
    timeout: configured,
    undo_timeout: one_call,
    blames_patch,
};

/// A package manager that fails or hangs speaks against the packages; a pull that does not end
/// speaks of the network.
const fn blames_patch(method: Method, kind: FailureKind) -> bool {
    matches!(
        (method, kind),
        (Method::Layer, FailureKind::PackageManager | FailureKind::Timeout | FailureKind::Check)
    )
}

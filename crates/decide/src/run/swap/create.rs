//! Create: the new container, complete but not started, compared with the intent. What cannot be carried
//! of a writable layer, or saved of volumes, is refused here, before anything is stopped.

use patchyard_types::{Action, Data, Millis, WritableLayer};

use crate::run::rules::{Probing, StepRules, Undo, blames_nothing, configured, one_call};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: false,
    interruptible: false,
    // The container has a name derived from the run.
    probing: Probing::AskTheWorld,
    undo: Undo::Effect,
    retries: 0,
    timeout: making,
    undo_timeout: one_call,
    blames_patch: blames_nothing,
};

/// What is going to be carried is looked at, file by file, and what is going to be saved is measured, while
/// the old container still serves.
const fn making(action: &Action) -> Millis {
    match (action.writable_layer, action.data) {
        (WritableLayer::Carry, _) | (_, Data::Restore) => configured(action),
        (WritableLayer::LeaveOut | WritableLayer::Discard, Data::Keep) => one_call(action),
    }
}

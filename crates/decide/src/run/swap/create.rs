//! Create: the new container, complete but not started, compared with the intent. Where the writable layer
//! is carried, what cannot be is refused here, before anything is stopped.

use patchyard_types::{Action, Millis, WritableLayer};

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

/// What is going to be carried is looked at, file by file, while the old container still serves.
const fn making(action: &Action) -> Millis {
    match action.writable_layer {
        WritableLayer::Carry => configured(action),
        WritableLayer::LeaveOut | WritableLayer::Discard => one_call(action),
    }
}

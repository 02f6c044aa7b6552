//! Rename: the old container takes a name of ours, the new one takes the old name. Half done is
//! continued: both names derive from the run.

use patchyard_types::{Action, Millis, Order};

use super::verify;
use crate::run::rules::{Probing, StepRules, Undo, blames_nothing, one_call};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: true,
    interruptible: false,
    probing: Probing::AskTheWorld,
    // The names lead to whoever serves.
    undo: Undo::ConfirmedEffect,
    retries: 0,
    timeout: one_call,
    undo_timeout: confirmed,
    blames_patch: blames_nothing,
};

const fn confirmed(action: &Action) -> Millis {
    match action.order {
        Order::StopFirst => one_call(action),
        Order::StartFirst => Millis(one_call(action).0.saturating_add(verify::at_most(action).0)),
    }
}

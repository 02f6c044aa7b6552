//! Update: Swarm is given the new image, and replaces the tasks as the service's own `update_config` says.

use patchyard_types::{Action, FailureKind, Method, Millis};

use crate::run::rules::{Probing, StepRules, Undo};

pub(in crate::run) const RULES: StepRules = StepRules {
    disturbs: true,
    interruptible: false,
    // The service's spec and the state of Swarm's update tell.
    probing: Probing::AskTheWorld,
    // Swarm goes back to the previous spec; where it has done so by itself, it is only waited for.
    undo: Undo::Effect,
    retries: 0,
    timeout: a_day,
    undo_timeout: a_day,
    blames_patch,
};

/// A service has any number of tasks, and its update may wait between them for as long as its owner likes. Whoever
/// watches Swarm gives up much earlier when it does not go on; this holds when watching itself hangs.
const fn a_day(_: &Action) -> Millis {
    Millis::from_secs(24 * 60 * 60)
}

/// Tasks that end, or whose healthcheck never answers, speak against the image; a node that cannot pull it, or
/// that has no room for a task, does not.
const fn blames_patch(method: Method, kind: FailureKind) -> bool {
    !matches!(method, Method::Restore) && matches!(kind, FailureKind::Check)
}

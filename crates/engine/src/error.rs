//! What can go wrong with a rollout as a whole; what goes wrong with a run is an event.

use patchyard_contract::StoreError;
use patchyard_types::{HostId, RolloutEnd, RolloutId, RunId};
use thiserror::Error;

/// Why the engine could not do what it was asked.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No such rollout.
    #[error("there is no rollout {rollout}: see `patchyard history`")]
    NoRollout {
        /// The number that was asked for.
        rollout: RolloutId,
    },
    /// The plan of a rollout is not in the store.
    #[error("the plan of rollout {rollout} is not in the state directory any more")]
    NoPlan {
        /// The rollout.
        rollout: RolloutId,
    },
    /// The rollout has ended.
    #[error("rollout {rollout} has ended ({}): there is nothing to pause, resume or abort", end.words())]
    Ended {
        /// The rollout.
        rollout: RolloutId,
        /// How it ended.
        end: RolloutEnd,
    },
    /// The run does not wait for a person.
    #[error("run {run} does not wait for a decision: see `patchyard status`")]
    NothingToResolve {
        /// The run.
        run: RunId,
    },
    /// A host of the plan is not among the configured ones.
    #[error("host {host} of the plan is not in reach: add it to `hosts:` or set DOCKER_HOST")]
    NoProvider {
        /// The host.
        host: HostId,
    },
    /// The plan contradicts itself.
    #[error("the plan is broken: {reason}")]
    BrokenPlan {
        /// How.
        reason: String,
    },
}

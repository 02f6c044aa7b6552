//! What the planner is told: everything it may depend on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use patchyard_types::{
    Assessment, ImageUpdate, Method, Millis, NotAssessed, PackageChange, Quarantine, QuarantineId, RolloutId,
    Settings, Snapshot, StartingState, Target, Unsaved,
};

use crate::PatchFilter;

/// A target and all that is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The target as discovery found it.
    pub target: Target,
    /// Its starting state; `None` when its inventory could not be read.
    pub starting: Option<StartingState>,
    /// What is pending on it.
    pub assessment: Assessment,
    /// The solver was asked for just what the filter wants: all that it would do belongs to that.
    pub narrowed: bool,
    /// For a target that runs an image patched here, assessed as it runs: what that image changed on
    /// the original base. A new layer starts from the base again, so these versions are carried over.
    pub carried: Option<Vec<PackageChange>>,
    /// What the registry has behind its tag; only asked for method `image`.
    pub image_update: Result<Option<ImageUpdate>, NotAssessed>,
    /// What its writable layer holds that recreation would lose.
    pub unsaved: Unsaved,
    /// What configuration, labels and flags decide for it.
    pub settings: Settings,
    /// Taken out by its label or on the command line.
    pub excluded: bool,
    /// Who lives in its namespaces, as [`dependents`](crate::dependents()) puts them in order.
    pub dependents: Vec<DependentTarget>,
}

/// A target that is made again with the one in whose namespaces it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DependentTarget {
    /// The target as discovery found it.
    pub target: Target,
    /// What configuration, labels and flags decide for it.
    pub settings: Settings,
    /// Taken out by its label or on the command line.
    pub excluded: bool,
    /// What its writable layer holds that recreation would lose, or why that is not known.
    pub unsaved: Result<Unsaved, String>,
}

/// Whether tags follow their patched image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TagPolicy {
    /// A tag moves once every run of its image on that host has succeeded.
    #[default]
    Move,
    /// Tags stay as they are.
    Keep,
}

/// How long the parts of a run take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Building or pulling the image, once per patch set.
    pub prepare: Millis,
    /// A swap without its verification.
    pub swap: Millis,
    /// How long the target does not answer.
    pub gap: Millis,
}

/// Experience by method; methods without any use a default.
pub type Timings = BTreeMap<Method, Timing>;

/// Everything a plan is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRequest {
    /// The targets that were selected, in any order.
    pub candidates: Vec<Candidate>,
    /// Targets that were found and not selected: they count for the size of a service, and a tag
    /// does not move while they run what it names.
    pub others: Vec<Target>,
    /// Which patches are wanted.
    pub filter: PatchFilter,
    /// Entries of the quarantine that nobody has released.
    pub quarantine: Vec<(QuarantineId, Quarantine)>,
    /// Whether tags follow.
    pub tags: TagPolicy,
    /// Own history.
    pub timings: Timings,
    /// Who plans.
    pub author: String,
    /// Now.
    pub at: Timestamp,
}

/// A target that is put back, and to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restoration {
    /// The snapshot; its target is looked for among the targets that were found.
    pub snapshot: Snapshot,
    /// What configuration, labels and flags decide for the target.
    pub settings: Settings,
    /// Who lives in its namespaces now, as [`dependents`](crate::dependents()) puts them in order.
    pub dependents: Vec<DependentTarget>,
}

/// Everything a manual rollback is planned from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreRequest {
    /// What is put back, at most one snapshot a target, in any order.
    pub restorations: Vec<Restoration>,
    /// Every target on the hosts in question: a tag goes back only when nobody runs what it names.
    pub targets: Vec<Target>,
    /// The rollout that is taken back, where it is one as a whole.
    pub undoes: Option<RolloutId>,
    /// Volumes stay as they are, also where a snapshot keeps copies of them.
    pub keep_data: bool,
    /// Whether tags follow.
    pub tags: TagPolicy,
    /// Own history.
    pub timings: Timings,
    /// Who plans.
    pub author: String,
    /// Now.
    pub at: Timestamp,
}

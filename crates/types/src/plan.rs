//! The plan: an immutable value so complete that carrying it out leaves no choice to make.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Budget, Check, Data, Digest, Drain, HostId, Method, Millis, Order, PatchSet, PatchSetId, Reboot,
    RolloutId, SnapshotPolicy, Target, TargetId, TargetKind, Timeouts, WayBack, WritableLayer,
};

/// Digest of a plan's decisions: its name.
pub type PlanDigest = Digest;

/// A plan: what is decided, and what is merely said about it.
///
/// All thinking happens once, while planning. The engine only delays or stops; it never rethinks a
/// plan. The digest covers `decisions` and nothing else, so that the same indices, targets and
/// configuration give the same digest, whoever plans and whenever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Everything that decides what happens.
    pub decisions: Decisions,
    /// Author, time, estimates, what was left out.
    pub about: About,
}

impl Plan {
    /// The plan's name.
    #[must_use]
    pub fn digest(&self) -> PlanDigest {
        Digest::of(&self.decisions)
    }

    /// The patch set of an action.
    #[must_use]
    pub fn patch_set(&self, action: &Action) -> Option<&PatchSet> {
        self.decisions.patch_sets.get(&action.patch_set)
    }
}

/// Everything that decides what happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decisions {
    /// Format of this value, raised when a field changes its meaning.
    pub version: u32,
    /// The patch sets by id.
    pub patch_sets: BTreeMap<PatchSetId, PatchSet>,
    /// Every action, in the order in which they are numbered.
    pub actions: Vec<Action>,
    /// Which actions go at the same time, in order.
    pub waves: Vec<Wave>,
    /// Tags that move once every run of their image on that host has succeeded.
    pub tags: Vec<TagMove>,
    /// The rollout stops when more than this many runs failed.
    pub max_failures: Budget,
}

/// What is done to one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// The target.
    pub target: TargetId,
    /// Its name, for people.
    pub name: String,
    /// Its service.
    pub service: String,
    /// The host it runs on.
    pub host: HostId,
    /// What kind of thing the target is.
    #[serde(default, skip_serializing_if = "TargetKind::is_container")]
    pub kind: TargetKind,
    /// How it is patched.
    pub method: Method,
    /// With what.
    pub patch_set: PatchSetId,
    /// How it must be before anything is done; if it is not, the run is skipped.
    pub expected: Expected,
    /// Named checks; the baseline and the healthcheck come on top.
    pub checks: Vec<Check>,
    /// How long the checks must stay green.
    pub verify_for: Millis,
    /// Limits of durations.
    pub timeouts: Timeouts,
    /// The most a layer may add, in bytes.
    pub max_layer: u64,
    /// What becomes of data in its writable layer. For a target that holds none while planning this
    /// says what becomes of what it writes until it is stopped.
    #[serde(default, skip_serializing_if = "WritableLayer::is_leave_out")]
    pub writable_layer: WritableLayer,
    /// What a way back does to its volumes.
    #[serde(default, skip_serializing_if = "Data::is_keep")]
    pub data: Data,
    /// Which comes first in its swap.
    #[serde(default, skip_serializing_if = "Order::is_stop_first")]
    pub order: Order,
    /// What is done before it is stopped.
    #[serde(default, skip_serializing_if = "Drain::is_nothing")]
    pub drain: Drain,
    /// Whether a machine may be started anew.
    #[serde(default, skip_serializing_if = "Reboot::is_services_only")]
    pub reboot: Reboot,
    /// Whether a machine is patched of which not every previous version is to be had.
    #[serde(default, skip_serializing_if = "WayBack::is_required")]
    pub way_back: WayBack,
    /// Whether a snapshot of a machine's disks is taken before its packages are changed.
    #[serde(default, skip_serializing_if = "SnapshotPolicy::is_never")]
    pub snapshot: SnapshotPolicy,
    /// How many targets of its service may be unavailable at the same time.
    pub max_unavailable: usize,
    /// What a way back would lose.
    pub losses: Vec<Loss>,
    /// The targets that live in its namespaces, those that live in theirs after them. They are stopped,
    /// made again on the images they have, and started with it: one run, one verdict, one way back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<Dependent>,
}

impl Action {
    /// A dependent as if it had an action of its own: the owner's, about this target.
    #[must_use]
    pub fn of_dependent(&self, number: usize) -> Option<Self> {
        let Dependent { target, name, service, expected, checks, writable_layer, max_unavailable } =
            self.dependents.get(number)?.clone();
        Some(Self {
            target,
            name,
            service,
            expected,
            checks,
            max_unavailable,
            writable_layer,
            // Nothing of its own changes, and its volumes stay as they are.
            data: Data::Keep,
            losses: Vec::new(),
            dependents: Vec::new(),
            ..self.clone()
        })
    }

    /// Everything that its run disturbs: the target itself, and its dependents.
    pub fn disturbed(&self) -> impl Iterator<Item = &TargetId> {
        std::iter::once(&self.target).chain(self.dependents.iter().map(|dependent| &dependent.target))
    }

    /// The service of each target that its run disturbs, with how many of it may be unavailable at once.
    pub fn services(&self) -> impl Iterator<Item = (&str, usize)> {
        let own = (self.service.as_str(), self.max_unavailable);
        let theirs = self.dependents.iter().map(|other| (other.service.as_str(), other.max_unavailable));
        std::iter::once(own).chain(theirs)
    }
}

/// A target that lives in the namespaces of another one, which is patched. The engine knows the other
/// one by its id, so that it is made again, unchanged, beside the replacement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependent {
    /// The target.
    pub target: TargetId,
    /// Its name, for people.
    pub name: String,
    /// Its service: unavailable during the run.
    pub service: String,
    /// How it must be before anything is done.
    pub expected: Expected,
    /// Its named checks; its baseline and its healthcheck come on top.
    pub checks: Vec<Check>,
    /// Whether data in its writable layer may be lost; it is never carried over.
    #[serde(default, skip_serializing_if = "WritableLayer::is_leave_out")]
    pub writable_layer: WritableLayer,
    /// How many targets of its service may be unavailable at the same time.
    pub max_unavailable: usize,
}

/// A target's state before the patch, as planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The provider's handle: the container that is replaced.
    pub object: String,
    /// The image it runs.
    pub image: String,
    /// Keyed digest of its configuration.
    pub config: Digest,
    /// The image reference that a replacement carries on.
    pub reference: String,
    /// For a target that already runs a patched image: the id of the original base to build on.
    pub base: Option<String>,
}

impl Expected {
    /// A target as it is now.
    #[must_use]
    pub fn of(target: &Target) -> Self {
        Self {
            object: target.object.clone(),
            image: target.image.id.clone(),
            config: target.config,
            reference: target.image.reference.clone(),
            base: target.image.base.clone(),
        }
    }
}

/// Actions that go at the same time: indices into the plan's actions. The next wave starts when
/// every run of this one has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wave(pub Vec<usize>);

/// A tag on a host that moves to the patched image, so that whoever creates a container from it
/// later gets the patched one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TagMove {
    /// The host.
    pub host: HostId,
    /// The tag: `name:tag`.
    pub reference: String,
    /// The image id it must point at now, else it is left alone.
    pub from: String,
    /// The patch set whose prepared image it shall point at.
    pub patch_set: PatchSetId,
    /// The image id it shall point at instead: a manual rollback moves it back to the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Indices of the actions whose runs must all have succeeded first.
    pub after: Vec<usize>,
}

/// Something that a way back does not bring back, or that the patch itself loses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Loss {
    /// Stable name of the kind of loss: `volume`, `bind`, `logs`.
    pub kind: String,
    /// What exactly, in one line.
    pub detail: String,
}

/// What is said about a plan without deciding anything; outside of the digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Who planned.
    pub author: String,
    /// When.
    pub created_at: Timestamp,
    /// The rollout this plan takes back, for a manual rollback.
    pub undoes: Option<RolloutId>,
    /// How many targets were looked at.
    pub considered: usize,
    /// Targets that are not in the plan, with the reason of each.
    pub left_out: Vec<LeftOut>,
    /// Targets that are up to date already.
    pub up_to_date: Vec<String>,
    /// How long it may take.
    pub estimate: Estimate,
    /// Remarks for the operator: other tools that act on the same target, and the like.
    pub notes: Vec<String>,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Estimate {
    /// Images to build or pull.
    pub builds: usize,
    /// The whole rollout.
    pub total: Millis,
    /// The longest a single target may not answer.
    pub longest_gap: Millis,
}

/// A target that is not in the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The target.
    pub target: TargetId,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: LeftOutReason,
    /// The reason in words, with what to do.
    pub detail: String,
}

/// Why a target is left out of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOutReason {
    /// Nobody knows what is pending on it.
    NotAssessed,
    /// This release does not swap such a target.
    Refused,
    /// Every pending patch is held, phased or kept back, or the solver refuses.
    Unsolvable,
    /// What is pending failed before and is in quarantine.
    Quarantined,
    /// Its writable layer holds data that recreation would lose.
    WritableLayer,
    /// It was not healthy or not running while planning.
    Unhealthy,
    /// Excluded by its label `io.patchyard.exclude`.
    Excluded,
    /// It lives in the namespaces of a target of this plan, and is made again with it.
    WithOwner,
    /// Its patch would need more room than `max_layer` allows.
    TooLarge,
}

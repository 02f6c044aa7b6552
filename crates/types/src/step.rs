//! Steps: the parts of a run, a type per method, and what each leaves on record.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Baseline, Failure, Order, PackageChange, SavedDisks, SavedVolume, Snapshot};

/// A part of a run. One enum per way of patching: a container is swapped, a Swarm service is updated, a machine is
/// changed in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "method", content = "step")]
pub enum Step {
    /// A step of a container's swap (methods `layer`, `image` and `restore`).
    Swap(SwapStep),
    /// A step of a Swarm service's update (methods `image` and `restore`).
    Service(ServiceStep),
    /// A step of a machine's patch (methods `packages` and `restore`).
    Machine(MachineStep),
}

impl Step {
    /// Whether it is the step in which the engine watches the checks.
    #[must_use]
    pub const fn is_verify(self) -> bool {
        matches!(
            self,
            Self::Swap(SwapStep::Verify)
                | Self::Service(ServiceStep::Verify)
                | Self::Machine(MachineStep::Verify)
        )
    }

    /// Whether it is the step in which the baseline is taken.
    #[must_use]
    pub const fn is_preflight(self) -> bool {
        matches!(
            self,
            Self::Swap(SwapStep::Preflight)
                | Self::Service(ServiceStep::Preflight)
                | Self::Machine(MachineStep::Preflight)
        )
    }
}

impl From<SwapStep> for Step {
    fn from(step: SwapStep) -> Self {
        Self::Swap(step)
    }
}

impl From<ServiceStep> for Step {
    fn from(step: ServiceStep) -> Self {
        Self::Service(step)
    }
}

impl From<MachineStep> for Step {
    fn from(step: MachineStep) -> Self {
        Self::Machine(step)
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Swap(step) => step.fmt(f),
            Self::Service(step) => step.fmt(f),
            Self::Machine(step) => step.fmt(f),
        }
    }
}

/// The steps of a machine's patch: its packages are changed in place, and what was there before is kept as their
/// previous versions, and, by whoever keeps the machine, as its disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineStep {
    /// Finish what its package manager was interrupted in, bring the packages that its repositories no longer have, and
    /// keep the versions that are about to be replaced.
    Prepare,
    /// Would its package manager do exactly what is planned; take the baseline.
    Preflight,
    /// Have its keeper take a snapshot of its disks, for where its packages cannot be put back. Only where the plan says so.
    Save,
    /// Change the packages, in one transaction.
    Install,
    /// Restart what still runs on files that were replaced. Only where the plan restarts anything.
    Restart,
    /// Start the machine anew. Only where the plan lets it.
    Reboot,
    /// The checks must turn green and stay so.
    Verify,
    /// Write down what a rollback goes back to.
    Snapshot,
}

impl MachineStep {
    /// All steps, in order; [`MachineStep::Save`], [`MachineStep::Restart`] and [`MachineStep::Reboot`] only where the plan
    /// asks for them.
    pub const ALL: [Self; 8] = [
        Self::Prepare,
        Self::Preflight,
        Self::Save,
        Self::Install,
        Self::Restart,
        Self::Reboot,
        Self::Verify,
        Self::Snapshot,
    ];
}

impl std::fmt::Display for MachineStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Prepare => "prepare",
            Self::Preflight => "preflight",
            Self::Save => "save",
            Self::Install => "install",
            Self::Restart => "restart",
            Self::Reboot => "reboot",
            Self::Verify => "verify",
            Self::Snapshot => "snapshot",
        })
    }
}

/// The steps of a Swarm service's update: Swarm replaces the tasks, in the order and at the pace that the service's
/// own `update_config` says, and rolls them back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceStep {
    /// Write down how Swarm's last update of it stands, so that the next one is told from it.
    Prepare,
    /// Is the service as planned and are all its tasks running; take the baseline.
    Preflight,
    /// Have Swarm update it, and wait until Swarm is done.
    Update,
    /// The checks must turn green and stay so.
    Verify,
    /// Write down what Swarm can go back to.
    Snapshot,
}

impl ServiceStep {
    /// All steps, in order.
    pub const ALL: [Self; 5] = [Self::Prepare, Self::Preflight, Self::Update, Self::Verify, Self::Snapshot];
}

impl std::fmt::Display for ServiceStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Prepare => "prepare",
            Self::Preflight => "preflight",
            Self::Update => "update",
            Self::Verify => "verify",
            Self::Snapshot => "snapshot",
        })
    }
}

/// The steps of a swap: the new container is fully created while the old one serves; then stop old, start
/// new, or, with [`crate::Order::StartFirst`], start new, stop old; the old one is kept until the checks have
/// stayed green and its snapshot is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SwapStep {
    /// Build the layer, pull the image, or find the snapshot's image.
    Prepare,
    /// Is the target as planned and healthy, is there room; take the baseline.
    Preflight,
    /// Create the new container, not started, and compare it with the intent.
    Create,
    /// Have the old container's clients find out that it is going. Only where the plan says how.
    Drain,
    /// Stop the old container. Stop-first, the service is down from here on.
    Stop,
    /// Set the old container's restart policy to `no`: a restarted engine must not revive it.
    Hold,
    /// Copy the old container's volumes aside, to be restored by a way back. Only with `data: restore`.
    Save,
    /// Give the volumes back what a snapshot keeps of them. Only in a rollback to a snapshot that does.
    Fill,
    /// Copy what the old container has written outside of its volumes into the new one. Only where
    /// the plan says so.
    Carry,
    /// Old container to a name of ours, new container to the old name.
    Rename,
    /// Start the new container.
    Start,
    /// The checks must turn green and stay so.
    Verify,
    /// Take the old container's snapshot.
    Snapshot,
    /// Remove the old container; never its volumes.
    Retire,
}

impl SwapStep {
    /// All steps, in the order in which the old container is stopped first; [`SwapStep::Drain`],
    /// [`SwapStep::Save`], [`SwapStep::Fill`] and [`SwapStep::Carry`] only where the plan asks for them.
    pub const ALL: [Self; 14] = [
        Self::Prepare,
        Self::Preflight,
        Self::Create,
        Self::Drain,
        Self::Stop,
        Self::Hold,
        Self::Save,
        Self::Fill,
        Self::Carry,
        Self::Rename,
        Self::Start,
        Self::Verify,
        Self::Snapshot,
        Self::Retire,
    ];

    /// The order in which the new container is started first, and has proved itself, before anything is done to
    /// the old one. Names lead to the new one before the old one is drained. Nothing can be copied from the old
    /// one to the new: both run by then.
    pub const START_FIRST: [Self; 11] = [
        Self::Prepare,
        Self::Preflight,
        Self::Create,
        Self::Start,
        Self::Verify,
        Self::Rename,
        Self::Drain,
        Self::Stop,
        Self::Hold,
        Self::Snapshot,
        Self::Retire,
    ];

    /// Every step that there is in an order.
    #[must_use]
    pub const fn in_order(order: Order) -> &'static [Self] {
        match order {
            Order::StopFirst => &Self::ALL,
            Order::StartFirst => &Self::START_FIRST,
        }
    }
}

impl std::fmt::Display for SwapStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Prepare => "prepare",
            Self::Preflight => "preflight",
            Self::Create => "create",
            Self::Drain => "drain",
            Self::Stop => "stop",
            Self::Hold => "hold",
            Self::Save => "save",
            Self::Fill => "fill",
            Self::Carry => "carry",
            Self::Rename => "rename",
            Self::Start => "start",
            Self::Verify => "verify",
            Self::Snapshot => "snapshot",
            Self::Retire => "retire",
        })
    }
}

/// Doing a step, or taking it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Do it.
    Do,
    /// Take it back. Taking back `Preflight` confirms that the target serves as before.
    Undo,
}

/// What a finished step leaves for later ones. Never secrets: this is written to the event log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "record")]
pub enum Record {
    /// Nothing later steps need.
    Nothing,
    /// Taking `Install` back: it was not begun, so that nothing was changed that would have to be taken back.
    NotBegun,
    /// `Prepare`: the image the new container is created from.
    Prepared {
        /// Image id.
        image: String,
        /// What it adds on the host's disk, in bytes.
        size: u64,
    },
    /// `Prepare` of a Swarm service: Swarm's last update of it before this run.
    Found {
        /// When Swarm began it, as the engine wrote it; nothing where there was none.
        last_update: Option<String>,
    },
    /// `Preflight`: what was stable before.
    Preflighted {
        /// The baseline.
        baseline: Baseline,
        /// The baselines of its dependents, in their order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        dependents: Vec<Baseline>,
    },
    /// `Create`: the new container.
    Created {
        /// Its handle.
        object: String,
        /// The handles of its dependents' new containers, in their order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        dependents: Vec<String>,
    },
    /// `Drain`: what was drained.
    Drained {
        /// Since when it had been running, as the host wrote it: one that has been started since is not drained
        /// any more.
        since: String,
    },
    /// `Hold`: what the restart policy was before, as the engine wrote it.
    Held {
        /// Policy name.
        policy: String,
        /// Its retry limit.
        retries: u64,
        /// The policies of its dependents, in their order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        dependents: Vec<(String, u64)>,
    },
    /// `Save`: the copies of its volumes, all of them complete.
    Saved {
        /// The copies.
        volumes: Vec<SavedVolume>,
    },
    /// `Prepare` of a machine: what the way back installs.
    Kept {
        /// From the planned versions to those that were there before. Their files are in the controller's cache, or are its
        /// repositories' own.
        back: Vec<PackageChange>,
        /// Names and versions of which no file is to be had any more.
        missing: Vec<String>,
        /// Those of its packages that nobody has asked for by name, as `name:arch`: a transaction that fails forgets it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        automatic: Vec<String>,
    },
    /// `Save` of a machine: the snapshot of its disks.
    DisksSaved {
        /// The snapshot.
        disks: SavedDisks,
    },
    /// `Restart` of a machine.
    Restarted {
        /// The services that were restarted.
        services: Vec<String>,
        /// Why it should be started anew, as it says itself; empty where nothing asks for it.
        reboot: Vec<String>,
        /// By which the kernel is known until the machine is started anew.
        boot_id: String,
    },
    /// `Verify`: when the checks were green for the first time.
    Verified {
        /// The first good look.
        first_good: Timestamp,
    },
    /// `Snapshot`: what was kept.
    Snapshotted {
        /// The snapshot.
        snapshot: Box<Snapshot>,
    },
}

impl Record {
    /// What a step has left about a dependent, as if that had a run of its own. `Prepare` and what is
    /// about the owner alone leave nothing.
    #[must_use]
    pub fn of_dependent(&self, number: usize) -> Option<Self> {
        match self {
            Self::Preflighted { baseline: _, dependents } => {
                let baseline = dependents.get(number)?.clone();
                Some(Self::Preflighted { baseline, dependents: Vec::new() })
            }
            Self::Created { object: _, dependents } => {
                let object = dependents.get(number)?.clone();
                Some(Self::Created { object, dependents: Vec::new() })
            }
            Self::Held { policy: _, retries: _, dependents } => {
                let (policy, retries) = dependents.get(number)?.clone();
                Some(Self::Held { policy, retries, dependents: Vec::new() })
            }
            Self::Nothing
            | Self::NotBegun
            | Self::Prepared { .. }
            | Self::Found { .. }
            | Self::Drained { .. }
            | Self::Saved { .. }
            | Self::Kept { .. }
            | Self::DisksSaved { .. }
            | Self::Restarted { .. }
            | Self::Verified { .. }
            | Self::Snapshotted { .. } => None,
        }
    }

    /// The record of the owner and what the same step has left about its dependents, as one.
    #[must_use]
    pub fn with_dependents(mut self, of_dependents: Vec<Self>) -> Self {
        for record in of_dependents {
            match (&mut self, record) {
                (Self::Preflighted { dependents, .. }, Self::Preflighted { baseline, .. }) => {
                    dependents.push(baseline);
                }
                (Self::Created { dependents, .. }, Self::Created { object, .. }) => dependents.push(object),
                (Self::Held { dependents, .. }, Self::Held { policy, retries, .. }) => {
                    dependents.push((policy, retries));
                }
                _ => {}
            }
        }
        self
    }
}

/// What a probe found out about a step whose outcome is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "probe")]
pub enum Probe {
    /// It has taken place.
    Done {
        /// What it would have left on record.
        record: Record,
    },
    /// It has not taken place, or only so far that doing it again is right.
    NotDone,
    /// It failed for good: somebody removed what it needs, and going on is not possible.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// Nobody can tell; a person has to decide.
    CannotTell {
        /// What stands in the way.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_step_leaves_about_dependents_is_taken_apart_again() {
        let created = |object: &str| Record::Created { object: object.to_owned(), dependents: Vec::new() };
        let held =
            |policy: &str| Record::Held { policy: policy.to_owned(), retries: 3, dependents: Vec::new() };
        for (own, others) in [
            (created("a"), vec![created("b"), created("c")]),
            (held("always"), vec![held("no"), held("on-failure")]),
        ] {
            let whole = own.clone().with_dependents(others.clone());
            assert_ne!(whole, own);
            let apart: Vec<_> = (0..2).filter_map(|number| whole.of_dependent(number)).collect();
            assert_eq!(apart, others);
            assert_eq!(whole.of_dependent(2), None);
        }
        assert_eq!(Record::Nothing.with_dependents(vec![Record::Nothing]), Record::Nothing);
        // What was written before there were any is read as it was.
        let old: Record = serde_json::from_str(r#"{"record":"created","object":"a"}"#).unwrap();
        assert_eq!(old, created("a"));
    }
}

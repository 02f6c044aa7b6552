//! Providers: how the targets of one host are found, read, changed and changed back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use patchyard_types::{
    Action, Arch, Baseline, Direction, HostId, HostManager, ImageUpdate, Inventory, PackageChange, PatchSet,
    PendingPatch, Plan, Probe, Record, RunId, Snapshot, Step, StepError, Subject, TagMove, Target, Unsaved,
};
use serde::Serialize;
use thiserror::Error;

use crate::TransportError;

/// Why a provider could not answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProviderError {
    /// The host did not answer or the connection broke.
    #[error("cannot reach {host}: {reason}")]
    Unreachable {
        /// The host, as the user named it.
        host: String,
        /// What was seen, with what to do.
        reason: String,
    },
    /// The host answered and said no: permission, unsupported version.
    #[error("{host} refused: {reason}")]
    Denied {
        /// The host, as the user named it.
        host: String,
        /// What was said, with what to do.
        reason: String,
    },
    /// Who or what answers there does not let us in.
    #[error("{0}")]
    NoWayIn(TransportError),
    /// Another host bears the same stable id and is not the same machine.
    #[error(
        "{host} and {other} bear the same id and are two machines: one is a copy of the other, and what is on them \
         cannot be told apart"
    )]
    Twin {
        /// The host, as the user named it.
        host: String,
        /// The other one.
        other: String,
    },
    /// The question has no answer for this target: no package manager, a repository that cannot be
    /// reached, a solver that refuses.
    #[error("{reason}")]
    NoAnswer {
        /// The reason in one line.
        reason: String,
        /// What the operator can do; empty when there is nothing.
        hint: String,
    },
    /// The object is gone.
    #[error("{object} does not exist any more")]
    Gone {
        /// What was looked for.
        object: String,
    },
    /// The controller's own disk or state is in the way.
    #[error("{reason}")]
    Local {
        /// What happened, with what to do.
        reason: String,
    },
}

/// How pending patches are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ask {
    /// Let the solver remove packages.
    pub allow_remove: bool,
    /// Just these and what they need; empty means everything there is.
    pub only: Vec<Wish>,
}

/// A package that is wanted in a version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Wish {
    /// The package.
    pub package: String,
    /// Its architecture.
    pub arch: Arch,
    /// The version.
    pub version: String,
}

/// A remark on long work, for a progress bar; nothing depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What is going on, in a few words.
    pub text: String,
    /// How much of it is done, where known.
    pub part: Option<Part>,
}

/// How much of long work is done, of how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Of things that can be counted.
    Count(u64, u64),
    /// Of bytes.
    Bytes(u64, u64),
}

/// Where remarks go.
pub trait Progress: Send + Sync {
    /// Takes a remark; must not block.
    fn note(&self, note: Note);
}

/// An image that another host already has.
#[derive(Clone)]
pub struct ImageSource {
    /// Who has it.
    pub provider: Arc<dyn Provider>,
    /// Its id there, and so everywhere.
    pub image: String,
}

/// One effect on one target: what the engine hands to a provider.
#[derive(Clone)]
pub struct Call {
    /// The run; every created object's name and label derives from it.
    pub run: RunId,
    /// The step.
    pub step: Step,
    /// Do it, or take it back.
    pub direction: Direction,
    /// The plan that is carried out.
    pub plan: Arc<Plan>,
    /// What the run's earlier steps left on record.
    pub records: BTreeMap<Step, Record>,
    /// The steps that could not be taken back, and are not tried again: what they have changed is there still.
    pub given_up: BTreeSet<Step>,
    /// The same patch set's image on another host, built there earlier in this rollout: moved, not
    /// built again.
    pub source: Option<ImageSource>,
    /// Where remarks on long work go.
    pub progress: Option<Arc<dyn Progress>>,
    /// The dependent that it is about, where it is about one: [`Call::dependents`].
    pub dependent: Option<OfDependent>,
}

/// One dependent's part of a call on its owner.
#[derive(Debug, Clone)]
pub struct OfDependent {
    /// Which of the action's dependents.
    pub number: usize,
    /// What is done to it: [`Action::of_dependent`].
    pub action: Arc<Action>,
}

impl Call {
    /// The action this run carries out; of a call about a dependent, that dependent's.
    ///
    /// # Errors
    /// When the plan has no such action or patch set: a broken plan.
    pub fn action(&self) -> Result<(&Action, &PatchSet), StepError> {
        let (owner, set) = self.owner()?;
        Ok((self.dependent.as_ref().map_or(owner, |dependent| &*dependent.action), set))
    }

    /// The action of the run, whomever of it the call is about.
    ///
    /// # Errors
    /// When the plan has no such action or patch set: a broken plan.
    pub fn owner(&self) -> Result<(&Action, &PatchSet), StepError> {
        self.plan
            .decisions
            .actions
            .get(self.run.action)
            .and_then(|action| Some((action, self.plan.patch_set(action)?)))
            .ok_or_else(|| StepError::Unknown(format!("the plan has no action for run {}", self.run)))
    }

    /// What was stable before the run disturbed anything, once that is on record.
    #[must_use]
    pub fn baseline(&self) -> Option<&Baseline> {
        self.records.values().find_map(|record| match record {
            Record::Preflighted { baseline, .. } => Some(baseline),
            _ => None,
        })
    }

    /// What the same call comes to for each dependent, in their order. A provider makes them itself: the
    /// engine hands it the owner's call alone, and looks at everybody.
    ///
    /// # Errors
    /// When the plan has no such action or patch set: a broken plan.
    pub fn dependents(&self) -> Result<Vec<Self>, StepError> {
        if self.dependent.is_some() {
            return Ok(Vec::new());
        }
        let (owner, _) = self.owner()?;
        let calls = (0..owner.dependents.len()).filter_map(|number| {
            let dependent = OfDependent { number, action: Arc::new(owner.of_dependent(number)?) };
            let records = self
                .records
                .iter()
                .filter_map(|(step, record)| Some((*step, record.of_dependent(number)?)))
                .collect();
            Some(Self { records, dependent: Some(dependent), ..self.clone() })
        });
        Ok(calls.collect())
    }
}

/// An object of Patchyard's own that no unfinished run and no snapshot needs any more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leftover {
    /// `container`, `image`, `tag`, `volume`, `file`.
    pub kind: String,
    /// Its name or id.
    pub name: String,
    /// The run it was made for, where its label says.
    pub run: Option<RunId>,
    /// What it takes on disk, in bytes, where known.
    pub size: u64,
}

impl Leftover {
    /// Whether it may hold somebody's data, so that somebody has to agree before it goes.
    #[must_use]
    pub fn holds_data(&self) -> bool {
        self.kind == "volume"
    }

    /// Whether it is only an image, or a name or a file of one: what can be made again.
    #[must_use]
    pub fn is_of_an_image(&self) -> bool {
        matches!(self.kind.as_str(), "image" | "tag" | "file")
    }
}

/// One host and how its targets are handled.
///
/// Reading never changes a target; own helpers are gone afterwards, also when the future is dropped
/// (at the latest by [`Provider::leftovers`]). `perform` may be called again after a crash: it looks
/// first whether there is anything left to do, and every object it makes has a name derived from
/// run and step.
#[async_trait]
pub trait Provider: Send + Sync {
    /// `docker`, `ssh`, `local`, `sim`, …
    fn kind(&self) -> &'static str;

    /// The stable id of the host.
    fn host(&self) -> &HostId;

    /// The host as people know it: `Docker 20.10 on web01`.
    fn describe(&self) -> String;

    /// What tells this host from a copy of it that bears the same id: equal for two routes to one host,
    /// different for a machine and its clone. Holds for as long as nobody restarts the host.
    async fn instance(&self) -> Result<String, ProviderError>;

    /// Whether somebody keeps the host, and can take a snapshot of its disks: of two ways to one machine the better.
    fn is_kept(&self) -> bool {
        false
    }

    /// Who else updates the host, as far as can be seen from here.
    async fn managers(&self) -> Vec<HostManager> {
        Vec::new()
    }

    /// Every target on the host, sorted by name. Patchyard's own builders and helpers are not targets.
    async fn discover(&self) -> Result<Vec<Target>, ProviderError>;

    /// What a target has installed, without starting a process in it.
    async fn inventory(&self, target: &Target) -> Result<Inventory, ProviderError>;

    /// What is pending, asked of the target's own package manager in a throw-away copy of it. A machine has no copy: its
    /// package lists are read anew, as its own timers do, and nothing else changes.
    async fn pending(
        &self,
        target: &Target,
        inventory: &Inventory,
        ask: &Ask,
    ) -> Result<Vec<PendingPatch>, ProviderError>;

    /// A newer digest of the same tag in the registry, if there is one.
    async fn newer_image(&self, target: &Target) -> Result<Option<ImageUpdate>, ProviderError>;

    /// What the target's writable layer holds that recreation would lose.
    async fn unsaved(&self, target: &Target) -> Result<Unsaved, ProviderError>;

    /// Fetches the bytes of packages into the controller's cache, from the target's own package
    /// sources, and verifies them. What the cache has already is not fetched again.
    async fn fetch(&self, target: &Target, packages: &[PackageChange]) -> Result<(), ProviderError>;

    /// Does a step or takes it back, for the target and for its dependents in their order: what stops goes the
    /// other way round, for nobody lives in namespaces that are not there. `Verify` and the baseline are the engine's own: it asks
    /// [`Provider::observe`] for them and calls `perform` for `Preflight` only to compare the target
    /// with the plan and look for room. Undoing `Verify`, `Preflight` and `Prepare` is never asked.
    async fn perform(&self, call: &Call) -> Result<Record, StepError>;

    /// Asks the world whether a step whose outcome is unknown has taken place, for the target and for all
    /// of its dependents.
    ///
    /// # Errors
    /// When the host cannot be reached: the question stays open.
    async fn probe(&self, call: &Call) -> Result<Probe, ProviderError>;

    /// Looks at the original or the replacement once, with the named checks of the action.
    ///
    /// # Errors
    /// When the host cannot be reached or the object is gone. A check that cannot be evaluated is
    /// no error but a bad answer.
    async fn observe(
        &self,
        call: &Call,
        subject: Subject,
    ) -> Result<patchyard_types::Observation, ProviderError>;

    /// Moves a tag to an image if it still points at `tag.from` (or already at the image).
    /// Returns why it was left alone, if it was.
    async fn move_tag(&self, tag: &TagMove, image: &str) -> Result<Option<String>, ProviderError>;

    /// Writes an image to a file on the controller, for [`Call::source`].
    async fn export_image(&self, image: &str, to: &Path) -> Result<(), ProviderError>;

    /// The host whose disks its snapshots take: itself, or who keeps it, as a hypervisor does for many.
    fn keeps_snapshots_on(&self) -> HostId {
        self.host().clone()
    }

    /// The bytes that a snapshot takes on its host by now, where that is known.
    async fn snapshot_takes(&self, snapshot: &Snapshot) -> Result<Option<u64>, ProviderError> {
        Ok(Some(snapshot.size))
    }

    /// Removes what a snapshot keeps on the host. Gone already is fine.
    async fn remove_snapshot(&self, snapshot: &Snapshot) -> Result<(), ProviderError>;

    /// Objects of this controller on the host that neither `unfinished` runs nor `kept` snapshots need.
    async fn leftovers(
        &self,
        unfinished: &[RunId],
        kept: &[Snapshot],
    ) -> Result<Vec<Leftover>, ProviderError>;

    /// Removes a leftover. Gone already is fine.
    async fn collect(&self, leftover: &Leftover) -> Result<(), ProviderError>;

    /// Removes what is kept on the host for further questions, and what work that was dropped in the middle has left, and waits until
    /// it is gone. To be called when the questions are over.
    async fn settle(&self) {}
}

//! Scanning: what is unpatched, without changing anything.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use patchyard_contract::Progress;
use patchyard_plan::{keeps_image_out, keeps_out, not_well};
use patchyard_types::{
    Assessment, Method, Millis, PendingPatch, PendingStatus, Quarantine, QuarantineId, Refusal, RolloutId,
    Target, TargetId, TargetKind,
};

use crate::PatchFilter;
use crate::gather::{Known, Wanted, gather};
use crate::rollouts::{LastRun, last_successes};
use crate::select::Selection;
use crate::settings::{Overrides, settle};
use crate::{Context, Error, Host, Unreachable, fleet};

/// What is to be scanned.
#[derive(Debug, Clone, Default)]
pub struct ScanRequest {
    /// Which targets.
    pub selection: Selection,
    /// Which patches count.
    pub patches: PatchFilter,
    /// How to patch, whatever the configuration says.
    pub method: Option<Method>,
    /// The oldest answer that is good enough.
    pub max_age: Millis,
}

/// What was found.
pub struct ScanReport {
    /// When.
    pub at: Timestamp,
    /// The hosts that answered.
    pub hosts: Vec<Host>,
    /// The hosts that did not: what is on them is unknown.
    pub unreachable: Vec<Unreachable>,
    /// The selected targets. Those that went back to their unpatched base come first.
    pub targets: Vec<Scanned>,
    /// How many patches are pending that the filter does not want; one that several targets need counts
    /// once.
    pub unwanted: usize,
}

impl ScanReport {
    /// Whether anything can be patched now.
    #[must_use]
    pub fn any_pending(&self) -> bool {
        self.targets.iter().any(Scanned::is_pending)
    }

    /// Whether a plan could take any of it: what is in quarantine, none does.
    #[must_use]
    pub fn any_to_plan(&self) -> bool {
        self.targets.iter().any(|scanned| scanned.is_pending() && scanned.quarantined.is_none())
    }

    /// Whether names have to be told apart by their hosts.
    #[must_use]
    pub fn has_several_hosts(&self) -> bool {
        self.hosts.len() + self.unreachable.len() > 1
    }

    /// Whether anything is not known.
    #[must_use]
    pub fn any_unknown(&self) -> bool {
        !self.unreachable.is_empty() || !self.targets.iter().all(Scanned::is_known)
    }
}

/// One target.
pub struct Scanned {
    /// What is known about it; what the filter does not want is gone from its pending patches.
    pub known: Known,
    /// It was patched by this run, and somebody has put the unpatched base back since.
    pub reverted: Option<LastRun>,
    /// How a plan would patch it.
    pub method: Method,
    /// The rollback by hand that took its last patches back.
    pub taken_back: Option<RolloutId>,
    /// What is pending failed before, and no plan takes it until this entry is released.
    pub quarantined: Option<(QuarantineId, Quarantine)>,
}

impl Scanned {
    /// Its pending patches of any status; nothing when it is not assessed.
    #[must_use]
    pub fn pending(&self) -> &[PendingPatch] {
        match &self.known.assessment {
            Assessment::Assessed { pending, .. } => pending,
            Assessment::NotAssessed(_) => &[],
        }
    }

    /// Whether its method has something to do now.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        match self.method {
            Method::Image => matches!(self.known.image_update, Ok(Some(_))),
            Method::Layer | Method::Packages | Method::Restore => self.available().next().is_some(),
        }
    }

    /// Whether what its method needs to know is known: unknown is never zero.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        match self.method {
            Method::Image => self.known.image_update.is_ok(),
            Method::Layer | Method::Packages | Method::Restore => {
                matches!(self.known.assessment, Assessment::Assessed { .. })
            }
        }
    }

    /// The pending patches that could be installed now.
    pub fn available(&self) -> impl Iterator<Item = &PendingPatch> {
        self.pending().iter().filter(|patch| patch.status == PendingStatus::Available)
    }
}

/// Finds out what is unpatched.
///
/// # Errors
/// When no host answers, a name matches nothing, or the store fails.
pub async fn scan(
    context: &Context,
    request: &ScanRequest,
    progress: &dyn Progress,
) -> Result<ScanReport, Error> {
    let mut fleet = fleet::discover(context).await?;
    fleet.select(&request.selection)?;
    let wanted = Wanted { max_age: request.max_age, allow_remove: false, images: true };
    let known = gather(context, &fleet, wanted, progress).await?;
    let last = last_successes(&*context.store).await?;
    let quarantine = patchyard_engine::quarantine(&*context.store).await?;
    let unwanted = unwanted(&known, &request.patches);
    let mut targets: Vec<Scanned> = known
        .into_iter()
        .map(|mut known| {
            request.patches.apply(&mut known.assessment);
            let reverted = reverted(&known, &last);
            let overrides = Overrides { method: request.method, ..Overrides::default() };
            let settled = settle(&context.config, &overrides, &known.target);
            // What is pending on a machine are packages, whatever was asked of containers.
            let method = match known.target.kind {
                TargetKind::Host => Method::Packages,
                TargetKind::Container | TargetKind::Service => settled.settings.method,
            };
            let last = last.get(&known.target.id).filter(|last| last.took_back);
            let taken_back = last.map(|last| last.run.rollout);
            let quarantined = quarantined(&known, method, &quarantine);
            let mut scanned = Scanned { method, reverted, taken_back, quarantined, known };
            let pending = scanned.is_pending();
            let target = &mut scanned.known.target;
            if pending {
                target.refusals.extend(also_refused(settled.excluded, target));
            }
            // Better put right before something is pending.
            target.refusals.extend(settled.refusals);
            scanned
        })
        .collect();
    targets.sort_by_key(|scanned| scanned.reverted.is_none());
    let at = context.clock.now();
    Ok(ScanReport { at, hosts: fleet.hosts, unreachable: fleet.unreachable, targets, unwanted })
}

fn unwanted(known: &[Known], filter: &PatchFilter) -> usize {
    let pending = known.iter().filter_map(|known| match &known.assessment {
        Assessment::Assessed { pending, .. } => Some(pending),
        Assessment::NotAssessed(_) => None,
    });
    let others = pending.flatten().filter(|p| p.status == PendingStatus::Available && !filter.wants(p));
    others.map(|p| (&p.package, &p.arch, &p.candidate)).collect::<BTreeSet<_>>().len()
}

/// What else keeps a target out of a plan, as far as that is known without asking its engine again.
fn also_refused(excluded: bool, target: &Target) -> Vec<Refusal> {
    let refusal = |code: &str, message: String| Refusal { code: code.to_owned(), message };
    let excluded = excluded.then(|| refusal("excluded", "excluded by its label".to_owned()));
    let unwell = not_well(target).map(|reason| refusal("unhealthy", reason));
    excluded.into_iter().chain(unwell).collect()
}

fn quarantined(
    known: &Known,
    method: Method,
    quarantine: &[(QuarantineId, Quarantine)],
) -> Option<(QuarantineId, Quarantine)> {
    let (service, starting) = (&known.target.service, &known.inventory.as_ref().ok()?.starting);
    let entry = match (method, &known.image_update, &known.assessment) {
        (Method::Image, Ok(Some(update)), _) => keeps_image_out(quarantine, service, starting, update),
        (Method::Layer | Method::Packages | Method::Restore, _, Assessment::Assessed { pending, .. }) => {
            keeps_out(quarantine, service, starting, pending)
        }
        _ => None,
    };
    entry.cloned()
}

/// Whether a target that was patched with a layer runs an unpatched image again.
pub(crate) fn reverted(known: &Known, last: &BTreeMap<TargetId, LastRun>) -> Option<LastRun> {
    let last = last.get(&known.target.id)?;
    (last.method == Method::Layer && known.target.image.base.is_none()).then(|| last.clone())
}

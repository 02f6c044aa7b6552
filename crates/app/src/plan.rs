//! Planning: from targets and what is pending to a stored plan whose bytes are at hand.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt};
use patchyard_contract::{Append, Note, Part, Progress};
use patchyard_plan::{Candidate, PatchFilter, PlanRequest as Request, Planned, TagPolicy, plan as decide};
use patchyard_types::{
    Assessment, Change, EventBody, HostId, LedgerEvent, Method, Millis, NotAssessed, PackageChange,
    PatchSetId, PendingStatus, Plan, StartingState, Stream, Target, TargetId, TargetKind, Unsaved, printable,
};

use crate::dependents::{Dependents, guests};
use crate::gather::{Known, Wanted, gather, narrow};
use crate::rollouts::{LastRun, in_hand, last_successes};
use crate::scan::reverted;
use crate::select::Selection;
use crate::settings::{Overrides, settle};
use crate::timings::timings;
use crate::{Context, Error, Fleet, Unreachable, fleet};

/// How many targets are fetched for, or looked at for unsaved files, at the same time.
const AT_ONCE: usize = 4;

/// What is to be planned.
#[derive(Debug, Clone, Default)]
pub struct PlanRequest {
    /// Which targets.
    pub selection: Selection,
    /// Which patches.
    pub patches: PatchFilter,
    /// What shapes the plan beyond the configuration.
    pub overrides: Overrides,
    /// The oldest answer that is good enough.
    pub max_age: Millis,
}

/// A plan and what is said beside it.
pub struct PlanReport {
    /// The plan; without actions when there is nothing to do, and then not stored.
    pub plan: Plan,
    /// Why actions wait for others, in the order of actions.
    pub waits: Vec<Option<patchyard_plan::Wait>>,
    /// Targets with pending patches of which none is wanted.
    pub filtered_out: Vec<String>,
    /// Hosts that did not answer: what is on them is unknown.
    pub unreachable: Vec<Unreachable>,
    /// Patches are pending somewhere, planned or not.
    pub any_pending: bool,
    /// Something is not known: a target not assessed, a host out of reach.
    pub any_unknown: bool,
    /// Targets that somebody put back to their unpatched base.
    pub reverted: Vec<String>,
}

/// Plans, fetches the packages, and stores the plan.
///
/// # Errors
/// When no host answers, a name matches nothing, or the store or the cache fails.
pub async fn plan(
    context: &Context,
    request: &PlanRequest,
    progress: &dyn Progress,
) -> Result<PlanReport, Error> {
    let mut fleet = fleet::discover(context).await?;
    let everyone = fleet.targets.clone();
    fleet.select(&request.selection)?;
    let images = wants_images(context, request, &fleet);
    let wanted = Wanted { max_age: request.max_age, allow_remove: allow_remove(context, request), images };
    let mut known = gather(context, &fleet, wanted, progress).await?;
    let last = last_successes(&*context.store).await?;
    let reverted: Vec<String> = known
        .iter()
        .filter(|known| reverted(known, &last).is_some())
        .map(|known| known.target.name.clone())
        .collect();
    let selected: BTreeSet<&TargetId> = known.iter().map(|known| &known.target.id).collect();
    let others = everyone.iter().filter(|target| !selected.contains(&target.id)).cloned().collect();
    let any_pending = known.iter().any(|known| has_pending(known, &request.patches));
    let mut any_unknown = !fleet.unreachable.is_empty();
    any_unknown |= known.iter().any(|known| matches!(known.assessment, Assessment::NotAssessed(_)));
    narrow(context, &fleet, &mut known, &request.patches, wanted, progress).await?;
    let dependents = Dependents {
        context,
        fleet: &fleet,
        overrides: &request.overrides,
        spared: &request.selection.exclude,
        guests: guests(&everyone),
        held: in_hand(&*context.store, context.clock.now()).await?,
    };
    let candidates = candidates(&dependents, known, &last, progress).await;
    let mut asked = Request {
        candidates,
        others,
        filter: request.patches.clone(),
        quarantine: patchyard_engine::quarantine(&*context.store).await?,
        tags: if context.config.keep_tags { TagPolicy::Keep } else { TagPolicy::Move },
        timings: timings(&*context.store).await?,
        author: context.actor.0.clone(),
        at: context.clock.now(),
    };
    let planned = plan_what_can_be_fetched(context, &fleet, &mut asked, progress).await?;
    let Planned { mut plan, waits, filtered_out } = planned;
    plan.about.notes.extend(patched_again(&plan, &last));
    if !plan.decisions.actions.is_empty() {
        plan.about.notes.extend(fleet.hosts.iter().flat_map(fleet::Host::warnings));
        store_plan(context, &plan).await?;
    }
    let unreachable = fleet.unreachable;
    Ok(PlanReport { plan, waits, filtered_out, unreachable, any_pending, any_unknown, reverted })
}

/// Who was rolled back by hand and gets patches all the same: whoever went back had a reason.
fn patched_again(plan: &Plan, last: &BTreeMap<TargetId, LastRun>) -> Option<String> {
    let taken_back = plan.decisions.actions.iter().filter_map(|action| {
        let last = last.get(&action.target).filter(|last| last.took_back)?;
        Some(format!("{} by {}", action.name, last.run.rollout))
    });
    let taken_back: Vec<_> = taken_back.collect();
    (!taken_back.is_empty())
        .then(|| format!("rolled back by hand, and patched again by this plan: {}", taken_back.join(", ")))
}

/// Stores a plan and writes down who planned it.
pub(crate) async fn store_plan(context: &Context, plan: &Plan) -> Result<(), Error> {
    context.store.save_plan(plan).await?;
    let planned = LedgerEvent::Planned { plan: plan.digest(), by: context.actor.clone() };
    let batch =
        vec![Append { stream: Stream::Ledger, expected: None, bodies: vec![EventBody::Ledger(planned)] }];
    context.store.append(context.clock.now(), batch).await?;
    Ok(())
}

fn wants_images(context: &Context, request: &PlanRequest, fleet: &Fleet) -> bool {
    let method = |target| settled_method(context, request, target);
    fleet.targets.iter().any(|target| method(target) == Method::Image)
}

fn settled_method(context: &Context, request: &PlanRequest, target: &Target) -> Method {
    settle(&context.config, &request.overrides, target).settings.method
}

fn allow_remove(context: &Context, request: &PlanRequest) -> bool {
    request.overrides.allow_remove || context.config.defaults.allow_remove
}

fn has_pending(known: &Known, filter: &PatchFilter) -> bool {
    let packages = match &known.assessment {
        Assessment::Assessed { pending, .. } => {
            pending.iter().any(|p| p.status == PendingStatus::Available && filter.wants(p))
        }
        Assessment::NotAssessed(_) => false,
    };
    packages || matches!(known.image_update, Ok(Some(_)))
}

async fn candidates(
    dependents: &Dependents<'_>,
    known: Vec<Known>,
    last: &BTreeMap<TargetId, LastRun>,
    progress: &dyn Progress,
) -> Vec<Candidate> {
    let Dependents { context, fleet, overrides, .. } = *dependents;
    progress.note(Note { text: "looking for unsaved files".into(), part: None });
    let candidates = known.into_iter().map(|known| {
        async move {
            let Known { mut target, inventory, mut assessment, narrowed, image_update } = known;
            let settled = settle(&context.config, overrides, &target);
            target.refusals.extend(settled.refusals);
            let recreated = is_recreated(&assessment, &image_update);
            let unsaved = match unsaved(fleet, &target, &assessment, &image_update).await {
                Ok(found) => found,
                // What recreation would lose is not known: leave it alone.
                Err(reason) => {
                    assessment = not_assessed(context, reason);
                    Unsaved::default()
                }
            };
            let carried = target.image.base.as_ref().and_then(|_| last.get(&target.id));
            Candidate {
                starting: match target.kind {
                    TargetKind::Container | TargetKind::Host => {
                        inventory.ok().map(|inventory| inventory.starting)
                    }
                    // Swarm replaces its image by the digest, wherever its tasks run and whatever is in it.
                    TargetKind::Service => Some(StartingState {
                        platform: String::new(),
                        image: target.image.id.clone(),
                        packages: None,
                    }),
                },
                assessment,
                narrowed,
                carried: carried
                    .filter(|last| last.method == Method::Layer)
                    .map(|last| last.packages.clone()),
                image_update,
                unsaved,
                settings: settled.settings,
                excluded: settled.excluded,
                dependents: if recreated { dependents.of(&target).await } else { Vec::new() },
                target,
            }
        }
    });
    stream::iter(candidates.collect::<Vec<_>>()).buffered(AT_ONCE).collect().await
}

fn not_assessed(context: &Context, reason: String) -> Assessment {
    Assessment::NotAssessed(NotAssessed { at: context.clock.now(), reason, hint: String::new() })
}

/// What recreation would lose; asked only where a recreation is in sight.
async fn unsaved(
    fleet: &Fleet,
    target: &Target,
    assessment: &Assessment,
    image_update: &Result<Option<patchyard_types::ImageUpdate>, NotAssessed>,
) -> Result<Unsaved, String> {
    if !is_recreated(assessment, image_update) {
        return Ok(Unsaved::default());
    }
    let Some(provider) = fleet.provider(&target.host) else { return Ok(Unsaved::default()) };
    provider.unsaved(target).await.map_err(|error| {
        format!("what it has written cannot be read: {}", printable(&error.to_string(), 400))
    })
}

/// Whether anything is pending for which a target would be recreated.
fn is_recreated(
    assessment: &Assessment,
    image_update: &Result<Option<patchyard_types::ImageUpdate>, NotAssessed>,
) -> bool {
    let packages = matches!(assessment, Assessment::Assessed { pending, .. } if !pending.is_empty());
    packages || matches!(image_update, Ok(Some(_)))
}

/// Plans, and fetches what the plan needs. A target whose packages cannot be had is left out with
/// the reason, and the rest is planned again.
async fn plan_what_can_be_fetched(
    context: &Context,
    fleet: &Fleet,
    request: &mut Request,
    progress: &dyn Progress,
) -> Result<Planned, Error> {
    loop {
        let planned = decide(request);
        let failed = fetch(fleet, &planned.plan, request, progress).await?;
        if failed.is_empty() {
            return Ok(planned);
        }
        for candidate in &mut request.candidates {
            if let Some(reason) = failed.get(&candidate.target.id) {
                candidate.assessment = not_assessed(context, reason.clone());
            }
        }
    }
}

/// Fetches each patch set once per host. Returns the targets whose packages cannot be had.
async fn fetch(
    fleet: &Fleet,
    plan: &Plan,
    request: &Request,
    progress: &dyn Progress,
) -> Result<BTreeMap<TargetId, String>, Error> {
    let mut groups: BTreeMap<(&HostId, &PatchSetId), Vec<&TargetId>> = BTreeMap::new();
    for action in &plan.decisions.actions {
        groups.entry((&action.host, &action.patch_set)).or_default().push(&action.target);
    }
    let whole = groups.len() as u64;
    let mut failed = BTreeMap::new();
    for (done, ((host, set), targets)) in groups.into_iter().enumerate() {
        progress.note(Note { text: "fetching packages".into(), part: Some(Part::Count(done as u64, whole)) });
        let Some(packages) = packages(plan, set) else { continue };
        let first = request.candidates.iter().map(|c| &c.target).find(|t| Some(&&t.id) == targets.first());
        let (Some(target), Some(provider)) = (first, fleet.provider(host)) else { continue };
        match provider.fetch(target, packages).await {
            Ok(()) => {}
            Err(error @ patchyard_contract::ProviderError::Local { .. }) => return Err(error.into()),
            Err(error) => {
                let reason =
                    format!("its packages cannot be fetched: {}", printable(&error.to_string(), 400));
                failed.extend(targets.into_iter().map(|id| (id.clone(), reason.clone())));
            }
        }
    }
    Ok(failed)
}

fn packages<'a>(plan: &'a Plan, set: &PatchSetId) -> Option<&'a [PackageChange]> {
    match &plan.decisions.patch_sets.get(set)?.change {
        Change::Packages(packages) => Some(packages),
        Change::Image { .. } | Change::Snapshot { .. } => None,
    }
}

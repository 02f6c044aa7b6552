//! Collecting what nothing needs any more: leftovers on hosts, old packages in the cache.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use patchyard_cache::Usage;
use patchyard_contract::{Append, Leftover};
use patchyard_types::{
    Change, Digest, EventBody, HostId, LedgerEvent, PlanDigest, Record, RolloutEvent, RolloutId, RunId,
    Stream, printable,
};

use crate::rollouts::{self, Rollout};
use crate::{Context, Error, Fleet, snapshots};

/// Packages that no open rollout and no patched target needs stay in the cache for this long: a plan
/// made yesterday must find its bytes.
const KEEP_PACKAGES: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Plans that no rollout carried out, and remembered answers, go when they are older than that.
const KEEP_PLANS: Duration = KEEP_PACKAGES;

/// What is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Nothing: it is only looked for.
    Look,
    /// What holds no data.
    WithoutVolumes,
    /// Volumes, too: somebody has agreed.
    Everything,
}

/// What became of a leftover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It was only looked for.
    Found,
    /// It is gone.
    Removed,
    /// It may hold data, and nobody has agreed.
    Kept,
    /// It could not be removed, and why.
    Failed(String),
}

/// What was found, and what became of it.
pub struct Collection {
    /// Objects on hosts: where, what, and what became of it.
    pub leftovers: Vec<(String, Leftover, Fate)>,
    /// Files that went from the cache, or would.
    pub cache: Usage,
    /// Plans that went, or would.
    pub plans: u64,
    /// Hosts that could not be asked.
    pub failed: Vec<(String, String)>,
}

/// Removes what nothing needs any more, or only looks for it.
///
/// # Errors
/// When the store or the cache fails; a host that fails is told in the result.
pub async fn collect(context: &Context, fleet: &Fleet, extent: Extent) -> Result<Collection, Error> {
    let mut found =
        Collection { leftovers: Vec::new(), cache: Usage::default(), plans: 0, failed: Vec::new() };
    if extent != Extent::Look {
        snapshots::end_removals(context, fleet).await?;
    }
    let unfinished = unfinished(context).await?;
    let kept = rollouts::snapshots(&*context.store).await?;
    for host in &fleet.hosts {
        match host.provider.leftovers(&unfinished, &kept).await {
            Ok(leftovers) => {
                for leftover in leftovers {
                    let fate = match extent {
                        Extent::Look => Fate::Found,
                        Extent::WithoutVolumes if leftover.holds_data() => Fate::Kept,
                        _ => collect_one(context, host, &leftover).await?,
                    };
                    found.leftovers.push((host.name.clone(), leftover, fate));
                }
            }
            Err(error) => found.failed.push((host.name.clone(), printable(&error.to_string(), 400))),
        }
    }
    for silent in &fleet.unreachable {
        found.failed.push((silent.name.clone(), printable(&silent.error.to_string(), 400)));
    }
    let needed = needed_packages(context).await?;
    let carried_out = carried_out(context).await?;
    let before = context.clock.now() - jiff::SignedDuration::try_from(KEEP_PLANS).unwrap_or_default();
    if extent == Extent::Look {
        found.cache = context.cache.prunable(&needed, KEEP_PACKAGES)?;
        found.plans = old_plans(context, before, &carried_out).await?;
    } else {
        let dead = context.cache.collect()?;
        let old = context.cache.prune(&needed, KEEP_PACKAGES)?;
        found.cache = Usage { files: dead.files + old.files, bytes: dead.bytes + old.bytes };
        found.plans = context.store.forget(before, &carried_out).await?;
    }
    Ok(found)
}

/// Removes the images that a rollout made and nothing needs any more, at its end: of a patch that was
/// taken back nothing stays. While a rollout is open nothing is removed.
pub(crate) async fn tidy(context: &Context, fleet: &Fleet, rollout: RolloutId) -> Result<(), Error> {
    let plan = Rollout::read(&*context.store, rollout).await?.plan;
    let hosts: BTreeSet<&HostId> = plan.decisions.actions.iter().map(|action| &action.host).collect();
    let unfinished = unfinished(context).await?;
    let kept = rollouts::snapshots(&*context.store).await?;
    for host in fleet.hosts.iter().filter(|host| hosts.contains(host.provider.host())) {
        let Ok(leftovers) = host.provider.leftovers(&unfinished, &kept).await else { continue };
        for leftover in leftovers.iter().filter(|leftover| leftover.is_of_an_image()) {
            // One that began meanwhile may need it.
            if !rollouts::open(&*context.store, context.clock.now()).await?.is_empty() {
                return Ok(());
            }
            collect_one(context, host, leftover).await?;
        }
    }
    Ok(())
}

/// How many plans the store would forget.
async fn old_plans(context: &Context, before: Timestamp, kept: &BTreeSet<PlanDigest>) -> Result<u64, Error> {
    let mut old = 0;
    for digest in context.store.find_plans("").await?.iter().filter(|digest| !kept.contains(digest)) {
        let plan = context.store.load_plan(digest).await?;
        old += u64::from(plan.is_some_and(|plan| plan.about.created_at < before));
    }
    Ok(old)
}

async fn collect_one(context: &Context, host: &crate::Host, leftover: &Leftover) -> Result<Fate, Error> {
    if let Err(error) = host.provider.collect(leftover).await {
        return Ok(Fate::Failed(printable(&error.to_string(), 400)));
    }
    let event = LedgerEvent::Collected {
        host: HostId::clone(host.provider.host()),
        kind: leftover.kind.clone(),
        name: leftover.name.clone(),
        by: context.actor.clone(),
    };
    let append = Append { stream: Stream::Ledger, expected: None, bodies: vec![EventBody::Ledger(event)] };
    context.store.append(context.clock.now(), vec![append]).await?;
    Ok(Fate::Removed)
}

/// The plans of all rollouts: history tells of them, and a rollback reads them.
async fn carried_out(context: &Context) -> Result<BTreeSet<PlanDigest>, Error> {
    let mut plans = BTreeSet::new();
    for id in context.store.rollouts().await? {
        let events = context.store.read(Stream::Rollout(id), 0).await?;
        plans.extend(events.iter().filter_map(|event| match &event.body {
            EventBody::Rollout(RolloutEvent::Started { plan, .. }) => Some(*plan),
            _ => None,
        }));
    }
    Ok(plans)
}

/// Runs that have begun in rollouts that are not over.
async fn unfinished(context: &Context) -> Result<Vec<RunId>, Error> {
    let mut runs = Vec::new();
    for line in rollouts::open(&*context.store, context.clock.now()).await? {
        let rollout = Rollout::read(&*context.store, line.id).await?;
        runs.extend(rollout.runs().map(|(run, _)| run));
    }
    Ok(runs)
}

/// Packages of open rollouts and of their way back, those that machines go back to, and those that patched targets were last patched with: a new layer
/// starts from the original base and needs them again.
async fn needed_packages(context: &Context) -> Result<BTreeSet<Digest>, Error> {
    let mut needed = BTreeSet::new();
    for snapshot in rollouts::snapshots(&*context.store).await? {
        needed.extend(snapshot.packages.iter().filter_map(|package| package.sha256));
    }
    for last in rollouts::last_successes(&*context.store).await?.values() {
        needed.extend(last.packages.iter().filter_map(|package| package.sha256));
    }
    for line in rollouts::open(&*context.store, context.clock.now()).await? {
        let rollout = Rollout::read(&*context.store, line.id).await?;
        for set in rollout.plan.decisions.patch_sets.values() {
            if let Change::Packages(packages) | Change::Snapshot { packages, .. } = &set.change {
                needed.extend(packages.iter().filter_map(|package| package.sha256));
            }
        }
        for (run, _) in rollout.runs() {
            for record in rollouts::run(&*context.store, run).await?.records.values() {
                if let Record::Kept { back, .. } = record {
                    needed.extend(back.iter().filter_map(|package| package.sha256));
                }
            }
        }
    }
    Ok(needed)
}

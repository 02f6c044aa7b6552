//! Collecting what nothing needs any more: leftovers on hosts, old packages in the cache.

use std::collections::BTreeSet;
use std::time::Duration;

use patchyard_cache::Usage;
use patchyard_contract::{Append, Leftover};
use patchyard_types::{Change, Digest, EventBody, HostId, LedgerEvent, RunId, Stream, printable};

use crate::rollouts::{self, Rollout};
use crate::{Context, Error, Fleet};

/// Packages that no open rollout and no patched target needs stay in the cache for this long: a plan
/// made yesterday must find its bytes.
const KEEP_PACKAGES: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What was found, and what became of it.
pub struct Collection {
    /// Objects on hosts: where, what, and why it is still there.
    pub leftovers: Vec<(String, Leftover, Option<String>)>,
    /// Files that went from the cache.
    pub cache: Usage,
    /// Hosts that could not be asked.
    pub failed: Vec<(String, String)>,
}

/// Removes what nothing needs any more, or only looks for it.
///
/// # Errors
/// When the store or the cache fails; a host that fails is told in the result.
pub async fn collect(context: &Context, fleet: &Fleet, dry_run: bool) -> Result<Collection, Error> {
    let mut found = Collection { leftovers: Vec::new(), cache: Usage::default(), failed: Vec::new() };
    let unfinished = unfinished(context).await?;
    let kept = rollouts::snapshots(&*context.store).await?;
    for host in &fleet.hosts {
        match host.provider.leftovers(&unfinished, &kept).await {
            Ok(leftovers) => {
                for leftover in leftovers {
                    let failed = match dry_run {
                        true => None,
                        false => collect_one(context, host, &leftover).await?,
                    };
                    found.leftovers.push((host.name.clone(), leftover, failed));
                }
            }
            Err(error) => found.failed.push((host.name.clone(), printable(&error.to_string(), 400))),
        }
    }
    for silent in &fleet.unreachable {
        found.failed.push((silent.name.clone(), printable(&silent.error.to_string(), 400)));
    }
    if !dry_run {
        let dead = context.cache.collect()?;
        let old = context.cache.prune(&needed_packages(context).await?, KEEP_PACKAGES)?;
        found.cache = Usage { files: dead.files + old.files, bytes: dead.bytes + old.bytes };
    }
    Ok(found)
}

async fn collect_one(
    context: &Context,
    host: &crate::Host,
    leftover: &Leftover,
) -> Result<Option<String>, Error> {
    if let Err(error) = host.provider.collect(leftover).await {
        return Ok(Some(printable(&error.to_string(), 400)));
    }
    let event = LedgerEvent::Collected {
        host: HostId::clone(host.provider.host()),
        kind: leftover.kind.clone(),
        name: leftover.name.clone(),
        by: context.actor.clone(),
    };
    let append = Append { stream: Stream::Ledger, expected: None, bodies: vec![EventBody::Ledger(event)] };
    context.store.append(context.clock.now(), vec![append]).await?;
    Ok(None)
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

/// Packages of open rollouts, and those that patched targets were last patched with: a new layer
/// starts from the original base and needs them again.
async fn needed_packages(context: &Context) -> Result<BTreeSet<Digest>, Error> {
    let mut needed = BTreeSet::new();
    for last in rollouts::last_successes(&*context.store).await?.values() {
        needed.extend(last.packages.iter().filter_map(|package| package.sha256));
    }
    for line in rollouts::open(&*context.store, context.clock.now()).await? {
        let rollout = Rollout::read(&*context.store, line.id).await?;
        for set in rollout.plan.decisions.patch_sets.values() {
            if let Change::Packages(packages) = &set.change {
                needed.extend(packages.iter().filter_map(|package| package.sha256));
            }
        }
    }
    Ok(needed)
}

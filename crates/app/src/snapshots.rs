//! Snapshots: which there are, how long they stay, removing them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use patchyard_contract::{Append, Provider};
use patchyard_types::{Change, EventBody, LedgerEvent, Snapshot, SnapshotId, Stream, TargetId, printable};

use crate::config::Retention;
use crate::rollouts::{self, Rollout};
use crate::{Context, Error, Fleet};
use patchyard_plan::glob;

/// The snapshots of targets with these names or globs, newest first; all of them without any.
///
/// # Errors
/// When a name has no snapshot, or the store cannot be read.
pub async fn list(context: &Context, names: &[String]) -> Result<Vec<Snapshot>, Error> {
    let mut found = rollouts::snapshots(&*context.store).await?;
    let has = |name: &String| found.iter().any(|snapshot| glob::matches(name, &snapshot.name));
    if let Some(unknown) = names.iter().find(|name| !has(name)) {
        let message = format!("there is no snapshot of a target '{}'", printable(unknown, 80));
        return Err(Error::input(message, "patchyard snapshots"));
    }
    found.retain(|snapshot| names.is_empty() || names.iter().any(|name| glob::matches(name, &snapshot.name)));
    Ok(found)
}

/// What became of a snapshot that was to be removed.
pub struct Pruned {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Why it is still there.
    pub failed: Option<String>,
}

/// Removes what retention no longer keeps, and what is half removed; or only looks for it.
///
/// # Errors
/// When the store fails; a host that fails is told in the result.
pub async fn apply_retention(context: &Context, fleet: &Fleet, dry_run: bool) -> Result<Vec<Pruned>, Error> {
    let all = rollouts::snapshots(&*context.store).await?;
    let needed = needed(context).await?;
    let expired = expired(&all, context.config.retention, context.clock.now());
    let expired = expired.into_iter().filter(|snapshot| !needed.contains(&snapshot.id)).cloned();
    let mut wanted = rollouts::half_removed(&*context.store).await?;
    wanted.extend(expired);
    remove(context, fleet, wanted, "retention", dry_run).await
}

/// Ends the removals that somebody began and did not live to end, as far as their hosts answer.
///
/// # Errors
/// When the store fails.
pub(crate) async fn end_removals(context: &Context, fleet: &Fleet) -> Result<(), Error> {
    let wanted = rollouts::half_removed(&*context.store).await?;
    remove(context, fleet, wanted, "its removal was broken off", false).await.map(|_| ())
}

/// Removes the named ones, whatever retention says, or only looks for them.
///
/// # Errors
/// When one does not exist or an open rollout needs it; a host that fails is told in the result.
pub async fn prune(
    context: &Context,
    fleet: &Fleet,
    names: &[String],
    dry_run: bool,
) -> Result<Vec<Pruned>, Error> {
    let mut all = rollouts::snapshots(&*context.store).await?;
    all.extend(rollouts::half_removed(&*context.store).await?);
    let needed = needed(context).await?;
    let mut wanted: Vec<Snapshot> = Vec::new();
    for name in names {
        let found = all.iter().find(|snapshot| snapshot.id.0 == *name);
        let Some(snapshot) = found else {
            let message = format!("there is no snapshot {}", printable(name, 80));
            return Err(Error::input(message, "patchyard snapshots"));
        };
        if needed.contains(&snapshot.id) {
            let message = format!("a rollout that is not over needs snapshot {}", snapshot.id);
            return Err(Error::refused(message, "patchyard status"));
        }
        if wanted.iter().all(|known| known.id != snapshot.id) {
            wanted.push(snapshot.clone());
        }
    }
    remove(context, fleet, wanted, &format!("removed by {}", context.actor.0), dry_run).await
}

/// Snapshots that open rollouts go back to.
async fn needed(context: &Context) -> Result<BTreeSet<SnapshotId>, Error> {
    let mut needed = BTreeSet::new();
    for line in rollouts::open(&*context.store, context.clock.now()).await? {
        let rollout = Rollout::read(&*context.store, line.id).await?;
        needed.extend(rollout.plan.decisions.patch_sets.values().filter_map(|set| match &set.change {
            Change::Snapshot { snapshot, .. } => Some(snapshot.clone()),
            Change::Packages(_) | Change::Image { .. } => None,
        }));
    }
    Ok(needed)
}

/// What neither rule of retention keeps: older than `keep_for`, and not among the newest
/// `keep_last` of its target.
fn expired(all: &[Snapshot], retention: Retention, now: Timestamp) -> Vec<&Snapshot> {
    let mut newest_first: Vec<&Snapshot> = all.iter().collect();
    newest_first.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.at));
    let mut seen: BTreeMap<&TargetId, u32> = BTreeMap::new();
    newest_first.retain(|snapshot| {
        let newer = seen.entry(&snapshot.target).or_default();
        *newer += 1;
        let age = now.duration_since(snapshot.at);
        *newer > retention.keep_last && age.unsigned_abs() >= retention.keep_for.as_duration()
    });
    newest_first
}

async fn remove(
    context: &Context,
    fleet: &Fleet,
    wanted: Vec<Snapshot>,
    reason: &str,
    dry_run: bool,
) -> Result<Vec<Pruned>, Error> {
    let mut removed = Vec::new();
    for snapshot in wanted {
        let failed = match fleet.provider(&snapshot.host) {
            _ if dry_run => None,
            Some(provider) => remove_one(context, &**provider, &snapshot, reason).await?,
            None => Some("its host is out of reach".to_owned()),
        };
        removed.push(Pruned { snapshot, failed });
    }
    Ok(removed)
}

/// Intent before effect, outcome after. From the intent on it is no way back and not on the list: what is gone
/// from its host never is.
async fn remove_one(
    context: &Context,
    provider: &dyn Provider,
    snapshot: &Snapshot,
    reason: &str,
) -> Result<Option<String>, Error> {
    tell(context, LedgerEvent::PruneIntended { snapshot: snapshot.id.clone() }).await?;
    if let Err(error) = provider.remove_snapshot(snapshot).await {
        return Ok(Some(printable(&error.to_string(), 400)));
    }
    let pruned = LedgerEvent::Pruned { snapshot: snapshot.id.clone(), reason: reason.to_owned() };
    tell(context, pruned).await?;
    Ok(None)
}

async fn tell(context: &Context, event: LedgerEvent) -> Result<(), Error> {
    let append = Append { stream: Stream::Ledger, expected: None, bodies: vec![EventBody::Ledger(event)] };
    context.store.append(context.clock.now(), vec![append]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use patchyard_types::{HostId, Millis, RolloutId, RunId};

    fn snapshot(target: &str, days_old: i64, now: Timestamp) -> Snapshot {
        let host = HostId::new("h1");
        Snapshot {
            id: SnapshotId(format!("{target}-{days_old}")),
            target: TargetId::new("docker", &host, target),
            name: target.into(),
            service: target.into(),
            host,
            run: RunId { rollout: RolloutId(1), action: 0 },
            at: now - jiff::SignedDuration::from_hours(24 * days_old),
            image: "i".into(),
            base_image: "i".into(),
            reference: "r".into(),
            own_layer: false,
            tags: Vec::new(),
            volumes: Vec::new(),
            packages: Vec::new(),
            disks: None,
            size: 0,
            lost: Vec::new(),
        }
    }

    #[test]
    fn the_newest_of_each_target_and_the_young_ones_stay() {
        let now = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(24 * 365);
        let all: Vec<_> = [("a", 30), ("a", 20), ("a", 3), ("b", 90), ("c", 8), ("c", 7)]
            .map(|(target, days)| snapshot(target, days, now))
            .into();
        let ids = |retention| {
            let mut ids: Vec<_> = expired(&all, retention, now).into_iter().map(|s| s.id.0.clone()).collect();
            ids.sort();
            ids
        };
        assert_eq!(ids(Retention::default()), ["a-20", "a-30", "c-8"]);
        let none = Retention { keep_for: Millis(0), keep_last: 0 };
        assert_eq!(ids(none).len(), all.len());
        assert_eq!(ids(Retention { keep_last: 9, ..none }), Vec::<String>::new());
    }
}

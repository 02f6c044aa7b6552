//! Snapshots: which there are, how long they stay, removing them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use patchyard_contract::{Append, Provider};
use patchyard_types::{
    Change, EventBody, HostId, LedgerEvent, Snapshot, SnapshotId, Stream, TargetId, printable,
};

use crate::config::Retention;
use crate::rollouts::{self, Rollout};
use crate::{Context, Error, Fleet, size};
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
    retain(context, fleet, dry_run).await.map(|(pruned, _)| pruned)
}

/// The same; returns besides what snapshots take, where that was asked.
async fn retain(
    context: &Context,
    fleet: &Fleet,
    dry_run: bool,
) -> Result<(Vec<Pruned>, BTreeMap<SnapshotId, u64>), Error> {
    let all = rollouts::snapshots(&*context.store).await?;
    let needed = needed(context).await?;
    let retention = context.config.retention;
    let mut gone = expired(&all, retention, context.clock.now());
    gone.retain(|snapshot| !needed.contains(&snapshot.id));
    let mut takes = BTreeMap::new();
    if retention.max_size.is_some() {
        let left: Vec<&Snapshot> = all.iter().filter(|one| !gone.contains(one)).collect();
        takes = sizes(fleet, &left).await;
        gone.extend(beyond(&left, retention, &takes, &needed, |host| kept_on(fleet, host)));
    }
    let mut wanted = rollouts::half_removed(&*context.store).await?;
    wanted.extend(gone.into_iter().cloned());
    Ok((remove(context, fleet, wanted, "retention", dry_run).await?, takes))
}

/// Refuses to make more snapshots on hosts where those that stay take all the room that there is for them.
///
/// # Errors
/// When that is so, with what to do; when the store fails.
pub(crate) async fn have_room(
    context: &Context,
    fleet: &Fleet,
    hosts: &BTreeSet<&HostId>,
) -> Result<(), Error> {
    let Some(most) = context.config.retention.max_size.filter(|_| !hosts.is_empty()) else { return Ok(()) };
    let (_, sizes) = retain(context, fleet, false).await?;
    let left = rollouts::snapshots(&*context.store).await?;
    let places: BTreeSet<HostId> = hosts.iter().map(|host| kept_on(fleet, host)).collect();
    for place in places {
        let here = left.iter().filter(|snapshot| kept_on(fleet, &snapshot.host) == place);
        let take: u64 = here.clone().filter_map(|snapshot| sizes.get(&snapshot.id)).sum();
        if take > most {
            let names: BTreeSet<String> = here.map(|snapshot| printable(&snapshot.name, 80)).collect();
            let message = format!(
                "the snapshots of {} take {}, and defaults.retention.max_size lets them take {} on a host",
                names.into_iter().collect::<Vec<_>>().join(", "),
                size::show(take),
                size::show(most)
            );
            return Err(Error::refused(message, "patchyard snapshots prune ID, or a larger max_size"));
        }
    }
    Ok(())
}

/// The host whose disks the snapshots of another take; its own, where that is not to be asked.
fn kept_on(fleet: &Fleet, host: &HostId) -> HostId {
    fleet.provider(host).map_or_else(|| host.clone(), |provider| provider.keeps_snapshots_on())
}

/// What snapshots take on their hosts, as far as that is known.
async fn sizes(fleet: &Fleet, snapshots: &[&Snapshot]) -> BTreeMap<SnapshotId, u64> {
    let mut sizes = BTreeMap::new();
    for snapshot in snapshots {
        let Some(provider) = fleet.provider(&snapshot.host) else { continue };
        // Of a host that does not answer nothing is removed either.
        if let Ok(Some(bytes)) = provider.snapshot_takes(snapshot).await {
            sizes.insert(snapshot.id.clone(), bytes);
        }
    }
    sizes
}

/// The oldest ones on each host that takes more for them than it should: as many as make it enough, but the newest `keep_last` of
/// each target stay. `on` says whose disks those of a host take.
fn beyond<'a>(
    all: &[&'a Snapshot],
    retention: Retention,
    sizes: &BTreeMap<SnapshotId, u64>,
    needed: &BTreeSet<SnapshotId>,
    on: impl Fn(&HostId) -> HostId,
) -> Vec<&'a Snapshot> {
    let Some(most) = retention.max_size else { return Vec::new() };
    let take = |snapshot: &Snapshot| sizes.get(&snapshot.id).copied().unwrap_or(0);
    let mut taken: BTreeMap<HostId, u64> = BTreeMap::new();
    for snapshot in all {
        *taken.entry(on(&snapshot.host)).or_default() += take(snapshot);
    }
    let oldest_first = not_the_newest(all.to_vec(), retention.keep_last).into_iter().rev();
    oldest_first
        .filter(|snapshot| !needed.contains(&snapshot.id))
        .filter(|snapshot| {
            let taken = taken.entry(on(&snapshot.host)).or_default();
            let goes = *taken > most && take(snapshot) > 0;
            *taken -= if goes { take(snapshot) } else { 0 };
            goes
        })
        .collect()
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
    let mut old = not_the_newest(all.iter().collect(), retention.keep_last);
    old.retain(|snapshot| now.duration_since(snapshot.at).unsigned_abs() >= retention.keep_for.as_duration());
    old
}

/// All but the newest `keep_last` of each target, newest first.
fn not_the_newest(mut all: Vec<&Snapshot>, keep_last: u32) -> Vec<&Snapshot> {
    all.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.at));
    let mut seen: BTreeMap<&TargetId, u32> = BTreeMap::new();
    all.retain(|snapshot| {
        let newer = seen.entry(&snapshot.target).or_default();
        *newer += 1;
        *newer > keep_last
    });
    all
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
    use patchyard_types::{Millis, RolloutId, RunId};

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
        let none = Retention { keep_for: Millis(0), keep_last: 0, max_size: None };
        assert_eq!(ids(none).len(), all.len());
        assert_eq!(ids(Retention { keep_last: 9, ..none }), Vec::<String>::new());
    }

    #[test]
    fn the_oldest_go_early_where_a_host_has_no_room_for_them() {
        let now = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(24 * 365);
        let mut all: Vec<_> = [("a", 3), ("a", 2), ("a", 1), ("b", 4), ("c", 6), ("c", 5)]
            .map(|(target, days)| snapshot(target, days, now))
            .into();
        all[4].host = HostId::new("h2");
        // Of one that is not known nothing is won.
        let sizes = all[..5].iter().map(|one| (one.id.clone(), 10)).collect();
        let gone_on = |on: fn(&HostId) -> HostId, most| {
            let retention = Retention { max_size: Some(most), ..Retention::default() };
            let all: Vec<&Snapshot> = all.iter().collect();
            beyond(&all, retention, &sizes, &BTreeSet::new(), on)
                .into_iter()
                .map(|one| one.id.0.clone())
                .collect::<Vec<_>>()
        };
        let gone = |most| gone_on(Clone::clone, most);
        assert_eq!(gone(40), [""; 0]);
        assert_eq!(gone(39), ["a-3"]);
        assert_eq!(gone(9), ["c-6", "a-3", "a-2"], "the newest of each stay, on every host");
        let on_one = |_: &HostId| HostId::new("hypervisor");
        assert_eq!(gone_on(on_one, 50), [""; 0]);
        assert_eq!(gone_on(on_one, 49), ["c-6"], "one budget for all that a hypervisor keeps");
    }
}

//! Prepare: what the package manager was interrupted in is finished; the planned bytes are to be had on the machine; the
//! versions that are about to be replaced are in the cache.

use patchyard_guest::Readiness;
use patchyard_guest::files;
use patchyard_types::{
    Change, Digest, FailureKind, InstalledPackage, Method, PackageChange, Probe, Record, StepError, WayBack,
};

use super::keep::{Wanted, bring, cached};
use super::{LOCK, Run, failed, install, of_provider, trouble};

pub(super) async fn perform(run: &Run<'_>) -> Result<Record, StepError> {
    repair(run).await?;
    bring_what_is_missing(run, run.changes).await?;
    let (back, missing) = keep_what_goes(run).await?;
    // A rollback is the way back itself: that the bad version is not to be had any more is no reason to stay with it.
    let is_required = run.action.way_back == WayBack::Required && run.action.method != Method::Restore;
    if !missing.is_empty() && is_required {
        return Err(failed(
            FailureKind::Refused,
            format!(
                "there would be no way back: neither its repositories nor the cache have {} any more; say way_back: \
                 partial to go without",
                some_of(&missing)
            ),
        ));
    }
    // What is brought now need not be brought in a hurry.
    bring_what_is_missing(run, &back).await?;
    let automatic = run.guest.automatic(run.changes).await.map_err(trouble)?;
    Ok(Record::Kept { back, missing, automatic })
}

pub(super) async fn probe(run: &Run<'_>) -> Result<Probe, StepError> {
    let installed = run.guest.installed().await.map_err(trouble)?;
    let is_old = |change: &PackageChange| {
        installed.packages.iter().any(|p| p.name == change.name && Some(&p.version) == change.from.as_ref())
    };
    // Doing it again is quick where everything is there.
    let untouched = run.changes.iter().filter(|change| change.from.is_some()).all(is_old);
    match untouched {
        true => Ok(Probe::NotDone),
        false => {
            Ok(Probe::CannotTell { reason: "its packages are neither as planned nor changed".to_owned() })
        }
    }
}

async fn repair(run: &Run<'_>) -> Result<(), StepError> {
    match run.guest.ready(LOCK).await.map_err(trouble)? {
        Readiness::Ready => return Ok(()),
        Readiness::Interrupted => run.note("finishing what its package manager was interrupted in"),
    }
    let words = install::finish(run, "repair", &run.guest.repair(LOCK)).await?;
    match run.guest.ready(LOCK).await.map_err(trouble)? {
        Readiness::Ready => Ok(()),
        Readiness::Interrupted => Err(failed(
            FailureKind::Host,
            format!("its package manager was interrupted before, and cannot be repaired: {words}"),
        )),
    }
}

/// Puts packages onto the machine that its repositories do not have, or have with other bytes.
async fn bring_what_is_missing(run: &Run<'_>, changes: &[PackageChange]) -> Result<(), StepError> {
    let named = changes.iter().filter_map(|change| Some((change, change.to.as_deref()?)));
    let named: Vec<_> = named.collect();
    let asked: Vec<_> = named.iter().map(|(change, to)| (&*change.name, &change.arch, *to)).collect();
    let offered = run.guest.offered(&asked).await.map_err(trouble)?;
    for ((change, to), offered) in named.into_iter().zip(offered) {
        let (Some(sha256), Some(path)) = (change.sha256, run.path(change)) else { continue };
        if offered.is_some_and(|(_, offered)| offered == sha256) {
            continue;
        }
        let transport = run.guest.transport();
        if files::is_there(transport, &path, &sha256).await.map_err(trouble)? {
            continue;
        }
        run.note(format!("bringing {} {to}", change.name));
        let Some(bytes) = cached(run.host, &sha256).await.map_err(of_provider)? else {
            return Err(failed(
                FailureKind::Precondition,
                format!(
                    "neither its repositories nor the cache have {} {to} as planned: plan again",
                    change.name
                ),
            ));
        };
        files::write(transport, &path, bytes, &sha256).await.map_err(trouble)?;
    }
    Ok(())
}

/// Puts packages onto the machine that the cache has, whatever its repositories say: after a bad patch the way to them may be
/// gone.
pub(super) async fn bring_from_the_cache(run: &Run<'_>, changes: &[PackageChange]) -> Result<(), StepError> {
    for change in changes {
        let (Some(sha256), Some(path)) = (change.sha256, run.path(change)) else { continue };
        let transport = run.guest.transport();
        if files::is_there(transport, &path, &sha256).await.map_err(trouble)? {
            continue;
        }
        let Some(bytes) = cached(run.host, &sha256).await.map_err(of_provider)? else { continue };
        files::write(transport, &path, bytes, &sha256).await.map_err(trouble)?;
    }
    Ok(())
}

/// Keeps the files of the versions that go, as far as they are to be had: what leads back, and what is missing.
async fn keep_what_goes(run: &Run<'_>) -> Result<(Vec<PackageChange>, Vec<String>), StepError> {
    let installed = run.guest.installed().await.map_err(trouble)?;
    let replaced = run.changes.iter().filter_map(|change| {
        // What comes in new stays: nobody needs it any more.
        let (from, to) = (change.from.as_deref()?, change.to.as_deref()?);
        let is_it = |p: &InstalledPackage| p.name == change.name && p.arch == change.arch && p.version == to;
        // Somebody else has brought it there since it was planned: it is not ours to take back.
        let is_there = installed.packages.iter().any(is_it);
        (!is_there).then_some((change, from, to))
    });
    let replaced: Vec<_> = replaced.collect();
    let asked: Vec<_> =
        replaced.iter().map(|(change, from, _)| (&*change.name, &change.arch, *from)).collect();
    let offered = run.guest.offered(&asked).await.map_err(trouble)?;
    let (mut back, mut missing, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
    for ((change, from, to), offered) in replaced.into_iter().zip(offered) {
        let Some((size, sha256)) = offered.or_else(|| known(run, change)) else {
            missing.push(format!("{} {from}", change.name));
            continue;
        };
        wanted.push(Wanted { name: &change.name, arch: &change.arch, version: from, sha256, size });
        back.push(PackageChange {
            name: change.name.clone(),
            arch: change.arch.clone(),
            from: Some(to.to_owned()),
            to: Some(from.to_owned()),
            sha256: Some(sha256),
            security: false,
            size,
        });
    }
    run.note("keeping the versions that are about to be replaced");
    bring(run.host, &run.guest, wanted).await.map_err(of_provider)?;
    Ok((back, missing))
}

/// A rollback replaces what an earlier plan has pinned: its bytes are in the cache.
fn known(run: &Run<'_>, change: &PackageChange) -> Option<(u64, Digest)> {
    let from = change.from.as_ref()?;
    let pinned = run.call.plan.decisions.patch_sets.values().find_map(|set| match &set.change {
        Change::Packages(packages) | Change::Snapshot { packages, .. } => packages
            .iter()
            .find(|p| p.name == change.name && p.arch == change.arch && p.to.as_ref() == Some(from)),
        Change::Image { .. } => None,
    })?;
    let sha256 = pinned.sha256?;
    run.host.options.cache.find(&sha256).map(|_| (pinned.size, sha256))
}

fn some_of(names: &[String]) -> String {
    let more = if names.len() > 5 { format!(" and {} more", names.len() - 5) } else { String::new() };
    format!("{}{more}", names.iter().take(5).cloned().collect::<Vec<_>>().join(", "))
}

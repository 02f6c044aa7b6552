//! apk: Alpine.

use std::collections::BTreeMap;
use std::time::Duration;

use patchyard_assess::apk::{self as answers, AnswerError, Wanted, ask, is_arch, is_package, is_version};
use patchyard_contract::{Ask, Command, Output};
use patchyard_types::{InstalledPackage, PackageChange, PendingPatch, PendingStatus};

use super::{Exactly, Guest, Installed, QUESTION, REFRESH, Readiness, wanted, wished};
use crate::GuestError;
use crate::job::{Job, JobStep};

/// sh … CODE: ends with CODE, and says who it is, while apk changes packages.
const AT_WORK: &str = concat!(include_str!("held.sh"), include_str!("apk_at_work.sh"));
/// What it ends with.
const LOCKED: i32 = 200;
/// sh … WAIT VIRTUAL NEED…: an exact transaction.
const EXACTLY: &str = include_str!("apk_exactly.sh");
/// The most a database may have, in bytes; it lists every file.
const DATABASE: usize = 256 * 1024 * 1024;
/// sh … FILE…: prints the first that is there.
const FIRST: &str = "for file; do [ ! -e \"$file\" ] || exec cat \"$file\"; done; exit 1";

pub(super) async fn installed(guest: &Guest) -> Result<Installed, GuestError> {
    let argv = ["sh", "-c", FIRST, "sh"].into_iter().chain(ask::DATABASES);
    let output = guest.transport.run(Command::new(argv).most(DATABASE).limit(QUESTION)).await?;
    if !output.success() {
        return Err(guest.failed("cat", &output, ""));
    }
    let database = answers::installed(&output.stdout).map_err(|error| guest.no_sense("apk", &error))?;
    let world = world(guest).await?;
    let mut packages = database.packages;
    for package in &mut packages {
        package.held = world.iter().any(|wanted| wanted.name == package.name && wanted.is_one());
    }
    // Of a transaction that was killed its virtual package is left, and would hold its versions for ever.
    let left = database.virtuals.into_iter().filter(|name| name == ask::VIRTUAL);
    Ok(Installed { packages, unfinished: left.chain(database.broken).collect() })
}

async fn world(guest: &Guest) -> Result<Vec<Wanted>, GuestError> {
    // No file means that nothing has been asked for.
    let read = Command::new(["cat", ask::WORLD]).most(1024 * 1024);
    Ok(answers::world(&guest.transport.run(read).await?.stdout))
}

pub(super) async fn refresh(guest: &Guest, wait: Duration) -> Result<(), GuestError> {
    let output = guest.patiently(Command::new(ask::refresh()).limit(REFRESH), wait, holder).await?;
    if output.success() && answers::refreshed(&output.said()) {
        return Ok(());
    }
    Err(guest.failed("apk update", &output, &answers::words(&output.said())))
}

pub(super) async fn pending(
    guest: &Guest,
    installed: &Installed,
    how: &Ask,
) -> Result<Vec<PendingPatch>, GuestError> {
    let mut refused = BTreeMap::new();
    let (rows, newer) = match &how.only[..] {
        [] => {
            let newer = listed(guest, ask::upgradable()).await?;
            (upgrade(guest, installed, &newer, &mut refused).await?, newer)
        }
        only => {
            valid(guest, wished(only))?;
            // What else there is was not asked for.
            (simulated(guest, ask::simulate_exactly(wished(only))).await?, Vec::new())
        }
    };
    let here = |name: &str| installed.packages.iter().find(|package| package.name == name);
    // What comes in new is of an architecture that only the lists tell.
    let new: Vec<&str> = rows.iter().map(|row| &*row.name).filter(|name| here(name).is_none()).collect();
    let new = match new.is_empty() {
        true => Vec::new(),
        false => listed(guest, ask::available(new.into_iter())).await?,
    };
    let mut patches = answers::pending(
        &rows,
        &answers::newest(&newer),
        |name| here(name).map(|package| package.version.clone()),
        |name| {
            let known = here(name).map(|package| &package.arch);
            known.or_else(|| new.iter().find(|one| one.name == name).map(|one| &one.arch)).cloned()
        },
        |name| installed.is_held(name),
        &refused,
    );
    if !how.allow_remove {
        patches.retain(|patch| patch.status != PendingStatus::Removal);
    }
    if !patches.is_empty() {
        let names = ask::policy(patches.iter().map(|patch| &*patch.package));
        answers::origins(&mut patches, &asked(guest, names).await?.stdout);
    }
    Ok(patches)
}

/// What the solver would do to upgrade everything. It refuses to do anything where one of the newer versions cannot be: the others are
/// asked for then, and `refused` says why those are not.
async fn upgrade(
    guest: &Guest,
    installed: &Installed,
    newer: &[answers::Available],
    refused: &mut BTreeMap<String, String>,
) -> Result<Vec<answers::Row>, GuestError> {
    let mut answer = simulation(guest, ask::simulate()).await?;
    let mut wanted: Vec<_> =
        answers::newest(newer).into_values().filter(|newest| !installed.is_held(&newest.name)).collect();
    while let Err(AnswerError::Refused { words, blamed }) = &answer {
        let is_blamed = |one: &answers::Available| blamed.contains(&format!("{}-{}", one.name, one.version));
        // Where none of them is to blame, nobody can tell which could be.
        let (mut out, rest): (Vec<_>, Vec<_>) = wanted.iter().copied().partition(|one| is_blamed(one));
        wanted = rest;
        if out.is_empty() {
            out.append(&mut wanted);
        }
        refused.extend(out.into_iter().map(|one| (one.name.clone(), words.clone())));
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let exactly = wanted.iter().map(|one| (&*one.name, &one.arch, &*one.version));
        answer = simulation(guest, ask::simulate_exactly(exactly)).await?;
    }
    answer.map_err(|error| guest.no_sense("apk", &error))
}

/// Writes packages into the world with the version they have, or without one. They count as asked for by name from then on.
pub(super) async fn hold(
    guest: &Guest,
    packages: &[&InstalledPackage],
    hold: bool,
) -> Result<(), GuestError> {
    valid(guest, packages.iter().map(|package| (&*package.name, &package.arch, &*package.version)))?;
    let world = world(guest).await?;
    let specs = packages.iter().map(|package| {
        let tag =
            world.iter().find(|wanted| wanted.name == package.name).and_then(|wanted| wanted.tag.as_ref());
        let tag = tag.map(|tag| format!("@{tag}")).unwrap_or_default();
        let version = if hold { format!("={}", package.version) } else { String::new() };
        format!("{}{tag}{version}", package.name)
    });
    asked(guest, ask::want(specs)).await.map(|_| ())
}

pub(super) async fn ready(guest: &Guest, wait: Duration) -> Result<Readiness, GuestError> {
    // Questions are answered while another one works: only its lock tells.
    guest.nobody_at_work(AT_WORK, LOCKED, wait).await?;
    if !installed(guest).await?.unfinished.is_empty() {
        return Ok(Readiness::Interrupted);
    }
    simulation(guest, ask::simulate()).await?.ok();
    Ok(Readiness::Ready)
}

pub(super) fn repair(wait: Duration) -> Job {
    // There may be no virtual package left, and then it fails: what has become of it is seen in the inventory.
    let mut forget = JobStep::new(ask::forget(wait.as_secs()), &[]);
    forget.must = false;
    Job { steps: vec![forget, JobStep::new(ask::fix(wait.as_secs()), &[])] }
}

/// Changes without a version to come to are packages that may go, where nobody needs them any more.
pub(super) async fn transaction(
    guest: &Guest,
    changes: &[PackageChange],
    wait: Duration,
    installed: &Installed,
) -> Result<Job, GuestError> {
    let (staying, going): (Vec<_>, Vec<_>) = changes.iter().cloned().partition(|change| change.to.is_some());
    valid(guest, wanted(&staying))?;
    let mut rows = simulated(guest, ask::simulate_exactly(wanted(&staying))).await?;
    rows.retain(|row| row.to.is_some() || !going.iter().any(|change| change.name == row.name));
    guest.nothing_else(&staying, installed, &answers::moves(&rows))?;
    let argv = ["sh", "-c", EXACTLY, "sh"].map(str::to_owned);
    let argv = argv.into_iter().chain(ask::install_exactly(wanted(&staying), wait.as_secs())).collect();
    Ok(Job { steps: vec![JobStep::new(argv, &[])] })
}

fn valid<'a>(guest: &Guest, named: impl Iterator<Item = Exactly<'a>>) -> Result<(), GuestError> {
    let spec = |(name, _, version): Exactly<'_>| format!("{name}={version}");
    guest.only_packages(named, [is_package, is_arch, is_version], spec)
}

async fn asked(guest: &Guest, argv: Vec<String>) -> Result<Output, GuestError> {
    let output = guest.transport.run(Command::new(argv).limit(QUESTION)).await?;
    guest.good("apk", output, answers::words)
}

async fn listed(guest: &Guest, argv: Vec<String>) -> Result<Vec<answers::Available>, GuestError> {
    answers::available(&asked(guest, argv).await?.stdout).map_err(|error| guest.no_sense("apk list", &error))
}

/// What the solver would do; its refusal is a failure.
async fn simulated(guest: &Guest, argv: Vec<String>) -> Result<Vec<answers::Row>, GuestError> {
    let answer = simulation(guest, argv).await?;
    answer.map_err(|refusal| guest.refused(&refusal.to_string()))
}

/// What the solver would do, or that it has found no way. It ends with a failure after an answer, too, where a package is broken.
async fn simulation(
    guest: &Guest,
    argv: Vec<String>,
) -> Result<Result<Vec<answers::Row>, AnswerError>, GuestError> {
    let output = guest.transport.run(Command::new(argv).limit(QUESTION)).await?;
    match answers::simulation(&output.said()) {
        Err(AnswerError::Empty) => Err(guest.failed("apk", &output, &answers::words(&output.said()))),
        Err(error @ AnswerError::Line { .. }) => Err(guest.no_sense("apk", &error)),
        answer => Ok(answer),
    }
}

fn holder(output: &Output) -> Option<String> {
    let said = output.said();
    let is_locked = !output.success() && String::from_utf8_lossy(&said).contains("Unable to lock database");
    is_locked.then(|| answers::words(&said))
}

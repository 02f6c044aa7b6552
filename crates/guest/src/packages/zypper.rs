//! zypper and rpm: openSUSE and SUSE Linux Enterprise.

use std::collections::BTreeSet;
use std::time::Duration;

pub(super) use patchyard_assess::rpm::zypper::LISTS;
use patchyard_assess::rpm::zypper::{self as questions, AnswerError};
use patchyard_contract::{Ask, Command, Output};
use patchyard_types::{InstalledPackage, PackageChange, PendingPatch, printable};

use super::{DOWNLOAD, Exactly, Guest, Installed, LOCK, QUESTION, REFRESH, Readiness, rpm, wanted, wished};
use crate::GuestError;
use crate::job::{Job, JobStep};

pub(super) async fn installed(guest: &Guest) -> Result<Installed, GuestError> {
    let is_locked = |file: &[u8], name: &str| {
        questions::locked_names(file).iter().any(|pattern| questions::is_meant(name, pattern))
    };
    rpm::installed(guest, questions::LOCKS, is_locked).await
}

pub(super) async fn refresh(guest: &Guest, wait: Duration) -> Result<(), GuestError> {
    good(guest, questions::refresh(), wait, REFRESH).await.map(|_| ())
}

pub(super) async fn pending(
    guest: &Guest,
    installed: &Installed,
    how: &Ask,
    wait: Duration,
) -> Result<Vec<PendingPatch>, GuestError> {
    let patches = match &how.only[..] {
        [] => {
            let would = asked(guest, questions::simulate(), wait, questions::simulation).await?;
            let updates = asked(guest, questions::upgradable(), wait, questions::updates).await?;
            questions::pending(&would, &updates, |name| installed.is_held(name))
        }
        only => {
            rpm::valid(guest, wished(only))?;
            let named = wished(only).map(questions::exactly);
            let would = asked(guest, questions::install(named, true), wait, questions::simulation).await?;
            questions::pending(&would, &[], |name| installed.is_held(name))
        }
    };
    rpm::pinned(guest, LISTS, patches).await
}

/// Those that are called the same one after the other: zypper downloads one of them.
pub(super) async fn download(
    guest: &Guest,
    folder: &str,
    packages: &[Exactly<'_>],
) -> Result<(), GuestError> {
    rpm::valid(guest, packages.iter().copied())?;
    let mut left = packages.to_vec();
    while !left.is_empty() {
        let mut names = BTreeSet::new();
        let (now, later): (Vec<Exactly<'_>>, _) =
            left.into_iter().partition(|(name, ..)| names.insert(*name));
        let named = now.into_iter().map(questions::exactly);
        good(guest, questions::download(folder, named), LOCK, DOWNLOAD).await?;
        left = later;
    }
    Ok(())
}

pub(super) async fn hold(
    guest: &Guest,
    packages: &[&InstalledPackage],
    hold: bool,
) -> Result<(), GuestError> {
    let argv = questions::lock(packages.iter().map(|package| &*package.name), hold);
    good(guest, argv, Duration::ZERO, QUESTION).await.map(|_| ())
}

pub(super) async fn ready(guest: &Guest, wait: Duration) -> Result<Readiness, GuestError> {
    good(guest, questions::simulate(), wait, QUESTION).await?;
    Ok(rpm::readiness(&installed(guest).await?))
}

pub(super) async fn transaction(
    guest: &Guest,
    changes: &[PackageChange],
    wait: Duration,
    installed: &Installed,
) -> Result<Job, GuestError> {
    rpm::valid(guest, wanted(changes))?;
    let named = || wanted(changes).map(|exactly| guest.file_or(exactly, questions::exactly));
    let would = asked(guest, questions::install(named(), true), wait, questions::simulation).await?;
    guest.nothing_else(changes, installed, &questions::moves(&would))?;
    let mut step = JobStep::new(questions::install(named(), false), &[]);
    step.again = Some((questions::LOCKED, wait.as_secs()));
    step.fine = questions::DONE.to_vec();
    Ok(Job { steps: vec![step] })
}

async fn good(
    guest: &Guest,
    argv: Vec<String>,
    wait: Duration,
    limit: Duration,
) -> Result<Output, GuestError> {
    let output = guest.patiently(Command::new(argv).limit(limit), wait, holder).await?;
    if questions::DONE.contains(&output.code) {
        return Ok(output);
    }
    Err(guest.failed("zypper", &output, &questions::words(&output.stdout)))
}

async fn asked<T>(
    guest: &Guest,
    argv: Vec<String>,
    wait: Duration,
    read: impl Fn(&[u8]) -> Result<T, AnswerError>,
) -> Result<T, GuestError> {
    let output = good(guest, argv, wait, QUESTION).await?;
    read(&output.stdout).map_err(|error| guest.no_sense("zypper", &error))
}

fn holder(output: &Output) -> Option<String> {
    (output.code == questions::LOCKED).then(|| {
        let words = questions::words(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        printable(if words.is_empty() { said.trim() } else { &words }, 200)
    })
}

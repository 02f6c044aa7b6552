//! zypper and rpm: openSUSE and SUSE Linux Enterprise.

use std::time::Duration;

use patchyard_assess::rpm::zypper::{self as questions, AnswerError};
use patchyard_contract::{Ask, Command, Output};
use patchyard_types::{InstalledPackage, PackageChange, PendingPatch, PendingStatus, printable};

use super::{Guest, Installed, QUESTION, REFRESH, Readiness, rpm, wanted, wished};
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
    let mut patches = match &how.only[..] {
        [] => {
            let would = asked(guest, questions::simulate(), wait, questions::simulation).await?;
            let updates = asked(guest, questions::upgradable(), wait, questions::updates).await?;
            questions::pending(&would, &updates, |name| installed.is_held(name))
        }
        only => {
            rpm::valid(guest, wished(only))?;
            let would =
                asked(guest, questions::install_exactly(wished(only), true), wait, questions::simulation)
                    .await?;
            questions::pending(&would, &[], |name| installed.is_held(name))
        }
    };
    if !how.allow_remove {
        patches.retain(|patch| patch.status != PendingStatus::Removal);
    }
    Ok(patches)
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
    Ok(Readiness::Ready)
}

pub(super) async fn transaction(
    guest: &Guest,
    changes: &[PackageChange],
    wait: Duration,
    installed: &Installed,
) -> Result<Job, GuestError> {
    rpm::valid(guest, wanted(changes))?;
    let would =
        asked(guest, questions::install_exactly(wanted(changes), true), wait, questions::simulation).await?;
    guest.nothing_else(changes, installed, &questions::moves(&would))?;
    let mut step = JobStep::new(questions::install_exactly(wanted(changes), false), &[]);
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

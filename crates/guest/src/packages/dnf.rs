//! dnf and rpm: Fedora, RHEL and their kin.

use std::time::Duration;

use patchyard_assess::rpm::dnf::{self as questions, AnswerError, Dialect};
use patchyard_assess::rpm::zypper::is_meant;
use patchyard_contract::{Ask, Command, Output};
use patchyard_types::{Arch, InstalledPackage, PackageChange, PendingPatch};

use super::{DOWNLOAD, Exactly, Guest, Installed, LOCK, QUESTION, REFRESH, Readiness, rpm, wanted, wished};
use crate::GuestError;
use crate::job::{Job, JobStep};

/// sh … CODE [COMMAND…]: ends with CODE, and says who it is, while dnf or rpm changes packages, else as the command does. dnf 4 leaves
/// its number in a file; of other locks the kernel knows who holds them.
const AT_WORK: &str = concat!(include_str!("held.sh"), include_str!("at_work.sh"));

pub(super) async fn installed(guest: &Guest) -> Result<Installed, GuestError> {
    let is_locked =
        |file: &[u8], name: &str| guest.dnf.locked_names(file).iter().any(|locked| is_meant(name, locked));
    rpm::installed(guest, guest.dnf.locks(), is_locked).await
}

pub(super) async fn refresh(guest: &Guest, wait: Duration) -> Result<(), GuestError> {
    let output = guest.patiently(question(guest, guest.dnf.refresh()).limit(REFRESH), wait, holder).await?;
    good(guest, "dnf makecache", &output)
}

pub(super) async fn pending(
    guest: &Guest,
    installed: &Installed,
    how: &Ask,
    wait: Duration,
) -> Result<Vec<PendingPatch>, GuestError> {
    let version = |name: &str, arch: &Arch| {
        // The newest, where there are several: it comes last.
        let mut all = installed.packages.iter().rev();
        all.find(|package| package.name == name && package.arch == *arch)
            .map(|package| package.version.clone())
    };
    let patches = match &how.only[..] {
        [] => {
            let rows = simulated(guest, guest.dnf.simulate(), wait).await?;
            let listed = guest.patiently(question(guest, guest.dnf.upgradable()), wait, holder).await?;
            let words = guest.dnf.words(&listed.said());
            let updates = match listed.success() {
                true => guest.dnf.updates(&listed.stdout).map_err(|error| guest.no_sense("dnf", &error))?,
                // There is nothing newer.
                false if words.contains("No matching Packages to list") => Vec::new(),
                false => return Err(guest.failed("dnf list", &listed, &words)),
            };
            questions::pending(&rows, &updates, version, |name| installed.is_held(name))
        }
        only => {
            rpm::valid(guest, wished(only))?;
            let named = wished(only).map(questions::exactly);
            let rows = simulated(guest, guest.dnf.install(named, true), wait).await?;
            questions::pending(&rows, &[], version, |name| installed.is_held(name))
        }
    };
    rpm::pinned(guest, guest.dnf.lists(), patches).await
}

pub(super) async fn download(
    guest: &Guest,
    folder: &str,
    packages: &[Exactly<'_>],
) -> Result<(), GuestError> {
    rpm::valid(guest, packages.iter().copied())?;
    let named = packages.iter().copied().map(questions::exactly);
    let command = question(guest, guest.dnf.download(folder, named)).limit(DOWNLOAD);
    good(guest, "dnf download", &guest.patiently(command, LOCK, holder).await?)
}

pub(super) async fn rehearse(guest: &Guest, changes: &[PackageChange]) -> Result<(), GuestError> {
    rpm::valid(guest, wanted(changes))?;
    let command = guest.dnf.rehearse(wanted(changes).map(questions::exactly));
    let command = question(guest, command).limit(DOWNLOAD);
    good(guest, "dnf install", &guest.patiently(command, LOCK, holder).await?)
}

pub(super) async fn hold(
    guest: &Guest,
    packages: &[&InstalledPackage],
    hold: bool,
) -> Result<(), GuestError> {
    let command = guest.dnf.lock(packages.iter().map(|package| &*package.name), hold);
    let output = guest.transport.run(question(guest, command)).await?;
    good(guest, "dnf versionlock", &output)
}

pub(super) async fn ready(guest: &Guest, wait: Duration) -> Result<Readiness, GuestError> {
    // Questions are answered while another one works: only its lock tells. It ends as dnf does when it finds one.
    guest.nobody_at_work(AT_WORK, questions::LOCKED, wait).await?;
    simulated(guest, guest.dnf.simulate(), wait).await?;
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
    let rows = simulated(guest, guest.dnf.install(named(), true), wait).await?;
    guest.nothing_else(changes, installed, &questions::moves(&rows))?;
    let command = guest.dnf.install(named(), false);
    let command = match guest.dnf {
        Dialect::Four => command,
        // It does not tell by its exit code that another one is at work, nor does it wait: that is looked for before.
        Dialect::Five => {
            let look = ["sh", "-c", AT_WORK, "sh"].map(str::to_owned).into_iter();
            look.chain([questions::LOCKED.to_string()]).chain(command).collect()
        }
    };
    let mut step = JobStep::new(command, guest.dnf.environment());
    step.again = Some((questions::LOCKED, wait.as_secs()));
    Ok(Job { steps: vec![step] })
}

/// What the solver would do, if it lets itself be asked. It ends with 1 after an answer: it was told not to go on.
async fn simulated(
    guest: &Guest,
    argv: Vec<String>,
    wait: Duration,
) -> Result<Vec<questions::Row>, GuestError> {
    let output = guest.patiently(question(guest, argv), wait, holder).await?;
    match guest.dnf.simulation(&output.stdout) {
        Ok(rows) if output.success() || guest.dnf.stands(&rows) => Ok(rows),
        Err(error @ AnswerError::Line { .. }) => Err(guest.no_sense("dnf", &error)),
        Ok(_) | Err(AnswerError::Empty) => {
            Err(guest.failed("dnf", &output, &guest.dnf.words(&output.said())))
        }
    }
}

fn question(guest: &Guest, argv: Vec<String>) -> Command {
    let command = Command::new(argv).limit(QUESTION);
    guest.dnf.environment().iter().fold(command, |command, (name, value)| command.env(name, value))
}

fn good(guest: &Guest, program: &str, output: &Output) -> Result<(), GuestError> {
    if output.success() {
        return Ok(());
    }
    Err(guest.failed(program, output, &guest.dnf.words(&output.said())))
}

fn holder(output: &Output) -> Option<String> {
    (output.code == questions::LOCKED).then(|| questions::lock_holder(&output.said()))
}

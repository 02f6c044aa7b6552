//! apt and dpkg: Debian, Ubuntu and their children.

use std::collections::BTreeSet;
use std::time::Duration;

use patchyard_assess::deb::apt::answer::{self, AnswerError};
use patchyard_assess::deb::apt::words::update_errors;
use patchyard_assess::deb::apt::{
    ask, explain, interrupted, locked, moves, passes_over, pending as put_together, price, tell_phased,
};
use patchyard_assess::deb::{Layout, StatusReader, is_arch, is_package, is_version};
use patchyard_contract::{Ask, Command, Output};
use patchyard_types::{Arch, Digest, InstalledPackage, PackageChange, PendingPatch, PendingStatus};

use super::{DOWNLOAD, Exactly, Guest, Installed, QUESTION, REFRESH, Readiness, is_there, wanted, wished};
use crate::GuestError;
use crate::job::{Job, JobStep};

/// The most a dpkg database may have, in bytes; of a desktop's 5,000 packages it has 6 MiB.
const DATABASE: usize = 256 * 1024 * 1024;
/// Of a transaction: nobody can be asked, and what may be restarted is decided elsewhere.
const TRANSACTION: [(&str, &str); 5] = [
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
    ("APT_LISTCHANGES_FRONTEND", "none"),
    ("NEEDRESTART_SUSPEND", "1"),
    ("UCF_FORCE_CONFFOLD", "1"),
];

pub(super) async fn installed(guest: &Guest) -> Result<Installed, GuestError> {
    let read = Command::new(["cat", "/var/lib/dpkg/status"]).most(DATABASE).limit(QUESTION);
    let output = guest.transport.run(read).await?;
    if !output.success() {
        return Err(guest.failed("cat", &output, ""));
    }
    let status =
        StatusReader::read(Layout::Status, &output.stdout).map_err(|error| guest.no_sense("dpkg", &error))?;
    Ok(Installed { packages: status.packages, unfinished: status.unfinished })
}

pub(super) async fn refresh(guest: &Guest, wait: Duration) -> Result<(), GuestError> {
    let update = question(ask::update()).limit(REFRESH);
    let output = guest.patiently(update, wait, is_locked).await?;
    match update_errors(i64::from(output.code), &output.said()) {
        None => Ok(()),
        Some(words) => Err(guest.failed("apt-get update", &output, &words)),
    }
}

pub(super) async fn pending(
    guest: &Guest,
    installed: &Installed,
    how: &Ask,
) -> Result<Vec<PendingPatch>, GuestError> {
    let asked = match &how.only[..] {
        [] => ask::simulate(how.allow_remove),
        only => {
            valid(guest, wished(only))?;
            ask::simulate_only(wished(only), how.allow_remove)
        }
    };
    let simulation = answered(guest, asked.clone(), answer::simulation).await?;
    let upgradable = match how.only.is_empty() {
        true => answered(guest, ask::upgradable(), answer::upgradable).await?,
        // What else there is was not asked for.
        false => Vec::new(),
    };
    let mut patches = put_together(&simulation, &upgradable, &installed.packages);
    if patches.iter().any(|patch| patch.status == PendingStatus::KeptBack) {
        tell_phased(&mut patches, &answered(guest, ask::with_phased(asked), answer::simulation).await?);
    }
    if let Some(argv) = ask::versions(&patches) {
        passes_over(&mut patches, &answered(guest, argv, answer::security_versions).await?);
    }
    if let Some(argv) = ask::offers(&patches) {
        price(&mut patches, &answered(guest, argv, answer::offers).await?);
    }
    if let Some(argv) = ask::why_kept_back(&patches) {
        // It may well fail: the reason is what is asked for.
        explain(&mut patches, &guest.transport.run(question(argv)).await?.said());
    }
    Ok(patches)
}

pub(super) async fn hold(
    guest: &Guest,
    packages: &[&InstalledPackage],
    hold: bool,
) -> Result<(), GuestError> {
    let mut argv = vec!["apt-mark".to_owned(), if hold { "hold" } else { "unhold" }.to_owned()];
    argv.extend(packages.iter().map(|package| format!("{}:{}", package.name, package.arch)));
    let output = guest.transport.run(question(argv)).await?;
    guest.good("apt-mark", output, answer::words).map(|_| ())
}

pub(super) async fn ready(guest: &Guest, wait: Duration) -> Result<Readiness, GuestError> {
    let check = question(ask::check(wait.as_secs())).limit(QUESTION + wait);
    let output = guest.transport.run(check).await?;
    let said = output.said();
    if let Some(holder) = locked(&said) {
        return Err(GuestError::Locked { host: guest.transport.host().to_owned(), holder, waited: wait });
    }
    if interrupted(&said) || !installed(guest).await?.unfinished.is_empty() {
        return Ok(Readiness::Interrupted);
    }
    guest.good("apt-get check", output, answer::words).map(|_| Readiness::Ready)
}

pub(super) fn repair(wait: Duration) -> Job {
    // dpkg does not wait for its lock; apt does, whatever it says afterwards.
    let mut wait = JobStep::new(ask::check(wait.as_secs()), &[]);
    wait.must = false;
    Job { steps: vec![wait, JobStep::new(ask::repair(), &TRANSACTION)] }
}

/// How apt is told of a change: by the file that lies on the machine, else by what its repositories call it.
fn specs<'a>(guest: &'a Guest, changes: &'a [PackageChange]) -> impl Iterator<Item = String> + 'a {
    changes.iter().filter_map(|change| {
        let to = change.to.as_deref()?;
        let file = guest.files.get(&(change.name.clone(), change.arch.clone()));
        Some(file.cloned().unwrap_or_else(|| ask::exactly(&change.name, &change.arch, to)))
    })
}

pub(super) async fn transaction(
    guest: &Guest,
    changes: &[PackageChange],
    wait: Duration,
    installed: &Installed,
) -> Result<Job, GuestError> {
    valid(guest, wanted(changes))?;
    let simulation =
        answered(guest, ask::simulate_exactly(specs(guest, changes)), answer::simulation).await?;
    guest.nothing_else(changes, installed, &moves(&simulation))?;
    let mut steps =
        vec![JobStep::new(ask::install_exactly(specs(guest, changes), wait.as_secs()), &TRANSACTION)];
    // What is named on apt's command line counts as wanted by a person from then on. Those that did not before, and those
    // that come in because others need them, shall not; nor those that a transaction which failed has left so.
    let mut marks: BTreeSet<String> = automatic(guest, changes, installed).await?.into_iter().collect();
    let will_be_there = |mark: &&String| {
        let is_it = |name: &str, arch: &Arch| **mark == qualified(name, arch);
        changes.iter().any(|change| is_it(&change.name, &change.arch))
            || installed.packages.iter().any(|package| is_it(&package.name, &package.arch))
            || installed.unfinished.iter().any(|name| mark.split(':').next() == Some(name))
    };
    marks.extend(guest.automatic.iter().filter(will_be_there).cloned());
    if !marks.is_empty() {
        steps.push(JobStep::new(
            ["apt-mark", "auto"].map(str::to_owned).into_iter().chain(marks).collect(),
            &[],
        ));
    }
    Ok(Job { steps })
}

pub(super) async fn automatic(
    guest: &Guest,
    changes: &[PackageChange],
    installed: &Installed,
) -> Result<Vec<String>, GuestError> {
    let marked = answered(guest, ask::automatic(), answer::names).await?;
    let marked: BTreeSet<&str> = marked.iter().map(String::as_str).collect();
    let is_automatic = |change: &&PackageChange| {
        marked.contains(change.name.as_str())
            || marked.contains(qualified(&change.name, &change.arch).as_str())
            || change.from.is_none() && !is_there(installed, change)
    };
    Ok(changes.iter().filter(is_automatic).map(|change| qualified(&change.name, &change.arch)).collect())
}

fn qualified(name: &str, arch: &Arch) -> String {
    format!("{name}:{arch}")
}

fn valid<'a>(guest: &Guest, named: impl Iterator<Item = Exactly<'a>>) -> Result<(), GuestError> {
    let spec = |(name, arch, version): Exactly<'_>| format!("{name}:{arch}={version}");
    guest.only_packages(named, [is_package, is_arch, is_version], spec)
}

fn question(argv: Vec<String>) -> Command {
    let command = Command::new(argv).limit(QUESTION);
    ask::ENVIRONMENT
        .iter()
        .filter(|(name, _)| !name.starts_with('L'))
        .fold(command, |c, (name, value)| c.env(name, value))
}

fn is_locked(output: &Output) -> Option<String> {
    if output.success() { None } else { locked(&output.said()) }
}

/// A question whose answer counts only when apt was content.
async fn answered<T>(
    guest: &Guest,
    argv: Vec<String>,
    read: impl Fn(&[u8]) -> Result<T, AnswerError>,
) -> Result<T, GuestError> {
    let program = argv.first().cloned().unwrap_or_default();
    let output = guest.good(&program, guest.transport.run(question(argv)).await?, answer::words)?;
    read(&output.stdout).map_err(|error| guest.no_sense(&program, &error))
}

/// What the repositories have of these packages: their files' sizes and SHA-256. Nothing where they have one no more.
pub(super) async fn offered(
    guest: &Guest,
    packages: &[(&str, &Arch, &str)],
) -> Result<Vec<Option<(u64, Digest)>>, GuestError> {
    valid(guest, packages.iter().copied())?;
    if packages.is_empty() {
        return Ok(Vec::new());
    }
    let asked = ask::records(packages.iter().map(|(name, arch, version)| ask::exactly(name, arch, version)));
    let output = guest.transport.run(question(asked).most(DATABASE)).await?;
    // It fails where it finds none at all.
    let records = if output.success() { answer::records(&output.stdout) } else { Ok(Vec::new()) };
    let records = records.map_err(|error| guest.no_sense("apt-cache show", &error))?;
    let offer = |(name, arch, version): &(&str, &Arch, &str)| {
        let mut fitting =
            records.iter().filter(|o| o.name == *name && o.version == *version && o.arch == **arch);
        fitting.find_map(|offer| Some((offer.size, offer.sha256?)))
    };
    Ok(packages.iter().map(offer).collect())
}

pub(super) async fn download(
    guest: &Guest,
    folder: &str,
    packages: &[(&str, &Arch, &str)],
) -> Result<(), GuestError> {
    valid(guest, packages.iter().copied())?;
    let specs = packages.iter().map(|(name, arch, version)| ask::exactly(name, arch, version));
    let argv = ["sh", "-c", "cd \"$1\" && shift && exec \"$@\"", "sh", folder].map(str::to_owned);
    let command = question(argv.into_iter().chain(ask::download(specs)).collect()).limit(DOWNLOAD);
    let output = guest.transport.run(command).await?;
    guest.good("apt-get download", output, answer::words).map(|_| ())
}

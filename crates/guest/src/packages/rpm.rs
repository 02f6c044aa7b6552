//! What dnf and zypper have in common: the rpm database.

use patchyard_assess::rpm::{self, Offer, is_arch, is_package, is_version};
use patchyard_contract::Command;
use patchyard_types::{Digest, PendingPatch, PendingStatus};

use super::{Exactly, Guest, Installed, QUESTION, Readiness};
use crate::GuestError;
use crate::job::{Job, JobStep};

/// What is installed; `file` holds the locks, and `is_locked` reads them.
pub(super) async fn installed(
    guest: &Guest,
    file: &str,
    is_locked: impl Fn(&[u8], &str) -> bool,
) -> Result<Installed, GuestError> {
    // Read, not asked for: whoever holds the package manager's lock is not to be waited for. No file means no locks.
    let locks = guest.transport.run(Command::new(["cat", file]).most(1024 * 1024)).await?.stdout;
    let output = guest.transport.run(Command::new(rpm::QUERY).limit(QUESTION)).await?;
    if !output.success() {
        return Err(guest.failed("rpm", &output, ""));
    }
    let mut packages = rpm::installed(&output.stdout).map_err(|error| guest.no_sense("rpm", &error))?;
    for package in &mut packages {
        package.held = is_locked(&locks, &package.name);
    }
    // Asked of nobody where no package is there twice.
    let twice = packages.windows(2).any(|pair| pair[0].name == pair[1].name && pair[0].arch == pair[1].arch);
    let unfinished = if twice { interrupted_in(guest).await? } else { Vec::new() };
    Ok(Installed { packages, unfinished })
}

/// Prints the versions that should have gone.
const TWICE: &str = include_str!("twice.sh");
/// Removes them: what was in the middle of an upgrade, or of the way back, is at its end then.
const FINISH: &str =
    concat!("gone=$(\n", include_str!("twice.sh"), ") && [ -z \"$gone\" ] || rpm -e --nodeps $gone");

/// The packages that rpm was interrupted in.
async fn interrupted_in(guest: &Guest) -> Result<Vec<String>, GuestError> {
    let output = guest.transport.run(Command::new(["sh", "-c", TWICE]).limit(QUESTION)).await?;
    if !output.success() {
        return Err(guest.failed("rpm", &output, ""));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    // name-version-release.arch
    let name = |line: &str| line.rsplitn(3, '-').nth(2).map(str::to_owned);
    Ok(said.lines().filter_map(name).collect())
}

/// The job that finishes what rpm was interrupted in.
pub(super) fn repair() -> Job {
    Job { steps: vec![JobStep::new(["sh", "-c", FINISH].map(str::to_owned).into(), &[])] }
}

/// Whether anything is left in the middle.
pub(super) fn readiness(installed: &Installed) -> Readiness {
    if installed.unfinished.is_empty() { Readiness::Ready } else { Readiness::Interrupted }
}

/// sh … FOLDER NAME…
const OFFERED: &str = include_str!("offered.sh");
/// How many bytes of the repositories' lists may concern the packages that are asked for.
const LISTS: usize = 64 * 1024 * 1024;

/// What the repositories whose lists lie below a folder have of these packages: their files' sizes and SHA-256. Nothing where
/// they have one no more, or several that are called the same.
pub(super) async fn offered(
    guest: &Guest,
    folder: &str,
    packages: &[Exactly<'_>],
) -> Result<Vec<Option<(u64, Digest)>>, GuestError> {
    valid(guest, packages.iter().copied())?;
    if packages.is_empty() {
        return Ok(Vec::new());
    }
    let fixed = ["sh", "-c", OFFERED, "sh", folder];
    let argv = fixed.into_iter().chain(packages.iter().map(|(name, ..)| *name));
    let output = guest.transport.run(Command::new(argv).limit(QUESTION).most(LISTS)).await?;
    if !output.success() {
        return Err(guest.failed("reading the repositories' lists", &output, ""));
    }
    let offers = rpm::offers(&String::from_utf8_lossy(&output.stdout));
    let offer = |(name, arch, version): &Exactly<'_>| {
        let is_it = |offer: &&Offer| offer.name == *name && offer.arch == **arch && offer.version == *version;
        let mut fitting = offers.iter().filter(is_it);
        let first = fitting.next()?;
        fitting.all(|other| other.sha256 == first.sha256).then_some((first.size, first.sha256))
    };
    Ok(packages.iter().map(offer).collect())
}

/// Says of what is pending how large its files are, and which bytes they have.
pub(super) async fn pinned(
    guest: &Guest,
    folder: &str,
    mut patches: Vec<PendingPatch>,
) -> Result<Vec<PendingPatch>, GuestError> {
    let comes = |patch: &&PendingPatch| patch.status != PendingStatus::Removal;
    let asked = patches.iter().filter(comes).map(|patch| (&*patch.package, &patch.arch, &*patch.candidate));
    let offered = offered(guest, folder, &asked.collect::<Vec<Exactly<'_>>>()).await?;
    let coming = patches.iter_mut().filter(|patch| patch.status != PendingStatus::Removal);
    for (patch, offer) in coming.zip(offered) {
        if let Some((size, sha256)) = offer {
            (patch.size, patch.sha256) = (size, Some(sha256));
        }
    }
    Ok(patches)
}

pub(super) fn valid<'a>(guest: &Guest, named: impl Iterator<Item = Exactly<'a>>) -> Result<(), GuestError> {
    let spec = |(name, arch, version): Exactly<'_>| format!("{name}-{version}.{arch}");
    guest.only_packages(named, [is_package, is_arch, is_version], spec)
}

//! What dnf and zypper have in common: the rpm database.

use patchyard_assess::rpm::{self, is_arch, is_package, is_version};
use patchyard_contract::Command;

use super::{Exactly, Guest, Installed, QUESTION};
use crate::GuestError;

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
    Ok(Installed { packages, unfinished: Vec::new() })
}

pub(super) fn valid<'a>(guest: &Guest, named: impl Iterator<Item = Exactly<'a>>) -> Result<(), GuestError> {
    let spec = |(name, arch, version): Exactly<'_>| format!("{name}-{version}.{arch}");
    guest.only_packages(named, [is_package, is_arch, is_version], spec)
}

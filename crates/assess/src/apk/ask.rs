//! What apk is asked to tell and to do.

use patchyard_types::Arch;

/// Where the database may be: with `/usr` merged, and before that.
pub const DATABASES: [&str; 2] = ["/usr/lib/apk/db/installed", "/lib/apk/db/installed"];

/// Where the world is.
pub const WORLD: &str = "/etc/apk/world";

/// The virtual package that an exact transaction is asked for by: it needs the packages in their versions, and is gone afterwards.
///
/// `apk add name=version` writes the version into the world, where it would hold the package for ever; the entries that were there,
/// with tags and versions of their own, would be lost. `apk upgrade` and `apk fix` leave the world alone, but take no versions. A
/// virtual package is the way that apk-add(8) documents for what is to be undone: the packages become its needs instead of the
/// world's, and `apk del` takes the one entry out again without touching what was installed before.
pub const VIRTUAL: &str = ".patchyard";

/// From the lists it has: a question or a transaction shall not read others on the way. A year, in minutes.
const FIXED: [&str; 3] = ["apk", "--cache-max-age", "525600"];

fn words(front: &[&str]) -> Vec<String> {
    FIXED.iter().chain(front).map(|word| (*word).to_owned()).collect()
}

/// Reads the lists of all repositories anew.
#[must_use]
pub fn refresh() -> Vec<String> {
    ["apk", "update"].map(str::to_owned).into()
}

/// What the solver would do now. apk itself would be upgraded first and then asked again, which cannot be simulated: it is one of
/// many here.
#[must_use]
pub fn simulate() -> Vec<String> {
    words(&["upgrade", "--simulate", "--no-self-upgrade"])
}

/// Every package with a newer version, whatever the solver does about it.
#[must_use]
pub fn upgradable() -> Vec<String> {
    words(&["list", "--upgradable"])
}

/// All versions that the repositories have of packages.
#[must_use]
pub fn available<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    words(&["list", "--available"]).into_iter().chain(names.map(str::to_owned)).collect()
}

/// Which repository has which version of packages.
#[must_use]
pub fn policy<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    words(&["policy"]).into_iter().chain(names.map(str::to_owned)).collect()
}

/// Packages in exact versions, as needs. A system has one architecture: it is not named.
fn exactly<'a>(wanted: impl Iterator<Item = (&'a str, &'a Arch, &'a str)>) -> impl Iterator<Item = String> {
    wanted.map(|(name, _, version)| format!("{name}={version}"))
}

/// What the solver would do to have packages, as `(name, architecture, version)`, in exact versions, up or down.
#[must_use]
pub fn simulate_exactly<'a>(wanted: impl Iterator<Item = (&'a str, &'a Arch, &'a str)>) -> Vec<String> {
    words(&["add", "--simulate", "--virtual", VIRTUAL]).into_iter().chain(exactly(wanted)).collect()
}

/// The arguments of the script that does it: how long another apk is waited for, in seconds, the virtual package's name, needs.
#[must_use]
pub fn install_exactly<'a>(
    wanted: impl Iterator<Item = (&'a str, &'a Arch, &'a str)>,
    wait: u64,
) -> Vec<String> {
    [wait.to_string(), VIRTUAL.to_owned()].into_iter().chain(exactly(wanted)).collect()
}

/// Installs what is broken once more.
#[must_use]
pub fn fix(wait: u64) -> Vec<String> {
    words(&["--wait", &wait.to_string(), "fix"])
}

/// Takes a virtual package out again that was left. It fails where there is none.
#[must_use]
pub fn forget(wait: u64) -> Vec<String> {
    words(&["--wait", &wait.to_string(), "del", VIRTUAL])
}

/// Writes packages into the world as given, with versions to hold them and without to let them go.
#[must_use]
pub fn want(specs: impl Iterator<Item = String>) -> Vec<String> {
    words(&["add"]).into_iter().chain(specs).collect()
}

//! The questions: programs and their arguments, never a shell line.

use patchyard_types::{Arch, PendingPatch, PendingStatus};

/// Environment of every question: the answers are read by a program, and nobody can be asked back.
pub const ENVIRONMENT: [(&str, &str); 4] = [
    ("LC_ALL", "C"),
    ("LANGUAGE", "C"),
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("APT_LISTCHANGES_FRONTEND", "none"),
];

/// Options of every simulation: no locks (nothing is changed), no note for people.
const SIMULATE: [&str; 7] =
    ["apt-get", "-q", "-s", "-o", "Debug::NoLocking=1", "-o", "APT::Get::Show-User-Simulation-Note=false"];

/// Phased updates count, whether or not they have reached this machine.
const ALL_PHASED: &str = "APT::Get::Always-Include-Phased-Updates=true";

/// What the solver would do now. New packages may come in; with `allow_remove` others may go.
#[must_use]
pub fn simulate(allow_remove: bool) -> Vec<String> {
    let verb: &[&str] = if allow_remove { &["dist-upgrade"] } else { &["upgrade", "--with-new-pkgs"] };
    SIMULATE.iter().chain(verb).map(|argument| (*argument).to_owned()).collect()
}

/// What the solver would do to install just these packages, as `(name, architecture, version)`. Nothing else goes unless
/// removals are allowed.
#[must_use]
pub fn simulate_only<'a>(
    wanted: impl Iterator<Item = (&'a str, &'a Arch, &'a str)>,
    allow_remove: bool,
) -> Vec<String> {
    let verb: &[&str] = if allow_remove { &["install"] } else { &["--no-remove", "install"] };
    let specs = wanted.map(|(name, arch, version)| exactly(name, arch, version));
    SIMULATE.iter().chain(verb).map(|argument| (*argument).to_owned()).chain(specs).collect()
}

/// A package in a version, as apt's command line takes it: `name:arch=version`.
#[must_use]
pub fn exactly(name: &str, arch: &Arch, version: &str) -> String {
    format!("{name}:{arch}={version}")
}

/// How packages are put into exact versions, up or down, in one transaction: nothing goes, nothing recommended comes,
/// configuration files that somebody changed stay as they are. Each is named as [`exactly`] says, or as the path of its
/// file. `lock` is how long another package manager is waited for, in seconds.
#[must_use]
pub fn install_exactly(specs: impl Iterator<Item = String>, lock: u64) -> Vec<String> {
    let mut argv = ["apt-get", "-q", "-y", "--no-remove"].map(str::to_owned).to_vec();
    argv.extend(EXACTLY.map(str::to_owned));
    for option in [
        &format!("DPkg::Lock::Timeout={lock}"),
        "Dpkg::Use-Pty=0",
        "Dpkg::Options::=--force-confdef",
        "Dpkg::Options::=--force-confold",
    ] {
        argv.extend(["-o".to_owned(), option.to_owned()]);
    }
    argv.push("install".to_owned());
    argv.extend(specs);
    argv
}

/// What [`install_exactly`] would do. Removals are in the answer, to be named.
#[must_use]
pub fn simulate_exactly(specs: impl Iterator<Item = String>) -> Vec<String> {
    SIMULATE
        .iter()
        .chain(&EXACTLY)
        .chain(&["install"])
        .map(|argument| (*argument).to_owned())
        .chain(specs)
        .collect()
}

/// What an exact installation and its simulation have in common.
const EXACTLY: [&str; 5] = [
    "--allow-downgrades",
    "--no-install-recommends",
    "--no-install-suggests",
    "-o",
    "APT::Get::AutomaticRemove=false",
];

/// Whether the package manager could work now: waits for its lock for at most so many seconds.
#[must_use]
pub fn check(lock: u64) -> Vec<String> {
    let option = format!("DPkg::Lock::Timeout={lock}");
    ["apt-get", "-q", "-o", &option, "check"].map(str::to_owned).into()
}

/// Finishes what dpkg was interrupted in; configuration files that somebody changed stay.
#[must_use]
pub fn repair() -> Vec<String> {
    ["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"].map(str::to_owned).into()
}

/// Reads the lists of all package sources anew, but for what no question needs. A repository that does not answer must not
/// count as one without news.
#[must_use]
pub fn update() -> Vec<String> {
    let fixed = [
        "apt-get",
        "-q",
        "-o",
        "APT::Update::Error-Mode=any",
        "-o",
        "Acquire::Languages=none",
        "-o",
        "Acquire::IndexTargets::deb-src::Sources::DefaultEnabled=false",
        "update",
    ];
    fixed.map(str::to_owned).into()
}

/// The same simulation as if every phased update had reached this machine.
#[must_use]
pub fn with_phased(mut simulation: Vec<String>) -> Vec<String> {
    simulation.extend(["-o".to_owned(), ALL_PHASED.to_owned()]);
    simulation
}

/// Everything with a newer version, phased updates that have not reached this machine among them.
#[must_use]
pub fn upgradable() -> Vec<String> {
    ["apt", "-q", "list", "--upgradable", "-o", ALL_PHASED].map(str::to_owned).into()
}

/// Where each of these patches comes from, how large it is and what its SHA-256 is. `None` when
/// there is nothing to ask.
#[must_use]
pub fn offers(patches: &[PendingPatch]) -> Option<Vec<String>> {
    let specs: Vec<_> =
        patches.iter().filter(|patch| patch.status != PendingStatus::Removal).map(spec).collect();
    if specs.is_empty() {
        return None;
    }
    Some(offers_of(specs.into_iter()))
}

fn offers_of(specs: impl Iterator<Item = String>) -> Vec<String> {
    // apt prints the strongest hash an index has unless it is told which one.
    let fixed = ["apt-get", "-q", "download", "--print-uris", "-o", "Acquire::ForceHash=SHA256"];
    fixed.map(str::to_owned).into_iter().chain(specs).collect()
}

/// What the indices say about packages that are named as [`exactly`] says. Those that no repository has do not keep it from
/// telling of the others, as they would with [`offers`].
#[must_use]
pub fn records(specs: impl Iterator<Item = String>) -> Vec<String> {
    ["apt-cache", "-q", "show"].map(str::to_owned).into_iter().chain(specs).collect()
}

/// Downloads packages that are named as [`exactly`] says into the working directory, in files of [`file_name`]'s. apt's own
/// user could not write there, and need not: whoever asks verifies every file.
#[must_use]
pub fn download(specs: impl Iterator<Item = String>) -> Vec<String> {
    let fixed = ["apt-get", "-q", "download", "-o", "APT::Sandbox::User=root"];
    fixed.map(str::to_owned).into_iter().chain(specs).collect()
}

/// As apt names the file of a package: an epoch's colon is quoted.
#[must_use]
pub fn file_name(name: &str, version: &str, arch: &str) -> String {
    format!("{name}_{}_{arch}.deb", version.replace(':', "%3a"))
}

/// Every version that the repositories have of packages whose newest one is no security patch: an older one may be.
/// `None` when there is nothing to ask.
#[must_use]
pub fn versions(patches: &[PendingPatch]) -> Option<Vec<String>> {
    let names: Vec<_> = patches
        .iter()
        .filter(|patch| !patch.security && patch.installed.is_some() && !patch.candidate.is_empty())
        .map(|patch| format!("{}:{}", patch.package, patch.arch))
        .collect();
    let fixed = ["apt-cache", "-q", "madison"].map(str::to_owned);
    (!names.is_empty()).then(|| fixed.into_iter().chain(names).collect())
}

/// Why the solver keeps these patches back: asked for by name it has to say. `None` when nothing is.
#[must_use]
pub fn why_kept_back(patches: &[PendingPatch]) -> Option<Vec<String>> {
    let kept: Vec<_> =
        patches.iter().filter(|patch| patch.status == PendingStatus::KeptBack).map(spec).collect();
    if kept.is_empty() {
        return None;
    }
    Some(SIMULATE.iter().chain(&["install"]).map(|a| (*a).to_owned()).chain(kept).collect())
}

/// Which packages came in as dependencies only: a builder restores these marks.
#[must_use]
pub fn automatic() -> Vec<String> {
    ["apt-mark", "showauto"].map(str::to_owned).into()
}

/// `name:arch=version`. All three have been validated when they were read, so none can be taken
/// for an option.
fn spec(patch: &PendingPatch) -> String {
    exactly(&patch.package, &patch.arch, &patch.candidate)
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn files_are_named_as_apt_names_them() {
        assert_eq!(file_name("vim", "2:9.0-1", "amd64"), "vim_2%3a9.0-1_amd64.deb");
    }
}

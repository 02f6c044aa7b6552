//! zypper: what it is asked, and what its answers (XML) mean.

use patchyard_types::{Arch, PendingPatch, PendingStatus, printable};
use thiserror::Error;

use super::name::{is_arch, is_package, is_version};
use super::xml::{elements, unescape};
use crate::exact::Move;

/// Ends so when another process holds its lock.
pub const LOCKED: i32 = 7;
/// Ends so when all went well and a restart of zypper or a reboot would be good: it is no failure.
pub const DONE: [i32; 3] = [0, 102, 103];

/// Options of every question: nobody is asked back, and the answer is XML.
const FIXED: [&str; 3] = ["zypper", "-n", "-x"];

/// Reads the lists of all repositories anew.
#[must_use]
pub fn refresh() -> Vec<String> {
    FIXED.iter().chain(&["refresh"]).map(|argument| (*argument).to_owned()).collect()
}

/// What the solver would do now, by the lists it has.
#[must_use]
pub fn simulate() -> Vec<String> {
    FIXED
        .iter()
        .chain(&["--no-refresh", "update", "--dry-run"])
        .map(|argument| (*argument).to_owned())
        .collect()
}

/// Every package with a newer version, whatever the solver does about it.
#[must_use]
pub fn upgradable() -> Vec<String> {
    FIXED
        .iter()
        .chain(&["--no-refresh", "list-updates", "--all"])
        .map(|argument| (*argument).to_owned())
        .collect()
}

/// Puts what is named by [`exactly`], or by the path of a package's file, into those versions, up or down, in one transaction;
/// or says what would be done for that. Nothing recommended comes. A file's bytes are known by their hash: it need not be signed.
#[must_use]
pub fn install(named: impl Iterator<Item = String>, dry_run: bool) -> Vec<String> {
    let dry: &[&str] = if dry_run { &["--dry-run"] } else { &[] };
    let fixed = [
        "--no-refresh",
        "install",
        "--oldpackage",
        "--no-recommends",
        "--auto-agree-with-licenses",
        "--allow-unsigned-rpm",
    ];
    FIXED.iter().chain(&fixed).chain(dry).map(|argument| (*argument).to_owned()).chain(named).collect()
}

/// Downloads what is named by [`exactly`] into folders below this one. Of several versions of one package it downloads one.
#[must_use]
pub fn download(folder: &str, named: impl Iterator<Item = String>) -> Vec<String> {
    let fixed = ["--no-refresh", "--pkg-cache-dir", folder, "download"];
    FIXED.iter().chain(&fixed).map(|argument| (*argument).to_owned()).chain(named).collect()
}

/// How zypper names a package in a version.
#[must_use]
pub fn exactly((name, arch, version): (&str, &Arch, &str)) -> String {
    format!("{name}.{arch}={version}")
}

/// Where it keeps the lists of the repositories: a folder with one for each.
pub const LISTS: &str = "/var/cache/zypp/raw";

/// Where the locks are.
pub const LOCKS: &str = "/etc/zypp/locks";

/// Locks packages, or takes the locks away.
#[must_use]
pub fn lock<'a>(names: impl Iterator<Item = &'a str>, lock: bool) -> Vec<String> {
    let verb = if lock { "addlock" } else { "removelock" };
    FIXED.iter().chain(&[verb]).copied().chain(names).map(str::to_owned).collect()
}

/// Why an answer of zypper's cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// There is no answer in it.
    #[error("there is no answer in it")]
    Empty,
    /// A package that makes no sense.
    #[error("not a package: '{what}'")]
    Package {
        /// What it is, made printable.
        what: String,
    },
}

/// A package in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solvable {
    /// Package name.
    pub name: String,
    /// Architecture.
    pub arch: Arch,
    /// The version there was.
    pub from: Option<String>,
    /// The version there would be; `None` when it would be removed.
    pub to: Option<String>,
    /// The repository it would come from, where the answer says so.
    pub repository: String,
}

/// Reads what a dry run answers.
///
/// # Errors
/// [`AnswerError`]: the answer is no answer.
pub fn simulation(output: &[u8]) -> Result<Vec<Solvable>, AnswerError> {
    let text = String::from_utf8_lossy(output);
    let (mut found, mut section, mut answered) = (Vec::new(), "", false);
    for element in elements(&text) {
        match element.name {
            "install-summary" => answered = true,
            name if name.starts_with("to-") => section = name,
            name if name.starts_with("/to-") => section = "",
            "solvable" if !section.is_empty() && element.attribute("type").as_deref() == Some("package") => {
                let edition = element.attribute("edition");
                let old = element.attribute("edition-old");
                let (from, to) = match section {
                    "to-remove" => (edition, None),
                    "to-install" => (None, edition),
                    _ => (old.or_else(|| edition.clone()), edition),
                };
                let solvable = solvable(&element.attribute("name"), &element.attribute("arch"), from, to);
                found.push(
                    solvable
                        .ok_or_else(|| AnswerError::Package { what: shown(&element.attribute("name")) })?,
                );
            }
            // "Nothing to do" comes without a summary in some versions.
            "message" if element.text.contains("Nothing to do") => answered = true,
            _ => {}
        }
    }
    if answered { Ok(found) } else { Err(AnswerError::Empty) }
}

/// Reads what [`upgradable`] answers.
///
/// # Errors
/// [`AnswerError`]: the answer is no answer.
pub fn updates(output: &[u8]) -> Result<Vec<Solvable>, AnswerError> {
    let text = String::from_utf8_lossy(output);
    let (mut found, mut answered): (Vec<Solvable>, bool) = (Vec::new(), false);
    for element in elements(&text) {
        match element.name {
            "update-list" => answered = true,
            "update" if element.attribute("kind").as_deref() == Some("package") => {
                let (old, new) = (element.attribute("edition-old"), element.attribute("edition"));
                let solvable = solvable(&element.attribute("name"), &element.attribute("arch"), old, new);
                found.push(
                    solvable
                        .ok_or_else(|| AnswerError::Package { what: shown(&element.attribute("name")) })?,
                );
            }
            "source" => {
                if let (Some(last), Some(alias)) = (found.last_mut(), element.attribute("alias")) {
                    last.repository = printable(&alias, 200);
                }
            }
            _ => {}
        }
    }
    if answered { Ok(found) } else { Err(AnswerError::Empty) }
}

fn solvable(
    name: &Option<String>,
    arch: &Option<String>,
    from: Option<String>,
    to: Option<String>,
) -> Option<Solvable> {
    let (name, arch) = (name.as_deref()?, arch.as_deref()?);
    let good = is_package(name)
        && is_arch(arch)
        && (from.is_some() || to.is_some())
        && from.iter().chain(&to).all(|version| is_version(version));
    good.then(|| Solvable {
        name: name.to_owned(),
        arch: Arch(arch.to_owned()),
        from,
        to,
        repository: String::new(),
    })
}

fn shown(name: &Option<String>) -> String {
    printable(name.as_deref().unwrap_or_default(), 120)
}

/// Reads [`LOCKS`]: names of packages, perhaps with `*` and `?` in them. Locks of other kinds, and of just some versions, are left to
/// the solver.
#[must_use]
pub fn locked_names(file: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(file);
    let of_packages = text.split("\n\n").filter_map(|lock| {
        let field = |wanted: &str| {
            let mut fields = lock.lines().filter_map(|line| line.split_once(':'));
            fields.find(|(name, _)| name.trim() == wanted).map(|(_, value)| value.trim())
        };
        let whole = field("type") == Some("package") && field("version").is_none();
        whole.then(|| field("solvable_name")).flatten()
    });
    of_packages.map(str::to_owned).collect()
}

/// Whether a name is meant by one with `*` and `?` in it.
#[must_use]
pub fn is_meant(name: &str, pattern: &str) -> bool {
    match (pattern.chars().next(), name.chars().next()) {
        (None, None) => true,
        (Some('*'), first) => {
            is_meant(name, &pattern[1..]) || first.is_some_and(|c| is_meant(&name[c.len_utf8()..], pattern))
        }
        (Some(p), Some(c)) if p == c || p == '?' => is_meant(&name[c.len_utf8()..], &pattern[p.len_utf8()..]),
        _ => false,
    }
}

/// zypper's own words in the output of a question that failed: errors and problems, in one line.
#[must_use]
pub fn words(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let said: Vec<String> = elements(&text)
        .filter(|element| match element.name {
            "message" => element.attribute("type").as_deref() == Some("error"),
            "description" => element.text.trim_start().starts_with("Problem: "),
            _ => false,
        })
        .map(|element| {
            let text = unescape(element.text);
            let first = text.lines().next().unwrap_or_default().trim();
            // Under what is wrong with a repository stands, among other things, why.
            let why = text.lines().find_map(|line| line.trim().strip_prefix("- "));
            why.map_or_else(|| first.to_owned(), |why| format!("{first} ({why})"))
        })
        .take(10)
        .collect();
    printable(&said.join("; "), 1000)
}

/// What is pending: what the solver would do, and what else is newer and is left alone. Repositories are told where `updates` say
/// so.
#[must_use]
pub fn pending(
    simulation: &[Solvable],
    updates: &[Solvable],
    is_held: impl Fn(&str) -> bool,
) -> Vec<PendingPatch> {
    let patch = |solvable: &Solvable, status, why: &str| PendingPatch {
        package: solvable.name.clone(),
        arch: solvable.arch.clone(),
        installed: solvable.from.clone(),
        candidate: solvable.to.clone().unwrap_or_default(),
        security: false,
        origin: solvable.repository.clone(),
        status,
        size: 0,
        sha256: None,
        why: why.to_owned(),
    };
    let same = |a: &Solvable, b: &Solvable| a.name == b.name && a.arch == b.arch;
    let mut patches: Vec<PendingPatch> = Vec::new();
    for solvable in simulation {
        let status = if solvable.to.is_some() { PendingStatus::Available } else { PendingStatus::Removal };
        let mut patch = patch(solvable, status, "");
        if let Some(update) = updates.iter().find(|update| same(update, solvable) && update.to == solvable.to)
        {
            patch.origin.clone_from(&update.repository);
        }
        patches.push(patch);
    }
    for update in updates.iter().filter(|update| !simulation.iter().any(|s| same(s, update))) {
        patches.push(match is_held(&update.name) {
            true => patch(update, PendingStatus::Held, "locked"),
            false => patch(update, PendingStatus::KeptBack, "kept back by the solver"),
        });
    }
    patches.sort_unstable();
    patches
}

/// What [`install_exactly`] would change, by the answer of its dry run.
#[must_use]
pub fn moves(simulation: &[Solvable]) -> Vec<Move> {
    simulation
        .iter()
        .map(|s| Move { name: s.name.clone(), arch: Some(s.arch.clone()), to: s.to.clone() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRY_RUN: &str = r#"<?xml version='1.0'?>
<stream>
<message type="info">Reading installed packages...</message>
<install-summary download-size="32878" space-usage-diff="0" packages-to-change="3">
<to-upgrade>
<solvable type="package" name="lab-lib" edition="1:1.1-1" arch="noarch" edition-old="1.0-1" arch-old="noarch" summary="a &lt;b&gt;">
<description>A package to practise on.</description></solvable>
<solvable type="patch" name="SUSE-2026-1" edition="1" arch="noarch"/>
</to-upgrade>
<to-install>
<solvable type="package" name="new" edition="2-1" arch="x86_64" summary="x"/>
</to-install>
<to-remove>
<solvable type="package" name="old" edition="3-1" arch="x86_64" summary="x"/>
</to-remove>
</install-summary>
<solvable type="package" name="elsewhere" edition="3-1" arch="x86_64"/>
</stream>"#;

    #[test]
    fn a_dry_run_with_everything_in_it() {
        let found = simulation(DRY_RUN.as_bytes()).unwrap();
        let words: Vec<_> = found.iter().map(|s| (&*s.name, s.from.as_deref(), s.to.as_deref())).collect();
        assert_eq!(
            words,
            [
                ("lab-lib", Some("1.0-1"), Some("1:1.1-1")),
                ("new", None, Some("2-1")),
                ("old", Some("3-1"), None)
            ]
        );
        let patches = pending(&found, &[], |_| false);
        assert_eq!(
            patches.iter().map(|p| p.status).collect::<Vec<_>>(),
            [PendingStatus::Available, PendingStatus::Available, PendingStatus::Removal]
        );
    }

    #[test]
    fn what_makes_no_sense_spoils_the_answer() {
        assert_eq!(simulation(b"<stream></stream>"), Err(AnswerError::Empty));
        assert_eq!(simulation(b""), Err(AnswerError::Empty));
        let evil = DRY_RUN.replace("name=\"new\"", "name=\"new*;\x1b\"");
        assert!(
            matches!(simulation(evil.as_bytes()), Err(AnswerError::Package { what }) if what == "new*;\\u{1b}")
        );
    }

    #[test]
    fn newer_versions_that_stay_away_are_told_apart() {
        let list = r#"<update-list><update kind="package" name="a" edition="2-1" arch="noarch" edition-old="1-1"><summary>x</summary><source url="file:/repo" alias="lab"/></update>
            <update kind="package" name="b" edition="2-1" arch="noarch" edition-old="1-1"><source alias="lab"/></update>
            <update kind="package" name="c" edition="2-1" arch="noarch" edition-old="1-1"><source alias="lab"/></update></update-list>"#;
        let all = updates(list.as_bytes()).unwrap();
        let patches = pending(&all[..1], &all, |name| name == "b");
        let words: Vec<_> = patches.iter().map(|p| (&*p.package, p.status, &*p.origin)).collect();
        assert_eq!(
            words,
            [
                ("a", PendingStatus::Available, "lab"),
                ("b", PendingStatus::Held, "lab"),
                ("c", PendingStatus::KeptBack, "lab")
            ]
        );
    }

    #[test]
    fn its_words_are_passed_on_harmless() {
        let said = "<prompt id=\"1\"><description>Problem: a conflicts with b\n Solution 1: x\n</description></prompt>\
            <message type=\"info\">fine</message><message type=\"error\">No provider of &apos;c\x1b&apos; found.</message>";
        let invalid = "<message type=\"error\">Repository 'lab' is invalid.\n[lab|file:/repo] Valid metadata not found\nHistory:\n - \
            Signature verification failed for repomd.xml\n</message>";
        assert_eq!(
            words(invalid.as_bytes()),
            "Repository 'lab' is invalid. (Signature verification failed for repomd.xml)"
        );
        assert_eq!(words(said.as_bytes()), "Problem: a conflicts with b; No provider of 'c\\u{1b}' found.");
    }

    #[test]
    fn locks_are_names_and_patterns() {
        let file = "\ntype: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: lab-tool\n\n\
            type: patch\nsolvable_name: x\n\ntype: package\nsolvable_name: kernel-*\n\n\
            type: package\nsolvable_name: some\nversion: < 2\n";
        assert_eq!(locked_names(file.as_bytes()), ["lab-tool", "kernel-*"]);
        assert!(is_meant("kernel-default", "kernel-*") && is_meant("a", "?") && is_meant("ab", "*b"));
        assert!(!is_meant("kernel", "kernel-*") && !is_meant("ab", "a") && !is_meant("a", "ab"));
    }
}

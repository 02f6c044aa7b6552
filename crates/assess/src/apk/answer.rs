//! What apk's answers mean.

use std::collections::BTreeMap;

use patchyard_types::{Arch, PendingPatch, PendingStatus, printable};
use thiserror::Error;

use super::name::{is_arch, is_package, is_version, split};
use crate::exact::Move;
use crate::version::apk::compare;

/// Why an answer of apk's cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// There is no answer in it.
    #[error("there is no answer in it")]
    Empty,
    /// The solver has found no way.
    #[error("{words}")]
    Refused {
        /// Its own words, made printable.
        words: String,
        /// The packages that it names, as `name-version`.
        blamed: Vec<String>,
    },
    /// A line that should tell of a package and does not.
    #[error("not a package: '{line}'")]
    Line {
        /// The line, made printable.
        line: String,
    },
}

/// What the solver would do about a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Package name.
    pub name: String,
    /// The version it has; `None` when it comes in new.
    pub from: Option<String>,
    /// The version it would have, the same where another build of it would be installed; `None` when it would be removed.
    pub to: Option<String>,
}

/// Reads what a simulation says (both streams): `(1/3) Upgrading musl (1.2.4-r1 -> 1.2.4-r2)`. Virtual packages are left out, and so
/// is which repositories a package is to come from.
///
/// # Errors
/// [`AnswerError`]: the answer is no answer.
pub fn simulation(output: &[u8]) -> Result<Vec<Row>, AnswerError> {
    let text = String::from_utf8_lossy(output);
    let (mut rows, mut answered) = (Vec::new(), false);
    for line in text.lines() {
        // At the end stands `OK: 8 MiB in 15 packages`, or `1 error; …` where a package is broken that stays as it is.
        let is_error = |word: &str| word == "error;" || word == "errors;";
        answered |= line.starts_with("OK: ") || line.split_ascii_whitespace().nth(1).is_some_and(is_error);
        if let Some(deed) = step(line) {
            rows.extend(row(deed).ok_or_else(|| bad(line))?);
        }
    }
    if answered {
        return Ok(rows);
    }
    match text.contains("ERROR: unable to select packages") {
        true => Err(AnswerError::Refused { words: words(output), blamed: blamed(&text) }),
        false => Err(AnswerError::Empty),
    }
}

/// The packages that a refusal names: `  name-version:`, and below it `    breaks: name-version[need] …`.
fn blamed(text: &str) -> Vec<String> {
    let named = text.lines().filter(|line| line.starts_with("  ")).flat_map(str::split_ascii_whitespace);
    let full = named.filter_map(|word| word.split(['[', ':']).next()).filter(|word| split(word).is_some());
    full.map(str::to_owned).collect()
}

/// What follows `(1/3) `.
fn step(line: &str) -> Option<&str> {
    let (count, deed) = line.strip_prefix('(')?.split_once(") ")?;
    let (now, all) = count.split_once('/')?;
    let is_number = |text: &str| text.trim().parse::<u32>().is_ok();
    (is_number(now) && is_number(all)).then_some(deed)
}

/// What a deed is about; `Some(None)` when it is nothing that counts here.
#[allow(clippy::option_option, reason = "no package and no sense are two things")]
fn row(deed: &str) -> Option<Option<Row>> {
    let (what, versions) = deed.strip_suffix(')')?.rsplit_once(" (")?;
    let (verb, name) = what.rsplit_once(' ')?;
    // `name@tag`, where it comes from repositories that have been given a tag.
    let name = name.split('@').next().unwrap_or_default();
    let (from, to) = match (verb, versions.split_once(" -> ")) {
        ("Updating pinning", None) => return Some(None),
        ("Installing", None) => (None, Some(versions)),
        ("Purging", None) => (Some(versions), None),
        ("Reinstalling", None) => (Some(versions), Some(versions)),
        ("Upgrading" | "Downgrading" | "Replacing", Some((from, to))) => (Some(from), Some(to)),
        _ => return None,
    };
    if name.starts_with('.') {
        return Some(None);
    }
    let good = is_package(name) && from.iter().chain(&to).all(|version| is_version(version));
    good.then(|| {
        Some(Row { name: name.to_owned(), from: from.map(str::to_owned), to: to.map(str::to_owned) })
    })
}

fn bad(line: &str) -> AnswerError {
    AnswerError::Line { line: printable(line, 120) }
}

/// A package that repositories have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Available {
    /// Package name.
    pub name: String,
    /// Its version there.
    pub version: String,
    /// Its architecture.
    pub arch: Arch,
}

/// Reads a list of packages: `musl-1.2.4-r2 x86_64 {musl} (MIT) [upgradable from: musl-1.2.4-r1]`, a line each.
///
/// # Errors
/// [`AnswerError`]: the answer is no answer. An empty list is one.
pub fn available(output: &[u8]) -> Result<Vec<Available>, AnswerError> {
    let text = String::from_utf8_lossy(output);
    let read = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let full = words.next()?;
        if full.starts_with('.') {
            return Some(None);
        }
        let ((name, version), arch) = (split(full)?, words.next()?);
        is_arch(arch).then(|| {
            Some(Available {
                name: name.to_owned(),
                version: version.to_owned(),
                arch: Arch(arch.to_owned()),
            })
        })
    };
    let is_one = |line: &&str| !line.trim().is_empty() && !line.starts_with("WARNING: ");
    let found: Result<Vec<_>, _> =
        text.lines().filter(is_one).map(|line| read(line).ok_or_else(|| bad(line))).collect();
    Ok(found?.into_iter().flatten().collect())
}

/// The newest version of each package, by name.
#[must_use]
pub fn newest(list: &[Available]) -> BTreeMap<&str, &Available> {
    let mut newest: BTreeMap<&str, &Available> = BTreeMap::new();
    for one in list {
        let best = newest.entry(&one.name).or_insert(one);
        if compare(&one.version, &best.version).is_ok_and(std::cmp::Ordering::is_gt) {
            *best = one;
        }
    }
    newest
}

/// Whether an update has read the lists of all repositories: one that does not answer must not count as one without news.
#[must_use]
pub fn refreshed(output: &[u8]) -> bool {
    let text = String::from_utf8_lossy(output);
    text.lines().any(|line| line.starts_with("OK: "))
        && !text.lines().any(|line| line.starts_with("WARNING: "))
}

/// apk's own words in the output of a question that failed (both streams): errors, warnings and what they are about, in one line.
#[must_use]
pub fn words(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let is_word = |line: &&str| line.starts_with("ERROR: ") || line.starts_with("WARNING: ");
    let about = text.lines().filter(|line| line.starts_with("  "));
    let said: Vec<&str> = text.lines().filter(is_word).take(4).chain(about.take(4)).map(str::trim).collect();
    printable(&said.join("; "), 1000)
}

/// What is pending: what the solver would do, and what else is newer (`upgradable`) and is left alone; `refused` has the solver's
/// words about those that it was asked for. `arch` tells a package's architecture, where it is known; a package of which it is not is
/// left out.
#[must_use]
pub fn pending(
    simulation: &[Row],
    upgradable: &BTreeMap<&str, &Available>,
    installed: impl Fn(&str) -> Option<String>,
    arch: impl Fn(&str) -> Option<Arch>,
    is_held: impl Fn(&str) -> bool,
    refused: &BTreeMap<String, String>,
) -> Vec<PendingPatch> {
    let patch = |name: &str, from: Option<String>, to: Option<&str>, status, why: &str| {
        Some(PendingPatch {
            package: name.to_owned(),
            arch: arch(name)?,
            installed: from,
            candidate: to.unwrap_or_default().to_owned(),
            security: false,
            origin: String::new(),
            status,
            size: 0,
            sha256: None,
            why: why.to_owned(),
        })
    };
    let would = simulation.iter().filter_map(|row| {
        let status = if row.to.is_some() { PendingStatus::Available } else { PendingStatus::Removal };
        patch(&row.name, row.from.clone(), row.to.as_deref(), status, "")
    });
    let others = upgradable.values().filter(|newer| !simulation.iter().any(|row| row.name == newer.name));
    let others = others.filter_map(|newer| {
        let (status, why) = match is_held(&newer.name) {
            true => (PendingStatus::Held, "the world (/etc/apk/world) has it in one version"),
            false => {
                let why = refused.get(&newer.name).map_or("kept back by the solver", String::as_str);
                (PendingStatus::KeptBack, why)
            }
        };
        patch(&newer.name, installed(&newer.name), Some(&newer.version), status, why)
    });
    let mut patches: Vec<PendingPatch> = would.chain(others).collect();
    patches.sort_unstable();
    patches
}

/// Tells of patches where they come from, by an answer to [`super::ask::policy`]: the first repository that has the version.
pub fn origins(patches: &mut [PendingPatch], policy: &[u8]) {
    let text = String::from_utf8_lossy(policy);
    let (mut name, mut version) = ("", "");
    let mut found: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for line in text.lines() {
        if let Some(place) = line.strip_prefix("    ") {
            // The database is named among them.
            if !place.ends_with("lib/apk/db/installed") {
                found.entry((name, version)).or_insert(place.trim());
            }
        } else if let Some(one) = line.strip_prefix("  ") {
            // Some say `(installed)` behind it.
            version = one.split([' ', ':']).next().unwrap_or_default();
        } else {
            name = line.strip_suffix(" policy:").unwrap_or_default();
        }
    }
    for patch in patches {
        if let Some(place) = found.get(&(&*patch.package, &*patch.candidate)) {
            patch.origin = printable(place, 200);
        }
    }
}

/// What an exact transaction would change, by the answer of its simulation.
#[must_use]
pub fn moves(simulation: &[Row]) -> Vec<Move> {
    simulation.iter().map(|row| Move { name: row.name.clone(), arch: None, to: row.to.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIMULATION: &str = "\
fetch http://mirror.example.org/v3.19/main/x86_64/APKINDEX.tar.gz
( 1/10) Upgrading musl (1.2.4-r1 -> 1.2.4-r2)
(2/10) Installing libnew (2.0_rc1-r0)
(3/10) Purging old (3-r1)
(4/10) Downgrading nginx@edge (1.25-r1 -> 1.24-r7)
(5/10) Replacing rebuilt (1-r0 -> 1-r0)
(6/10) Reinstalling mended (1-r0)
(7/10) Updating pinning nginx@edge (1.24-r7)
(8/10) Installing .patchyard (20260101.120000)
OK: 8 MiB in 15 packages
";

    #[test]
    fn a_simulation_with_everything_in_it() {
        let rows = simulation(SIMULATION.as_bytes()).unwrap();
        let words: Vec<_> = rows.iter().map(|r| (&*r.name, r.from.as_deref(), r.to.as_deref())).collect();
        assert_eq!(
            words,
            [
                ("musl", Some("1.2.4-r1"), Some("1.2.4-r2")),
                ("libnew", None, Some("2.0_rc1-r0")),
                ("old", Some("3-r1"), None),
                ("nginx", Some("1.25-r1"), Some("1.24-r7")),
                ("rebuilt", Some("1-r0"), Some("1-r0")),
                ("mended", Some("1-r0"), Some("1-r0")),
            ]
        );
        assert_eq!(moves(&rows).len(), 6, "the virtual package is none");
    }

    #[test]
    fn nothing_to_do_is_an_answer_and_nothing_at_all_is_none() {
        assert_eq!(simulation(b"OK: 8 MiB in 15 packages\n"), Ok(vec![]));
        assert_eq!(simulation(b"1 error; 8 MiB in 15 packages\n"), Ok(vec![]));
        assert_eq!(simulation(b""), Err(AnswerError::Empty));
        assert_eq!(simulation(b"ERROR: Unable to lock database\n"), Err(AnswerError::Empty));
        for bad in [
            "(1/1) Upgrading a;b (1 -> 2)",
            "(1/1) Upgrading a (1)",
            "(1/1) Upgrading a (1 -> \x1b)",
            "(1/1) Exploding a (1)",
            "(1/1) [APK unavailable, skipped] Reinstalling a (1)",
            "(1/1) Installing a",
        ] {
            let error = simulation(format!("{bad}\nOK: 1 MiB\n").as_bytes()).unwrap_err();
            assert!(matches!(&error, AnswerError::Line { line } if !line.contains('\x1b')), "{error:?}");
        }
    }

    #[test]
    fn a_refusal_names_packages() {
        let said = b"\nERROR: unable to select packages:\n  lab-victim-1.0-r0:\n    breaks: lab-rival-1.1-r0[!lab-victim]\n    \
            satisfies: world[lab-victim]\n  .patchyard-20260101.120000:\n    masked in: cache\n";
        let Err(AnswerError::Refused { words, blamed }) = simulation(said) else { panic!("no refusal") };
        assert_eq!(blamed, ["lab-victim-1.0-r0", "lab-rival-1.1-r0"]);
        assert!(words.contains("lab-victim-1.0-r0:; breaks: lab-rival-1.1-r0[!lab-victim]"), "{words}");
    }

    fn list() -> Vec<Available> {
        available(
            b"lab-tool-1.10-r0 x86_64 {lab} (MIT) [upgradable from: lab-tool-1.0-r0]\n\
              lab-tool-1.9-r0 x86_64 {lab} (MIT) [upgradable from: lab-tool-1.0-r0]\n\
              lab-lib-1.1-r0 noarch {lab-lib} (none) [upgradable from: lab-lib-1.0-r0]\n\
              lab-rival-1.1-r0 noarch {lab} (GPL-2.0-only AND MIT) [upgradable from: lab-rival-1.0-r0]\n",
        )
        .unwrap()
    }

    #[test]
    fn the_newest_of_several_versions_counts() {
        let list = list();
        let versions: Vec<_> = newest(&list).values().map(|one| &*one.version).collect();
        assert_eq!(versions, ["1.1-r0", "1.1-r0", "1.10-r0"]);
        assert_eq!(available(b"").unwrap(), []);
        for bad in ["what is this", "lab-1.0-r0", "a;b-1.0-r0 noarch {a}", "a-1.0-r0 no-arch {a}"] {
            assert!(available(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn newer_versions_that_stay_away_are_told_apart() {
        let list = list();
        let rows = simulation(b"(1/1) Upgrading lab-lib (1.0-r0 -> 1.1-r0)\nOK: x\n").unwrap();
        let arch = |_: &str| Some(Arch("noarch".to_owned()));
        let refused = BTreeMap::from([("lab-rival".to_owned(), "it breaks lab-victim".to_owned())]);
        let here = |_: &str| Some("1.0-r0".to_owned());
        let is_held = |name: &str| name == "lab-tool";
        let mut patches = pending(&rows, &newest(&list), here, arch, is_held, &refused);
        assert_eq!(patches[1].why, "it breaks lab-victim");
        origins(
            &mut patches,
            b"lab-lib policy:\n  1.0-r0:\n    lib/apk/db/installed\n    /old\n  1.1-r0:\n    http://mirror.example.org/main\n    /other\n\
              lab-tool policy:\n  1.10-r0 (upgradeable):\n    @edge /edge\n",
        );
        let words: Vec<_> =
            patches.iter().map(|p| (&*p.package, p.status, &*p.candidate, &*p.origin)).collect();
        assert_eq!(
            words,
            [
                ("lab-lib", PendingStatus::Available, "1.1-r0", "http://mirror.example.org/main"),
                ("lab-rival", PendingStatus::KeptBack, "1.1-r0", ""),
                ("lab-tool", PendingStatus::Held, "1.10-r0", "@edge /edge"),
            ]
        );
    }

    #[test]
    fn lists_that_could_not_be_read_are_no_news() {
        assert!(refreshed(b"v3.19.1 [http://x]\nOK: 20 distinct packages available\n"));
        assert!(!refreshed(
            b"WARNING: updating http://x: temporary error\nOK: 20 distinct packages available\n"
        ));
        assert!(!refreshed(b"1 unavailable, 0 stale; 20 distinct packages available\n") && !refreshed(b""));
    }

    #[test]
    fn its_words_are_passed_on_harmless() {
        let said =
            b"  lab-tool-1.1-r0:\n    breaks: world[lab-tool=1.0\x1b]\nERROR: unable to select packages:\n";
        assert_eq!(
            words(said),
            "ERROR: unable to select packages:; lab-tool-1.1-r0:; breaks: world[lab-tool=1.0\\u{1b}]"
        );
    }
}

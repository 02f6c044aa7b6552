//! dnf, of both generations: what it is asked, and what its answers mean.

mod five;
mod four;

use patchyard_types::{Arch, PendingPatch, PendingStatus, printable};
use thiserror::Error;

use super::name::{is_arch, is_package, is_version};
use crate::exact::Move;

/// What a job's step and a look end with when another process is at work: as dnf 4 does.
pub const LOCKED: i32 = 200;

/// Which generation of dnf a machine has. They take different options, lock packages in different files and print different
/// tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// dnf 4, of RHEL to version 10 and Fedora to version 40.
    #[default]
    Four,
    /// dnf 5, of Fedora from version 41 on.
    Five,
}

impl Dialect {
    /// By the path of the program that `dnf` is a link to.
    #[must_use]
    pub fn of(program: &str) -> Self {
        match program.trim().rsplit('/').next() {
            Some("dnf5") => Self::Five,
            _ => Self::Four,
        }
    }

    /// What it needs in its environment.
    #[must_use]
    pub fn environment(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Four => &[],
            Self::Five => five::ENVIRONMENT,
        }
    }

    /// Reads the lists of all repositories anew; one that does not answer must not count as one without news.
    #[must_use]
    pub fn refresh(self) -> Vec<String> {
        match self {
            Self::Four => four::refresh(),
            Self::Five => five::refresh(),
        }
    }

    /// What the solver would do now.
    #[must_use]
    pub fn simulate(self) -> Vec<String> {
        match self {
            Self::Four => four::simulate(),
            Self::Five => five::simulate(),
        }
    }

    /// Every package with a newer version, whatever the solver does about it, what is excluded among them.
    #[must_use]
    pub fn upgradable(self) -> Vec<String> {
        match self {
            Self::Four => four::upgradable(),
            Self::Five => five::upgradable(),
        }
    }

    /// Puts what is named by [`exactly`], or by the path of a package's file, into those versions, up or down, in one transaction;
    /// or says what would be done for that.
    #[must_use]
    pub fn install(self, named: impl Iterator<Item = String>, simulate: bool) -> Vec<String> {
        let fixed = match self {
            Self::Four => four::install(simulate),
            Self::Five => five::install(simulate),
        };
        fixed.into_iter().chain(named).collect()
    }

    /// Goes through the same, up to the change itself: packages are fetched, their signatures are looked at where the configuration
    /// wants that, and rpm says whether it would take them (`tsflags=test`, dnf.conf(5)).
    #[must_use]
    pub fn rehearse(self, named: impl Iterator<Item = String>) -> Vec<String> {
        let mut argv = self.install(std::iter::empty(), false);
        argv.insert(1, "--setopt=tsflags=test".to_owned());
        argv.extend(named);
        argv
    }

    /// Downloads what is named by [`exactly`] into a folder.
    #[must_use]
    pub fn download(self, folder: &str, named: impl Iterator<Item = String>) -> Vec<String> {
        let fixed = match self {
            Self::Four => four::download(folder),
            Self::Five => five::download(folder),
        };
        fixed.into_iter().chain(named).collect()
    }

    /// Where it keeps the lists of the repositories: a folder with one for each.
    #[must_use]
    pub fn lists(self) -> &'static str {
        match self {
            Self::Four => four::LISTS,
            Self::Five => five::LISTS,
        }
    }

    /// The file of the versions that packages are locked to.
    #[must_use]
    pub fn locks(self) -> &'static str {
        match self {
            Self::Four => four::LOCKS,
            Self::Five => five::LOCKS,
        }
    }

    /// Reads [`Dialect::locks`]: the names of packages that are locked to a version, perhaps with `*` and `?` in them.
    #[must_use]
    pub fn locked_names(self, file: &[u8]) -> Vec<String> {
        match self {
            Self::Four => four::locked_names(file),
            Self::Five => five::locked_names(file),
        }
    }

    /// Locks packages to the version they have, or takes the locks away.
    #[must_use]
    pub fn lock<'a>(self, names: impl Iterator<Item = &'a str>, lock: bool) -> Vec<String> {
        let verb = if lock { "add" } else { "delete" };
        ["dnf", "-C", "-q", "versionlock", verb].into_iter().chain(names).map(str::to_owned).collect()
    }

    /// Reads the table of what a transaction would do. No table is an answer too, where dnf says that there is nothing to do.
    ///
    /// # Errors
    /// [`AnswerError`]: the answer is no answer.
    pub fn simulation(self, output: &[u8]) -> Result<Vec<Row>, AnswerError> {
        match self {
            Self::Four => four::simulation(output),
            Self::Five => five::simulation(output),
        }
    }

    /// Whether these rows are an answer although dnf has ended with a failure, as it does when it is told not to go on. Of dnf 4, a
    /// table of nothing but what is skipped may be one of an attempt that failed; dnf 5 prints none then.
    #[must_use]
    pub fn stands(self, rows: &[Row]) -> bool {
        self == Self::Five || rows.iter().any(|row| row.deed != Deed::Skip)
    }

    /// Reads what [`Dialect::upgradable`] answers.
    ///
    /// # Errors
    /// [`AnswerError`]: the answer is no answer.
    pub fn updates(self, output: &[u8]) -> Result<Vec<Row>, AnswerError> {
        match self {
            Self::Four => four::updates(output),
            Self::Five => five::updates(output),
        }
    }

    /// dnf's own words in the output of a question that failed (both streams): errors and problems, in one line.
    #[must_use]
    pub fn words(self, output: &[u8]) -> String {
        match self {
            Self::Four => four::words(output),
            Self::Five => five::words(output),
        }
    }
}

/// How dnf names a package in a version.
#[must_use]
pub fn exactly((name, arch, version): (&str, &Arch, &str)) -> String {
    format!("{name}-{version}.{arch}")
}

/// Why an answer of dnf's cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// There is no answer in it.
    #[error("there is no answer in it")]
    Empty,
    /// A line that should tell of a package and does not.
    #[error("not a package: '{line}'")]
    Line {
        /// The line, made printable.
        line: String,
    },
}

/// What the solver would do about a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// It would be installed, up- or downgraded, or installed again.
    Install,
    /// It would be removed.
    Remove,
    /// It has a newer version that would not be installed.
    Skip,
}

/// A package in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What would be done.
    pub deed: Deed,
    /// Package name.
    pub name: String,
    /// Architecture.
    pub arch: Arch,
    /// Version: the new one, or that of what would be removed.
    pub version: String,
    /// Its repository.
    pub repository: String,
}

fn row(deed: Deed, words: &[&str]) -> Option<Row> {
    let [name, arch, version, repository] = words[..] else { return None };
    // An epoch of 0 is not written by others.
    let version = version.strip_prefix("0:").unwrap_or(version);
    (is_package(name) && is_arch(arch) && is_version(version)).then(|| Row {
        deed,
        name: name.to_owned(),
        arch: Arch(arch.to_owned()),
        version: version.to_owned(),
        repository: printable(repository, 200),
    })
}

/// A command: what is fixed, and more.
fn command(fixed: &[&str], more: &[&str]) -> Vec<String> {
    fixed.iter().chain(more).map(|argument| (*argument).to_owned()).collect()
}

fn bad(line: &str) -> AnswerError {
    AnswerError::Line { line: printable(line, 120) }
}

/// Who holds the lock that dnf could not get, in its own words.
#[must_use]
pub fn lock_holder(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let line =
        text.lines().map(str::trim).find(|line| line.contains("process with pid") || line.contains("lock"));
    printable(line.unwrap_or("its lock is held"), 200)
}

/// What is pending: what the solver would do, and what else is newer and is left alone.
#[must_use]
pub fn pending(
    simulation: &[Row],
    updates: &[Row],
    installed: impl Fn(&str, &Arch) -> Option<String>,
    is_held: impl Fn(&str) -> bool,
) -> Vec<PendingPatch> {
    let patch = |row: &Row, status, why: &str| PendingPatch {
        package: row.name.clone(),
        arch: row.arch.clone(),
        installed: installed(&row.name, &row.arch),
        candidate: if row.deed == Deed::Remove { String::new() } else { row.version.clone() },
        security: false,
        origin: row.repository.clone(),
        status,
        size: 0,
        sha256: None,
        why: why.to_owned(),
    };
    let kept = |row: &Row| match is_held(&row.name) {
        true => patch(row, PendingStatus::Held, "locked to its version"),
        false => patch(row, PendingStatus::KeptBack, "kept back by the solver"),
    };
    let mut patches: Vec<PendingPatch> = simulation
        .iter()
        .map(|row| match row.deed {
            Deed::Install => patch(row, PendingStatus::Available, ""),
            Deed::Remove => patch(row, PendingStatus::Removal, ""),
            Deed::Skip => kept(row),
        })
        .collect();
    let others = updates.iter().filter(|u| !simulation.iter().any(|s| s.name == u.name && s.arch == u.arch));
    patches.extend(others.map(kept));
    patches.sort_unstable();
    patches
}

/// What [`install_exactly`] would change, by the answer of its simulation.
#[must_use]
pub fn moves(simulation: &[Row]) -> Vec<Move> {
    let would = simulation.iter().filter(|row| row.deed != Deed::Skip).map(|row| Move {
        name: row.name.clone(),
        arch: Some(row.arch.clone()),
        to: (row.deed == Deed::Install).then(|| row.version.clone()),
    });
    would.collect()
}

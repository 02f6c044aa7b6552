//! Package managers: what a machine has, what is pending, and how it is changed to exact versions.
//!
//! The machine's own solver is asked; `patchyard-assess` reads its answers. A change is a [`Job`], so that
//! it goes on whoever watches.

mod apk;
mod apt;
mod dnf;
mod rpm;
mod who;
mod zypper;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use patchyard_assess::exact::{self, Move};
use patchyard_assess::rpm::dnf::Dialect;
use patchyard_assess::{package_manager, parse_os_release};
use patchyard_contract::{Ask, Command, Output, Transport, Wish};
use patchyard_types::{
    Arch, Digest, InstalledPackage, OsRelease, PackageChange, PackageManager, PendingPatch, printable,
};

use crate::GuestError;
use crate::job::Job;
use who::{WHO, WHO_LIMIT, Who};

/// How long a question to a package manager may take.
const QUESTION: Duration = Duration::from_secs(300);
/// How long it may take to read the lists of all repositories.
const REFRESH: Duration = Duration::from_secs(900);
/// How long all downloads of one transaction may take.
const DOWNLOAD: Duration = Duration::from_secs(1800);
/// How long another package manager is waited for where nobody says how long.
const LOCK: Duration = Duration::from_secs(60);
/// How long a lock is left alone before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// What is installed on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Installed {
    /// Packages, sorted by name, architecture and version. Of some, such as kernels, there may be several.
    pub packages: Vec<InstalledPackage>,
    /// Packages that were left in the middle of an installation: not counted as installed.
    pub unfinished: Vec<String>,
}

impl Installed {
    /// Whether a package is on hold.
    fn is_held(&self, name: &str) -> bool {
        self.packages.iter().any(|package| package.held && package.name == name)
    }
}

/// A package in a version: name, architecture, version.
type Exactly<'a> = (&'a str, &'a Arch, &'a str);

/// What changes come to; what would be removed is not among it.
fn wanted(changes: &[PackageChange]) -> impl Iterator<Item = Exactly<'_>> + Clone {
    changes.iter().filter_map(|change| Some((&*change.name, &change.arch, change.to.as_deref()?)))
}

/// What somebody wishes for.
fn wished(wishes: &[Wish]) -> impl Iterator<Item = Exactly<'_>> + Clone {
    wishes.iter().map(|wish| (&*wish.package, &wish.arch, &*wish.version))
}

/// Whether a machine's package manager can work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It can.
    Ready,
    /// It was interrupted: [`Guest::repair`] comes first.
    Interrupted,
}

/// A machine and its package manager.
#[derive(Clone)]
pub struct Guest {
    transport: Arc<dyn Transport>,
    manager: PackageManager,
    os: OsRelease,
    dnf: Dialect,
    sources: Option<Digest>,
    files: BTreeMap<(String, Arch), String>,
    automatic: Vec<String>,
}

impl Guest {
    /// Finds out which package manager a machine has: its distribution's.
    ///
    /// # Errors
    /// [`GuestError::NoPackageManager`] where it is none that is known, or its program is not there.
    pub async fn open(transport: Arc<dyn Transport>) -> Result<Self, GuestError> {
        let said = transport.run(Command::new(["sh", "-c", WHO]).most(WHO_LIMIT)).await?;
        if !said.success() {
            let (host, words) =
                (transport.host().to_owned(), printable(&String::from_utf8_lossy(&said.stderr), 300));
            return Err(GuestError::Failed { host, program: "sh".to_owned(), code: said.code, words });
        }
        let who = Who::read(&said.stdout);
        let none = |seen: String| GuestError::NoPackageManager { host: transport.host().to_owned(), seen };
        let Some(os) = parse_os_release(who.release) else {
            return Err(none("it does not say which distribution it is".to_owned()));
        };
        let Some(manager) = package_manager(who.release) else { return Err(none(os.pretty_name)) };
        let name = match manager {
            PackageManager::Apt => "apt-get",
            PackageManager::Dnf => "dnf",
            PackageManager::Zypper => "zypper",
            PackageManager::Apk => "apk",
        };
        let Some(program) = who.program(name) else {
            return Err(none(format!("{} without {name}", os.pretty_name)));
        };
        let dnf = Dialect::of(program);
        let sources = (!who.sources.is_empty()).then(|| Digest::of_bytes(who.sources));
        Ok(Self { transport, manager, os, dnf, sources, files: BTreeMap::new(), automatic: Vec::new() })
    }

    /// Which package manager it has.
    #[must_use]
    pub fn manager(&self) -> PackageManager {
        self.manager
    }

    /// Which distribution it is.
    #[must_use]
    pub fn os(&self) -> &OsRelease {
        &self.os
    }

    /// A digest of where its packages come from and whom they are believed, as it was when it was opened; nothing where it could not
    /// say.
    #[must_use]
    pub fn sources(&self) -> Option<Digest> {
        self.sources
    }

    /// The way to it.
    #[must_use]
    pub fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    /// With packages that lie on the machine as files, by name and architecture: transactions take them instead of the
    /// repositories'. apk is given none.
    #[must_use]
    pub fn with_files(mut self, files: BTreeMap<(String, Arch), String>) -> Self {
        self.files = files;
        self
    }

    /// What the name of a package's file ends in.
    #[must_use]
    pub fn file_suffix(&self) -> &'static str {
        match self.manager {
            PackageManager::Apt => ".deb",
            PackageManager::Dnf | PackageManager::Zypper => ".rpm",
            PackageManager::Apk => ".apk",
        }
    }

    /// The file of a package that lies on the machine, else how it is named.
    fn file_or(&self, package: Exactly<'_>, named: fn(Exactly<'_>) -> String) -> String {
        let file = self.files.get(&(package.0.to_owned(), package.1.clone()));
        file.cloned().unwrap_or_else(|| named(package))
    }

    /// With packages that nobody has asked for by name, whatever the machine says by now: as [`Guest::automatic`] has told.
    #[must_use]
    pub fn with_automatic(mut self, automatic: Vec<String>) -> Self {
        self.automatic = automatic;
        self
    }

    /// What is installed.
    ///
    /// # Errors
    /// When the machine cannot be reached or its database cannot be read.
    pub async fn installed(&self) -> Result<Installed, GuestError> {
        match self.manager {
            PackageManager::Apt => apt::installed(self).await,
            PackageManager::Dnf => dnf::installed(self).await,
            PackageManager::Zypper => zypper::installed(self).await,
            PackageManager::Apk => apk::installed(self).await,
        }
    }

    /// Reads the lists of all package sources anew.
    ///
    /// # Errors
    /// When a source does not answer, or another package manager is at work for longer than `wait`.
    pub async fn refresh(&self, wait: Duration) -> Result<(), GuestError> {
        match self.manager {
            PackageManager::Apt => apt::refresh(self, wait).await,
            PackageManager::Dnf => dnf::refresh(self, wait).await,
            PackageManager::Zypper => zypper::refresh(self, wait).await,
            PackageManager::Apk => apk::refresh(self, wait).await,
        }
    }

    /// What is pending, by the machine's own solver and the lists it has; sorted by package and architecture.
    ///
    /// # Errors
    /// When the solver refuses, or another package manager is at work for longer than `wait`.
    pub async fn pending(
        &self,
        installed: &Installed,
        ask: &Ask,
        wait: Duration,
    ) -> Result<Vec<PendingPatch>, GuestError> {
        match self.manager {
            PackageManager::Apt => apt::pending(self, installed, ask).await,
            PackageManager::Dnf => dnf::pending(self, installed, ask, wait).await,
            PackageManager::Zypper => zypper::pending(self, installed, ask, wait).await,
            PackageManager::Apk => apk::pending(self, installed, ask).await,
        }
    }

    /// Puts installed packages on hold, or takes the hold away.
    ///
    /// # Errors
    /// When the package manager does not.
    pub async fn hold(&self, packages: &[&InstalledPackage], hold: bool) -> Result<(), GuestError> {
        if packages.is_empty() {
            return Ok(());
        }
        match self.manager {
            PackageManager::Apt => apt::hold(self, packages, hold).await,
            PackageManager::Dnf => dnf::hold(self, packages, hold).await,
            PackageManager::Zypper => zypper::hold(self, packages, hold).await,
            PackageManager::Apk => apk::hold(self, packages, hold).await,
        }
    }

    /// Whether the package manager can work; waits for one that is at work for at most `wait`.
    ///
    /// # Errors
    /// [`GuestError::Locked`] when that one did not end.
    pub async fn ready(&self, wait: Duration) -> Result<Readiness, GuestError> {
        match self.manager {
            PackageManager::Apt => apt::ready(self, wait).await,
            PackageManager::Dnf => dnf::ready(self, wait).await,
            PackageManager::Zypper => zypper::ready(self, wait).await,
            PackageManager::Apk => apk::ready(self, wait).await,
        }
    }

    /// The job that finishes what the package manager was interrupted in; it does nothing where there is nothing to
    /// finish. `wait` is how long another one is waited for.
    #[must_use]
    pub fn repair(&self, wait: Duration) -> Job {
        match self.manager {
            PackageManager::Apt => apt::repair(wait),
            PackageManager::Dnf | PackageManager::Zypper => rpm::repair(),
            PackageManager::Apk => apk::repair(wait),
        }
    }

    /// The job that changes packages to exact versions, up or down, in one transaction; the solver has been asked
    /// that it would do this and nothing else. `wait` is how long another package manager is waited for.
    ///
    /// # Errors
    /// [`GuestError::Refused`] when a package is not in its planned version before, is on hold, or when the solver
    /// would do more, less or something else. Removals are refused.
    pub async fn transaction(&self, changes: &[PackageChange], wait: Duration) -> Result<Job, GuestError> {
        let installed = self.installed().await?;
        self.precondition(changes, &installed)?;
        let job = match self.manager {
            PackageManager::Apt => apt::transaction(self, changes, wait, &installed).await?,
            PackageManager::Dnf => dnf::transaction(self, changes, wait, &installed).await?,
            PackageManager::Zypper => zypper::transaction(self, changes, wait, &installed).await?,
            PackageManager::Apk => apk::transaction(self, changes, wait, &installed).await?,
        };
        Ok(job)
    }

    /// The job that changes packages back, whatever a transaction has left in the middle: it is finished first, as far as
    /// that goes. The solver has been asked that it would do this and nothing else.
    ///
    /// # Errors
    /// [`GuestError::Refused`] when the solver would do more, less or something else.
    pub async fn back(&self, changes: &[PackageChange], wait: Duration) -> Result<Job, GuestError> {
        let installed = self.installed().await?;
        let mut job = self.repair(wait);
        for step in &mut job.steps {
            // It may well fail: the versions that cannot be finished are those that go.
            step.must = false;
        }
        let staying: Vec<_> = changes.iter().filter(|change| change.to.is_some()).cloned().collect();
        let transaction = match self.manager {
            PackageManager::Apt => apt::transaction(self, &staying, wait, &installed).await?,
            PackageManager::Dnf => dnf::transaction(self, &staying, wait, &installed).await?,
            PackageManager::Zypper => zypper::transaction(self, &staying, wait, &installed).await?,
            // It removes by itself what came in new and nobody needs any more.
            PackageManager::Apk => apk::transaction(self, changes, wait, &installed).await?,
        };
        job.steps.extend(transaction.steps);
        Ok(job)
    }

    /// Which of these packages nobody has asked for by name, as `name:arch`: marked so on the machine, or to come in new
    /// because others need them. A transaction keeps that, but loses it when it fails.
    ///
    /// # Errors
    /// When the machine cannot be reached or its answer makes no sense.
    pub async fn automatic(&self, changes: &[PackageChange]) -> Result<Vec<String>, GuestError> {
        match self.manager {
            PackageManager::Apt => apt::automatic(self, changes, &self.installed().await?).await,
            // apk's world says who has been asked for by name, and is the same afterwards.
            PackageManager::Dnf | PackageManager::Zypper | PackageManager::Apk => Ok(Vec::new()),
        }
    }

    /// What the machine's repositories have of packages, as (name, architecture, version): the size of each file in bytes,
    /// and its SHA-256 by the signed index. Nothing where they have it no more, or where the package manager is none that
    /// tells.
    ///
    /// # Errors
    /// When the machine cannot be reached or its answer makes no sense.
    pub async fn offered(
        &self,
        packages: &[(&str, &Arch, &str)],
    ) -> Result<Vec<Option<(u64, Digest)>>, GuestError> {
        match self.manager {
            PackageManager::Apt => apt::offered(self, packages).await,
            PackageManager::Dnf => rpm::offered(self, self.dnf.lists(), packages).await,
            PackageManager::Zypper => rpm::offered(self, zypper::LISTS, packages).await,
            PackageManager::Apk => Ok(vec![None; packages.len()]),
        }
    }

    /// Has the machine download packages, as (name, architecture, version), into one of its folders, or folders below it.
    ///
    /// # Errors
    /// When its repositories do not have one, or its package manager is apk.
    pub async fn download(&self, folder: &str, packages: &[(&str, &Arch, &str)]) -> Result<(), GuestError> {
        match self.manager {
            PackageManager::Apt => apt::download(self, folder, packages).await,
            PackageManager::Dnf => dnf::download(self, folder, packages).await,
            PackageManager::Zypper => zypper::download(self, folder, packages).await,
            PackageManager::Apk => Err(self
                .refused("the files of its packages are not kept by this release: those of apk's are not")),
        }
    }

    /// Has the package manager go through a transaction up to the change itself, so that it refuses now what it would refuse
    /// then: packages without the signatures that its configuration wants, files that are in the way. Of zypper and apt, which
    /// look at all this when they download or read their lists, nothing is asked.
    ///
    /// # Errors
    /// When it refuses, or its repositories do not have a package.
    pub async fn rehearse(&self, changes: &[PackageChange]) -> Result<(), GuestError> {
        match self.manager {
            PackageManager::Dnf => dnf::rehearse(self, changes).await,
            PackageManager::Apt | PackageManager::Zypper | PackageManager::Apk => Ok(()),
        }
    }

    /// Whether every change is in place now.
    ///
    /// # Errors
    /// [`GuestError::Refused`] names what is not, and what was left in the middle.
    pub async fn settled(&self, changes: &[PackageChange]) -> Result<(), GuestError> {
        let installed = self.installed().await?;
        let mut wrong: Vec<String> = changes
            .iter()
            .filter(|change| !is_there(&installed, change))
            .map(|change| format!("{} is not {}", change.name, change.to.as_deref().unwrap_or("gone")))
            .collect();
        wrong.extend(installed.unfinished.iter().map(|name| format!("{name} was left in the middle")));
        if wrong.is_empty() { Ok(()) } else { Err(self.refused(&wrong.join("; "))) }
    }

    fn precondition(&self, changes: &[PackageChange], installed: &Installed) -> Result<(), GuestError> {
        if let [first, ..] = &installed.unfinished[..] {
            return Err(
                self.refused(&format!("{first} was left in the middle of an installation: repair first"))
            );
        }
        for change in changes {
            let name = &change.name;
            if change.to.is_none() {
                return Err(self.refused(&format!("{name} would be removed")));
            }
            let here: Vec<&InstalledPackage> = versions(installed, change).collect();
            if here.iter().any(|package| package.held) {
                return Err(self.refused(&format!("{name} is on hold")));
            }
            let as_planned = match &change.from {
                Some(from) => here.iter().any(|package| package.version == *from),
                None => here.is_empty(),
            };
            if !as_planned && !is_there(installed, change) {
                let words = match (here.first(), &change.from) {
                    (Some(package), Some(from)) => format!("{name} is {}, not {from}", package.version),
                    (Some(package), None) => format!("{name} {} is installed already", package.version),
                    (None, _) => format!("{name} is not installed"),
                };
                return Err(self.refused(&format!("changed since planning: {words}")));
            }
        }
        Ok(())
    }

    fn nothing_else(
        &self,
        changes: &[PackageChange],
        installed: &Installed,
        would: &[Move],
    ) -> Result<(), GuestError> {
        // What was left in the middle needs no move to its version: it is finished by the repair before. Nobody begins with
        // any but a way back, which is looked at afterwards.
        let needs_no_move = |change: &PackageChange| {
            is_there(installed, change) || installed.unfinished.contains(&change.name)
        };
        match exact::difference(changes, would, needs_no_move) {
            None => Ok(()),
            Some(words) => {
                Err(self.refused(&format!("the package manager would do something else: {words}")))
            }
        }
    }

    /// What becomes an argument is what it should be, and nothing that a package manager could take for an option, a pattern or a
    /// file: the functions say what a name, an architecture and a version may
    /// be, `spec` how all three are written.
    fn only_packages<'a>(
        &self,
        mut named: impl Iterator<Item = Exactly<'a>>,
        [is_package, is_arch, is_version]: [fn(&str) -> bool; 3],
        spec: impl Fn(Exactly<'a>) -> String,
    ) -> Result<(), GuestError> {
        match named
            .find(|(name, arch, version)| !is_package(name) || !is_arch(&arch.0) || !is_version(version))
        {
            None => Ok(()),
            Some(bad) => Err(self.refused(&format!("'{}' is no package in a version", spec(bad)))),
        }
    }

    fn refused(&self, reason: &str) -> GuestError {
        GuestError::Refused { host: self.transport.host().to_owned(), reason: printable(reason, 1000) }
    }

    fn failed(&self, command: &str, output: &Output, words: &str) -> GuestError {
        let said = String::from_utf8_lossy(&output.stderr);
        let words = match words {
            "" => said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim(),
            words => words,
        };
        GuestError::Failed {
            host: self.transport.host().to_owned(),
            program: command.to_owned(),
            code: output.code,
            words: printable(words, 1000),
        }
    }

    /// What a program printed, if it was content; else its own words, which `words` finds in that.
    fn good(&self, program: &str, output: Output, words: fn(&[u8]) -> String) -> Result<Output, GuestError> {
        if output.success() {
            return Ok(output);
        }
        Err(self.failed(program, &output, &words(&output.said())))
    }

    fn no_sense(&self, program: &str, error: &dyn std::error::Error) -> GuestError {
        GuestError::NoSense {
            host: self.transport.host().to_owned(),
            program: program.to_owned(),
            reason: printable(&error.to_string(), 300),
        }
    }

    /// Waits, for at most `wait`, while a script of ours ends with `code`: it prints who is at work then.
    async fn nobody_at_work(&self, script: &str, code: i32, wait: Duration) -> Result<(), GuestError> {
        let look = Command::new(["sh", "-c", script, "sh", &code.to_string()]);
        let at_work = |output: &Output| {
            (output.code == code).then(|| printable(String::from_utf8_lossy(&output.stdout).trim(), 200))
        };
        self.patiently(look, wait, at_work).await.map(|_| ())
    }

    /// Runs a command again while `locked` says that another package manager is at work, for at most `wait`.
    async fn patiently(
        &self,
        command: Command,
        wait: Duration,
        locked: impl Fn(&Output) -> Option<String>,
    ) -> Result<Output, GuestError> {
        let began = Instant::now();
        loop {
            let output = self.transport.run(command.clone()).await?;
            let Some(holder) = locked(&output) else { return Ok(output) };
            if began.elapsed() >= wait {
                let host = self.transport.host().to_owned();
                return Err(GuestError::Locked { host, holder, waited: wait });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn versions<'a>(
    installed: &'a Installed,
    change: &'a PackageChange,
) -> impl Iterator<Item = &'a InstalledPackage> {
    installed.packages.iter().filter(move |p| p.name == change.name && p.arch == change.arch)
}

fn is_there(installed: &Installed, change: &PackageChange) -> bool {
    match &change.to {
        Some(to) => versions(installed, change).any(|package| package.version == *to),
        None => versions(installed, change).next().is_none(),
    }
}

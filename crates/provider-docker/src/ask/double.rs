//! A target's double: a throw-away container with all of its files, in which its package manager is asked.
//!
//! apt can be told to take another system's packages for its own, and so one helper serves many targets ([`super::lists`]). rpm's package
//! managers and apk cannot: they are asked where those packages are, of the target's image, or, where the target has written into its own
//! layer, of a copy of that. What is asked and what the answers mean is the same as on any machine ([`Guest`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use patchyard_assess::deb::apt::words::{Trouble, trouble, without_credentials};
use patchyard_contract::{Ask, Command, Output, ProviderError, Transport, TransportError};
use patchyard_guest::transport::{GRACE, late, timed_out, wrap};
use patchyard_guest::{Guest, GuestError, Installed};
use patchyard_types::{
    Digest, InstalledPackage, Inventory, PackageChange, PackageManager, PendingPatch, Target, printable,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::fetch::{Wanted, all, keep, missing, take_out, wrong_file};
use super::helper::{self, Helper};
use super::lists::{self, Lists};
use super::{copy, words};
use crate::client::{ApiError, EntryKind};
use crate::read::is_untouched;
use crate::{DockerProvider, unsaved, view};

/// How long another question to the same double is waited for.
const LOCK: Duration = Duration::from_secs(60);
/// How much of the end of a program's error output is kept, in bytes.
const STDERR: usize = 64 * 1024;

/// A target's double.
pub(crate) struct Double<'a> {
    docker: &'a DockerProvider,
    lists: Arc<Lists>,
    key: Digest,
    /// It has its image's files, and stands for all containers of that.
    is_of_image: bool,
    /// Whose files it has: an image's or a container's.
    whose: String,
    /// Which image's, and what is mounted over them.
    files: Digest,
    guest: Result<Guest, GuestError>,
}

/// What a package manager tells of a target.
pub(crate) struct Known {
    /// Which one it is.
    pub manager: PackageManager,
    /// What is installed.
    pub packages: Vec<InstalledPackage>,
    /// Of everything that decides what it answers.
    pub digest: Digest,
}

impl<'a> Double<'a> {
    /// Finds the double, or makes it.
    ///
    /// # Errors
    /// When the engine makes none. One without a package manager is no error yet.
    pub async fn of(docker: &'a DockerProvider, target: &Target) -> Result<Self, ProviderError> {
        let inspect = lists::inspect(docker, target).await?;
        Self::of_container(docker, target, &inspect).await
    }

    /// The same; `inspect` is the container's document.
    ///
    /// # Errors
    /// As [`Double::of`].
    pub async fn of_container(
        docker: &'a DockerProvider,
        target: &Target,
        inspect: &Value,
    ) -> Result<Self, ProviderError> {
        let client = &docker.client;
        let asked = async {
            let is_touched = !is_untouched(docker, inspect) && unsaved::is_touched(docker, inspect).await?;
            let reach = match is_touched {
                false => helper::reach(client, inspect).await?,
                true => helper::reach_of_its_own(client, inspect).await?,
            };
            Ok((is_touched, reach))
        };
        let (is_touched, reach) = asked.await.map_err(|error: ApiError| docker.error(error))?;
        let (image, mounts) = (&target.image.id, view::needed(inspect));
        let files = Digest::of(&(image, &mounts));
        let whose = if is_touched { &target.object } else { image };
        let key = Digest::of(&(&reach, whose, &mounts));
        let made = Box::pin(async {
            let made = Helper::like(docker, inspect, is_touched, &reach).await;
            made.map_err(|error| copy::no_helper(docker, target, error))
        });
        let lists = docker.shelf.take(key, made).await?;
        let inside = Inside { lists: Arc::clone(&lists), name: target.name.clone() };
        let guest = Guest::open(Arc::new(inside)).await;
        Ok(Self { docker, lists, key, is_of_image: !is_touched, whose: whose.clone(), files, guest })
    }

    /// What is installed; nothing where there is no package manager that can be asked.
    ///
    /// # Errors
    /// When there is one and its answer is none.
    pub async fn known(&self) -> Result<Option<Known>, ProviderError> {
        let guest = match &self.guest {
            Err(GuestError::NoPackageManager { .. }) => return Ok(None),
            guest => guest.as_ref().map_err(no_answer)?,
        };
        let Installed { packages, unfinished } =
            guest.installed().await.map_err(|error| no_answer(&error))?;
        // Without its sources known nobody else is like it.
        let alone = guest.sources().is_none().then_some(&self.whose);
        let digest = Digest::of(&(self.files, &packages, unfinished, guest.sources(), alone));
        Ok(Some(Known { manager: guest.manager(), packages, digest }))
    }

    /// What is pending, by the lists of its package sources as they are now.
    ///
    /// # Errors
    /// When there is no package manager, or no answer.
    pub async fn pending(
        &self,
        inventory: &Inventory,
        ask: &Ask,
    ) -> Result<Vec<PendingPatch>, ProviderError> {
        let guest = self.with_fresh_lists().await?;
        let installed = Installed { packages: inventory.packages.to_vec(), unfinished: Vec::new() };
        guest.pending(&installed, ask, LOCK).await.map_err(|error| no_answer(&error))
    }

    /// Fetches the bytes of packages into the cache, after the package manager has said that it would take them.
    ///
    /// # Errors
    /// When it would not, or what it downloads is not what was planned.
    pub async fn fetch(&self, packages: &[PackageChange]) -> Result<(), ProviderError> {
        let guest = self.with_fresh_lists().await?;
        // What an earlier patch has brought is in the plan, too: its image's own repositories may have it no more.
        let installed = guest.installed().await.map_err(|error| no_answer(&error))?.packages;
        let is_there = |change: &PackageChange| {
            installed.iter().any(|package| {
                (&package.name, &package.arch) == (&change.name, &change.arch)
                    && Some(&package.version) == change.to.as_ref()
            })
        };
        let (there, coming): (Vec<_>, Vec<_>) = packages.iter().cloned().partition(is_there);
        let mut wanted: Vec<Wanted<'_>> = missing(self.docker, &there).collect();
        if !coming.is_empty() {
            // What the cache has may have come from a target that believes others.
            guest.rehearse(&coming).await.map_err(|error| no_answer(&error))?;
            self.are_still_offered(guest, &coming).await?;
        }
        match guest.manager() {
            // It looks at the signatures of packages when it downloads them.
            PackageManager::Zypper => wanted.extend(all(&coming)),
            _ => wanted.extend(missing(self.docker, &coming)),
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let of_engine = |error: ApiError| self.docker.error(error);
        let folder = self.lists.download_folder().await.map_err(of_engine)?;
        let named: Vec<_> = wanted.iter().map(Wanted::named).collect();
        guest.download(&folder, &named).await.map_err(|error| no_answer(&error))?;
        let client = &self.docker.client;
        let mut archive = client.archive(self.lists.helper.name(), &folder).await.map_err(of_engine)?;
        // Each package manager names files in its own way: their bytes tell which is which.
        while let Some(entry) = archive.next().await.map_err(of_engine)? {
            if entry.kind != EntryKind::File || !wanted.iter().any(|file| file.package.size == entry.size) {
                continue;
            }
            let mut hash = Sha256::new();
            let scratch = take_out(self.docker, &mut archive, |piece| hash.update(piece)).await?;
            let sha256 = Digest::from_bytes(hash.finalize().into());
            match wanted.iter().position(|file| file.sha256 == sha256) {
                Some(at) => {
                    let file = wanted.swap_remove(at);
                    keep(self.docker, scratch, sha256, &file.package.name).await?;
                }
                None => drop(std::fs::remove_file(scratch)),
            }
        }
        match wanted.first() {
            None => Ok(()),
            Some(Wanted { package, version, .. }) => Err(wrong_file(format!(
                "{} {}: what was downloaded has not the SHA-256 that the repository's index tells of",
                package.name,
                printable(version, 100)
            ))),
        }
    }

    /// The lists may be others by now than when it was asked what is pending: what was rehearsed has to be what was planned.
    async fn are_still_offered(
        &self,
        guest: &Guest,
        packages: &[PackageChange],
    ) -> Result<(), ProviderError> {
        let planned: Vec<_> = all(packages).collect();
        let named: Vec<_> = planned.iter().map(Wanted::named).collect();
        let offered = guest.offered(&named).await.map_err(|error| no_answer(&error))?;
        let is_another = |offer: &Option<(u64, Digest)>, file: &Wanted<'_>| {
            offer.is_none_or(|(_, sha256)| sha256 != file.sha256)
        };
        match planned.iter().zip(&offered).find(|(file, offer)| is_another(offer, file)) {
            None => Ok(()),
            Some((Wanted { package, version, .. }, _)) => Err(ProviderError::NoAnswer {
                reason: format!("its repositories have another {} {version} by now", package.name),
                hint: "scan again: patchyard scan --refresh".to_owned(),
            }),
        }
    }

    async fn with_fresh_lists(&self) -> Result<&Guest, ProviderError> {
        let guest = self.guest.as_ref().map_err(no_answer)?;
        let patience = self.docker.patience;
        let read = async || match tokio::time::timeout(patience, guest.refresh(LOCK)).await {
            Ok(read) => read.map_err(|error| no_answer(&error)),
            Err(_) => Err(ProviderError::NoAnswer {
                reason: format!("its package lists could not be read within {} s", patience.as_secs()),
                hint: "check that a container on the same network reaches the package repositories"
                    .to_owned(),
            }),
        };
        self.lists.read.get_or_init(read).await.clone().map(|()| guest)
    }

    /// Leaves the double to whoever asks next about the same image. Where there was no answer it goes: something may still run in it.
    pub async fn leave<T>(self, answer: Result<T, ProviderError>) -> Result<T, ProviderError> {
        let Self { docker, lists, key, is_of_image, guest, .. } = self;
        drop(guest);
        if answer.is_err() || !is_of_image {
            docker.shelf.end(&key, lists).await;
        }
        answer
    }
}

/// The inside of a double, as of any machine.
struct Inside {
    lists: Arc<Lists>,
    /// The target's, for messages.
    name: String,
}

#[async_trait]
impl Transport for Inside {
    fn host(&self) -> &str {
        &self.name
    }

    async fn run(&self, command: Command) -> Result<Output, TransportError> {
        if !command.stdin.is_empty() {
            return Err(TransportError::Invalid { reason: "nothing is read in a double".to_owned() });
        }
        let argv = wrap(&command)?;
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let began = Instant::now();
        let run = self.lists.helper.run(&argv, command.limit + GRACE, command.most.saturating_add(1));
        let mut output = match run.await {
            Ok(output) => output,
            Err(ApiError::Timeout { .. }) => return Err(late(&self.name, &command)),
            Err(error) => {
                let (host, reason) = (self.name.clone(), printable(&error.to_string(), 300));
                return Err(TransportError::Unreachable { host, reason });
            }
        };
        let code = i32::try_from(output.exit).unwrap_or(-1);
        if timed_out(code, began.elapsed(), command.limit) {
            return Err(late(&self.name, &command));
        }
        if output.stdout.len() > command.most {
            let (host, program) = (self.name.clone(), command.program().to_owned());
            return Err(TransportError::TooMuch { host, program, limit: command.most });
        }
        output.stderr.drain(..output.stderr.len().saturating_sub(STDERR));
        Ok(Output { code, stdout: output.stdout, stderr: output.stderr })
    }
}

/// What is told of a package manager that does not answer.
fn no_answer(error: &GuestError) -> ProviderError {
    let reason = match error {
        GuestError::NoPackageManager { seen, .. } => format!("no package manager that is known here: {seen}"),
        GuestError::Failed { words, .. } if !words.is_empty() => without_credentials(words),
        GuestError::Failed { program, code, .. } => format!("{program} ended with exit code {code}"),
        GuestError::Transport(TransportError::TimedOut { program, after, .. }) => {
            format!("{program} did not end within {} s", after.as_secs())
        }
        other => other.to_string(),
    };
    let hint = match trouble(&reason) {
        Some(Trouble::Key) => "put the repository's key into the image (gpgkey)".to_owned(),
        Some(Trouble::Credentials) => {
            "put the credentials into the repository's file in the image".to_owned()
        }
        _ => words::hint(&reason),
    };
    ProviderError::NoAnswer { reason: printable(&reason, 1000), hint }
}

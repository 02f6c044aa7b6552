//! Fetches the bytes of packages into the controller's cache: downloaded in a helper from the target's
//! own sources, copied out by the engine, verified against the signed index's SHA-256.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use patchyard_assess::deb::apt::ask as questions;
use patchyard_assess::package_manager_of;
use patchyard_contract::{CacheError, ProviderError};
use patchyard_types::{Arch, Digest, PackageChange, PackageManager, Target, printable};
use tokio::io::AsyncWriteExt;

use super::double::Double;
use super::lists::Desk;
use super::{asked, good};
use crate::DockerProvider;
use crate::client::{ApiError, EntryKind, TarReader};
use crate::read::inventory;

/// How long all downloads of one target may take.
const DOWNLOAD: Duration = Duration::from_secs(1800);

/// One file that is wanted: of which package in which version, and what its bytes must be.
pub(super) struct Wanted<'a> {
    pub package: &'a PackageChange,
    pub version: &'a str,
    pub sha256: Digest,
}

pub(crate) async fn fetch(
    docker: &DockerProvider,
    target: &Target,
    packages: &[PackageChange],
) -> Result<(), ProviderError> {
    let mut wanted = BTreeMap::new();
    let mut specs = Vec::new();
    for Wanted { package, version, sha256 } in missing(docker, packages) {
        let name = questions::file_name(&package.name, version, &package.arch.0);
        wanted.insert(name, Wanted { package, version, sha256 });
        specs.push(questions::exactly(&package.name, &package.arch, version));
    }
    // What apt tells of comes from signed indices, whoever has fetched it.
    let is_apt = target.os.as_ref().and_then(|os| package_manager_of(&os.id)) == Some(PackageManager::Apt);
    if wanted.is_empty() && is_apt {
        return Ok(());
    }
    let inventory = inventory(docker, target).await?;
    let _slot = docker.helper_slot().await;
    if inventory.package_manager != Some(PackageManager::Apt) {
        let double = Double::of(docker, target).await?;
        let fetched = double.fetch(packages).await;
        return double.leave(fetched).await;
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let desk = Desk::of(docker, target, &inventory).await?;
    let fetched = download(docker, &desk, &specs, wanted).await;
    desk.leave(fetched).await
}

impl<'a> Wanted<'a> {
    /// As a package manager is told of it.
    pub fn named(&self) -> (&'a str, &'a Arch, &'a str) {
        (&self.package.name, &self.package.arch, self.version)
    }
}

/// The packages of these that come in.
pub(super) fn all(packages: &[PackageChange]) -> impl Iterator<Item = Wanted<'_>> {
    packages.iter().filter_map(|package| {
        let (version, sha256) = (package.to.as_deref()?, package.sha256?);
        Some(Wanted { package, version, sha256 })
    })
}

/// Those of them that the cache does not have.
pub(super) fn missing<'a>(
    docker: &'a DockerProvider,
    packages: &'a [PackageChange],
) -> impl Iterator<Item = Wanted<'a>> {
    all(packages).filter(|file| docker.options.cache.find(&file.sha256).is_none())
}

async fn download(
    docker: &DockerProvider,
    desk: &Desk<'_>,
    specs: &[String],
    mut wanted: BTreeMap<String, Wanted<'_>>,
) -> Result<(), ProviderError> {
    let client = &docker.client;
    let (helper, folder) = desk.download_folder().await.map_err(|error| docker.error(error))?;
    let argv = questions::download(specs.iter().cloned());
    let output = desk.run_in(&folder, &argv, DOWNLOAD, 256 * 1024).await;
    let output = output.map_err(|error| asked(docker, "the download", error))?;
    good(output)?;

    let mut archive = client.archive(helper, &folder).await.map_err(|error| docker.error(error))?;
    while let Some(entry) = archive.next().await.map_err(|error| docker.error(error))? {
        let name = entry.path.rsplit('/').next().unwrap_or_default();
        let Some(file) = wanted.remove(name).filter(|_| entry.kind == EntryKind::File) else { continue };
        if entry.size != file.package.size {
            return Err(wrong_file(format!(
                "{} has {} bytes, the signed index says {}: it was not kept",
                printable(name, 200),
                entry.size,
                file.package.size
            )));
        }
        let scratch = take_out(docker, &mut archive, |_| {}).await?;
        keep(docker, scratch, file.sha256, name).await?;
    }
    match wanted.into_keys().next() {
        None => Ok(()),
        Some(missing) => Err(ProviderError::NoAnswer {
            reason: format!("apt did not download {}", printable(&missing, 200)),
            hint: "scan again: the repository may have changed meanwhile".to_owned(),
        }),
    }
}

/// Writes the file at which an archive is to where it can be kept from; `seen` is shown its bytes.
pub(super) async fn take_out(
    docker: &DockerProvider,
    archive: &mut TarReader,
    mut seen: impl FnMut(&[u8]),
) -> Result<PathBuf, ProviderError> {
    let scratch = docker.options.cache.scratch().map_err(|error| local(&error))?;
    let mut to = tokio::fs::File::create(&scratch).await.map_err(|error| disk(&scratch, &error))?;
    while let Some(piece) = archive.chunk().await.map_err(|error: ApiError| docker.error(error))? {
        seen(&piece);
        to.write_all(&piece).await.map_err(|error| disk(&scratch, &error))?;
    }
    to.flush().await.map_err(|error| disk(&scratch, &error))?;
    Ok(scratch)
}

/// Keeps what was taken out, if it is what it should be; `name` is what it is called to people.
pub(super) async fn keep(
    docker: &DockerProvider,
    scratch: PathBuf,
    sha256: Digest,
    name: &str,
) -> Result<(), ProviderError> {
    let cache = docker.options.cache.clone();
    let kept = tokio::task::spawn_blocking(move || cache.keep(&scratch, &sha256)).await;
    match kept {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error @ CacheError::WrongBytes { .. })) => {
            Err(wrong_file(format!("{}: {error}", printable(name, 200))))
        }
        Ok(Err(error)) => Err(local(&error)),
        Err(error) => Err(ProviderError::Local { reason: format!("verifying a package: {error}") }),
    }
}

/// What is told when a file is not what the repository's index says.
pub(super) fn wrong_file(reason: String) -> ProviderError {
    let hint = "the mirror serves wrong files: try again later, or use another mirror".to_owned();
    ProviderError::NoAnswer { reason, hint }
}

fn local(error: &CacheError) -> ProviderError {
    ProviderError::Local { reason: error.to_string() }
}

fn disk(path: &std::path::Path, error: &std::io::Error) -> ProviderError {
    ProviderError::Local { reason: format!("cannot write {}: {error}", path.display()) }
}

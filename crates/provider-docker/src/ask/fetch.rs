//! Fetches the bytes of packages into the controller's cache: downloaded in a helper from the target's
//! own sources, copied out by the engine, verified against the signed index's SHA-256.

use std::collections::BTreeMap;
use std::time::Duration;

use patchyard_assess::deb::apt::ask as questions;
use patchyard_contract::{CacheError, ProviderError};
use patchyard_types::{Digest, PackageChange, Target, printable};
use tokio::io::AsyncWriteExt;

use super::lists::Desk;
use super::{asked, good};
use crate::DockerProvider;
use crate::client::{ApiError, EntryKind};
use crate::read::inventory;

/// How long all downloads of one target may take.
const DOWNLOAD: Duration = Duration::from_secs(1800);

/// One file that is wanted: what it is called, how large it may be, what its bytes must be.
struct Wanted<'a> {
    package: &'a PackageChange,
    sha256: Digest,
}

pub(crate) async fn fetch(
    docker: &DockerProvider,
    target: &Target,
    packages: &[PackageChange],
) -> Result<(), ProviderError> {
    let mut wanted = BTreeMap::new();
    let mut specs = Vec::new();
    for package in packages {
        let (Some(version), Some(sha256)) = (&package.to, package.sha256) else { continue };
        if docker.options.cache.find(&sha256).is_none() {
            wanted.insert(
                questions::file_name(&package.name, version, &package.arch.0),
                Wanted { package, sha256 },
            );
            specs.push(questions::exactly(&package.name, &package.arch, version));
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let _slot = docker.helper_slot().await;
    let desk = Desk::of(docker, target, &inventory(docker, target).await?).await?;
    let fetched = download(docker, &desk, &specs, wanted).await;
    desk.leave(fetched).await
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
            return Err(ProviderError::NoAnswer {
                reason: format!(
                    "{} has {} bytes, the signed index says {}: it was not kept",
                    printable(name, 200),
                    entry.size,
                    file.package.size
                ),
                hint: "the mirror serves wrong files: try again later, or use another mirror".to_owned(),
            });
        }
        let scratch = docker.options.cache.scratch().map_err(|error| local(&error))?;
        let mut to = tokio::fs::File::create(&scratch).await.map_err(|error| disk(&scratch, &error))?;
        while let Some(piece) = archive.chunk().await.map_err(|error: ApiError| docker.error(error))? {
            to.write_all(&piece).await.map_err(|error| disk(&scratch, &error))?;
        }
        to.flush().await.map_err(|error| disk(&scratch, &error))?;
        drop(to);
        let (cache, sha256) = (docker.options.cache.clone(), file.sha256);
        let kept = tokio::task::spawn_blocking(move || cache.keep(&scratch, &sha256)).await;
        match kept {
            Ok(Ok(_)) => {}
            Ok(Err(error @ CacheError::WrongBytes { .. })) => {
                return Err(ProviderError::NoAnswer {
                    reason: format!("{}: {error}", printable(name, 200)),
                    hint: "the mirror serves wrong files: try again later, or use another mirror".to_owned(),
                });
            }
            Ok(Err(error)) => return Err(local(&error)),
            Err(error) => {
                return Err(ProviderError::Local { reason: format!("verifying a package: {error}") });
            }
        }
    }
    match wanted.into_keys().next() {
        None => Ok(()),
        Some(missing) => Err(ProviderError::NoAnswer {
            reason: format!("apt did not download {}", printable(&missing, 200)),
            hint: "scan again: the repository may have changed meanwhile".to_owned(),
        }),
    }
}

fn local(error: &CacheError) -> ProviderError {
    ProviderError::Local { reason: error.to_string() }
}

fn disk(path: &std::path::Path, error: &std::io::Error) -> ProviderError {
    ProviderError::Local { reason: format!("cannot write {}: {error}", path.display()) }
}

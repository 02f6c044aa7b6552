//! The bytes of packages: from a machine into the controller's cache, and from the cache onto a machine.

use patchyard_contract::{CacheError, ProviderError};
use patchyard_guest::{Guest, GuestError, files};
use patchyard_types::{Arch, Digest, PackageChange, printable};

use crate::HostProvider;

/// One package whose file is wanted.
pub(super) struct Wanted<'a> {
    pub name: &'a str,
    pub arch: &'a Arch,
    pub version: &'a str,
    pub sha256: Digest,
    pub size: u64,
}

/// What planning pins: has the machine download what the cache does not have yet, from its own repositories.
pub(crate) async fn fetch(
    host: &HostProvider,
    guest: &Guest,
    packages: &[PackageChange],
) -> Result<(), ProviderError> {
    let wanted = packages.iter().filter_map(|package| {
        let (version, sha256) = (package.to.as_deref()?, package.sha256?);
        Some(Wanted { name: &package.name, arch: &package.arch, version, sha256, size: package.size })
    });
    bring(host, guest, wanted.collect()).await
}

/// Brings files into the cache that are not there yet.
pub(super) async fn bring(
    host: &HostProvider,
    guest: &Guest,
    mut wanted: Vec<Wanted<'_>>,
) -> Result<(), ProviderError> {
    let cache = &host.options.cache;
    wanted.retain(|package| cache.find(&package.sha256).is_none());
    if wanted.is_empty() {
        return Ok(());
    }
    let no_answer = |error: GuestError| super::no_answer(host, error);
    // A plan may be made while a rollout is under way: each process has its own.
    let (controller, process) = (host.controller8(), std::process::id());
    let folder = format!("{}/fetch-{controller}.{process}", crate::leftovers::ROOT);
    let sh = |script: &'static str| {
        let command = patchyard_contract::Command::new(["sh", "-c", script, "sh", &folder]);
        async move { host.transport.run(command).await.map_err(|error| no_answer(error.into())) }
    };
    sh("umask 077; rm -rf -- \"$1\" && mkdir -p -- \"$1\"").await?;
    let brought = async {
        let specs: Vec<_> = wanted.iter().map(|p| (p.name, p.arch, p.version)).collect();
        guest.download(&folder, &specs).await.map_err(no_answer)?;
        // Each package manager names files in its own way.
        let hashes = sh(HASHES).await?;
        if !hashes.success() || hashes.stdout.is_empty() {
            let said = String::from_utf8_lossy(&hashes.stderr);
            return Err(ProviderError::NoAnswer {
                reason: format!(
                    "its package manager has downloaded nothing that can be read: {}",
                    printable(said.trim(), 200)
                ),
                hint: String::new(),
            });
        }
        let hashes = String::from_utf8_lossy(&hashes.stdout);
        for package in &wanted {
            let hash = package.sha256.to_string();
            let path = hashes.lines().find_map(|line| line.strip_prefix(&hash)?.strip_prefix("  "));
            let path = path.ok_or_else(|| wrong_bytes(package))?;
            // One byte more shows that it is larger than the signed index says.
            let most = usize::try_from(package.size).unwrap_or(usize::MAX).saturating_add(1);
            let bytes = files::read(&*host.transport, path, most).await.map_err(no_answer)?;
            keep(host, bytes, package).await?;
        }
        Ok(())
    };
    let brought = brought.await;
    sh("rm -rf -- \"$1\"").await?;
    brought
}

/// sh … FOLDER: the hashes of the files below it.
const HASHES: &str = "find \"$1\" -type f -exec sha256sum -- {} +";

fn wrong_bytes(package: &Wanted<'_>) -> ProviderError {
    ProviderError::NoAnswer {
        reason: format!(
            "{} {}: what was downloaded has not the SHA-256 that the repository's index tells of",
            package.name,
            printable(package.version, 100)
        ),
        hint: "the mirror serves wrong files: try again later, or use another mirror".to_owned(),
    }
}

async fn keep(host: &HostProvider, bytes: Vec<u8>, package: &Wanted<'_>) -> Result<(), ProviderError> {
    let (cache, sha256) = (host.options.cache.clone(), package.sha256);
    let kept = tokio::task::spawn_blocking(move || {
        let scratch = cache.scratch()?;
        std::fs::write(&scratch, bytes).map_err(|source| CacheError::Io { path: scratch.clone(), source })?;
        cache.keep(&scratch, &sha256).map(|_| ())
    });
    match kept.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(CacheError::WrongBytes { .. })) => Err(wrong_bytes(package)),
        Ok(Err(error)) => Err(ProviderError::Local { reason: error.to_string() }),
        Err(error) => Err(ProviderError::Local { reason: format!("verifying a package: {error}") }),
    }
}

/// The bytes of a file of the cache.
pub(super) async fn cached(host: &HostProvider, sha256: &Digest) -> Result<Option<Vec<u8>>, ProviderError> {
    let Some(path) = host.options.cache.find(sha256) else { return Ok(None) };
    let read = tokio::task::spawn_blocking(move || std::fs::read(&path).map_err(|error| (path, error)));
    match read.await {
        Ok(Ok(bytes)) => Ok(Some(bytes)),
        Ok(Err((path, error))) => {
            Err(ProviderError::Local { reason: format!("cannot read {}: {error}", path.display()) })
        }
        Err(error) => Err(ProviderError::Local { reason: format!("reading a package: {error}") }),
    }
}

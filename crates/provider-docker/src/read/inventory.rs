//! What a target has installed, read from its package database through the engine: nothing is started.
//!
//! Two archives and a look at a folder; both archives are read as they arrive, with limits. Once for all targets of an
//! image that are seen not to have changed what they tell ([`untouched`]), else once a target. Databases of rpm and apk are
//! read by their own programs in the target's double ([`Double`]).

use std::sync::Arc;

use patchyard_assess::deb::apt::words::hide_credentials;
use patchyard_assess::deb::{
    Layout, StatusError, StatusReader, is_status_d_member, sources_digest, state_digest,
};
use patchyard_assess::package_manager_of;
use patchyard_contract::ProviderError;
use patchyard_types::{
    Digest, InstalledPackage, Inventory, OsRelease, PackageManager, StartingState, Target,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::json::text;
use super::target::keyed_digest;
use super::untouched;
use crate::DockerProvider;
use crate::ask::{Double, Known, Named};
use crate::client::{ApiError, Client, DEFAULT_TIMEOUT, EntryKind};
use crate::unsaved::is_under;
use crate::view::{self, View};

const STATUS: &str = "/var/lib/dpkg/status";
const STATUS_D: &str = "/var/lib/dpkg/status.d";
const APT: &str = "/etc/apt";
const KEYRINGS: &str = "/usr/share/keyrings";

/// By this, apt decides which phased updates have reached a machine.
pub(crate) const MACHINE_ID: &str = "/etc/machine-id";
/// The most that file may take, in bytes; it has one line.
const MACHINE_ID_LIMIT: u64 = 1024 * 1024;

/// The largest package database that is read, in bytes; a desktop's has 8 MiB.
pub(crate) const DATABASE_LIMIT: u64 = 256 * 1024 * 1024;
/// The most that the configuration of apt may take, in bytes and in files.
const CONFIG_LIMIT: u64 = 8 * 1024 * 1024;
const CONFIG_FILES: usize = 5000;

/// Where databases of other package managers are.
const OTHERS: [(&str, PackageManager); 5] = [
    ("/lib/apk/db/installed", PackageManager::Apk),
    ("/usr/lib/apk/db/installed", PackageManager::Apk),
    ("/var/lib/rpm", PackageManager::Dnf),
    ("/usr/lib/sysimage/rpm", PackageManager::Dnf),
    ("/usr/share/rpm", PackageManager::Dnf),
];

pub(crate) async fn inventory(docker: &DockerProvider, target: &Target) -> Result<Inventory, ProviderError> {
    let _slot = docker.slot().await;
    read(docker, target).await.map_err(|problem| match problem {
        Problem::Api(error) if error.is_not_found() => ProviderError::Gone { object: target.name.clone() },
        Problem::Api(error @ ApiError::TooLarge { limit, .. }) => {
            view::too_much_written(&error).unwrap_or_else(|| too_large(limit))
        }
        Problem::Api(error) => docker.error(error),
        Problem::Manager(error) => error,
        Problem::Database(error) => ProviderError::NoAnswer {
            reason: error.to_string(),
            hint: "look at /var/lib/dpkg/status in the container: it is no database of a real system"
                .to_owned(),
        },
    })
}

fn too_large(limit: u64) -> ProviderError {
    ProviderError::NoAnswer {
        reason: format!(
            "its package database or the configuration of its package manager is larger than {} MiB",
            limit / (1024 * 1024)
        ),
        hint: "look at /var/lib/dpkg and /etc/apt in the container: real ones are far smaller".to_owned(),
    }
}

enum Problem {
    Api(ApiError),
    Database(StatusError),
    /// What a package manager that was asked has to say.
    Manager(ProviderError),
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<StatusError> for Problem {
    fn from(error: StatusError) -> Self {
        Self::Database(error)
    }
}

async fn read(docker: &DockerProvider, target: &Target) -> Result<Inventory, Problem> {
    let inspect = docker.client.inspect(&target.object, DEFAULT_TIMEOUT).await?;
    let platform = platform(docker, &target.image.id).await?;
    let installed = match of_image(docker, target, &inspect).await? {
        Some(installed) => installed,
        None => installed_in(docker, target, &inspect).await?,
    };
    let Installed { package_manager, packages, sources, digest } = installed;
    Ok(Inventory {
        os: target.os.clone(),
        package_manager,
        packages,
        sources,
        starting: StartingState { platform, image: target.image.id.clone(), packages: digest },
    })
}

/// What package managers tell of a container or an image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Installed {
    package_manager: Option<PackageManager>,
    packages: Arc<[InstalledPackage]>,
    /// Of what decides about that besides the packages, where it leans on nothing of the image.
    sources: Option<Digest>,
    /// Of everything that decides what a package manager answers.
    digest: Option<Digest>,
}

impl Installed {
    /// What is known without asking its package manager, which is not apt.
    fn by(manager: PackageManager, digest: Digest) -> Self {
        Self { package_manager: Some(manager), packages: Arc::default(), sources: None, digest: Some(digest) }
    }

    /// Whether a package manager has not told what it knows: it may another time.
    fn is_unasked(&self) -> bool {
        self.package_manager.is_some() && self.packages.is_empty()
    }
}

/// What a container has of its image, where it is seen to have changed nothing of it: read from the first such
/// container, and kept.
async fn of_image(
    docker: &DockerProvider,
    target: &Target,
    inspect: &Value,
) -> Result<Option<Installed>, Problem> {
    if !untouched::is_untouched(docker, inspect) {
        return Ok(None);
    }
    let image = text(&inspect["Image"]);
    let cell = docker.installed_in_image(image);
    let reading = || async {
        let memory = docker.memory_of("installed", image);
        if let Some(installed) = memory.recall().await {
            return Ok(installed);
        }
        let installed = installed_in(docker, target, inspect).await.map_err(Some)?;
        // It may have been changed while it was read.
        if !untouched::is_untouched(docker, inspect) {
            return Err(None);
        }
        if !installed.is_unasked() {
            memory.remember(&installed).await;
        }
        Ok(installed)
    };
    match cell.get_or_try_init(reading).await {
        Ok(installed) => Ok(Some(installed.clone())),
        Err(None) => Ok(None),
        Err(Some(problem)) => Err(problem),
    }
}

async fn installed_in(
    docker: &DockerProvider,
    target: &Target,
    inspect: &Value,
) -> Result<Installed, Problem> {
    let view = View::open(docker, inspect).await?;
    let installed = read_from(docker, view.name(), text(&inspect["Image"]), target.os.as_ref()).await;
    view.finish().await;
    let installed = installed?;
    if matches!(installed.package_manager, None | Some(PackageManager::Apt)) {
        return Ok(installed);
    }
    // Databases that only their own programs read.
    let _slot = docker.helper_slot().await;
    let asked = async {
        let double = Double::of_container(docker, target, inspect).await?;
        let known = double.known().await;
        double.leave(known).await
    };
    let known = match Box::pin(asked).await {
        // Who asks what is pending is told so; a newer image can be had without.
        Err(ProviderError::NoAnswer { .. }) => None,
        known => known.map_err(Problem::Manager)?,
    };
    Ok(known.map_or(installed, |Known { manager, packages, digest }| Installed {
        package_manager: Some(manager),
        packages: packages.into(),
        sources: None,
        digest: Some(digest),
    }))
}

async fn read_from(
    docker: &DockerProvider,
    container: &str,
    image: &str,
    os: Option<&OsRelease>,
) -> Result<Installed, Problem> {
    // dpkg is a package of other distributions, too.
    let is_other = os.and_then(|os| package_manager_of(&os.id)).is_some_and(|m| m != PackageManager::Apt);
    if is_other && let Some((manager, digest)) = other_manager(docker, container).await? {
        return Ok(Installed::by(manager, digest));
    }
    let (packages, Inputs { inputs, whole, leans_on_image }) =
        tokio::try_join!(async { dpkg(docker, container).await }, async {
            apt_inputs(docker, container, image).await.map_err(Problem::Api)
        })?;
    let (package_manager, packages, sources, digest) = match packages {
        Some(packages) if packages.iter().any(|p| p.name == "apt") => {
            let digest = state_digest(&packages, &inputs);
            let with_credentials = [inputs, vec![(APT.to_owned(), whole)]].concat();
            let sources = (!leans_on_image).then(|| sources_digest(&packages, &with_credentials));
            (Some(PackageManager::Apt), packages.into(), sources, Some(digest))
        }
        // dpkg's database and nobody who could ask for newer versions: distroless.
        Some(packages) => (None, packages.into(), None, None),
        None => match other_manager(docker, container).await? {
            Some((manager, digest)) => return Ok(Installed::by(manager, digest)),
            None => (None, Arc::default(), None, None),
        },
    };
    Ok(Installed { package_manager, packages, sources, digest })
}

/// The dpkg database in either layout; `None` when there is none.
async fn dpkg(docker: &DockerProvider, container: &str) -> Result<Option<Vec<InstalledPackage>>, Problem> {
    if let Some((entry, mut archive)) = docker.client.open_file(container, STATUS).await? {
        if entry.size > DATABASE_LIMIT {
            return Err(ApiError::TooLarge { what: STATUS.to_owned(), limit: DATABASE_LIMIT }.into());
        }
        let mut reader = StatusReader::new(Layout::Status);
        while let Some(piece) = archive.chunk().await? {
            reader.push(&piece)?;
        }
        let packages = reader.finish()?.packages;
        // Distroless images carry an empty file besides their folder.
        if !packages.is_empty() {
            return Ok(Some(packages));
        }
    }
    let mut archive = match docker.client.archive(container, STATUS_D).await {
        Err(error) if error.is_no_such_path() => return Ok(None),
        archive => archive?,
    };
    let mut reader = StatusReader::new(Layout::StatusD);
    let mut left = DATABASE_LIMIT;
    while let Some(entry) = archive.next().await? {
        let name = entry.path.rsplit('/').next().unwrap_or_default();
        if entry.kind != EntryKind::File || !is_status_d_member(name) {
            continue;
        }
        left = left
            .checked_sub(entry.size)
            .ok_or(ApiError::TooLarge { what: STATUS_D.to_owned(), limit: DATABASE_LIMIT })?;
        while let Some(piece) = archive.chunk().await? {
            reader.push(&piece)?;
        }
        reader.end_of_file()?;
    }
    Ok(Some(reader.finish()?.packages))
}

/// The id of the machine that a container takes itself for; empty where it has none, as in most images.
///
/// # Errors
/// When the engine fails, or the file is no such file by its size.
pub(crate) async fn machine_id(client: &Client, container: &str) -> Result<Vec<u8>, ApiError> {
    let id = client.read_file(container, MACHINE_ID, MACHINE_ID_LIMIT).await?;
    Ok(id.unwrap_or_default())
}

/// What decides apt's answers besides the database.
struct Inputs {
    /// Its sources, preferences and options by content, the keyrings by their folder's size and time, the machine's id, which decides
    /// about phased updates. Where sources lean on files of the image, repositories or keys, the image stands for what is in them.
    /// Credentials decide nothing: what holds only them is left out, and in addresses they are taken out before the digest.
    inputs: Vec<(String, Digest)>,
    /// Of its configuration as it is: who has other credentials may be let in where others are not.
    whole: Digest,
    leans_on_image: bool,
}

async fn apt_inputs(docker: &DockerProvider, container: &str, image: &str) -> Result<Inputs, ApiError> {
    let (Config { mut inputs, whole, named }, keyrings, id) = tokio::try_join!(
        apt_config(docker, container),
        docker.client.stat(container, KEYRINGS),
        machine_id(&docker.client, container),
    )?;
    let leans_on_image =
        !named.repositories.is_empty() || !named.files.iter().all(|file| is_under(file, KEYRINGS));
    if leans_on_image {
        inputs.push(("image".to_owned(), Digest::of_bytes(image.as_bytes())));
    }
    if !id.is_empty() {
        inputs.push((MACHINE_ID.to_owned(), Digest::of_bytes(&id)));
    }
    if let Some(stat) = keyrings {
        let seen = format!("{} {}", stat.size, stat.mtime);
        inputs.push((KEYRINGS.to_owned(), Digest::of_bytes(seen.as_bytes())));
    }
    Ok(Inputs { inputs, whole, leans_on_image })
}

/// The files of apt's configuration.
struct Config {
    /// By path, without credentials.
    inputs: Vec<(String, Digest)>,
    /// Of all of them, by a key: nobody can guess credentials from it.
    whole: Digest,
    /// What its sources name outside of it.
    named: Named,
}

async fn apt_config(docker: &DockerProvider, container: &str) -> Result<Config, ApiError> {
    let (mut inputs, mut whole, mut named) = (Vec::new(), Vec::new(), Named::default());
    let digest_of = |whole: &[(String, Digest)]| keyed_digest(&json!(whole), &docker.options.key);
    let mut archive = match docker.client.archive(container, APT).await {
        Err(error) if error.is_no_such_path() => {
            return Ok(Config { inputs, whole: digest_of(&whole), named });
        }
        archive => archive?,
    };
    let mut left = CONFIG_LIMIT;
    while let Some(entry) = archive.next().await? {
        let path = entry.path.trim_start_matches("./").to_owned();
        if !matches!(entry.kind, EntryKind::File | EntryKind::Symlink) {
            continue;
        }
        let too_large = || ApiError::TooLarge { what: APT.to_owned(), limit: CONFIG_LIMIT };
        left = left.checked_sub(entry.size).ok_or_else(too_large)?;
        if whole.len() == CONFIG_FILES {
            return Err(too_large());
        }
        let content = match entry.kind {
            EntryKind::Symlink => entry.link.into_bytes(),
            _ => archive.data(CONFIG_LIMIT).await?,
        };
        if entry.kind == EntryKind::File && path.starts_with("apt/sources.list") {
            named.read(&content);
        }
        if !path.starts_with("apt/auth.conf") {
            inputs.push((format!("/etc/{path}"), Digest::of_bytes(&hide_credentials(&content))));
        }
        whole.push((path, Digest::of_bytes(&content)));
    }
    Ok(Config { inputs, whole: digest_of(&whole), named })
}

/// `linux/amd64`, by the image.
async fn platform(docker: &DockerProvider, image: &str) -> Result<String, ApiError> {
    if let Some(platform) = docker.known_platform(image) {
        return Ok(platform);
    }
    let document = docker.client.inspect_image(image).await?;
    let platform = platform_of(&document);
    docker.remember_platform(image, platform.clone());
    Ok(platform)
}

/// Operating system, architecture and, where there is one, its variant.
pub(super) fn platform_of(image: &Value) -> String {
    let parts = [text(&image["Os"]), text(&image["Architecture"]), text(&image["Variant"])];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    patchyard_types::printable(&parts.join("/"), 100)
}

/// Another package manager's database, and a digest that changes with it.
async fn other_manager(
    docker: &DockerProvider,
    container: &str,
) -> Result<Option<(PackageManager, Digest)>, ApiError> {
    for (path, manager) in OTHERS {
        let Some(stat) = docker.client.stat(container, path).await? else { continue };
        let is_suse = manager == PackageManager::Dnf
            && docker.client.stat(container, "/usr/bin/zypper").await?.is_some();
        let manager = if is_suse { PackageManager::Zypper } else { manager };
        let seen = format!("{path} {} {}", stat.size, stat.mtime);
        return Ok(Some((manager, Digest::of_bytes(seen.as_bytes()))));
    }
    Ok(None)
}

//! Makes a helper like a target: the configuration of apt, what that leans on, and what is known of its packages.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use patchyard_contract::ProviderError;
use patchyard_types::{Inventory, Target};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::helper::{Helper, Reach};
use super::sources::Named;
use crate::DockerProvider;
use crate::client::{ApiError, BodyReader, Client, EntryKind, TarReader, TarWriter, reader_body};
use crate::read::{DATABASE_LIMIT, MACHINE_ID, is_untouched, machine_id};
use crate::unsaved::is_under;
use crate::view::{self, View};

/// The most that `/etc/apt` may take, in bytes.
const CONFIG_LIMIT: u64 = 16 * 1024 * 1024;
/// The largest single file that comes along besides, in bytes: a keyring, a bundle of certificates.
const FILE_LIMIT: u64 = 16 * 1024 * 1024;
/// The most that a local repository in the target's own layer may take, in bytes.
const REPOSITORY_LIMIT: u64 = 2 * 1024 * 1024 * 1024;

/// What decides apt's answers besides `/etc/apt`, taken along when it differs from the image's.
const FILES: [&str; 2] = ["/var/lib/dpkg/arch", "/etc/ssl/certs/ca-certificates.crt"];
/// Folders likewise.
const FOLDERS: [&str; 1] = ["/usr/share/keyrings"];
/// What is known of the packages: dpkg's database, and which of them came in as dependencies only.
const PACKAGES: [&str; 2] = ["/var/lib/dpkg/status", "/var/lib/apt/extended_states"];

/// A target that a helper is made like.
pub(super) struct Source<'a> {
    docker: &'a DockerProvider,
    target: &'a Target,
    inspect: &'a Value,
    /// It has its image's files, and its sources lean on no others.
    is_plain: bool,
    /// Opened when something has to be read.
    view: OnceCell<View>,
}

impl<'a> Source<'a> {
    pub fn new(
        docker: &'a DockerProvider,
        target: &'a Target,
        inspect: &'a Value,
        inventory: &Inventory,
    ) -> Self {
        let is_plain = inventory.sources.is_some() && is_untouched(docker, inspect);
        Self { docker, target, inspect, is_plain, view: OnceCell::new() }
    }

    /// A running helper with the target's configuration of apt.
    pub async fn helper(&self, reach: &Reach) -> Result<Helper, ProviderError> {
        let config = match self.is_plain {
            true => None,
            false => Some(self.config().await.map_err(|error| self.wrong(error))?),
        };
        let named = config.as_ref().map(|config| &config.named);
        let helper = Helper::start(self.docker, self.target, reach, named.unwrap_or(&Named::default()))
            .await
            .map_err(|error| no_helper(self.docker, self.target, error))?;
        if let Some(config) = config
            && let Err(error) = self.configure(&helper, config).await
        {
            helper.finish().await;
            return Err(self.wrong(error));
        }
        Ok(helper)
    }

    /// Puts what is known of the target's packages into a new folder of a helper.
    pub async fn packages(&self, helper: &Helper, folder: &str) -> Result<(), ProviderError> {
        let copied = async {
            let (client, from) = (&self.docker.client, self.view().await?);
            let mut writer = TarWriter::new();
            let folder = folder.trim_start_matches('/');
            writer.directory(folder, 0o700)?;
            for path in PACKAGES {
                if let Some(file) = client.read_file(from, path, DATABASE_LIMIT).await? {
                    let name = path.rsplit('/').next().unwrap_or_default();
                    writer.file(&format!("{folder}/{name}"), 0o600, &file)?;
                }
            }
            client.write(helper.name(), "/", writer).await
        };
        copied.await.map_err(|error| self.wrong(error))
    }

    /// Ends what was opened for reading.
    pub async fn finish(self) {
        if let Some(view) = self.view.into_inner() {
            view.finish().await;
        }
    }

    /// The container that is read in the target's place.
    async fn view(&self) -> Result<&str, ApiError> {
        self.view.get_or_try_init(|| View::open(self.docker, self.inspect)).await.map(View::name)
    }

    fn wrong(&self, error: ApiError) -> ProviderError {
        view::too_much_written(&error).unwrap_or_else(|| match error {
            ApiError::TooLarge { what, limit } => ProviderError::NoAnswer {
                reason: format!("{what} is larger than {} MiB", limit / (1024 * 1024)),
                hint: "look at the configuration of its package manager: real ones are far smaller"
                    .to_owned(),
            },
            error => self.docker.error(error),
        })
    }

    async fn config(&self) -> Result<AptConfig, ApiError> {
        apt_config(&self.docker.client, self.view().await?).await
    }

    async fn configure(&self, helper: &Helper, config: AptConfig) -> Result<(), ApiError> {
        let (client, from) = (&self.docker.client, self.view().await?);
        let mounted = |path: &str| self.target.mounts.iter().any(|mount| is_under(path, &mount.destination));
        if let Some(archive) = config.archive {
            // What the target has deleted must be gone here too.
            helper.run(&["rm", "-rf", "/etc/apt"], Duration::from_secs(30), 1024).await?;
            client.unpack(helper.name(), "/etc", reader_body(std::io::Cursor::new(archive))).await?;
        }
        // What decides which phased updates have reached a machine is mounted into containers, often the host's.
        let id = machine_id(client, from).await?;
        let mut writer = TarWriter::new();
        writer.file(MACHINE_ID.trim_start_matches('/'), 0o444, &id)?;
        client.write(helper.name(), "/", writer).await?;
        let files = FILES.iter().copied().chain(config.named.files.iter().map(String::as_str));
        let folders = FOLDERS.iter().copied().chain(config.named.repositories.iter().map(String::as_str));
        for path in files.filter(|path| !mounted(path)) {
            same_file(client, from, helper.name(), path).await?;
        }
        for path in folders.filter(|path| !mounted(path)) {
            same_folder(client, from, helper.name(), path).await?;
        }
        Ok(())
    }
}

/// The image may be gone, or hold nothing that can be run.
pub(super) fn no_helper(docker: &DockerProvider, target: &Target, error: ApiError) -> ProviderError {
    if let Some(error) = view::too_much_written(&error) {
        return error;
    }
    match &error {
        ApiError::Status { code: 404, message } if message.to_lowercase().contains("image") => {
            ProviderError::NoAnswer {
                reason: "its image is no longer on the engine".to_owned(),
                hint: "pull or build the image again".to_owned(),
            }
        }
        ApiError::Status { code: 400 | 404 | 500, message }
            if message.contains("executable file not found")
                || message.contains("no such file or directory") =>
        {
            ProviderError::NoAnswer {
                reason: "its image has no `sleep`, so its package manager cannot be asked".to_owned(),
                hint: super::other_method(target),
            }
        }
        _ => docker.error(error),
    }
}

struct AptConfig {
    /// `/etc/apt` as the engine archived it; `None` when there is none.
    archive: Option<Bytes>,
    named: Named,
}

async fn apt_config(client: &Client, container: &str) -> Result<AptConfig, ApiError> {
    let mut named = Named::default();
    let request = client.get(&["containers", container, "archive"]).query("path", "/etc/apt");
    let archive = match request.bytes(CONFIG_LIMIT).await {
        Err(error) if error.is_no_such_path() => return Ok(AptConfig { archive: None, named }),
        archive => Bytes::from(archive?),
    };
    let mut reader = TarReader::new(BodyReader::new(
        Full::new(archive.clone()),
        "/etc/apt".to_owned(),
        Duration::from_secs(5),
    ));
    while let Some(entry) = reader.next().await? {
        if entry.kind == EntryKind::File {
            named.read(&reader.data(CONFIG_LIMIT).await?);
        }
    }
    Ok(AptConfig { archive: Some(archive), named })
}

/// Whether a path differs, by size and time of change; what the target does not have does not.
async fn differs(client: &Client, from: &str, to: &str, path: &str) -> Result<bool, ApiError> {
    let (theirs, ours) = tokio::try_join!(client.stat(from, path), client.stat(to, path))?;
    Ok(theirs.is_some() && theirs != ours)
}

async fn same_file(client: &Client, from: &str, to: &str, path: &str) -> Result<(), ApiError> {
    if !differs(client, from, to, path).await? {
        return Ok(());
    }
    let Some((entry, mut archive)) = client.open_file(from, path).await? else {
        // A folder that an option names is none of ours.
        return Ok(());
    };
    let mut writer = TarWriter::new();
    writer.file(path.trim_start_matches('/'), entry.mode, &archive.data(FILE_LIMIT).await?)?;
    client.write(to, "/", writer).await
}

async fn same_folder(client: &Client, from: &str, to: &str, path: &str) -> Result<(), ApiError> {
    if !differs(client, from, to, path).await? {
        return Ok(());
    }
    let Some((parent, _)) = path.rsplit_once('/') else { return Ok(()) };
    let mut writer = TarWriter::new();
    writer.directory(path.trim_start_matches('/'), 0o755)?;
    client.write(to, "/", writer).await?;
    let archive = client.archive_body(from, path).await?;
    let parent = if parent.is_empty() { "/" } else { parent };
    client.unpack(to, parent, crate::client::limited(archive, path, REPOSITORY_LIMIT)).await
}

//! Makes a helper like its target: package database, configuration of apt, and what that leans on.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use patchyard_contract::ProviderError;
use patchyard_types::Target;

use super::helper::Helper;
use super::sources::Named;
use crate::DockerProvider;
use crate::client::{
    ApiError, BodyReader, Client, DEFAULT_TIMEOUT, EntryKind, TarReader, TarWriter, reader_body,
};
use crate::read::{MACHINE_ID, machine_id};
use crate::unsaved::is_under;
use crate::view::{self, View};

/// The most that `/etc/apt` may take, in bytes.
const CONFIG_LIMIT: u64 = 16 * 1024 * 1024;
/// The largest single file that comes along besides, in bytes: a keyring, a bundle of certificates.
const FILE_LIMIT: u64 = 16 * 1024 * 1024;
/// The most that a local repository in the target's own layer may take, in bytes.
const REPOSITORY_LIMIT: u64 = 2 * 1024 * 1024 * 1024;

/// What decides apt's answers besides `/etc/apt`, taken along when it differs from the image's.
const FILES: [&str; 4] = [
    "/var/lib/dpkg/status",
    "/var/lib/dpkg/arch",
    "/var/lib/apt/extended_states",
    "/etc/ssl/certs/ca-certificates.crt",
];
/// Folders likewise.
const FOLDERS: [&str; 1] = ["/usr/share/keyrings"];

/// A running helper in the state of its target.
pub(super) async fn helper_like(docker: &DockerProvider, target: &Target) -> Result<Helper, ProviderError> {
    let wrong = |error: ApiError| {
        view::too_much_written(&error).unwrap_or_else(|| match error {
            ApiError::TooLarge { what, limit } => ProviderError::NoAnswer {
                reason: format!("{what} is larger than {} MiB", limit / (1024 * 1024)),
                hint: "look at the configuration of its package manager: real ones are far smaller"
                    .to_owned(),
            },
            error => docker.error(error),
        })
    };
    let client = &docker.client;
    let inspect = match client.inspect(&target.object, DEFAULT_TIMEOUT).await {
        Err(error) if error.is_not_found() => {
            return Err(ProviderError::Gone { object: target.name.clone() });
        }
        inspect => inspect.map_err(wrong)?,
    };
    let view = View::open(docker, &inspect).await.map_err(wrong)?;
    let helper = async {
        let config = apt_config(client, view.name()).await.map_err(wrong)?;
        let helper = Helper::start(docker, target, &inspect, &config.named)
            .await
            .map_err(|error| no_helper(docker, target, error))?;
        match fill(client, target, view.name(), &helper, config).await {
            Ok(()) => Ok(helper),
            Err(error) => {
                helper.finish().await;
                Err(wrong(error))
            }
        }
    };
    let helper = helper.await;
    view.finish().await;
    helper
}

/// The image may be gone, or hold nothing that can be run.
fn no_helper(docker: &DockerProvider, target: &Target, error: ApiError) -> ProviderError {
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

/// `from` is what is read in the target's place.
async fn fill(
    client: &Client,
    target: &Target,
    from: &str,
    helper: &Helper,
    config: AptConfig,
) -> Result<(), ApiError> {
    let mounted = |path: &str| target.mounts.iter().any(|mount| is_under(path, &mount.destination));
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

/// Whether a path differs, by size and time of change; what the target does not have does not.
async fn differs(client: &Client, from: &str, to: &str, path: &str) -> Result<bool, ApiError> {
    let (theirs, ours) = tokio::try_join!(client.stat(from, path), client.stat(to, path))?;
    Ok(theirs.is_some() && theirs != ours)
}

async fn same_file(client: &Client, from: &str, to: &str, path: &str) -> Result<(), ApiError> {
    if !differs(client, from, to, path).await? {
        return Ok(());
    }
    if path == FILES[0] {
        // It may be large: from container to container without a stop here.
        let archive = client.archive_body(from, path).await?;
        return client.unpack(to, "/var/lib/dpkg", archive).await;
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

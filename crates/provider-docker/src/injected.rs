//! Files that Compose puts into a container after it has created it: configs and secrets.
//!
//! No setting of the container tells of them, and nobody would put them there again. By themselves they
//! cannot be told from anything else that was written into the container: only the paths that the
//! project's own files name are carried over. Those that are mounts come with the settings.

use patchyard_types::{FailureKind, printable};
use serde_json::Value;

use crate::client::{ApiError, PathStat, TarWriter};
use crate::swap::{Run, Trouble, failed};
use crate::view::View;
use crate::{DockerProvider, read, room, unsaved};

/// The largest such file that is carried, in bytes: Compose has them in memory too.
const LIMIT: u64 = 16 * 1024 * 1024;

/// A file that Compose has put into a container.
struct File {
    path: String,
    stat: PathStat,
}

/// Of the paths that recreating a container would lose, those that are not carried over.
///
/// # Errors
/// When the engine cannot be asked.
pub(crate) async fn without(
    docker: &DockerProvider,
    container: &Value,
    mut lost: Vec<String>,
) -> Result<Vec<String>, ApiError> {
    if !lost.is_empty() && !places(docker, container).is_empty() {
        let view = View::open(docker, container).await?;
        let carried = files(docker, container, view.name()).await;
        view.finish().await;
        let carried = carried?;
        lost.retain(|path| !carried.iter().any(|file| file.path == *path));
    }
    Ok(lost)
}

/// Where Compose may have put files into a container, by what its project says.
fn places(docker: &DockerProvider, container: &Value) -> Vec<String> {
    // The project's files are where the engine is.
    if !room::is_local(docker) {
        return Vec::new();
    }
    let mut places = read::injected(container);
    places.retain(|path| !unsaved::is_mounted(container, path));
    places
}

/// Those that are there. `view` is what is read in the container's place.
async fn files(docker: &DockerProvider, container: &Value, view: &str) -> Result<Vec<File>, ApiError> {
    let mut found = Vec::new();
    for path in places(docker, container) {
        match docker.client.stat(view, &path).await? {
            Some(stat) if stat.is_file() && stat.size <= LIMIT => found.push(File { path, stat }),
            _ => {}
        }
    }
    Ok(found)
}

/// Copies what Compose has put into `old` into `new`, with owners, modes and times; what is there
/// already is left alone.
pub(crate) async fn carry(run: &Run<'_>, old: &Value, new: &str) -> Result<(), Trouble> {
    let docker = run.docker;
    if places(docker, old).is_empty() {
        return Ok(());
    }
    let view = View::of_run(run, old).await?;
    let carried = carry_from(docker, old, view.name(), new).await;
    view.finish().await;
    carried
}

async fn carry_from(docker: &DockerProvider, old: &Value, view: &str, new: &str) -> Result<(), Trouble> {
    for file in missing(docker, old, view, new).await? {
        copy(docker, view, new, &file).await?;
    }
    match missing(docker, old, view, new).await?.first() {
        None => Ok(()),
        Some(file) => Err(failed(
            FailureKind::Refused,
            format!(
                "the file {} that Compose has put into it does not arrive in its replacement as it is",
                printable(&file.path, 200)
            ),
        )),
    }
}

/// Whether everything that Compose has put into `old` is in `new`.
pub(crate) async fn is_carried(run: &Run<'_>, old: &Value, new: &str) -> Result<bool, ApiError> {
    let docker = run.docker;
    if places(docker, old).is_empty() {
        return Ok(true);
    }
    let view = View::of_run(run, old).await?;
    let missing = missing(docker, old, view.name(), new).await;
    view.finish().await;
    Ok(missing?.is_empty())
}

async fn missing(docker: &DockerProvider, old: &Value, view: &str, new: &str) -> Result<Vec<File>, ApiError> {
    let mut missing = Vec::new();
    for file in files(docker, old, view).await? {
        let is_missing = match docker.client.stat(new, &file.path).await? {
            None => true,
            Some(there) if is_same(&there, &file.stat) => false,
            // The new image has a file there. The old one is Compose's only if it is not its image's own:
            // that a project names a path does not say that it has been put there yet.
            Some(_) => is_written(docker, old, &file.path).await?,
        };
        if is_missing {
            missing.push(file);
        }
    }
    Ok(missing)
}

/// Whether a path was written since the container was created.
async fn is_written(docker: &DockerProvider, container: &Value, path: &str) -> Result<bool, ApiError> {
    let id = container["Id"].as_str().unwrap_or_default();
    let changes = docker.client.get(&["containers", id, "changes"]).json().await?;
    Ok(changes.as_array().into_iter().flatten().any(|change| change["Path"] == path))
}

fn is_same(a: &PathStat, b: &PathStat) -> bool {
    (a.size, a.mode, a.second()) == (b.size, b.mode, b.second())
}

async fn copy(docker: &DockerProvider, old: &str, new: &str, file: &File) -> Result<(), ApiError> {
    let client = &docker.client;
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut archive = TarWriter::new();
    let mut is_whole = true;
    for (end, _) in folder.match_indices('/').skip(1).chain([(folder.len(), "")]) {
        let above = &folder[..end];
        if !above.is_empty() && client.stat(new, above).await?.is_none() {
            let mode = client.stat(old, above).await?.map_or(0o755, |stat| stat.mode & 0o777);
            archive.directory(above.trim_start_matches('/'), mode)?;
            is_whole = false;
        }
    }
    if !is_whole {
        client.write(new, "/", archive).await?;
    }
    let body = client.archive_body(old, &file.path).await?;
    client.unpack(new, if folder.is_empty() { "/" } else { folder }, body).await
}

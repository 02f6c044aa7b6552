//! The files of snapshots on the controller: create requests hold passwords, so only their owner may
//! read them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use patchyard_types::{RunId, Snapshot, SnapshotId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::spec::CreateRequest;

/// Format of the file.
const VERSION: u32 = 1;

/// What a snapshot's file holds.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    version: u32,
    /// The snapshot, as it was recorded.
    pub snapshot: Snapshot,
    /// The request that makes the container again.
    pub request: CreateRequest,
    /// Its mounts and networks, to compare the new one with.
    pub before: Value,
}

impl Kept {
    pub fn new(snapshot: Snapshot, request: CreateRequest, before: Value) -> Self {
        Self { version: VERSION, snapshot, request, before }
    }
}

fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("snapshots")
}

/// The file of a snapshot. Its id is a run's: anything else names no file.
pub(crate) fn path_of(state_dir: &Path, id: &SnapshotId) -> PathBuf {
    let name = id.0.parse::<RunId>().map_or_else(|_| "none".to_owned(), |run| run.to_string());
    folder(state_dir).join(format!("{name}.json"))
}

/// Writes a file whole or not at all, durably.
pub(super) fn write(state_dir: &Path, kept: &Kept) -> io::Result<()> {
    let folder = folder(state_dir);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let path = path_of(state_dir, &kept.snapshot.id);
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    serde_json::to_writer(&mut file, kept)?;
    file.flush()?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(&folder)?.sync_all()
}

/// Reads a snapshot's file; `None` when there is none.
pub(super) fn read(state_dir: &Path, id: &SnapshotId) -> io::Result<Option<Kept>> {
    let text = match fs::read(path_of(state_dir, id)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let kept: Kept = serde_json::from_slice(&text)?;
    if kept.version > VERSION {
        return Err(io::Error::other("it was written by a newer version of patchyard"));
    }
    Ok((kept.snapshot.id == *id).then_some(kept))
}

/// Removes a snapshot's file. Gone already is fine.
pub(super) fn remove(state_dir: &Path, id: &SnapshotId) -> io::Result<()> {
    match fs::remove_file(path_of(state_dir, id)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Every snapshot's file, with what it holds; what cannot be read is left out.
pub(crate) fn all(state_dir: &Path) -> Vec<(PathBuf, Kept)> {
    let entries = fs::read_dir(folder(state_dir)).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter_map(|path| Some((path.clone(), serde_json::from_slice(&fs::read(&path).ok()?).ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_names_a_file() {
        let state = Path::new("/state");
        assert_eq!(path_of(state, &SnapshotId("R12.3".into())), Path::new("/state/snapshots/R12.3.json"));
        assert_eq!(
            path_of(state, &SnapshotId("../../etc/passwd".into())),
            Path::new("/state/snapshots/none.json")
        );
    }
}

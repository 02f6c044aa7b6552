//! One build of a patch set at a time, among all processes of this controller; and files that go when
//! they are not needed any more.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use patchyard_types::{Digest, FailureKind};

use crate::swap::{Trouble, failed};

/// How often a lock that somebody else holds is tried.
const TRY_EVERY: Duration = Duration::from_millis(100);

/// Where the locks are, in the state directory.
const FOLDER: &str = "builds";

/// Waits for the lock of a patch set's build. The kernel lets go of it when the process dies, so
/// whoever holds it knows that a builder that is there is nobody's.
pub(super) async fn acquire(state_dir: &Path, patch_set: &Digest) -> Result<File, Trouble> {
    let broken = |error: io::Error| failed(FailureKind::Host, format!("cannot lock the build: {error}"));
    let folder = private_folder(state_dir, FOLDER).map_err(broken)?;
    let file = File::create(folder.join(file_name(&patch_set.to_string()))).map_err(broken)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(TRY_EVERY).await,
            Err(TryLockError::Error(error)) => return Err(broken(error)),
        }
    }
}

/// Whether somebody holds the lock of a set whose id begins with these digits, or of one that shares it.
pub(super) fn is_held(state_dir: &Path, patch_set: &str) -> bool {
    let file = File::open(state_dir.join(FOLDER).join(file_name(patch_set)));
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Two digits: the files stay, and there are never more than 256 of them. That two sets now and then share
/// one costs a wait, no more.
fn file_name(patch_set: &str) -> String {
    format!("{}.lock", patch_set.get(..2).unwrap_or_default())
}

/// A file of ours on its way from one host to another, removed when it goes out of scope.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// A place for a file; nothing is there yet.
    pub fn new(state_dir: &Path, name: &str) -> Result<Self, Trouble> {
        let folder = private_folder(state_dir, "transfer").map_err(|error| broken(&error))?;
        Ok(Self(folder.join(name)))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub async fn open(&self) -> Result<tokio::fs::File, Trouble> {
        tokio::fs::File::open(&self.0).await.map_err(|error| broken(&error))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now, the next move of the same image overwrites.
        let _ = fs::remove_file(&self.0);
    }
}

fn broken(error: &io::Error) -> Trouble {
    let kind =
        if error.kind() == io::ErrorKind::StorageFull { FailureKind::NoSpace } else { FailureKind::Host };
    failed(kind, format!("cannot keep the image for its move to another host: {error}"))
}

fn private_folder(state_dir: &Path, name: &str) -> io::Result<PathBuf> {
    let folder = state_dir.join(name);
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    Ok(folder)
}

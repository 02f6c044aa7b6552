//! One build of a patch set at a time, among all processes of this controller; and files that go when
//! they are not needed any more.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use patchyard_types::{Digest, FailureKind};

use crate::swap::{Trouble, failed};

/// How often a lock that somebody else holds is tried.
const TRY_EVERY: Duration = Duration::from_millis(200);

/// Waits for the lock of a patch set's build. The kernel lets go of it when the process dies, so
/// whoever holds it knows that a builder that is there is nobody's.
pub(super) async fn acquire(state_dir: &Path, patch_set: &Digest) -> Result<File, Trouble> {
    let broken = |error: std::io::Error| failed(FailureKind::Host, format!("cannot lock the build: {error}"));
    let folder = state_dir.join("builds");
    fs::create_dir_all(&folder).map_err(broken)?;
    let file = File::create(folder.join(format!("{}.lock", patch_set.short(12)))).map_err(broken)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(TRY_EVERY).await,
            Err(TryLockError::Error(error)) => return Err(broken(error)),
        }
    }
}

/// Whether somebody holds the lock of a set whose id begins with these digits.
pub(super) fn is_held(state_dir: &Path, patch_set: &str) -> bool {
    let entries = fs::read_dir(state_dir.join("builds")).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(patch_set)))
        .filter_map(|entry| File::open(entry.path()).ok())
        .any(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// A file that is removed when it goes out of scope.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now `gc` lists.
        let _ = fs::remove_file(&self.0);
    }
}

//! What the disk and SQLite say, turned into what the operator should do.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use patchyard_contract::StoreError;
use rusqlite::ErrorCode;

use crate::reserve;

const ELSEWHERE: &str = "choose another directory with --state DIR or PATCHYARD_STATE";

/// Where the state is, for messages.
#[derive(Debug, Clone)]
pub struct Place {
    /// The state directory.
    pub dir: PathBuf,
    /// The database file.
    pub database: PathBuf,
}

impl Place {
    pub fn unusable(&self, path: &Path, reason: impl Into<String>) -> StoreError {
        StoreError::Unusable { path: path.display().to_string(), reason: reason.into() }
    }

    pub fn damaged(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Damaged { path: self.database.display().to_string(), reason: reason.into() }
    }

    pub fn no_space(&self) -> StoreError {
        StoreError::NoSpace { path: self.database.display().to_string() }
    }

    /// Trouble with a file or directory.
    pub fn io(&self, path: &Path, error: &io::Error) -> StoreError {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => self.no_space(),
            ErrorKind::PermissionDenied => self.unusable(
                path,
                format!("permission denied: run patchyard as the user it belongs to, or {ELSEWHERE}"),
            ),
            ErrorKind::ReadOnlyFilesystem => {
                self.unusable(path, format!("the file system is read-only: {ELSEWHERE}"))
            }
            ErrorKind::NotADirectory => {
                self.unusable(path, format!("there is a file where a directory should be: {ELSEWHERE}"))
            }
            _ => self.unusable(path, error.to_string()),
        }
    }

    /// Trouble with the database.
    pub fn sql(&self, error: rusqlite::Error) -> StoreError {
        let (code, words) = match error {
            rusqlite::Error::SqliteFailure(code, words) => (code, words.unwrap_or_else(|| code.to_string())),
            // Every statement here is constant: what does not fit is what was stored.
            other => return self.damaged(other.to_string()),
        };
        let unusable = |reason: String| self.unusable(&self.database, reason);
        match code.code {
            ErrorCode::DiskFull => self.no_space(),
            // SQLite does not tell a full disk from other trouble when it opens or grows its side files.
            ErrorCode::CannotOpen | ErrorCode::SystemIoFailure if self.is_full() => self.no_space(),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => unusable(
                "another process has kept it busy for too long: end it, then run the command again"
                    .to_owned(),
            ),
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => unusable(format!(
                "it or its directory cannot be written ({words}): run patchyard as the user it belongs to, or {ELSEWHERE}"
            )),
            // The reserve is made beside a database that was opened: it was ours.
            ErrorCode::NotADatabase if self.dir.join(reserve::FILE).exists() => {
                self.damaged("it is not a database any more: put it back from a backup".to_owned())
            }
            ErrorCode::NotADatabase => unusable(format!("it is not a database of patchyard: {ELSEWHERE}")),
            ErrorCode::DatabaseCorrupt => self.damaged(format!("{words}: put it back from a backup")),
            _ => unusable(words),
        }
    }

    /// Whether the disk has no room for another page.
    fn is_full(&self) -> bool {
        const PAGES: u64 = 16 * 4096;
        rustix::fs::statvfs(&self.dir).is_ok_and(|disk| {
            disk.f_bavail.saturating_mul(disk.f_frsize) < PAGES || (disk.f_files > 0 && disk.f_favail == 0)
        })
    }
}

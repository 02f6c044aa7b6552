//! The package cache: pinned bytes on the controller, addressed by their SHA-256.

use std::path::{Path, PathBuf};

use patchyard_types::Digest;
use thiserror::Error;

/// Why the cache could not do what it was asked.
#[derive(Debug, Error)]
pub enum CacheError {
    /// The bytes are not what their digest says.
    #[error(
        "the downloaded bytes have SHA-256 {found}, the signed index says {expected}: they were not kept"
    )]
    WrongBytes {
        /// What the signed index promised.
        expected: Digest,
        /// What arrived.
        found: Digest,
    },
    /// No room left.
    #[error("no space left under {}: free some, or run `patchyard gc`", path.display())]
    NoSpace {
        /// The cache's directory.
        path: PathBuf,
    },
    /// Any other trouble with the disk.
    #[error("cannot use the package cache at {}", path.display())]
    Io {
        /// The file in question.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Content-addressed files. What was once fetched can be installed again, whatever the archive has
/// dropped since.
pub trait PackageCache: Send + Sync {
    /// The file with these bytes, where it is kept. It has been verified when it came in.
    fn find(&self, digest: &Digest) -> Option<PathBuf>;

    /// A new private file to write into before [`PackageCache::keep`]; gone when it was not kept by
    /// the next collection.
    ///
    /// # Errors
    /// When the cache's directory cannot be written.
    fn scratch(&self) -> Result<PathBuf, CacheError>;

    /// Verifies a scratch file and moves it to its place. Wrong bytes are removed.
    ///
    /// # Errors
    /// [`CacheError::WrongBytes`] when the digest does not match, else trouble with the disk.
    fn keep(&self, scratch: &Path, expected: &Digest) -> Result<PathBuf, CacheError>;
}

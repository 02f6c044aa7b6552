//! The package cache on the file system: `sha256/ab/abcdef…`, verified when it comes in, moved to
//! its place in one step, private to its owner.
//!
//! `scratch/` holds a directory for each process that fetches, locked by it: what a dead process
//! left is known by its free lock, whoever has its process id now.

mod scratch;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use patchyard_contract::{CacheError, PackageCache};
use patchyard_types::Digest;
use sha2::{Digest as _, Sha256};

use scratch::Scratch;

/// The cache.
#[derive(Debug)]
pub struct FileCache {
    dir: PathBuf,
    /// Made when the first file is asked for: most commands only look.
    scratch: Mutex<Option<Scratch>>,
}

/// How many files, and how much they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Files.
    pub files: u64,
    /// Their size, in bytes.
    pub bytes: u64,
}

impl Usage {
    fn count(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

impl FileCache {
    /// Opens the cache in a directory (`cache` of the state directory), creating it.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn open(dir: &Path) -> Result<Self, CacheError> {
        let cache = Self { dir: dir.to_owned(), scratch: Mutex::new(None) };
        for dir in [cache.packages(), cache.scratches()] {
            create_private_dir(&dir).map_err(|error| cache.trouble(&dir, error))?;
        }
        Ok(cache)
    }

    /// What is kept.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn size(&self) -> Result<Usage, CacheError> {
        let mut kept = Usage::default();
        self.each(|_, file| {
            kept.count(file.metadata()?.len());
            Ok(())
        })?;
        Ok(kept)
    }

    /// Removes files that are not among `keep` and were neither kept nor found within `max_age`.
    /// Returns what was removed.
    ///
    /// # Errors
    /// When the cache cannot be read or written.
    pub fn prune(&self, keep: &BTreeSet<Digest>, max_age: Duration) -> Result<Usage, CacheError> {
        self.each_old(keep, max_age, |file| fs::remove_file(file.path()))
    }

    /// What [`Self::prune`] would remove.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn prunable(&self, keep: &BTreeSet<Digest>, max_age: Duration) -> Result<Usage, CacheError> {
        self.each_old(keep, max_age, |_| Ok(()))
    }

    fn each_old(
        &self,
        keep: &BTreeSet<Digest>,
        max_age: Duration,
        mut visit: impl FnMut(&fs::DirEntry) -> io::Result<()>,
    ) -> Result<Usage, CacheError> {
        let now = SystemTime::now();
        let mut visited = Usage::default();
        self.each(|digest, file| {
            let found = file.metadata()?;
            // A time in the future is no age: the clock was set back, and it stays for now.
            let is_old = now.duration_since(found.modified()?).is_ok_and(|age| age >= max_age);
            if is_old && !keep.contains(digest) {
                visit(file)?;
                visited.count(found.len());
            }
            Ok(())
        })?;
        Ok(visited)
    }

    /// Removes what dead processes left behind. Returns what was removed.
    ///
    /// # Errors
    /// When the cache cannot be read or written.
    pub fn collect(&self) -> Result<Usage, CacheError> {
        let dir = self.scratches();
        scratch::collect(&dir).map_err(|error| self.trouble(&dir, error))
    }

    /// Calls `visit` with every kept file. One that is gone meanwhile was somebody else's to remove.
    fn each(
        &self,
        mut visit: impl FnMut(&Digest, &fs::DirEntry) -> io::Result<()>,
    ) -> Result<(), CacheError> {
        let dir = self.packages();
        let trouble = |error| self.trouble(&dir, error);
        for prefix in fs::read_dir(&dir).map_err(trouble)? {
            for file in fs::read_dir(prefix.map_err(trouble)?.path()).map_err(trouble)? {
                let file = file.map_err(trouble)?;
                let Some(digest) = file.file_name().to_str().and_then(|name| name.parse().ok()) else {
                    continue;
                };
                match visit(&digest, &file) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(trouble(error)),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn packages(&self) -> PathBuf {
        self.dir.join("sha256")
    }

    fn scratches(&self) -> PathBuf {
        self.dir.join("scratch")
    }

    fn place(&self, digest: &Digest) -> PathBuf {
        self.packages().join(digest.short(2)).join(digest.to_string())
    }

    fn trouble(&self, path: &Path, source: io::Error) -> CacheError {
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                CacheError::NoSpace { path: self.dir.clone() }
            }
            _ => CacheError::Io { path: path.to_owned(), source },
        }
    }
}

impl PackageCache for FileCache {
    fn find(&self, digest: &Digest) -> Option<PathBuf> {
        let path = self.place(digest);
        let file = File::open(&path).ok()?;
        // Being found counts as being used; that it may not be noted hurts nobody.
        let _ = file.set_modified(SystemTime::now());
        Some(path)
    }

    fn scratch(&self) -> Result<PathBuf, CacheError> {
        let dir = self.scratches();
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let own = match scratch.take() {
            Some(own) => own,
            None => Scratch::new(&dir).map_err(|error| self.trouble(&dir, error))?,
        };
        scratch.insert(own).file().map_err(|error| self.trouble(&dir, error))
    }

    fn keep(&self, scratch: &Path, expected: &Digest) -> Result<PathBuf, CacheError> {
        let of_scratch = |error| self.trouble(scratch, error);
        let file = File::open(scratch).map_err(of_scratch)?;
        let found = digest(&file).map_err(of_scratch)?;
        if found != *expected {
            fs::remove_file(scratch).map_err(of_scratch)?;
            return Err(CacheError::WrongBytes { expected: *expected, found });
        }
        // First the bytes, then the name: after a power cut a name has its bytes.
        file.set_permissions(Permissions::from_mode(0o600)).map_err(of_scratch)?;
        file.sync_all().map_err(of_scratch)?;
        let place = self.place(expected);
        move_into(scratch, &place).map_err(|error| self.trouble(&place, error))?;
        Ok(place)
    }
}

fn move_into(file: &Path, place: &Path) -> io::Result<()> {
    let Some(dir) = place.parent() else { return Err(ErrorKind::InvalidInput.into()) };
    create_private_dir(dir)?;
    fs::rename(file, place)?;
    File::open(dir)?.sync_all()
}

/// SHA-256 of a file, whatever its size, in 64 KiB of memory.
fn digest(mut file: &File) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Digest::from_bytes(hasher.finalize().into())),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn create_private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

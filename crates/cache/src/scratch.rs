//! Files on their way into the cache, in a directory of the process that writes them.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::Usage;

/// Held locked inside of a process's directory for as long as the process lives.
const ALIVE: &str = "alive";

/// Held locked while directories come and go, so that none is collected before it is locked.
const CHANGE: &str = "change";

/// A directory of our own for files on their way.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
    next: u64,
    _alive: File,
}

impl Scratch {
    /// Makes a directory that is named after this process.
    pub fn new(parent: &Path) -> io::Result<Self> {
        let _change = change(parent)?;
        let dir = create(parent)?;
        let alive = open(&dir.join(ALIVE))?;
        alive.lock()?;
        Ok(Self { dir, next: 1, _alive: alive })
    }

    /// A new, empty, private file.
    pub fn file(&mut self) -> io::Result<PathBuf> {
        let path = self.dir.join(self.next.to_string());
        self.next += 1;
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Whatever stays is collected later.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Removes the directories whose lock is free: their processes are dead.
pub fn collect(parent: &Path) -> io::Result<Usage> {
    let _change = change(parent)?;
    let mut removed = Usage::default();
    for entry in fs::read_dir(parent)? {
        let dir = entry?.path();
        if !dir.is_dir() {
            continue;
        }
        match open(&dir.join(ALIVE)).map(|alive| alive.try_lock().map(|()| alive)) {
            Ok(Ok(_free)) => remove(&dir, &mut removed)?,
            Ok(Err(TryLockError::WouldBlock)) => {}
            Ok(Err(TryLockError::Error(error))) => return Err(error),
            // Its process has just removed it.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

fn remove(dir: &Path, removed: &mut Usage) -> io::Result<()> {
    for file in fs::read_dir(dir)? {
        let file = file?;
        if file.file_name() != ALIVE {
            removed.files += 1;
            removed.bytes += file.metadata()?.len();
        }
    }
    fs::remove_dir_all(dir)
}

fn create(parent: &Path) -> io::Result<PathBuf> {
    // A number behind the process id: a process may open several caches, and in a container its id
    // may be another's outside.
    let mut number = 1;
    loop {
        let dir = parent.join(format!("{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

fn change(parent: &Path) -> io::Result<File> {
    let file = open(&parent.join(CHANGE))?;
    file.lock()?;
    Ok(file)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

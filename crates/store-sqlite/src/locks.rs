//! Kernel locks with a note of who holds them; they end with the process that took them.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use patchyard_types::{Digest, printable};

/// What trying to take a lock gives.
pub enum Attempt {
    /// It is ours until this is dropped.
    Taken(Held),
    /// Somebody else has it, and wrote this about itself.
    HeldBy(String),
}

/// A held lock.
pub struct Held {
    path: PathBuf,
    file: File,
}

impl Drop for Held {
    /// Removes the file while it is still locked: whoever opened it meanwhile notices in
    /// [`attempt`] that it is not the one with that name any more.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

/// Tries to take the lock of a name. Never waits.
pub fn attempt(dir: &Path, name: &str, about_me: &str) -> io::Result<Attempt> {
    let path = dir.join(file_name(name));
    loop {
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Attempt::HeldBy(holder(&file))),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if !is_at(&file, &path)? {
            continue;
        }
        let mut held = Held { path, file };
        held.file.set_len(0)?;
        held.file.write_all(about_me.as_bytes())?;
        return Ok(Attempt::Taken(held));
    }
}

/// Takes the lock of a name, waiting for it: only for work that is over in milliseconds.
pub fn wait(dir: &Path, name: &str) -> io::Result<File> {
    let file = open(&dir.join(name))?;
    file.lock()?;
    Ok(file)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Whether an open file is still the one with that name.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn holder(file: &File) -> String {
    let mut text = Vec::new();
    // Without a note the holder is just beginning; that it is there is certain.
    let _ = file.take(500).read_to_end(&mut text);
    match String::from_utf8_lossy(&text).trim() {
        "" => "another process that has just started".to_owned(),
        note => printable(note, 200),
    }
}

/// A file name that people recognise and no two names share, whatever is in them.
fn file_name(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(60).collect();
    format!("{plain}.{}", Digest::of_bytes(name.as_bytes()).short(16))
}

//! Room set aside for a full disk: a file that is given up, so that what has begun can be written
//! to its end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

/// Enough for some thousand events beside a write-ahead log of [`WAL_PAGES`].
pub const SIZE: u64 = 4 << 20;

/// The write-ahead log starts over after so many pages of 4 KiB: a megabyte, a quarter of the reserve.
pub const WAL_PAGES: u32 = 256;

/// Its name in the state directory.
pub const FILE: &str = "reserve";

/// The file that is given up. Its absence says that it was, to every process.
#[derive(Debug)]
pub struct Reserve(PathBuf);

impl Reserve {
    pub fn new(dir: &Path) -> Self {
        Self(dir.join(FILE))
    }

    /// Whether the room is gone.
    pub fn is_spent(&self) -> bool {
        fs::metadata(&self.0).map_or(true, |file| file.len() < SIZE)
    }

    /// Sets the room aside, where there is twice as much: the last room is for others. Whether it
    /// worked is seen by [`Reserve::is_spent`].
    pub fn make(&self) {
        let Some(dir) = self.0.parent() else { return };
        let free = rustix::fs::statvfs(dir).map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        if !self.is_spent() || free < 2 * SIZE {
            return;
        }
        let new = self.0.with_extension("new");
        let made = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .and_then(|file| allocate(&file))
            .and_then(|()| fs::rename(&new, &self.0));
        if made.is_err() {
            // Nothing to be told: it stays spent, which is what is_low says.
            let _ = fs::remove_file(&new);
        }
    }

    /// Gives the room up. Returns whether there was any.
    pub fn spend(&self) -> bool {
        fs::remove_file(&self.0).is_ok()
    }
}

fn allocate(mut file: &File) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, SIZE) {
        Ok(()) => Ok(()),
        // File systems without it may compress or skip zeros; noise takes real room.
        Err(rustix::io::Errno::OPNOTSUPP) => {
            io::copy(&mut File::open("/dev/urandom")?.take(SIZE), &mut file).map(drop)
        }
        Err(error) => Err(error.into()),
    }
}

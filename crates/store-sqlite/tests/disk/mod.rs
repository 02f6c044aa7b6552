//! A small disk of a test's own.

#![allow(dead_code, reason = "not every test fills its disk or makes it read-only")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

/// A tmpfs that goes away with the value.
pub struct Disk(tempfile::TempDir);

impl Disk {
    /// Mounts one of so many bytes; `None`, and a word about it, where mounting is not permitted.
    pub fn mount(size: u64) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "patchyard-test"])
            .arg(dir.path())
            .output()
            .unwrap();
        if !mounted.status.success() {
            eprintln!(
                "SKIPPED: no small disk to test on: {}",
                String::from_utf8_lossy(&mounted.stderr).trim()
            );
            return None;
        }
        Some(Self(dir))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn make_read_only(&self) {
        let done = Command::new("mount").args(["-o", "remount,ro"]).arg(self.path()).status().unwrap();
        assert!(done.success());
    }

    /// Writes until there is no room left.
    pub fn fill(&self) {
        let mut file = File::options().append(true).create(true).open(self.path().join("filler")).unwrap();
        for block in [4096, 1] {
            while file.write_all(&vec![b'x'; block]).is_ok() {}
        }
    }

    /// Makes room again.
    pub fn clear(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a store may still be open when a test fails.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

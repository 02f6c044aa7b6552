//! Files of layers on the hypervisor's host: libvirt makes them, and neither looks for room nor removes them.

use std::path::Path;

use patchyard_guest::transport::quote;
use tokio::process::Command;

use crate::connection::ssh;
use crate::uri::{Uri, Way};

/// The bytes that are free beside a file, where that can be seen from here.
pub(super) fn room(uri: &Uri, file: &str) -> Option<u64> {
    match uri.way {
        Way::Unix => {
            let disk = rustix::fs::statvfs(Path::new(file).parent()?).ok()?;
            Some(disk.f_bavail.saturating_mul(disk.f_frsize))
        }
        Way::Ssh(_) => None,
    }
}

/// The bytes that a file takes, where that can be seen from here.
pub(super) fn takes(uri: &Uri, file: &str) -> Option<u64> {
    match uri.way {
        Way::Unix => {
            let file = rustix::fs::stat(file).ok()?;
            u64::try_from(file.st_blocks).ok()?.checked_mul(512)
        }
        Way::Ssh(_) => None,
    }
}

/// Removes a file of ours where the daemon is, if we may: else it stays, in nobody's way, and its name says whose it was.
pub(super) async fn remove(uri: &Uri, path: &str) {
    match &uri.way {
        Way::Unix => drop(tokio::fs::remove_file(path).await),
        Way::Ssh(to) => {
            let line = quote::line(&["rm", "-f", "--", path]);
            drop(Command::new("ssh").args(ssh::arguments(to, line)).output().await);
        }
    }
}

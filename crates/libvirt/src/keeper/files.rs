//! Files of layers on the hypervisor's host: libvirt makes them, and neither looks for room nor removes them.

use std::path::Path;

use patchyard_guest::transport::quote;
use patchyard_types::printable;
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

/// Removes a file of ours where the daemon is; gone already is fine.
pub(super) async fn remove(uri: &Uri, path: &str) -> Result<(), String> {
    match &uri.way {
        Way::Unix => match tokio::fs::remove_file(path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(format!("{}: {error}", printable(path, 300)))
            }
            _ => Ok(()),
        },
        Way::Ssh(to) => {
            let line = quote::line(&["rm", "-f", "--", path]);
            let output = Command::new("ssh").args(ssh::arguments(to, line)).output().await;
            match output {
                Ok(output) if output.status.success() => Ok(()),
                Ok(output) => Err(printable(String::from_utf8_lossy(&output.stderr).trim(), 300)),
                Err(error) => Err(format!("cannot start ssh: {error}")),
            }
        }
    }
}

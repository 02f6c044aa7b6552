//! How much room an engine's disk has, where this process can see it.

use std::path::Path;

use crate::DockerProvider;
use crate::client::Address;

/// Bytes free for root under the engine's data folder; `None` when the engine is on another machine
/// or hides its folder (a socket that is forwarded, an engine in a virtual machine).
pub(crate) fn free_on_engine(docker: &DockerProvider) -> Option<u64> {
    if !is_local(docker) {
        return None;
    }
    let folder = docker.info["DockerRootDir"].as_str()?;
    let found = rustix::fs::statvfs(Path::new(folder)).ok()?;
    Some(found.f_bfree.saturating_mul(found.f_frsize))
}

/// Whether the engine runs on this machine, by its socket and by its name.
pub(crate) fn is_local(docker: &DockerProvider) -> bool {
    let Address::Unix(_) = docker.client.endpoint().address else { return false };
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    docker.info["Name"].as_str() == Some(own.trim())
}

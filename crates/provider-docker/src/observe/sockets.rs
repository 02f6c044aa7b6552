//! What listens in a container, read from its network namespace's socket tables (proc(5)).
//!
//! On a local engine they are the host's `/proc/<pid>/net`; elsewhere `cat` reads them by exec where
//! the container has one, and nobody knows where it has not.

use std::collections::BTreeSet;

use patchyard_assess::sockets::row;
use patchyard_types::{Protocol, Socket};

use super::Look;
use crate::client::Exec;

/// The tables, with what each holds.
const TABLES: [(&str, Protocol); 4] =
    [("tcp", Protocol::Tcp), ("tcp6", Protocol::Tcp), ("udp", Protocol::Udp), ("udp6", Protocol::Udp)];

/// A table is cut off here: a container with more connections than this still listens at the top.
const LIMIT: usize = 4 * 1024 * 1024;

pub(super) async fn listening(look: &Look<'_>) -> Option<BTreeSet<Socket>> {
    let mode = look.inspect["HostConfig"]["NetworkMode"].as_str().unwrap_or_default();
    let shared = mode == "host" || mode.starts_with("container:");
    let Some(pid) = look.local_pid() else {
        // On the host's network, or another container's, the tables hold everybody's sockets, and whose they are shows only here.
        return if shared { None } else { by_exec(look).await };
    };
    let own = if shared { Some(own_inodes(look, pid).await?) } else { None };
    let mut sockets = BTreeSet::new();
    for (table, protocol) in TABLES {
        // A host without IPv6 has no tcp6.
        let Ok(bytes) = tokio::fs::read(format!("/proc/{pid}/net/{table}")).await else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let rows = text.lines().skip(1).filter_map(|line| row(line, protocol));
        sockets.extend(
            rows.filter(|(_, inode)| own.as_ref().is_none_or(|own| own.contains(inode)))
                .map(|(socket, _)| socket),
        );
    }
    Some(sockets)
}

async fn by_exec(look: &Look<'_>) -> Option<BTreeSet<Socket>> {
    let mut sockets = BTreeSet::new();
    let mut any = false;
    for (table, protocol) in TABLES {
        let path = format!("/proc/net/{table}");
        let argv = ["cat", path.as_str()];
        let exec = Exec { timeout: look.limit, limit: LIMIT, ..Exec::new(&argv) };
        let Ok(output) = look.docker.client.exec(look.container, &exec).await else { return None };
        if output.exit == 0 {
            any = true;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            sockets.extend(
                text.lines().skip(1).filter_map(|line| row(line, protocol)).map(|(socket, _)| socket),
            );
        }
    }
    any.then_some(sockets)
}

/// Inodes of the sockets that the container's processes hold.
async fn own_inodes(look: &Look<'_>, main: u64) -> Option<BTreeSet<u64>> {
    let top = look.docker.client.get(&["containers", look.container, "top"]).query("ps_args", "-eo pid");
    let top = top.timeout(look.limit).json().await.ok()?;
    let listed = top["Processes"].as_array().into_iter().flatten();
    let pids = listed.filter_map(|row| row[0].as_str()?.trim().parse().ok()).chain([main]);
    let mut inodes = BTreeSet::new();
    for pid in pids.collect::<BTreeSet<u64>>() {
        let Ok(files) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        inodes.extend(files.flatten().filter_map(|file| {
            let link = std::fs::read_link(file.path()).ok()?;
            link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok()
        }));
    }
    Some(inodes)
}

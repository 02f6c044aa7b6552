//! Losses: what a way back does not bring back, stated before anybody says yes.

use patchyard_types::{
    Loss, Method, MountKind, SnapshotPolicy, Target, TargetKind, WritableLayer, printable,
};

/// Everything a swap of this target and its way back lose, sorted. `restored` are the volumes that do not
/// stay as they are.
pub fn losses(target: &Target, snapshot: SnapshotPolicy, method: Method, restored: &[String]) -> Vec<Loss> {
    if target.kind == TargetKind::Host {
        return of_a_machine(method, snapshot);
    }
    let mut losses = vec![loss("logs", "the engine's logs of the old container are lost".to_owned())];
    if method == Method::Restore {
        losses.push(loss("layer", "files written into the container since the patch are lost".to_owned()));
    }
    for port in target.ports.iter().filter(|port| port.ephemeral) {
        let (port, protocol, host_port) = (port.port, &port.protocol, port.host_port);
        losses.push(loss(
            "port",
            format!(
                "port {port}/{protocol} is published on one that the engine chooses: it will not be {host_port} any more"
            ),
        ));
    }
    for mount in &target.mounts {
        let at = printable(&mount.destination, 200);
        let source = printable(&mount.source, 200);
        match mount.kind {
            MountKind::Tmpfs => {
                losses.push(loss("tmpfs", format!("what is in memory at {at} is lost at every restart")));
            }
            _ if !mount.writable => {}
            MountKind::Volume if restored.contains(&mount.source) => {
                let detail = match method {
                    Method::Restore => format!(
                        "volume {source} at {at} goes back to what it was before the patch: what was written since is LOST to the service, and kept by this rollback's own snapshot"
                    ),
                    Method::Layer | Method::Image | Method::Packages => format!(
                        "volume {source} at {at} is put back by a rollback to what it was when the old container was stopped: what is written after that is LOST then"
                    ),
                };
                losses.push(loss("data", detail));
            }
            MountKind::Volume => {
                losses.push(loss(
                    "volume",
                    format!("volume {source} at {at} is kept as it is, not rolled back"),
                ));
            }
            MountKind::Bind => {
                losses.push(loss("bind", format!("{source} at {at} is kept as it is, not rolled back")));
            }
            MountKind::Other => {
                losses.push(loss("mount", format!("the mount at {at} is kept as it is, not rolled back")));
            }
        }
    }
    losses.sort_unstable();
    losses.dedup();
    losses
}

/// Packages are put back, and nothing else; where they cannot be, the disks are.
fn of_a_machine(method: Method, snapshot: SnapshotPolicy) -> Vec<Loss> {
    let mut losses = vec![
        loss("data", "data and configuration stay as they are, not rolled back".to_owned()),
        loss("new_packages", "packages that come in new stay".to_owned()),
    ];
    if method == Method::Restore {
        losses.remove(1);
    }
    if snapshot == SnapshotPolicy::Required {
        losses.push(loss(
            "disks",
            "where its packages do not bring it back, its disks go back to the moment before the patch: what was written since is LOST then".to_owned(),
        ));
    }
    losses
}

/// Adds what becomes of the data in its writable layer.
pub fn add_writable_layer(losses: &mut Vec<Loss>, choice: WritableLayer, paths: &[String]) {
    if paths.is_empty() {
        return;
    }
    let detail = match choice {
        WritableLayer::LeaveOut => return,
        WritableLayer::Carry => format!(
            "{} in the writable layer are carried into the new container; sockets and user-defined extended attributes are lost",
            some_of(paths)
        ),
        WritableLayer::Discard => format!(
            "{} in the writable layer are LOST to the new container; a rollback brings them back",
            some_of(paths)
        ),
    };
    losses.push(loss("writable_layer", detail));
    losses.sort_unstable();
}

/// The first few of many paths.
pub fn some_of(paths: &[String]) -> String {
    let mut sorted: Vec<_> = paths.iter().map(|path| printable(path, 100)).collect();
    sorted.sort_unstable();
    let more = if sorted.len() > 3 { format!(" and {} more", sorted.len() - 3) } else { String::new() };
    sorted.truncate(3);
    format!("{}{more}", sorted.join(", "))
}

fn loss(kind: &str, detail: String) -> Loss {
    Loss { kind: kind.to_owned(), detail }
}

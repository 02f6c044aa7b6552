//! Losses: what a way back does not bring back, stated before anybody says yes.

use patchyard_types::{Loss, Method, MountKind, Target, printable};

/// Everything a swap of this target and its way back lose, sorted.
pub fn losses(target: &Target, method: Method) -> Vec<Loss> {
    let mut losses = vec![loss("logs", "the engine's logs of the old container are lost".to_owned())];
    if method == Method::Restore {
        losses.push(loss("layer", "files written into the container since the patch are lost".to_owned()));
    }
    for mount in &target.mounts {
        let at = printable(&mount.destination, 200);
        let source = printable(&mount.source, 200);
        match mount.kind {
            MountKind::Tmpfs => {
                losses.push(loss("tmpfs", format!("what is in memory at {at} is lost at every restart")));
            }
            _ if !mount.writable => {}
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

fn loss(kind: &str, detail: String) -> Loss {
    Loss { kind: kind.to_owned(), detail }
}

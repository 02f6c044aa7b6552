//! `data: restore`: which volumes a way back puts back, and when it could not.

use patchyard_types::{MountKind, Target, TargetState, printable};

/// The volumes that a target may write to, sorted: those that a way back puts back.
pub fn volumes(target: &Target) -> Vec<String> {
    let written = target.mounts.iter().filter(|mount| mount.writable && mount.kind == MountKind::Volume);
    let mut volumes: Vec<String> = written.map(|mount| mount.source.clone()).collect();
    volumes.sort_unstable();
    volumes.dedup();
    volumes
}

/// Why the data of a target could not be put back as a whole, if it could not. `everyone` are the targets
/// that are known: a volume that another one uses would change under it.
#[must_use]
pub fn cannot_restore<'a>(target: &Target, everyone: impl IntoIterator<Item = &'a Target>) -> Option<String> {
    let because = |why: String| Some(format!("its data cannot be restored: {why}"));
    for mount in target.mounts.iter().filter(|mount| mount.writable) {
        let (source, at) = (printable(&mount.source, 200), printable(&mount.destination, 200));
        match mount.kind {
            MountKind::Volume | MountKind::Tmpfs => {}
            MountKind::Bind => {
                return because(format!(
                    "{source} at {at} is a folder of the host, not a volume; mount it read-only, or say data: keep"
                ));
            }
            MountKind::Other => return because(format!("the mount at {at} is no volume; say data: keep")),
        }
    }
    let volumes = volumes(target);
    for other in everyone.into_iter().filter(|other| other.host == target.host && other.id != target.id) {
        let is_up =
            matches!(other.state, TargetState::Running | TargetState::Paused | TargetState::Restarting);
        let shared = other
            .mounts
            .iter()
            .find(|mount| mount.kind == MountKind::Volume && volumes.contains(&mount.source));
        if let Some(mount) = shared.filter(|_| is_up) {
            return because(format!(
                "{} uses volume {}, too; stop that one first, or say data: keep",
                printable(&other.name, 100),
                printable(&mount.source, 200)
            ));
        }
    }
    None
}

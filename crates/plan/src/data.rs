//! `data: restore`: which volumes a way back puts back, and when it could not.

use std::collections::BTreeMap;

use patchyard_types::{HostId, MountKind, Target, TargetState, printable};

/// The volumes that a target may write to, sorted: those that a way back puts back.
pub fn volumes(target: &Target) -> Vec<String> {
    let written = target.mounts.iter().filter(|mount| mount.writable && mount.kind == MountKind::Volume);
    let mut volumes: Vec<String> = written.map(|mount| mount.source.clone()).collect();
    volumes.sort_unstable();
    volumes.dedup();
    volumes
}

/// Who uses which volume, of everybody who is up.
#[derive(Debug, Default)]
pub struct VolumeUsers<'a>(BTreeMap<(&'a HostId, &'a str), Vec<(usize, &'a Target)>>);

impl<'a> VolumeUsers<'a> {
    /// Of these targets, in their order.
    pub fn of(everyone: impl IntoIterator<Item = &'a Target>) -> Self {
        let mut users: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (place, target) in everyone.into_iter().enumerate() {
            if matches!(target.state, TargetState::Running | TargetState::Paused | TargetState::Restarting) {
                for mount in target.mounts.iter().filter(|mount| mount.kind == MountKind::Volume) {
                    users.entry((&target.host, mount.source.as_str())).or_default().push((place, target));
                }
            }
        }
        Self(users)
    }

    /// The first other one that uses one of a target's volumes.
    fn other(&self, target: &Target, volumes: &[String]) -> Option<&'a Target> {
        let users = volumes.iter().filter_map(|volume| self.0.get(&(&target.host, volume.as_str())));
        let others = users.flatten().filter(|(_, other)| other.id != target.id);
        others.min_by_key(|(place, _)| *place).map(|(_, other)| *other)
    }

    /// Why the data of a target could not be put back as a whole, if it could not: a volume that another one
    /// uses would change under it.
    #[must_use]
    pub fn cannot_restore(&self, target: &Target) -> Option<String> {
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
                MountKind::Other => {
                    return because(format!("the mount at {at} is no volume; say data: keep"));
                }
            }
        }
        let volumes = volumes(target);
        let other = self.other(target, &volumes)?;
        let is_shared = |mount: &&patchyard_types::Mount| {
            mount.kind == MountKind::Volume && volumes.contains(&mount.source)
        };
        let shared = other.mounts.iter().find(is_shared)?;
        because(format!(
            "{} uses volume {}, too; stop that one first, or say data: keep",
            printable(&other.name, 100),
            printable(&shared.source, 200)
        ))
    }
}

//! Swarm services: what of a target's settings Swarm cannot do, and what its owner may not expect of Swarm.

use std::collections::BTreeMap;

use patchyard_types::{Data, Method, MountKind, Settings, Target, Trap, printable};

/// Why a service is not patched as its settings ask, if it is not.
#[must_use]
pub(crate) fn cannot_update(target: &Target, settings: &Settings) -> Option<String> {
    let name = printable(&target.name, 100);
    if settings.method == Method::Layer {
        return Some(format!(
            "the packages of a Swarm service are patched in its image, which every node takes from the registry: push \
             a patched one under its tag, and say --method image ({name})"
        ));
    }
    if settings.data == Data::Restore && target.mounts.iter().any(|mount| mount.kind == MountKind::Volume) {
        return Some(
            "Swarm moves tasks between nodes, so the volumes of a service cannot be copied: say data: keep"
                .to_owned(),
        );
    }
    if !settings.drain.is_nothing() {
        return Some(
            "Swarm stops the tasks of a service itself, so nothing can be done before: leave drain out, and have the \
             program end well on its stop signal within stop_grace_period"
                .to_owned(),
        );
    }
    None
}

/// Remarks on the traps of the services in a plan, one a trap.
pub fn traps(targets: &[&Target]) -> Vec<String> {
    let mut found: BTreeMap<&Trap, Vec<&str>> = BTreeMap::new();
    for target in targets {
        for trap in &target.traps {
            found.entry(trap).or_default().push(&target.name);
        }
    }
    found
        .into_iter()
        .map(|(trap, names)| {
            format!("{}: {}", crate::planner::some_of(&names), printable(&trap.message, 500))
        })
        .collect()
}

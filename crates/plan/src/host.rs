//! Methods and kinds: how a target of each kind can be patched, and what to say to the other methods.

use patchyard_types::{DiskSnapshots, Method, Settings, SnapshotPolicy, Target, TargetKind, printable};

use crate::service;

/// Why a target is not patched as its settings ask, if it is not.
#[must_use]
pub fn cannot_patch(target: &Target, settings: &Settings) -> Option<String> {
    let name = printable(&target.name, 100);
    match (target.kind, settings.method) {
        (TargetKind::Host, method @ (Method::Layer | Method::Image)) => Some(format!(
            "method {method} makes images of containers, and {name} is a machine, whose packages are changed in place: \
             leave --method out, or say --method packages"
        )),
        (TargetKind::Container | TargetKind::Service, Method::Packages) => Some(format!(
            "method packages changes the packages of a machine in place, and {name} is none: say --method layer or image"
        )),
        (TargetKind::Service, Method::Layer | Method::Image | Method::Restore) => {
            service::cannot_update(target, settings)
        }
        (TargetKind::Container, Method::Layer | Method::Image | Method::Restore)
        | (TargetKind::Host, Method::Packages | Method::Restore) => None,
    }
}

/// Whether a snapshot of its disks is taken before its packages are changed: where somebody can, and the settings say so.
pub(crate) fn snapshot(target: &Target, settings: &Settings) -> SnapshotPolicy {
    match (target.kind, &target.disk_snapshots) {
        (TargetKind::Host, DiskSnapshots::Keeper) => settings.snapshot,
        _ => SnapshotPolicy::Never,
    }
}

/// Why a machine is not patched whose keeper takes snapshots, but none of this one, if it is not.
pub(crate) fn no_snapshot(target: &Target, settings: &Settings) -> Option<String> {
    match (target.kind, settings.snapshot, &target.disk_snapshots) {
        (TargetKind::Host, SnapshotPolicy::Required, DiskSnapshots::Refused(reason)) => Some(format!(
            "no snapshot of its disks can be taken before the patch: {}; say snapshot: never to go without",
            printable(reason, 300)
        )),
        _ => None,
    }
}

/// The method that changes packages on a target of this kind.
pub(crate) const fn package_method(kind: TargetKind) -> Method {
    match kind {
        TargetKind::Host => Method::Packages,
        TargetKind::Container | TargetKind::Service => Method::Layer,
    }
}

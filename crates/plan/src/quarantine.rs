//! Quarantine: whether a patch set has failed before, here or elsewhere.

use patchyard_types::{
    Change, ImageUpdate, PatchSet, PendingPatch, PendingStatus, Quarantine, QuarantineId, StartingState,
    printable,
};

use crate::judge;

/// The first entry that keeps a patch set away from a service.
pub fn suspect<'a>(
    quarantine: &'a [(QuarantineId, Quarantine)],
    service: &str,
    set: &PatchSet,
) -> Option<&'a (QuarantineId, Quarantine)> {
    quarantine.iter().filter(|(_, entry)| entry.keeps_out(service, set)).min_by_key(|(id, _)| *id)
}

/// The first entry that keeps a service from what is pending on one of its targets: no plan takes it
/// until somebody releases the entry.
#[must_use]
pub fn keeps_out<'a>(
    quarantine: &'a [(QuarantineId, Quarantine)],
    service: &str,
    from: &StartingState,
    pending: &[PendingPatch],
) -> Option<&'a (QuarantineId, Quarantine)> {
    let packages = pending.iter().filter(|patch| patch.status == PendingStatus::Available);
    let change = Change::Packages(packages.map(judge::change).collect());
    suspect(quarantine, service, &PatchSet { from: from.clone(), change })
}

/// The same for a newer image.
#[must_use]
pub fn keeps_image_out<'a>(
    quarantine: &'a [(QuarantineId, Quarantine)],
    service: &str,
    from: &StartingState,
    update: &ImageUpdate,
) -> Option<&'a (QuarantineId, Quarantine)> {
    suspect(quarantine, service, &judge::image_set(from, update))
}

/// The entry in words, with the command that releases it.
pub fn explain((id, entry): &(QuarantineId, Quarantine), set: &PatchSet) -> String {
    let suspects = entry.suspects_in(set);
    let common = &suspects[..suspects.len().min(3)];
    let more = suspects.len() - common.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!(
        "{}{more} failed on {} ({id}: {}); `patchyard quarantine release {id}` lets it in again",
        printable(&common.join(", "), 200),
        printable(&entry.service, 60),
        printable(&entry.reason, 200),
    )
}

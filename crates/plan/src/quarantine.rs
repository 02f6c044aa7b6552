//! Quarantine: whether a patch set has failed before, here or elsewhere.

use patchyard_types::{PatchSet, Quarantine, QuarantineId, printable};

/// The first entry that keeps a patch set away from a service.
pub fn suspect<'a>(
    quarantine: &'a [(QuarantineId, Quarantine)],
    service: &str,
    set: &PatchSet,
) -> Option<&'a (QuarantineId, Quarantine)> {
    quarantine.iter().filter(|(_, entry)| entry.keeps_out(service, set)).min_by_key(|(id, _)| *id)
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

//! Quarantine: whether a patch set has failed before, here or elsewhere.

use patchyard_types::{PatchSet, Quarantine, QuarantineId, printable};

/// The first entry that keeps a patch set away from a service.
///
/// On the service where it failed every changed version is a suspect: any one of them is enough.
/// Elsewhere only a set that contains all of them is kept out, for the fault may lie in how that
/// service uses them.
pub fn suspect<'a>(
    quarantine: &'a [(QuarantineId, Quarantine)],
    service: &str,
    set: &PatchSet,
) -> Option<&'a (QuarantineId, Quarantine)> {
    let versions = set.versions();
    let has = |version: &String| versions.contains(version);
    let counts = |(_, entry): &&(QuarantineId, Quarantine)| {
        if entry.service == service {
            entry.versions.iter().any(has)
        } else {
            !entry.versions.is_empty() && entry.versions.iter().all(has)
        }
    };
    quarantine.iter().filter(counts).min_by_key(|(id, _)| *id)
}

/// The entry in words, with the command that releases it.
pub fn explain((id, entry): &(QuarantineId, Quarantine), set: &PatchSet) -> String {
    let versions = set.versions();
    let common: Vec<_> =
        entry.versions.iter().filter(|v| versions.contains(v)).take(3).map(String::as_str).collect();
    let more = entry.versions.iter().filter(|v| versions.contains(v)).count() - common.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!(
        "{}{more} failed on {} ({id}: {}); `patchyard quarantine release {id}` lets it in again",
        printable(&common.join(", "), 200),
        printable(&entry.service, 60),
        printable(&entry.reason, 200),
    )
}

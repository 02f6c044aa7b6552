//! Quarantine: what failed once is kept out of later plans until a person releases it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Digest, PatchSet, PatchSetId, RunId};

/// An entry's number on this controller, shown as `Q3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QuarantineId(pub u64);

impl std::fmt::Display for QuarantineId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Q{}", self.0)
    }
}

/// A patch set that failed.
///
/// On the service where it failed every changed version of the set is a suspect; elsewhere only
/// sets that contain all of its versions are kept out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// The set that failed.
    pub patch_set: PatchSetId,
    /// Its changed versions, `name=version` or `reference@digest`.
    pub versions: Vec<String>,
    /// SHA-256 of the package files by version, where known: another build that bears the same
    /// version is no suspect.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, Digest>,
    /// The service where it failed.
    pub service: String,
    /// The run that found out.
    pub run: RunId,
    /// When.
    pub at: Timestamp,
    /// What failed.
    pub reason: String,
}

impl Quarantine {
    /// Whether this entry keeps a patch set away from a service.
    ///
    /// On the service where it failed any one of its versions is enough. Elsewhere only a set that
    /// contains all of them is kept out, for the fault may lie in how that service uses them.
    #[must_use]
    pub fn keeps_out(&self, service: &str, set: &PatchSet) -> bool {
        if self.service == service {
            !self.suspects_in(set).is_empty()
        } else {
            !self.versions.is_empty() && self.suspects_in(set).len() == self.versions.len()
        }
    }

    /// The versions of this entry that a patch set would bring.
    #[must_use]
    pub fn suspects_in(&self, set: &PatchSet) -> Vec<&str> {
        let (versions, files) = (set.versions(), set.files());
        let same = |version: &&String| {
            let bytes = self.files.get(*version).zip(files.get(*version));
            versions.contains(version) && bytes.is_none_or(|(failed, new)| failed == new)
        };
        self.versions.iter().filter(same).map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Arch, Change, PackageChange, StartingState};

    fn set(bytes: &[u8]) -> PatchSet {
        let change = PackageChange {
            name: "web".into(),
            arch: Arch("amd64".into()),
            from: None,
            to: Some("2".into()),
            sha256: Some(Digest::of_bytes(bytes)),
            security: false,
            size: 1,
        };
        let from = StartingState { platform: String::new(), image: String::new(), packages: None };
        PatchSet { from, change: Change::Packages(vec![change]) }
    }

    #[test]
    fn another_build_of_the_same_version_is_no_suspect() {
        let failed = set(b"bad");
        let entry = Quarantine {
            patch_set: failed.id(),
            versions: failed.versions(),
            files: failed.files(),
            service: "mail".into(),
            run: RunId { rollout: crate::RolloutId(1), action: 0 },
            at: Timestamp::UNIX_EPOCH,
            reason: String::new(),
        };
        assert!(entry.keeps_out("mail", &failed) && entry.keeps_out("shop", &failed));
        assert!(!entry.keeps_out("mail", &set(b"good")) && !entry.keeps_out("shop", &set(b"good")));
    }
}

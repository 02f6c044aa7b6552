//! Quarantine: what failed once is kept out of later plans until a person releases it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{PatchSetId, RunId};

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
    /// The service where it failed.
    pub service: String,
    /// The run that found out.
    pub run: RunId,
    /// When.
    pub at: Timestamp,
    /// What failed.
    pub reason: String,
}

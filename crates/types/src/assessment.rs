//! Assessments: what is missing on a target, or why that is not known. Unknown is never zero.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Arch, Digest};

/// The answer for one target at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Assessment {
    /// The target's own package manager was asked.
    Assessed {
        /// When it was asked.
        at: Timestamp,
        /// What is pending, sorted by package and architecture; empty means up to date.
        pending: Vec<PendingPatch>,
    },
    /// Nobody knows.
    NotAssessed(NotAssessed),
}

/// Why a target could not be assessed, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotAssessed {
    /// When it was tried.
    pub at: Timestamp,
    /// The reason, fit to be shown.
    pub reason: String,
    /// What the operator can do; empty when there is nothing.
    pub hint: String,
}

/// A newer version of a package that a target does not have yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PendingPatch {
    /// Binary package name.
    pub package: String,
    /// Its architecture.
    pub arch: Arch,
    /// The installed version; `None` for a package that comes in new as a dependency.
    pub installed: Option<String>,
    /// The version the package manager would install.
    pub candidate: String,
    /// Whether the candidate comes from a security suite.
    pub security: bool,
    /// Where the candidate comes from: `Debian-Security:12/stable-security`.
    pub origin: String,
    /// Whether it can be installed now.
    pub status: PendingStatus,
    /// Download size in bytes.
    pub size: u64,
    /// SHA-256 of the package file, from the signed index; `None` where the index has none.
    pub sha256: Option<Digest>,
    /// Why it cannot be installed now, in the solver's words; empty when it can.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Whether a pending patch can be installed now, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PendingStatus {
    /// The package manager would install it.
    Available,
    /// An administrator put it on hold.
    Held,
    /// A phased update that has not reached this machine yet (Ubuntu).
    Phased,
    /// The solver keeps it back: installing it would need a removal, which was not asked for.
    KeptBack,
    /// The solver would remove this installed package (only shown with `--allow-remove`; the
    /// candidate is empty).
    Removal,
}

/// A newer image behind the same tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ImageUpdate {
    /// The reference that was asked about.
    pub reference: String,
    /// The digest the target runs, `sha256:…`, where known.
    pub from: Option<String>,
    /// The digest the registry has now, `sha256:…`.
    pub to: String,
}

//! Patch sets: the exact change for one distinct starting state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Arch, Digest, StartingState};

/// Digest of a patch set; equal sets have equal ids on every controller.
pub type PatchSetId = Digest;

/// How a target is patched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// One layer with the patched packages on the original image.
    Layer,
    /// A newer digest of the same tag.
    Image,
    /// The packages of a machine, in place.
    Packages,
    /// Back to a snapshot (a manual rollback).
    Restore,
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Layer => "layer",
            Self::Image => "image",
            Self::Packages => "packages",
            Self::Restore => "restore",
        })
    }
}

/// The change for one distinct starting state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PatchSet {
    /// The state it applies to.
    pub from: StartingState,
    /// What changes.
    pub change: Change,
}

impl PatchSet {
    /// The set's id.
    #[must_use]
    pub fn id(&self) -> PatchSetId {
        Digest::of(self)
    }

    /// SHA-256 of the package files, by the words of [`Self::versions`].
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, Digest> {
        let Change::Packages(packages) = &self.change else { return BTreeMap::new() };
        let named =
            packages.iter().filter_map(|p| Some((format!("{}={}", p.name, p.to.as_ref()?), p.sha256?)));
        named.collect()
    }

    /// The changed versions by name, for quarantine and for people: `name=version`, sorted; an
    /// image counts as its reference and digest.
    #[must_use]
    pub fn versions(&self) -> Vec<String> {
        match &self.change {
            Change::Packages(packages) => packages
                .iter()
                .map(|p| format!("{}={}", p.name, p.to.as_deref().unwrap_or("removed")))
                .collect(),
            Change::Image { reference, to, .. } => vec![format!("{reference}@{to}")],
            Change::Snapshot { snapshot, .. } => vec![format!("snapshot={snapshot}")],
        }
    }
}

/// What a patch set changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Packages, sorted by name and architecture.
    Packages(Vec<PackageChange>),
    /// The image behind a tag.
    Image {
        /// The tag.
        reference: String,
        /// The digest it had, where known.
        from: Option<String>,
        /// The digest it has now.
        to: String,
    },
    /// Back to a snapshot.
    Snapshot {
        /// Which.
        snapshot: crate::SnapshotId,
        /// Of a Swarm service: the digest of the image that it goes back to. Swarm itself keeps the rest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image: Option<String>,
        /// Of a machine: the packages that are put back, from the versions that the patch has made.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        packages: Vec<PackageChange>,
    },
}

/// One package of a patch set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PackageChange {
    /// Binary package name.
    pub name: String,
    /// Its architecture.
    pub arch: Arch,
    /// The version before; `None` for one that comes in new.
    pub from: Option<String>,
    /// The version after; `None` for one that is removed (only with `--allow-remove`).
    pub to: Option<String>,
    /// SHA-256 of the package file; `None` only for a removal.
    pub sha256: Option<Digest>,
    /// Whether it fixes a security problem, by its origin.
    pub security: bool,
    /// Size of the package file in bytes.
    pub size: u64,
}

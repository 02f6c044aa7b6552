//! Inventory: what a target has installed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// A machine architecture in Debian's or the image's own words (`amd64`, `arm64`, `all`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Arch(pub String);

impl std::fmt::Display for Arch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The OS release of a root file system (os-release(5)).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OsRelease {
    /// `ID`: `debian`, `ubuntu`, …
    pub id: String,
    /// `VERSION_ID`: `12`, `22.04`; empty for rolling releases.
    pub version_id: String,
    /// `PRETTY_NAME`, for people.
    pub pretty_name: String,
}

/// A package manager Patchyard knows by its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageManager {
    /// dpkg with apt.
    Apt,
    /// rpm with dnf.
    Dnf,
    /// rpm with zypper.
    Zypper,
    /// apk.
    Apk,
}

/// A package that is installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstalledPackage {
    /// Binary package name.
    pub name: String,
    /// Its architecture.
    pub arch: Arch,
    /// Its version, as the package manager writes it.
    pub version: String,
    /// The source package it was built from, where it differs from the name.
    pub source: Option<String>,
    /// On hold: an administrator does not want it changed.
    pub held: bool,
}

/// What a target has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// OS release, where the file could be read.
    pub os: Option<OsRelease>,
    /// The package manager, where a database was found.
    pub package_manager: Option<PackageManager>,
    /// Installed packages, sorted by name and architecture; shared by the targets of an image.
    pub packages: Arc<[InstalledPackage]>,
    /// Digest of what decides the package manager's answers besides the packages: its version, its sources and whom it believes.
    /// Where two targets of a host have the same, one may be asked about the other's packages. `None` where that is not known.
    pub sources: Option<Digest>,
    /// The state that decides which patch set fits: equal for targets that may share one.
    pub starting: StartingState,
}

/// A distinct starting state: targets that share it are asked about once, and patched with one set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StartingState {
    /// `linux/amd64` and the like.
    pub platform: String,
    /// Image id the target runs.
    pub image: String,
    /// Digest of the package database, package sources, preferences and keyrings; `None` when
    /// there is no package manager.
    pub packages: Option<Digest>,
}

//! Snapshots: what a run can be rolled back to after it has succeeded.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{HostId, PackageChange, RunId, TargetId};

/// A snapshot's name: that of the run that took it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SnapshotId(pub String);

impl std::fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A snapshot of a container: enough to create it again as it was; of a machine: the versions that it had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its name.
    pub id: SnapshotId,
    /// What it is a snapshot of.
    pub target: TargetId,
    /// The target's name.
    pub name: String,
    /// The service.
    pub service: String,
    /// Where it is kept.
    pub host: HostId,
    /// The run that took it.
    pub run: RunId,
    /// When.
    pub at: Timestamp,
    /// The image id to create from: the layer with the writable part where there is one, else the
    /// image the container ran.
    pub image: String,
    /// The image id the container ran.
    pub base_image: String,
    /// The reference it was created with.
    pub reference: String,
    /// Whether `image` is a layer of its own that goes when the snapshot goes.
    pub own_layer: bool,
    /// The tags that keep its images alive on the host; removed with it.
    pub tags: Vec<String>,
    /// The copies of its volumes, as they were when it was stopped: only where the plan said
    /// `data: restore`. Removed with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<SavedVolume>,
    /// Of a machine: the packages that going back installs, from the versions that the patch has made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<PackageChange>,
    /// Of a machine: its disks before the patch, where its keeper has taken a snapshot of them. Merged when this is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disks: Option<SavedDisks>,
    /// What it takes on the host's disk, in bytes.
    pub size: u64,
    /// What it does not hold.
    pub lost: Vec<String>,
}

/// A copy of a volume, as it was while nobody wrote to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SavedVolume {
    /// The volume.
    pub volume: String,
    /// The volume that holds its copy.
    pub copy: String,
    /// The bytes that the copy takes on the host's disk, where nothing of it is shared.
    pub size: u64,
}

/// A snapshot of a machine's disks, taken from outside by whoever keeps the machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SavedDisks {
    /// Its name there, derived from the run.
    pub name: String,
    /// The disks that are in it, as the keeper calls them (`vda`). Empty where it has the whole machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<String>,
    /// The disks that are not, and stay as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

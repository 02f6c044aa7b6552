//! `patchyard.snapshots/v1`: the ways back that are kept, or what became of those to be removed.

use patchyard_app::snapshots::Pruned;
use patchyard_types::{SavedDisks, Snapshot};
use serde::Serialize;

/// What `snapshots` lists, or `snapshots prune` did.
#[derive(Debug, Serialize)]
pub struct SnapshotsDocument {
    schema: &'static str,
    snapshots: Vec<SnapshotJson>,
    /// The removal was only looked at.
    dry_run: bool,
    pruned: Vec<PrunedJson>,
}

#[derive(Debug, Serialize)]
struct SnapshotJson {
    id: String,
    target: String,
    name: String,
    service: String,
    host_id: String,
    run: String,
    at: String,
    reference: String,
    image: String,
    base_image: String,
    own_layer: bool,
    /// The volumes that it keeps copies of.
    volumes: Vec<String>,
    /// The disks of a machine, where its keeper has them.
    disks: Option<DisksJson>,
    size: u64,
    lost: Vec<String>,
}

#[derive(Debug, Serialize)]
struct DisksJson {
    name: String,
    disks: Vec<String>,
    left_out: Vec<String>,
}

#[derive(Debug, Serialize)]
struct PrunedJson {
    snapshot: SnapshotJson,
    /// Why it is still there; `null` when it is gone or was only looked at.
    failed: Option<String>,
}

impl SnapshotsDocument {
    /// Those that are kept.
    pub fn listed(snapshots: &[Snapshot]) -> Self {
        let snapshots = snapshots.iter().map(SnapshotJson::from).collect();
        Self { schema: "patchyard.snapshots/v1", snapshots, dry_run: false, pruned: Vec::new() }
    }

    /// Those that were to be removed, and whether that was only looked at.
    pub fn pruned(pruned: &[Pruned], dry_run: bool) -> Self {
        let pruned = pruned.iter().map(|Pruned { snapshot, failed }| PrunedJson {
            snapshot: SnapshotJson::from(snapshot),
            failed: failed.clone(),
        });
        Self { schema: "patchyard.snapshots/v1", snapshots: Vec::new(), dry_run, pruned: pruned.collect() }
    }
}

impl From<&Snapshot> for SnapshotJson {
    fn from(snapshot: &Snapshot) -> Self {
        let Snapshot {
            id,
            target,
            name,
            service,
            host,
            run,
            at,
            image,
            base_image,
            reference,
            own_layer,
            tags: _,
            volumes,
            packages: _,
            disks,
            size,
            lost,
        } = snapshot;
        Self {
            id: id.to_string(),
            target: target.to_string(),
            name: name.clone(),
            service: service.clone(),
            host_id: host.to_string(),
            run: run.to_string(),
            at: at.to_string(),
            reference: reference.clone(),
            image: image.clone(),
            base_image: base_image.clone(),
            own_layer: *own_layer,
            volumes: volumes.iter().map(|saved| saved.volume.clone()).collect(),
            disks: disks.as_ref().map(DisksJson::from),
            size: *size,
            lost: lost.clone(),
        }
    }
}

impl From<&SavedDisks> for DisksJson {
    fn from(saved: &SavedDisks) -> Self {
        let SavedDisks { name, disks, left_out } = saved;
        Self { name: name.clone(), disks: disks.clone(), left_out: left_out.clone() }
    }
}

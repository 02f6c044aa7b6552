//! `patchyard.snapshots/v1`

use patchyard_app::snapshots::Pruned;
use patchyard_types::Snapshot;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub struct SnapshotsDocument {
    schema: &'static str,
    snapshots: Vec<SnapshotJson>,
    pruned: Vec<PrunedJson>,
}

#[derive(Debug, Serialize)]
struct SnapshotJson {
    id: String,
    target: String,
    target_id: String,
    service: String,
    host: String,
    run: String,
    at: String,
    reference: String,
    image: String,
    size: u64,
    lost: Vec<String>,
}

#[derive(Debug, Serialize)]
struct PrunedJson {
    #[serde(flatten)]
    snapshot: SnapshotJson,
    failed: Option<String>,
}

impl SnapshotsDocument {
    pub fn listed(snapshots: &[Snapshot]) -> Self {
        let snapshots = snapshots.iter().map(SnapshotJson::from).collect();
        Self { schema: "patchyard.snapshots/v1", snapshots, pruned: Vec::new() }
    }

    pub fn pruned(pruned: &[Pruned]) -> Self {
        let pruned = pruned.iter().map(|pruned| PrunedJson {
            snapshot: SnapshotJson::from(&pruned.snapshot),
            failed: pruned.failed.clone(),
        });
        Self { schema: "patchyard.snapshots/v1", snapshots: Vec::new(), pruned: pruned.collect() }
    }
}

impl From<&Snapshot> for SnapshotJson {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            id: snapshot.id.to_string(),
            target: snapshot.name.clone(),
            target_id: snapshot.target.to_string(),
            service: snapshot.service.clone(),
            host: snapshot.host.to_string(),
            run: snapshot.run.to_string(),
            at: snapshot.at.to_string(),
            reference: snapshot.reference.clone(),
            image: snapshot.image.clone(),
            size: snapshot.size,
            lost: snapshot.lost.clone(),
        }
    }
}

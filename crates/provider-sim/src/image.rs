//! Images of the simulation: a base for each service, and layers on it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use patchyard_types::{
    Action, Change, Failure, FailureKind, PatchSet, PatchSetId, PendingPatch, RunId, Snapshot, SnapshotId,
    StepError,
};

use crate::world::World;

/// The image that every target of a service runs before anybody patches it.
#[must_use]
pub fn base_image(service: &str) -> String {
    format!("{service}-base")
}

/// A patched image: one layer on a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimLayer {
    /// The image it was built on.
    pub base: String,
    /// The versions it brings, by package.
    pub versions: BTreeMap<String, String>,
}

/// The name of the image that a patch set's layer makes.
pub fn image_of(patch_set: &PatchSetId) -> String {
    patch_set.short(12)
}

/// What an image was built on, if it has a layer.
pub fn base(world: &World, image: &str) -> Option<String> {
    world.layers.get(image).map(|layer| layer.base.clone())
}

/// The image that a replacement runs: a layer's own, or the one that a snapshot goes back to.
pub fn patched_image(world: &World, action: &Action, set: &PatchSet) -> Result<String, StepError> {
    let Change::Snapshot { snapshot, .. } = &set.change else { return Ok(image_of(&action.patch_set)) };
    match world.snapshots.get(snapshot) {
        Some(kept) => Ok(kept.image.clone()),
        None => Err(StepError::Failed(Failure::new(FailureKind::Precondition, "its snapshot is gone"))),
    }
}

/// The layer that a patch set makes.
pub fn layer(action: &Action, set: &PatchSet) -> Option<SimLayer> {
    let Change::Packages(packages) = &set.change else { return None };
    let versions = packages.iter().filter_map(|p| Some((p.name.clone(), p.to.clone()?))).collect();
    Some(SimLayer { base: action.expected.base.as_ref().unwrap_or(&action.expected.image).clone(), versions })
}

/// The version of a package that an image has.
pub fn installed(world: &World, image: &str, patch: &PendingPatch) -> Option<String> {
    let layer = world.layers.get(image);
    layer.and_then(|layer| layer.versions.get(&patch.package)).or(patch.installed.as_ref()).cloned()
}

/// The snapshot of what a run replaces.
pub fn snapshot(world: &World, run: RunId, action: &Action, at: Timestamp) -> Snapshot {
    Snapshot {
        id: SnapshotId(run.to_string()),
        target: action.target.clone(),
        name: action.name.clone(),
        service: action.service.clone(),
        host: action.host.clone(),
        run,
        at,
        image: action.expected.image.clone(),
        base_image: base(world, &action.expected.image).unwrap_or_else(|| action.expected.image.clone()),
        reference: action.expected.reference.clone(),
        own_layer: false,
        volumes: vec![],
        tags: vec![],
        packages: Vec::new(),
        disks: None,
        size: 1 << 20,
        lost: vec![],
    }
}

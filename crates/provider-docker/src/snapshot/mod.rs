//! Snapshots: what a container can be created from again after its swap has succeeded.
//!
//! Kept are: the image it ran, under a tag of ours; where its writable layer holds anything that
//! counts, that layer as an image of its own; and its create request, in a file that only we may read.
//! Volumes stay where they are; with `data: restore` the copies that the run has made are part of it.

mod file;

use std::collections::BTreeMap;

use jiff::Timestamp;
use patchyard_contract::ProviderError;
use patchyard_types::{Change, FailureKind, Probe, Record, Snapshot, SnapshotId};
use serde_json::{Value, json};

use crate::client::{ApiError, Client};
use crate::layer::image;
use crate::spec::{self, Inputs};
use crate::swap::{Container, Run, Trouble, done_if, failed, image_size, restart_policy};
use crate::{DockerProvider, names, save, unsaved};

pub(crate) use file::{Kept, all, path_of};

/// What no snapshot of a container holds.
const LOST: [&str; 1] = ["container logs (`docker logs`)"];
/// What an image of a writable layer does not hold.
const LOST_OF_LAYER: [&str; 2] = ["user extended attributes", "sockets and pipes in its own file system"];

/// Takes the snapshot of the original, which is stopped by now.
pub(crate) async fn perform(run: &Run<'_>) -> Result<Record, Trouble> {
    if let Some(snapshot) = whole(run).await? {
        return Ok(Record::Snapshotted { snapshot: Box::new(snapshot) });
    }
    let old = run.old_or_gone().await?;
    let base = run.client().image(old.image()).await?;
    let base =
        base.ok_or_else(|| failed(FailureKind::Host, "the image of the old container is not on the host"))?;
    let (controller, id) = (&run.docker.options.controller, run.call.run);
    let tag = names::snapshot_tag(controller, id);
    let lost_paths = unsaved::unsaved_of_run(run, &old.0).await?.paths;
    let kept_image = if lost_paths.is_empty() {
        image::tag(run.client(), old.image(), &tag).await?;
        old.image().to_owned()
    } else {
        run.note("keeping the writable layer", None);
        layer(run, &old, &base, &tag).await?
    };
    let own_layer = kept_image != old.image();
    let mut tags = vec![tag];
    if own_layer {
        // The settings of the image below are needed to tell what the container set itself.
        let tag = names::snapshot_base_tag(controller, id);
        image::tag(run.client(), old.image(), &tag).await?;
        tags.push(tag);
    }
    let of_dependents = what_dependents_wrote(run).await?;
    if !own_layer && !of_dependents.is_empty() {
        // Further tags come behind these two.
        tags.push(names::snapshot_base_tag(controller, id));
        image::tag(run.client(), old.image(), &names::snapshot_base_tag(controller, id)).await?;
    }
    let lost_of_dependents: Vec<String> = of_dependents
        .iter()
        .map(|(name, tag)| {
            format!("what {name} had written into itself: in the image {tag}, and not put back")
        })
        .collect();
    tags.extend(of_dependents.into_iter().map(|(_, tag)| tag));
    let size = match run.client().image(&kept_image).await? {
        Some(image) if own_layer => image_size(&image).saturating_sub(image_size(&base)),
        _ => 0,
    };
    let volumes = save::saved(run).map(<[_]>::to_vec).unwrap_or_default();
    let size = volumes.iter().fold(size, |sum, saved| sum.saturating_add(saved.size));
    let lost = LOST.iter().chain(LOST_OF_LAYER.iter().filter(|_| own_layer)).map(|&text| text.to_owned());
    let lost = lost.chain(lost_of_dependents);
    let snapshot = Snapshot {
        id: SnapshotId(id.to_string()),
        target: run.action.target.clone(),
        name: run.action.name.clone(),
        service: run.action.service.clone(),
        host: run.docker.host.clone(),
        run: id,
        at: Timestamp::now(),
        image: kept_image,
        base_image: old.image().to_owned(),
        reference: run.action.expected.reference.clone(),
        own_layer,
        tags,
        volumes,
        packages: Vec::new(),
        disks: None,
        size,
        lost: lost.collect(),
    };
    let kept = Kept::new(snapshot, request(run, &old, &base).await?, before(&old.0));
    file::write(&run.docker.options.state_dir, &kept).map_err(|error| {
        failed(FailureKind::Host, format!("cannot keep the snapshot's create request: {error}"))
    })?;
    Ok(Record::Snapshotted { snapshot: Box::new(kept.snapshot) })
}

/// Takes the snapshot away again.
pub(crate) async fn undo(run: &Run<'_>) -> Result<Record, Trouble> {
    let (controller, id) = (&run.docker.options.controller, run.call.run);
    // By the names of the run, so that half a snapshot goes too.
    let mut tags = vec![names::snapshot_tag(controller, id), names::snapshot_base_tag(controller, id)];
    tags.extend((0..run.action.dependents.len()).map(|n| names::snapshot_dependent_tag(controller, id, n)));
    forget(run.client(), &tags).await?;
    for call in run.call.dependents()?.iter().chain([run.call]) {
        image::remove_intermediates(run.client(), names::of_call(controller, call, "old").as_str()).await;
    }
    file::remove(&run.docker.options.state_dir, &SnapshotId(id.to_string()))
        .map_err(|error| failed(FailureKind::Host, format!("cannot remove the snapshot's file: {error}")))?;
    Ok(Record::Nothing)
}

/// Asks whether the snapshot is there.
pub(crate) async fn probe(run: &Run<'_>, undone: bool) -> Result<Probe, ApiError> {
    if undone {
        let tag = names::snapshot_tag(&run.docker.options.controller, run.call.run);
        let file = path_of(&run.docker.options.state_dir, &SnapshotId(run.call.run.to_string()));
        return Ok(done_if(!file.exists() && run.client().image(&tag).await?.is_none()));
    }
    Ok(whole(run).await?.map_or(Probe::NotDone, |snapshot| Probe::Done {
        record: Record::Snapshotted { snapshot: Box::new(snapshot) },
    }))
}

/// Whether the run's snapshot is complete: the condition for removing the original.
pub(crate) async fn is_whole(run: &Run<'_>) -> Result<bool, ApiError> {
    Ok(whole(run).await?.is_some())
}

async fn whole(run: &Run<'_>) -> Result<Option<Snapshot>, ApiError> {
    let id = SnapshotId(run.call.run.to_string());
    let Ok(Some(kept)) = file::read(&run.docker.options.state_dir, &id) else { return Ok(None) };
    if kept.snapshot.target != run.action.target {
        return Ok(None);
    }
    Ok(is_there(run.client(), &kept.snapshot).await?.then_some(kept.snapshot))
}

async fn is_there(client: &Client, snapshot: &Snapshot) -> Result<bool, ApiError> {
    for (tag, image) in snapshot.tags.iter().zip([&snapshot.image, &snapshot.base_image]) {
        if client.image(tag).await?.is_none_or(|found| found["Id"].as_str() != Some(image)) {
            return Ok(false);
        }
    }
    Ok(!snapshot.tags.is_empty() && save::missing(client, &snapshot.volumes).await?.is_none())
}

/// For a rollback to a snapshot: its image, if it is there.
pub(crate) async fn find(run: &Run<'_>) -> Result<Option<Record>, ApiError> {
    let Ok(kept) = kept_for(run) else { return Ok(None) };
    let there = run.client().image(&kept.snapshot.image).await?.is_some();
    Ok(there.then_some(Record::Prepared { image: kept.snapshot.image, size: 0 }))
}

/// What is kept for the snapshot that a run goes back to.
pub(crate) fn kept_for(run: &Run<'_>) -> Result<Kept, Trouble> {
    let Change::Snapshot { snapshot, .. } = &run.set.change else {
        return Err(failed(FailureKind::Refused, "the plan's patch set names no snapshot"));
    };
    let unusable =
        |why: &str| failed(FailureKind::Precondition, format!("snapshot {snapshot} cannot be used: {why}"));
    let kept =
        file::read(&run.docker.options.state_dir, snapshot).map_err(|error| unusable(&error.to_string()))?;
    let kept = kept.ok_or_else(|| unusable("its file is gone"))?;
    if kept.snapshot.target != run.action.target || kept.snapshot.host != run.docker.host {
        return Err(unusable("it belongs to another target"));
    }
    Ok(kept)
}

/// What a container that goes back to a snapshot is created from: the reference it had, where that
/// leads to the same image, else a tag of ours.
pub(crate) async fn reference(run: &Run<'_>, kept: &Kept) -> Result<String, ApiError> {
    let snapshot = &kept.snapshot;
    let leads_there = run.client().image(&snapshot.reference).await?;
    if leads_there.is_some_and(|image| image["Id"].as_str() == Some(&snapshot.image)) {
        return Ok(snapshot.reference.clone());
    }
    Ok(snapshot.tags.first().cloned().unwrap_or_else(|| snapshot.image.clone()))
}

/// Removes what a snapshot keeps on the host, and its file.
pub(crate) async fn remove(docker: &DockerProvider, snapshot: &Snapshot) -> Result<(), ProviderError> {
    // Only tags that a snapshot may have: the value comes from a log.
    let own = |tag: &&String| tag.starts_with(names::SNAPSHOT_TAGS);
    let tags: Vec<String> = snapshot.tags.iter().filter(own).cloned().collect();
    forget(&docker.client, &tags).await.map_err(|error| docker.error(error))?;
    let ours = |copy: &&str| save::run_of_copy(&docker.options.controller, copy) == Some(snapshot.run);
    for copy in snapshot.volumes.iter().map(|saved| saved.copy.as_str()).filter(ours) {
        save::remove(&docker.client, copy).await.map_err(|error| docker.error(error))?;
    }
    file::remove(&docker.options.state_dir, &snapshot.id).map_err(|error| ProviderError::Local {
        reason: format!("cannot remove the file of snapshot {}: {error}", snapshot.id),
    })
}

async fn forget(client: &Client, tags: &[String]) -> Result<(), ApiError> {
    for tag in tags {
        // One that a container was created from stays until that is gone; `gc` finds it then.
        image::untag(client, tag).await?;
    }
    Ok(())
}

/// The writable layer as an image with the settings of the image below it.
async fn layer(run: &Run<'_>, old: &Container, base: &Value, tag: &str) -> Result<String, Trouble> {
    // What a crash leaves of it is found by the name of the container it is of.
    let name = run.old_name();
    image::remove_intermediates(run.client(), &name).await;
    let committed = image::commit(run.client(), old.id(), &name).await?;
    let labels = own_labels(base);
    Ok(image::correct(run.client(), base, &committed, &labels, tag).await?)
}

/// Keeps what dependents have written since they were planned for: their replacements do not have it. Names and
/// tags of those that have written anything.
async fn what_dependents_wrote(run: &Run<'_>) -> Result<Vec<(String, String)>, Trouble> {
    let mut kept = Vec::new();
    for (number, call) in run.call.dependents()?.iter().enumerate() {
        let dependent = Run::new(run.docker, call)?;
        let old = dependent.old_or_gone().await?;
        if unsaved::unsaved_of_run(&dependent, &old.0).await?.paths.is_empty() {
            continue;
        }
        let base = run.client().image(old.image()).await?;
        let base = base.ok_or_else(|| {
            failed(FailureKind::Host, dependent.about("its image is not on the host any more"))
        })?;
        let tag = names::snapshot_dependent_tag(&run.docker.options.controller, run.call.run, number);
        layer(&dependent, &old, &base, &tag).await?;
        kept.push((patchyard_types::printable(&dependent.action.name, 100), tag));
    }
    Ok(kept)
}

/// The labels of ours that the base has: a snapshot of a patched container is still patched.
fn own_labels(base: &Value) -> BTreeMap<String, String> {
    let labels = base["Config"]["Labels"].as_object().into_iter().flatten();
    labels
        .filter(|(name, _)| names::OWN_LABELS.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The request that makes the original again as it was.
async fn request(run: &Run<'_>, old: &Container, base: &Value) -> Result<spec::CreateRequest, Trouble> {
    let policy = match run.held() {
        Some(held) => held,
        // A crash has lost the record; the replacement was created with the same policy.
        None => run.new_container().await?.map_or_else(|| old.restart_policy(), |new| new.restart_policy()),
    };
    let policy = restart_policy(&policy);
    spec::create_request(Inputs {
        container: &old.0,
        image: base,
        host_name: run.docker.info["Name"].as_str().unwrap_or_default(),
        reference: &run.action.expected.reference,
        followed: None,
        restart_policy: Some(&policy),
        labels: &BTreeMap::new(),
    })
    .map_err(|refusal| failed(FailureKind::Refused, format!("cannot be made again: {}", refusal.message)))
}

/// What a container made from the snapshot is compared with.
fn before(old: &Value) -> Value {
    json!({
        "Id": old["Id"],
        "Mounts": old["Mounts"],
        "NetworkSettings": { "Networks": old["NetworkSettings"]["Networks"] },
    })
}

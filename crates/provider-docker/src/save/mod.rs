//! `data: restore`: the volumes of a container are copied aside while it is stopped, and put back when its
//! run is taken back. `helper` copies, `volumes` knows which and where to.
//!
//! A copy counts as whole when its run has it on record, and when it says so itself. The copies go when the
//! run's *create* is taken back, the original serving again; after a success the snapshot keeps them.

mod helper;
mod volumes;

use patchyard_types::{Data, FailureKind, Method, Record, SavedVolume, SwapStep, printable};
use serde_json::Value;

use crate::client::ApiError;
use crate::snapshot;
use crate::swap::{Container, REPLACEMENT_GONE, Run, Trouble, enough, failed};
use helper::{Measured, Pair};

pub(crate) use volumes::{missing, remove, run_of_copy};

/// What has to be free besides the copies.
const RESERVE: u64 = 64 * 1024 * 1024;

/// Whether the volumes could be saved, and a snapshot's copies given back: asked while the original still
/// serves.
///
/// # Errors
/// With the reason when they could not.
pub(crate) async fn check(run: &Run<'_>, old: &Container) -> Result<(), Trouble> {
    clear(run).await?;
    volumes::are_ours_alone(run, old).await?;
    let found = volumes::volumes(&old.0);
    if run.action.method == Method::Restore {
        copies_of_snapshot(run, &found).await?;
    }
    if found.is_empty() {
        return Ok(());
    }
    let image = image(run, old).await?;
    let scratch = volumes::copy_name(run, 0);
    volumes::create(run, &scratch, "").await?;
    let measured = helper::measure(run, &image, &found, &scratch).await;
    volumes::remove_of_run(run).await?;
    let measured = measured?;
    let folder = run.docker.info["DockerRootDir"].as_str().unwrap_or_default();
    enough(measured.free, needed(&measured), folder)
}

/// The bytes that have to be free: copies that share their blocks with the originals take none.
fn needed(measured: &Measured) -> u64 {
    let copied = if measured.shares { &[] } else { &measured.sizes[..] };
    copied.iter().fold(RESERVE, |sum, size| sum.saturating_add(*size))
}

/// Copies the volumes. The original is stopped: what is in them does not change any more.
pub(crate) async fn perform(run: &Run<'_>) -> Result<Record, Trouble> {
    let old = nobody_writes(run).await?;
    let found = volumes::volumes(&old.0);
    // Whatever is left of an attempt that nobody has seen succeed is not whole.
    clear(run).await?;
    volumes::nobody_else_uses(run, &old, &found).await?;
    let mut saved = Vec::new();
    for (number, volume) in found.iter().enumerate() {
        let copy = volumes::copy_name(run, number);
        volumes::create(run, &copy, volume).await?;
        saved.push(SavedVolume { volume: volume.clone(), copy, size: 0 });
    }
    if !saved.is_empty() {
        let image = image(run, &old).await?;
        let pairs: Vec<Pair<'_>> =
            saved.iter().map(|one| Pair { from: &one.volume, to: &one.copy }).collect();
        let sizes = helper::save(run, &image, &pairs).await?;
        for (one, size) in saved.iter_mut().zip(sizes) {
            one.size = size;
        }
    }
    Ok(Record::Saved { volumes: saved })
}

/// Gives the volumes back what the snapshot keeps of them.
pub(crate) async fn fill(run: &Run<'_>) -> Result<Record, Trouble> {
    let old = nobody_writes(run).await?;
    let Some(saved) = saved(run) else {
        return Err(failed(FailureKind::Host, "its volumes were not saved: they are not written over"));
    };
    let found: Vec<String> = saved.iter().map(|one| one.volume.clone()).collect();
    let copies = copies_of_snapshot(run, &found).await?;
    helper::clear(run).await;
    put_back(run, &old, &copies).await?;
    Ok(Record::Nothing)
}

/// Puts the volumes back, if anything may have written to them since they were saved.
pub(crate) async fn undo(run: &Run<'_>) -> Result<Record, Trouble> {
    let old = run.old_or_gone().await?;
    helper::clear(run).await;
    let new = run.new_container().await?;
    let up = [Some(&old), new.as_ref()].into_iter().flatten().find(|container| container.is_up());
    if let Some(up) = up {
        return Err(failed(FailureKind::Host, format!("{} runs: its volumes are not restored", up.shown())));
    }
    let was_started = new.as_ref().is_none_or(Container::was_started);
    match saved(run) {
        None if new.is_some() && was_started => Err(failed(
            FailureKind::Host,
            "its volumes were not saved before its replacement was started: they stay as they are",
        )),
        // A rollback to a snapshot has filled them before.
        Some(saved) if was_started || run.action.method == Method::Restore => {
            put_back(run, &old, saved).await?;
            Ok(Record::Nothing)
        }
        _ => Ok(Record::Nothing),
    }
}

/// Removes what a run has made for this: its helper, its copies.
pub(crate) async fn clear(run: &Run<'_>) -> Result<(), ApiError> {
    helper::clear(run).await;
    volumes::remove_of_run(run).await
}

/// Ends a copy that goes on although nobody waits for it: before anything is started that writes.
pub(crate) async fn end_copying(run: &Run<'_>) {
    if run.action.data == Data::Restore {
        helper::clear(run).await;
    }
}

/// The copies that a run has made, all of them whole.
pub(crate) fn saved<'a>(run: &Run<'a>) -> Option<&'a [SavedVolume]> {
    match run.record(SwapStep::Save) {
        Some(Record::Saved { volumes }) => Some(volumes),
        _ => None,
    }
}

/// The original, when neither it nor its replacement can have written since the stop.
async fn nobody_writes(run: &Run<'_>) -> Result<Container, Trouble> {
    let old = run.old_or_gone().await?;
    let new = run.new_container().await?.ok_or_else(|| failed(FailureKind::Host, REPLACEMENT_GONE))?;
    if old.is_up() {
        return Err(failed(FailureKind::Host, "its old container runs again and writes to its volumes"));
    }
    if new.was_started() {
        let message = "its replacement was started before its volumes were saved";
        return Err(failed(FailureKind::Host, message));
    }
    Ok(old)
}

/// The copies that the snapshot keeps, each of one of these volumes.
async fn copies_of_snapshot(run: &Run<'_>, volumes: &[String]) -> Result<Vec<SavedVolume>, Trouble> {
    let kept = snapshot::kept_for(run)?.snapshot;
    let unusable = |why: String| {
        failed(FailureKind::Precondition, format!("snapshot {} cannot be used: {why}", kept.id))
    };
    if let Some(one) = missing(run.client(), &kept.volumes).await? {
        return Err(unusable(format!("its copy of volume {} is gone", printable(&one.volume, 100))));
    }
    match kept.volumes.iter().find(|one| !volumes.contains(&one.volume)) {
        Some(one) => Err(unusable(format!(
            "it keeps volume {}, which is not mounted now",
            printable(&one.volume, 100)
        ))),
        None => Ok(kept.volumes),
    }
}

async fn put_back(run: &Run<'_>, old: &Container, saved: &[SavedVolume]) -> Result<(), Trouble> {
    if saved.is_empty() {
        return Ok(());
    }
    if let Some(one) = missing(run.client(), saved).await? {
        let (volume, copy) = (printable(&one.volume, 100), printable(&one.copy, 100));
        return Err(failed(
            FailureKind::Host,
            format!("volume {volume} is not restored: its copy {copy} was removed by somebody else"),
        ));
    }
    let wanted: Vec<String> = saved.iter().map(|one| one.volume.clone()).collect();
    volumes::nobody_else_uses(run, old, &wanted).await?;
    let image = image(run, old).await?;
    let pairs: Vec<Pair<'_>> = saved.iter().map(|one| Pair { from: &one.copy, to: &one.volume }).collect();
    helper::restore(run, &image, &pairs).await
}

/// The image that the data belongs to.
async fn image(run: &Run<'_>, old: &Container) -> Result<Value, Trouble> {
    let image = run.client().image(old.image()).await?;
    image.ok_or_else(|| failed(FailureKind::Host, "its image is not on the host any more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_need_as_much_room_as_the_volumes_take_unless_they_share_it() {
        let measured = |shares| Measured { sizes: vec![5 << 30, 3 << 30], free: 6 << 30, shares };
        assert_eq!(needed(&measured(false)), (8 << 30) + RESERVE);
        assert_eq!(needed(&measured(true)), RESERVE);
        let refusal = enough(6 << 30, needed(&measured(false)), "/var/lib/docker").unwrap_err();
        assert!(matches!(refusal, Trouble::Step(patchyard_types::StepError::Failed(failure))
            if failure.kind == FailureKind::NoSpace && failure.message.contains("8256 MiB are needed")));
    }
}

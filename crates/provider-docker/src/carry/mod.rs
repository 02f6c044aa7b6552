//! Carry: what a container has written outside of its volumes goes into its replacement.
//!
//! `choose` decides path by path, from three sides: the container, the image it runs, the image its
//! replacement runs. What the container changed and the patch did not is carried; what both changed is
//! refused by name, because either would undo the other. `copy` brings it over through the engine's
//! archive calls, which keep owners, modes, whole seconds of times, symbolic links, capabilities, and
//! hard links within a folder that the container itself has made. `images` shows what is in the two
//! images.

mod choose;
mod copy;
mod images;

use patchyard_types::{Failure, FailureKind, Probe, Record};

use crate::client::{ApiError, Client};
use crate::swap::{Container, REPLACEMENT_GONE, Run, Trouble, done_if, failed, gone};
use crate::unsaved::{self, Kind};
use crate::view::View;

pub(crate) use images::{Images, clear};

/// Carries. The original is stopped: what is copied does not change any more.
pub(crate) async fn perform(run: &Run<'_>) -> Result<Record, Trouble> {
    let old = run.old_or_gone().await?;
    let new = run.new_container().await?.ok_or_else(|| failed(FailureKind::Host, REPLACEMENT_GONE))?;
    // By now it writes itself.
    if new.was_started() {
        return Ok(Record::Nothing);
    }
    if old.is_up() {
        let message = "its old container runs again: what it writes now would be lost";
        return Err(failed(FailureKind::Host, message));
    }
    let view = View::of_run(run, &old.0).await?;
    let carried = async {
        let chosen = choose::choose(run, &old, view.name()).await?;
        if !chosen.is_empty() {
            run.note("carrying the writable layer", None);
            copy::copy(run, view.name(), &new, &chosen).await?;
        }
        Ok::<_, Trouble>(())
    };
    let carried = carried.await;
    view.finish().await;
    carried?;
    run.docker.remember_images(run.call.run, std::collections::BTreeMap::new());
    Ok(Record::Nothing)
}

/// Whether what is there now could be carried: asked while the original still serves.
///
/// # Errors
/// With the reason when it could not.
pub(crate) async fn check(run: &Run<'_>, old: &Container) -> Result<(), Trouble> {
    let view = View::of_run(run, &old.0).await?;
    let chosen = choose::choose(run, old, view.name()).await;
    view.finish().await;
    chosen.map(|_| ())
}

/// Compares the two containers. What the patch and the container left alike is never copied, and
/// counts as not carried here: then it is done again, which is no mistake.
pub(crate) async fn probe(run: &Run<'_>) -> Result<Probe, ApiError> {
    let Some(old) = run.old().await? else { return Ok(gone()) };
    let Some(new) = run.new_container().await? else {
        return Ok(Probe::Failed { failure: Failure::new(FailureKind::Host, REPLACEMENT_GONE) });
    };
    if new.was_started() {
        return Ok(done_if(true));
    }
    let changes = unsaved::changes(run.docker, &old.0).await?;
    let view = View::of_run(run, &old.0).await?;
    let all = async {
        let changes = changes.off_mounts(run.client(), view.name(), &old.0).await?;
        for (path, kind) in &changes.paths {
            if *kind != Kind::Deleted && !is_carried(run.client(), view.name(), new.id(), path).await? {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let all = all.await;
    view.finish().await;
    all.map(done_if)
}

async fn is_carried(client: &Client, old: &str, new: &str, path: &str) -> Result<bool, ApiError> {
    let Some(there) = client.stat(old, path).await? else { return Ok(true) };
    if there.is_socket() {
        return Ok(true);
    }
    let Some(here) = client.stat(new, path).await? else { return Ok(false) };
    Ok(there.mode == here.mode
        && there.link == here.link
        // What is written in part has the time of its writing.
        && there.second() == here.second()
        && (there.is_dir() || there.size == here.size))
}

//! Stop: the original, by its own stop signal and timeout. Stop-first, the service is down from here on;
//! start-first, its replacement serves.

use patchyard_types::{FailureKind, Probe, Record};

use super::{Run, Trouble, done_if, failed, gone, preflight};
use crate::client::ApiError;
use crate::save;

pub(super) async fn perform(run: &Run<'_>) -> Result<Record, Trouble> {
    let old = run.old_or_gone().await?;
    if old.is_up() {
        // The last look at it before it is disturbed.
        preflight::is_as_planned(run, &old)?;
        run.somebody_else_serves().await?;
        run.stop(old.id()).await?;
    }
    Ok(Record::Nothing)
}

pub(super) async fn undo(run: &Run<'_>) -> Result<Record, Trouble> {
    let old = run.old_or_gone().await?;
    if !old.is_up() {
        // Whoever said that it has been stopped may have been mistaken: two databases on one volume.
        if !run.is_start_first() && run.new_container().await?.is_some_and(|new| new.is_up()) {
            return Err(failed(FailureKind::Host, "its replacement still runs: stop it first"));
        }
        save::end_copying(run).await;
        run.start(old.id()).await?;
    }
    Ok(Record::Nothing)
}

pub(super) async fn probe(run: &Run<'_>, undone: bool) -> Result<Probe, ApiError> {
    Ok(run.old().await?.map_or_else(gone, |old| done_if(old.is_up() == undone)))
}

//! Stop: the original, by its own stop signal and timeout. From here on the service is down.

use patchyard_types::{Probe, Record};

use super::{Run, Trouble, done_if, gone, preflight};
use crate::client::ApiError;

pub(super) async fn perform(run: &Run<'_>) -> Result<Record, Trouble> {
    let old = run.old_or_gone().await?;
    if old.is_up() {
        // The last look at it before it is disturbed.
        preflight::is_as_planned(run, &old)?;
        run.stop(old.id()).await?;
    }
    Ok(Record::Nothing)
}

pub(super) async fn undo(run: &Run<'_>) -> Result<Record, Trouble> {
    let old = run.old_or_gone().await?;
    if !old.is_up() {
        run.start(old.id()).await?;
    }
    Ok(Record::Nothing)
}

pub(super) async fn probe(run: &Run<'_>, undone: bool) -> Result<Probe, ApiError> {
    Ok(run.old().await?.map_or_else(gone, |old| done_if(old.is_up() == undone)))
}

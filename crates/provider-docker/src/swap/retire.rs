//! Retire: the original goes; its volumes never. The point of no return: from here on the snapshot is
//! the way back.

use patchyard_types::{FailureKind, Probe, Record};

use super::{Run, Trouble, done_if, failed};
use crate::client::ApiError;
use crate::snapshot;

pub(super) async fn perform(run: &Run<'_>) -> Result<Record, Trouble> {
    let Some(old) = run.old().await? else { return Ok(Record::Nothing) };
    // The last look before the way back by name and start is given up.
    let why_not = if old.is_up() {
        Some("it runs")
    } else if old.name() != run.old_name() {
        Some("it does not bear the name it was set aside under")
    } else if !run.new_container().await?.is_some_and(|new| new.is_up()) {
        Some("its replacement does not run")
    } else if run.call.dependent.is_none() && !snapshot::is_whole(run).await? {
        Some("its snapshot is not complete")
    } else {
        None
    };
    if let Some(why_not) = why_not {
        return Err(failed(FailureKind::Host, format!("the old container is kept: {why_not}")));
    }
    // Without `v`: anonymous volumes are the replacement's now.
    let removed =
        run.client().delete(&["containers", old.id()]).query("v", "0").query("force", "0").done().await;
    match removed {
        Err(error) if error.is_not_found() => Ok(Record::Nothing),
        removed => removed.map(|()| Record::Nothing).map_err(Trouble::from),
    }
}

pub(super) async fn probe(run: &Run<'_>) -> Result<Probe, ApiError> {
    Ok(done_if(run.old().await?.is_none()))
}

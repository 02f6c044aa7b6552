//! Rename: the original takes a name of ours, the replacement takes the original's. Half done is
//! continued: both names derive from the run.

use patchyard_types::{FailureKind, Probe, Record};

use super::{Container, Run, Trouble, done_if, failed, gone};
use crate::client::ApiError;
use crate::names::LABEL_NAME;

pub(super) async fn perform(run: &Run<'_>) -> Result<Record, Trouble> {
    let (old, new) = (run.old_or_gone().await?, run.new_container().await?);
    let new = new.ok_or_else(|| failed(FailureKind::Host, "its replacement was removed by somebody else"))?;
    let (set_aside, service) = (run.old_name(), service_name(run, &old, Some(&new)));
    if old.name() != set_aside {
        run.rename(&old, &set_aside).await?;
    }
    if new.name() != service {
        run.rename(&new, &service).await?;
    }
    Ok(Record::Nothing)
}

pub(super) async fn undo(run: &Run<'_>) -> Result<Record, Trouble> {
    let (old, new) = (run.old_or_gone().await?, run.new_container().await?);
    let service = service_name(run, &old, new.as_ref());
    if let Some(new) = new.filter(|new| new.name() == service) {
        run.rename(&new, &run.new_name()).await?;
    }
    if old.name() == run.old_name() {
        run.rename(&old, &service).await?;
    }
    Ok(Record::Nothing)
}

pub(super) async fn probe(run: &Run<'_>, undone: bool) -> Result<Probe, ApiError> {
    let Some(old) = run.old().await? else { return Ok(gone()) };
    let new = run.new_container().await?;
    let service = service_name(run, &old, new.as_ref());
    Ok(done_if(match undone {
        true => old.name() == service,
        false => old.name() == run.old_name() && new.is_some_and(|new| new.name() == service),
    }))
}

/// The name under which the target serves: the original's as long as it bears it, else what its
/// replacement was told when it was created, else the plan's.
fn service_name(run: &Run<'_>, old: &Container, new: Option<&Container>) -> String {
    if old.name() != run.old_name() {
        return old.name().to_owned();
    }
    new.and_then(|new| new.label(LABEL_NAME)).unwrap_or(&run.action.name).to_owned()
}

//! Preflight: it is the planned machine, and its package manager would do exactly what is planned.

use patchyard_types::{FailureKind, Record, StepError};

use super::{LOCK, Run, failed, trouble};

pub(super) async fn perform(run: &Run<'_>) -> Result<Record, StepError> {
    let expected = &run.action.expected;
    let target = crate::read::target(run.host);
    if target.object != expected.object || target.image.id != expected.image {
        return Err(failed(
            FailureKind::Precondition,
            format!("changed since it was planned: it is {} now, was {}", target.image.id, expected.image),
        ));
    }
    let guest = run.for_changing(run.changes).await?;
    guest.transaction(run.changes, LOCK).await.map_err(trouble)?;
    Ok(Record::Nothing)
}

//! Prepare: the image the replacement is created from, by the method of the action. Nothing serves
//! from it yet.

use patchyard_types::{FailureKind, Method, Probe, Record};

use crate::client::ApiError;
use crate::swap::{Run, Trouble, failed};
use crate::{layer, pull, snapshot};

pub(crate) async fn perform(run: &Run<'_>) -> Result<Record, Trouble> {
    match run.action.method {
        Method::Layer => layer::prepare(run).await,
        Method::Image => pull::prepare(run).await,
        Method::Packages => {
            Err(failed(FailureKind::Refused, "a container's packages are not changed in place"))
        }
        Method::Restore => snapshot::find(run)
            .await?
            .ok_or_else(|| failed(FailureKind::Precondition, "the snapshot is not on the host any more")),
    }
}

pub(crate) async fn probe(run: &Run<'_>) -> Result<Probe, ApiError> {
    let found = match run.action.method {
        Method::Layer => layer::find(run).await?,
        Method::Image => pull::find(run).await?,
        Method::Packages => None,
        Method::Restore => snapshot::find(run).await?,
    };
    Ok(found.map_or(Probe::NotDone, |record| Probe::Done { record }))
}

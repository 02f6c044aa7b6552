//! What changes targets: the steps of a swap, tags, snapshots, what is left over.

use std::path::Path;

use patchyard_contract::{Call, Leftover, ProviderError};
use patchyard_types::{Failure, FailureKind, Probe, Record, RunId, Snapshot, StepError, TagMove};

use crate::DockerProvider;

fn missing<T>() -> Result<T, ProviderError> {
    Err(ProviderError::Local { reason: "changing containers is not built in".to_owned() })
}

pub(crate) async fn perform(_: &DockerProvider, _: &Call) -> Result<Record, StepError> {
    Err(StepError::Failed(Failure::new(FailureKind::Refused, "changing containers is not built in")))
}

pub(crate) async fn probe(_: &DockerProvider, _: &Call) -> Result<Probe, ProviderError> {
    missing()
}

pub(crate) async fn move_tag(
    _: &DockerProvider,
    _: &TagMove,
    _: &str,
) -> Result<Option<String>, ProviderError> {
    missing()
}

pub(crate) async fn export_image(_: &DockerProvider, _: &str, _: &Path) -> Result<(), ProviderError> {
    missing()
}

pub(crate) async fn remove_snapshot(_: &DockerProvider, _: &Snapshot) -> Result<(), ProviderError> {
    missing()
}

pub(crate) async fn leftovers(
    _: &DockerProvider,
    _: &[RunId],
    _: &[Snapshot],
) -> Result<Vec<Leftover>, ProviderError> {
    missing()
}

pub(crate) async fn collect(_: &DockerProvider, _: &Leftover) -> Result<(), ProviderError> {
    missing()
}

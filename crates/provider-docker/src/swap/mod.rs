//! What changes targets: the steps of a swap, tags, snapshots, what is left over.

use std::path::Path;

use patchyard_contract::{Call, Leftover, ProviderError};
use patchyard_types::{
    Direction, Failure, FailureKind, Method, Probe, Record, RunId, Snapshot, Step, StepError, SwapStep,
    TagMove,
};

use crate::{DockerProvider, layer};

fn missing<T>() -> Result<T, ProviderError> {
    Err(ProviderError::Local { reason: "changing containers is not built in".to_owned() })
}

pub(crate) async fn perform(docker: &DockerProvider, call: &Call) -> Result<Record, StepError> {
    if is_layer(call) {
        return layer::prepare(docker, call).await;
    }
    Err(StepError::Failed(Failure::new(FailureKind::Refused, "changing containers is not built in")))
}

pub(crate) async fn probe(docker: &DockerProvider, call: &Call) -> Result<Probe, ProviderError> {
    if is_layer(call) {
        return layer::probe(docker, call).await;
    }
    missing()
}

fn is_layer(call: &Call) -> bool {
    let prepare = call.step == Step::Swap(SwapStep::Prepare) && call.direction == Direction::Do;
    prepare && call.action().is_ok_and(|(action, _)| action.method == Method::Layer)
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

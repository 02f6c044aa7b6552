//! What is read of targets: who they are, what they have, what is pending. Nothing here changes one.

use patchyard_contract::{Ask, ProviderError};
use patchyard_types::{ImageUpdate, Inventory, PackageChange, PendingPatch, Target};

use crate::DockerProvider;

fn missing<T>() -> Result<T, ProviderError> {
    Err(ProviderError::Local { reason: "not built in".to_owned() })
}

pub(crate) async fn discover(_: &DockerProvider) -> Result<Vec<Target>, ProviderError> {
    missing()
}

pub(crate) async fn inventory(_: &DockerProvider, _: &Target) -> Result<Inventory, ProviderError> {
    missing()
}

pub(crate) async fn pending(
    _: &DockerProvider,
    _: &Target,
    _: &Inventory,
    _: Ask,
) -> Result<Vec<PendingPatch>, ProviderError> {
    missing()
}

pub(crate) async fn newer_image(
    _: &DockerProvider,
    _: &Target,
) -> Result<Option<ImageUpdate>, ProviderError> {
    missing()
}

pub(crate) async fn unsaved_paths(_: &DockerProvider, _: &Target) -> Result<Vec<String>, ProviderError> {
    missing()
}

pub(crate) async fn fetch(_: &DockerProvider, _: &Target, _: &[PackageChange]) -> Result<(), ProviderError> {
    missing()
}

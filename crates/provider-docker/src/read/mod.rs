//! What is read of targets: who they are, what they have, what is pending. Nothing here changes one.

mod changes;
mod compose;
mod discover;
mod inventory;
pub(crate) mod json;
mod managers;
pub(crate) mod own;
pub(crate) mod reference;
mod refuse;
mod target;

use patchyard_contract::{Ask, ProviderError};
use patchyard_types::{ImageUpdate, Inventory, PackageChange, PendingPatch, Target};

use crate::DockerProvider;

pub(crate) use changes::unsaved_paths;
pub(crate) use discover::discover;
pub(crate) use inventory::inventory;

fn missing<T>() -> Result<T, ProviderError> {
    Err(ProviderError::Local { reason: "not built in".to_owned() })
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

pub(crate) async fn fetch(_: &DockerProvider, _: &Target, _: &[PackageChange]) -> Result<(), ProviderError> {
    missing()
}

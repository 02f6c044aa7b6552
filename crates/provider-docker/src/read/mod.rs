//! What is read of targets: who they are, what they have, what is pending. Nothing here changes one.

mod alone;
mod compose;
mod discover;
mod guests;
mod host;
mod inventory;
pub(crate) mod json;
mod managers;
pub(crate) mod own;
mod project;
pub(crate) mod reference;
mod refuse;
mod target;
mod units;
mod untouched;

use patchyard_contract::ProviderError;
use patchyard_types::{Target, Unsaved};

use crate::DockerProvider;

pub(crate) use alone::alone;
pub(crate) use discover::{PARALLEL, discover, release_in};
pub(crate) use guests::guests_now;
pub(crate) use host::host_managers;
pub(crate) use inventory::{DATABASE_LIMIT, Installed, MACHINE_ID, inventory, machine_id};
pub(crate) use refuse::unknown_label;
pub(crate) use target::{NAME_LIMIT, config_digest, keyed_digest};
pub(crate) use untouched::is_untouched;

/// Paths in a container at which its Compose project puts configs and secrets.
pub(crate) fn injected(container: &serde_json::Value) -> Vec<String> {
    project::Projects::read(std::slice::from_ref(container)).injected(container).to_vec()
}

pub(crate) async fn unsaved(docker: &DockerProvider, target: &Target) -> Result<Unsaved, ProviderError> {
    let _slot = docker.slot().await;
    let read = async {
        let container = docker.client.inspect(&target.object, crate::client::DEFAULT_TIMEOUT).await?;
        let mut unsaved = crate::unsaved::unsaved(docker, &container).await?;
        unsaved.paths = crate::injected::without(docker, &container, unsaved.paths).await?;
        Ok(unsaved)
    };
    read.await.map_err(|error: crate::client::ApiError| match error.is_not_found() {
        true => ProviderError::Gone { object: target.name.clone() },
        false => docker.error(error),
    })
}

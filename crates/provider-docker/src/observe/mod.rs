//! One look at a target.

use patchyard_contract::{Call, ProviderError};
use patchyard_types::{Observation, Subject};

use crate::DockerProvider;

pub(crate) async fn observe(_: &DockerProvider, _: &Call, _: Subject) -> Result<Observation, ProviderError> {
    Err(ProviderError::Local { reason: "observing containers is not built in".to_owned() })
}

//! What a registry says, asked through the engine: its mirrors, its certificates and its network apply,
//! as they would for a pull.

mod credentials;

use std::time::Duration;

use patchyard_contract::ProviderError;
use patchyard_types::{ImageUpdate, Target, printable};

use crate::DockerProvider;
use crate::client::{ApiError, EngineKind};
use crate::read::json::{list, text};
use crate::read::reference::Reference;

pub use credentials::RegistryLogin;
pub(crate) use credentials::auth_header;

/// How long a registry may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A newer digest of the target's tag, if the registry has one.
pub(crate) async fn newer_image(
    docker: &DockerProvider,
    target: &Target,
) -> Result<Option<ImageUpdate>, ProviderError> {
    let said = &target.image.reference;
    let Some(reference) = Reference::parse(said) else {
        return no_answer(
            "the container was created from an image id, not from a tag",
            "recreate it from a tag once",
        );
    };
    if reference.digest.is_some() {
        // Pinned: whatever the tag says now, the operator wants this one.
        return Ok(None);
    }
    if docker.client.kind() == EngineKind::Podman {
        return no_answer("Podman's API cannot ask a registry", "ask with `skopeo inspect`");
    }
    let id = target.image.base.as_ref().unwrap_or(&target.image.id);
    let image = docker.client.inspect_image(id).await.map_err(|error| docker.error(error))?;
    let have: Vec<&str> =
        list(&image["RepoDigests"]).filter_map(|entry| reference.digest_in(text(entry))).collect();
    if have.is_empty() {
        return no_answer(
            "its image was not pulled from a registry",
            "nothing newer can be known of an image built or loaded here",
        );
    }
    newer_than(docker, said, &have).await
}

/// The digest of a tag in its registry, where it is none of those that somebody has already.
pub(crate) async fn newer_than(
    docker: &DockerProvider,
    said: &str,
    have: &[&str],
) -> Result<Option<ImageUpdate>, ProviderError> {
    let Some(reference) = Reference::parse(said) else {
        return no_answer("its image has no reference that a registry would know", "");
    };
    if reference.digest.is_some() {
        // Pinned: whatever the tag says now, the operator wants this one.
        return Ok(None);
    }
    let mut request = docker.client.get(&["distribution", said, "json"]).timeout(TIMEOUT);
    if let Some(header) = auth_header(docker, &reference).await? {
        request = request.header("x-registry-auth", &header);
    }
    let answer = request.json().await.map_err(|error| refused(docker, &reference, error))?;
    let to = text(&answer["Descriptor"]["digest"]);
    if Reference::parse(&format!("x@{to}")).is_none() {
        return no_answer("the registry named no digest for its tag", "");
    }
    if have.contains(&to) {
        return Ok(None);
    }
    let from = have.first().map(|&digest| digest.to_owned());
    Ok(Some(ImageUpdate { reference: said.to_owned(), from, to: to.to_owned() }))
}

fn no_answer<T>(reason: &str, hint: &str) -> Result<T, ProviderError> {
    Err(ProviderError::NoAnswer { reason: reason.to_owned(), hint: hint.to_owned() })
}

/// What the engine says of a registry that gave no answer.
fn refused(docker: &DockerProvider, reference: &Reference, error: ApiError) -> ProviderError {
    let (ApiError::Status { .. } | ApiError::Timeout { .. }) = error else { return docker.error(error) };
    let reason = error.to_string();
    let has = |words: &[&str]| words.iter().any(|word| reason.to_lowercase().contains(word));
    let registry = &reference.registry;
    let hint = if has(&["unauthorized", "denied", "authentication required", "no basic auth"]) {
        format!(
            "log in on this machine (docker login {registry}), or name its credentials under registries: in the configuration"
        )
    } else if has(&["manifest unknown", "not found", "name unknown"]) {
        "the registry has no such tag any more".to_owned()
    } else if has(&["x509", "certificate"]) {
        format!(
            "the engine does not trust the certificate of {registry}: give it the CA (/etc/docker/certs.d)"
        )
    } else {
        format!("check that the engine reaches {registry}")
    };
    ProviderError::NoAnswer { reason: printable(&format!("registry {registry}: {reason}"), 500), hint }
}

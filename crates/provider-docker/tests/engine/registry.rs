//! Newer images behind the same tag, in a registry on the loopback.

use std::process::Command;

use patchyard_contract::{Provider, ProviderError};
use patchyard_provider_docker::client::Environment;
use serde_json::json;

use crate::support::{lab, lab_command, unique, yard};

/// A registry of this test's own, stopped with the guard.
struct Registry {
    name: String,
    address: String,
    auth: &'static [&'static str],
}

impl Registry {
    fn start(auth: &'static [&'static str]) -> Self {
        let name = unique("registry");
        let address = lab("registry", &[&["start", "--name", &name], auth].concat());
        Self { name, address, auth }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(lab_command("registry").args(["stop", "--name", &self.name]).args(self.auth).output());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_digest_of_the_same_tag_is_found() {
    let yard = yard().await;
    let registry = Registry::start(&[]);
    let digest = lab("services", &["push", "good", "1.0", &registry.address]);
    let reference = format!("{}/lab/web-good:stable", registry.address);
    let client = yard.docker.client();
    let mut pull = client.post(&["images", "create"]).query("fromImage", &reference).lines().await.unwrap();
    while pull.next().await.unwrap().is_some() {}

    let container = yard.container(&reference, json!({})).await;
    let target = yard.target(&container).await;
    assert_eq!(target.image.digest.as_deref(), Some(digest.as_str()));
    assert_eq!(yard.docker.newer_image(&target).await.unwrap(), None);

    let newer = lab("services", &["push", "good", "1.1", &registry.address]);
    let update = yard.docker.newer_image(&target).await.unwrap().expect("the tag has moved");
    assert_eq!((update.reference, update.from, update.to), (reference.clone(), Some(digest), newer));

    drop(container);
    client.delete(&["images", &reference]).done().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_from_nowhere_has_no_answer() {
    let yard = yard().await;
    let container = yard.container("patchyard-lab/web-good:1", json!({})).await;
    let answer = yard.docker.newer_image(&yard.target(&container).await).await;
    let Err(ProviderError::NoAnswer { reason, .. }) = answer else { panic!("{answer:?}") };
    assert!(reason.contains("not pulled"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_wants_credentials_gets_those_of_the_docker_configuration() {
    let yard = yard().await;
    let registry = Registry::start(&["--auth"]);
    let config = lab("registry", &["config", &registry.address]);
    lab("services", &["push", "good", "1.0", &registry.address]);
    let reference = format!("{}/lab/web-good:stable", registry.address);
    let pulled = Command::new("docker").args(["--config", &config, "pull", &reference]).output().unwrap();
    assert!(pulled.status.success(), "{}", String::from_utf8_lossy(&pulled.stderr));
    let container = yard.container(&reference, json!({})).await;
    let target = yard.target(&container).await;

    let environment =
        |folder: &str| Environment { vars: [("DOCKER_CONFIG".to_owned(), folder.to_owned())].into() };
    let stranger = yard.docker.clone().with_environment(environment("/nonexistent"));
    let Err(ProviderError::NoAnswer { hint, .. }) = stranger.newer_image(&target).await else {
        panic!("let in")
    };
    assert!(hint.contains("docker login"), "{hint}");
    let known = yard.docker.clone().with_environment(environment(&config));
    assert_eq!(known.newer_image(&target).await.unwrap(), None);

    drop(container);
    yard.docker.client().delete(&["images", &reference]).done().await.unwrap();
}

//! Containers on a Docker engine: how they are found, read, patched, swapped and swapped back.
//!
//! `client` speaks the engine's API and knows no containers; `read` finds and reads targets; `swap` and
//! its neighbours change them. [`DockerProvider`] joins them behind the provider's contract.

pub mod client;
pub mod names;
mod observe;
mod provider;
mod read;
mod spec;
mod swap;
mod unsaved;

pub use spec::normalise;

use std::path::PathBuf;
use std::sync::Arc;

use patchyard_contract::{PackageCache, ProviderError};
use patchyard_types::HostId;
use serde_json::Value;

use client::{ApiError, Client, Endpoint, EngineKind};

/// What a provider needs besides its engine.
#[derive(Clone)]
pub struct Options {
    /// Id of this controller; the first eight characters are part of every object's name.
    pub controller: String,
    /// Key of the digests of configurations: environment values must not be guessable from them.
    pub key: [u8; 32],
    /// Where the bytes of packages are kept.
    pub cache: Arc<dyn PackageCache>,
    /// The controller's state directory, for create requests of snapshots.
    pub state_dir: PathBuf,
    /// The host's name in the configuration, where it has one; Podman's engine has no stable id of
    /// its own and needs it.
    pub name: Option<String>,
}

/// The containers of one engine.
#[derive(Clone)]
pub struct DockerProvider {
    pub(crate) client: Client,
    pub(crate) host: HostId,
    /// The host as people know it: its configured name, else what the engine calls it.
    pub(crate) host_name: String,
    /// The engine's `/info`, as it was when connecting.
    pub(crate) info: Arc<Value>,
    pub(crate) options: Options,
}

impl DockerProvider {
    /// Connects to an engine.
    ///
    /// # Errors
    /// When it cannot be reached, does not let us in, or is too old.
    pub async fn connect(endpoint: Endpoint, options: Options) -> Result<Self, ProviderError> {
        let said = options.name.clone().unwrap_or_else(|| endpoint.address.to_string());
        let reach = async {
            let client = Client::connect(endpoint).await?;
            let info = client.get(&["info"]).json().await?;
            Ok((client, info))
        };
        let (client, info) = reach.await.map_err(|error: ApiError| error.into_provider(&said))?;
        let text = |key: &str| info[key].as_str().filter(|text| !text.is_empty());
        let host = match (client.kind(), text("ID"), &options.name) {
            (EngineKind::Docker, Some(id), _) => HostId::new(patchyard_types::printable(id, 100)),
            // Podman makes up a new id at every call.
            (_, _, Some(name)) => HostId::new(name.clone()),
            (_, _, None) => HostId::new(text("Name").unwrap_or("podman")),
        };
        let host_name = match (&options.name, text("Name")) {
            (Some(name), _) => name.clone(),
            (None, Some(name)) => patchyard_types::printable(name, 100),
            (None, None) => said,
        };
        Ok(Self { client, host, host_name, info: Arc::new(info), options })
    }

    /// The connection to the engine.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// An engine's error in the contract's words.
    pub(crate) fn error(&self, error: ApiError) -> ProviderError {
        error.into_provider(&self.host_name)
    }
}

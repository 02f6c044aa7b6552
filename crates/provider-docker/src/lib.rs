//! Containers on a Docker engine: how they are found, read, patched, swapped and swapped back.
//!
//! `client` speaks the engine's API and knows no containers; `read` finds and reads targets; `swap` and
//! its neighbours change them. [`DockerProvider`] joins them behind the provider's contract.

mod ask;
mod carry;
pub mod client;
mod gc;
mod helpers;
mod injected;
mod layer;
mod layers;
mod memory;
pub mod names;
mod observe;
mod podman;
mod prepare;
mod provider;
mod pull;
mod read;
mod registry;
mod room;
mod save;
mod service;
mod snapshot;
mod spec;
mod swap;
mod tags;
mod unsaved;
mod view;

pub use registry::RegistryLogin;
pub use spec::normalise;
pub use swap::last_words;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use patchyard_contract::{Memory, PackageCache, ProviderError};
use patchyard_types::{HostId, OsRelease, RunId};
use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use client::{ApiError, Client, Endpoint, EngineKind, Environment};
use helpers::Helpers;

/// How many targets are read at the same time: enough to keep an engine busy, not so many that it
/// starves its own containers.
const TARGETS_AT_ONCE: usize = 8;

/// How many helpers work at the same time: each downloads and reads the lists of a distribution.
const HELPERS_AT_ONCE: usize = 4;

/// How long a package manager may take to answer one question, where nobody says otherwise: the lists
/// of a distribution have to come over a slow line within it.
const PATIENCE: Duration = Duration::from_secs(300);

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
    /// Keeps what is known of images.
    pub memory: Arc<dyn Memory>,
    /// Credentials of registries by `host` or `host:port`; the others have those of the Docker configuration.
    pub registries: BTreeMap<String, RegistryLogin>,
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
    /// What is known of images, by their ids.
    facts: Arc<Mutex<BTreeMap<String, ImageFacts>>>,
    /// What the images of a run's two containers have, by path, from its check until it is used.
    images: Arc<Mutex<BTreeMap<RunId, BTreeMap<String, carry::Images>>>>,
    /// How many targets are read at the same time.
    slots: Arc<Semaphore>,
    /// How many helpers work at the same time.
    helper_slots: Arc<Semaphore>,
    /// Where the user's Docker configuration is found, with credentials for registries.
    pub(crate) environment: Environment,
    /// How long a package manager may take to answer one question.
    pub(crate) patience: Duration,
    /// Helpers that have not been removed yet.
    pub(crate) helpers: Arc<Helpers>,
    /// Those that are kept for further questions.
    pub(crate) shelf: Arc<ask::Shelf>,
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
        Ok(Self {
            client,
            host,
            host_name,
            info: Arc::new(info),
            options,
            facts: Arc::default(),
            images: Arc::default(),
            slots: Arc::new(Semaphore::new(TARGETS_AT_ONCE)),
            helper_slots: Arc::new(Semaphore::new(HELPERS_AT_ONCE)),
            environment: Environment::of_process(),
            patience: PATIENCE,
            helpers: Arc::default(),
            shelf: Arc::default(),
        })
    }

    /// How long a package manager may take to answer one question (five minutes by default).
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Looks for the user's Docker configuration there instead of in this process's environment.
    #[must_use]
    pub fn with_environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
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

    /// Waits for a place among those who ask the engine at the same time.
    pub(crate) async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        // Nobody closes the semaphore; without a permit the work would merely be less orderly.
        self.slots.acquire().await.ok()
    }

    /// Waits for a place among the helpers.
    pub(crate) async fn helper_slot(&self) -> Option<SemaphorePermit<'_>> {
        self.helper_slots.acquire().await.ok()
    }

    fn known<T>(&self, image: &str, read: impl Fn(&ImageFacts) -> Option<T>) -> Option<T> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).get(image).and_then(read)
    }

    fn remember(&self, image: &str, write: impl FnOnce(&mut ImageFacts)) {
        write(self.facts.lock().unwrap_or_else(PoisonError::into_inner).entry(image.to_owned()).or_default());
    }

    /// What is known of the images of a run.
    pub(crate) fn images_of(&self, run: RunId) -> BTreeMap<String, carry::Images> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner).get(&run).cloned().unwrap_or_default()
    }

    /// Remembers it; nothing forgets it.
    pub(crate) fn remember_images(&self, run: RunId, images: BTreeMap<String, carry::Images>) {
        let mut known = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        match images.is_empty() {
            true => drop(known.remove(&run)),
            false => drop(known.insert(run, images)),
        }
    }

    pub(crate) fn known_os(&self, image: &str) -> Option<OsRelease> {
        self.known(image, |facts| facts.os.clone())
    }

    pub(crate) fn remember_os(&self, image: &str, release: OsRelease) {
        self.remember(image, |facts| facts.os = Some(release));
    }

    pub(crate) fn known_platform(&self, image: &str) -> Option<String> {
        self.known(image, |facts| facts.platform.clone())
    }

    /// What package managers tell of an image; whoever asks first reads it.
    pub(crate) fn installed_in_image(&self, image: &str) -> Arc<OnceCell<read::Installed>> {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&facts.entry(image.to_owned()).or_default().installed)
    }

    pub(crate) fn remember_platform(&self, image: &str, platform: String) {
        self.remember(image, |facts| facts.platform = Some(platform));
    }
}

/// What is known of an image: its content, and so this, never changes under one id.
#[derive(Debug, Default)]
struct ImageFacts {
    /// Its OS release; `Some(None)` when it has none.
    os: Option<OsRelease>,
    /// `linux/amd64`.
    platform: Option<String>,
    /// What package managers tell of it.
    installed: Arc<OnceCell<read::Installed>>,
}

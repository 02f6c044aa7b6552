//! What every use case works with: configuration, state, time, who asks, and the hosts.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use patchyard_cache::FileCache;
use patchyard_contract::{Clock, Provider, ProviderError, Store};
use patchyard_engine::Engine;
use patchyard_types::Actor;

use crate::Error;
use crate::config::Config;
use crate::state::StateDir;

/// Flags that say where things are.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--state`.
    pub state: Option<PathBuf>,
    /// `--host`: empty means all that are configured.
    pub hosts: Vec<String>,
}

/// A host that was asked for, and whether it can be reached.
pub struct Reached {
    /// Its name: from the configuration, or the address it was asked for by.
    pub name: String,
    /// Its provider, or why there is none.
    pub provider: Result<Arc<dyn Provider>, ProviderError>,
    /// Where there is none: the machine that it was when it last answered. Its keeper may bring it back, in a run that is under
    /// way.
    pub asleep: Option<Arc<dyn Provider>>,
}

impl Reached {
    /// Whatever answers, or does not.
    #[must_use]
    pub fn new(name: impl Into<String>, provider: Result<Arc<dyn Provider>, ProviderError>) -> Self {
        Self { name: name.into(), provider, asleep: None }
    }
}

/// Reaches the hosts; a seam, so that whole use cases run on simulated ones.
#[async_trait]
pub trait Reach: Send + Sync {
    /// Connects to all of them, at the same time.
    ///
    /// # Errors
    /// When a name or an address makes no sense; a silent host is no error here.
    async fn reach(&self) -> Result<Vec<Reached>, Error>;

    /// Waits until helpers of work that was dropped in the middle are gone. To be called before the
    /// process ends.
    async fn settle(&self);
}

/// What every use case works with.
pub struct Context {
    /// The configuration.
    pub config: Config,
    /// The state directory.
    pub state: StateDir,
    /// The event log.
    pub store: Arc<dyn Store>,
    /// The package cache.
    pub cache: Arc<FileCache>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The name of this controller.
    pub controller: String,
    /// Who asks.
    pub actor: Actor,
    /// The way to the hosts.
    pub reach: Box<dyn Reach>,
}

impl Context {
    /// An engine over these hosts.
    #[must_use]
    pub fn engine(&self, providers: Vec<Arc<dyn Provider>>) -> Engine {
        Engine::new(Arc::clone(&self.store), providers, Arc::clone(&self.clock), self.controller.clone())
    }
}

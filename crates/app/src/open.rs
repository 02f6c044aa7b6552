//! Opening everything a use case works with.

use std::sync::Arc;

use patchyard_cache::FileCache;
use patchyard_contract::Store;
use patchyard_provider_docker::client::Environment as DockerEnvironment;
use patchyard_store_sqlite::SqliteStore;

use crate::config::find;
use crate::hosts::{Hosts, Ours, sockets};
use crate::memory::StoreMemory;
use crate::{Context, Environment, Error, Options, StateDir, SystemClock};

impl Context {
    /// Opens configuration and state. No host is reached yet.
    ///
    /// # Errors
    /// When the configuration, the state or an address cannot be used.
    pub fn open(environment: &Environment, options: &Options) -> Result<Self, Error> {
        let config = find(&environment.config_places(options.config.clone()))?;
        let state = StateDir::open(options.state.clone(), environment)?;
        let key = state.key()?;
        let store = Arc::new(SqliteStore::open(state.path())?);
        let cache = Arc::new(FileCache::open(&state.cache())?);
        let controller = store.controller().to_owned();
        let store: Arc<dyn Store> = store;
        let ours = Ours {
            controller: controller.clone(),
            key,
            cache: Arc::clone(&cache) as _,
            state_dir: state.path().to_owned(),
            sockets: sockets(state.path(), rustix::process::geteuid().as_raw()),
            memory: Arc::new(StoreMemory { store: Arc::clone(&store), clock: Arc::new(SystemClock) }),
        };
        let docker = DockerEnvironment::of_process();
        let hosts = Hosts::meant(&config, &options.hosts, &docker, ours)?;
        Ok(Self {
            config,
            state,
            store,
            cache,
            clock: Arc::new(SystemClock),
            controller,
            actor: environment.actor.clone(),
            reach: Box::new(hosts),
        })
    }
}

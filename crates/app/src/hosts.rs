//! Which hosts are meant, and how they are reached: the one place that names a provider.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use patchyard_contract::{Memory, PackageCache, Provider, ProviderError};
use patchyard_provider_docker::client::{Address, Endpoint, Environment, TlsFiles, resolve};
pub(crate) use patchyard_provider_docker::last_words;
use patchyard_provider_docker::{DockerProvider, Options, RegistryLogin};
use patchyard_types::printable;

use crate::config::{Config, Host, Registry};
use crate::nearest::nearest;
use crate::{Error, Reach, Reached};

/// What providers need of this controller.
#[derive(Clone)]
pub struct Ours {
    /// The controller's name.
    pub controller: String,
    /// Key of keyed digests.
    pub key: [u8; 32],
    /// The package cache.
    pub cache: Arc<dyn PackageCache>,
    /// The state directory.
    pub state_dir: PathBuf,
    /// What providers remember.
    pub memory: Arc<dyn Memory>,
}

/// Engines by their addresses.
pub struct Engines {
    endpoints: Vec<Named>,
    ours: Ours,
    registries: BTreeMap<String, RegistryLogin>,
    patience: Duration,
    reached: Mutex<Vec<DockerProvider>>,
}

impl Engines {
    /// The engines that are meant: those asked for, else those of the configuration, else the one
    /// that Docker's own client would talk to.
    ///
    /// # Errors
    /// When a name or an address makes no sense.
    pub fn meant(
        config: &Config,
        asked: &[String],
        environment: &Environment,
        ours: Ours,
    ) -> Result<Self, Error> {
        let endpoints = meant(config, asked, environment)?;
        let registries = config.registries.iter().map(|(name, registry)| {
            let Registry { username, password_file } = registry.clone();
            (name.clone(), RegistryLogin { username, password_file })
        });
        Ok(Self {
            endpoints,
            ours,
            registries: registries.collect(),
            patience: config.ask_timeout.as_duration(),
            reached: Mutex::default(),
        })
    }
}

type Named = (Option<String>, Endpoint);

fn meant(config: &Config, asked: &[String], environment: &Environment) -> Result<Vec<Named>, Error> {
    if !asked.is_empty() {
        return asked.iter().map(|name| named(config, name, environment)).collect();
    }
    if config.hosts.is_empty() {
        let endpoint = resolve(None, environment).map_err(|error| Error::input(error.to_string(), ""))?;
        return Ok(vec![(None, endpoint)]);
    }
    config.hosts.iter().map(|(name, host)| configured(name, host, environment)).collect()
}

/// A host of the configuration, an address, or a Docker context.
fn named(config: &Config, name: &str, environment: &Environment) -> Result<Named, Error> {
    if name.is_empty() {
        return Err(Error::input(
            "--host names no host",
            "is a variable empty? Leave --host out, or name one",
        ));
    }
    if let Some(host) = config.hosts.get(name) {
        return configured(name, host, environment);
    }
    let bad = |message: String| {
        let known = nearest(name, config.hosts.keys().map(String::as_str));
        let hint = known.map_or_else(String::new, |known| format!("did you mean '{known}'?"));
        Error::input(message, hint)
    };
    if name.contains("://") {
        let endpoint = resolve(Some(name), environment).map_err(|error| bad(error.to_string()))?;
        return Ok((None, endpoint));
    }
    let mut vars: BTreeMap<String, String> = environment.vars.clone();
    vars.remove("DOCKER_HOST");
    vars.insert("DOCKER_CONTEXT".to_owned(), name.to_owned());
    match resolve(None, &Environment { vars }) {
        Ok(endpoint) if name != "default" => Ok((Some(name.to_owned()), endpoint)),
        Ok(endpoint) => Ok((None, endpoint)),
        Err(_) => {
            let shown = printable(name, 80);
            Err(bad(format!("'{shown}' is no host of the configuration, no Docker context and no address")))
        }
    }
}

fn configured(name: &str, host: &Host, environment: &Environment) -> Result<Named, Error> {
    let mut endpoint = resolve(Some(&host.url), environment)
        .map_err(|error| Error::input(format!("host {name}: {error}"), "patchyard config explain"))?;
    endpoint.from = format!("hosts.{name}");
    if let (Address::Tcp { tls, .. }, Some(wanted)) = (&mut endpoint.address, &host.tls) {
        *tls = Some(TlsFiles { ca: Some(wanted.ca.clone()), client: wanted.identity.clone() });
    }
    Ok((Some(name.to_owned()), endpoint))
}

#[async_trait]
impl Reach for Engines {
    async fn reach(&self) -> Result<Vec<Reached>, Error> {
        let connecting = self.endpoints.iter().map(|(name, endpoint)| async move {
            let Ours { controller, key, cache, state_dir, memory } = self.ours.clone();
            let registries = self.registries.clone();
            let name_of = name.clone();
            let options = Options { controller, key, cache, state_dir, name: name_of, memory, registries };
            let said = name.clone().unwrap_or_else(|| endpoint.address.to_string());
            let docker = DockerProvider::connect(endpoint.clone(), options).await;
            (said, docker.map(|docker| docker.with_patience(self.patience)))
        });
        let connected = join_all(connecting).await;
        let mut known = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(connected.iter().filter_map(|(_, docker)| docker.as_ref().ok().cloned()));
        let reached = |(name, docker): (String, Result<DockerProvider, ProviderError>)| Reached {
            name,
            provider: docker.map(|docker| Arc::new(docker) as Arc<dyn Provider>),
        };
        Ok(connected.into_iter().map(reached).collect())
    }

    async fn settle(&self) {
        let reached = std::mem::take(&mut *self.reached.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(reached.iter().map(DockerProvider::settle)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn addresses(config: &str, asked: &[&str], vars: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let config = parse(std::path::Path::new("p.yaml"), config).unwrap();
        let vars = vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let asked: Vec<_> = asked.iter().map(ToString::to_string).collect();
        let named = meant(&config, &asked, &Environment { vars }).map_err(|error| error.to_string())?;
        Ok(named.into_iter().map(|(_, endpoint)| endpoint.address.to_string()).collect())
    }

    #[test]
    fn what_is_asked_outweighs_the_file_and_the_file_the_environment() {
        let config = "version: 1\nhosts:\n  a: {url: unix:///a.sock}\n  b: {url: unix:///b.sock}\n";
        let env = [("DOCKER_HOST", "unix:///env.sock")];
        assert_eq!(addresses("version: 1\n", &[], &env).unwrap(), ["unix:///env.sock"]);
        assert_eq!(addresses(config, &[], &env).unwrap(), ["unix:///a.sock", "unix:///b.sock"]);
        assert_eq!(
            addresses(config, &["b", "unix:///c.sock"], &env).unwrap(),
            ["unix:///b.sock", "unix:///c.sock"]
        );
        assert_eq!(addresses(config, &[""], &env).unwrap_err(), "--host names no host");
        let unknown = addresses(config, &["c"], &env).unwrap_err();
        assert_eq!(unknown, "'c' is no host of the configuration, no Docker context and no address");
    }
}

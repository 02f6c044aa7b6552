//! Which hosts are meant, and how they are reached: the one place that names a provider.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use patchyard_contract::{
    KeptMachine, Memory, PackageCache, Provider, ProviderError, Transport, TransportError,
};
use patchyard_guest::transport::{Local, Privilege, Ssh, SshOptions};
use patchyard_incus::IncusError;
use patchyard_libvirt::LibvirtError;
use patchyard_provider_docker::client::{Address, Endpoint, Environment, TlsFiles, resolve};
pub(crate) use patchyard_provider_docker::last_words;
use patchyard_provider_docker::{DockerProvider, Options, RegistryLogin};
use patchyard_provider_host::{HostProvider, Kept, Options as HostOptions, is_root};
use patchyard_types::printable;

use crate::config::{Config, Host, Keeper, KeptAt, Machine, Registry, Way};
use crate::nearest::nearest;
use crate::settings::{EXCLUDE, SERVICE, flag};
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
    /// Where the sockets of connections by ssh are.
    pub sockets: PathBuf,
    /// What providers remember.
    pub memory: Arc<dyn Memory>,
}

/// Engines and machines, and the ways to them.
pub struct Hosts {
    hosts: Vec<Named>,
    ours: Ours,
    registries: BTreeMap<String, RegistryLogin>,
    /// Labels may exclude.
    excludes: bool,
    patience: Duration,
    reached: Mutex<Vec<Arc<dyn Provider>>>,
}

impl Hosts {
    /// The hosts that are meant: those asked for, else those of the configuration, else the one
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
        let hosts = meant(config, asked, environment)?;
        let registries = config.registries.iter().map(|(name, registry)| {
            let Registry { username, password_file } = registry.clone();
            (name.clone(), RegistryLogin { username, password_file })
        });
        Ok(Self {
            hosts,
            ours,
            registries: registries.collect(),
            excludes: config.labels.exclude,
            patience: config.ask_timeout.as_duration(),
            reached: Mutex::default(),
        })
    }
}

/// What is reached, under the name that it has.
enum Named {
    Engine(Option<String>, Endpoint),
    Machine(String, Machine),
    Keeper(String, Keeper),
}

fn meant(config: &Config, asked: &[String], environment: &Environment) -> Result<Vec<Named>, Error> {
    if !asked.is_empty() {
        return asked.iter().map(|name| named(config, name, environment)).collect();
    }
    if config.hosts.is_empty() {
        let endpoint = resolve(None, environment).map_err(|error| Error::input(error.to_string(), ""))?;
        return Ok(vec![Named::Engine(None, endpoint)]);
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
        return Ok(Named::Engine(None, endpoint));
    }
    let mut vars: BTreeMap<String, String> = environment.vars.clone();
    vars.remove("DOCKER_HOST");
    vars.insert("DOCKER_CONTEXT".to_owned(), name.to_owned());
    match resolve(None, &Environment { vars }) {
        Ok(endpoint) if name != "default" => Ok(Named::Engine(Some(name.to_owned()), endpoint)),
        Ok(endpoint) => Ok(Named::Engine(None, endpoint)),
        Err(_) => {
            let shown = printable(name, 80);
            Err(bad(format!("'{shown}' is no host of the configuration, no Docker context and no address")))
        }
    }
}

fn configured(name: &str, host: &Host, environment: &Environment) -> Result<Named, Error> {
    let (url, tls) = match host {
        Host::Engine { url, tls } => (url, tls),
        Host::Machine(machine) => return Ok(Named::Machine(name.to_owned(), machine.clone())),
        Host::Keeper(keeper) => return Ok(Named::Keeper(name.to_owned(), keeper.clone())),
    };
    let mut endpoint = resolve(Some(url), environment)
        .map_err(|error| Error::input(format!("host {name}: {error}"), "patchyard config explain"))?;
    endpoint.from = format!("hosts.{name}");
    if let (Address::Tcp { tls, .. }, Some(wanted)) = (&mut endpoint.address, tls) {
        *tls = Some(TlsFiles { ca: Some(wanted.ca.clone()), client: wanted.identity.clone() });
    }
    Ok(Named::Engine(Some(name.to_owned()), endpoint))
}

impl Hosts {
    async fn engine(
        &self,
        name: Option<String>,
        endpoint: Endpoint,
    ) -> Result<Arc<dyn Provider>, ProviderError> {
        let Ours { controller, key, cache, state_dir, sockets: _, memory } = self.ours.clone();
        let registries = self.registries.clone();
        let options = Options { controller, key, cache, state_dir, name, memory, registries };
        let docker = DockerProvider::connect(endpoint, options).await?.with_patience(self.patience);
        let docker: Arc<dyn Provider> = Arc::new(docker);
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&docker));
        Ok(docker)
    }

    async fn machine(&self, name: &str, machine: &Machine) -> Result<Arc<dyn Provider>, ProviderError> {
        let Machine { way, sudo_password_file, service, labels } = machine;
        let privilege = match sudo_password_file {
            Some(file) => Privilege::SudoWith(password(file)?),
            // Root needs no sudo, and may not have it.
            None if is_root(&*self.transport(way, Privilege::Root)?, name).await? => Privilege::Root,
            None => Privilege::Sudo,
        };
        let kind = match way {
            Way::Local => "local",
            Way::Ssh { .. } => "ssh",
        };
        let options = HostOptions { service: service.clone(), ..self.options(kind, name, labels.clone()) };
        let host = HostProvider::connect(self.transport(way, privilege)?, options).await?;
        Ok(Arc::new(host.with_patience(self.patience)))
    }

    /// What a machine is handled with, besides who keeps it.
    fn options(&self, kind: &'static str, name: &str, labels: BTreeMap<String, String>) -> HostOptions {
        let Ours { controller, cache, .. } = self.ours.clone();
        let service = labels.get(SERVICE).cloned();
        HostOptions { controller, cache, kind, name: name.to_owned(), service, labels, kept: None }
    }

    /// The machines that somebody keeps, but for those that are to be left out: of them nothing need be known.
    async fn kept(&self, name: &str, Keeper { at, labels }: &Keeper) -> Vec<Reached> {
        let (kind, machines) = match at {
            KeptAt::Libvirt(uri) => ("libvirt", of_libvirt(name, uri).await),
            KeptAt::Incus(socket) => ("incus", of_incus(name, socket).await),
        };
        let machines = match machines {
            Ok(machines) => machines,
            Err(error) => return vec![Reached::new(name, Err(error))],
        };
        let reached = machines.into_iter().map(|machine| async move {
            let labels: BTreeMap<String, String> = labels.clone().into_iter().chain(machine.labels).collect();
            let is_excluded = labels.get(EXCLUDE).and_then(|value| flag(value)) == Some(true);
            match self.excludes && is_excluded {
                true => None,
                false => Some(self.kept_machine(kind, name, KeptMachine { labels, ..machine }).await),
            }
        });
        join_all(reached).await.into_iter().flatten().collect()
    }

    /// What is known of a machine that answers is kept for when it does not.
    async fn kept_machine(&self, kind: &'static str, by: &str, machine: KeptMachine) -> Reached {
        let KeptMachine { name, id, labels, way, barred, keeper, no_snapshot } = machine;
        let kept = Some(Kept { by: by.to_owned(), keeper, no_snapshot });
        let options = HostOptions { kept, ..self.options(kind, &name, labels) };
        let (memory, key) = (&self.ours.memory, format!("machine/{kind}/{id}"));
        let connected = match barred {
            None => HostProvider::connect(Arc::clone(&way), options.clone()).await,
            Some(reason) => Err(ProviderError::Denied { host: name.clone(), reason }),
        };
        let recalled = memory.recall(&key).await;
        match connected {
            Ok(host) => {
                let known = host.known();
                // Every command comes here, and mostly nothing is new.
                if recalled.as_ref() != Some(&known) {
                    memory.remember(&key, &known).await;
                }
                Reached::new(name, Ok(Arc::new(host.with_patience(self.patience))))
            }
            Err(error) => {
                let asleep = recalled.and_then(|known| HostProvider::asleep(way, options, &known));
                let asleep = asleep.map(|host| Arc::new(host) as _);
                Reached { asleep, ..Reached::new(name, Err(error)) }
            }
        }
    }

    fn transport(&self, way: &Way, privilege: Privilege) -> Result<Arc<dyn Transport>, ProviderError> {
        let Way::Ssh { to, config } = way else { return Ok(Arc::new(Local::new(privilege))) };
        let sockets = &self.ours.sockets;
        // Others must not be able to speak through our connections.
        private_folder(sockets).map_err(|reason| ProviderError::Local { reason })?;
        let config = config.clone();
        let options = SshOptions { config, privilege, ..SshOptions::new(to, sockets) };
        let ssh = Ssh::new(options)
            .map_err(|error: TransportError| ProviderError::Local { reason: error.to_string() })?;
        Ok(Arc::new(ssh))
    }
}

async fn of_libvirt(host: &str, uri: &patchyard_libvirt::Uri) -> Result<Vec<KeptMachine>, ProviderError> {
    let env = patchyard_libvirt::Environment::of_process();
    let machines = patchyard_libvirt::machines(uri, &env).await;
    machines.map_err(|error| {
        not_told(host, matches!(error, LibvirtError::NotPermitted { .. }), error.to_string())
    })
}

async fn of_incus(host: &str, socket: &Path) -> Result<Vec<KeptMachine>, ProviderError> {
    let machines = patchyard_incus::machines(socket).await;
    machines.map_err(|error| {
        let is_denied = matches!(error, IncusError::NotPermitted { .. } | IncusError::NotTrusted { .. });
        not_told(host, is_denied, error.to_string())
    })
}

/// Who keeps machines does not let us in, or does not answer.
fn not_told(host: &str, is_denied: bool, reason: String) -> ProviderError {
    let host = host.to_owned();
    match is_denied {
        true => ProviderError::Denied { host, reason },
        false => ProviderError::Unreachable { host, reason },
    }
}

/// The first line of a file.
fn password(file: &Path) -> Result<String, ProviderError> {
    let text = std::fs::read_to_string(file).map_err(|error| ProviderError::Local {
        reason: format!("the password for sudo cannot be read from {}: {error}", file.display()),
    })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Makes a folder that nobody else may enter, or makes sure that it is one.
fn private_folder(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
    let fail = |error: std::io::Error| format!("cannot use {}: {error}", path.display());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fail)?;
    let is = std::fs::symlink_metadata(path).map_err(fail)?;
    let ours = is.is_dir() && is.uid() == rustix::process::geteuid().as_raw() && is.mode() & 0o077 == 0;
    match ours {
        true => Ok(()),
        false => {
            Err(format!("{} is no folder that only its owner, us, may enter: remove it", path.display()))
        }
    }
}

/// Where the sockets of connections are: in the state directory, or, as a socket's path has to be short, in a
/// folder of the user's own.
pub fn sockets(state: &Path, user: u32) -> PathBuf {
    let ours = state.join("ssh");
    match ours.as_os_str().len() <= SshOptions::LONGEST_FOLDER {
        true => ours,
        false => PathBuf::from(format!("/tmp/patchyard-ssh-{user}")),
    }
}

#[async_trait]
impl Reach for Hosts {
    async fn reach(&self) -> Result<Vec<Reached>, Error> {
        let connecting = self.hosts.iter().map(|named| async move {
            match named {
                Named::Engine(name, endpoint) => {
                    let said = name.clone().unwrap_or_else(|| endpoint.address.to_string());
                    vec![Reached::new(said, self.engine(name.clone(), endpoint.clone()).await)]
                }
                Named::Machine(name, machine) => {
                    vec![Reached::new(name, self.machine(name, machine).await)]
                }
                Named::Keeper(name, keeper) => self.kept(name, keeper).await,
            }
        });
        Ok(join_all(connecting).await.into_iter().flatten().collect())
    }

    async fn settle(&self) {
        let reached = std::mem::take(&mut *self.reached.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(reached.iter().map(|provider| provider.settle())).await;
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
        let words = |named| match named {
            Named::Engine(_, endpoint) => endpoint.address.to_string(),
            Named::Machine(name, _) | Named::Keeper(name, _) => name,
        };
        Ok(named.into_iter().map(words).collect())
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
        let machines = "version: 1\nhosts:\n  here: {local: true}\n  box: {incus: /i.socket}\n  hv: {libvirt: 'qemu:///system'}\n  web: {ssh: ops@web}\n";
        assert_eq!(addresses(machines, &[], &env).unwrap(), ["box", "here", "hv", "web"]);
        assert_eq!(addresses(machines, &["web"], &env).unwrap(), ["web"]);
        assert_eq!(addresses(config, &[""], &env).unwrap_err(), "--host names no host");
        let unknown = addresses(config, &["c"], &env).unwrap_err();
        assert_eq!(unknown, "'c' is no host of the configuration, no Docker context and no address");
    }

    #[test]
    fn sockets_are_where_their_paths_are_short_enough() {
        assert_eq!(sockets(Path::new("/var/lib/patchyard"), 0), Path::new("/var/lib/patchyard/ssh"));
        let long = format!("/home/{}/.local/state/patchyard", "x".repeat(40));
        assert_eq!(sockets(Path::new(&long), 7), Path::new("/tmp/patchyard-ssh-7"));
    }

    #[test]
    fn a_folder_of_sockets_is_nobody_elses() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let sockets = folder.path().join("ssh");
        assert_eq!(private_folder(&sockets), Ok(()));
        assert_eq!(private_folder(&sockets), Ok(()), "a second time");
        std::fs::set_permissions(&sockets, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(private_folder(&sockets).unwrap_err().contains("only its owner"));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/", &link).unwrap();
        assert!(private_folder(&link).is_err());
    }
}

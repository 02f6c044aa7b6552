//! The configuration: found, read, validated. No file at all is a good configuration too.

mod error;
mod find;
mod raw;
mod validate;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use patchyard_types::{Check, Millis, Settings};

pub use error::ConfigError;
pub use find::{Places, find};
pub(crate) use validate::{default_name, is_http_path};

use crate::select::Selector;

/// The example in the user guide, complete and commented; a test keeps it true.
pub const EXAMPLE: &str = include_str!("../../../../docs/patchyard.example.yaml");

/// The JSON Schema of the file, for editors.
pub const SCHEMA: &str = include_str!("../../../../docs/schemas/config.v1.json");

/// Larger files are a mistake, and reading them would cost memory.
const MAX_FILE: u64 = 1024 * 1024;

/// A validated configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file it came from; `None` when there is none and the defaults apply.
    pub file: Option<PathBuf>,
    /// Engines and machines by name. Empty: the engine that Docker's own client would talk to.
    pub hosts: BTreeMap<String, Host>,
    /// What applies to every target unless a label or a flag says otherwise.
    pub defaults: Settings,
    /// How long a package manager may take to answer one question.
    pub ask_timeout: Millis,
    /// How long snapshots are kept.
    pub retention: Retention,
    /// Tags stay where they are instead of following their patched image.
    pub keep_tags: bool,
    /// Which container labels may override the defaults.
    pub labels: LabelRights,
    /// Named checks and the targets they are asked of.
    pub checks: Vec<SelectedCheck>,
    /// Registries with credentials of their own, by `host` or `host:port`.
    pub registries: BTreeMap<String, Registry>,
    /// Where each setting was made: its path in the file and the line.
    pub lines: BTreeMap<String, u64>,
}

impl Default for Config {
    /// What applies without a file.
    fn default() -> Self {
        Self {
            file: None,
            hosts: BTreeMap::new(),
            defaults: Settings::default(),
            ask_timeout: Millis::from_secs(5 * 60),
            retention: Retention::default(),
            keep_tags: false,
            labels: LabelRights::default(),
            checks: Vec::new(),
            registries: BTreeMap::new(),
            lines: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Looks whether the files that the configuration names can be read.
    ///
    /// # Errors
    /// The first one that cannot.
    pub fn check_files(&self) -> Result<(), ConfigError> {
        let of_hosts = self.hosts.iter().flat_map(|(name, host)| {
            host.files().into_iter().map(move |file| (format!("hosts.{name}"), file))
        });
        let of_registries = self
            .registries
            .iter()
            .map(|(name, registry)| (format!("registries.{name}"), &registry.password_file));
        for (key, file) in of_hosts.chain(of_registries) {
            if let Err(error) = std::fs::File::open(file) {
                let config = self.file.as_deref().unwrap_or(Path::new(""));
                let message = format!("{key}: {} cannot be read: {error}", file.display());
                let at = self.lines.get(&key).map(|line| (*line, 1));
                return Err(ConfigError { at, ..ConfigError::whole(config, message) });
            }
        }
        Ok(())
    }
}

/// A host and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An engine, whose containers are targets.
    Engine {
        /// `unix://…`, `tcp://…` or `ssh://…`.
        url: String,
        /// Client TLS for `tcp://`.
        tls: Option<Tls>,
    },
    /// A machine, which is a target itself.
    Machine(Machine),
    /// Somebody who keeps machines, which are targets.
    Keeper(Keeper),
}

impl Host {
    /// How it is reached, in a few words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Engine { url, .. } => url.clone(),
            Self::Machine(Machine { way: Way::Ssh { to, .. }, .. }) => format!("ssh {to}"),
            Self::Machine(Machine { way: Way::Local, .. }) => "this machine".to_owned(),
            Self::Keeper(Keeper { at: KeptAt::Libvirt(uri), .. }) => uri.to_string(),
            Self::Keeper(Keeper { at: KeptAt::Incus(socket), .. }) => {
                format!("Incus at {}", socket.display())
            }
        }
    }

    /// The files that reaching it needs.
    fn files(&self) -> Vec<&PathBuf> {
        match self {
            Self::Engine { tls: None, .. } | Self::Keeper(_) => Vec::new(),
            Self::Engine { tls: Some(Tls { ca, identity }), .. } => {
                let identity = identity.iter().flat_map(|(cert, key)| [cert, key]);
                std::iter::once(ca).chain(identity).collect()
            }
            Self::Machine(Machine { way, sudo_password_file, .. }) => {
                let config = match way {
                    Way::Ssh { config, .. } => config.as_ref(),
                    Way::Local => None,
                };
                config.into_iter().chain(sudo_password_file).collect()
            }
        }
    }
}

/// A machine whose packages are patched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The way to it.
    pub way: Way,
    /// The file with the password that sudo there asks for. Without it sudo must not ask; root needs none.
    pub sudo_password_file: Option<PathBuf>,
    /// The service it belongs to; its own name without one.
    pub service: Option<String>,
    /// Its labels, which count as those of a container do.
    pub labels: BTreeMap<String, String>,
}

/// Somebody who keeps machines, and is asked which there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeper {
    /// Who, and where.
    pub at: KeptAt,
    /// Labels of all of its machines; those of a machine's own outweigh them.
    pub labels: BTreeMap<String, String>,
}

/// Where machines are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptAt {
    /// At a libvirt: virtual machines, reached by their guest agents.
    Libvirt(patchyard_libvirt::Uri),
    /// At an Incus or LXD, by its socket: system containers.
    Incus(PathBuf),
}

/// A way to a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// It is the one that Patchyard runs on.
    Local,
    /// By the system's `ssh`.
    Ssh {
        /// As on ssh's command line: `user@host`, a name of the ssh_config.
        to: String,
        /// Another file than the user's own ssh_config.
        config: Option<PathBuf>,
    },
}

/// Files for TLS to an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Certificates that are trusted.
    pub ca: PathBuf,
    /// The client's own certificate and key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// How long snapshots are kept: whatever satisfies either of the first two rules stays, as long as there is room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Younger ones stay.
    pub keep_for: Millis,
    /// So many of the newest of each target stay.
    pub keep_last: u32,
    /// How many bytes those of one host may take: then the oldest go before their time, but for the newest of each target.
    pub max_size: Option<u64>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep_for: Millis::from_secs(7 * 24 * 60 * 60), keep_last: 1, max_size: None }
    }
}

/// Which container labels may override the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelRights {
    /// `io.patchyard.exclude`.
    pub exclude: bool,
    /// `io.patchyard.service`.
    pub service: bool,
    /// `io.patchyard.check.http`.
    pub check_http: bool,
    /// `io.patchyard.check.tcp`.
    pub check_tcp: bool,
    /// `io.patchyard.check.command`.
    pub check_command: bool,
    /// `io.patchyard.verify-for`.
    pub verify_for: bool,
    /// `io.patchyard.data`.
    pub data: bool,
    /// `io.patchyard.order`.
    pub order: bool,
    /// `io.patchyard.drain.command`.
    pub drain_command: bool,
    /// `io.patchyard.drain.wait`.
    pub drain_wait: bool,
}

impl LabelRights {
    /// No label may.
    pub const NONE: Self = Self {
        exclude: false,
        service: false,
        check_http: false,
        check_tcp: false,
        check_command: false,
        verify_for: false,
        data: false,
        order: false,
        drain_command: false,
        drain_wait: false,
    };
}

impl Default for LabelRights {
    /// Every label may.
    fn default() -> Self {
        Self {
            exclude: true,
            service: true,
            check_http: true,
            check_tcp: true,
            check_command: true,
            verify_for: true,
            data: true,
            order: true,
            drain_command: true,
            drain_wait: true,
        }
    }
}

/// A check and whom it is asked of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectedCheck {
    /// `None`: every target.
    pub select: Option<Selector>,
    /// The check.
    pub check: Check,
}

/// Credentials for a registry; without them Docker's own configuration is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// User name.
    pub username: String,
    /// The file that holds the password: secrets never stand in the configuration itself.
    pub password_file: PathBuf,
}

/// Reads the configuration at `path`.
///
/// # Errors
/// When the file cannot be read, is no YAML, or says something this version does not know.
pub fn read(path: &Path) -> Result<Config, ConfigError> {
    let unreadable = |error: std::io::Error| {
        let why = match error.kind() {
            ErrorKind::NotFound => "it does not exist".to_owned(),
            ErrorKind::IsADirectory => "it is a folder".to_owned(),
            ErrorKind::InvalidData => "it is not text (UTF-8)".to_owned(),
            _ => error.to_string(),
        };
        ConfigError::whole(path, format!("cannot be read: {why}"))
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE {
        return Err(ConfigError::whole(path, "is larger than 1 MiB: this cannot be a configuration"));
    }
    let source = std::fs::read_to_string(path).map_err(unreadable)?;
    parse(path, &source)
}

/// Reads a configuration from its text; `path` is only for messages and relative file names.
///
/// # Errors
/// As for [`read`].
pub fn parse(path: &Path, source: &str) -> Result<Config, ConfigError> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let raw = serde_saphyr::from_str_with_options(source, options)
        .map_err(|error| ConfigError::from_yaml(path, source, &error))?;
    validate::validate(path, raw)
}

//! Which engine is meant: `--host`, `$DOCKER_HOST`, contexts, default sockets, in the order Docker has.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use patchyard_types::printable;
use thiserror::Error;

use super::context;

/// Where Docker listens by default.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";
/// Where Podman listens when it runs as root.
const PODMAN_SOCKET: &str = "/run/podman/podman.sock";

/// An engine's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket on this machine.
    Unix(PathBuf),
    /// A TCP port, with or without TLS.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// With these files; `None` is plain TCP.
        tls: Option<TlsFiles>,
    },
    /// The engine behind an SSH login.
    Ssh(SshAddress),
}

/// PEM files for TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsFiles {
    /// Whom to trust; `None` trusts what the system trusts.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key, where the engine asks for them.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl TlsFiles {
    /// `ca.pem`, `cert.pem` and `key.pem` of a folder, those that are there.
    pub(super) fn in_folder(folder: &Path) -> Self {
        let file = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
        Self { ca: file("ca.pem"), client: file("cert.pem").zip(file("key.pem")) }
    }
}

/// An SSH login. Its parts reach `ssh` as arguments of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshAddress {
    /// Login name, where it is not the default.
    pub user: Option<String>,
    /// Host name, or a name in the user's ssh_config.
    pub host: String,
    /// Port, where it is not the default.
    pub port: Option<u16>,
    /// The engine's socket there, where it is not the default: a plain absolute path.
    pub socket: Option<String>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(f, "tcp://{host}:{port}"),
            Self::Ssh(SshAddress { user, host, port, socket }) => {
                f.write_str("ssh://")?;
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                f.write_str(host)?;
                if let Some(port) = port {
                    write!(f, ":{port}")?;
                }
                f.write_str(socket.as_deref().unwrap_or_default())
            }
        }
    }
}

/// An address and who named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where the engine is.
    pub address: Address,
    /// Who said so: `--host`, `$DOCKER_HOST`, `context desktop`, `default socket`.
    pub from: String,
}

/// The part of the process environment that names an engine and finds its user's configuration, as a
/// value.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Variables by name.
    pub vars: BTreeMap<String, String>,
}

impl Environment {
    /// That of this process.
    #[must_use]
    pub fn of_process() -> Self {
        const WANTED: [&str; 9] = [
            "DOCKER_HOST",
            "DOCKER_CONTEXT",
            "DOCKER_CONFIG",
            "DOCKER_CERT_PATH",
            "DOCKER_TLS_VERIFY",
            "DOCKER_TLS",
            "HOME",
            "PATH",
            "XDG_RUNTIME_DIR",
        ];
        let vars = WANTED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
        Self { vars: vars.collect() }
    }

    /// A variable that is set and not empty.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Docker's configuration folder.
    #[must_use]
    pub fn docker_config(&self) -> Option<PathBuf> {
        match self.var("DOCKER_CONFIG") {
            Some(folder) => Some(PathBuf::from(folder)),
            None => Some(Path::new(self.var("HOME")?).join(".docker")),
        }
    }
}

/// Why no address could be made out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// The text is not an address.
    #[error(
        "'{text}' is not an engine's address: {reason}; write unix:///path, tcp://host:port or ssh://user@host"
    )]
    Malformed {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A context cannot be used.
    #[error("Docker context '{name}' cannot be used: {reason}")]
    Context {
        /// Its name.
        name: String,
        /// Why, with what to do.
        reason: String,
    },
}

/// Finds the engine that is meant, in Docker's own order: the host that was named, `$DOCKER_HOST`,
/// `$DOCKER_CONTEXT`, the current context, the default socket. Where Docker has no socket and
/// Podman has one, Podman's.
///
/// # Errors
/// When what was named is no address, or its context is missing or broken.
pub fn resolve(host: Option<&str>, env: &Environment) -> Result<Endpoint, EndpointError> {
    if let Some(text) = host {
        return Ok(Endpoint { address: parse(text, env)?, from: "--host".to_owned() });
    }
    if let Some(text) = env.var("DOCKER_HOST") {
        return Ok(Endpoint { address: parse(text, env)?, from: "$DOCKER_HOST".to_owned() });
    }
    if let Some(name) = context::current(env) {
        return Ok(Endpoint { address: context::address(&name, env)?, from: format!("context {name}") });
    }
    let own = env.var("XDG_RUNTIME_DIR").map(|run| Path::new(run).join("podman/podman.sock"));
    let podman = own.into_iter().chain([PathBuf::from(PODMAN_SOCKET)]).find(|socket| socket.exists());
    let socket = match podman {
        Some(podman) if !Path::new(DOCKER_SOCKET).exists() => podman,
        _ => PathBuf::from(DOCKER_SOCKET),
    };
    Ok(Endpoint { address: Address::Unix(socket), from: "default socket".to_owned() })
}

/// Reads an address as `docker --host` takes it.
pub(super) fn parse(text: &str, env: &Environment) -> Result<Address, EndpointError> {
    let bad = |reason| EndpointError::Malformed { text: printable(text, 200), reason };
    let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("it has no scheme"))?;
    match scheme {
        "unix" if rest.starts_with('/') => Ok(Address::Unix(PathBuf::from(rest))),
        "unix" => Err(bad("the socket's path must be absolute")),
        "tcp" | "http" | "https" => {
            let (host, port) = host_port(rest.trim_end_matches('/')).map_err(bad)?;
            let tls = if scheme == "https" {
                Some(tls_files(env))
            } else {
                tls_wanted(env).then(|| tls_files(env))
            };
            let port = port.unwrap_or(if tls.is_some() { 2376 } else { 2375 });
            Ok(Address::Tcp { host, port, tls })
        }
        "ssh" => ssh(rest).map(Address::Ssh).map_err(bad),
        _ => Err(bad("its scheme is unknown")),
    }
}

fn tls_wanted(env: &Environment) -> bool {
    // A folder of certificates that is named is meant to be used: Docker's libraries do, its command line
    // wants DOCKER_TLS_VERIFY besides. Plain TCP with certificates at hand would be the worse mistake.
    ["DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CERT_PATH"].iter().any(|name| env.var(name).is_some())
}

fn tls_files(env: &Environment) -> TlsFiles {
    let folder = env.var("DOCKER_CERT_PATH").map(PathBuf::from).or_else(|| env.docker_config());
    folder.map(|folder| TlsFiles::in_folder(&folder)).unwrap_or_default()
}

/// `host`, `host:port`, `[v6]:port`.
fn host_port(text: &str) -> Result<(String, Option<u16>), &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("a bracket is open")?;
            (host, port.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() || host.contains(|c: char| c == '/' || c == '@' || c.is_whitespace() || c.is_control())
    {
        return Err("the host's name is not one");
    }
    let port =
        port.map(|port| port.parse().map_err(|_| "the port is not a number from 0 to 65535")).transpose()?;
    Ok((host.to_owned(), port))
}

fn ssh(rest: &str) -> Result<SshAddress, &'static str> {
    let (login, path) = match rest.split_once('/') {
        Some((login, path)) => (login, Some(path).filter(|path| !path.is_empty())),
        None => (rest, None),
    };
    let (user, host) = match login.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, login),
    };
    if user.is_some_and(|user| user.contains(':')) {
        return Err("a password has no place in it, use a key");
    }
    let (host, port) = host_port(host)?;
    // `ssh` reads a leading dash as an option, and hands the command line to a shell at the far end.
    let plain = |text: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-+/:%".contains(c))
    };
    if !plain(&host) || user.is_some_and(|user| !plain(user)) {
        return Err("login or host hold characters that have no place there");
    }
    let socket = path.map(|path| format!("/{path}"));
    if socket.as_deref().is_some_and(|path| !plain(path)) {
        return Err("the socket's path holds characters that have no place there");
    }
    Ok(SshAddress { user: user.map(str::to_owned), host, port, socket })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(vars: &[(&str, &str)]) -> Environment {
        Environment { vars: vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect() }
    }

    #[test]
    fn every_kind_of_address_is_read_and_shown_alike() {
        for text in [
            "unix:///run/docker.sock",
            "tcp://10.0.0.1:2375",
            "tcp://[::1]:2375",
            "ssh://web01",
            "ssh://ops@web01:2222",
            "ssh://web01/run/user/1000/docker.sock",
        ] {
            assert_eq!(parse(text, &env(&[])).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "/run/docker.sock",
            "unix://run/docker.sock",
            "tcp://",
            "tcp://host:port",
            "npipe:////./pipe/docker",
            "ssh://-oProxyCommand=x",
            "ssh://user:secret@host",
            "ssh://host/run/$(id)/docker.sock",
            "ssh://host/run/a b",
        ] {
            assert!(parse(text, &env(&[])).is_err(), "{text}");
        }
    }

    #[test]
    fn certificates_that_are_named_are_used() {
        let plain = parse("tcp://host", &env(&[])).unwrap();
        assert_eq!(plain, Address::Tcp { host: "host".to_owned(), port: 2375, tls: None });
        for name in ["DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"] {
            let Address::Tcp { port, tls, .. } = parse("tcp://host", &env(&[(name, "1")])).unwrap() else {
                unreachable!()
            };
            assert_eq!((port, tls.is_some()), (2376, true), "{name}");
        }
    }

    #[test]
    fn a_host_that_was_named_comes_before_the_environment() {
        let env = env(&[("DOCKER_HOST", "tcp://b:1")]);
        assert_eq!(resolve(Some("tcp://a:1"), &env).unwrap().address.to_string(), "tcp://a:1");
        let found = resolve(None, &env).unwrap();
        assert_eq!((found.address.to_string().as_str(), found.from.as_str()), ("tcp://b:1", "$DOCKER_HOST"));
    }
}

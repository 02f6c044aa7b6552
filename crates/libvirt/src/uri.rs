//! Which libvirt is meant: an address, read and checked before anything is started with it.
//!
//! As libvirt writes them: the driver, the way there (`+unix`, `+ssh`), the host, and whose daemon it is: the
//! system's or the user's own (`session`). What is not understood is refused by name.

use std::fmt;
use std::path::{Path, PathBuf};

use patchyard_types::printable;

use crate::LibvirtError;

/// The daemon for QEMU alone, and the one for everything, by their sockets: the first that is there is it.
const SOCKETS: [&str; 2] = ["virtqemud-sock", "libvirt-sock"];
/// Where the system's daemon has its socket.
const SYSTEM: &str = "/run/libvirt";

/// Whose daemon it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The system's: `/system`.
    System,
    /// The user's own: `/session`. Root has none.
    Session,
}

/// The way to the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// A socket on this machine.
    Unix,
    /// The system's `ssh`.
    Ssh(SshHost),
}

/// A host behind `ssh`. Its parts become arguments of their own; none can be taken for an option, or mean
/// something to a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshHost {
    /// Login name, where ssh_config is not to decide.
    pub user: Option<String>,
    /// Host name or address, or a name of ssh_config.
    pub host: String,
    /// Port, where ssh_config is not to decide.
    pub port: Option<u16>,
}

/// The address of a libvirt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri {
    /// The way there.
    pub way: Way,
    /// Whose daemon it is.
    pub scope: Scope,
    /// Its socket, where it is not the usual one: an absolute path.
    pub socket: Option<String>,
}

impl Uri {
    /// Reads an address.
    ///
    /// # Errors
    /// [`LibvirtError::BadUri`], with what is not understood.
    pub fn parse(text: &str) -> Result<Self, LibvirtError> {
        parse(text).map_err(|reason| LibvirtError::BadUri { text: printable(text, 200), reason })
    }

    /// What the daemon itself is asked to open: the address without the way to it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.scope {
            Scope::System => "qemu:///system",
            Scope::Session => "qemu:///session",
        }
    }

    /// The sockets on this machine that the daemon may have, the likeliest first; none for a session whose
    /// folder nothing names.
    ///
    /// A session's are where GLib has a user's runtime folder: `$XDG_RUNTIME_DIR`, else the cache folder.
    #[must_use]
    pub fn sockets(&self, env: &Environment) -> Vec<PathBuf> {
        if let Some(socket) = &self.socket {
            return vec![PathBuf::from(socket)];
        }
        let folder = match self.scope {
            Scope::System => Some(PathBuf::from(SYSTEM)),
            Scope::Session => {
                let cache = || env.cache.clone().or_else(|| Some(env.home.as_ref()?.join(".cache")));
                env.runtime.clone().or_else(cache).map(|folder| folder.join("libvirt"))
            }
        };
        folder.map(|folder| SOCKETS.map(|socket| folder.join(socket)).to_vec()).unwrap_or_default()
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = self.name().trim_start_matches("qemu:///");
        match &self.way {
            Way::Unix => write!(f, "qemu:///{scope}")?,
            Way::Ssh(SshHost { user, host, port }) => {
                f.write_str("qemu+ssh://")?;
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                match host.contains(':') {
                    true => write!(f, "[{host}]")?,
                    false => f.write_str(host)?,
                }
                if let Some(port) = port {
                    write!(f, ":{port}")?;
                }
                write!(f, "/{scope}")?;
            }
        }
        match &self.socket {
            Some(socket) => write!(f, "?socket={}", encode(socket)),
            None => Ok(()),
        }
    }
}

/// The part of the process environment that says where a user's sockets are, as a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `$HOME`.
    pub home: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR`.
    pub runtime: Option<PathBuf>,
    /// `$XDG_CACHE_HOME`.
    pub cache: Option<PathBuf>,
}

impl Environment {
    /// That of this process. What is empty or no absolute path does not count.
    #[must_use]
    pub fn of_process() -> Self {
        let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Self { home: folder("HOME"), runtime: folder("XDG_RUNTIME_DIR"), cache: folder("XDG_CACHE_HOME") }
    }
}

fn parse(text: &str) -> Result<Uri, String> {
    let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    if rest.contains('#') || query.is_some_and(|query| query.contains('#')) {
        return Err("it has a fragment, which means nothing here".to_owned());
    }
    let (login, path) = rest.split_once('/').ok_or("it does not say /system or /session")?;
    let scope = match path {
        "system" => Scope::System,
        "session" => Scope::Session,
        _ => return Err(format!("its path is '/{}' and not /system or /session", printable(path, 80))),
    };
    let way = match scheme.split_once('+') {
        None if scheme == "qemu" && login.is_empty() => Way::Unix,
        None if scheme == "qemu" => return Err("a host is reached by qemu+ssh only, not by TLS".to_owned()),
        Some(("qemu", "unix")) if login.is_empty() => Way::Unix,
        Some(("qemu", "unix")) => return Err("a socket is on this machine: it has no host".to_owned()),
        Some(("qemu", "ssh")) => Way::Ssh(ssh(login)?),
        Some(("qemu", way)) => return Err(format!("'{}' is no way there that is known", printable(way, 40))),
        _ => return Err(format!("'{}' is no hypervisor that is known", printable(scheme, 40))),
    };
    let mut socket = None;
    for parameter in query.into_iter().flat_map(|query| query.split(['&', ';'])) {
        match parameter.split_once('=') {
            Some(("socket", value)) => socket = Some(path_of(value)?),
            _ => {
                let name = parameter.split('=').next().unwrap_or_default();
                return Err(format!("the parameter '{}' is not known: socket=PATH is", printable(name, 40)));
            }
        }
    }
    Ok(Uri { way, scope, socket })
}

fn ssh(login: &str) -> Result<SshHost, String> {
    let (user, host) = match login.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, login),
    };
    if user.is_some_and(|user| user.contains(':')) {
        return Err("a password has no place in it: use a key".to_owned());
    }
    let (host, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("a bracket is open")?;
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err("something follows the host that is no port".to_owned()),
            }
        }
        None => match host.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (host, None),
        },
    };
    // `ssh` takes a leading dash for an option. Neither of them needs a character that means something to a
    // shell.
    let plain = |text: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-+:".contains(c))
    };
    if !plain(host) {
        return Err("its host is missing, or no name or address".to_owned());
    }
    if user.is_some_and(|user| !plain(user)) {
        return Err("its user is missing, or holds characters that have no place there".to_owned());
    }
    let port = match port.map(str::parse::<u16>) {
        Some(Ok(0) | Err(_)) => return Err("its port is not a number from 1 to 65535".to_owned()),
        Some(Ok(port)) => Some(port),
        None => None,
    };
    Ok(SshHost { user: user.map(str::to_owned), host: host.to_owned(), port })
}

fn path_of(value: &str) -> Result<String, String> {
    let path = decode(value).ok_or("its socket's path is not properly percent-encoded")?;
    if !Path::new(&path).is_absolute() || path.chars().any(char::is_control) {
        return Err("its socket's path is not absolute, or holds control characters".to_owned());
    }
    Ok(path)
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16).and_then(|d| u8::try_from(d).ok());
                digit()? << 4 | digit()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn every_address_is_read_and_shown_alike() {
        for text in [
            "qemu:///system",
            "qemu:///session",
            "qemu:///system?socket=/tmp/a/sock",
            "qemu+ssh://kvm01/system",
            "qemu+ssh://ops@kvm01:2222/system",
            "qemu+ssh://ops@[2001:db8::1]:22/system",
            "qemu+ssh://kvm01/session?socket=/run/a%20b",
        ] {
            assert_eq!(Uri::parse(text).unwrap().to_string(), text);
        }
        let unix = Uri::parse("qemu+unix:///system?socket=/x").unwrap();
        assert_eq!(unix, Uri::parse("qemu:///system?socket=%2Fx").unwrap());
        assert_eq!(unix.name(), "qemu:///system");
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (text, words) in [
            ("qemu", "no scheme"),
            ("qemu:///", "'/'"),
            ("qemu:///sytem", "'/sytem'"),
            ("qemu://", "/system or /session"),
            ("xen:///system", "'xen'"),
            ("test+unix:///system", "'test+unix'"),
            ("qemu+tls://host/system", "'tls'"),
            ("qemu+libssh2://host/system", "'libssh2'"),
            ("qemu://host/system", "not by TLS"),
            ("qemu+unix://host/system", "no host"),
            ("qemu:///system?no_verify=1", "'no_verify'"),
            ("qemu+ssh://host/system?command=/tmp/x", "'command'"),
            ("qemu:///system?", "''"),
            ("qemu:///system?socket=run/x", "not absolute"),
            ("qemu:///system?socket=/a%0ab", "control"),
            ("qemu:///system?socket=/a%2", "percent"),
            ("qemu:///system?socket=/a#b", "fragment"),
            ("qemu+ssh:///system", "host is missing"),
            ("qemu+ssh://@host/system", "user is missing"),
            ("qemu+ssh://user:secret@host/system", "password"),
            ("qemu+ssh://host:0/system", "port"),
            ("qemu+ssh://host:port/system", "port"),
            ("qemu+ssh://[::1/system", "bracket"),
            ("qemu+ssh://[::1]x/system", "no port"),
            // What would become an option, or mean something to a shell.
            ("qemu+ssh://-oProxyCommand=x/system", "host"),
            ("qemu+ssh://-oProxyCommand@host/system", "user"),
            ("qemu+ssh://ho$(id)st/system", "host"),
            ("qemu+ssh://a b/system", "host"),
            ("qemu+ssh://a;b@host/system", "user"),
        ] {
            let error = Uri::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
            assert!(error.contains("qemu:///system, "), "it says what is right: {error}");
        }
    }

    #[test]
    fn sockets_are_where_libvirt_has_them() {
        let sockets = |text: &str, env: &Environment| {
            let paths = Uri::parse(text).unwrap().sockets(env);
            paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        let mut env = Environment::default();
        assert_eq!(
            sockets("qemu:///system", &env),
            ["/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock"]
        );
        assert!(sockets("qemu:///session", &env).is_empty());
        env.home = Some("/home/bob".into());
        assert_eq!(sockets("qemu:///session", &env)[1], "/home/bob/.cache/libvirt/libvirt-sock");
        env.cache = Some("/var/cache/bob".into());
        assert_eq!(sockets("qemu:///session", &env)[0], "/var/cache/bob/libvirt/virtqemud-sock");
        env.runtime = Some("/run/user/1000".into());
        assert_eq!(sockets("qemu:///session", &env)[0], "/run/user/1000/libvirt/virtqemud-sock");
        assert_eq!(sockets("qemu+unix:///session?socket=/x", &env), ["/x"]);
    }
}

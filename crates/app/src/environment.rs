//! What the process was started with, as a value: who, where, with which variables.

use std::path::PathBuf;

use patchyard_types::Actor;

use crate::config::Places;

/// The parts of the process environment that decide where things are.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Whether it runs as root.
    pub root: bool,
    /// `$HOME`.
    pub home: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`.
    pub config_home: Option<PathBuf>,
    /// `$XDG_STATE_HOME`.
    pub state_home: Option<PathBuf>,
    /// The working directory.
    pub working_dir: PathBuf,
    /// `user@machine`, for the audit log.
    pub actor: Actor,
}

impl Environment {
    /// That of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let path = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        // XDG says that relative paths are to be ignored.
        let absolute = |name: &str| path(name).filter(|path| path.is_absolute());
        Self {
            root: rustix::process::geteuid().is_root(),
            home: path("HOME"),
            config_home: absolute("XDG_CONFIG_HOME"),
            state_home: absolute("XDG_STATE_HOME"),
            working_dir: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            actor: actor(),
        }
    }

    /// Where a configuration may be.
    #[must_use]
    pub fn config_places(&self, asked: Option<PathBuf>) -> Places {
        let home = || self.home.as_ref().map(|home| home.join(".config"));
        Places {
            asked,
            working_dir: self.working_dir.clone(),
            config_home: self.config_home.clone().or_else(home),
            system: PathBuf::from("/etc"),
        }
    }

    /// Where the state is, when nobody says so.
    #[must_use]
    pub fn state_dir(&self) -> Option<PathBuf> {
        if self.root {
            return Some(PathBuf::from("/var/lib/patchyard"));
        }
        let home = || self.home.as_ref().map(|home| home.join(".local/state"));
        self.state_home.clone().or_else(home).map(|state| state.join("patchyard"))
    }
}

/// Who runs this, by their own word: `sudo` is looked through, because "root" tells an audit nothing.
fn actor() -> Actor {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = variable("SUDO_USER")
        .or_else(|| variable("USER"))
        .or_else(|| variable("LOGNAME"))
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Actor(patchyard_types::printable(&format!("{user}@{node}"), 120))
}

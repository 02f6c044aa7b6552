//! What the process was started with, as a value: who, where, with which variables.

use std::path::{Path, PathBuf};

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
        .or_else(|| user_of(rustix::process::getuid().as_raw(), Path::new("/etc/passwd")))
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Actor(patchyard_types::printable(&format!("{user}@{node}"), 120))
}

/// The name of a user id in a passwd(5) file.
fn user_of(id: u32, passwd: &Path) -> Option<String> {
    let users = std::fs::read_to_string(passwd).ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::user_of;

    #[test]
    fn users_have_names() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "root:x:0:0:root:/root:/bin/sh\n\nops:x:1000:1000::/home/ops:/bin/sh\n")
            .unwrap();
        assert_eq!(user_of(1000, file.path()).as_deref(), Some("ops"));
        assert_eq!(user_of(1, file.path()), None);
    }
}

//! A system container of the lab's LXD: nothing leads into it but its server.

use std::process::Command;

use crate::lab::{root, run, said};
use crate::{Controller, Engine, Inside, lab};

/// Waits for its systemd: what is written to `/run` before that is hidden by what it mounts there.
const UP: &str = "for i in $(seq 600); do test ! -S /run/systemd/private || exit 0; sleep 0.1; done; exit 1";

/// A system container that runs; gone, with its LXD, when this is dropped.
pub struct SystemContainer {
    lxd: String,
    socket: String,
}

impl SystemContainer {
    /// Its name.
    pub const NAME: &'static str = "web";

    /// Starts one, with the lab's packages held but for these. Only one at a time: LXD's name is the process's.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(packages: &[&str]) -> Self {
        let process = std::process::id().to_string();
        // Before it runs: what is half started has to go as well.
        let mut container = Self { lxd: format!("e2e-{process}"), socket: String::new() };
        container.socket = lab("lxd", ["start", &container.lxd, &process]);
        container.lxc(&["copy", "guest", Self::NAME]);
        container.lxc(&["start", Self::NAME]);
        let _ = container.sh(UP);
        container.hold_all_but(packages);
        container
    }

    /// A Patchyard that knows its LXD, and nothing else.
    #[must_use]
    pub fn controller(&self, defaults: &str) -> Controller {
        let config =
            format!("version: 1\nhosts:\n  box: {{incus: {}}}\ndefaults: {{ {defaults} }}\n", self.socket);
        Controller::new(&Engine::machine()).with_config(&config)
    }

    /// LXD's own client, which must succeed: what it printed.
    pub fn lxc(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(root().join("lab/lxd"));
        let told = run(command.args(["lxc", &self.lxd]).args(arguments));
        assert!(told.status.success(), "lxc {arguments:?}: {}", said(&told));
        String::from_utf8_lossy(&told.stdout).trim_end().to_owned()
    }
}

impl Inside for SystemContainer {
    fn sh(&self, script: &str) -> String {
        self.lxc(&["exec", Self::NAME, "--", "sh", "-ec", script])
    }
}

impl Drop for SystemContainer {
    fn drop(&mut self) {
        let stopped = Command::new(root().join("lab/lxd")).args(["stop", &self.lxd]).status();
        assert!(std::thread::panicking() || stopped.is_ok_and(|status| status.success()), "lab/lxd stop");
    }
}

//! A system container of the lab's LXD: nothing leads into it but its server.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::lab::{root, run, said};
use crate::{Controller, Engine, Inside, Kept, lab};

/// Waits for its systemd: what is written to `/run` before that is hidden by what it mounts there.
const UP: &str = "for i in $(seq 600); do test ! -S /run/systemd/private || exit 0; sleep 0.1; done; exit 1";

/// The test's own snapshot of it.
const KEPT: &str = "as-it-was";

/// A system container that runs; gone, with its LXD, when this is dropped.
pub struct SystemContainer {
    lxd: String,
    socket: String,
}

impl SystemContainer {
    /// Its name.
    pub const NAME: &'static str = "web";

    /// Starts one, in an LXD of its own, with the lab's packages held but for these.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(packages: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let process = std::process::id().to_string();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        // Before it runs: what is half started has to go as well.
        let mut container = Self { lxd: format!("e2e-{process}-{number}"), socket: String::new() };
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

    /// Keeps it as it is, for [`SystemContainer::as_it_was`].
    pub fn keep_as_it_is(&self) {
        self.lxc(&["snapshot", Self::NAME, KEPT]);
    }

    /// Puts it back to what was kept; Patchyard's snapshots of it go.
    pub fn as_it_was(&self) {
        self.lxc(&["restore", Self::NAME, KEPT]);
        for name in self.saved() {
            self.lxc(&["delete", &format!("{}/{name}", Self::NAME)]);
        }
        if self.lxc(&["list", Self::NAME, "--format", "csv", "--columns", "s"]) != "RUNNING" {
            self.lxc(&["start", Self::NAME]);
        }
        let _ = self.sh(UP);
    }

    /// What its server answers, without its client.
    fn ask(&self, path: &str, more: &[&str]) -> String {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--unix-socket", &self.socket]).args(more);
        let told = run(command.arg(format!("http://lxd{path}")));
        assert!(told.status.success(), "{path}: {}", said(&told));
        String::from_utf8_lossy(&told.stdout).trim_end().to_owned()
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
        // `lxc exec` prints nothing now and then (one time in a hundred, LXD 5.0.2): the server keeps what is printed.
        let asked = json!({"command": ["sh", "-ec", script], "record-output": true}).to_string();
        let begun = self.ask(&format!("/1.0/instances/{}/exec", Self::NAME), &["--data", &asked]);
        let begun: Value = serde_json::from_str(&begun).expect("an operation");
        let ended = self.ask(&format!("{}/wait", begun["operation"].as_str().expect("its address")), &[]);
        let ended: Value = serde_json::from_str(&ended).expect("an operation");
        let ended = &ended["metadata"]["metadata"];
        let printed = |stream: &str| self.ask(ended["output"][stream].as_str().expect("its place"), &[]);
        assert_eq!(ended["return"], 0, "{script}: {}", printed("2"));
        printed("1")
    }
}

impl Kept for SystemContainer {
    fn saved(&self) -> Vec<String> {
        let listed = self.lxc(&["query", &format!("/1.0/instances/{}/snapshots", Self::NAME)]);
        let listed: Vec<String> = serde_json::from_str(&listed).expect("a list");
        let names = listed.iter().filter_map(|path| path.rsplit('/').next());
        names.filter(|name| name.starts_with("patchyard-")).map(str::to_owned).collect()
    }
}

impl Drop for SystemContainer {
    fn drop(&mut self) {
        let stopped = Command::new(root().join("lab/lxd")).args(["stop", &self.lxd]).status();
        assert!(std::thread::panicking() || stopped.is_ok_and(|status| status.success()), "lab/lxd stop");
    }
}

//! The lab's LXD (`lab/lxd`), one for all tests of this program, and containers in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use patchyard_contract::suite::{keeper, transport};
use patchyard_contract::{Command as Program, Keeper, Transport};
use patchyard_incus::{Client, InstanceKeeper, InstanceName, InstanceTransport};

/// Waits for its systemd: what is written to `/run` before that is hidden by what it mounts there.
const UP: &str = "for i in $(seq 600); do test ! -S /run/systemd/private || exit 0; sleep 0.1; done; exit 1";

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A daemon. It is gone when this process has ended, and all that is in it, too.
pub struct Lxd {
    name: String,
    pub socket: PathBuf,
}

impl Lxd {
    /// The one of all tests.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Lxd> = OnceLock::new();
        SHARED.get_or_init(|| {
            let process = std::process::id().to_string();
            let mut lxd = Self { name: format!("tests-{process}"), socket: PathBuf::new() };
            lxd.socket = lxd.lab("start", &[&process]).into();
            lxd
        })
    }

    /// LXD's own client, which must succeed: what it printed.
    pub fn lxc(&self, arguments: &[&str]) -> String {
        self.lab("lxc", arguments)
    }

    pub async fn client(&self) -> Client {
        Client::connect(Some(&self.socket)).await.unwrap()
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lab/lxd"));
        command.args([verb, &self.name]);
        command
    }

    fn lab(&self, verb: &str, arguments: &[&str]) -> String {
        let output = self.command(verb).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "lab/lxd {verb} {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// A container that runs, and is gone when this is dropped.
pub struct Container {
    pub lxd: &'static Lxd,
    pub name: InstanceName,
}

impl Container {
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// With more arguments to `lxc copy`.
    pub fn with(arguments: &[&str]) -> Self {
        let lxd = Lxd::shared();
        let name = format!("c{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        lxd.lxc(&[&["copy", "guest", &name], arguments].concat());
        lxd.lxc(&["start", &name]);
        lxd.lxc(&["exec", &name, "--", "sh", "-c", UP]);
        Self { lxd, name: InstanceName::new(&name) }
    }

    pub async fn transport(&self) -> InstanceTransport {
        InstanceTransport::new(self.lxd.client().await, self.name.clone(), &self.name.to_string())
    }

    /// Runs a shell script in it, which must succeed: what it printed.
    pub async fn sh(&self, script: &str) -> String {
        let output = self.transport().await.run(Program::new(["sh", "-ec", script])).await.unwrap();
        assert!(output.success(), "{script}: {}", String::from_utf8_lossy(&output.said()));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.lxd.command("lxc").args(["delete", "--force", &self.name.name]).output();
    }
}

/// The container of the tests that leave it as it was.
pub struct Shared;

impl Shared {
    fn container() -> &'static Container {
        static SHARED: OnceLock<Container> = OnceLock::new();
        SHARED.get_or_init(Container::new)
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

impl transport::Fixture for Shared {
    fn open(&self) -> Arc<dyn Transport> {
        Arc::new(now(Self::container().transport()))
    }
}

impl keeper::Fixture for Container {
    fn keeper(&self) -> Arc<dyn Keeper> {
        Arc::new(InstanceKeeper::new(now(self.lxd.client()), self.name.clone()))
    }

    fn inside(&self) -> Arc<dyn Transport> {
        Arc::new(now(self.transport()))
    }
}

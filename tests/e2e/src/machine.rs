//! A machine of the lab that is reached by ssh: a container of its guest image, which has no other neighbours.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::{Controller, Engine, Inside, unique};

/// A machine; gone when this is dropped.
pub struct SshMachine {
    engine: Engine,
    name: String,
    folder: tempfile::TempDir,
}

impl SshMachine {
    /// Starts one with a machine-id of its own and an SSH server, with packages held but for these.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(engine: &Engine, packages: &[&str]) -> Self {
        let name = unique();
        let serve = "head -c16 /dev/urandom | od -An -tx1 | tr -d ' \\n' >/etc/machine-id; ssh-keygen -A >/dev/null; \
            mkdir -p /run/sshd; exec /usr/sbin/sshd -D -e";
        let label = format!("patchyard-lab.e2e={name}");
        let image = "patchyard-lab/guest-apt:1";
        engine.docker(["run", "-d", "--init", "--name", &name, "--label", &label, image, "sh", "-c", serve]);
        let machine = Self { engine: engine.clone(), name, folder: tempfile::tempdir().expect("room") };
        machine.wait_for("test -s /etc/ssh/ssh_host_ed25519_key.pub && test -s /etc/machine-id");
        machine.let_us_in();
        machine.hold_all_but(packages);
        machine
    }

    fn let_us_in(&self) {
        let key = self.path("key");
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(made.expect("ssh-keygen runs").success());
        let public = std::fs::read_to_string(key.with_extension("pub")).expect("a key");
        let _ = self.sh(&format!(
            "mkdir -p /home/ops/.ssh; echo '{}' >/home/ops/.ssh/authorized_keys; chown -R ops /home/ops/.ssh",
            public.trim()
        ));
        let address =
            self.engine.docker(["inspect", "--format", "{{.NetworkSettings.IPAddress}}", &self.name]);
        let address = address.trim();
        let host_key = self.sh("cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub");
        std::fs::write(self.path("known_hosts"), format!("{address} {}\n", host_key.trim())).expect("room");
        let config = format!(
            "Host lab\n  HostName {address}\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n  \
             GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n",
            key.display(),
            self.path("known_hosts").display()
        );
        std::fs::write(self.path("config"), config).expect("room");
        for _ in 0..300 {
            if std::net::TcpStream::connect((address, 22)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("no ssh server listens on {address}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A Patchyard that knows it as `db01`, and nothing else.
    #[must_use]
    pub fn controller(&self, defaults: &str) -> Controller {
        self.controller_of("db", "", defaults)
    }

    /// A Patchyard that knows it as `db01`, one of a service, and the engine's containers.
    #[must_use]
    pub fn controller_with_engine(&self, service: &str, defaults: &str) -> Controller {
        self.controller_of(service, &format!("  engine: {{url: '{}'}}\n", self.engine.host()), defaults)
    }

    fn controller_of(&self, service: &str, others: &str, defaults: &str) -> Controller {
        let config = self.path("config");
        let config = format!(
            "version: 1\nhosts:\n  db01: {{ssh: ops@lab, ssh_config: {}, service: {service}}}\n{others}defaults: {{ {defaults} }}\n",
            config.display()
        );
        Controller::new(&self.engine).with_config(&config)
    }

    /// Whether a script succeeds in it.
    #[must_use]
    pub fn is(&self, script: &str) -> bool {
        self.engine.try_docker(["exec", &self.name, "sh", "-ec", script]).status.success()
    }

    /// Waits until a script succeeds in it.
    ///
    /// # Panics
    /// When it never does.
    pub fn wait_for(&self, script: &str) {
        for _ in 0..600 {
            if self.is(script) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("in {} this never became true: {script}", self.name);
    }
}

impl Inside for SshMachine {
    fn sh(&self, script: &str) -> String {
        self.engine.docker(["exec", &self.name, "sh", "-ec", script])
    }
}

impl Drop for SshMachine {
    fn drop(&mut self) {
        self.engine.try_docker(["rm", "-f", "-v", &self.name]);
    }
}

//! Machines to practise on: containers of the lab's guest images (`lab/guests`), gone at the end.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "each test file uses a part of it; a failed unwrap is a failed test"
)]

use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use patchyard_contract::Transport;
use patchyard_guest::transport::DockerExec;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// The lab's docker client.
fn client() -> String {
    std::env::var("PATCHYARD_LAB_DOCKER").unwrap_or_else(|_| "docker".to_owned())
}

pub fn docker(arguments: &[&str]) -> Output {
    Command::new(client()).args(arguments).output().expect("the docker client is there: run lab/prepare")
}

fn good(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A machine of its own.
pub struct Machine {
    pub name: String,
}

impl Drop for Machine {
    fn drop(&mut self) {
        docker(&["rm", "-f", "-v", &self.name]);
    }
}

impl Machine {
    /// One of `apt`, `dnf`, `zypper`, `apk`, without a network.
    pub fn new(kind: &str) -> Self {
        Self::with(kind, &["--network", "none"], &[])
    }

    /// With more arguments to `docker run`, and another process.
    pub fn with(kind: &str, arguments: &[&str], process: &[&str]) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("pyguest-{}-{number:04}", std::process::id());
        let image = format!("patchyard-lab/guest-{kind}:1");
        let fixed = ["run", "-d", "--init", "--name", &name, "--label", "patchyard-lab.guest=test"];
        let all: Vec<&str> = fixed
            .iter()
            .filter(|argument| process.is_empty() || **argument != "--init")
            .chain(arguments)
            .copied()
            .chain([image.as_str()])
            .chain(process.iter().copied())
            .collect();
        good(&docker(&all));
        Self { name }
    }

    /// With systemd at the helm and an SSH server, as a Debian machine is.
    pub fn with_systemd() -> Self {
        // systemd wants to write into its own part of the control groups, which the engine mounts read-only; it needs no
        // right over the rest of the machine.
        let arguments = ["--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--security-opt"];
        let more = [
            "apparmor=unconfined",
            "--cgroupns",
            "private",
            "--tmpfs",
            "/run",
            "--tmpfs",
            "/run/lock",
            "-e",
            "container=docker",
        ];
        let boot = "ssh-keygen -A >/dev/null; mount -o remount,rw /sys/fs/cgroup; exec /sbin/init";
        let all: Vec<&str> = arguments.into_iter().chain(more).collect();
        let machine = Self::with("apt", &all, &["sh", "-c", boot]);
        machine.wait_for("systemctl is-active --quiet ssh.service");
        machine
    }

    pub fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(DockerExec::with_client(&[&client()], &self.name).unwrap())
    }

    /// Runs a shell script in it, beside what is tested, and returns what it printed.
    pub fn sh(&self, script: &str) -> String {
        good(&docker(&["exec", &self.name, "sh", "-ec", script]))
    }

    /// The same in the background.
    pub fn background(&self, script: &str) {
        good(&docker(&["exec", "-d", &self.name, "sh", "-ec", script]));
    }

    /// Waits until a script succeeds in it.
    pub fn wait_for(&self, script: &str) {
        for _ in 0..600 {
            if docker(&["exec", &self.name, "sh", "-ec", script]).status.success() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("in {} this never became true: {script}", self.name);
    }

    /// Its address on the engine's network.
    pub fn address(&self) -> String {
        good(&docker(&["inspect", "--format", "{{.NetworkSettings.IPAddress}}", &self.name]))
    }
}

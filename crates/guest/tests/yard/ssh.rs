//! A machine with an SSH server, and the user who may log in.

use std::path::PathBuf;
use std::process::Command;

use patchyard_guest::transport::{Privilege, Ssh, SshOptions};

use crate::yard::Machine;

/// A machine that `ssh` reaches, a key that it accepts, and its host key on record.
pub struct SshHost {
    pub machine: Machine,
    pub folder: tempfile::TempDir,
    pub address: String,
}

impl SshHost {
    pub fn new() -> Self {
        let serve = "ssh-keygen -A >/dev/null; mkdir -p /run/sshd; exec /usr/sbin/sshd -D -e";
        Self::of(Machine::with("apt", &["--init"], &["sh", "-c", serve]))
    }

    /// Of a machine that has its server already.
    pub fn of(machine: Machine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(made.unwrap().success());
        let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
        machine.wait_for("test -s /etc/ssh/ssh_host_ed25519_key.pub");
        machine.sh(&format!(
            "for user in ops asked nobody-special; do mkdir -p /home/$user/.ssh; echo '{}' >/home/$user/.ssh/authorized_keys; \
             chown -R $user /home/$user/.ssh; done; mkdir -p /root/.ssh; cp /home/ops/.ssh/authorized_keys /root/.ssh/; \
             chown -R root /root/.ssh",
            public.trim()
        ));
        let address = machine.address();
        let host_key = machine.sh("cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub");
        std::fs::write(folder.path().join("known_hosts"), format!("{address} {host_key}\n")).unwrap();
        let host = Self { machine, folder, address };
        host.config(&host.path("key"), &host.path("known_hosts"));
        machine_listens(&host);
        host
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the ssh_config: the host is `lab`, with these files.
    pub fn config(&self, key: &std::path::Path, known_hosts: &std::path::Path) {
        let text = format!(
            "Host lab\n  HostName {}\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  \
             StrictHostKeyChecking yes\n",
            self.address,
            key.display(),
            known_hosts.display()
        );
        std::fs::write(self.path("config"), text).unwrap();
    }

    pub fn options(&self, user: &str, privilege: Privilege) -> SshOptions {
        let mut options = SshOptions::new(&format!("{user}@lab"), self.folder.path());
        options.config = Some(self.path("config"));
        options.privilege = privilege;
        options
    }

    pub fn ssh(&self, user: &str, privilege: Privilege) -> Ssh {
        Ssh::new(self.options(user, privilege)).unwrap()
    }
}

impl Drop for SshHost {
    fn drop(&mut self) {
        // Connections that are kept open must not outlive the folder of their sockets.
        for user in ["root", "ops", "asked", "nobody-special"] {
            let config = self.path("config");
            let control = format!("ControlPath={}/%C", self.folder.path().display());
            let _ = Command::new("ssh")
                .arg("-F")
                .arg(config)
                .args(["-o", &control, "-O", "exit", &format!("{user}@lab")])
                .output();
        }
    }
}

fn machine_listens(host: &SshHost) {
    for _ in 0..300 {
        if std::net::TcpStream::connect((host.address.as_str(), 22)).is_ok() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("no ssh server listens on {}", host.address);
}

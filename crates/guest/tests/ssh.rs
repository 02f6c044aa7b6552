//! The system's ssh to a real server: the suite of transports as three users, and every way it can say no.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod yard;
#[path = "yard/ssh.rs"]
mod yard_ssh;

use std::sync::Arc;

use patchyard_contract::suite::transport::Fixture;
use patchyard_contract::{Command, Transport, TransportError};
use patchyard_guest::transport::{Privilege, Ssh, SshOptions};
use yard_ssh::SshHost;

/// A host and how one becomes root there.
struct As(SshHost, &'static str, Privilege);

impl Fixture for As {
    fn open(&self) -> Arc<dyn Transport> {
        Arc::new(self.0.ssh(self.1, self.2.clone()))
    }
}

fn password(text: &str) -> Privilege {
    Privilege::SudoWith(text.to_owned())
}

mod as_root {
    patchyard_contract::transport_suite!(super::As(super::SshHost::new(), "root", super::Privilege::Root));
}

mod by_sudo {
    patchyard_contract::transport_suite!(super::As(super::SshHost::new(), "ops", super::Privilege::Sudo));
}

mod by_sudo_with_a_password {
    patchyard_contract::transport_suite!(super::As(super::SshHost::new(), "asked", super::password("lab")));
}

async fn tried(ssh: &Ssh) -> TransportError {
    ssh.run(Command::new(["id", "-u"]).stdin("input\n")).await.unwrap_err()
}

#[test]
fn what_sudo_says_has_a_name() {
    let host = SshHost::new();
    patchyard_contract::suite::run(async {
        let error = tried(&host.ssh("asked", Privilege::Sudo)).await;
        assert!(matches!(error, TransportError::SudoPassword { .. }), "{error:?}");
        assert!(error.to_string().contains("asks for a password: give one, or allow"), "{error}");
        let error = tried(&host.ssh("asked", password("wrong"))).await;
        assert!(matches!(error, TransportError::SudoWrongPassword { .. }), "{error:?}");
        for privilege in [Privilege::Sudo, password("lab")] {
            let error = tried(&host.ssh("nobody-special", privilege)).await;
            assert!(
                matches!(
                    error,
                    TransportError::SudoDenied { .. }
                        | TransportError::SudoPassword { .. }
                        | TransportError::SudoWrongPassword { .. }
                ),
                "{error:?}"
            );
        }
    });
}

/// A password that sudo does not ask for is not what the program reads, and nobody else sees it.
#[test]
fn a_password_that_is_not_asked_for_reaches_nobody() {
    let host = SshHost::new();
    patchyard_contract::suite::run(async {
        let ssh = host.ssh("ops", password("s3cret"));
        let output = ssh.run(Command::new(["cat"]).stdin("input")).await.unwrap();
        assert_eq!(output.stdout, b"input");
        let ssh = host.ssh("asked", password("lab"));
        let output =
            ssh.run(Command::new(["sh", "-c", "cat; ps axww -o args"]).stdin("input")).await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.starts_with("input") && text.contains("patchyard-input") && !text.contains("lab\n"),
            "{text}"
        );
    });
}

#[test]
fn keys_that_do_not_fit_have_names() {
    let host = SshHost::new();
    patchyard_contract::suite::run(async {
        // A key that the host does not know.
        let stranger = host.path("stranger");
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&stranger)
            .status();
        assert!(made.unwrap().success());
        host.config(&stranger, &host.path("known_hosts"));
        let error = tried(&host.ssh("ops", Privilege::Sudo)).await;
        let TransportError::KeyRefused { reason, .. } = &error else { panic!("{error:?}") };
        assert!(reason.contains("Permission denied (publickey"), "{reason}");

        // A host that we do not know.
        let nobody = host.path("nobody");
        std::fs::write(&nobody, "").unwrap();
        host.config(&host.path("key"), &nobody);
        let error = tried(&host.ssh("ops", Privilege::Sudo)).await;
        assert!(matches!(error, TransportError::HostUnknown { .. }), "{error:?}");

        // A host that is another one than it was.
        let known = std::fs::read_to_string(host.path("known_hosts")).unwrap();
        let other = std::fs::read_to_string(host.path("stranger.pub")).unwrap();
        let address = known.split(' ').next().unwrap();
        let key: Vec<&str> = other.split(' ').take(2).collect();
        std::fs::write(&nobody, format!("{address} {}\n", key.join(" "))).unwrap();
        let error = tried(&host.ssh("ops", Privilege::Sudo)).await;
        assert!(matches!(error, TransportError::HostChanged { .. }), "{error:?}");
    });
}

#[test]
fn who_does_not_answer_is_out_of_reach() {
    let folder = tempfile::tempdir().unwrap();
    patchyard_contract::suite::run(async {
        let mut options = SshOptions::new("127.0.0.1", folder.path());
        options.port = Some(9);
        options.config = Some("/dev/null".into());
        let error = tried(&Ssh::new(options).unwrap()).await;
        let TransportError::Unreachable { reason, .. } = &error else { panic!("{error:?}") };
        assert!(reason.contains("Connection refused"), "{reason}");
    });
}

#[test]
fn one_connection_serves_all_and_a_broken_one_is_made_anew() {
    let host = SshHost::new();
    patchyard_contract::suite::run(async {
        let ssh = host.ssh("ops", Privilege::Sudo);
        // $SSH_CONNECTION is sudo's to drop; the server's process for the user is the same for one connection.
        let server = || async {
            let command = Command::new(["pgrep", "-f", "^sshd: ops"]);
            ssh.run(command).await.unwrap().stdout
        };
        let first = server().await;
        assert!(!first.is_empty());
        assert_eq!(server().await, first, "the same connection");
        host.machine.sh("pkill -f '^sshd: ops'");
        host.machine.wait_for("! pgrep -f '^sshd: ops'");
        let second = server().await;
        assert!(!second.is_empty() && second != first, "a new connection");
        ssh.close().await.unwrap();
        host.machine.wait_for("! pgrep -f '^sshd: ops'");
        ssh.close().await.unwrap();
        assert!(!server().await.is_empty());
    });
}

#[test]
fn a_jump_host_of_the_configuration_is_used() {
    let (jump, host) = (SshHost::new(), SshHost::new());
    patchyard_contract::suite::run(async {
        // What lies behind it is reached through the jump host alone: its address means nothing here.
        let there = std::fs::read_to_string(host.path("config")).unwrap();
        let via = std::fs::read_to_string(jump.path("config")).unwrap().replace("Host lab", "Host jump");
        let config = there.replace("Host lab", "Host lab\n  ProxyJump ops@jump") + &via;
        std::fs::write(host.path("config"), config).unwrap();
        let ssh = host.ssh("ops", Privilege::Sudo);
        let output = ssh.run(Command::new(["cat", "/etc/hostname"])).await.unwrap();
        assert_eq!(output.stdout, format!("{}\n", host.machine.sh("cat /etc/hostname")).into_bytes());
        assert!(!jump.machine.sh("pgrep -f '^sshd: ops'").is_empty(), "it goes through the jump host");
    });
}

fn program(program: &str, arguments: &[&str]) {
    let output = std::process::Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Nobody's key stands anywhere: an authority has signed the user's and the host's.
#[test]
fn certificates_of_users_and_hosts_are_accepted() {
    let host = SshHost::new();
    let path = |name: &str| host.path(name).to_str().unwrap().to_owned();
    program("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &path("authority")]);
    program("ssh-keygen", &["-q", "-s", &path("authority"), "-I", "ops", "-n", "ops", &path("key.pub")]);
    std::fs::write(host.path("host.pub"), host.machine.sh("cat /etc/ssh/ssh_host_ed25519_key.pub")).unwrap();
    program(
        "ssh-keygen",
        &["-q", "-s", &path("authority"), "-h", "-I", "lab", "-n", &host.address, &path("host.pub")],
    );
    let read = |name: &str| std::fs::read_to_string(host.path(name)).unwrap();
    host.machine.sh(&format!(
        "rm /home/ops/.ssh/authorized_keys; echo '{}' >/etc/ssh/authority.pub; echo '{}' >/etc/ssh/host-cert.pub; \
         printf '%s\\n' 'TrustedUserCAKeys /etc/ssh/authority.pub' 'HostCertificate /etc/ssh/host-cert.pub' >>/etc/ssh/sshd_config; \
         pkill -HUP -o -x sshd",
        read("authority.pub").trim(),
        read("host-cert.pub").trim()
    ));
    std::fs::write(host.path("known"), format!("@cert-authority {} {}", host.address, read("authority.pub")))
        .unwrap();
    host.config(&host.path("key"), &host.path("known"));
    patchyard_contract::suite::run(async {
        // The server starts itself anew.
        for _ in 0..100 {
            match host.ssh("ops", Privilege::Sudo).run(Command::new(["id", "-u"])).await {
                Ok(output) => return assert_eq!(output.stdout, b"0\n"),
                Err(TransportError::Unreachable { .. }) => {}
                Err(other) => panic!("{other}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("it does not come up again");
    });
}

/// The key itself is nowhere but in the agent.
#[test]
fn keys_of_an_agent_are_used() {
    let host = SshHost::new();
    let socket = host.path("agent").to_str().unwrap().to_owned();
    let mut agent = std::process::Command::new("ssh-agent");
    let mut agent = agent.args(["-D", "-a", &socket]).stdout(std::process::Stdio::null()).spawn().unwrap();
    while !host.path("agent").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mut add = std::process::Command::new("ssh-add");
    let added = add.arg("-q").arg(host.path("key")).env("SSH_AUTH_SOCK", &socket).status();
    std::fs::remove_file(host.path("key")).unwrap();
    std::fs::remove_file(host.path("key.pub")).unwrap();
    let config = std::fs::read_to_string(host.path("config")).unwrap();
    let lines = config.lines().filter(|line| !line.contains("Identit"));
    let config: String = lines.map(|line| format!("{line}\n")).collect();
    std::fs::write(host.path("config"), format!("{config}  IdentityAgent {socket}\n")).unwrap();
    patchyard_contract::suite::run(async {
        let output = host.ssh("ops", Privilege::Sudo).run(Command::new(["id", "-u"])).await;
        agent.kill().unwrap();
        agent.wait().unwrap();
        assert!(added.unwrap().success());
        assert_eq!(output.unwrap().stdout, b"0\n");
    });
}

#[test]
fn what_is_no_host_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for bad in ["", "-oProxyCommand=x", "a b", "a\nb"] {
        let made = Ssh::new(SshOptions::new(bad, folder.path()));
        assert!(matches!(made, Err(TransportError::Invalid { .. })), "{bad:?}");
    }
    let deep = folder.path().join("a".repeat(60));
    let error = Ssh::new(SshOptions::new("web01", &deep)).unwrap_err();
    assert!(error.to_string().contains("cannot hold ssh's sockets"), "{error}");
}

//! A daemon at the far end of the system's `ssh`, by libvirt's own helper there.
//!
//! ssh_config, agents, certificates and jump hosts apply as for people. What the address says becomes
//! arguments of `ssh` behind `--`, or words that are quoted for the far end's shell.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use patchyard_guest::transport::quote;
use patchyard_types::printable;
use tokio::io::AsyncReadExt;
use tokio::process::{ChildStderr, Command};
use tokio::task::JoinHandle;

use super::dial::Dialed;
use crate::LibvirtError;
use crate::uri::{Scope, SshHost, Uri, Way};

/// How much of the end of what `ssh` says is kept, in bytes.
const WORDS: usize = 4096;
/// How long the last words of an `ssh` that has hung up are waited for.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// sh … URI SOCKET FOLDER. The helper finds the daemon's usual socket by itself, and knows of no other; libvirt before 6.8
/// has none, and `nc` is given the socket that is there. OpenBSD's `nc` stays when its input has ended, unless it is told not to.
const FAR_END: &str = "\
if [ -z \"$2\" ] && command -v virt-ssh-helper >/dev/null 2>&1; then exec virt-ssh-helper \"$1\"; fi
socket=$2
if [ -z \"$socket\" ]; then
    folder=${3:-${XDG_RUNTIME_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}}/libvirt}
    socket=$folder/virtqemud-sock
    [ -S \"$socket\" ] || socket=$folder/libvirt-sock
fi
quit=
if nc -q 2>&1 | grep -q 'requires an argument'; then quit=-q0; fi
exec nc $quit -U \"$socket\"";

/// Starts `ssh`; whether it gets there shows when something is read.
pub(super) fn start(uri: &Uri, to: &SshHost) -> Result<Dialed, LibvirtError> {
    let failed = |error: &io::Error| LibvirtError::Unreachable {
        reason: match error.kind() {
            io::ErrorKind::NotFound => {
                "there is no `ssh` program here: install the OpenSSH client (apt-get install openssh-client)"
                    .to_owned()
            }
            _ => format!("cannot start ssh: {error}"),
        },
    };
    let mut child = Command::new("ssh")
        .args(arguments(to, far_end(uri)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(&error))?;
    let (Some(input), Some(output), Some(errors)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(failed(&io::Error::other("it came without its standard streams")));
    };
    let pipe = Box::new(tokio::io::join(output, input));
    Ok(Dialed { pipe, ssh: Some(child), words: Words::of(errors) })
}

/// The arguments of an `ssh` that has this line run by the far end's shell.
pub(crate) fn arguments(to: &SshHost, line: String) -> Vec<String> {
    let mut arguments = vec!["-T".to_owned()];
    for option in [
        // Nobody is there to be asked.
        "BatchMode=yes",
        "ConnectTimeout=20",
        // A host that has gone silent is noticed after a minute.
        "ServerAliveInterval=15",
        "ServerAliveCountMax=4",
        // What ssh_config may add for people is in the way of bytes.
        "EscapeChar=none",
        "RemoteCommand=none",
        "ForwardX11=no",
        "ForwardAgent=no",
        "ClearAllForwardings=yes",
        "LogLevel=ERROR",
    ] {
        arguments.extend(["-o".to_owned(), option.to_owned()]);
    }
    if let Some(user) = &to.user {
        arguments.extend(["-l".to_owned(), user.clone()]);
    }
    if let Some(port) = to.port {
        arguments.extend(["-p".to_owned(), port.to_string()]);
    }
    arguments.extend(["--".to_owned(), to.host.clone(), line]);
    arguments
}

/// The line for the far end's shell.
fn far_end(uri: &Uri) -> String {
    let there = Uri { way: Way::Unix, ..uri.clone() }.to_string();
    let folder = match uri.scope {
        // Who has /run has this too, and not everybody has /run.
        Scope::System => "/var/run/libvirt",
        Scope::Session => "",
    };
    quote::line(&["sh", "-c", FAR_END, "sh", &there, uri.socket.as_deref().unwrap_or_default(), folder])
}

/// What `ssh`, and the helper at its far end, say: the reason, when the connection breaks.
pub(super) struct Words(Option<JoinHandle<String>>);

impl Words {
    /// Of a connection without `ssh`.
    pub fn none() -> Self {
        Self(None)
    }

    fn of(mut errors: ChildStderr) -> Self {
        Self(Some(tokio::spawn(async move {
            let mut end = Vec::new();
            let mut piece = [0; 1024];
            while let Ok(length @ 1..) = errors.read(&mut piece).await {
                end.extend_from_slice(&piece[..length]);
                end.drain(..end.len().saturating_sub(WORDS));
            }
            String::from_utf8_lossy(&end).into_owned()
        })))
    }

    /// The error that tells why a connection broke before it was of use; `reason` is what is known without
    /// words.
    pub async fn of_failure(self, uri: &Uri, reason: String) -> LibvirtError {
        let said = match self.0 {
            Some(words) => tokio::time::timeout(LAST_WORDS, words).await.ok().and_then(Result::ok),
            None => None,
        };
        failure(uri, said.as_deref().unwrap_or_default(), reason)
    }
}

fn failure(uri: &Uri, said: &str, reason: String) -> LibvirtError {
    // The last line says most; a banner may stand before it.
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
    let reason = format!("cannot connect to {uri}: {}", last.map_or(reason, |line| printable(line, 300)));
    let host = match &uri.way {
        Way::Ssh(to) => &to.host,
        Way::Unix => return LibvirtError::Unreachable { reason },
    };
    if said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        let reason =
            format!("{reason}: {host} shows another host key than the one on record (ssh-keygen -R)");
        return LibvirtError::NotPermitted { reason };
    }
    if said.contains("Host key verification failed") {
        let reason = format!("{reason}: connect once with `ssh {host}` and accept its key");
        return LibvirtError::NotPermitted { reason };
    }
    if said.contains("Permission denied (") {
        let reason = format!("{reason}: see that `ssh {host} true` works without a question");
        return LibvirtError::NotPermitted { reason };
    }
    if said.contains("Permission denied") {
        let reason =
            format!("{reason}: the user that ssh logs in as has to be in the group that may (libvirt)");
        return LibvirtError::NotPermitted { reason };
    }
    LibvirtError::Unreachable { reason }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn of(text: &str) -> (Uri, SshHost) {
        let uri = Uri::parse(text).unwrap();
        let Way::Ssh(host) = uri.way.clone() else { panic!("{text}") };
        (uri, host)
    }

    #[test]
    fn the_host_is_an_argument_of_its_own_behind_all_options() {
        let (uri, host) = of("qemu+ssh://ops@kvm01:2222/system");
        let arguments = arguments(&host, far_end(&uri));
        let [.., l, user, p, port, dashes, name, line] = arguments.as_slice() else {
            panic!("{arguments:?}")
        };
        assert_eq!(
            [l, user, p, port, dashes, name].map(String::as_str),
            ["-l", "ops", "-p", "2222", "--", "kvm01"]
        );
        assert!(
            line.starts_with("sh -c '") && line.ends_with(" sh qemu:///system '' /var/run/libvirt"),
            "{line}"
        );
    }

    #[test]
    fn a_socket_is_quoted_for_the_far_end() {
        let (uri, _) = of("qemu+ssh://kvm01/session?socket=/run/a%20b%27%3B");
        let line = far_end(&uri);
        let words = " sh 'qemu:///session?socket=/run/a%20b%27%3B' '/run/a b'\"'\"';' ''";
        assert!(line.ends_with(words), "{line}");
    }

    #[test]
    fn what_ssh_says_is_told_with_what_to_do() {
        let (uri, _) = of("qemu+ssh://kvm01/system");
        for (said, barred, words) in [
            ("", false, "hung up"),
            ("ssh: connect to host kvm01 port 22: Connection refused\r\n", false, "Connection refused"),
            ("a banner\nbob@kvm01: Permission denied (publickey).\n", true, "ssh kvm01 true"),
            ("Host key verification failed.\n", true, "accept its key"),
            (
                "virt-ssh-helper: cannot connect to '/var/run/libvirt/libvirt-sock': Permission denied\n",
                true,
                "group",
            ),
            ("sh: 1: exec: nc: not found\n", false, "nc: not found"),
        ] {
            let error = failure(&uri, said, "the daemon hung up".to_owned());
            let is_barred = matches!(error, LibvirtError::NotPermitted { .. });
            assert_eq!(is_barred, barred, "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}

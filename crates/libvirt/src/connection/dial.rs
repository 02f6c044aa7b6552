//! The stream of bytes to a daemon: its socket here, or a pipe through the system's `ssh`.

use std::io;
use std::path::Path;

use tokio::net::UnixStream;
use tokio::process::Child;

use super::frames::Pipe;
use super::ssh::{self, Words};
use crate::LibvirtError;
use crate::uri::{Environment, Scope, Uri, Way};

/// A stream, and what it hangs on.
pub(super) struct Dialed {
    pub pipe: Box<dyn Pipe>,
    /// The `ssh` it goes through; it ends when this is dropped.
    pub ssh: Option<Child>,
    /// What that says.
    pub words: Words,
}

pub(super) async fn dial(uri: &Uri, env: &Environment) -> Result<Dialed, LibvirtError> {
    match &uri.way {
        Way::Unix => {
            let stream = unix(uri, env).await?;
            Ok(Dialed { pipe: Box::new(stream), ssh: None, words: Words::none() })
        }
        Way::Ssh(host) => ssh::start(uri, host),
    }
}

async fn unix(uri: &Uri, env: &Environment) -> Result<UnixStream, LibvirtError> {
    let mut seen = Vec::new();
    for socket in uri.sockets(env) {
        match UnixStream::connect(&socket).await {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(barred(&socket)),
            Err(error) => seen.push(not_there(&socket, &error)),
        }
    }
    let advice = match (&uri.socket, uri.scope) {
        (Some(_), _) => "does the daemon listen there?",
        (None, Scope::System) => {
            "is libvirt installed and running (systemctl status virtqemud.socket libvirtd.socket)?"
        }
        (None, Scope::Session) => {
            "start the daemon of your session (virsh -c qemu:///session list does); root has none, but \
             qemu:///system"
        }
    };
    let seen =
        if seen.is_empty() { "no folder for its sockets is known".to_owned() } else { seen.join("; ") };
    Err(LibvirtError::Unreachable { reason: format!("cannot connect to {uri}: {seen}; {advice}") })
}

fn barred(socket: &Path) -> LibvirtError {
    LibvirtError::NotPermitted {
        reason: format!(
            "no permission on {}: run with sudo, or add yourself to the group that may (usermod -aG libvirt \
             $USER, then log in again)",
            socket.display()
        ),
    }
}

fn not_there(socket: &Path, error: &io::Error) -> String {
    let socket = socket.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("there is no {socket}"),
        io::ErrorKind::ConnectionRefused => format!("nobody listens on {socket}"),
        _ => format!("{socket}: {error}"),
    }
}

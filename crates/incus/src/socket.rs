//! The server's unix socket: where it is, and one HTTP connection through it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::IncusError;

/// Where servers have it, in the order in which they are asked for: Incus, then LXD.
const USUAL: [&str; 2] = ["/var/lib/incus/unix.socket", "/var/lib/lxd/unix.socket"];

/// The socket to use: the named one, else the first of the usual ones that is there.
pub(crate) fn find(named: Option<&Path>) -> Result<PathBuf, IncusError> {
    let looked: Vec<PathBuf> = match named {
        Some(path) => vec![path.to_owned()],
        None => USUAL.map(PathBuf::from).to_vec(),
    };
    // A folder that may not be read has a socket in it, as far as we can tell: connecting shows that.
    let there = |path: &&PathBuf| !matches!(path.try_exists(), Ok(false));
    match looked.iter().find(there) {
        Some(path) => Ok(path.clone()),
        None => Err(IncusError::NoSocket { looked }),
    }
}

/// Opens a connection. A unix socket costs next to nothing, so every call has its own.
pub(crate) async fn dial(socket: &Path) -> Result<SendRequest<Full<Bytes>>, IncusError> {
    let stream = UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => IncusError::NoSocket { looked: vec![socket.to_owned()] },
        ErrorKind::PermissionDenied => IncusError::NotPermitted { socket: socket.to_owned() },
        _ => IncusError::Unreachable { socket: socket.to_owned(), reason: error.to_string() },
    })?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| IncusError::Unreachable { socket: socket.to_owned(), reason: error.to_string() })?;
    // It ends with the last of what uses it: the sender, the body of an answer, or what it was upgraded to.
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_socket_is_the_only_one_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        assert_eq!(find(Some(&path)), Err(IncusError::NoSocket { looked: vec![path.clone()] }));
        std::fs::write(&path, "").unwrap();
        assert_eq!(find(Some(&path)), Ok(path));
    }

    #[tokio::test]
    async fn a_socket_that_nobody_listens_on_is_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let answer = dial(&path).await.map(drop);
        assert!(matches!(answer, Err(IncusError::Unreachable { .. })), "{answer:?}");
    }
}

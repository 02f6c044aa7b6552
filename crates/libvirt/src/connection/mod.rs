//! A connection to a libvirt daemon: calls go in, replies come out.
//!
//! One call is under way at a time; whoever calls meanwhile waits. A call that is given up (its time is over,
//! its future is dropped) leaves the connection in order: what was half sent is sent to its end before the
//! next call, and a reply that nobody waits for any more is known by its serial number and thrown away. A
//! connection that broke stays broken: a [`Line`] opens another.

mod dial;
mod frames;
mod handshake;
mod line;
pub(crate) mod ssh;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::process::Child;
use tokio::sync::Mutex;

use crate::LibvirtError;
use crate::calls::Procedure;
use crate::uri::{Environment, Uri};
use crate::xdr::Writer;
use frames::Frames;
pub use line::Line;

/// How long a connection may take to come about, with all that is said before the first call.
const OPEN: Duration = Duration::from_secs(30);

/// A connection to a libvirt daemon. It is closed when it is dropped; a daemon needs no farewell.
#[derive(Debug)]
pub struct Connection {
    uri: Uri,
    frames: Mutex<Frames>,
    broken: AtomicBool,
    /// The `ssh` that it goes through, where it does: killed when this is dropped.
    _ssh: Option<Child>,
}

impl Connection {
    /// Connects to the daemon and asks it to open its hypervisor.
    ///
    /// # Errors
    /// [`LibvirtError::Unreachable`] when nobody is there, [`LibvirtError::NotPermitted`] when we are not let
    /// in: both say what to do. What else the daemon reports.
    pub async fn open(uri: &Uri, env: &Environment) -> Result<Self, LibvirtError> {
        let opened = async {
            let dialed = dial::dial(uri, env).await?;
            let frames = Mutex::new(Frames::new(dialed.pipe));
            let connection =
                Self { uri: uri.clone(), frames, broken: AtomicBool::new(false), _ssh: dialed.ssh };
            match handshake::shake(&connection).await {
                Ok(()) => Ok(connection),
                // Nothing has been asked for yet: whatever broke, it is the way there.
                Err(LibvirtError::Lost { reason }) => Err(dialed.words.of_failure(uri, reason).await),
                Err(error) => Err(error),
            }
        };
        tokio::time::timeout(OPEN, opened).await.unwrap_or_else(|_| {
            Err(LibvirtError::Unreachable {
                reason: format!(
                    "{uri} did not take the connection within {} s: is the host up, does the daemon answer \
                     (virsh -c {uri} version)?",
                    OPEN.as_secs()
                ),
            })
        })
    }

    /// Where it leads.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Whether no further call can be made.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Calls a procedure and waits for the payload of its reply, with the calls before it, for at most
    /// `limit`.
    pub(crate) async fn call(
        &self,
        procedure: &Procedure,
        arguments: Writer,
        limit: Duration,
    ) -> Result<Vec<u8>, LibvirtError> {
        let what = procedure.name;
        let arguments = arguments
            .finish()
            .map_err(|error| LibvirtError::TooLarge { what: what.to_owned(), reason: error.to_string() })?;
        let called = async {
            let mut frames = self.frames.lock().await;
            let answer = frames.call(procedure, &arguments).await;
            self.broken.fetch_or(frames.is_broken(), Ordering::Relaxed);
            answer
        };
        tokio::time::timeout(limit, called)
            .await
            .unwrap_or_else(|_| Err(LibvirtError::TimedOut { what: what.to_owned(), after: limit }))
    }
}

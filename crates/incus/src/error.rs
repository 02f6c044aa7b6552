//! What can go wrong between us and Incus or LXD, told apart by what it says about the effect.

use std::path::{Path, PathBuf};
use std::time::Duration;

use patchyard_types::printable;
use thiserror::Error;

/// The longest message of a server that is passed on, in characters.
const MESSAGE_LIMIT: usize = 2000;

/// Why a call has no good answer. Words that come from the server have been made harmless.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IncusError {
    /// There is no socket. Nothing has happened.
    #[error(
        "no Incus or LXD answers here: there is no socket at {}. Is it installed and started? Where its socket is \
         elsewhere, name it",
        listed(looked)
    )]
    NoSocket {
        /// Where was looked.
        looked: Vec<PathBuf>,
    },
    /// The socket is there, and we may not use it. Nothing has happened.
    #[error(
        "no permission on {}: run as root, or as a user of the group incus-admin (LXD: lxd)",
        socket.display()
    )]
    NotPermitted {
        /// The socket.
        socket: PathBuf,
    },
    /// The server answers, but gives us no rights. Nothing has happened.
    #[error(
        "the server behind {} does not trust us: use the socket of the daemon itself, as root or as a user of the \
         group incus-admin (LXD: lxd)",
        socket.display()
    )]
    NotTrusted {
        /// The socket.
        socket: PathBuf,
    },
    /// No connection came about: nothing has happened.
    #[error("{} does not answer: {reason}. Is the daemon running?", socket.display())]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// The system's own words.
        reason: String,
    },
    /// There is no such instance, snapshot or project, or no more.
    #[error("{what}: {message}")]
    NotFound {
        /// The call.
        what: String,
        /// The server's own words.
        message: String,
    },
    /// The instance does not run, or is held still.
    #[error("{what}: {message}: start it first")]
    NotRunning {
        /// The call.
        what: String,
        /// The server's own words.
        message: String,
    },
    /// The server will not do that. Nothing has happened.
    #[error("{what}: {message}")]
    Refused {
        /// The call.
        what: String,
        /// The HTTP status.
        code: u16,
        /// The server's own words.
        message: String,
    },
    /// It was begun, and failed.
    #[error("{what} failed: {message}")]
    Failed {
        /// The call.
        what: String,
        /// The server's own words.
        message: String,
    },
    /// The connection broke after the call was sent: whether it took effect is not known.
    #[error("the connection to {} was lost: {what}: {reason}", socket.display())]
    Lost {
        /// The socket.
        socket: PathBuf,
        /// The call.
        what: String,
        /// What was seen.
        reason: String,
    },
    /// The answer is not what the API promises: whether the call took effect is not known.
    #[error("the answer to {what} makes no sense: {reason}")]
    Protocol {
        /// The call.
        what: String,
        /// What was found.
        reason: String,
    },
    /// No answer in time: whether the call took effect is not known, or will.
    #[error("{what} was not done within {} s", after.as_secs())]
    TimedOut {
        /// The call.
        what: String,
        /// How long was waited.
        after: Duration,
    },
}

impl IncusError {
    pub(crate) fn protocol(what: &str, reason: impl AsRef<str>) -> Self {
        Self::Protocol { what: what.to_owned(), reason: printable(reason.as_ref(), MESSAGE_LIMIT) }
    }

    pub(crate) fn lost(socket: &Path, what: &str, reason: &str) -> Self {
        let reason = printable(reason, MESSAGE_LIMIT);
        Self::Lost { socket: socket.to_owned(), what: what.to_owned(), reason }
    }

    /// A call that the server refuses.
    pub(crate) fn refused(socket: &Path, what: &str, code: u16, message: &str) -> Self {
        let message = printable(message, MESSAGE_LIMIT);
        let what = what.to_owned();
        match code {
            401 | 403 if message.is_empty() || is_about_trust(&message) => {
                Self::NotTrusted { socket: socket.to_owned() }
            }
            404 => Self::NotFound { what, message },
            _ if says_not_running(&message) => Self::NotRunning { what, message },
            _ => Self::Refused { what, code, message },
        }
    }

    /// An operation that was begun.
    pub(crate) fn failed(what: &str, message: &str) -> Self {
        Self::Failed { what: what.to_owned(), message: printable(message, MESSAGE_LIMIT) }
    }

    /// Whether it is open if the call took effect: the caller has to look. A refusal or a connection that
    /// never came about is no such case.
    #[must_use]
    pub const fn outcome_unknown(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::Protocol { .. } | Self::TimedOut { .. } | Self::Failed { .. } => true,
            Self::NoSocket { .. }
            | Self::NotPermitted { .. }
            | Self::NotTrusted { .. }
            | Self::Unreachable { .. }
            | Self::NotFound { .. }
            | Self::NotRunning { .. }
            | Self::Refused { .. } => false,
        }
    }
}

fn is_about_trust(message: &str) -> bool {
    ["not authorized", "forbidden", "certificate", "untrusted"]
        .iter()
        .any(|words| message.to_lowercase().contains(words))
}

/// `Instance is not running`, `Container is not running`, `Instance is frozen`.
fn says_not_running(message: &str) -> bool {
    ["is not running", "is frozen"].iter().any(|words| message.contains(words))
}

fn listed(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    paths.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: u16, message: &str) -> IncusError {
        IncusError::refused(Path::new("/s"), "GET /1.0/instances/web", code, message)
    }

    #[test]
    fn refusals_are_told_apart() {
        assert!(matches!(of(404, "Instance not found"), IncusError::NotFound { .. }));
        for words in ["Instance is not running", "Container is not running", "Instance is frozen"] {
            assert!(matches!(of(400, words), IncusError::NotRunning { .. }), "{words}");
        }
        for words in ["not authorized", "Forbidden", ""] {
            assert!(matches!(of(403, words), IncusError::NotTrusted { .. }), "{words}");
        }
        assert!(matches!(of(403, "Node is evacuated"), IncusError::Refused { code: 403, .. }));
        assert!(matches!(of(500, "no space left"), IncusError::Refused { code: 500, .. }));
    }

    #[test]
    fn the_servers_words_are_passed_on_harmless() {
        assert_eq!(of(500, "\u{1b}[2Jno").to_string(), "GET /1.0/instances/web: \\u{1b}[2Jno");
    }

    #[test]
    fn where_was_looked_is_said() {
        let error = IncusError::NoSocket { looked: vec!["/a".into(), "/b".into()] };
        assert!(error.to_string().contains("no socket at /a or /b. Is it installed"), "{error}");
        assert!(!error.outcome_unknown());
    }
}

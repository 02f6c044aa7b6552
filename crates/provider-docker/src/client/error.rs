//! What can go wrong between us and an engine, told apart by what it says about the effect.

use std::time::Duration;

use patchyard_contract::ProviderError;
use patchyard_types::printable;
use thiserror::Error;

/// The longest message of an engine that is passed on, in characters.
const MESSAGE_LIMIT: usize = 2000;

/// Why a call to the engine has no good answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApiError {
    /// No connection came about: nothing has happened on the engine.
    #[error("{reason}")]
    Unreachable {
        /// What was seen, with what to do.
        reason: String,
    },
    /// The connection may not be used: permission on the socket, TLS, SSH keys. Nothing has happened.
    #[error("{reason}")]
    NotPermitted {
        /// What was seen, with what to do.
        reason: String,
    },
    /// The connection broke after the call was sent: whether it took effect is not known.
    #[error("the connection to the engine was lost: {reason}")]
    Lost {
        /// What was seen.
        reason: String,
    },
    /// The engine answered with an HTTP error.
    #[error("{message}")]
    Status {
        /// The HTTP status.
        code: u16,
        /// The engine's own words, made printable.
        message: String,
    },
    /// The engine reported a failure in the middle of a stream (pull, load).
    #[error("{message}")]
    Stream {
        /// The engine's own words, made printable.
        message: String,
    },
    /// The answer is not what the API promises.
    #[error("the engine's answer makes no sense: {reason}")]
    Protocol {
        /// What was found.
        reason: String,
    },
    /// The answer is larger than it may be.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What was read.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// No answer in time: whether the call took effect is not known.
    #[error("{what} did not answer within {} s", after.as_secs())]
    Timeout {
        /// The call.
        what: String,
        /// How long was waited.
        after: Duration,
    },
    /// A command was to run in a folder that is not there: the engine has run nothing.
    #[error("nothing was run: {folder} does not exist in the root in which the engine runs commands")]
    NoFolder {
        /// The folder.
        folder: String,
    },
    /// A file of the controller could not be read or written.
    #[error("{reason}")]
    Local {
        /// Which file, and what the system said.
        reason: String,
    },
}

impl ApiError {
    /// An HTTP error with the engine's words: `{"message": …}` of Docker, `{"cause", "message"}` of Podman.
    pub(crate) fn from_status(code: u16, body: &[u8]) -> Self {
        let message = serde_json::from_slice::<serde_json::Value>(body)
            .ok()
            .and_then(|json| json.get("message")?.as_str().map(str::to_owned))
            .unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
        let message = if message.is_empty() { format!("HTTP status {code}") } else { message };
        Self::Status { code, message: printable(&message, MESSAGE_LIMIT) }
    }

    pub(crate) fn stream(message: &str) -> Self {
        Self::Stream { message: printable(message, MESSAGE_LIMIT) }
    }

    pub(crate) fn protocol(reason: impl AsRef<str>) -> Self {
        Self::Protocol { reason: printable(reason.as_ref(), MESSAGE_LIMIT) }
    }

    pub(crate) fn too_large(what: impl Into<String>, limit: u64) -> Self {
        Self::TooLarge { what: what.into(), limit }
    }

    /// The HTTP status, where there was one.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// 404: the object does not exist.
    #[must_use]
    pub const fn is_not_found(&self) -> bool {
        matches!(self.status(), Some(404))
    }

    /// 404 for a path in a container that is there; a container that is gone is another matter.
    #[must_use]
    pub fn is_no_such_path(&self) -> bool {
        matches!(self, Self::Status { code: 404, message } if !message.to_lowercase().contains("no such container"))
    }

    /// 304: it was so already (start of a running container, stop of a stopped one).
    #[must_use]
    pub const fn is_already_so(&self) -> bool {
        matches!(self.status(), Some(304))
    }

    /// 409: in the way is another object (a name in use) or another operation (a removal under way).
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        matches!(self.status(), Some(409))
    }

    /// The host's disk is full, by the engine's words.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        match self {
            Self::Status { message, .. } | Self::Stream { message } => {
                let message = message.to_lowercase();
                message.contains("no space left on device") || message.contains("disk quota exceeded")
            }
            _ => false,
        }
    }

    /// Whether it is open if the call took effect: the caller has to look. An HTTP answer or a
    /// connection that never came about is no such case.
    #[must_use]
    pub const fn outcome_unknown(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::Protocol { .. } | Self::Timeout { .. } | Self::TooLarge { .. } => true,
            Self::Unreachable { .. }
            | Self::NotPermitted { .. }
            | Self::Status { .. }
            | Self::Stream { .. }
            | Self::NoFolder { .. }
            | Self::Local { .. } => false,
        }
    }

    /// The same as the provider's contract says it; `host` is the host as the user named it.
    #[must_use]
    pub fn into_provider(self, host: &str) -> ProviderError {
        let host = host.to_owned();
        let reason = self.to_string();
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } | Self::Timeout { .. } => {
                ProviderError::Unreachable { host, reason }
            }
            Self::NotPermitted { .. } | Self::Status { .. } => ProviderError::Denied { host, reason },
            Self::Stream { .. } | Self::Protocol { .. } | Self::TooLarge { .. } => {
                ProviderError::NoAnswer { reason, hint: String::new() }
            }
            // Every folder that a command is to run in has been made before.
            Self::NoFolder { .. } => ProviderError::NoAnswer {
                reason: format!("{reason}: that is not the container's"),
                hint: "is the engine itself in a chroot? Start it in a mount namespace of its own, or on the host"
                    .to_owned(),
            },
            Self::Local { .. } => ProviderError::Local { reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ApiError;

    #[test]
    fn the_engines_words_are_passed_on_harmless() {
        let error = ApiError::from_status(404, br#"{"message":"No such container: \u001b[31mx"}"#);
        assert!(error.is_not_found());
        assert_eq!(error.to_string(), "No such container: \\u{1b}[31mx");
        assert_eq!(ApiError::from_status(500, b"").to_string(), "HTTP status 500");
        assert_eq!(ApiError::from_status(400, b"page not found\n").to_string(), "page not found");
    }

    #[test]
    fn a_missing_path_is_not_a_missing_container() {
        let error = |message: &str| ApiError::Status { code: 404, message: message.to_owned() };
        assert!(error("Could not find the file /x in container web").is_no_such_path());
        for gone in
            ["No such container: web", "no container with name or ID \"web\" found: no such container"]
        {
            assert!(error(gone).is_not_found() && !error(gone).is_no_such_path(), "{gone}");
        }
    }

    #[test]
    fn a_full_disk_is_known_by_the_engines_words() {
        let error = ApiError::stream("write /x: no space left on device");
        assert!(error.is_no_space() && !error.outcome_unknown());
    }
}

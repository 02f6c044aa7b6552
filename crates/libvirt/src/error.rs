//! What can go wrong between us and libvirt, told apart by what it says about the effect.

use std::time::Duration;

use thiserror::Error;

use crate::xdr::XdrError;

/// Why a call to libvirt has no good answer. Words that come from libvirt or a guest have been made harmless.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LibvirtError {
    /// The text is no address of a libvirt that can be spoken to.
    #[error(
        "'{text}' is no address of a libvirt: {reason}. Write qemu:///system, qemu:///session, \
         qemu+unix:///system?socket=PATH or qemu+ssh://user@host:port/system"
    )]
    BadUri {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No connection came about: nothing has happened.
    #[error("{reason}")]
    Unreachable {
        /// What was seen, with what to do.
        reason: String,
    },
    /// The way is barred: permission on the socket, polkit, keys, a right that is missing. Nothing has
    /// happened.
    #[error("{reason}")]
    NotPermitted {
        /// What was seen, with what to do.
        reason: String,
    },
    /// The connection broke after the call was sent: whether it took effect is not known.
    #[error("the connection to libvirt was lost: {reason}")]
    Lost {
        /// What was seen.
        reason: String,
    },
    /// The answer is not what the protocol promises. The connection is of no more use.
    #[error("libvirt's answer makes no sense: {reason}")]
    Protocol {
        /// What was found.
        reason: String,
    },
    /// No answer in time: whether the call took effect is not known.
    #[error("libvirt did not answer {what} within {} s", after.as_secs())]
    TimedOut {
        /// The call, as libvirt names it.
        what: String,
        /// How long it was given.
        after: Duration,
    },
    /// What was to be sent is larger than libvirt takes. Nothing has happened.
    #[error("{what} cannot be sent: {reason}")]
    TooLarge {
        /// The call, as libvirt names it.
        what: String,
        /// By how much.
        reason: String,
    },
    /// There is no such domain, or no more.
    #[error("{message}")]
    NoDomain {
        /// libvirt's own words.
        message: String,
    },
    /// The domain has no channel for a guest agent.
    #[error("{message}")]
    AgentMissing {
        /// libvirt's own words.
        message: String,
    },
    /// The guest agent does not answer: it is not installed, does not run, or is busy. Whether it did what it
    /// was asked is not known.
    #[error("{message}")]
    AgentSilent {
        /// libvirt's own words.
        message: String,
    },
    /// The guest agent answered that it will or can not.
    #[error("{message}")]
    AgentRefused {
        /// The agent's own words, in libvirt's.
        message: String,
    },
    /// This libvirt, this hypervisor or this domain cannot do that at all.
    #[error("{message}")]
    Unsupported {
        /// libvirt's own words.
        message: String,
    },
    /// Another call, of ours or of anybody else's, is at work on the domain, and libvirt has waited for its end in
    /// vain, for half a minute. Nothing has happened.
    #[error("{message}")]
    Busy {
        /// libvirt's own words.
        message: String,
    },
    /// Not in the state in which the domain is: it does not run, or it runs already.
    #[error("{message}")]
    NotNow {
        /// libvirt's own words.
        message: String,
    },
    /// Anything else that libvirt reports.
    #[error("{message}")]
    Other {
        /// One of libvirt's `virErrorNumber`.
        code: i32,
        /// Which part of libvirt says so: one of its `virErrorDomain`.
        part: i32,
        /// libvirt's own words.
        message: String,
    },
}

impl LibvirtError {
    /// An answer to a call that is not what it should be.
    pub(crate) fn answer(what: &str, error: XdrError) -> Self {
        Self::Protocol { reason: format!("to {what}: {error}") }
    }
}

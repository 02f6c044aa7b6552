//! Failures of steps: what kind, so that the deciding rooms know what follows.

use serde::{Deserialize, Serialize};

/// Why a step did not do what it should. The kind decides what follows; the message is for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// What happened, in one line fit to be shown, with what to do where there is something.
    pub message: String,
}

impl Failure {
    /// A failure of a kind with its message.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A check turned bad, or the target did not start or stay up.
    Check,
    /// The package manager failed, or did something else than planned.
    PackageManager,
    /// The patch turned out larger than `max_layer` allows, or of another shape than planned.
    Refused,
    /// The step did not end within its time.
    Timeout,
    /// The target is not as it was when planned, or was unhealthy beforehand: nothing to judge.
    Precondition,
    /// No room on a disk.
    NoSpace,
    /// Something else on the host or in the engine; says nothing about the patch.
    Host,
}

impl FailureKind {
    /// Whether this failure speaks against the patch set. A full disk, a lost network or host never
    /// does; whether a timeout does depends on the step, which the deciding room knows.
    #[must_use]
    pub const fn blames_patch(self) -> bool {
        matches!(self, Self::Check | Self::PackageManager | Self::Timeout)
    }
}

/// How an effect can go wrong from the caller's point of view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepError {
    /// It failed, and the provider knows that it did.
    Failed(Failure),
    /// The connection was lost or the answer made no sense: whether the effect took place is not
    /// known, and the step's probe has to ask.
    Unknown(String),
}

impl std::fmt::Display for StepError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(failure) => failure.fmt(f),
            Self::Unknown(reason) => write!(f, "outcome unknown: {reason}"),
        }
    }
}

impl std::error::Error for StepError {}

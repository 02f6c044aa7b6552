//! Errors of the use cases, and what kind each is: scripts and people act on the kind.

use std::path::PathBuf;

use patchyard_contract::{CacheError, ProviderError, StoreError};
use patchyard_engine::EngineError;
use thiserror::Error;

use crate::config::ConfigError;
use crate::select::NoSuchTarget;

/// Why a use case could not do what it was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The state directory cannot be used.
    #[error("cannot use the state directory {}", path.display())]
    StateDir {
        /// The directory or a file in it.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The package cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The engine failed.
    #[error(transparent)]
    Engine(EngineError),
    /// A host failed.
    #[error(transparent)]
    Host(#[from] ProviderError),
    /// A name that no target answers to.
    #[error(transparent)]
    NoSuchTarget(#[from] NoSuchTarget),
    /// What was asked for makes no sense as it stands.
    #[error("{message}")]
    Input {
        /// What is wrong.
        message: String,
        /// What to do; empty when the message says it.
        hint: String,
    },
    /// It makes sense, and is not allowed now.
    #[error("{message}")]
    Refused {
        /// What stands in the way.
        message: String,
        /// What to do; empty when the message says it.
        hint: String,
    },
    /// A contradiction in what was stored.
    #[error("{0}")]
    Broken(String),
}

/// What kind of failure it is, for exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Usage or bad input.
    Input,
    /// A host cannot be reached.
    Unreachable,
    /// Refused: a lock, a quarantine.
    Refused,
    /// Nothing of the above.
    Internal,
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Store(error) => Self::Store(error),
            other => Self::Engine(other),
        }
    }
}

impl Error {
    /// Bad input, with what to do about it.
    pub fn input(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Input { message: message.into(), hint: hint.into() }
    }

    /// Not allowed now, with what to do about it.
    pub fn refused(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), hint: hint.into() }
    }

    /// What kind it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Config(_)
            | Self::StateDir { .. }
            | Self::NoSuchTarget(_)
            | Self::Input { .. }
            | Self::Store(StoreError::Newer { .. } | StoreError::Unusable { .. })
            | Self::Engine(EngineError::NoRollout { .. }) => Kind::Input,
            Self::Host(
                ProviderError::Unreachable { .. } | ProviderError::Denied { .. } | ProviderError::NoWayIn(_),
            )
            | Self::Engine(EngineError::NoProvider { .. }) => Kind::Unreachable,
            Self::Refused { .. }
            | Self::Host(ProviderError::Twin { .. })
            | Self::Store(StoreError::Locked { .. })
            | Self::Engine(EngineError::Ended { .. } | EngineError::NothingToResolve { .. }) => Kind::Refused,
            Self::Store(_) | Self::Cache(_) | Self::Engine(_) | Self::Host(_) | Self::Broken(_) => {
                Kind::Internal
            }
        }
    }

    /// What to do next, where the message itself does not say.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Config(error) if error.at.is_some() => {
                "put that line right: docs/configuration.md has every key".to_owned()
            }
            Self::StateDir { .. } => "make it writable, or name another with --state DIR".to_owned(),
            Self::NoSuchTarget(_) => "patchyard discover".to_owned(),
            Self::Input { hint, .. } | Self::Refused { hint, .. } => hint.clone(),
            Self::Host(ProviderError::NoAnswer { hint, .. }) => hint.clone(),
            Self::Host(ProviderError::Unreachable { .. } | ProviderError::Denied { .. }) => {
                "patchyard doctor".to_owned()
            }
            Self::Host(ProviderError::Twin { .. }) => {
                "give the copy an id of its own: docs/troubleshooting.md, \"Two machines with one id\""
                    .to_owned()
            }
            Self::Store(StoreError::Locked { .. }) => "patchyard status".to_owned(),
            Self::Store(StoreError::Damaged { .. }) => "patchyard audit verify".to_owned(),
            _ => String::new(),
        };
        (!hint.is_empty()).then_some(hint)
    }
}

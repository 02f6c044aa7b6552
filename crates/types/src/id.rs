//! Names of things: typed, validated, and stable for as long as the thing they name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not the id it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdError {
    /// What was expected, in words a user understands.
    pub expected: &'static str,
    /// What was found, made printable.
    pub found: String,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, found '{}'", self.expected, self.found)
    }
}

impl std::error::Error for IdError {}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps a text that is already known to be this kind of id.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// The stable id of the machine or engine a target lives on: an engine's `/info` id, a
    /// machine-id, or a configured name where the engine has no stable id (Podman).
    HostId
}

text_id! {
    /// A name of an object Patchyard creates on a host, derived from the run and step so that a
    /// crashed controller finds it again. Always starts with `patchyard-`.
    ObjectName
}

/// Names a target for as long as its service lives; it survives recreation.
///
/// Provider, stable id of the host, and stable name: a container is its Compose
/// project/service/number, else its name; never the container id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TargetId(String);

impl TargetId {
    /// Puts an id together from its parts.
    #[must_use]
    pub fn new(provider: &str, host: &HostId, name: &str) -> Self {
        Self(format!("{provider}:{host}/{name}"))
    }

    /// The id as text: `provider:host/name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The stable name, without provider and host.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or(self.0.as_str(), |(_, name)| name)
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A rollout's number on this controller, shown as `R12`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RolloutId(pub u64);

impl fmt::Display for RolloutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "R{}", self.0)
    }
}

impl std::str::FromStr for RolloutId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.strip_prefix(['R', 'r'])
            .and_then(|n| n.parse().ok())
            .map(Self)
            .ok_or_else(|| IdError { expected: "a rollout such as R12", found: crate::printable(text, 60) })
    }
}

impl TryFrom<String> for RolloutId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<RolloutId> for String {
    fn from(id: RolloutId) -> Self {
        id.to_string()
    }
}

/// One target's part of a rollout, shown as `R12.3`: the third action of rollout 12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId {
    /// The rollout it belongs to.
    pub rollout: RolloutId,
    /// Index of the action in the plan, from 0; shown from 1.
    pub action: usize,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.rollout, self.action + 1)
    }
}

impl std::str::FromStr for RunId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let parse = || {
            let (rollout, number) = text.split_once('.')?;
            let action = number.parse::<usize>().ok()?.checked_sub(1)?;
            Some(Self { rollout: rollout.parse().ok()?, action })
        };
        parse().ok_or_else(|| IdError { expected: "a run such as R12.3", found: crate::printable(text, 60) })
    }
}

impl TryFrom<String> for RunId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.to_string()
    }
}

//! The implementations of Compose: version 1, the distribution's, and version 2, which the lab builds.

use std::path::PathBuf;
use std::process::Command;

use crate::lab::lab;

/// An implementation of Compose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compose {
    /// Version 1.
    One,
    /// Version 2, and where it is.
    Two(PathBuf),
}

impl Compose {
    /// Version 2; building it takes minutes, once a machine.
    #[must_use]
    pub fn two() -> Self {
        Self::Two(lab("compose", [] as [&str; 0]).into())
    }

    /// Whether it is version 2.
    #[must_use]
    pub const fn is_two(&self) -> bool {
        matches!(self, Self::Two(_))
    }

    /// It, ready for arguments.
    #[must_use]
    pub fn command(&self) -> Command {
        match self {
            Self::One => Command::new("docker-compose"),
            Self::Two(program) => Command::new(program),
        }
    }

    /// The name it gives to the first container of a service.
    #[must_use]
    pub fn container(&self, project: &str, service: &str) -> String {
        let between = if self.is_two() { '-' } else { '_' };
        format!("{project}{between}{service}{between}1")
    }
}

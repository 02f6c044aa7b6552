//! What can go wrong inside a machine.

use std::time::Duration;

use patchyard_contract::TransportError;
use thiserror::Error;

/// Why something could not be done on a machine. What is quoted comes from the machine and has been made harmless.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GuestError {
    /// The way there failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// No package manager that is known here.
    #[error("{host} has no package manager that Patchyard knows: {seen}")]
    NoPackageManager {
        /// The machine.
        host: String,
        /// What it says it is.
        seen: String,
    },
    /// Somebody else is at work on its packages, and went on for longer than was to be waited.
    #[error(
        "another package manager is at work on {host} and did not end within {} s: {holder}. Let it end, then run this again",
        waited.as_secs()
    )]
    Locked {
        /// The machine.
        host: String,
        /// Who it is, in the package manager's words.
        holder: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// It would change something else than what was planned, or what was planned is not what is there.
    #[error("not started on {host}: {reason}")]
    Refused {
        /// The machine.
        host: String,
        /// What is different.
        reason: String,
    },
    /// A program on the machine failed.
    #[error("{program} on {host} failed (exit code {code}): {words}")]
    Failed {
        /// The machine.
        host: String,
        /// The program.
        program: String,
        /// Its exit code.
        code: i32,
        /// Its own words.
        words: String,
    },
    /// The answer of a program on the machine is none.
    #[error("the answer of {program} on {host} makes no sense: {reason}")]
    NoSense {
        /// The machine.
        host: String,
        /// The program.
        program: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Not the id of a job.
    #[error(
        "'{found}' is no id of a job: letters, digits, '.', '_' and '-', at most 64, the first a letter or digit"
    )]
    BadJobId {
        /// What it was.
        found: String,
    },
}

//! The Docker provider passes the suite of every provider, on a real engine.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails is a failed test")]

mod yard;

use patchyard_contract::provider_suite;
use yard::RealYard;

provider_suite!(tokio::test, RealYard::carrying());

/// The same of a target together with those who live in its namespaces.
mod with_dependents {
    use super::*;

    provider_suite!(tokio::test, RealYard::with_dependents());
}

/// The same of a target whose replacement is started first.
mod start_first {
    use super::*;

    provider_suite!(start-first tokio::test, RealYard::start_first());
}

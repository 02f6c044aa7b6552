//! The test suites that every implementation of a contract passes.
//!
//! Each suite is a set of functions, one a behaviour, and a macro that makes a `#[test]` of every
//! one of them, so that the behaviours show by name in the test output of the implementation.

#![allow(clippy::unwrap_used, reason = "a failed unwrap here is a failed test")]

pub mod cache;
mod hand;
pub mod keeper;
pub mod machine;
pub mod provider;
pub mod sample;
pub mod store;
pub mod transport;

/// Runs a behaviour to its end on a runtime of its own.
///
/// # Panics
/// When the behaviour does, which is a failed test.
pub fn run<F: Future<Output = ()>>(behaviour: F) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(behaviour);
}

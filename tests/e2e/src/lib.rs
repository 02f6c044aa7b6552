//! What the end-to-end tests share: real engines, services to patch on them, the command under test.
//!
//! Every service has an image, a container, volumes and a port of its own, so tests run beside each
//! other (and beside whatever else the engine runs) and each command is told the names it is about.
//! Guards take everything away again, also when a test fails.

// A test that cannot go on stops: that is what a panic is for here.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod binary;
mod client;
mod compose;
mod controller;
pub mod crash;
mod engine;
mod events;
mod fingerprint;
mod guest;
mod inside;
mod lab;
mod machine;
mod parallel;
mod podman;
mod registry;
mod service;
pub mod simulated;
mod swarm;
mod system_container;
mod table;
mod terminal;
mod virtual_machine;
mod witness;

pub use client::{Failed, PollLog, Poller, get, get_from};
pub use compose::Compose;
pub use controller::{Controller, Outcome, Running};
pub use engine::{Engine, Objects, PrivateEngine};
pub use events::{Events, intent};
pub use fingerprint::Fingerprint;
pub use guest::Guest;
pub use inside::{Inside, Kept};
pub use lab::lab;
pub use machine::SshMachine;
pub use parallel::{in_parallel, one_after_the_other};
pub use podman::Podman;
pub use registry::Registry;
pub use service::{OwnImage, Service, ServiceOptions, free_port};
pub use swarm::Swarm;
pub use system_container::SystemContainer;
pub use table::{Ends, Row, bad_versions};
pub use virtual_machine::VirtualMachine;
pub use witness::Witness;

/// Whether the long tests were asked for (`./test --slow` sets `PATCHYARD_SLOW=1`).
#[must_use]
pub fn slow() -> bool {
    std::env::var_os("PATCHYARD_SLOW").is_some_and(|value| value == "1")
}

/// A word that no other test process and no other test uses: `e2e-4711-0003`. Later ones are greater, so that what
/// is ordered by name is in the order in which it was made.
#[must_use]
pub fn unique() -> String {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("e2e-{}-{number:04}", std::process::id())
}

//! What Patchyard asks of the world, as traits: providers, the store, the package cache, the clock,
//! transports to machines.
//!
//! Implementations live in rooms of their own and never import the engine; the engine never names
//! an implementation. Every trait has one test suite (feature `suite`) that each implementation,
//! simulated and real, passes.

mod audit;
mod cache;
mod clock;
mod kept;
mod memory;
mod provider;
mod store;
#[cfg(feature = "suite")]
pub mod suite;
mod transport;

pub use audit::{AuditEntry, AuditHead, AuditReport, Auditor};
pub use cache::{CacheError, PackageCache};
pub use clock::Clock;
pub use kept::{Keeper, KeeperError, KeptMachine};
pub use memory::Memory;
pub use provider::{
    Ask, Call, ImageSource, Leftover, Note, OfDependent, Part, Progress, Provider, ProviderError, Wish,
};
pub use store::{Append, LockGuard, Store, StoreError};
pub use transport::{Command, Output, Transport, TransportError};

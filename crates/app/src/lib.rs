//! Patchyard's use cases, one function each; the command line (and later the server) only render
//! what these return.

mod clock;
pub mod config;
mod context;
mod discover;
mod environment;
mod error;
mod fleet;
mod gather;
mod glob;
mod nearest;
mod patches;
mod plan;
pub mod rollouts;
mod scan;
pub mod select;
pub mod settings;
pub mod size;
mod state;
#[cfg(test)]
mod testing;

pub use clock::SystemClock;
pub use context::{Context, Options, Reach, Reached};
pub use discover::discover;
pub use environment::Environment;
pub use error::{Error, Kind};
pub use fleet::{Fleet, Host, Unreachable};
pub use gather::Known;
pub use patches::PatchFilter;
pub use plan::{PlanReport, PlanRequest, plan};
pub use scan::{ScanReport, ScanRequest, Scanned, scan};
pub use state::StateDir;

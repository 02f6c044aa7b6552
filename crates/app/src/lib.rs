//! Patchyard's use cases, one function each; the command line (and later the server) only render
//! what these return.

mod apply;
mod clock;
pub mod config;
mod context;
mod discover;
mod drive;
mod environment;
mod error;
mod fleet;
mod gather;
mod glob;
mod nearest;
mod patches;
mod plan;
pub mod quarantine;
mod report;
mod rollback;
pub mod rollouts;
mod scan;
pub mod select;
pub mod settings;
pub mod size;
pub mod snapshots;
mod state;
#[cfg(test)]
mod testing;

pub use apply::{Meant, begin, plan_named, what_is_meant};
pub use clock::SystemClock;
pub use context::{Context, Options, Reach, Reached};
pub use discover::discover;
pub use drive::{Asked, ask, drive, resolve, resume};
pub use environment::Environment;
pub use error::{Error, Kind};
pub use fleet::{Fleet, Host, Unreachable};
pub use gather::Known;
pub use patches::PatchFilter;
pub use plan::{PlanReport, PlanRequest, plan};
pub use report::{RolloutReport, RunReport, report};
pub use rollback::{RollbackReport, plan_rollback};
pub use scan::{ScanReport, ScanRequest, Scanned, scan};
pub use state::StateDir;

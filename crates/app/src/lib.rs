//! Patchyard's use cases, one function each; the command line (and later the server) only render
//! what these return.

mod clock;
pub mod config;
mod context;
mod environment;
mod error;
mod fleet;
mod glob;
mod nearest;
pub mod select;
pub mod size;
mod state;
#[cfg(test)]
mod testing;

pub use clock::SystemClock;
pub use context::{Context, Options, Reach, Reached};
pub use environment::Environment;
pub use error::{Error, Kind};
pub use fleet::{Fleet, Host, Unreachable};
pub use state::StateDir;

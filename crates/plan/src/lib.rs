//! The planner: turns targets and what is pending on them into one immutable plan.
//!
//! All thinking happens here, once, and without input or output: the same request gives the same
//! plan, in whatever order its parts arrive. Each file decides one thing: `judge` what becomes of a
//! target, `quarantine` what failed before, `order` who comes after whom, `waves` who goes with whom,
//! `tags` which tags follow, `losses` what a way back does not bring back,
//! `dependents` who is made again with its owner. [`lint()`] checks a
//! finished plan, also one that came from somewhere else.

mod beside;
mod data;
mod dependents;
mod estimate;
mod filter;
pub mod glob;
mod host;
mod judge;
pub mod lint;
mod losses;
mod order;
mod planner;
mod quarantine;
mod request;
mod restore;
mod service;
mod tags;
mod waves;

pub use beside::cannot_start_first;
pub use data::VolumeUsers;
pub use dependents::{dependents, in_the_way};
pub use filter::PatchFilter;
pub use host::cannot_patch;
pub use judge::{not_well, unfinished, would_lose};
pub use lint::lint;
pub use planner::{Planned, plan};
pub use quarantine::{keeps_image_out, keeps_out};
pub use request::{
    Candidate, DependentTarget, PlanRequest, Restoration, RestoreRequest, TagPolicy, Timing, Timings,
};
pub use restore::restore;
pub use waves::Wait;

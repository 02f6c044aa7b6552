//! The deciding half of the engine: what happens next, given what has happened.
//!
//! Pure: states are folds of events, decisions are values, the time comes in as an argument. The
//! engine carries the decisions out and writes down what came of them.
//!
//! - [`run`] decides about one target: next step, probe, way back, end.
//! - [`rollout`] decides about all of them: who starts, who is skipped, when it is over.
//! - [`verify`] judges looks at a target: baseline before, green or bad after.

pub mod rollout;
pub mod run;
pub mod verify;

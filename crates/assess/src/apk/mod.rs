//! apk (Alpine): its database and its world, and what it is asked and answers.
//!
//! The **world** is the list of what somebody has asked for by name, perhaps in certain versions; the solver installs what it takes.
//! What is written here follows the manual pages of apk-tools 2.14 and 3.0.

mod answer;
pub mod ask;
mod database;
mod name;
mod world;

pub use answer::{
    AnswerError, Available, Row, available, moves, newest, origins, pending, refreshed, simulation, words,
};
pub use database::{Database, DatabaseError, installed};
pub use name::{is_arch, is_package, is_version};
pub use world::{Wanted, world};

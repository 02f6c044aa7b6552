//! Whole use cases on simulated hosts, in milliseconds: what the command line calls, from discovering
//! to auditing. One program, because each links the whole house; a module is what a file would be.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod back;
mod bad;
mod disk;
mod good;
mod select;
mod stop;
mod unknown;
mod yard;

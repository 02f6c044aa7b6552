//! The provider on a real engine, with the images of `lab/` (run `lab/prepare` first).
//!
//! The engine is the one that `docker` would talk to. Without one these tests fail.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod ask;
mod discover;
mod inventory;
mod mounts;
mod podman;
mod registry;
mod sources;
mod support;
mod transport;
mod ubuntu;

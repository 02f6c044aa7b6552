//! The provider on a real engine, with the images of `lab/` (run `lab/prepare` first).
//!
//! The engine is the one that `docker` would talk to. Without one these tests fail.

mod ask;
mod discover;
mod inventory;
mod registry;
mod support;
mod transport;

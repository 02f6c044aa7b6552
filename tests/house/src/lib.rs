//! Nothing but tests: see `tests/arrows.rs`.

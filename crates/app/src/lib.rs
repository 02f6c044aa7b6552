//! Patchyard's use cases, one function each; the command line (and later the server) only render
//! what these return.

pub mod config;
mod glob;
mod nearest;
pub mod select;
pub mod size;
#[cfg(test)]
mod testing;

//! Crashes at chosen moments: the store and the providers of a real controller, wrapped so that the
//! process kills itself when it gets there.
//!
//! A point has a name, made of what is going on: `R1.2 intent stop` is right after the intent was
//! written, `R1.2 middle stop` while the engine is at it, `R1.2 effect stop` after the effect and before
//! its outcome is written, `R1.2 outcome stop` right after that. Where an effect is long, it says what it
//! is at: `R1.2 note committing the layer` is when it says so. Names do not depend on what runs beside,
//! so a point is found again in another process.

mod points;
mod provider;
mod reach;
mod store;

pub use points::{AT, LIST, Points};
pub use reach::crashing;

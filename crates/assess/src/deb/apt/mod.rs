//! apt: what it is asked, as argument vectors, and what its answers mean.
//!
//! Five questions, in this order, all in a throw-away copy of the target:
//!
//! 1. [`ask::simulate`] → [`answer::simulation`]: what the solver would do now.
//! 2. [`ask::upgradable`] → [`answer::upgradable`]: everything that has a newer version, also what
//!    the solver leaves alone. [`pending`] puts both together.
//! 3. For what is kept back, [`ask::with_phased`] → [`tell_phased`]: whether phasing alone does it.
//! 4. [`ask::offers`] → [`answer::offers`]: size and SHA-256 of each file; [`price`] fills them in.
//! 5. For what is still kept back, [`ask::why_kept_back`] → [`explain`]: the solver's own words.
//!
//! The solver that installs is the one that is asked; nothing here resolves dependencies.

pub mod answer;
pub mod ask;
mod locks;
mod pending;
pub mod words;

pub use locks::{interrupted, locked};
pub use pending::{explain, moves, passes_over, pending, price, tell_phased};

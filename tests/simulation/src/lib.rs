//! A yard on which whole rollouts are simulated: the real engine and deciders, a simulated host, a
//! controller that dies at a chosen event and comes back.

pub mod crash;
mod history;
pub mod invariants;
pub mod plan;
pub mod scenario;

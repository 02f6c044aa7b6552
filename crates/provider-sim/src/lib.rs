//! A simulated host with containers, and a clock that runs on tokio's paused time.
//!
//! The engine runs on it exactly as on a real host, in milliseconds: effects take (simulated) time,
//! fail, hang, get lost, or go on after the controller has died; services crash at once or after
//! twenty seconds; somebody else interferes. Everything random comes from one seed.

mod clock;
mod fault;
mod image;
mod look;
mod machine;
mod provider;
mod world;

pub use clock::SimClock;
pub use fault::{Fault, FaultAt, Faults};
pub use image::{SimLayer, base_image};
pub use machine::{Keeping, SimMachine};
pub use provider::SimProvider;
pub use world::{Behaviour, Interference, SimObject, SimTarget, World};

//! System containers: a small client of the REST API that Incus and LXD speak on their unix socket, and a
//! [`Transport`](patchyard_contract::Transport) into an instance.
//!
//! [`Client`] knows the protocol: who the server is, its instances, their snapshots, operations that take
//! their time. [`InstanceTransport`] runs programs in an instance; what is done inside of it is the guest
//! layer's, as on any machine. [`InstanceKeeper`] is its outside: its snapshots, its power. [`machines()`] has all
//! instances, and the way into each.

mod client;
mod error;
mod exec;
mod instance;
mod keeper;
mod machines;
mod snapshot;
mod socket;
mod transport;

pub use client::{Client, Product, Server};
pub use error::IncusError;
pub use exec::{Exec, Ran};
pub use instance::{Instance, InstanceName, Kind};
pub use keeper::InstanceKeeper;
pub use machines::machines;
pub use snapshot::Snapshot;
pub use transport::InstanceTransport;

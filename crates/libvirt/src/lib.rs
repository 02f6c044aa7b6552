//! libvirt, spoken to in its own protocol: its library is not linked, so that the program stays one static
//! binary.
//!
//! The daemon on the host (`virtqemud`, or `libvirtd` for everything) answers calls in XDR on a unix socket,
//! here or at the far end of `ssh`. The rooms, from the wire up: [`xdr`] (bytes), [`message`] (frames,
//! errors), [`uri`] (which daemon), [`connection`] (the way to it), [`calls`] (what it is asked), [`domain`]
//! (what its XML says of a machine), [`agent`] (the inside of a machine, as a
//! [`Transport`](patchyard_contract::Transport)), `keeper` (its outside, as a [`Keeper`](patchyard_contract::Keeper)),
//! `machines` (which there are, and the way into each).

pub mod agent;
pub mod calls;
pub mod connection;
pub mod domain;
mod error;
mod keeper;
mod machines;
pub mod message;
pub mod uri;
mod uuid;
pub mod xdr;

pub use agent::{Agent, AgentTransport};
pub use calls::Domain;
pub use connection::Connection;
pub use domain::Description;
pub use error::LibvirtError;
pub use keeper::DomainKeeper;
pub use machines::machines;
pub use uri::{Environment, Uri};
pub use uuid::Uuid;

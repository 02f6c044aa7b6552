//! Podman: what its Docker-compatible API leaves out, and what it has words of its own for.
//!
//! That API tells a container's settings in part only, and what is created through it has other defaults than
//! what `podman run` makes (a umask of 0000, a stop timeout of 0 s). So a container is read from both of Podman's
//! descriptions ([`words`]), which together are put into Docker's words: everything else in this crate knows only
//! those. A replacement is made through Podman's own API ([`create`]). Some options neither description tells of;
//! the command that a container was created by does ([`asked`]).

mod asked;
mod create;
mod signals;
mod words;

pub(crate) use asked::{Origin, origin};
pub(crate) use create::specification;
pub(crate) use words::{container, image, listed, stored_tag};

/// What the settings begin with, among those of `HostConfig`, that only Podman has.
pub(crate) const OWN: &str = "Podman.";

/// The restart policy for which podman-restart.service starts a container when the machine does, also one that
/// somebody has stopped. Podman itself starts nothing: it has no daemon.
pub(crate) const REVIVED: &str = "always";

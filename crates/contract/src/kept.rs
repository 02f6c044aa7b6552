//! Machines that somebody keeps: a libvirt, an Incus.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Transport;

/// A machine as its keeper tells of it. Its words have been made harmless.
pub struct KeptMachine {
    /// Its name there.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The inside of it, or why there is no way there, with what to do.
    pub way: Result<Arc<dyn Transport>, String>,
}

//! Machines that somebody keeps: a libvirt, an Incus.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use patchyard_types::SavedDisks;
use thiserror::Error;

use crate::Transport;

/// A machine as its keeper tells of it. Its words have been made harmless.
pub struct KeptMachine {
    /// Its name there.
    pub name: String,
    /// What its keeper knows it by, whatever it is called.
    pub id: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The inside of it.
    pub way: Arc<dyn Transport>,
    /// Why that leads nowhere now, with what to do; nothing where it does.
    pub barred: Option<String>,
    /// The outside of it.
    pub keeper: Arc<dyn Keeper>,
    /// Why no snapshot of its disks can be taken, with what to do; nothing where it can.
    pub no_snapshot: Option<String>,
}

/// Why a keeper did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeeperError {
    /// It does not answer: whether anything took place is not known.
    #[error("{0}")]
    Unreachable(String),
    /// There is no room on its disks.
    #[error("{0}")]
    NoSpace(String),
    /// It says no, and nothing has changed.
    #[error("{0}")]
    Refused(String),
}

/// The outside of a machine: it tells one that is broken from a keeper out of reach, and can put its disks back when nobody
/// inside answers any more.
#[async_trait]
pub trait Keeper: Send + Sync {
    /// Whether the machine runs.
    async fn is_running(&self) -> Result<bool, KeeperError>;

    /// Starts the machine. One that runs stays as it is.
    async fn start(&self) -> Result<(), KeeperError>;

    /// Takes a snapshot of all disks but those that their owner has left out, with its file systems held still. One that is
    /// there under this name is told, and stays as it is. `room` is how many bytes may be written from then on: with less on
    /// its disks, as far as it can tell, a keeper takes none.
    async fn save(&self, name: &str, room: u64) -> Result<SavedDisks, KeeperError>;

    /// The snapshot of this name.
    async fn saved(&self, name: &str) -> Result<Option<SavedDisks>, KeeperError>;

    /// The bytes that a snapshot takes on its host by now, where the keeper tells: it grows with what is written since.
    async fn takes(&self, name: &str) -> Result<Option<u64>, KeeperError>;

    /// The names of all snapshots that begin so.
    async fn all_saved(&self, prefix: &str) -> Result<Vec<String>, KeeperError>;

    /// Puts the disks back to a snapshot, which goes by it, and starts the machine: what was written since is lost. Where there
    /// is no such snapshot any more, the machine is started, nothing else.
    async fn put_back(&self, name: &str) -> Result<(), KeeperError>;

    /// Removes a snapshot: what was written since stays. Gone already is fine.
    async fn forget(&self, name: &str) -> Result<(), KeeperError>;
}

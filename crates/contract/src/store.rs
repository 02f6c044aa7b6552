//! The store: the event log, the plans, remembered answers, locks.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use patchyard_types::{Event, EventBody, Plan, PlanDigest, RolloutId, Stream};
use thiserror::Error;

use crate::{AuditHead, AuditReport};

/// Why the store could not do what it was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Somebody else wrote to the stream first.
    #[error("{stream} has moved on: expected {expected} events, found {found}")]
    Conflict {
        /// The stream.
        stream: Stream,
        /// How many events the writer knew of.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// The state was written by a newer Patchyard.
    #[error(
        "{what} was written by a newer version of patchyard (format {found}, this one knows {known}): use that version"
    )]
    Newer {
        /// What could not be read: the database, or one event.
        what: String,
        /// Its format.
        found: u32,
        /// The newest one known here.
        known: u32,
    },
    /// No room left for the state.
    #[error(
        "no space left for the state at {path}: free some and try again; a rollout goes on with `patchyard resume`"
    )]
    NoSpace {
        /// The database file.
        path: String,
    },
    /// The state cannot be used.
    #[error("cannot use the state at {path}: {reason}")]
    Unusable {
        /// The file or directory.
        path: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A stored value cannot be read back.
    #[error("the state at {path} is damaged: {reason}")]
    Damaged {
        /// The database file.
        path: String,
        /// What was found.
        reason: String,
    },
    /// Somebody else holds the lock.
    #[error("{name} is in use by {holder}")]
    Locked {
        /// The lock.
        name: String,
        /// Who holds it: process id and verb, as they wrote it.
        holder: String,
    },
}

/// Events for one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Where to.
    pub stream: Stream,
    /// The last sequence number the writer knows; `None` appends behind whatever is there.
    pub expected: Option<u64>,
    /// What happened, in order.
    pub bodies: Vec<EventBody>,
}

/// A held lock; dropping it lets go. The kernel lets go of it too when the process dies.
pub struct LockGuard(pub Box<dyn Send + Sync>);

/// The event log, the plans, remembered answers, locks.
#[async_trait]
pub trait Store: Send + Sync {
    /// Appends to one or more streams in one transaction, durably: all or nothing. Returns the
    /// events as stored.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a stream is not where the writer expected it.
    async fn append(&self, at: Timestamp, batch: Vec<Append>) -> Result<Vec<Event>, StoreError>;

    /// The events of a stream after a sequence number, in order.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for an event this version does not know.
    async fn read(&self, stream: Stream, after: u64) -> Result<Vec<Event>, StoreError>;

    /// Every rollout there is, oldest first.
    async fn rollouts(&self) -> Result<Vec<RolloutId>, StoreError>;

    /// Keeps a plan under its digest; keeping it again changes nothing but its `about`.
    async fn save_plan(&self, plan: &Plan) -> Result<(), StoreError>;

    /// Plans whose digest starts with these hex digits, newest first.
    async fn find_plans(&self, prefix: &str) -> Result<Vec<PlanDigest>, StoreError>;

    /// A plan by its digest.
    async fn load_plan(&self, digest: &PlanDigest) -> Result<Option<Plan>, StoreError>;

    /// Remembers an answer (JSON) under a key, replacing an older one.
    async fn remember(&self, key: &str, at: Timestamp, answer: &str) -> Result<(), StoreError>;

    /// The remembered answer and when it was given.
    async fn recall(&self, key: &str) -> Result<Option<(Timestamp, String)>, StoreError>;

    /// Forgets what was made before a moment: plans, but for those kept, and answers. Returns how many plans went.
    async fn forget(&self, before: Timestamp, kept: &BTreeSet<PlanDigest>) -> Result<u64, StoreError>;

    /// Takes a kernel lock, or says who has it. Never waits.
    ///
    /// # Errors
    /// [`StoreError::Locked`] with what the holder wrote about itself.
    fn lock(&self, name: &str, about_me: &str) -> Result<LockGuard, StoreError>;

    /// Whether the room set aside for a full disk has been spent: what has begun can still be written
    /// to its end, and the engine starts nothing new.
    fn is_low(&self) -> bool;

    /// The head of the hash chain.
    async fn audit_head(&self) -> Result<AuditHead, StoreError>;

    /// Walks the whole hash chain. With `expected`, a head printed earlier, a truncated log is
    /// noticed too.
    async fn audit_verify(&self, expected: Option<AuditHead>) -> Result<AuditReport, StoreError>;
}

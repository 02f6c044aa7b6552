//! Patchyard's state in an SQLite database: the event log with its hash chain, plans, answers, locks.
//!
//! Every call is one short transaction; several processes share the database (WAL). The state
//! directory holds `patchyard.db`, `locks/` and `reserve`, all private to their owner.

mod error;
mod locks;
mod log;
mod open;
mod plans;
mod reserve;
mod upcast;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use patchyard_contract::{Append, AuditHead, AuditReport, LockGuard, Store, StoreError};
use patchyard_types::{Event, Plan, PlanDigest, RolloutId, Stream};
use rusqlite::Connection;
use tokio::sync::oneshot;

use error::Place;
use locks::Attempt;
use log::Batch;
use reserve::Reserve;

/// Name of the database file inside the state directory.
pub const DATABASE: &str = "patchyard.db";

/// The store.
pub struct SqliteStore {
    inner: Arc<Inner>,
    controller: String,
}

struct Inner {
    place: Place,
    reserve: Reserve,
    connection: Mutex<Connection>,
    /// What is to be appended by whoever has the connection next.
    waiting: Mutex<Vec<Waiting>>,
}

/// A caller's batch, and where its result goes.
struct Waiting {
    batch: Batch,
    tell: oneshot::Sender<Result<Vec<Event>, StoreError>>,
}

impl SqliteStore {
    /// Opens the state in a directory, creating what is missing: directories 0700, files 0600.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when there is no writing there, [`StoreError::Newer`] when a newer
    /// version was here, [`StoreError::NoSpace`] and [`StoreError::Damaged`].
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let place = Place { dir: dir.to_owned(), database: dir.join(DATABASE) };
        let reserve = Reserve::new(dir);
        let connection = open::open(&place, &reserve)?;
        reserve.make();
        let controller = connection
            .query_row("select value from meta where key = 'controller'", [], |row| row.get(0))
            .map_err(|error| place.sql(error))?;
        let inner = Inner { place, reserve, connection: Mutex::new(connection), waiting: Mutex::default() };
        Ok(Self { inner: Arc::new(inner), controller })
    }

    /// The random name of this controller, 16 hex digits; it is as old as the database.
    #[must_use]
    pub fn controller(&self) -> &str {
        &self.controller
    }

    /// Does a transaction where it may wait for the disk without holding up other tasks.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, &mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        let task = tokio::task::spawn_blocking(move || {
            // A panic leaves no transaction behind: dropping it has rolled it back.
            let mut connection = inner.connection.lock().unwrap_or_else(PoisonError::into_inner);
            work(&inner, &mut connection)
        });
        match task.await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(self.inner.is_ending()),
        }
    }
}

impl Inner {
    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ending(&self) -> StoreError {
        self.place.unusable(&self.place.database, "patchyard is ending")
    }

    /// Appends all that waits by now: while one transaction waits for the disk, those come together that the next
    /// one takes along.
    fn append_waiting(&self, connection: &mut Connection) {
        let waiting = std::mem::take(&mut *self.waiting());
        if waiting.is_empty() {
            return;
        }
        let batches: Vec<&Batch> = waiting.iter().map(|waiting| &waiting.batch).collect();
        let mut append = |batches: &[&Batch]| self.spending(|| log::append(&self.place, connection, batches));
        let results = match append(&batches) {
            Ok(results) => results,
            Err(error) if waiting.len() == 1 => vec![Err(error)],
            // What befell them together, each is told for itself, or gets through alone.
            Err(_) => {
                let alone = |batch| append(&[batch]).and_then(|mut results| results.remove(0));
                batches.into_iter().map(alone).collect()
            }
        };
        for (Waiting { tell, .. }, result) in waiting.into_iter().zip(results) {
            // Somebody who does not wait any more has no use for it.
            let _ = tell.send(result);
        }
    }

    /// Does what must not fail for lack of room; the reserve is for this.
    fn spending<T>(&self, mut work: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
        match work() {
            Err(StoreError::NoSpace { .. }) if self.reserve.spend() => work(),
            done => done,
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn append(&self, at: Timestamp, appends: Vec<Append>) -> Result<Vec<Event>, StoreError> {
        let (tell, told) = oneshot::channel();
        self.inner.waiting().push(Waiting { batch: Batch { at, appends }, tell });
        self.with(|inner, connection| {
            inner.append_waiting(connection);
            Ok(())
        })
        .await?;
        // Whoever took it along has ended without a word only if the process ends.
        told.await.unwrap_or_else(|_| Err(self.inner.is_ending()))
    }

    async fn read(&self, stream: Stream, after: u64) -> Result<Vec<Event>, StoreError> {
        self.with(move |inner, connection| log::read(&inner.place, connection, stream, after)).await
    }

    async fn rollouts(&self) -> Result<Vec<RolloutId>, StoreError> {
        self.with(|inner, connection| log::rollouts(&inner.place, connection)).await
    }

    async fn save_plan(&self, plan: &Plan) -> Result<(), StoreError> {
        let row = plans::Row::new(plan);
        self.with(move |inner, connection| plans::save(&inner.place, connection, &row)).await
    }

    async fn find_plans(&self, prefix: &str) -> Result<Vec<PlanDigest>, StoreError> {
        let prefix = prefix.to_owned();
        self.with(move |inner, connection| plans::find(&inner.place, connection, &prefix)).await
    }

    async fn load_plan(&self, digest: &PlanDigest) -> Result<Option<Plan>, StoreError> {
        let digest = *digest;
        self.with(move |inner, connection| plans::load(&inner.place, connection, &digest)).await
    }

    async fn remember(&self, key: &str, at: Timestamp, answer: &str) -> Result<(), StoreError> {
        let (key, answer) = (key.to_owned(), answer.to_owned());
        self.with(move |inner, connection| plans::remember(&inner.place, connection, &key, at, &answer)).await
    }

    async fn recall(&self, key: &str) -> Result<Option<(Timestamp, String)>, StoreError> {
        let key = key.to_owned();
        self.with(move |inner, connection| plans::recall(&inner.place, connection, &key)).await
    }

    async fn forget(&self, before: Timestamp, kept: &BTreeSet<PlanDigest>) -> Result<u64, StoreError> {
        let kept = kept.clone();
        self.with(move |inner, connection| plans::forget(&inner.place, connection, before, &kept)).await
    }

    fn lock(&self, name: &str, about_me: &str) -> Result<LockGuard, StoreError> {
        let Inner { place, .. } = &*self.inner;
        let dir = open::locks_dir(place);
        let attempt = || locks::attempt(&dir, name, about_me).map_err(|error| place.io(&dir, &error));
        match self.inner.spending(attempt)? {
            Attempt::Taken(held) => Ok(LockGuard(Box::new(held))),
            Attempt::HeldBy(holder) => Err(StoreError::Locked { name: name.to_owned(), holder }),
        }
    }

    fn is_low(&self) -> bool {
        self.inner.reserve.is_spent()
    }

    async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        self.with(|inner, connection| log::head(&inner.place, connection)).await
    }

    async fn audit_verify(&self, expected: Option<AuditHead>) -> Result<AuditReport, StoreError> {
        self.with(move |inner, connection| log::verify(&inner.place, connection, expected)).await
    }
}

//! A store that kills its controller at a chosen append, before or after the events are written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use patchyard_contract::{Append, AuditHead, AuditReport, LockGuard, Store, StoreError};
use patchyard_store_memory::MemoryStore;
use patchyard_types::{Event, Plan, PlanDigest, RolloutId, Stream};
use tokio::sync::Notify;

/// When the controller dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashAt {
    /// So many appends succeed before.
    pub append: i64,
    /// Whether the fatal append is still written.
    pub written: bool,
}

/// The store as a mortal controller sees it.
pub struct CrashingStore {
    inner: MemoryStore,
    left: AtomicI64,
    written: bool,
    died: Arc<Notify>,
}

impl CrashingStore {
    /// A view of a store; `died` is notified at the crash, after which nothing returns any more.
    #[must_use]
    pub fn new(inner: MemoryStore, at: Option<CrashAt>, died: Arc<Notify>) -> Self {
        let left = AtomicI64::new(at.map_or(i64::MAX, |at| at.append));
        Self { inner, left, written: at.is_some_and(|at| at.written), died }
    }
}

#[async_trait]
impl Store for CrashingStore {
    async fn append(&self, at: Timestamp, batch: Vec<Append>) -> Result<Vec<Event>, StoreError> {
        if self.left.fetch_sub(1, Ordering::Relaxed) > 0 {
            return self.inner.append(at, batch).await;
        }
        if self.written {
            let _ = self.inner.append(at, batch).await;
        }
        self.died.notify_one();
        std::future::pending().await
    }

    async fn read(&self, stream: Stream, after: u64) -> Result<Vec<Event>, StoreError> {
        self.inner.read(stream, after).await
    }

    async fn rollouts(&self) -> Result<Vec<RolloutId>, StoreError> {
        self.inner.rollouts().await
    }

    async fn save_plan(&self, plan: &Plan) -> Result<(), StoreError> {
        self.inner.save_plan(plan).await
    }

    async fn find_plans(&self, prefix: &str) -> Result<Vec<PlanDigest>, StoreError> {
        self.inner.find_plans(prefix).await
    }

    async fn load_plan(&self, digest: &PlanDigest) -> Result<Option<Plan>, StoreError> {
        self.inner.load_plan(digest).await
    }

    async fn remember(&self, key: &str, at: Timestamp, answer: &str) -> Result<(), StoreError> {
        self.inner.remember(key, at, answer).await
    }

    async fn recall(&self, key: &str) -> Result<Option<(Timestamp, String)>, StoreError> {
        self.inner.recall(key).await
    }

    async fn forget(&self, before: Timestamp, kept: &BTreeSet<PlanDigest>) -> Result<u64, StoreError> {
        self.inner.forget(before, kept).await
    }

    fn lock(&self, name: &str, about_me: &str) -> Result<LockGuard, StoreError> {
        self.inner.lock(name, about_me)
    }

    fn is_low(&self) -> bool {
        self.inner.is_low()
    }

    async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        self.inner.audit_head().await
    }

    async fn audit_verify(&self, expected: Option<AuditHead>) -> Result<AuditReport, StoreError> {
        self.inner.audit_verify(expected).await
    }
}

//! A store that lives in memory and forgets: ten thousand simulated rollouts run on it.
//!
//! Appending is a push; the hash chain is computed when somebody asks for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use patchyard_contract::{Append, AuditEntry, AuditHead, AuditReport, Auditor, LockGuard, Store, StoreError};
use patchyard_types::{Event, Plan, PlanDigest, RolloutId, SCHEMA_VERSION, Stream, canonical_json};

/// The store. Clones share their contents, as several processes share a database.
#[derive(Clone, Default)]
pub struct MemoryStore {
    inner: Arc<Mutex<Inner>>,
    locks: Arc<Mutex<BTreeMap<String, String>>>,
}

#[derive(Default)]
struct Inner {
    streams: HashMap<Stream, Vec<Event>>,
    /// Every entry in the order of writing: its stream and its index there.
    log: Vec<(Stream, usize)>,
    rollouts: BTreeSet<RolloutId>,
    plans: BTreeMap<PlanDigest, Plan>,
    answers: HashMap<String, (Timestamp, String)>,
    low: bool,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Pretends that the room set aside for a full disk was spent, or is there again.
    pub fn set_low(&self, low: bool) {
        self.inner().low = low;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing below panics between two related changes, so what a panicking holder left is whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn len(&self, stream: Stream) -> usize {
        self.streams.get(&stream).map_or(0, Vec::len)
    }

    /// Checks what every writer expects before anything is written: all or nothing.
    fn check(&self, batch: &[Append]) -> Result<(), StoreError> {
        for (index, append) in batch.iter().enumerate() {
            let Some(expected) = append.expected else { continue };
            let earlier: usize =
                batch[..index].iter().filter(|a| a.stream == append.stream).map(|a| a.bodies.len()).sum();
            let found = (self.len(append.stream) + earlier) as u64;
            if found != expected {
                return Err(StoreError::Conflict { stream: append.stream, expected, found });
            }
        }
        Ok(())
    }

    fn walk(&self, mut visit: impl FnMut(&AuditEntry<'_>)) {
        for (position, (stream, index)) in (1..).zip(&self.log) {
            let event = &self.streams[stream][*index];
            visit(&AuditEntry {
                position,
                stream: &stream.to_string(),
                seq: event.seq,
                schema_version: SCHEMA_VERSION,
                at: &event.at.to_string(),
                body: &canonical_json(&event.body),
            });
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn append(&self, at: Timestamp, batch: Vec<Append>) -> Result<Vec<Event>, StoreError> {
        let mut inner = self.inner();
        inner.check(&batch)?;
        let mut stored = Vec::new();
        for Append { stream, expected: _, bodies } in batch {
            if let Stream::Rollout(id) = stream
                && !bodies.is_empty()
            {
                inner.rollouts.insert(id);
            }
            for body in bodies {
                let index = inner.len(stream);
                let event = Event { stream, seq: index as u64 + 1, at, body };
                inner.streams.entry(stream).or_default().push(event.clone());
                inner.log.push((stream, index));
                stored.push(event);
            }
        }
        Ok(stored)
    }

    async fn read(&self, stream: Stream, after: u64) -> Result<Vec<Event>, StoreError> {
        let inner = self.inner();
        let events = inner.streams.get(&stream).map_or(&[][..], Vec::as_slice);
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        Ok(events.get(after..).unwrap_or_default().to_vec())
    }

    async fn rollouts(&self) -> Result<Vec<RolloutId>, StoreError> {
        Ok(self.inner().rollouts.iter().copied().collect())
    }

    async fn save_plan(&self, plan: &Plan) -> Result<(), StoreError> {
        self.inner().plans.insert(plan.digest(), plan.clone());
        Ok(())
    }

    async fn find_plans(&self, prefix: &str) -> Result<Vec<PlanDigest>, StoreError> {
        let inner = self.inner();
        let mut found: Vec<_> = inner
            .plans
            .iter()
            .map(|(digest, plan)| (digest.to_string(), plan.about.created_at, *digest))
            .filter(|(hex, _, _)| hex.starts_with(&prefix.to_ascii_lowercase()))
            .collect();
        found.sort_by(|(hex_a, at_a, _), (hex_b, at_b, _)| at_b.cmp(at_a).then_with(|| hex_a.cmp(hex_b)));
        Ok(found.into_iter().map(|(_, _, digest)| digest).collect())
    }

    async fn load_plan(&self, digest: &PlanDigest) -> Result<Option<Plan>, StoreError> {
        Ok(self.inner().plans.get(digest).cloned())
    }

    async fn remember(&self, key: &str, at: Timestamp, answer: &str) -> Result<(), StoreError> {
        self.inner().answers.insert(key.to_owned(), (at, answer.to_owned()));
        Ok(())
    }

    async fn recall(&self, key: &str) -> Result<Option<(Timestamp, String)>, StoreError> {
        Ok(self.inner().answers.get(key).cloned())
    }

    async fn forget(&self, before: Timestamp, kept: &BTreeSet<PlanDigest>) -> Result<u64, StoreError> {
        let mut inner = self.inner();
        inner.answers.retain(|_, (at, _)| *at >= before);
        let had = inner.plans.len();
        inner.plans.retain(|digest, plan| plan.about.created_at >= before || kept.contains(digest));
        Ok((had - inner.plans.len()) as u64)
    }

    fn lock(&self, name: &str, about_me: &str) -> Result<LockGuard, StoreError> {
        let mut held = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(holder) = held.get(name) {
            return Err(StoreError::Locked { name: name.to_owned(), holder: holder.clone() });
        }
        held.insert(name.to_owned(), about_me.to_owned());
        drop(held);
        Ok(LockGuard(Box::new(Held { locks: Arc::clone(&self.locks), name: name.to_owned() })))
    }

    fn is_low(&self) -> bool {
        self.inner().low
    }

    async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        let mut head = AuditHead::START;
        self.inner().walk(|entry| head = head.then(entry));
        Ok(head)
    }

    async fn audit_verify(&self, expected: Option<AuditHead>) -> Result<AuditReport, StoreError> {
        let mut auditor = Auditor::new(expected);
        let mut head = AuditHead::START;
        self.inner().walk(|entry| {
            head = head.then(entry);
            auditor.visit(entry, &head.hash.to_string());
        });
        Ok(auditor.finish())
    }
}

/// A held lock.
struct Held {
    locks: Arc<Mutex<BTreeMap<String, String>>>,
    name: String,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl patchyard_contract::suite::store::Fixture for MemoryStore {
        fn open(&self) -> Arc<dyn Store> {
            Arc::new(self.clone())
        }
    }

    patchyard_contract::store_suite!(MemoryStore::new());
}

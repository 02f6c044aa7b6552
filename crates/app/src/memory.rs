//! The providers' memory: the store's, with the answers that are remembered there.

use std::sync::Arc;

use async_trait::async_trait;
use patchyard_contract::{Clock, Memory, Store};

/// Keeps facts in a store. Where that fails they are found out again: the store's trouble shows elsewhere.
pub struct StoreMemory {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Memory for StoreMemory {
    async fn recall(&self, key: &str) -> Option<String> {
        Some(self.store.recall(key).await.ok()??.1)
    }

    async fn remember(&self, key: &str, fact: &str) {
        let _ = self.store.remember(key, self.clock.now(), fact).await;
    }
}

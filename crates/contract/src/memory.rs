//! Memory: facts that stay true, kept from one process to the next.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

/// What a provider keeps of what never changes, such as the content of an image under its id. Nothing depends on it:
/// a fact that is forgotten is found out again.
#[async_trait]
pub trait Memory: Send + Sync {
    /// The fact under a key (JSON), where there is one.
    async fn recall(&self, key: &str) -> Option<String>;

    /// Keeps a fact, if that is possible.
    async fn remember(&self, key: &str, fact: &str);
}

/// Remembers nothing.
#[async_trait]
impl Memory for () {
    async fn recall(&self, _: &str) -> Option<String> {
        None
    }

    async fn remember(&self, _: &str, _: &str) {}
}

/// Remembers for as long as it lives.
#[async_trait]
impl Memory for Mutex<BTreeMap<String, String>> {
    async fn recall(&self, key: &str) -> Option<String> {
        self.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    async fn remember(&self, key: &str, fact: &str) {
        self.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), fact.to_owned());
    }
}

//! The store contract, on a database.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;

use patchyard_contract::Store;
use patchyard_store_sqlite::SqliteStore;

struct Directory(tempfile::TempDir);

impl patchyard_contract::suite::store::Fixture for Directory {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(self.0.path()).unwrap())
    }
}

patchyard_contract::store_suite!(Directory(tempfile::tempdir().unwrap()));

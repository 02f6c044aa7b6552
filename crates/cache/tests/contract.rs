//! The package cache contract, on the file system.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;

use patchyard_cache::FileCache;
use patchyard_contract::PackageCache;

struct Directory(tempfile::TempDir);

impl patchyard_contract::suite::cache::Fixture for Directory {
    fn open(&self) -> Arc<dyn PackageCache> {
        Arc::new(FileCache::open(&self.0.path().join("cache")).unwrap())
    }
}

patchyard_contract::cache_suite!(Directory(tempfile::tempdir().unwrap()));

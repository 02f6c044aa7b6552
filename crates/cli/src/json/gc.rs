//! `patchyard.gc/v1`

use patchyard_app::gc::Collection;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub struct GcDocument {
    schema: &'static str,
    dry_run: bool,
    leftovers: Vec<LeftoverJson>,
    cache_files: u64,
    cache_bytes: u64,
    failed: Vec<FailedJson>,
}

#[derive(Debug, Serialize)]
struct LeftoverJson {
    host: String,
    kind: String,
    name: String,
    run: Option<String>,
    size: u64,
    failed: Option<String>,
}

#[derive(Debug, Serialize)]
struct FailedJson {
    host: String,
    reason: String,
}

impl GcDocument {
    pub fn new(found: &Collection, dry_run: bool) -> Self {
        let leftovers = found.leftovers.iter().map(|(host, leftover, failed)| LeftoverJson {
            host: host.clone(),
            kind: leftover.kind.clone(),
            name: leftover.name.clone(),
            run: leftover.run.map(|run| run.to_string()),
            size: leftover.size,
            failed: failed.clone(),
        });
        let failed = found
            .failed
            .iter()
            .map(|(host, reason)| FailedJson { host: host.clone(), reason: reason.clone() });
        Self {
            schema: "patchyard.gc/v1",
            dry_run,
            leftovers: leftovers.collect(),
            cache_files: found.cache.files,
            cache_bytes: found.cache.bytes,
            failed: failed.collect(),
        }
    }
}

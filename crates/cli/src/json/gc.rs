//! `patchyard.gc/v1`: what nothing needed any more, and what became of it.

use patchyard_app::Leftover;
use patchyard_app::gc::{Collection, Fate};
use serde::Serialize;

/// What `gc` removed, or with `--dry-run` would.
#[derive(Debug, Serialize)]
pub struct GcDocument {
    schema: &'static str,
    dry_run: bool,
    leftovers: Vec<LeftoverJson>,
    cache: CacheJson,
    /// Plans that went, or would.
    plans: u64,
    /// Hosts that could not be asked.
    not_asked: Vec<NotAskedJson>,
}

#[derive(Debug, Serialize)]
struct LeftoverJson {
    host: String,
    kind: String,
    name: String,
    run: Option<String>,
    /// `null` where it is not known.
    size: Option<u64>,
    /// `found`, `removed`, `kept`, `failed`.
    fate: &'static str,
    /// Why it could not be removed.
    failed: Option<String>,
}

/// Files that went from the package cache, or would.
#[derive(Debug, Serialize)]
struct CacheJson {
    files: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct NotAskedJson {
    host: String,
    reason: String,
}

impl GcDocument {
    /// What was found, and whether it was only looked for.
    pub fn new(found: &Collection, dry_run: bool) -> Self {
        let Collection { leftovers, cache, plans, failed } = found;
        let leftovers = leftovers.iter().map(|(host, leftover, fate)| {
            let Leftover { kind, name, run, size } = leftover;
            LeftoverJson {
                host: host.clone(),
                kind: kind.clone(),
                name: name.clone(),
                run: run.map(|run| run.to_string()),
                size: (*size > 0).then_some(*size),
                fate: match fate {
                    Fate::Found => "found",
                    Fate::Removed => "removed",
                    Fate::Kept => "kept",
                    Fate::Failed(_) => "failed",
                },
                failed: match fate {
                    Fate::Failed(reason) => Some(reason.clone()),
                    _ => None,
                },
            }
        });
        let not_asked =
            failed.iter().map(|(host, reason)| NotAskedJson { host: host.clone(), reason: reason.clone() });
        Self {
            schema: "patchyard.gc/v1",
            dry_run,
            leftovers: leftovers.collect(),
            cache: CacheJson { files: cache.files, bytes: cache.bytes },
            plans: *plans,
            not_asked: not_asked.collect(),
        }
    }
}

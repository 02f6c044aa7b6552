//! `patchyard.log/v1`

use serde::Serialize;

#[derive(Debug, Serialize)]
pub struct LogDocument {
    schema: &'static str,
    rollout: String,
    entries: Vec<LogEntryJson>,
}

/// One entry, in words.
#[derive(Debug, Serialize)]
pub struct LogEntryJson {
    pub at: String,
    pub stream: String,
    pub target: Option<String>,
    pub text: String,
}

impl LogDocument {
    pub fn new(rollout: patchyard_types::RolloutId, entries: Vec<LogEntryJson>) -> Self {
        Self { schema: "patchyard.log/v1", rollout: rollout.to_string(), entries }
    }
}

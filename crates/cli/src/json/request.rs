//! `patchyard.request/v1`: what came of asking a rollout to pause or to abort.

use patchyard_app::Asked;
use patchyard_types::{Request, RolloutId};
use serde::Serialize;

use super::words;

/// A request and its answer.
#[derive(Debug, Serialize)]
pub struct RequestDocument {
    schema: &'static str,
    rollout: String,
    request: &'static str,
    answer: &'static str,
}

impl RequestDocument {
    /// What was asked of a rollout, and what came of it.
    pub fn new(rollout: RolloutId, request: Request, asked: Asked) -> Self {
        Self {
            schema: "patchyard.request/v1",
            rollout: rollout.to_string(),
            request: words::request(request),
            answer: match asked {
                Asked::Acknowledged => "acknowledged",
                Asked::Resting => "resting",
                Asked::Silent => "silent",
            },
        }
    }
}

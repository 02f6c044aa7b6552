//! The simulated clock: tokio's, which stands still while there is work and jumps when there is none.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use patchyard_contract::Clock;
use tokio::time::Instant;

/// A clock that starts at a fixed date. Use it in a runtime whose time is paused.
pub struct SimClock {
    began: Instant,
}

/// 2026-01-01T00:00:00Z: every simulation begins here.
const EPOCH_SECONDS: i64 = 1_767_225_600;

impl SimClock {
    /// A clock that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self { began: Instant::now() }
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::ZERO);
        let epoch = Timestamp::from_second(EPOCH_SECONDS).unwrap_or(Timestamp::UNIX_EPOCH);
        epoch.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    async fn sleep(&self, duration: Duration) {
        if !duration.is_zero() {
            tokio::time::sleep(duration).await;
        }
    }
}

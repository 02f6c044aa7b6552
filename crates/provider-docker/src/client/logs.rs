//! What a container has printed.

use std::time::Duration;

use super::exec::frames;
use super::{ApiError, Client};

/// How long the last lines may take in all: one line can be a gigabyte.
const PATIENCE: Duration = Duration::from_secs(10);

impl Client {
    /// The last `lines` lines of a container's output, both streams in the order they came; of very
    /// long ones the last `limit` bytes.
    ///
    /// # Errors
    /// See [`ApiError`]; a log driver that cannot be read back is one (engine API, `ContainerLogs`).
    pub async fn last_lines(
        &self,
        container: &str,
        tty: bool,
        lines: u32,
        limit: usize,
    ) -> Result<Vec<u8>, ApiError> {
        let whole = self.read_last_lines(container, tty, lines, limit);
        match tokio::time::timeout(PATIENCE, whole).await {
            Ok(read) => read,
            Err(_) => Err(ApiError::Timeout { what: "the last lines".to_owned(), after: PATIENCE }),
        }
    }

    async fn read_last_lines(
        &self,
        container: &str,
        tty: bool,
        lines: u32,
        limit: usize,
    ) -> Result<Vec<u8>, ApiError> {
        let request = self.get(&["containers", container, "logs"]).query("stdout", "1").query("stderr", "1");
        let mut body = request.query("tail", &lines.to_string()).stream().await?;
        let mut kept = Vec::new();
        let mut keep = |chunk: &[u8]| {
            kept.extend_from_slice(chunk);
            kept.drain(..kept.len().saturating_sub(limit));
        };
        if tty {
            // A terminal has one output, and the engine sends it as it is.
            while let Some(chunk) = body.chunk().await? {
                keep(&chunk);
            }
        } else {
            frames(&mut body, |_, chunk| keep(chunk)).await?;
        }
        Ok(kept)
    }
}

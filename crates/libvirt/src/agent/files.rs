//! Files in a guest, in pieces: an answer of the agent has to be small.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{Agent, decode, no_sense};
use crate::LibvirtError;
use crate::calls::MOST_ASKED;

/// The most of a file that is read at once, in bytes. In base64 and with what is around it, it stays below what
/// libvirt hands on (4 MiB). Larger pieces would be no faster: the guest's processor is what takes the time.
const READ: usize = 1024 * 1024;
/// The most of a file that is written at once, in bytes. In base64 it is two thirds of what may be asked.
const WRITTEN: usize = MOST_ASKED / 2;

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Read,
    Write,
}

impl Agent {
    /// Reads a file, of at most `most` bytes.
    ///
    /// # Errors
    /// [`LibvirtError::AgentRefused`] when there is none, or it cannot be read; [`LibvirtError::Protocol`]
    /// when it is larger.
    pub async fn read_file(&self, path: &str, most: usize) -> Result<Vec<u8>, LibvirtError> {
        let handle = self.open(path, Mode::Read).await?;
        let read = self.read_all(handle, most).await;
        // A handle that stays open is lost to the agent: it is closed whatever came of it.
        self.shut(handle).await.and(read)
    }

    /// Writes a file, which is made when it is not there, and emptied before when it is.
    ///
    /// # Errors
    /// [`LibvirtError::AgentRefused`] when it cannot be written.
    pub async fn write_file(&self, path: &str, bytes: &[u8]) -> Result<(), LibvirtError> {
        let handle = self.open(path, Mode::Write).await?;
        let written = self.write_all(handle, bytes).await;
        // What is written late fails when the file is closed.
        written.and(self.shut(handle).await)
    }

    async fn read_all(&self, handle: i64, most: usize) -> Result<Vec<u8>, LibvirtError> {
        let mut all = Vec::new();
        loop {
            let (piece, is_end) = self.read(handle, READ).await?;
            all.extend_from_slice(&piece);
            if all.len() > most {
                return Err(no_sense("guest-file-read", &format!("there are more than {most} bytes")));
            }
            if is_end || piece.is_empty() {
                return Ok(all);
            }
        }
    }

    async fn write_all(&self, handle: i64, bytes: &[u8]) -> Result<(), LibvirtError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = self.write(handle, &rest[..rest.len().min(WRITTEN)]).await?;
            rest = match rest.get(written..) {
                Some(left) if written > 0 => left,
                _ => return Err(no_sense("guest-file-write", &format!("it says it wrote {written} bytes"))),
            };
        }
        Ok(())
    }

    /// `guest-file-open`.
    async fn open(&self, path: &str, mode: Mode) -> Result<i64, LibvirtError> {
        let mode = match mode {
            Mode::Read => "r",
            Mode::Write => "w",
        };
        let answer = self.ask("guest-file-open", Some(json!({"path": path, "mode": mode}))).await?;
        answer.as_i64().ok_or_else(|| no_sense("guest-file-open", "it is no handle"))
    }

    /// `guest-file-read`: bytes, and whether they are the last.
    async fn read(&self, handle: i64, most: usize) -> Result<(Vec<u8>, bool), LibvirtError> {
        let answer = self.ask("guest-file-read", Some(json!({"handle": handle, "count": most}))).await?;
        let piece = decode("guest-file-read", answer["buf-b64"].as_str().unwrap_or_default())?;
        Ok((piece, answer["eof"].as_bool().unwrap_or_default()))
    }

    /// `guest-file-write`: how many bytes were.
    async fn write(&self, handle: i64, bytes: &[u8]) -> Result<usize, LibvirtError> {
        let fields = json!({"handle": handle, "buf-b64": STANDARD.encode(bytes)});
        let answer = self.ask("guest-file-write", Some(fields)).await?;
        let count = answer["count"].as_u64().and_then(|count| usize::try_from(count).ok());
        count.ok_or_else(|| no_sense("guest-file-write", "it has no count"))
    }

    /// `guest-file-close`.
    async fn shut(&self, handle: i64) -> Result<(), LibvirtError> {
        self.ask("guest-file-close", Some(json!({"handle": handle}))).await.map(|_| ())
    }
}

//! Answers as they come: bytes with a time limit between two pieces, and streams of JSON values.

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{ApiError, Body};

/// The longest line of a progress stream.
const LINE_LIMIT: usize = 1024 * 1024;
/// How much of a file is handed on at a time.
const CHUNK: usize = 64 * 1024;

/// The body of an answer, read piece by piece.
pub struct BodyReader {
    body: Body,
    rest: Bytes,
    what: String,
    timeout: Duration,
}

impl BodyReader {
    /// Reads `body`; `what` names it in messages, `timeout` is the longest wait between two pieces.
    pub fn new<B>(body: B, what: String, timeout: Duration) -> Self
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self { body: body.map_err(io::Error::other).boxed_unsync(), rest: Bytes::new(), what, timeout }
    }

    /// The call it answers, for messages.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The next piece, never an empty one; `None` at the end.
    ///
    /// # Errors
    /// When the connection breaks or nothing comes in time.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ApiError> {
        while self.rest.is_empty() {
            match tokio::time::timeout(self.timeout, self.body.frame()).await {
                Err(_) => return Err(ApiError::Timeout { what: self.what.clone(), after: self.timeout }),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => {
                    return Err(ApiError::Lost { reason: format!("{}: {error}", self.what) });
                }
                Ok(Some(Ok(frame))) => self.rest = frame.into_data().unwrap_or_default(),
            }
        }
        Ok(Some(std::mem::take(&mut self.rest)))
    }

    /// The next piece, at most `limit` bytes of it.
    ///
    /// # Errors
    /// As [`BodyReader::chunk`].
    pub async fn chunk_up_to(&mut self, limit: usize) -> Result<Option<Bytes>, ApiError> {
        Ok(self.chunk().await?.map(|mut chunk| {
            if chunk.len() > limit {
                self.rest = chunk.split_off(limit);
            }
            chunk
        }))
    }

    /// Fills `buffer`; false at a clean end before its first byte.
    ///
    /// # Errors
    /// [`ApiError::Lost`] when the answer ends in the middle of it.
    pub async fn fill(&mut self, buffer: &mut [u8]) -> Result<bool, ApiError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.chunk_up_to(buffer.len() - filled).await? {
                Some(chunk) => {
                    buffer[filled..filled + chunk.len()].copy_from_slice(&chunk);
                    filled += chunk.len();
                }
                None if filled == 0 => return Ok(false),
                None => return Err(ApiError::Lost { reason: format!("{}: it ends early", self.what) }),
            }
        }
        Ok(true)
    }

    /// All of it, at most `limit` bytes.
    ///
    /// # Errors
    /// [`ApiError::TooLarge`] beyond the limit.
    pub async fn all(&mut self, limit: u64) -> Result<Vec<u8>, ApiError> {
        let mut out = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if (out.len() + chunk.len()) as u64 > limit {
                return Err(ApiError::too_large(self.what.clone(), limit));
            }
            out.extend_from_slice(&chunk);
        }
        Ok(out)
    }

    /// As the body of another request: what one container has goes to another without a stop here.
    #[must_use]
    pub fn into_body(self) -> Body {
        let frames = futures_util::stream::try_unfold(self, |mut reader| async move {
            let chunk = reader.chunk().await.map_err(io::Error::other)?;
            Ok(chunk.map(|chunk| (Frame::data(chunk), reader)))
        });
        StreamBody::new(frames).boxed_unsync()
    }
}

/// A file, or any other reader, as the body of a request.
pub fn reader_body(reader: impl AsyncRead + Send + Unpin + 'static) -> Body {
    let frames = futures_util::stream::try_unfold(reader, |mut reader| async move {
        let mut buffer = BytesMut::with_capacity(CHUNK);
        let read = reader.read_buf(&mut buffer).await?;
        Ok::<_, io::Error>((read > 0).then(|| (Frame::data(buffer.freeze()), reader)))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// The same body, broken off with an error behind `limit` bytes.
pub fn limited(body: Body, what: &str, limit: u64) -> Body {
    let what = what.to_owned();
    let mut left = limit;
    let frames = body.into_data_stream().map(move |chunk| {
        let chunk: Bytes = chunk?;
        left = left
            .checked_sub(chunk.len() as u64)
            .ok_or_else(|| io::Error::other(ApiError::too_large(what.clone(), limit)))?;
        Ok(Frame::data(chunk))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// A stream of JSON values, one after another; white space between them does not matter.
///
/// Pull, load and build report failures inside such a stream, behind a status of 200: these come out
/// as [`ApiError::Stream`].
pub struct JsonLines {
    body: BodyReader,
    buffer: BytesMut,
}

impl JsonLines {
    pub(super) fn new(body: BodyReader) -> Self {
        Self { body, buffer: BytesMut::new() }
    }

    /// The next value; `None` at the end.
    ///
    /// # Errors
    /// What the engine reports in the stream, and everything of [`BodyReader::chunk`].
    pub async fn next(&mut self) -> Result<Option<Value>, ApiError> {
        loop {
            let mut values = serde_json::Deserializer::from_slice(&self.buffer).into_iter::<Value>();
            match values.next() {
                Some(Ok(value)) => {
                    let used = values.byte_offset();
                    self.buffer.advance(used);
                    let error = value["errorDetail"]["message"].as_str().or_else(|| value["error"].as_str());
                    return match error {
                        Some(error) => Err(ApiError::stream(error)),
                        None => Ok(Some(value)),
                    };
                }
                Some(Err(error)) if !error.is_eof() => {
                    return Err(ApiError::protocol(format!("{}: {error}", self.body.what)));
                }
                // Nothing yet, or the beginning of a value.
                Some(Err(_)) | None => {}
            }
            if self.buffer.len() > LINE_LIMIT {
                return Err(ApiError::too_large(
                    format!("a message of {}", self.body.what),
                    LINE_LIMIT as u64,
                ));
            }
            match self.body.chunk().await? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None if self.buffer.iter().all(u8::is_ascii_whitespace) => return Ok(None),
                None => {
                    return Err(ApiError::Lost {
                        reason: format!("{}: it ends in the middle of a message", self.body.what),
                    });
                }
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A body that arrives in pieces of `size` bytes.
    pub fn pieces(bytes: &[u8], size: usize) -> BodyReader {
        let frames: Vec<_> =
            bytes.chunks(size).map(|c| Ok::<_, io::Error>(Frame::data(Bytes::copy_from_slice(c)))).collect();
        let body = StreamBody::new(futures_util::stream::iter(frames));
        BodyReader::new(body, "test".to_owned(), Duration::from_secs(5))
    }

    #[tokio::test]
    async fn values_are_found_however_the_stream_is_cut() {
        let text = b"{\"status\":\"a\"}\r\n{\"status\":\"b\"}\n\n {\"errorDetail\":{\"message\":\"no\"},\"error\":\"no\"}\n";
        for size in 1..text.len() {
            let mut lines = JsonLines::new(pieces(text, size));
            assert_eq!(lines.next().await.unwrap().unwrap()["status"], "a");
            assert_eq!(lines.next().await.unwrap().unwrap()["status"], "b");
            assert_eq!(lines.next().await, Err(ApiError::stream("no")));
            assert_eq!(lines.next().await, Ok(None));
        }
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_is_an_error() {
        let mut lines = JsonLines::new(pieces(b"{\"a\":", 2));
        assert!(matches!(lines.next().await, Err(ApiError::Lost { .. })));
    }

    #[tokio::test]
    async fn limits_hold() {
        assert_eq!(pieces(b"12345", 2).all(5).await.unwrap(), b"12345");
        assert!(matches!(pieces(b"12345", 2).all(4).await, Err(ApiError::TooLarge { .. })));
        let endless = vec![b' '; 2 * LINE_LIMIT];
        let mut lines = JsonLines::new(pieces(&[b"{\"a\":\"", endless.as_slice()].concat(), 4096));
        assert!(matches!(lines.next().await, Err(ApiError::TooLarge { .. })));
    }
}

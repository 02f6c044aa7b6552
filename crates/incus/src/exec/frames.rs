//! The frames of a websocket (RFC 6455), as far as a program's streams need them.
//!
//! Bytes are in binary messages, a text message says that no more follow. Nothing is negotiated, so there are
//! no extensions.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How much is sent, and read, at a time, in bytes. A server takes a whole message into memory.
const PIECE: usize = 32 * 1024;
/// The most that a ping, a pong or a close may carry.
const CONTROL: u64 = 125;

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const CONTINUED: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Why a stream has no end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The connection broke.
    Lost(String),
    /// What came is no websocket's.
    Protocol(&'static str),
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

/// Sends all of it, and that no more follows.
pub(super) async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    for piece in bytes.chunks(PIECE) {
        frame(stream, BINARY, piece).await?;
    }
    frame(stream, TEXT, &[]).await?;
    stream.flush().await
}

async fn frame(stream: &mut (impl AsyncWrite + Unpin), kind: u8, bytes: &[u8]) -> std::io::Result<()> {
    let mut head = vec![FINAL | kind];
    match (u8::try_from(bytes.len()), u16::try_from(bytes.len())) {
        (Ok(length @ 0..=125), _) => head.push(MASKED | length),
        (_, Ok(length)) => {
            head.push(MASKED | 126);
            head.extend(length.to_be_bytes());
        }
        _ => {
            head.push(MASKED | 127);
            head.extend((bytes.len() as u64).to_be_bytes());
        }
    }
    // A mask keeps web pages from writing what a proxy takes for HTTP. Here is neither: the mask is zero,
    // which leaves the bytes as they are.
    head.extend([0; 4]);
    stream.write_all(&head).await?;
    stream.write_all(bytes).await
}

/// What comes from a server, piece by piece.
pub(super) struct Messages<'a, S> {
    stream: &'a mut S,
    /// Bytes of the frame at hand that are still to come.
    left: u64,
    piece: Vec<u8>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Messages<'a, S> {
    pub(super) fn new(stream: &'a mut S) -> Self {
        Self { stream, left: 0, piece: Vec::new() }
    }

    /// The next bytes; `None` when the server says that no more follow. A connection that ends without that
    /// word is broken.
    pub(super) async fn next(&mut self) -> Result<Option<&[u8]>, Broken> {
        while self.left == 0 {
            let mut head = [0; 2];
            self.stream.read_exact(&mut head).await?;
            let [first, length] = head;
            let (last, kind) = (first & FINAL != 0, first & !FINAL);
            if length & MASKED != 0 {
                return Err(Broken::Protocol("a server's frame is masked"));
            }
            let length = match length {
                126 => u64::from(self.stream.read_u16().await?),
                127 => self.stream.read_u64().await?,
                length => u64::from(length),
            };
            match kind {
                BINARY | CONTINUED => self.left = length,
                TEXT | CLOSE => return Ok(None),
                PING | PONG if last && length <= CONTROL => {
                    self.read(length).await?;
                    if kind == PING {
                        // A server that has hung up since may have said that no more follow: it is read to its end.
                        let _ = frame(self.stream, PONG, &self.piece).await;
                        let _ = self.stream.flush().await;
                    }
                }
                _ => return Err(Broken::Protocol("a frame of no known kind")),
            }
        }
        let length = self.left.min(PIECE as u64);
        self.left -= length;
        self.read(length).await?;
        Ok(Some(&self.piece))
    }

    async fn read(&mut self, length: u64) -> Result<(), Broken> {
        self.piece.resize(usize::try_from(length).unwrap_or(PIECE), 0);
        self.stream.read_exact(&mut self.piece).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that a server with these bytes to say says, and what it hears.
    async fn heard(said: &[u8]) -> (Result<Vec<u8>, Broken>, Vec<u8>) {
        let (mut here, mut there) = tokio::io::duplex(1024 * 1024);
        there.write_all(said).await.unwrap();
        let (mut from, mut to) = tokio::io::split(there);
        to.shutdown().await.unwrap();
        let mut bytes = Vec::new();
        let mut messages = Messages::new(&mut here);
        let end = loop {
            match messages.next().await {
                Ok(Some(piece)) => bytes.extend_from_slice(piece),
                Ok(None) => break Ok(bytes),
                Err(error) => break Err(error),
            }
        };
        drop(here);
        let mut answers = Vec::new();
        from.read_to_end(&mut answers).await.unwrap();
        (end, answers)
    }

    /// A frame as a server sends it.
    fn frame_of(first: u8, bytes: &[u8]) -> Vec<u8> {
        let length = match bytes.len() {
            0..=125 => vec![u8::try_from(bytes.len()).unwrap()],
            126..=0xffff => [&[126], &u16::try_from(bytes.len()).unwrap().to_be_bytes()[..]].concat(),
            _ => [&[127], &(bytes.len() as u64).to_be_bytes()[..]].concat(),
        };
        [&[first], &*length, bytes].concat()
    }

    #[tokio::test]
    async fn messages_of_every_length_are_put_together() {
        let mut said = Vec::new();
        let mut all = Vec::new();
        for length in [0, 1, 125, 126, 0xffff, 0x10000, 100_000] {
            let bytes: Vec<u8> = (0..length).map(|n: u32| n.to_le_bytes()[0]).collect();
            said.extend(frame_of(0x82, &bytes));
            all.extend(bytes);
        }
        // One in two frames, with a ping in between.
        said.extend([frame_of(0x02, b"ab"), frame_of(0x89, b"hi"), frame_of(0x80, b"c")].concat());
        all.extend(b"abc");
        said.extend(frame_of(0x81, b""));
        let (heard, answers) = heard(&said).await;
        assert!(heard.unwrap() == all);
        assert_eq!(answers, [0x8a, 0x82, 0, 0, 0, 0, b'h', b'i']);
    }

    #[tokio::test]
    async fn an_end_is_told_from_a_break() {
        let word = frame_of(0x82, b"word");
        assert_eq!(heard(&[&*word, &[0x81, 0]].concat()).await.0, Ok(b"word".to_vec()));
        assert_eq!(heard(&[&*word, &[0x88, 2, 3, 0xe8]].concat()).await.0, Ok(b"word".to_vec()));
        for cut in 1..=word.len() {
            let (heard, _) = heard(&word[..cut]).await;
            assert!(matches!(heard, Err(Broken::Lost(_))), "{cut}: {heard:?}");
        }
    }

    #[tokio::test]
    async fn who_asks_for_an_answer_and_hangs_up_is_heard_to_the_end() {
        let (mut here, mut there) = tokio::io::duplex(1024);
        let said =
            [frame_of(0x82, b"word"), frame_of(0x89, b"hi"), frame_of(0x82, b"s"), frame_of(0x81, b"")];
        there.write_all(&said.concat()).await.unwrap();
        drop(there);
        let mut messages = Messages::new(&mut here);
        assert_eq!(messages.next().await, Ok(Some(&b"word"[..])));
        assert_eq!(messages.next().await, Ok(Some(&b"s"[..])));
        assert_eq!(messages.next().await, Ok(None));
    }

    #[tokio::test]
    async fn what_is_no_websockets_is_refused() {
        for bad in
            [&[0x82, 0x81, 0, 0, 0, 0, 0][..], &[0x83, 0], &[0xc2, 0], &[0x89, 126, 0, 126], &[0x09, 0]]
        {
            let (heard, _) = heard(bad).await;
            assert!(matches!(heard, Err(Broken::Protocol(_))), "{bad:?}: {heard:?}");
        }
    }

    #[tokio::test]
    async fn what_is_sent_can_be_read_back() {
        for length in [0, 1, 125, 126, PIECE, PIECE + 1, 3 * PIECE] {
            let bytes = vec![7; length];
            let mut sent = Vec::new();
            send(&mut sent, &bytes).await.unwrap();
            // Without the mask, which is zero, it is what a server would send.
            let mut unmasked = Vec::new();
            let mut rest = &*sent;
            while let [first, length, more @ ..] = rest {
                assert_eq!(length & MASKED, MASKED);
                let (extra, count) = match length & !MASKED {
                    126 => (2, usize::from(u16::from_be_bytes([more[0], more[1]]))),
                    length => (0, usize::from(length)),
                };
                unmasked.extend([*first, length & !MASKED]);
                unmasked.extend(&more[..extra]);
                assert_eq!(more[extra..extra + 4], [0; 4]);
                unmasked.extend(&more[extra + 4..extra + 4 + count]);
                rest = &more[extra + 4 + count..];
            }
            assert!(heard(&unmasked).await.0 == Ok(bytes), "{length}");
        }
    }
}

//! An archive that is put together while it is sent: files of any size cost no more memory than a piece
//! of one.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::BytesMut;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use patchyard_contract::{Note, Progress};
use tokio::io::AsyncReadExt;

use crate::client::{ApiError, Body, TarWriter};

/// How much of a file is read at a time.
const PIECE: u64 = 64 * 1024;
/// Archives are made of blocks.
const BLOCK: u64 = 512;

/// A file on its way into an archive.
#[derive(Debug)]
pub(super) struct Upload {
    /// Where it is on the controller.
    pub from: PathBuf,
    /// Its path in the archive.
    pub to: String,
    /// Its size in bytes.
    pub size: u64,
}

enum Part {
    Bytes(Vec<u8>),
    File { from: PathBuf, size: u64 },
}

/// An archive of what `small` holds and of `files`, which are read when it is their turn.
pub(super) fn body(
    small: TarWriter,
    files: Vec<Upload>,
    progress: Option<Arc<dyn Progress>>,
) -> Result<Body, ApiError> {
    let whole = files.iter().map(|file| file.size).sum();
    // Without the two empty blocks: the archive goes on.
    let mut start = small.finish();
    start.truncate(start.len() - 2 * BLOCK as usize);
    let mut parts = vec![Part::Bytes(start)];
    for Upload { from, to, size } in files {
        parts.push(Part::Bytes(TarWriter::file_head(&to, 0o644, size)?));
        parts.push(Part::File { from, size });
        parts.push(Part::Bytes(vec![0; usize::try_from(size.next_multiple_of(BLOCK) - size).unwrap_or(0)]));
    }
    parts.push(Part::Bytes(vec![0; 2 * BLOCK as usize]));
    let state = Sending { parts: parts.into_iter(), open: None, sent: 0, whole, progress };
    let frames = futures_util::stream::try_unfold(state, |mut state| async move {
        Ok::<_, io::Error>(state.next().await?.map(|frame| (frame, state)))
    });
    Ok(StreamBody::new(frames).boxed_unsync())
}

struct Sending {
    parts: std::vec::IntoIter<Part>,
    open: Option<(tokio::fs::File, u64)>,
    sent: u64,
    whole: u64,
    progress: Option<Arc<dyn Progress>>,
}

impl Sending {
    async fn next(&mut self) -> io::Result<Option<Frame<bytes::Bytes>>> {
        loop {
            if let Some((file, left)) = self.open.as_mut().filter(|(_, left)| *left > 0) {
                let mut piece = BytesMut::with_capacity(usize::try_from(PIECE.min(*left)).unwrap_or(0));
                let read = file.take(PIECE.min(*left)).read_buf(&mut piece).await? as u64;
                if read == 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a file of the cache was cut"));
                }
                *left -= read;
                self.sent += read;
                return Ok(Some(Frame::data(piece.freeze())));
            }
            self.open = None;
            match self.parts.next() {
                None => return Ok(None),
                Some(Part::Bytes(bytes)) => return Ok(Some(Frame::data(bytes.into()))),
                Some(Part::File { from, size }) => {
                    if let Some(progress) = &self.progress {
                        let text = "uploading packages".to_owned();
                        progress.note(Note {
                            text,
                            part: Some(patchyard_contract::Part::Bytes(self.sent, self.whole)),
                        });
                    }
                    self.open = Some((tokio::fs::File::open(from).await?, size));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::{BodyReader, TarReader};

    fn file(name: &str, bytes: &[u8]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("patchyard-archive-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn read(body: Body) -> TarReader {
        TarReader::new(BodyReader::new(body, "test".to_owned(), Duration::from_secs(5)))
    }

    #[tokio::test]
    async fn files_arrive_behind_what_was_in_memory() {
        let contents = [Vec::new(), vec![1; 512], vec![2; 200_001]];
        let mut files = Vec::new();
        for (index, bytes) in contents.iter().enumerate() {
            let from = file(&index.to_string(), bytes);
            files.push(Upload { from, to: format!("d/{index}"), size: bytes.len() as u64 });
        }
        let paths: Vec<_> = files.iter().map(|file| file.from.clone()).collect();
        let mut small = TarWriter::new();
        small.directory("d", 0o755).unwrap();
        let mut archive = read(body(small, files, None).unwrap());
        assert_eq!(archive.next().await.unwrap().unwrap().path, "d/");
        for (index, bytes) in contents.iter().enumerate() {
            assert_eq!(archive.next().await.unwrap().unwrap().path, format!("d/{index}"));
            assert_eq!(&archive.data(1 << 20).await.unwrap(), bytes);
        }
        assert_eq!(archive.next().await.unwrap(), None);
        for path in paths {
            std::fs::remove_file(path).unwrap();
        }
    }

    #[tokio::test]
    async fn a_file_that_was_cut_is_an_error_not_a_shorter_archive() {
        let from = file("cut", &[7; 10]);
        let files = vec![Upload { from: from.clone(), to: "x".to_owned(), size: 20 }];
        let mut archive = read(body(TarWriter::new(), files, None).unwrap());
        archive.next().await.unwrap();
        assert!(archive.data(100).await.is_err());
        std::fs::remove_file(from).unwrap();
    }
}

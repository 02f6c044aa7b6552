//! The copy: archives of the old container, put together into one that the new container unpacks while
//! it is read. No file is ever whole in memory, none touches the controller's disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use patchyard_types::{FailureKind, printable};
use tokio::sync::mpsc;

use super::choose::Chosen;
use crate::client::{ApiError, EntryKind};
use crate::swap::{Container, Run, Trouble, failed};

/// Archives are made of blocks.
const BLOCK: u64 = 512;
/// So many files of one folder are read one by one; of more, the whole folder is.
const ONE_BY_ONE: usize = 20;
/// Pieces on their way between the two containers.
const PIECES: usize = 16;

/// Copies what was chosen out of a view of the old container.
pub(super) async fn copy(run: &Run<'_>, view: &str, new: &Container, chosen: &Chosen) -> Result<(), Trouble> {
    let (pieces, mut arriving) = mpsc::channel::<io::Result<Bytes>>(PIECES);
    let frames = futures_util::stream::poll_fn(move |context| arriving.poll_recv(context));
    let frames = futures_util::StreamExt::map(frames, |piece| piece.map(Frame::data));
    let body = StreamBody::new(frames).boxed_unsync();
    let limit = run.action.timeouts.step.as_duration();
    let unpacking = run.client().unpack_within(new.id(), "/", body, limit);
    let reading = async {
        let mut copy = Copy { run, old: view, pieces, seen: BTreeSet::new() };
        match copy.all(chosen).await {
            Ok(seen) => Ok(seen),
            Err(Stopped::By(error)) => {
                // An archive that ends early would be taken for a whole one.
                let _ = copy.pieces.send(Err(io::Error::other(error.to_string()))).await;
                Err(Some(error))
            }
            Err(Stopped::NobodyReads) => Err(None),
        }
    };
    let (mut reading, mut unpacking) = (std::pin::pin!(reading), std::pin::pin!(unpacking));
    let (read, unpacked) = tokio::select! {
        read = &mut reading => (read, unpacking.await),
        // It ends first only when it fails.
        unpacked = &mut unpacking => (Err(None), unpacked),
    };
    // A source that breaks off breaks the other end too: its word comes first.
    let seen = match read {
        Ok(seen) => seen,
        Err(Some(error)) => return Err(error.into()),
        Err(None) => {
            unpacked?;
            let message = "the engine took only a part of the writable layer";
            return Err(failed(FailureKind::Host, message));
        }
    };
    unpacked?;
    everything_was_there(chosen, &seen)
}

/// A path that no archive held would be lost without a word: one whose name is no UTF-8, for one.
fn everything_was_there(chosen: &Chosen, seen: &BTreeSet<String>) -> Result<(), Trouble> {
    let missed = chosen.content.iter().chain(&chosen.folders).find(|path| !seen.contains(*path));
    missed.map_or(Ok(()), |path| {
        let path = printable(path, 200);
        Err(failed(
            FailureKind::Refused,
            format!("its writable layer cannot be carried: {path} cannot be read"),
        ))
    })
}

enum Stopped {
    By(ApiError),
    /// The other end has given up, and says why itself.
    NobodyReads,
}

impl From<ApiError> for Stopped {
    fn from(error: ApiError) -> Self {
        Self::By(error)
    }
}

struct Copy<'a> {
    run: &'a Run<'a>,
    old: &'a str,
    pieces: mpsc::Sender<io::Result<Bytes>>,
    seen: BTreeSet<String>,
}

impl Copy<'_> {
    async fn all(&mut self, chosen: &Chosen) -> Result<BTreeSet<String>, Stopped> {
        for path in reads(&chosen.content) {
            self.content(path, &chosen.content).await?;
        }
        // Behind what is in them: unpacking that changes their times.
        for path in &chosen.folders {
            self.folder(path).await?;
        }
        self.send(vec![0; 2 * BLOCK as usize].into()).await?;
        Ok(std::mem::take(&mut self.seen))
    }

    /// What is wanted of a path and everything below it.
    async fn content(&mut self, path: &str, wanted: &BTreeSet<String>) -> Result<(), Stopped> {
        let mut archive = self.run.client().archive(self.old, path).await?;
        let folder = parent(path).trim_start_matches('/');
        while let Some(entry) = archive.next().await? {
            let name = entry.path.trim_end_matches('/');
            let at = if folder.is_empty() { format!("/{name}") } else { format!("/{folder}/{name}") };
            if !wanted.contains(&at) || !self.seen.insert(at) {
                continue;
            }
            self.send(archive.head().within(folder)?.into()).await?;
            if entry.kind == EntryKind::File {
                while let Some(piece) = archive.chunk().await? {
                    self.send(piece).await?;
                }
                let padding = entry.size.next_multiple_of(BLOCK) - entry.size;
                self.send(vec![0; usize::try_from(padding).unwrap_or(0)].into()).await?;
            }
        }
        Ok(())
    }

    /// A folder without what is in it.
    async fn folder(&mut self, path: &str) -> Result<(), Stopped> {
        let mut archive = self.run.client().archive(self.old, path).await?;
        if archive.next().await?.is_some_and(|entry| entry.kind == EntryKind::Directory) {
            let folder = parent(path).trim_start_matches('/');
            self.send(archive.head().within(folder)?.into()).await?;
            self.seen.insert(path.to_owned());
        }
        Ok(())
    }

    async fn send(&self, piece: Bytes) -> Result<(), Stopped> {
        if piece.is_empty() {
            return Ok(());
        }
        self.pieces.send(Ok(piece)).await.map_err(|_| Stopped::NobodyReads)
    }
}

/// The paths that are read, each with everything below it: a folder that is wanted itself is read once,
/// and so is one of which much is wanted. A view has no mounts that could come along.
fn reads(content: &BTreeSet<String>) -> Vec<&str> {
    let mut tops: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for path in content.iter().filter(|path| !content.contains(parent(path))) {
        tops.entry(parent(path)).or_default().push(path);
    }
    tops.into_iter()
        .flat_map(|(folder, paths)| match paths.len() > ONE_BY_ONE && folder != "/" {
            true => vec![folder],
            false => paths,
        })
        .collect()
}

fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(at) => &path[..at],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_which_much_is_wanted_is_read_once() {
        let wanted = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<BTreeSet<_>>();
        let few = wanted(&["/x", "/srv/app", "/srv/app/a", "/srv/app/sub/b", "/srv/app/sub", "/etc/motd"]);
        assert_eq!(reads(&few), ["/x", "/etc/motd", "/srv/app"]);
        let many: BTreeSet<String> = (0..=ONE_BY_ONE).map(|n| format!("/srv/www/{n}")).collect();
        assert_eq!(reads(&many), ["/srv/www"]);
    }
}

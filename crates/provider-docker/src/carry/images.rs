//! What the image of the original and that of its replacement have at a path, seen through a container
//! of each that is never started. Not through the replacement itself: half a copy may be in there.

use crate::client::{ApiError, Client, EntryKind};
use crate::helpers::{Guard, remove};
use crate::names::of_run;
use crate::swap::{Run, Trouble, failed};
use crate::view;

/// The parts of their names.
const PARTS: [&str; 2] = ["base", "patched"];

/// What the two images have at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Images {
    /// Neither has it.
    Nothing,
    /// Both have the same.
    Alike {
        /// It is a folder.
        folder: bool,
    },
    /// The patch has changed it, brought it or removed it.
    Differ {
        /// The old image has a folder there; nothing where it has nothing.
        folder: Option<bool>,
        /// The new image has something there.
        patched: bool,
    },
}

/// A container of each image; removed when this is dropped, at the latest.
pub(super) struct Shown<'a> {
    client: &'a Client,
    containers: [Guard; 2],
}

impl<'a> Shown<'a> {
    /// Makes them.
    pub async fn create(run: &'a Run<'a>) -> Result<Shown<'a>, Trouble> {
        let images = [run.action.expected.image.as_str(), run.prepared()?];
        let containers = PARTS.map(|part| Guard::new(run.docker, name(run, part)));
        for (container, id) in containers.iter().zip(images) {
            let image = run.client().image(id).await?;
            let image = image.ok_or_else(|| {
                failed(patchyard_types::FailureKind::Host, "its image is not on the host any more")
            })?;
            container.create(view::request(&run.docker.options.controller, &image, Vec::new())).await?;
        }
        Ok(Self { client: run.client(), containers })
    }

    /// The container of the old image, by its name.
    pub fn base(&self) -> &str {
        self.containers[0].name()
    }

    /// The container of the new image, by its name.
    pub fn patched(&self) -> &str {
        self.containers[1].name()
    }

    /// What they have at a path. Equal times and sizes say nothing: packages are built so that two
    /// versions of a file have both in common.
    pub async fn at(&self, path: &str) -> Result<Images, ApiError> {
        let client = self.client;
        let base = client.stat(self.base(), path).await?.map(|stat| stat.is_dir());
        let patched = client.stat(self.patched(), path).await?.is_some();
        Ok(match (base, patched) {
            (None, false) => Images::Nothing,
            (Some(folder), true) if are_alike(client, self.base(), self.patched(), path).await? => {
                Images::Alike { folder }
            }
            (folder, patched) => Images::Differ { folder, patched },
        })
    }

    /// Removes them and waits until they are gone.
    pub async fn finish(self) {
        for container in self.containers {
            container.finish().await;
        }
    }
}

/// Removes what a crash has left of them.
pub(crate) async fn clear(run: &Run<'_>) {
    for part in PARTS {
        remove(run.docker, &name(run, part)).await;
    }
}

fn name(run: &Run<'_>, part: &str) -> String {
    of_run(&run.docker.options.controller, run.call.run, part).to_string()
}

/// Whether two containers have the same at a path: kind, owner, mode, and what is in a file. Of a folder
/// only itself counts.
pub(super) async fn are_alike(client: &Client, one: &str, other: &str, path: &str) -> Result<bool, ApiError> {
    let (mut one, mut other) = (client.archive(one, path).await?, client.archive(other, path).await?);
    let (Some(a), Some(b)) = (one.next().await?, other.next().await?) else { return Ok(false) };
    if (a.kind, a.mode, a.owner, &a.link) != (b.kind, b.mode, b.owner, &b.link) {
        return Ok(false);
    }
    if a.kind != EntryKind::File {
        return Ok(true);
    }
    if a.size != b.size {
        return Ok(false);
    }
    let (mut left, mut right) = (bytes::Bytes::new(), bytes::Bytes::new());
    loop {
        if left.is_empty() {
            left = one.chunk().await?.unwrap_or_default();
        }
        if right.is_empty() {
            right = other.chunk().await?.unwrap_or_default();
        }
        let common = left.len().min(right.len());
        if common == 0 {
            return Ok(left.is_empty() && right.is_empty());
        }
        if left.split_to(common) != right.split_to(common) {
            return Ok(false);
        }
    }
}

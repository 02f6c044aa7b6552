//! What is carried: the decision on every path that the container has changed.

use std::collections::{BTreeMap, BTreeSet};

use patchyard_types::{FailureKind, printable};

use super::images::{Images, Shown, are_alike, clear};
use crate::client::ApiError;
use crate::swap::{Container, Run, Trouble, failed};
use crate::unsaved::{self, Changes, Kind};

/// The most paths that are carried: each takes a look while the service is down.
const PATHS: usize = 20_000;

/// What is to be copied.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// Files, and folders that the container has made, with everything in them, path by path.
    pub content: BTreeSet<String>,
    /// Folders of the image that the container has changed: owner, mode and time alone.
    pub folders: BTreeSet<String>,
}

impl Chosen {
    pub fn is_empty(&self) -> bool {
        self.content.is_empty() && self.folders.is_empty()
    }
}

/// Chooses. `view` is what is read in the place of `old`.
///
/// # Errors
/// [`FailureKind::Refused`] for what cannot be carried, by name.
pub(super) async fn choose(run: &Run<'_>, old: &Container, view: &str) -> Result<Chosen, Trouble> {
    clear(run).await;
    let changes = match unsaved::changes(run.docker, &old.0).await {
        Err(ApiError::TooLarge { .. }) => return Err(refused("it has changed too many files")),
        changes => changes?.off_mounts(run.client(), view, &old.0).await?,
    };
    if changes.paths.is_empty() {
        return Ok(Chosen::default());
    }
    if changes.paths.len() > PATHS {
        return Err(refused(&format!("it has changed {} files, more than {PATHS}", changes.paths.len())));
    }
    if let Some(why) = changes.cannot_carry() {
        return Err(refused(&why));
    }
    let mut choice = Choice { run, old: view, images: run.docker.images_of(run.call.run), shown: None };
    let chosen = choice.all(&changes).await;
    let Choice { images, shown, .. } = choice;
    // Also after an error, and before anything is copied: a crash then leaves nothing of them.
    if let Some(shown) = shown {
        shown.finish().await;
    }
    // Images do not change: what was found while the service ran need not be looked for while it is down.
    run.docker.remember_images(run.call.run, images);
    chosen
}

fn refused(why: &str) -> Trouble {
    failed(FailureKind::Refused, format!("its writable layer cannot be carried: {why}"))
}

/// A choice in the making.
struct Choice<'a> {
    run: &'a Run<'a>,
    old: &'a str,
    /// What is known of the images.
    images: BTreeMap<String, Images>,
    /// A container of each, made when it is needed.
    shown: Option<Shown<'a>>,
}

impl Choice<'_> {
    async fn all(&mut self, changes: &Changes) -> Result<Chosen, Trouble> {
        let mut chosen = Chosen::default();
        for path in changes.paths.iter().filter(|(_, kind)| **kind != Kind::Deleted).map(|(path, _)| path) {
            let (client, old) = (self.run.client(), self.old);
            let Some(stat) = client.stat(old, path).await? else { continue };
            if stat.is_socket() {
                continue;
            }
            let name = || printable(path, 200);
            let images = self.images(path).await?;
            if let Images::Alike { folder } | Images::Differ { folder: Some(folder), .. } = images
                && folder != stat.is_dir()
            {
                return Err(refused(&format!("it has put something else in the place of {}", name())));
            }
            match images {
                Images::Alike { folder: true } => drop(chosen.folders.insert(path.clone())),
                Images::Alike { folder: false } | Images::Nothing => {
                    chosen.content.insert(path.clone());
                }
                Images::Differ { folder, patched } => {
                    // Its own is the old image's, or the patch's: then the patch's counts.
                    let shown = self.shown().await?;
                    let is_left = folder.is_some() && are_alike(client, old, shown.base(), path).await?
                        || patched && are_alike(client, old, shown.patched(), path).await?;
                    if !is_left {
                        return Err(refused(&format!("both it and the patch have changed {}", name())));
                    }
                }
            }
        }
        Ok(chosen)
    }

    async fn images(&mut self, path: &str) -> Result<Images, Trouble> {
        if let Some(known) = self.images.get(path) {
            return Ok(*known);
        }
        let parent = path.rfind('/').map_or("", |at| &path[..at]);
        let found = match self.images.get(parent) {
            // What is in a folder that neither has, neither has.
            Some(Images::Nothing) => Images::Nothing,
            _ => self.shown().await?.at(path).await?,
        };
        self.images.insert(path.to_owned(), found);
        Ok(found)
    }

    async fn shown(&mut self) -> Result<&Shown<'_>, Trouble> {
        if self.shown.is_none() {
            self.shown = Some(Shown::create(self.run).await?);
        }
        self.shown.as_ref().ok_or_else(|| refused("its images cannot be looked at"))
    }
}

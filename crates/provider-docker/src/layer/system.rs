//! What a package manager has to say about itself to work in a builder, and which one an image has.

use patchyard_assess::{package_manager, package_manager_of};
use patchyard_types::{PackageChange, PackageManager};
use serde_json::Value;

use super::builder::Builder;
use super::outcome::Installed;
use crate::DockerProvider;
use crate::client::{ApiError, TarWriter};
use crate::read::json::text;
use crate::read::release_in;
use crate::swap::Trouble;
use crate::view::View;

/// The package manager of an image, by its document: its distribution's; apt where that is none that is known.
///
/// # Errors
/// When the engine fails.
pub(super) async fn manager_of(docker: &DockerProvider, image: &Value) -> Result<PackageManager, ApiError> {
    let known = docker.known_os(text(&image["Id"])).and_then(|os| package_manager_of(&os.id));
    if let Some(manager) = known {
        return Ok(manager);
    }
    let release = release_in(docker, View::of_image(docker, image).await?).await?;
    Ok(release.and_then(|bytes| package_manager(&bytes)).unwrap_or(PackageManager::Apt))
}

/// A package manager.
pub(super) trait PackageSystem {
    /// What it finds before the work and needs again afterwards.
    type Kept;

    /// The folder of its cache: a volume in the builder, and so no part of the layer.
    fn cache(&self) -> &'static str;

    /// Its environment, beside what all of them are given: nobody is there to answer questions.
    fn environment(&self) -> Vec<String>;

    /// The command that makes these changes and no others, as an argument vector.
    ///
    /// # Errors
    /// When a name in the plan is none.
    fn command(&self, changes: &[PackageChange]) -> Result<Vec<String>, Trouble>;

    /// The command, words with blanks between them, that lists the files of the changed packages when the work is done.
    fn files_of(&self, changes: &[PackageChange]) -> String;

    /// The path, without the first slash, under which its command expects a package's file.
    ///
    /// # Errors
    /// When a name in the plan is none.
    fn file(&self, change: &PackageChange) -> Result<String, Trouble>;

    /// What is installed in a builder that has not been started, of an image by its document.
    ///
    /// # Errors
    /// When there is no package database.
    async fn look(&self, builder: &Builder, base: &Value) -> Result<(Installed, Self::Kept), Trouble>;

    /// What has to be in the builder besides the package files.
    ///
    /// # Errors
    /// Never in practice: the paths are short.
    fn besides(&self, kept: &Self::Kept) -> Result<TarWriter, Trouble>;

    /// The lines of what it printed last that say why it failed.
    fn telling<'a>(&self, text: &'a str) -> Vec<&'a str>;

    /// Puts back, in a builder whose work is done, what only the way of doing it has changed. Returns
    /// what is installed now.
    ///
    /// # Errors
    /// When the engine fails, or something of ours is still there.
    async fn tidy(
        &self,
        builder: &Builder,
        before: &Installed,
        kept: &Self::Kept,
        changes: &[PackageChange],
    ) -> Result<Installed, Trouble>;
}

//! What a package manager has to say about itself to work in a builder: the seam that dnf, zypper and
//! apk will use beside apt.

use patchyard_types::PackageChange;

use super::builder::Builder;
use super::outcome::Installed;
use super::words::Output;
use crate::client::TarWriter;
use crate::swap::Trouble;

/// A package manager.
pub(super) trait PackageSystem {
    /// What it finds before the work and needs again afterwards.
    type Kept;

    /// The folder of its cache: a volume in the builder, and so no part of the layer.
    fn cache(&self) -> &'static str;

    /// Its environment: nobody is there to answer questions.
    fn environment(&self) -> Vec<String>;

    /// The command that makes these changes and no others, as an argument vector.
    ///
    /// # Errors
    /// When a name in the plan is none.
    fn command(&self, changes: &[PackageChange]) -> Result<Vec<String>, Trouble>;

    /// A command of [`PackageSystem::command`]'s, after which every file of the changed packages has another time than before.
    fn with_another_time(&self, command: Vec<String>, changes: &[PackageChange]) -> Vec<String>;

    /// The path, without the first slash, under which its command expects a package's file.
    ///
    /// # Errors
    /// When a name in the plan is none.
    fn file(&self, change: &PackageChange) -> Result<String, Trouble>;

    /// What is installed in a builder that has not been started.
    ///
    /// # Errors
    /// When there is no package database.
    async fn look(&self, builder: &Builder) -> Result<(Installed, Self::Kept), Trouble>;

    /// What has to be in the builder besides the package files.
    ///
    /// # Errors
    /// Never in practice: the paths are short.
    fn besides(&self, kept: &Self::Kept) -> Result<TarWriter, Trouble>;

    /// The failure that its last words tell of.
    fn blame(&self, output: &Output) -> Trouble;

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

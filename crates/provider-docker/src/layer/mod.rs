//! Method `layer`: the planned packages as one layer on the original base, built once for all the
//! containers that run it.

mod apt;
mod archive;
mod builder;
pub(crate) mod image;
mod lock;
mod outcome;
mod system;
mod words;

use std::collections::BTreeMap;

use patchyard_contract::{Call, ImageSource, Note, ProviderError};
use patchyard_types::{
    Action, Change, Failure, FailureKind, PackageChange, PatchSet, Probe, Record, StepError, printable,
};
use serde_json::Value;

use crate::DockerProvider;
use crate::client::{ApiError, Client, reader_body};
use crate::names::{self, LABEL_BASE, LABEL_CONTROLLER, LABEL_PATCH_SET, LABEL_REFERENCE};
use crate::read::json::text;
use apt::Apt;
use archive::Upload;
use builder::{Builder, Job};
use system::PackageSystem;

/// Builds the layer, finds it built, or moves it here from the host where it was built.
pub(crate) async fn prepare(docker: &DockerProvider, call: &Call) -> Result<Record, StepError> {
    let work = Work::new(docker, call)?;
    let base = work.base().await?.ok_or_else(|| work.no_base())?;
    // Two runs of one set, of this process or another: one builds, the other finds it built.
    let _lock = lock::acquire(&docker.options.state_dir, &work.action.patch_set).await?;
    let made = match image::built(work.client(), &base, &work.action.patch_set, &work.tag()).await? {
        Some(image) => image,
        None => match &call.source {
            Some(source) => work.transfer(source, &base).await?,
            None => work.build(&base).await?,
        },
    };
    let (id, base_id) = (text(&made["Id"]), text(&base["Id"]));
    image::tag(work.client(), id, &work.tag()).await?;
    // A loaded image does not keep its base: a tag has to, for the way back and the next patch.
    image::tag(work.client(), base_id, &names::base_tag(base_id)).await?;
    Ok(prepared(&made, &base))
}

/// Asks whether the patched image is there under its tag.
pub(crate) async fn probe(docker: &DockerProvider, call: &Call) -> Result<Probe, ProviderError> {
    let work = match Work::new(docker, call) {
        Ok(work) => work,
        Err(error) => return Ok(Probe::CannotTell { reason: error.to_string() }),
    };
    work.find().await.map_err(|error| docker.error(error))
}

fn prepared(image: &Value, base: &Value) -> Record {
    let size = |image: &Value| image["Size"].as_u64().unwrap_or(0);
    Record::Prepared { image: text(&image["Id"]).to_owned(), size: size(image).saturating_sub(size(base)) }
}

/// One call to prepare a layer.
struct Work<'a> {
    docker: &'a DockerProvider,
    call: &'a Call,
    action: &'a Action,
    set: &'a PatchSet,
}

impl<'a> Work<'a> {
    fn new(docker: &'a DockerProvider, call: &'a Call) -> Result<Self, StepError> {
        let (action, set) = call.action()?;
        Ok(Self { docker, call, action, set })
    }

    fn client(&self) -> &'a Client {
        &self.docker.client
    }

    fn note(&self, text: impl Into<String>, part: Option<(u64, u64)>) {
        if let Some(progress) = &self.call.progress {
            progress.note(Note { text: text.into(), part });
        }
    }

    /// The tag of the patched image: containers are created from it.
    fn tag(&self) -> String {
        names::patched_tag(&self.action.expected.reference, &self.action.patch_set)
    }

    /// Patching again starts from the original base, not from the last patch.
    fn base_id(&self) -> &'a str {
        let expected = &self.action.expected;
        expected.base.as_deref().unwrap_or(&expected.image)
    }

    async fn base(&self) -> Result<Option<Value>, ApiError> {
        image::inspect(self.client(), self.base_id()).await
    }

    fn no_base(&self) -> StepError {
        let base = names::short_image(self.base_id());
        failed(
            FailureKind::Precondition,
            format!("changed since planning: the image {base} to build on is not on the host any more"),
        )
    }

    async fn find(&self) -> Result<Probe, ApiError> {
        let Some(base) = self.base().await? else { return Ok(Probe::NotDone) };
        let tagged = image::inspect(self.client(), &self.tag()).await?;
        let patched = tagged.filter(|image| image::is_patched(image, &base, &self.action.patch_set));
        Ok(patched.map_or(Probe::NotDone, |image| Probe::Done { record: prepared(&image, &base) }))
    }

    /// Brings the image over from the host where this rollout has built it.
    async fn transfer(&self, source: &ImageSource, base: &Value) -> Result<Value, StepError> {
        self.note("fetching the patched image from the host that built it", None);
        let name = format!("{}-{}.tar", self.call.run, self.action.patch_set.short(12));
        let file = lock::Scratch::new(&self.docker.options.state_dir, &name)?;
        source.provider.export_image(&source.image, file.path()).await.map_err(|error| {
            failed(FailureKind::Host, format!("the patched image cannot be fetched: {error}"))
        })?;
        self.note("loading the patched image", None);
        image::load(self.client(), reader_body(file.open().await?)).await?;
        match image::inspect(self.client(), &source.image).await? {
            Some(image) if image::is_patched(&image, base, &self.action.patch_set) => Ok(image),
            Some(_) => {
                image::remove(self.client(), &source.image).await?;
                Err(failed(FailureKind::Host, "what the other host sent is not this patch set's image"))
            }
            None => Err(failed(FailureKind::Host, "the image sent by the other host got another id here")),
        }
    }

    /// Builds the image. Whatever comes of it, no container stays.
    async fn build(&self, base: &Value) -> Result<Value, StepError> {
        let Change::Packages(changes) = &self.set.change else {
            return Err(failed(FailureKind::Refused, "the plan's patch set holds no packages"));
        };
        let system = Apt;
        let files = self.files(&system, changes).await?;
        let (command, environment) = (system.command(changes)?, system.environment());
        let job = Job { command: &command, environment: &environment, cache: system.cache() };
        let name = names::of_patch_set(&self.docker.options.controller, &self.action.patch_set, "build");
        self.note("starting a builder", None);
        let builder = Builder::create(self.docker, name.as_str(), base, &job).await?;
        let layer = async {
            self.install(&system, &builder, changes, files).await?;
            self.note("committing the layer", None);
            Ok::<_, StepError>(image::commit(self.client(), builder.name(), builder.name()).await?)
        };
        let committed = match layer.await {
            Ok(committed) => committed,
            Err(error) => {
                builder.finish().await;
                return Err(error);
            }
        };
        let labels = self.labels(base);
        let (client, tag) = (self.client(), self.tag());
        // The layer is taken: its container can go while the image is made.
        let made = image::correct(client, base, &committed, &labels, &tag);
        let (made, ()) = tokio::join!(made, builder.finish());
        Ok(made?)
    }

    /// The package files in the cache, checked before anything is started.
    async fn files(
        &self,
        system: &impl PackageSystem,
        changes: &[PackageChange],
    ) -> Result<Vec<Upload>, StepError> {
        let mut files = Vec::new();
        for change in changes.iter().filter(|change| change.to.is_some()) {
            let to = system.file(change)?;
            let from = change.sha256.and_then(|digest| self.docker.options.cache.find(&digest));
            let size = match &from {
                Some(path) => tokio::fs::metadata(path).await.ok().map(|metadata| metadata.len()),
                None => None,
            };
            let (Some(from), Some(size)) = (from, size) else {
                let version = change.to.as_deref().unwrap_or_default();
                let package = format!("{} {}", change.name, printable(version, 60));
                return Err(failed(FailureKind::Host, format!("{package} is not in the cache: plan again")));
            };
            files.push(Upload { from, to, size });
        }
        Ok(files)
    }

    /// Labels of the patched image, besides those of its base.
    fn labels(&self, base: &Value) -> BTreeMap<String, String> {
        [
            (LABEL_CONTROLLER, self.docker.options.controller.as_str()),
            (LABEL_BASE, text(&base["Id"])),
            (LABEL_PATCH_SET, &self.action.patch_set.to_string()),
            (LABEL_REFERENCE, &self.action.expected.reference),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
    }

    /// Carries the changes out in a builder and checks what came of it. Afterwards its writable layer is
    /// what is to be committed.
    async fn install(
        &self,
        system: &impl PackageSystem,
        builder: &Builder<'_>,
        changes: &[PackageChange],
        files: Vec<Upload>,
    ) -> Result<(), StepError> {
        let (before, kept) = system.look(builder).await?;
        outcome::fits(&before, changes).map_err(|why| {
            failed(FailureKind::Precondition, format!("changed since planning: {why}: plan again"))
        })?;
        let archive = archive::body(system.besides(&kept)?, files, self.call.progress.clone())?;
        self.client().unpack(builder.name(), "/", archive).await?;
        let packages = changes.len();
        self.note(format!("installing {packages} package{}", if packages == 1 { "" } else { "s" }), None);
        let output = builder.run(self.action.timeouts.step.as_duration()).await?;
        if output.exit != 0 {
            return Err(system.blame(&output));
        }
        let after = system.tidy(builder, &before, &kept, changes).await?;
        outcome::compare(&before, &after, changes).map_err(|wrong| {
            let message = format!("the package manager did something else than planned: {wrong}");
            failed(FailureKind::PackageManager, message)
        })?;
        let (size, most) = (builder.size().await?, self.action.max_layer);
        if size > most {
            let (size, most) = (megabytes(size), megabytes(most));
            let message = format!("the layer would take {size}, more than the {most} that max_layer allows");
            return Err(failed(FailureKind::Refused, message));
        }
        Ok(())
    }
}

/// `67.1 MB`.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

fn failed(kind: FailureKind, message: impl Into<String>) -> StepError {
    StepError::Failed(Failure::new(kind, message))
}

impl From<ApiError> for StepError {
    fn from(error: ApiError) -> Self {
        match &error {
            _ if error.is_no_space() => failed(FailureKind::NoSpace, error.to_string()),
            _ if error.outcome_unknown() => Self::Unknown(error.to_string()),
            // The engine may come back: the question stays open until it does.
            ApiError::Unreachable { .. } => Self::Unknown(error.to_string()),
            _ => failed(FailureKind::Host, error.to_string()),
        }
    }
}

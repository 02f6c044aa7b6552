//! Method `layer`: the planned packages as one layer on the original base, built once for all the
//! containers that run it.

mod apt;
mod builder;
pub(crate) mod image;
mod lock;
mod outcome;

use std::collections::BTreeMap;

use patchyard_assess::deb::Status;
use patchyard_types::{Change, FailureKind, PackageChange, Record};
use serde_json::{Value, json};

use crate::client::{ApiError, Client};
use crate::names::{self, LABEL_BASE, LABEL_CONTROLLER, LABEL_PATCH_SET};
use crate::room;
use crate::swap::{Run, Trouble, enough, failed, image_size};
use builder::Builder;

/// What has to stay free on the engine's disk besides what is built.
const RESERVE: u64 = 64 * 1024 * 1024;

/// How a system's packages are changed. The seam for dnf, zypper and apk.
enum PackageSystem {
    /// dpkg with apt: what its database says before.
    Apt(Status),
}

impl PackageSystem {
    /// Which one a builder has, by its database.
    async fn of(builder: &Builder<'_>) -> Result<Self, Trouble> {
        let status = builder.status().await?;
        status.map(Self::Apt).ok_or_else(|| {
            failed(FailureKind::Precondition, "the image has no package manager that can be driven")
        })
    }

    /// Looks whether the plan fits the base before anything is installed on it.
    async fn fits(&self, run: &Run<'_>, changes: &[PackageChange]) -> Result<(), Trouble> {
        let Self::Apt(before) = self;
        let running = match &run.action.expected.base {
            Some(_) => builder::read_status(run.client(), &run.action.expected.object).await?,
            None => None,
        };
        outcome::fits(before, running.as_ref(), changes).map_err(|why| {
            failed(FailureKind::Precondition, format!("changed since planning: {why}: plan again"))
        })
    }

    /// Carries the changes out in a builder that was not started yet, and ends it.
    async fn change(
        &self,
        run: &Run<'_>,
        builder: &Builder<'_>,
        changes: &[PackageChange],
    ) -> Result<(), Trouble> {
        let Self::Apt(before) = self;
        apt::upload(run, builder, changes).await?;
        builder.start().await?;
        apt::install(run, builder, changes, run.action.timeouts.step.as_duration()).await?;
        builder.kill().await?;
        let after = builder.status().await?.unwrap_or_default();
        outcome::compare(before, &after, changes).map_err(|wrong| {
            let message = format!("the package manager did something else than planned: {wrong}");
            failed(FailureKind::PackageManager, message)
        })
    }
}

/// Builds the layer, or finds it built, or moves it from the host where it was built.
pub(crate) async fn prepare(run: &Run<'_>) -> Result<Record, Trouble> {
    let base = base_of(run).await?;
    let tag = names::patched_tag(&run.action.expected.reference, &run.action.patch_set);
    // Two runs of one set, of this process or another: one builds, the other finds it built.
    let _lock = lock::acquire(&run.docker.options.state_dir, &run.action.patch_set).await?;
    if let Some(image) = built(run.client(), run, &base, &tag).await? {
        image::tag(run.client(), id(&image), &tag).await?;
        return Ok(prepared(&image, &base));
    }
    image::tag(run.client(), id(&base), &names::base_tag(id(&base))).await?;
    if run.call.source.is_some() {
        transfer(run).await?;
    } else {
        build(run, &base, &tag).await?;
    }
    let image = built(run.client(), run, &base, &tag).await?.ok_or_else(|| {
        failed(FailureKind::Host, "the patched image is not on the host although it was made".to_owned())
    })?;
    image::tag(run.client(), id(&image), &tag).await?;
    Ok(prepared(&image, &base))
}

/// Whether a process of this controller builds a patch set at this moment, by the first digits of its
/// id.
pub(crate) fn is_building(state_dir: &std::path::Path, patch_set: &str) -> bool {
    lock::is_held(state_dir, patch_set)
}

/// The image, if it is there and bears its tag.
pub(crate) async fn find(run: &Run<'_>) -> Result<Option<Record>, ApiError> {
    let tag = names::patched_tag(&run.action.expected.reference, &run.action.patch_set);
    let Some(base) = run.client().image(base_id(run)).await? else { return Ok(None) };
    let tagged = run.client().image(&tag).await?;
    let image = tagged.filter(|image| image::is_patched(image, &base, &run.action.patch_set));
    Ok(image.map(|image| prepared(&image, &base)))
}

fn prepared(image: &Value, base: &Value) -> Record {
    Record::Prepared { image: id(image).to_owned(), size: image_size(image).saturating_sub(image_size(base)) }
}

fn id(image: &Value) -> &str {
    image["Id"].as_str().unwrap_or_default()
}

/// Patching again starts from the original base, not from the last patch.
fn base_id<'a>(run: &'a Run<'_>) -> &'a str {
    let expected = &run.action.expected;
    expected.base.as_deref().unwrap_or(&expected.image)
}

async fn base_of(run: &Run<'_>) -> Result<Value, Trouble> {
    let base = base_id(run);
    run.client().image(base).await?.ok_or_else(|| {
        failed(
            FailureKind::Precondition,
            format!(
                "changed since planning: the image {} to build on is not on the host",
                names::short_image(base)
            ),
        )
    })
}

/// The patched image by its tag, else, for another reference to the same base, by its labels.
async fn built(client: &Client, run: &Run<'_>, base: &Value, tag: &str) -> Result<Option<Value>, ApiError> {
    let set = &run.action.patch_set;
    if let Some(image) = client.image(tag).await?.filter(|image| image::is_patched(image, base, set)) {
        return Ok(Some(image));
    }
    let filters = json!({ "label": [format!("{LABEL_PATCH_SET}={set}")] }).to_string();
    let listed = client.get(&["images", "json"]).query("filters", &filters).json().await?;
    for entry in listed.as_array().into_iter().flatten() {
        let image = client.image(id(entry)).await?;
        if let Some(image) = image.filter(|image| image::is_patched(image, base, set)) {
            return Ok(Some(image));
        }
    }
    Ok(None)
}

/// Brings the image over from the host where this rollout has built it.
async fn transfer(run: &Run<'_>) -> Result<(), Trouble> {
    let Some(source) = &run.call.source else { return Ok(()) };
    run.note("moving the patched image here", None);
    let local = |error: std::io::Error| {
        failed(FailureKind::Host, format!("cannot keep the image for its move: {error}"))
    };
    let folder = run.docker.options.state_dir.join("transfer");
    std::fs::create_dir_all(&folder).map_err(local)?;
    let file =
        lock::Scratch::new(folder.join(format!("{}-{}.tar", run.call.run, run.action.patch_set.short(12))));
    let exported = source.provider.export_image(&source.image, file.path()).await;
    exported.map_err(|error| {
        failed(FailureKind::Host, format!("the patched image cannot be fetched: {error}"))
    })?;
    let archive = tokio::fs::File::open(file.path()).await.map_err(local)?;
    image::load(run.client(), crate::client::reader_body(archive)).await?;
    Ok(())
}

async fn build(run: &Run<'_>, base: &Value, tag: &str) -> Result<(), Trouble> {
    let Change::Packages(changes) = &run.set.change else {
        return Err(failed(FailureKind::Refused, "the plan's patch set holds no packages"));
    };
    has_room(run, changes)?;
    let controller = &run.docker.options.controller;
    let name = names::of_patch_set(controller, &run.action.patch_set, "build").to_string();
    run.note(format!("building on {}", names::short_image(id(base))), None);
    let builder = Builder::create(run.client(), &name, id(base), controller).await?;
    let system = PackageSystem::of(&builder).await?;
    system.fits(run, changes).await?;
    system.change(run, &builder, changes).await?;
    let size = builder.size().await?;
    if size > run.action.max_layer {
        return Err(failed(
            FailureKind::Refused,
            format!("the layer takes {} bytes, max_layer allows {}", size, run.action.max_layer),
        ));
    }
    run.note("making the image", None);
    let labels: BTreeMap<String, String> = [
        (LABEL_CONTROLLER, controller.clone()),
        (LABEL_BASE, id(base).to_owned()),
        (LABEL_PATCH_SET, run.action.patch_set.to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    let committed = image::commit(run.client(), builder.id(), &name).await?;
    image::correct(run.client(), base, &committed, &labels, tag).await?;
    builder.remove().await?;
    Ok(())
}

/// The files once, and what they unpack to (about three times that, at most `max_layer`) twice: in the
/// builder and in the layer.
fn has_room(run: &Run<'_>, changes: &[PackageChange]) -> Result<(), Trouble> {
    let Some(free) = room::free_on_engine(run.docker) else { return Ok(()) };
    let files: u64 = changes.iter().map(|change| change.size).sum();
    let unpacked = files.saturating_mul(3).min(run.action.max_layer);
    let folder = run.docker.info["DockerRootDir"].as_str().unwrap_or_default();
    enough(free, files + 2 * unpacked + RESERVE, folder)
}

//! Method `layer`: the planned packages as one layer on the original base, built once for all the
//! containers that run it.

mod apt;
mod archive;
mod builder;
pub(crate) mod image;
mod lock;
mod outcome;
mod rpm;
mod system;
mod words;

use std::collections::BTreeMap;
use std::path::Path;

use patchyard_contract::ImageSource;
use patchyard_types::{Change, FailureKind, PackageChange, PackageManager, Record, printable};
use serde_json::Value;

use crate::client::{ApiError, reader_body};
use crate::names::{self, LABEL_BASE, LABEL_CONTROLLER, LABEL_PATCH_SET, LABEL_REFERENCE};
use crate::read::json::text;
use crate::room;
use crate::swap::{Run, Trouble, enough, failed, image_size};
use apt::Apt;
use archive::Upload;
use builder::{Builder, Job};
use rpm::Rpm;
use system::PackageSystem;

/// sh … LIST COMMAND…
const ANOTHER_TIME: &str = include_str!("another_time.sh");

/// What every package manager is given. Package scripts need all of the path, whatever the image's own says.
const ENVIRONMENT: [&str; 4] = [
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LC_ALL=C",
    "LANGUAGE=C",
];

/// What has to stay free on the engine's disk besides what is built.
const RESERVE: u64 = 64 * 1024 * 1024;

/// Builds the layer, finds it built, or moves it here from the host where it was built.
pub(crate) async fn prepare(run: &Run<'_>) -> Result<Record, Trouble> {
    let base = base(run).await?.ok_or_else(|| {
        let id = names::short_image(base_id(run));
        let message =
            format!("changed since planning: the image {id} to build on is not on the host any more");
        failed(FailureKind::Precondition, message)
    })?;
    // Two runs of one set, of this process or another: one builds, the other finds it built.
    let _lock = lock::acquire(&run.docker.options.state_dir, &run.action.patch_set).await?;
    let made = match image::built(run.client(), &base, &run.action.patch_set, &tag(run)).await? {
        Some(image) => image,
        None => match &run.call.source {
            Some(source) => transfer(run, source, &base).await?,
            None => build(run, &base).await?,
        },
    };
    let (id, base_id) = (text(&made["Id"]), text(&base["Id"]));
    image::tag(run.client(), id, &tag(run)).await?;
    // A loaded image does not keep its base: a tag has to, for the way back and the next patch.
    image::tag(run.client(), base_id, &names::base_tag(&run.docker.options.controller, base_id)).await?;
    Ok(prepared(&made, &base))
}

/// The image, if it is there and bears its tag.
pub(crate) async fn find(run: &Run<'_>) -> Result<Option<Record>, ApiError> {
    let Some(base) = base(run).await? else { return Ok(None) };
    let tagged = run.client().image(&tag(run)).await?;
    let patched = tagged.filter(|image| image::is_patched(image, &base, &run.action.patch_set));
    Ok(patched.map(|image| prepared(&image, &base)))
}

/// Whether a process of this controller builds a patch set at this moment, by the first digits of its
/// id.
pub(crate) fn is_building(state_dir: &Path, patch_set: &str) -> bool {
    lock::is_held(state_dir, patch_set)
}

fn prepared(image: &Value, base: &Value) -> Record {
    let size = image_size(image).saturating_sub(image_size(base));
    Record::Prepared { image: text(&image["Id"]).to_owned(), size }
}

/// The tag of the patched image: containers are created from it.
fn tag(run: &Run<'_>) -> String {
    names::patched_tag(&run.action.expected.reference, &run.action.patch_set)
}

/// Patching again starts from the original base, not from the last patch.
fn base_id<'a>(run: &Run<'a>) -> &'a str {
    let expected = &run.action.expected;
    expected.base.as_deref().unwrap_or(&expected.image)
}

async fn base(run: &Run<'_>) -> Result<Option<Value>, ApiError> {
    run.client().image(base_id(run)).await
}

/// Brings the image over from the host where this rollout has built it.
async fn transfer(run: &Run<'_>, source: &ImageSource, base: &Value) -> Result<Value, Trouble> {
    run.note("fetching the patched image from the host that built it", None);
    let name = format!("{}-{}.tar", run.call.run, run.action.patch_set.short(12));
    let file = lock::Scratch::new(&run.docker.options.state_dir, &name)?;
    source.provider.export_image(&source.image, file.path()).await.map_err(|error| {
        failed(FailureKind::Host, format!("the patched image cannot be fetched: {error}"))
    })?;
    run.note("loading the patched image", None);
    image::load(run.client(), reader_body(file.open().await?)).await?;
    match run.client().image(&source.image).await? {
        Some(image) if image::is_patched(&image, base, &run.action.patch_set) => Ok(image),
        Some(image) => {
            // With a name it was here before, and is somebody's.
            if image["RepoTags"].as_array().is_none_or(Vec::is_empty) {
                image::remove_intermediate(run.client(), &source.image).await?;
            }
            Err(failed(FailureKind::Host, "what the other host sent is not this patch set's image"))
        }
        None => Err(failed(FailureKind::Host, "the image sent by the other host got another id here")),
    }
}

/// Builds the image. Whatever comes of it, no container stays.
async fn build(run: &Run<'_>, base: &Value) -> Result<Value, Trouble> {
    let Change::Packages(changes) = &run.set.change else {
        return Err(failed(FailureKind::Refused, "the plan's patch set holds no packages"));
    };
    match system::manager_of(run.docker, base).await? {
        PackageManager::Apt => build_by(&Apt, run, base, changes).await,
        PackageManager::Dnf => build_by(&Rpm::DNF, run, base, changes).await,
        PackageManager::Zypper => build_by(&Rpm::ZYPPER, run, base, changes).await,
        PackageManager::Apk => {
            Err(failed(FailureKind::Refused, "this release builds no layers of apk's packages"))
        }
    }
}

async fn build_by(
    system: &impl PackageSystem,
    run: &Run<'_>,
    base: &Value,
    changes: &[PackageChange],
) -> Result<Value, Trouble> {
    let files = files(run, system, changes).await?;
    has_room(run, &files)?;
    let mut command = system.command(changes)?;
    let environment: Vec<String> =
        ENVIRONMENT.into_iter().map(str::to_owned).chain(system.environment()).collect();
    if compares(&run.docker.info) {
        let fixed = ["sh", "-c", ANOTHER_TIME, "sh", &system.files_of(changes)].map(str::to_owned);
        command.splice(0..0, fixed);
    }
    let job = Job { command: &command, environment: &environment, cache: system.cache() };
    let name = names::of_patch_set(&run.docker.options.controller, &run.action.patch_set, "build");
    run.note("starting a builder", None);
    let builder = Builder::create(run.docker, name.as_str(), base, &job).await?;
    let layer = async {
        install(run, system, &builder, base, changes, files).await?;
        run.note("committing the layer", None);
        Ok::<_, Trouble>(image::commit(run.client(), builder.name(), builder.name()).await?)
    };
    let committed = match layer.await {
        Ok(committed) => committed,
        Err(error) => {
            builder.finish().await;
            return Err(error);
        }
    };
    let (labels, tag) = (labels(run, base), tag(run));
    let corrected = image::correct(run.client(), base, &committed, &labels, &tag);
    // The layer is taken: its container can go while the image is made.
    let (corrected, ()) = tokio::join!(corrected, builder.remove_container());
    builder.release();
    let made = run.client().image(&corrected?).await?;
    made.ok_or_else(|| failed(FailureKind::Host, "somebody else has removed the patched image"))
}

/// Whether an engine finds what a layer holds by comparing sizes and times, as all do whose storage does not keep changes apart
/// (btrfs, zfs, vfs, fuse-overlayfs), and overlay2 on kernels that do more than it knows of.
fn compares(info: &Value) -> bool {
    let is_native = |row: &Value| row[0] == "Native Overlay Diff" && row[1] == "true";
    let status = info["DriverStatus"].as_array();
    !(text(&info["Driver"]).starts_with("overlay") && status.is_some_and(|rows| rows.iter().any(is_native)))
}

/// The files once, and what they unpack to (about three times that, at most `max_layer`) twice: in the
/// builder and in the layer.
fn has_room(run: &Run<'_>, files: &[Upload]) -> Result<(), Trouble> {
    let Some(free) = room::free_on_engine(run.docker) else { return Ok(()) };
    let files: u64 = files.iter().map(|file| file.size).sum();
    let unpacked = files.saturating_mul(3).min(run.action.max_layer);
    let folder = text(&run.docker.info["DockerRootDir"]);
    enough(free, files + 2 * unpacked + RESERVE, folder)
}

/// The package files in the cache, checked before anything is started.
async fn files(
    run: &Run<'_>,
    system: &impl PackageSystem,
    changes: &[PackageChange],
) -> Result<Vec<Upload>, Trouble> {
    let mut files = Vec::new();
    for change in changes.iter().filter(|change| change.to.is_some()) {
        let to = system.file(change)?;
        let from = change.sha256.and_then(|digest| run.docker.options.cache.find(&digest));
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
fn labels(run: &Run<'_>, base: &Value) -> BTreeMap<String, String> {
    [
        (LABEL_CONTROLLER, run.docker.options.controller.as_str()),
        (LABEL_BASE, text(&base["Id"])),
        (LABEL_PATCH_SET, &run.action.patch_set.to_string()),
        (LABEL_REFERENCE, &run.action.expected.reference),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

/// Carries the changes out in a builder and checks what came of it. Afterwards its writable layer is
/// what is to be committed.
async fn install(
    run: &Run<'_>,
    system: &impl PackageSystem,
    builder: &Builder,
    base: &Value,
    changes: &[PackageChange],
    files: Vec<Upload>,
) -> Result<(), Trouble> {
    let (before, kept) = system.look(builder, base).await?;
    outcome::fits(&before, changes).map_err(|why| {
        failed(FailureKind::Precondition, format!("changed since planning: {why}: plan again"))
    })?;
    let archive = archive::body(system.besides(&kept)?, files, run.call.progress.clone())?;
    run.client().unpack(builder.name(), "/", archive).await?;
    let packages = changes.len();
    run.note(format!("installing {packages} package{}", if packages == 1 { "" } else { "s" }), None);
    let output = builder.run(run.action.timeouts.step.as_duration()).await?;
    if output.exit != 0 {
        return Err(words::blamed(system, &output));
    }
    let after = system.tidy(builder, &before, &kept, changes).await?;
    outcome::compare(&before, &after, changes).map_err(|wrong| {
        let message = format!("the package manager did something else than planned: {wrong}");
        failed(FailureKind::PackageManager, message)
    })?;
    let (size, most) = (builder.size().await?, run.action.max_layer);
    if size > most {
        let (size, most) = (megabytes(size), megabytes(most));
        let message = format!("the layer would take {size}, more than the {most} that max_layer allows");
        return Err(failed(FailureKind::Refused, message));
    }
    Ok(())
}

/// `67.1 MB`.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_overlays_that_keep_changes_apart_need_no_comparing() {
        let info = |driver: &str, native: &str| json!({"Driver": driver, "DriverStatus": [["Supports d_type", "true"], ["Native Overlay Diff", native]]});
        assert!(!compares(&info("overlay2", "true")) && !compares(&info("overlay", "true")));
        for other in [
            info("overlay2", "false"),
            info("fuse-overlayfs", "true"),
            json!({"Driver": "btrfs", "DriverStatus": null}),
        ] {
            assert!(compares(&other), "{other}");
        }
    }
}

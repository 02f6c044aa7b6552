//! What is left over of Patchyard's own on an engine, and its removal. Nothing that runs, that an
//! unfinished run or a kept snapshot needs, or that bears another controller's name is ever listed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use patchyard_contract::{Leftover, ProviderError};
use patchyard_types::{RunId, Snapshot};
use serde_json::{Value, json};

use crate::client::ApiError;
use crate::layer::{self, image};
use crate::names::{self, LABEL_BASE, LABEL_CONTROLLER, LABEL_INTERMEDIATE, LABEL_PATCH_SET, LABEL_VOLUME};
use crate::read::json::{list, text};
use crate::read::own;
use crate::swap::{Run, Trouble, failed, remove_replacement};
use crate::{DockerProvider, save, snapshot};

/// A helper of a reading process that is older than this has lost its process, in seconds.
const HELPER_LIVES: i64 = crate::ask::LIFETIME;

/// Notes that a replacement names anonymous volumes: the engine's own `rm -v` spares them from then
/// on, so that somebody has to remember them.
pub(crate) fn remember_volumes(run: &Run<'_>, volumes: &[String]) -> Result<(), Trouble> {
    let broken = |error: std::io::Error| {
        failed(patchyard_types::FailureKind::Host, format!("cannot write to the state directory: {error}"))
    };
    let folder = volume_folder(&run.docker.options.state_dir);
    for volume in volumes {
        fs::create_dir_all(&folder).map_err(broken)?;
        let note = json!({ "host": run.docker.host, "target": run.action.target, "run": run.call.run });
        fs::write(folder.join(volume), note.to_string()).map_err(broken)?;
    }
    Ok(())
}

fn volume_folder(state_dir: &Path) -> PathBuf {
    state_dir.join("volumes")
}

/// Everything that nobody needs any more.
pub(crate) async fn leftovers(
    docker: &DockerProvider,
    unfinished: &[RunId],
    kept: &[Snapshot],
) -> Result<Vec<Leftover>, ProviderError> {
    let search = Search { docker, unfinished, kept };
    search.all().await.map_err(|error| docker.error(error))
}

struct Search<'a> {
    docker: &'a DockerProvider,
    unfinished: &'a [RunId],
    kept: &'a [Snapshot],
}

impl Search<'_> {
    async fn all(&self) -> Result<Vec<Leftover>, ApiError> {
        let client = &self.docker.client;
        let (containers, images) = (client.all_containers().await?, client.all_images().await?);
        let mut found = self.containers(&containers);
        found.extend(self.images(&containers, &images));
        found.extend(self.volumes().await?);
        found.extend(self.copies().await?);
        found.extend(self.files());
        in_order(&mut found);
        Ok(found)
    }

    fn controller8(&self) -> String {
        names::controller8(&self.docker.options.controller)
    }

    /// Whether the name of a tag starts with this controller's.
    fn is_ours(&self, name: &str) -> bool {
        is_of(name, &self.docker.options.controller)
    }

    fn is_unfinished(&self, run: &str) -> bool {
        run.parse().is_ok_and(|run| self.unfinished.contains(&run))
    }

    /// Whether somebody builds a patch set at this moment, by the first digits of its id.
    fn is_building(&self, patch_set: &str) -> bool {
        layer::is_building(&self.docker.options.state_dir, patch_set)
    }

    fn containers(&self, listed: &Value) -> Vec<Leftover> {
        let own = self.controller8();
        let now = jiff::Timestamp::now().as_second();
        let is_left = |entry: &Value, subject: &str, part: &str| match part.split('-').next() {
            // What runs serves somebody, whatever its name.
            Some("new" | "old" | "base" | "patched") => {
                !self.is_unfinished(subject)
                    && !matches!(entry["State"].as_str(), Some("running" | "paused" | "restarting"))
            }
            // A run that has ended copies nothing.
            Some("volume") => !self.is_unfinished(subject),
            Some("build") => !self.is_building(subject),
            _ => entry["Created"].as_i64().is_some_and(|at| now - at > HELPER_LIVES),
        };
        list(listed)
            .filter_map(|entry| {
                let name = entry["Names"][0].as_str()?.trim_start_matches('/');
                let (controller, subject, part) = own::parse(name)?;
                (controller == own && is_left(entry, subject, part)).then(|| Leftover {
                    kind: "container".to_owned(),
                    name: name.to_owned(),
                    run: subject.parse().ok(),
                    size: 0,
                })
            })
            .collect()
    }

    fn images(&self, containers: &Value, images: &Value) -> Vec<Leftover> {
        let used: BTreeSet<&str> = list(containers).filter_map(|entry| entry["ImageID"].as_str()).collect();
        // The names that containers were created from.
        let named: BTreeSet<&str> = list(containers).filter_map(|entry| entry["Image"].as_str()).collect();
        let kept: BTreeSet<&str> =
            self.kept.iter().flat_map(|snapshot| [snapshot.image.as_str(), &snapshot.base_image]).collect();
        let mut found = Vec::new();
        let mut bases: BTreeSet<&str> = BTreeSet::new();
        let mut base_tags: BTreeMap<&str, &str> = BTreeMap::new();
        for image in list(images) {
            let (id, labels) = (text(&image["Id"]), &image["Labels"]);
            let tags: Vec<&str> = list(&image["RepoTags"]).filter_map(Value::as_str).collect();
            let theirs = tags.iter().any(|tag| !tag.starts_with("patchyard/") && *tag != "<none>:<none>");
            let mut needed = theirs || used.contains(id) || kept.contains(id) || !self.unfinished.is_empty();
            let controller = text(&labels[LABEL_CONTROLLER]);
            let in_use = needed;
            needed |= is_somebody_elses(controller, &tags, &self.docker.options.controller);
            for tag in tags.iter().copied() {
                if let Some(name) = tag.strip_prefix(names::BASE_TAGS) {
                    if self.is_ours(name) {
                        base_tags.insert(tag, id);
                    }
                } else if let Some(name) = tag.strip_prefix(names::SNAPSHOT_TAGS) {
                    let stays = named.contains(tag) || tags.len() == 1 && used.contains(id);
                    if self.is_left_snapshot(tag, name) && !stays {
                        found.push(self.tag(tag, image));
                    }
                } else if is_patched_tag(tag) && !needed {
                    found.push(self.tag(tag, image));
                }
            }
            if needed {
                bases.insert(text(&labels[LABEL_BASE]));
            }
            if in_use && tags.iter().any(|tag| is_patched_tag(tag)) {
                // Pulled by us, and still of use: whose it is must stay known.
                bases.insert(id);
            }
            // Brought here from another host and never given its tag.
            let moved = !needed && !controller.is_empty() && !text(&labels[LABEL_PATCH_SET]).is_empty();
            if tags.iter().all(|tag| *tag == "<none>:<none>")
                && (moved || self.is_left_intermediate(text(&labels[LABEL_INTERMEDIATE])))
            {
                found.push(Leftover {
                    kind: "image".to_owned(),
                    name: id.to_owned(),
                    run: None,
                    size: size(image),
                });
            }
        }
        for (tag, id) in base_tags {
            let image = list(images).find(|image| text(&image["Id"]) == id);
            let only_ours = image.is_none_or(|image| list(&image["RepoTags"]).count() == 1);
            let in_the_way = only_ours && used.contains(id);
            if self.unfinished.is_empty() && !bases.contains(id) && !in_the_way {
                found.push(Leftover { kind: "tag".to_owned(), name: tag.to_owned(), run: None, size: 0 });
            }
        }
        found
    }

    fn tag(&self, tag: &str, image: &Value) -> Leftover {
        // `patchyard/snapshot:1a2b3c4d-r12.3` names its run, other tags name none.
        let run = tag.split('-').nth(1).and_then(|run| run.parse().ok());
        Leftover { kind: "tag".to_owned(), name: tag.to_owned(), run, size: size(image) }
    }

    /// `1a2b3c4d-r12.3` or `1a2b3c4d-r12.3-base`, ours, of no kept snapshot and no unfinished run.
    fn is_left_snapshot(&self, tag: &str, name: &str) -> bool {
        let run = name.split('-').nth(1).unwrap_or_default();
        self.is_ours(name)
            && !self.is_unfinished(run)
            && !self.kept.iter().any(|snapshot| snapshot.tags.iter().any(|t| t == tag))
    }

    fn is_left_intermediate(&self, name: &str) -> bool {
        let Some((controller, subject, _)) = own::parse(name) else { return false };
        controller == self.controller8() && !self.is_unfinished(subject) && !self.is_building(subject)
    }

    /// Anonymous volumes that a replacement named, that no container has any more and no snapshot's
    /// request names.
    async fn volumes(&self) -> Result<Vec<Leftover>, ApiError> {
        let folder = volume_folder(&self.docker.options.state_dir);
        let noted: Vec<(String, Value)> = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let note = serde_json::from_slice::<Value>(&fs::read(entry.path()).ok()?).ok()?;
                Some((entry.file_name().into_string().ok()?, note))
            })
            .filter(|(_, note)| note["host"].as_str() == Some(self.docker.host.as_str()))
            .collect();
        if noted.is_empty() || !self.unfinished.is_empty() {
            return Ok(Vec::new());
        }
        let filters = json!({ "dangling": ["true"] }).to_string();
        let dangling = self.docker.client.get(&["volumes"]).query("filters", &filters).json().await?;
        let dangling: BTreeSet<&str> =
            list(&dangling["Volumes"]).filter_map(|v| v["Name"].as_str()).collect();
        let needed: Vec<String> = snapshot::all(&self.docker.options.state_dir)
            .into_iter()
            .filter(|(_, file)| self.kept.iter().any(|snapshot| snapshot.id == file.snapshot.id))
            .map(|(_, file)| file.request.body["HostConfig"].to_string())
            .collect();
        Ok(noted
            .into_iter()
            .filter(|(name, _)| dangling.contains(name.as_str()))
            .filter(|(name, _)| !needed.iter().any(|request| request.contains(name.as_str())))
            .map(|(name, note)| {
                let run = note["run"].as_str().and_then(|run| run.parse().ok());
                Leftover { kind: "volume".to_owned(), name, run, size: 0 }
            })
            .collect())
    }

    /// Copies of volumes, of no kept snapshot and no unfinished run.
    async fn copies(&self) -> Result<Vec<Leftover>, ApiError> {
        let filters = json!({ "label": [LABEL_VOLUME] }).to_string();
        let listed = self.docker.client.get(&["volumes"]).query("filters", &filters).json().await?;
        let is_kept = |name: &str| {
            self.kept.iter().flat_map(|snapshot| &snapshot.volumes).any(|saved| saved.copy == name)
        };
        Ok(list(&listed["Volumes"])
            .filter_map(|volume| {
                let name = text(&volume["Name"]);
                let run = save::run_of_copy(&self.docker.options.controller, name)?;
                (!self.unfinished.contains(&run) && !is_kept(name)).then(|| Leftover {
                    kind: "volume".to_owned(),
                    name: name.to_owned(),
                    run: Some(run),
                    size: 0,
                })
            })
            .collect())
    }

    /// Files of snapshots that are not kept, and of moves that were broken off.
    fn files(&self) -> Vec<Leftover> {
        let of_snapshots = snapshot::all(&self.docker.options.state_dir).into_iter().filter(|(_, file)| {
            file.snapshot.host == self.docker.host
                && !self.unfinished.contains(&file.snapshot.run)
                && !self.kept.iter().any(|snapshot| snapshot.id == file.snapshot.id)
        });
        let moves =
            fs::read_dir(self.docker.options.state_dir.join("transfer")).into_iter().flatten().flatten();
        let moves = moves.map(|entry| entry.path()).filter(|_| self.unfinished.is_empty());
        of_snapshots
            .map(|(path, file)| (path, Some(file.snapshot.run)))
            .chain(moves.map(|path| (path, None)))
            .filter_map(|(path, run)| {
                let size = fs::metadata(&path).ok()?.len();
                Some(Leftover { kind: "file".to_owned(), name: path.to_str()?.to_owned(), run, size })
            })
            .collect()
    }
}

/// The order of removal. What tells whose an image is goes last: whoever dies in between still finds the
/// image's other tags.
fn in_order(found: &mut [Leftover]) {
    let tells = |leftover: &Leftover| leftover.name.starts_with(names::BASE_TAGS);
    found.sort_by(|a, b| (tells(a), a).cmp(&(tells(b), b)));
}

/// Whether another controller made or pulled an image, by its label and its tags.
fn is_somebody_elses(controller: &str, tags: &[&str], we: &str) -> bool {
    if !controller.is_empty() {
        return controller != we;
    }
    // A pulled image bears no labels of ours: its tags say who pulled it.
    let mut pulled_by = tags.iter().filter_map(|tag| tag.strip_prefix(names::BASE_TAGS)).peekable();
    pulled_by.peek().is_none() || pulled_by.any(|name| !is_of(name, we))
}

/// Whether a tag, without its repository, starts with a controller's name.
fn is_of(name: &str, controller: &str) -> bool {
    name.split('-').next() == Some(&names::controller8(controller))
}

/// `patchyard/nginx:99aabbccddee`: of an image that containers are created from.
fn is_patched_tag(tag: &str) -> bool {
    let other = [names::BASE_TAGS, names::SNAPSHOT_TAGS];
    tag.starts_with("patchyard/") && !other.iter().any(|prefix| tag.starts_with(prefix))
}

/// Removes a leftover. Gone already is fine.
pub(crate) async fn collect(docker: &DockerProvider, leftover: &Leftover) -> Result<(), ProviderError> {
    let denied = |reason: &str| ProviderError::Denied {
        host: docker.host_name.clone(),
        reason: format!(
            "{} {} is not removed: {reason}",
            leftover.kind,
            patchyard_types::printable(&leftover.name, 300)
        ),
    };
    let name = leftover.name.as_str();
    let removed = match leftover.kind.as_str() {
        "container" => remove_container(docker, name).await,
        "tag" if name.starts_with("patchyard/") => remove_tag(docker, name).await,
        "image" => image::remove_intermediate(&docker.client, name).await,
        "volume" => remove_volume(docker, name).await,
        "file" => {
            let path = Path::new(name);
            let ours = ["snapshots", "transfer"].map(|folder| docker.options.state_dir.join(folder));
            if !ours.iter().any(|folder| path.parent() == Some(folder)) {
                return Err(denied("it is not in the state directory"));
            }
            return match fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(ProviderError::Local { reason: format!("cannot remove {name}: {error}") })
                }
                _ => Ok(()),
            };
        }
        _ => return Err(denied("nothing of this kind is ours")),
    };
    removed.map_err(|error| docker.error(error))
}

async fn remove_container(docker: &DockerProvider, name: &str) -> Result<(), ApiError> {
    let Some((_, _, part)) = own::parse(name) else { return Ok(()) };
    let Some(container) = docker.client.container(name).await? else { return Ok(()) };
    match part.split('-').next() {
        Some("new" | "old") if container.is_up() => {
            return Err(ApiError::protocol(format!("{name} runs")));
        }
        Some("new") => return remove_replacement(&docker.client, &container).await,
        _ => {}
    }
    let request = docker.client.delete(&["containers", container.id()]);
    match request.query("v", own::with_volumes(name)).query("force", "1").done().await {
        Err(error) if error.is_not_found() => Ok(()),
        removed => removed,
    }
}

/// Takes a tag away, and with the last one the image. One that was pulled by its digest has that for a
/// name, too, and would stay by it; the tag that tells who pulled it goes after this one.
async fn remove_tag(docker: &DockerProvider, name: &str) -> Result<(), ApiError> {
    let Some(image) = docker.client.image(name).await? else { return Ok(()) };
    let mut tags = list(&image["RepoTags"]).filter_map(Value::as_str);
    let is_last = tags.all(|tag| tag == name || tag.starts_with(names::BASE_TAGS));
    if is_last && is_patched_tag(name) {
        for digest in list(&image["RepoDigests"]).filter_map(Value::as_str) {
            image::untag(&docker.client, digest).await?;
        }
    }
    image::untag(&docker.client, name).await.map(|_| ())
}

async fn remove_volume(docker: &DockerProvider, name: &str) -> Result<(), ApiError> {
    if save::run_of_copy(&docker.options.controller, name).is_some() {
        return save::remove(&docker.client, name).await;
    }
    let note = volume_folder(&docker.options.state_dir).join(name);
    if name.contains('/') || !note.exists() {
        return Ok(());
    }
    save::remove(&docker.client, name).await?;
    // What cannot be removed is found again, and the volume is not there any more then.
    let _ = fs::remove_file(note);
    Ok(())
}

fn size(image: &Value) -> u64 {
    image["Size"].as_u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_keeps_the_name_of_who_pulled_it_to_the_last() {
        let leftover =
            |kind: &str, name: &str| Leftover { kind: kind.into(), name: name.into(), run: None, size: 1 };
        let tags = [
            "patchyard/base:1a2b3c4d-d66ef321cab7",
            "patchyard/app:00aabbccddee",
            "patchyard/web:99aabbccddee",
        ];
        let mut found: Vec<Leftover> = tags.iter().map(|tag| leftover("tag", tag)).collect();
        found.push(leftover("volume", "v"));
        in_order(&mut found);
        let names: Vec<&str> = found.iter().map(|leftover| leftover.name.as_str()).collect();
        assert_eq!(names, [tags[1], tags[2], "v", tags[0]]);
    }

    #[test]
    fn an_image_is_ours_when_nobody_else_made_or_pulled_it() {
        let (we, they) = ("1a2b3c4d-eeee", "99887766-ffff");
        let (ours, theirs) = ("patchyard/base:1a2b3c4d-d66ef321cab7", "patchyard/base:99887766-d66ef321cab7");
        let patched = "patchyard/web:99aabbccddee";
        assert!(!is_somebody_elses(we, &[patched], we) && is_somebody_elses(they, &[patched], we));
        for (tags, is_theirs) in
            [(&[patched, ours][..], false), (&[patched, theirs], true), (&[patched, ours, theirs], true)]
        {
            assert_eq!(is_somebody_elses("", tags, we), is_theirs, "{tags:?}");
        }
        assert!(is_somebody_elses("", &[patched], we), "nobody knows whose it is");
    }
}

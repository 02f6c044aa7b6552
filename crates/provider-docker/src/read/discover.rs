//! Finds the targets of an engine: every container that is not one of Patchyard's own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use patchyard_contract::ProviderError;
use patchyard_types::{OsRelease, Target, TargetId};
use serde_json::{Value, json};

use super::guests::{is, lives_in, missing_hosts};
use super::inventory::platform_of;
use super::json::{list, text};
use super::managers::Watchtower;
use super::own;
use super::project::Projects;
use super::refuse::{NOT_INSPECTED, Surroundings};
use super::target::{self, Engine, container_name};
use super::units::Units;
use super::untouched::is_untouched;
use crate::client::ApiError;
use crate::names::{LABEL_BASE, LABEL_CONTROLLER, LABEL_RUN, controller8};
use crate::service::Services;
use crate::view::View;
use crate::{DockerProvider, room};

/// How many questions an engine is asked at the same time.
pub(crate) const PARALLEL: usize = 8;
/// How long the engine may take to tell about one container.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(20);
/// The most of an os-release file that is read, in bytes.
const OS_RELEASE_LIMIT: u64 = 64 * 1024;

pub(crate) async fn discover(docker: &DockerProvider) -> Result<Vec<Target>, ProviderError> {
    let read = async { Ok((find(docker).await?, Services::read(docker).await?)) };
    let (found, services) = read.await.map_err(|error: ApiError| docker.error(error))?;
    // What Swarm runs here is told of as the service that it is of: a manager knows them all.
    let (tasks, mut targets): (Vec<Target>, Vec<Target>) =
        found.targets(docker).into_iter().partition(|target| services.of(&target.labels).is_some());
    targets.extend(services.targets(docker, &tasks));
    targets.sort_by(|a, b| (&a.name, &a.object).cmp(&(&b.name, &b.object)));
    Ok(targets)
}

/// What the engine says, before it is put together.
struct Found {
    containers: Vec<Value>,
    /// Inspect documents of images by id; `Null` for those that are gone.
    images: BTreeMap<String, Value>,
    /// OS releases by image id.
    os: BTreeMap<String, Option<OsRelease>>,
    projects: Projects,
    units: Units,
}

async fn find(docker: &DockerProvider) -> Result<Found, ApiError> {
    let client = &docker.client;
    let listed = client.get(&["containers", "json"]).query("all", "1").json().await?;
    let items: Vec<Value> = list(&listed).cloned().collect();
    let inspected = futures_util::stream::iter(items).map(|item| async move {
        let id = text(&item["Id"]);
        match client.inspect(id, INSPECT_TIMEOUT).await {
            // Gone between the list and the question.
            Err(error) if error.is_not_found() => Ok(None),
            // The engine keeps a container locked while somebody copies from it or commits it: one
            // that is stuck must not hide all others.
            Err(ApiError::Timeout { .. }) => Ok(Some(from_list(&item))),
            document => document.map(Some),
        }
    });
    let containers: Vec<Option<Value>> = inspected.buffer_unordered(PARALLEL).try_collect().await?;
    let mut containers: Vec<Value> = containers.into_iter().flatten().collect();
    containers.sort_by(|a, b| container_name(a).cmp(container_name(b)));

    let ids: BTreeSet<String> = containers.iter().map(|c| text(&c["Image"]).to_owned()).collect();
    let mut images = inspect_images(docker, ids).await?;
    let base = |image: &Value| image["Config"]["Labels"][LABEL_BASE].as_str().map(str::to_owned);
    let bases: BTreeSet<String> =
        images.values().filter_map(base).filter(|id| !images.contains_key(id)).collect();
    images.extend(inspect_images(docker, bases).await?);
    let os = os_releases(docker, &containers).await?;
    let (projects, units) = match room::is_local(docker) {
        true => (Projects::read(&containers), Units::read()),
        false => (Projects::default(), Units::default()),
    };
    Ok(Found { containers, images, os, projects, units })
}

/// As much of an inspect document as the list has.
fn from_list(item: &Value) -> Value {
    let networks = &item["NetworkSettings"]["Networks"];
    json!({
        "Id": item["Id"], "Name": item["Names"][0], "Image": item["ImageID"], "Mounts": item["Mounts"],
        "Config": {"Image": item["Image"], "Labels": item["Labels"]},
        "State": {"Status": item["State"]}, "NetworkSettings": {"Networks": networks},
        NOT_INSPECTED: true,
    })
}

async fn inspect_images(
    docker: &DockerProvider,
    ids: BTreeSet<String>,
) -> Result<BTreeMap<String, Value>, ApiError> {
    let inspected = futures_util::stream::iter(ids).map(|id| async move {
        match docker.client.inspect_image(&id).await {
            Err(error) if matches!(error.status(), Some(400 | 404)) => Ok((id, Value::Null)),
            document => document.map(|document| (id, document)),
        }
    });
    inspected.buffer_unordered(PARALLEL).try_collect().await
}

/// How many containers of an image are asked for its OS release at most, should they not tell.
const TRIES: usize = 3;

/// The OS release of each image, read from one container of it: the engine has no way to read an image
/// without one.
async fn os_releases(
    docker: &DockerProvider,
    containers: &[Value],
) -> Result<BTreeMap<String, Option<OsRelease>>, ApiError> {
    let mut of_image: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for container in containers {
        if !own::is_own_name(container_name(container)) && container[NOT_INSPECTED].is_null() {
            let tried = of_image.entry(text(&container["Image"]).to_owned()).or_default();
            if tried.len() < TRIES {
                tried.push(container.clone());
            }
        }
    }
    let read = futures_util::stream::iter(of_image).map(|(image, containers)| async move {
        let release = match docker.known_os(&image) {
            Some(release) => Some(release),
            None => os_of_any(docker, &image, &containers).await?,
        };
        Ok((image, release))
    });
    read.buffer_unordered(PARALLEL).try_collect().await
}

/// The OS release of an image by the first of its containers that tells: one that is odd, or just going, must not hide it from
/// the others. That there is none is found out again the next time: a container on its way out has no files either.
async fn os_of_any(
    docker: &DockerProvider,
    image: &str,
    containers: &[Value],
) -> Result<Option<OsRelease>, ApiError> {
    for container in containers {
        match os_of_image(docker, image, container).await {
            Err(
                ApiError::Status { .. }
                | ApiError::TooLarge { .. }
                | ApiError::Protocol { .. }
                | ApiError::Timeout { .. },
            )
            | Ok(None) => {}
            Ok(Some(release)) => {
                docker.remember_os(image, release.clone());
                return Ok(Some(release));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The OS release of an image by one of its containers; kept, where that is seen to have changed nothing of it.
async fn os_of_image(
    docker: &DockerProvider,
    image: &str,
    container: &Value,
) -> Result<Option<OsRelease>, ApiError> {
    let is_untouched = || is_untouched(docker, container);
    let memory = docker.memory_of("os", image);
    let is_of_image = is_untouched();
    if is_of_image && let Some(release) = memory.recall().await {
        return Ok(release);
    }
    let release = os_release(docker, container).await?;
    if release.is_some() && is_of_image && is_untouched() {
        memory.remember(&release).await;
    }
    Ok(release)
}

/// Reads os-release(5) of a container, given its inspect document, without starting anything in it.
pub(super) async fn os_release(
    docker: &DockerProvider,
    container: &Value,
) -> Result<Option<OsRelease>, ApiError> {
    let release = release_in(docker, View::open(docker, container).await?).await?;
    Ok(release.and_then(|bytes| patchyard_assess::parse_os_release(&bytes)))
}

/// The text of os-release(5) in a view, which is over then.
pub(crate) async fn release_in(docker: &DockerProvider, view: View) -> Result<Option<Vec<u8>>, ApiError> {
    let release = async {
        for path in ["/etc/os-release", "/usr/lib/os-release"] {
            // Mostly the one is a link to the other: to ask where it leads is far cheaper than to read it. Only reading
            // tells a file that is not there from a container that has gone.
            let stat = docker.client.stat(view.name(), path).await?;
            let path = match &stat {
                Some(stat) if !stat.link.is_empty() => &stat.link,
                _ => path,
            };
            if let Some(bytes) = docker.client.read_file(view.name(), path, OS_RELEASE_LIMIT).await? {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    };
    let release = release.await;
    view.finish().await;
    release
}

impl Found {
    fn targets(self, docker: &DockerProvider) -> Vec<Target> {
        let (own, others): (Vec<&Value>, Vec<&Value>) =
            self.containers.iter().partition(|c| own::is_own_name(container_name(c)));
        let watchtowers: Vec<Watchtower> = others.iter().filter_map(|c| Watchtower::read(c)).collect();
        let engine = Engine {
            host: &docker.host,
            host_name: &docker.host_name,
            key: &docker.options.key,
            watchtowers: &watchtowers,
            units: &self.units,
            projects: &self.projects,
        };
        // Hardly anybody has links: asking everybody of everybody takes long where there are thousands.
        let linking: Vec<&Value> =
            others.iter().copied().filter(|c| list(&c["HostConfig"]["Links"]).next().is_some()).collect();
        let own_container = own::own_container_of_process();
        let null = Value::Null;
        let mut targets: Vec<Target> = Vec::with_capacity(others.len());
        for inspect in &others {
            let image = self.images.get(text(&inspect["Image"])).unwrap_or(&null);
            let base = image["Config"]["Labels"][LABEL_BASE].as_str().and_then(|id| self.images.get(id));
            let missing_hosts = missing_hosts(inspect, &self.containers);
            let linked_from = linked_from(inspect, &linking);
            let around = Surroundings {
                kind: docker.client.kind(),
                has_name: docker.options.name.is_some(),
                own_container: own_container.as_deref(),
                missing_hosts: &missing_hosts,
                linked_from: &linked_from,
                foreign_run: foreign_run(inspect, &own, &docker.options.controller),
                has_image: !image.is_null(),
            };
            if !image.is_null() {
                docker.remember_platform(text(&inspect["Image"]), platform_of(image));
            }
            let os = self.os.get(text(&inspect["Image"])).cloned().flatten();
            let mut found = target::target(inspect, image, base.unwrap_or(&null), os, &engine, &around);
            found.lives_in = lives_in(inspect, &others);
            targets.push(found);
        }
        one_each(&mut targets);
        name_services(&mut targets);
        targets.sort_by(|a, b| (&a.name, &a.object).cmp(&(&b.name, &b.object)));
        targets
    }
}

/// Names of containers with a link (`/this:/that/alias`) to this one.
fn linked_from(inspect: &Value, all: &[&Value]) -> Vec<String> {
    let links_here = |other: &Value| {
        list(&other["HostConfig"]["Links"])
            .filter_map(|link| text(link).split(':').next())
            .any(|to| is(inspect, to.trim_start_matches('/')))
    };
    all.iter().filter(|other| links_here(other)).map(|other| container_name(other).to_owned()).collect()
}

/// A run of another controller that has this container in its hands: its old container waits beside
/// the new one, or its new one beside this.
fn foreign_run<'a>(inspect: &'a Value, own: &[&'a Value], controller: &str) -> Option<(&'a str, &'a str)> {
    let label = |container: &'a Value, name: &str| text(&container["Config"]["Labels"][name]);
    own.iter().find_map(|other| {
        let (whose, run, part) = own::parse(container_name(other))?;
        if whose == controller8(controller) {
            return None;
        }
        let here = match part.split('-').next().unwrap_or_default() {
            "new" => label(other, crate::names::LABEL_NAME) == container_name(inspect),
            "old" => {
                controller8(label(inspect, LABEL_CONTROLLER)) == whose
                    && label(inspect, LABEL_RUN).eq_ignore_ascii_case(run)
            }
            _ => false,
        };
        here.then_some((whose, run))
    })
}

/// Two containers with the same place in the same project (one was made from an image of the other,
/// labels and all): the one whose name Compose gave keeps the id, others go by their names.
fn one_each(targets: &mut [Target]) {
    let mut seen: BTreeMap<TargetId, Vec<usize>> = BTreeMap::new();
    for (index, target) in targets.iter().enumerate() {
        seen.entry(target.id.clone()).or_default().push(index);
    }
    for (id, indices) in seen.into_iter().filter(|(_, indices)| indices.len() > 1) {
        let place = id.name();
        let given = |name: &str| name.replace(['_', '-'], "/") == place.replace(['_', '-'], "/");
        let keeps = indices.iter().copied().find(|index| given(&targets[*index].name)).unwrap_or(indices[0]);
        for index in indices.into_iter().filter(|index| *index != keeps) {
            let target = &mut targets[index];
            target.id = TargetId::new("docker", &target.host, &target.name);
        }
    }
}

/// Compose names what a service needs by its own names; a label may have given those services others.
fn name_services(targets: &mut [Target]) {
    let mut named: BTreeMap<(String, String), String> = BTreeMap::new();
    for target in targets.iter() {
        let compose = target.labels.get("com.docker.compose.service");
        if let (Some(project), Some(service)) = (&target.project, compose) {
            named.insert((project.clone(), service.clone()), target.service.clone());
        }
    }
    for target in targets.iter_mut() {
        let Some(project) = target.project.clone() else { continue };
        for service in &mut target.depends_on {
            if let Some(name) = named.get(&(project.clone(), service.clone())) {
                service.clone_from(name);
            }
        }
        let own = target.service.clone();
        target.depends_on.retain(|service| *service != own);
        target.depends_on.sort_unstable();
        target.depends_on.dedup();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_of_another_controller_is_seen_at_every_stage() {
        let plain = json!({"Name": "/web", "Id": "c1", "Config": {"Labels": {}}});
        let new = json!({"Name": "/patchyard-other123-r4.1-new", "Config": {"Labels": {"io.patchyard.name": "web"}}});
        assert_eq!(foreign_run(&plain, &[&new], "mine"), Some(("other123", "r4.1")));
        assert_eq!(foreign_run(&plain, &[&new], "other123-rest"), None);
        let swapped = json!({"Name": "/web", "Id": "c2", "Config": {"Labels": {
            "io.patchyard.controller": "other123-rest", "io.patchyard.run": "R4.1"}}});
        let old = json!({"Name": "/patchyard-other123-r4.1-old", "Config": {"Labels": {}}});
        assert_eq!(foreign_run(&swapped, &[&old], "mine"), Some(("other123", "r4.1")));
        // Long over: nothing waits beside it.
        assert_eq!(foreign_run(&swapped, &[], "mine"), None);
        assert_eq!(foreign_run(&plain, &[&old], "mine"), None);
    }

    #[test]
    fn links_are_found() {
        let web = json!({"Name": "/web", "Id": "c1"});
        let linked = json!({"Name": "/app", "Id": "c3", "HostConfig": {"Links": ["/web:/app/web"]}});
        let all = [&web, &linked];
        assert_eq!(linked_from(&web, &all), ["app"]);
        assert_eq!(linked_from(&linked, &all).len(), 0);
    }
}

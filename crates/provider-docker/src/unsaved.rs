//! What a container has written outside of its volumes: recreation would lose it.
//!
//! Not counted, because it is made anew or belongs to somebody else:
//!
//! | what | why |
//! |---|---|
//! | mounts and what is under them | not part of the writable layer; the engine lists their places |
//! | `/tmp`, `/var/tmp`, `/run`, `/var/run`, `/dev/shm` | for the moment, by their standard (FHS) |
//! | `/var/cache`, `/var/log` | may be deleted at any time, by their standard; logs are a stated loss |
//! | `/var/lib/dpkg`, `/var/lib/apt`, `/var/lib/rpm`, `/var/lib/dnf`, `/var/lib/zypp`, `/lib/apk/db` | the package manager's own files: the patch writes them |
//! | `__pycache__` and what is in it | compiled again when it is missing |
//! | `.bash_history` and its like | of a person who looked around |
//! | `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf`, `/etc/mtab`, `/sbin/docker-init` | written by the engine |
//! | `/etc` itself, not what is in it | made anew by the engine in every container |
//! | directories, sockets, pipes, devices | hold no data; what is in a directory counts on its own |
//!
//! `/run/secrets` counts all the same: Compose puts secrets there after a container is created, and
//! nobody would put them there again. Those that the project's files name are carried over
//! ([`crate::injected`]).

use std::collections::BTreeMap;
use std::fmt;

use futures_util::StreamExt;
use patchyard_types::{Unsaved, printable};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;

use crate::DockerProvider;
use crate::client::{ApiError, Client, follow};
use crate::layers::{Layers, Verdict};
use crate::swap::Run;
use crate::view::View;

/// How many paths are looked at at the same time.
const PARALLEL: usize = 8;
/// The most of an engine's answer that is read, in bytes: some 300,000 paths.
const ANSWER_LIMIT: u64 = 32 * 1024 * 1024;
/// How many paths are given out.
const PATHS: usize = 100;
/// How many candidates are looked at.
const CANDIDATES: usize = 2000;
/// The answer where that was not enough: nobody knows, so it counts as a loss.
const TOO_MANY: &str = "(more changed paths than can be looked at)";

/// Folders whose contents are nobody's data. The user guide lists them too.
const IGNORED: [&str; 17] = [
    "/tmp",
    "/var/tmp",
    "/run",
    "/var/run",
    "/dev",
    "/proc",
    "/sys",
    "/var/cache",
    "/var/log",
    "/var/lib/dpkg",
    "/var/lib/apt",
    "/var/lib/rpm",
    "/usr/lib/sysimage/rpm",
    "/var/lib/dnf",
    "/usr/lib/sysimage/libdnf5",
    "/var/lib/zypp",
    "/lib/apk/db",
];
/// Those of them that no package manager has anything in.
const VOLATILE: [&str; 9] =
    ["/tmp", "/var/tmp", "/run", "/var/run", "/dev", "/proc", "/sys", "/var/cache", "/var/log"];
/// The folder that the engine makes for files of its own.
const ENGINES_FOLDER: &str = "/etc";
/// Where an engine mounts the init process that it puts in (`--init`), by way of a link of the image or not.
const INIT: [&str; 2] = ["/sbin/docker-init", "/usr/sbin/docker-init"];
/// Files that the engine writes itself, and their folder. Where [`INIT`] is the daemon's own default, no container's settings
/// tell of it.
const ENGINES_OWN: [&str; 8] = [
    ENGINES_FOLDER,
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/mtab",
    "/.dockerenv",
    INIT[0],
    INIT[1],
];
/// Where Compose puts secrets after a container is created.
const SECRETS: &str = "/run/secrets";
/// What interactive tools remember, besides `.…_history`.
const REMEMBERED: [&str; 2] = [".lesshst", ".viminfo"];

/// The package manager's own files that change with every package.
const PACKAGES: [&str; 9] = [
    "/var/lib/dpkg/status",
    "/var/lib/rpm/Packages",
    "/var/lib/rpm/Packages.db",
    "/var/lib/rpm/rpmdb.sqlite",
    "/usr/lib/sysimage/rpm/Packages",
    "/usr/lib/sysimage/rpm/Packages.db",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/lib/apk/db/installed",
    "/usr/lib/apk/db/installed",
];

/// What happened to a path of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It was there, and is another now. Also a folder that something in it has changed.
    Modified,
    /// It was not there.
    Added,
    /// It is not there any more.
    Deleted,
}

/// What a container has changed, without what is ignored.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// What counts, folders among it.
    pub paths: BTreeMap<String, Kind>,
    /// The package manager's database that was changed.
    pub packages: Option<String>,
}

impl Changes {
    /// Why they cannot be carried into a container of another image, where they cannot.
    pub fn cannot_carry(&self) -> Option<String> {
        if let Some(database) = &self.packages {
            return Some(format!(
                "packages were installed or removed in it ({database}), and the patched image has its own"
            ));
        }
        // The engine's answer has another character in the place of what it cannot write.
        if let Some(path) = self.paths.keys().find(|path| path.contains('\u{fffd}')) {
            return Some(format!("the name of {} is no UTF-8 text", printable(path, 200)));
        }
        let deleted: Vec<&str> = self
            .paths
            .iter()
            .filter(|(_, kind)| **kind == Kind::Deleted)
            .map(|(path, _)| path.as_str())
            .collect();
        let shown: Vec<String> = deleted.iter().take(3).map(|path| printable(path, 100)).collect();
        let more = if deleted.len() > 3 { format!(" and {} more", deleted.len() - 3) } else { String::new() };
        (!deleted.is_empty()).then(|| {
            format!(
                "it has deleted {}{more} of its image, and the new one would have that again",
                shown.join(", ")
            )
        })
    }
}

impl Changes {
    /// Without what is on a mount whose place is named by way of links of the image, as `/lib` is one of Debian's: an engine tells of
    /// changes by their true paths. `view` is what is looked at in the container's place.
    pub async fn off_mounts(
        mut self,
        client: &Client,
        view: &str,
        container: &Value,
    ) -> Result<Self, ApiError> {
        if self.paths.is_empty() {
            return Ok(self);
        }
        for place in places(container) {
            let there = true_path(client, view, place).await?;
            self.paths.retain(|path, _| !is_under(path, &there) && !is_under(&there, path));
        }
        Ok(self)
    }
}

async fn true_path(client: &Client, view: &str, place: &str) -> Result<String, ApiError> {
    let mut path = String::new();
    for part in place.split('/').filter(|part| !part.is_empty()) {
        path = format!("{path}/{part}");
        if let Some(stat) = client.stat(view, &path).await?
            && stat.is_symlink()
        {
            path = follow(&path, &stat.link);
        }
    }
    Ok(path)
}

/// Places in a container that are no part of its writable layer.
pub(crate) fn places(container: &Value) -> Vec<&str> {
    let mounts = container["Mounts"].as_array().into_iter().flatten();
    let tmpfs = container["HostConfig"]["Tmpfs"].as_object().into_iter().flatten();
    let has_init = container["HostConfig"]["Init"].as_bool() == Some(true);
    mounts
        .filter_map(|mount| mount["Destination"].as_str())
        .chain(tmpfs.map(|(place, _)| place.as_str()))
        .chain(INIT.into_iter().filter(|_| has_init))
        .collect()
}

/// Whether a path of a container is on a mount.
pub(crate) fn is_mounted(container: &Value, path: &str) -> bool {
    places(container).into_iter().any(|place| is_under(path, place))
}

/// Whether a path is a folder or is in it.
pub(crate) fn is_under(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder.trim_end_matches('/'))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What a container has changed. `container` is its inspect document.
///
/// # Errors
/// When the engine cannot be asked, or its answer is larger than anybody would read.
pub(crate) async fn changes(docker: &DockerProvider, container: &Value) -> Result<Changes, ApiError> {
    parse(&answer(docker, container).await?, &places(container))
}

/// Whether a container has changed any file that is there for longer than the moment: then its image does not
/// tell what it holds.
///
/// # Errors
/// When the engine cannot be asked.
pub(crate) async fn is_touched(docker: &DockerProvider, container: &Value) -> Result<bool, ApiError> {
    let answer = match answer(docker, container).await {
        Err(ApiError::TooLarge { .. }) => return Ok(true),
        answer => answer?,
    };
    let mut paths = Vec::new();
    each(&answer, |Change { path, .. }| paths.push(path))?;
    Ok(touches(paths, &places(container)))
}

/// Folders are listed for what is in them.
fn touches(mut paths: Vec<String>, places: &[&str]) -> bool {
    paths.sort_unstable();
    paths.iter().enumerate().any(|(index, path)| {
        let is_folder = paths.get(index + 1).is_some_and(|next| is_under(next, path));
        let is_others = places.iter().any(|place| is_under(path, place) || is_under(place, path));
        let is_volatile = VOLATILE.iter().any(|folder| is_under(path, folder));
        !(is_folder || is_others || is_volatile || ENGINES_OWN.contains(&path.as_str()))
    })
}

/// The engine's list. To make it, an engine compares all files of the container with all of its image, which takes it some tenths of a second
/// of work: where the writable layer can be seen to hold nothing, it is not asked.
async fn answer(docker: &DockerProvider, container: &Value) -> Result<Vec<u8>, ApiError> {
    let id = container["Id"].as_str().ok_or_else(|| ApiError::protocol("a container without Id"))?;
    let places = places(container);
    if Layers::seen(docker, container).is_some_and(|layers| holds_nothing(&layers, &places)) {
        return Ok(b"null".to_vec());
    }
    docker
        .client
        .get(&["containers", id, "changes"])
        .timeout(std::time::Duration::from_secs(300))
        .bytes(ANSWER_LIMIT)
        .await
}

/// Whether nothing in a writable layer would make a difference to anybody who asks for what has changed.
fn holds_nothing(layers: &Layers, places: &[&str]) -> bool {
    layers.holds_nothing(|path, entry| {
        let leads_to = |place: &str| is_under(place, path);
        let is_in = |folders: &[&str]| folders.iter().any(|folder| is_under(path, folder));
        let leads_to_secrets = leads_to(SECRETS);
        let is_nobodys = is_in(places)
            || is_in(&VOLATILE) && !leads_to_secrets && !is_under(path, SECRETS)
            || ENGINES_OWN.contains(&path) && path != ENGINES_FOLDER;
        let is_engines =
            path == ENGINES_FOLDER || leads_to_secrets || places.iter().any(|place| leads_to(place));
        if is_nobodys {
            Verdict::Nothing
        } else if entry.is_folder()
            && (is_engines
                || VOLATILE.iter().chain(&ENGINES_OWN).any(|folder| leads_to(folder))
                    && entry.is_as_in_image())
        {
            Verdict::LookInside
        } else {
            Verdict::Counts
        }
    })
}

/// What a container's writable layer holds that recreation would lose.
///
/// # Errors
/// When the engine cannot be asked.
pub(crate) async fn unsaved(docker: &DockerProvider, container: &Value) -> Result<Unsaved, ApiError> {
    unsaved_in(docker, container, View::open(docker, container)).await
}

/// The same within a run.
///
/// # Errors
/// As [`unsaved`].
pub(crate) async fn unsaved_of_run(run: &Run<'_>, container: &Value) -> Result<Unsaved, ApiError> {
    unsaved_in(run.docker, container, View::of_run(run, container)).await
}

/// `view` is opened when something has to be looked at.
async fn unsaved_in(
    docker: &DockerProvider,
    container: &Value,
    view: impl Future<Output = Result<View, ApiError>>,
) -> Result<Unsaved, ApiError> {
    let changes = match changes(docker, container).await {
        Err(ApiError::TooLarge { .. }) => {
            let paths = vec![TOO_MANY.to_owned()];
            return Ok(Unsaved { paths, cannot_carry: Some("there are too many".to_owned()) });
        }
        changes => changes?,
    };
    if changes.paths.is_empty() {
        return Ok(Unsaved { paths: Vec::new(), cannot_carry: changes.cannot_carry() });
    }
    let view = match view.await {
        // Too large to be looked at: some of it is data.
        Err(ApiError::TooLarge { .. }) => {
            let paths =
                candidates(&changes).into_iter().take(PATHS).map(|(path, _)| printable(&path, 300)).collect();
            return Ok(Unsaved { paths, cannot_carry: changes.cannot_carry() });
        }
        view => view?,
    };
    let looked = async {
        let changes = changes.off_mounts(&docker.client, view.name(), container).await?;
        let paths = look(&docker.client, view.name(), candidates(&changes)).await?;
        Ok(Unsaved { paths, cannot_carry: changes.cannot_carry() })
    };
    let looked = looked.await;
    view.finish().await;
    looked
}

/// Directories and sockets are told apart by a look at each; what is deleted cannot be looked at.
async fn look(client: &Client, id: &str, found: Vec<(String, bool)>) -> Result<Vec<String>, ApiError> {
    let too_many = found.len() > CANDIDATES;
    let looked = futures_util::stream::iter(found).take(CANDIDATES).map(|(path, deleted)| async move {
        if deleted {
            return Ok(Some(path));
        }
        match client.stat(id, &path).await? {
            Some(stat) if stat.holds_data() || stat.is_symlink() => Ok(Some(path)),
            _ => Ok(None),
        }
    });
    let mut looked = std::pin::pin!(looked.buffered(PARALLEL));
    let mut unsaved = Vec::new();
    while let Some(path) = looked.next().await {
        unsaved.extend(path?.map(|path: String| printable(&path, 300)));
        if unsaved.len() == PATHS {
            break;
        }
    }
    if too_many && unsaved.is_empty() {
        unsaved.push(TOO_MANY.to_owned());
    }
    Ok(unsaved)
}

/// Paths that may hold data, with whether they are deletions: sorted, and without the directories that
/// are only listed for what is in them.
fn candidates(changes: &Changes) -> Vec<(String, bool)> {
    let sorted: Vec<(String, bool)> =
        changes.paths.iter().map(|(path, kind)| (path.clone(), *kind == Kind::Deleted)).collect();
    let has_content =
        |index: usize, path: &str| sorted.get(index + 1).is_some_and(|(next, _)| is_under(next, path));
    sorted
        .iter()
        .enumerate()
        .filter(|(index, (path, deleted))| *deleted || !has_content(*index, path))
        .map(|(_, change)| change.clone())
        .collect()
}

fn parse(answer: &[u8], places: &[&str]) -> Result<Changes, ApiError> {
    let mut found = Changes::default();
    each(answer, |Change { path, kind }| {
        let kind = match kind {
            0 => Kind::Modified,
            1 => Kind::Added,
            _ => Kind::Deleted,
        };
        if counts(&path, places) {
            found.paths.insert(path, kind);
        } else if PACKAGES.contains(&path.as_str()) {
            found.packages = Some(path);
        }
    })?;
    Ok(found)
}

fn each(answer: &[u8], found: impl FnMut(Change)) -> Result<(), ApiError> {
    if answer.trim_ascii() == b"null" {
        return Ok(());
    }
    let mut json = serde_json::Deserializer::from_slice(answer);
    json.deserialize_seq(List(found)).map_err(|error| ApiError::protocol(format!("changes: {error}")))
}

/// Whether a change of this path would be a loss.
fn counts(path: &str, places: &[&str]) -> bool {
    let under = |folder: &str| is_under(path, folder);
    if places.iter().any(|place| under(place)) || ENGINES_OWN.contains(&path) {
        return false;
    }
    // The engine makes the folders above a mount.
    let above =
        |place: &&str| place.strip_prefix(path).is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'));
    if places.iter().any(above) {
        return false;
    }
    if under(SECRETS) {
        return true;
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_remembered = name.starts_with('.') && name.ends_with("_history") || REMEMBERED.contains(&name);
    let is_compiled = path.split('/').any(|part| part == "__pycache__");
    !(is_remembered || is_compiled || IGNORED.iter().any(|folder| under(folder)))
}

#[derive(Deserialize)]
struct Change {
    #[serde(rename = "Path")]
    path: String,
    /// 0 changed, 1 added, 2 deleted.
    #[serde(rename = "Kind")]
    kind: u8,
}

/// Hands out one element of a list after the other, so that a long one is never in memory as values.
struct List<F>(F);

impl<'de, F: FnMut(Change)> Visitor<'de> for List<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of changes")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(change) = list.next_element()? {
            (self.0)(change);
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(changes: &[(&str, u8)], places: &[&str]) -> Vec<String> {
        let list: Vec<_> = changes.iter().map(|(path, kind)| json!({"Path": path, "Kind": kind})).collect();
        let found = parse(json!(list).to_string().as_bytes(), places).unwrap();
        candidates(&found).into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn what_is_made_anew_does_not_count() {
        let ignored = [
            ("/tmp", 0),
            ("/tmp/x", 1),
            ("/run/app.pid", 1),
            ("/var/log/app.log", 1),
            ("/var/cache/x", 1),
            ("/etc/hosts", 0),
            ("/usr/sbin/docker-init", 1),
            ("/app/__pycache__/a.pyc", 1),
            ("/root/.bash_history", 1),
            ("/var/lib/dpkg/status", 0),
            ("/data/db", 1),
            ("/srv", 1),
            ("/srv/www", 1),
        ];
        assert_eq!(paths(&ignored, &["/data", "/srv/www"]), [""; 0]);
    }

    #[test]
    fn everything_else_does() {
        let counted = [
            ("/etc", 0),
            ("/etc/app.conf", 0),
            ("/srv/x", 1),
            ("/tmpfile", 1),
            ("/run/secrets/key", 1),
            ("/usr/bin/tool", 2),
            ("/database", 1),
        ];
        assert_eq!(
            paths(&counted, &["/data", "/srv/www"]),
            ["/database", "/etc/app.conf", "/run/secrets/key", "/srv/x", "/tmpfile", "/usr/bin/tool"]
        );
        assert_eq!(paths(&[("/run/secrets/key", 1)], &["/run/secrets/key"]), [""; 0]);
    }

    #[test]
    fn what_is_written_for_the_moment_leaves_the_image_as_good_as_the_container() {
        let touched =
            |paths: &[&str]| touches(paths.iter().map(|path| (*path).to_owned()).collect(), &["/srv/data"]);
        assert!(!touched(&[
            "/var",
            "/var/log",
            "/var/log/app.log",
            "/run",
            "/run/app.pid",
            "/srv",
            "/srv/data"
        ]));
        for changed in
            ["/var/lib/dpkg/status", "/var/lib/apt/extended_states", "/etc/apt/sources.list", "/srv/other"]
        {
            assert!(touched(&["/etc/hosts", changed]), "{changed}");
        }
    }

    /// What makes an engine's answer needless has to be what the answer says nothing of.
    #[test]
    fn a_writable_layer_is_seen_to_hold_nothing_by_the_same_rules() {
        const PLACES: [&str; 3] = ["/srv/data", "/run/secrets/mounted", "/opt"];
        let is_empty = |written: &str, folders: &[&str]| {
            let folder = tempfile::tempdir().unwrap();
            let [upper, image] = ["upper", "image"].map(|name| folder.path().join(name));
            for in_image in ["var/log", "var/cache", "etc", "srv", "usr/sbin"] {
                std::fs::create_dir_all(image.join(in_image)).unwrap();
            }
            std::fs::create_dir_all(upper.join(written).parent().unwrap()).unwrap();
            std::fs::write(upper.join(written), "").unwrap();
            for made in folders {
                std::fs::create_dir_all(upper.join(made)).unwrap();
            }
            holds_nothing(&Layers::at(upper, image), &PLACES)
        };
        for nothing in [
            "tmp/x",
            "run/app.pid",
            "run/secrets/mounted/key",
            "var/log/a/b",
            "etc/hosts",
            ".dockerenv",
            "usr/sbin/docker-init",
            "srv/data/x",
            "opt/x",
        ] {
            assert!(is_empty(nothing, &["srv/data", "etc"]), "{nothing}");
            let path = format!("/{nothing}");
            assert_eq!(paths(&[(&path, 1)], &PLACES), [""; 0], "{nothing}");
            assert!(!touches(vec![path], &PLACES), "{nothing}");
        }
        for something in [
            "srv/x",
            "etc/x",
            "run/secrets/x",
            "var/lib/dpkg/status",
            "var/x",
            "root/.bash_history",
            "x",
            "tmpfile",
        ] {
            assert!(!is_empty(something, &[]), "{something}");
        }
        assert!(!is_empty("etc/hosts", &["made"]), "a new folder: is_touched counts it");
    }

    /// Also a folder that only leads to what does not count has to be the image's: who carries a layer carries its mode.
    #[test]
    fn a_folder_with_another_mode_is_something() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let [upper, image] = ["upper", "image"].map(|name| folder.path().join(name));
        for layer in [&upper, &image] {
            std::fs::create_dir_all(layer.join("var/log")).unwrap();
        }
        let layers = Layers::at(upper.clone(), image);
        assert!(holds_nothing(&layers, &[]));
        std::fs::set_permissions(upper.join("var"), std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!holds_nothing(&layers, &[]));
    }

    #[test]
    fn nothing_changed_is_said_in_two_ways() {
        for nothing in [&b"null\n"[..], b"[]"] {
            assert_eq!(parse(nothing, &[]).unwrap(), Changes::default());
        }
    }

    #[test]
    fn deletions_and_packages_cannot_be_carried() {
        let why = |changes: &[(&str, u8)]| {
            let list: Vec<_> =
                changes.iter().map(|(path, kind)| json!({"Path": path, "Kind": kind})).collect();
            parse(json!(list).to_string().as_bytes(), &["/data"]).unwrap().cannot_carry()
        };
        assert_eq!(why(&[("/srv/x", 1), ("/etc/x", 0), ("/var/lib/dpkg/lock", 0), ("/tmp/x", 2)]), None);
        assert!(why(&[("/srv/caf\u{fffd}", 1)]).unwrap().contains("no UTF-8"));
        assert!(why(&[("/etc/a", 2), ("/etc/b", 2)]).unwrap().contains("/etc/a, /etc/b of its image"));
        assert!(why(&[("/var/lib/dpkg/status", 0), ("/usr/bin/x", 1)]).unwrap().contains("dpkg/status"));
    }
}

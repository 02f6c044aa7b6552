//! Images made of a container's layer with the settings of the image below it.
//!
//! A commit brings the container's environment and labels into the image, which no option takes out
//! again, and drops `ONBUILD`. So the layer is committed, and an archive of settings alone is loaded:
//! every layer it names is there already. The result is whole or not there at all.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::time::Duration;

use patchyard_types::Digest;
use serde_json::{Map, Value, json};

use crate::client::{ApiError, Body, Client, EngineKind, TarReader, TarWriter, reader_body};
use crate::names::{LABEL_BASE, LABEL_INTERMEDIATE, LABEL_PATCH_SET, OWN_LABELS};
use crate::read::json::{list, text};

/// How long a commit or load of gigabytes may take; the step's own limit is stricter.
const LONG: Duration = Duration::from_secs(6 * 3600);
/// The most that an image's settings may take, in bytes: registries refuse larger ones.
const CONFIG_LIMIT: u64 = 4 * 1024 * 1024;

/// The patched image: by its tag, else, for another reference to the same base, by its labels.
pub(crate) async fn built(
    client: &Client,
    base: &Value,
    patch_set: &Digest,
    tag: &str,
) -> Result<Option<Value>, ApiError> {
    let ours = |image: &Value| is_patched(image, base, patch_set);
    if let Some(image) = client.image(tag).await?.filter(ours) {
        return Ok(Some(image));
    }
    for id in labelled(client, LABEL_PATCH_SET, &patch_set.to_string()).await? {
        if let Some(image) = client.image(&id).await?.filter(ours) {
            return Ok(Some(image));
        }
    }
    Ok(None)
}

async fn labelled(client: &Client, label: &str, value: &str) -> Result<Vec<String>, ApiError> {
    let filters = json!({ "label": [format!("{label}={value}")] }).to_string();
    let listed = client.get(&["images", "json"]).query("filters", &filters).json().await?;
    Ok(list(&listed).map(|image| text(&image["Id"]).to_owned()).collect())
}

/// Commits a container; what runs in it goes on meanwhile. The image is marked as an intermediate one of `name`, so
/// that it is found again if nobody gets to remove it.
pub(crate) async fn commit(client: &Client, container: &str, name: &str) -> Result<Value, ApiError> {
    let commit = client.post(&["commit"]).query("container", container).query("pause", "0");
    let commit = commit.query("changes", &format!("LABEL {LABEL_INTERMEDIATE}={name}"));
    let committed = commit.json_body(&json!({})).timeout(LONG).json().await?;
    let id = committed["Id"].as_str().ok_or_else(|| ApiError::protocol("a commit without Id"))?;
    client.image(id).await?.ok_or_else(|| ApiError::protocol("a committed image that is not there"))
}

/// Makes the image that has the layers of `committed` and the settings of `base`, under `tag`; returns
/// its id. The committed one is gone afterwards, whatever comes of it.
pub(crate) async fn correct(
    client: &Client,
    base: &Value,
    committed: &Value,
    labels: &BTreeMap<String, String>,
    tag: &str,
) -> Result<String, ApiError> {
    let made = async {
        let config = match client.kind() {
            EngineKind::Docker => {
                let history = client.get(&["images", text(&base["Id"]), "history"]).json().await?;
                settings(base, committed, &history, labels)
            }
            // Podman tells less of an image's settings than there is: they are taken from its export.
            EngineKind::Podman => with_layer(exported(client, text(&base["Id"])).await?, committed, labels),
        };
        let config = config.to_string();
        let digest = Digest::of_bytes(config.as_bytes());
        let file = format!("{digest}.json");
        let layers = list(&committed["RootFS"]["Layers"]).count();
        let layers: Vec<String> = (0..layers).map(|index| format!("{index}/layer.tar")).collect();
        let manifest = json!([{
            "Config": file,
            "RepoTags": [client.stored(tag)],
            // Never read: the engine has every layer. Podman wants to see the files all the same.
            "Layers": layers,
        }]);
        let mut archive = TarWriter::new();
        archive.file(&file, 0o644, config.as_bytes())?;
        if client.kind() == EngineKind::Podman {
            for layer in &layers {
                archive.file(layer, 0o644, b"")?;
            }
        }
        archive.file("manifest.json", 0o644, manifest.to_string().as_bytes())?;
        load(client, reader_body(Cursor::new(archive.finish()))).await?;
        let id = format!("sha256:{digest}");
        let is_there = client.image(&id).await?.is_some();
        let other = || ApiError::protocol("the engine loaded an image under another id than it has");
        is_there.then_some(id).ok_or_else(other)
    };
    let made = made.await;
    remove_intermediate(client, text(&committed["Id"])).await?;
    made
}

/// The settings of an image, as they are in its export: behind the layers, which are read and thrown away.
async fn exported(client: &Client, id: &str) -> Result<Value, ApiError> {
    let mut archive = TarReader::new(client.get(&["images", id, "get"]).timeout(LONG).stream().await?);
    let name = format!("{}.json", id.trim_start_matches("sha256:"));
    while let Some(entry) = archive.next().await? {
        if entry.path == name {
            let config = archive.data(CONFIG_LIMIT).await?;
            return serde_json::from_slice(&config)
                .map_err(|error| ApiError::protocol(format!("the settings of an image: {error}")));
        }
    }
    Err(ApiError::protocol("the engine exports an image without its settings"))
}

/// Loads an archive of images.
pub(crate) async fn load(client: &Client, archive: Body) -> Result<(), ApiError> {
    let request = client.post(&["images", "load"]).query("quiet", "1").timeout(LONG);
    let mut said = request.body("application/x-tar", archive).lines().await?;
    while said.next().await?.is_some() {}
    Ok(())
}

/// Removes an image that has no name. Its parents stay, untagged ones too.
pub(crate) async fn remove_intermediate(client: &Client, id: &str) -> Result<(), ApiError> {
    match client.delete(&["images", id]).query("noprune", "1").done().await {
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
        removed => removed,
    }
}

/// Removes what was committed of a builder and given up then. What cannot be removed now, the next build
/// of the same set removes.
pub(crate) async fn remove_intermediates(client: &Client, name: &str) {
    for id in labelled(client, LABEL_INTERMEDIATE, name).await.unwrap_or_default() {
        let _ = remove_intermediate(client, &id).await;
    }
}

/// Gives an image a tag; one that has it is fine.
pub(crate) async fn tag(client: &Client, image: &str, tag: &str) -> Result<(), ApiError> {
    let tag = client.stored(tag);
    let (repository, version) = tag.rsplit_once(':').unwrap_or((&tag, "latest"));
    client.post(&["images", image, "tag"]).query("repo", repository).query("tag", version).done().await
}

/// Takes a tag away; with the last one the image goes, unless a container uses it. False when it has
/// to stay: by its id alone, `docker ps` would show nobody what the container runs.
pub(crate) async fn untag(client: &Client, tag: &str) -> Result<bool, ApiError> {
    let containers = client.all_containers().await?;
    if list(&containers).any(|container| container["Image"].as_str() == Some(tag)) {
        return Ok(false);
    }
    match client.delete(&["images", &client.stored(tag)]).query("noprune", "1").done().await {
        Err(error) if error.is_not_found() => Ok(true),
        // A container uses it: the tag stays until that is gone.
        Err(error) if error.is_conflict() => Ok(false),
        removed => removed.map(|()| true),
    }
}

/// Whether an image is `base` and one layer of this patch set, and nothing else.
pub(crate) fn is_patched(image: &Value, base: &Value, patch_set: &Digest) -> bool {
    let label = |name: &str| text(&image["Config"]["Labels"][name]);
    label(LABEL_PATCH_SET) == patch_set.to_string()
        && Some(label(LABEL_BASE)) == base["Id"].as_str()
        && one_layer_more(image, base)
}

fn one_layer_more(image: &Value, base: &Value) -> bool {
    match (image["RootFS"]["Layers"].as_array(), base["RootFS"]["Layers"].as_array()) {
        (Some(layers), Some(below)) => layers.len() == below.len() + 1 && layers.starts_with(below),
        _ => false,
    }
}

/// The settings of the base as they are, with the layers of `committed` and labels of ours.
fn with_layer(mut settings: Value, committed: &Value, labels: &BTreeMap<String, String>) -> Value {
    let own = &mut settings["config"]["Labels"];
    let mut all = own.as_object().cloned().unwrap_or_default();
    all.retain(|name, _| !OWN_LABELS.contains(&name.as_str()));
    all.extend(labels.iter().map(|(name, value)| (name.clone(), json!(value))));
    *own = Value::Object(all);
    settings["created"] = committed["Created"].clone();
    settings["rootfs"] = json!({"type": "layers", "diff_ids": committed["RootFS"]["Layers"]});
    if let Some(steps) = settings.get_mut("history").and_then(Value::as_array_mut) {
        steps.push(step(committed, labels));
    }
    settings
}

/// What the layer was made by.
fn step(committed: &Value, labels: &BTreeMap<String, String>) -> Value {
    let set = labels.get(LABEL_PATCH_SET).map(String::as_str).unwrap_or_default();
    let comment = format!("patch set {}", set.get(..12).unwrap_or(set));
    json!({"created": committed["Created"], "created_by": "patchyard", "comment": comment})
}

/// The image's settings as an archive holds them: those of `base`, the layers of `committed`.
fn settings(base: &Value, committed: &Value, history: &Value, labels: &BTreeMap<String, String>) -> Value {
    let mut config = match &base["Config"] {
        Value::Object(config) => config.clone(),
        _ => Map::new(),
    };
    let mut all = base["Config"]["Labels"].as_object().cloned().unwrap_or_default();
    all.retain(|name, _| !OWN_LABELS.contains(&name.as_str()));
    all.extend(labels.iter().map(|(name, value)| (name.clone(), json!(value))));
    config.insert("Labels".to_owned(), Value::Object(all));

    let layers = list(&committed["RootFS"]["Layers"]).cloned().collect::<Vec<_>>();
    let mut out = Map::new();
    for (ours, theirs) in [
        ("architecture", "Architecture"),
        ("os", "Os"),
        ("variant", "Variant"),
        ("os.version", "OsVersion"),
        ("author", "Author"),
    ] {
        if let Some(value) = base[theirs].as_str().filter(|value| !value.is_empty()) {
            out.insert(ours.to_owned(), json!(value));
        }
    }
    out.insert("created".to_owned(), committed["Created"].clone());
    out.insert("config".to_owned(), Value::Object(config));
    if let Some(mut steps) = past(history, layers.len().saturating_sub(1)) {
        steps.push(step(committed, labels));
        out.insert("history".to_owned(), Value::Array(steps));
    }
    out.insert("rootfs".to_owned(), json!({"type": "layers", "diff_ids": layers}));
    Value::Object(out)
}

/// The steps that made the base, oldest first. The engine tells sizes, not which steps made no layer: a
/// step without size may have made an empty one. Where no reading fits the number of layers, nothing is
/// said rather than something wrong.
fn past(history: &Value, layers: usize) -> Option<Vec<Value>> {
    let entries: Vec<&Value> = list(history).collect();
    let readings: [fn(&Value) -> bool; 3] =
        [has_size, |entry| has_size(entry) || !only_settings(entry), |_| true];
    let made_one =
        readings.into_iter().find(|made| entries.iter().filter(|entry| made(entry)).count() == layers)?;
    let steps = entries.iter().rev().map(|entry| {
        let created = jiff::Timestamp::from_second(entry["Created"].as_i64()?).ok()?;
        let part = |key: &str| text(&entry[key]);
        let mut step = json!({
            "created": created.to_string(), "created_by": part("CreatedBy"), "comment": part("Comment"),
        });
        if !made_one(entry) {
            step["empty_layer"] = json!(true);
        }
        Some(step)
    });
    steps.collect()
}

fn has_size(entry: &Value) -> bool {
    entry["Size"].as_i64() != Some(0)
}

/// Whether a step is an instruction that makes no layer, as both builders write them.
fn only_settings(entry: &Value) -> bool {
    const SETTINGS: [&str; 12] = [
        "ARG",
        "CMD",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "SHELL",
        "STOPSIGNAL",
        "USER",
    ];
    let step = text(&entry["CreatedBy"]);
    let step = step.split_once("#(nop)").map_or(step, |(_, step)| step).trim_start();
    let word = step.split_whitespace().next().unwrap_or_default();
    SETTINGS.contains(&word) || word == "VOLUME"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Value {
        json!({
            "Id": "sha256:base", "Architecture": "arm64", "Variant": "v8", "Os": "linux", "Author": "",
            "Config": {"Env": ["A=1"], "OnBuild": ["RUN x"], "Shell": ["/bin/sh"], "Labels": {"a": "b", LABEL_BASE: "older"}},
            "RootFS": {"Layers": ["sha256:1", "sha256:2"]},
        })
    }

    fn committed() -> Value {
        json!({
            "Created": "2026-11-21T09:00:00Z", "RootFS": {"Layers": ["sha256:1", "sha256:2", "sha256:3"]},
            "Config": {"Env": ["http_proxy=http://secret@proxy"], "Labels": {"io.patchyard.role": "build"}},
        })
    }

    #[test]
    fn an_image_has_the_settings_of_its_base_and_labels_of_ours() {
        let history = json!([
            {"Created": 20, "CreatedBy": "CMD", "Size": 0},
            {"Created": 10, "CreatedBy": "RUN", "Size": 5},
            {"Created": 0, "CreatedBy": "ADD", "Size": 7},
        ]);
        let labels = BTreeMap::from([(LABEL_BASE.to_owned(), "sha256:base".to_owned())]);
        let made = settings(&base(), &committed(), &history, &labels);
        assert_eq!(
            made["config"],
            json!({"Env": ["A=1"], "OnBuild": ["RUN x"], "Shell": ["/bin/sh"],
                "Labels": {"a": "b", LABEL_BASE: "sha256:base"}})
        );
        assert_eq!((&made["architecture"], &made["variant"]), (&json!("arm64"), &json!("v8")));
        assert_eq!(made.get("author"), None);
        assert_eq!(made["rootfs"]["diff_ids"], committed()["RootFS"]["Layers"]);
        let steps = made["history"].as_array().unwrap();
        assert_eq!(steps.len(), 4);
        assert_eq!(steps[0]["created"], json!("1970-01-01T00:00:00Z"));
        assert_eq!(steps[2]["empty_layer"], json!(true));
        assert_eq!(steps[3]["created_by"], "patchyard");
    }

    #[test]
    fn a_past_that_does_not_fit_its_layers_is_left_out() {
        let entry = |size: i64, step: &str| json!({"Created": 1, "CreatedBy": step, "Size": size});
        assert_eq!(past(&json!([entry(0, "RUN true"), entry(0, "RUN true")]), 1), None);
        let empty = |history: Value, layers: usize| -> Vec<bool> {
            let steps = past(&history, layers).unwrap();
            steps.iter().map(|step| step.get("empty_layer").is_some()).collect()
        };
        // A layer without content among settings, in the words of either builder.
        let history = json!([
            entry(0, "/bin/sh -c #(nop)  CMD [\"x\"]"),
            entry(0, "/bin/sh -c true"),
            entry(0, "ENV A=1"),
            entry(3, "ADD x"),
        ]);
        assert_eq!(empty(history, 2), [false, true, false, true]);
        assert_eq!(empty(json!([entry(0, "CMD"), entry(3, "ADD")]), 2), [false, false]);
    }

    #[test]
    fn only_one_layer_of_this_patch_set_on_this_base_is_ours() {
        let set = Digest::of_bytes(b"set");
        let mut image = committed();
        image["Config"]["Labels"] = json!({LABEL_PATCH_SET: set.to_string(), LABEL_BASE: "sha256:base"});
        assert!(is_patched(&image, &base(), &set));
        assert!(!is_patched(&image, &base(), &Digest::of_bytes(b"other")));
        // Somebody's own image made from ours inherits the labels.
        image["RootFS"]["Layers"].as_array_mut().unwrap().push(json!("sha256:4"));
        assert!(!is_patched(&image, &base(), &set));
        image["RootFS"]["Layers"] = json!(["sha256:9", "sha256:2", "sha256:3"]);
        assert!(!is_patched(&image, &base(), &set));
    }
}

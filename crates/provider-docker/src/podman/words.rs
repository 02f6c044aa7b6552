//! Podman's documents in Docker's words: values in, value out.
//!
//! What the engine puts into every container is taken out again, as Docker's API would not tell it: or it would
//! look like something the container has set itself, and stay when the image changes.

use serde_json::{Map, Value, json};

use super::{OWN, signals};
use crate::read::json::{list, text};

/// The variables that Podman gives every container.
const GIVEN: [&str; 2] = ["TERM=xterm", "container=podman"];
/// And the one that it gives those whose image has none.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What Podman waits for a healthcheck's answer, and between two, where the image does not say: nanoseconds.
const HEALTH: u64 = 30_000_000_000;
/// What Podman puts before names of images that name no registry.
const LOCAL: &str = "localhost/";
/// What our own tags begin with.
const OURS: &str = "patchyard/";
/// Annotations that the engine writes itself.
const ENGINES_ANNOTATIONS: [&str; 3] =
    ["io.container.manager", "io.kubernetes.cri-o.Created", "org.opencontainers.image."];
/// Settings of Podman's own, among those of `Config` and beside it.
const OF_CONFIG: [&str; 9] = [
    "CreateCommand",
    "HealthcheckOnFailureAction",
    "Passwd",
    "Secrets",
    "SystemdMode",
    "Timeout",
    "Timezone",
    "Umask",
    "sdNotifyMode",
];
const BESIDE: [&str; 8] =
    ["BoundingCaps", "EffectiveCaps", "IsInfra", "IsService", "Namespace", "OCIRuntime", "Pod", "Rootfs"];

/// A container, from what the Docker-compatible API tells of it (`said`), what Podman's own does, and its image
/// in Docker's words; `Null` when that is gone.
pub(crate) fn container(mut said: Value, own: &Value, image: &Value) -> Value {
    let host = host(own, &said);
    said["Config"] = config(&said["Config"], own, &image["Config"]);
    if matches!(text(&host["NetworkMode"]), "slirp4netns" | "pasta") {
        // Nothing of it is told, and it is no network that could be joined: an attachment without settings.
        said["NetworkSettings"]["Networks"] = json!({ text(&host["NetworkMode"]): {} });
    }
    said["HostConfig"] = host;
    said["Mounts"] = list(&own["Mounts"]).map(mount).collect();
    said
}

/// An image, from what both tell of it.
pub(crate) fn image(mut said: Value, own: &Value) -> Value {
    let health = &own["Healthcheck"];
    if health.is_object() {
        let mut filled = health.clone();
        // What it makes of an image's healthcheck in every container, so that it is not taken for the container's own.
        for key in ["Interval", "Timeout"] {
            if filled[key].as_u64().unwrap_or(0) == 0 {
                filled[key] = json!(HEALTH);
            }
        }
        said["Config"]["Healthcheck"] = filled;
    }
    if let Some(signal) = said["Config"]["StopSignal"].as_str().filter(|signal| !signal.is_empty()) {
        said["Config"]["StopSignal"] = json!(signals::name(signal));
    }
    listed(&mut said);
    said
}

/// Our own names in a document or an entry of a list, as Docker tells them.
pub(crate) fn listed(entry: &mut Value) {
    let ours = |name: &str| name.strip_prefix(LOCAL).filter(|name| name.starts_with(OURS)).map(str::to_owned);
    if let Some(name) = entry["Image"].as_str().and_then(ours) {
        entry["Image"] = json!(name);
    }
    for tag in entry.get_mut("RepoTags").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(name) = tag.as_str().and_then(ours) {
            *tag = json!(name);
        }
    }
}

/// One of our tags as Podman keeps it. Without a registry it would be taken for one of Docker Hub.
pub(crate) fn stored_tag(tag: &str) -> String {
    if tag.starts_with(OURS) { format!("{LOCAL}{tag}") } else { tag.to_owned() }
}

fn config(said: &Value, own: &Value, image: &Value) -> Value {
    let mut out = said.clone();
    listed(&mut out);
    out["Env"] = environment(said, own, image);
    let signal = signals::name(text(&said["StopSignal"]));
    let is_default = signal == "SIGTERM" && text(&image["StopSignal"]).is_empty();
    out["StopSignal"] = if is_default { Value::Null } else { json!(signal) };
    if text(&said["WorkingDir"]) == "/" && text(&image["WorkingDir"]).is_empty() {
        out["WorkingDir"] = Value::Null;
    }
    // These are an image's in every container of it, and not told.
    out["Volumes"] = image["Volumes"].clone();
    let exposed =
        [image, said].into_iter().flat_map(|from| from["ExposedPorts"].as_object().into_iter().flatten());
    out["ExposedPorts"] = Value::Object(exposed.map(|(port, _)| (port.clone(), json!({}))).collect());
    out
}

/// The variables that were asked for or come from the image.
fn environment(said: &Value, own: &Value, image: &Value) -> Value {
    let of_image = |entry: &str| list(&image["Env"]).any(|other| other.as_str() == Some(entry));
    let image_has = |name: &str| list(&image["Env"]).any(|other| text(other).starts_with(name));
    let host_name = format!("HOSTNAME={}", text(&said["Hostname"]));
    let asks_for_home = list(&own["Config"]["CreateCommand"])
        .any(|word| text(word).contains("HOME") || text(word).starts_with("--env-"));
    let is_given = |entry: &str| {
        GIVEN.contains(&entry)
            || entry == host_name
            || entry == PATH && !image_has("PATH=")
            // Found in the image's list of users when the container starts.
            || entry.starts_with("HOME=") && !asks_for_home
    };
    list(&said["Env"]).filter(|entry| of_image(text(entry)) || !is_given(text(entry))).cloned().collect()
}

fn host(own: &Value, said: &Value) -> Value {
    let mut out = own["HostConfig"].as_object().cloned().unwrap_or_default();
    // A file's place, and what is the same for all containers of the engine.
    for key in ["ContainerIDFile", "CgroupManager", "Runtime", "ConsoleSize"] {
        out.remove(key);
    }
    if let Some(log) = out.get_mut("LogConfig").and_then(Value::as_object_mut) {
        log.remove("Path");
    }
    if out.get("NetworkMode").and_then(Value::as_str) == Some("bridge") {
        // Podman tells the kind. Which networks is told beside it: the first one stands for it.
        let networks = said["NetworkSettings"]["Networks"].as_object();
        if let Some(first) = networks.and_then(|networks| networks.keys().min()) {
            out.insert("NetworkMode".to_owned(), json!(first));
        }
    }
    let binds = list(&own["HostConfig"]["Binds"]).map(|bind| json!(in_order(text(bind), 2)));
    out.insert("Binds".to_owned(), binds.collect());
    let tmpfs = own["HostConfig"]["Tmpfs"].as_object().into_iter().flatten();
    let tmpfs = tmpfs.map(|(at, options)| (at.clone(), json!(in_order(text(options), 0))));
    out.insert("Tmpfs".to_owned(), Value::Object(tmpfs.collect()));
    let mut limits: Vec<Value> = list(&own["HostConfig"]["Ulimits"])
        .map(|limit| {
            let name = text(&limit["Name"]).trim_start_matches("RLIMIT_").to_ascii_lowercase();
            json!({"Name": name, "Soft": limit["Soft"], "Hard": limit["Hard"]})
        })
        .collect();
    limits.sort_by_cached_key(|limit| text(&limit["Name"]).to_owned());
    out.insert("Ulimits".to_owned(), Value::Array(limits));
    let from = |keys: &[&str], document: &Value| {
        keys.iter().map(|key| ((*key).to_owned(), document[*key].clone())).collect::<Map<_, _>>()
    };
    let mut folded = from(&OF_CONFIG, &own["Config"]);
    folded.extend(from(&BESIDE, own));
    folded.insert("Annotations".to_owned(), annotations(&own["Config"]["Annotations"]));
    out.extend(folded.into_iter().map(|(key, value)| (format!("{OWN}{key}"), value)));
    Value::Object(out)
}

/// The annotations that were asked for, and those of the engine that say something.
fn annotations(all: &Value) -> Value {
    let asked = all.as_object().into_iter().flatten().filter(|(key, value)| {
        !ENGINES_ANNOTATIONS.iter().any(|prefix| key.starts_with(prefix)) && value.as_str() != Some("FALSE")
    });
    Value::Object(asked.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// A list of options behind so many colons, sorted: they have no order.
fn in_order(entry: &str, colons: usize) -> String {
    let mut parts: Vec<&str> = entry.splitn(colons + 1, ':').collect();
    let Some(last) = parts.pop().filter(|_| parts.len() == colons) else { return entry.to_owned() };
    let mut options: Vec<&str> = last.split(',').filter(|option| !option.is_empty()).collect();
    options.sort_unstable();
    let options = options.join(",");
    parts.push(&options);
    parts.join(":")
}

fn mount(mount: &Value) -> Value {
    let mut out = mount.as_object().cloned().unwrap_or_default();
    out.remove("Mode");
    let mut options: Vec<&str> = list(&mount["Options"]).map(text).collect();
    options.sort_unstable();
    out.insert("Options".to_owned(), json!(options));
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "44f0f0c5f6a83b2c47ca0a920fe94b8b658d26d03830ad9911f7f481af382eee";

    fn said() -> Value {
        json!({
            "Id": ID,
            "Config": {
                "Image": "localhost/patchyard/web:1", "Hostname": &ID[..12], "WorkingDir": "/", "StopSignal": "15",
                "Env": ["PATH=/bin", "TERM=xterm", "container=podman", "A=1", "HOME=/root", format!("HOSTNAME={}", &ID[..12])],
            },
            "NetworkSettings": {"Networks": {"podman": {}, "back": {}}},
        })
    }

    fn own() -> Value {
        json!({
            "OCIRuntime": "crun", "Pod": "",
            "Config": {"Umask": "0022", "CreateCommand": ["podman", "run", "web"], "Annotations": {
                "x": "y", "io.container.manager": "libpod", "io.podman.annotations.init": "TRUE",
                "io.podman.annotations.privileged": "FALSE"}},
            "HostConfig": {
                "NetworkMode": "bridge", "Binds": ["v:/v:rprivate,nodev,exec"], "Tmpfs": {"/t": "rw,nodev"},
                "LogConfig": {"Type": "k8s-file", "Path": "/x"}, "Runtime": "oci",
                "Ulimits": [{"Name": "RLIMIT_NPROC", "Soft": 1, "Hard": 2}, {"Name": "RLIMIT_NOFILE", "Soft": 3, "Hard": 4}],
            },
            "Mounts": [{"Type": "volume", "Name": "v", "Destination": "/v", "Options": ["rbind", "exec"], "Mode": ""}],
        })
    }

    #[test]
    fn what_the_engine_gives_every_container_is_not_its_own() {
        let image = json!({"Config": {"Env": ["PATH=/bin"], "Volumes": {"/v": {}}}});
        let config = container(said(), &own(), &image)["Config"].clone();
        assert_eq!(config["Env"], json!(["PATH=/bin", "A=1"]));
        assert_eq!((&config["StopSignal"], &config["WorkingDir"]), (&Value::Null, &Value::Null));
        assert_eq!(config["Image"], "patchyard/web:1");
        assert_eq!(config["Volumes"], json!({"/v": {}}));
    }

    #[test]
    fn what_was_asked_for_stays() {
        let mut own = own();
        own["Config"]["CreateCommand"] = json!(["podman", "run", "-e", "HOME=/root", "web"]);
        let image = json!({"Config": {"StopSignal": "SIGINT", "WorkingDir": "/srv", "Env": ["TERM=xterm"]}});
        let config = container(said(), &own, &image)["Config"].clone();
        assert_eq!(config["Env"], json!(["PATH=/bin", "TERM=xterm", "A=1", "HOME=/root"]));
        assert_eq!((&config["StopSignal"], &config["WorkingDir"]), (&json!("SIGTERM"), &json!("/")));
    }

    #[test]
    fn settings_of_podmans_own_are_among_the_others() {
        let container = container(said(), &own(), &Value::Null);
        let host = &container["HostConfig"];
        assert_eq!(host["NetworkMode"], "back");
        assert_eq!((&host["Podman.Umask"], &host["Podman.OCIRuntime"]), (&json!("0022"), &json!("crun")));
        assert_eq!(host["Podman.Annotations"], json!({"x": "y", "io.podman.annotations.init": "TRUE"}));
        assert_eq!(host["Ulimits"][0], json!({"Name": "nofile", "Soft": 3, "Hard": 4}));
        assert_eq!(
            (&host["Binds"], &host["Tmpfs"]),
            (&json!(["v:/v:exec,nodev,rprivate"]), &json!({"/t": "nodev,rw"}))
        );
        assert_eq!(host["LogConfig"], json!({"Type": "k8s-file"}));
        assert_eq!(container["Mounts"][0]["Options"], json!(["exec", "rbind"]));
    }

    #[test]
    fn an_images_healthcheck_is_told_as_a_container_of_it_has_it() {
        let own = json!({"Healthcheck": {"Test": ["CMD", "true"], "StartPeriod": 5}});
        let image = image(
            json!({"Config": {"StopSignal": "2"}, "RepoTags": ["localhost/patchyard/base:1", "localhost/web:1"]}),
            &own,
        );
        let health =
            json!({"Test": ["CMD", "true"], "StartPeriod": 5, "Interval": HEALTH, "Timeout": HEALTH});
        assert_eq!(image["Config"], json!({"StopSignal": "SIGINT", "Healthcheck": health}));
        assert_eq!(image["RepoTags"], json!(["patchyard/base:1", "localhost/web:1"]));
        assert_eq!(stored_tag("patchyard/base:1"), "localhost/patchyard/base:1");
        assert_eq!(stored_tag("quay.io/web:1"), "quay.io/web:1");
    }
}

//! A container's own settings, told from those it inherited: container and old image in, what has to
//! be asked for out; what is left out the engine takes from the new image.
//!
//! Inherited is what an engine merges from the image when a container is created, where it equals the
//! old image's. The engine forgets what was asked for, so a setting that repeats the image's value
//! counts as inherited: it follows the image, as it would have if it had not been repeated.

use serde_json::{Map, Value, json};

use super::{insert, is_empty, list, object};
use crate::names::OWN_LABELS;

/// The container's own part of `Config`: what has to be asked for so that the engine, merging the
/// new image, arrives where the container was, or where the new image leads.
///
/// `host_name` is the engine's machine: on the host's network the engine writes it in as the
/// container's host name.
pub fn own_config(config: &Value, image: &Value, short_id: &str, on_host_network: Option<&str>) -> Value {
    let mut out = Map::new();
    for (key, value) in object(config) {
        let inherited = &image[key.as_str()];
        let own = match key.as_str() {
            // Decided together, below.
            "Cmd" | "Entrypoint" | "ArgsEscaped" => continue,
            "Image" => continue,
            "Hostname" if value.as_str() == Some(short_id) || value.as_str() == on_host_network => continue,
            "User" | "WorkingDir" | "StopSignal" if value == inherited => continue,
            "Env" => own_env(value, inherited),
            "ExposedPorts" | "Volumes" => own_keys(value, inherited),
            "Labels" => own_labels(value, inherited),
            "Healthcheck" => own_keys(value, inherited),
            // Everything else the engine does not take from an image: it is the container's own.
            _ => value.clone(),
        };
        insert(&mut out, key, own);
    }
    own_command(config, image, &mut out);
    Value::Object(out)
}

/// Entrypoint and command hang together: who sets an entrypoint gets no command from the image, and
/// an entrypoint of one empty text takes the image's away.
fn own_command(config: &Value, image: &Value, out: &mut Map<String, Value>) {
    let same = |key: &str| {
        let (own, inherited) = (&config[key], &image[key]);
        own == inherited || (is_empty(own) && is_empty(inherited))
    };
    let entrypoint_set = !same("Entrypoint") || (is_empty(&config["Cmd"]) && !same("Cmd"));
    if entrypoint_set {
        let entrypoint = &config["Entrypoint"];
        out.insert(
            "Entrypoint".to_owned(),
            if is_empty(entrypoint) { json!([""]) } else { entrypoint.clone() },
        );
    }
    if entrypoint_set || !same("Cmd") {
        insert(out, "Cmd", config["Cmd"].clone());
        insert(out, "ArgsEscaped", config["ArgsEscaped"].clone());
    }
}

/// Variables that the image does not set to the same value, in their order.
fn own_env(env: &Value, image: &Value) -> Value {
    list(env).filter(|entry| !list(image).any(|inherited| inherited == *entry)).cloned().collect()
}

/// Members that the image does not have with the same value.
fn own_keys(value: &Value, image: &Value) -> Value {
    let own = object(value).filter(|(key, value)| &image[key.as_str()] != *value);
    Value::Object(own.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// As [`own_keys`], without what Patchyard wrote at an earlier patch.
fn own_labels(labels: &Value, image: &Value) -> Value {
    let mut own = own_keys(labels, image);
    if let Some(map) = own.as_object_mut() {
        map.retain(|name, _| !OWN_LABELS.contains(&name.as_str()));
    }
    own
}

/// What an engine makes of a create request's `Config` and an image's: the rules above, forwards.
pub fn merged(own: &Value, image: &Value) -> Value {
    let mut out = own.as_object().cloned().unwrap_or_default();
    for key in ["User", "WorkingDir", "StopSignal"] {
        if is_empty(&own[key]) {
            insert(&mut out, key, image[key].clone());
        }
    }
    for key in ["ExposedPorts", "Volumes", "Labels"] {
        let all: Map<_, _> =
            object(&image[key]).chain(object(&own[key])).map(|(k, v)| (k.clone(), v.clone())).collect();
        insert(&mut out, key, Value::Object(all));
    }
    insert(&mut out, "Env", merged_env(&own["Env"], &image["Env"]));
    insert(&mut out, "Healthcheck", merged_healthcheck(&own["Healthcheck"], &image["Healthcheck"]));
    if is_empty(&own["Entrypoint"]) {
        if is_empty(&own["Cmd"]) {
            insert(&mut out, "Cmd", image["Cmd"].clone());
            insert(&mut out, "ArgsEscaped", image["ArgsEscaped"].clone());
        }
        insert(&mut out, "Entrypoint", image["Entrypoint"].clone());
    } else if own["Entrypoint"] == json!([""]) {
        out.remove("Entrypoint");
    }
    Value::Object(out)
}

fn merged_env(own: &Value, image: &Value) -> Value {
    let name = |entry: &Value| entry.as_str().unwrap_or_default().split('=').next().unwrap_or("").to_owned();
    let inherited = list(image).filter(|entry| !list(own).any(|set| name(set) == name(entry)));
    list(own).chain(inherited).cloned().collect()
}

/// Field by field; nothing and 0 mean "as the image has it".
pub(crate) fn merged_healthcheck(own: &Value, image: &Value) -> Value {
    let mut out = image.as_object().cloned().unwrap_or_default();
    for (key, value) in object(own) {
        if !is_empty(value) && value.as_i64() != Some(0) {
            out.insert(key.clone(), value.clone());
        }
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "the rows of a table are moved in")]
    fn own(config: Value, image: Value) -> Value {
        own_config(&config, &image, "0123456789ab", Some("machine"))
    }

    /// Every row: container, old image, what has to be asked for.
    #[test]
    fn what_equals_the_old_image_is_inherited() {
        let health = |interval: u64| json!({"Test": ["CMD", "true"], "Interval": interval});
        let table = [
            (
                "env, one by one",
                json!({"Env": ["A=1", "B=mine", "C="]}),
                json!({"Env": ["A=1", "B=theirs"]}),
                json!({"Env": ["B=mine", "C="]}),
            ),
            ("a variable taken away", json!({"Env": ["A"]}), json!({"Env": ["A=1"]}), json!({"Env": ["A"]})),
            ("user", json!({"User": "1000"}), json!({"User": "1000"}), json!({})),
            ("own user", json!({"User": "0"}), json!({"User": "1000"}), json!({"User": "0"})),
            ("directory", json!({"WorkingDir": "/a"}), json!({"WorkingDir": "/a"}), json!({})),
            ("stop signal", json!({"StopSignal": "SIGINT"}), json!({"StopSignal": "SIGINT"}), json!({})),
            ("own stop signal", json!({"StopSignal": "2"}), json!({}), json!({"StopSignal": "2"})),
            ("stop timeout", json!({"StopTimeout": 5}), json!({}), json!({"StopTimeout": 5})),
            (
                "command",
                json!({"Entrypoint": ["e"], "Cmd": ["c"]}),
                json!({"Entrypoint": ["e"], "Cmd": ["c"]}),
                json!({}),
            ),
            (
                "own command",
                json!({"Entrypoint": ["e"], "Cmd": ["mine"]}),
                json!({"Entrypoint": ["e"], "Cmd": ["c"]}),
                json!({"Cmd": ["mine"]}),
            ),
            (
                "own entrypoint takes the command away",
                json!({"Entrypoint": ["mine"], "Cmd": null}),
                json!({"Entrypoint": ["e"], "Cmd": ["c"]}),
                json!({"Entrypoint": ["mine"]}),
            ),
            (
                "own entrypoint with the image's command spelled out",
                json!({"Entrypoint": ["mine"], "Cmd": ["c"]}),
                json!({"Entrypoint": ["e"], "Cmd": ["c"]}),
                json!({"Entrypoint": ["mine"], "Cmd": ["c"]}),
            ),
            (
                "the image's entrypoint spelled out, so without a command",
                json!({"Entrypoint": ["e"], "Cmd": null}),
                json!({"Entrypoint": ["e"], "Cmd": ["c"]}),
                json!({"Entrypoint": ["e"]}),
            ),
            (
                "entrypoint taken away",
                json!({"Entrypoint": null, "Cmd": ["sleep", "5"]}),
                json!({"Entrypoint": ["e"], "Cmd": ["c"]}),
                json!({"Entrypoint": [""], "Cmd": ["sleep", "5"]}),
            ),
            (
                "no entrypoint anywhere",
                json!({"Entrypoint": null, "Cmd": ["c"]}),
                json!({"Entrypoint": [], "Cmd": ["c"]}),
                json!({}),
            ),
            ("healthcheck", json!({"Healthcheck": health(7)}), json!({"Healthcheck": health(7)}), json!({})),
            (
                "healthcheck, field by field",
                json!({"Healthcheck": {"Test": ["CMD", "true"], "Interval": 9, "Retries": 3}}),
                json!({"Healthcheck": health(7)}),
                json!({"Healthcheck": {"Interval": 9, "Retries": 3}}),
            ),
            (
                "healthcheck switched off",
                json!({"Healthcheck": {"Test": ["NONE"], "Interval": 7}}),
                json!({"Healthcheck": health(7)}),
                json!({"Healthcheck": {"Test": ["NONE"]}}),
            ),
            (
                "labels",
                json!({"Labels": {"a": "b", "c": "mine", "d": "", "io.patchyard.run": "R1.1", "io.patchyard.exclude": ""}}),
                json!({"Labels": {"a": "b", "c": "theirs"}}),
                json!({"Labels": {"c": "mine", "d": "", "io.patchyard.exclude": ""}}),
            ),
            (
                "ports and volumes",
                json!({"ExposedPorts": {"80/tcp": {}, "81/tcp": {}}, "Volumes": {"/a": {}, "/b": {}}}),
                json!({"ExposedPorts": {"80/tcp": {}}, "Volumes": {"/a": {}}}),
                json!({"ExposedPorts": {"81/tcp": {}}, "Volumes": {"/b": {}}}),
            ),
            ("own host name", json!({"Hostname": "0123456789ab"}), json!({"Hostname": ""}), json!({})),
            ("the host's name", json!({"Hostname": "machine"}), json!({}), json!({})),
            ("a host name", json!({"Hostname": "web"}), json!({}), json!({"Hostname": "web"})),
            ("terminal", json!({"Tty": true}), json!({"Tty": true}), json!({"Tty": true})),
            ("unknown field", json!({"Novel": 1}), json!({"Novel": 1}), json!({"Novel": 1})),
            (
                "address",
                json!({"MacAddress": "02:42:00:00:00:01"}),
                json!({}),
                json!({"MacAddress": "02:42:00:00:00:01"}),
            ),
        ];
        for (what, config, image, expected) in table {
            assert_eq!(own(config, image), expected, "{what}");
        }
    }

    /// Every row: container, old image, new image, the container that comes of it.
    #[test]
    fn what_was_inherited_follows_the_new_image() {
        let table = [
            (
                "env",
                json!({"Env": ["V=mine", "PATH=/bin", "OLD=1"]}),
                json!({"Env": ["PATH=/bin", "OLD=1"]}),
                json!({"Env": ["PATH=/bin:/new", "NEW=1", "V=theirs"]}),
                json!({"Env": ["V=mine", "PATH=/bin:/new", "NEW=1"]}),
            ),
            (
                "command and healthcheck",
                json!({"Cmd": ["old"], "Healthcheck": {"Test": ["CMD", "old"]}}),
                json!({"Cmd": ["old"], "Healthcheck": {"Test": ["CMD", "old"]}}),
                json!({"Cmd": ["new"], "Healthcheck": {"Test": ["CMD", "new"], "StartPeriod": 5}}),
                json!({"Cmd": ["new"], "Healthcheck": {"Test": ["CMD", "new"], "StartPeriod": 5}}),
            ),
            (
                "a healthcheck that went",
                json!({"Healthcheck": {"Test": ["CMD", "old"]}}),
                json!({"Healthcheck": {"Test": ["CMD", "old"]}}),
                json!({}),
                json!({}),
            ),
            (
                "an entrypoint taken away stays away",
                json!({"Entrypoint": null, "Cmd": ["mine"]}),
                json!({"Entrypoint": ["old"]}),
                json!({"Entrypoint": ["new"], "Cmd": ["x"]}),
                json!({"Cmd": ["mine"]}),
            ),
            (
                "volumes",
                json!({"Volumes": {"/mine": {}, "/old": {}}}),
                json!({"Volumes": {"/old": {}}}),
                json!({"Volumes": {"/new": {}}}),
                json!({"Volumes": {"/mine": {}, "/new": {}}}),
            ),
        ];
        for (what, config, old, new, expected) in table {
            assert_eq!(merged(&own(config, old), &new), expected, "{what}");
        }
    }

    /// On its own image every container comes out as it went in, whatever it set.
    #[test]
    fn asking_for_the_own_part_gives_the_container_back() {
        let images = [
            json!({}),
            json!({"Env": ["A=1", "P=/bin"], "Cmd": ["c"], "Entrypoint": ["e"], "User": "u", "StopSignal": "SIGINT",
                "WorkingDir": "/w", "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/v": {}}, "Labels": {"l": "1"},
                "Healthcheck": {"Test": ["CMD", "h"], "Interval": 7}}),
            json!({"Cmd": ["c"]}),
            json!({"Entrypoint": ["e"]}),
        ];
        let asked = [
            json!({}),
            json!({"Env": ["A=2"], "Cmd": ["d"]}),
            json!({"Entrypoint": ["f"]}),
            json!({"Entrypoint": [""], "Cmd": ["g"]}),
            json!({"Entrypoint": ["e"], "Cmd": ["c"], "User": "0", "Labels": {"l": "", "m": "2"}}),
            json!({"Healthcheck": {"Test": ["NONE"]}, "Volumes": {"/x": {}}, "StopTimeout": 3, "Tty": true}),
            json!({"Healthcheck": {"Retries": 2}, "ExposedPorts": {"80/tcp": {}, "81/udp": {}}, "Env": ["A"]}),
        ];
        for image in &images {
            for asked in &asked {
                let container = merged(asked, image);
                let again = merged(&own_config(&container, image, "", None), image);
                assert_eq!(again, container, "{asked} on {image}");
            }
        }
    }
}

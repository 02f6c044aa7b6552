//! Mounts by name: what a container got without naming it, its replacement has to ask for.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{is_empty, list};

/// Names every volume that a container has and its settings do not: a volume that is not named would
/// come back empty. `host` is its `HostConfig`, `mounts` what it has.
///
/// Volumes of other containers (`VolumesFrom`) are written out, and so are folders of the host that
/// came with them. The engine looks at the other container when one is created and never again; by then
/// it may be gone, or have other volumes.
pub fn name_volumes(host: &mut Value, mounts: &Value) {
    let borrows = !is_empty(&host["VolumesFrom"]);
    let mounts: BTreeMap<String, &Value> = list(mounts)
        .filter(|mount| match mount["Type"].as_str() {
            Some("volume") => true,
            Some("bind") => borrows,
            _ => false,
        })
        .map(|mount| (place(&mount["Destination"]), mount))
        .collect();
    let mut named: Vec<String> = list(&host["Binds"])
        .filter_map(|bind| bind.as_str()?.split(':').nth(1))
        .map(|p| place(&json!(p)))
        .collect();
    if let Some(asked) = host["Mounts"].as_array_mut() {
        for mount in asked {
            let target = place(&mount["Target"]);
            if let Some(volume) = mounts.get(&target)
                && mount["Type"].as_str() == Some("volume")
                && is_empty(&mount["Source"])
            {
                mount["Source"] = volume["Name"].clone();
            }
            named.push(target);
        }
    }
    let missing: Vec<Value> = mounts
        .iter()
        .filter(|(place, _)| !named.contains(place))
        .filter_map(|(_, mount)| bind(mount))
        .collect();
    if !missing.is_empty() {
        let binds = list(&host["Binds"]).cloned().chain(missing).collect();
        host["Binds"] = Value::Array(binds);
    }
    if borrows {
        host["VolumesFrom"] = Value::Null;
    }
}

fn place(path: &Value) -> String {
    path.as_str().unwrap_or_default().trim_end_matches('/').to_owned()
}

/// A mount as an entry of `Binds`.
fn bind(mount: &Value) -> Option<Value> {
    let is_volume = mount["Type"].as_str() == Some("volume");
    let source = mount[if is_volume { "Name" } else { "Source" }].as_str()?;
    let destination = mount["Destination"].as_str()?;
    let mut options = Vec::new();
    if mount["RW"].as_bool() == Some(false) {
        options.push("ro");
    }
    // What the engine takes without being told.
    options.extend(mount["Propagation"].as_str().filter(|how| !matches!(*how, "" | "rprivate")));
    let options = if options.is_empty() { String::new() } else { format!(":{}", options.join(",")) };
    Some(json!(format!("{source}:{destination}{options}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOLUME: &str = "8bb96f30fc139ebc9c150338d638a4f4edd78186404fa503e5607fcf90cd27fb";

    #[allow(clippy::needless_pass_by_value, reason = "the documents of a test are moved in")]
    fn named(mut host: Value, mounts: Value) -> Value {
        name_volumes(&mut host, &mounts);
        let once = host.clone();
        name_volumes(&mut host, &mounts);
        assert_eq!(host, once, "naming them again changes nothing");
        host
    }

    #[test]
    fn anonymous_volumes_come_back_by_name_and_named_ones_are_left_alone() {
        let host = named(
            json!({"Binds": ["named:/n:rw"]}),
            json!([
                {"Type": "volume", "Name": "named", "Destination": "/n", "RW": true},
                {"Type": "volume", "Name": VOLUME, "Destination": "/data", "RW": true},
                {"Type": "volume", "Name": "r", "Destination": "/read", "RW": false},
                {"Type": "bind", "Source": "/h", "Destination": "/h", "RW": true},
            ]),
        );
        assert_eq!(host["Binds"], json!(["named:/n:rw", format!("{VOLUME}:/data"), "r:/read:ro"]));
    }

    #[test]
    fn an_anonymous_mount_gets_its_volume_back() {
        let asked = json!([
            {"Type": "volume", "Target": "/data/"},
            {"Type": "volume", "Source": "other", "Target": "/o", "VolumeOptions": {"NoCopy": true}},
            {"Type": "bind", "Source": "/h", "Target": "/h"},
        ]);
        let host = named(
            json!({"Binds": null, "Mounts": asked}),
            json!([
                {"Type": "volume", "Name": VOLUME, "Destination": "/data", "RW": true},
                {"Type": "volume", "Name": "other", "Destination": "/o", "RW": true},
                {"Type": "bind", "Source": "/h", "Destination": "/h", "RW": true},
            ]),
        );
        assert_eq!(host["Mounts"][0], json!({"Type": "volume", "Source": VOLUME, "Target": "/data/"}));
        assert_eq!(host["Mounts"][1], asked[1]);
        assert_eq!(host["Binds"], Value::Null);
    }

    #[test]
    fn what_came_from_another_container_is_written_out() {
        let host = named(
            json!({"Binds": ["/tmp:/own"], "VolumesFrom": ["db:ro"]}),
            json!([
                {"Type": "bind", "Source": "/tmp", "Destination": "/own", "RW": true, "Propagation": "rprivate"},
                {"Type": "volume", "Name": VOLUME, "Destination": "/data", "RW": false, "Propagation": ""},
                {"Type": "bind", "Source": "/etc", "Destination": "/h", "RW": false, "Propagation": "rslave"},
                {"Type": "bind", "Source": "/srv", "Destination": "/s", "RW": true, "Propagation": "rprivate"},
            ]),
        );
        assert_eq!(host["VolumesFrom"], Value::Null);
        assert_eq!(
            host["Binds"],
            json!(["/tmp:/own", format!("{VOLUME}:/data:ro"), "/etc:/h:ro,rslave", "/srv:/s"])
        );
    }
}

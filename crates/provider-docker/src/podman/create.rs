//! A replacement for Podman's own API: a create request in Docker's words becomes what that calls a specification.
//!
//! What comes of it is compared with what was meant like any other replacement, so what is left out here is
//! noticed before anything is stopped.

use serde_json::{Map, Value, json};

use super::{OWN, signals, stored_tag};
use crate::read::json::{list, text};
use crate::spec::merged_healthcheck;

/// The body of Podman's create call. `body` is a create request with all of its networks, `image` the image that it
/// names, both in Docker's words.
pub(crate) fn specification(name: &str, body: &Value, image: &Value) -> Value {
    let host = &body["HostConfig"];
    let own = |key: &str| host[format!("{OWN}{key}")].clone();
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| {
        let says_nothing = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        };
        if !says_nothing {
            out.insert(key.to_owned(), value);
        }
    };

    put("name", json!(name));
    put("image", json!(stored_tag(text(&body["Image"]))));
    put("containerCreateCommand", own("CreateCommand"));
    put("labels", body["Labels"].clone());
    put("annotations", asked_annotations(&own("Annotations")));

    // Process.
    let (set, unset) = environment(&body["Env"]);
    put("env", set);
    put("unsetenv", unset);
    put("entrypoint", body["Entrypoint"].clone());
    put("command", body["Cmd"].clone());
    put("user", body["User"].clone());
    put("groups", host["GroupAdd"].clone());
    put("work_dir", body["WorkingDir"].clone());
    put("terminal", body["Tty"].clone());
    put("stdin", body["OpenStdin"].clone());
    put("hostname", body["Hostname"].clone());
    put("stop_signal", json!(signals::number(text(&body["StopSignal"]))));
    put("stop_timeout", body["StopTimeout"].clone());
    put("timeout", own("Timeout"));
    put("umask", own("Umask"));
    put("timezone", own("Timezone"));
    put("passwd", own("Passwd"));
    put("sdnotifyMode", own("sdNotifyMode"));
    put("init", json!(own("Annotations")["io.podman.annotations.init"] == "TRUE"));
    put("restart_policy", host["RestartPolicy"]["Name"].clone());
    put("restart_tries", host["RestartPolicy"]["MaximumRetryCount"].clone());
    if body["Healthcheck"].is_object() {
        // Podman takes all of it from one of the two.
        put("healthconfig", merged_healthcheck(&body["Healthcheck"], &image["Config"]["Healthcheck"]));
    }
    put("log_configuration", logging(&host["LogConfig"]));

    // Rights.
    put("privileged", host["Privileged"].clone());
    put("cap_add", host["CapAdd"].clone());
    put("cap_drop", host["CapDrop"].clone());
    put("read_only_filesystem", host["ReadonlyRootfs"].clone());
    for option in list(&host["SecurityOpt"]).map(text) {
        match option.split_once('=') {
            None if option == "no-new-privileges" => put("no_new_privileges", json!(true)),
            Some(("seccomp", profile)) => put("seccomp_profile_path", json!(profile)),
            _ => {}
        }
    }
    for (key, theirs) in
        [("IpcMode", "ipcns"), ("PidMode", "pidns"), ("UTSMode", "utsns"), ("CgroupMode", "cgroupns")]
    {
        put(theirs, namespace(text(&host[key])));
    }

    // Limits.
    let limits = list(&host["Ulimits"]);
    put(
        "r_limits",
        limits.map(|l| json!({"type": l["Name"], "soft": l["Soft"], "hard": l["Hard"]})).collect(),
    );
    put("resource_limits", resources(host));
    put("oom_score_adj", number(&host["OomScoreAdj"]));
    put("shm_size", host["ShmSize"].clone());

    // Files.
    let (mounts, volumes) = files(host);
    put("mounts", mounts);
    put("volumes", volumes);

    // Networks.
    put("dns_server", host["Dns"].clone());
    put("dns_option", host["DnsOptions"].clone());
    put("dns_search", host["DnsSearch"].clone());
    put("hostadd", host["ExtraHosts"].clone());
    put("portmappings", ports(&host["PortBindings"]));
    put("expose", exposed(body));
    let mode = text(&host["NetworkMode"]);
    if matches!(mode, "none" | "host" | "slirp4netns" | "pasta") || mode.starts_with("container:") {
        put("netns", namespace(mode));
    } else {
        put("netns", json!({"nsmode": "bridge"}));
        put("Networks", networks(mode, &body["NetworkingConfig"]["EndpointsConfig"]));
    }
    Value::Object(out)
}

/// Variables that are set, and the names of those that are taken away.
fn environment(env: &Value) -> (Value, Value) {
    let (mut set, mut unset) = (Map::new(), Vec::new());
    for entry in list(env).map(text) {
        match entry.split_once('=') {
            Some((name, value)) => drop(set.insert(name.to_owned(), json!(value))),
            None => unset.push(json!(entry)),
        }
    }
    (Value::Object(set), Value::Array(unset))
}

/// Without those that the engine writes by other settings.
fn asked_annotations(all: &Value) -> Value {
    const BY_OTHERS: [&str; 3] = [
        "io.podman.annotations.init",
        "io.podman.annotations.privileged",
        "io.podman.annotations.publish-all",
    ];
    let asked = all.as_object().into_iter().flatten().filter(|(key, _)| !BY_OTHERS.contains(&key.as_str()));
    Value::Object(asked.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// `container:<id>` and the modes that are one word.
fn namespace(mode: &str) -> Value {
    match mode.split_once(':') {
        _ if mode.is_empty() => Value::Null,
        Some((mode, value)) => json!({"nsmode": mode, "value": value}),
        None => json!({"nsmode": mode}),
    }
}

fn logging(log: &Value) -> Value {
    let mut out = json!({"driver": log["Type"]});
    if let Some(size) = bytes(text(&log["Size"])).filter(|size| *size > 0) {
        out["size"] = json!(size);
    }
    if !text(&log["Tag"]).is_empty() {
        out["options"] = json!({"tag": log["Tag"]});
    }
    out
}

/// A size as Podman writes it: `10MB`, decimal, rounded to four digits.
fn bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 5] =
        [("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000), ("B", 1)];
    let (unit, factor) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
    let (whole, part) = {
        let number = text.strip_suffix(unit)?;
        number.split_once('.').unwrap_or((number, ""))
    };
    let digits = u32::try_from(part.len()).ok()?;
    let mantissa: u64 = format!("{whole}{part}").parse().ok()?;
    mantissa.checked_mul(*factor)?.checked_div(10u64.checked_pow(digits)?)
}

/// A number that says something: 0 is "not set".
fn number(value: &Value) -> Value {
    if value.as_i64().unwrap_or(0) == 0 { Value::Null } else { value.clone() }
}

fn resources(host: &Value) -> Value {
    let pick = |names: &[(&str, &str)]| {
        let set = names.iter().map(|(theirs, ours)| ((*theirs).to_owned(), number(&host[*ours])));
        Value::Object(set.filter(|(_, value)| !value.is_null()).collect())
    };
    let mut memory =
        pick(&[("limit", "Memory"), ("swap", "MemorySwap"), ("reservation", "MemoryReservation")]);
    if host["MemorySwappiness"].as_i64().is_some_and(|how| how >= 0) {
        memory["swappiness"] = host["MemorySwappiness"].clone();
    }
    if host["OomKillDisable"].as_bool() == Some(true) {
        memory["disableOOMKiller"] = json!(true);
    }
    let cpu = pick(&[
        ("shares", "CpuShares"),
        ("quota", "CpuQuota"),
        ("period", "CpuPeriod"),
        ("realtimeRuntime", "CpuRealtimeRuntime"),
        ("realtimePeriod", "CpuRealtimePeriod"),
    ]);
    let mut cpu = cpu;
    for (theirs, ours) in [("cpus", "CpusetCpus"), ("mems", "CpusetMems")] {
        if !text(&host[ours]).is_empty() {
            cpu[theirs] = host[ours].clone();
        }
    }
    let parts = [("memory", memory), ("cpu", cpu), ("pids", pick(&[("limit", "PidsLimit")]))];
    let parts = parts.into_iter().filter(|(_, part)| part.as_object().is_some_and(|part| !part.is_empty()));
    Value::Object(parts.map(|(name, part)| (name.to_owned(), part)).collect())
}

/// What is mounted: folders of the host and temporary file systems, and volumes.
fn files(host: &Value) -> (Value, Value) {
    let (mut mounts, mut volumes) = (Vec::new(), Vec::new());
    let options =
        |all: &str| all.split(',').filter(|option| !option.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    for bind in list(&host["Binds"]).map(text) {
        let mut parts = bind.splitn(3, ':');
        let (Some(source), Some(at)) = (parts.next(), parts.next()) else { continue };
        let options = options(parts.next().unwrap_or_default());
        if source.starts_with('/') {
            mounts.push(json!({"type": "bind", "source": source, "destination": at, "options": options}));
        } else {
            volumes.push(json!({"Name": source, "Dest": at, "Options": options}));
        }
    }
    for (at, all) in host["Tmpfs"].as_object().into_iter().flatten() {
        let options = options(text(all));
        mounts.push(json!({"type": "tmpfs", "source": "tmpfs", "destination": at, "options": options}));
    }
    (Value::Array(mounts), Value::Array(volumes))
}

fn port(key: &str) -> Option<(u16, &str)> {
    let (number, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
    Some((number.parse().ok()?, protocol))
}

fn ports(bindings: &Value) -> Value {
    let all = bindings.as_object().into_iter().flatten().filter_map(|(key, bound)| Some((port(key)?, bound)));
    let all = all.flat_map(|((number, protocol), bound)| {
        list(bound).map(move |one| {
            let on_host: u16 = text(&one["HostPort"]).parse().unwrap_or(0);
            json!({"container_port": number, "protocol": protocol, "host_ip": one["HostIp"], "host_port": on_host})
        })
    });
    all.collect()
}

/// The ports that are exposed and not published: protocols by number.
fn exposed(body: &Value) -> Value {
    let mut out: Map<String, Value> = Map::new();
    for (key, _) in body["ExposedPorts"].as_object().into_iter().flatten() {
        let Some((number, protocol)) = port(key) else { continue };
        if list(&body["HostConfig"]["PortBindings"][key.as_str()]).next().is_none() {
            let protocols = out.entry(number.to_string()).or_insert_with(|| json!(""));
            let all = format!("{},{protocol}", text(protocols));
            *protocols = json!(all.trim_start_matches(','));
        }
    }
    Value::Object(out)
}

fn networks(primary: &str, endpoints: &Value) -> Value {
    let mut out = Map::new();
    out.insert(primary.to_owned(), json!({}));
    for (name, endpoint) in endpoints.as_object().into_iter().flatten() {
        let aliases: Vec<&Value> = list(&endpoint["Aliases"]).collect();
        out.insert(name.clone(), if aliases.is_empty() { json!({}) } else { json!({ "aliases": aliases }) });
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_becomes_a_specification() {
        let body = json!({
            "Image": "patchyard/web:1", "Env": ["A=1=2", "GONE"], "Cmd": ["serve"], "StopSignal": "SIGINT", "StopTimeout": 0,
            "Labels": {"a": ""}, "Healthcheck": {"Interval": 7}, "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
            "HostConfig": {
                "Podman.Umask": "0022", "Podman.Annotations": {"x": "y", "io.podman.annotations.init": "TRUE"},
                "NetworkMode": "front", "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
                "Binds": ["data:/data:ro,rbind", "/etc:/e:ro"], "Tmpfs": {"/t": "size=1m"}, "Memory": 64, "MemorySwap": -1,
                "PidsLimit": 0, "LogConfig": {"Type": "k8s-file", "Size": "10.5MB", "Config": null},
                "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}], "IpcMode": "shareable", "OomScoreAdj": 0,
                "SecurityOpt": ["no-new-privileges", "seccomp=unconfined"],
            },
            "NetworkingConfig": {"EndpointsConfig": {"back": {"Aliases": ["db"]}}},
        });
        let image = json!({"Config": {"Healthcheck": {"Test": ["CMD", "true"], "Interval": 5}}});
        let expected = json!({
            "name": "web", "image": "localhost/patchyard/web:1", "labels": {"a": ""}, "annotations": {"x": "y"},
            "env": {"A": "1=2"}, "unsetenv": ["GONE"], "command": ["serve"], "stop_signal": 2, "stop_timeout": 0,
            "umask": "0022", "init": true, "healthconfig": {"Test": ["CMD", "true"], "Interval": 7},
            "log_configuration": {"driver": "k8s-file", "size": 10_500_000}, "no_new_privileges": true,
            "seccomp_profile_path": "unconfined", "ipcns": {"nsmode": "shareable"},
            "r_limits": [{"type": "nofile", "soft": 1, "hard": 2}], "resource_limits": {"memory": {"limit": 64, "swap": -1}},
            "mounts": [
                {"type": "bind", "source": "/etc", "destination": "/e", "options": ["ro"]},
                {"type": "tmpfs", "source": "tmpfs", "destination": "/t", "options": ["size=1m"]},
            ],
            "volumes": [{"Name": "data", "Dest": "/data", "Options": ["ro", "rbind"]}],
            "portmappings": [{"container_port": 80, "protocol": "tcp", "host_ip": "", "host_port": 8080}],
            "expose": {"53": "udp"}, "netns": {"nsmode": "bridge"}, "Networks": {"front": {}, "back": {"aliases": ["db"]}},
        });
        assert_eq!(specification("web", &body, &image), expected);
    }

    #[test]
    fn other_modes_join_no_network() {
        let of =
            |mode: &str| specification("web", &json!({"HostConfig": {"NetworkMode": mode}}), &Value::Null);
        assert_eq!(of("host")["netns"], json!({"nsmode": "host"}));
        assert_eq!(of("slirp4netns").get("Networks"), None);
        assert_eq!(of("container:abc")["netns"], json!({"nsmode": "container", "value": "abc"}));
    }
}

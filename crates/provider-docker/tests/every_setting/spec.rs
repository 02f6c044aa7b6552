//! Random create requests over every field of the engine's create call.
//!
//! [`SETTINGS`] has a row for each field with the values it is tried with; a specification takes each
//! row with some probability. What this machine cannot start (a device that is not there, a realtime
//! scheduler that the kernel lacks) is in [`UNSTARTABLE`]: it is created and never started.

use serde_json::{Value, json};

/// Splitmix64: the same numbers for the same seed on every machine.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap_or(0)
    }

    fn pick(&mut self, values: Vec<Value>) -> Value {
        let at = self.roll(values.len());
        values.into_iter().nth(at).unwrap_or_default()
    }
}

/// What the containers run: it ends at once when it is told to, whatever tells it.
pub const SLEEP: [&str; 3] =
    ["sh", "-c", "trap 'exit 0' TERM INT HUP USR1 QUIT; while :; do sleep 0.1; done"];

/// A field and its values. `NAME` in a text becomes the container's own name.
pub type Row = (&'static str, fn() -> Vec<Value>);

/// Fields that a container on this machine starts with, by their path in the create request.
const SETTINGS: &[Row] = &[
    ("Hostname", || vec![json!("web"), json!("web-1.example.test")]),
    ("Domainname", || vec![json!("example.test")]),
    ("User", || vec![json!("0"), json!("0:0"), json!("daemon"), json!("1:1"), json!("root:daemon")]),
    ("AttachStdin", || vec![json!(true)]),
    ("AttachStdout", || vec![json!(true)]),
    ("AttachStderr", || vec![json!(true)]),
    ("ExposedPorts", || vec![json!({"9090/tcp": {}}), json!({"9090/udp": {}, "9091/tcp": {}})]),
    ("Tty", || vec![json!(true)]),
    ("OpenStdin", || vec![json!(true)]),
    ("StdinOnce", || vec![json!(true)]),
    ("Env", || {
        vec![
            json!(["A=1"]),
            json!(["EMPTY=", "UMLAUT=grüß 'dich\" $HOME\\", "PATH=/bin:/usr/bin"]),
            json!(["LINES=one\ntwo", "EQUALS=a=b=c"]),
            json!(["LAB_OLD"]),
        ]
    }),
    ("Entrypoint", || vec![json!(["env"]), json!([""]), json!(["nice", "-n", "1"])]),
    ("Healthcheck", || {
        vec![
            json!({"Test": ["NONE"]}),
            json!({"Test": ["CMD", "true"], "Interval": 60_000_000_000_u64}),
            json!({"Test": ["CMD-SHELL", "exit 0"], "Interval": 30_000_000_000_u64, "Timeout": 2_000_000_000_u64,
                   "Retries": 4, "StartPeriod": 5_000_000_000_u64}),
            json!({"Interval": 45_000_000_000_u64}),
        ]
    }),
    ("Volumes", || vec![json!({"/anonymous-1": {}}), json!({"/anonymous-1": {}, "/anonymous-2/deep": {}})]),
    ("WorkingDir", || vec![json!("/"), json!("/var/lib"), json!("/made/by/the/engine")]),
    ("MacAddress", || vec![json!("02:42:0a:00:00:07")]),
    ("Labels", || {
        vec![json!({"shop": "yes"}), json!({"empty": "", "com.example/ü": "{\"a\": [1]}", "lab.old": "mine"})]
    }),
    ("StopSignal", || vec![json!("SIGTERM"), json!("SIGKILL"), json!("15"), json!("SIGUSR1")]),
    ("StopTimeout", || vec![json!(1), json!(0), json!(30)]),
    ("Shell", || vec![json!(["/bin/bash", "-c"])]),
    ("HostConfig.Binds", || {
        vec![
            json!(["NAME-data:/data"]),
            json!(["NAME-data:/data:ro", "FOLDER/file:/host/file:ro"]),
            json!(["FOLDER:/host/folder:ro,rprivate", "NAME-data:/data:nocopy"]),
        ]
    }),
    ("HostConfig.Mounts", || {
        vec![
            json!([{"Type": "volume", "Source": "NAME-m", "Target": "/m"}]),
            json!([{"Type": "volume", "Target": "/m-anonymous", "VolumeOptions": {"NoCopy": true, "Labels": {"l": "1"}}}]),
            json!([{"Type": "tmpfs", "Target": "/m-tmp", "TmpfsOptions": {"SizeBytes": 1_048_576, "Mode": 448}}]),
            json!([{"Type": "bind", "Source": "FOLDER", "Target": "/m-folder", "ReadOnly": true,
                    "BindOptions": {"Propagation": "rprivate"}, "Consistency": "default"}]),
            json!([{"Type": "bind", "Source": "FOLDER", "Target": "/m-flat", "BindOptions": {"NonRecursive": true},
                    "Consistency": "cached"}]),
            json!([{"Type": "volume", "Source": "NAME-driven", "Target": "/m-driven", "ReadOnly": true, "VolumeOptions":
                    {"Labels": {"l": "2"}, "DriverConfig": {"Name": "local",
                     "Options": {"type": "tmpfs", "device": "tmpfs", "o": "size=64k"}}}}]),
        ]
    }),
    ("HostConfig.Tmpfs", || vec![json!({"/scratch": ""}), json!({"/scratch": "rw,noexec,size=65536k"})]),
    ("HostConfig.VolumeDriver", || vec![json!("local")]),
    ("HostConfig.LogConfig", || {
        vec![
            json!({"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2", "labels": "shop"}}),
            json!({"Type": "none", "Config": {}}),
            json!({"Type": "local", "Config": {}}),
        ]
    }),
    ("HostConfig.PortBindings", || {
        vec![
            json!({"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}),
            json!({"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}, {"HostIp": "127.0.0.2", "HostPort": ""}],
                   "53/udp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}),
            json!({"8080/tcp": [{"HostIp": "LOOPBACK", "HostPort": "8081"}, {"HostIp": "LOOPBACK", "HostPort": "8082"}]}),
        ]
    }),
    ("HostConfig.PublishAllPorts", || vec![json!(true)]),
    ("HostConfig.RestartPolicy", || {
        vec![
            json!({"Name": "always"}),
            json!({"Name": "unless-stopped"}),
            json!({"Name": "on-failure", "MaximumRetryCount": 4}),
            json!({"Name": "no"}),
        ]
    }),
    ("HostConfig.CapAdd", || vec![json!(["NET_ADMIN"]), json!(["CAP_SYS_TIME", "NET_RAW"])]),
    ("HostConfig.CapDrop", || vec![json!(["MKNOD"]), json!(["CAP_AUDIT_WRITE", "MKNOD"])]),
    ("HostConfig.CgroupnsMode", || vec![json!("private"), json!("host")]),
    ("HostConfig.Dns", || vec![json!(["10.9.8.7"]), json!(["10.9.8.7", "10.9.8.6"])]),
    ("HostConfig.DnsOptions", || vec![json!(["ndots:2", "timeout:1"])]),
    ("HostConfig.DnsSearch", || vec![json!(["example.test", "lab.test"]), json!(["."])]),
    ("HostConfig.ExtraHosts", || vec![json!(["shop.test:10.9.8.7", "v6.test:fd00::1"])]),
    ("HostConfig.GroupAdd", || vec![json!(["daemon", "1234"])]),
    ("HostConfig.IpcMode", || vec![json!("private"), json!("shareable"), json!("none"), json!("host")]),
    ("HostConfig.PidMode", || vec![json!("host")]),
    ("HostConfig.UTSMode", || vec![json!("host")]),
    ("HostConfig.UsernsMode", || vec![json!("host")]),
    ("HostConfig.OomScoreAdj", || vec![json!(500), json!(100)]),
    ("HostConfig.ReadonlyRootfs", || vec![json!(true)]),
    ("HostConfig.SecurityOpt", || {
        vec![json!(["no-new-privileges"]), json!(["no-new-privileges:true", "label=disable"])]
    }),
    ("HostConfig.ShmSize", || vec![json!(1_048_576), json!(33_554_432)]),
    ("HostConfig.Sysctls", || {
        vec![json!({"kernel.msgmax": "65537"}), json!({"net.ipv4.ip_unprivileged_port_start": "0"})]
    }),
    ("HostConfig.Runtime", || vec![json!("runc")]),
    ("HostConfig.Init", || vec![json!(true), json!(false)]),
    ("HostConfig.MaskedPaths", || vec![json!(["/proc/kcore", "/proc/keys"]), json!([])]),
    ("HostConfig.ReadonlyPaths", || vec![json!(["/proc/bus"]), json!([])]),
    ("HostConfig.CpuShares", || vec![json!(512)]),
    ("HostConfig.CpuPeriod", || vec![json!(50_000)]),
    ("HostConfig.CpuQuota", || vec![json!(60_000)]),
    ("HostConfig.NanoCpus", || vec![json!(1_500_000_000)]),
    ("HostConfig.CpusetCpus", || vec![json!("0"), json!("0-1")]),
    ("HostConfig.CpusetMems", || vec![json!("0")]),
    ("HostConfig.Memory", || vec![json!(134_217_728), json!(268_435_456)]),
    ("HostConfig.MemoryReservation", || vec![json!(67_108_864)]),
    ("HostConfig.MemorySwap", || vec![json!(536_870_912), json!(-1)]),
    ("HostConfig.MemorySwappiness", || vec![json!(0), json!(40)]),
    ("HostConfig.OomKillDisable", || vec![json!(true)]),
    ("HostConfig.PidsLimit", || vec![json!(64), json!(-1)]),
    ("HostConfig.Ulimits", || {
        vec![
            json!([{"Name": "nofile", "Soft": 512, "Hard": 1024}]),
            json!([{"Name": "core", "Soft": 0, "Hard": 0}, {"Name": "nofile", "Soft": 512, "Hard": 1024}]),
        ]
    }),
    ("HostConfig.CgroupParent", || vec![json!("/patchyard-tests")]),
    ("HostConfig.Devices", || {
        vec![
            json!([{"PathOnHost": "/dev/null", "PathInContainer": "/dev/nothing", "CgroupPermissions": "rw"}]),
        ]
    }),
    ("HostConfig.DeviceCgroupRules", || vec![json!(["c 1:3 mr"])]),
    ("HostConfig.BlkioWeight", || vec![json!(300)]),
    ("HostConfig.NetworkMode", || vec![json!("none"), json!("host"), json!("bridge"), json!("default")]),
    ("NetworkDisabled", || vec![json!(true)]),
];

/// Fields that need more than every machine has. A container with them is created and swapped as far as that goes
/// without starting it.
const UNSTARTABLE: &[Row] = &[
    ("HostConfig.Privileged", || vec![json!(true)]),
    ("HostConfig.DeviceRequests", || {
        vec![
            json!([{"Driver": "nvidia", "Count": -1, "DeviceIDs": null, "Capabilities": [["gpu", "utility"]], "Options": {"a": "b"}}]),
            json!([{"Driver": "", "Count": 0, "DeviceIDs": ["0", "GPU-fef8089b"], "Capabilities": [["gpu"]], "Options": {}}]),
        ]
    }),
    ("HostConfig.Devices", || {
        vec![
            json!([{"PathOnHost": "/dev/not-there", "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"}]),
        ]
    }),
    ("HostConfig.SecurityOpt", || {
        vec![
            json!(["seccomp=unconfined"]),
            json!(["seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}", "apparmor=lab"]),
        ]
    }),
    // The folder's file system would have to be shared.
    ("HostConfig.Mounts", || {
        vec![
            json!([{"Type": "bind", "Source": "FOLDER", "Target": "/m", "BindOptions": {"Propagation": "rslave"}}]),
            json!([{"Type": "bind", "Source": "FOLDER", "Target": "/m", "BindOptions": {"Propagation": "rshared"}}]),
        ]
    }),
    ("HostConfig.BlkioWeightDevice", || vec![json!([{"Path": "/dev/vda", "Weight": 400}])]),
    ("HostConfig.BlkioDeviceReadBps", || vec![json!([{"Path": "/dev/vda", "Rate": 1_048_576}])]),
    ("HostConfig.BlkioDeviceWriteBps", || vec![json!([{"Path": "/dev/vda", "Rate": 1_048_576}])]),
    ("HostConfig.BlkioDeviceReadIOps", || vec![json!([{"Path": "/dev/vda", "Rate": 100}])]),
    ("HostConfig.BlkioDeviceWriteIOps", || vec![json!([{"Path": "/dev/vda", "Rate": 100}])]),
    ("HostConfig.CpuRealtimePeriod", || vec![json!(1_000_000)]),
    ("HostConfig.CpuRealtimeRuntime", || vec![json!(1000)]),
    ("HostConfig.KernelMemory", || vec![json!(33_554_432)]),
    ("HostConfig.KernelMemoryTCP", || vec![json!(33_554_432)]),
];

/// What came later: the minor number of the API that brought it, and a row of [`SETTINGS`].
const NEWER: &[(u32, Row)] = &[
    (42, ("HostConfig.ConsoleSize", || vec![json!([40, 120])])),
    (
        42,
        ("HostConfig.Mounts", || {
            vec![
                json!([{"Type": "bind", "Source": "FOLDER/made", "Target": "/m-made", "BindOptions": {"CreateMountpoint": true}}]),
            ]
        }),
    ),
    (43, ("HostConfig.Annotations", || vec![json!({"example.test/a": "1", "empty": ""})])),
    (
        44,
        ("Healthcheck", || {
            vec![
                json!({"StartInterval": 2_000_000_000_u64}),
                json!({"Test": ["CMD", "true"], "StartPeriod": 9_000_000_000_u64, "StartInterval": 1_000_000_000_u64}),
            ]
        }),
    ),
    (
        44,
        ("HostConfig.Mounts", || {
            let read_only = |how: &str| {
                json!([{"Type": "bind", "Source": "FOLDER", "Target": "/m-read", "ReadOnly": true,
                    "BindOptions": {"Propagation": "rprivate", how: true}}])
            };
            vec![read_only("ReadOnlyNonRecursive"), read_only("ReadOnlyForceRecursive")]
        }),
    ),
    (
        46,
        ("HostConfig.Mounts", || {
            vec![
                json!([{"Type": "tmpfs", "Target": "/m-options", "TmpfsOptions": {"Options": [["noexec"]]}}]),
            ]
        }),
    ),
    (
        48,
        ("HostConfig.Mounts", || {
            vec![json!([{"Type": "image", "Source": "patchyard-lab/base:1", "Target": "/m-image"}])]
        }),
    ),
];

/// The same of [`UNSTARTABLE`].
const NEWER_UNSTARTABLE: &[(u32, Row)] = &[
    (
        44,
        ("HostConfig.DeviceRequests", || {
            vec![
                json!([{"Driver": "cdi", "Count": 0, "DeviceIDs": ["example.test/gpu=0"], "Capabilities": null, "Options": null}]),
            ]
        }),
    ),
    // The folder would have to be in the volume.
    (
        45,
        ("HostConfig.Mounts", || {
            vec![
                json!([{"Type": "volume", "Source": "NAME-m", "Target": "/m", "VolumeOptions": {"Subpath": "deep/er"}}]),
            ]
        }),
    ),
    (48, ("HostConfig.SecurityOpt", || vec![json!(["writable-cgroups=true"])])),
];

/// What only engines with this storage driver take.
const OF_DRIVERS: &[(&str, Row)] =
    &[("btrfs", ("HostConfig.StorageOpt", || vec![json!({"size": "1G"}), json!({"size": "1073741824"})]))];

/// What an engine takes depends on these.
pub struct EngineKind {
    /// The minor version of the API that it is spoken to in.
    pub api_minor: u32,
    pub storage_driver: String,
}

impl EngineKind {
    /// The fields that a container starts with here.
    pub fn settings(&self) -> Vec<Row> {
        let of_driver = OF_DRIVERS.iter().filter(|(driver, _)| *driver == self.storage_driver);
        let mut rows = self.known(SETTINGS, NEWER);
        rows.extend(of_driver.map(|(_, row)| *row));
        rows
    }

    /// The others, with which none can be started here.
    pub fn unstartable(&self) -> Vec<Row> {
        self.known(UNSTARTABLE, NEWER_UNSTARTABLE)
    }

    fn known(&self, always: &[Row], newer: &[(u32, Row)]) -> Vec<Row> {
        let newer = newer.iter().filter(|(since, _)| *since <= self.api_minor).map(|(_, row)| *row);
        always.iter().copied().chain(newer).collect()
    }
}

/// Fields of an engine's answer that no create request sets on Linux, or that are refused by name,
/// each with the reason.
pub const LEFT_OUT: &[(&str, &str)] = &[
    ("Image", "every request has one"),
    ("Cmd", "every request has one"),
    ("OnBuild", "an image's instruction for builds; the engine ignores it in a create request"),
    ("ArgsEscaped", "Windows alone"),
    ("HostConfig.AutoRemove", "refused: stopping such a container deletes it"),
    ("HostConfig.StorageOpt", "overlay2 takes it on xfs with quotas alone; it is tried on btrfs"),
    ("HostConfig.Links", "refused"),
    ("HostConfig.VolumesFrom", "written out as mounts: tests/defects"),
    ("HostConfig.ContainerIDFile", "written by the client"),
    ("HostConfig.Cgroup", "the engine keeps it for itself"),
    ("HostConfig.ConsoleSize", "Windows alone, before API 1.42"),
    ("HostConfig.Isolation", "Windows alone"),
    ("HostConfig.CpuCount", "Windows alone"),
    ("HostConfig.CpuPercent", "Windows alone"),
    ("HostConfig.IOMaximumBandwidth", "Windows alone"),
    ("HostConfig.IOMaximumIOps", "Windows alone"),
];

/// A create request with each field with a chance of one in `rarity`.
pub fn random(dice: &mut Dice, settings: &[Row], rarity: usize, name: &str, image: &str) -> Value {
    let mut body = json!({"Image": image, "Cmd": SLEEP, "StopTimeout": 2, "HostConfig": {}});
    for (path, values) in settings {
        if dice.roll(rarity) == 0 {
            let value = dice.pick(values());
            put(&mut body, path, own(value, name));
        }
    }
    // With an entry point of its own it has no command of the image's.
    if body["Entrypoint"].is_null() && dice.roll(rarity) == 0 {
        body.as_object_mut().map(|body| body.remove("Cmd"));
    }
    agree(&mut body);
    body
}

/// A create request with one field.
pub fn single(path: &str, value: Value, name: &str, image: &str) -> Value {
    let mut body = json!({"Image": image, "Cmd": SLEEP, "StopTimeout": 2, "HostConfig": {}});
    put(&mut body, path, own(value, name));
    agree(&mut body);
    body
}

fn put(body: &mut Value, path: &str, value: Value) {
    match path.split_once('.') {
        Some((outer, inner)) => body[outer][inner] = value,
        None => body[path] = value,
    }
}

/// Names of volumes, folders and the address of ports that are asked for by number are the container's own, so that no two
/// containers share one, and none has one that is not the test's.
fn own(value: Value, name: &str) -> Value {
    match value {
        Value::String(text) => {
            let folder = std::env::temp_dir().join(name).join("host");
            let text = text.replace("NAME", name).replace("FOLDER", folder.to_str().unwrap());
            Value::String(text.replace("LOOPBACK", &loopback(name)))
        }
        Value::Array(items) => items.into_iter().map(|item| own(item, name)).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, own(value, name))).collect(),
        other => other,
    }
}

/// An address of this machine's alone that no other yard has: its name ends in a process's id and a number.
fn loopback(name: &str) -> String {
    let mut numbers = name.rsplit('-').filter_map(|part| part.parse::<u32>().ok());
    let (number, process) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    format!("127.{}.{}.{}", 64 + process % 128, number / 250, 1 + number % 250)
}

/// Takes out what the engine refuses beside something else.
fn agree(body: &mut Value) {
    let host = &body["HostConfig"];
    let is = |key: &str, value: &str| host[key].as_str() == Some(value);
    let disabled = body["NetworkDisabled"] == json!(true);
    let rules: [(bool, &[&str]); 9] = [
        (
            disabled || is("NetworkMode", "host") || is("NetworkMode", "none"),
            &["MacAddress", "HostConfig.PortBindings", "HostConfig.PublishAllPorts"],
        ),
        (disabled, &["HostConfig.NetworkMode"]),
        // Names and kernel settings are the machine's own there.
        (
            is("NetworkMode", "host"),
            &["HostConfig.Sysctls", "HostConfig.Dns", "HostConfig.DnsOptions", "HostConfig.DnsSearch"],
        ),
        (is("UTSMode", "host"), &["Hostname", "Domainname"]),
        (is("IpcMode", "none"), &["HostConfig.ShmSize"]),
        (is("IpcMode", "host"), &["HostConfig.ShmSize", "HostConfig.Sysctls"]),
        (!host["NanoCpus"].is_null(), &["HostConfig.CpuPeriod", "HostConfig.CpuQuota"]),
        // A limit of memory and swap together.
        (host["Memory"].is_null(), &["HostConfig.MemorySwap"]),
        // A directory that is not there cannot be made in a root that is read-only.
        (host["ReadonlyRootfs"] == json!(true), &["WorkingDir"]),
    ];
    let contradictions: Vec<&str> =
        rules.iter().filter(|(is_so, _)| *is_so).flat_map(|(_, paths)| paths.iter().copied()).collect();
    for path in contradictions {
        match path.split_once('.') {
            Some((outer, inner)) => body[outer].as_object_mut().map(|map| map.remove(inner)),
            None => body.as_object_mut().map(|map| map.remove(path)),
        };
    }
}

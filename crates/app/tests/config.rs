//! The configuration: the documented example holds, its schema agrees, and slips are explained.

use std::path::Path;

use patchyard_app::config::{Config, EXAMPLE, SCHEMA, parse};
use patchyard_types::{Millis, Settings};

fn read(text: &str) -> Result<Config, String> {
    parse(Path::new("patchyard.yaml"), text).map_err(|error| error.to_string())
}

#[allow(clippy::unwrap_used)]
fn as_json(yaml: &str) -> serde_json::Value {
    serde_saphyr::from_str(yaml).unwrap()
}

#[test]
fn the_example_shows_the_defaults_as_they_are() {
    let example = read(EXAMPLE).unwrap();
    assert_eq!(example.defaults, Settings::default());
    assert_eq!(example.retention, Config::default().retention);
    assert_eq!(example.labels, Config::default().labels);
    assert_eq!(example.hosts.len(), 7);
    assert_eq!(example.checks.len(), 3);
    assert_eq!(example.checks[1].check.name, "tcp :5432");
    assert_eq!(example.registries["registry.example.org:5000"].password_file, Path::new("registry.password"));
    assert_eq!(example.lines["defaults.timeouts.step"], 52);
}

#[test]
fn an_empty_configuration_is_the_default() {
    let config = read("version: 1\n").unwrap();
    assert_eq!(Config { file: None, ..config }, Config::default());
    let config = read("version: 1\ndefaults:\n  verify_for: 2m\n").unwrap();
    assert_eq!(config.defaults.verify_for, Millis::from_secs(120));
}

/// Each slip, and the whole message it gives.
const SLIPS: &[(&str, &str)] = &[
    (
        "version: 1\ndefaults:\n  verfy_for: 30s\n",
        "patchyard.yaml:3:3: unknown key 'verfy_for'; did you mean 'verify_for'?",
    ),
    (
        "version: 1\nverify_for: 30s\n",
        "patchyard.yaml:2:1: unknown key 'verify_for' here; it belongs to defaults",
    ),
    (
        "version: 1\npolicies: []\n",
        "patchyard.yaml:2:1: unknown key 'policies'; known here: version, hosts, defaults, checks, registries",
    ),
    ("version: 2\n", "patchyard.yaml:1:10: version 2 is not known; this patchyard reads version 1"),
    ("version: one\n", "patchyard.yaml:1:10: 'version' must be a whole number"),
    ("defaults: {}\n", "patchyard.yaml:1:1: the key 'version' is missing: write 'version: 1' first"),
    ("", "patchyard.yaml:1:1: the file is empty: write 'version: 1' at least"),
    (
        "version: 1\ndefaults:\n  allow_remove: maybe\n",
        "patchyard.yaml:3:17: 'allow_remove' must be true or false",
    ),
    ("version: 1\ndefaults: [1]\n", "patchyard.yaml:2:11: 'defaults' must be a section of keys and values"),
    ("version: 1\nchecks: all\n", "patchyard.yaml:2:9: 'checks' must be a list"),
    (
        "version: 1\ndefaults:\n  verify_for: 30\n",
        "patchyard.yaml:3:15: defaults.verify_for: '30' is not a duration: write a whole number and a unit, as in 500ms, 90s, 20m, 2h or 7d",
    ),
    (
        "version: 1\ndefaults:\n  max_layer: lots\n",
        "patchyard.yaml:3:14: 'lots' is not a size: write a whole number and a unit, as in 512MiB",
    ),
    (
        "version: 1\ndefaults:\n  max_unavailable: 0\n",
        "patchyard.yaml:3:20: max_unavailable: at least 1, or nothing would ever start",
    ),
    (
        "version: 1\ndefaults:\n  method: rebuild\n",
        "patchyard.yaml:3:11: method 'rebuild' is not known: write layer or image",
    ),
    (
        "version: 1\ndefaults:\n  tag: stay\n",
        "patchyard.yaml:3:8: tag 'stay' is not known: write move or keep",
    ),
    (
        "version: 1\ndefaults:\n  max_parallel: 0\n",
        "patchyard.yaml:3:17: max_parallel: at least 1, or nothing would ever start",
    ),
    (
        "version: 1\ndefaults:\n  labels: [verify_for]\n",
        "patchyard.yaml:3:12: unknown label 'verify_for'; did you mean 'verify-for'?",
    ),
    (
        "version: 1\nhosts:\n  web: {url: web.example.org}\n",
        "patchyard.yaml:3:14: 'web.example.org' is not an engine's address: write unix:///run/docker.sock, tcp://host:2376 or ssh://user@host",
    ),
    (
        "version: 1\nhosts:\n  web: {}\n",
        "patchyard.yaml:3:8: a host is one of url, ssh, libvirt, incus and local: true",
    ),
    (
        "version: 1\nhosts:\n  web: {ssh: web, local: true}\n",
        "patchyard.yaml:3:8: a host is one of url, ssh, libvirt, incus and local: true",
    ),
    (
        "version: 1\nhosts:\n  web: {url: 'unix:///run/docker.sock', service: web}\n",
        "patchyard.yaml:3:14: service belongs to machines (ssh, local), not to engines",
    ),
    (
        "version: 1\nhosts:\n  hv: {libvirt: 'xen:///'}\n",
        "patchyard.yaml:3:17: 'xen:///' is no address of a libvirt: its path is '/' and not /system or /session. Write qemu:///system, qemu:///session, qemu+unix:///system?socket=PATH or qemu+ssh://user@host:port/system",
    ),
    (
        "version: 1\nhosts:\n  hv: {libvirt: 'qemu:///system', incus: /i.socket}\n",
        "patchyard.yaml:3:7: a host is one of url, ssh, libvirt, incus and local: true",
    ),
    (
        "version: 1\nhosts:\n  box: {incus: 'unix:///i.socket'}\n",
        "patchyard.yaml:3:16: incus is the path of its socket, such as /var/lib/incus/unix.socket",
    ),
    (
        "version: 1\nhosts:\n  hv: {libvirt: 'qemu:///system', service: web}\n",
        "patchyard.yaml:3:17: service belongs to machines that ssh or local reaches",
    ),
    ("version: 1\nhosts:\n  web: {local: false}\n", "patchyard.yaml:3:16: local is true, or left out"),
    (
        "version: 1\nhosts:\n  web: {ssh: '-oProxyCommand=x'}\n",
        "patchyard.yaml:3:14: '-oProxyCommand=x' is no host: write user@host, or a name of your ssh_config",
    ),
    (
        "version: 1\nhosts:\n  web: {ssh: 'ssh://ops@web'}\n",
        "patchyard.yaml:3:14: ssh is user@host here; an engine behind ssh is a url",
    ),
    (
        "version: 1\nhosts:\n  web: {local: true, ssh_config: x}\n",
        "patchyard.yaml:3:34: ssh_config belongs to ssh",
    ),
    (
        "version: 1\nhosts:\n  web: {local: true, tls: {ca: x}}\n",
        "patchyard.yaml:3:32: tls belongs to tcp:// addresses only",
    ),
    (
        "version: 1\nhosts:\n  web: {local: true, service: ' '}\n",
        "patchyard.yaml:3:31: a service's name must not be empty",
    ),
    (
        "version: 1\ndefaults:\n  method: packages\n",
        "patchyard.yaml:3:11: machines are patched by method packages anyway: write layer or image, for containers",
    ),
    (
        "version: 1\nchecks:\n  - name: both\n    tcp: {port: 1}\n    http: {port: 1}\n",
        "patchyard.yaml:3:5: a check is one of http, tcp and command",
    ),
    (
        "version: 1\nchecks:\n  - tcp: {port: 1}\n  - tcp: {port: 1}\n",
        "patchyard.yaml:4:5: a check named 'tcp :1' exists already: names are unique",
    ),
    (
        "version: 1\nchecks:\n  - {select: 'a b', tcp: {port: 1}}\n",
        "patchyard.yaml:3:14: select: 'a b' is not a selector term: write key=value, key!=value, key or !key, separated by commas",
    ),
    (
        "version: 1\nregistries:\n  r.example.org: {username: me}\n",
        "patchyard.yaml:3:19: the key 'password_file' is missing here",
    ),
    ("version: 1\nversion: 1\n", "patchyard.yaml:2:1: duplicate mapping key: version"),
    ("version: 1\n---\nversion: 1\n", "patchyard.yaml:3:1: a second document ('---') is not allowed"),
];

#[test]
fn every_slip_names_its_place_and_the_way_out() {
    for (text, expected) in SLIPS {
        assert_eq!(read(text).expect_err(text), *expected);
    }
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("version: 1\nchecks:\n  - &a {name: x, command: [x]}\n");
    for _ in 0..30 {
        text.push_str("  - *a\n");
    }
    text.push_str("x: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n");
    assert!(read(&text).is_err());
}

#[test]
fn the_schema_accepts_the_example_and_refuses_what_the_reader_refuses() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&as_json(EXAMPLE)), "{:?}", validator.validate(&as_json(EXAMPLE)));
    // What a schema cannot say: uniqueness of names, the selector's grammar; and what is no JSON.
    let beyond = ["a b", "tcp: {port: 1}\n  - tcp", "version: 1\nversion", "---"];
    for (text, _) in
        SLIPS.iter().filter(|(text, _)| !text.is_empty() && !beyond.iter().any(|b| text.contains(b)))
    {
        assert!(!validator.is_valid(&as_json(text)), "the schema accepts {text}");
    }
}

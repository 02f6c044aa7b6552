//! The configuration file as it is written: shapes and places only, nothing validated yet.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub version: Spanned<u32>,
    #[serde(default)]
    pub hosts: BTreeMap<String, Spanned<Host>>,
    #[serde(default)]
    pub defaults: Defaults,
    #[serde(default)]
    pub checks: Vec<Spanned<Check>>,
    #[serde(default)]
    pub registries: BTreeMap<String, Spanned<Registry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    pub url: Option<Spanned<String>>,
    pub tls: Option<Tls>,
    pub ssh: Option<Spanned<String>>,
    pub ssh_config: Option<Spanned<String>>,
    pub local: Option<Spanned<bool>>,
    pub libvirt: Option<Spanned<String>>,
    pub incus: Option<Spanned<String>>,
    pub sudo: Option<Sudo>,
    pub service: Option<Spanned<String>>,
    pub labels: Option<Spanned<BTreeMap<String, String>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sudo {
    pub password_file: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub ca: Spanned<String>,
    pub cert: Option<Spanned<String>>,
    pub key: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    pub method: Option<Spanned<String>>,
    pub verify_for: Option<Spanned<String>>,
    pub max_unavailable: Option<Spanned<String>>,
    pub max_failures: Option<Spanned<String>>,
    pub max_parallel: Option<Spanned<u32>>,
    pub allow_remove: Option<Spanned<bool>>,
    pub max_layer: Option<Spanned<String>>,
    pub writable_layer: Option<Spanned<String>>,
    pub data: Option<Spanned<String>>,
    pub order: Option<Spanned<String>>,
    pub drain: Option<Drain>,
    pub reboot: Option<Spanned<String>>,
    pub way_back: Option<Spanned<String>>,
    pub snapshot: Option<Spanned<String>>,
    pub tag: Option<Spanned<String>>,
    pub timeouts: Option<Timeouts>,
    pub retention: Option<Retention>,
    pub labels: Option<Vec<Spanned<String>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    pub ask: Option<Spanned<String>>,
    pub step: Option<Spanned<String>>,
    pub healthy: Option<Spanned<String>>,
    pub check: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    pub command: Option<Spanned<Vec<String>>>,
    pub wait: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    pub keep_for: Option<Spanned<String>>,
    pub keep_last: Option<Spanned<u32>>,
    pub max_size: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    pub name: Option<Spanned<String>>,
    pub select: Option<Spanned<String>>,
    pub http: Option<Http>,
    pub tcp: Option<Tcp>,
    pub command: Option<Spanned<Vec<String>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    pub port: Spanned<u16>,
    pub path: Option<Spanned<String>>,
    pub status: Option<Spanned<u16>>,
    pub body: Option<Spanned<String>>,
    pub within: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tcp {
    pub port: Spanned<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    pub username: Spanned<String>,
    pub password_file: Spanned<String>,
}

/// Every key there is and the section it belongs to, for "did you mean" across sections.
pub const SECTIONS: &[(&str, &[&str])] = &[
    ("the top level", &["version", "hosts", "defaults", "checks", "registries"]),
    (
        "defaults",
        &[
            "method",
            "verify_for",
            "max_unavailable",
            "max_failures",
            "max_parallel",
            "allow_remove",
            "max_layer",
            "writable_layer",
            "data",
            "order",
            "drain",
            "reboot",
            "way_back",
            "snapshot",
            "tag",
            "timeouts",
            "retention",
            "labels",
        ],
    ),
    ("defaults.drain", &["command", "wait"]),
    ("defaults.timeouts", &["ask", "step", "healthy", "check"]),
    ("defaults.retention", &["keep_for", "keep_last", "max_size"]),
];

//! The direction of dependencies, read from `cargo metadata`, and the purity of the pure crates,
//! read from `cargo tree`, which knows what features each of them really asks for.
//!
//! A crate, an arrow or a dependency of a pure crate that is not listed here fails the test: adding
//! it is a decision, and this is where it is written down.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Which crates of the house each crate may use. Arrows point up only; nobody but the app and the
/// command line names an implementation of a contract.
const ARROWS: &[(&str, &[&str])] = &[
    ("patchyard-types", &[]),
    ("patchyard-assess", &["patchyard-types"]),
    ("patchyard-plan", &["patchyard-types", "patchyard-assess"]),
    ("patchyard-decide", &["patchyard-types", "patchyard-plan"]),
    ("patchyard-contract", &["patchyard-types"]),
    (
        "patchyard-engine",
        &["patchyard-types", "patchyard-assess", "patchyard-plan", "patchyard-decide", "patchyard-contract"],
    ),
    ("patchyard-store-sqlite", &["patchyard-types", "patchyard-contract"]),
    ("patchyard-store-memory", &["patchyard-types", "patchyard-contract"]),
    ("patchyard-cache", &["patchyard-types", "patchyard-contract"]),
    (
        "patchyard-provider-docker",
        &["patchyard-types", "patchyard-assess", "patchyard-contract", "patchyard-guest"],
    ),
    ("patchyard-guest", &["patchyard-types", "patchyard-assess", "patchyard-contract"]),
    ("patchyard-libvirt", &["patchyard-types", "patchyard-contract", "patchyard-guest"]),
    ("patchyard-incus", &["patchyard-types", "patchyard-contract", "patchyard-guest"]),
    (
        "patchyard-provider-host",
        &["patchyard-types", "patchyard-assess", "patchyard-contract", "patchyard-guest"],
    ),
    ("patchyard-provider-sim", &["patchyard-types", "patchyard-contract"]),
    (
        "patchyard-app",
        &[
            "patchyard-types",
            "patchyard-assess",
            "patchyard-plan",
            "patchyard-decide",
            "patchyard-contract",
            "patchyard-engine",
            "patchyard-store-sqlite",
            "patchyard-cache",
            "patchyard-guest",
            "patchyard-incus",
            "patchyard-libvirt",
            "patchyard-provider-docker",
            "patchyard-provider-host",
        ],
    ),
    // Arguments and rendering only: the values it shows, and the use cases it calls.
    ("patchyard", &["patchyard-types", "patchyard-app"]),
    ("patchyard-house-tests", &[]),
    // The crash harness puts itself between the program and the world; the tests of its face show it a
    // simulated one.
    (
        "patchyard-e2e-tests",
        &[
            "patchyard",
            "patchyard-types",
            "patchyard-contract",
            "patchyard-store-sqlite",
            "patchyard-provider-docker",
            "patchyard-provider-sim",
            "patchyard-app",
        ],
    ),
    (
        "patchyard-simulation-tests",
        &[
            "patchyard-types",
            "patchyard-plan",
            "patchyard-decide",
            "patchyard-contract",
            "patchyard-engine",
            "patchyard-provider-sim",
            "patchyard-store-memory",
        ],
    ),
    (
        "patchyard-bench",
        &[
            "patchyard-types",
            "patchyard-contract",
            "patchyard-engine",
            "patchyard-store-sqlite",
            "patchyard-provider-sim",
            "patchyard-libvirt",
            "patchyard-simulation-tests",
        ],
    ),
];

/// The crates that are pure: arguments in, values out.
const PURE: &[&str] = &["patchyard-types", "patchyard-assess", "patchyard-plan", "patchyard-decide"];

/// Every crate from outside that a pure crate may depend on, directly or through others.
const PURE_MAY_USE: &[&str] = &[
    // Time as a value, without asking for it.
    "jiff",
    "jiff-core",
    // Values as JSON.
    "serde",
    "serde_core",
    "serde_derive",
    "serde_json",
    "itoa",
    "memchr",
    "zmij",
    // SHA-256.
    "sha2",
    "digest",
    "block-buffer",
    "crypto-common",
    "hybrid-array",
    "typenum",
    "const-oid",
    "cfg-if",
    "cpufeatures",
    // Errors.
    "thiserror",
    "thiserror-impl",
    // What derive macros are made of; runs in the compiler only.
    "proc-macro2",
    "quote",
    "syn",
    "unicode-ident",
];

struct House {
    root: PathBuf,
    /// Each crate of the house and what it uses of the house, without what only its tests use.
    uses: BTreeMap<String, BTreeSet<String>>,
}

impl House {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
        let metadata = cargo(&root, &["metadata", "--format-version", "1", "--offline", "--no-deps"]);
        let metadata: Value = serde_json::from_str(&metadata).unwrap();
        let packages = metadata["packages"].as_array().unwrap();
        let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
        let members: BTreeSet<String> = packages.iter().map(name).collect();
        let uses = packages
            .iter()
            .map(|package| {
                let used = package["dependencies"].as_array().unwrap().iter();
                // `kind` is null for a normal dependency; a build script's counts too.
                let used = used.filter(|dependency| dependency["kind"] != "dev").map(name);
                (name(package), used.filter(|used| members.contains(used)).collect())
            })
            .collect();
        Self { root, uses }
    }

    fn pure(&self) -> impl Iterator<Item = &str> {
        PURE.iter().copied().filter(|name| self.uses.contains_key(*name))
    }

    /// Every crate that is built into this one, directly or through others, on the system Patchyard
    /// runs on: a fixed one, so that the answer is the same on every machine.
    fn reaches(&self, name: &str) -> BTreeSet<String> {
        let tree = cargo(
            &self.root,
            &[
                "tree",
                "--offline",
                "--target",
                "x86_64-unknown-linux-gnu",
                "--edges",
                "normal,build",
                "--prefix",
                "none",
                "--format",
                "{p}",
                "--all-features",
                "--package",
                name,
            ],
        );
        let reached: BTreeSet<String> =
            tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
        assert!(reached.contains(name), "cargo tree tells of {name}: {tree}");
        reached
    }
}

fn cargo(root: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root).output().expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn arrows_point_up_only() {
    let house = House::read();
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    assert!(house.uses.len() > 3, "the whole house is looked at");
    for (name, uses) in &house.uses {
        let Some(allowed) = allowed.get(name.as_str()) else {
            panic!("{name} is new in the house: say in ARROWS what it may use");
        };
        for used in uses {
            assert!(allowed.contains(&used.as_str()), "{name} must not use {used}: arrows point up only");
        }
    }
}

#[test]
fn pure_crates_reach_no_input_or_output() {
    let house = House::read();
    let mut reached = BTreeSet::new();
    for name in house.pure() {
        for used in house.reaches(name) {
            assert!(
                PURE.contains(&used.as_str()) || PURE_MAY_USE.contains(&used.as_str()),
                "{name} reaches {used}: is that pure? Then add it to PURE_MAY_USE, with a word on what for"
            );
            reached.insert(used);
        }
    }
    let idle: Vec<_> = PURE_MAY_USE.iter().filter(|name| !reached.contains(**name)).collect();
    assert!(idle.is_empty(), "no pure crate reaches these any more: {idle:?}");
}

/// clippy reads the nearest `clippy.toml` only: a pure crate without its own would lose the bans.
#[test]
fn every_pure_crate_bans_the_outside_world() {
    let house = House::read();
    let house_bans = bans(&house.root.join("crates/types/clippy.toml"));
    for must in ["SystemTime", "Instant", "fs::", "net::", "process::", "env::"] {
        assert!(house_bans.contains(must), "the bans lack {must}");
    }
    for name in house.pure() {
        let folder = house.root.join("crates").join(name.trim_start_matches("patchyard-"));
        assert_eq!(bans(&folder.join("clippy.toml")), house_bans, "{name} bans the same things");
    }
}

fn bans(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

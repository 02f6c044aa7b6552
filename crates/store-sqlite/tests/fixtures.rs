//! What any released version has written is read for ever.
//!
//! A fixture's JSON is read with today's types. When the meaning of an event changes, the JSON is
//! edited to what the old event means today; the database never is.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use patchyard_contract::Store as _;
use patchyard_store_sqlite::{DATABASE, SqliteStore};

mod contents;
use contents::Contents;

fn fixtures(extension: &str) -> BTreeSet<PathBuf> {
    fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect()
}

#[test]
fn this_version_has_a_fixture_and_every_fixture_its_contents() {
    let name = format!("v{}.db", env!("CARGO_PKG_VERSION"));
    assert!(fixtures("db").iter().any(|path| path.ends_with(&name)), "{name}: run the example `fixture`");
    let expected: BTreeSet<_> = fixtures("db").iter().map(|path| path.with_extension("json")).collect();
    assert_eq!(fixtures("json"), expected);
}

#[test]
fn every_fixture_is_read_as_it_was_meant() {
    for fixture in fixtures("db") {
        let expected: Contents =
            serde_json::from_str(&fs::read_to_string(fixture.with_extension("json")).unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::copy(&fixture, dir.path().join(DATABASE)).unwrap();
        patchyard_contract::suite::run(async {
            let store = SqliteStore::open(dir.path()).unwrap();
            let keys: Vec<&str> = expected.answers.keys().map(String::as_str).collect();
            let found = Contents::of(&store, &keys).await.unwrap();
            assert_eq!(found, expected, "{}", fixture.display());
            for (digest, plan) in &found.plans {
                assert_eq!(plan.digest(), *digest, "a field came in that changes the names of old plans");
            }
            let printed = expected.head.parse().unwrap();
            assert_eq!(
                store.audit_verify(Some(printed)).await.unwrap().broken,
                None,
                "{}",
                fixture.display()
            );
        });
    }
}
